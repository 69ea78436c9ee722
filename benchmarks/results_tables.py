"""The tables of what `reproduce` found with the embedded model: `docs/results/*.json` as Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from table_text import table

from xsns_stream.reproduce.commands import XSNS
from xsns_stream.reproduce.config import TITLES
from xsns_stream.reproduce.pages import NDCG, evaluation_page, metric_cell, number, overview, probability, with_interval

_REGRET = "regret"
FOLDER = Path(__file__).parents[1] / "docs" / "results"


def tasks(page: str) -> dict[str, Any]:
    """Return {task: what the page's record holds of it}; empty where the page was not made.

    Args:
        page: Its path below the folder of results, without a suffix.
    """
    path = FOLDER / f"{page}.json"
    return json.loads(path.read_text(encoding="utf-8"))["result"]["tasks"] if path.exists() else {}


def predictors(results: Path, page: str, task: str) -> str:
    """A line for each predictor of a task: the table of the page."""
    found = tasks(page).get(task)
    return evaluation_page(found["evaluation"]) if found else ""


def by_task(results: Path, page: str) -> str:
    """NDCG@3 of every predictor, a column for each task."""
    documents: Mapping[str, Any] = {name: found["evaluation"] for name, found in tasks(page).items()}
    return overview(documents, TITLES)


def strength(results: Path, page: str) -> str:
    """How far the scores of each task mean anything."""
    lines = [
        [
            TITLES[name],
            found["gold"]["metric"],
            *(number(found["gold"][key], 1) for key in ("at_home", "zero_shot", "trivial")),
            number(100 * found["gold"]["above_trivial"], 0),
        ]
        for name, found in tasks(page).items()
    ]
    heads = ["task", "metric", "own language", "zero-shot", "no model", "% of pairs above no model"]
    return table(heads, lines)


def summary(results: Path) -> str:
    """NDCG@3 and what is lost by following each predictor, on the two tasks that `mini` can do."""
    found = {name: known["evaluation"] for name, known in tasks("table2").items() if name in ("pos", "ner")}
    rows = {name: {one["name"]: one["metrics"] for one in known["predictors"]} for name, known in found.items()}
    lines = [
        [
            shown,
            metric_cell(metrics, NDCG),
            metric_cell(metrics, _REGRET, scale=1.0),
            metric_cell(rows["ner"][shown], NDCG) if shown in rows["ner"] else "–",
        ]
        for shown, metrics in rows.get("pos", {}).items()
    ]
    heads = ["predictor", "POS: NDCG@3 [95 %]", "POS: points of accuracy lost [95 %]", "NER: NDCG@3 [95 %]"]
    return table(heads, lines)


def three_sources(results: Path, page: str, task: str) -> str:
    """Mean score of what each method picks, with its difference from X-SNS: figure 4 as a table."""
    found = tasks(page).get(task)
    lines = [
        [
            name,
            str(mean["targets"]),
            with_interval(mean["mean"], mean["low"], mean["high"]),
            *(
                ("–", "–")
                if name == XSNS
                else (
                    with_interval(mean["difference"], mean["difference_low"], mean["difference_high"]),
                    probability(mean["p"]),
                )
            ),
        ]
        for name, mean in (found["means"] if found else {}).items()
    ]
    return table(["sources", "targets", "mean", f"less {XSNS}", "p (Holm)"], lines)


#: Name in the page's markers → what makes the table.
TABLES: dict[str, Callable[[Path], str]] = {
    "results-strength": partial(strength, page="table2"),
    "results-ndcg": partial(by_task, page="table2"),
    "results-other-strength": partial(strength, page="other-tasks/table2"),
    "results-other-ndcg": partial(by_task, page="other-tasks/table2"),
    "results-three-sources": partial(three_sources, page="one-seed/figure4", task="pos"),
    "results-readme": summary,
    "results-pos": partial(predictors, page="table2", task="pos"),
    "results-choices-pos": partial(predictors, page="choices", task="pos"),
    "results-choices-ner": partial(predictors, page="choices", task="ner"),
}
