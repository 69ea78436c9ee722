"""Tables of languages, or of pairs of languages → features of pairs.

A language table has a column `code` and columns of whatever is known of a language; a pair table has columns `source`
and `target`. Both are joined by label. A feature is asked for as `KIND:COLUMN`, or `NAME=KIND:COLUMN`:

=================== ================================================================================================
same                1 where source and target have the same value, 0 where not, nothing where either is unknown
same-known          the same, but 0 where either is unknown
same-group          as `same`, of what stands before the first comma: the same for `IE, Slavic` and `IE, Baltic`
same-script-type    as `same`, of the kind of writing that a script is: alphabet, abjad, abugida, …
source, target      the number of the source, or of the target; yes and no count as 1 and 0
log-source          the decimal logarithm of the source's number
log-target          the same of the target's
both                the product of the two numbers: 1 where both are 1
pair                the number that a pair table has
=================== ================================================================================================

Unknown is an empty field or `Unknown`, in any case. A regression does not mind whether larger means closer, so
distances are not turned round.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.tables import NOT_KNOWN, TextTable, labels_by_shared_code, listed, numbers, read_table, to_codes
from xsns_stream.types import Reals, SimilarityMatrix

_SPOKEN: Final = {"yes": "1", "true": "1", "no": "0", "false": "0"}
_CODE: Final = "code"
_PAIR: Final = ("source", "target")


@dataclass(frozen=True)
class Feature:
    """What was asked for.

    Attributes:
        name: Of the predictor.
        kind: One of KINDS.
        column: Of a table.
    """

    name: str
    kind: str
    column: str


@dataclass(frozen=True)
class FeatureTables:
    """Tables that were read, and what of them has no code.

    Attributes:
        tables: As they stand in the files.
        notes: Sentences on labels that are no codes of languages.
    """

    tables: tuple[TextTable, ...]
    notes: tuple[str, ...]


def parse_feature(text: str) -> Feature:
    """Return what `KIND:COLUMN` or `NAME=KIND:COLUMN` asks for; the name is `KIND_COLUMN` where none is given.

    Raises:
        UsageError: It is neither.
    """
    from difflib import get_close_matches

    before, colon, column = text.partition(":")
    name, equals, kind = before.rpartition("=")
    kind, column, name = kind.strip(), column.strip(), name.strip()
    if not colon or not column or (equals and not name):
        raise UsageError(f"'{text}' is no feature.", "write KIND:COLUMN, as same:family, or NAME=KIND:COLUMN.")
    if kind not in KINDS:
        near = get_close_matches(kind, KINDS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"kinds are {', '.join(KINDS)}."
        raise UsageError(f"there is no kind of feature '{kind}'.", hint)
    return Feature(name or f"{kind}_{column}", kind, column)


def read_features(paths: Iterable[str | Path]) -> FeatureTables:
    """Read tables of languages or pairs.

    Raises:
        UsageError: A file is no CSV or TSV.
        XsnsError: It cannot be read; or it has neither a column `code` nor columns `source` and `target`.
    """
    tables, notes = [], []
    for path in paths:
        table = read_table(Path(path))
        labels = [label for column in _label_columns(table) for label in table.column(column)]
        if lacking := [label for label, code in to_codes(labels).items() if code is None]:
            notes.append(f"'{table.name}': no language has the code {listed(lacking)}; nothing is known of them.")
        tables.append(table)
    return FeatureTables(tuple(tables), tuple(notes))


def feature_matrix(
    feature: Feature, found: FeatureTables, sources: Sequence[str], targets: Sequence[str]
) -> SimilarityMatrix:
    """Return a feature's value for all pairs; NaN where something is unknown.

    Args:
        feature: What was asked for.
        found: The tables; one of them has the column.
        sources: S normalised codes.
        targets: T normalised codes.

    Raises:
        UsageError: No table has the column, or several have; or the kind wants another sort of table.
        XsnsError: A cell holds no number where one is needed, or zero where a logarithm is; or two lines contradict
            one another.
    """
    table = _table_with(feature, found.tables)
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
        f"its columns are {listed(table.header)}; rename the one with language codes.",
    )


def _table_with(feature: Feature, tables: Sequence[TextTable]) -> TextTable:
    pairs = feature.kind == "pair"
    fitting = [table for table in tables if (_label_columns(table) == _PAIR) == pairs]
    having = [table for table in fitting if feature.column in table.header]
    if len(having) == 1:
        return having[0]
    if having:
        names = listed([f"'{table.name}'" for table in having])
        raise UsageError(f"several tables have a column '{feature.column}': {names}.", "rename all but one.")
    elsewhere = any(feature.column in table.header for table in tables)
    if elsewhere:
        wanted = "pairs (columns source and target)" if pairs else "languages (a column code)"
        raise UsageError(f"'{feature.kind}:{feature.column}' needs a table of {wanted}.")
    columns = [column for table in fitting for column in table.header]
    raise UsageError(
        f"no table of --features has a column '{feature.column}'.",
        f"there are {listed(columns)}." if columns else "give a table with --features FILE.",
    )


def _by_code(table: TextTable, column: str) -> dict[str, str]:
    """Return {code: what stands in the column}; lines of the same language must agree."""
    labels, cells = table.column(_CODE), table.column(column)
    codes = to_codes(labels)
    found: dict[str, str] = {}
    for label, cell in zip(labels, cells, strict=True):
        code, value = codes[label], "" if cell.lower() in NOT_KNOWN else cell
        if code is not None and found.setdefault(code, value) != value:
            others = labels_by_shared_code(codes).get(code, [label])
            raise XsnsError(
                f"'{table.name}' says both '{found[code]}' and '{value}' of '{column}' for '{code}'.",
                f"it stands there as {listed(others)}; keep one line.",
            )
    return found


def _pair_values(table: TextTable, column: str, sources: Sequence[str], targets: Sequence[str]) -> Reals:
    rows, columns = ({code: place for place, code in enumerate(codes)} for codes in (sources, targets))
    lines = list(zip(table.column(_PAIR[0]), table.column(_PAIR[1]), table.column(column), strict=True))
    codes = to_codes([label for source, target, _ in lines for label in (source, target)])
    cells = [(source, target, _spoken(cell)) for source, target, cell in lines]
    values = np.full((len(sources), len(targets)), np.nan)
    for (source, target, _), number in zip(cells, numbers(cells, f"'{table.name}'"), strict=True):
        row, place = rows.get(codes[source] or ""), columns.get(codes[target] or "")
        if row is None or place is None or math.isnan(number):
            continue
        if not math.isnan(values[row, place]) and values[row, place] != number:
            raise XsnsError(f"'{table.name}' says two things of '{column}' for {source} → {target}.", "keep one line.")
        values[row, place] = number
    return values


def _spoken(cell: str) -> str:
    return _SPOKEN.get(cell.lower(), "" if cell.lower() in NOT_KNOWN else cell)


def _numbers(table: TextTable, feature: Feature, codes: Iterable[str]) -> dict[str, float]:
    """Return {code: its number, or its decimal logarithm}; NaN where unknown."""
    known = _by_code(table, feature.column)
    cells = [(code, feature.column, _spoken(known.get(code, ""))) for code in codes]
    found = dict(zip((code for code, *_ in cells), numbers(cells, f"'{table.name}'"), strict=True))
    if not feature.kind.startswith("log-"):
        return found
    if low := [code for code, number in found.items() if number <= 0]:
        raise XsnsError(
            f"'{feature.column}' of {listed(low)} in '{table.name}' is not above zero, and a logarithm was asked for.",
            f"ask for {feature.kind.removeprefix('log-')}:{feature.column}, or leave these cells empty.",
        )
    return {code: math.log10(number) for code, number in found.items()}


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


#: What is said of both languages, compared.
_COMPARISONS: Final[dict[str, Callable[[Sequence[str], Sequence[str]], Reals]]] = {
    "same": _same,
    "same-known": _same_known,
    "same-group": _same_group,
    "same-script-type": _same_script_type,
}
#: Numbers of both languages, spread over the pairs.
_NUMBERS: Final[dict[str, Callable[[Reals, Reals], Reals]]] = {
    "source": _of_source,
    "target": _of_target,
    "log-source": _of_source,
    "log-target": _of_target,
    "both": np.multiply.outer,
}

#: Kinds of features.
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
#: ISO 15924 codes that differ from the beginning of the name.
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
    """Return `alphabet`, `abjad`, `abugida`, `syllabary` or `logography`; empty where that is unknown.

    Args:
        script: English name or ISO 15924 code, in any case.
    """
    return _TYPES.get(script.strip().lower().replace(" ", "-").replace("_", "-"), "")
