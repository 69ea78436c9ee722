"""Features of language pairs, read from tables of languages or tables of pairs.

A language table has a column `code` and further columns with properties of the language. A pair table has columns
`source` and `target`. Both are aligned by label. A feature is written as `KIND:COLUMN`, or `NAME=KIND:COLUMN`:

==================== ===============================================================================================
`same`               1 if source and target have the same value, 0 if they differ, missing if a value is unknown
`same-known`         like `same`, but 0 if a value is unknown
`same-group`         like `same`, but only the text before the first comma is compared: 1 for `IE, Slavic` and
                     `IE, Baltic`
`same-script-type`   like `same`, but the types of the scripts are compared: alphabet, abjad, abugida, …
`source`, `target`   the number of the source, or of the target; yes and no are read as 1 and 0
`log-source`         the decimal logarithm of the source's number
`log-target`         the decimal logarithm of the target's number
`both`               the product of the source's and the target's number: 1 if both are 1
`pair`               the number of the pair in a pair table
==================== ===============================================================================================

A field is unknown if it is empty or contains a word for a missing value, such as `Unknown` or `NA`. Distances are used
unchanged, because the sign of a predictor does not matter in a regression.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.numbers import NOT_KNOWN, numbers
from xsns_stream.io.tables import TextTable, column_list, labels_by_shared_code, listed, read_table, to_codes
from xsns_stream.language_labels import read_labels
from xsns_stream.languages import counterparts
from xsns_stream.types import Reals, SimilarityMatrix

_YES_NO: Final = {"yes": "1", "true": "1", "no": "0", "false": "0"}
_CODE: Final = "code"
_PAIR: Final = ("source", "target")


@dataclass(frozen=True)
class Feature:
    """A feature that the user requested.

    Attributes:
        name: Name of the predictor.
        kind: One of KINDS.
        column: Name of a column of one of the tables.
    """

    name: str
    kind: str
    column: str


@dataclass(frozen=True)
class FeatureTables:
    """Tables of features.

    Attributes:
        tables: The tables, with fields as text.
        notes: Sentences about labels that are not language codes.
    """

    tables: tuple[TextTable, ...]
    notes: tuple[str, ...]


def parse_feature(text: str) -> Feature:
    """Parse `KIND:COLUMN` or `NAME=KIND:COLUMN`; the default name is `KIND_COLUMN`.

    Raises:
        UsageError: The text has neither form.

    >>> parse_feature("same:family")
    Feature(name='same_family', kind='same', column='family')
    """
    from difflib import get_close_matches

    before, colon, column = text.partition(":")
    name, equals, kind = before.rpartition("=")
    kind, column, name = kind.strip(), column.strip(), name.strip()
    if not colon or not column or (equals and not name):
        raise UsageError(f"'{text}' is not a feature.", "write KIND:COLUMN, such as same:family, or NAME=KIND:COLUMN.")
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"kinds are {', '.join(KINDS)}."
        raise UsageError(f"there is no kind of feature '{kind}'.", hint)
    return Feature(name or f"{kind}_{column}", kind, column)


def read_features(paths: Iterable[str | Path], codes: Sequence[str] = ()) -> FeatureTables:
    """Read language tables or pair tables.

    Labels may be codes or names of languages. A table may have another code for a language than `codes` has. The
    language is found if the two codes can be matched in only one way (:func:`xsns_stream.languages.counterparts`), and
    a note lists these languages.

    Args:
        paths: The tables.
        codes: Codes of the languages for which features are looked up.

    Raises:
        UsageError: A file is not a CSV or TSV file.
        XsnsError: A file cannot be read, or has neither a column `code` nor columns `source` and `target`.
    """
    tables, notes = [], []
    for path in paths:
        table = read_table(Path(path))
        columns = _label_columns(table)
        labels = [label for column in columns for label in table.column(column)]
        read = read_labels(labels)
        known = {label: code or read.summaries.get(label) for label, code in read.codes.items()}
        if lacking := [label for label, code in known.items() if code is None]:
            notes.append(f"labels of '{table.name}' that are not language codes were left out: {listed(lacking)}.")
        if read.by_name:
            named = [f"{label} = {code}" for label, code in read.by_name.items()]
            notes.append(f"languages of '{table.name}' were recognised by name: {listed(named)}.")
        theirs = tuple(dict.fromkeys(code for code in known.values() if code is not None))
        ours = {other: code for code, other in counterparts(codes, theirs).items() if other != code}
        if ours:
            spellings = [f"{other} for {code}" for other, code in ours.items()]
            notes.append(f"'{table.name}' has other codes for the same languages: {listed(spellings)}.")
        spelling = {
            label: ours.get(code, code)
            for label, code in known.items()
            if code is not None and (code in ours or label in read.by_name)
        }
        tables.append(_relabelled(table, columns, spelling))
    return FeatureTables(tuple(tables), tuple(notes))


def _relabelled(table: TextTable, columns: Sequence[str], spelling: Mapping[str, str]) -> TextTable:
    """Return a table in which the labels in some columns are replaced.

    Args:
        table: The table.
        columns: The names of the columns.
        spelling: {label: new label}. Other labels do not change.
    """
    indices = {table.header.index(column) for column in columns}
    lines = tuple(
        tuple(spelling.get(cell, cell) if index in indices else cell for index, cell in enumerate(line))
        for line in table.lines
    )
    return replace(table, lines=lines)


def feature_matrix(
    feature: Feature, tables: FeatureTables, sources: Sequence[str], targets: Sequence[str]
) -> SimilarityMatrix:
    """Return the value of a feature for all pairs; NaN if it is unknown.

    Args:
        feature: The feature.
        tables: The tables; exactly one of them must have the column.
        sources: S normalised codes.
        targets: T normalised codes.

    Raises:
        UsageError: No table or several tables have the column, or the column is in a pair table but the kind needs a
            language table, or the reverse.
        XsnsError: The kind needs numbers and a field is not a number; the kind is a logarithm and a number is not
            positive; or two lines contradict each other.
    """
    table = _table_with(feature, tables.tables)
    if feature.kind == "pair":
        values = _pair_values(table, feature.column, sources, targets)
    elif feature.kind in _COMPARISONS:
        known = _by_code(table, feature.column)
        values = _COMPARISONS[feature.kind](*([known.get(code, "") for code in side] for side in (sources, targets)))
    else:
        sizes = _numbers(table, feature, dict.fromkeys((*sources, *targets)))
        values = _NUMBERS[feature.kind](*(np.array([sizes[code] for code in side]) for side in (sources, targets)))
    return SimilarityMatrix(tuple(sources), tuple(targets), values, f"{feature.kind}:{feature.column}")


# ----------------------------------------------------------------------------------------------- tables


def _label_columns(table: TextTable) -> tuple[str, ...]:
    if set(_PAIR) <= set(table.header):
        return _PAIR
    if _CODE in table.header:
        return (_CODE,)
    raise XsnsError(
        f"'{table.name}' has neither a column '{_CODE}' nor columns '{_PAIR[0]}' and '{_PAIR[1]}'.",
        f"its columns are {column_list(table.header)}; rename the column of language codes to '{_CODE}'.",
    )


def _table_with(feature: Feature, tables: Sequence[TextTable]) -> TextTable:
    pairs = feature.kind == "pair"
    of_type = [table for table in tables if (_label_columns(table) == _PAIR) == pairs]
    matching = [table for table in of_type if feature.column in table.header]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = listed([f"'{table.name}'" for table in matching])
        raise UsageError(f"several tables have a column '{feature.column}': {names}.", "rename all but one.")
    elsewhere = any(feature.column in table.header for table in tables)
    if elsewhere:
        needed = "pairs (columns source and target)" if pairs else "languages (a column code)"
        raise UsageError(
            f"'{feature.kind}:{feature.column}' needs a table of {needed}.", "give it with --features FILE."
        )
    columns = [column for table in of_type for column in table.header]
    raise UsageError(
        f"no table of --features has a column '{feature.column}'.",
        f"columns are {listed(columns)}." if columns else "give a table with --features FILE.",
    )


def _by_code(table: TextTable, column: str) -> dict[str, str]:
    """Return {code: field of the column}; an unknown field is an empty string.

    Raises:
        XsnsError: Two lines of one language have different fields.
    """
    labels, cells = table.column(_CODE), table.column(column)
    codes = to_codes(labels)
    fields: dict[str, str] = {}
    for label, cell in zip(labels, cells, strict=True):
        code, value = codes[label], "" if cell.lower() in NOT_KNOWN else cell
        if code is not None and fields.setdefault(code, value) != value:
            others = labels_by_shared_code(codes).get(code, [label])
            raise XsnsError(
                f"'{table.name}' has both '{fields[code]}' and '{value}' in column '{column}' for '{code}'.",
                f"its labels are {listed(others)}; keep one line.",
            )
    return fields


def _pair_values(table: TextTable, column: str, sources: Sequence[str], targets: Sequence[str]) -> Reals:
    rows, columns = ({code: index for index, code in enumerate(codes)} for codes in (sources, targets))
    lines = list(zip(table.column(_PAIR[0]), table.column(_PAIR[1]), table.column(column), strict=True))
    codes = to_codes([label for source, target, _ in lines for label in (source, target)])
    cells = [(source, target, _number_text(cell)) for source, target, cell in lines]
    values = np.full((len(sources), len(targets)), np.nan)
    for (source, target, _), number in zip(cells, numbers(cells, f"'{table.name}'"), strict=True):
        row, target_column = rows.get(codes[source] or ""), columns.get(codes[target] or "")
        if row is None or target_column is None or math.isnan(number):
            continue
        if not math.isnan(values[row, target_column]) and values[row, target_column] != number:
            raise XsnsError(
                f"'{table.name}' has two values in column '{column}' for {source} → {target}.", "keep one line."
            )
        values[row, target_column] = number
    return values


def _number_text(cell: str) -> str:
    """Return a field as the text of a number: `1` for yes, `0` for no, and an empty string for a missing value."""
    return _YES_NO.get(cell.lower(), "" if cell.lower() in NOT_KNOWN else cell)


def _numbers(table: TextTable, feature: Feature, codes: Iterable[str]) -> dict[str, float]:
    """Return {code: number} from the column of a feature, or {code: decimal logarithm} for kinds `log-…`.

    The number is NaN if it is unknown.
    """
    known = _by_code(table, feature.column)
    cells = [(code, feature.column, _number_text(known.get(code, ""))) for code in codes]
    number_of = dict(zip((code for code, *_ in cells), numbers(cells, f"'{table.name}'"), strict=True))
    if not feature.kind.startswith("log-"):
        return number_of
    if low := [code for code, number in number_of.items() if number <= 0]:
        raise XsnsError(
            f"'{feature.column}' of {listed(low)} in '{table.name}' must be above zero for a logarithm.",
            f"use {feature.kind.removeprefix('log-')}:{feature.column}, or leave these cells empty.",
        )
    return {code: math.log10(number) for code, number in number_of.items()}


# ------------------------------------------------------------------------------------------------ kinds


def _same(sources: Sequence[str], targets: Sequence[str]) -> Reals:
    rows, columns = np.array(sources, object)[:, None], np.array(targets, object)[None, :]
    unknown = (rows == "") | (columns == "")
    equal: Reals = np.where(unknown, np.nan, (rows == columns).astype(np.float64))
    return equal


def _same_known(sources: Sequence[str], targets: Sequence[str]) -> Reals:
    return np.nan_to_num(_same(sources, targets), nan=0.0)


def _same_group(sources: Sequence[str], targets: Sequence[str]) -> Reals:
    return _same(*([value.split(",")[0].strip() for value in values] for values in (sources, targets)))


def _same_script_type(sources: Sequence[str], targets: Sequence[str]) -> Reals:
    return _same(*([script_type(script) for script in values] for values in (sources, targets)))


def _of_source(sources: Reals, targets: Reals) -> Reals:
    return np.repeat(sources[:, None], len(targets), axis=1)


def _of_target(sources: Reals, targets: Reals) -> Reals:
    return _of_source(targets, sources).T


#: Kinds that compare the values of both languages.
_COMPARISONS: Final[dict[str, Callable[[Sequence[str], Sequence[str]], Reals]]] = {
    "same": _same,
    "same-known": _same_known,
    "same-group": _same_group,
    "same-script-type": _same_script_type,
}
#: Kinds that combine the numbers of both languages.
_NUMBERS: Final[dict[str, Callable[[Reals, Reals], Reals]]] = {
    "source": _of_source,
    "target": _of_target,
    "log-source": _of_source,
    "log-target": _of_target,
    "both": np.multiply.outer,
}

#: All kinds of features.
KINDS: Final = (*_COMPARISONS, *_NUMBERS, "pair")


_NAMES: Final = {
    "alphabet": "latin cyrillic greek armenian georgian hangul mongolian coptic gothic runic ogham glagolitic nko "
    "adlam osage old-turkic ol-chiki",
    "abjad": "arabic hebrew syriac samaritan mandaic phoenician tifinagh",
    "abugida": "devanagari bengali gurmukhi gujarati oriya odia tamil telugu kannada malayalam sinhala thai lao "
    "tibetan myanmar burmese khmer ethiopic javanese balinese thaana meetei-mayek",
    "syllabary": "kana hiragana katakana cherokee vai yi canadian-aboriginal",
    "logography": "chinese han",
}
#: ISO 15924 codes of the scripts.
_CODES: Final = {
    "alphabet": "latn cyrl grek armn geor hang kore mong orkh runr ogam glag nkoo adlm osge copt goth",
    "abjad": "arab hebr syrc samr mand phnx tfng",
    "abugida": "deva beng guru gujr orya taml telu knda mlym sinh thai laoo tibt mymr khmr ethi java bali thaa mtei",
    "syllabary": "kana hira hrkt cher vaii yiii cans",
    "logography": "hani hans hant",
}
_TYPES: Final = {
    script: kind for table in (_NAMES, _CODES) for kind, scripts in table.items() for script in scripts.split()
}


def script_type(script: str) -> str:
    """Return the type of a script: `alphabet`, `abjad`, `abugida`, `syllabary` or `logography`; empty if unknown.

    Args:
        script: English name or ISO 15924 code of a script, in upper or lower case.
    """
    return _TYPES.get(script.strip().lower().replace(" ", "-").replace("_", "-"), "")
