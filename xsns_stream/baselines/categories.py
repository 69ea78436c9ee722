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
from xsns_stream.glottolog import place_of
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

    The path from the family down may be in one field, such as `IE, Germanic`, or in several columns. A language is a
    family of its own if its field in the column `is_isolate` of Glottolog's table is true, or if its family is called
    `isolate`. All other languages without a family are left out. A language is also left out if the table has a word
    for a missing value (`NA`, `-`, `?`, `unknown`) or for a missing classification (`Unclassified`) in place of its
    family, and a note names these languages.

    Args:
        path: A table with a code (or, with `names`, a name) and a family for each language.
        columns: Names of the columns of the family, the branch, …; `family` by default.
        names: A table of names and codes; it is needed if the labels are names of languages.

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


def glottolog_families(languages: Sequence[str]) -> LanguageValues[Ancestors]:
    """Return the top-level family of each language in the table of Glottolog that the package contains.

    A language without known relatives is a family of its own. Languages whose family is unknown are left out.
    """
    families: dict[str, Ancestors] = {}
    unknown = []
    for code in unique_codes(languages):
        if name := place_of(code).family:
            families[code] = (name,)
        else:
            unknown.append(code)
    notes = (f"Glottolog has no family for {listed(unknown)}.",) if unknown else ()
    return LanguageValues(families, "Glottolog 5.1, top-level families", notes)


def family(
    families: LanguageValues[Ancestors],
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    *,
    binary: bool = False,
) -> SimilarityMatrix:
    """Return the similarity of languages by their common ancestors in the family tree.

        family(s, t) = |A_s ∩ A_t| / √(|A_s| |A_t|)

    A is the set of the ancestors of a language: its family, branch and so on. The value equals the cosine of the family
    vectors of URIEL. If the table has only families and no branches, the value is 1 for two languages of the same
    family and 0 otherwise. For `IE, Germanic` and `IE, Romance`, it is 1/2.

    Args:
        families: The result of :func:`read_families` or :func:`glottolog_families`.
        sources: Codes; all languages by default. Languages that the table lacks are left out.
        targets: Codes; all languages by default.
        binary: Whether to return only 1 and 0: 1 if all ancestors of both languages are the same, and 0 otherwise.

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
    """Return the number of common ancestors of two languages: the length of the common prefix of their paths.

    A path leads from the root to the language.

    Branches that have the same name but are in different families are different ancestors.
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
    """Read the script of each language from a table; the name of the script is converted to lower case.

    A language is left out if its field is a word for a missing value (`NA`, `-`, `?`, `unknown`) or for a language
    without a script (`unwritten`, `Zxxx`), and a note names these languages.

    Args:
        path: A table with a code (or, with `names`, a name) and a script for each language.
        column: Name of the column of scripts; `script` by default.
        names: A table of names and codes; it is needed if the labels are names of languages.

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
    """Return the script of each language: the script in its code (as in `zh-Hant`), or the likely script in CLDR.

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
    """Return a similarity of languages: 1 if source and target have the same script, and 0 if they do not.

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
    """Return the script in a code; without one, the likely script in CLDR for its region or language; None if unknown.

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
