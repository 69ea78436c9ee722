"""Parts of Markdown pages that several recipes share, and the numbers of the paper."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from xsns_stream.report.escaping import in_markdown
from xsns_stream.reproduce.config import DENSITY, PRESETS, TITLES, RunConfig, TaskConfig
from xsns_stream.reproduce.step import Folder, Step

NDCG: Final = "ndcg@3[rank-linear]"
#: Metrics of the paper's tables, as `evaluate` calls them, and their headings.
METRICS: Final[Mapping[str, str]] = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "top-1": "Top-1",
    NDCG: "NDCG@3",
}
_REGRET: Final = "regret"

CAPTION: Final = (
    "Means over targets of the mean over every pair of a Fisher and a fine-tuning seed, × 100, with 95 % intervals "
    "(bootstrap over targets); NDCG@3 on ranks with linear gain; regret: points of the score lost by following the "
    "predictor to one source. The last rows need no predictor: random order, always English, a source's "
    "mean score on the other targets, and (ceiling) the scores of other fine-tuning seeds."
)
NOT_COMPARABLE: Final = (
    "The paper's, on XLM-R base and its own data, languages and sizes: not comparable with the numbers above."
)


def evaluation_page(document: Mapping[str, Any]) -> str:
    """Return the table of an evaluation, a line for each predictor, with its test against the reference."""
    against = document["against"]
    header = ["predictor", *METRICS.values(), "regret"]
    if against:
        header += [f"NDCG@3 less {against}", "p (Holm)"]
    lines = []
    for predictor in document["predictors"]:
        found = predictor["metrics"]
        line = [predictor["name"], *(cell(found, metric) for metric in METRICS)]
        line.append(cell(found, _REGRET, scale=1.0))
        if against:
            line += _difference(found[NDCG].get("against"))
        lines.append(line)
    return table(header, lines)


def separate_sections(steps: Sequence[Step], folder: Folder) -> tuple[dict[str, Any], str]:
    """Return the evaluations of predictors that lack many languages, each with X-SNS on what it knows, and the page."""
    found, parts = {}, []
    for step in steps:
        document = folder.document(step)
        if document is not None:
            shown = document["predictors"][0]["name"]
            found[shown] = document
            known = target_count(document)
            parts.append(f"{shown} lacks many languages. On the {known} targets that it knows:\n\n")
            parts.append(f"{evaluation_page(document)}\n")
    return found, "".join(parts)


def target_count(document: Mapping[str, Any]) -> int:
    """Return how many targets have sources that compete."""
    return sum(target["candidates"] > 0 for target in document["targets"])


def overview(documents: Mapping[str, Mapping[str, Any]], titles: Mapping[str, str], metric: str = NDCG) -> str:
    """Return one metric of every predictor (lines) on every task (columns), with intervals."""
    names = list(dict.fromkeys(one["name"] for document in documents.values() for one in document["predictors"]))
    found = {
        task: {one["name"]: one["metrics"] for one in document["predictors"]} for task, document in documents.items()
    }
    lines = [
        [name, *(cell(found[task][name], metric) if name in found[task] else "–" for task in documents)]
        for name in _trivial_last(names)
    ]
    heads = [f"{titles[task]} ({target_count(document)})" for task, document in documents.items()]
    return table([METRICS.get(metric, metric), *heads], lines)


def cell(metrics: Mapping[str, Any], metric: str, *, scale: float = 100.0) -> str:
    """Return one mean with its interval; correlations and the like as percent."""
    found = metrics[metric]
    mean, low, high = (None if found[key] is None else scale * found[key] for key in ("mean", "low", "high"))
    return with_interval(mean, low, high)


def _difference(made: Mapping[str, Any] | None) -> list[str]:
    if made is None or made["difference"] is None:
        return ["–", "–"]
    values = [None if made[key] is None else 100.0 * made[key] for key in ("difference", "low", "high")]
    low_high = f" [{number(values[1], 1)}, {number(values[2], 1)}]" if None not in values else ""
    return [f"{number(values[0], signed=True)}{low_high}", probability(made["p_holm"])]


def _trivial_last(names: Sequence[str]) -> list[str]:
    trivial = ("random", "english", "source-mean", "ceiling")
    return [*(name for name in names if name not in trivial), *(name for name in trivial if name in names)]


# ------------------------------------------------------------------------------- what the gold is worth


def gold_quality(task: TaskConfig, gold: Step, folder: Folder) -> tuple[str, dict[str, Any]]:
    """Return a sentence on how well the fine-tuned models do at all, with its numbers.

    At home: a source's model on its own test set. Zero-shot: on the targets of the pool. Trivial: the answer that
    needs no model, as the most frequent class.
    """
    import numpy as np

    from xsns_stream.gold import read_scores

    scores = read_scores(gold.output)
    targets = [code for code in task.targets if code in scores.targets]
    values = scores.restricted(scores.sources, targets).values
    own = np.array([[source == target for target in targets] for source in scores.sources])
    home, abroad = (values[mask & np.isfinite(values)] for mask in (own, ~own))
    found: dict[str, Any] = {
        "metric": scores.metric,
        "unit": scores.unit,
        "at_home": float(home.mean()) if home.size else None,
        "zero_shot": float(abroad.mean()) if abroad.size else None,
        "trivial": None,
        "above_trivial": None,
    }
    floor = trivial(folder.document(gold))
    if floor:
        known = np.array([floor.get(target, np.nan) for target in targets])
        above = (values - known)[~own & np.isfinite(values)]
        found["trivial"] = float(np.nanmean(known))
        found["above_trivial"] = float(np.nanmean(above > 0)) if above.size else None
    return _strength(task, found), found


def trivial(document: Mapping[str, Any] | None) -> dict[str, float]:
    """Return {target: what the answer without a model scores, in the headline metric}, from `transfer --json`."""
    found = (document or {}).get("result", {}).get("trivial") or {}
    return {target: float(value) for target, value in found.items() if value is not None}


def _strength(task: TaskConfig, found: Mapping[str, Any]) -> str:
    shown = {key: number(found[key], 1) for key in ("at_home", "zero_shot", "trivial")}
    text = (
        f"How far these scores mean anything: {found['metric']} {shown['at_home']} on the source's own test set, "
        f"{shown['zero_shot']} zero-shot on other targets"
    )
    if found["trivial"] is None:
        return f"{text}."
    share = number(100 * found["above_trivial"], 0) if found["above_trivial"] is not None else "–"
    return f"{text}, {shown['trivial']} for the answer that needs no model; {share} % of the pairs are above that."


# -------------------------------------------------------------------------------------- the paper's own


def paper_table(config: RunConfig, rows: Mapping[str, Mapping[str, Row]], what: str = "predictor") -> str:
    """Return the paper's numbers on the tasks of a run, and whether they may be held against ours."""
    lines = [
        [task.title, name, *(number(value) for value in row)]
        for task in config.tasks.values()
        for name, row in rows.get(task.name, {}).items()
    ]
    if not lines:
        return ""
    same = [task.title for task in config.tasks.values() if comparable(config, task)]
    said = (
        f"The paper's; {', '.join(same)}: the same model, languages and sizes, data as the Hub has them."
        if same
        else NOT_COMPARABLE
    )
    header = ["task", what, *METRICS.values()]
    return f"## The paper's numbers\n\n{said}\n\n{table(header, lines, text_columns=2)}"


def evaluation_notes(documents: Mapping[str, Mapping[str, Any]], titles: Callable[[str], str]) -> str:
    """Return what `evaluate` said beside its numbers, task by task."""
    return bullets(f"{titles(task)}: {note}" for task, document in documents.items() for note in document["notes"])


def not_swept(config: RunConfig) -> str:
    """Return a sentence on the tasks that the preset does not measure many times over; empty where there are none."""
    names = [name for name in config.tasks if name not in config.swept]
    if not names:
        return ""
    return bullets([f"{', '.join(TITLES[name] for name in names)}: not run; `--tasks {','.join(names)}` does."])


UNKNOWN: Final = "–"


def table(header: Sequence[str], lines: Iterable[Sequence[str]], *, text_columns: int = 1) -> str:
    """Return a table; the first columns hold text, the others numbers.

    Args:
        header: Names of the columns; escaped.
        lines: Cells; escaped.
        text_columns: How many columns are text.
    """
    rule = ["---" if place < text_columns else "---:" for place in range(len(header))]
    rows = [[in_markdown(cell) for cell in line] for line in (header, *lines)]
    return "\n".join("| " + " | ".join(line) + " |" for line in (rows[0], rule, *rows[1:])) + "\n"


def number(value: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """Return a number with so many decimals; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    # No minus before what rounds to zero.
    rounded = round(float(value), decimals) + 0.0
    return f"{rounded:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def with_interval(mean: float | None, low: float | None, high: float | None, decimals: int = 2) -> str:
    """Return `mean [low, high]`, the interval with one decimal less; without it where it is not known."""
    text = number(mean, decimals)
    if text == UNKNOWN or low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return text
    fewer = max(0, decimals - 1)
    return f"{text} [{number(low, fewer)}, {number(high, fewer)}]"


def probability(value: float | None) -> str:
    """Return a p-value with three decimals; a dash where there is none."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def bullets(sentences: Iterable[str]) -> str:
    """Return a list of sentences, each once; escaped."""
    return "".join(f"* {in_markdown(sentence)}\n" for sentence in dict.fromkeys(sentences) if sentence)


def code(lines: Iterable[str], language: str = "console") -> str:
    """Return lines as a block of code, whatever ticks they hold."""
    text = "\n".join(line.replace("\n", " ") for line in lines)
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}\n"


class Row(NamedTuple):
    """Means over targets."""

    pearson: float
    spearman: float
    top_1: float
    ndcg: float


#: {task: {predictor: means}}.
TABLE2: Final[Mapping[str, Mapping[str, Row]]] = {
    "ner": {
        "L2V": Row(14.58, 17.73, 13.73, 62.35),
        "LEX": Row(67.55, 53.92, 23.53, 76.20),
        "SuE": Row(30.33, 10.29, 3.92, 47.46),
        "EMB": Row(78.18, 49.52, 31.37, 76.06),
        "X-SNS": Row(78.80, 58.20, 39.22, 78.12),
    },
    "pos": {
        "L2V": Row(67.62, 56.97, 23.33, 78.06),
        "LEX": Row(48.29, 39.78, 28.33, 77.44),
        "SuE": Row(42.83, 48.99, 0.00, 33.26),
        "EMB": Row(70.12, 51.81, 16.67, 74.65),
        "X-SNS": Row(72.55, 65.52, 33.33, 83.73),
    },
    "nli": {"X-SNS": Row(24.47, 31.52, 11.11, 68.73)},
    "pi": {"X-SNS": Row(73.59, 64.47, 52.38, 89.82)},
    "qa": {"X-SNS": Row(72.58, 68.15, 50.00, 87.95)},
}
#: {task: {which text and output: means}}; those of task text and LM are those of table 2.
TABLE1: Final[Mapping[str, Mapping[str, Row]]] = {
    **{task: {"task text, LM": rows["X-SNS"]} for task, rows in TABLE2.items() if task != "pos"},
    "pos": {"task text, LM": TABLE2["pos"]["X-SNS"], "task text, task head": Row(65.76, 51.42, 29.44, 80.01)},
}
#: {task: {model of the regression: root of the mean squared error in sample}}.
TABLE3: Final[Mapping[str, Mapping[str, float]]] = {
    "ner": {"ols": 8.88},
    "pos": {"ols": 9.58},
    "nli": {"ols": 3.95, "mixed": 1.67},
    "qa": {"ols": 8.93, "mixed": 5.80},
}
#: {task: {model: means of X-SNS}}.
TABLE4: Final[Mapping[str, Mapping[str, Row]]] = {
    "ner": {
        "FacebookAI/xlm-roberta-base": TABLE2["ner"]["X-SNS"],
        "google-bert/bert-base-multilingual-cased": Row(86.83, 58.67, 41.18, 80.15),
        "google/mt5-base": Row(68.06, 43.65, 29.41, 76.72),
    }
}


def comparable(config: RunConfig, task: TaskConfig, model: str | None = None) -> bool:
    """Tell whether numbers of a run may stand beside the paper's: its model, data, languages, seeds and sizes."""
    paper = PRESETS["paper"]
    models = (paper.model, *paper.other_models)
    sizes = (config.examples, config.density, task.limit, task.test_limit, config.epochs, config.max_length)
    theirs = (paper.examples, DENSITY, None, None, None, None)
    seeds = (*task.fisher_seeds, *task.tuning_seeds, config.fine_tuning, config.precision)
    their_seeds = (*paper.fisher_seeds[""], *paper.tuning_seeds[""], paper.fine_tuning, "float32")
    return task.papers and (model or config.model) in models and sizes == theirs and seeds == their_seeds
