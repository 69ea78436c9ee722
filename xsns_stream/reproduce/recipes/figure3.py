"""Figure 3: how well sub-networks predict, by their density; all densities come from one Fisher pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from xsns_stream.reproduce.commands import evaluation, gold, sub_networks
from xsns_stream.reproduce.comparing import scored
from xsns_stream.reproduce.config import TITLES, Setting, TaskSetting, slug
from xsns_stream.reproduce.curves import highest, label, metric_panels, metric_table
from xsns_stream.reproduce.pages import CAPTION, not_swept, notes_of, number, strength
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

TITLE: Final = "Figure 3: prediction by density"
_PAPERS: Final = "XLM-R base: low p is best for NLI, PI and QA, moderate p for NER and POS."
#: Densities that the axis names.
_TICKS: Final = (0.05, 0.15, 0.35, 0.55, 0.75, 0.95)


def steps(setting: Setting) -> Sequence[Step]:
    """Fine-tune, measure at all densities at once, and compare at each."""
    return [step for task in setting.swept.values() for step in _steps(setting, task)]


def _steps(setting: Setting, task: TaskSetting) -> list[Step]:
    return [gold(setting, task), _store(setting, task), *_matrices(setting, task).values()]


def _matrices(setting: Setting, task: TaskSetting) -> dict[str, Step]:
    return {label(density): _matrix(setting, task, density) for density in _densities(setting)}


def then(setting: Setting, folder: Folder) -> Sequence[Step]:
    """Hold all densities against the same gold scores."""
    return [_held(setting, task, folder) for task in setting.swept.values()]


def _held(setting: Setting, task: TaskSetting, folder: Folder) -> Step:
    scores, output = gold(setting, task), setting.place("figure3", f"{task.name}.json")
    pool, against = scored(task, scores, folder), ("--against", label(setting.density))
    return evaluation(_name(setting, task), output, pool, scores, _matrices(setting, task), *against)


def _densities(setting: Setting) -> list[float]:
    return sorted({*setting.densities, setting.density})


def _store(setting: Setting, task: TaskSetting) -> Step:
    pool = tuple(code for code in task.texts if code in (*task.sources, *task.targets))
    return sub_networks(setting, task, name="densities", densities=_densities(setting), languages=pool)


def _matrix(setting: Setting, task: TaskSetting, density: float) -> Step:
    """Return the step that compares all languages at one density."""
    output = setting.place("figure3", task.name, f"{label(density)}.parquet")
    args = ("matrix", "--store", str(_store(setting, task).output), "--density", label(density), "-o", str(output))
    return Step(f"figure3.{slug(setting.model)}.{task.name}.{label(density)}", args, (output,))


def _name(setting: Setting, task: TaskSetting) -> str:
    return f"figure3.{slug(setting.model)}.{task.name}.evaluate"


def chance(density: float) -> float:
    """Return the expected Jaccard coefficient of two unrelated sub-networks of one density, p / (2 − p).

    >>> round(chance(0.15), 4)
    0.0811
    """
    return density / (2.0 - density)


def render(setting: Setting, folder: Folder) -> Result:
    """Return a panel a metric with a line a task, and a table a task.

    Raises:
        LeftOutError: No task came to its end.
    """
    from xsns_stream.report.figures import figure_writer
    from xsns_stream.reproduce.figures.lines import Across, curves_figure

    documents = {name: folder.document(_name(setting, task)) for name, task in setting.swept.items()}
    found = {name: document for name, document in documents.items() if document is not None}
    if not found:
        raise LeftOutError("no task of figure 3 could be evaluated.")
    densities = _densities(setting)
    chances = {label(density): number(chance(density), 3) for density in densities}
    parts = [
        f"# {TITLE}\n\n![metrics by density](figure3.svg)\n\nSub-networks of every density from the same Fisher "
        "values, held against the same transfer scores. Bands: 95 % intervals; dotted: random order; the vertical "
        f"line: p = {label(setting.density)}, which the other results use. The upper scale is the Jaccard coefficient "
        "of two unrelated sub-networks, p / (2 − p): the denser they are, the less room is left above chance.\n\n"
    ]
    record = {}
    for name, document in found.items():
        task = setting.swept[name]
        sentence, numbers = strength(task, gold(setting, task), folder)
        best = highest(document)
        said = f"Highest mean NDCG@3 at p = {best}; chosen on these scores, so that it flatters itself." if best else ""
        table = metric_table(document, "p", {"Jaccard by chance": chances})
        parts.append(f"## {task.title}\n\n{sentence} {said}\n\n{table}\n")
        record[name] = {"evaluation": document, "gold": numbers, "highest": best}
    parts += [
        f"{CAPTION}\n\n",
        notes_of(found, TITLES.__getitem__),
        not_swept(setting),
        f"\n## The paper's finding\n\n{_PAPERS}\n",
    ]
    across = Across(
        "density p",
        {density: label(density) for density in _TICKS},
        above={density: number(chance(density)) for density in _TICKS[1:]},
        above_label="Jaccard of unrelated sub-networks",
        marked=setting.density,
    )
    panels = metric_panels(found, dict.fromkeys(found, densities))
    subtitle = "means over targets with 95 % intervals · dotted: random order"
    draw = partial(curves_figure, panels, across, "Prediction by density of the sub-networks", subtitle)
    return Result("".join(parts), {"densities": densities, "chance": chances, "tasks": record}, figure_writer(draw))


RECIPE: Final = Recipe("figure3", TITLE, steps, render, then)
