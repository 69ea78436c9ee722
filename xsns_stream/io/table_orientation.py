r"""Orientation of a table: what its first field and its diagonal say.

The first field of a matrix often names its lines, or its lines and its columns: `source`, `target/source`, `tgt\src`.
The diagonal, a language with itself, is the largest similarity of its row, and the smallest distance.
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
#: Of nnrank: its lines are sources. Elsewhere the word may stand before either, as in `transfer target`.
_TRANSFER: Final = "transfer"
#: A word that is marked as the one that runs down.
_DOWN: Final = re.compile(r"(\w+)\s*[↓⬇]|[↓⬇]\s*(\w+)")
# Rows whose diagonal is at one end, so many of them that chance does not explain it.
_ENOUGH: Final = 2


def lines_are(corner: str) -> str:
    r"""Return `source` or `target`: what the first field of a matrix says of its lines; empty where it says nothing.

    The first word that means either decides: people write lines before columns.

    >>> lines_are(r"tgt\src"), lines_are("train/test"), lines_are("lang")
    ('target', 'source', '')
    """
    down = _DOWN.search(corner)
    text = (down[1] or down[2]) if down else corner
    words = re.findall(r"[a-z]+", re.sub(r"([a-z])([A-Z])", r"\1 \2", text).lower())
    for word in words:
        if word in _SOURCE_WORDS:
            return "source"
        if word in _TARGET_WORDS:
            return "target"
    return "source" if words == [_TRANSFER] else ""


def check_corner(corner: str, *, transpose: bool) -> None:
    """Refuse a matrix whose first field says that it is the other way round.

    Args:
        corner: The field above the lines' labels.
        transpose: Whether lines are to be read as targets.

    Raises:
        UsageError: It is.
    """
    said = lines_are(corner)
    if said == "target" and not transpose:
        raise UsageError(
            f"the matrix is transposed: its lines are called '{visible(corner)}', and lines must be sources.",
            "--transpose turns it round.",
        )
    if said == "source" and transpose:
        raise UsageError(
            f"the lines of the matrix are called '{visible(corner)}', and --transpose makes targets of them.",
            "leave --transpose out.",
        )


def check_diagonal(
    sources: Sequence[str], targets: Sequence[str], values: NDArray[np.float64], what: str, *, distance: bool
) -> None:
    """Refuse similarities that look like distances, and distances that look like similarities.

    Rows whose numbers are all equal say nothing. At least two others are needed, and in all of them the language with
    itself must be at the wrong end.

    Args:
        sources: Codes of the rows.
        targets: Codes of the columns.
        values: float64 [S, T] as they stand in the file; NaN = not known.
        what: The table, for messages.
        distance: Whether they are said to be distances.

    Raises:
        XsnsError: They look like the other.
    """
    column = {target: place for place, target in enumerate(targets)}
    found = 0
    for row, source in zip(values, sources, strict=True):
        own = row[column[source]] if source in column else np.nan
        known = row[np.isfinite(row)]
        if np.isnan(own) or known.size < 2 or known.min() == known.max():
            continue
        if own != (known.max() if distance else known.min()):
            return
        found += 1
    if found < _ENOUGH:
        return
    end, other = ("largest", "similarities") if distance else ("smallest", "distances")
    way = "leave --distance out" if distance else "`xsns-stream baseline file … --distance` turns distances round"
    raise XsnsError(
        f"{what} looks like a table of {other}: the number of each language with itself is the {end} of its row.",
        f"{way}; --as-given takes the numbers as they are.",
    )
