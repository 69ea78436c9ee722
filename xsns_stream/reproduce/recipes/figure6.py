"""Figure 6: how well sub-networks predict, and how repeatable they are, by the number of examples."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Final

from xsns_stream.reproduce.commands import evaluation, gold, sub_networks
from xsns_stream.reproduce.comparing import restrict_to_scores
from xsns_stream.reproduce.config import TITLES, RunConfig, TaskConfig, slug
from xsns_stream.reproduce.curves import label, metric_panels, metric_table
from xsns_stream.reproduce.pages import CAPTION, not_swept, evaluation_notes, number, gold_quality
from xsns_stream.reproduce.scores import Agreement, agreement
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Result, Step

if TYPE_CHECKING:
    from xsns_stream.reproduce.figures.lines import Panel

TITLE: Final = "Figure 6: prediction by number of examples"

_PAPERS: Final = "XLM-R base, |D| from 64 to 10,000: 256 is close to 1,024."


def steps(config: RunConfig) -> Sequence[Step]:
    """Fine-tune, and measure every language with each number of examples."""
    return [step for task in config.swept.values() for step in (gold(config, task), *_stores(config, task).values())]


def _stores(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    return {label(count): _store(config, task, count) for count in _counts(config)}


def then(config: RunConfig, folder: Folder) -> Sequence[Step]:
    """Hold all numbers of examples against the same gold scores."""
    return [_held(config, task, folder) for task in config.swept.values()]


def _held(config: RunConfig, task: TaskConfig, folder: Folder) -> Step:
    scores, output = gold(config, task), config.path("figure6", f"{task.name}.json")
    pool, against = restrict_to_scores(task, scores, folder), ("--against", label(config.examples))
    return evaluation(_name(config, task), output, pool, scores, _stores(config, task), *against)


def _counts(config: RunConfig) -> list[int]:
    return sorted({*config.example_counts, config.examples})


def _store(config: RunConfig, task: TaskConfig, count: int) -> Step:
    if count == config.examples:
        # The store of all other results.
        return sub_networks(config, task)
    return sub_networks(config, task, name=f"examples-{count}", examples=count, languages=_pool(task))


def _pool(task: TaskConfig) -> tuple[str, ...]:
    return tuple(code for code in task.texts if code in (*task.sources, *task.targets))


def _name(config: RunConfig, task: TaskConfig) -> str:
    return f"figure6.{slug(config.model)}.{task.name}.evaluate"


def render(config: RunConfig, folder: Folder) -> Result:
    """Return a panel a metric and two of repeatability, and a table a task.

    Raises:
        LeftOutError: No task came to its end.
    """
    from xsns_stream.report.figures import figure_writer
    from xsns_stream.reproduce.figures.lines import Across, curves_figure

    documents = {name: folder.document(_name(config, task)) for name, task in config.swept.items()}
    found = {name: document for name, document in documents.items() if document is not None}
    if not found:
        raise LeftOutError("no task of figure 6 could be evaluated.")
    known = {name: _agreements(config, config.swept[name], folder) for name in found}
    parts = [
        f"# {TITLE}\n\n![metrics by number of examples](figure6.svg)\n\nSub-networks from |D| examples a language, "
        "held against the same transfer scores; dotted: random order. *Between seeds*: Jaccard coefficient of two "
        "draws of the same language, which other examples and other masking make differ. *To the largest*: to the "
        "sub-network of the largest |D| and the same seed, whose examples hold the smaller draw, so that it is more "
        "than two separate draws would give. *Other languages*: mean over pairs of different languages. A language "
        "that has fewer examples than |D| is measured with all it has.\n\n"
    ]
    record = {}
    for name, document in found.items():
        task = config.swept[name]
        sentence, numbers = gold_quality(task, gold(config, task), folder)
        parts.append(f"## {task.title}\n\n{sentence}\n\n{metric_table(document, '|D|', _columns(known[name]))}\n")
        agreements = {label(count): vars(one) for count, one in known[name].items()}
        record[name] = {"evaluation": document, "gold": numbers, "agreement": agreements}
    parts += [
        f"{CAPTION}\n\n",
        evaluation_notes(found, TITLES.__getitem__),
        not_swept(config),
        f"\n## The paper's finding\n\n{_PAPERS}\n",
    ]
    values = {name: _different(counts) for name, counts in known.items()}
    panels = [*metric_panels(found, values), *_repeatability(known, values)]
    across = Across(
        "examples a language, |D|",
        {float(count): f"{count:,}" for count in sorted({int(x) for some in values.values() for x in some})},
        logarithmic=True,
        marked=config.examples,
    )
    title = "Prediction by number of examples"
    subtitle = "means with 95 % intervals · dotted: random order, and the mean Jaccard of different languages"
    draw = partial(curves_figure, panels, across, title, subtitle)
    return Result("".join(parts), {"tasks": record}, figure_writer(draw))


def _agreements(config: RunConfig, task: TaskConfig, folder: Folder) -> dict[int, Agreement]:
    """Return what is known of the stores that are there, by number of examples."""
    there = {count: step for count in _counts(config) if folder.done(step := _store(config, task, count))}
    seeds, pool = task.fisher_seeds, _pool(task)
    if not there:
        return {}
    largest = there[max(there)].output
    return {count: agreement(step.output, pool, seeds, config.density, largest) for count, step in there.items()}


def _different(known: Mapping[int, Agreement]) -> list[float]:
    """Return the numbers of examples that differ from the one before: beyond what data have, nothing changes."""
    found: list[int] = []
    for count in sorted(known):
        if not found or known[count].examples > known[found[-1]].examples:
            found.append(count)
    return [float(count) for count in found]


def _columns(known: Mapping[int, Agreement]) -> dict[str, dict[str, str]]:
    return {
        "examples, mean": {label(count): number(one.examples, 0) for count, one in known.items()},
        "languages with fewer": {label(count): f"{one.short} of {one.languages}" for count, one in known.items()},
        "Jaccard between seeds": {label(count): number(one.seeds, 3) for count, one in known.items()},
        "to the largest": {label(count): number(one.largest, 3) for count, one in known.items()},
        "other languages": {label(count): number(one.others, 3) for count, one in known.items()},
    }


def _repeatability(known: Mapping[str, Mapping[int, Agreement]], values: Mapping[str, Sequence[float]]) -> list[Panel]:
    """Return the panels of Jaccard coefficients; dotted is the mean over different languages at the largest |D|."""
    from xsns_stream.reproduce.figures.lines import Curve, Panel

    nothing = float("nan")
    panels = []
    for title, kind in (("Jaccard between seeds", "seeds"), ("Jaccard to the largest |D|", "largest")):
        curves = []
        for name, counts in known.items():
            x = values[name]
            heights = tuple(float(getattr(counts[int(place)], kind)) for place in x)
            ends = (nothing,) * len(x)
            level = counts[int(x[-1])].others if x else None
            curves.append(Curve(TITLES[name], tuple(x), heights, ends, ends, level))
        panels.append(Panel(title, tuple(curves), unit=""))
    return panels


RECIPE: Final = Recipe("figure6", TITLE, steps, render, then)
