"""The default provenance of results for which no provenance is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

import xsns_stream as xs
from xsns_stream.errors import IncompatibleError, UsageError


def batches() -> Iterator[dict[str, torch.Tensor]]:
    ids = torch.arange(10, 34).reshape(3, 8)
    yield {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}


def network(model, language: str, **settings: str) -> xs.SubNetwork:
    layout = xs.parameter_layout(model)
    return xs.extract_subnetwork(xs.diagonal_fisher(model, batches(), layout, language=language, seed=42, **settings))


def test_batches_without_language_have_a_provenance(tiny_folder: Path) -> None:
    model = xs.load_model(str(tiny_folder)).model
    record = network(model, "sw", token_reduction="mean", precision="bf16").provenance
    assert (record.model, record.estimator) == ("XLMRobertaForMaskedLM", "per-example(token_reduction=mean)")
    assert (record.dtype, record.device, record.seed, record.examples) == (
        "float32+bf16-autocast",
        "cpu",
        42,
        3,
    )
    assert record.layout_digest == xs.parameter_layout(model).digest
    assert network(model, "sw", estimator="per-batch").provenance.estimator == "per-batch(token_reduction=sum,batch=3)"


@pytest.mark.parametrize("field", ["estimator", "labels", "weights"])
def test_a_store_written_from_python_does_not_mix_experiments(field: str, tiny_folder: Path, tmp_path: Path) -> None:
    model = xs.load_model(str(tiny_folder)).model
    store = xs.open_store(str(tmp_path / "python.zarr"), mode="a")
    store.write(network(model, "sw"))
    other = {"estimator": {"estimator": "grad-abs"}, "labels": {"labels": "sample"}}.get(field, {})
    if field == "weights":
        with torch.no_grad():
            next(model.base_model.encoder.parameters()).mul_(1.01)
    with pytest.raises(IncompatibleError, match="weights_digest" if field == "weights" else "estimator"):
        store.write(network(model, "fi", **other))


def test_two_kinds_of_half_precision_are_refused(tiny_folder: Path) -> None:
    model = xs.load_model(str(tiny_folder), dtype="bfloat16").model
    with pytest.raises(UsageError, match="weights in bfloat16 cannot be computed in fp16"):
        network(model, "sw", precision="fp16")
