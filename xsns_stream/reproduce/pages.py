"""Parts of the Markdown pages of recipes: tables of evaluations, shared sentences, and the paper's numbers."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, NamedTuple

from xsns_stream.io.escaping import in_markdown
from xsns_stream.report.markup import markdown_table
from xsns_stream.reproduce.config import DENSITY, PRESETS, RunConfig, TaskConfig, task_title
from xsns_stream.reproduce.step import Step, StepOutputs

UNKNOWN: Final = "–"
NDCG: Final = "ndcg@3[rank-linear]"
#: {name of a metric in `evaluate`: heading of the paper's tables}.
PAPER_COLUMNS: Final[Mapping[str, str]] = {
    "pearson": "Pearson",
    "spearman": "Spearman",
    "top-1": "Top-1",
    NDCG: "NDCG@3",
}
_REGRET: Final = "regret"
#: Rows of an evaluation without a predictor.
REFERENCE_ROWS: Final = ("random", "english", "source-mean", "ceiling")

CAPTION: Final = (
    "The values are means over targets of the mean over every pair of a Fisher seed and a fine-tuning seed, × 100, "
    "with 95 % intervals (bootstrap over targets). NDCG@3 is computed on ranks with linear gain. Regret is the number "
    "of points of the score that are lost by following the predictor to one source. The last rows need no predictor: "
    "random order, English for every target, the mean score of a source on the other targets, and the scores of other "
    "fine-tuning seeds (ceiling)."
)
NOT_COMPARABLE: Final = (
    "These numbers are for XLM-R base with the paper's own data, languages and sizes. They are not comparable with the "
    "numbers above."
)


# ---------------------------------------------------------------------------------------- tables of evaluations


def evaluation_page(document: Mapping[str, Any]) -> str:
    """Return the table of an evaluation; the row of each predictor includes its test against the reference."""
    against = document["against"]
    header = ["predictor", *PAPER_COLUMNS.values(), "regret"]
    if against:
        header += [f"NDCG@3 minus {against}", "p (Holm)"]
    lines = []
    for predictor in document["predictors"]:
        metrics = predictor["metrics"]
        line = [predictor["name"], *(metric_cell(metrics, metric) for metric in PAPER_COLUMNS)]
        line.append(metric_cell(metrics, _REGRET, scale=1.0))
        if against:
            line += _difference_cells(metrics[NDCG].get("against"))
        lines.append(line)
    return table(header, lines)


def separate_sections(steps: Sequence[Step], outputs: StepOutputs) -> tuple[dict[str, Any], str]:
    """Return the evaluations of predictors that lack values for many languages, as JSON documents and as Markdown.

    `steps` are the steps that evaluate one of these predictors each.
    """
    documents, parts = {}, []
    for step in steps:
        document = outputs.document(step)
        if document is not None:
            label = document["predictors"][0]["name"]
            documents[label] = document
            parts.append(f"{label} lacks many languages. On the {target_count(document)} targets that it knows:\n\n")
            parts.append(f"{evaluation_page(document)}\n")
    return documents, "".join(parts)


def target_count(document: Mapping[str, Any]) -> int:
    """Return the number of targets in an evaluation that have sources to choose from."""
    return sum(target["candidates"] > 0 for target in document["targets"])


def overview(documents: Mapping[str, Mapping[str, Any]], titles: Callable[[str], str], metric: str = NDCG) -> str:
    """Return a Markdown table of one metric; rows are predictors and columns are tasks.

    `documents` is {task: evaluation}, and `titles` returns the title of a task.
    """
    names = list(dict.fromkeys(one["name"] for document in documents.values() for one in document["predictors"]))
    metrics = {
        task: {one["name"]: one["metrics"] for one in document["predictors"]} for task, document in documents.items()
    }
    ordered = [*(name for name in names if name not in REFERENCE_ROWS), *(n for n in REFERENCE_ROWS if n in names)]
    lines = [
        [name, *(metric_cell(metrics[task][name], metric) if name in metrics[task] else UNKNOWN for task in documents)]
        for name in ordered
    ]
    heads = [f"{titles(task)} ({target_count(document)})" for task, document in documents.items()]
    return table([PAPER_COLUMNS.get(metric, metric), *heads], lines)


def metric_cell(metrics: Mapping[str, Any], metric: str, *, scale: float = 100.0) -> str:
    """Return the mean and the interval of a metric as text, both multiplied by `scale`."""
    values = metrics[metric]
    mean, low, high = (None if values[key] is None else scale * values[key] for key in ("mean", "low", "high"))
    return with_interval(mean, low, high)


def _difference_cells(test: Mapping[str, Any] | None) -> list[str]:
    if test is None or test["difference"] is None:
        return [UNKNOWN, UNKNOWN]
    values = [None if test[key] is None else 100.0 * test[key] for key in ("difference", "low", "high")]
    interval = f" [{number(values[1], 1)}, {number(values[2], 1)}]" if None not in values else ""
    return [f"{number(values[0], signed=True)}{interval}", probability(test["p_holm"])]


# ------------------------------------------------------------------------------------- sentences about the scores


def gold_quality(task: TaskConfig, gold: Step, outputs: StepOutputs) -> tuple[str, dict[str, Any]]:
    """Return a sentence on the quality of the fine-tuned models, and the numbers in this sentence.

    The numbers are means over models: the score on the test set of the source (`at_home`), the score on the test sets
    of other targets (`zero_shot`), and the score of the trivial answer, such as the most frequent class (`trivial`).
    """
    import numpy as np

    from xsns_stream.gold import read_scores

    scores = read_scores(gold.output)
    targets = [code for code in task.targets if code in scores.targets]
    values = scores.restricted(scores.sources, targets).values
    own = np.array([[source == target for target in targets] for source in scores.sources])
    home, abroad = (values[mask & np.isfinite(values)] for mask in (own, ~own))
    quality: dict[str, Any] = {
        "metric": scores.metric,
        "unit": scores.unit,
        "at_home": float(home.mean()) if home.size else None,
        "zero_shot": float(abroad.mean()) if abroad.size else None,
        "trivial": None,
        "above_trivial": None,
    }
    trivial = trivial_scores(outputs.document(gold))
    if trivial:
        known = np.array([trivial.get(target, np.nan) for target in targets])
        above = (values - known)[~own & np.isfinite(values)]
        quality["trivial"] = float(np.nanmean(known))
        quality["above_trivial"] = float(np.nanmean(above > 0)) if above.size else None
    return _quality_sentence(quality), quality


def trivial_scores(document: Mapping[str, Any] | None) -> dict[str, float]:
    """Return {target: score of the trivial answer} in the headline metric, from the result of `transfer --json`."""
    trivial = (document or {}).get("result", {}).get("trivial") or {}
    return {target: float(value) for target, value in trivial.items() if value is not None}


def _quality_sentence(quality: Mapping[str, Any]) -> str:
    home, abroad, trivial = (number(quality[key], 1) for key in ("at_home", "zero_shot", "trivial"))
    sentence = (
        f"The mean {quality['metric']} of the fine-tuned models is {home} on the source's own test set and {abroad} "
        "zero-shot on other targets."
    )
    if quality["trivial"] is None:
        return sentence
    share = UNKNOWN if quality["above_trivial"] is None else number(100 * quality["above_trivial"], 0)
    return f"{sentence} The trivial answer, which needs no model, has {trivial}; {share} % of the pairs are above this."


def evaluation_notes(documents: Mapping[str, Mapping[str, Any]], titles: Callable[[str], str]) -> str:
    """Return the notes of the evaluations as a Markdown list.

    `documents` is {task: evaluation}, and `titles` returns the title of a task.
    """
    return bullets(f"{titles(task)}: {note}" for task, document in documents.items() for note in document["notes"])


def not_swept(config: RunConfig) -> str:
    """Return a sentence on the tasks that the sweeps do not include; empty if they include all tasks."""
    names = [name for name in config.tasks if name not in config.swept]
    if not names:
        return ""
    titles = ", ".join(task_title(name) for name in names)
    return bullets([f"{titles}: not run by default; add `--tasks {','.join(names)}`."])


# ---------------------------------------------------------------------------------------------------- Markdown


def table(header: Sequence[str], lines: Iterable[Sequence[str]], *, text_columns: int = 1) -> str:
    """Return a Markdown table that ends with a line break; see :func:`~xsns_stream.report.markup.markdown_table`."""
    return f"{markdown_table(header, lines, text_columns=text_columns)}\n"


def number(value: float | None, decimals: int = 2, *, signed: bool = False) -> str:
    """Return a value rounded to `decimals` decimals, as text; a dash if it is None or not finite."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    # Adding 0.0 turns −0.0 into 0.0.
    rounded = round(float(value), decimals) + 0.0
    return f"{rounded:{'+' if signed else ''}.{decimals}f}".replace("-", "−")


def with_interval(mean: float | None, low: float | None, high: float | None, decimals: int = 2) -> str:
    """Return `mean [low, high]`, or only the mean if the interval is unknown; the interval has one decimal less."""
    text = number(mean, decimals)
    if text == UNKNOWN or low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return text
    fewer = max(0, decimals - 1)
    return f"{text} [{number(low, fewer)}, {number(high, fewer)}]"


def probability(value: float | None) -> str:
    """Return a p-value rounded to three decimals, as text; a dash if it is None or not finite."""
    if value is None or not math.isfinite(value):
        return UNKNOWN
    return "< 0.001" if value < 0.001 else f"{value:.3f}"


def bullets(sentences: Iterable[str]) -> str:
    """Return a Markdown list of the distinct sentences, which are escaped."""
    return "".join(f"* {in_markdown(sentence)}\n" for sentence in dict.fromkeys(sentences) if sentence)


def code(lines: Iterable[str], language: str = "console") -> str:
    """Return lines as a fenced code block of Markdown; the fence is longer than any run of backticks in the lines."""
    text = "\n".join(line.replace("\n", " ") for line in lines)
    fence = "```"
    while fence in text:
        fence += "`"
    return f"{fence}{language}\n{text}\n{fence}\n"


# ------------------------------------------------------------------------------------------ the paper's numbers


class Row(NamedTuple):
    """A row of a table of the paper: means over targets, multiplied by 100."""

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
#: {task: {text and output: means}}; the rows of task text and LM are those of table 2.
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
    """Return whether the model, data, languages, seeds and sizes of a run are those of the paper."""
    paper = PRESETS["paper"]
    models = (paper.model, *paper.other_models)
    sizes = (config.examples, config.density, task.limit, task.test_limit, config.epochs, config.max_length)
    paper_sizes = (paper.examples, DENSITY, None, None, None, None)
    seeds = (*task.fisher_seeds, *task.tuning_seeds, config.fine_tuning, config.precision)
    paper_seeds = (*paper.fisher_seeds[""], *paper.tuning_seeds[""], paper.fine_tuning, "float32")
    return task.papers and (model or config.model) in models and sizes == paper_sizes and seeds == paper_seeds


def paper_table(config: RunConfig, rows: Mapping[str, Mapping[str, Row]], what: str = "predictor") -> str:
    """Return the paper's numbers for the tasks of a run, and a sentence on whether they can be compared.

    Args:
        config: The configuration of the run.
        rows: {task: {label: means}}.
        what: The heading of the column of labels.
    """
    lines = [
        [task.title, name, *(number(value) for value in row)]
        for task in config.tasks.values()
        for name, row in rows.get(task.name, {}).items()
    ]
    if not lines:
        return ""
    same = [task.title for task in config.tasks.values() if comparable(config, task)]
    sentence = (
        f"Model, languages and sizes are the same for {', '.join(same)}; the data are those of the Hub."
        if same
        else NOT_COMPARABLE
    )
    header = ["task", what, *PAPER_COLUMNS.values()]
    return f"## The paper's numbers\n\n{sentence}\n\n{table(header, lines, text_columns=2)}"
