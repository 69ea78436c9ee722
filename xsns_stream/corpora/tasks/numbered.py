"""Columns with a running number before each word, as Universal NER has them: number, word, tag, and two more.

Comments (`# text = …`) stand before the sentences, as in CoNLL-U.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Final

from xsns_stream.corpora.examples import Unit, encodable
from xsns_stream.corpora.running_text import as_written
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample

_COMMENT: Final = "#"
_TEXT: Final = re.compile(r"#\s*text\s*=\s*(.*)")
_NUMBER: Final = re.compile(r"[0-9]{1,9}")
#: A range, which stands for words that follow, or an empty node.
_NO_WORD: Final = re.compile(r"[0-9]{1,9}[-.][0-9]{1,9}")
#: Share of lines that have the number that is their turn, from which a file is numbered.
_MOST: Final = 0.5
_COLUMNS: Final = 3


def is_numbered(lines: Sequence[str]) -> bool:
    """Say whether most lines of words begin with their number in the sentence, with word and tag after it."""
    turn = words = fits = 0
    for line in lines:
        fields = line.split("\t")
        if not line.strip():
            turn = 0
        elif not (line.startswith(_COMMENT) or _NO_WORD.fullmatch(fields[0])):
            turn += 1
            words += 1
            fits += len(fields) >= _COLUMNS and fields[0].strip() == str(turn)
    return fits > _MOST * words


def read_numbered(lines: Sequence[str], name: str) -> Iterator[Unit]:
    """Yield the sentences: words with their tags, and the running text where a comment has it.

    Args:
        lines: The lines of the file.
        name: Of the file, for messages.

    Raises:
        CorpusError: A line lacks a column, or its number is not the one after that of the line above.
    """
    words: list[str] = []
    tags: list[str] = []
    text: str | None = None
    turn = 0
    for number, line in enumerate((*lines, ""), 1):
        if not line.strip():
            if words:
                yield _sentence(words, tags, text)
            words, tags, text, turn = [], [], None, 0
        elif line.startswith(_COMMENT):
            match = _TEXT.match(line)
            text = match[1] if match else text
        else:
            fields = [field.strip() for field in line.split("\t")]
            if _NO_WORD.fullmatch(fields[0]):
                continue
            turn += 1
            _check(fields, turn, f"line {number} of {name}", line)
            if fields[1]:
                words.append(fields[1])
                tags.append("" if fields[2] == "_" else fields[2])


def _check(fields: Sequence[str], turn: int, where: str, line: str) -> None:
    if len(fields) < _COLUMNS or not _NUMBER.fullmatch(fields[0]) or int(fields[0]) != turn:
        raise CorpusError(
            f"{where} does not hold the word {turn} of its sentence with a tag: {line.strip()[:40]!r}.",
            "the other lines are number, word and tag with tabs between, and an empty line ends a sentence.",
        )


def _sentence(words: Sequence[str], tags: Sequence[str], text: str | None) -> Unit:
    running = None if text is None else as_written(text, ((word, None) for word in words))
    return encodable(TextExample(tuple(words), None, tuple(tags) if any(tags) else None, running))
