"""Columns of a table: which hold the text and the labels, and the example that a row is."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from xsns_stream.corpora.examples import Tell, encodable, ignore, pair_unit, text_unit
from xsns_stream.corpora.labels import AUTO
from xsns_stream.corpora.running_text import as_written
from xsns_stream.corpora.text_checks import literal_list
from xsns_stream.errors import CorpusError
from xsns_stream.types import TextExample
from xsns_stream.types.text import AnswerSpan

#: Names under which tables keep labels, in the order in which they are tried.
LABEL_COLUMNS: Final = ("label", "labels", "category", "tags", "ner_tags", "upos", "answers")
#: Columns that hold lists of words; a table without lists may hold them written as text.
WORD_COLUMNS: Final = ("tokens", "words")
#: Texts that belong together where labels are asked for: a label of two texts means little beside one of them.
PAIR_COLUMNS: Final = (("premise", "hypothesis"), ("sentence1", "sentence2"), ("question", "context"))
#: What stands in place of a class where there is none, in small letters: `-` is SNLI's for no consensus.
_NO_CLASS: Final = frozenset({"-", "nan", "<na>", "null"})
#: An integer as pandas writes it in a column with gaps.
_WHOLE: Final = re.compile(r"-?\d+\.0+")
_FORMS: Final = "labels are class names, one a row or one a word, or answers with `text` and `answer_start`."


@dataclass(frozen=True, slots=True)
class Columns:
    """Which columns make an example.

    Attributes:
        text: The text, or the first of a pair.
        pair: The second text; empty where there are no pairs.
        label: The labels; empty where none were asked for.
        sentence: The sentence as it is written, beside words; empty where there is no such column.
    """

    text: str
    pair: str = ""
    label: str = ""
    sentence: str = ""

    @property
    def names(self) -> tuple[str, ...]:
        """The columns to read, each once."""
        return tuple(dict.fromkeys(filter(None, (self.text, self.pair, self.label, self.sentence))))

    def unit(self, row: Mapping[str, Any], where: str, classes: Sequence[str] = ()) -> TextExample | None:
        """Make a unit of a row.

        Args:
            row: Column → value; a column that is not there counts as empty.
            where: The file or data set, for messages.
            classes: Name of each class, where labels are numbers.

        Raises:
            CorpusError: A value is not what its column should hold.
        """
        place = f"column '{self.text}' of {where}"
        first, second = row.get(self.text), row.get(self.pair)
        if self.text in WORD_COLUMNS:
            first = _from_literal(first, place)
        unit = pair_unit(first, second, place) if self.pair else text_unit(first, place)
        if unit is not None and self.sentence:
            unit = _with_sentence(unit, row.get(self.sentence))
        if unit is None or not self.label:
            return unit
        value = row.get(self.label)
        if not isinstance(unit.text, str):
            value = _from_literal(value, f"column '{self.label}' of {where}")
        label = _label(value, classes, f"column '{self.label}' of {where}")
        if isinstance(label, tuple):
            return _with_words(unit, first, label, f"column '{self.label}' of {where}")
        if isinstance(label, AnswerSpan):
            return _with_answer(unit, second, label, where)
        return encodable(TextExample(unit.text, unit.pair, label))


def find_columns(
    columns: Sequence[str], text: str | None, labels: str | None, where: str, tell: Tell = ignore
) -> Columns:
    """Choose among the columns of a table that no recipe describes.

    Args:
        columns: The columns there are.
        text: What `--text-column` says; it is then the only text. None looks for a usual name, and with labels
            first for a usual pair.
        labels: None reads no labels, `auto` takes the first of `LABEL_COLUMNS` that is there, else a column.
        where: The file or data set, for messages.
        tell: Takes a sentence on which column is the text, where there are more candidates.

    Raises:
        CorpusError: There is no such column, or two of one name.
    """
    chosen = _choose(columns, text, labels, where)
    for name in chosen.names:
        if columns.count(name) > 1:
            raise CorpusError(f"{where} has {columns.count(name)} columns called '{name}'.", "give each its own name.")
    if text is None and not chosen.pair:
        say_choice(chosen.text, columns, where, tell)
    return chosen


def say_choice(chosen: str, columns: Iterable[str], where: str, tell: Tell) -> None:
    """Tell which column is read as the text, where others could be."""
    others = [name for name in TEXT_COLUMNS if name in columns and name != chosen]
    if others:
        tell(
            f"of {where} the column '{chosen}' is read as the text, and not {', '.join(map(repr, others))}: "
            "--text-column chooses."
        )


def _choose(columns: Sequence[str], text: str | None, labels: str | None, where: str) -> Columns:
    if labels is None:
        return Columns(text_column(columns, text, where))
    label = next((name for name in LABEL_COLUMNS if name in columns), None) if labels == AUTO else labels
    if label is None:
        have = ", ".join(columns) or "none"
        hint = f"name the column of the labels; those looked for are {', '.join(LABEL_COLUMNS)}."
        raise CorpusError(f"no column of {where} is known to hold labels ({have}).", hint)
    text_column(columns, label, where)
    pairs = (pair for pair in PAIR_COLUMNS if set(pair) <= set(columns) and text is None)
    first, second = next(pairs, (None, ""))
    return Columns(first or text_column(columns, text, where), second, label)


def _from_literal(value: object, where: str) -> object:
    """Return the list that a value writes as text, as tables without lists have it; other values as they are.

    Raises:
        CorpusError: It is a list in a form from which the members cannot be told, as NumPy prints it.
    """
    if not isinstance(value, str) or not (text := value.strip()).startswith("[") or not text.endswith("]"):
        return value
    found = literal_list(text)
    if found is None and text != "[]":
        hint = 'write it as JSON (`["a", "b"]`), or the table as .jsonl or .parquet, which have lists.'
        raise CorpusError(f"{where} holds a list as text, whose members cannot be told apart: {text[:40]!r}.", hint)
    return found or []


def _label(value: object, classes: Sequence[str], where: str) -> tuple[str, ...] | str | AnswerSpan | None:
    """Return the label that a value is; None where it says nothing."""
    if isinstance(value, Mapping):
        return _answer(value, where)
    if isinstance(value, Sequence) and not isinstance(value, str):
        if value and isinstance(value[0], Mapping):
            return _answer(value[0], where)
        names = tuple(_name(each, classes, where) for each in value)
        return names if any(names) else None
    name = _name(value, classes, where)
    return None if name.casefold() in _NO_CLASS else name or None


def _name(value: object, classes: Sequence[str], where: str) -> str:
    """Return the name of a class; empty where the value says nothing."""
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
        raise CorpusError(f"{where} holds {type(value).__name__}, which is no label.", _FORMS)
    if value < 0:
        return ""
    if classes and value >= len(classes):
        raise CorpusError(f"{where} holds the class {value}, but names only {len(classes)} classes.", _FORMS)
    return classes[value] if classes else str(int(value))


def _answer(value: Mapping[str, Any], where: str) -> AnswerSpan | None:
    """Return the first answer of `{"text": […], "answer_start": […]}`, or of one answer without the lists."""
    text, start = (_first(value.get(name)) for name in ("text", "answer_start"))
    if text is None or start is None:
        if {"text", "answer_start"} <= set(value):
            return None  # a question without an answer
        raise CorpusError(f"{where} holds {', '.join(map(str, value)) or 'nothing'}, which is no answer.", _FORMS)
    if not isinstance(text, str) or not isinstance(start, int):
        raise CorpusError(f"{where} holds an answer that is not text with a number.", _FORMS)
    return AnswerSpan(start, text)


def _first(value: object) -> object:
    if isinstance(value, Sequence) and not isinstance(value, str):
        return value[0] if value else None
    return value


def _with_sentence(unit: TextExample, sentence: object) -> TextExample | None:
    """Give words the sentence that they come from, where the two agree."""
    if not unit.text or isinstance(unit.text, str) or not isinstance(sentence, str):
        return unit
    running = as_written(sentence, ((word, None) for word in unit.text))
    if running != sentence.strip():
        return unit
    return encodable(TextExample(unit.text, unit.pair, unit.label, running))


def _with_words(unit: TextExample, words: object, labels: tuple[str, ...], where: str) -> TextExample | None:
    """Give each word its label; a word of nothing but white space has gone, and so does its label."""
    if isinstance(unit.text, str) or not isinstance(words, Sequence):
        raise CorpusError(f"{where} holds a label a word, but the text is not split into words.", _FORMS)
    if len(words) != len(labels):
        raise CorpusError(f"{where} holds {len(labels)} labels for {len(words)} words.", "give one for each word.")
    kept = tuple(label for word, label in zip(words, labels, strict=True) if word and word.strip())
    return encodable(TextExample(unit.text, unit.pair, kept if any(kept) else None, unit.running))


def _with_answer(unit: TextExample, passage: object, answer: AnswerSpan, where: str) -> TextExample | None:
    """Move the answer with the passage, whose ends were cleaned; none where it does not stand there."""
    if not isinstance(passage, str) or unit.pair is None:
        raise CorpusError(f"{where} has answers, but no passage beside the question.", "columns: question and context.")
    text = answer.text.strip()
    ahead = len(answer.text) - len(answer.text.lstrip())
    start = answer.start + ahead - (len(passage) - len(passage.lstrip()))
    stands = bool(text) and start >= 0 and unit.pair[start : start + len(text)] == text
    return encodable(TextExample(unit.text, unit.pair, AnswerSpan(start, text) if stands else None))


#: Names under which corpora keep their text, in the order in which they are tried.
TEXT_COLUMNS = ("text", "sentence", "tokens", "words", "premise", "sentence1", "context", "content")


def text_column(columns: Sequence[str], asked: str | None, where: str) -> str:
    """Return the name of the column that holds the text.

    Args:
        columns: The columns there are.
        asked: What `--text-column` says; None takes the first of `TEXT_COLUMNS` that is there.
        where: The file or data set, for the message.

    Raises:
        CorpusError: There is no such column.
    """
    if asked is None:
        found = next((name for name in TEXT_COLUMNS if name in columns), None)
    else:
        found = asked if asked in columns else None
    if found is not None:
        return found
    have = ", ".join(columns) or "none"
    if asked is None:
        raise CorpusError(f"no column of {where} is known to hold text ({have}).", "name one: --text-column.")
    raise CorpusError(f"{where} has no column '{asked}'.", f"it has {have}.")
