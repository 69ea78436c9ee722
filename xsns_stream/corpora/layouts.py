"""Names of files and folders of well-known published corpora, and the language and part that each name states.

These names contain more than the language; files such as `sw.txt` do not need this module:

=================  ============================================  ==========================================
corpus             name                                          read as
=================  ============================================  ==========================================
OSCAR, CulturaX    `sw_part_1.txt.gz`, `sw_meta_part_2.jsonl`    parts of one text, in the order of numbers
mC4                `c4-sw.tfrecord-00000-of-00002.json.gz`       parts of one text
Leipzig            `swa_wikipedia_2021_10K-sentences.txt`        one text
Tatoeba            `swh_sentences.tsv`                           one text
FLORES             `swh_Latn.devtest`                            one text of the split
OPUS (Moses)       `GNOME.en-sw.sw`, `corpus.sw`, `corpus.en`    one text of each side
a folder           `sw/AA/wiki_00`, `sw/sw_part_00000.parquet`   all files of the folder as one text
=================  ============================================  ==========================================
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from xsns_stream.corpora.decoding import COMPRESSIONS
from xsns_stream.corpora.file_names import SPLIT_NAMES, language_of
from xsns_stream.errors import LanguageError
from xsns_stream.languages import code_or_none

#: Splits in the order of preference if the user requests none.
SPLIT_ORDER: Final = ("train", "dev", "devtest", "test")
_SPLITS: Final[Mapping[str, str]] = {**SPLIT_NAMES, "devtest": "devtest"}
_TEXT_SUFFIX: Final = r"\.(?i:txt|jsonl|json|parquet|csv|tsv)"
_LANGUAGE: Final = r"(?P<language>[A-Za-z]{2,3}(?:[-_][A-Za-z]{2,4})*?)"
#: (corpus, pattern of the name without the suffix of a compression).
_PATTERNS: Final = tuple(
    (corpus, re.compile(pattern))
    for corpus, pattern in (
        ("OSCAR or CulturaX", rf"{_LANGUAGE}(?:_meta|_dedup)*_part_(?P<number>\d{{1,6}}){_TEXT_SUFFIX}"),
        ("OSCAR", rf"{_LANGUAGE}(?:_meta|_dedup)+{_TEXT_SUFFIX}"),
        ("mC4", rf"c4-{_LANGUAGE}(?:-(?P<split>validation))?\.tfrecord-(?P<number>\d{{5}})-of-\d{{5}}\.json"),
        ("Leipzig", rf"{_LANGUAGE}_[a-z][a-z-]*(?:_\d{{4}})?(?:_\d+[KM])?-sentences\.txt"),
        ("Tatoeba", rf"{_LANGUAGE}_sentences(?:_detailed|_CC0)?\.tsv"),
        ("JSON", rf"{_LANGUAGE}\.(?i:json|ndjson|jsonlines)"),
        ("FLORES", r"(?P<language>[a-z]{3}(?:_[A-Z][a-z]{3})?)\.(?P<split>dev|devtest)"),
    )
)
#: The split of files without a split in their name, in corpora that have names for the other splits.
_UNNAMED_SPLIT: Final = {"mC4": "train"}
_LANGUAGE_PAIR: Final = re.compile(r"(?:.*[._])?([A-Za-z]{2,3}(?:_[A-Za-z]+)?)-([A-Za-z]{2,3}(?:_[A-Za-z]+)?)")
_WIKI_EXTRACT: Final = re.compile(r"wiki_\d{2,}")
_DUMP: Final = re.compile(r".*wiki-.*pages-articles.*\.xml(?:-p\d+p\d+)?")
_DATA_FOLDER: Final = re.compile(r"\.(?:parquet|jsonl|json|csv|tsv|txt)$", re.IGNORECASE)
#: Text in place of the name of a corpus, for folders that are named by a language.
A_LANGUAGE_FOLDER: Final = "folders of one language"
#: Depth of the files in a folder of one language: WikiExtractor has `sw/AA/wiki_00`.
_DEPTH: Final = 3


@dataclass(frozen=True, slots=True)
class PublishedFile:
    """A file of a well-known corpus.

    Attributes:
        file: Path of the file in the folder of the corpus.
        code: Normalised code of the language.
        text: Key that identifies the text; files with the same code and the same key are parts of one text.
        corpus: Name of the corpus.
        number: Number of the part.
        split: `train`, `dev`, `devtest` or `test`; empty if the name has no split.
        written: The language as the name of the file states it.
    """

    file: str
    code: str
    text: str
    corpus: str
    number: int = 0
    split: str = ""
    written: str = ""


def without_compression(name: str) -> str:
    """Return a file name without the suffix of a compression format."""
    return next((name[: -len(suffix)] for suffix in COMPRESSIONS if name.lower().endswith(suffix)), name)


def published_file(file: str) -> PublishedFile | None:
    """Return the parts of the name of a file; None if it is not the name of a well-known corpus.

    >>> published_file("sw_part_2.txt.gz").code
    'sw'

    Args:
        file: Path of the file in the folder of the corpus.
    """
    folder, _, name = file.rpartition("/")
    plain = without_compression(name)
    for corpus, pattern in _PATTERNS:
        match = pattern.fullmatch(plain)
        code = code_or_none(match["language"]) if match else None
        if match is None or code is None:
            continue
        groups = match.groupdict()
        split = _SPLITS.get(groups.get("split") or _UNNAMED_SPLIT.get(corpus, ""), "")
        number = groups.get("number")
        text = f"{folder}/{corpus}" if number else file
        return PublishedFile(file, code, f"{text} {split}", corpus, int(number or 0), split, match["language"])
    return None


def reason_not_read(name: str) -> str:
    """Return the reason why a file of a well-known corpus is not text; empty for other files."""
    plain = without_compression(name)
    if _DUMP.fullmatch(plain):
        return "a dump of a wiki in XML: extract its text with WikiExtractor"
    if plain.lower().endswith((".iob2", ".iob", ".bio", ".conll")):
        return "words with a tag each: they are read with --task ner or --task pos"
    return ""


# ------------------------------------------------------------------------------- sides of a translation


def sides(names: Iterable[str]) -> Iterator[PublishedFile]:
    """Yield the files whose suffix is their language, as in the translations of OPUS and Moses.

    A suffix such as `.sh` or `.pl` is also the code of a language. A suffix is read as a language only if the name
    contains a pair with this language (`GNOME.en-sw.sw`), or if another file has the same name with another language.

    Args:
        names: Names of files in one folder whose suffix has no reader.
    """
    candidates: dict[str, list[tuple[str, str]]] = {}
    for name in names:
        base, _, suffix = without_compression(name).rpartition(".")
        if base and (code := code_or_none(suffix)):
            candidates.setdefault(base, []).append((name, code))
    for base, files in candidates.items():
        match = _LANGUAGE_PAIR.fullmatch(base)
        pair = {code_or_none(side) for side in match.groups()} if match else set()
        siblings = len({code for _, code in files}) > 1
        split = _SPLITS.get(base.lower(), "")
        for name, code in files:
            if code in pair or (siblings and not match):
                suffix = without_compression(name).rpartition(".")[2]
                yield PublishedFile(name, code, base, "OPUS (Moses)", split=split, written=suffix)


# --------------------------------------------------------------------------------------- subfolders


def files_in_subfolders(
    folder: Path, names: Iterable[str], has_reader: Callable[[str], bool]
) -> tuple[list[PublishedFile], list[str]]:
    """Return the files of subfolders that are read, and the other files of the same subfolders.

    A subfolder is used if its name is a language or a split, or if it contains files of a well-known corpus.

    Args:
        folder: The folder of the corpus.
        names: Names of its subfolders.
        has_reader: Function that returns whether the suffix of a file name has a reader.
    """
    found: list[PublishedFile] = []
    others: list[str] = []
    for name in names:
        files = list(_files_below(folder / name, name))
        split = _SPLITS.get(name.lower(), "")
        code = None if split else _language_folder(name)
        read = [each for file in files if (each := published_file(file))]
        if code is not None:
            read = list(_files_of_language(files, name, code, has_reader))
        elif split:
            read = [replace(each, split=split) for each in read or _named_by_language(files, has_reader)]
        if read:
            found += read
            others += sorted(set(files) - {each.file for each in read})
    return found, others


def _files_of_language(
    files: Iterable[str], name: str, code: str, has_reader: Callable[[str], bool]
) -> Iterator[PublishedFile]:
    """Yield all files of text in the folder of a language as parts of one text, in the order of `files`.

    Args:
        files: Paths of all files in the folder of the language, sorted.
        name: Name of the folder.
        code: Normalised code of the language.
        has_reader: Function that returns whether the suffix of a file name has a reader.
    """
    for number, file in enumerate(files):
        last = file.rpartition("/")[2]
        plain = without_compression(last)
        if not (has_reader(last) or _WIKI_EXTRACT.fullmatch(plain)):
            continue
        split = _SPLITS.get(plain.partition(".")[0].lower(), "")
        yield PublishedFile(file, code, f"{name}/ {split}", A_LANGUAGE_FOLDER, number, split, name)


def _named_by_language(files: Iterable[str], has_reader: Callable[[str], bool]) -> Iterator[PublishedFile]:
    for file in files:
        name = file.rpartition("/")[2]
        stem = without_compression(name).rpartition(".")[0]
        if has_reader(name) and (code := code_or_none(stem)):
            yield PublishedFile(file, code, file, "folders of one split", written=stem)


def _language_folder(name: str) -> str | None:
    """Return the language of a folder (`sw`, `swahili`, `lang=sw`, `sw.parquet`); None for other names."""
    column, equals, value = name.partition("=")
    if equals and column.lower() in ("lang", "language"):
        name = value
    # Spark writes a folder of files that has the name of a file.
    name = _DATA_FOLDER.sub("", name)
    try:
        return language_of(name.removesuffix("_meta"))[0]
    except LanguageError:
        return None


def _files_below(folder: Path, shown: str, depth: int = _DEPTH) -> Iterator[str]:
    """Yield the path of each regular file in `folder` and in its subfolders, sorted by folder and name.

    Hidden files are left out. The paths begin with `shown` instead of the path of the folder. Subfolders are read down
    to `depth` levels, of which the folder is the first.
    """
    try:
        entries = sorted(entry for entry in folder.iterdir() if not entry.name.startswith("."))
    except OSError:
        return
    for entry in entries:
        if entry.is_file():
            yield f"{shown}/{entry.name}"
        elif entry.is_dir() and depth > 1:
            yield from _files_below(entry, f"{shown}/{entry.name}", depth - 1)


def chosen_split(files: Iterable[PublishedFile], wanted: str | None) -> str:
    """Return the split to read: the requested split, or the first of `SPLIT_ORDER` that a file has; may be empty."""
    present = {file.split for file in files if file.split}
    if wanted is not None:
        return _SPLITS.get(wanted, wanted)
    return next((split for split in SPLIT_ORDER if split in present), "")
