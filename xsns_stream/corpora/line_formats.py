"""Forms of plain text with markup around the texts: documents of WikiExtractor, and numbered lines.

The form is recognised from the contents, because these files have names like any other text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from contextlib import closing
from html import unescape
from itertools import islice
from pathlib import Path
from typing import Final

from xsns_stream.corpora.decoding import decode, iter_lines
from xsns_stream.corpora.examples import AddNote, Unit
from xsns_stream.types import TextExample

PLAIN: Final = "plain"
DOCUMENTS: Final = "documents"
NUMBERED: Final = "numbered"
JSON_OBJECTS: Final = "json"
#: Number of lines that are examined to recognise the form of a file, and smallest number of numbered lines.
_SNIFFED_LINES: Final = 1000
_FEW_LINES: Final = 3
# WikiExtractor writes <doc id="2" url="…" title="…">, the title, and the paragraphs of an article.
_DOC_BEGINS: Final = re.compile(r'<doc id="[^"]*" [^>]*title="(?P<title>[^"]*)"[^>]*>')
_DOC_ENDS: Final = "</doc>"
# A text may also begin with a number and a tab, but it is unlikely that the numbers of all texts increase.
_WITH_NUMBER: Final = re.compile(r"(\d{1,12})\t(.*)", re.DOTALL)


def line_form(path: Path) -> str:
    """Return the form of a file of text, compressed or not: `plain`, `documents`, `numbered` or `json`.

    Raises:
        CorpusError: The file is not text in UTF-8.
        OSError: The file cannot be read.
    """
    with closing(iter_lines(path)) as lines:
        filled = (text.strip() for line in lines if (text := decode(line)) is not None and text.strip())
        first = list(islice(filled, _SNIFFED_LINES))
    if first and _DOC_BEGINS.fullmatch(first[0]):
        return DOCUMENTS
    if first and _is_json_object(first[0]):
        return JSON_OBJECTS
    return NUMBERED if _are_numbered(first) else PLAIN


def _is_json_object(line: str) -> bool:
    if not line.startswith("{"):
        return False
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _are_numbered(lines: list[str]) -> bool:
    """Return whether each line consists of a number, a tab and a text without tabs, and the numbers increase."""
    if len(lines) < _FEW_LINES:
        return False
    last = -1
    for line in lines:
        match = _WITH_NUMBER.fullmatch(line)
        if match is None or "\t" in match[2] or int(match[1]) <= last:
            return False
        last = int(match[1])
    return True


def read_numbered_lines(lines: Iterable[bytes], name: str, add_note: AddNote) -> Iterator[Unit]:
    """Yield the texts of lines with a number and a tab before each text, as in the Leipzig corpora.

    Args:
        lines: The lines of the file.
        name: Name of the file, for the note.
        add_note: Called with a sentence about the numbers.
    """
    add_note(f"the lines of {name} begin with a number and a tab, which are not part of the texts.")
    for line in lines:
        text = decode(line)
        if text is None:
            yield None
        else:
            match = _WITH_NUMBER.fullmatch(text.strip())
            yield TextExample((match[2] if match else text).strip())


def read_documents(lines: Iterable[bytes], name: str, add_note: AddNote) -> Iterator[Unit]:
    """Yield the paragraphs of a file of WikiExtractor: its lines without the tags and the titles of articles.

    Args:
        lines: The lines of the file.
        name: Name of the file, for the note.
        add_note: Called with a sentence about the omitted lines.
    """
    add_note(f"{name} is read as a file of WikiExtractor: each line is a text; tags and titles are left out.")
    title = ""
    for line in lines:
        text = decode(line)
        if text is None:
            yield None
            continue
        text = text.strip()
        if match := _DOC_BEGINS.fullmatch(text):
            title = unescape(match["title"])
        elif title and unescape(text) == title:
            title = ""
        elif text and text != _DOC_ENDS:
            title = ""
            # WikiExtractor writes &lt; for <.
            yield TextExample(unescape(text).strip())
