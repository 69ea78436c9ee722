"""Named entities in WikiANN, XLM-R base, zero-shot, from the NN-Rank project: a long table with two metrics.

Source: github.com/abteen/nn-rank at 63a4294e, `ner/outputs/ner_evaluation_outputs`. Columns `source`, `target`,
`accuracy` (of tokens) and `f1` (of entities), both in percent, and `num_eval_examples`, how many sentences the target
was tested on.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from xsns_stream.errors import UsageError
from xsns_stream.gold.raw import RawCell, RawScores, Wanted, one_of
from xsns_stream.labelled import listed, read_table, to_number

_METRICS: Final = ("f1", "accuracy")
#: Below this a score moves by points when another draw of sentences is tested on; the targets are named.
_FEW: Final = 500


def read(path: Path, wanted: Wanted) -> RawScores:
    """Read the table; entity F1 where no metric was asked for.

    Raises:
        XsnsError: A column is missing.
        UsageError: There is no such metric, or no target was tested on as many examples.
    """
    table = read_table(path)
    metric = one_of(wanted.metric, _METRICS, _METRICS[0], path.name)
    columns = (table.column(name) for name in ("source", "target", metric, "num_eval_examples"))
    lines = list(zip(*columns, strict=True))
    sizes: dict[str, float] = {}
    unsized: dict[str, None] = {}
    for _, target, _, examples in lines:
        size = to_number(examples)
        # A number that nobody knows does not leave a target out.
        known = math.inf if size is None or math.isnan(size) else size
        if known == math.inf:
            unsized[target] = None
        sizes[target] = min(sizes.get(target, math.inf), known)
    few = {target: size for target, size in sizes.items() if size < wanted.min_examples}
    if len(few) == len(sizes):
        raise UsageError(
            f"no target was tested on {wanted.min_examples} examples or more.",
            f"the most is {max(sizes.values()):.0f}: lower --min-examples.",
        )
    cells = tuple(RawCell(source, target, score) for source, target, score, _ in lines if target not in few)
    notes = (*table.notes, *_notes(sizes, few, metric, len(lines) - len(cells)))
    if unsized and wanted.min_examples:
        notes += (f"kept, because the file does not say on how many examples they were tested: {listed([*unsized])}.",)
    return RawScores(cells, "ner", metric, "percent", "nn-rank, WikiANN, XLM-R base", notes)


def _notes(sizes: Mapping[str, float], few: Mapping[str, float], metric: str, lost: int) -> list[str]:
    notes = [f"the metric is {metric}; the file also has {listed([name for name in _METRICS if name != metric])}."]
    if few:
        notes.append(f"left out, tested on too few examples: {_named(few)}; these are {lost} scores.")
    small = {target: size for target, size in sizes.items() if size < _FEW and target not in few}
    if small:
        notes.append(f"tested on fewer than {_FEW} examples: {_named(small)}; --min-examples leaves them out.")
    return notes


def _named(sizes: Mapping[str, float]) -> str:
    return listed([f"{target} ({size:.0f})" for target, size in sorted(sizes.items(), key=lambda item: item[1])])
