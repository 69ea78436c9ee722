"""The targets of `reproduce`: one file of `recipes` each."""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import Final

from xsns_stream.reproduce.step import Recipe

ALL: Final = "all"
#: Target → one line of help. The file recipes/TARGET.py holds a recipe named `RECIPE`.
TARGETS: Final[Mapping[str, str]] = {
    "table1": "Which text, and which output of the model: task or general text, language model or task head.",
    "table2": "Sub-networks against typology, text and embeddings, on every task.",
    "table3": "How far scores fitted to similarity are off: least squares and mixed effects.",
    "table4": "The same predictors on other models.",
    "figure1": "Transfer of NER by source.",
    "figure3": "Prediction by density of the sub-networks.",
    "figure4": "Three sources at once, chosen by each predictor.",
    "figure5": "How far transfer to a target spreads over sources.",
    "figure6": "Prediction by number of examples.",
    "figure7": "Low-resource targets: the predicted source against English.",
    "choices": "Not the paper's: other estimators, thresholds and ways to compare.",
}


def recipes(target: str) -> list[Recipe]:
    """Return the recipe of a target; all of them, in the order of the paper, for `all`."""
    names = list(TARGETS) if target == ALL else [target]
    found: list[Recipe] = [import_module(f"xsns_stream.reproduce.recipes.{name}").RECIPE for name in names]
    return found
