"""Table 3: how far scores fitted to a predictor are off."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from xsns_stream.reproduce.commands import gold, regression
from xsns_stream.reproduce.comparing import gold_and_predictors, restrict_to_scores, group_predictors
from xsns_stream.reproduce.config import RunConfig, TaskConfig, slug
from xsns_stream.reproduce.pages import NOT_COMPARABLE, TABLE3, bullets, comparable, number, gold_quality, table
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

TITLE: Final = "Table 3: transfer scores predicted by regression"
#: Of `regress`, and as the table calls them.
MODELS: Final[Mapping[str, str]] = {"ols": "least squares", "mixed": "random intercept a target"}
WAYS: Final = ("in sample", "leave one target out", "leave one source out")


def steps(config: RunConfig) -> Sequence[Step]:
    """Fine-tune, measure, and make every baseline for which there are data, as for table 2."""
    return [step for task in config.tasks.values() for step in gold_and_predictors(config, task)]


def then(config: RunConfig, folder: Folder) -> Sequence[Step]:
    """Fit each task's scores to each predictor alone, in both ways."""
    return [step for task in config.tasks.values() for step in _fits(config, task, folder).values()]


def _fits(config: RunConfig, task: TaskConfig, folder: Folder) -> dict[tuple[str, str], Step]:
    """Return {(predictor, model): the regression} for the predictors that know enough of the pool."""
    found, scores = {}, gold(config, task)
    known, fitted = group_predictors(config, task, folder), restrict_to_scores(task, scores, folder)
    for shown, step in {**known.together, **known.apart}.items():
        for model in MODELS:
            name = f"table3.{slug(config.model)}.{task.name}.{shown}.{model}"
            output = config.path("table3", f"{task.name}.{shown}.{model}.json")
            found[shown, model] = regression(name, output, fitted, scores, {shown: step}, model)
    return found


def render(config: RunConfig, folder: Folder) -> Result:
    """Return a table of errors a task.

    Raises:
        LeftOutError: Nothing could be fitted.
    """
    parts = [
        f"# {TITLE}\n\nRoot of the mean squared error of scores fitted to one predictor, in points of the score: in "
        "sample, as the paper has it, and with each target, or each source, left out in turn. *Mean alone* predicts "
        "the mean score and needs no predictor; *intercepts alone* is the same model without its predictor.\n\n"
    ]
    record: dict[str, Any] = {}
    for name, task in config.tasks.items():
        documents = {key: folder.document(step) for key, step in _fits(config, task, folder).items()}
        found = {key: document for key, document in documents.items() if document is not None}
        if not found:
            continue
        sentence, numbers = gold_quality(task, gold(config, task), folder)
        said = [(f"{shown}, {MODELS[model]}", one["notes"]) for (shown, model), one in found.items()]
        notes = bullets(f"{fit}: {note}" for fit, sentences in said for note in sentences)
        parts.append(f"## {task.title}\n\n{sentence}\n\n{_errors(found)}\n{notes}\n")
        record[name] = {"gold": numbers, "fits": {f"{shown}, {model}": one for (shown, model), one in found.items()}}
    if not record:
        raise LeftOutError("nothing could be fitted for table 3.")
    return Result("".join([*parts, _papers(config)]), {"tasks": record})


def _errors(found: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    lines = []
    for (shown, model), document in found.items():
        errors = {error["way"]: error for error in document["errors"]}
        rmse = [number(_value(errors, way, "rmse")) for way in WAYS]
        floors = [number(_value(errors, WAYS[1], key)) for key in ("without_predictors", "of_mean")]
        explained = number(_percent(document["r_squared"]), 1)
        lines.append([shown, MODELS[model], *rmse, *floors, explained, str(document["pairs"])])
    header = ["predictor", "model", *WAYS, "target left out: intercepts alone", "mean alone", "R² %", "pairs"]
    return table(header, lines, text_columns=2)


def _value(errors: Mapping[str, Mapping[str, Any]], way: str, key: str) -> float | None:
    return errors[way][key] if way in errors else None


def _percent(value: float | None) -> float | None:
    return None if value is None else 100 * value


def _papers(config: RunConfig) -> str:
    lines = [
        [task.title, MODELS[model], number(value)]
        for task in config.tasks.values()
        for model, value in TABLE3.get(task.name, {}).items()
    ]
    if not lines:
        return ""
    same = all(comparable(config, task) for task in config.tasks.values())
    said = "The same model, data and sizes." if same else NOT_COMPARABLE
    shown = table(["task", "model", "X-SNS, in sample"], lines, text_columns=2)
    return f"## The paper's numbers\n\n{said}\n\n{shown}"


RECIPE: Final = Recipe("table3", TITLE, steps, render, then)
