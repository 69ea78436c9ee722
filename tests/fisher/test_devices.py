"""The engine and a build on a GPU agree with the CPU. Without a GPU, the same tests run on the CPU only."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import xsns_stream as xs
from tests.support.devices import every_device
from tests.support.zoo import SILENT
from xsns_stream.fisher import self_check
from xsns_stream.fisher.reference import reference_fisher
from xsns_stream.pipeline.events import Noted

LENGTHS = ((9, 4, 6), (5, 11))


def on(device: str, batch: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    return {name: values.to(device) for name, values in batch.items()}


@every_device
@pytest.mark.parametrize("dtype", [torch.float64, torch.float32], ids=["float64", "float32"])
def test_the_engine_agrees_with_the_loop_on_the_cpu(device, dtype, zoo_family, zoo, errors) -> None:
    model = zoo.make(zoo_family, dtype)
    layout = xs.parameter_layout(model)
    batches = [zoo.batch(model, zoo_family, lengths, seed) for seed, lengths in enumerate(LENGTHS)]
    expected = reference_fisher(model, batches, layout)
    model.to(device)
    result = xs.diagonal_fisher(model, [on(device, batch) for batch in batches], layout)
    worst = errors(result.to_dict(), expected, SILENT.get(zoo_family, ()))
    assert max(worst.values()) <= (1e-10 if dtype == torch.float64 else 5e-5)


@every_device
def test_mixed_precision_selects_nearly_the_same_parameters(device, zoo) -> None:
    model = zoo.make("xlm-roberta", torch.float32)
    layout = xs.parameter_layout(model)
    batches = [zoo.batch(model, "xlm-roberta", lengths, seed) for seed, lengths in enumerate(LENGTHS)]
    exact = xs.extract_subnetwork(xs.diagonal_fisher(model, batches, layout), 0.15)
    model.to(device)
    mixed = xs.diagonal_fisher(model, [on(device, batch) for batch in batches], layout, precision="bf16")
    rounded = xs.extract_subnetwork(mixed, 0.15)
    assert len(exact & rounded) / len(exact | rounded) > 0.9


@every_device
def test_a_build_has_the_bits_of_the_cpu(device, tmp_path: Path) -> None:
    options = {"languages": "sw,fi", "examples": 24, "parts": 2, "progress": False}
    expected = xs.build(store=tmp_path / "cpu.zarr", **options)
    store = xs.build(store=tmp_path / "device.zarr", device=device, **options)
    assert store.verify() == []
    for language in ("sw", "fi"):
        ours, theirs = store[language], expected[language]
        assert len(ours & theirs) / len(ours | theirs) > 0.999
        assert store.record(language, 42, 0.15).provenance.device == device


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_batches_are_halved_if_the_memory_of_the_gpu_is_full(tmp_path: Path) -> None:
    """The process may use 300 MB more than the model: too little for a batch of 512 examples."""
    loaded = xs.load_model("mini", device="cuda")
    share = (torch.cuda.memory_reserved() + 300e6) / torch.cuda.get_device_properties(0).total_memory
    notes: list[str] = []
    torch.cuda.set_per_process_memory_fraction(share)
    try:
        store = xs.build(
            model=loaded.model,
            tokenizer=loaded.tokenizer,
            store=tmp_path / "small.zarr",
            languages="sw",
            examples=512,
            batch_size=512,
            device="cuda",
            progress=False,
            on_event=lambda event: notes.append(event.text) if isinstance(event, Noted) else None,
        )
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)
    assert any("did not fit into memory; it is measured again" in note for note in notes)
    assert store.verify() == []


@every_device
def test_the_self_check_passes(device, zoo) -> None:
    model = zoo.make("xlm-roberta", torch.float32).to(device)
    layout = xs.parameter_layout(model)
    assert all(check.exact and check.by_rule for check in self_check(model, layout))
