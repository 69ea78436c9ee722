"""Alignment of gold scores and similarity matrices by label."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError
from xsns_stream.io.tables import listed
from xsns_stream.languages import counterparts, same_language, select
from xsns_stream.types.parameters import Reals
from xsns_stream.types.predictor_records import differences
from xsns_stream.types.similarity_matrix import SimilarityMatrix
from xsns_stream.types.transfer_scores import JoinedScores, PoolCost, Prediction, TransferScores

#: Codes of sources and of targets.
Axes = tuple[Sequence[str], Sequence[str]]


def join(
    gold: TransferScores,
    matrices: Mapping[str, SimilarityMatrix],
    sources: Sequence[str] | None = None,
    targets: Sequence[str] | None = None,
    unscored: Sequence[str] = (),
) -> JoinedScores:
    """Align predictions with the scores that they predict.

    The pool is the set of sources and targets of the result. Requested sources or targets always belong to the pool.
    If none are requested, the pool has the sources or targets of the candidate pairs (`JoinedScores.candidates`). The
    notes of the result name languages that the gold scores or a predictor lack, and languages whose codes differ
    between the gold scores and a predictor, such as `zh` and `zh-Hani`
    (:func:`xsns_stream.languages.counterparts`).

    Args:
        gold: The scores.
        matrices: {name of a predictor: its similarities}; at least one.
        sources: Restrict the pool to these sources; `all` and lists with commas are accepted.
        targets: Restrict the pool to these targets; `all` and lists with commas are accepted.
        unscored: Targets of the gold scores that stay in the pool without a measured score, because their scores will
            be predicted.

    Raises:
        LanguageError: A requested language is not in the gold scores.
        UsageError: There is no predictor; a predictor and the gold scores have no source or no target in common (the
            message says so if the transposed matrix would fit); or there is no pair of two different languages.
    """
    if not matrices:
        raise UsageError("there is no predictor to compare with the gold scores.", "give --predict NAME=FILE.")
    found_elsewhere: list[str] = []
    requested = (
        select(sources, gold.sources, "the source axis of the gold scores", found_elsewhere.append)
        if sources
        else gold.sources,
        select(targets, gold.targets, "the target axis of the gold scores", found_elsewhere.append)
        if targets
        else gold.targets,
    )
    renamed = {name: _with_codes_of(gold, matrix) for name, matrix in matrices.items()}
    for name, matrix in renamed.items():
        _require_overlap(name, matrix, requested)
    always = requested[0] if sources else (), (*(requested[1] if targets else ()), *unscored)
    pool = _pool(gold, renamed, requested, always)
    costs = _costs(gold, renamed, requested)
    records = {name: matrix.record for name, matrix in renamed.items()}
    same = frozenset((s, t) for s in pool[0] for t in pool[1] if s != t and same_language(s, t))
    notes = (
        *_trivial_note(gold.restricted(*pool)),
        *found_elsewhere,
        *_spelling_notes(matrices, renamed, {*pool[0], *pool[1]}),
        *_coverage_notes(gold, renamed, requested),
        *_pairless_notes(renamed, requested, pool),
        *_cost_notes(costs),
        *(difference.sentence for difference in differences(records, tuple(dict.fromkeys((*pool[0], *pool[1]))))),
        *_same_language_note(same),
    )
    predictions = tuple(
        Prediction(name, matrix.coefficient, _per_seed(matrix, pool), matrix.seeds if _has_seeds(matrix) else ())
        for name, matrix in renamed.items()
    )
    joined = JoinedScores(gold.restricted(*pool), predictions, notes, same, costs, records)
    joined = replace(joined, notes=(*notes, *_gap_notes(joined)))
    if not joined.candidates.any():
        raise UsageError(
            "no pair of two different languages has a gold score and a value from every predictor.",
            "leave out the predictor with the fewest languages; `xsns-stream gold show` lists the gold scores.",
        )
    return joined


def align(values: Reals, labels: Axes, axes: Axes) -> Reals:
    """Return a matrix of values with its rows and columns reordered to other labels.

    Args:
        values: float64 [..., S, T].
        labels: The labels of the S rows (sources) and T columns (targets) of `values`.
        axes: The labels of the S' rows (sources) and T' columns (targets) of the result.

    Returns:
        float64 [..., S', T']; NaN if the source or the target is missing in `values`.
    """
    aligned = np.full((*values.shape[:-2], len(axes[0]), len(axes[1])), np.nan)
    (to_rows, from_rows), (to_columns, from_columns) = (
        _matching_indices(before, after) for before, after in zip(labels, axes, strict=True)
    )
    aligned[..., np.array(to_rows, np.intp)[:, None], to_columns] = values[..., from_rows, :][..., from_columns]
    return aligned


def _matching_indices(before: Sequence[str], after: Sequence[str]) -> tuple[list[int], list[int]]:
    """Return the indices of the labels that both lists contain: in `after`, and for the same labels in `before`."""
    old_index = {label: old for old, label in enumerate(before)}
    pairs = [(new, old_index[label]) for new, label in enumerate(after) if label in old_index]
    return [new for new, _ in pairs], [old for _, old in pairs]


def _per_seed(matrix: SimilarityMatrix, axes: Axes) -> Reals:
    """Return the similarities of each seed for the sources and targets in `axes`, float64 [R, S, T].

    `axes` are the codes of the sources and the codes of the targets.

    R is 1 for a matrix without seeds. Values are NaN for languages that the matrix lacks.
    """
    values = matrix.per_seed if _has_seeds(matrix) and matrix.per_seed is not None else matrix.values[None]
    return align(values, (matrix.sources, matrix.targets), axes)


def _has_seeds(matrix: SimilarityMatrix) -> bool:
    return matrix.per_seed is not None and bool(matrix.seeds)


def _with_codes_of(gold: TransferScores, matrix: SimilarityMatrix) -> SimilarityMatrix:
    """Return the matrix with its languages renamed to the codes that the gold scores use."""
    ours = tuple(dict.fromkeys((*gold.sources, *gold.targets)))
    theirs = tuple(dict.fromkeys((*matrix.sources, *matrix.targets)))
    code_of = {theirs: ours for ours, theirs in counterparts(ours, theirs).items()}
    return replace(
        matrix,
        sources=tuple(code_of.get(code, code) for code in matrix.sources),
        targets=tuple(code_of.get(code, code) for code in matrix.targets),
        record=None if matrix.record is None else matrix.record.renamed(code_of),
    )


def _require_overlap(name: str, matrix: SimilarityMatrix, axes: Axes) -> None:
    sources, targets = axes
    shared = set(sources) & set(matrix.sources), set(targets) & set(matrix.targets)
    shared_transposed = set(sources) & set(matrix.targets), set(targets) & set(matrix.sources)
    if _fits_transposed(shared, shared_transposed, matrix):
        raise UsageError(
            f"the matrix '{name}' looks transposed: its rows fit the gold scores' targets, and its columns "
            "fit the sources.",
            "rows must be sources; `xsns-stream baseline file MATRIX --transpose -o NEW` transposes it.",
        )
    for kind, common, theirs, ours in (
        ("source", shared[0], matrix.sources, sources),
        ("target", shared[1], matrix.targets, targets),
    ):
        if not common:
            raise UsageError(
                f"'{name}' and the gold scores have no {kind} in common.",
                f"it has {listed(theirs)}; the gold scores have {listed(ours)}.",
            )


def _fits_transposed(
    shared: tuple[set[str], set[str]], shared_transposed: tuple[set[str], set[str]], matrix: SimilarityMatrix
) -> bool:
    """Return whether the labels of a matrix fit the gold scores better after transposition.

    The result is False for a matrix whose sources and targets are the same languages.

    Args:
        shared: The sources, and the targets, that the matrix and the gold scores have in common.
        shared_transposed: The same for the transposed matrix.
        matrix: The matrix.
    """
    if set(matrix.sources) == set(matrix.targets):
        return False
    return len(shared_transposed[0]) * len(shared_transposed[1]) > len(shared[0]) * len(shared[1])


# -------------------------------------------------------------------------------------------------- pool


def _pool(gold: TransferScores, matrices: Mapping[str, SimilarityMatrix], requested: Axes, always: Axes) -> Axes:
    """Return the sources and targets of the pool: those in `always`, and those of scored pairs with all predictions.

    Only `requested` sources and targets are in the pool. Other languages are left out, because, for example, the mean
    gold score of a source would otherwise include targets for which the predictors are not compared.
    """
    known = _scored(gold, requested)
    for matrix in matrices.values():
        known &= np.isfinite(_per_seed(matrix, requested)).all(axis=0)
    sources = tuple(code for row, code in enumerate(requested[0]) if code in always[0] or known[row].any())
    targets = tuple(code for column, code in enumerate(requested[1]) if code in always[1] or known[:, column].any())
    return sources, targets


def _scored(gold: TransferScores, axes: Axes) -> NDArray[np.bool_]:
    """Return a boolean array [S, T]: whether source and target are different languages and the pair has a score.

    `axes` are the codes of the S sources and of the T targets.
    """
    known: NDArray[np.bool_] = np.isfinite(gold.restricted(*axes).values)
    for row, source in enumerate(axes[0]):
        for column, target in enumerate(axes[1]):
            known[row, column] &= not same_language(source, target)
    return known


def _costs(gold: TransferScores, matrices: Mapping[str, SimilarityMatrix], axes: Axes) -> tuple[PoolCost, ...]:
    """Return, for each predictor, the scored pairs in `axes` for which only this predictor has no value.

    `axes` are the codes of the sources and the codes of the targets.
    """
    scored = _scored(gold, axes)
    known = {name: np.isfinite(_per_seed(matrix, axes)).all(axis=0) for name, matrix in matrices.items()}
    costs = []
    for name, own in known.items():
        others: NDArray[np.bool_] = scored.copy()
        for other, predicted in known.items():
            if other != name:
                others &= predicted
        costs.append(_cost(name, others, np.asarray(own), axes))
    return tuple(costs)


def _cost(name: str, others: NDArray[np.bool_], own: NDArray[np.bool_], axes: Axes) -> PoolCost:
    """Return the pairs, and the sources and targets of pairs, that the pool lacks because of one predictor.

    Args:
        name: Name of the predictor.
        others: bool [S, T], the scored pairs for which all other predictors have a value.
        own: bool [S, T], the pairs for which this predictor has a value.
        axes: Codes of the S sources and of the T targets.
    """
    sources, targets = axes
    both = others & own
    lost_rows: NDArray[np.bool_] = np.asarray(others.any(axis=1)) & ~np.asarray(both.any(axis=1))
    lost_columns: NDArray[np.bool_] = np.asarray(others.any(axis=0)) & ~np.asarray(both.any(axis=0))
    return PoolCost(
        name,
        tuple(code for code, lost in zip(targets, lost_columns, strict=True) if lost),
        tuple(code for code, lost in zip(sources, lost_rows, strict=True) if lost),
        tuple((sources[row], targets[column]) for row, column in np.argwhere(others & ~own)),
    )


# ------------------------------------------------------------------------------------------------- notes


def _trivial_note(gold: TransferScores) -> Iterator[str]:
    """Yield a sentence if at least half of the gold scores of the pool are not above the score of a trivial answer."""
    above, count = gold.above_trivial()
    if count and above <= count / 2:
        yield (
            f"{count - above} of {count} gold scores on other languages are not above the score of the trivial answer, "
            "such as the most frequent class: these scores say little about transfer."
        )


def _spelling_notes(
    matrices: Mapping[str, SimilarityMatrix], renamed: Mapping[str, SimilarityMatrix], pool: set[str]
) -> Iterator[str]:
    """Yield a sentence for each predictor whose codes for languages of the pool differ from those of the gold scores.

    `renamed` are the `matrices` after their languages were renamed to the codes of the gold scores.
    """
    for name, matrix in matrices.items():
        theirs_of = {
            ours: theirs
            for before, after in (
                (matrix.sources, renamed[name].sources),
                (matrix.targets, renamed[name].targets),
            )
            for theirs, ours in zip(before, after, strict=True)
            if ours != theirs and ours in pool
        }
        if theirs_of:
            written = listed([f"{theirs} for {ours}" for ours, theirs in theirs_of.items()])
            yield f"'{name}' has other codes than the gold scores: {written}."


def _coverage_notes(gold: TransferScores, matrices: Mapping[str, SimilarityMatrix], axes: Axes) -> Iterator[str]:
    """Yield sentences about languages of `axes` that a predictor lacks, and about languages without gold scores.

    `axes` are the codes of the sources and the codes of the targets.
    """
    languages = dict.fromkeys((*axes[0], *axes[1]))
    for name, matrix in matrices.items():
        lacking = [
            {code for code in codes if code not in theirs}
            for codes, theirs in zip(axes, (matrix.sources, matrix.targets), strict=True)
        ]
        present = [set(codes) - lost for codes, lost in zip(axes, lacking, strict=True)]
        unknown = [code for code in languages if code not in present[0] | present[1]]
        if unknown:
            yield f"'{name}' has no values for {listed(unknown)}."
        for role, lost in zip(("source", "target"), lacking, strict=True):
            one_side = [code for code in languages if code in lost and code not in unknown]
            if one_side:
                yield f"'{name}' does not have {listed(one_side)} as a {role}."
        extra = [
            code
            for code in dict.fromkeys((*matrix.sources, *matrix.targets))
            if code not in gold.sources and code not in gold.targets
        ]
        if extra:
            yield f"the gold scores do not have {listed(extra)}, which '{name}' has."


def _pairless_notes(matrices: Mapping[str, SimilarityMatrix], requested: Axes, pool: Axes) -> Iterator[str]:
    """Yield sentences about requested languages that all predictors have, but that are not in the pool."""
    for role, codes, in_pool, predicted in (
        ("source", requested[0], pool[0], [matrix.sources for matrix in matrices.values()]),
        ("target", requested[1], pool[1], [matrix.targets for matrix in matrices.values()]),
    ):
        lost = [code for code in codes if code not in in_pool and all(code in side for side in predicted)]
        if lost:
            yield (
                f"these {role}s are left out, because they have no pair with a score and a value from every predictor: "
                f"{listed(lost)}."
            )


def _cost_notes(costs: Sequence[PoolCost]) -> Iterator[str]:
    """Yield sentences on the pairs that the pool lacks because of a single predictor."""
    for cost in costs:
        if not cost.pairs or len(costs) < 2:
            continue
        gains = [f"{len(cost.pairs)} more {'pair' if len(cost.pairs) == 1 else 'pairs'}"]
        for kind, codes in (("target", cost.targets), ("source", cost.sources)):
            if codes:
                gains.append(f"{len(codes)} more {kind if len(codes) == 1 else f'{kind}s'} ({listed(codes)})")
        yield (
            f"'{cost.predictor}' lacks pairs that all other predictors have: without this predictor, the pool would "
            f"have {', '.join(gains)}."
        )


def _same_language_note(pairs: frozenset[tuple[str, str]]) -> Iterator[str]:
    if pairs:
        named = listed(sorted(f"{source} for {target}" for source, target in pairs))
        yield f"these sources are not candidates, because source and target are one language: {named}."


def _gap_notes(joined: JoinedScores) -> Iterator[str]:
    """Yield sentences about pairs of the pool without a score, and about pairs without a prediction."""
    pairs = ~joined.own
    scored = pairs & np.isfinite(joined.gold.values)
    if missing := int(pairs.sum() - scored.sum()):
        yield f"{missing} of {int(pairs.sum())} pairs of the pool have no score."
    for prediction in joined.predictions:
        unpredicted = int((scored & ~np.isfinite(prediction.values)).sum())
        if unpredicted:
            yield (
                f"'{prediction.name}' has no value for {unpredicted} of {int(scored.sum())} pairs that have a score: "
                "these pairs are left out for all predictors."
            )
