"""Estimators, precisions and objectives of a build: the values of the engine, and the record in the store."""

from __future__ import annotations

import copy
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from xsns_stream.errors import UsageError
from xsns_stream.fisher import diagonal_fisher
from xsns_stream.models import LoadedModel, load_model, parameter_layout
from xsns_stream.objectives import CausalLanguageModelling, batches
from xsns_stream.pipeline.events import Row
from xsns_stream.subnetworks.select import extract_subnetwork
from xsns_stream.types import FisherSettings


@pytest.fixture
def expected(make: Any, loaded: LoadedModel) -> Callable[..., Any]:
    """A function that returns the sub-network of Swahili, computed stage by stage."""

    def compute(fisher: FisherSettings, size: int, order: str, quantile: str = "exact") -> Any:
        settings = make("sw")
        examples = settings.objective.encode(settings.corpus.sample("sw", 6, 42), loaded.tokenizer, 42).examples
        values = diagonal_fisher(
            loaded.model,
            batches(examples, size, 1, order=order),
            parameter_layout(loaded.model),
            fisher.estimator,
            fisher.token_reduction,
            labels=fisher.labels,
            precision=fisher.precision,
            checkpoint=fisher.checkpoint,
            seed=42,
        )
        return extract_subnetwork(values, 0.15, quantile=quantile)

    return compute


@pytest.mark.parametrize(
    ("fisher", "recorded", "dtype"),
    [
        (FisherSettings(labels="sample"), "per-example(token_reduction=sum,labels=sample)", "float32"),
        (FisherSettings("grad-abs"), "grad-abs(token_reduction=sum)", "float32"),
        (FisherSettings(checkpoint=True), "per-example(token_reduction=sum)", "float32"),
        (FisherSettings(precision="bf16"), "per-example(token_reduction=sum)", "float32+bf16-autocast"),
    ],
)
def test_estimators_measure_examples_one_by_one_and_are_recorded(
    fisher: FisherSettings, recorded: str, dtype: str, make: Any, run: Any, expected: Any
) -> None:
    _, _, store = run(make("sw", fisher=fisher))
    assert np.array_equal(store["sw"].bits, expected(fisher, 4, "length").bits)
    provenance = store["sw"].provenance
    assert (provenance.estimator, provenance.dtype, provenance.head) == (recorded, dtype, "")


def test_whole_batches_keep_the_order_in_which_they_were_drawn(make: Any, run: Any, expected: Any) -> None:
    fisher = FisherSettings("per-batch")
    _, _, store = run(make("sw", fisher=fisher, batch_size=2))
    drawn, sorted_ = (expected(fisher, 2, order) for order in ("drawn", "length"))
    assert np.array_equal(store["sw"].bits, drawn.bits)
    assert not np.array_equal(drawn.bits, sorted_.bits), "otherwise the order would not be tested"
    assert store["sw"].provenance.estimator == "per-batch(token_reduction=sum,batch=2)"
    assert store["sw"].provenance.fallback == ()


def test_the_authors_estimator_has_the_authors_batch_and_threshold(make: Any, run: Any, expected: Any) -> None:
    fisher = FisherSettings("authors")
    _, _, store = run(make("sw", fisher=fisher, batch_size=None))
    network = expected(fisher, 4, "drawn", "percentile")
    assert np.array_equal(store["sw"].bits, network.bits)
    assert store["sw"].threshold == network.threshold
    assert store["sw"].provenance.estimator == "authors(batch=4)"


def test_another_batch_size_is_another_experiment_only_where_values_depend_on_it(make: Any) -> None:
    for estimator, differs in (("per-batch", True), ("per-example", False)):
        descriptions = {make("sw", fisher=FisherSettings(estimator), batch_size=n).fisher.describe(n) for n in (2, 3)}
        assert len(descriptions) == 1 + differs


@pytest.mark.parametrize("estimator", ["per-batch", "authors"])
def test_whole_batches_have_a_size(estimator: str, make: Any) -> None:
    with pytest.raises(UsageError, match=f"the values of the estimator '{estimator}' depend on the batch size"):
        make("sw", fisher=FisherSettings(estimator), batch_size="auto")


def test_weights_in_bfloat16_are_measured(make: Any, run: Any, tiny_folder: Path) -> None:
    half = load_model(str(tiny_folder), dtype="bfloat16")
    result, _, store = run(make("sw"), half)
    assert result.committed == (Row("sw", 42),)
    assert store["sw"].provenance.dtype == "bfloat16"
    assert next(half.model.parameters()).dtype == torch.bfloat16


# -------------------------------------------------------------------------------------- objective and θ


def test_a_model_is_asked_what_it_was_trained_for(make: Any, run: Any, loaded: LoadedModel) -> None:
    _, _, store = run(make("sw", objective=None, examples=2))
    assert store.experiment["objective"] == "masked-lm(rate=0.15,max_length=128)"


def test_a_model_is_not_asked_what_it_was_not_loaded_for(make: Any, run: Any) -> None:
    with pytest.raises(UsageError, match="was loaded for masked-lm, not for causal-lm"):
        run(make("sw", objective=CausalLanguageModelling(max_length=24)))


def test_parameters_are_chosen(make: Any, run: Any, tmp_path: Path) -> None:
    _, _, store = run(make("sw", exclude=(r"layer\.0\.",), include=("lm_head.dense",)))
    names = store.layout.names
    assert not any("layer.0." in name for name in names)
    assert [name for name in names if "lm_head" in name] == ["lm_head.dense.weight", "lm_head.dense.bias"]
    _, _, all_parameters = run(make("sw"), at=tmp_path / "whole.zarr")
    assert set(names) - set(all_parameters.layout.names) == {"lm_head.dense.weight", "lm_head.dense.bias"}


def test_names_that_are_not_utf_8_are_recorded_as_text(make: Any, run: Any, loaded: LoadedModel) -> None:
    class Odd:
        name, local = "folder(\udcff\udcfe)", False

        def __getattr__(self, attribute: str) -> Any:
            return getattr(make("sw").corpus, attribute)

    renamed = replace(loaded, name="\udcff", model=copy.copy(loaded.model))
    _, _, store = run(make("sw", corpus=Odd()), renamed)
    assert store.experiment["corpus"] == r"folder(\udcff\udcfe)"
    assert store.experiment["model"] == r"\udcff"
