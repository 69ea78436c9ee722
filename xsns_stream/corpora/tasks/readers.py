"""Readers of files of labelled examples.

Most formats are also formats of unlabelled text, and the readers in :mod:`xsns_stream.corpora.readers` read them with
labels. This module adds the JSON of SQuAD and the parallel lines of SIB-200, and :mod:`xsns_stream.corpora.conll` adds
files with a word and its tag on each line. To read another labelled format, add its suffix to `SUFFIXES` and its reader
to :func:`_units`. A new format of tables needs only a reader in :mod:`xsns_stream.corpora.readers`.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, NamedTuple

from xsns_stream.corpora.columns import LABEL_COLUMNS, TEXT_COLUMNS
from xsns_stream.corpora.conll import read_two_columns
from xsns_stream.corpora.decoding import COMPRESSIONS, file_text
from xsns_stream.corpora.examples import (
    AddNote,
    Malformed,
    Unit,
    discard_note,
    encodable,
    without_control,
    without_invisible,
)
from xsns_stream.corpora.file_names import SPLIT_NAMES
from xsns_stream.corpora.json_lines import json_rows
from xsns_stream.corpora.labels import (
    AUTO,
    bioes_to_iob2,
    check_label,
    iob1_to_iob2,
    without_blank_tags,
)
from xsns_stream.corpora.readers import FORMATS, TABLES, describe_counts, read_units
from xsns_stream.corpora.text_checks import check_texts
from xsns_stream.errors import CorpusError
from xsns_stream.tasks import TASKS
from xsns_stream.types import ReadCounts, TextExample
from xsns_stream.types.text import AnswerSpan, other_answers

#: Suffixes of files with a word and its tag on each line; a .tsv file may be such a file or a table.
TWO_COLUMNS: Final = (".txt", ".bio", ".iob", ".iob2", ".conll", ".tsv")
_TABLES: Final = tuple(sorted(TABLES, key=lambda suffix: not FORMATS[suffix].compressible))
#: Suffixes of compressed tables in formats that are not read if they are compressed.
_NOT_READ: Final = frozenset(
    suffix + compression for suffix in _TABLES if not FORMATS[suffix].compressible for compression in COMPRESSIONS
)
#: Kind of labelled units → the suffixes that can be read.
SUFFIXES: Final[Mapping[str, tuple[str, ...]]] = {
    kind: tuple(
        name for packed in ("", *COMPRESSIONS) for suffix in suffixes if (name := suffix + packed) not in _NOT_READ
    )
    for kind, suffixes in {
        "words": (".conllu", *TWO_COLUMNS, *(suffix for suffix in _TABLES if suffix not in TWO_COLUMNS)),
        "pair": _TABLES,
        "text": _TABLES,
        "answer": (".json", *_TABLES),
    }.items()
}
#: Placeholder of PAWS-X for a sentence that was not translated.
_NOT_TRANSLATED: Final = "NS"
#: A note is added on a sentence that occurs in more pairs than this number and share.
_OFTEN: Final = 10
_OFTEN_SHARE: Final = 0.01
# Names of columns in the header of a table; a file of two columns has its first word and tag on this line.
_HEADERS: Final = frozenset((*TEXT_COLUMNS, *LABEL_COLUMNS))


def suffixes_shown(task: str) -> str:
    """Return the suffixes of files with data of a task, for messages; one phrase summarises compressed files."""
    plain = [suffix for suffix in SUFFIXES[TASKS[task].labelled] if not suffix.endswith(tuple(COMPRESSIONS))]
    return f"{', '.join(plain)}; all but .parquet also with {', '.join(COMPRESSIONS)}"


def suffix_of(name: str, task: str) -> str | None:
    """Return the suffix of a file name; None if the file cannot contain data of the task."""
    lower = name.lower()
    known = sorted(SUFFIXES[TASKS[task].labelled], key=len, reverse=True)
    return next((suffix for suffix in known if lower.endswith(suffix) and len(lower) > len(suffix)), None)


# -------------------------------------------------------------------------- labelled examples


class IdentifiedExample(NamedTuple):
    """An example with the identifier that its translations share (:func:`shared_name`); the identifier may be empty."""

    identifier: str
    example: TextExample


# `german-4980-val`: the language, the number, the split.
_NUMBERED: Final = re.compile(r"[a-z]+-(\d+)-(?:train|val|dev|test)")
# Number of pairs of the development set of XNLI in each language, and number of pairs that share a premise. The pairs
# are numbered consecutively over all languages.
_XNLI_PAIRS: Final = 2490
_XNLI_HYPOTHESES: Final = 3


def shared_name(identifier: str, task: str) -> str:
    """Return the part of an example's identifier that the identifiers of its translations share.

    Args:
        identifier: The identifier in the file. In most data sets translations have the same identifier; in PAWS-X's
            `german-10-val` and XNLI's `german-4980-val` the number identifies the example.
        task: Task of the data.
    """
    match = _NUMBERED.fullmatch(identifier)
    if match is None:
        return identifier
    number = int(match[1])
    return str(number % _XNLI_PAIRS // _XNLI_HYPOTHESES if task == "nli" else number)


def read_labelled_file(
    path: Path, task: str, add_note: AddNote = discard_note
) -> tuple[list[IdentifiedExample], ReadCounts]:
    """Return the labelled examples of a file in order, including repeated ones, and the counts of all examples.

    Args:
        path: The file.
        task: Task of the labels.
        add_note: Called with sentences about the reading of the file.

    Raises:
        CorpusError: The file cannot be read, is malformed, or contains labels of another kind.
    """
    return labelled_examples(_readable_units(path, task, add_note), task, "example", path.name, add_note)


def labelled_examples(
    units: Iterable[tuple[str, Unit]], task: str, what: str, where: str, add_note: AddNote = discard_note
) -> tuple[list[IdentifiedExample], ReadCounts]:
    """Return the examples with a label, in the order of the units, and the counts of all units.

    Args:
        units: Pairs of an identifier, which may be empty, and a unit.
        task: Task of the labels.
        what: The noun for a unit in messages, such as `row`.
        where: The file or data set, for messages.
        add_note: Called with sentences on pairs that were not translated or share a sentence, and on tag schemes.

    Raises:
        CorpusError: The label of a unit is not of the kind that the task needs.
    """
    examples: list[IdentifiedExample] = []
    read = empty = undecodable = unlabelled = control = malformed = untranslated = small_o = 0
    for identifier, unit in units:
        read += 1
        if isinstance(unit, Malformed):
            malformed += 1
            continue
        plain = unit and without_control(unit)
        control += plain is not unit
        example = plain and without_blank_tags(without_invisible(plain))
        if example is None:
            undecodable += 1
        elif not example.text or example.pair == "":
            empty += 1
        elif example.label is None:
            unlabelled += 1
        else:
            capital = _with_capital_o(example) if TASKS[task].entities else example
            small_o += capital is not example
            example = capital
            check_label(example, task, f"{what} {read} of {where}")
            untranslated += task == "pi" and _NOT_TRANSLATED in (example.text, example.pair)
            examples.append(IdentifiedExample(shared_name(identifier, task), example))
    if small_o:
        add_note(f"the tag 'o' in {small_o} of the {read} examples of {where} is read as 'O'.")
    if untranslated:
        add_note(
            f"{untranslated} of the {len(examples)} labelled examples of {where} are not translated: they have "
            f"'{_NOT_TRANSLATED}' instead of a sentence, and are used unchanged."
        )
    elif task == "pi":
        _note_frequent_sentence(examples, where, add_note)
    iob1 = 0
    if TASKS[task].entities:
        examples, iob1 = _with_iob2_tags(examples, where, add_note)
    counts = ReadCounts(read, empty, 0, undecodable, len(examples), unlabelled, control, malformed=malformed, iob1=iob1)
    return examples, counts


def _with_capital_o(example: TextExample) -> TextExample:
    """Return an example of named entities with `O` in place of the tag `o`; the same object if it has none."""
    if not isinstance(example.label, tuple) or "o" not in example.label:
        return example
    return replace(example, label=tuple("O" if tag == "o" else tag for tag in example.label))


def _with_iob2_tags(
    examples: list[IdentifiedExample], where: str, add_note: AddNote
) -> tuple[list[IdentifiedExample], int]:
    """Return examples of named entities with tags in IOB2, and the number of examples with IOB1 tags.

    `where` names the file or data set, for notes.
    """
    without_ends, prefixes = bioes_to_iob2([each.example for each in examples])
    if prefixes:
        add_note(f"the tags of {where} are BIOES or BILOU ({', '.join(prefixes)}): they are read as IOB2.")
    in_iob2, iob1 = iob1_to_iob2(without_ends)
    return [old._replace(example=new) for old, new in zip(examples, in_iob2, strict=True)], iob1


def _note_frequent_sentence(examples: Sequence[IdentifiedExample], where: str, add_note: AddNote) -> None:
    """Add a note on a sentence that occurs in many pairs and may be a placeholder.

    `where` names the file or data set.
    """
    frequencies = Counter(text for each in examples for text in {each.example.text, each.example.pair} if text)
    text, number = next(iter(frequencies.most_common(1)), ("", 0))
    if number > _OFTEN and number > _OFTEN_SHARE * len(examples):
        add_note(f"{number} of the {len(examples)} labelled examples of {where} share the sentence {str(text)[:40]!r}.")


def skipped_note(counts: ReadCounts, where: str) -> str:
    """Return sentences on examples that were changed, or left out for reasons other than their label; may be empty.

    `where` names the file or data set.
    """
    named = ((counts.empty, "empty"), (counts.undecodable, "not UTF-8"), (counts.malformed, "malformed"))
    parts = [f"{number} {what}" for number, what in named if number]
    lost = sum(number for number, _ in named)
    are = "is" if lost == 1 else "are"
    reasons = ", ".join(parts)
    sentences = [f"{lost} of the {counts.read} examples of {where} {are} left out: {reasons}."] if parts else []
    if counts.control:
        sentences.append(
            f"control characters are removed from {counts.control} of the {counts.read} examples of {where}."
        )
    if counts.iob1:
        sentences.append(f"the tags of {where} are IOB1, in which entities begin with I-: they are read as IOB2.")
    return " ".join(sentences)


def check_any_labelled(examples: list[IdentifiedExample], counts: ReadCounts, where: str) -> None:
    """Raise an error for a file without labelled examples.

    `where` names the file or data set.

    Raises:
        CorpusError: The file has no labelled example.
    """
    if not examples:
        raise CorpusError(
            f"{where} has no labelled example: {describe_counts(counts)}.",
            "check that --task is the task of this file, and that its examples have labels.",
        )


# ------------------------------------------------------------------------------------ formats


def _readable_units(path: Path, task: str, add_note: AddNote) -> Iterator[tuple[str, Unit]]:
    try:
        yield from _units(path, task, add_note)
    except OSError as error:
        raise CorpusError(f"{path.name} cannot be read ({error.strerror or error}).", "check the path.") from error


def _units(path: Path, task: str, add_note: AddNote) -> Iterator[tuple[str, Unit]]:
    """Yield the identifier and the unit of each example of a file. Its suffix and the task determine the reader."""
    kind = TASKS[task].labelled
    # The original files of WikiANN are named `train`, `dev` and `test`, without a suffix.
    suffix = suffix_of(path.name, task) or (".txt" if kind == "words" and not path.suffix else None)
    if suffix is None:
        raise CorpusError(
            f"data of {task} cannot be read from {path.name}, because of its suffix.",
            f"suffixes for {task}: {suffixes_shown(task)}.",
        )
    plain = next((suffix.removesuffix(packed) for packed in COMPRESSIONS if suffix.endswith(packed)), suffix)
    if kind == "words" and plain in TWO_COLUMNS and not (plain == ".tsv" and _has_header(path)):
        yield from (("", unit) for unit in check_texts(read_two_columns(path, add_note), path.name, add_note))
    elif plain == ".json":
        yield from _squad(_json(file_text(path), path.name), path.name)
    elif plain == ".jsonl" and kind == "answer" and '"qas"' in file_text(path):
        # `splitlines()` is not used, because it also splits at the separators of Unicode within a passage.
        for number, line in enumerate(file_text(path).split("\n"), 1):
            if line.strip():
                where = f"line {number} of {path.name}"
                yield from _passage(_json(line, where), where)
    else:
        yield from zip(_identifiers(path, plain), read_units(path, labels=AUTO, add_note=add_note), strict=False)


def _has_header(path: Path) -> bool:
    """Return whether a .tsv file is a table: its first line names a column of text and a column of labels."""
    first = file_text(path).partition("\n")[0].strip().split("\t")
    return len(_HEADERS.intersection(first)) > 1


# Columns of identifiers, in order of preference.
_IDENTIFIERS: Final = ("id", "uid", "index_id", "pairID")


def _identifiers(path: Path, suffix: str) -> Iterator[str]:
    """Yield the identifiers of the rows of a table in order, and then empty strings indefinitely."""
    if suffix == ".jsonl":
        file_text(path)  # raises an error for labelled data that are not UTF-8 throughout
        for row in json_rows(path):
            fields: Mapping[str, Any] = row or {}
            yield _identifier(next((fields[name] for name in _IDENTIFIERS if name in fields), None))
    elif suffix in FORMATS and (cells := FORMATS[suffix].cells) is not None:
        yield from cells(path, _IDENTIFIERS)
    while True:
        yield ""


def _identifier(value: object) -> str:
    """Return an identifier as text; empty for None, because `None` as text would join unrelated examples."""
    return "" if value is None else str(value)


# -------------------------------------------------------------------------------------- SQuAD


def _json(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CorpusError(f"{where} is not JSON ({error}).", "check that the file is complete.") from error


def _squad(document: Any, where: str) -> Iterator[tuple[str, Unit]]:
    """Yield the identifier and the unit of each question in a document: data → paragraphs → qas → answers.

    `where` names the file, for messages.
    """
    articles = document.get("data") if isinstance(document, Mapping) else None
    if not isinstance(articles, list):
        raise CorpusError(f"{where} is JSON, but not in SQuAD's format.", "it needs `data`, a list of articles.")
    for article in articles:
        paragraphs = article.get("paragraphs") if isinstance(article, Mapping) else None
        if not isinstance(paragraphs, list):
            raise CorpusError(
                f"an article of {where} has no `paragraphs`.", "each paragraph needs a context and its questions."
            )
        for paragraph in paragraphs:
            yield from _passage(paragraph, where)


def _passage(paragraph: Any, where: str) -> Iterator[tuple[str, Unit]]:
    """Yield the identifier and the unit of each question about a passage.

    `where` names the file or the line, for messages.

    A question is an object in the format of SQuAD, or a list [id, question, answer, start].
    """
    context = paragraph.get("context") if isinstance(paragraph, Mapping) else None
    questions = paragraph.get("qas") if isinstance(paragraph, Mapping) else None
    if not isinstance(context, str) or not isinstance(questions, list):
        raise CorpusError(
            f"a passage of {where} lacks its context or its questions.", "a passage needs the keys context and qas."
        )
    for question in questions:
        yield _question(question, context, where)


def _question(question: Any, context: str, where: str) -> tuple[str, Unit]:
    try:
        if isinstance(question, Mapping):
            identifier, text, answers = question.get("id"), question["question"], question.get("answers") or []
            answer, start = (answers[0]["text"], answers[0]["answer_start"]) if answers else ("", -1)
            others = other_answers((each["text"] for each in answers[1:]), answer)
        else:
            identifier, text, answer, start = question
            others = ()
        if not isinstance(text, str):
            raise TypeError("the question is not text")
        is_there = bool(answer) and start >= 0 and context[start : start + len(answer)] == answer
        label = AnswerSpan(start, answer, others) if is_there else None
        return _identifier(identifier), encodable(TextExample(text, context, label))
    except (KeyError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise CorpusError(
            f"a question of {where} is not in SQuAD's format ({error!r}).",
            "a question needs id, question, and answers with text and answer_start.",
        ) from error


# ------------------------------------------------------------------------------------ SIB-200

_SPLIT_COLUMN, _CLASS_COLUMN = "split", "category"
_CACHED: Final = 4


class LineLabel(NamedTuple):
    """The split (train, dev, test) and the class of a line."""

    split: str
    category: str


def read_labelled_lines(path: Path, labels: Path, split: str) -> tuple[TextExample, ...]:
    """Return the examples of a split from parallel lines of text and labels.

    Raises:
        CorpusError: A file cannot be read; the files differ in length; or the labels are not a table with the columns
            split and category.
    """
    stamp = labels.stat()
    line_labels = _line_labels(labels, (stamp.st_mtime_ns, stamp.st_size))
    lines = file_text(path).removesuffix("\n").split("\n")
    if len(lines) != len(line_labels):
        raise CorpusError(
            f"{path.name} has {len(lines)} lines, but {labels.name} has labels for {len(line_labels)} lines.",
            "give one label for each line.",
        )
    examples = (
        encodable(TextExample(line.strip(), None, label.category))
        for line, label in zip(lines, line_labels, strict=True)
        if label.split == split and line.strip()
    )
    return tuple(example for example in examples if example is not None)


@lru_cache(maxsize=_CACHED)
def _line_labels(path: Path, stamp: tuple[int, int]) -> tuple[LineLabel, ...]:
    """Return the label of each line; the file is read again if its time or size (`stamp`) changes."""
    del stamp
    rows = [line.rstrip("\r").split("\t") for line in file_text(path).removesuffix("\n").split("\n")]
    header = rows[0]
    if not {_SPLIT_COLUMN, _CLASS_COLUMN} <= set(header):
        raise CorpusError(
            f"{path.name} lacks the columns {_SPLIT_COLUMN} and {_CLASS_COLUMN}.",
            "write a header with these names, and below it one row for each line of text.",
        )
    split, category = header.index(_SPLIT_COLUMN), header.index(_CLASS_COLUMN)
    labels = []
    for number, row in enumerate(rows[1:], 2):
        if len(row) != len(header) or row[split] not in SPLIT_NAMES or not row[category].strip():
            raise CorpusError(
                f"line {number} of {path.name} has no valid split and category.",
                f"the line needs {len(header)} fields separated by tabs, a category, and one of these splits: "
                f"{', '.join(SPLIT_NAMES)}.",
            )
        labels.append(LineLabel(SPLIT_NAMES[row[split]], row[category].strip()))
    return tuple(labels)
