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
    normalised,
    read_values,
    sides,
)
from xsns_stream.io.tables import TextTable, listed
from xsns_stream.types import SimilarityMatrix

#: Of a language, the root first.
Ancestors = tuple[str, ...]

FAMILY_COLUMNS: Final = ("family", "families", "family_name", TEXT)
_ISOLATE: Final = "is_isolate"
#: What tables have in place of a family, in small letters: the language has no relatives, or nobody knows them.
_ISOLATES: Final = frozenset({"isolate", "isolates", "language isolate", "language isolates"})
_NO_FAMILY: Final = frozenset({"unclassified", "unclassifiable", "unattested"})


def read_families(
    path: str | Path, columns: Sequence[str] = (), names: str | Path | None = None
) -> LanguageValues[Ancestors]:
    """Read the family of each language, from the root down.

    A field may hold the path itself, as `IE, Germanic`; or several columns do, the outermost first. Languages that
    Glottolog's table calls isolates, and those whose family is called `isolate`, are families of their own. Others
    without a family are not known; nor are those of which the table has a word for a missing value (`NA`, `-`, `?`,
    `unknown`) or for no classification (`Unclassified`), and a note names them.

    Args:
        path: A table with a code (or, with `names`, a name) and a family for each language.
        columns: Columns of the family, the branch, …; `Family` where left out.
        names: A table of names, for labels that are names.

    Raises:
        UsageError: There are no such columns.
        XsnsError: The table cannot be read.
    """

    def wanted(table: TextTable) -> list[str]:
        chosen = [column_of(table, [name], "families") for name in columns or ()]
        chosen = chosen or [column_of(table, FAMILY_COLUMNS, "families")]
        return chosen + [name for name in table.header if name.casefold() == _ISOLATE]

    def read(fields: Mapping[str, str], label: str) -> Ancestors | None:
        told = {name.casefold(): field for name, field in fields.items()}
        isolate = told.pop(_ISOLATE, "").casefold() == "true"
        fields_told = [part.strip() for field in told.values() for part in field.split(",")]
        parts = tuple(part for part in fields_told if not is_unknown(part, _NO_FAMILY))
        alone = parts[0].casefold() in _ISOLATES if parts else isolate
        return (label,) if alone else parts or None

    return read_values(path, wanted, read, names, unknown=_NO_FAMILY)


def family(
    families: LanguageValues[Ancestors],
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    *,
    binary: bool = False,
) -> SimilarityMatrix:
    """Return the share of their ancestors that two languages have in common.

        family(s, t) = |A_s ∩ A_t| / √(|A_s| |A_t|)

    A language's ancestors A are its family, branch and so on: the cosine of URIEL's family vectors. In a table with one
    level it is 1 for the same family and 0 otherwise; with `IE, Germanic` and `IE, Romance` it is 1/2.

    Args:
        families: What :func:`read_families` returns.
        sources: Codes; all languages where left out. What the table lacks is left out.
        targets: Likewise.
        binary: 1 where the whole path is the same, and 0 otherwise.

    Raises:
        LanguageError: None of the languages is there.

    Source:
        Littell et al. (EACL 2017); binary: de Vries, Wieling and Nissim (ACL 2022).
    """
    rows, columns = sides(list(families.values), sources, targets, "the table of families")
    down, across = ([families.values[code] for code in side.values()] for side in (rows, columns))
    shared = np.array([[_shared(one, other) for other in across] for one in down], np.float64)
    depths = [np.array([len(ancestors) for ancestors in side], np.float64) for side in (down, across)]
    values = shared / np.sqrt(np.outer(*depths))
    return SimilarityMatrix(
        tuple(rows), tuple(columns), (values == 1.0).astype(np.float64) if binary else values, "family"
    )


def _shared(one: Ancestors, other: Ancestors) -> int:
    """Return how many ancestors are the same, from the root down: branches of one name in two families are not."""
    count = 0
    for mine, theirs in zip(one, other, strict=False):
        if mine != theirs:
            break
        count += 1
    return count


SCRIPT_COLUMNS: Final = ("script", "scripts", "writing_system")
#: ISO 15924 calls these variants of the other: they share their characters.
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


#: Words for no script in small letters; the last three are those of ISO 15924.
_NO_SCRIPT: Final = frozenset({"unwritten", "zxxx", "zyyy", "zzzz"})


def read_scripts(path: str | Path, column: str | None = None, names: str | Path | None = None) -> LanguageValues[str]:
    """Read the script of each language from a table, in whatever words it uses, as `latin`.

    A language of which the table has a word for a missing value (`NA`, `-`, `?`, `unknown`) or for no script
    (`unwritten`, `Zxxx`) has no known script, and a note names it.

    Args:
        path: A table with a code (or, with `names`, a name) and a script for each language.
        column: Its column of scripts; `script` where left out.
        names: A table of names, for labels that are names.

    Raises:
        UsageError: There is no such column.
        XsnsError: The table cannot be read.
    """
    wanted = [column] if column else SCRIPT_COLUMNS

    def read(fields: Mapping[str, str], label: str) -> str | None:
        del label
        (field,) = fields.values()
        return None if is_unknown(field, _NO_SCRIPT) else field.strip().casefold()

    return read_values(path, lambda table: [column_of(table, wanted, "scripts")], read, names, unknown=_NO_SCRIPT)


def customary_scripts(languages: Sequence[str]) -> LanguageValues[str]:
    """Return the script that each code names, as `zh-Hant` does, or else the one that CLDR calls likely.

    Simplified and traditional characters count as one script, as other variants of ISO 15924 do.

    Raises:
        LanguageError: What was given is no language code.
    """
    found: dict[str, str] = {}
    unknown = []
    for code in normalised(languages):
        script = _likely(code)
        if script:
            found[code] = _VARIANTS.get(script, script)
        else:
            unknown.append(code)
    notes = (f"CLDR knows no script of {listed(unknown)}.",) if unknown else ()
    return LanguageValues(found, "CLDR, likely subtags", notes)


def script(
    scripts: LanguageValues[str], sources: Sequence[str] | None = None, targets: Sequence[str] | None = None
) -> SimilarityMatrix:
    """Return 1 where source and target are written in the same script, and 0 otherwise.

    Args:
        scripts: What :func:`read_scripts` or :func:`customary_scripts` returns.
        sources: Codes; all languages where left out. What has no known script is left out.
        targets: Likewise.

    Raises:
        LanguageError: None of the languages is there.

    Source:
        de Vries, Wieling and Nissim (ACL 2022).
    """
    rows, columns = sides(list(scripts.values), sources, targets, "the table of scripts")
    down, across = (np.array([scripts.values[code] for code in side.values()]) for side in (rows, columns))
    same = np.equal(down[:, None], across[None, :]).astype(np.float64)
    return SimilarityMatrix(tuple(rows), tuple(columns), same, "script")


def _likely(code: str) -> str | None:
    """Return a code's own script, or CLDR's likely one of the language in its region, or at all; None where unknown.

    langcodes' `maximize` would say Latin of every language that CLDR does not know.
    """
    import langcodes
    from babel.core import get_global

    language = langcodes.Language.get(code)
    if language.script:
        return str(language.script)
    likely = get_global("likely_subtags")
    found = likely.get(f"{language.language}_{language.territory}") or likely.get(str(language.language))
    return None if found is None else str(found.split("_")[1])
