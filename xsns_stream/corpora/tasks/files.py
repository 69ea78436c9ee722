"""Readers of one file of labelled examples (two columns, SQuAD's JSON, a table), and the layouts of folders."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Any, Final

from xsns_stream.corpora.decoding import COMPRESSIONS, check_encoding, not_regular, not_utf8_hint, open_bytes, readable
from xsns_stream.corpora.examples import (
    TEXT_COLUMNS,
    Malformed,
    Tell,
    Unit,
    encodable,
    ignore,
    without_control,
    without_invisible,
)
from xsns_stream.corpora.json_rows import json_rows
from xsns_stream.corpora.labels import AUTO, LABEL_COLUMNS
from xsns_stream.corpora.naming import NotRead
from xsns_stream.corpora.readers import describe, read_units
from xsns_stream.corpora.suspicions import examined
from xsns_stream.corpora.tables import COLUMN_READERS
from xsns_stream.corpora.tasks.numbered import is_numbered, read_numbered
from xsns_stream.corpora.tasks.relabelling import TASK_NAMES, checked, from_bioes, in_iob2, unlabelled_where_blank
from xsns_stream.corpora.tasks.splitting import Item, shared_name
from xsns_stream.corpora.treebanks import TreebankFile, treebank_file, treebank_files
from xsns_stream.errors import CorpusError, LanguageError
from xsns_stream.languages import normalise
from xsns_stream.types import ReadCounts, TextExample
from xsns_stream.types.text import AnswerSpan

#: What authors call their splits.
SPLIT_NAMES: Final[Mapping[str, str]] = {
    "train": "train",
    "dev": "dev",
    "validation": "dev",
    "valid": "dev",
    "val": "dev",
    "test": "test",
}
#: A file that holds all splits of a language.
WHOLE: Final = "whole"
#: SIB-200: which line is of which split, and of which class.
LINE_LABELS: Final = "labels.tsv"
_SPLIT: Final = "|".join(SPLIT_NAMES)
# Universal Dependencies has a treebank where others have a script or a region, so that the suffix must tell.
_TREEBANK: Final = re.compile(rf"(?P<language>[a-z]{{2,3}})_[a-z0-9]+-(?:ud-)?(?P<split>{_SPLIT})")
_NAMED: Final = re.compile(rf"(?P<language>[A-Za-z0-9_-]+?)[-._](?P<split>{_SPLIT})")
_IGNORED: Final = (".", "README", "LICENSE", "manifest.")


@dataclass(frozen=True)
class Layout:
    """The files of a folder.

    Attributes:
        files: {(language, split or `WHOLE`): file}.
        skipped: Names that say no language.
        not_read: All files that are left out, these among them, with the reasons.
        unclear: Language → why it cannot be read: two files say that they are the same split of it.
        line_labels: SIB-200's file of labels, where the other files hold text alone; else None.
        joined: A file of `files` → all files that are read with it as one, itself first: those of treebanks.
        treebanks: Language → its treebanks, where some are read as one.
    """

    files: Mapping[tuple[str, str], Path]
    skipped: tuple[str, ...] = field(default=())
    line_labels: Path | None = None
    not_read: tuple[NotRead, ...] = ()
    unclear: Mapping[str, CorpusError] = field(default_factory=dict)
    joined: Mapping[Path, tuple[Path, ...]] = field(default_factory=dict)
    treebanks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def languages(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted({language for language, _ in self.files}))


def find_layout(folder: Path, task: str) -> Layout:
    """Look at a folder, and at the folders in it that are named by languages.

    Raises:
        CorpusError: It cannot be read, or no file says language and split.
    """
    entries = _entries(folder)
    line_labels = next((entry for entry in entries if entry.name == LINE_LABELS and task == "topic"), None)
    found: dict[tuple[str, str], Path] = {}
    unclear: dict[str, CorpusError] = {}
    skipped, twice = [], []
    joined: dict[Path, tuple[Path, ...]] = {}
    treebanks: dict[str, dict[str, None]] = {}
    for name, place, path in _candidates(entries, task, lines=line_labels is not None):
        code = _code(name)
        if code is None:
            skipped.append(path.name if path.parent == folder else _shown(path))
            continue
        first = found.setdefault((code, place), path)
        bank = None if path.parent == folder else _of_treebank(path, task)
        if bank:
            treebanks.setdefault(code, {})[bank.treebank] = None
        if first is path:
            continue
        if bank and first.parent != folder and _of_treebank(first, task):
            joined[first] = (*joined.get(first, (first,)), path)
        else:
            twice.append(path)
            both = f"both {_shown(found[code, place])} and {_shown(path)} are the {place} data of '{code}'."
            hint = "keep one of them, or tell them apart in the name (as sr-Latn and sr-Cyrl)."
            unclear.setdefault(code, CorpusError(both, hint))
    _refuse_mixed(found)
    if not found:
        raise _nothing(folder, task, [entry.name for entry in entries])
    taken = {*found.values(), *chain(*joined.values()), *twice, *filter(None, (line_labels,))}
    left = tuple(_left_out(entries, task, taken))
    several = {code for (code, _), path in found.items() if path in joined}
    banks = {code: tuple(treebanks[code]) for code in sorted(several) if len(treebanks[code]) > 1}
    return Layout(found, tuple(skipped), line_labels, left, unclear, joined, banks)


def _of_treebank(path: Path, task: str) -> TreebankFile | None:
    """Return what the name of a treebank's file says; None for other files."""
    return treebank_file(path, suffix_of(path.name, task))


def _entries(folder: Path) -> list[Path]:
    try:
        return sorted(entry for entry in folder.iterdir() if not entry.name.startswith(_IGNORED))
    except OSError as error:
        raise CorpusError(f"the folder '{folder}' cannot be read ({error.strerror}).") from error


def _candidates(entries: Iterable[Path], task: str, *, lines: bool) -> Iterator[tuple[str, str, Path]]:
    """Yield (language as written, empty where there is none; split or WHOLE; file)."""
    for entry in entries:
        if entry.is_dir():
            banks, _ = treebank_files(entry, lambda name: suffix_of(name, task))
            yield from ((each.language, each.split, each.path) for each in banks if each.path.is_file())
            for path in _entries(entry):
                suffix = suffix_of(path.name, task)
                stem = path.name[: -len(suffix)] if suffix else path.name
                split = SPLIT_NAMES.get(stem)
                if split and path.is_file() and (suffix or not path.suffix):
                    yield entry.name, split, path
            continue
        if lines:
            if entry.suffix == ".txt":
                yield entry.stem, WHOLE, entry
            continue
        suffix = suffix_of(entry.name, task)
        if suffix is None or not entry.is_file():
            continue
        stem = entry.name[: -len(suffix)]
        match = (_TREEBANK.fullmatch(stem) if suffix.startswith(".conllu") else None) or _NAMED.fullmatch(stem)
        if bank := treebank_file(entry, suffix):
            yield bank.language, bank.split, entry
        elif match:
            yield match["language"], SPLIT_NAMES[match["split"]], entry
        elif stem not in SPLIT_NAMES:  # `dev` and `val` are codes of languages too
            yield stem, WHOLE, entry
        else:
            yield "", WHOLE, entry


def _left_out(entries: Iterable[Path], task: str, taken: Collection[Path]) -> Iterator[NotRead]:
    """Yield the files and folders that nothing is read from."""
    for entry in entries:
        if entry in taken:
            continue
        if not entry.is_dir():
            known = suffix_of(entry.name, task) is not None
            reason = "its name says no language" if known else f"its suffix holds no data of {task}"
            yield NotRead(entry.name, not_regular(entry) or reason)
            continue
        inside = _entries(entry)
        if not any(path in taken for path in inside):
            yield NotRead(f"{entry.name}/", "not a folder of a language, or a treebank, with train, dev or test files")
            continue
        for path in inside:
            if path not in taken:
                reason = f"not named train, dev or test with a suffix of {task}"
                if any(each in taken and _of_treebank(each, task) for each in inside):
                    reason = f"no file of a treebank with a suffix of {task}, or one of them again"
                yield NotRead(f"{entry.name}/{path.name}", not_regular(path) or reason)


def _refuse_mixed(found: Mapping[tuple[str, str], Path]) -> None:
    """Refuse a language with its splits and a whole file: what is cut from this may stand in those."""
    for (code, place), path in found.items():
        if place != WHOLE and (code, WHOLE) in found:
            raise CorpusError(
                f"{_shown(path)} is one split of '{code}', and {_shown(found[code, WHOLE])} is to be cut into splits.",
                "keep either the splits or the whole file in the folder.",
            )


def _code(name: str) -> str | None:
    try:
        return normalise(name)
    except LanguageError:
        return None


def _shown(path: Path) -> str:
    return f"{path.parent.name}/{path.name}"


def _nothing(folder: Path, task: str, names: list[str]) -> CorpusError:
    first = SUFFIXES[TASK_NAMES[task]][0]
    listed = (", ".join(names[:5]) + (" …" if len(names) > 5 else "")) or "nothing"
    return CorpusError(
        f"no file in '{folder}' says by its name which language and split of {task} it holds: there is {listed}.",
        f"name them as sw-train{first}, or sw/train{first}, or sw{first} where there are no splits; "
        f"suffixes for {task}: {suffixes_shown(task)}.",
    )


#: Suffixes of files with a word and a tag a line; a .tsv may be one, or a table.
TWO_COLUMNS: Final = (".txt", ".bio", ".iob", ".iob2", ".conll", ".tsv")
_TABLES: Final = (".jsonl", ".csv", ".tsv", ".parquet")
# Parquet is compressed within.
_NONE: Final = frozenset(f".parquet{packed}" for packed in COMPRESSIONS)
#: What can be read for each kind of label.
SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    kind: tuple(name for packed in ("", *COMPRESSIONS) for suffix in suffixes if (name := suffix + packed) not in _NONE)
    for kind, suffixes in {
        "words": (".conllu", *TWO_COLUMNS, *(suffix for suffix in _TABLES if suffix not in TWO_COLUMNS)),
        "pair": _TABLES,
        "text": _TABLES,
        "answer": (".json", *_TABLES),
    }.items()
}
# As in :func:`~xsns_stream.corpora.decoding.lines`.
_LINE_END: Final = re.compile(r"\r*\n|\r")
# A byte order mark as `cat` leaves it at the beginning of a later line; not a word of nothing else.
_LATER_MARK: Final = re.compile("\n\ufeff(?![ \t])")
#: What PAWS-X has in place of a sentence that was not translated.
_NOT_TRANSLATED: Final = "NS"
#: A sentence of pairs that stands in more examples than these, in number and share, is said.
_OFTEN: Final = 10
_OFTEN_SHARE: Final = 0.01
_IDENTIFIERS: Final = ("id", "uid", "index_id", "pairID")
# What the header of a table holds, where a file of two columns has its first word and tag.
_HEADERS: Final = frozenset((*TEXT_COLUMNS, *LABEL_COLUMNS))


def suffixes_shown(task: str) -> str:
    """Return the suffixes that can hold this task's data, for messages: those of compressed files in one phrase."""
    plain = [suffix for suffix in SUFFIXES[TASK_NAMES[task]] if not suffix.endswith(tuple(COMPRESSIONS))]
    return f"{', '.join(plain)}; all but .parquet also with {', '.join(COMPRESSIONS)}"


def suffix_of(name: str, task: str) -> str | None:
    """Return the suffix of a file's name that can hold this task's data; None where it has none."""
    lower = name.lower()
    known = sorted(SUFFIXES[TASK_NAMES[task]], key=len, reverse=True)
    return next((suffix for suffix in known if lower.endswith(suffix) and len(lower) > len(suffix)), None)


def read_items(path: Path, task: str, tell: Tell = ignore) -> tuple[list[Item], ReadCounts]:
    """Return the labelled examples of a file in their order, repeated ones too, and what was left out.

    Args:
        path: The file.
        task: Whose labels it holds.
        tell: Takes sentences on how the file is read, where that had to be decided.

    Raises:
        CorpusError: It cannot be read, is malformed, or holds labels of another kind.
    """
    return sort_out(_readable(path, task, tell), task, "example", path.name, tell)


def sort_out(
    units: Iterable[tuple[str, Unit]], task: str, what: str, where: str, tell: Tell = ignore
) -> tuple[list[Item], ReadCounts]:
    """Return the labelled examples among units, in their order, and what was left out.

    Args:
        units: Each with its identifier, empty where it has none.
        task: Whose labels they hold.
        what: What to call a unit in a message: `row`.
        where: The file or data set, for messages.
        tell: Takes sentences on sentences of pairs that stand for nothing.

    Raises:
        CorpusError: A unit holds a label of another kind.
    """
    kept: list[Item] = []
    read = empty = undecodable = unlabelled = control = malformed = untranslated = 0
    for identifier, found in units:
        read += 1
        if isinstance(found, Malformed):
            malformed += 1
            continue
        plain = found and without_control(found)
        control += plain is not found
        unit = plain and unlabelled_where_blank(without_invisible(plain))
        if unit is None:
            undecodable += 1
        elif not unit.text or unit.pair == "":
            empty += 1
        elif unit.label is None:
            unlabelled += 1
        else:
            example = checked(unit, task, f"{what} {read} of {where}")
            untranslated += task == "pi" and _NOT_TRANSLATED in (example.text, example.pair)
            kept.append(Item(shared_name(identifier, task), example))
    if untranslated:
        tell(
            f"{untranslated} of the {len(kept)} labelled examples of {where} are not translated: they have "
            f"'{_NOT_TRANSLATED}' for a sentence, and are used as they are."
        )
    elif task == "pi":
        _say_often(kept, where, tell)
    iob1 = 0
    if task == "ner":
        plain_iob, prefixes = from_bioes([item.example for item in kept])
        if prefixes:
            tell(f"the tags of {where} are BIOES or BILOU ({', '.join(prefixes)}): they are read as IOB2.")
        examples, iob1 = in_iob2(plain_iob)
        kept = [item._replace(example=example) for item, example in zip(kept, examples, strict=True)]
    counts = ReadCounts(read, empty, 0, undecodable, len(kept), unlabelled, control, malformed=malformed, iob1=iob1)
    return kept, counts


def _say_often(items: Sequence[Item], where: str, tell: Tell) -> None:
    """Tell which sentence stands in so many pairs that it may stand for nothing."""
    counted = Counter(text for item in items for text in {item.example.text, item.example.pair} if text)
    text, number = next(iter(counted.most_common(1)), ("", 0))
    if number > _OFTEN and number > _OFTEN_SHARE * len(items):
        tell(f"{number} of the {len(items)} labelled examples of {where} share the sentence {str(text)[:40]!r}.")


def left_out(counts: ReadCounts, where: str) -> str:
    """Return sentences on examples that cannot be used whatever their label, or were changed; empty for none."""
    named = ((counts.empty, "empty"), (counts.undecodable, "not UTF-8"), (counts.malformed, "malformed"))
    parts = [f"{number} {what}" for number, what in named if number]
    said = [f"left out of the {counts.read} examples of {where}: {', '.join(parts)}."] if parts else []
    if counts.control:
        said.append(f"control characters are removed from {counts.control} of the {counts.read} examples of {where}.")
    if counts.iob1:
        said.append(f"the tags of {where} are IOB1, in which entities begin with I-: they are read as IOB2.")
    return " ".join(said)


def need_some(items: list[Item], counts: ReadCounts, where: str) -> None:
    """Refuse a file without labelled examples.

    Raises:
        CorpusError: There are none.
    """
    if not items:
        raise CorpusError(f"{where} has no labelled example: {describe(counts)}.", "check --task and the file.")


def _readable(path: Path, task: str, tell: Tell) -> Iterator[tuple[str, Unit]]:
    try:
        yield from _units(path, task, tell)
    except OSError as error:
        raise CorpusError(f"{path.name} cannot be read ({error.strerror or error}).", "check the path.") from error


def _units(path: Path, task: str, tell: Tell) -> Iterator[tuple[str, Unit]]:
    kind = TASK_NAMES[task]
    # WikiANN's own distribution names its files `train`, `dev` and `test`, and no more.
    suffix = suffix_of(path.name, task) or (".txt" if kind == "words" and not path.suffix else None)
    if suffix is None:
        hint = f"these do: {suffixes_shown(task)}."
        raise CorpusError(f"{path.name} has a suffix that holds no data of {task}.", hint)
    plain = next((suffix.removesuffix(packed) for packed in COMPRESSIONS if suffix.endswith(packed)), suffix)
    if kind == "words" and plain in TWO_COLUMNS and not (plain == ".tsv" and _has_header(path)):
        yield from (("", unit) for unit in examined(_two_columns(path), path.name, tell))
    elif plain == ".json":
        yield from _squad(_json(file_text(path), path.name), path.name)
    elif plain == ".jsonl" and kind == "answer" and '"qas"' in file_text(path):
        # Not splitlines(), for which the separators of Unicode within a passage end lines too.
        for number, line in enumerate(file_text(path).split("\n"), 1):
            if line.strip():
                where = f"line {number} of {path.name}"
                yield from _passage(_json(line, where), where)
    else:
        yield from zip(_identifiers(path, plain), read_units(path, labels=AUTO, tell=tell), strict=False)


def file_text(path: Path) -> str:
    """Return a whole file, compressed or not, without a byte order mark, all line ends alike.

    Raises:
        CorpusError: It cannot be read, or is not UTF-8.
    """
    with readable(path), open_bytes(path) as stream:
        data = stream.read()
    check_encoding(data, path.name)
    try:
        return _LATER_MARK.sub("\n", _LINE_END.sub("\n", data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(
            f"line {line} of {path.name} is not UTF-8 ({error.reason}).", not_utf8_hint(path.name)
        ) from error


# ---------------------------------------------------------------------------------------- two columns


def _has_header(path: Path) -> bool:
    """Tell whether a .tsv is a table, whose first line names a column of text and one of labels."""
    first = file_text(path).partition("\n")[0].strip().split("\t")
    return len(_HEADERS.intersection(first)) > 1


def _two_columns(path: Path) -> Iterator[Unit]:
    """Yield the sentences of a file with a word and its tag a line, and empty lines between sentences.

    The tag is the last field, the word the first, separated by a tab or by spaces; WikiANN's `de:` before words goes
    where all words of the file have it. Files whose words are numbered have the tag in the third column.
    """
    words: list[str] = []
    tags: list[str] = []
    width = 0
    lines = file_text(path).split("\n")
    if is_numbered(lines):
        yield from read_numbered(lines, path.name)
        return
    prefix = _language_prefix(lines, path)
    for number, line in enumerate(lines, 1):
        fields = _fields(line)
        if not fields or fields[0] == "-DOCSTART-":
            if words:
                yield _sentence(words, tags)
            words, tags = [], []
            continue
        # A word with a space in it would lose its end.
        if len(fields) < 2 or (width and len(fields) != width):
            raise _bad_line(line, fields, width, f"line {number} of {path.name}")
        width = len(fields)
        word = (fields[0].removeprefix(prefix) or fields[0]).strip()
        if word:
            words.append(word)
            tags.append("" if fields[-1] == "_" else fields[-1])
    if words:
        yield _sentence(words, tags)


def _fields(line: str) -> list[str]:
    """Return the fields of a line; none where it is empty."""
    if not line.strip():
        return []
    if "\t" in line:
        return [field.strip() for field in line.split("\t")]
    # No other white space separates: a no-break space stands in words.
    return [field for field in line.split(" ") if field]


def _sentence(words: list[str], tags: list[str]) -> Unit:
    return encodable(TextExample(tuple(words), None, tuple(tags) if any(tags) else None))


def _bad_line(line: str, fields: list[str], width: int, where: str) -> CorpusError:
    hint = "separate word and tag by a tab or a space, and sentences by an empty line."
    if len(fields) < 2:
        return CorpusError(f"{where} holds one field, not a word and its tag: {line.strip()[:40]!r}.", hint)
    held = f"{len(fields)} fields, where the lines above have {width}"
    return CorpusError(f"{where} holds {held}: {line.strip()[:40]!r}.", hint)


def _language_prefix(lines: Iterable[str], path: Path) -> str:
    """Return WikiANN's prefix, which is the name of the language's folder or file, where all words have it."""
    words = [fields[0] for line in lines if (fields := _fields(line)) and fields[0] != "-DOCSTART-"]
    before, colon, _ = (words[0] if words else "").partition(":")
    named = path.name.startswith(before) and path.name[len(before) : len(before) + 1] in ("", "-", "_", ".")
    if not before or not colon or not (named or before == path.parent.name):
        return ""
    return f"{before}:" if all(word.startswith(f"{before}:") for word in words) else ""


# -------------------------------------------------------------------------------------------- answers


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is not JSON ({error}).", "check that the file is whole.") from error


def _squad(document: Any, where: str) -> Iterator[tuple[str, Unit]]:
    """Yield the questions of a document as SQuAD has it: data → paragraphs → qas → answers."""
    articles = document.get("data") if isinstance(document, Mapping) else None
    if not isinstance(articles, list):
        raise CorpusError(f"{where} is JSON, but not as SQuAD has it.", "it holds `data`, a list of articles.")
    for article in articles:
        paragraphs = article.get("paragraphs") if isinstance(article, Mapping) else None
        if not isinstance(paragraphs, list):
            raise CorpusError(f"an article of {where} has no `paragraphs`.", "each holds a context and its questions.")
        for paragraph in paragraphs:
            yield from _passage(paragraph, where)


def _passage(paragraph: Any, where: str) -> Iterator[tuple[str, Unit]]:
    """Yield a passage's questions: objects as SQuAD has them, or [id, question, answer, start]."""
    context = paragraph.get("context") if isinstance(paragraph, Mapping) else None
    questions = paragraph.get("qas") if isinstance(paragraph, Mapping) else None
    if not isinstance(context, str) or not isinstance(questions, list):
        raise CorpusError(f"a passage of {where} lacks its context or its questions.", "keys: context and qas.")
    for question in questions:
        yield _question(question, context, where)


def _question(question: Any, context: str, where: str) -> tuple[str, Unit]:
    try:
        if isinstance(question, Mapping):
            identifier, asked, answers = question.get("id"), question["question"], question.get("answers") or []
            text, start = (answers[0]["text"], answers[0]["answer_start"]) if answers else ("", -1)
        else:
            identifier, asked, text, start = question
        if not isinstance(asked, str):
            raise TypeError("a question that is no text")
        stands = bool(text) and start >= 0 and context[start : start + len(text)] == text
        label = AnswerSpan(start, text) if stands else None
        return _name(identifier), encodable(TextExample(asked, context, label))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise CorpusError(
            f"a question of {where} is not as SQuAD has it ({error!r}).",
            "it holds id, question, and answers with text and answer_start.",
        ) from error


# ---------------------------------------------------------------------------------------- identifiers


def _identifiers(path: Path, suffix: str) -> Iterator[str]:
    """Yield what a table calls its rows, in their order; empty names without end where it has no such column."""
    if suffix == ".jsonl":
        file_text(path)  # labelled data are UTF-8 throughout
        for row in json_rows(path):
            names: Mapping[str, Any] = row or {}
            yield _name(next((names[name] for name in _IDENTIFIERS if name in names), None))
    elif suffix in COLUMN_READERS:
        yield from COLUMN_READERS[suffix](path, _IDENTIFIERS)
    while True:
        yield ""


def _name(identifier: object) -> str:
    """Return an identifier as text; nothing is none, not one that all such examples share."""
    return "" if identifier is None else str(identifier)
