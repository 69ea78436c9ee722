"""What is done to a stream of rows of `datasets`: shuffle it, ask for its classes, keep it from drawing bars."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

#: Rows held for shuffling: the draw is uniform over splits of up to so many; of larger ones, the earlier rows of each
#: (randomly chosen) file are likelier.
BUFFER: Final = 10_000


def shuffled(stream: Any, seed: int) -> Any:
    """Return the rows of a stream in the order that `seed` gives them."""
    if stream.num_shards == 1:
        # Interleaving would be of no use, and `datasets` waits five seconds for its threads to end.
        return stream.shuffle(seed=seed, buffer_size=BUFFER, max_buffer_input_shards=1)
    return stream.shuffle(seed=seed, buffer_size=BUFFER)


def class_names(stream: Any, column: str) -> tuple[str, ...]:
    """Return the names of the classes that a data set declares for a column; empty where it declares none."""
    feature = (stream.features or {}).get(column)
    # Labels of words are a list of class labels.
    return tuple(getattr(getattr(feature, "feature", feature), "names", ()))


@contextmanager
def no_progress_bars() -> Iterator[None]:
    """Keep `datasets` from drawing: the library never prints."""
    from datasets.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars

    were_disabled = are_progress_bars_disabled()
    disable_progress_bars()
    try:
        yield
    finally:
        if not were_disabled:
            enable_progress_bars()
