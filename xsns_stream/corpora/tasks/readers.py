"""Readers for files of labelled examples."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from xsns_stream.corpora.columns import LABEL_COLUMNS, TEXT_COLUMNS
from xsns_stream.corpora.conll import read_two_columns
from xsns_stream.corpora.decoding import COMPRESSIONS, file_text
from xsns_stream.corpora.examples import Malformed, Tell, Unit, encodable, ignore, without_control, without_invisible
from xsns_stream.corpora.file_names import SPLIT_NAMES
from xsns_stream.corpora.labels import (
    AUTO,
    TASK_NAMES,
    checked,
    from_bioes,
    in_iob2,
    unlabelled_where_blank,
)
from xsns_stream.corpora.readers import COLUMN_READERS, describe, json_rows, read_units
from xsns_stream.corpora.text_checks import examined
from xsns_stream.errors import CorpusError
from xsns_stream.types import ReadCounts, TextExample
from xsns_stream.types.text import AnswerSpan

# `german-4980-val`: the language, the number, the split.
_NUMBERED: Final = re.compile(r"[a-z]+-(\d+)-(?:train|val|dev|test)")
# XNLI's development set has so many pairs in each language, numbered through all languages, and three to a premise.
_XNLI_PAIRS: Final = 2490
_XNLI_HYPOTHESES: Final = 3


class Item(NamedTuple):
    """An example and what its translations are called too (:func:`shared_name`); empty where it has no name."""

    identifier: str
    example: TextExample


def shared_name(identifier: str, task: str) -> str:
    """Return what an example's identifier has in common with those of its translations.

    Args:
        identifier: As the file has it. Most data sets call translations the same; of PAWS-X's `german-10-val` and
            XNLI's `german-4980-val` the number says which example it is.
        task: Whose data they are.
    """
    match = _NUMBERED.fullmatch(identifier)
    if match is None:
        return identifier
    number = int(match[1])
    return str(number % _XNLI_PAIRS // _XNLI_HYPOTHESES if task == "nli" else number)


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
        yield from (("", unit) for unit in examined(read_two_columns(path), path.name, tell))
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


def _has_header(path: Path) -> bool:
    """Tell whether a .tsv is a table, whose first line names a column of text and one of labels."""
    first = file_text(path).partition("\n")[0].strip().split("\t")
    return len(_HEADERS.intersection(first)) > 1


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


_SPLIT_COLUMN, _CLASS_COLUMN = "split", "category"
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
    if not {_SPLIT_COLUMN, _CLASS_COLUMN} <= set(header):
        raise CorpusError(
            f"{path.name} lacks the columns {_SPLIT_COLUMN} and {_CLASS_COLUMN}.",
            "after its header it has a line for each text.",
        )
    split, category = header.index(_SPLIT_COLUMN), header.index(_CLASS_COLUMN)
    found = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header) or row[split] not in SPLIT_NAMES or not row[category].strip():
            raise CorpusError(f"line {number} of {path.name} does not say split and category.", "fill both columns.")
        found.append(LineLabel(SPLIT_NAMES[row[split]], row[category].strip()))
    return tuple(found)
