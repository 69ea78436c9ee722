"""ldnd: how far basic words differ, as ASJP measures it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from xsns_stream.baselines.language_values import names_for, resolve, sides
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.tables import duplicates, listed, numbers, read_table
from xsns_stream.types import Reals, SimilarityMatrix

#: Unrelated languages lie near 100; a matrix whose largest distance is this small is not in percent.
_SMALL: Final = 2.0
_SQUARE: Final = "each language stands once down and once across, in the same order."


@dataclass(frozen=True)
class LexicalDistances:
    """Distances of word lists.

    Attributes:
        languages: L normalised codes.
        percent: float64 [L, L]; 0 the same words, about 100 unrelated, above 100 less alike than chance; NaN unknown.
        notes: Sentences on labels that were left out.
    """

    languages: tuple[str, ...]
    percent: Reals
    notes: tuple[str, ...] = ()


def read_distances(path: str | Path, names: str | Path | None = None) -> LexicalDistances:
    """Read a square matrix of LDND in percent from a CSV or TSV file, with the same labels on both sides.

    Args:
        path: The matrix; an empty field is a distance that is not known.
        names: A table with the code of each label, where labels are names; where left out, `udpos-langs.csv` or
            `languages.csv` in the matrix's folder or the one above.

    Raises:
        UsageError: The distances are not in percent.
        XsnsError: The file is not there, or is no such matrix.
    """
    file = Path(path)
    labels, percent = _read_square(file)
    known = percent[np.isfinite(percent)]
    if not known.size or known.min() < 0:
        raise XsnsError(f"'{file}' holds no distances.", "LDND is 0 for the same words and about 100 for others.")
    if known.max() <= _SMALL:
        raise UsageError(
            f"the distances in '{file}' are not in percent: the largest is {known.max():g}.",
            "multiply them by 100, or read them with `xsns-stream baseline file MATRIX --distance`.",
        )
    found = resolve(labels, file.name, names_for(file, labels, names))
    if not found.codes:
        raise XsnsError(
            f"no label of '{file}' is a language code or a name that is known: {listed(labels)}.",
            "give a table with a code for each name as --names.",
        )
    places = list(found.places)
    return LexicalDistances(found.codes, percent[np.ix_(places, places)], found.notes)


def ldnd(
    distances: LexicalDistances, sources: Sequence[str] | None = None, targets: Sequence[str] | None = None
) -> SimilarityMatrix:
    """Return the similarity of word lists, 1 − LDND / 100.

    LDND is the Levenshtein distance of two words for one meaning, divided by the longer word's length, averaged over
    meanings, and divided by the same average over pairs of different meanings.

    Args:
        distances: What :func:`read_distances` returns.
        sources: Codes; all languages where left out. What has no word list is left out.
        targets: Likewise.

    Returns:
        1 for the same words, about 0 for unrelated languages, a little below 0 where words are less alike than chance.

    Raises:
        LanguageError: None of the languages is there.

    Source:
        Wichmann et al. (Physica A, 2010); as a predictor of transfer: de Vries, Wieling and Nissim (ACL 2022).
    """
    rows, columns = sides(distances.languages, sources, targets, "the matrix of word-list distances")
    place = {code: index for index, code in enumerate(distances.languages)}
    chosen = np.ix_([place[code] for code in rows.values()], [place[code] for code in columns.values()])
    return SimilarityMatrix(tuple(rows), tuple(columns), 1.0 - distances.percent[chosen] / 100.0, "ldnd")


def _read_square(file: Path) -> tuple[list[str], Reals]:
    table = read_table(file)
    across, down = list(table.header[1:]), [line[0] for line in table.lines]
    if repeated := duplicates(down):
        raise XsnsError(f"'{file}' is no square matrix: {listed(repeated)} stands twice.", _SQUARE)
    if across != down:
        raise XsnsError(f"'{file}' is no square matrix: its lines and columns are not labelled alike.", _SQUARE)
    cells = ((line[0], label, field) for line in table.lines for label, field in zip(across, line[1:], strict=True))
    return down, np.array(numbers(cells, f"'{file.name}'"), np.float64).reshape(len(down), len(down))
