"""POS transfer of XLM-R base, 65 sources × 105 targets (de Vries, Wieling and Nissim, ACL 2022).

Source: github.com/wietsedv/xpos at 4edb3a9163a653c58e3e42fcf0895de8596ae45b. Its `results/udpos-ft-10000.csv` has a
line for each pair (`lang_train`, `lang_pred`, `score`: token accuracy in percent). The same scores also go round as a
matrix (`source,af,aii,…`), and as a long table (`source,target,accuracy,…`). A folder of `matrix-ft-SIZE.csv` holds one
matrix for each training size: these are the regimes.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

from xsns_stream.errors import XsnsError
from xsns_stream.gold.raw import RawCell, RawScores, Wanted, matrix_cells, one_of
from xsns_stream.labelled import TextTable, listed, read_table

#: The training size of the published results; the main regime of a folder.
MAIN: Final = "10000"
_SIZE: Final = re.compile(r"(?:matrix|udpos)-ft-(\w+)\.csv")
_METRIC: Final = "accuracy"


def read(path: Path, wanted: Wanted) -> RawScores:
    """Read one file, or every training size of a folder.

    Raises:
        XsnsError: It is none of the layouts, or the folder has no such file.
    """
    one_of(wanted.metric, [_METRIC], _METRIC, path.name)
    files, unread = _sizes(path) if path.is_dir() else ([path], [])
    tables = [read_table(file) for file in files]
    cells = tuple(cell for file, table in zip(files, tables, strict=True) for cell in _cells(table, _regime(file)))
    notes = [note for table in tables for note in table.notes]
    if unread:
        notes.append(
            f"files that were not read, because their names say no training size ({len(unread)}): {listed(unread)}."
        )
    corner = "source" if not path.is_dir() else ""
    main = MAIN if any(cell.regime == MAIN for cell in cells) else ""
    return RawScores(cells, "pos", _METRIC, "percent", "xpos (de Vries et al. 2022)", tuple(notes), main, corner)


def _sizes(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files of a folder, or of its folder `results`, and the names of files that look like them.

    The smallest training size comes first, epochs last.
    """
    for place in (folder, folder / "results"):
        alike = sorted(place.glob("*-ft-*.csv"))
        found = [file for file in alike if _SIZE.fullmatch(file.name)]
        if found:
            unread = [file.name for file in alike if file not in found]
            found.sort(key=lambda file: (not _regime(file).isdecimal(), _regime(file).zfill(12)))
            return found, unread
    raise XsnsError(
        f"'{folder}' holds no file as matrix-ft-10000.csv or udpos-ft-10000.csv.", "name the folder `results` of xpos."
    )


def _regime(file: Path) -> str:
    """Return the training size in a file's name, as `630` or `3epoch`."""
    named = _SIZE.fullmatch(file.name)
    if named is None:
        return "main"
    return named[1].lstrip("0") or named[1]


def _cells(table: TextTable, regime: str) -> tuple[RawCell, ...]:
    for names in (("lang_train", "lang_pred", "score"), ("source", "target", "accuracy")):
        if set(names) <= set(table.header):
            lines = zip(*(table.column(name) for name in names), strict=True)
            return tuple(RawCell(source, target, score, regime) for source, target, score in lines)
    if table.header[0] == "source":
        return matrix_cells(table, regime)
    raise XsnsError(
        f"'{table.name}' is no file of xpos.",
        "it starts with `source,af,…`, or has columns source, target, accuracy or lang_train, lang_pred, score.",
    )
