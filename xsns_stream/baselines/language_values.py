"""Functions for tables that have one line for each language, with columns of codes, names and values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, Generic, TypeVar

from xsns_stream.errors import LanguageError, UsageError, XsnsError
from xsns_stream.io import tables
from xsns_stream.io.atomic import unreadable
from xsns_stream.io.numbers import NOT_KNOWN
from xsns_stream.io.tables import TextTable, listed, to_codes
from xsns_stream.languages import counterparts, normalise

Value = TypeVar("Value")

#: Columns of a text file without a header: a label, the words after it, then the numbers (columns 1, 2, …).
LABEL: Final = "label"
TEXT: Final = "text"
#: Columns that contain codes, the most reliable first; `language` contains codes in some tables and names in others.
CODE_COLUMNS: Final = (
    "code",
    "language_id",
    "language_code",
    "lang_code",
    "iso639p3code",
    "iso_639_3",
    "iso639_3",
    "iso",
    "lang",
    LABEL,
    "language",
)
NAME_COLUMNS: Final = ("name", "language_name", "language", TEXT)
#: Tables of names that are read automatically if they are beside a file with names as labels.
NAMES_BESIDE: Final = ("udpos-langs.csv", "languages.csv")


@dataclass(frozen=True)
class LanguageValues(Generic[Value]):
    """One value for each language of a table.

    Attributes:
        values: {normalised code: value}.
        origin: Name of the file and of the columns that were read, for messages.
        notes: Sentences about lines that were left out; may be empty.
    """

    values: Mapping[str, Value]
    origin: str
    notes: tuple[str, ...] = ()


def read_table(path: str | Path) -> TextTable:
    """Read a table as text.

    ========== ============================================================================================
    .csv .tsv  The first line contains the names of the columns.
    .txt       There is no header. A line has a label, words and numbers, separated by spaces, such as
               `af Afrikaans 242 1.3`. The columns are called `label`, `text`, `1`, `2` …
    ========== ============================================================================================

    Raises:
        UsageError: The suffix is not supported.
        XsnsError: The file does not exist, is empty, or is not a table of this format.
    """
    file = Path(path)
    return _read_lines(file) if file.suffix.lower() == ".txt" else tables.read_table(file)


def column_of(table: TextTable, names: Sequence[str], what: str) -> str:
    """Return the name of the first column with one of the given names; upper and lower case are not distinguished.

    Args:
        table: The table.
        names: Names of columns, in order of preference.
        what: The content of the column, for the error message.

    Raises:
        UsageError: The table has no such column.
    """
    columns = {name.casefold(): name for name in reversed(table.header)}
    for name in names:
        if name.casefold() in columns:
            return columns[name.casefold()]
    raise UsageError(
        f"'{table.name}' has no column of {what} called {' or '.join(names)}.",
        f"its columns are {', '.join(filter(None, table.header))}.",
    )


def read_names(path: str | Path) -> dict[str, str]:
    """Read {name: code} from a table with a column of names and a column of codes.

    The names have the form that :func:`name_key` returns.

    Raises:
        UsageError: The table has no column of codes, or no column of names.
        XsnsError: The table cannot be read.
    """
    table = read_table(path)
    codes = column_of(table, CODE_COLUMNS, "codes")
    names = column_of(table, [name for name in NAME_COLUMNS if name != codes.casefold()], "names")
    code_of: dict[str, str] = {}
    for code, name in zip(table.column(codes), table.column(names), strict=True):
        with suppress(LanguageError):
            code_of.setdefault(name_key(name), normalise(code))
    return code_of


def names_for(path: str | Path, labels: Sequence[str], names: str | Path | None = None) -> dict[str, str]:
    """Return {name: code} for a file whose labels are names, from a table of names.

    If no table of names is given, the result is empty in two cases: most labels are codes, or no table of names is
    found. A few labels that look like codes do not matter, because some names, such as Mon and Pol, look like codes.

    Args:
        path: The file.
        labels: The labels of the file.
        names: A table of names and codes. By default, the first file that is named in NAMES_BESIDE and can be read, in
            the folder of `path` or its parent folder.

    Raises:
        UsageError: The given table has no names, or no codes.
        XsnsError: The given table cannot be read.
    """
    if names is not None:
        return read_names(names)
    codes = to_codes(labels)
    if 2 * sum(codes[label] is not None for label in labels) > len(labels):
        return {}
    folder = Path(path).resolve().parent
    for parent in (folder, folder.parent):
        for name in NAMES_BESIDE:
            with suppress(XsnsError):
                return read_names(parent / name)
    return {}


def read_values(
    path: str | Path,
    columns: Callable[[TextTable], Sequence[str]],
    read: Callable[[Mapping[str, str], str], Value | None],
    names: str | Path | None = None,
    unknown: Collection[str] = (),
) -> LanguageValues[Value]:
    """Read the value of each language from some columns of a table.

    Args:
        path: The table.
        columns: Function that takes the table and returns the names of the columns to read.
        read: Function that takes {column: field} and the label of a line, and returns the value of the line; None if
            the value is unknown.
        names: A table of names and codes; it is needed if the labels are names of languages.
        unknown: Further words for a missing value, in lower case; they are only used for the note on missing values.

    Raises:
        UsageError: The table has no column of codes, or lacks one of the columns.
        XsnsError: The table cannot be read, or has no value for any language.
    """
    table = read_table(path)
    label_column = column_of(table, CODE_COLUMNS, "codes")
    value_columns = columns(table)
    # Tables of dialects repeat a language. Equal lines do not contradict each other and are read once.
    rows = dict.fromkeys(zip(table.column(label_column), *map(table.column, value_columns), strict=True))
    lines = ((label, dict(zip(value_columns, fields, strict=True))) for label, *fields in rows)
    known = [(label, value) for label, fields in lines if (value := read(fields, label)) is not None]
    labels = [label for label, _ in known]
    matched = match_labels(labels, table.name, names_for(path, labels, names))
    origin = f"{table.name}, {'column' if len(value_columns) == 1 else 'columns'} {', '.join(value_columns)}"
    if not matched.codes:
        raise XsnsError(
            f"'{path}' has no value for any language ({origin}).",
            "its labels must be language codes, or names from a table of names (--names).",
        )
    values = {code: known[index][1] for code, index in zip(matched.codes, matched.indices, strict=True)}
    missing = _missing_values(table, (label_column, *value_columns), set(labels), unknown)
    return LanguageValues(values, origin, (*matched.notes, *missing))


def is_unknown(field: str, words: Collection[str] = ()) -> bool:
    """Return whether a field is empty or contains a word for a missing value, such as `NA`, `-`, `?` or `unknown`.

    Do not use this function for columns of codes, because `na` and `nan` are also codes of languages.

    Args:
        field: A field of a table.
        words: Further words for a missing value in this column, in lower case.
    """
    word = field.strip().casefold()
    return word in NOT_KNOWN or word in words


def _missing_values(
    table: TextTable, columns: Sequence[str], known: Collection[str], words: Collection[str]
) -> tuple[str, ...]:
    """Return, in a tuple, a sentence on the languages whose field is a word for a missing value.

    These languages are left out. The tuple is empty if there are none.

    Args:
        table: The table.
        columns: The column of labels, then the columns that were read.
        known: The labels of the languages that have a value.
        words: Further words for a missing value.
    """
    left_out: dict[str, None] = {}
    words_used: dict[str, None] = {}
    for label, *fields in zip(*map(table.column, columns), strict=True):
        missing = [field.strip() for field in fields if field.strip() and is_unknown(field, words)]
        if missing and label not in known:
            left_out[label] = None
            words_used |= dict.fromkeys(missing)
    if not left_out:
        return ()
    marks = listed([repr(word) for word in words_used])
    return (f"{table.name} has {marks} for a missing value; these languages are left out: {listed(list(left_out))}.",)


def _read_lines(file: Path) -> TextTable:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise unreadable(file, error) from error
    except UnicodeError as error:
        raise XsnsError(f"'{file}' cannot be read as a table: {error}.", "save the file as UTF-8 text.") from error
    rows = [_fields(line) for line in text.splitlines() if line.strip()]
    if not rows:
        raise XsnsError(f"'{file}' is empty.", "give a table with one line for each language.")
    numbers = zip_longest(*(row[2:] for row in rows), fillvalue="")
    lines = zip((row[0] for row in rows), (row[1] for row in rows), *numbers, strict=True)
    width = max(map(len, rows)) - 2
    return TextTable((LABEL, TEXT, *(str(number) for number in range(1, width + 1))), tuple(lines), file.name)


def _fields(line: str) -> list[str]:
    """Return the fields of a line: the label, the words as one field, and each number at the end of the line."""
    label, *rest = line.split()
    first = len(rest)
    while first and _is_number(rest[first - 1]):
        first -= 1
    return [label, " ".join(rest[:first]), *rest[first:]]


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


@dataclass(frozen=True)
class MatchedLabels:
    """The languages of a file, which were found by its labels.

    Attributes:
        codes: Distinct normalised codes, in the order of the file.
        indices: For each code, the index of its label among the labels of the file.
        notes: Sentences about labels that were left out; may be empty.
    """

    codes: tuple[str, ...]
    indices: tuple[int, ...]
    notes: tuple[str, ...] = ()


def match_labels(labels: Sequence[str], what: str, names: Mapping[str, str] | None = None) -> MatchedLabels:
    """Find the language of each label of a file.

    A label is looked up in `names`; if it is not there, it is read as a code. If several labels have the same
    normalised code (such as `ara` and `arb`, which both become `ar`), the label that equals this code or its
    three-letter form is used. This label is the macrolanguage (`ara`), not its largest member (`arb`). If there is no
    such label, the first label is used, and a note names the language.

    Args:
        labels: The labels as they are written in the file.
        what: Name of the file, for notes.
        names: {name: code} from :func:`read_names`.
    """
    codes = to_codes(labels)
    indices: dict[str, list[int]] = {}
    unmatched: dict[str, None] = {}
    for index, label in enumerate(labels):
        code = (names or {}).get(name_key(label), codes[label])
        if code is None:
            unmatched[label or "an empty label"] = None
        else:
            indices.setdefault(code, []).append(index)
    best = {code: _best(code, [(index, labels[index]) for index in several]) for code, several in indices.items()}
    ambiguous = [code for code, candidates in best.items() if len(candidates) > 1]
    first = tuple(candidates[0] for candidates in best.values())
    return MatchedLabels(tuple(best), first, tuple(_notes(list(unmatched), ambiguous, what)))


def restrict_both(
    known: Sequence[str], sources: Sequence[str] | None, targets: Sequence[str] | None, what: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Apply :func:`restrict` to the sources and to the targets, and return both results."""
    return restrict(known, sources, what), restrict(known, targets, what)


def restrict(known: Sequence[str], requested: Sequence[str] | None, what: str) -> dict[str, str]:
    """Return {requested code: code in the table} for the requested languages that a table has.

    The two codes differ if only one of them names a script (:func:`xsns_stream.languages.counterparts`).

    Args:
        known: The codes of the table.
        requested: The requested codes; None for all languages of the table.
        what: The name of the table, for messages.

    Raises:
        LanguageError: A requested code is not a language code, or the table has none of the languages.
    """
    if requested is None:
        return {code: code for code in known}
    codes = unique_codes(requested)
    matches = counterparts(codes, known)
    if not matches:
        raise LanguageError(f"{what} has none of the requested languages: {listed(codes)}.", f"it has {listed(known)}.")
    return {code: matches[code] for code in codes if code in matches}


def unique_codes(codes: Sequence[str]) -> tuple[str, ...]:
    """Normalise codes with :func:`xsns_stream.languages.normalise`, and return the distinct ones in their order.

    Raises:
        LanguageError: One of them is not a language code.
    """
    return tuple(dict.fromkeys(normalise(code) for code in codes))


def name_key(name: str) -> str:
    """Return the form in which a name is compared: in lower case, and with spaces in place of underscores."""
    return name.strip().replace("_", " ").casefold()


def _best(code: str, candidates: Sequence[tuple[int, str]]) -> list[int]:
    """Return the indices of the best labels for a language.

    `code` is the normalised code of the language, and `candidates` are (index, label) for each label that has this
    code.

    The best labels are those that equal the code, or else its three-letter form. If there is no such label, or only one
    label in total, all indices are returned.
    """
    if len(candidates) > 1:
        for spelling in (code, _three_letters(code)):
            if exact := [index for index, label in candidates if label == spelling]:
                return exact
    return [index for index, _ in candidates]


def _three_letters(code: str) -> str:
    import langcodes

    try:
        return str(langcodes.Language.get(code).to_alpha3())
    except LookupError:
        return code


def _notes(unmatched: Sequence[str], ambiguous: Sequence[str], what: str) -> Iterator[str]:
    if unmatched:
        if len(unmatched) == 1:
            yield f"1 label of {what} is not a language code and was left out: {listed(unmatched)}."
        else:
            yield f"{len(unmatched)} labels of {what} are not language codes and were left out: {listed(unmatched)}."
    if ambiguous:
        yield f"{what} has several entries for {listed(ambiguous)}; only the first entry of each language was used."
