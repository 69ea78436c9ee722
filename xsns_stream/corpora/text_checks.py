"""Checks of all texts of a file together."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from xsns_stream.corpora.examples import Tell, Unit, ignore
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample

#: A file is refused when more than this share of its texts, and at least so many, were decoded twice: as for lines
#: that are not UTF-8.
_TWICE_SHARE: Final = 0.1
_TWICE_TEXTS: Final = 3
#: Share of texts that are lists of sentences, or lists written as text, from which a file is one of these.
_MOST: Final = 0.5
#: Share of lines with a tab or a running number before the text from which a `.txt` seems to be a table.
_NEARLY_ALL: Final = 0.9
_FEW_LINES: Final = 3
_SENTENCE_ENDS: Final = frozenset(".!?…。！？｡।॥؟۔።།")
_AFTER_ENDS: Final = "\"'”’»«)]}」』 "
_NUMBERED: Final = re.compile(r"[^\S\t]*(\d{1,12})[.):]?\s+\S")
# Letters among what Windows-1252 has for the later bytes of a character.
_LETTERS: Final = frozenset("ŠŽŒŸšžœ")
# What Latin-1 makes of bytes that Windows-1252 has letters for, or leaves free.
_C1: Final = re.compile(r"[\x80-\x9f]")


def examined(units: Iterable[Unit], name: str, tell: Tell = ignore) -> Iterator[Unit]:
    """Yield units as they are, and judge them together at their end.

    Args:
        units: What a reader yields.
        name: Of the file or data set, for messages.
        tell: Takes sentences on what looks odd, but is no error.

    Raises:
        CorpusError: Too many of the texts are not what they seem; known at the end.
    """
    suspicions = _Suspicions(name)
    for unit in units:
        if isinstance(unit, TextExample) and unit.text:
            suspicions.take(unit)
        yield unit
    suspicions.judge(tell)


class _Suspicions:
    """What was met in the texts of one file."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts = self.lists = self.twice = self.sentences = self.literals = 0
        self.first_twice = self.first_sentences = self.first_literal = ""

    def take(self, example: TextExample) -> None:
        """Look at a text that is not empty."""
        self.texts += 1
        text = example.text
        if isinstance(text, str):
            if text[0] == "[" and text[-1] == "]" and literal_list(text) is not None:
                self.literals += 1
                self.first_literal = self.first_literal or text
        else:
            self.lists += 1
            if _are_sentences(text):
                self.sentences += 1
                self.first_sentences = self.first_sentences or text[0]
            text = " ".join(text)
        if not text.isascii() and is_decoded_twice(text):
            self.twice += 1
            self.first_twice = self.first_twice or text

    def judge(self, tell: Tell) -> None:
        """Tell what looks odd.

        Raises:
            CorpusError: The file is not what it seems.
        """
        if self.literals > _MOST * self.texts:
            raise CorpusError(
                f"{self.literals:,} of {self.texts:,} texts of {self.name} are lists written as text "
                f"({_shown(self.first_literal)}).",
                "call the column `tokens`, which is read as lists of words, or write the texts themselves.",
            )
        if self.sentences > _MOST * self.lists:
            raise CorpusError(
                f"{self.sentences:,} of {self.lists:,} lists of {self.name} hold sentences, not words "
                f"({_shown(self.first_sentences)}).",
                "lists are read as the words of one text: write one sentence a row, or join those of a text.",
            )
        if not self.twice:
            return
        said = f"{self.twice:,} of {self.texts:,} texts of {self.name} are UTF-8 that was decoded as Windows-1252"
        shown = f"{said} or Latin-1 ({_shown(self.first_twice)})"
        if self.twice >= _TWICE_TEXTS and self.twice > _TWICE_SHARE * self.texts:
            raise CorpusError(
                f"{shown}.", "take the file from before the wrong conversion, or repair it with `ftfy` (Python)."
            )
        tell(f"{shown}, and are measured as they are.")


def literal_list(text: str) -> list[object] | None:
    """Return the list of words or numbers that a text writes as Python or JSON does; None for other texts.

    What NumPy prints (`['a' 'b']`) is none: the words could not be told apart.
    """
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        try:
            found = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
        if repr(found) != text:
            return None
    fits = (
        isinstance(found, list) and bool(found) and all(isinstance(each, str | int) or each is None for each in found)
    )
    return found if fits else None


def is_decoded_twice(text: str) -> bool:
    """Say whether a text is UTF-8 that was read as Windows-1252 or Latin-1, as `cafÃ©`.

    Text of these encodings is hardly ever valid UTF-8: a letter with an accent stands before a plain one.
    """
    try:
        single = text.encode("cp1252")
    except UnicodeEncodeError:
        if not _C1.search(text):
            return False
        single = b"".join(_single_byte(letter) for letter in text)
    try:
        decoded = single.decode("utf-8")
    except UnicodeDecodeError:
        return False
    # Slovak capitals such as `ÍŽ` are valid UTF-8 by accident, so that these letters say nothing.
    return len(decoded) < len(text) and any(0x80 <= _single_byte(c)[0] <= 0xBF for c in text if c not in _LETTERS)


def _single_byte(letter: str) -> bytes:
    """Return the byte that was read as a letter; where Windows-1252 has none, as Latin-1 has it."""
    try:
        return letter.encode("cp1252")
    except UnicodeEncodeError:
        return letter.encode("latin-1", "replace") if ord(letter) < 0x100 else b"\xff"


def _are_sentences(words: Sequence[str]) -> bool:
    """Say whether at least half of the members of a list are sentences: they hold a space and end as sentences do."""
    ended = sum(" " in word and word.rstrip(_AFTER_ENDS)[-1:] in _SENTENCE_ENDS for word in words)
    return bool(ended) and 2 * ended >= len(words)


def _shown(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


class LinesAsRows:
    """Looks for lines of a `.txt` that are rows of a table: identifier, tab, text; or numbered lines.

    Args:
        name: Of the file, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines = self.tabs = self.numbered = 0
        self._next: int | None = None

    def take(self, text: str) -> None:
        """Look at a line without white space at its ends."""
        if not text:
            return
        self.lines += 1
        self.tabs += "\t" in text
        match = _NUMBERED.match(text)
        if match is None:
            return
        number = int(match[1])
        self.numbered += self._next is None or number == self._next
        self._next = number + 1

    def tell(self, tell: Tell) -> None:
        """Tell what nearly all lines have before the text."""
        if self.lines < _FEW_LINES:
            return
        if self.tabs > _NEARLY_ALL * self.lines:
            tell(
                f"{self.tabs:,} of {self.lines:,} lines of {self.name} hold a tab, and all of each line is measured: "
                "if it is a table, name it .tsv, give it a header, and choose a column with --text-column."
            )
        elif self.numbered > _NEARLY_ALL * self.lines:
            tell(
                f"{self.numbered:,} of {self.lines:,} lines of {self.name} begin with a running number, which is "
                "measured as text: remove it if it is none."
            )
