"""Baseline `ldnd`: similarity of word lists, from the twice normalised Levenshtein distance (LDND) of ASJP."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from xsns_stream.baselines.language_values import match_labels, names_for, restrict_both
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.numbers import numbers
from xsns_stream.io.tables import duplicates, listed, read_table
from xsns_stream.types import Reals, SimilarityMatrix

#: If the largest distance is below this value, the distances are not in percent, because unrelated languages have about
#: 100.
_SMALL: Final = 2.0
_SQUARE_HINT: Final = "rows and columns must have the same labels in the same order, and each label only once."


@dataclass(frozen=True)
class LexicalDistances:
    """Distances between word lists of languages.

    Attributes:
        languages: L normalised codes.
        percent: float64 [L, L], the distances in percent: 0 for equal words, about 100 for unrelated languages, and
            above 100 if words are less similar than by chance; NaN if the distance is unknown.
        notes: Sentences about labels that were left out.
    """

    languages: tuple[str, ...]
    percent: Reals
    notes: tuple[str, ...] = ()


def read_distances(path: str | Path, names: str | Path | None = None) -> LexicalDistances:
    """Read a square matrix of LDND in percent from a CSV or TSV file; rows and columns must have the same labels.

    Args:
        path: The matrix; an empty field is an unknown distance.
        names: A table with the code of each name, which is needed if the labels are names of languages; by default
            `udpos-langs.csv` or `languages.csv` in the folder of the matrix or its parent folder.

    Raises:
        UsageError: The distances are not in percent.
        XsnsError: The file does not exist, or is not a square matrix of distances.
    """
    file = Path(path)
    labels, percent = _read_square(file)
    known = percent[np.isfinite(percent)]
    if not known.size or known.min() < 0:
        raise XsnsError(
            f"'{file}' does not contain distances.", "LDND is 0 for equal words and about 100 for unrelated languages."
        )
    if known.max() <= _SMALL:
        raise UsageError(
            f"the distances in '{file}' are not in percent: the largest is {known.max():g}.",
            "multiply them by 100, or read the matrix with `xsns-stream baseline file MATRIX --distance`.",
        )
    matched = match_labels(labels, file.name, names_for(file, labels, names))
    if not matched.codes:
        raise XsnsError(
            f"no label of '{file}' is a language code or a known name: {listed(labels)}.",
            "give a table with a code for each name (--names).",
        )
    indices = list(matched.indices)
    return LexicalDistances(matched.codes, percent[np.ix_(indices, indices)], matched.notes)


def ldnd(
    distances: LexicalDistances, sources: Sequence[str] | None = None, targets: Sequence[str] | None = None
) -> SimilarityMatrix:
    """Return the similarity of word lists, 1 − LDND / 100.

    The Levenshtein distance of two words is divided by the length of the longer word. LDND is the mean of this
    quotient over pairs of words with the same meaning, divided by its mean over pairs of words with different meanings.

    Args:
        distances: The result of :func:`read_distances`.
        sources: Codes; all languages by default. Languages without a word list are left out.
        targets: Codes; all languages by default.

    Returns:
        Similarities: 1 for equal words, about 0 for unrelated languages, and slightly below 0 if words are less similar
        than by chance.

    Raises:
        LanguageError: None of the languages has a word list.

    Source:
        Wichmann et al. (Physica A, 2010); as a predictor of transfer: de Vries, Wieling and Nissim (ACL 2022).
    """
    rows, columns = restrict_both(distances.languages, sources, targets, "the matrix of word-list distances")
    index = {code: row for row, code in enumerate(distances.languages)}
    chosen = np.ix_([index[code] for code in rows.values()], [index[code] for code in columns.values()])
    return SimilarityMatrix(tuple(rows), tuple(columns), 1.0 - distances.percent[chosen] / 100.0, "ldnd")


def _read_square(file: Path) -> tuple[list[str], Reals]:
    table = read_table(file)
    across, down = list(table.header[1:]), [line[0] for line in table.lines]
    if repeated := duplicates(down):
        raise XsnsError(
            f"'{file}' is not a square matrix: labels that occur more than once are {listed(repeated)}.", _SQUARE_HINT
        )
    if across != down:
        raise XsnsError(f"'{file}' is not a square matrix: the labels of its rows and columns differ.", _SQUARE_HINT)
    cells = ((line[0], label, field) for line in table.lines for label, field in zip(across, line[1:], strict=True))
    return down, np.array(numbers(cells, f"'{file.name}'"), np.float64).reshape(len(down), len(down))
