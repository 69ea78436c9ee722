"""Statements on the reliability of a ranking, from its model, its text, its number of examples, and gold scores."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import Provenance, SimilarityMatrix, SourceRanking
    from xsns_stream.types.transfer_scores import TransferScores

#: The first statement on every ranking.
NOT_TRANSFER: Final = "The ranking shows the similarity of sub-networks, which is not a measurement of transfer."
#: Smallest number of examples for a ranking that is more than a first test; used if split-half was not measured.
ENOUGH_EXAMPLES: Final = 256
# There are too few examples if split-half is below s + _NEAR (1 − s), where s is the similarity of the first source.
_NEAR: Final = 0.1
_EMBEDDED: Final = "mini"
_NAMES: Final = "cldr"


@dataclass(frozen=True)
class GoldCheck:
    """Evaluation of the ranking by similarity against gold scores, on the targets that have gold scores.

    Attributes:
        targets: Number of targets that have gold scores and at least two candidates.
        above_random: Number of these targets on which the NDCG@3 of the ranking is above that of a random order.
        ndcg: NDCG@3 of the ranking, averaged over targets, between 0 and 1.
        ndcg_random: NDCG@3 of a random order, averaged over targets.
        spearman: Spearman correlation of similarities and scores, averaged over targets; NaN if it is undefined for
            every target.
        regret: Best score of a target minus the score of the first source, averaged over targets, in the unit of the
            scores.
        regret_random: Best score of a target minus the score of a random source, averaged over targets.
        unit: Unit of the scores.
    """

    targets: int
    above_random: int
    ndcg: float
    ndcg_random: float
    spearman: float
    regret: float
    regret_random: float
    unit: str

    @property
    def warning(self) -> str:
        """Short warning for a title if a random order is at least as good on most targets; otherwise empty."""
        below = self.targets - self.above_random
        if 2 * below <= self.targets:
            return ""
        return f"no better than a random order on {below} of {self.targets} targets with gold scores"

    @property
    def sentence(self) -> str:
        """A sentence that states the result of the comparison; empty if there is no target to compare."""
        if not self.targets:
            return ""
        unit = {"percent": "percentage points"}.get(self.unit, self.unit)
        correlation = "" if math.isnan(self.spearman) else f"a Spearman correlation of {self.spearman:.2f} and "
        targets = "the target" if self.targets == 1 else f"the {self.targets} targets"
        return (
            f"On {targets} with gold scores, the order by similarity has {correlation}a regret of {self.regret:.2f} "
            f"{unit} (a random source: {self.regret_random:.2f})."
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the attributes as a dictionary."""
        return asdict(self)


def check_with_gold(gold: TransferScores, matrix: SimilarityMatrix) -> GoldCheck:
    """Compare the ranking by similarity with the ranking by gold scores, for each target that both have.

    Args:
        gold: The gold scores.
        matrix: Similarities of the languages of the gold scores.

    Raises:
        UsageError: The gold scores and the matrix have no pair of two different languages in common.
    """
    import numpy as np

    from xsns_stream.align_scores import join
    from xsns_stream.evaluation import FEWEST_RESAMPLES, evaluate

    result = evaluate(join(gold, {"similarity": matrix}), resamples=FEWEST_RESAMPLES)
    own, random = result.predictors.index("similarity"), result.predictors.index("random")
    ndcg = next(name for name in result.metrics if name.startswith("ndcg"))
    column = result.metrics.index(ndcg)
    known = np.isfinite(result.per_target[own, column]) & np.isfinite(result.per_target[random, column])
    above = result.per_target[own, column] > result.per_target[random, column]
    return GoldCheck(
        int(known.sum()),
        int((above & known).sum()),
        result["similarity", ndcg],
        result["random", ndcg],
        result["similarity", "spearman"],
        result["similarity", "regret"],
        result["random", "regret"],
        gold.unit,
    )


def statements(
    ranking: SourceRanking,
    rows: SubNetworkStore,
    density: float,
    check: GoldCheck | None = None,
    nearest: float | None = None,
) -> tuple[str, ...]:
    """Return sentences on the reliability of a ranking.

    Args:
        ranking: The ranking, including the reliability of the target if it is known.
        rows: The store whose rows were compared.
        density: Density of the rows.
        check: Comparison of the ranking with gold scores; None without gold scores.
        nearest: Jaccard coefficient of the target and the language that is nearest to it, see :func:`nearest_jaccard`;
            None for the largest similarity of the ranking.
    """
    few = _few_examples(ranking, rows, density, nearest)
    return (NOT_TRANSFER, *settings_statements(rows), *filter(None, (few, check.sentence if check else "")))


def nearest_jaccard(matrix: SimilarityMatrix) -> dict[str, float]:
    """Return {target: its largest Jaccard coefficient with a source}, to be compared with split-half similarities.

    The result is empty for other coefficients than corrections.
    """
    import numpy as np

    if matrix.pool is None:
        return {}
    number = {code: i for i, code in enumerate(matrix.pool.languages)}
    every = matrix.pool.per_seed.mean(axis=0)
    found = {}
    for target in matrix.targets:
        values = every[[number[source] for source in matrix.sources if source != target], number[target]]
        if np.isfinite(values).any():
            found[target] = float(np.nanmax(values))
    return found


def settings_statements(rows: SubNetworkStore) -> tuple[str, ...]:
    """Return a warning if the model of a store is the embedded one, and a warning if its text consists of names only.

    Both are meant for trying out the program.
    """
    from xsns_stream.types import Provenance

    return tuple(_settings(Provenance.from_json(rows.experiment)))


def _settings(shared: Provenance) -> Iterator[str]:
    if shared.model == _EMBEDDED:
        yield f"The embedded model '{_EMBEDDED}' is a toy model: do not use it for real decisions."
    if shared.corpus.split("(")[0] == _NAMES:
        yield f"The corpus '{_NAMES}' consists of lists of names, without sentences."


def _few_examples(ranking: SourceRanking, rows: SubNetworkStore, density: float, nearest: float | None) -> str:
    """Return a sentence that says that there are too few examples; empty if there are enough, or if it is unknown."""
    largest = max((source.similarity for source in ranking if not math.isnan(source.similarity)), default=math.nan)
    highest = largest if nearest is None else nearest
    half = ranking.reliability
    if half is not None:
        if half >= highest + _NEAR * (1 - highest) or math.isnan(highest):
            return ""
        return _halves_sentence(f"{half:.3f}", f"{highest:.3f}")
    records = [rows.record(ranking.target, seed, density).provenance for seed in ranking.seeds]
    fewest = min((record.examples for record in records if not record.stopping), default=ENOUGH_EXAMPLES)
    if not 0 < fewest < ENOUGH_EXAMPLES:
        return ""
    are = "example of the target is" if fewest == 1 else "examples of the target are"
    return (
        f"{fewest} {are} enough for a first test only (use {ENOUGH_EXAMPLES} or more), and split-half was not measured."
    )


def _halves_sentence(half: str, highest: str) -> str:
    """Return the sentence on a target whose two halves are not clearly more similar than the target and its source.

    Args:
        half: Similarity of two halves of the target's examples, as it is shown.
        highest: Similarity of the target and its first source, as it is shown. The shown numbers are compared, so that
            the sentence agrees with them.
    """
    if half == highest:
        compared = f"as similar ({half}) as the target and its first source"
    else:
        how = "hardly more" if float(half) > float(highest) else "less"
        compared = f"{how} similar ({half}) than the target and its first source ({highest})"
    return f"Two halves of the target's own examples are {compared}: there are too few examples."
