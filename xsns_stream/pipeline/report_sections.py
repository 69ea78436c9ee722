"""Sections of the report page for the tree, the maps, the layers, and the evaluation on gold scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.errors import UsageError
from xsns_stream.pipeline.events import Noted, OnReadEvent

if TYPE_CHECKING:
    from xsns_stream.pipeline.gold_comparison import EvaluationReport
    from xsns_stream.pipeline.predictors import Gold, Predictor
    from xsns_stream.pipeline.resampling import Resampling
    from xsns_stream.report.page import (
        EvaluationSection,
        LayersSection,
        MapSection,
        PageLanguage,
        PageMatrix,
        PredictorPairs,
        TreeSection,
    )
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import Reals, SimilarityMatrix
    from xsns_stream.types.transfer_scores import JoinedScores

#: Smallest number of languages for a tree and maps.
FEWEST_IN_TREE: Final = 3
#: Name that the evaluation gives to the similarities of the page's own store or matrix.
OWN: Final = "similarity"


def tree_and_maps(
    matrix: SimilarityMatrix, languages: Sequence[PageLanguage], resampling: Resampling | None
) -> tuple[TreeSection | None, MapSection | None]:
    """Return the sections for the tree and the maps of a matrix.

    Both are None if the rows and columns of the matrix have different languages, or if there are fewer than three.

    Args:
        matrix: The similarities.
        languages: Languages of the matrix, in its order.
        resampling: Similarities with one part of the examples left out, from which the support of the joins of the tree
            is computed; None for a tree without support values.
    """
    from xsns_stream.report.page import map_section, tree_section

    if matrix.sources != matrix.targets or len(matrix.sources) < FEWEST_IN_TREE:
        return None, None
    resampled = None if resampling is None else resampling.matrices(matrix)
    basis = resampling.basis if resampling is not None and resampled is not None else ""
    return tree_section(matrix, languages, resampled, basis), map_section(matrix)


def missing_sections(matrix: SimilarityMatrix, layers: bool) -> str:
    """Return a sentence on the sections that need other languages than the matrix has; empty if none is missing.

    Args:
        matrix: The similarities.
        layers: Whether the section on layers was requested from a store.
    """
    if matrix.sources != matrix.targets:
        names = "no tree, no maps and no layers" if layers else "no tree and no maps"
        return f"the page has {names}, because these need the same languages as sources and as targets."
    if len(matrix.sources) < FEWEST_IN_TREE:
        return f"the page has no tree and no maps, because these need at least {FEWEST_IN_TREE} languages."
    return ""


def layers_section(
    rows: SubNetworkStore,
    matrix: SimilarityMatrix,
    languages: Sequence[PageLanguage],
    density: float,
    on_event: OnReadEvent,
) -> tuple[LayersSection | None, list[PageMatrix]]:
    """Compare languages separately in each layer and each kind of module.

    Returns:
        The section, and one matrix for each layer and each kind of module. The section is None, and there are no
        matrices, if rows and columns of the matrix have different languages, or if the model has only one layer.
    """
    from xsns_stream.pipeline.comparison import similarity
    from xsns_stream.report.page import LayersSection, group_set, matrix_of
    from xsns_stream.similarity import CORRECTIONS
    from xsns_stream.types.similarity_matrix import coefficient_name

    if matrix.sources != matrix.targets or len(rows.layout.layers) < 2:
        return None, []
    coefficient = matrix.coefficient
    if coefficient in CORRECTIONS and CORRECTIONS[coefficient].needs_split_half:
        on_event(
            Noted(
                f"layers and kinds of modules are compared by jaccard, not by '{coefficient}', because split-half is "
                "measured for all parameters together."
            )
        )
        coefficient = "jaccard"
    sets, matrices = [], []
    for by in ("layer", "module"):
        grouped = similarity(
            rows,
            coefficient=coefficient,
            languages=list(matrix.sources),
            seeds=list(matrix.seeds),
            density=density,
            by=by,
            on_event=on_event,
        )
        sets.append(group_set(grouped, languages))
        matrices += [matrix_of(one, key=f"{by}:{name}", title=name, kind=by) for name, one in grouped]
    return LayersSection(tuple(sets), coefficient_name(coefficient)), matrices


# ----------------------------------------------------------------------------------------- evaluation


def evaluation_section(
    matrix: SimilarityMatrix,
    gold: Gold,
    regime: str | None,
    predictors: Mapping[str, Predictor],
    on_event: OnReadEvent,
    **options: Any,
) -> EvaluationSection:
    """Evaluate the similarities of the page and further predictors against gold scores.

    Args:
        matrix: The similarities of the page.
        gold: See :func:`xsns_stream.evaluate`.
        regime: See :func:`xsns_stream.evaluate`.
        predictors: {name: predictor} of further predictors.
        on_event: Handler of progress and notes.
        **options: `coefficient`, `seeds` and `density` for further predictors that are stores.

    Raises:
        UsageError: A further predictor is called `similarity`, or no pair can be compared.
    """
    from xsns_stream.pipeline.gold_comparison import evaluate

    if OWN in predictors:
        raise UsageError(
            f"a predictor is called '{OWN}', which is the name of the page's own similarities.",
            "give it another name: --predict NAME=PATH.",
        )
    own = _known_labels(matrix)
    result = evaluate({OWN: own, **predictors}, gold, regime=regime, on_event=on_event, **options)
    return _section_of(result)


def _known_labels(matrix: SimilarityMatrix) -> SimilarityMatrix:
    """Return the matrix without the rows and columns whose labels are not languages; gold scores cannot have them."""
    from xsns_stream.similarity.matrix_io import known_languages

    return known_languages(matrix, "the matrix", skip_unknown=True).matrix


def _section_of(result: EvaluationReport) -> EvaluationSection:
    from xsns_stream.report import evaluation_sheets
    from xsns_stream.report.page import EvaluationSection
    from xsns_stream.types.transfer_scores import scores_name

    joined = result.joined
    rows, columns = np.nonzero(joined.candidates)
    return EvaluationSection(
        tuple(evaluation_sheets(result, per_target=True)),
        result.targets,
        tuple((joined.sources[i], joined.targets[j]) for i, j in zip(rows.tolist(), columns.tolist(), strict=True)),
        _mean(joined.gold.cells)[rows, columns],
        tuple(_predictor(result, joined, i, rows, columns) for i in range(len(result.predictors))),
        scores_name(result.settings.task, result.settings.metric),
        result.settings.unit,
        tuple(result.notes),
        result.warning,
    )


def _mean(cells: Reals) -> Reals:
    """Return the mean of the finite values in `cells` over all axes except the last two."""
    flat = cells.reshape(-1, *cells.shape[-2:])
    known = np.isfinite(flat)
    with np.errstate(invalid="ignore"):
        mean: Reals = np.where(known, flat, 0.0).sum(axis=0) / known.sum(axis=0)
    return mean


def _predictor(result: EvaluationReport, joined: JoinedScores, index: int, rows: Any, columns: Any) -> PredictorPairs:
    """Return the data of one predictor for the evaluation section: values, regret, and calibrated scores.

    Args:
        result: The evaluation.
        joined: Gold scores and predictions, joined by language.
        index: Index of the predictor in the evaluation.
        rows: Index of the source of each candidate pair, int64 [pairs].
        columns: Index of the target of each candidate pair, int64 [pairs].
    """
    from xsns_stream.report.page import PredictorPairs

    name = result.predictors[index]
    regret = result.per_target[index, result.metrics.index("regret")]
    prediction = next((each for each in joined.predictions if each.name == name), None)
    if prediction is None:
        return PredictorPairs(name, None, regret)
    calibrated, error = _calibrated(joined, name, rows, columns)
    return PredictorPairs(name, prediction.values[rows, columns], regret, calibrated, error)


def _calibrated(joined: JoinedScores, name: str, rows: Any, columns: Any) -> tuple[Reals | None, float]:
    """Return (scores, RMSE): the scores of all pairs that a regression on the predictor `name` predicts.

    The score of a pair is predicted by a regression on the pairs of the other targets. The scores are None, and the
    RMSE is NaN, if there are too few pairs for a regression. `rows` and `columns` are the indices of the source and the
    target of each pair.
    """
    from xsns_stream.regression import fit
    from xsns_stream.types.regressions import LEFT_OUT_TARGET

    one = replace(joined, predictions=tuple(each for each in joined.predictions if each.name == name))
    try:
        regression = fit(one, "mixed", "crossed", left_out=(LEFT_OUT_TARGET,))
    except UsageError:
        # There are too few pairs for a regression, or the prediction is constant.
        return None, float("nan")
    matrix = regression.left_out[LEFT_OUT_TARGET]
    values = np.full((len(joined.sources), len(joined.targets)), np.nan)
    for i, source in enumerate(matrix.sources):
        for j, target in enumerate(matrix.targets):
            values[joined.sources.index(source), joined.targets.index(target)] = matrix.values[i, j]
    return values[rows, columns], regression.error(LEFT_OUT_TARGET).rmse


def note_on_labels(matrix: SimilarityMatrix, on_event: OnReadEvent) -> None:
    """Send a note that names the labels that are not languages and thus have neither a family nor a location."""
    from xsns_stream.io.tables import listed
    from xsns_stream.languages import code_or_none

    labels = dict.fromkeys((*matrix.sources, *matrix.targets))
    if unknown := [label for label in labels if code_or_none(label) is None]:
        on_event(
            Noted(
                f"these labels are not languages, and have neither a family nor a place on the map: {listed(unknown)}."
            )
        )
