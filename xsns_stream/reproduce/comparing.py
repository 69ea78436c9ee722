"""Comparison of all predictors with one model's scores, and of alternative choices.

A pair that one predictor lacks is a candidate for none. A predictor that lacks many languages would so decide on which
languages all others are judged; it is compared with X-SNS alone, on the languages that it knows.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np

from xsns_stream.errors import StoreError, UsageError, XsnsError
from xsns_stream.report import write_matrix
from xsns_stream.reproduce.commands import XSNS, evaluation, gold, predictors
from xsns_stream.reproduce.config import RunConfig, TaskConfig, slug
from xsns_stream.reproduce.step import Folder, Step
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.subnetworks.select import select_top
from xsns_stream.types import ParameterLayout, Reals, SimilarityMatrix

#: Share of a task's pairs that a predictor may lack and be compared with the others.
MOST_LACKING: Final = 0.1
#: Sources and targets that a predictor must know to be compared at all.
FEWEST_KNOWN: Final = 3


@dataclass(frozen=True)
class PredictorGroups:
    """A task's predictors, by how much of its pool they know.

    Attributes:
        together: {name in the tables: step}, compared with one another; X-SNS is among them.
        apart: {name: step} of those that lack many languages.
        left_out: {name: why} of those that know nearly none, and of those that failed.
    """

    together: Mapping[str, Step]
    apart: Mapping[str, Step]
    left_out: Mapping[str, str]


def gold_and_predictors(config: RunConfig, task: TaskConfig, model: str | None = None) -> list[Step]:
    """Return the steps that fine-tune a model on a task and make all predictors of it."""
    return [gold(config, task, model), *predictors(config, task, model).values()]


def predictor_evaluations(config: RunConfig, task: TaskConfig, folder: Folder, model: str | None = None) -> list[Step]:
    """Return the steps that hold the predictors against the scores, the one of most of them first."""
    model = model or config.model
    found, scores = group_predictors(config, task, folder, model), gold(config, task, model)
    if XSNS not in found.together:
        return []
    groups = {"": dict(found.together)}
    groups |= {f"-{shown}": {shown: step, XSNS: found.together[XSNS]} for shown, step in found.apart.items()}
    return [
        evaluation(
            f"{slug(model)}.{task.name}.evaluate{ending}",
            config.path(slug(model), task.name, f"evaluate{ending}.json"),
            restrict_to_scores(task, scores, folder),
            scores,
            group,
            *("--against", XSNS),
        )
        for ending, group in groups.items()
    ]


def restrict_to_scores(task: TaskConfig, scores: Step, folder: Folder) -> TaskConfig:
    """Return the task with the sources and targets that have scores, once these are there: some may have failed."""
    from xsns_stream.gold import read_scores

    if not folder.done(scores):
        return task
    found = read_scores(scores.output)
    sources = tuple(code for code in task.sources if code in found.sources)
    targets = tuple(code for code in task.targets if code in found.targets)
    return replace(task, sources=sources, targets=targets)


def group_predictors(config: RunConfig, task: TaskConfig, folder: Folder, model: str | None = None) -> PredictorGroups:
    """Sort the predictors by how much of the task's pool they know; what is not made yet is taken to know all."""
    together, apart, left_out = {}, {}, {}
    for shown, step in predictors(config, task, model).items():
        sources, targets, share = known(step, task) if folder.done(step) else (None, None, 1.0)
        if why := folder.why(step):
            left_out[shown] = why
        elif sources is None or targets is None or share >= 1 - MOST_LACKING:
            together[shown] = step
        elif min(sources, targets) < FEWEST_KNOWN:
            left_out[shown] = (
                f"it knows {sources} of {len(task.sources)} sources, {targets} of {len(task.targets)} targets."
            )
        else:
            apart[shown] = step
    return PredictorGroups(together, apart, left_out)


def known(step: Step, task: TaskConfig) -> tuple[int | None, int | None, float]:
    """Return how many sources and targets of a pool a predictor knows, and of what share of its pairs a value.

    Of a store, whose rows are counted when it is compared, the numbers are not known.
    """
    import numpy as np

    from xsns_stream.languages import counterparts
    from xsns_stream.similarity.matrix_io import read_matrix

    if step.output.is_dir():
        return None, None, 1.0
    matrix = read_matrix(str(step.output))
    rows, columns = counterparts(task.sources, matrix.sources), counterparts(task.targets, matrix.targets)
    pairs = [(source, target) for source in rows for target in columns if source != target]
    there = [pair for pair in pairs if np.isfinite(matrix[rows[pair[0]], columns[pair[1]]])]
    asked = sum(source != target for source in task.sources for target in task.targets)
    return len({source for source, _ in there}), len({target for _, target in there}), len(there) / asked


#: Names of the ways, and of their files.
WAYS: Final = ("per-layer", "weighted", "cosine")


def write_alternatives(store: Path, density: float, folder: Path) -> None:
    """Compare all languages of a store in every way, and write `folder/WAY.parquet`.

    Args:
        store: With kept Fisher values.
        density: Of every layer, for `per-layer`.
        folder: Made where it is not there.

    Raises:
        StoreError: The store keeps no Fisher values, or not of every language for each seed.
        XsnsError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for way, matrix in compare_values(open_store(store), density).items():
        write_matrix(matrix, folder / f"{way}.parquet")


def compare_values(store: SubNetworkStore, density: float) -> dict[str, SimilarityMatrix]:
    """Return the similarities of all languages whose Fisher values are kept, in every way.

    Values are read a layer at a time: L times the largest layer is in memory.

    Args:
        store: With kept Fisher values.
        density: Of every layer, for `per-layer`.

    Raises:
        StoreError: The store keeps none, or not of every language for each seed.
    """
    keys = store.kept_keys()
    languages = tuple(dict.fromkeys(key.language for key in keys))
    seeds = tuple(dict.fromkeys(key.seed for key in keys))
    if not keys or len(keys) != len(languages) * len(seeds):
        raise StoreError(
            f"'{store.path}' does not keep Fisher values of every language and seed.", "build it with --keep-fisher."
        )
    found = np.stack([_of_seed(store, languages, seed, density) for seed in seeds], axis=1)
    return {
        way: SimilarityMatrix(languages, languages, values.mean(axis=0), way, seeds=seeds, per_seed=values)
        for way, values in zip(WAYS, found, strict=True)
    }


def _of_seed(store: SubNetworkStore, languages: Sequence[str], seed: int, density: float) -> Reals:
    """Return float64 [3, L, L]: each way's similarities of one seed."""
    kept = [fisher for language in languages if (fisher := store.kept(language, seed)) is not None]
    # Intersection and union of the bits; least and largest values; products.
    sums = np.zeros((5, len(kept), len(kept)))
    for start, stop in _layers(store.layout):
        values = np.stack([np.concatenate([v.ravel() for v in fisher.values[start:stop]]) for fisher in kept])
        bits = np.stack([select_top([row], density)[0] for row in values])
        for one in range(len(kept)):
            sums[0, one] += np.bitwise_count(bits[one] & bits).sum(axis=1)
            sums[1, one] += np.bitwise_count(bits[one] | bits).sum(axis=1)
            sums[2, one] += np.minimum(values[one], values).sum(axis=1, dtype=np.float64)
            sums[3, one] += np.maximum(values[one], values).sum(axis=1, dtype=np.float64)
        precise = values.astype(np.float64)
        sums[4] += precise @ precise.T
    length = np.sqrt(np.diagonal(sums[4]))
    return np.stack([sums[0] / sums[1], sums[2] / sums[3], sums[4] / np.outer(length, length)])


def _layers(layout: ParameterLayout) -> list[tuple[int, int]]:
    """Return the tensors of each layer: the first, and the one after the last."""
    offsets = [*layout.offsets, layout.size]
    return [(offsets.index(layer.start), offsets.index(layer.stop)) for layer in layout.layers]


def main(words: list[str]) -> None:
    """Run it as a program.

    Raises:
        UsageError: There are not three words.
    """
    if len(words) != 3:
        use = "python -m xsns_stream.reproduce.comparing STORE DENSITY FOLDER"
        raise UsageError("a store, a density and a folder are needed.", use)
    write_alternatives(Path(words[0]), float(words[1]), Path(words[2]))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except XsnsError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
