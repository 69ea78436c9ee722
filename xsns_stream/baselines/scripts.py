"""script: whether two languages are written alike."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from xsns_stream.baselines.tables import LanguageValues, column_of, is_unknown, normalised, read_values, sides
from xsns_stream.io.tables import listed
from xsns_stream.types import SimilarityMatrix

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
