"""Models and batches that a script gives to `diagonal_fisher`: converted, or refused with a hint."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

import xsns_stream as xs
from tests.support import zoo
from xsns_stream.errors import FisherError, UsageError

MODEL = zoo.make("roberta", torch.float32)
BATCH: dict[str, Any] = zoo.batch(MODEL, "roberta", (7, 5))


@pytest.mark.parametrize(
    ("batches", "message"),
    [
        (None, "the batches cannot be of the type NoneType"),
        (BATCH, "the batches cannot be of the type dict"),
        ("abc", "the batches cannot be of the type str"),
        (BATCH["input_ids"], "the batches cannot be of the type Tensor"),
        ([(BATCH["input_ids"], BATCH["labels"])], "a batch cannot be of the type tuple"),
        ([BATCH["input_ids"]], "a batch cannot be of the type Tensor"),
        ([BATCH | {"text": ["a", "b"]}], "'text' of a batch cannot be of the type list"),
        ([BATCH | {"labels": BATCH["labels"].numpy()}], "'labels' of a batch cannot be of the type ndarray"),
    ],
)
def test_batches_of_other_types_are_refused(batches: Any, message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        xs.diagonal_fisher(MODEL, batches)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"labels": BATCH["labels"][:, :-1]}, r"'labels' has the shape \[2, 6\], and 'input_ids' has \[2, 7\]"),
        ({"labels": BATCH["labels"][:1]}, r"'labels' has the shape \[1, 7\], and 'input_ids' has \[2, 7\]"),
        ({"attention_mask": BATCH["attention_mask"][:, 1:]}, r"'attention_mask' has the shape \[2, 6\]"),
        ({"input_ids": BATCH["input_ids"][0]}, r"must be integers of the shape \[examples, positions\]"),
        ({"input_ids": BATCH["input_ids"].float()}, r"must be integers of the shape .* not torch.float32"),
    ],
)
def test_tensors_of_other_shapes_are_refused(tensors: dict[str, Any], message: str) -> None:
    with pytest.raises(FisherError, match=message):
        xs.diagonal_fisher(MODEL, [BATCH | tensors])


def test_narrow_integers_give_the_same_values() -> None:
    expected = xs.diagonal_fisher(MODEL, [BATCH])
    narrow = xs.diagonal_fisher(MODEL, [{name: values.to(torch.int32) for name, values in BATCH.items()}])
    assert all(np.array_equal(a, b) for a, b in zip(narrow.values, expected.values, strict=True))
    assert repr(expected) == f"<DiagonalFisher {expected.layout.size:,} values, mean of 2 examples>"


def test_seeds_may_be_numbers_of_numpy_and_nothing_else() -> None:
    values = [xs.diagonal_fisher(MODEL, [BATCH], labels="sample", seed=seed).values for seed in (3, np.int64(3))]  # type: ignore[arg-type]
    assert all(np.array_equal(a, b) for a, b in zip(*values, strict=True))
    with pytest.raises(UsageError, match="seed must be an integer, not '3'"):
        xs.diagonal_fisher(MODEL, [BATCH], seed="3")  # type: ignore[arg-type]


@pytest.mark.parametrize("model", [None, "mini", 3])
def test_models_of_other_types_are_refused(model: Any) -> None:
    with pytest.raises(UsageError, match="the model cannot be of the type"):
        xs.diagonal_fisher(model, [BATCH])


def test_mixed_precision_of_the_caller_changes_nothing() -> None:
    expected = xs.diagonal_fisher(MODEL, [BATCH])
    with torch.autocast("cpu", torch.bfloat16):
        inside = xs.diagonal_fisher(MODEL, [BATCH])
    with torch.inference_mode():
        without = xs.diagonal_fisher(MODEL, [BATCH])
    for other in (inside, without):
        assert all(np.array_equal(a, b) for a, b in zip(other.values, expected.values, strict=True))


@pytest.mark.parametrize(
    ("family", "positions"),
    [("xlm-roberta", 64), ("bert", 66), ("distilbert", 66), ("electra", 66), ("gpt2", 64), ("opt", 64), ("mbart", 64)],
)
def test_batches_that_are_longer_than_the_positions_of_the_model_are_refused(family: str, positions: int) -> None:
    model = zoo.make(family, torch.float32)
    with pytest.raises(FisherError) as caught:
        xs.diagonal_fisher(model, [zoo.batch(model, family, (positions + 1, 5))])
    assert caught.value.message.startswith(f"a batch has {positions + 1} positions, and the model has {positions} (")
    assert caught.value.hint == f"shorten the texts: tokenizer(…, truncation=True, max_length={positions})."
    assert xs.diagonal_fisher(model, [zoo.batch(model, family, (positions, 5))]).examples == 2


@pytest.mark.parametrize("family", ["llama", "bloom", "gpt-neox", "t5"])
def test_models_that_compute_positions_take_longer_batches(family: str) -> None:
    model = zoo.make(family, torch.float32)
    assert xs.diagonal_fisher(model, [zoo.batch(model, family, (70, 5))]).examples == 2


@pytest.mark.filterwarnings("ignore::xsns_stream.fisher.HalfPrecisionWarning")
@pytest.mark.parametrize("precision", [torch.float64, torch.bfloat16], ids=str)
@pytest.mark.parametrize("measure", [xs.diagonal_fisher, xs.mean_gradient])
def test_weights_of_two_types_that_torch_cannot_multiply_are_refused(measure: Any, precision: torch.dtype) -> None:
    model = zoo.make("llama", torch.float32)
    layout = xs.parameter_layout(model)
    for name, parameter in model.named_parameters():
        if ".layers.1." in name:
            parameter.data = parameter.data.to(precision)
    with pytest.raises(FisherError) as caught:
        measure(model, [zoo.batch(model, "llama", (6, 5))], layout)
    dtypes = " and ".join(sorted(("float32", str(precision).removeprefix("torch."))))
    assert caught.value.message.startswith(f"the model has weights in {dtypes}, and torch cannot combine these types: ")
    assert "model.float()" in caught.value.hint


@pytest.mark.filterwarnings("ignore::xsns_stream.fisher.HalfPrecisionWarning")
def test_a_module_in_float32_of_a_model_in_half_precision_is_measured() -> None:
    """transformers keeps some modules of some models in float32."""
    model = zoo.make("t5", torch.float32).to(torch.bfloat16)
    for name, module in model.named_modules():
        if name.endswith("wo"):
            module.float()
    assert xs.diagonal_fisher(model, [zoo.batch(model, "t5", (6, 5))]).examples == 2
