"""Gold scores × similarity matrices → one pool of sources and targets, joined by label, never by position."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError
from xsns_stream.io.tables import listed
from xsns_stream.languages import counterparts, same_language, select
from xsns_stream.types.arrays import Reals
from xsns_stream.types.predictor_records import differences
from xsns_stream.types.similarity_matrix import SimilarityMatrix
from xsns_stream.types.transfer_scores import JoinedScores, PoolCost, Prediction, TransferScores


def join(
    gold: TransferScores,
    matrices: Mapping[str, SimilarityMatrix],
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    unscored: Sequence[str] = (),
) -> JoinedScores:
    """Put predictions beside the scores they predict.

    The pool is what was asked for, or else the sources and targets of at least one candidate pair
    (`JoinedScores.candidates`). A language that one side lacks is named in `notes`, and so is one that they spell
    differently, as `zh` and `zh-Hani` (:func:`xsns_stream.languages.counterparts`).

    Args:
        gold: The scores.
        matrices: {name of the predictor: its similarities}; at least one.
        sources: Only these; `all` and lists with commas are understood.
        targets: Only these.
        unscored: Targets of the gold that stay in the pool though nothing of them may have been measured: what is
            predicted for them is asked for.

    Raises:
        LanguageError: A language was asked for that the gold does not hold.
        UsageError: No predictor; one shares no source, or no target, with the gold (a matrix that would fit the other
            way round is called that); or there is no pair of two different languages.
    """
    if not matrices:
        raise UsageError("there is nothing to evaluate.", "give at least one --predict NAME=FILE.")
    kept_sources = select(sources, gold.sources, "the gold scores' sources") if sources else gold.sources
    kept_targets = select(targets, gold.targets, "the gold scores' targets") if targets else gold.targets
    spelt = {name: _spelling(gold, matrix) for name, matrix in matrices.items()}
    for name, matrix in spelt.items():
        _require_overlap(name, matrix, kept_sources, kept_targets)
    stays = kept_sources if sources else (), (*(kept_targets if targets else ()), *unscored)
    rows, columns = _pool(gold, spelt, (kept_sources, kept_targets), stays)
    notes = (
        *_respelt(matrices, spelt, {*rows, *columns}),
        *_notes(gold, spelt, (kept_sources, kept_targets)),
        *_without_pairs(spelt, (kept_sources, kept_targets), (rows, columns)),
    )
    costs = _costs(gold, spelt, (kept_sources, kept_targets))
    notes += tuple(_cost_notes(costs, len(spelt)))
    records = {name: matrix.record for name, matrix in spelt.items()}
    pool = tuple(dict.fromkeys((*rows, *columns)))
    notes += tuple(found.sentence for found in differences(records, pool))
    predictions = tuple(
        Prediction(name, matrix.coefficient, _aligned(matrix, rows, columns), matrix.seeds if _seeded(matrix) else ())
        for name, matrix in spelt.items()
    )
    spelt_twice = frozenset((s, t) for s in rows for t in columns if s != t and same_language(s, t))
    if spelt_twice:
        notes += (
            f"no candidates, because they are one language: {listed(sorted(f'{s} for {t}' for s, t in spelt_twice))}.",
        )
    joined = JoinedScores(gold.restricted(rows, columns), predictions, notes, spelt_twice, costs, records)
    joined = replace(joined, notes=(*notes, *_gaps(joined)))
    if not joined.candidates.any():
        raise UsageError(
            "no pair of a source and another target has a gold score and every prediction.",
            "leave out the predictor that knows the fewest languages, or see `xsns-stream gold show`.",
        )
    return joined


def _spelling(gold: TransferScores, matrix: SimilarityMatrix) -> SimilarityMatrix:
    """Return the matrix with its languages called as the gold calls them, where the two mean the same."""
    ours = tuple(dict.fromkeys((*gold.sources, *gold.targets)))
    theirs = tuple(dict.fromkeys((*matrix.sources, *matrix.targets)))
    called = {theirs: ours for ours, theirs in counterparts(ours, theirs).items()}
    return replace(
        matrix,
        sources=tuple(called.get(code, code) for code in matrix.sources),
        targets=tuple(called.get(code, code) for code in matrix.targets),
        record=None if matrix.record is None else matrix.record.renamed(called),
    )


def _respelt(
    matrices: Mapping[str, SimilarityMatrix], spelt: Mapping[str, SimilarityMatrix], pool: set[str]
) -> Iterator[str]:
    """Yield a sentence for each predictor that calls a language of the pool otherwise."""
    for name, matrix in matrices.items():
        called = {
            ours: theirs
            for before, after in ((matrix.sources, spelt[name].sources), (matrix.targets, spelt[name].targets))
            for theirs, ours in zip(before, after, strict=True)
            if ours != theirs and ours in pool
        }
        if called:
            yield f"'{name}' has {listed([f'{theirs} for {ours}' for ours, theirs in called.items()])}."


def _seeded(matrix: SimilarityMatrix) -> bool:
    return matrix.per_seed is not None and bool(matrix.seeds)


def _pool(
    gold: TransferScores,
    matrices: Mapping[str, SimilarityMatrix],
    kept: tuple[Sequence[str], Sequence[str]],
    stays: tuple[Sequence[str], Sequence[str]],
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Return the sources and targets that stay in any case, and those of pairs of which everything is known.

    What is not compared is not in the pool either: a source's mean over it, for one, would depend on languages of
    which nothing else in a table knows.
    """
    known = _scored(gold, kept)
    for matrix in matrices.values():
        known &= np.isfinite(_aligned(matrix, *kept)).all(axis=0)
    rows = tuple(code for row, code in enumerate(kept[0]) if code in stays[0] or known[row].any())
    columns = tuple(code for column, code in enumerate(kept[1]) if code in stays[1] or known[:, column].any())
    return rows, columns


def _scored(gold: TransferScores, kept: tuple[Sequence[str], Sequence[str]]) -> NDArray[np.bool_]:
    """Return boolean [S, T]: which pairs of two languages have a score."""
    known: NDArray[np.bool_] = np.isfinite(gold.restricted(*kept).values)
    for row, source in enumerate(kept[0]):
        for column, target in enumerate(kept[1]):
            known[row, column] &= not same_language(source, target)
    return known


def _costs(
    gold: TransferScores, matrices: Mapping[str, SimilarityMatrix], kept: tuple[Sequence[str], Sequence[str]]
) -> tuple[PoolCost, ...]:
    """Return what each predictor takes out of the pool of the others."""
    scored = _scored(gold, kept)
    known = {name: np.isfinite(_aligned(matrix, *kept)).all(axis=0) for name, matrix in matrices.items()}
    found = []
    for name, own in known.items():
        others: NDArray[np.bool_] = scored.copy()
        for other, here in known.items():
            if other != name:
                others &= here
        found.append(_cost(name, others, np.asarray(own), kept))
    return tuple(found)


def _cost(
    name: str, others: NDArray[np.bool_], own: NDArray[np.bool_], kept: tuple[Sequence[str], Sequence[str]]
) -> PoolCost:
    """Compare the pairs of which all others know everything with those that the predictor knows too."""
    sources, targets = kept
    with_it = others & own
    lost_rows: NDArray[np.bool_] = np.asarray(others.any(axis=1)) & ~np.asarray(with_it.any(axis=1))
    lost_columns: NDArray[np.bool_] = np.asarray(others.any(axis=0)) & ~np.asarray(with_it.any(axis=0))
    return PoolCost(
        name,
        tuple(code for code, lost in zip(targets, lost_columns, strict=True) if lost),
        tuple(code for code, lost in zip(sources, lost_rows, strict=True) if lost),
        tuple((sources[row], targets[column]) for row, column in np.argwhere(others & ~own)),
    )


def _cost_notes(costs: Sequence[PoolCost], predictors: int) -> Iterator[str]:
    """Yield what the pool would have without each predictor that alone lacks something."""
    for cost in costs:
        if not cost.pairs or predictors < 2:
            continue
        parts = [f"{len(cost.pairs)} more {'pair' if len(cost.pairs) == 1 else 'pairs'}"]
        for what, codes in (("target", cost.targets), ("source", cost.sources)):
            if codes:
                parts.append(f"{len(codes)} more {what if len(codes) == 1 else f'{what}s'} ({listed(codes)})")
        yield f"'{cost.predictor}' alone lacks some: without it the pool would have {', '.join(parts)}."


def _aligned(matrix: SimilarityMatrix, sources: Sequence[str], targets: Sequence[str]) -> Reals:
    """Return float64 [R, S, T] in the pool's order; NaN where the matrix has no such source or target."""
    values = matrix.values[None] if matrix.per_seed is None or not matrix.seeds else matrix.per_seed
    aligned = np.full((len(values), len(sources), len(targets)), np.nan)
    there = [(place, matrix.sources.index(code)) for place, code in enumerate(sources) if code in matrix.sources]
    across = [(place, matrix.targets.index(code)) for place, code in enumerate(targets) if code in matrix.targets]
    to_rows, from_rows = ([pair[side] for pair in there] for side in (0, 1))
    to_columns, from_columns = ([pair[side] for pair in across] for side in (0, 1))
    aligned[np.ix_(range(len(values)), to_rows, to_columns)] = values[:, from_rows][:, :, from_columns]
    return aligned


def _require_overlap(name: str, matrix: SimilarityMatrix, sources: Sequence[str], targets: Sequence[str]) -> None:
    here = set(sources) & set(matrix.sources), set(targets) & set(matrix.targets)
    turned = set(sources) & set(matrix.targets), set(targets) & set(matrix.sources)
    if _fits_turned(here, turned, matrix):
        raise UsageError(
            f"the matrix '{name}' looks transposed: its rows fit the gold scores' targets and its columns the sources.",
            "rows must be sources; `xsns-stream baseline file MATRIX --transpose -o NEW` turns it round.",
        )
    for kind, shared, theirs, ours in (
        ("source", here[0], matrix.sources, sources),
        ("target", here[1], matrix.targets, targets),
    ):
        if not shared:
            raise UsageError(
                f"'{name}' and the gold scores have no {kind} in common.",
                f"it has {listed(theirs)}; the gold scores have {listed(ours)}.",
            )


def _fits_turned(here: tuple[set[str], set[str]], turned: tuple[set[str], set[str]], matrix: SimilarityMatrix) -> bool:
    """Say whether the labels fit the gold better the other way round; a square matrix fits both ways."""
    if set(matrix.sources) == set(matrix.targets):
        return False
    return len(turned[0]) * len(turned[1]) > len(here[0]) * len(here[1])


def _notes(
    gold: TransferScores, matrices: Mapping[str, SimilarityMatrix], kept: tuple[Sequence[str], Sequence[str]]
) -> Iterator[str]:
    """Yield a sentence for each predictor that lacks languages of the pool, and for each that has more."""
    for name, matrix in matrices.items():
        lacking = [
            {code for code in wanted if code not in theirs}
            for wanted, theirs in zip(kept, (matrix.sources, matrix.targets), strict=True)
        ]
        there = [set(wanted) - lost for wanted, lost in zip(kept, lacking, strict=True)]
        unknown = [code for code in dict.fromkeys((*kept[0], *kept[1])) if code not in there[0] | there[1]]
        if unknown:
            yield f"'{name}' knows nothing of {listed(unknown)}."
        for role, lost in zip(("source", "target"), lacking, strict=True):
            halfway = [code for code in dict.fromkeys((*kept[0], *kept[1])) if code in lost and code not in unknown]
            if halfway:
                yield f"'{name}' does not have {listed(halfway)} as a {role}."
        foreign = [
            code
            for code in dict.fromkeys((*matrix.sources, *matrix.targets))
            if code not in gold.sources and code not in gold.targets
        ]
        if foreign:
            yield f"the gold scores hold nothing of {listed(foreign)}, which '{name}' knows."


def _without_pairs(
    matrices: Mapping[str, SimilarityMatrix],
    kept: tuple[Sequence[str], Sequence[str]],
    pool: tuple[Sequence[str], Sequence[str]],
) -> Iterator[str]:
    """Yield a sentence on languages that all know, and that are not in the pool all the same."""
    for role, wanted, there, sides in (
        ("source", kept[0], pool[0], [matrix.sources for matrix in matrices.values()]),
        ("target", kept[1], pool[1], [matrix.targets for matrix in matrices.values()]),
    ):
        lost = [code for code in wanted if code not in there and all(code in side for side in sides)]
        if lost:
            yield f"left out as a {role}, because no pair has a score and every prediction: {listed(lost)}."


def _gaps(joined: JoinedScores) -> Iterator[str]:
    """Yield a sentence on pairs of the pool that have no score, and on those of which a predictor says nothing."""
    pairs = ~joined.own
    scored = pairs & np.isfinite(joined.gold.values)
    if missing := int(pairs.sum() - scored.sum()):
        yield f"{missing} of {int(pairs.sum())} pairs of the pool have no score."
    for prediction in joined.predictions:
        silent = int((scored & ~np.isfinite(prediction.values)).sum())
        if silent:
            yield (
                f"'{prediction.name}' says nothing of {silent} of {int(scored.sum())} pairs that have a score: "
                "they are compared for no predictor."
            )
