"""Checks that the texts of a file are of the kind that its reader expects.

An error is raised if many texts of a file are wrong: UTF-8 that was decoded with another encoding, lists of words that
a table contains as text, or lists of sentences instead of words. If the lines of a `.txt` file begin with identifiers,
a note is added.
"""

from __future__ import annotations

import ast
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from xsns_stream.corpora.examples import AddNote, Unit, discard_note
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample

#: An error is raised if more than this share of the texts, and at least this number of texts, were decoded with another
#: encoding. The limits are those for lines that are not UTF-8.
_MOJIBAKE_SHARE: Final = 0.1
_MOJIBAKE_TEXTS: Final = 3
#: A note is added if more than this share of the texts, and at least this number, have decomposed characters.
_DECOMPOSED_SHARE: Final = 0.1
_DECOMPOSED_TEXTS: Final = 3
#: An error is raised if more than this share of the texts are lists of sentences, or lists that are written as text.
_LIST_SHARE: Final = 0.5
#: A `.txt` file looks like a table if more than this share of its lines have a tab or a running number before the text.
_TABLE_SHARE: Final = 0.9
_FEW_LINES: Final = 3
_SENTENCE_ENDS: Final = frozenset(".!?…。！？｡।॥؟۔።།")
_AFTER_ENDS: Final = "\"'”’»«)]}」』 "
_NUMBERED: Final = re.compile(r"[^\S\t]*(\d{1,12})[.):]?\s+\S")
# Letters to which Windows-1252 decodes bytes from 0x80 to 0xBF, the second and later bytes of a character in UTF-8.
_LETTERS: Final = frozenset("ŠŽŒŸšžœ")
# Letters of Latin-1 beyond ASCII. Latin-1 decodes every letter of a single-byte encoding of another script to one of
# them.
_LATIN_1: Final = re.compile(r"[À-ÖØ-öø-ÿ]")
#: A text was decoded wrongly if it has at least `_LEAST_LETTERS` letters, and more than this share of them match
#: `_LATIN_1`.
_LATIN_1_SHARE: Final = 0.7
_LEAST_LETTERS: Final = 10
#: Texts that programs write for a missing value, which are not words.
_MISSING: Final = frozenset({"nan", "NaN", "-nan", "-NaN", "<NA>", "#N/A", "#NA"})
#: Words that pandas also reads as a missing value, and which may be texts.
_PERHAPS_MISSING: Final = frozenset({"NA", "N/A", "n/a", "NULL", "null", "None"})
# Characters to which Latin-1 decodes the bytes 0x80 to 0x9F. In Windows-1252, these bytes are letters or signs, or have
# no meaning.
_C1: Final = re.compile(r"[\x80-\x9f]")


def check_texts(units: Iterable[Unit], name: str, add_note: AddNote = discard_note) -> Iterator[Unit]:
    """Yield the units unchanged. After the last one, check all of them together.

    Args:
        units: The units of a reader.
        name: Name of the file or data set, for messages.
        add_note: Called with sentences on unusual texts that are not an error.

    Raises:
        CorpusError: Too many texts are wrong; raised after the last unit.
    """
    checks = _TextChecks(name)
    for unit in units:
        if isinstance(unit, TextExample) and unit.text:
            checks.add(unit)
        yield unit
    checks.finish(add_note)


def without_missing(units: Iterable[Unit], name: str, add_note: AddNote = discard_note) -> Iterator[Unit]:
    """Yield units; replace a unit whose text stands for a missing value, such as `nan`, by an empty unit.

    A note with the number of these rows is added at the end. Longer texts that contain such a word are not changed.

    Args:
        units: The units of a table in which all values are texts.
        name: Name of the file or data set, for messages.
        add_note: Called with sentences on missing values, and on texts that may be missing values.
    """
    missing: Counter[str] = Counter()
    perhaps: Counter[str] = Counter()
    number = 0
    try:
        for unit in units:
            number += 1
            texts = (unit.text, unit.pair) if isinstance(unit, TextExample) else ()
            marker = next((text for text in texts if isinstance(text, str) and text in _MISSING), None)
            if marker is not None:
                missing[marker] += 1
                yield TextExample("")
                continue
            perhaps.update(text for text in texts if isinstance(text, str) and text in _PERHAPS_MISSING)
            yield unit
    finally:
        # A stream is closed as soon as enough rows are read.
        for note in _missing_notes(missing, perhaps, number, name):
            add_note(note)


def _missing_notes(missing: Counter[str], perhaps: Counter[str], rows: int, name: str) -> Iterator[str]:
    if missing:
        are = "is" if missing.total() == 1 else "are"
        yield (
            f"{missing.total():,} of {rows:,} rows of {name} {are} skipped: {_quoted(missing)} in place of a text is a "
            "missing value."
        )
    if perhaps:
        texts_are = "text of" if perhaps.total() == 1 else "texts of"
        yield (
            f"{perhaps.total():,} {texts_are} {name} {'is' if perhaps.total() == 1 else 'are'} {_quoted(perhaps)}, "
            "which is read as text: leave such cells empty if they are missing values."
        )


def _quoted(texts: Iterable[str]) -> str:
    return " or ".join(f"'{text}'" for text in texts)


class _TextChecks:
    """Counts of unusual texts in one file, with the first text of each kind."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.texts = self.lists = self.mojibake = self.single_bytes = self.sentences = self.literals = 0
        self.decomposed = 0
        self.first_mojibake = self.first_single_bytes = self.first_sentence = self.first_literal = ""

    def add(self, example: TextExample) -> None:
        """Count the text of an example, which must not be empty, and the faults that it has."""
        self.texts += 1
        text = example.text
        if isinstance(text, str):
            if text[0] == "[" and text[-1] == "]" and parse_list(text) is not None:
                self.literals += 1
                self.first_literal = self.first_literal or text
        else:
            self.lists += 1
            if _are_sentences(text):
                self.sentences += 1
                self.first_sentence = self.first_sentence or text[0]
            text = " ".join(text)
        self.decomposed += is_decomposed(text)
        if not text.isascii() and is_mojibake(text):
            self.mojibake += 1
            self.first_mojibake = self.first_mojibake or text
        elif not text.isascii() and is_wrong_latin_1(text):
            self.single_bytes += 1
            self.first_single_bytes = self.first_single_bytes or text

    def finish(self, add_note: AddNote) -> None:
        """Add notes on unusual texts, or raise an error if there are too many.

        Raises:
            CorpusError: Too many texts are wrong.
        """
        if self.literals > _LIST_SHARE * self.texts:
            raise CorpusError(
                f"{self.literals:,} of {self.texts:,} texts of {self.name} are lists written as text "
                f"({_excerpt(self.first_literal)}).",
                "call the column `tokens`, which is read as lists of words, or write the texts themselves.",
            )
        if self.sentences > _LIST_SHARE * self.lists:
            raise CorpusError(
                f"{self.sentences:,} of {self.lists:,} lists of {self.name} contain sentences, not words "
                f"({_excerpt(self.first_sentence)}).",
                "a list contains the words of one text: write one sentence per row, or join the sentences of a text.",
            )
        for number, original, first, remedy in (
            (self.mojibake, "UTF-8", self.first_mojibake, "repair it with `ftfy` (Python)"),
            (
                self.single_bytes,
                "text in an encoding of another script",
                self.first_single_bytes,
                "convert it back with `iconv -f UTF-8 -t ISO-8859-1`; then convert it from its own encoding, such as "
                "WINDOWS-1251 for Cyrillic script",
            ),
        ):
            self._finish_encoding(number, original, first, remedy, add_note)

        if self.decomposed >= _DECOMPOSED_TEXTS and self.decomposed > _DECOMPOSED_SHARE * self.texts:
            add_note(
                f"{self.decomposed:,} of {self.texts:,} texts of {self.name} have decomposed characters (NFD, which "
                "macOS writes), such as e and a separate accent for é. Tokenizers may split these characters "
                "differently; `uconv -x nfc` composes them."
            )

    def _finish_encoding(self, number: int, original: str, first: str, remedy: str, add_note: AddNote) -> None:
        if not number:
            return
        summary = (
            f"{number:,} of {self.texts:,} texts of {self.name} are {original} that was decoded as Windows-1252 "
            f"or Latin-1 ({_excerpt(first)})"
        )
        if number >= _MOJIBAKE_TEXTS and number > _MOJIBAKE_SHARE * self.texts:
            raise CorpusError(f"{summary}.", f"use the original file, before the wrong conversion, or {remedy}.")
        add_note(f"{summary}; they are measured unchanged.")


def parse_list(text: str) -> list[object] | None:
    """Parse a text that is a list of words or integers in Python or JSON syntax; return None for other texts.

    A printed array of NumPy is not parsed, because Python joins its words: it reads `['a' 'b']` as `['ab']`.
    """
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        try:
            value = ast.literal_eval(text)
        except (ValueError, SyntaxError, MemoryError, RecursionError):
            return None
        if repr(value) != text:
            return None
    is_list = (
        isinstance(value, list) and bool(value) and all(isinstance(each, str | int) or each is None for each in value)
    )
    return value if is_list else None


def is_decomposed(text: str) -> bool:
    """Return whether a text has letters with combining accents for which Unicode has a single composed character.

    Some characters are never composed, such as letters of Devanagari with a nukta; these are not counted.
    """
    if text.isascii() or unicodedata.is_normalized("NFC", text):
        return False
    return len(unicodedata.normalize("NFC", text)) < len(text)


def is_mojibake(text: str) -> bool:
    """Return whether a text is UTF-8 that was decoded as Windows-1252 or Latin-1, such as `cafÃ©`.

    Real text in these encodings is rarely valid UTF-8, because a plain letter usually follows a letter with an accent.
    """
    try:
        data = text.encode("cp1252")
    except UnicodeEncodeError:
        if not _C1.search(text):
            return False
        data = b"".join(_single_byte(letter) for letter in text)
    try:
        decoded = data.decode("utf-8")
    except UnicodeDecodeError:
        return False
    # Letters of `_LETTERS` are not evidence: Slovak capitals such as `ÍŽ` are valid UTF-8 by accident.
    return len(decoded) < len(text) and any(0x80 <= _single_byte(c)[0] <= 0xBF for c in text if c not in _LETTERS)


def is_wrong_latin_1(text: str) -> bool:
    """Return whether a text in another script was decoded as Latin-1, such as `×ëåíû` (Cyrillic in Windows-1251).

    Such a text consists mostly of letters with accents, which is not the case in any language.
    """
    letters = sum(map(str.isalpha, text))
    return letters >= _LEAST_LETTERS and len(_LATIN_1.findall(text)) > _LATIN_1_SHARE * letters


def _single_byte(letter: str) -> bytes:
    """Return the byte of a letter in Windows-1252 or, if it has none, in Latin-1."""
    try:
        return letter.encode("cp1252")
    except UnicodeEncodeError:
        return letter.encode("latin-1", "replace") if ord(letter) < 0x100 else b"\xff"


def _are_sentences(words: Sequence[str]) -> bool:
    """Return whether at least half of the items of a list contain a space and end like a sentence."""
    ended = sum(" " in word and word.rstrip(_AFTER_ENDS)[-1:] in _SENTENCE_ENDS for word in words)
    return bool(ended) and 2 * ended >= len(words)


def _excerpt(text: str) -> str:
    return repr(text if len(text) <= 40 else f"{text[:39]}…")


class LineChecks:
    """Counts the lines of a `.txt` file that contain a tab, like rows of a table, or begin with a running number.

    Args:
        name: Name of the file, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.lines = self.tabs = self.numbered = 0
        self._next: int | None = None

    def add(self, text: str) -> None:
        """Count the text of a line, which must not have white space at its ends."""
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

    def finish(self, add_note: AddNote) -> None:
        """Add a note if nearly all lines have an identifier or a number before the text."""
        if self.lines < _FEW_LINES:
            return
        if self.tabs > _TABLE_SHARE * self.lines:
            add_note(
                f"{self.tabs:,} of {self.lines:,} lines of {self.name} contain a tab, and each line is measured as a "
                "whole: if the file is a table, name it .tsv, give it a header, and choose a column with --text-column."
            )
        elif self.numbered > _TABLE_SHARE * self.lines:
            add_note(
                f"{self.numbered:,} of {self.lines:,} lines of {self.name} begin with a running number, which is "
                "measured as text: remove the numbers if they are not part of the text."
            )
