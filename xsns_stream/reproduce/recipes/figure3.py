"""Figure 3: how well sub-networks predict, by their density; all densities come from one Fisher pass."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Final

from xsns_stream.reproduce.commands import evaluation, gold, sub_networks
from xsns_stream.reproduce.comparing import restrict_to_scores
from xsns_stream.reproduce.config import TITLES, RunConfig, TaskConfig, slug
from xsns_stream.reproduce.curves import highest, label, metric_panels, metric_table
from xsns_stream.reproduce.pages import CAPTION, not_swept, evaluation_notes, number, gold_quality
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

TITLE: Final = "Figure 3: prediction by density"
_PAPERS: Final = "XLM-R base: low p is best for NLI, PI and QA, moderate p for NER and POS."
#: Densities that the axis names.
_TICKS: Final = (0.05, 0.15, 0.35, 0.55, 0.75, 0.95)


def steps(config: RunConfig) -> Sequence[Step]:
    """Fine-tune, measure at all densities at once, and compare at each."""
    return [step for task in config.swept.values() for step in _steps(config, task)]


def _steps(config: RunConfig, task: TaskConfig) -> list[Step]:
    return [gold(config, task), _store(config, task), *_matrices(config, task).values()]


def _matrices(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    return {label(density): _matrix(config, task, density) for density in _densities(config)}


def then(config: RunConfig, folder: Folder) -> Sequence[Step]:
    """Hold all densities against the same gold scores."""
    return [_held(config, task, folder) for task in config.swept.values()]


def _held(config: RunConfig, task: TaskConfig, folder: Folder) -> Step:
    scores, output = gold(config, task), config.path("figure3", f"{task.name}.json")
    pool, against = restrict_to_scores(task, scores, folder), ("--against", label(config.density))
    return evaluation(_name(config, task), output, pool, scores, _matrices(config, task), *against)


def _densities(config: RunConfig) -> list[float]:
    return sorted({*config.densities, config.density})


def _store(config: RunConfig, task: TaskConfig) -> Step:
    pool = tuple(code for code in task.texts if code in (*task.sources, *task.targets))
    return sub_networks(config, task, name="densities", densities=_densities(config), languages=pool)


def _matrix(config: RunConfig, task: TaskConfig, density: float) -> Step:
    """Return the step that compares all languages at one density."""
    output = config.path("figure3", task.name, f"{label(density)}.parquet")
    args = ("matrix", "--store", str(_store(config, task).output), "--density", label(density), "-o", str(output))
    return Step(f"figure3.{slug(config.model)}.{task.name}.{label(density)}", args, (output,))


def _name(config: RunConfig, task: TaskConfig) -> str:
    return f"figure3.{slug(config.model)}.{task.name}.evaluate"


def chance(density: float) -> float:
    """Return the expected Jaccard coefficient of two unrelated sub-networks of one density, p / (2 − p).

    >>> round(chance(0.15), 4)
    0.0811
    """
    return density / (2.0 - density)


def render(config: RunConfig, folder: Folder) -> Result:
    """Return a panel a metric with a line a task, and a table a task.

    Raises:
        LeftOutError: No task came to its end.
    """
    from xsns_stream.report.figures import figure_writer
    from xsns_stream.reproduce.figures.lines import Across, curves_figure

    documents = {name: folder.document(_name(config, task)) for name, task in config.swept.items()}
    found = {name: document for name, document in documents.items() if document is not None}
    if not found:
        raise LeftOutError("no task of figure 3 could be evaluated.")
    densities = _densities(config)
    chances = {label(density): number(chance(density), 3) for density in densities}
    parts = [
        f"# {TITLE}\n\n![metrics by density](figure3.svg)\n\nSub-networks of every density from the same Fisher "
        "values, held against the same transfer scores. Bands: 95 % intervals; dotted: random order; the vertical "
        f"line: p = {label(config.density)}, which the other results use. The upper scale is the Jaccard coefficient "
        "of two unrelated sub-networks, p / (2 − p): the denser they are, the less room is left above chance.\n\n"
    ]
    record = {}
    for name, document in found.items():
        task = config.swept[name]
        sentence, numbers = gold_quality(task, gold(config, task), folder)
        best = highest(document)
        said = f"Highest mean NDCG@3 at p = {best}; chosen on these scores, so that it flatters itself." if best else ""
        table = metric_table(document, "p", {"Jaccard by chance": chances})
        parts.append(f"## {task.title}\n\n{sentence} {said}\n\n{table}\n")
        record[name] = {"evaluation": document, "gold": numbers, "highest": best}
    parts += [
        f"{CAPTION}\n\n",
        evaluation_notes(found, TITLES.__getitem__),
        not_swept(config),
        f"\n## The paper's finding\n\n{_PAPERS}\n",
    ]
    across = Across(
        "density p",
        {density: label(density) for density in _TICKS},
        above={density: number(chance(density)) for density in _TICKS[1:]},
        above_label="Jaccard of unrelated sub-networks",
        marked=config.density,
    )
    panels = metric_panels(found, dict.fromkeys(found, densities))
    subtitle = "means over targets with 95 % intervals · dotted: random order"
    draw = partial(curves_figure, panels, across, "Prediction by density of the sub-networks", subtitle)
    return Result("".join(parts), {"densities": densities, "chance": chances, "tasks": record}, figure_writer(draw))


RECIPE: Final = Recipe("figure3", TITLE, steps, render, then)
