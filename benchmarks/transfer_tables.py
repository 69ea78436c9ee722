"""Tables of the cost of fine-tuning (`results/transfer*.json`) and of reproduced results (`docs/results`)."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import evidence_tables
from harness import at_least, table

from xsns_stream.reproduce.commands import XSNS
from xsns_stream.reproduce.config import task_title
from xsns_stream.reproduce.pages import NDCG, evaluation_page, metric_cell, number, overview, probability, with_interval
from xsns_stream.reproduce.records import read_result

Row = dict[str, Any]

_NAMES = {"build": "ranking: `build`", "matrix": "ranking: `matrix`", "transfer": "fine-tuning: `transfer`"}


def runs(results: Path) -> list[Row]:
    """Return the documents of `bench_transfer.py`."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("transfer*.json"))]


def speed(results: Path) -> str:
    """Return a Markdown table of the speed of fine-tuning and of the plain loop."""
    lines = []
    for run in runs(results):
        for row in (row for row in run["results"] if row["section"] == "speed"):
            ours = row["contestant"] == "fine_tune"
            lines.append(
                [
                    f"`{row['contestant']}`" if ours else row["contestant"],
                    f"{row['examples_per_second']:,.0f}",
                    *(number(row[name]) for name in ("of_loop", "whole_call_of_loop", "cpu_of_loop")),
                    at_least(row["of_loop"], run["parameters"]["target"] if ours else None),
                ]
            )
    heads = ["contestant", "examples/s", "relative to the loop", "whole call", "whole call, CPU time", "goal"]
    return table(heads, lines)


def cost(results: Path) -> str:
    """Return a Markdown table of the cost of each command of a ranking and of fine-tuning."""
    lines = [
        [_NAMES[row["what"]], str(row["languages"]), str(row["seeds"]), f"{row['wall_s']:,.0f}", f"{row['cpu_s']:,.0f}"]
        for run in runs(results)
        for row in run["results"]
        if row["section"] == "cost"
    ]
    return table(["command", "languages", "seeds", "wall-clock s", "CPU s"], lines)


def ratios(results: Path) -> str:
    """Return a Markdown table of the cost of fine-tuning relative to a ranking."""
    lines = [
        [
            "extrapolated" if row["extrapolated"] else "measured",
            str(row["languages"]),
            str(row["seeds"]),
            *(f"{row[name]:,.0f}" for name in ("ranking_s", "fine_tuning_s")),
            f"{row['ratio']:.1f}",
        ]
        for run in runs(results)
        for row in run["results"]
        if row["section"] == "ratio"
    ]
    heads = ["", "languages", "seeds", "ranking, CPU s", "fine-tuning, CPU s", "fine-tuning / ranking"]
    return table(heads, lines)


# ------------------------------------------------------------------------------------ reproduced results

_REGRET = "regret"
FOLDER = Path(__file__).parents[1] / "docs" / "results"


def tasks(page: str) -> dict[str, Any]:
    """Return {task: its part of the record of a page}; empty if there is no record.

    Args:
        page: The path of the page below the folder of results, without a suffix.
    """
    record = read_result(FOLDER, page)
    return {} if record is None else record["result"]["tasks"]


def predictors(results: Path, page: str, task: str) -> str:
    """Return a Markdown table of the evaluation of a task, with a line for each predictor."""
    document = tasks(page).get(task)
    return evaluation_page(document["evaluation"]) if document else ""


def by_task(results: Path, page: str) -> str:
    """Return a Markdown table of NDCG@3 of every predictor, with a column for each task."""
    documents: Mapping[str, Any] = {name: document["evaluation"] for name, document in tasks(page).items()}
    return overview(documents, task_title)


def strength(results: Path, page: str) -> str:
    """Return a Markdown table of the scores of the fine-tuned models on their own language and zero-shot.

    The scores of the trivial answer are in a further column.
    """
    lines = [
        [
            task_title(name),
            document["gold"]["metric"],
            *(number(document["gold"][key], 1) for key in ("at_home", "zero_shot", "trivial")),
            number(100 * document["gold"]["above_trivial"], 0),
        ]
        for name, document in tasks(page).items()
    ]
    heads = ["task", "metric", "own language", "zero-shot", "no model", "% of pairs above no model"]
    return table(heads, lines)


#: Name of a predictor in README → its name in the results of Gemma, and in those of `mini`; "" if it was not computed.
_README_ROWS = {
    "X-SNS": ("xsns", XSNS),
    "X-SNS of random weights": ("redrawn", ""),
    "EMB": ("emb", "EMB"),
    "LEX": ("lex", "LEX"),
    "NN-Rank": ("", "NN-Rank"),
    "LDND": ("ldnd", "LDND"),
    "L2V": ("l2v", "L2V"),
    **{name: (name, name) for name in ("source-mean", "english", "random")},
}


def summary(results: Path) -> str:
    """Return a Markdown table of NDCG@3 and regret on the POS scores of Gemma, of XLM-R and of `mini`."""
    mini = {one["name"]: one["metrics"] for one in tasks("table2")["pos"]["evaluation"]["predictors"]}
    metrics = ("ndcg@3[rank-linear]", "regret")
    lines = [
        [
            label,
            *(
                evidence_tables.metric(results, name, gemma, metric)
                for name in ("gemma-own-pos", "gemma-pos-all")
                for metric in metrics
            ),
            metric_cell(mini[of_mini], NDCG) if of_mini else "–",
            metric_cell(mini[of_mini], _REGRET, scale=1.0) if of_mini else "–",
        ]
        for label, (gemma, of_mini) in _README_ROWS.items()
    ]
    columns = [f"{model}: {measure}" for model in ("Gemma", "XLM-R", "`mini`") for measure in ("NDCG@3", "regret")]
    return table(["predictor", *columns], lines)


def three_sources(results: Path, page: str, task: str) -> str:
    """Return a Markdown table of the mean score of the sources that each method chooses, as figure 4 shows it."""
    document = tasks(page).get(task)
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
        for name, mean in (document["means"] if document else {}).items()
    ]
    return table(["sources", "targets", "mean", f"less {XSNS}", "p (Holm)"], lines)


#: Name in the markers of a page → function that returns the table.
TABLES: dict[str, Callable[[Path], str]] = {
    "transfer-speed": speed,
    "transfer-cost": cost,
    "transfer-ratio": ratios,
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
