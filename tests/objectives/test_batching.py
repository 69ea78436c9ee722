"""Batches: order, size, and padding, which has its own rule for each array."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from tests.support.paths import MINI
from xsns_stream.errors import UsageError
from xsns_stream.objectives import EncodedExample, MaskedLanguageModelling, batches
from xsns_stream.objectives.encoding import IGNORED
from xsns_stream.types import LanguageSample, TextExample


def example(number: int, length: int, **arrays: Any) -> EncodedExample:
    """Return an example of the tokens 10 n, 10 n + 1, …, with as many labels unless other arrays are given."""
    fields = {"input_ids": np.arange(10 * number, 10 * number + length), "labels": np.full(length, number)} | arrays
    return EncodedExample({name: np.asarray(array, dtype=np.int64) for name, array in fields.items()}, 100 + number)


def lengths_of(*lengths: int) -> list[EncodedExample]:
    return [example(number, length) for number, length in enumerate(lengths)]


def shapes(*args: Any, **settings: Any) -> list[tuple[int, ...]]:
    return [tuple(batch["input_ids"].shape) for batch in batches(*args, **settings)]


# ------------------------------------------------------------------------------------------- padding


def test_batches_are_padded_on_the_right() -> None:
    (batch,) = batches(lengths_of(2, 4), 8, pad_id=99)
    assert {name: str(values.dtype) for name, values in batch.items()} == dict.fromkeys(
        ("input_ids", "attention_mask", "labels", "example_keys"), "torch.int64"
    )
    assert batch["input_ids"].tolist() == [[10, 11, 12, 13], [0, 1, 99, 99]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1, 1], [1, 1, 0, 0]]
    assert batch["labels"].tolist() == [[1] * 4, [0, 0, IGNORED, IGNORED]]
    assert batch["example_keys"].tolist() == [101, 100]


def test_a_decoder_s_labels_have_their_own_length() -> None:
    examples = [example(0, 3, labels=[7]), example(1, 2, labels=[1, 2, 3, 4, 5])]
    (batch,) = batches(examples, 8, pad_id=0)
    assert batch["input_ids"].tolist() == [[0, 1, 2], [10, 11, 0]]
    assert batch["labels"].tolist() == [[7] + [IGNORED] * 4, [1, 2, 3, 4, 5]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 1, 0]]


def test_labels_of_an_example_are_one_number_each() -> None:
    examples = [
        EncodedExample({"input_ids": np.arange(n), "start_positions": np.array(n), "end_positions": np.array(9)}, n)
        for n in (2, 3)
    ]
    (batch,) = batches(examples, 8, pad_id=0)
    assert batch["start_positions"].tolist() == [3, 2]
    assert batch["end_positions"].tolist() == [9, 9]
    assert "labels" not in batch


def test_token_types_are_padded_with_zero() -> None:
    examples = [example(0, 3, token_type_ids=[0, 1, 1]), example(1, 2)]
    (batch,) = batches(examples, 8, pad_id=5)
    assert batch["token_type_ids"].tolist() == [[0, 1, 1], [0, 0, 0]]


def test_examples_with_different_arrays_are_refused() -> None:
    with pytest.raises(KeyError, match="labels"):
        next(batches([example(0, 3), EncodedExample({"input_ids": np.arange(3)}, 0)], 8, pad_id=5))


# ------------------------------------------------------------------------------------ order and size


def test_batches_hold_similar_lengths_longest_first() -> None:
    assert shapes(lengths_of(3, 9, 4, 8, 5, 7, 6), 3, pad_id=1) == [(3, 9), (3, 6), (1, 3)]


def test_examples_of_one_length_keep_their_order() -> None:
    (batch,) = batches(lengths_of(4, 4, 5, 4), 8, pad_id=1)
    assert batch["example_keys"].tolist() == [102, 100, 101, 103]


def test_the_drawn_order_is_kept() -> None:
    examples = lengths_of(3, 9, 4, 8, 5)
    result = list(batches(examples, 2, pad_id=1, order="drawn"))
    assert [batch["example_keys"].tolist() for batch in result] == [[100, 101], [102, 103], [104]]
    assert [batch["input_ids"].shape[1] for batch in result] == [9, 8, 5]


@pytest.mark.parametrize("order", ["length", "drawn"])
@pytest.mark.parametrize("budget", [1, 8, 9, 10, 20, 27, 1000])
def test_a_token_budget_is_respected_and_used(budget: int, order: str) -> None:
    examples = lengths_of(3, 9, 4, 8, 5, 7, 6, 1, 1)
    result = shapes(examples, 1, pad_id=1, order=order, token_budget=budget)
    assert sum(rows for rows, _ in result) == len(examples)
    assert all(rows * longest <= budget or rows == 1 for rows, longest in result)
    # One more example would exceed the budget, so that no batch is smaller than necessary.
    ordered = sorted((3, 9, 4, 8, 5, 7, 6, 1, 1), reverse=True) if order == "length" else (3, 9, 4, 8, 5, 7, 6, 1, 1)
    start = 0
    for rows, longest in result[:-1]:
        start += rows
        assert (rows + 1) * max(longest, ordered[start]) > budget


def test_a_budget_counts_the_tokens_of_the_decoder() -> None:
    examples = [example(number, 2, labels=np.zeros(10)) for number in range(4)]
    assert shapes(examples, 8, pad_id=1, token_budget=20) == [(2, 2), (2, 2)]


@pytest.mark.parametrize("settings", [{"size": 1}, {"size": 5}, {"size": 100}, {"size": 1, "token_budget": 64}])
def test_batches_lose_nothing(settings: dict[str, int]) -> None:
    from transformers import AutoTokenizer

    text = tuple(TextExample("watoto wanasoma kitabu " * (1 + n % 5) + str(n)) for n in range(17))
    tokenizer = AutoTokenizer.from_pretrained(MINI)
    encoded = MaskedLanguageModelling().encode(LanguageSample("sw", text, "a test"), tokenizer, seed=1).examples
    rows = []
    for batch in batches(encoded, pad_id=tokenizer.pad_token_id, **settings):
        names = ("input_ids", "attention_mask", "labels", "example_keys")
        for ids, mask, labels, key in zip(*(batch[n] for n in names), strict=True):
            length = int(mask.sum())
            rows.append((tuple(ids[:length].tolist()), tuple(labels[:length].tolist()), int(key)))
    assert sorted(rows) == sorted((tuple(e.input_ids.tolist()), tuple(e.labels.tolist()), e.key) for e in encoded)


# -------------------------------------------------------------------------------------- what is none


@pytest.mark.parametrize("size", [0, -1])
def test_an_invalid_batch_size_is_refused(size: int) -> None:
    with pytest.raises(UsageError, match=f"the batch size must be at least 1, not {size}"):
        next(batches(lengths_of(3), size, 1))


def test_an_invalid_budget_is_refused() -> None:
    with pytest.raises(UsageError, match="the token budget must be at least 1, not 0"):
        next(batches(lengths_of(3), 8, 1, token_budget=0))


def test_an_invalid_order_is_refused() -> None:
    with pytest.raises(UsageError, match="'random' is not a valid order of examples") as caught:
        next(batches(lengths_of(3), 8, 1, order="random"))
    assert caught.value.hint == "choose one of length, drawn."


def test_no_examples_are_no_batches() -> None:
    assert list(batches([], 8, 1)) == list(batches([], 8, 1, token_budget=9)) == []


def test_batches_on_a_gpu_equal_those_on_the_cpu() -> None:
    import torch

    if not torch.cuda.is_available():
        pytest.skip("there is no CUDA device")
    (on_device,), (on_cpu,) = (batches(lengths_of(2, 4), 8, 99, device) for device in ("cuda", "cpu"))
    assert {values.device.type for values in on_device.values()} == {"cuda"}
    assert all(torch.equal(values.cpu(), on_cpu[name]) for name, values in on_device.items())
