"""Drawing examples from text that need not fit into memory.

The draw is that of :meth:`~xsns_stream.types.LanguageSample.draw` over all distinct examples, bit for bit: a
permutation of their number, of which the first |D| are taken. A small text is read once and held. A larger one is
read twice: the first time for 16 bytes of digest an example, which say how many distinct ones there are and where,
the second time for the examples that were drawn. Memory is then about 20 bytes an example, whatever its length.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable, Iterable
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.corpora.examples import Tally, Unit
from xsns_stream.corpora.running_text import GIVEN
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.types import ReadCounts, TextExample

#: Bytes of examples, as Python holds them, up to which a text is read once.
HELD_BYTES: Final = 2**25
_OBJECT: Final = 120
_WORD: Final = 60
_DIGEST: Final = 16
_CHUNK: Final = 2**16
_BUCKET: Final = 2**18
_MOST_BUCKETS: Final = 2**8


def draw_examples(
    units: Callable[[], Iterable[Unit]],
    count: int,
    seed: int,
    name: str,
    *,
    labelled: bool = False,
    words: str = GIVEN,
    held_bytes: int = HELD_BYTES,
) -> tuple[tuple[TextExample, ...], ReadCounts]:
    """Return `count` distinct examples drawn without replacement, and what became of all units.

    Args:
        units: Gives the units from their beginning, each time that it is called.
        count: |D|, at least 1; where there are fewer examples, all are taken.
        seed: Any integer ≥ 0; a larger count with the same seed extends a smaller one.
        name: Of the text, for messages.
        labelled: Leave out what has no label.
        words: How texts without labels that are split into words are read: as `running` text, or as `given`.
        held_bytes: Up to how many bytes the examples are held, so that they are read once.

    Raises:
        UsageError: `count` is below 1.
        CorpusError: The text cannot be read, or changed while it was read.
    """
    if count < 1:
        raise UsageError(f"the number of examples must be at least 1, not {count}.")
    reading = _Reading(Tally(labelled=labelled, words=words), held_bytes)
    for unit in units():
        reading.take(unit)
    first = reading.digests.first_occurrences()
    reading.tally.duplicate = len(first) - int(first.sum())
    drawn = _drawn(first, count, seed)
    counts = reading.tally.counts(int(first.sum()))
    if reading.held is not None:
        return tuple(reading.held[place] for place in drawn), counts
    again = _Again(Tally(labelled=labelled, words=words), drawn)
    for unit in units():
        again.take(unit)
    if again.whole.digest() != reading.whole.digest():
        raise CorpusError(f"{name} was changed while it was read.", "run again when nothing writes to it.")
    return tuple(again.found[place] for place in drawn), counts


def _drawn(first: NDArray[np.bool_], count: int, seed: int) -> list[int]:
    """Return the places of the examples that are drawn, in the order of the draw."""
    order = np.random.Generator(np.random.PCG64(seed)).permutation(int(first.sum()))[:count].copy()
    places: list[int] = np.flatnonzero(first)[order].tolist()
    return places


class _Reading:
    """The first reading: a digest of each usable example, and the examples as long as they are few."""

    def __init__(self, tally: Tally, held_bytes: int) -> None:
        self.tally = tally
        self.digests = Digests()
        self.whole = hashlib.blake2b()
        self.held: list[TextExample] | None = []
        self._left = held_bytes

    def take(self, unit: Unit) -> None:
        example = self.tally.usable(unit)
        if example is None:
            return
        digest = _digest(example)
        self.digests.add(digest)
        self.whole.update(digest)
        if self.held is None:
            return
        self.held.append(example)
        words = 0 if isinstance(example.text, str) else len(example.text)
        self._left -= _OBJECT + _WORD * words + sys.getsizeof(example.text)
        self._left -= sys.getsizeof(example.pair) + sys.getsizeof(example.running)
        if self._left < 0:
            self.held = None


class _Again:
    """The second reading: the examples at the places that were drawn."""

    def __init__(self, tally: Tally, places: Iterable[int]) -> None:
        self.tally = tally
        self.whole = hashlib.blake2b()
        self.found: dict[int, TextExample] = {}
        self._wanted = frozenset(places)
        self._place = 0

    def take(self, unit: Unit) -> None:
        example = self.tally.usable(unit)
        if example is None:
            return
        self.whole.update(_digest(example))
        if self._place in self._wanted:
            self.found[self._place] = example
        self._place += 1


def _digest(example: TextExample) -> bytes:
    return hashlib.blake2b(example.identity().encode(), digest_size=_DIGEST).digest()


class Digests:
    """Digests of 16 bytes, in the order in which they came: 16 bytes each."""

    def __init__(self) -> None:
        self._chunks: list[NDArray[np.uint64]] = []
        self._last = bytearray()

    def add(self, digest: bytes) -> None:
        """Append a digest."""
        self._last += digest
        if len(self._last) == _CHUNK * _DIGEST:
            self._close()

    def _close(self) -> None:
        self._chunks.append(np.frombuffer(bytes(self._last), np.uint64).reshape(-1, 2))
        self._last = bytearray()

    def first_occurrences(self) -> NDArray[np.bool_]:
        """Return for each digest whether none before it is equal.

        Sorting goes bucket by bucket, so that it needs little memory beside the digests; they are dropped.
        """
        self._close()
        chunks, self._chunks = self._chunks, []
        size = sum(map(len, chunks))
        first = np.zeros(size, bool)
        buckets = min(_MOST_BUCKETS, 1 + size // _BUCKET)
        of = [(chunk[:, 0] % np.uint64(buckets)).astype(np.uint8) for chunk in chunks]
        starts = np.cumsum([0, *map(len, chunks)])
        for bucket in range(buckets):
            inside = [np.flatnonzero(each == bucket) for each in of]
            digests = np.concatenate([chunk[rows] for chunk, rows in zip(chunks, inside, strict=True)])
            places = np.concatenate([start + rows for start, rows in zip(starts, inside, strict=False)])
            if not len(places):
                continue
            # lexsort is stable: of equal digests the earliest comes first.
            order = np.lexsort((digests[:, 1], digests[:, 0]))
            digests = digests[order]
            new = np.concatenate(([True], (digests[1:] != digests[:-1]).any(axis=1)))
            first[places[order[new]]] = True
        return first
