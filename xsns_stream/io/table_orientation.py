r"""Checks of tables of language pairs: are rows sources or targets, and are numbers similarities or distances?

The first field of a matrix (its top left corner) often names its rows, or its rows and columns:
`source`, `target/source`, `tgt\src`. The diagonal (a language with itself) contains the largest similarity or the
smallest distance of each row.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.escaping import visible

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_SOURCE_WORDS: Final = frozenset(
    {"source", "sources", "src", "train", "trained", "training", "tuned", "finetuned", "from", "donor", "donors"}
)
_TARGET_WORDS: Final = frozenset(
    {"target", "targets", "tgt", "trg", "test", "tested", "testing", "eval", "evaluated", "evaluation", "pred", "to"}
)
#: The first field of the matrices of nnrank, which have sources as rows. In a longer field, such as `transfer target`,
#: the next word decides.
_TRANSFER: Final = "transfer"
#: A word that an arrow marks as the name of the rows.
_ROW_ARROW: Final = re.compile(r"(\w+)\s*[↓⬇]|[↓⬇]\s*(\w+)")
# Minimum number of rows with an extreme diagonal. A single row may be a coincidence.
_ENOUGH: Final = 2


def rows_are(corner: str) -> str:
    r"""Return the meaning of the rows of a matrix, according to its first field: `source`, `target`, or empty.

    The first word in the field that means source or target decides, because rows are usually named before columns.

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


def name_of_lines(rows: Sequence[Sequence[str]]) -> str:
    """Return the name of the row index if it is on a row of its own below the header; otherwise an empty string.

    Only names that mean source or target are recognised. pandas writes such a row if the columns have a name too; the
    first field of the header is then the name of the columns.
    """
    names = [fields[0] for fields in rows if fields and fields[0] and not any(fields[1:])]
    return names[-1] if names and rows_are(names[-1]) else ""


def check_corner(corner: str, *, transpose: bool) -> None:
    """Raise an error if the first field of a matrix contradicts its orientation.

    Args:
        corner: The field above the labels of the rows.
        transpose: Whether rows are to be read as targets.

    Raises:
        UsageError: The field names targets and `transpose` is False, or it names sources and `transpose` is True.
    """
    rows = rows_are(corner)
    if rows == "target" and not transpose:
        raise UsageError(
            f"the matrix is transposed: its header calls the rows '{visible(corner)}', but rows must be sources.",
            "--transpose exchanges rows and columns.",
        )
    if rows == "source" and transpose:
        raise UsageError(
            f"the header of the matrix calls the rows '{visible(corner)}', but --transpose reads them as targets.",
            "leave --transpose out.",
        )


def check_diagonal(
    sources: Sequence[str], targets: Sequence[str], values: NDArray[np.float64], what: str, *, distance: bool
) -> None:
    """Raise an error for similarities that look like distances, and for distances that look like similarities.

    Rows in which all numbers are equal are ignored. The error is raised if at least two rows remain and, in all of
    them, the value of the language with itself is the smallest similarity or the largest distance.

    Args:
        sources: Codes of the rows.
        targets: Codes of the columns.
        values: float64 [S, T], the numbers of the file; NaN = unknown.
        what: The name of the table, for messages.
        distance: Whether the numbers are to be read as distances.

    Raises:
        XsnsError: The numbers look like distances and `distance` is False, or vice versa.
    """
    import numpy as np

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
