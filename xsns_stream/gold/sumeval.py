"""SumEval 2022 (LITMUS): runs of fine-tuning on mixtures of languages, in JSON.

Source: github.com/microsoft/Litmus at 012b5c7434ae73657bb2dcdef18be706f19ac77d, `SumEval/data/README.md`. A list of
objects, each with `train_config`, {language: training examples}, and `eval_results`, {language: score}; scores are
fractions. In the released test files each score is `"x"`.

Only a run on a single language is a transfer score; mixtures are counted and left out. Sizes of training sets are
regimes.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import XsnsError
from xsns_stream.files import read_json
from xsns_stream.gold.raw import RawCell, RawScores, Wanted

#: The regime of each source's largest run, where sources were run on several sizes or on different ones.
LARGEST: Final = "largest"
_UNKNOWN: Final = "x"


def read(path: Path, wanted: Wanted) -> RawScores:
    """Read the runs on single languages; the metric is the task's own, unless it is named.

    Raises:
        XsnsError: The file is no such JSON, or has no run on a single language, or no score.
    """
    runs = _runs(path)
    single: list[tuple[str, int, dict[str, Any]]] = []
    untrained = 0
    for configuration, results in runs:
        trained = {language: count for language, count in configuration.items() if count > 0}
        untrained += not trained
        if len(trained) == 1:
            single += [(language, int(count), results) for language, count in trained.items()]
    mixtures = len(runs) - len(single) - untrained
    if not single:
        raise XsnsError(
            f"each of the {mixtures} runs of '{path.name}' was trained on several languages.",
            "a transfer score is of one source; mixtures have none.",
        )
    if all(score == _UNKNOWN for _, _, results in single for score in results.values()):
        raise XsnsError(f"'{path.name}' has no scores, only places for them.", "name a file with scores.")
    notes: tuple[str, ...] = (
        (f"left out: {mixtures} of {len(runs)} runs, on mixtures of languages.",) if mixtures else ()
    )
    if untrained:
        notes += (f"left out: {untrained} of {len(runs)} runs, on no example of any language.",)
    return RawScores(
        _cells(single), path.stem.split("_")[0].lower(), wanted.metric or "", "fraction", "SumEval 2022", notes, LARGEST
    )


def _runs(path: Path) -> list[tuple[dict[str, float], dict[str, Any]]]:
    document = read_json(path)
    try:
        return [
            (
                {str(language): _examples(count) for language, count in run["train_config"].items()},
                {str(language): score for language, score in run["eval_results"].items()},
            )
            for run in document
        ]
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        raise XsnsError(
            f"'{path.name}' is no file of SumEval.",
            "it is a JSON list of objects with `train_config` and `eval_results`.",
        ) from None


def _examples(count: Any) -> float:
    """Return a number of training examples.

    Raises:
        ValueError: It is negative, infinite, or not a number.
    """
    number = float(count)
    if not 0 <= number < math.inf:
        raise ValueError(f"{count} is no number of examples")
    return number


def _cells(single: list[tuple[str, int, dict[str, Any]]]) -> tuple[RawCell, ...]:
    """Return the cells of the largest run of each source and, where there are several sizes, of each size."""
    largest: Mapping[str, int] = {source: max(c for s, c, _ in single if s == source) for source, _, _ in single}
    sizes = sorted({count for _, count, _ in single}, reverse=True)
    found: list[RawCell] = []
    for source, count, results in single:
        regimes = [LARGEST] * (count == largest[source]) + [str(count)] * (len(sizes) > 1)
        for target, score in results.items():
            known = None if score == _UNKNOWN else score
            found += [RawCell(source, target, known, regime) for regime in regimes]
    order = [LARGEST, *map(str, sizes)]
    return tuple(sorted(found, key=lambda cell: order.index(cell.regime)))
