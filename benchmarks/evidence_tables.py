"""Tables of predictors compared with public gold scores, from `results/evidence.json` and `evidence-gemma.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from statistics import median
from typing import Any

from harness import table

Row = Mapping[str, Any]

#: Metric → heading and scale of its column.
COLUMNS = {
    "pearson": ("Pearson", 100.0),
    "spearman": ("Spearman", 100.0),
    "top-1": ("Top-1", 100.0),
    "ndcg@3[rank-linear]": ("NDCG@3", 100.0),
    "regret": ("regret", 1.0),
}
TESTED = ("ndcg@3[rank-linear]", "regret")
POOLS = (
    "pos-paper",
    "pos-paper-emb",
    "pos-all",
    "ner-paper",
    "ner-paper-emb",
    "ner-all",
    "pos-paper-mini",
    "pos-all-mini",
    "ner-all-mini",
    "gemma-pos-paper",
    "gemma-pos-all",
    "gemma-pos-all-corrections",
    "gemma-pos-all-layers",
    "gemma-ner-all",
    "gemma-ner-all-corrections",
    "gemma-ner-all-layers",
    "gemma-own-pos",
    "gemma-own-pos-corrections",
    "gemma-own-pos-layers",
    "gemma-own-pos-redrawn",
)
#: Files of results; each pool is in one of them.
FILES = ("evidence.json", "evidence-gemma.json")


def rows(results: Path, section: str) -> list[Row]:
    documents = [json.loads(path.read_text(encoding="utf-8")) for name in FILES if (path := results / name).exists()]
    return [row for document in documents for row in document["results"] if row["section"] == section]


def pool(results: Path, name: str) -> str:
    """Return a Markdown table of a pool of `results`, with a row for each predictor.

    The columns are all metrics with their intervals, and two tests against the first predictor.
    """
    by_predictor: dict[str, dict[str, Row]] = {}
    for row in rows(results, "pool"):
        if row["pool"] == name:
            by_predictor.setdefault(row["predictor"], {})[row["metric"]] = row
    reference = next(iter(by_predictor), "")
    lines = [
        [
            predictor,
            *(_cell(by_metric[metric], scale) for metric, (_, scale) in COLUMNS.items()),
            " / ".join(_p(by_metric[metric]["p_holm"]) for metric in TESTED),
        ]
        for predictor, by_metric in by_predictor.items()
    ]
    heads = ["predictor", *(head for head, _ in COLUMNS.values()), f"p against {reference} (NDCG@3 / regret)"]
    return _size(by_predictor) + table(heads, lines)


def metric(results: Path, name: str, predictor: str, metric: str) -> str:
    """Return the mean and the interval of one metric of one predictor; `–` if it was not computed."""
    for row in rows(results, "pool"):
        if (row["pool"], row["predictor"], row["metric"]) == (name, predictor, metric):
            return _cell(row, COLUMNS[metric][1])
    return "–"


def cost(results: Path, name: str) -> str:
    """Return a Markdown table of what a user of each predictor of a pool pays.

    The columns are the shares of targets with a near-best source among the first k sources, and the sources to try.
    """
    metrics = {"near-best@1": 100.0, "near-best@3": 100.0, "near-best@10": 100.0, "sources-90": 1.0}
    by_predictor: dict[str, dict[str, Row]] = {}
    for row in rows(results, "pool"):
        if row["pool"] == name and row["metric"] in metrics:
            by_predictor.setdefault(row["predictor"], {})[row["metric"]] = row
    lines = [
        [predictor, *(_cell(by_metric[metric], scale) for metric, scale in metrics.items())]
        for predictor, by_metric in by_predictor.items()
    ]
    return table(["predictor", "first source", "first 3", "first 10", "sources to try"], lines)


def _size(by_predictor: Mapping[str, Mapping[str, Row]]) -> str:
    """Return a sentence about the size of the pool."""
    if not by_predictor:
        return ""
    row = next(iter(next(iter(by_predictor.values())).values()))
    return f"{row['sources']} sources, {row['targets']} targets, {row['pairs']:,} pairs.\n\n"


def _cell(row: Row, scale: float) -> str:
    if row["mean"] is None:
        return "–"
    mean, low, high = (row[part] for part in ("mean", "low", "high"))
    interval = "" if low is None else f" [{scale * low:.1f}, {scale * high:.1f}]"
    return f"{scale * mean:.2f}{interval}"


def _p(value: float | None) -> str:
    if value is None:
        return "–"
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def neighbours(results: Path) -> str:
    """Return a Markdown table of the shares of languages whose nearest neighbour is of their family or genus."""
    levels = ("family", "genus")
    by_predictor: dict[str, dict[str, Row]] = {}
    for row in rows(results, "neighbours"):
        by_predictor.setdefault(row["predictor"], {})[row["level"]] = row
    chance = {level: row for level in levels for row in [next(iter(by_predictor.values()), {}).get(level)] if row}
    lines = [
        [predictor, *(f"{100 * found[level]['same_family']:.0f} %" for level in levels)]
        for predictor, found in by_predictor.items()
    ]
    lines += [["random", *(f"{100 * row['random']:.0f} %" for row in chance.values())]] if chance else []
    counts = [f" ({row['languages']} languages with a relative)" for row in chance.values()] or ["", ""]
    return table(["predictor", f"family{counts[0]}", f"genus{counts[1]}"], lines)


def split_halves(results: Path) -> str:
    """Return a Markdown table of the split-half similarities of each model: median, lowest and highest language."""
    by_predictor: dict[str, list[tuple[float, str]]] = {}
    for row in rows(results, "split-half"):
        by_predictor.setdefault(row["predictor"], []).append((row["split_half"], row["language"]))
    lines = [
        [
            predictor,
            f"{median(half for half, _ in found):.3f}",
            *(f"{half:.3f} ({code})" for half, code in (min(found), max(found))),
        ]
        for predictor, found in by_predictor.items()
    ]
    return table(["sub-networks", "median", "lowest", "highest"], lines)


def fine_tuned(results: Path) -> str:
    """Return a Markdown table of the accuracy of each fine-tuned model on its own language and on other languages.

    The control with random weights has a row for comparison.
    """
    by_source: dict[str, dict[str, Row]] = {}
    for row in rows(results, "fine-tuned"):
        by_source.setdefault(row["source"], {})[row["pool"]] = row
    lines = []
    for source, by_pool in by_source.items():
        scores = [
            f"{row[part]:.1f}" if (row := by_pool.get(name)) else "–"
            for name in ("gemma-own-pos", "gemma-own-pos-redrawn")
            for part in ("own", "zero_shot")
        ]
        lines.append([source, *scores, f"{next(iter(by_pool.values()))['trivial']:.1f}"])
    heads = ["source", "own language", "other languages", "redrawn: own language", "redrawn: other languages"]
    return table([*heads, "trivial answer"], lines)


def regressions(results: Path, of_gemma: bool) -> str:
    """Return a Markdown table of regressions: in-sample errors, and errors for held-out targets and sources."""
    by_model: dict[tuple[str, str, str], dict[str, Row]] = {}
    for row in rows(results, "regression"):
        if row["pool"].startswith("gemma") != of_gemma:
            continue
        by_model.setdefault((row["pool"], row["of"], row["model"]), {})[row["way"]] = row
    lines = []
    for (name, of, model), errors_of in by_model.items():
        target = errors_of["leave one target out"]
        errors = [
            f"{errors_of[split]['rmse']:.2f}" for split in ("in sample", "leave one target out", "leave one source out")
        ]
        lines.append([name, of, model, *errors, f"{target['of_mean']:.2f}", f"{100 * target['coverage']:.0f} %"])
    heads = ["pool", "predictors", "model", "in sample", "target held out", "source held out", "mean score", "coverage"]
    return table(heads, lines)


def coefficients(results: Path, name: str) -> str:
    """Return a Markdown table of the coefficients of the regressions on one pool."""
    lines = [
        [
            row["model"],
            row["name"],
            f"{row['estimate']:.2f}",
            f"[{row['low']:.2f}, {row['high']:.2f}]",
            _p(row["p_value"]),
        ]
        for row in rows(results, "coefficient")
        if row["pool"] == name
    ]
    return table(["model", "predictor", "points of accuracy", "95 % interval", "p"], lines)


def features(results: Path) -> str:
    """Return a Markdown table of the coefficients of the model with crossed intercepts, for the page on regression."""
    lines = [
        [f"`{row['name']}`", f"{row['estimate']:.2f}", f"{row['low']:.2f}", f"{row['high']:.2f}"]
        for row in rows(results, "coefficient")
        if row["pool"] == "pos-features" and row["model"] == "mixed, crossed" and row["name"] != "intercept"
    ]
    return table(["predictor", "points of accuracy", "95 % from", "to"], lines)


def intervals(results: Path) -> str:
    """Return a Markdown table of how often the statements of `rank` on one sample agree with the other samples."""
    path = results / "intervals.json"
    if not path.exists():
        return table(["", ""], [])
    document = json.loads(path.read_text(encoding="utf-8"))
    statements = {
        "difference": "95 % interval of a difference between two sources contains the true value",
        "similarity": "95 % interval of a similarity contains the true value",
        "best_is_level": "the closest source is first, or marked as level with the first",
        "best_is_first": "the first source is the closest",
        "sure": "sources with P(best) of at least 0.9 that are the closest",
    }
    shares = {(row["parts"], row["what"]): row for row in document["results"]}
    parts = sorted({row["parts"] for row in document["results"]}, reverse=True)
    lines = [
        [
            text,
            *(
                f"{100 * shares[number, statement]['share']:.0f} % of {shares[number, statement]['of']:,}"
                for number in parts
            ),
        ]
        for statement, text in statements.items()
    ]
    return table(["", *(f"{number} parts" for number in parts)], lines)


TABLES: dict[str, Callable[[Path], str]] = {
    **{f"evidence-{name}": partial(pool, name=name) for name in POOLS},
    "evidence-gemma-pos-all-cost": partial(cost, name="gemma-pos-all"),
    "evidence-gemma-neighbours": neighbours,
    "evidence-gemma-split-half": split_halves,
    "evidence-gemma-fine-tuned": fine_tuned,
    "evidence-gemma-own-pos-cost": partial(cost, name="gemma-own-pos"),
    "evidence-regressions": partial(regressions, of_gemma=False),
    "evidence-gemma-regressions": partial(regressions, of_gemma=True),
    "regression-features": features,
    "ranking-intervals": intervals,
    "evidence-coefficients": partial(coefficients, name="pos-features"),
}
