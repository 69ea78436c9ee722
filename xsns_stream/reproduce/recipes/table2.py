"""Table 2: sub-networks against typology, text and embeddings, on every task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from xsns_stream.reproduce.commands import gold
from xsns_stream.reproduce.comparing import predictor_evaluations, gold_and_predictors, group_predictors
from xsns_stream.reproduce.config import TITLES, RunConfig
from xsns_stream.reproduce.pages import (
    CAPTION,
    TABLE2,
    separate_sections,
    bullets,
    evaluation_page,
    evaluation_notes,
    overview,
    paper_table,
    gold_quality,
)
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

TITLE: Final = "Table 2: sub-networks against other predictors of transfer"


def steps(config: RunConfig) -> Sequence[Step]:
    """Fine-tune, measure, and make every baseline for which there are data, task by task."""
    return [step for task in config.tasks.values() for step in gold_and_predictors(config, task)]


def then(config: RunConfig, folder: Folder) -> Sequence[Step]:
    """Hold the predictors against the scores; which ones together depends on what they know."""
    return [step for task in config.tasks.values() for step in predictor_evaluations(config, task, folder)]


def render(config: RunConfig, folder: Folder) -> Result:
    """Return NDCG@3 over all tasks, and a table a task.

    Raises:
        LeftOutError: No task came to its end.
    """
    evaluations = {name: predictor_evaluations(config, task, folder) for name, task in config.tasks.items()}
    documents = {name: folder.document(made[0]) for name, made in evaluations.items() if made}
    found = {name: document for name, document in documents.items() if document is not None}
    if not found:
        raise LeftOutError("no task of table 2 could be evaluated.")
    parts = [
        f"# {TITLE}\n\nWhich source to fine-tune on, as each predictor has it, held against what fine-tuning gave. "
        f"In round brackets: how many targets.\n\n{overview(found, TITLES)}\n{CAPTION}\n\n"
    ]
    record, lacking = {}, missing_rows(config)
    for name, document in found.items():
        task = config.tasks[name]
        sentence, numbers = gold_quality(task, gold(config, task), folder)
        apart, shown = separate_sections(evaluations[name][1:], folder)
        parts.append(f"## {task.title}\n\n{sentence}\n\n{evaluation_page(document)}\n{shown}")
        record[name] = {"evaluation": document, "apart": apart, "gold": numbers}
        left_out = group_predictors(config, task, folder).left_out
        lacking += [f"{task.title}: no row {row}: {why}" for row, why in left_out.items()]
    parts += [evaluation_notes(found, TITLES.__getitem__), bullets(lacking), "\n", paper_table(config, TABLE2)]
    return Result("".join(parts), {"tasks": record})


def missing_rows(config: RunConfig) -> list[str]:
    """Return why rows are not there for which no data were given."""
    rows = (("L2V", "typology=feature_predictions.npz", config.typology), ("LDND", "ldnd=FILE", config.ldnd))
    return [f"No row {name}: it needs --data {kind}." for name, kind, given in rows if given is None]


RECIPE: Final = Recipe("table2", TITLE, steps, render, then)
