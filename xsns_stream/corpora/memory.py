"""Corpora of texts in memory: mappings, pandas frames and data sets of the `datasets` library."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Set
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from xsns_stream.corpora.columns import cell
from xsns_stream.corpora.examples import draw_examples, text_unit
from xsns_stream.corpora.file_names import CODES, Naming, other_labels_note
from xsns_stream.corpora.readers import check_usable
from xsns_stream.corpora.recipes import LANG
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.languages import code_or_none, pick
from xsns_stream.types import LanguageSample

if TYPE_CHECKING:
    import pandas as pd

#: Texts in memory: {language: texts}, or a table with a column of languages and a column of texts. Data sets of the
#: `datasets` library, which has no types, are accepted as mappings and frames.
Texts: TypeAlias = "Mapping[str, Any] | pd.DataFrame"

LANGUAGE_COLUMN: Final = "language"
TEXT_COLUMN: Final = "text"
#: Hint on the form of texts in memory.
IN_MEMORY: Final = 'give {"sw": ["…", "…"], "fi": […]}, or a table with the columns language and text.'


@dataclass(frozen=True)
class MemoryCorpus:
    """Texts in memory, by language.

    A row of a store records the digest of its text. Another build into the same store can therefore detect changed
    text, and languages can be added later.

    Attributes:
        texts: {normalised code: texts in order}; no text is empty.
        name: The name in provenance.
        notes: Sentences on keys that are read as an unexpected language.
        unclear: Normalised code → the error that is raised when the language is read, if several keys mean it.
    """

    texts: Mapping[str, tuple[str, ...]] = field(repr=False)
    name: str = "memory"
    notes: tuple[str, ...] = ()
    unclear: Mapping[str, CorpusError] = field(default_factory=dict, repr=False, compare=False)

    #: Reading needs no network.
    local = True

    def languages(self) -> tuple[str, ...]:
        """Return the normalised codes of the languages, sorted."""
        return tuple(sorted(self.texts))

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        """Draw `count` distinct texts without replacement; all texts if there are fewer.

        The draw is the same as from a file with the same texts.

        Raises:
            LanguageError: The corpus has no such language.
            CorpusError: No text is usable.
        """
        code = pick(language, self.languages(), f"the corpus {self.name}")
        if code in self.unclear:
            raise self.unclear[code]
        source = f"{self.name}/{code}"
        examples, counts = draw_examples(lambda: (text_unit(t, source) for t in self.texts[code]), count, seed, source)
        check_usable(counts, f"the text of '{code}'")
        return LanguageSample(code, examples, source, counts)

    def label_names(self) -> tuple[str, ...]:
        """Return an empty tuple, because texts in memory have no labels."""
        return ()


def is_in_memory(value: object) -> bool:
    """Return whether a value contains texts in memory: a mapping, a pandas frame, or a data set of `datasets`."""
    return isinstance(value, Mapping) or _columns(value) is not None


def open_texts(
    texts: Texts,
    name: str = "memory",
    text_column: str | None = None,
    naming: Naming = CODES,
    language_column: str | None = None,
) -> MemoryCorpus:
    """Check texts in memory and return a corpus of them.

    >>> corpus = open_texts({"sw": ["Habari ya asubuhi."], "fi": ["Hyvää huomenta."]})
    >>> corpus.languages()
    ('fi', 'sw')

    Args:
        texts: {language: texts}, where the texts are an iterable of strings or a table with a column of texts; or one
            table with a column `language` and a column of texts. A table is a pandas frame or a `datasets.Dataset`.
        name: The name in provenance.
        text_column: The column that contains the text; `{lang}` means the language if a table has a column of text for
            each language: `{lang}`, or `translation.{lang}` for a column of dictionaries. [default: text]
        naming: Rule for the labels of the keys, which are normalised codes by default. If two keys are the same
            language, this language cannot be read.
        language_column: The column of a table that contains the language of each text.  [default: language]

    Raises:
        LanguageError: A key is not a language.
        CorpusError: A text is empty or not a string; the message names the language and the index of the text.
        UsageError: There is no text, or a table lacks a column.
    """
    column = text_column or TEXT_COLUMN
    if isinstance(texts, Mapping):
        if language_column is not None or LANG in column:
            raise UsageError(
                "a mapping from languages to texts has no column of languages.",
                "omit language_column, and {lang} in text_column.",
            )
        by_key = dict(texts)
    elif LANG in column:
        if language_column is not None:
            raise UsageError("language_column and {lang} in text_column were both given.", "give one of them.")
        by_key = _by_column(texts, column)
    else:
        by_key = _grouped(texts, column, language_column or LANGUAGE_COLUMN)
    if not by_key:
        raise UsageError("there is no text.", IN_MEMORY)
    checked: dict[str, tuple[str, ...]] = {}
    notes, keys = [], dict[str, list[str]]()
    for key, values in by_key.items():
        code, note = _language(key, values, naming)
        keys.setdefault(code, []).append(key)
        checked[code] = _checked(code, values, column, text_column is not None and isinstance(texts, Mapping))
        if note:
            notes.append(f"'{key}' {note}.")
    naming.refuse_unused(by_key, [str(key) for key in by_key], "the texts", "key")
    unclear = {code: _several_keys(code, names) for code, names in keys.items() if len(names) > 1}
    notes += other_labels_note(checked)
    return MemoryCorpus(checked, name, tuple(notes), unclear)


def _several_keys(code: str, keys: list[str]) -> CorpusError:
    """Return the error for a language that several keys of the texts mean."""
    return CorpusError(
        f"{' and '.join(repr(key) for key in keys)} mean the same language, '{code}'.",
        "join their texts under one key, or keep the keys as labels with labels_as_given=True or label={key: label}.",
    )


def _columns(value: object) -> list[str] | None:
    """Return the column names of a pandas frame or a data set; None for other values."""
    for attribute in ("column_names", "columns"):
        names = getattr(value, attribute, None)
        if names is not None and not isinstance(value, Mapping):
            return [str(name) for name in names]
    return None


def _grouped(table: Any, column: str, language_column: str) -> dict[str, list[Any]]:
    """Return {language: texts} of a table with the languages in `language_column` and the texts in `column`."""
    columns = _columns(table) or []
    outer = column if column in columns else column.partition(".")[0]
    if missing := [name for name in (language_column, outer) if name not in columns]:
        raise UsageError(
            f"the table of texts has no column '{missing[0]}'; it has {', '.join(columns) or 'none'}.",
            IN_MEMORY if missing[0] == LANGUAGE_COLUMN else "name the columns with text_column and language_column.",
        )
    if repeated := next((name for name in (language_column, outer) if columns.count(name) > 1), None):
        raise UsageError(f"the table of texts has more than one column '{repeated}'.", "rename one of them.")
    grouped: dict[str, list[Any]] = {}
    for language, value in zip(table[language_column], table[outer], strict=True):
        text = value if outer == column else cell({outer: value}, column)
        grouped.setdefault(language, []).append(text)
    return grouped


def _by_column(table: Any, pattern: str) -> dict[str, list[Any]]:
    """Return {language: texts} of a table with a column for each language, or a column of dictionaries.

    Args:
        table: A pandas frame or a data set of `datasets`.
        pattern: Pattern of the names of the columns, such as `{lang}` or `translation.{lang}`.
    """
    columns = _columns(table) or []
    outer, dot, inner = pattern.partition(".")
    grouped: dict[str, list[Any]] = {}
    if dot and outer in columns and inner == LANG:
        for value in table[outer]:
            for language, text in (value or {}).items():
                if text is not None:
                    grouped.setdefault(language, []).append(text)
        return grouped
    before, _, after = pattern.partition(LANG)
    for name in columns:
        written = name[len(before) : len(name) - len(after)]
        if name == f"{before}{written}{after}" and code_or_none(written):
            grouped[written] = [text for text in table[name] if not _is_missing(text)]
    if not grouped:
        raise UsageError(
            f"no column has the name '{pattern}' with a language in place of {LANG}; the columns are "
            f"{', '.join(columns)}.",
            IN_MEMORY,
        )
    return grouped


def _language(key: object, values: object, naming: Naming) -> tuple[str, str]:
    """Return the label of the language that a key of the texts means, and a note if this is not obvious.

    Args:
        key: A key of the mapping, or a value in the column of languages.
        values: The texts under this key.
        naming: Rule for the labels.
    """
    if _is_missing(key):
        raise LanguageError("the language of a text is missing.", "remove rows without a language.")
    if not isinstance(key, str):
        raise LanguageError(f"the language {key!r} is not a string.", "give a code such as sw or zh-Hant.")
    try:
        return naming.label_of(key, key)
    except LanguageError as error:
        if LANGUAGE_COLUMN in (_columns(values) or ()):
            # A data set with splits is also a mapping.
            raise UsageError(
                f"'{key}' is a table with a column '{LANGUAGE_COLUMN}', not a language.",
                f"give this table alone, as texts['{key}'].",
            ) from error
        reason = error.message.rstrip(".")
        raise LanguageError(
            f"'{key}' cannot be the language of texts: {reason}.", "give a code such as sw or zh-Hant."
        ) from error


def _is_missing(value: object) -> bool:
    """Return whether a value is missing: None, NaN, or a missing value of pandas."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(value, float) and math.isnan(value)


def _checked(code: str, values: Any, column: str, named: bool) -> tuple[str, ...]:
    """Check the texts of a language, and return them as a tuple.

    Args:
        code: Code of the language, for messages.
        values: A list of strings, or a table.
        column: The column of the texts, if `values` is a table.
        named: Whether the user named this column.
    """
    if isinstance(values, str):
        raise CorpusError(
            f"the texts of '{code}' are one string.", "give a list of strings; a file is given as 'sw=FILE'."
        )
    columns = _columns(values)
    if columns is not None:
        if column not in columns:
            raise UsageError(
                f"the table of '{code}' has no column '{column}'; it has {', '.join(columns) or 'none'}.",
                "name the column of the texts with text_column.",
            )
        if columns.count(column) > 1:
            raise UsageError(f"the table of '{code}' has more than one column '{column}'.", "rename one of them.")
        values = values[column]
    elif named:
        raise UsageError(f"the texts of '{code}' have no columns.", "omit text_column.")
    if isinstance(values, Set):
        raise CorpusError(
            f"the texts of '{code}' are a set, whose order differs from run to run.", "give sorted(texts)."
        )
    if not isinstance(values, Iterable) or isinstance(values, Mapping) or getattr(values, "ndim", 1) != 1:
        raise CorpusError(f"the texts of '{code}' are not a list of strings but {type(values).__name__}.", IN_MEMORY)
    texts = tuple(values)
    for index, text in enumerate(texts):
        if _is_missing(text):
            raise CorpusError(f"text {index} of '{code}' is missing ({text}).", "remove missing texts.")
        if not isinstance(text, str):
            raise CorpusError(
                f"text {index} of '{code}' is not a string but {type(text).__name__}.", "remove it, or convert it."
            )
        if not text.strip():
            raise CorpusError(f"text {index} of '{code}' is empty.", "remove empty texts.")
    if not texts:
        raise CorpusError(f"the language '{code}' has no text.", "remove it, or give it texts.")
    return texts
