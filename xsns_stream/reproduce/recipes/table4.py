"""Table 4: the same predictors on other models, each held against its own transfer scores."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

from xsns_stream.report.escaping import in_markdown
from xsns_stream.reproduce.commands import gold
from xsns_stream.reproduce.comparing import predictor_evaluations, gold_and_predictors
from xsns_stream.reproduce.config import RunConfig, TaskConfig
from xsns_stream.reproduce.pages import CAPTION, TABLE4, separate_sections, bullets, evaluation_page, paper_table, gold_quality
from xsns_stream.reproduce.random_control import redraw
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

TITLE: Final = "Table 4: other models"
#: The paper's task; another takes its place where there are no data for it.
TASK: Final = "ner"


def steps(config: RunConfig) -> Sequence[Step]:
    """Make the control, and everything of table 2 for each model on one task.

    Raises:
        LeftOutError: There is no other model.
    """
    models = _models(config)
    if len(models) < 2:
        raise LeftOutError("there is no other model to hold beside the first.", "name one with --other-model.")
    made = [_control(config)] if config.control else []
    return made + [step for model in models for step in gold_and_predictors(config, _task(config), model)]


def then(config: RunConfig, folder: Folder) -> Sequence[Step]:
    """Hold each model's predictors against its own scores."""
    return [step for model in _models(config) for step in predictor_evaluations(config, _task(config), folder, model)]


def _task(config: RunConfig) -> TaskConfig:
    return config.tasks.get(TASK) or next(iter(config.tasks.values()))


def _models(config: RunConfig) -> list[str]:
    control = [_control_model(config)] if config.control else []
    return [config.model, *control, *config.other_models]


def _control_model(config: RunConfig) -> str:
    folder = str(config.path("random-init"))
    # A relative path without a dot in front could be taken for a name on the Hub.
    return folder if Path(folder).is_absolute() else f"./{folder}"


def _control(config: RunConfig) -> Step:
    folder = config.path("random-init")
    command = ("python", "-m", "xsns_stream.reproduce.random_control", config.model, str(folder))
    return Step("random-init", (), (folder,), action=lambda: redraw(config.model, folder), command=command)


def render(config: RunConfig, folder: Folder) -> Result:
    """Return a table a model.

    Raises:
        LeftOutError: No model came to its end.
    """
    task = _task(config)
    parts = [
        f"# {TITLE}\n\n{task.title}: each model's sub-networks and embeddings, held against the transfer scores of "
        "the same model.\n\n"
    ]
    record: dict[str, Any] = {}
    lacking = []
    for model in _models(config):
        evaluations = predictor_evaluations(config, task, folder, model)
        shown = f"{config.model}, weights drawn anew" if model == _control_model(config) else model
        document = folder.document(evaluations[0]) if evaluations else None
        if document is None:
            lacking.append(f"{shown}: {_why(folder, [*gold_and_predictors(config, task, model), *evaluations])}")
            continue
        sentence, numbers = gold_quality(task, gold(config, task, model), folder)
        notes = bullets(document["notes"])
        apart, others = separate_sections(evaluations[1:], folder)
        parts.append(f"## {in_markdown(shown)}\n\n{sentence}\n\n{evaluation_page(document)}\n{others}{notes}\n")
        record[shown] = {"evaluation": document, "apart": apart, "gold": numbers}
    if not record:
        raise LeftOutError("no model of table 4 could be evaluated.", " ".join(lacking))
    control = (
        "Weights drawn anew are a control: what a predictor is worth there, it owes to tokenizer and text, not to what "
        "the model has learnt.\n\n"
    )
    parts += [
        control if config.control else "",
        f"{CAPTION}\n\n",
        bullets(lacking),
        "\n",
        paper_table(config, TABLE4),
    ]
    return Result("".join(parts), {"task": task.name, "models": record, "lacking": lacking})


def _why(folder: Folder, steps: Sequence[Step]) -> str:
    """Return the first reason why a model has no line."""
    return next((why for step in steps if (why := folder.why(step))), "it could not be evaluated.")


RECIPE: Final = Recipe("table4", TITLE, steps, render, then)
