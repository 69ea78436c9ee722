"""Tables with several languages: a column of languages, or a column of text for each language.

:func:`languages_of_tables` finds the languages of tables, and the part of the tables that is the text of each language.
"""

from __future__ import annotations

import re
import shlex
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

from xsns_stream.corpora.columns import LanguageRows
from xsns_stream.corpora.examples import Malformed
from xsns_stream.corpora.file_names import CODES, Naming, UnreadFile
from xsns_stream.corpora.readers import TABLES, column_names, read_units
from xsns_stream.corpora.recipes import LANG
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.types import TextExample

#: Suffixes of tables, without those of compressions.
TABLE_SUFFIXES: Final = (TABLES[0], ".json", *TABLES[1:])


@dataclass(frozen=True, slots=True)
class TablePart:
    """The part of a table that is the text of one language.

    Attributes:
        text_column: The column of the text; None for a column with a usual name.
        rows: The rows of the language.
    """

    text_column: str | None
    rows: LanguageRows


@dataclass
class TableLanguages:
    """The languages of one or more tables.

    Attributes:
        files: Code → tables that contain the language.
        parts: Code → the part of these tables that is the text of the language.
        unclear: Code → the reason why its column of text is unclear.
        not_read: Values or columns that are not languages, with the reasons.
        written: Code → the values or columns that are read as this language, if there are several.
    """

    files: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    parts: dict[str, TablePart] = field(default_factory=dict)
    unclear: dict[str, CorpusError] = field(default_factory=dict)
    not_read: list[UnreadFile] = field(default_factory=list)
    written: dict[str, list[str]] = field(default_factory=dict)

    def notes(self) -> tuple[str, ...]:
        """Return sentences on several values that are read as one language; may be empty."""
        joined = [f"{', '.join(names)} as {code}" for code, names in self.written.items() if len(names) > 1]
        return (f"several values are read as one language: {'; '.join(joined)}.",) if joined else ()


def has_place(column: str | None) -> bool:
    """Return whether the name of a column contains `{lang}`, such as `translation.{lang}`."""
    return column is not None and LANG in column


def languages_of_tables(
    tables: Sequence[Path], text_column: str | None, language_column: str | None, naming: Naming = CODES
) -> TableLanguages:
    """Return the languages of tables.

    Args:
        tables: The files; tables that lack the column of languages are an error.
        text_column: The column of the text; `{lang}` means the language if each language has a separate column.
        language_column: The column of the languages.
        naming: Rule for the labels of the values, or of the names of columns.

    Raises:
        UsageError: `language_column` is given, and `text_column` contains `{lang}`.
        CorpusError: A table cannot be read, or contains no language.
    """
    if language_column is not None and has_place(text_column):
        raise UsageError(
            f"--language-column and {LANG} in --text-column were both given.",
            "a table has one column of languages, or a column of text for each language: give one of them.",
        )
    find = partial(_in_rows, language_column) if language_column else partial(_in_columns, text_column or LANG)
    found = [find(table) for table in tables]
    result = TableLanguages()
    reasons: dict[str, str] = {}
    for table, names in zip(tables, found, strict=True):
        for name, number in names.items():
            try:
                code, _ = naming.label_of(name, name)
            except LanguageError as error:
                rows = f" ({number:,} row{'s' if number > 1 else ''})" if number else ""
                reasons.setdefault(
                    name or "(empty)", f"{error.message.rstrip('.')}{rows}" if name else f"no language{rows}"
                )
                continue
            if table not in result.files.get(code, ()):
                result.files[code] = (*result.files.get(code, ()), table)
            if name not in result.written.setdefault(code, []):
                result.written[code].append(name)
    everything = list(dict.fromkeys(name for each in found for name in each))
    naming.refuse_unused(everything, everything, "the table" if len(tables) == 1 else "the tables", "language")
    kind = "value" if language_column else "column"
    result.not_read = [UnreadFile(name, reason, kind) for name, reason in reasons.items()]
    if not result.files:
        raise _no_language(tables, text_column, language_column, [name for names in found for name in names])
    result.parts = dict(_parts(result.written, text_column, language_column))
    for code in result.files.keys() - result.parts.keys():
        del result.files[code]
        columns = [(text_column or LANG).replace(LANG, name) for name in result.written.pop(code)]
        result.unclear[code] = CorpusError(
            f"the columns {' and '.join(map(repr, columns))} both mean the language '{code}'.",
            f"choose one: --corpus {shlex.quote(f'{code}={tables[0]}')} --text-column {shlex.quote(columns[0])}",
        )
    return result


def _parts(
    written: Mapping[str, Sequence[str]], text_column: str | None, language_column: str | None
) -> Iterable[tuple[str, TablePart]]:
    for code, names in written.items():
        if language_column:
            yield code, TablePart(text_column, LanguageRows(language_column, frozenset(names)))
        elif len(names) == 1:
            column = (text_column or LANG).replace(LANG, names[0])
            yield code, TablePart(column, LanguageRows(column))


def _in_rows(column: str, table: Path) -> Counter[str]:
    """Return {value of `column`: number of rows} for a table; missing values are counted under an empty text."""
    values: Counter[str] = Counter()
    for unit in read_units(table, column, as_written=True):
        if isinstance(unit, TextExample) and isinstance(unit.text, str):
            values[unit.text] += 1
        elif isinstance(unit, Malformed):
            values[""] += 1
    return values


def _in_columns(pattern: str, table: Path) -> Counter[str]:
    """Return {text in the place of `{lang}`: 0} for the columns of a table whose names fit the pattern.

    0 means that the number of rows is not known.
    """
    before, _, after = pattern.partition(LANG)
    place = re.compile(f"{re.escape(before)}([^.]+?){re.escape(after)}")
    return Counter({match[1]: 0 for name in column_names(table) if (match := place.fullmatch(name))})


def _no_language(
    tables: Sequence[Path], text_column: str | None, language_column: str | None, names: Sequence[str]
) -> CorpusError:
    shown = f"{tables[0].name}{f' and {len(tables) - 1} more' if len(tables) > 1 else ''}"
    if language_column is None:
        columns = ", ".join(column_names(tables[0])) or "none"
        return CorpusError(
            f"no column of {shown} has the name '{text_column}' with a language in place of {LANG}.",
            f"its columns are {columns}.",
        )
    listed = ", ".join(repr(name) for name in dict.fromkeys(names[:5])) or "nothing"
    return CorpusError(
        f"the column '{language_column}' of {shown} contains no language: {listed}.",
        "write codes such as sw or zh-Hant in it, or English names of languages.",
    )
