"""Names of files: language, split, shard and treebank."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from xsns_stream.errors import CorpusError, LanguageError
from xsns_stream.languages import normalise

#: Names of splits and of sides of a translation; several are codes of small languages too (`dev` is Domung).
SPLIT_WORDS: Final = frozenset(
    (
        *("train", "dev", "test", "valid", "validation", "val", "eval"),
        *("all", "src", "tgt", "trg", "ref", "hyp", "log", "out"),
    )
)
_WITH_SPLIT: Final = re.compile(r"(?P<language>.+?)[-._](?P<split>train|dev|test|valid|validation|val)", re.IGNORECASE)
_SHARD: Final = re.compile(r"(?P<stem>.+?)[-._](?P<number>\d{1,6})-of-(?P<total>\d{1,6})")
#: What Wikipedia, and corpora made from it, call languages that have a code of another form.
_OTHER_CODES: Final[Mapping[str, str]] = {
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
class NotRead:
    """A file of a corpus that is left out.

    Attributes:
        file: Its name; a folder's ends with `/`.
        reason: Why, as it stands after the name in parentheses.
        kind: What it is: `file`, or `configuration` of a data set.
    """

    file: str
    reason: str
    kind: str = "file"


@dataclass(frozen=True, slots=True)
class Shard:
    """The place of a file among those that make one text: `de-00000-of-00002`.

    Attributes:
        stem: What stands before the number: the language.
        number: Counted from 0 or from 1.
        total: Number of files.
    """

    stem: str
    number: int
    total: int


def shard_of(stem: str) -> Shard | None:
    """Return the place that a name without its suffix says; None where it says none.

    >>> shard_of("de-00000-of-00002")
    Shard(stem='de', number=0, total=2)
    """
    match = _SHARD.fullmatch(stem)
    return Shard(match["stem"], int(match["number"]), int(match["total"])) if match else None


def missing_shards(numbers: Iterable[int], total: int) -> list[int]:
    """Return the numbers that are missing among shards counted from 0, or from 1."""
    there = set(numbers)
    start = 1 if total in there and 0 not in there else 0
    return [number for number in range(start, start + total) if number not in there]


def language_of(stem: str) -> tuple[str, str]:
    """Return the code of the language that a file's name without suffix says, and a note where it is not evident.

    The note reads on after the file's name: `is read as en (English)`.

    Raises:
        LanguageError: It says none for certain; the message is the reason.
    """
    if stem.lower() in SPLIT_WORDS:
        also = f"; if it is the language, give it as --corpus {stem}=FILE too" if _is_language(stem) else ""
        raise LanguageError(f"'{stem}' is the name of a split or a side, not of a language{also}")
    if not is_unicode(stem):
        raise LanguageError("its name is not UTF-8; rename it")
    if stem != stem.strip():
        raise LanguageError(f"white space stands before or after '{stem.strip()}' in its name; rename it")
    try:
        code = normalise(stem)
    except LanguageError:
        return _by_name(stem)
    return code, _changed(stem, code)


def is_unicode(name: str) -> bool:
    """Say whether the name of a file is UTF-8. Other bytes stand in it as surrogates, which cannot be written."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _by_name(stem: str) -> tuple[str, str]:
    code = _english_names().get(_words(stem))
    if code is not None:
        return code, f"is read as {code} ({_display(code)})"
    raise LanguageError(_why_not(stem))


def _why_not(stem: str) -> str:
    """Return why a name says no language, with what it may have meant."""
    import langcodes

    match = _WITH_SPLIT.fullmatch(stem)
    if match and _is_language(match["language"]):
        return f"a split of '{match['language']}': splits are read with --task"
    written = stem.lower().replace("-", "_")
    if written in _OTHER_CODES:
        return f"'{stem}' is no language code; name it {_OTHER_CODES[written]}"
    base, rom, _ = written.partition("_rom")
    if rom and _is_language(base):
        return f"'{stem}' is no language code; name it {normalise(base)}-Latn if it is romanised"
    try:
        meant = langcodes.find(stem.replace("_", " ")).to_tag()
    except (LookupError, ValueError):
        return f"'{stem}' is no language code and no English name of a language"
    return f"'{stem}' may mean {_display(meant)}; if so, name it {meant}"


def _is_language(text: str) -> bool:
    try:
        normalise(text)
    except LanguageError:
        return False
    return True


def _display(code: str) -> str:
    import langcodes

    return str(langcodes.Language.get(code).display_name())


@lru_cache(maxsize=1)
def _english_names() -> Mapping[tuple[str, ...], str]:
    """Return {words of the English name in CLDR: code}; names that two languages share are not there."""
    from babel import Locale

    found: dict[tuple[str, ...], set[str]] = {}
    for written, name in Locale("en").languages.items():
        if _is_language(written):
            found.setdefault(_words(name), set()).add(normalise(written))
    # CLDR has Chinese for `zh` alone, which is Mandarin Chinese there.
    found.setdefault(_words("Mandarin Chinese"), {"zh"})
    found.setdefault(_words("Mandarin"), {"zh"})
    return {words: codes.pop() for words, codes in found.items() if len(codes) == 1}


def _words(name: str) -> tuple[str, ...]:
    """Return the words of a name in a fixed order: `Chinese (Traditional)` is `traditional_chinese`."""
    return tuple(sorted(re.findall(r"[^\W_]+", name.lower())))


def _changed(written: str, code: str) -> str:
    """Return a note where standardising took another language than was written; empty where it is the same one.

    Another length of the code (`swa` → `sw`), and the main language of a macrolanguage (`arb` → `ar`, as Standard
    Arabic is Arabic) are no other language.
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


# Large treebanks have parts: cs_pdt-ud-train-c, de_hdt-ud-train-a-1.
_TREEBANK_FILE: Final = re.compile(
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
    match = _TREEBANK_FILE.fullmatch(path.name[: -len(suffix)]) if suffix else None
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


#: What authors call their splits.
SPLIT_NAMES: Final[Mapping[str, str]] = {
    "train": "train",
    "dev": "dev",
    "validation": "dev",
    "valid": "dev",
    "val": "dev",
    "test": "test",
}
