"""Raw units of a corpus (lines, rows, sentences) → distinct examples, with counts of what was skipped.

A reader yields a :data:`Unit` for each unit that it meets; :func:`collect` keeps the usable ones and counts
the others. Files and Hub data sets share both, so that "empty" and "duplicate" mean the same everywhere.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from typing import Final, TypeAlias

from xsns_stream.corpora.decoding import LONGEST_TEXT
from xsns_stream.corpora.running_text import GIVEN, read_as
from xsns_stream.errors import CorpusError
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


#: Names under which corpora keep their text, in the order in which they are tried.
TEXT_COLUMNS = ("text", "sentence", "tokens", "words", "premise", "sentence1", "context", "content")
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


def text_column(columns: Sequence[str], asked: str | None, where: str) -> str:
    """Return the name of the column that holds the text.

    Args:
        columns: The columns there are.
        asked: What `--text-column` says; None takes the first of `TEXT_COLUMNS` that is there.
        where: The file or data set, for the message.

    Raises:
        CorpusError: There is no such column.
    """
    if asked is None:
        found = next((name for name in TEXT_COLUMNS if name in columns), None)
    else:
        found = asked if asked in columns else None
    if found is not None:
        return found
    have = ", ".join(columns) or "none"
    if asked is None:
        raise CorpusError(f"no column of {where} is known to hold text ({have}).", "name one: --text-column.")
    raise CorpusError(f"{where} has no column '{asked}'.", f"it has {have}.")
