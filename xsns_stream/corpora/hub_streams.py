"""Streams of rows from the `datasets` library: their splits, their order and the names of their classes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import Any, Final


@lru_cache(maxsize=1024)
def split_names(path: str, config: str, revision: str | None) -> tuple[str, ...]:
    """Return the names of the splits of a configuration; `path` is the id of the data set, or a folder."""
    import datasets

    return tuple(datasets.get_dataset_split_names(path, config, revision=revision))


#: Number of rows in the shuffle buffer. The draw is uniform for splits of up to this number of rows; in larger splits,
#: the earlier rows of each (randomly chosen) file are more likely.
BUFFER: Final = 10_000


def shuffled(stream: Any, seed: int) -> Any:
    """Return the rows of a stream, shuffled with `seed`."""
    if stream.num_shards == 1:
        # Interleaving has no effect with one shard, and `datasets` waits five seconds for its threads to end.
        return stream.shuffle(seed=seed, buffer_size=BUFFER, max_buffer_input_shards=1)
    return stream.shuffle(seed=seed, buffer_size=BUFFER)


def class_names(stream: Any, column: str) -> tuple[str, ...]:
    """Return the names of the classes that a data set declares for a column of a stream; empty if it declares none."""
    feature = (stream.features or {}).get(column)
    # The feature of a column with labels of words is a list of class labels.
    return tuple(getattr(getattr(feature, "feature", feature), "names", ()))


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Disable the progress bars of `datasets`, because a library must not print."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            enable_progress_bars()
