"""Table 2: sub-networks against typology, text and embeddings, on every task."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from xsns_stream.reproduce.commands import gold
from xsns_stream.reproduce.comparing import held, measured, sort_predictors
from xsns_stream.reproduce.config import TITLES, Setting
from xsns_stream.reproduce.pages import (
    CAPTION,
    TABLE2,
    apart_pages,
    bullets,
    evaluation_page,
    notes_of,
    overview,
    papers_table,
    strength,
)
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

TITLE: Final = "Table 2: sub-networks against other predictors of transfer"


def steps(setting: Setting) -> Sequence[Step]:
    """Fine-tune, measure, and make every baseline for which there are data, task by task."""
    return [step for task in setting.tasks.values() for step in measured(setting, task)]


def then(setting: Setting, folder: Folder) -> Sequence[Step]:
    """Hold the predictors against the scores; which ones together depends on what they know."""
    return [step for task in setting.tasks.values() for step in held(setting, task, folder)]


def render(setting: Setting, folder: Folder) -> Result:
    """Return NDCG@3 over all tasks, and a table a task.

    Raises:
        LeftOutError: No task came to its end.
    """
    evaluations = {name: held(setting, task, folder) for name, task in setting.tasks.items()}
    documents = {name: folder.document(made[0]) for name, made in evaluations.items() if made}
    found = {name: document for name, document in documents.items() if document is not None}
    if not found:
        raise LeftOutError("no task of table 2 could be evaluated.")
    parts = [
        f"# {TITLE}\n\nWhich source to fine-tune on, as each predictor has it, held against what fine-tuning gave. "
        f"In round brackets: how many targets.\n\n{overview(found, TITLES)}\n{CAPTION}\n\n"
    ]
    record, lacking = {}, missing_rows(setting)
    for name, document in found.items():
        task = setting.tasks[name]
        sentence, numbers = strength(task, gold(setting, task), folder)
        apart, shown = apart_pages(evaluations[name][1:], folder)
        parts.append(f"## {task.title}\n\n{sentence}\n\n{evaluation_page(document)}\n{shown}")
        record[name] = {"evaluation": document, "apart": apart, "gold": numbers}
        left_out = sort_predictors(setting, task, folder).left_out
        lacking += [f"{task.title}: no row {row}: {why}" for row, why in left_out.items()]
    parts += [notes_of(found, TITLES.__getitem__), bullets(lacking), "\n", papers_table(setting, TABLE2)]
    return Result("".join(parts), {"tasks": record})


def missing_rows(setting: Setting) -> list[str]:
    """Return why rows are not there for which no data were given."""
    rows = (("L2V", "typology=feature_predictions.npz", setting.typology), ("LDND", "ldnd=FILE", setting.ldnd))
    return [f"No row {name}: it needs --data {kind}." for name, kind, given in rows if given is None]


RECIPE: Final = Recipe("table2", TITLE, steps, render, then)
