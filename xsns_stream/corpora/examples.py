"""Distinct text examples from the units that readers yield: cleaning, counting and drawing."""

from __future__ import annotations

import hashlib
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xsns_stream.corpora.decoding import LONGEST_TEXT
from xsns_stream.corpora.running_text import GIVEN, read_as
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.types import ReadCounts, TextExample
from xsns_stream.types.text import AnswerSpan


@dataclass(frozen=True, slots=True)
class Malformed:
    """A unit that is not written as its format says, which the reader goes on without.

    Attributes:
        reason: What is wrong, without a full stop.
    """

    reason: str


#: An example that may still be empty, None where its bytes are not UTF-8, or what is malformed.
Unit: TypeAlias = TextExample | Malformed | None
#: Takes a sentence on how a text is read, where that had to be decided.
Tell: TypeAlias = Callable[[str], None]


def ignore(said: str) -> None:
    """Take a sentence for which nobody asks."""


# Unicode's category Cc without white space: tab, LF, VT, FF, CR and NEL stay.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
# Format characters that are seen: signs of Arabic, Syriac and Kaithi that enclose numbers.
_SHOWN_FORMATS: Final = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)


class Tally:
    """Prepares units one by one, and counts what becomes of them.

    Args:
        labelled: Leave out what has no label. The same text with another label is then another example.
        words: How texts without labels that are split into words are read: as `running` text, or as `given`.
    """

    def __init__(self, *, labelled: bool = False, words: str = GIVEN) -> None:
        self.labelled = labelled
        self.words = words
        self.read = self.empty = self.duplicate = self.undecodable = self.unlabelled = self.control = self.cut = 0
        self.malformed = 0

    def usable(self, unit: Unit) -> TextExample | None:
        """Return what is usable of a unit, cleaned; None, and count why, where nothing is."""
        self.read += 1
        if unit is None:
            self.undecodable += 1
            return None
        if isinstance(unit, Malformed):
            self.malformed += 1
            return None
        example = without_control(unit)
        self.control += example is not unit
        example = without_invisible(example)
        if not example.text or example.pair == "":
            self.empty += 1
        elif self.labelled and example.label is None:
            self.unlabelled += 1
        else:
            shorter = shortened(example)
            self.cut += shorter is not example
            return read_as(shorter, self.words)
        return None

    def counts(self, usable: int) -> ReadCounts:
        """Return the counts so far, with the number of distinct usable examples."""
        return ReadCounts(
            self.read,
            self.empty,
            self.duplicate,
            self.undecodable,
            usable,
            self.unlabelled,
            self.control,
            self.cut,
            self.malformed,
        )


def collect(
    units: Iterable[Unit], limit: int | None = None, *, labelled: bool = False, words: str = GIVEN
) -> tuple[tuple[TextExample, ...], ReadCounts]:
    """Return the first `limit` usable, distinct examples in their order, and what became of all units met.

    Args:
        units: What a reader yields; read no further than `limit` asks for.
        limit: Number of examples to stop at; None takes all.
        labelled: As in :class:`Tally`.
        words: As in :class:`Tally`.
    """
    seen: set[str] = set()
    kept: list[TextExample] = []
    tally = Tally(labelled=labelled, words=words)
    for unit in units:
        example = tally.usable(unit)
        if example is None:
            continue
        if (identity := example.identity()) in seen:
            tally.duplicate += 1
            continue
        seen.add(identity)
        kept.append(example)
        if len(kept) == limit:
            break
    return tuple(kept), tally.counts(len(kept))


def without_control(example: TextExample) -> TextExample:
    """Return the example without control characters; itself where it has none.

    NUL and its like are left by damage and by wrong conversion, and tokenizers treat them differently. White space
    (tab, vertical tab, form feed, U+0085) stays. A word of nothing else goes, and its label with it.
    """
    texts = (example.text,) if isinstance(example.text, str) else (*example.text, example.running or "")
    if not any(map(_CONTROL.search, texts)) and not _CONTROL.search(example.pair or ""):
        return example
    pair = None if example.pair is None else _plain(example.pair)
    label = example.label
    if isinstance(label, AnswerSpan):
        label = _moved(label, example.pair or "")
    if isinstance(example.text, str):
        return TextExample(_plain(example.text), pair, label)
    words = tuple(map(_plain, example.text))
    if isinstance(label, tuple):
        kept = tuple(each for word, each in zip(words, label, strict=True) if word)
        label = kept if any(kept) else None
    running = None if example.running is None else _plain(example.running)
    return TextExample(tuple(filter(None, words)), pair, label, running)


def without_invisible(example: TextExample) -> TextExample:
    """Return the example with texts of nothing but invisible characters as empty; itself where it has none.

    Zero-width spaces, soft hyphens, marks of direction and the like stand for nothing where they stand alone. A word of
    nothing else goes, and its label with it. Within other texts they stay: joiners belong to the spelling of Persian
    and of Indic scripts.
    """
    hidden = example.pair is not None and is_invisible(example.pair)
    pair = "" if hidden else example.pair
    if isinstance(example.text, str):
        if is_invisible(example.text):
            return TextExample("", pair)
        return replace(example, pair=pair, label=None) if hidden else example
    seen = [not is_invisible(word) for word in example.text]
    if all(seen) and not hidden:
        return example
    label = example.label
    if isinstance(label, tuple):
        kept = tuple(compress(label, seen))
        label = kept if any(kept) else None
    if isinstance(label, AnswerSpan):
        label = None
    words = tuple(compress(example.text, seen))
    return TextExample(words, pair, label, example.running if words else None)


def is_invisible(text: str) -> bool:
    """Say whether a text holds nothing but white space, control and format characters (Cc, Cf); true of no text."""
    return not any(
        letter.isalnum()
        or letter in _SHOWN_FORMATS
        or not (letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf"))
        for letter in text
    )


def _plain(text: str) -> str:
    return _CONTROL.sub("", text).strip()


def _moved(answer: AnswerSpan, passage: str) -> AnswerSpan | None:
    """Return the answer at its place in the passage without control characters; None where nothing is left of it."""
    plain, text = _CONTROL.sub("", passage), _CONTROL.sub("", answer.text)
    start = len(_CONTROL.sub("", passage[: answer.start])) + len(text) - len(text.lstrip())
    start -= len(plain) - len(plain.lstrip())
    return AnswerSpan(start, text.strip()) if text.strip() else None


def shortened(example: TextExample) -> TextExample:
    """Return the example with a text that is longer than `LONGEST_TEXT` cut there; itself where nothing is."""
    if isinstance(example.text, str) and len(example.text) > LONGEST_TEXT:
        return replace(example, text=example.text[:LONGEST_TEXT].rstrip())
    return example


def text_unit(value: object, where: str) -> TextExample | None:
    """Make a unit of a column's value: a string, or a list of strings where the text is split into words.

    White space at the ends of a text or a word goes, and so do words of nothing else. A lone surrogate, as
    JSON can escape one, is not text that any encoding can carry and counts as undecodable.

    Args:
        value: The value; None counts as empty.
        where: What to call the value's place in a message, as `column 'tags' of sw.parquet`.

    Raises:
        CorpusError: The value is neither text nor words.
    """
    return encodable(TextExample(_clean(value, where)))


def pair_unit(first: object, second: object, where: str) -> TextExample | None:
    """Make a unit of two texts that belong together; it is empty where one of them is.

    Args:
        first: The first text, as in :func:`text_unit`.
        second: The second text; words are joined by spaces.
        where: What to call the values' place in a message.

    Raises:
        CorpusError: A value is neither text nor words.
    """
    pair = _clean(second, where)
    return encodable(TextExample(_clean(first, where), pair if isinstance(pair, str) else " ".join(pair)))


def encodable(example: TextExample) -> TextExample | None:
    """Return the example; None where it holds what no encoding can carry."""
    try:
        example.identity().encode()
        (example.running or "").encode()
    except UnicodeEncodeError:
        return None
    return example


def _clean(value: object, where: str) -> str | tuple[str, ...]:
    if value is None:
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Sequence) and all(word is None or isinstance(word, str) for word in value):
        return tuple(stripped for word in value if word and (stripped := word.strip()))
    raise CorpusError(
        f"{where} holds neither text nor lists of words, but {type(value).__name__}.",
        "name a column of text with --text-column.",
    )


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
    reading = _FirstPass(Tally(labelled=labelled, words=words), held_bytes)
    for unit in units():
        reading.take(unit)
    first = reading.digests.first_occurrences()
    reading.tally.duplicate = len(first) - int(first.sum())
    drawn = _drawn(first, count, seed)
    counts = reading.tally.counts(int(first.sum()))
    if reading.held is not None:
        return tuple(reading.held[place] for place in drawn), counts
    again = _SecondPass(Tally(labelled=labelled, words=words), drawn)
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


class _FirstPass:
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


class _SecondPass:
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
