"""Rows → counts: every word of a row passes through here, a block of columns of all rows at a time.

Memory does not grow with the model. What the rows are said to hold is compared with what was counted.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

import numpy as np

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.similarity.groups import Groups
from xsns_stream.similarity.selection import Pairs, Progress, Repeated, RowSource
from xsns_stream.types import Counts

if TYPE_CHECKING:
    from xsns_kernels.columns import Columns, Segment


def count_square(
    store: RowSource,
    languages: Sequence[str],
    seed: int,
    density: float,
    groups: Groups | None = None,
    on_progress: Progress | None = None,
    device: str = "cpu",
) -> Counts:
    """Count all pairs: int64 [G, L, L], with one group where none are given.

    Raises:
        StoreError: A row has no longer as many bits as when it was written, or cannot be read.
    """
    with store.columns(languages, seed, density) as columns:
        counts = intersections(columns, groups.segments if groups else None, _number(groups), on_progress, device)
    check_cardinalities(store, languages, counts.sum(axis=0).diagonal(), seed, density)
    return counts


def count_rectangle(
    store: RowSource,
    pairs: Pairs,
    seed: int,
    density: float,
    groups: Groups | None = None,
    on_progress: Progress | None = None,
    device: str = "cpu",
) -> tuple[Counts, Counts, Counts]:
    """Count each source with each target, reading every row once.

    Returns:
        Intersections int64 [G, S, T], cardinalities of the sources int64 [G, S] and of the targets int64 [G, T].

    Raises:
        StoreError: A row has no longer as many bits as when it was written, or cannot be read.
    """
    with open_rectangle(store, pairs, seed, density) as (columns, order):
        counts, sizes = cross_intersections(
            columns, len(pairs.sources), groups.segments if groups else None, _number(groups), on_progress, device
        )
    sources, targets = sizes[:, : len(pairs.sources)], sizes[:, len(pairs.sources) :][:, order]
    check_cardinalities(store, pairs.sources, sources.sum(axis=0), seed, density)
    check_cardinalities(store, pairs.targets or (), targets.sum(axis=0), seed, density)
    return counts[:, :, order], sources, targets


@contextmanager
def open_rectangle(store: RowSource, pairs: Pairs, seed: int, density: float) -> Iterator[tuple[Columns, list[int]]]:
    """Open sources and then targets; also give, for each target in order, its place among those.

    Languages that are on both sides come last, where they are copies of rows that were read already.
    """
    place = {code: row for row, code in enumerate(pairs.sources)}
    targets = pairs.targets or ()
    fresh = [code for code in targets if code not in place]
    again = [code for code in targets if code in place]
    column = {code: i for i, code in enumerate((*fresh, *again))}
    with store.columns((*pairs.sources, *fresh), seed, density) as rows:
        columns: Columns = Repeated(rows, [place[code] for code in again]) if again else rows
        yield columns, [column[code] for code in targets]


def intersections(
    columns: Columns,
    segments: Sequence[Segment] | None,
    groups: int,
    on_progress: Progress | None = None,
    device: str = "cpu",
) -> Counts:
    """Count all pairs of rows: int64 [G, L, L].

    Raises:
        UsageError: The device is not there.
    """
    if device == "cpu":
        from xsns_kernels import stream_intersections

        return stream_intersections(columns, segments=segments, groups=groups, on_progress=on_progress)
    with _device_errors(device):
        from xsns_kernels.device_overlap import stream_intersections_on

        return stream_intersections_on(columns, device, segments=segments, groups=groups, on_progress=on_progress)


def cross_intersections(
    columns: Columns,
    split: int,
    segments: Sequence[Segment] | None,
    groups: int,
    on_progress: Progress | None = None,
    device: str = "cpu",
) -> tuple[Counts, Counts]:
    """Count the rows before `split` with those after it: int64 [G, S, T], and cardinalities int64 [G, S + T].

    Raises:
        UsageError: The device is not there.
    """
    if device == "cpu":
        from xsns_kernels import stream_cross_intersections

        return stream_cross_intersections(columns, split, segments=segments, groups=groups, on_progress=on_progress)
    with _device_errors(device):
        from xsns_kernels.device_overlap import stream_cross_intersections_on

        return stream_cross_intersections_on(
            columns, split, device, segments=segments, groups=groups, on_progress=on_progress
        )


@contextmanager
def _device_errors(device: str) -> Iterator[None]:
    """Say in a sentence what torch says in many; a torch without CUDA fails with an AssertionError."""
    try:
        yield
    except (ImportError, RuntimeError, AssertionError) as error:
        reason = (str(error).splitlines() or [type(error).__name__])[0].rstrip(".")
        raise UsageError(
            f"overlaps cannot be counted on the device '{device}': {reason}.", "leave out --device to use the CPU."
        ) from error


def check_cardinalities(store: RowSource, languages: Sequence[str], counted: Counts, seed: int, density: float) -> None:
    """A row that was damaged on the disk shows in its own count, at no cost.

    Raises:
        StoreError: One has.
    """
    recorded = store.cardinalities(languages, seed, density)
    wrong = [
        f"'{code}' has {now} bits instead of {then}"
        for code, now, then in zip(languages, counted.tolist(), np.asarray(recorded).tolist(), strict=True)
        if now != then
    ]
    if wrong:
        raise StoreError(
            f"rows have changed since they were committed: {', '.join(wrong)}.", "run verify on the store."
        )


def _number(groups: Groups | None) -> int:
    return len(groups.names) if groups else 1
