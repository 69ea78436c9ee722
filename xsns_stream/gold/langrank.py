r"""LangRank's results (Lin et al., ACL 2019; github.com/neulab/langrank), on four tasks.

Two layouts go round.

* The raw results, a matrix with transfer languages on lines and task languages on columns. The first field is
  `train/target` (part-of-speech accuracy) or `v extra v \ trg >>` (BLEU). Below the scores stand an empty line and the
  three best of each column, on lines labelled `#1`, `#2` and `#3`, which are left out. Source: `LangRank Transfer
  Language Raw Data - POS Results.csv` in github.com/covetedfish/langrank at dd1584b3afe4cf0d8f9b88169ed76ecc5e87e767,
  `… - MT Results.csv` in github.com/davidduan12/langrank at 07b9698b01d39589bb9c324f3e64ce6c7ae8c09a.
* The training tables of the ranker, a line for each pair with its score and features: `Task lang,Aux lang,Accuracy,…`
  (pos), `Target lang,Transfer lang,Accuracy,…` (dep, el), `Target lang,Source lang,Transfer lang,BLEU,…` (mt, where the
  task language is the source that is translated, and the target is always English). Source: `csv_datasets/` in
  github.com/Masonshipton25/URIELPlus-LangRank at ef2f18ff889039291a89b6b76c9e66230f095d2c.

Scores are fractions; those of dep are percent.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

from xsns_stream.errors import XsnsError
from xsns_stream.gold.raw import RawCell, RawScores, Wanted, matrix_cells, one_of
from xsns_stream.labelled import TextTable, read_table

_ORIGIN: Final = "LangRank (Lin et al. 2019)"
#: First field of a matrix → task and metric.
_CORNERS: Final = {"train/target": ("pos", "accuracy"), r"v extra v \ trg >>": ("mt", "BLEU")}
#: Columns of a training table (transfer language, task language, score) → metric.
_COLUMNS: Final = {
    ("Aux lang", "Task lang", "Accuracy"): "accuracy",
    ("Transfer lang", "Source lang", "BLEU"): "BLEU",
    ("Transfer lang", "Target lang", "Accuracy"): "accuracy",
}


def read(path: Path, wanted: Wanted) -> RawScores:
    """Read either layout.

    Raises:
        XsnsError: It is neither.
        UsageError: It has another metric than was asked for.
    """
    table = read_table(path)
    if table.header[0] in _CORNERS:
        task, metric = _CORNERS[table.header[0]]
        one_of(wanted.metric, [metric], metric, path.name)
        scores = _without_best(table)
        best = len(table.lines) - len(scores.lines)
        notes = (f"left out: {best} lines below the scores, which name the best three of each column.",) if best else ()
        return RawScores(
            matrix_cells(scores), task, metric, origin=_ORIGIN, notes=(*table.notes, *notes), corner="source"
        )
    for names, metric in _COLUMNS.items():
        if set(names) <= set(table.header):
            one_of(wanted.metric, [metric], metric, path.name)
            lines = zip(*(table.column(name) for name in names), strict=True)
            cells = tuple(RawCell(source, target, score) for source, target, score in lines)
            return RawScores(cells, path.stem, metric, origin=_ORIGIN, notes=table.notes)
    raise XsnsError(
        f"'{path.name}' is no table of LangRank.",
        "it starts with `train/target` or `v extra v \\ trg >>`, or has columns as Task lang, Aux lang, Accuracy.",
    )


def _without_best(table: TextTable) -> TextTable:
    """Leave out the lines below the scores, which say the three best of each column."""
    return TextTable(table.header, tuple(line for line in table.lines if not line[0].startswith("#")), table.name)
