"""Recipes that compare predictors: on every task (table 2), by regression (table 3), with other models (table 4)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, Final

from xsns_stream.io.escaping import in_markdown
from xsns_stream.reproduce.actions import write_control
from xsns_stream.reproduce.commands import (
    gold,
    gold_and_predictors,
    group_predictors,
    predictor_evaluations,
    regression,
    restrict_to_scores,
)
from xsns_stream.reproduce.config import CONTROLS, RunConfig, TaskConfig, slug, task_title
from xsns_stream.reproduce.pages import (
    CAPTION,
    NOT_COMPARABLE,
    TABLE2,
    TABLE3,
    TABLE4,
    bullets,
    comparable,
    evaluation_notes,
    evaluation_page,
    gold_quality,
    number,
    overview,
    paper_table,
    separate_sections,
    table,
)
from xsns_stream.reproduce.step import LeftOutError, Recipe, Result, Step, StepOutputs

# ------------------------------------------------------------------------------------ table 2: predictors and tasks

TABLE2_TITLE: Final = "Table 2: sub-networks against other predictors of transfer"


def _all_tasks(config: RunConfig) -> Sequence[Step]:
    """Return the steps that fine-tune models, measure languages, and compute all possible baselines for each task."""
    return [step for task in config.tasks.values() for step in gold_and_predictors(config, task)]


def _table2_evaluations(config: RunConfig, outputs: StepOutputs) -> Sequence[Step]:
    return [step for task in config.tasks.values() for step in predictor_evaluations(config, task, outputs)]


def render_table2(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page: a table of NDCG@3 on all tasks, and a table for each task.

    Raises:
        LeftOutError: No task was evaluated.
    """
    evaluations = {name: predictor_evaluations(config, task, outputs) for name, task in config.tasks.items()}
    read = {name: outputs.document(steps[0]) for name, steps in evaluations.items() if steps}
    documents = {name: document for name, document in read.items() if document is not None}
    if not documents:
        raise LeftOutError("no task of table 2 could be evaluated.")
    parts = [
        f"# {TABLE2_TITLE}\n\nEach predictor ranks the sources of a target; the ranking is compared with the scores "
        "after fine-tuning. The number of targets is in round brackets.\n\n",
        f"{overview(documents, task_title)}\n{CAPTION}\n\n",
    ]
    record, missing = {}, missing_rows(config)
    for name, document in documents.items():
        task = config.tasks[name]
        sentence, quality = gold_quality(task, gold(config, task), outputs)
        separate, sections = separate_sections(evaluations[name][1:], outputs)
        parts.append(f"## {task.title}\n\n{sentence}\n\n{evaluation_page(document)}\n{sections}")
        record[name] = {"evaluation": document, "apart": separate, "gold": quality}
        left_out = group_predictors(config, task, outputs).left_out
        missing += [f"{task.title} has no row {label}: {reason}" for label, reason in left_out.items()]
    parts += [evaluation_notes(documents, task_title), bullets(missing), "\n", paper_table(config, TABLE2)]
    return Result("".join(parts), {"tasks": record})


def missing_rows(config: RunConfig) -> list[str]:
    """Return a sentence for each row of the paper's table for which the run has no data."""
    rows = (("L2V", "typology=feature_predictions.npz", config.typology), ("LDND", "ldnd=FILE", config.ldnd))
    return [f"There is no row {name}, because it needs --data {kind}." for name, kind, given in rows if given is None]


# ------------------------------------------------------------------------------------------ table 3: regressions

TABLE3_TITLE: Final = "Table 3: transfer scores predicted by regression"
#: {value of `regress --model`: name in table 3}.
MODELS: Final[Mapping[str, str]] = {"ols": "least squares", "mixed": "random intercept per target"}
#: Names of the predictions in the output of `regress`.
PREDICTIONS: Final = ("in sample", "leave one target out", "leave one source out")


def _table3_regressions(config: RunConfig, outputs: StepOutputs) -> Sequence[Step]:
    return [step for task in config.tasks.values() for step in _regressions(config, task, outputs).values()]


def _regressions(config: RunConfig, task: TaskConfig, outputs: StepOutputs) -> dict[tuple[str, str], Step]:
    """Return {(predictor, regression model): step} for the predictors with values for enough languages of the task."""
    steps, scores = {}, gold(config, task)
    groups, scored_task = group_predictors(config, task, outputs), restrict_to_scores(task, scores, outputs)
    for label, step in {**groups.together, **groups.separate}.items():
        for model in MODELS:
            name = f"table3.{slug(config.model)}.{task.name}.{label}.{model}"
            output = config.path("table3", f"{task.name}.{label}.{model}.json")
            steps[label, model] = regression(name, output, scored_task, scores, {label: step}, model)
    return steps


def render_table3(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page, which has a table of prediction errors for each task.

    Raises:
        LeftOutError: No regression could be fitted.
    """
    parts = [
        f"# {TABLE3_TITLE}\n\nThe table shows the root mean squared error of scores that are fitted to one predictor, "
        "in points of the score: in sample, as in the paper, and with each target or each source left out in turn. "
        "*Mean alone* predicts the mean score without a predictor. *Intercepts alone* is the same model without its "
        "predictor.\n\n"
    ]
    record: dict[str, Any] = {}
    for name, task in config.tasks.items():
        read = {key: outputs.document(step) for key, step in _regressions(config, task, outputs).items()}
        documents = {key: document for key, document in read.items() if document is not None}
        if not documents:
            continue
        sentence, quality = gold_quality(task, gold(config, task), outputs)
        names = {key: f"{key[0]}, {MODELS[key[1]]}" for key in documents}
        notes = bullets(f"{names[key]}: {note}" for key, document in documents.items() for note in document["notes"])
        parts.append(f"## {task.title}\n\n{sentence}\n\n{_error_table(documents)}\n{notes}\n")
        record[name] = {"gold": quality, "fits": {", ".join(key): document for key, document in documents.items()}}
    if not record:
        raise LeftOutError("no scores could be fitted for table 3.")
    return Result("".join([*parts, _paper_errors(config)]), {"tasks": record})


def _error_table(documents: Mapping[tuple[str, str], Mapping[str, Any]]) -> str:
    lines = []
    for (label, model), document in documents.items():
        errors = {error["way"]: error for error in document["errors"]}
        rmse = [number(_error(errors, prediction, "rmse")) for prediction in PREDICTIONS]
        baselines = [number(_error(errors, PREDICTIONS[1], key)) for key in ("without_predictors", "of_mean")]
        r_squared = document["r_squared"]
        explained = number(None if r_squared is None else 100 * r_squared, 1)
        lines.append([label, MODELS[model], *rmse, *baselines, explained, str(document["pairs"])])
    header = ["predictor", "model", *PREDICTIONS, "target left out: intercepts alone", "mean alone", "R² %", "pairs"]
    return table(header, lines, text_columns=2)


def _error(errors: Mapping[str, Mapping[str, Any]], prediction: str, key: str) -> float | None:
    return errors[prediction][key] if prediction in errors else None


def _paper_errors(config: RunConfig) -> str:
    lines = [
        [task.title, MODELS[model], number(value)]
        for task in config.tasks.values()
        for model, value in TABLE3.get(task.name, {}).items()
    ]
    if not lines:
        return ""
    same = all(comparable(config, task) for task in config.tasks.values())
    sentence = "Model, data and sizes are the same." if same else NOT_COMPARABLE
    errors = table(["task", "model", "X-SNS, in sample"], lines, text_columns=2)
    return f"## The paper's numbers\n\n{sentence}\n\n{errors}"


# ----------------------------------------------------------------------------------------- table 4: other models

TABLE4_TITLE: Final = "Table 4: other models"
#: The task of the paper; if it has no data, the first task with data is used.
TABLE4_TASK: Final = "ner"


def table4_steps(config: RunConfig) -> Sequence[Step]:
    """Return the steps of the control models, and the steps of table 2 for each model on one task.

    Raises:
        LeftOutError: There is no other model.
    """
    models = _models(config)
    if len(models) < 2:
        raise LeftOutError("there is no other model to compare with the first.", "name one with --other-model.")
    controls = [_control_step(config, control) for control in config.controls]
    return controls + [step for model in models for step in gold_and_predictors(config, _table4_task(config), model)]


def _table4_evaluations(config: RunConfig, outputs: StepOutputs) -> Sequence[Step]:
    task = _table4_task(config)
    return [step for model in _models(config) for step in predictor_evaluations(config, task, outputs, model)]


def _table4_task(config: RunConfig) -> TaskConfig:
    return config.tasks.get(TABLE4_TASK) or next(iter(config.tasks.values()))


def _models(config: RunConfig) -> list[str]:
    return [config.model, *(_control_model(config, control) for control in config.controls), *config.other_models]


def _control_folder(config: RunConfig, control: str) -> Path:
    return config.path(f"{control}-init")


def _control_model(config: RunConfig, control: str) -> str:
    folder = str(_control_folder(config, control))
    # A relative path without a leading dot could be taken for a name on the Hub.
    return folder if Path(folder).is_absolute() else f"./{folder}"


def _control_step(config: RunConfig, control: str) -> Step:
    folder = _control_folder(config, control)
    command = ("python", "-m", "xsns_stream.reproduce.actions", f"{control}-weights", config.model, str(folder))
    action = partial(write_control, control, config.model, folder)
    return Step(folder.name, (), (folder,), action=action, command=command)


def _control_of(config: RunConfig, model: str) -> str | None:
    """Return the name of the control that a model of table 4 is; None if it is no control."""
    return next((control for control in config.controls if model == _control_model(config, control)), None)


_CONTROL_SENTENCES: Final[Mapping[str, str]] = {
    "random": (
        "The model with random weights is a control. What a predictor achieves there comes from the tokenizer and the "
        "text, and not from what the model has learnt."
    ),
    "shuffled": (
        "The model with shuffled weights is another control. The weights of each tensor are in a random order: their "
        "distribution is that of the model, and what the model has learnt is lost."
    ),
}


def render_table4(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page, which has a table for each model.

    Raises:
        LeftOutError: No model was evaluated.
    """
    task = _table4_task(config)
    parts = [
        f"# {TABLE4_TITLE}\n\n{task.title}: the sub-networks and embeddings of each model are compared with the "
        "transfer scores of the same model.\n\n"
    ]
    record: dict[str, Any] = {}
    missing = []
    for model in _models(config):
        evaluations = predictor_evaluations(config, task, outputs, model)
        control = _control_of(config, model)
        label = f"{config.model}, {CONTROLS[control]}" if control else model
        document = outputs.document(evaluations[0]) if evaluations else None
        if document is None:
            steps = [*gold_and_predictors(config, task, model), *evaluations]
            missing.append(f"{label}: {_first_failure(outputs, steps)}")
            continue
        sentence, quality = gold_quality(task, gold(config, task, model), outputs)
        notes = bullets(document["notes"])
        separate, sections = separate_sections(evaluations[1:], outputs)
        parts.append(f"## {in_markdown(label)}\n\n{sentence}\n\n{evaluation_page(document)}\n{sections}{notes}\n")
        record[_record_key(config, model)] = {"evaluation": document, "apart": separate, "gold": quality}
    if not record:
        raise LeftOutError("no model of table 4 could be evaluated.", " ".join(missing))
    parts += [
        "".join(f"{_CONTROL_SENTENCES[control]}\n\n" for control in config.controls),
        f"{CAPTION}\n\n",
        bullets(missing),
        "\n",
        paper_table(config, TABLE4),
    ]
    return Result("".join(parts), {"task": task.name, "models": record, "lacking": missing})


def _record_key(config: RunConfig, model: str) -> str:
    """Return the key of a model in `table4.json.gz`; it is part of the format of this file and must not change."""
    names = {"random": "weights drawn anew", "shuffled": "weights shuffled"}
    control = _control_of(config, model)
    return f"{config.model}, {names[control]}" if control else model


def _first_failure(outputs: StepOutputs, steps: Sequence[Step]) -> str:
    """Return why a model has no table: the first failure among its steps, or a general sentence if none has failed."""
    return next((reason for step in steps if (reason := outputs.failure(step))), "it could not be evaluated.")


RECIPES: Final = {
    "table2": Recipe("table2", TABLE2_TITLE, _all_tasks, render_table2, _table2_evaluations),
    "table3": Recipe("table3", TABLE3_TITLE, _all_tasks, render_table3, _table3_regressions),
    "table4": Recipe("table4", TABLE4_TITLE, table4_steps, render_table4, _table4_evaluations),
}
