"""SIB-200: a file of text a language, and one file that says of each line which split and class it is of."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from xsns_stream.corpora.splits.files import file_text
from xsns_stream.corpora.splits.layouts import SPLIT_NAMES
from xsns_stream.corpora.units import encodable
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample

_SPLIT, _CLASS = "split", "category"
_FEW: Final = 4


class LineLabel(NamedTuple):
    """What is said of a line: its split (train, dev, test) and its class."""

    split: str
    category: str


def read_lines(path: Path, labels: Path, split: str) -> tuple[TextExample, ...]:
    """Return the examples of a split: line N of the text has the N-th label.

    Raises:
        CorpusError: A file cannot be read, they differ in length, or the labels are no table that says split and
            category.
    """
    stamp = labels.stat()
    known = _line_labels(labels, (stamp.st_mtime_ns, stamp.st_size))
    lines = file_text(path).removesuffix("\n").split("\n")
    if len(lines) != len(known):
        raise CorpusError(
            f"{path.name} has {len(lines)} lines, and {labels.name} labels {len(known)}.",
            "they must agree, line by line.",
        )
    found = (
        encodable(TextExample(line.strip(), None, label.category))
        for line, label in zip(lines, known, strict=True)
        if label.split == split and line.strip()
    )
    return tuple(example for example in found if example is not None)


@lru_cache(maxsize=_FEW)
def _line_labels(path: Path, stamp: tuple[int, int]) -> tuple[LineLabel, ...]:
    """Return what is said of each line; read again where the file's time or size (`stamp`) is another."""
    del stamp
    rows = [line.rstrip("\r").split("\t") for line in file_text(path).removesuffix("\n").split("\n")]
    header = rows[0]
    if not {_SPLIT, _CLASS} <= set(header):
        raise CorpusError(
            f"{path.name} lacks the columns {_SPLIT} and {_CLASS}.", "after its header it has a line for each text."
        )
    split, category = header.index(_SPLIT), header.index(_CLASS)
    found = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header) or row[split] not in SPLIT_NAMES or not row[category].strip():
            raise CorpusError(f"line {number} of {path.name} does not say split and category.", "fill both columns.")
        found.append(LineLabel(SPLIT_NAMES[row[split]], row[category].strip()))
    return tuple(found)
