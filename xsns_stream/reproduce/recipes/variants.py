"""Recipes that compare variants of X-SNS: table 1, figure 3 (density), figure 6 (examples), and `choices`."""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import combinations
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.report.figures import figure_writer
from xsns_stream.reproduce.actions import ALTERNATIVES, write_alternatives
from xsns_stream.reproduce.commands import XSNS, general_sub_networks, sub_networks
from xsns_stream.reproduce.config import RunConfig, TaskConfig, slug, task_title
from xsns_stream.reproduce.pages import TABLE1, evaluation_page, number, paper_table
from xsns_stream.reproduce.step import Recipe, Result, Step, StepOutputs
from xsns_stream.reproduce.sweep import (
    Curve,
    Panel,
    Section,
    Sweep,
    XAxis,
    best_predictor,
    curves_figure,
    metric_panels,
    metric_table,
    ranked_with_text,
    value_label,
)

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SubNetwork

# ------------------------------------------------------------------------------------ table 1: text and output

TABLE1_TITLE: Final = "Table 1: text and output of the model"
TASK_LM: Final = "task text, LM"
TASK_HEAD: Final = "task text, task head"
GENERAL_LM: Final = "general text, LM"


def _texts_and_outputs(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    variants = {
        TASK_LM: sub_networks(config, task),
        TASK_HEAD: sub_networks(config, task, head=True, languages=ranked_with_text(task)),
    }
    if config.general is not None:
        variants[GENERAL_LM] = general_sub_networks(config)
    return variants


_TABLE1: Final = Sweep("table1", _texts_and_outputs, lambda config: TASK_LM, lambda config: config.tasks)


def render_table1(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page, which has a table for each task.

    Raises:
        LeftOutError: No task was evaluated.
    """
    heading = (
        f"# {TABLE1_TITLE}\n\nThe table compares sub-networks measured on the task's own text or on general text, "
        "through the output of the language model or through a randomly initialised task head. All variants are "
        "compared with the same transfer scores."
    )
    documents = _TABLE1.documents(config, outputs)
    ending = f"\n{paper_table(config, TABLE1, 'text, output')}"
    page, tasks = _TABLE1.page(
        config, outputs, documents, heading, lambda _, document: Section(evaluation_page(document)), ending
    )
    return Result(page, {"tasks": tasks})


# ------------------------------------------------------------------------------------------- figure 3: density

FIGURE3_TITLE: Final = "Figure 3: prediction by density"
_FIGURE3_FINDING: Final = (
    "With XLM-R base, a low density p is best for NLI, PI and QA, and a moderate density is best for NER and POS."
)
#: Densities that are labelled on the x axis.
_DENSITY_TICKS: Final = (0.05, 0.15, 0.35, 0.55, 0.75, 0.95)


def _densities(config: RunConfig) -> list[float]:
    return sorted({*config.densities, config.density})


def _store_of_densities(config: RunConfig, task: TaskConfig) -> Step:
    return sub_networks(config, task, name="densities", densities=_densities(config), languages=ranked_with_text(task))


def _matrices_by_density(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    """Return {density: the step that compares all languages at this density}."""
    store, steps = str(_store_of_densities(config, task).output), {}
    for label in map(value_label, _densities(config)):
        output = config.path("figure3", task.name, f"{label}.parquet")
        args = ("matrix", "--store", store, "--density", label, "-o", str(output))
        steps[label] = Step(f"figure3.{slug(config.model)}.{task.name}.{label}", args, (output,))
    return steps


_FIGURE3: Final = Sweep(
    "figure3",
    _matrices_by_density,
    lambda config: value_label(config.density),
    inputs=lambda config, task: [_store_of_densities(config, task)],
)


def expected_jaccard(density: float) -> float:
    """Return the expected Jaccard coefficient of two unrelated sub-networks with the same density p: p / (2 − p).

    >>> round(expected_jaccard(0.15), 4)
    0.0811
    """
    return density / (2.0 - density)


def render_figure3(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page; the figure has a panel for each metric and a curve for each task; each task has a table.

    Raises:
        LeftOutError: No task was evaluated.
    """
    documents, densities = _FIGURE3.documents(config, outputs), _densities(config)
    expected = {value_label(density): number(expected_jaccard(density), 3) for density in densities}
    heading = (
        f"# {FIGURE3_TITLE}\n\n![metrics by density](figure3.svg)\n\nSub-networks of every density are selected from "
        "the same Fisher values and compared with the same transfer scores. Bands are 95 % intervals. Dotted lines "
        f"show random order. The vertical line marks p = {value_label(config.density)}, the density of all other "
        "results. The upper scale is the expected Jaccard coefficient of two unrelated sub-networks, p / (2 − p). "
        "Denser sub-networks leave less room above this value."
    )

    def section(_: str, document: Mapping[str, Any]) -> Section:
        best = best_predictor(document)
        remark = (
            f"The mean NDCG@3 is highest at p = {best}. This density was chosen on the same scores, so that its value "
            "is too optimistic."
        )
        made = metric_table(document, "p", {"expected Jaccard": expected})
        return Section(made, remark if best else "", {"highest": best})

    page, tasks = _FIGURE3.page(config, outputs, documents, heading, section, _finding(_FIGURE3_FINDING))
    x_axis = XAxis(
        "density p",
        {density: value_label(density) for density in _DENSITY_TICKS},
        above={density: number(expected_jaccard(density)) for density in _DENSITY_TICKS[1:]},
        above_label="Jaccard of unrelated sub-networks",
        marked=config.density,
    )
    panels = metric_panels(documents, dict.fromkeys(documents, densities))
    subtitle = "means over targets with 95 % intervals · dotted: random order"
    draw = partial(curves_figure, panels, x_axis, "Prediction by density of the sub-networks", subtitle)
    return Result(page, {"densities": densities, "chance": expected, "tasks": tasks}, figure_writer(draw))


def _finding(sentence: str) -> str:
    return f"\n## The paper's finding\n\n{sentence}\n"


# ---------------------------------------------------------------------------------- figure 6: number of examples

FIGURE6_TITLE: Final = "Figure 6: prediction by number of examples"
_FIGURE6_FINDING: Final = (
    "With XLM-R base and |D| from 64 to 10,000, the results of 256 examples are close to those of 1,024."
)


def _counts(config: RunConfig) -> list[int]:
    return sorted({*config.example_counts, config.examples})


def _stores_by_examples(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    return {value_label(count): _store_of_examples(config, task, count) for count in _counts(config)}


def _store_of_examples(config: RunConfig, task: TaskConfig, count: int) -> Step:
    if count == config.examples:
        # All other results use this store.
        return sub_networks(config, task)
    return sub_networks(config, task, name=f"examples-{count}", examples=count, languages=ranked_with_text(task))


_FIGURE6: Final = Sweep("figure6", _stores_by_examples, lambda config: value_label(config.examples))


@dataclass(frozen=True)
class Agreement:
    """Agreement between the rows of a store; each Jaccard coefficient is a mean over languages.

    Attributes:
        examples: Mean number of examples of a row; it is smaller than requested if a language has fewer examples.
        short: Number of languages with fewer examples than requested.
        languages: Number of languages.
        seeds: Jaccard coefficient of two rows of the same language with different seeds. The rows differ in masking
            and, if the language has enough text, in examples. NaN if there is only one seed.
        largest: Jaccard coefficient of a row and the row of the same language and seed in the store with the largest
            number of examples, whose examples include those of the smaller row. NaN if there is no such row, and for
            the store with the largest number itself.
        others: Jaccard coefficient of two rows of different languages with the same seed; NaN if there is only one
            language.
    """

    examples: float
    short: int
    languages: int
    seeds: float
    largest: float
    others: float


def measure_agreement(
    path: Path, languages: Sequence[str], seeds: Sequence[int], density: float, largest: Path
) -> Agreement:
    """Compare the rows of a store with one another, and with the rows of the store that has the most examples.

    Args:
        path: The store.
        languages: Language codes; a language is left out if its row for any seed is missing.
        seeds: The seeds of the rows.
        density: The density of the rows.
        largest: The store with the largest number of examples; may be the same store.

    Raises:
        StoreError: A row is damaged.
    """
    from xsns_stream.similarity import count_overlaps, similarity
    from xsns_stream.store import open_store

    store, other = open_store(path), open_store(largest)
    known = [code for code in languages if all(store.is_committed(code, seed, density) for seed in seeds)]
    provenances = [store.record(code, seeds[0], density).provenance for code in known]
    between_seeds, to_largest = [], []
    for code in known:
        rows = [store.read(code, seed, density) for seed in seeds]
        between_seeds += [_jaccard(one, two) for one, two in combinations(rows, 2)]
        to_largest += list(_jaccard_with_store(other, rows)) if path != largest else []
    others = []
    if len(known) > 1:
        overlaps = [count_overlaps(store, languages=known, seed=seed, density=density) for seed in seeds]
        others = [similarity(counts).mean_of_pairs for counts in overlaps]
    return Agreement(
        _finite_mean([float(one.examples) for one in provenances]),
        sum(one.examples < one.examples_asked for one in provenances),
        len(known),
        _finite_mean(between_seeds),
        _finite_mean(to_largest),
        _finite_mean(others),
    )


def _jaccard(one: SubNetwork, two: SubNetwork) -> float:
    """Return |A ∩ B| / |A ∪ B|, where A is `one` and B is `two`; NaN for two empty sub-networks."""
    shared = one.overlap(two)
    union = one.cardinality + two.cardinality - shared
    return shared / union if union else math.nan


def _jaccard_with_store(store: SubNetworkStore, rows: Sequence[SubNetwork]) -> Iterator[float]:
    for row in rows:
        if store.is_committed(row.language, row.seed, row.density):
            yield _jaccard(row, store.read(row.language, row.seed, row.density))


def _finite_mean(values: Sequence[float]) -> float:
    finite = [value for value in values if math.isfinite(value)]
    return statistics.fmean(finite) if finite else math.nan


def render_figure6(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page; the figure has panels of metrics and of repeatability; each task has a table.

    Raises:
        LeftOutError: No task was evaluated.
    """
    documents = _FIGURE6.documents(config, outputs)
    agreements = {name: _agreements(config, config.swept[name], outputs) for name in documents}
    heading = (
        f"# {FIGURE6_TITLE}\n\n![metrics by number of examples](figure6.svg)\n\nSub-networks from |D| examples of each "
        "language are compared with the same transfer scores. Dotted lines show random order. *Jaccard between seeds* "
        "compares two draws of one language, which differ in examples and masking. *To the largest* compares a "
        "sub-network with that of the largest |D| and the same seed. The larger draw includes the smaller draw, so "
        "that this value is higher than that of two separate draws. *Other languages* is the mean over pairs of "
        "different languages. A language with fewer examples than |D| is measured with all examples that it has."
    )

    def section(name: str, document: Mapping[str, Any]) -> Section:
        record = {value_label(count): vars(one) for count, one in agreements[name].items()}
        made = metric_table(document, "|D|", _agreement_columns(agreements[name]))
        return Section(made, record={"agreement": record})

    page, tasks = _FIGURE6.page(config, outputs, documents, heading, section, _finding(_FIGURE6_FINDING))
    values = {name: _distinct_counts(by_count) for name, by_count in agreements.items()}
    panels = [*metric_panels(documents, values), *_agreement_panels(agreements, values)]
    x_axis = XAxis(
        "examples per language, |D|",
        {float(count): f"{count:,}" for count in sorted({int(x) for counts in values.values() for x in counts})},
        logarithmic=True,
        marked=config.examples,
    )
    title = "Prediction by number of examples"
    subtitle = "means with 95 % intervals · dotted: random order, and the mean Jaccard of different languages"
    draw = partial(curves_figure, panels, x_axis, title, subtitle)
    return Result(page, {"tasks": tasks}, figure_writer(draw))


def _agreements(config: RunConfig, task: TaskConfig, outputs: StepOutputs) -> dict[int, Agreement]:
    """Return {number of examples: agreement} of the complete stores."""
    steps = {count: _store_of_examples(config, task, count) for count in _counts(config)}
    stores = {count: step.output for count, step in steps.items() if outputs.done(step)}
    if not stores:
        return {}
    largest, languages = stores[max(stores)], ranked_with_text(task)
    return {
        count: measure_agreement(store, languages, task.fisher_seeds, config.density, largest)
        for count, store in stores.items()
    }


def _distinct_counts(agreements: Mapping[int, Agreement]) -> list[float]:
    """Return the requested numbers of examples, except numbers for which the text has no further examples.

    `agreements` is {requested number of examples: agreement}.
    """
    counts: list[int] = []
    for count in sorted(agreements):
        if not counts or agreements[count].examples > agreements[counts[-1]].examples:
            counts.append(count)
    return [float(count) for count in counts]


def _agreement_columns(agreements: Mapping[int, Agreement]) -> dict[str, dict[str, str]]:
    by_label = {value_label(count): one for count, one in agreements.items()}
    return {
        "examples, mean": {label: number(one.examples, 0) for label, one in by_label.items()},
        "languages with fewer": {label: f"{one.short} of {one.languages}" for label, one in by_label.items()},
        "Jaccard between seeds": {label: number(one.seeds, 3) for label, one in by_label.items()},
        "to the largest": {label: number(one.largest, 3) for label, one in by_label.items()},
        "other languages": {label: number(one.others, 3) for label, one in by_label.items()},
    }


def _agreement_panels(
    agreements: Mapping[str, Mapping[int, Agreement]], values: Mapping[str, Sequence[float]]
) -> list[Panel]:
    """Return the panels of Jaccard coefficients; dotted lines show the mean between languages at the largest |D|."""
    panels = []
    for title, attribute in (("Jaccard between seeds", "seeds"), ("Jaccard to the largest |D|", "largest")):
        curves = []
        for name, by_count in agreements.items():
            x = values[name]
            heights = tuple(float(getattr(by_count[int(count)], attribute)) for count in x)
            no_band = (math.nan,) * len(x)
            level = by_count[int(x[-1])].others if x else None
            curves.append(Curve(task_title(name), tuple(x), heights, no_band, no_band, level))
        panels.append(Panel(title, tuple(curves), unit=""))
    return panels


# ---------------------------------------------------------------------------------------- choices, not the paper's

CHOICES_TITLE: Final = "Choices: estimator, reduction, threshold, coefficient"
#: {name in the table: (store, further options of `build`)}.
_BUILDS: Final[Mapping[str, tuple[str, tuple[str, ...]]]] = {
    "mean of tokens": ("token-mean", ("--token-reduction", "mean")),
    "authors' code": ("authors", ("--estimator", "authors")),
    "whole batches": ("per-batch", ("--estimator", "per-batch")),
    "absolute gradients": ("grad-abs", ("--estimator", "grad-abs")),
}
#: {name in the table: coefficient}. For sub-networks of equal size, Dice, overlap and cosine rank like Jaccard.
_COEFFICIENTS: Final[Mapping[str, str]] = {"mutual information": "mutual-information"}
#: {name in the table: name of the alternative}.
_ALTERNATIVES: Final[Mapping[str, str]] = {
    "threshold per layer": ALTERNATIVES[0],
    "values, weighted Jaccard": ALTERNATIVES[1],
    "values, cosine": ALTERNATIVES[2],
}


def _choices(config: RunConfig, task: TaskConfig) -> dict[str, Step]:
    languages = ranked_with_text(task)
    variants = {XSNS: sub_networks(config, task)}
    for label, (name, options) in _BUILDS.items():
        step = sub_networks(config, task, name=name, languages=languages)
        variants[label] = replace(step, args=(*step.args, *options))
    for label, coefficient in _COEFFICIENTS.items():
        output = config.path(slug(config.model), task.name, f"{coefficient}.parquet")
        store = str(variants[XSNS].output)
        args = ("matrix", "--store", store, "--lang", ",".join(languages), "--coefficient", coefficient)
        name = f"{slug(config.model)}.{task.name}.{coefficient}"
        variants[label] = Step(name, (*args, "-o", str(output)), (output,))
    step = _alternatives(config, task)
    for label, name in _ALTERNATIVES.items():
        # The command of `evaluate` contains only the first output of a step.
        variants[label] = replace(step, outputs=tuple(sorted(step.outputs, key=lambda path: path.stem != name)))
    return variants


def _saved_fisher_values(config: RunConfig, task: TaskConfig) -> Step:
    """Return the step that measures the languages again and saves Fisher values, which need 32 times the space."""
    step = sub_networks(config, task, name="kept", languages=ranked_with_text(task))
    return replace(step, args=(*step.args, "--keep-fisher", "float32"))


def _alternatives(config: RunConfig, task: TaskConfig) -> Step:
    store = _saved_fisher_values(config, task).output
    folder = config.path(slug(config.model), task.name, "alternatives")
    program = ("python", "-m", "xsns_stream.reproduce.actions", "alternatives")
    return Step(
        f"{slug(config.model)}.{task.name}.alternatives",
        (),
        tuple(folder / f"{name}.parquet" for name in ALTERNATIVES),
        action=partial(write_alternatives, store, config.density, folder),
        command=(*program, str(store), f"{config.density:g}", str(folder)),
    )


_CHOICES: Final = Sweep(
    "choices", _choices, lambda config: XSNS, inputs=lambda config, task: [_saved_fisher_values(config, task)]
)


def render_choices(config: RunConfig, outputs: StepOutputs) -> Result:
    """Return the page, which has a table for each task.

    Raises:
        LeftOutError: No task was evaluated.
    """
    heading = (
        f"# {CHOICES_TITLE}\n\nThis comparison is not in the paper. {XSNS} is measured as for all other results: each "
        "example's gradient is squared, its tokens are summed, one threshold holds for all layers, and the "
        "coefficient is Jaccard. Every other line changes one of these choices. Density, number of examples, text and "
        "output have pages of their own (figures 3 and 6, table 1)."
    )
    documents = _CHOICES.documents(config, outputs)
    page, tasks = _CHOICES.page(
        config, outputs, documents, heading, lambda _, document: Section(evaluation_page(document))
    )
    return Result(page, {"tasks": tasks})


RECIPES: Final = {
    "table1": Recipe("table1", TABLE1_TITLE, _TABLE1.steps, render_table1, _TABLE1.evaluations),
    "figure3": Recipe("figure3", FIGURE3_TITLE, _FIGURE3.steps, render_figure3, _FIGURE3.evaluations),
    "figure6": Recipe("figure6", FIGURE6_TITLE, _FIGURE6.steps, render_figure6, _FIGURE6.evaluations),
    "choices": Recipe("choices", CHOICES_TITLE, _CHOICES.steps, render_choices, _CHOICES.evaluations),
}
