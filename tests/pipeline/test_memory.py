"""Limited memory: smaller batches, groups of layers, and the error if even these do not fit."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.support.build_events import notes
from xsns_stream.errors import UsageError
from xsns_stream.io.free_memory import free_in_container
from xsns_stream.models import LoadedModel
from xsns_stream.pipeline.events import ExamplesDone, Row
from xsns_stream.pipeline.measure import Batching, free_memory
from xsns_stream.pipeline.settings import Stopping
from xsns_stream.types import FisherSettings


@contextmanager
def no_more_than(model: Any, examples: int, error: type[Exception] = torch.OutOfMemoryError) -> Iterator[list[int]]:
    """Let the model run out of memory for batches of more than `examples`; yield the sizes that were tried."""
    sizes: list[int] = []

    def refuse(module: Any, args: Any, kwargs: Any) -> None:
        sizes.append(len(kwargs["input_ids"]))
        if sizes[-1] > examples:
            raise error("CUDA out of memory. Tried to allocate 2.00 GiB")

    handle = model.register_forward_pre_hook(refuse, with_kwargs=True)
    try:
        yield sizes
    finally:
        handle.remove()


def test_batches_are_halved_and_stay_so(
    make: Callable[..., Any], run: Callable[..., Any], loaded: LoadedModel, tmp_path: Path
) -> None:
    settings = make("sw fi", examples=20, batch_size=16)
    _, _, expected = run(settings, at=tmp_path / "whole.zarr")
    with no_more_than(loaded.model, 5) as sizes:
        result, events, store = run(settings)
    assert result.committed == (Row("sw", 42), Row("fi", 42))
    assert notes(events) == [
        "did not fit into memory; it is measured again, with batches of 8.",
        "did not fit into memory; it is measured again, with batches of 4.",
    ]
    assert sizes[:2] == [16, 8]
    assert max(sizes[2:]) == 4, "the second row begins with the size that fitted into memory"
    for language in ("sw", "fi"):
        ours, theirs = store[language].to_numpy(), expected[language].to_numpy()
        assert (ours & theirs).sum() / (ours | theirs).sum() > 0.999, "no example counts twice"
        assert store[language].provenance.examples == 20


def test_a_pass_that_failed_midway_does_not_count(
    make: Callable[..., Any], run: Callable[..., Any], loaded: LoadedModel, tmp_path: Path
) -> None:
    """The third batch fails once, and the sums of the first two batches are discarded."""
    settings = make("sw", examples=16, batch_size=2)
    _, _, expected = run(make("sw", examples=16, batch_size=1), at=tmp_path / "whole.zarr")
    calls = 0

    def refuse(module: Any, args: Any) -> None:
        nonlocal calls
        calls += 1
        if calls == 3:
            raise MemoryError

    handle = loaded.model.register_forward_pre_hook(refuse)
    try:
        _, events, store = run(settings)
    finally:
        handle.remove()
    assert notes(events) == ["did not fit into memory; it is measured again, with one example at a time."]
    assert np.array_equal(store["sw"].bits, expected["sw"].bits)
    assert [event.count for event in events if isinstance(event, ExamplesDone)] == [2, 4, *range(1, 17)]


def test_a_single_example_that_does_not_fit_fails_its_language(
    make: Callable[..., Any], run: Callable[..., Any], loaded: LoadedModel
) -> None:
    with no_more_than(loaded.model, 0) as sizes:
        result, _, store = run(make("sw fi"))
    assert result.committed == ()
    assert not store.exists
    error = result.failed[Row("sw", 42)]
    assert error.message == "a single example of language 'sw' does not fit into memory."
    assert all(option in error.hint for option in ("--checkpoint", "--max-length", "--memory"))
    assert sizes == [4, 2, 1, 1]


def test_values_that_depend_on_the_batch_are_not_measured_in_smaller_ones(
    make: Callable[..., Any], run: Callable[..., Any], loaded: LoadedModel
) -> None:
    with no_more_than(loaded.model, 2) as sizes:
        result, _, _ = run(make("sw", fisher=FisherSettings("per-batch")))
    (error,) = result.failed.values()
    assert "values of the estimator 'per-batch' depend on the batch size" in error.message
    assert "--batch" in error.hint
    assert sizes == [4]


def test_another_error_is_not_taken_for_memory(make: Callable[..., Any], run: Callable[..., Any], loaded: Any) -> None:
    with no_more_than(loaded.model, 2, ZeroDivisionError), pytest.raises(ZeroDivisionError):
        run(make("sw"))


def test_automatic_batches_have_as_many_tokens_as_fit(
    make: Callable[..., Any], run: Callable[..., Any], tmp_path: Path
) -> None:
    _, _, expected = run(make("sw", examples=20), at=tmp_path / "whole.zarr")
    _, events, store = run(make("sw", examples=20, batch_size="auto"))
    (note,) = notes(events)
    assert note.startswith("examples are measured in batches of at most ")
    ours, theirs = store["sw"].to_numpy(), expected["sw"].to_numpy()
    assert (ours & theirs).sum() / (ours | theirs).sum() > 0.999


@pytest.mark.parametrize(
    ("before", "examples", "longest", "after", "text"),
    [
        (Batching(8, None, "length"), 99, 10, (4, None), "batches of 4"),
        (Batching(64, None, "length"), 6, 10, (3, None), "batches of 3"),
        (Batching(2, None, "length"), 9, 10, (1, None), "one example at a time"),
        (Batching(8, 1000, "length"), 99, 30, (8, 500), "batches of at most 500 tokens"),
        (Batching(8, 1000, "length"), 4, 30, (8, 60), "batches of at most 60 tokens"),
        (Batching(8, 50, "length"), 9, 30, (8, 30), "batches of at most 30 tokens"),
    ],
)
def test_a_batch_is_halved_by_examples_or_by_tokens(
    before: Batching, examples: int, longest: int, after: Any, text: str
) -> None:
    assert before.halve(examples, longest)
    assert (before.size, before.token_budget, str(before)) == (*after, text)


@pytest.mark.parametrize("smallest", [Batching(1, None, "length"), Batching(8, 30, "length")])
def test_a_batch_of_one_example_is_not_halved(smallest: Batching) -> None:
    assert not smallest.halve(9, 30)


def test_free_memory_follows_the_limit_of_the_container(loaded: LoadedModel, tmp_path: Path) -> None:
    assert 1 << 20 < free_memory(loaded.model) < 1 << 50
    (tmp_path / "memory.current").write_text("300\n")
    for limit, free in (("1000", 700), ("100", 0), ("max", 1 << 62)):
        (tmp_path / "memory.max").write_text(f"{limit}\n")
        assert free_in_container(tmp_path) == free


# ------------------------------------------------------------------------------------ groups of layers


def test_groups_of_layers_give_the_same_bits(make: Callable[..., Any], run: Callable[..., Any], tmp_path: Path) -> None:
    _, _, expected = run(make("sw"), at=tmp_path / "whole.zarr")
    _, events, store = run(make("sw", memory=40_000))
    (note,) = notes(events)
    size = store.layout.size
    assert (
        note == f"the Fisher values need {4 * size:,} bytes: each text is read 2 times, once for each group of layers."
    )
    assert np.array_equal(store["sw"].bits, expected["sw"].bits)
    assert store["sw"].threshold == expected["sw"].threshold
    assert [event.count for event in events if isinstance(event, ExamplesDone)] == [4, 6, 4, 6]
    assert [entry.name for entry in tmp_path.iterdir()].count("xsns.zarr") == 1
    assert not list(tmp_path.glob("*.partial")), "the values on the disk are removed"


def test_enough_memory_is_one_pass(make: Callable[..., Any], run: Callable[..., Any]) -> None:
    _, events, _ = run(make("sw", memory=10**9))
    assert notes(events) == []


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"split_half": True}, "--split-half"),
        ({"stopping": Stopping(0.9)}, "--until-stable"),
        ({"fisher": FisherSettings("per-batch")}, "the estimator 'per-batch'"),
    ],
)
def test_settings_that_need_all_values_refuse_a_memory_limit(
    changes: dict[str, Any], message: str, make: Callable[..., Any], run: Callable[..., Any]
) -> None:
    with pytest.raises(UsageError) as caught:
        run(make("sw", memory=40_000, **changes))
    assert caught.value.message.startswith(f"{message} needs all Fisher values at once: ")
    assert "--memory" in caught.value.hint


def test_less_memory_than_one_example_needs_is_found_in_groups_too(
    make: Callable[..., Any], run: Callable[..., Any], loaded: LoadedModel
) -> None:
    own = replace(loaded, model=copy.deepcopy(loaded.model))
    with no_more_than(own.model, 2):
        result, events, store = run(make("sw", memory=40_000), own)
    assert result.committed == (Row("sw", 42),)
    assert notes(events)[1:] == ["did not fit into memory; it is measured again, with batches of 2."]
    assert store.verify() == []
