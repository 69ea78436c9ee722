"""Distinct text examples of a language: cleaning, counting and sampling.

A reader yields a :data:`Unit` for each line, row or sentence of a text. :class:`Tally` cleans the units and counts used
and skipped units, both for local files and for data sets of the Hub. :func:`collect` takes the first examples of a
text, and :func:`draw_examples` draws a random sample of it.

A drawn sample is identical to the sample that :meth:`~xsns_stream.types.LanguageSample.draw` takes from all distinct
examples: the examples at the first |D| positions of a random permutation. A small text is read once and stored in
memory. A large text is read twice. The first pass stores a digest of 16 bytes for each example, to find the positions
of distinct examples; the second pass stores the drawn examples. Memory use is then about 20 bytes per example,
independently of the length of the examples.
"""

from __future__ import annotations

import hashlib
import math
import re
import sys
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Final, TypeAlias

import numpy as np
from numpy.typing import NDArray

from xsns_stream.corpora.decoding import MAX_TEXT_LENGTH
from xsns_stream.corpora.running_text import GIVEN, with_words_as
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.types import ReadCounts, TextExample
from xsns_stream.types.text import AnswerSpan


@dataclass(frozen=True, slots=True)
class Malformed:
    """A unit that does not follow its format and is skipped.

    Attributes:
        reason: The fault of the unit, without a full stop.
    """

    reason: str


#: The value that a reader yields for a line, row or sentence: an example, which may be empty; None for bytes that are
#: not UTF-8; or a malformed unit.
Unit: TypeAlias = TextExample | Malformed | None

#: A function that gets a sentence about the reading of a text, for example about a decision of the reader.
AddNote: TypeAlias = Callable[[str], None]

#: A function that takes the number of units of a text that were read so far.
OnRead: TypeAlias = Callable[[int], None]


def discard_note(note: str) -> None:
    """Do nothing with a note; this is the default of parameters that take notes."""


# --------------------------------------------------------------------------------------- counting


class Tally:
    """Cleans units one by one, and counts the used and the skipped units.

    Args:
        labelled: Whether to leave out units without a label. The same text with a different label is then a different
            example.
        words: How unlabelled texts that are split into words are read: as `running` text, or with the words as `given`.
    """

    def __init__(self, *, labelled: bool = False, words: str = GIVEN) -> None:
        self.labelled = labelled
        self.words = words
        self.read = self.empty = self.duplicate = self.undecodable = self.unlabelled = self.control = self.cut = 0
        self.malformed = 0

    def usable(self, unit: Unit) -> TextExample | None:
        """Return the cleaned example of a unit; if the unit cannot be used, count the reason and return None."""
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
            shorter = truncated(example)
            self.cut += shorter is not example
            return with_words_as(shorter, self.words)
        return None

    def counts(self, usable: int) -> ReadCounts:
        """Return the counts so far.

        Args:
            usable: Number of distinct usable examples, which the caller has counted.
        """
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
    """Return the first `limit` usable, distinct examples in their order, and the counts of all units that were read.

    Args:
        units: The units of a reader. Reading stops after `limit` examples.
        limit: Maximum number of examples; None for all.
        labelled: See :class:`Tally`.
        words: See :class:`Tally`.
    """
    identities: set[str] = set()
    examples: list[TextExample] = []
    tally = Tally(labelled=labelled, words=words)
    for unit in units:
        example = tally.usable(unit)
        if example is None:
            continue
        if (identity := example.identity()) in identities:
            tally.duplicate += 1
            continue
        identities.add(identity)
        examples.append(example)
        if len(examples) == limit:
            break
    return tuple(examples), tally.counts(len(examples))


# --------------------------------------------------------------------------------------- cleaning


# The category Cc of Unicode without white space (tab, LF, VT, FF, CR, NEL).
_CONTROL: Final = re.compile(r"[\x00-\x08\x0e-\x1f\x7f-\x84\x86-\x9f]")
# Format characters that are visible: signs of Arabic, Syriac and Kaithi that enclose numbers.
_VISIBLE_FORMATS: Final = frozenset(
    "\u0600\u0601\u0602\u0603\u0604\u0605\u06dd\u070f\u0890\u0891\u08e2\U000110bd\U000110cd"
)


def without_control(example: TextExample) -> TextExample:
    """Return the example without control characters; the same object if it has none.

    NUL and similar characters come from damage and wrong conversion, and tokenizers treat them differently. White space
    (tab, vertical tab, form feed, U+0085) is kept. A word that consists of control characters is removed together with
    its label.
    """
    texts = (example.text,) if isinstance(example.text, str) else (*example.text, example.running or "")
    if not any(map(_CONTROL.search, texts)) and not _CONTROL.search(example.pair or ""):
        return example
    pair = None if example.pair is None else _plain(example.pair)
    label = example.label
    if isinstance(label, AnswerSpan):
        label = _moved_answer(label, example.pair or "")
    if isinstance(example.text, str):
        return TextExample(_plain(example.text), pair, label)
    words = tuple(map(_plain, example.text))
    if isinstance(label, tuple):
        label = _word_labels(label, words)
    running = None if example.running is None else _plain(example.running)
    return TextExample(tuple(filter(None, words)), pair, label, running)


def without_invisible(example: TextExample) -> TextExample:
    """Return the example; a text that has only invisible characters is replaced by an empty text.

    If nothing changes, the same object is returned. Zero-width spaces, soft hyphens, direction marks and similar
    characters have no meaning without other characters. A word that has only such characters is removed together with
    its label. Other texts keep these characters, because joiners belong to the spelling of Persian and Indic scripts.
    """
    no_pair = example.pair is not None and is_invisible(example.pair)
    pair = "" if no_pair else example.pair
    if isinstance(example.text, str):
        if is_invisible(example.text):
            return TextExample("", pair)
        return replace(example, pair=pair, label=None) if no_pair else example
    visible = [not is_invisible(word) for word in example.text]
    if all(visible) and not no_pair:
        return example
    label = example.label
    if isinstance(label, tuple):
        label = _word_labels(label, visible)
    if isinstance(label, AnswerSpan):
        label = None
    words = tuple(compress(example.text, visible))
    return TextExample(words, pair, label, example.running if words else None)


def is_invisible(text: str) -> bool:
    """Return whether a text has only white space, control and format characters (Cc, Cf), or is empty."""
    return not any(
        letter.isalnum()
        or letter in _VISIBLE_FORMATS
        or not (letter.isspace() or unicodedata.category(letter) in ("Cc", "Cf"))
        for letter in text
    )


def truncated(example: TextExample) -> TextExample:
    """Return the example with a text of at most `MAX_TEXT_LENGTH` characters; the same object if nothing is cut."""
    if isinstance(example.text, str) and len(example.text) > MAX_TEXT_LENGTH:
        return replace(example, text=example.text[:MAX_TEXT_LENGTH].rstrip())
    return example


def _plain(text: str) -> str:
    return _CONTROL.sub("", text).strip()


def _word_labels(labels: tuple[str, ...], words: Sequence[object]) -> tuple[str, ...] | None:
    """Return the labels of the words that are not empty; None if none of these words has a label."""
    remaining = tuple(compress(labels, words))
    return remaining if any(remaining) else None


def _moved_answer(answer: AnswerSpan, passage: str) -> AnswerSpan | None:
    """Return the answer without control characters, with its position in the passage without control characters.

    None is returned if the answer is then empty.
    """
    plain, text = _CONTROL.sub("", passage), _CONTROL.sub("", answer.text)
    start = len(_CONTROL.sub("", passage[: answer.start])) + len(text) - len(text.lstrip())
    start -= len(plain) - len(plain.lstrip())
    return AnswerSpan(start, text.strip(), tuple(map(_plain, answer.others))) if text.strip() else None


# ------------------------------------------------------------------------------- units from values


def text_unit(value: object, where: str) -> TextExample | None:
    """Return the unit of a column's value: a string, or a list of strings if the text is split into words.

    White space at the ends of texts and words, and words that consist of white space, are removed. A lone surrogate
    (half of a UTF-16 pair, which JSON can contain as an escape) is not a character; a unit that contains one counts as
    undecodable.

    Args:
        value: The value; None is treated as empty.
        where: The place of the value, for messages: `column 'text' of sw.parquet`.

    Raises:
        CorpusError: The value is neither text nor a list of words.
    """
    return encodable(TextExample(_clean(value, where)))


def pair_unit(first: object, second: object, where: str) -> TextExample | None:
    """Return the unit of two texts that belong together; the unit is empty if one of the texts is.

    Args:
        first: The first text, as in :func:`text_unit`.
        second: The second text; words are joined by spaces.
        where: The place of the values, for messages.

    Raises:
        CorpusError: A value is neither text nor a list of words.
    """
    pair = _clean(second, where)
    return encodable(TextExample(_clean(first, where), pair if isinstance(pair, str) else " ".join(pair)))


def encodable(example: TextExample) -> TextExample | None:
    """Return the example; None if it contains characters that UTF-8 cannot encode."""
    try:
        example.identity().encode()
        (example.running or "").encode()
    except UnicodeEncodeError:
        return None
    return example


def _clean(value: object, where: str) -> str | tuple[str, ...]:
    # NaN is a missing value, as pandas writes it to JSON.
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return ""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, Sequence) and all(word is None or isinstance(word, str) for word in value):
        return tuple(stripped for word in value if word and (stripped := word.strip()))
    raise CorpusError(
        f"{where} contains neither text nor lists of words, but {type(value).__name__}.",
        "name a column of text with --text-column.",
    )


# ---------------------------------------------------------------------------------------- drawing


#: If the examples of a text need at most this number of bytes, they are kept in memory, and the text is read only once.
HELD_BYTES: Final = 2**25
# Sizes in bytes: an example and a word as Python objects, and a digest.
_EXAMPLE_BYTES: Final = 120
_WORD_BYTES: Final = 60
_DIGEST_BYTES: Final = 16
# Numbers of digests in one array, and in one bucket of the sort.
_CHUNK: Final = 2**16
_BUCKET: Final = 2**18
_MAX_BUCKETS: Final = 2**8


def draw_examples(
    units: Callable[[], Iterable[Unit]],
    count: int,
    seed: int,
    name: str,
    *,
    labelled: bool = False,
    words: str = GIVEN,
    held_bytes: int = HELD_BYTES,
    on_read: OnRead | None = None,
) -> tuple[tuple[TextExample, ...], ReadCounts]:
    """Return `count` distinct examples drawn without replacement, and the counts of all units.

    Args:
        units: Function that returns all units; each call begins with the first unit.
        count: |D|, at least 1; if there are fewer examples, all are used.
        seed: Any integer ≥ 0; a larger count with the same seed extends a smaller one.
        name: Name of the text, for messages.
        labelled: See :class:`Tally`.
        words: See :class:`Tally`.
        held_bytes: If all examples together have at most this many bytes, they are kept in memory and the text is read
            once; otherwise the text is read twice.
        on_read: Function that is called after every 65,536 units with the number of units read so far in both passes.

    Raises:
        UsageError: `count` is below 1.
        CorpusError: The text cannot be read, or changed between the two passes.
    """
    if count < 1:
        raise UsageError(f"the number of examples must be at least 1, not {count}.")
    first_pass = _FirstPass(Tally(labelled=labelled, words=words), held_bytes)
    read = _reported(units, on_read)
    for unit in read():
        first_pass.add(unit)
    is_first = first_pass.digests.first_occurrences()
    first_pass.tally.duplicate = len(is_first) - int(is_first.sum())
    positions = _draw(is_first, count, seed)
    counts = first_pass.tally.counts(int(is_first.sum()))
    if first_pass.examples is not None:
        return tuple(first_pass.examples[position] for position in positions), counts
    second_pass = _SecondPass(Tally(labelled=labelled, words=words), positions)
    for unit in read():
        second_pass.add(unit)
    if second_pass.whole.digest() != first_pass.whole.digest():
        raise CorpusError(f"{name} was changed while it was read.", "run again when no program writes to it.")
    return tuple(second_pass.examples[position] for position in positions), counts


def _reported(units: Callable[[], Iterable[Unit]], on_read: OnRead | None) -> Callable[[], Iterable[Unit]]:
    """Return a function like `units` that reports to `on_read` how many units were read in all calls together."""
    if on_read is None:
        return units
    read = 0

    def reported() -> Iterator[Unit]:
        nonlocal read
        for unit in units():
            read += 1
            if read % _CHUNK == 0:
                on_read(read)
            yield unit

    return reported


def _draw(is_first: NDArray[np.bool_], count: int, seed: int) -> list[int]:
    """Return the positions of the drawn examples among all usable examples, in the order of the draw.

    `is_first` is True for examples that do not repeat an earlier example; only these are drawn.
    """
    order = np.random.Generator(np.random.PCG64(seed)).permutation(int(is_first.sum()))[:count].copy()
    positions: list[int] = np.flatnonzero(is_first)[order].tolist()
    return positions


class _FirstPass:
    """Collector of the digests of all usable examples, and of the examples if they have at most `held_bytes` bytes."""

    def __init__(self, tally: Tally, held_bytes: int) -> None:
        self.tally = tally
        self.digests = Digests()
        self.whole = hashlib.blake2b()
        self.examples: list[TextExample] | None = []
        self._free_bytes = held_bytes

    def add(self, unit: Unit) -> None:
        example = self.tally.usable(unit)
        if example is None:
            return
        digest = _digest(example)
        self.digests.add(digest)
        self.whole.update(digest)
        if self.examples is None:
            return
        self.examples.append(example)
        words = 0 if isinstance(example.text, str) else len(example.text)
        self._free_bytes -= _EXAMPLE_BYTES + _WORD_BYTES * words + sys.getsizeof(example.text)
        self._free_bytes -= sys.getsizeof(example.pair) + sys.getsizeof(example.running)
        if self._free_bytes < 0:
            self.examples = None


class _SecondPass:
    """Collector of the examples at the drawn positions, in the second pass over a text."""

    def __init__(self, tally: Tally, positions: Iterable[int]) -> None:
        self.tally = tally
        self.whole = hashlib.blake2b()
        self.examples: dict[int, TextExample] = {}
        self._drawn = frozenset(positions)
        self._position = 0

    def add(self, unit: Unit) -> None:
        example = self.tally.usable(unit)
        if example is None:
            return
        self.whole.update(_digest(example))
        if self._position in self._drawn:
            self.examples[self._position] = example
        self._position += 1


def _digest(example: TextExample) -> bytes:
    return hashlib.blake2b(example.identity().encode(), digest_size=_DIGEST_BYTES).digest()


class Digests:
    """A sequence of 16-byte digests in insertion order; each digest takes 16 bytes of memory."""

    def __init__(self) -> None:
        self._chunks: list[NDArray[np.uint64]] = []
        self._last = bytearray()

    def add(self, digest: bytes) -> None:
        """Append a digest, which must have 16 bytes."""
        self._last += digest
        if len(self._last) == _CHUNK * _DIGEST_BYTES:
            self._close()

    def _close(self) -> None:
        self._chunks.append(np.frombuffer(bytes(self._last), np.uint64).reshape(-1, 2))
        self._last = bytearray()

    def first_occurrences(self) -> NDArray[np.bool_]:
        """Return a boolean array that is True for the first occurrence of each distinct digest.

        The digests are sorted bucket by bucket, which needs little additional memory, and are freed afterwards.
        """
        self._close()
        chunks, self._chunks = self._chunks, []
        size = sum(map(len, chunks))
        is_first = np.zeros(size, bool)
        buckets = min(_MAX_BUCKETS, 1 + size // _BUCKET)
        bucket_of = [(chunk[:, 0] % np.uint64(buckets)).astype(np.uint8) for chunk in chunks]
        starts = np.cumsum([0, *map(len, chunks)])
        for bucket in range(buckets):
            rows_of = [np.flatnonzero(each == bucket) for each in bucket_of]
            digests = np.concatenate([chunk[rows] for chunk, rows in zip(chunks, rows_of, strict=True)])
            positions = np.concatenate([start + rows for start, rows in zip(starts, rows_of, strict=False)])
            if not len(positions):
                continue
            # Because lexsort is stable, the earliest of equal digests comes first.
            order = np.lexsort((digests[:, 1], digests[:, 0]))
            digests = digests[order]
            new = np.concatenate(([True], (digests[1:] != digests[:-1]).any(axis=1)))
            is_first[positions[order[new]]] = True
        return is_first
