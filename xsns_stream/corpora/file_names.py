"""Names of files: the language, split, shard and treebank that a name stands for.

A language is never guessed. A file whose name does not state one for certain is left out, with the reason.

The layout of Universal Dependencies is recognised too: a folder for each treebank, with a file for each split
(`UD_Dutch-Alpino/nl_alpino-ud-train.conllu`). The treebanks of one language are joined in the order of their names.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from xsns_stream.errors import CorpusError, LanguageError
from xsns_stream.languages import code_or_none

#: Names of splits and of sides of a translation; several are codes of small languages too (`dev` is Domung).
SPLIT_WORDS: Final = frozenset(
    (
        *("train", "dev", "test", "valid", "validation", "val", "eval"),
        *("all", "src", "tgt", "trg", "ref", "hyp", "log", "out"),
    )
)
#: Name of a split in the files of many authors → name of the split.
SPLIT_NAMES: Final[Mapping[str, str]] = {
    "train": "train",
    "dev": "dev",
    "validation": "dev",
    "valid": "dev",
    "val": "dev",
    "test": "test",
}
_WITH_SPLIT: Final = re.compile(r"(?P<language>.+?)[-._](?P<split>train|dev|test|valid|validation|val)", re.IGNORECASE)
_SHARD: Final = re.compile(r"(?P<stem>.+?)[-._](?P<number>\d{1,6})-of-(?P<total>\d{1,6})")
# Large treebanks have parts: cs_pdt-ud-train-c, de_hdt-ud-train-a-1.
_TREEBANK_FILE: Final = re.compile(
    r"(?P<treebank>(?P<language>[a-z]{2,3})_[a-z0-9]+)-ud-(?P<split>train|dev|test)(?:-[a-z0-9]+)*"
)
#: Codes of Wikipedia, and of corpora made from it, that are not BCP 47 → the code of the language.
_WIKIPEDIA_CODES: Final[Mapping[str, str]] = {
    "zh_classical": "lzh",
    "zh_min_nan": "nan",
    "zh_yue": "yue",
    "bat_smg": "sgs",
    "be_x_old": "be-tarask",
    "cbk_zam": "cbk",
    "fiu_vro": "vro",
    "nds_nl": "nds-NL",
    "roa_rup": "rup",
    "simple": "en",
}


@dataclass(frozen=True, slots=True)
class UnreadFile:
    """A file of a corpus that is left out.

    Attributes:
        file: Name of the file; the name of a folder ends with `/`.
        reason: Why it is left out, without a full stop.
        kind: `file`, or `configuration` of a data set.
    """

    file: str
    reason: str
    kind: str = "file"


# ------------------------------------------------------------------------------------------ shards


@dataclass(frozen=True, slots=True)
class Shard:
    """A file that is one of several parts of a text: `de-00000-of-00002`.

    Attributes:
        stem: The name before the number, which is the language.
        number: Number of the shard, counted from 0 or from 1.
        total: Number of shards.
    """

    stem: str
    number: int
    total: int


def shard_of(stem: str) -> Shard | None:
    """Return the shard that a file name without its suffix stands for; None for other names.

    >>> shard_of("de-00000-of-00002")
    Shard(stem='de', number=0, total=2)
    """
    match = _SHARD.fullmatch(stem)
    return Shard(match["stem"], int(match["number"]), int(match["total"])) if match else None


def missing_shards(numbers: Iterable[int], total: int) -> list[int]:
    """Return the numbers that are missing among shards counted from 0, or from 1."""
    present = set(numbers)
    start = 1 if total in present and 0 not in present else 0
    return [number for number in range(start, start + total) if number not in present]


# --------------------------------------------------------------------------------------- languages


def language_of(stem: str) -> tuple[str, str]:
    """Return the language code of a file name without its suffix, and a note where the language is not obvious.

    The note continues a sentence that begins with the file name: `is read as en (English)`.

    Raises:
        LanguageError: The name does not state a language for certain; the message is the reason.
    """
    if stem.lower() in SPLIT_WORDS:
        also = f"; if it is the language, give it as --corpus {stem}=FILE too" if code_or_none(stem) else ""
        raise LanguageError(f"'{stem}' is the name of a split or a side, not of a language{also}")
    if not is_unicode(stem):
        raise LanguageError("its name is not UTF-8; rename it")
    if stem != stem.strip():
        raise LanguageError(f"its name has white space before or after '{stem.strip()}'; rename it")
    if (code := code_or_none(stem)) is not None:
        return code, _changed_language(stem, code)
    code = _english_names().get(_words(stem))
    if code is not None:
        return code, f"is read as {code} ({_display(code)})"
    raise LanguageError(_no_language_reason(stem))


def is_unicode(name: str) -> bool:
    """Whether the name of a file is UTF-8. Python represents other bytes as surrogates, which cannot be printed."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_language_reason(stem: str) -> str:
    """Return why a name does not state a language, with the language that it may mean."""
    import langcodes

    match = _WITH_SPLIT.fullmatch(stem)
    if match and code_or_none(match["language"]):
        return f"a split of '{match['language']}': splits are read with --task"
    written = stem.lower().replace("-", "_")
    if written in _WIKIPEDIA_CODES:
        return f"'{stem}' is not a language code; name it {_WIKIPEDIA_CODES[written]}"
    base, romanised, _ = written.partition("_rom")
    if romanised and (code := code_or_none(base)):
        return f"'{stem}' is not a language code; name it {code}-Latn if it is romanised"
    try:
        meant = langcodes.find(stem.replace("_", " ")).to_tag()
    except (LookupError, ValueError):
        return f"'{stem}' is neither a language code nor the English name of a language"
    return f"'{stem}' may mean {_display(meant)}; if so, name it {meant}"


def _display(code: str) -> str:
    import langcodes

    return str(langcodes.Language.get(code).display_name())


@lru_cache(maxsize=1)
def _english_names() -> Mapping[tuple[str, ...], str]:
    """Return {words of the English name in CLDR: code}, without names that two languages share."""
    from babel import Locale

    codes_of: dict[tuple[str, ...], set[str]] = {}
    for written, name in Locale("en").languages.items():
        if code := code_or_none(written):
            codes_of.setdefault(_words(name), set()).add(code)
    # CLDR has Chinese for `zh` alone, which is Mandarin Chinese there.
    codes_of.setdefault(_words("Mandarin Chinese"), {"zh"})
    codes_of.setdefault(_words("Mandarin"), {"zh"})
    return {words: codes.pop() for words, codes in codes_of.items() if len(codes) == 1}


def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name in a fixed order: `Chinese (Traditional)` equals `traditional_chinese`."""
    return tuple(sorted(re.findall(r"[^\W_]+", name.lower())))


def _changed_language(written: str, code: str) -> str:
    """Return a note where the normalised code names another language than was written; empty if it does not.

    Another length of the same code (`swa` → `sw`) is not another language, and neither is the main language of a
    macrolanguage (`arb` → `ar`, since Standard Arabic is Arabic).
    """
    import langcodes

    given = langcodes.Language.get(written, normalize=False)
    before, after = (given.language or "").lower(), code.split("-", maxsplit=1)[0]
    if before == after:
        return ""
    target = langcodes.Language.get(after)
    if len(before) == 3 and _alpha3(given) == _alpha3(target):
        return ""
    names = given.language_name(), target.language_name()
    if len(before) == 3 and set(_words(names[1])) <= set(_words(names[0])):
        return ""
    return f"is read as {code} ({_display(code)})"


def _alpha3(language: object) -> str:
    try:
        return str(language.to_alpha3())  # type: ignore[attr-defined]
    except LookupError:
        return ""


# --------------------------------------------------------------------------------------- treebanks


class TreebankFile(NamedTuple):
    """A file of a treebank, with the parts of its name.

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
    """Return the treebank file of a path with a known suffix; None for other files."""
    match = _TREEBANK_FILE.fullmatch(path.name[: -len(suffix)]) if suffix else None
    return TreebankFile(path, match["treebank"], match["language"], match["split"]) if match else None


def treebank_files(folder: Path, suffix_of: Callable[[str], str | None]) -> tuple[list[TreebankFile], list[Path]]:
    """Return the files of treebanks in a folder, in the order of their names, and all other files that are not hidden.

    If the names of files differ only in the suffix, the first file is taken: releases have the plain text beside the
    CoNLL-U.

    Args:
        folder: The folder.
        suffix_of: Function that returns the suffix of a file name; None if treebanks have no files with it.

    Raises:
        CorpusError: The folder cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise CorpusError(f"the folder '{folder}' cannot be read ({error.strerror}).") from error
    by_stem: dict[str, TreebankFile] = {}
    others: list[Path] = []
    for path in paths:
        suffix = suffix_of(path.name)
        file = treebank_file(path, suffix)
        if file is None or by_stem.setdefault(path.name[: -len(suffix or "")], file) is not file:
            others.append(path)
    return list(by_stem.values()), others


def check_treebank(treebank: str | None, treebanks: Iterable[str]) -> None:
    """Reject a choice of treebanks that a corpus does not have.

    Args:
        treebank: The value of `--treebank`, such as `GSD` or `en_ewt,GUM`.
        treebanks: Names of all treebanks: `de_gsd`.

    Raises:
        CorpusError: One of the names is not that of a treebank.
    """
    known = sorted(set(treebanks))
    for name in _chosen_names(treebank):
        if not any(_is_treebank(each, name) for each in known):
            listed = f"its treebanks are {', '.join(known)}." if known else "--treebank is for Universal Dependencies."
            raise CorpusError(f"the corpus has no treebank '{name}'.", listed)


def chosen_treebanks(treebank: str | None, treebanks: Iterable[str]) -> tuple[str, ...]:
    """Return the treebanks of one language that are read: the chosen ones, or all if none of them is chosen.

    >>> chosen_treebanks("GSD", ["de_gsd", "de_hdt"])
    ('de_gsd',)
    """
    names = tuple(treebanks)
    chosen = tuple(each for each in names if any(_is_treebank(each, name) for name in _chosen_names(treebank)))
    return chosen or names


def _chosen_names(treebank: str | None) -> list[str]:
    return [name for part in (treebank or "").split(",") if (name := part.strip().lower())]


def _is_treebank(treebank: str, name: str) -> bool:
    return name in (treebank, treebank.partition("_")[2])


def joined_treebanks_note(joined: Iterable[tuple[str, Iterable[str]]]) -> Iterator[str]:
    """Yield a sentence on languages whose treebanks are joined; none if there are no such languages.

    Args:
        joined: Code and treebanks of each language, the treebanks in the order in which they are read.
    """
    listed = [f"{code} ({', '.join(names)})" for code, each in joined if len(names := tuple(each)) > 1]
    if listed:
        yield f"treebanks of one language are joined in this order: {'; '.join(listed)}."
