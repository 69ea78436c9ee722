"""The numbers of the paper (Yun et al., Findings of EMNLP 2023), in percent: XLM-R base, 1,024 examples, p = 0.15."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from xsns_stream.reproduce.presets import DENSITY, PRESETS
from xsns_stream.reproduce.setting import Setting, TaskSetting


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


def comparable(setting: Setting, task: TaskSetting, model: str | None = None) -> bool:
    """Tell whether numbers of a run may stand beside the paper's: its model, data, languages, seeds and sizes."""
    paper = PRESETS["paper"]
    models = (paper.model, *paper.other_models)
    sizes = (setting.examples, setting.density, task.limit, task.test_limit, setting.epochs, setting.max_length)
    theirs = (paper.examples, DENSITY, None, None, None, None)
    seeds = (*task.fisher_seeds, *task.tuning_seeds, setting.fine_tuning, setting.precision)
    their_seeds = (*paper.fisher_seeds[""], *paper.tuning_seeds[""], paper.fine_tuning, "float32")
    return task.papers and (model or setting.model) in models and sizes == theirs and seeds == their_seeds
