"""Comparison of predictors with gold transfer scores: evaluation for each target, and regression.

:func:`evaluate` and :func:`regress` are the public functions; the commands `evaluate` and `regress` call them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import TYPE_CHECKING, Any, TypeVar

from xsns_stream.errors import UsageError
from xsns_stream.io.json import nan_to_null
from xsns_stream.pipeline.arguments import several, whole_number
from xsns_stream.pipeline.events import Noted, NoteLog, OnReadEvent
from xsns_stream.pipeline.predictors import (
    Gold,
    Predictor,
    check_predictors,
    comparability,
    load_ceiling,
    load_gold,
    load_predictors,
)
from xsns_stream.pipeline.row_selection import Codes, Seeds, as_codes, as_density, as_seeds
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.regressions import PredictedScores, Regression
from xsns_stream.types.transfer_scores import JoinedScores, TransferScores

if TYPE_CHECKING:
    import os

    from matplotlib.axes import Axes

    from xsns_stream.regression import Feature
    from xsns_stream.types import SimilarityMatrix

_Base = TypeVar("_Base", Evaluation, Regression)


# ------------------------------------------------------------------------------------------ evaluation


@dataclass(frozen=True, repr=False)
class EvaluationReport(Evaluation):
    """An evaluation, together with the gold scores and the predictions that it compares.

    Attributes:
        joined: Gold scores and predictions, joined by language.
    """

    joined: JoinedScores = field(kw_only=True)

    def plot(self, ax: Axes | None = None, metric: str | None = None) -> Axes:
        """Draw the mean of a metric for each predictor as a dot, and its confidence interval as a bar.

        Trivial predictors are grey squares. `xsns-stream evaluate -o evaluation.png` draws a page with the regret on
        each target and scatter plots.

        Args:
            ax: Axes to draw into; a new pyplot figure if None.
            metric: Name of the metric, one of `metrics`; by default NDCG@3.

        Returns:
            The axes.

        Raises:
            UsageError: The evaluation has no such metric.
        """
        from xsns_stream.report import plot_evaluation

        return plot_evaluation(self, metric, ax)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `xsns-stream evaluate --json` prints."""
        from xsns_stream.report import evaluation_document

        result: dict[str, Any] = nan_to_null(evaluation_document(self) | comparability(self.joined))
        return result


def evaluate(
    predictors: JoinedScores | Mapping[str, Predictor],
    gold: Gold | None = None,
    *,
    sources: Codes | None = None,
    targets: Codes | None = None,
    regime: str | None = None,
    coefficient: str = "jaccard",
    seeds: Seeds | None = None,
    density: float | None = None,
    skip_unknown: bool = False,
    rename: Mapping[str, str] | None = None,
    as_given: bool = False,
    ndcg: str = "rank-linear",
    average: str = "metrics",
    resamples: int = 10_000,
    seed: int = 0,
    reference: str | None = None,
    ceiling: TransferScores | str | None = None,
    with_trivial: bool = True,
    on_event: OnReadEvent | None = None,
) -> EvaluationReport:
    """Evaluate predictors against gold transfer scores, target by target, like `xsns-stream evaluate`.

    There are two forms. `evaluate({name: predictor}, gold)` first opens stores, reads files, and joins all scores by
    language. `evaluate(joined)` evaluates the result of :func:`xsns_stream.join`; it uses only the argument `ndcg` and
    the arguments after it.

    For each target, the candidate sources are the same for every predictor, and do not include the target itself.
    Metrics are averaged over targets. Undefined values are counted and excluded from all means.

    Args:
        predictors: {name: predictor}, or joined scores. A predictor is a store or its path, a
            :class:`~xsns_stream.SimilarityMatrix` or a file of one, or a pandas frame with sources as index, targets as
            columns, and similarities as values.
        gold: Gold scores, a file of `xsns-stream gold import`, or a long pandas frame with columns `source`, `target`,
            `score`, and optionally `seed` and `regime`.
        sources: Sources to compare; by default all sources that every predictor has.
        targets: Targets to compare; by default all targets that every predictor has.
        regime: Training regime of the gold scores; the first regime by default.
        coefficient: Coefficient for stores; see :func:`xsns_stream.pipeline.comparison.similarity`.
        seeds: Seeds of stores; all by default.
        density: Density of stores; required if a store has several.
        skip_unknown: Whether to leave out rows and columns of matrices with labels that do not name a language. By
            default, such a label is an error.
        rename: {label of matrices: language code}.
        as_given: Whether to accept matrices with numbers that look like distances.
        ndcg: Gain of NDCG@3: `rank-linear`, `score` or `exponential`.
        average: Kind of average over seeds. `metrics` computes the metrics for every pair of a prediction seed and a
            gold seed, and averages them, as in the paper. `matrices` averages the matrices over seeds, and computes the
            metrics of the mean matrices.
        resamples: Number of bootstrap resamples, and of random draws of signs for tests.
        seed: Seed of the random numbers.
        reference: Name of a predictor with which every other predictor is compared.
        ceiling: Predictor of the row `ceiling`: other scores of the same pairs, or the name of another regime of
            `gold`. By default, if the gold scores have several seeds, each seed is predicted by the mean of the other
            seeds.
        with_trivial: Whether the reference rows `random`, `english`, `source-mean` and `ceiling` are added.
        on_event: Handler of progress and notes.

    Returns:
        The evaluation. `to_frame()` returns its means and intervals; `notes` are about missing, tied and undefined
        values.

    Raises:
        UsageError: An argument is invalid, a predictor has the name of a reference row, or no pair can be compared.
        XsnsError: A predictor or the gold scores cannot be read.

    >>> import xsns_stream as xs
    >>> evaluation = xs.evaluate({"xsns": "xsns.zarr", "other": "other.csv"}, gold="gold.parquet", resamples=100)
    >>> evaluation.predictors[:2]
    ('xsns', 'other')
    >>> evaluation.to_frame().columns[:3].tolist()
    ['predictor', 'metric', 'mean']
    """
    from xsns_stream import evaluation
    from xsns_stream.align_scores import join

    seed = whole_number(seed, "seed")
    if seed < 0:
        raise UsageError(f"seed must be at least 0, not {seed}.")
    if not isinstance(ceiling, TransferScores | str | None):
        raise UsageError(
            f"the ceiling is of the type {type(ceiling).__name__}.", "give scores, or the name of a regime of gold."
        )
    log = NoteLog(on_event)
    if isinstance(predictors, JoinedScores):
        if gold is not None or isinstance(ceiling, str):
            raise UsageError(
                "joined scores contain their gold scores.",
                "call evaluate(joined), or evaluate(predictors, gold).",
            )
        joined = predictors
    else:
        check_predictors(predictors)
        scores = load_gold(_given(gold), regime, log)
        if isinstance(ceiling, str):
            ceiling = load_ceiling(_given(gold), ceiling, scores, log)
        matrices = load_predictors(
            predictors,
            scores,
            coefficient=coefficient,
            seeds=as_seeds(seeds),
            density=as_density(density),
            skip_unknown=skip_unknown,
            rename=rename,
            as_given=as_given,
            on_event=log,
        )
        joined = join(scores, matrices, as_codes(sources), as_codes(targets))
    result = evaluation.evaluate(
        joined,
        ndcg=ndcg,
        average=average,
        resamples=whole_number(resamples, "resamples"),
        seed=seed,
        reference=reference,
        ceiling=ceiling,
        with_trivial=with_trivial,
    )
    for note in result.notes:
        log(Noted(note))
    return EvaluationReport(**_values_of(result), joined=joined)


def _given(gold: Gold | None) -> Gold:
    if gold is None:
        raise UsageError("no gold scores were given.", "give the scores that predictors are compared with, as gold.")
    return gold


def _values_of(result: _Base) -> dict[str, Any]:
    return {each.name: getattr(result, each.name) for each in fields(result)}


# ------------------------------------------------------------------------------------------ regression


@dataclass(frozen=True, repr=False)
class RegressionReport(Regression):
    """A regression, together with an evaluation of its rankings, and predicted scores of further targets.

    Attributes:
        ranking: Evaluation of the predicted scores, in sample and out of sample, as predictors of the gold scores.
        predictions: Predicted scores of the targets in the argument `new`.
        joined: Gold scores and predictors of the fit, joined by language.
    """

    ranking: Evaluation = field(kw_only=True)
    predictions: tuple[PredictedScores, ...] = field(kw_only=True)
    joined: JoinedScores = field(kw_only=True)

    def to_dict(self) -> dict[str, Any]:
        """Return the JSON object that `xsns-stream regress --json` prints."""
        from xsns_stream.report.regression import prediction_document, regression_document

        predictions = [prediction_document(each) for each in self.predictions]
        result: dict[str, Any] = nan_to_null(
            {**regression_document(self, self.ranking), "predictions": predictions, **comparability(self.joined)}
        )
        return result


def regress(
    predictors: Mapping[str, Predictor],
    gold: Gold,
    *,
    features: Sequence[str] = (),
    tables: Sequence[str | os.PathLike[str]] = (),
    model: str = "ols",
    random: str | None = None,
    new: Codes | None = None,
    sources: Codes | None = None,
    targets: Codes | None = None,
    regime: str | None = None,
    coefficient: str = "jaccard",
    seeds: Seeds | None = None,
    density: float | None = None,
    skip_unknown: bool = False,
    rename: Mapping[str, str] | None = None,
    as_given: bool = False,
    on_event: OnReadEvent | None = None,
) -> RegressionReport:
    """Regress gold transfer scores on predictors, and predict scores with intervals, like `xsns-stream regress`.

    Errors are reported in sample and out of sample. Out of sample, each target (or source) is predicted by a fit
    without it, which shows how large errors are for languages without gold scores.

    Args:
        predictors: {name: predictor}; see :func:`xsns_stream.evaluate`. It may be empty if features are given.
        gold: Gold scores; see :func:`xsns_stream.evaluate`.
        features: Further predictors from `tables`, in the form `[NAME=]KIND:COLUMN`, such as `same:family` or
            `log-source:size`.
        tables: Files (.csv, .tsv) of languages, with a column `code`, or of pairs, with columns `source` and `target`.
        model: `ols` (least squares) or `mixed` (with random intercepts).
        random: Random intercepts of a mixed model: `target` (the default), or `crossed` for targets and sources.
        new: Targets for which the scores of all sources are predicted, whether or not they have gold scores.
        sources: Sources of the fit; by default all sources that every predictor has.
        targets: Targets of the fit; by default all targets that every predictor has.
        regime: Training regime of the gold scores; the first regime by default.
        coefficient: Coefficient for stores.
        seeds: Seeds of stores; all by default.
        density: Density of stores; required if a store has several.
        skip_unknown: Whether to leave out rows and columns of matrices with labels that do not name a language.
        rename: {label of matrices: language code}.
        as_given: Whether to accept matrices with numbers that look like distances.
        on_event: Handler of progress and notes.

    Raises:
        UsageError: An argument is invalid; there is no predictor; or there are too few pairs for the model.
        XsnsError: A predictor, a table or the gold scores cannot be read.

    >>> import xsns_stream as xs
    >>> regression = xs.regress({"xsns": "xsns.zarr"}, gold="gold.parquet", model="mixed")
    >>> regression.name, regression.predictors
    ('mixed (target)', ('xsns',))
    """
    from xsns_stream import evaluation
    from xsns_stream.align_scores import join
    from xsns_stream.regression import fit

    if random is not None and model != "mixed":
        raise UsageError("--random cannot be used with least squares.", "add --model mixed.")
    tables, features = several(tables, "tables"), several(features, "features")
    check_predictors(predictors)
    log = NoteLog(on_event)
    new_targets = _normalised(new)
    scores = _with_targets(load_gold(gold, regime, log), new_targets)
    parsed = _parse_features(tables, features, list(predictors))
    matrices = load_predictors(
        predictors,
        scores,
        coefficient=coefficient,
        seeds=as_seeds(seeds),
        density=as_density(density),
        skip_unknown=skip_unknown,
        rename=rename,
        as_given=as_given,
        on_event=log,
    )
    matrices |= _feature_matrices(parsed, tables, scores, log)
    # `targets` limits the fit. Targets of `new` are predicted in any case.
    limited = (*as_codes(targets), *new_targets) if as_codes(targets) else ()
    joined = join(scores, matrices, as_codes(sources), limited, unscored=new_targets)
    result = fit(joined, model, random or "target")
    fitted = scores.restricted(result.fitted.sources, result.fitted.targets)
    ranking = evaluation.evaluate(join(fitted, _predicted_matrices(result)))
    predictions = tuple(_predict(result, joined, target) for target in new_targets)
    for note in result.notes:
        log(Noted(note))
    return RegressionReport(**_values_of(result), ranking=ranking, predictions=predictions, joined=joined)


def _normalised(codes: Codes | None) -> tuple[str, ...]:
    from xsns_stream.languages import code_or_name

    words = (word.strip() for code in as_codes(codes) for word in code.split(","))
    return tuple(dict.fromkeys(code_or_name(word) for word in words if word))


def _parse_features(tables: Sequence[Any], features: Sequence[str], predictors: Sequence[str]) -> list[Feature]:
    """Return the features that texts such as `same:family` describe, after checking their names.

    Args:
        tables: The tables of the features.
        features: The texts.
        predictors: Names of the other predictors.

    Raises:
        UsageError: Two predictors have the same name, tables or features are missing, or there is no predictor.
    """
    from xsns_stream.regression import parse_feature

    parsed = [parse_feature(text) for text in features]
    names = [*predictors, *(feature.name for feature in parsed)]
    if repeated := next((name for name in names if names.count(name) > 1), None):
        raise UsageError(f"two predictors are called '{repeated}'.", "name one with --feature NAME=KIND:COLUMN.")
    if bool(tables) != bool(features):
        missing = "--feature KIND:COLUMN, such as same:family" if tables else "--features FILE"
        raise UsageError(
            f"{'tables' if tables else 'features'} were given without {'features' if tables else 'tables'}.",
            f"give {missing} too.",
        )
    if not names:
        raise UsageError(
            "no predictor was given.", "give --predict NAME=PATH, or --features FILE --feature KIND:COLUMN."
        )
    return parsed


def _with_targets(gold: TransferScores, targets: Sequence[str]) -> TransferScores:
    """Add columns of NaN to the gold scores for targets that have none, so that `join` keeps these targets."""
    import numpy as np

    missing = tuple(code for code in targets if code not in gold.targets)
    unknown = np.full((*gold.cells.shape[:3], len(missing)), np.nan)
    return replace(gold, targets=(*gold.targets, *missing), cells=np.concatenate((gold.cells, unknown), axis=3))


def _feature_matrices(
    features: Sequence[Feature], paths: Sequence[Any], gold: TransferScores, on_event: OnReadEvent
) -> dict[str, SimilarityMatrix]:
    from xsns_stream.regression import feature_matrix, read_features

    tables = read_features(paths, tuple(dict.fromkeys((*gold.sources, *gold.targets))))
    for note in tables.notes:
        on_event(Noted(note))
    return {feature.name: feature_matrix(feature, tables, gold.sources, gold.targets) for feature in features}


def _predicted_matrices(result: Regression) -> dict[str, SimilarityMatrix]:
    """Return {kind of prediction: matrix}, in sample and out of sample, without matrices that have no finite value."""
    import numpy as np

    from xsns_stream.types.regressions import IN_SAMPLE

    matrices = {IN_SAMPLE: result.fitted, **result.left_out}
    return {way: matrix for way, matrix in matrices.items() if np.isfinite(matrix.values).any()}


def _predict(result: Regression, joined: JoinedScores, target: str) -> PredictedScores:
    import numpy as np

    from xsns_stream.regression import predict

    column = joined.targets.index(target)
    rows = [row for row, code in enumerate(joined.sources) if code != target]
    values = {prediction.name: prediction.values[rows, column] for prediction in joined.predictions}
    if unknown := next((name for name, known in values.items() if np.isnan(known).all()), None):
        raise UsageError(
            f"the predictor '{unknown}' has no value for the target '{target}'.",
            "give predictors, or tables, that contain the target.",
        )
    return predict(result, values, target, [joined.sources[row] for row in rows])
