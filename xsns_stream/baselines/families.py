"""family: how much of their genealogy two languages share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

import numpy as np

from xsns_stream.baselines.tables import TEXT, LanguageValues, column_of, is_unknown, read_values, sides
from xsns_stream.io.tables import TextTable
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
