"""Table 1: which text is measured, and which output of the model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from xsns_stream.reproduce.commands import evaluation, general_sub_networks, gold, sub_networks
from xsns_stream.reproduce.comparing import scored
from xsns_stream.reproduce.config import TITLES, Setting, TaskSetting, slug
from xsns_stream.reproduce.pages import CAPTION, TABLE1, evaluation_page, notes_of, papers_table, strength
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

TASK_LM: Final = "task text, LM"
TASK_HEAD: Final = "task text, task head"
GENERAL_LM: Final = "general text, LM"
TITLE: Final = "Table 1: which text, and which output of the model"


def steps(setting: Setting) -> Sequence[Step]:
    """Fine-tune, and measure each task three ways."""
    return [step for task in setting.tasks.values() for step in (gold(setting, task), *_ways(setting, task).values())]


def _ways(setting: Setting, task: TaskSetting) -> dict[str, Step]:
    pool = tuple(code for code in task.texts if code in (*task.sources, *task.targets))
    found = {
        TASK_LM: sub_networks(setting, task),
        TASK_HEAD: sub_networks(setting, task, head=True, languages=pool),
    }
    if setting.general is not None:
        found[GENERAL_LM] = general_sub_networks(setting)
    return found


def then(setting: Setting, folder: Folder) -> Sequence[Step]:
    """Hold all three against the same scores."""
    return [_held(setting, task, folder) for task in setting.tasks.values()]


def _held(setting: Setting, task: TaskSetting, folder: Folder) -> Step:
    scores, output = gold(setting, task), setting.place("table1", f"{task.name}.json")
    pool, ways = scored(task, scores, folder), _ways(setting, task)
    return evaluation(_name(setting, task), output, pool, scores, ways, "--against", TASK_LM)


def _name(setting: Setting, task: TaskSetting) -> str:
    return f"table1.{slug(setting.model)}.{task.name}.evaluate"


def render(setting: Setting, folder: Folder) -> Result:
    """Return a table a task.

    Raises:
        LeftOutError: No task came to its end.
    """
    documents = {name: folder.document(_name(setting, task)) for name, task in setting.tasks.items()}
    found = {name: document for name, document in documents.items() if document is not None}
    if not found:
        raise LeftOutError("no task of table 1 could be evaluated.")
    parts = [
        f"# {TITLE}\n\nSub-networks from the task's own text or from general text, by the language model's output "
        "or by the task's head, drawn at random; held against the same transfer scores.\n\n"
    ]
    record = {}
    for name, document in found.items():
        task = setting.tasks[name]
        sentence, numbers = strength(task, gold(setting, task), folder)
        parts.append(f"## {task.title}\n\n{sentence}\n\n{evaluation_page(document)}\n")
        record[name] = {"evaluation": document, "gold": numbers}
    parts += [
        f"{CAPTION}\n\n",
        notes_of(found, TITLES.__getitem__),
        "\n",
        papers_table(setting, TABLE1, "text, output"),
    ]
    return Result("".join(parts), {"tasks": record})


RECIPE: Final = Recipe("table1", TITLE, steps, render, then)
