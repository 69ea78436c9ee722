"""From the raw units of a corpus (lines, rows, sentences) to distinct, countable text examples.

A reader yields a :data:`Unit` for each unit that it meets; :func:`collect` keeps the usable ones and counts
the others. Files and Hub data sets share both, so that "empty" and "duplicate" mean the same everywhere.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from xsns_stream.corpora.running_text import GIVEN, read_as
from xsns_stream.errors import CorpusError
from xsns_stream.types import ReadCounts, TextExample


@dataclass(frozen=True, slots=True)
class Malformed:
    """A unit that is not written as its format says, which the reader goes on without.

    Attributes:
        reason: What is wrong, without a full stop.
    """

    reason: str


#: An example that may still be empty, None where its bytes are not UTF-8, or what is malformed.
Unit: TypeAlias = TextExample | Malformed | None

#: Names under which corpora keep their text, in the order in which they are tried.
TEXT_COLUMNS = ("text", "sentence", "tokens", "words", "premise", "sentence1", "context", "content")


def collect(
    units: Iterable[Unit], limit: int | None = None, *, labelled: bool = False, words: str = GIVEN
) -> tuple[tuple[TextExample, ...], ReadCounts]:
    """Return the first `limit` usable, distinct examples in their order, and what became of all units met.

    Args:
        units: What a reader yields; read no further than `limit` asks for.
        limit: Number of examples to stop at; None takes all.
        labelled: Leave out what has no label. The same text with another label is then another example.
        words: How texts without labels that are split into words are read: as `running` text, or as `given`.
    """
    seen: set[str] = set()
    kept: list[TextExample] = []
    read = empty = duplicate = undecodable = unlabelled = malformed = 0
    for unit in units:
        read += 1
        if unit is None:
            undecodable += 1
        elif isinstance(unit, Malformed):
            malformed += 1
        elif not unit.text or unit.pair == "":
            empty += 1
        elif labelled and unit.label is None:
            unlabelled += 1
        elif (identity := (example := read_as(unit, words)).identity()) in seen:
            duplicate += 1
        else:
            seen.add(identity)
            kept.append(example)
            if len(kept) == limit:
                break
    return tuple(kept), ReadCounts(read, empty, duplicate, undecodable, len(kept), unlabelled, malformed)


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
