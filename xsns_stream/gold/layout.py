"""Recognition of the parts of a table of scores: its header, its labels, and lines and columns without scores.

Tables often have titles above the header, a second header line, columns with families of languages, empty columns, and
footnotes. These parts are not read, and a note names each of them. This module never leaves out a line or column that
has a number at the position of a score.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Final

from xsns_stream.errors import XsnsError
from xsns_stream.io.escaping import visible
from xsns_stream.io.markup import without_markup
from xsns_stream.io.numbers import cell_number
from xsns_stream.io.table_orientation import name_of_lines
from xsns_stream.io.tables import TextRows, TextTable, as_table, listed
from xsns_stream.language_labels import language_of
from xsns_stream.languages import same_main_language

#: Words for the two sides of a pair, in names of columns.
_SOURCE: Final = r"(?:source|src|train(?:ed|ing)?|transfer|fine[ _-]?tun(?:ed|ing)?|donor)"
_TARGET: Final = r"(?:target|tgt|trg|test(?:ed|ing)?|eval(?:uated|uation)?|pred)"
_LANGUAGE: Final = r"(?:lang(?:uage)?s?|code|iso)"
_SIDES: Final = {
    side: re.compile(rf"(?:{word}(?:[ _-]?(?:on|{_LANGUAGE}))?|{_LANGUAGE}[ _-]?{word})", re.IGNORECASE)
    for side, word in (("source", _SOURCE), ("target", _TARGET))
}
#: Names of columns of a long table that are also recognised in upper case.
_OTHER_COLUMNS: Final = ("score", "regime", "seed")
#: Other names of a column of seeds, if it has whole numbers.
_RUNS: Final = re.compile(
    r"(?:random|rng|training|train)[ _-]?seed|seed[ _-]?id"
    r"|(?:run|trial|rep|repetition|replicate)(?:[ _-]?(?:id|no|number))?",
    re.IGNORECASE,
)
_WHOLE_NUMBER: Final = re.compile(r"\d+(?:\.0+)?")
#: Number of lines at the beginning that may contain the header.
_HEADER_LINES: Final = 20
#: Largest length of the text of a line in a note.
_SHOWN: Final = 60

#: The number of a line in its file, and its fields.
Line = tuple[int, tuple[str, ...]]


@dataclass(frozen=True)
class _Block:
    """The lines of a table, divided at the header.

    Attributes:
        above: Lines above the header.
        header: The header.
        further: Lines between the header and the first line that has scores, such as a second header.
        body: The first line that has scores, and all lines below it, including footnotes.
    """

    above: tuple[Line, ...]
    header: Line
    further: tuple[Line, ...]
    body: tuple[Line, ...]


# --------------------------------------------------------------------------------------------- matrices


def matrix_layout(rows: TextRows, path: Path) -> TextTable:
    """Return a matrix as a table whose first column has the labels of the lines; each other column is one target.

    The header is the line that names the most languages among the lines above the first score. The labels of the lines
    are in the first column, unless another column without numbers names more languages.

    Args:
        rows: The rows of the file.
        path: The file, for messages.

    Raises:
        XsnsError: The table is empty, two header lines contradict each other, or a line has too many fields.
    """
    if len(rows.rows) <= 1:
        return as_table(rows, path)
    block = _divided(rows.rows)
    _check_headers(block, path)
    header = _completed_header(block)
    further, titles = _without_footnotes(block.further)
    body, footnotes = _without_footnotes(block.body)
    table = as_table(replace(rows, rows=_trimmed(((block.header[0], header), *body))), path)
    label = _label_column(table)
    kept, dropped = _score_columns(table, label)
    notes = (
        *table.notes,
        *_line_note("they are above the header", block.above),
        *_line_note("they are further headers", further),
        *_line_note("they have no score", (*titles, *footnotes)),
        *_column_notes(table, label, dropped),
    )
    lines = tuple((without_markup(line[label]), *(line[column] for column in kept)) for line in table.lines)
    # The first field is not changed, because in `tgt \\ src` the backslash separates two words.
    below = name_of_lines([fields for _, fields in block.further]) if not label else ""
    corner = below or table.header[label]
    names = (corner, *(without_markup(table.header[column]) for column in kept))
    return TextTable(names, lines, table.name, notes)


def _divided(lines: Sequence[Line]) -> _Block:
    """Divide the lines of a table at its header."""
    first_scores = next(
        (index for index, (_, fields) in enumerate(lines) if index and any(map(_is_score, fields[1:]))), 1
    )
    heads = lines[: min(first_scores, _HEADER_LINES)]
    counts = [_languages(fields[1:]) for _, fields in heads]
    # Of two headers with the same languages, codes are less ambiguous than names.
    best = max(range(len(heads)), key=lambda index: (*counts[index], -index))
    return _Block(tuple(heads[:best]), heads[best], tuple(lines[best + 1 : first_scores]), tuple(lines[first_scores:]))


def _languages(labels: Sequence[str]) -> tuple[int, int]:
    """Return the number of labels that name a language, and how many of these labels are short and in lower case."""
    named = [label for label in labels if label and language_of(without_markup(label)) is not None]
    return len(named), sum(len(label) <= len("xx-Xxxx") and label == label.lower() for label in named)


def _is_score(field: str) -> bool:
    number = cell_number(field).number
    return number is not None and not math.isnan(number)


def _check_headers(block: _Block, path: Path) -> None:
    """Check that all lines above the scores name the same language in each column.

    Raises:
        XsnsError: Two lines name different languages in one column.
    """
    number, header = block.header
    for other_number, other in (*block.above, *block.further):
        if _languages(other[1:])[0] < max(2, len([field for field in other[1:] if field])):
            continue
        for one, two in zip(header[1:], other[1:], strict=False):
            codes = language_of(without_markup(one)), language_of(without_markup(two))
            if codes[0] and codes[1] and not same_main_language(codes[0], codes[1]):
                raise XsnsError(
                    f"lines {number} and {other_number} of '{path}' name different languages in one column: "
                    f"'{visible(one)}' and '{visible(two)}'.",
                    "keep only one line with the names or codes of the targets.",
                )


def _completed_header(block: _Block) -> tuple[str, ...]:
    """Return the header; its empty fields are filled from other lines above the scores that name languages."""
    header = list(block.header[1])
    for _, other in (*reversed(block.above), *block.further):
        if _languages(other[1:])[0]:
            header += [""] * (len(other) - len(header))
            header = [one or two for one, two in zip(header, (*other, *[""] * len(header)), strict=False)]
    return tuple(header)


def _without_footnotes(lines: Sequence[Line]) -> tuple[list[Line], list[Line]]:
    """Return the lines without footnotes, and the footnotes.

    A footnote is a line with only one field that is not empty, if this field is neither a number nor a language.
    """
    body: list[Line] = []
    footnotes: list[Line] = []
    for number, fields in lines:
        filled = [field for field in fields if field]
        alone = len(filled) == 1 and not _is_score(filled[0]) and language_of(without_markup(filled[0])) is None
        (footnotes if alone else body).append((number, fields))
    return body, footnotes


def _trimmed(lines: Sequence[Line]) -> tuple[Line, ...]:
    """Return the lines without empty fields at their ends. The first line is the header.

    An empty field at the end of the header is kept if another line has text in this column.
    """
    (number, header), *others = lines
    below = [(number, _rstripped(fields)) for number, fields in others]
    width = max((len(fields) for _, fields in below), default=0)
    return ((number, header[: max(width, len(_rstripped(header)))]), *below)


def _rstripped(fields: tuple[str, ...]) -> tuple[str, ...]:
    while fields and not fields[-1]:
        fields = fields[:-1]
    return fields


def _label_column(table: TextTable) -> int:
    """Return the index of the column with the labels of the lines."""
    best, most = 0, (0, 0)
    for index, name in enumerate(table.header):
        cells = [line[index] for line in table.lines]
        if index and (language_of(without_markup(name)) is not None or any(map(_is_score, cells))):
            continue
        labels = [without_markup(cell) for cell in cells if cell]
        found = {code for label in labels if (code := language_of(label)) is not None}
        count, codes = _languages(labels)
        # A column of families may look like names of languages, but its labels occur several times.
        rank = (min(count, len(found)), codes)
        if rank > most:
            best, most = index, rank
    return best


def _score_columns(table: TextTable, label: int) -> tuple[list[int], list[int]]:
    """Return the indices of the columns of scores, and the indices of columns that are not read.

    `label` is the index of the column with the labels of the lines. Columns without name and text are in neither list.
    """
    kept, dropped = [], []
    for index, name in enumerate(table.header):
        if index == label:
            continue
        cells = [line[index] for line in table.lines]
        is_language = language_of(without_markup(name)) is not None
        if not is_language and not any(cells):
            # Leaving out an empty column loses no score.
            dropped += [index] if name else []
        elif not is_language and (index < label or not any(map(_is_score, cells))):
            dropped.append(index)
        else:
            kept.append(index)
    return (kept, dropped) if kept else ([*range(label), *range(label + 1, len(table.header))], [])


# ------------------------------------------------------------------------------------------ long tables


def side_of(name: str) -> str | None:
    """Return which side of a pair a column contains, `source` or `target`, judged by its name; None if neither.

    >>> side_of("train_lang"), side_of("Target Language"), side_of("same_family")
    ('source', 'target', None)
    """
    text = without_markup(name).strip()
    return next((side for side, pattern in _SIDES.items() if pattern.fullmatch(text)), None)


def long_header(rows: Sequence[Line]) -> int | None:
    """Return the index of the header of a long table; None if there is no such header.

    The header is the first row, among the first 20, that has names of columns for both sides of a pair.
    """
    for index, (_, fields) in enumerate(rows[:_HEADER_LINES]):
        sides = [side for field in fields if (side := side_of(field)) is not None]
        if "source" in sides and "target" in sides:
            return index
    return None


def long_layout(rows: TextRows, path: Path) -> TextTable:
    """Return a long file as a table, in which the columns of sources and targets are called `source` and `target`.

    An empty field in these two columns is filled from the line above, because spreadsheets export merged cells as one
    label followed by empty fields.

    Args:
        rows: The rows of the file.
        path: The file, for messages.

    Raises:
        XsnsError: The table is empty, or a line has too many fields.
    """
    start = long_header(rows.rows)
    if start is None:
        return as_table(rows, path)
    body, footnotes = _without_footnotes(rows.rows[start + 1 :])
    header_number, header, above = _header_with_names_above(rows.rows, start)
    table = as_table(replace(rows, rows=_trimmed(((header_number, header), *body))), path)
    names = _with_seeds(tuple(_long_names(table.header)), table)
    renamed = [
        f"'{visible(old)}' is the {new}"
        for old, new in zip(table.header, names, strict=True)
        if old != new and (new in _SIDES or (new == "seed" and old.lower() != new))
    ]
    lines, filled = _filled_down(table.lines, [names.index(side) for side in _SIDES])
    notes = (
        *table.notes,
        *_line_note("they are above the header", above),
        *_line_note("they have no score", footnotes),
        *([f"in '{table.name}' the column {' and '.join(renamed)}."] if renamed else []),
        *([f"empty labels were filled from the line above, as in merged cells: {filled}."] if filled else []),
    )
    return TextTable(names, lines, table.name, notes)


def _header_with_names_above(rows: Sequence[Line], start: int) -> tuple[int, tuple[str, ...], Sequence[Line]]:
    """Return the line number of the header, its fields, and the lines above that are not part of the header.

    `start` is the index in `rows` of the line with names of columns for sources and targets.

    If source and target are the index of a pandas frame, pandas writes the names of the other columns on a separate
    line above the names of the index. The two lines are merged.
    """
    number, header = rows[start]
    above = rows[:start]
    if above and not any(one and two for one, two in zip_longest(header, above[-1][1], fillvalue="")):
        filled = zip_longest(header, above[-1][1], fillvalue="")
        return number, tuple(one or two for one, two in filled), above[:-1]
    return number, header, above


def _long_names(header: Sequence[str]) -> Iterator[str]:
    """Yield the names of the columns, with the usual spelling of `source`, `target`, `score`, `regime` and `seed`."""
    plain = [without_markup(name).strip() for name in header]
    taken = set(plain)
    for name in plain:
        side, lower = side_of(name), name.lower()
        usual = side if side is not None else lower if lower in _OTHER_COLUMNS else name
        # If no column has exactly this name, the first column with a similar name gets it.
        if usual != name and usual in taken:
            yield name
        else:
            taken.add(usual)
            yield usual


def _with_seeds(names: tuple[str, ...], table: TextTable) -> tuple[str, ...]:
    """Return the names of the columns; if only one column contains numbers of runs, its name becomes `seed`.

    The names do not change if there is already a column `seed`.
    """
    runs = [
        index
        for index, name in enumerate(names)
        if _RUNS.fullmatch(name) and all(_WHOLE_NUMBER.fullmatch(line[index]) for line in table.lines)
    ]
    if "seed" in names or len(runs) != 1:
        return names
    return (*names[: runs[0]], "seed", *names[runs[0] + 1 :])


def _filled_down(lines: Sequence[tuple[str, ...]], columns: Sequence[int]) -> tuple[tuple[tuple[str, ...], ...], int]:
    """Fill the empty fields of some columns from the line above; return the lines, and the number of filled fields."""
    filled, last, count = [], dict.fromkeys(columns, ""), 0
    for line in lines:
        fields = list(line)
        for column in columns:
            if not fields[column] and last[column]:
                fields[column] = last[column]
                count += 1
            last[column] = fields[column]
        filled.append(tuple(fields))
    return tuple(filled), count


# ------------------------------------------------------------------------------------------------ notes


def _line_note(reason: str, lines: Sequence[Line]) -> Iterator[str]:
    if lines:
        shown = [f"line {number} ('{_text(fields)}')" for number, fields in lines]
        yield f"these lines were not read, because {reason}: {listed(shown)}."


def _text(fields: Sequence[str]) -> str:
    text = ", ".join(field for field in fields if field)
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}…"


def _column_notes(table: TextTable, label: int, dropped: Sequence[int]) -> Iterator[str]:
    if label:
        name = visible(table.header[label]) or f"number {label + 1}"
        yield f"the labels of the lines of '{table.name}' are in the column '{name}'."
    if dropped:
        names = [table.header[column] or f"number {column + 1}" for column in dropped]
        yield f"these columns were not read, because they have no scores of a language: {listed(names)}."
