"""Tables with one line for each language: columns of codes, names and values."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path
from typing import Final, Generic, TypeVar

from xsns_stream.errors import LanguageError, UsageError, XsnsError
from xsns_stream.io import tables as labelled
from xsns_stream.io.atomic import unreadable
from xsns_stream.io.tables import NOT_KNOWN, TextTable, listed
from xsns_stream.languages import counterparts, normalise

Value = TypeVar("Value")

#: Columns of a text file without a header: a label, the words after it, and the numbers at the end as 1, 2, …
LABEL: Final = "label"
TEXT: Final = "text"
#: Columns that hold codes, the surest first; `language` holds codes in some tables and names in others.
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
#: Tables of names that are found beside a file whose labels are names.
NAMES_BESIDE: Final = ("udpos-langs.csv", "languages.csv")


@dataclass(frozen=True)
class LanguageValues(Generic[Value]):
    """What a table says of each language.

    Attributes:
        values: {normalised code: value}.
        origin: File and column, for people to read.
        notes: Sentences on what was left out; empty where nothing was.
    """

    values: Mapping[str, Value]
    origin: str
    notes: tuple[str, ...] = ()


def read_table(path: str | Path) -> TextTable:
    """Read a table as text.

    ========== ============================================================================================
    .csv .tsv  With a line of column names.
    .txt       Without one: a label, then words, then numbers, apart by spaces, as `af Afrikaans 242 1.3`; the
               columns are called `label`, `text`, `1`, `2` …
    ========== ============================================================================================

    Raises:
        UsageError: The suffix names none of these.
        XsnsError: The file is not there, is empty, or is no such table.
    """
    file = Path(path)
    return _read_lines(file) if file.suffix.lower() == ".txt" else labelled.read_table(file)


def column_of(table: TextTable, wanted: Sequence[str], what: str) -> str:
    """Return the first column of these names, in whatever case.

    Raises:
        UsageError: There is none.
    """
    there = {name.casefold(): name for name in reversed(table.header)}
    for name in wanted:
        if name.casefold() in there:
            return there[name.casefold()]
    raise UsageError(
        f"'{table.name}' has no column of {what} called {' or '.join(wanted)}.",
        f"its columns are {', '.join(filter(None, table.header))}.",
    )


def read_names(path: str | Path) -> dict[str, str]:
    """Return {name as :func:`spelt` has it: code} of a table with both.

    Raises:
        UsageError: It has no column of codes, or none of names.
        XsnsError: It cannot be read.
    """
    table = read_table(path)
    codes = column_of(table, CODE_COLUMNS, "codes")
    names = column_of(table, [name for name in NAME_COLUMNS if name != codes.casefold()], "names")
    found: dict[str, str] = {}
    for code, name in zip(table.column(codes), table.column(names), strict=True):
        with suppress(LanguageError):
            found.setdefault(spelt(name), normalise(code))
    return found


def names_for(path: str | Path, labels: Sequence[str], names: str | Path | None = None) -> dict[str, str]:
    """Return what a file's labels are the names of.

    Args:
        path: The file.
        labels: As it has them. Where most are codes, no names are looked for: `pol` in a column of codes is Polish, and
            not the language of the name Pol.
        names: A table of names. Where left out, one of NAMES_BESIDE in the file's folder or the one above.

    Raises:
        UsageError: The table that was given has no names, or no codes.
        XsnsError: It cannot be read.
    """
    if names is not None:
        return read_names(names)
    if 2 * sum(map(_is_code, labels)) > len(labels):
        return {}
    folder = Path(path).resolve().parent
    for place in (folder, folder.parent):
        for name in NAMES_BESIDE:
            with suppress(XsnsError):
                return read_names(place / name)
    return {}


def read_values(
    path: str | Path,
    columns: Callable[[TextTable], Sequence[str]],
    read: Callable[[Mapping[str, str], str], Value | None],
    names: str | Path | None = None,
    unknown: Collection[str] = (),
) -> LanguageValues[Value]:
    """Read what some columns of a table say of each language.

    Args:
        path: The table.
        columns: Chooses the columns from the table.
        read: What a line means, from {column: field} and its label; None where it says nothing.
        names: A table of names, for labels that are names.
        unknown: Further words for a missing value, in small letters.

    Raises:
        UsageError: There are no codes, or not these columns.
        XsnsError: The table cannot be read, or says nothing of any language.
    """
    table = read_table(path)
    labels = column_of(table, CODE_COLUMNS, "codes")
    wanted = columns(table)
    rows = zip(table.column(labels), *map(table.column, wanted), strict=True)
    # Whoever lists dialects repeats the language: the same line twice contradicts nothing.
    lines = ((label, dict(zip(wanted, fields, strict=True))) for label, *fields in dict.fromkeys(rows))
    known = [(label, value) for label, fields in lines if (value := read(fields, label)) is not None]
    told = [label for label, _ in known]
    found = resolve(told, table.name, names_for(path, told, names))
    origin = f"{table.name}, {'column' if len(wanted) == 1 else 'columns'} {', '.join(wanted)}"
    if not found.codes:
        raise XsnsError(
            f"'{path}' says nothing of any language ({origin}).",
            "its labels must be language codes, or names that a table of names explains (--names).",
        )
    values = {code: known[place][1] for code, place in zip(found.codes, found.places, strict=True)}
    return LanguageValues(values, origin, (*found.notes, *_unknown_values(table, (labels, *wanted), told, unknown)))


def is_unknown(field: str, words: Collection[str] = ()) -> bool:
    """Say whether a field is empty or holds a word for a missing value, as `NA`, `-`, `?` or `unknown`.

    `na` and `nan` are codes of languages too, so that this is not for columns of codes.

    Args:
        field: Of a table.
        words: Further words, in small letters, that mean the same in this column.
    """
    word = field.strip().casefold()
    return word in NOT_KNOWN or word in words


def _unknown_values(
    table: TextTable, columns: Sequence[str], told: Collection[str], words: Collection[str]
) -> tuple[str, ...]:
    """Return a sentence on the languages that were left out because of a word for a missing value.

    Args:
        table: The table.
        columns: That of the labels, then those that were read.
        told: The labels of which something is known.
        words: Further words for a missing value.
    """
    known = set(told)
    left_out: dict[str, None] = {}
    met: dict[str, None] = {}
    for label, *fields in zip(*map(table.column, columns), strict=True):
        said = [field.strip() for field in fields if field.strip() and is_unknown(field, words)]
        if said and label not in known:
            left_out[label] = None
            met |= dict.fromkeys(said)
    if not left_out:
        return ()
    marks = listed([repr(word) for word in met])
    return (f"{table.name} has {marks} for a value that is not known; left out: {listed(list(left_out))}.",)


def _is_code(label: str) -> bool:
    try:
        normalise(label)
    except LanguageError:
        return False
    return True


def _read_lines(file: Path) -> TextTable:
    try:
        text = file.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise unreadable(file, error) from error
    except UnicodeError as error:
        raise XsnsError(f"cannot read '{file}' as a table: {error}.", "save it as UTF-8 text.") from error
    rows = [_fields(line) for line in text.splitlines() if line.strip()]
    if not rows:
        raise XsnsError(f"'{file}' is empty.", "a line for each language is needed.")
    numbers = zip_longest(*(row[2:] for row in rows), fillvalue="")
    lines = zip((row[0] for row in rows), (row[1] for row in rows), *numbers, strict=True)
    width = max(map(len, rows)) - 2
    return TextTable((LABEL, TEXT, *(str(place) for place in range(1, width + 1))), tuple(lines), file.name)


def _fields(line: str) -> list[str]:
    """Return a line's label, its words, and each number at its end."""
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
class Resolved:
    """The languages of a file.

    Attributes:
        codes: Normalised codes, each once, in the order of the file.
        places: Where each stands among the file's labels.
        notes: Sentences on labels that were left out; empty where none was.
    """

    codes: tuple[str, ...]
    places: tuple[int, ...]
    notes: tuple[str, ...] = ()


def resolve(labels: Sequence[str], what: str, names: Mapping[str, str] | None = None) -> Resolved:
    """Return the languages that labels stand for.

    A label is looked up among `names` first, then read as a code. Where several labels come to one code, as `ara` and
    `arb` do, the label of the code itself is taken: the macrolanguage before its largest member.

    Args:
        labels: As the file has them.
        what: Name of the file, for notes.
        names: {name: code}, as :func:`xsns_stream.baselines.language_values.read_names` returns it.
    """
    found: dict[str, list[int]] = {}
    unread: dict[str, None] = {}
    for place, label in enumerate(labels):
        code = _code(label, names or {})
        if code is None:
            unread[label or "an empty label"] = None
        else:
            found.setdefault(code, []).append(place)
    best = {code: _best(code, [(place, labels[place]) for place in several]) for code, several in found.items()}
    doubtful = [code for code, places in best.items() if len(places) > 1]
    return Resolved(
        tuple(best), tuple(places[0] for places in best.values()), tuple(_notes(list(unread), doubtful, what))
    )


def sides(
    known: Sequence[str], sources: Sequence[str] | None, targets: Sequence[str] | None, what: str
) -> tuple[dict[str, str], dict[str, str]]:
    """Return the sources and targets that were asked for and are known.

    Args:
        known: The codes of a table.
        sources: What is asked for; None asks for all.
        targets: Likewise.
        what: The table, for messages.

    Returns:
        For sources and for targets {code as it was asked for: code of the table}; the two differ where one names a
        script and the other does not (:func:`xsns_stream.languages.counterparts`).

    Raises:
        LanguageError: What was asked for is no language code, or none of it is known.
    """
    return side(known, sources, what), side(known, targets, what)


def side(known: Sequence[str], asked: Sequence[str] | None, what: str) -> dict[str, str]:
    """Return what :func:`sides` does, of one side."""
    if asked is None:
        return {code: code for code in known}
    codes = normalised(asked)
    there = counterparts(codes, known)
    if not there:
        raise LanguageError(
            f"{what} has none of the languages that were asked for: {listed(codes)}.", f"it has {listed(known)}."
        )
    return {code: there[code] for code in codes if code in there}


def normalised(codes: Sequence[str]) -> tuple[str, ...]:
    """Return codes as :func:`xsns_stream.languages.normalise` spells them, each once.

    Raises:
        LanguageError: One of them is not the code of a language.
    """
    return tuple(dict.fromkeys(normalise(code) for code in codes))


def spelt(name: str) -> str:
    """Return a name as names are compared: in small letters, with spaces."""
    return name.strip().replace("_", " ").casefold()


def _code(label: str, names: Mapping[str, str]) -> str | None:
    if (name := spelt(label)) in names:
        return names[name]
    try:
        return normalise(label)
    except LanguageError:
        return None


def _best(code: str, candidates: Sequence[tuple[int, str]]) -> list[int]:
    """Return the places of the label that is the code itself, in two letters or in three; else all."""
    if len(candidates) > 1:
        for spelling in (code, _three_letters(code)):
            if own := [place for place, label in candidates if label == spelling]:
                return own
    return [place for place, _ in candidates]


def _three_letters(code: str) -> str:
    import langcodes

    try:
        return str(langcodes.Language.get(code).to_alpha3())
    except LookupError:
        return code


def _notes(unread: Sequence[str], doubtful: Sequence[str], what: str) -> Iterator[str]:
    if unread:
        are = "label is no language code and was" if len(unread) == 1 else "labels are no language codes and were"
        yield f"{len(unread)} {are} left out of {what}: {listed(unread)}."
    if doubtful:
        yield f"{what} has several entries for {listed(doubtful)}; the first was taken."
