"""Baselines that compare one category of each language: its family (`family`) and its script (`script`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from xsns_stream.baselines.language_values import (
    TEXT,
    LanguageValues,
    column_of,
    is_unknown,
    read_values,
    restrict_both,
    unique_codes,
)
from xsns_stream.io.tables import TextTable, listed
from xsns_stream.types import SimilarityMatrix

#: The family of a language, its branch and so on, from the root of the tree down.
Ancestors = tuple[str, ...]

FAMILY_COLUMNS: Final = ("family", "families", "family_name", TEXT)
_ISOLATE_COLUMN: Final = "is_isolate"
#: Words in place of a family, in lower case: the language has no relatives, or no known classification.
_ISOLATES: Final = frozenset({"isolate", "isolates", "language isolate", "language isolates"})
_NO_FAMILY: Final = frozenset({"unclassified", "unclassifiable", "unattested"})


def read_families(
    path: str | Path, columns: Sequence[str] = (), names: str | Path | None = None
) -> LanguageValues[Ancestors]:
    """Read the family of each language, from the root of the tree down.

    One field may contain the whole path, such as `IE, Germanic`, or several columns contain it, from the family down. A
    language is a separate family if Glottolog's table calls it an isolate, or if its family is called `isolate`. Other
    languages without a family are left out. Languages with a word for a missing value (`NA`, `-`, `?`, `unknown`) or
    for a missing classification (`Unclassified`) are also left out, and a note names them.

    Args:
        path: A table with a code (or, with `names`, a name) and a family for each language.
        columns: Columns of the family, the branch, …; `Family` by default.
        names: A table of names, for labels that are names.

    Raises:
        UsageError: The table does not have these columns.
        XsnsError: The table cannot be read.
    """

    def columns_of(table: TextTable) -> list[str]:
        chosen = [column_of(table, [name], "families") for name in columns or ()]
        chosen = chosen or [column_of(table, FAMILY_COLUMNS, "families")]
        return chosen + [name for name in table.header if name.casefold() == _ISOLATE_COLUMN]

    def read(fields: Mapping[str, str], label: str) -> Ancestors | None:
        by_column = {name.casefold(): field for name, field in fields.items()}
        isolate = by_column.pop(_ISOLATE_COLUMN, "").casefold() == "true"
        parts = [part.strip() for field in by_column.values() for part in field.split(",")]
        ancestors = tuple(part for part in parts if not is_unknown(part, _NO_FAMILY))
        alone = ancestors[0].casefold() in _ISOLATES if ancestors else isolate
        return (label,) if alone else ancestors or None

    return read_values(path, columns_of, read, names, unknown=_NO_FAMILY)


def family(
    families: LanguageValues[Ancestors],
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    *,
    binary: bool = False,
) -> SimilarityMatrix:
    """Return the similarity of languages by their common ancestors in the family tree.

        family(s, t) = |A_s ∩ A_t| / √(|A_s| |A_t|)

    A is the set of the ancestors of a language: its family, branch and so on. The value is the cosine of the family
    vectors of URIEL. In a table with one level it is 1 for languages of one family and 0 for others; `IE, Germanic` and
    `IE, Romance` give 1/2.

    Args:
        families: The result of :func:`read_families`.
        sources: Codes; all languages by default. Languages that the table lacks are left out.
        targets: Codes; all languages by default.
        binary: Return 1 if the whole path is the same, and 0 if it is not.

    Raises:
        LanguageError: The table has none of the languages.

    Source:
        Littell et al. (EACL 2017); binary: de Vries, Wieling and Nissim (ACL 2022).
    """
    rows, columns = restrict_both(list(families.values), sources, targets, "the table of families")
    down, across = ([families.values[code] for code in side.values()] for side in (rows, columns))
    shared = np.array([[_shared(one, other) for other in across] for one in down], np.float64)
    depths = [np.array([len(ancestors) for ancestors in side], np.float64) for side in (down, across)]
    values = shared / np.sqrt(np.outer(*depths))
    if binary:
        values = (values == 1.0).astype(np.float64)
    return SimilarityMatrix(tuple(rows), tuple(columns), values, "family")


def _shared(one: Ancestors, other: Ancestors) -> int:
    """Count the ancestors that are the same from the root down.

    Branches of the same name in two families are different ancestors.
    """
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


SCRIPT_COLUMNS: Final = ("script", "scripts", "writing_system")
#: {variant of a script in ISO 15924: the script with the same characters}.
_VARIANTS: Final = {
    "Hans": "Hani",
    "Hant": "Hani",
    "Aran": "Arab",
    "Cyrs": "Cyrl",
    "Latf": "Latn",
    "Latg": "Latn",
    "Syre": "Syrc",
    "Syrj": "Syrc",
    "Syrn": "Syrc",
}
#: Words for a language without a script, in lower case; the last three are codes of ISO 15924.
_NO_SCRIPT: Final = frozenset({"unwritten", "zxxx", "zyyy", "zzzz"})


def read_scripts(path: str | Path, column: str | None = None, names: str | Path | None = None) -> LanguageValues[str]:
    """Read the script of each language from a table, as it is written there, such as `latin`.

    Languages with a word for a missing value (`NA`, `-`, `?`, `unknown`) or for no script (`unwritten`, `Zxxx`) are
    left out, and a note names them.

    Args:
        path: A table with a code (or, with `names`, a name) and a script for each language.
        column: The column of scripts; `script` by default.
        names: A table of names, for labels that are names.

    Raises:
        UsageError: The table does not have this column.
        XsnsError: The table cannot be read.
    """
    column_names = [column] if column else SCRIPT_COLUMNS

    def read(fields: Mapping[str, str], label: str) -> str | None:
        del label
        (field,) = fields.values()
        return None if is_unknown(field, _NO_SCRIPT) else field.strip().casefold()

    return read_values(path, lambda table: [column_of(table, column_names, "scripts")], read, names, unknown=_NO_SCRIPT)


def customary_scripts(languages: Sequence[str]) -> LanguageValues[str]:
    """Return the script of each language code: that of the code (as in `zh-Hant`), or the likely script of CLDR.

    Variants of a script in ISO 15924, such as simplified and traditional Chinese characters, are treated as one script.

    Raises:
        LanguageError: One of the codes is not a language code.
    """
    scripts: dict[str, str] = {}
    unknown = []
    for code in unique_codes(languages):
        likely = _likely_script(code)
        if likely:
            scripts[code] = _VARIANTS.get(likely, likely)
        else:
            unknown.append(code)
    notes = (f"CLDR has no script for {listed(unknown)}.",) if unknown else ()
    return LanguageValues(scripts, "CLDR, likely subtags", notes)


def script(
    scripts: LanguageValues[str], sources: Sequence[str] | None = None, targets: Sequence[str] | None = None
) -> SimilarityMatrix:
    """Return 1 if source and target have the same script, and 0 if they have not.

    Args:
        scripts: The result of :func:`read_scripts` or :func:`customary_scripts`.
        sources: Codes; all languages by default. Languages without a known script are left out.
        targets: Codes; all languages by default.

    Raises:
        LanguageError: None of the languages has a known script.

    Source:
        de Vries, Wieling and Nissim (ACL 2022).
    """
    rows, columns = restrict_both(list(scripts.values), sources, targets, "the table of scripts")
    down, across = (np.array([scripts.values[code] for code in side.values()]) for side in (rows, columns))
    same = np.equal(down[:, None], across[None, :]).astype(np.float64)
    return SimilarityMatrix(tuple(rows), tuple(columns), same, "script")


def _likely_script(code: str) -> str | None:
    """Return the script in a code, or CLDR's likely script for its region or language; None if unknown.

    The function `maximize` of langcodes is not used: it returns Latin for every language that CLDR lacks.
    """
    import langcodes
    from babel.core import get_global

    language = langcodes.Language.get(code)
    if language.script:
        return str(language.script)
    likely = get_global("likely_subtags")
    tag = likely.get(f"{language.language}_{language.territory}") or likely.get(str(language.language))
    return None if tag is None else str(tag.split("_")[1])
