"""The layout of Universal Dependencies: a folder a treebank, with a file a split (`UD_Dutch-C/nl_c-ud-train.conllu`).

Several treebanks may be of one language: they are joined in the order of their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

from xsns_stream.errors import CorpusError

# Large treebanks have parts: cs_pdt-ud-train-c, de_hdt-ud-train-a-1.
_FILE: Final = re.compile(
    r"(?P<treebank>(?P<language>[a-z]{2,3})_[a-z0-9]+)-ud-(?P<split>train|dev|test)(?:-[a-z0-9]+)*"
)


class TreebankFile(NamedTuple):
    """A file of a treebank, and what its name says.

    Attributes:
        path: The file.
        treebank: Language and treebank as the name has them: `en_ewt`.
        language: The language as the name has it: `en`.
        split: `train`, `dev` or `test`.
    """

    path: Path
    treebank: str
    language: str
    split: str


def treebank_file(path: Path, suffix: str | None) -> TreebankFile | None:
    """Return what the name of a file says, whose suffix is known; None where it is not that of a treebank's file."""
    match = _FILE.fullmatch(path.name[: -len(suffix)]) if suffix else None
    return TreebankFile(path, match["treebank"], match["language"], match["split"]) if match else None


def treebank_files(folder: Path, suffix_of: Callable[[str], str | None]) -> tuple[list[TreebankFile], list[Path]]:
    """Return the files of treebanks in a folder in the order of their names, and all others that are not hidden.

    Of files whose names differ in the suffix alone the first is taken: releases have the plain text beside the CoNLL-U.

    Args:
        folder: The folder.
        suffix_of: Returns the suffix of a file's name; None where no file of a treebank has it.

    Raises:
        CorpusError: The folder cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise CorpusError(f"the folder '{folder}' cannot be read ({error.strerror}).") from error
    found: dict[str, TreebankFile] = {}
    others: list[Path] = []
    for path in paths:
        suffix = suffix_of(path.name)
        each = treebank_file(path, suffix)
        if each is None or found.setdefault(path.name[: -len(suffix or "")], each) is not each:
            others.append(path)
    return list(found.values()), others


def joined_note(joined: Iterable[tuple[str, Iterable[str]]]) -> Iterator[str]:
    """Yield a sentence on languages of several treebanks; none where there are none.

    Args:
        joined: Code → its treebanks, in the order in which they are read.
    """
    said = [f"{code} ({', '.join(names)})" for code, names in joined]
    if said:
        yield f"treebanks of one language are joined in this order: {'; '.join(said)}."
