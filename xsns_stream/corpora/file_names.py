"""Languages, splits, shards and treebanks that the names of files state.

A language is never guessed. A file without an unambiguous language in its name is left out, with the reason. The layout
of Universal Dependencies is also recognised: a folder for each treebank, with a file for each split
(`UD_Dutch-Alpino/nl_alpino-ud-train.conllu`). The treebanks of one language are joined in the order of their names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from pathlib import Path
from typing import Final, NamedTuple

from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.languages import changed_language, code_or_none, is_label, words_of_name

#: Names of splits and of sides of a translation; several are also codes of small languages (`dev` is Domung).
SPLIT_WORDS: Final = frozenset(
    (
        *("train", "dev", "test", "valid", "validation", "val", "eval", "old"),
        *("all", "src", "tgt", "trg", "ref", "hyp", "sys", "log", "out"),
    )
)
#: Other common names of files, many of which are codes of small languages (`raw` is Rawang, `doc` is Northern Dong).
FILE_WORDS: Final = frozenset(
    (
        *("data", "raw", "tmp", "temp", "err", "readme", "doc", "docs", "lic", "txt", "xml", "csv", "tsv", "tar"),
        *("cfg", "ids", "lex", "lst", "pos", "ner", "tag", "bpe", "set", "sub", "mix", "pre", "res", "con", "etc"),
        *("max", "sum", "std", "ave", "top", "big", "one", "two", "unk", "und", "mul", "mis", "zxx"),
    )
)
#: Codes of languages with much text that are common names of files, too. They are not read as languages if another file
#: is named by a word of `SPLIT_WORDS`: `mt` is Maltese, but beside `src` and `ref` it is the output of machine
#: translation.
SIDE_WORDS: Final = frozenset({"mt", "new", "bin", "min", "run", "fin", "in"})
#: Name of a split in names of files → name of the split: `train`, `dev` or `test`.
SPLIT_NAMES: Final[Mapping[str, str]] = {
    "train": "train",
    "dev": "dev",
    "validation": "dev",
    "valid": "dev",
    "val": "dev",
    "test": "test",
}
_WITH_SPLIT: Final = re.compile(r"(?P<language>.+?)[-._](?P<split>train|dev|test|valid|validation|val)", re.IGNORECASE)
#: The characters of a label, for messages.
LABEL_CHARACTERS: Final = "at most 64 characters: ASCII letters and digits, with single '-', '_' or '.' between them"
#: Largest number of names in a message.
_NAMED: Final = 5
_SHARD: Final = re.compile(r"(?P<stem>.+?)[-._](?P<number>\d{1,6})-of-(?P<total>\d{1,6})")
# Large treebanks are divided into parts: cs_pdt-ud-train-c, de_hdt-ud-train-a-1.
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
        kind: What is left out: `file`, `configuration` of a data set, or `value` or `column` of a table.
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
    """Return the shard of a file name without its suffix; None for other names.

    >>> shard_of("de-00000-of-00002")
    Shard(stem='de', number=0, total=2)
    """
    match = _SHARD.fullmatch(stem)
    return Shard(match["stem"], int(match["number"]), int(match["total"])) if match else None


def missing_shards(numbers: Iterable[int], total: int) -> list[int]:
    """Return the numbers of the shards that are missing among `total` shards, which are numbered from 0 or from 1."""
    present = set(numbers)
    start = 1 if total in present and 0 not in present else 0
    return [number for number in range(start, start + total) if number not in present]


def composed(name: str) -> str:
    """Return the name of a file in NFC. macOS may store é as two code points, and users type it as one."""
    return name if name.isascii() else unicodedata.normalize("NFC", name)


def as_on_disk(path: str) -> str:
    """Return a path with the file name as it is on disk, if the given name differs only in Unicode normalisation."""
    given = Path(path)
    if path.isascii() or given.exists() or not given.parent.is_dir():
        return path
    same = [entry for entry in given.parent.iterdir() if composed(entry.name) == composed(given.name)]
    return str(same[0]) if same else path


# ------------------------------------------------------------------------------------------ labels


class StoredLabels(dict[str, str]):
    """Labels of files from the record of a store: {file: label}. The files may have been moved or deleted since."""

    @classmethod
    def of(cls, label: Mapping[str, str] | Iterable[str]) -> StoredLabels:
        """Return the labels that a `label` option gives (a mapping, or texts FILE=LABEL); see :meth:`Naming.of`."""
        return cls(Naming.of(label=label).given)


@dataclass(frozen=True)
class Naming:
    """Rule for the labels of the files of a corpus.

    Attributes:
        as_given: Whether the names of files are the labels. If not, a label is the normalised code of a language.
        given: {name of a file: its label}; these labels are used unchanged.
        may_be_unused: Whether `given` may name files that do not exist.
    """

    as_given: bool = False
    given: Mapping[str, str] = field(default_factory=dict)
    may_be_unused: bool = False

    @classmethod
    def of(cls, as_given: bool = False, label: Mapping[str, str] | Iterable[str] = ()) -> Naming:
        """Return the naming rule for the values of the options `labels_as_given` and `label`.

        Args:
            as_given: See the class.
            label: {file: label}, or strings `FILE=LABEL`.

        Raises:
            UsageError: A string has no label, or two labels are given for a file.
            LanguageError: A label has an invalid character.
        """
        pairs = list(label.items()) if isinstance(label, Mapping) else [_file_and_label(text) for text in label]
        given: dict[str, str] = {}
        for file, name in pairs:
            if given.setdefault(composed(file), checked_label(name)) != name:
                raise UsageError(f"'{file}' has the labels {given[file]} and {name}.", "give one label for each file.")
        return cls(as_given, given, may_be_unused=isinstance(label, StoredLabels))

    def __bool__(self) -> bool:
        return self.as_given or bool(self.given)

    def label_of(self, stem: str, *names: str) -> tuple[str, str]:
        """Return the label of a file, and a note if its language is not obvious; see :func:`language_of`.

        Args:
            stem: The part of the name that states the language.
            names: Names of the file for which the label may have been given.

        Raises:
            LanguageError: The name has no unambiguous language, or cannot be a label.
        """
        given = next((self.given[each] for each in map(composed, names) if each in self.given), None)
        if given is not None:
            return given, ""
        if not self.as_given:
            return language_of(stem)
        if not is_unicode(stem) or not is_label(stem):
            raise LanguageError(f"its name cannot be a label, which has {LABEL_CHARACTERS}")
        return stem, ""

    def refuse_unused(self, used: Iterable[str], names: Sequence[str], where: str, kind: str = "file") -> None:
        """Raise an error for labels of files that do not exist, unless these labels come from a store.

        Args:
            used: All names of files for which a label may be given.
            names: Names of the files, for the hint.
            where: Phrase for the message that says where the files are, such as the name of a folder.
            kind: Singular noun for the named things in the message, such as `file` or `key`.

        Raises:
            CorpusError: There is no such file.
        """
        unused = set(self.given).difference(map(composed, used))
        if not unused or self.may_be_unused:
            return
        first = next(file for file in self.given if file in unused)
        near = get_close_matches(first, names, n=3)
        listed = ", ".join(near or names[:_NAMED]) + (" …" if not near and len(names) > _NAMED else "")
        there = f"there {'is' if len(names) < 2 else 'are'} {listed or f'no {kind} that can be read'}."
        raise CorpusError(
            f"a label is given for '{first}', which is not a {kind} of {where}.",
            f"did you mean {listed}?" if near else there,
        )


#: The default rule: labels are normalised codes.
CODES: Final = Naming()


def checked_label(text: str) -> str:
    """Return a text if it can be a label.

    Raises:
        LanguageError: The text cannot be a label.
    """
    if not isinstance(text, str) or not is_label(text):
        raise LanguageError(f"{text!r} cannot be a label.", f"a label has {LABEL_CHARACTERS}.")
    return text


def _file_and_label(text: str) -> tuple[str, str]:
    file, equals, label = text.rpartition("=")
    if not equals or not file:
        raise UsageError(f"'{text}' does not give the label of a file.", "write FILE=LABEL: aka_Latn.txt=ak-x-akan.")
    return file, label


def other_labels_note(labels: Iterable[str]) -> Iterator[str]:
    """Yield a sentence on labels that are not codes of languages, if there are any."""
    others = [label for label in labels if code_or_none(label) is None]
    if others:
        listed = ", ".join(others[:_NAMED]) + (" …" if len(others) > _NAMED else "")
        yield f"labels that are not codes of languages are not normalised: {listed}."


# --------------------------------------------------------------------------------------- languages


def language_of(stem: str) -> tuple[str, str]:
    """Return the language code of a file name without its suffix, and a note if the language is not obvious.

    The note continues a sentence that begins with the file name: `is read as en (English)`.

    Raises:
        LanguageError: The name has no unambiguous language; the message is the reason.
    """
    if is_file_word(stem):
        what = "the name of a split or a side" if stem.lower() in SPLIT_WORDS else "a common name of files"
        raise LanguageError(f"'{stem}' is {what}, not of a language{_if_meant(stem)}")
    if not is_unicode(stem):
        raise LanguageError("its name is not UTF-8; rename it")
    if stem != stem.strip():
        raise LanguageError(f"its name has white space before or after '{stem.strip()}'; rename it")
    if (code := code_or_none(stem)) is not None:
        return code, changed_language(stem, code)
    code = _english_names().get(words_of_name(stem))
    if code is not None:
        return code, f"is read as {code} ({_display(code)})"
    raise LanguageError(_no_language_reason(stem))


def _if_meant(stem: str) -> str:
    """Return the end of a message about a file name that is not read as a language; empty if it is not a language code.

    It says how to state that the name does mean the language.
    """
    if (code := code_or_none(stem)) is None:
        return ""
    return f"; if it is {_display(code)}, give the label: --label FILE={code}"


def is_file_word(stem: str) -> bool:
    """Return whether a name is a common name of files and therefore not read as a language, even if it is a code."""
    return stem.lower() in SPLIT_WORDS or stem.lower() in FILE_WORDS


def beside_splits(stem: str) -> str:
    """Return the reason why `stem` is not read as a language in a folder that has files named by a split or a side."""
    return f"'{stem}' is a common name of files in a folder with splits, not of a language{_if_meant(stem)}"


def is_unicode(name: str) -> bool:
    """Return whether the bytes of a file name are UTF-8.

    Python represents other bytes as surrogates, which cannot be printed.
    """
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _no_language_reason(stem: str) -> str:
    """Return the reason why a name has no language, with a suggestion."""
    import langcodes

    match = _WITH_SPLIT.fullmatch(stem)
    if match and code_or_none(match["language"]):
        return f"it is a split of '{match['language']}'; splits are read only with --task"
    written = stem.lower().replace("-", "_")
    if written in _WIKIPEDIA_CODES:
        return f"'{stem}' is not a language code; name it {_WIKIPEDIA_CODES[written]}"
    base, romanised, _ = written.partition("_rom")
    if romanised and (code := code_or_none(base)):
        return f"'{stem}' is not a language code; name it {code}-Latn if it is romanised"
    first = re.split(r"[-_.]", stem, maxsplit=1)[0]
    if is_label(stem) and first != stem and not is_file_word(first) and (code := code_or_none(first)):
        rest = re.sub(r"[^a-z0-9]+", "", stem[len(first) :].lower())[:8]
        return (
            f"'{stem}' is not a language code; if it is text in {_display(code)}, give a label "
            f"(--label FILE={code}-x-{rest}), or use the names of all files as labels (--labels-as-given)"
        )
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
            codes_of.setdefault(words_of_name(name), set()).add(code)
    # CLDR does not contain the name Mandarin. It calls `zh` Chinese, which means Mandarin Chinese.
    codes_of.setdefault(words_of_name("Mandarin Chinese"), {"zh"})
    codes_of.setdefault(words_of_name("Mandarin"), {"zh"})
    return {words: codes.pop() for words, codes in codes_of.items() if len(codes) == 1}


# --------------------------------------------------------------------------------------- treebanks


class TreebankFile(NamedTuple):
    """A file of a treebank, with the parts of its name.

    Attributes:
        path: The file.
        treebank: Language and treebank in the name: `en_ewt`.
        language: The language in the name: `en`.
        split: `train`, `dev` or `test`.
    """

    path: Path
    treebank: str
    language: str
    split: str


def treebank_file(path: Path, suffix: str | None) -> TreebankFile | None:
    """Return the parts of the name of a treebank file; None for a file with another name.

    Args:
        path: The file.
        suffix: The end of the name that is the suffix of the format; None if the file has no such suffix.
    """
    match = _TREEBANK_FILE.fullmatch(path.name[: -len(suffix)]) if suffix else None
    return TreebankFile(path, match["treebank"], match["language"], match["split"]) if match else None


def treebank_files(folder: Path, suffix_of: Callable[[str], str | None]) -> tuple[list[TreebankFile], list[Path]]:
    """Return the files of treebanks in a folder, in the order of their names, and all other files that are not hidden.

    If the names of two files differ only in the suffix, only the first file is used, because releases contain a file of
    plain text beside each CoNLL-U file.

    Args:
        folder: The folder.
        suffix_of: Function that returns the suffix of a file name, or None if it is not a suffix of treebank files.

    Raises:
        CorpusError: The folder cannot be read.
    """
    try:
        paths = sorted(path for path in folder.iterdir() if not path.name.startswith("."))
    except OSError as error:
        raise CorpusError(
            f"the folder '{folder}' cannot be read ({error.strerror}).", "check the path and the permissions."
        ) from error
    by_stem: dict[str, TreebankFile] = {}
    others: list[Path] = []
    for path in paths:
        suffix = suffix_of(path.name)
        file = treebank_file(path, suffix)
        if file is None or by_stem.setdefault(path.name[: -len(suffix or "")], file) is not file:
            others.append(path)
    return list(by_stem.values()), others


def check_treebank(treebank: str | None, treebanks: Iterable[str]) -> None:
    """Raise an error if a corpus does not have the chosen treebanks.

    Args:
        treebank: The value of `--treebank`, such as `GSD` or `en_ewt,GUM`.
        treebanks: Names of all treebanks: `de_gsd`.

    Raises:
        CorpusError: A name is not the name of a treebank of the corpus.
    """
    known = sorted(set(treebanks))
    for name in _chosen_names(treebank):
        if not any(_is_treebank(each, name) for each in known):
            listed = f"its treebanks are {', '.join(known)}." if known else "--treebank is for Universal Dependencies."
            raise CorpusError(f"the corpus has no treebank '{name}'.", listed)


def chosen_treebanks(treebank: str | None, treebanks: Iterable[str]) -> tuple[str, ...]:
    """Return the treebanks of one language to read: the chosen ones, or all if none is chosen.

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
