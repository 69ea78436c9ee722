"""Table of the formats of files with similarity matrices, which the help, the messages and the writers share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

#: Figures that a file .png, .svg or .pdf can show.
FIGURES: Final = ("heatmap", "tree", "map")


@dataclass(frozen=True)
class MatrixFormat:
    """A format of files.

    Attributes:
        suffix: The suffix of the files.
        contents: Description of what a file contains, for the help page. Formats with the same description are listed
            together.
        of_groups: Whether matrices of groups of parameters (`--by`) can be written.
        square: Whether sources and targets must be the same languages.
    """

    suffix: str
    contents: str
    of_groups: bool = False
    square: bool = False


#: Suffix of trees in the Newick format.
NEWICK_SUFFIX: Final = ".nwk"

_DATA: Final = "data"
_TEXT: Final = "a table of text"
_FIGURE: Final = "a figure"

#: All formats, in the order in which they are listed.
MATRIX_FORMATS: Final = (
    MatrixFormat(".csv", _DATA, of_groups=True),
    MatrixFormat(".tsv", _DATA, of_groups=True),
    MatrixFormat(".json", _DATA, of_groups=True),
    MatrixFormat(".parquet", _DATA, of_groups=True),
    MatrixFormat(".npz", _DATA, of_groups=True),
    MatrixFormat(".md", _TEXT, of_groups=True),
    MatrixFormat(".tex", _TEXT, of_groups=True),
    MatrixFormat(".png", _FIGURE),
    MatrixFormat(".svg", _FIGURE),
    MatrixFormat(".pdf", _FIGURE),
    MatrixFormat(".html", "a heat map for a browser"),
    MatrixFormat(NEWICK_SUFFIX, "a Newick tree", square=True),
    MatrixFormat(".phy", "PHYLIP distances", square=True),
    MatrixFormat(".graphml", "a graph of nearest neighbours"),
)

#: Suffixes of files with one matrix.
SUFFIXES: Final = tuple(each.suffix for each in MATRIX_FORMATS)
#: Suffixes of files with one matrix for each group of parameters.
GROUP_SUFFIXES: Final = tuple(each.suffix for each in MATRIX_FORMATS if each.of_groups)
#: Suffixes of figures.
FIGURE_SUFFIXES: Final = tuple(each.suffix for each in MATRIX_FORMATS if each.contents == _FIGURE)
#: Suffixes of files that need a matrix whose sources and targets are the same languages.
SQUARE_SUFFIXES: Final = tuple(each.suffix for each in MATRIX_FORMATS if each.square)


def listed_formats() -> str:
    """Return a list of all formats as text, such as `data (.csv .tsv), a figure (.png) or a Newick tree (.nwk)`."""
    suffixes: dict[str, list[str]] = {}
    for each in MATRIX_FORMATS:
        suffixes.setdefault(each.contents, []).append(each.suffix)
    *first, last = (f"{contents} ({' '.join(listed)})" for contents, listed in suffixes.items())
    return f"{', '.join(first)} or {last}"
