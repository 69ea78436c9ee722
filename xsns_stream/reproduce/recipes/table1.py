"""Table 1: which text is measured, and which output of the model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from xsns_stream.reproduce.commands import evaluation, general_sub_networks, gold, sub_networks
from xsns_stream.reproduce.comparing import restrict_to_scores
from xsns_stream.reproduce.config import TITLES, RunConfig, TaskConfig, slug
from xsns_stream.reproduce.pages import CAPTION, TABLE1, evaluation_page, evaluation_notes, paper_table, gold_quality
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

TASK_LM: Final = "task text, LM"
TASK_HEAD: Final = "task text, task head"
GENERAL_LM: Final = "general text, LM"
TITLE: Final = "Table 1: which text, and which output of the model"


def steps(config: RunConfig) -> Sequence[Step]:
    """Fine-tune, and measure each task three ways."""
    return [step for task in config.tasks.values() for step in (gold(config, task), *_ways(config, task).values())]


def _ways(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    pool = tuple(code for code in task.texts if code in (*task.sources, *task.targets))
    found = {
        TASK_LM: sub_networks(config, task),
        TASK_HEAD: sub_networks(config, task, head=True, languages=pool),
    }
    if config.general is not None:
        found[GENERAL_LM] = general_sub_networks(config)
    return found


def then(config: RunConfig, folder: Folder) -> Sequence[Step]:
    """Hold all three against the same scores."""
    return [_held(config, task, folder) for task in config.tasks.values()]


def _held(config: RunConfig, task: TaskConfig, folder: Folder) -> Step:
    scores, output = gold(config, task), config.path("table1", f"{task.name}.json")
    pool, ways = restrict_to_scores(task, scores, folder), _ways(config, task)
    return evaluation(_name(config, task), output, pool, scores, ways, "--against", TASK_LM)


def _name(config: RunConfig, task: TaskConfig) -> str:
    return f"table1.{slug(config.model)}.{task.name}.evaluate"


def render(config: RunConfig, folder: Folder) -> Result:
    """Return a table a task.

    Raises:
        LeftOutError: No task came to its end.
    """
    documents = {name: folder.document(_name(config, task)) for name, task in config.tasks.items()}
    found = {name: document for name, document in documents.items() if document is not None}
    if not found:
        raise LeftOutError("no task of table 1 could be evaluated.")
    parts = [
        f"# {TITLE}\n\nSub-networks from the task's own text or from general text, by the language model's output "
        "or by the task's head, drawn at random; held against the same transfer scores.\n\n"
    ]
    record = {}
    for name, document in found.items():
        task = config.tasks[name]
        sentence, numbers = gold_quality(task, gold(config, task), folder)
        parts.append(f"## {task.title}\n\n{sentence}\n\n{evaluation_page(document)}\n")
        record[name] = {"evaluation": document, "gold": numbers}
    parts += [
        f"{CAPTION}\n\n",
        evaluation_notes(found, TITLES.__getitem__),
        "\n",
        paper_table(config, TABLE1, "text, output"),
    ]
    return Result("".join(parts), {"tasks": record})


RECIPE: Final = Recipe("table1", TITLE, steps, render, then)
