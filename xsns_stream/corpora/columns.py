"""Columns of a table: selection of the columns for text and labels, and conversion of rows to examples.

A label column contains class names, one per row (XNLI) or one per word (WikiANN), or answers in the form of SQuAD.
Class indices are replaced by the class names that the data set declares. If it declares none, the indices themselves
are the class names. `1.0`, which pandas writes for an integer in a column with missing values, is read as 1. A value
without meaning (empty, None, NaN, a number below zero, `-` instead of a class, an answer that does not occur in its
passage) is not a label, and the row is counted as `unlabelled`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, NamedTuple

from xsns_stream.corpora.examples import AddNote, discard_note, encodable, pair_unit, text_unit
from xsns_stream.corpora.labels import AUTO
from xsns_stream.corpora.running_text import sentence_as_written
from xsns_stream.corpora.text_checks import parse_list
from xsns_stream.errors import CorpusError
from xsns_stream.io.tables import column_list
from xsns_stream.types import TextExample
from xsns_stream.types.text import AnswerSpan, other_answers

#: Usual names of columns of text, in order of preference.
TEXT_COLUMNS = ("text", "sentence", "tokens", "words", "premise", "sentence1", "context", "content")
#: Usual names of columns of labels, in order of preference.
LABEL_COLUMNS: Final = ("label", "labels", "category", "tags", "ner_tags", "upos", "answers")
#: Columns that contain lists of words. In formats that have no lists, such a list is written as text.
WORD_COLUMNS: Final = ("tokens", "words")
#: Columns of two texts with one label. Without labels, only the first text is read.
PAIR_COLUMNS: Final = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("question", "context"))
#: Values for a missing class, in lower case; SNLI has `-` if annotators do not agree.
_NO_CLASS: Final = frozenset({"-", "nan", "<na>", "null"})
#: Pattern of an integer that pandas writes as a float in a column with missing values.
_WHOLE: Final = re.compile(r"-?\d+\.0+")
_LABEL_FORMS: Final = "labels are class names, one per row or one per word, or answers with `text` and `answer_start`."


class LanguageRows(NamedTuple):
    """The rows of one language in a table of several languages.

    Attributes:
        column: The column of the languages, or the column of text in this language.
        values: The values that mean the language in this column, such as `swh` and `sw`. If it is None, every row with
            a value in this column belongs to the language.
    """

    column: str
    values: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Columns:
    """The columns from which an example is made.

    Attributes:
        text: Column of the text, or of the first text of a pair.
        pair: Column of the second text; empty if there are no pairs.
        label: Column of the labels; empty if no labels are read.
        sentence: Column of the running text of the words; empty if there is no such column.
        rows: Selection of the rows of one language; None if the whole table is in one language.
    """

    text: str
    pair: str = ""
    label: str = ""
    sentence: str = ""
    rows: LanguageRows | None = None

    @property
    def names(self) -> tuple[str, ...]:
        """The names of all columns that are read, without repetition."""
        language = self.rows.column if self.rows else ""
        return tuple(dict.fromkeys(filter(None, (self.text, self.pair, self.label, self.sentence, language))))

    def takes(self, row: Mapping[str, Any]) -> bool:
        """Return whether a row belongs to the language that `rows` selects."""
        if self.rows is None:
            return True
        value = cell(row, self.rows.column)
        if self.rows.values is None:
            return value is not None
        return isinstance(value, str) and value.strip() in self.rows.values

    def unit(self, row: Mapping[str, Any], where: str, classes: Sequence[str] = ()) -> TextExample | None:
        """Return the example of a row, whose label is None if none is read; None if UTF-8 cannot encode the text.

        Args:
            row: Column → value; a missing column is treated as empty.
            where: The file or data set, for messages.
            classes: Names of the classes, if labels are class indices.

        Raises:
            CorpusError: A value does not have the type that its column needs.
        """
        text_place, label_place = f"column '{self.text}' of {where}", f"column '{self.label}' of {where}"
        first, second = cell(row, self.text), cell(row, self.pair)
        if isinstance(first, Mapping):
            raise _nested(self.text, first, text_place)
        if self.text.lower() in WORD_COLUMNS:
            first = _parse_if_list(first, text_place)
        unit = pair_unit(first, second, text_place) if self.pair else text_unit(first, text_place)
        if unit is not None and self.sentence:
            unit = _with_sentence(unit, cell(row, self.sentence))
        if unit is None or not self.label:
            return unit
        value = cell(row, self.label)
        if not isinstance(unit.text, str):
            value = _parse_if_list(value, label_place)
        label = _label(value, classes, label_place)
        if isinstance(label, tuple):
            return _with_word_labels(unit, first, label, label_place)
        if isinstance(label, AnswerSpan):
            return _with_answer(unit, second, label, where)
        return encodable(TextExample(unit.text, unit.pair, label))


# ----------------------------------------------------------------------------------- nested columns


def _nested(column: str, value: Mapping[str, Any], where: str) -> CorpusError:
    values = {name: cell({column: value}, name) for name in nested_names(value, f"{column}.")}
    texts = {name: text for name, text in values.items() if isinstance(text, str)}
    # Without a usual name, the longest value is more likely to be the text than an identifier or a date.
    longest = max(texts, key=lambda name: len(texts[name]), default="")
    such_as = f", such as `--text-column {_usual_nested(texts) or longest}`" if texts else ""
    listed = f"; they are {', '.join(values)}" if len(values) > 1 else ""
    return CorpusError(f"{where} contains nested columns instead of text.", f"name one of them{such_as}{listed}.")


def _usual_nested(columns: Iterable[str]) -> str:
    """Return the nested column with a usual name for text, such as `content.text`; an empty string if there is none."""
    nested = [name for name in columns if "." in name]
    last = {name: name.rpartition(".")[2].lower() for name in nested}
    return next((name for usual in TEXT_COLUMNS for name in nested if last[name] == usual), "")


def cell(row: Mapping[str, Any], column: str) -> Any:
    """Return the value of a column; `translation.sw` is the value of the key `sw` within the column `translation`.

    None means a missing value.
    """
    if column in row:
        return row[column]
    first, dot, rest = column.partition(".")
    inner = row.get(first) if dot else None
    return cell(inner, rest) if isinstance(inner, Mapping) else None


def has_cell(row: Mapping[str, Any], column: str) -> bool:
    """Return whether a row has a column; `translation.sw` is the key `sw` within the column `translation`."""
    first, dot, rest = column.partition(".")
    inner = row.get(first) if dot else None
    return column in row or (isinstance(inner, Mapping) and has_cell(inner, rest))


def nested_names(row: Mapping[str, Any], before: str = "") -> list[str]:
    """Return the names of the columns of a row, each prefixed with `before`.

    The name of a nested column contains the name of its outer column and a dot.

    >>> nested_names({"id": 1, "translation": {"en": "One", "sw": "Moja"}})
    ['id', 'translation', 'translation.en', 'translation.sw']
    """
    names: list[str] = []
    for name, value in row.items():
        names.append(f"{before}{name}")
        if isinstance(value, Mapping):
            names += nested_names(value, f"{before}{name}.")
    return names


# --------------------------------------------------------------------------------- choice of columns


def find_columns(
    columns: Sequence[str],
    text: str | None,
    labels: str | None,
    where: str,
    add_note: AddNote = discard_note,
    rows: LanguageRows | None = None,
) -> Columns:
    """Choose the columns of a table that has no recipe.

    Args:
        columns: Names of all columns, with those of nested columns (:func:`nested_names`).
        text: The value of `--text-column`, which is then the only column of text. If it is None, a column with a usual
            name is chosen; if labels are read, a usual pair of columns takes precedence.
        labels: None for no labels, `auto` for the first of `LABEL_COLUMNS` that exists, or the name of a column.
        where: The file or data set, for messages.
        add_note: Called with a sentence about the column of the text, if there are several candidates.
        rows: Selection of the rows of one language; None for all rows.

    Raises:
        CorpusError: A column does not exist, or two columns have the same name.
    """
    chosen = _choose(columns, text, labels, where)
    if rows is not None:
        chosen = replace(chosen, rows=rows)
        if rows.column not in columns:
            raise CorpusError(
                f"{where} has no column '{rows.column}'.", f"its columns are {column_list(columns, complete=True)}."
            )
    for name in chosen.names:
        if columns.count(name) > 1:
            raise CorpusError(
                f"{where} has {columns.count(name)} columns called '{name}'.", "give each column its own name."
            )
    if text is None and not chosen.pair:
        note_text_column(chosen.text, columns, where, add_note)
    return chosen


def _choose(columns: Sequence[str], text: str | None, labels: str | None, where: str) -> Columns:
    if labels is None:
        return Columns(text_column(columns, text, where))
    label = next((name for name in LABEL_COLUMNS if name in columns), None) if labels == AUTO else labels
    if label is None:
        names = column_list(columns, complete=True)
        raise CorpusError(
            f"no column of {where} has a usual name for labels (columns: {names}).",
            f"name the column of the labels with --label-column; usual names are {', '.join(LABEL_COLUMNS)}.",
        )
    text_column(columns, label, where)
    pairs = (pair for pair in PAIR_COLUMNS if set(pair) <= set(columns) and text is None)
    first, second = next(pairs, (None, ""))
    return Columns(first or text_column(columns, text, where), second, label)


def text_column(columns: Sequence[str], wanted: str | None, where: str) -> str:
    """Return the name of the column that contains the text.

    Args:
        columns: Names of all columns.
        wanted: The value of `--text-column`; None for the first of `TEXT_COLUMNS` that exists.
        where: The file or data set, for the message.

    Raises:
        CorpusError: The column does not exist.
    """
    if wanted is None:
        chosen = next((name for name in TEXT_COLUMNS if name in columns), None)
        if chosen is None:
            # If no column has a usual name in lower case, names such as `Text` or `Sentence` are accepted.
            chosen = next((each for name in TEXT_COLUMNS for each in columns if each.lower() == name), None)
    else:
        chosen = wanted if wanted in columns else None
    if chosen is not None:
        return chosen
    names = column_list(columns, complete=True)
    if wanted is None:
        raise CorpusError(
            f"no column of {where} has a usual name for text (columns: {names}).",
            "name the column of the text with --text-column"
            + (f", such as {nested}." if (nested := _nested_column(columns)) else "."),
        )
    raise CorpusError(f"{where} has no column '{wanted}'.", f"its columns are {names}.")


def _nested_column(columns: Sequence[str]) -> str:
    """Return a nested column that may contain the text, for a hint; empty if there is none."""
    return _usual_nested(columns) or next((name for name in columns if "." in name), "")


def note_text_column(chosen: str, columns: Iterable[str], where: str, add_note: AddNote) -> None:
    """Add a note that the text is read from the column `chosen`, if other columns also have usual names for text.

    `where` names the file or data set.
    """
    others = [name for name in TEXT_COLUMNS if name in columns and name != chosen]
    if others:
        add_note(
            f"the text of {where} is read from the column '{chosen}', not from {', '.join(map(repr, others))}: "
            "--text-column chooses another column."
        )


# ---------------------------------------------------------------------------------------- values


def _parse_if_list(value: object, where: str) -> object:
    """Return the list that a text contains, such as `['a', 'b']`; return any value that is not such a text unchanged.

    `where` names the column in the error.

    Raises:
        CorpusError: The value is a list whose members cannot be distinguished, such as a printed array of NumPy.
    """
    if not isinstance(value, str) or not (text := value.strip()).startswith("[") or not text.endswith("]"):
        return value
    members = parse_list(text)
    if members is None and text != "[]":
        hint = 'write the list as JSON (`["a", "b"]`), or the table as .jsonl or .parquet, which can contain lists.'
        raise CorpusError(
            f"{where} contains a list that is written as text, and its items cannot be told apart: {text[:40]!r}.", hint
        )
    return members or []


def _label(value: object, classes: Sequence[str], where: str) -> tuple[str, ...] | str | AnswerSpan | None:
    """Return the label in a cell of the label column; None for a cell without a class, such as NaN, −1 or `-`.

    `classes` are the names of the classes, if cells may contain class indices. `where` names the column in errors.
    """
    if isinstance(value, Mapping):
        return _answer(value, where)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and isinstance(value[0], Mapping):
            texts = (_first(each.get("text")) for each in value[1:] if isinstance(each, Mapping))
            answer = _answer(value[0], where)
            return answer and replace(answer, others=other_answers((*answer.others, *texts), answer.text))
        names = tuple(_class_name(each, classes, where) for each in value)
        return names if any(names) else None
    name = _class_name(value, classes, where)
    return None if name.casefold() in _NO_CLASS else name or None


def _class_name(value: object, classes: Sequence[str], where: str) -> str:
    """Return the name of the class that a class index or a text stands for; empty for None, NaN and negative numbers.

    Raises:
        CorpusError: The value is neither a text nor an integer, or the index is too large for `classes`.
    """
    if value is None:
        return ""
    if isinstance(value, str):
        text = value.strip()
        number = int(float(text)) if _WHOLE.fullmatch(text) else None
        return "" if text == "-1" or (number is not None and number < 0) else text if number is None else str(number)
    if isinstance(value, float) and math.isnan(value):
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int):
        raise CorpusError(f"{where} contains a value of the type {type(value).__name__}, not a label.", _LABEL_FORMS)
    if value < 0:
        return ""
    if classes and value >= len(classes):
        raise CorpusError(
            f"{where} contains the class {value}, but only {len(classes)} classes have names.", _LABEL_FORMS
        )
    return classes[value] if classes else str(int(value))


def _answer(value: Mapping[str, Any], where: str) -> AnswerSpan | None:
    """Return the answer in `{"text": […], "answer_start": […]}`, or in `{"text": …, "answer_start": …}`.

    `where` names the column, for messages.

    If there are several answers, the first one is returned, and the texts of the other answers are its alternatives.
    """
    text, start = (_first(value.get(name)) for name in ("text", "answer_start"))
    if text is None or start is None:
        if {"text", "answer_start"} <= set(value):
            return None  # the question has no answer
        what = f"an object with the keys {', '.join(map(str, value))}" if value else "an empty object"
        raise CorpusError(f"{where} contains {what}, which is not an answer.", _LABEL_FORMS)
    if not isinstance(text, str) or not isinstance(start, int):
        raise CorpusError(
            f"{where} contains an answer whose text is not a string, or whose answer_start is not an integer.",
            _LABEL_FORMS,
        )
    texts = value["text"]
    return AnswerSpan(start, text, () if isinstance(texts, str) else other_answers(texts, text))


def _first(value: object) -> object:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value[0] if value else None
    return value


def _with_sentence(unit: TextExample, sentence: object) -> TextExample | None:
    """Return the unit with `sentence` as its running text; the unit unchanged if `sentence` has other words."""
    if not unit.text or isinstance(unit.text, str) or not isinstance(sentence, str):
        return unit
    running = sentence_as_written(sentence, ((word, None) for word in unit.text))
    if running != sentence.strip():
        return unit
    return encodable(TextExample(unit.text, unit.pair, unit.label, running))


def _with_word_labels(unit: TextExample, words: object, labels: tuple[str, ...], where: str) -> TextExample | None:
    """Return a unit with a label for each of its words.

    Args:
        unit: The unit, from which words that consist of white space were removed.
        words: The cell that contains the words, including those that were removed. Their labels are removed here.
        labels: One label for each word of the cell.
        where: The column of the labels, for messages.

    Raises:
        CorpusError: The text is not split into words, or the numbers of words and labels differ.
    """
    if isinstance(unit.text, str) or not isinstance(words, Sequence):
        raise CorpusError(
            f"{where} contains a label for each word, but the text is not split into words.", _LABEL_FORMS
        )
    if len(words) != len(labels):
        raise CorpusError(
            f"{where} has another number of labels ({len(labels)}) than of words ({len(words)}).",
            "give one label per word.",
        )
    remaining = tuple(label for word, label in zip(words, labels, strict=True) if word and word.strip())
    return encodable(TextExample(unit.text, unit.pair, remaining if any(remaining) else None, unit.running))


def _with_answer(unit: TextExample, passage: object, answer: AnswerSpan, where: str) -> TextExample | None:
    """Return a question with its answer as label, or without a label if the passage does not contain the answer there.

    Args:
        unit: The question and its passage, without white space at their ends.
        passage: The cell that contains the passage, to whose characters the start of the answer refers.
        answer: The answer in this cell.
        where: The file or data set, for messages.

    Raises:
        CorpusError: There is no passage.
    """
    if not isinstance(passage, str) or unit.pair is None:
        raise CorpusError(
            f"{where} has answers, but no passage beside the question.", "add the columns question and context."
        )
    text = answer.text.strip()
    ahead = len(answer.text) - len(answer.text.lstrip())
    start = answer.start + ahead - (len(passage) - len(passage.lstrip()))
    is_there = bool(text) and start >= 0 and unit.pair[start : start + len(text)] == text
    return encodable(TextExample(unit.text, unit.pair, AnswerSpan(start, text, answer.others) if is_there else None))
