"""What figures 3 and 6 share: one evaluation of predictors that differ by a number, as panels and as a table."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.reproduce.config import TITLES
from xsns_stream.reproduce.pages import METRICS, NDCG, number, probability, table, with_interval

if TYPE_CHECKING:
    from xsns_stream.reproduce.figures.lines import Panel

#: Rows of an evaluation below the curves' own.
_TRIVIAL: Final = ("random", "english", "source-mean", "ceiling")
_RANDOM: Final = "random"


def label(value: float) -> str:
    """Return what a predictor is called that differs from others by this number.

    >>> label(0.15), label(1024)
    ('0.15', '1024')
    """
    return f"{value:.10g}"


def metric_panels(documents: Mapping[str, Mapping[str, Any]], values: Mapping[str, Sequence[float]]) -> list[Panel]:
    """Return a panel a metric with a curve a task; dotted what random order gives.

    Args:
        documents: {task: evaluation whose predictors are called as `label` has it}.
        values: {task: the numbers, ascending}.
    """
    from xsns_stream.reproduce.figures.lines import Curve, Panel

    panels = []
    for metric, title in METRICS.items():
        curves = []
        for task, document in documents.items():
            found = {one["name"]: one["metrics"][metric] for one in document["predictors"]}
            x = [value for value in values[task] if label(value) in found]
            mean, low, high = (
                tuple(_percent(found[label(value)][key]) for value in x) for key in ("mean", "low", "high")
            )
            level = _percent(found[_RANDOM]["mean"]) if _RANDOM in found else None
            curves.append(Curve(TITLES[task], tuple(x), mean, low, high, level))
        panels.append(Panel(title, tuple(curves)))
    return panels


def metric_table(document: Mapping[str, Any], name: str, more: Mapping[str, Mapping[str, str]]) -> str:
    """Return a line for each predictor of an evaluation, with its test against the reference.

    Args:
        document: The evaluation.
        name: Of what differs.
        more: {heading of a further column: {predictor: cell}}.
    """
    against = document["against"]
    header = [name, *more, *METRICS.values()]
    header += [f"NDCG@3 less {against}", "p (Holm)"] if against else []
    lines = []
    for one in document["predictors"]:
        cells = [column.get(one["name"], "") for column in more.values()]
        for metric in METRICS:
            found = one["metrics"][metric]
            mean, low, high = (_percent(found[key]) for key in ("mean", "low", "high"))
            cells.append(with_interval(mean, low, high, decimals=1))
        if against:
            test = one["metrics"][NDCG].get("against") or {"difference": None, "p_holm": None}
            cells += [number(_percent(test["difference"]), 1, signed=True), probability(test["p_holm"])]
        lines.append([one["name"], *cells])
    return table(header, lines)


def highest(document: Mapping[str, Any], metric: str = NDCG) -> str:
    """Return which of the predictors has the highest mean of a metric; empty where none has one."""
    means = {
        one["name"]: one["metrics"][metric]["mean"]
        for one in document["predictors"]
        if one["name"] not in _TRIVIAL and one["metrics"][metric]["mean"] is not None
    }
    return max(means, key=lambda name: means[name]) if means else ""


def _percent(value: float | None) -> float:
    return math.nan if value is None else 100.0 * value
