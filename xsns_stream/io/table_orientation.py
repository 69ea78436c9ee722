r"""Orientation of tables of language pairs: whether rows are sources, and whether numbers are similarities.

The first field of a matrix often names its rows, or its rows and its columns: `source`, `target/source`, `tgt\src`.
The diagonal, a language with itself, contains the largest similarity of its row, or the smallest distance.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.escaping import visible

_SOURCE_WORDS: Final = frozenset(
    {"source", "sources", "src", "train", "trained", "training", "tuned", "finetuned", "from", "donor", "donors"}
)
_TARGET_WORDS: Final = frozenset(
    {"target", "targets", "tgt", "trg", "test", "tested", "testing", "eval", "evaluated", "evaluation", "pred", "to"}
)
#: The first field of nnrank's matrices, whose rows are sources. In other fields the word may precede either word, as in
#: `transfer target`.
_TRANSFER: Final = "transfer"
#: A word that an arrow marks as the name of the rows.
_ROW_ARROW: Final = re.compile(r"(\w+)\s*[↓⬇]|[↓⬇]\s*(\w+)")
# The number of rows with an extreme diagonal that cannot be chance.
_ENOUGH: Final = 2


def rows_are(corner: str) -> str:
    r"""Return `source` or `target`, whichever the first field of a matrix calls its rows; empty if it names neither.

    The first word that means either decides, because rows are usually named before columns.

    >>> rows_are(r"tgt\src"), rows_are("train/test"), rows_are("lang")
    ('target', 'source', '')
    """
    arrow = _ROW_ARROW.search(corner)
    text = (arrow[1] or arrow[2]) if arrow else corner
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
    for word in words:
        if word in _SOURCE_WORDS:
            return "source"
        if word in _TARGET_WORDS:
            return "target"
    return "source" if words == [_TRANSFER] else ""


def check_corner(corner: str, *, transpose: bool) -> None:
    """Raise an error if the first field of a matrix contradicts its orientation.

    Args:
        corner: The field above the labels of the rows.
        transpose: Whether rows are to be read as targets.

    Raises:
        UsageError: The field names targets and `transpose` is not set, or it names sources and `transpose` is set.
    """
    rows = rows_are(corner)
    if rows == "target" and not transpose:
        raise UsageError(
            f"the matrix is transposed: its rows are called '{visible(corner)}', and rows must be sources.",
            "--transpose exchanges rows and columns.",
        )
    if rows == "source" and transpose:
        raise UsageError(
            f"the rows of the matrix are called '{visible(corner)}', but --transpose reads them as targets.",
            "leave --transpose out.",
        )


def check_diagonal(
    sources: Sequence[str], targets: Sequence[str], values: NDArray[np.float64], what: str, *, distance: bool
) -> None:
    """Raise an error for similarities that look like distances, and for distances that look like similarities.

    Rows with equal numbers are ignored. At least two rows must remain, and in all of them the value of the language
    with itself must be the smallest similarity or the largest distance.

    Args:
        sources: Codes of the rows.
        targets: Codes of the columns.
        values: float64 [S, T], the numbers of the file; NaN = unknown.
        what: The table, for messages.
        distance: Whether the numbers are to be read as distances.

    Raises:
        XsnsError: The numbers look like the other kind.
    """
    column = {target: index for index, target in enumerate(targets)}
    reversed_rows = 0
    for row, source in zip(values, sources, strict=True):
        own = row[column[source]] if source in column else np.nan
        known = row[np.isfinite(row)]
        if np.isnan(own) or known.size < 2 or known.min() == known.max():
            continue
        if own != (known.max() if distance else known.min()):
            return
        reversed_rows += 1
    if reversed_rows < _ENOUGH:
        return
    extreme, other = ("largest", "similarities") if distance else ("smallest", "distances")
    hint = "leave --distance out" if distance else "convert distances with `xsns-stream baseline file … --distance`"
    raise XsnsError(
        f"{what} looks like a table of {other}: the value of each language with itself is the {extreme} of its row.",
        f"{hint}; --as-given reads the numbers unchanged.",
    )
