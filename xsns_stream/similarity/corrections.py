"""Corrections of the Jaccard coefficient for hubs and for the reliability of languages.

A coefficient of :mod:`~xsns_stream.similarity.coefficients` is computed from the counts of one pair. A correction is
computed from the Jaccard coefficients J of all pairs of L languages, the *pool*, or also needs the split-half
similarities of the languages. Except for `reliability`, the value of a pair depends on the other languages of the pool.

Each formula takes J, float64 [..., L, L], which is symmetric and whose diagonal is not used for other cells, and
split-half similarities h, float64 [..., L], or None. It returns float64 [..., L, L], also symmetric. Undefined values
are NaN. Undefined J are left out of means, neighbours and ranks. The order of the languages has no influence, not even
on the last bit of a value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

import numpy as np

from xsns_stream.types import Reals

Formula = Callable[[Reals, Reals | None], Reals]

#: Number of nearest languages whose mean similarity `csls` subtracts, as in Conneau et al. (2018).
NEIGHBOURS: Final = 10


@dataclass(frozen=True)
class Correction:
    """A correction of the Jaccard coefficient; calling the object evaluates the formula.

    A larger value means that the sub-networks are more similar.

    Attributes:
        formula: The function that computes the correction.
        lowest: The smallest possible value.
        highest: The largest possible value. It may be larger than 1.
        depends_on_pool: Whether the value of a pair depends on the other languages of the pool.
        needs_split_half: Whether the formula needs the split-half similarities of the languages.
    """

    formula: Formula
    lowest: float
    highest: float
    depends_on_pool: bool = True
    needs_split_half: bool = False

    def __call__(self, similarities: Reals, split_half: Reals | None = None) -> Reals:
        """Return corrected similarities, float64 [..., L, L], from Jaccard coefficients [..., L, L].

        `split_half`, float64 [..., L], is needed only if `needs_split_half` is True.
        """
        return self.formula(similarities, split_half)


def centred(similarities: Reals, split_half: Reals | None = None) -> Reals:
    """J_st − m_s − m_t + g: double centring, which removes the general similarity of a language to all others.

    m_s is the mean similarity of s to the other languages of the pool, and g is the mean over all pairs of two
    different languages. Cells that compare a language with itself are left out of all means. The value is 0 if a pair
    is as similar as the two means suggest. g moves all values by the same number and does not change a ranking. The
    value of two languages alone is 0.

    Source:
        Double centring, as in classical multidimensional scaling (Torgerson 1952), here with the diagonal left out.
        Centring against hubs: Suzuki et al. (2013), "Centering similarity measures to reduce hubs".
    """
    others = _without_own(similarities)
    total, count = _sum(others), np.isfinite(others).sum(axis=-1)
    means = _divide(total, count)
    grand = _divide(np.sort(total, axis=-1).sum(axis=-1), count.sum(axis=-1))
    return similarities - (means[..., :, None] + means[..., None, :]) + grand[..., None, None]


def csls(similarities: Reals, split_half: Reals | None = None) -> Reals:
    """2 J_st − r_s − r_t: cross-domain similarity local scaling (CSLS).

    r_s is the mean similarity of s to the 10 languages of the pool that are most similar to s, or to all other
    languages if there are fewer. A hub, which is similar to many languages, has a large r. The value of two languages
    alone is 0.

    Source:
        Conneau et al. (2018), "Word translation without parallel data", section 2.3.
    """
    others = _without_own(similarities)
    count = np.isfinite(others).sum(axis=-1)
    nearest = -np.sort(-others, axis=-1)[..., :NEIGHBOURS]
    reach = _divide(_sum(nearest), np.minimum(count, NEIGHBOURS))
    return 2.0 * similarities - (reach[..., :, None] + reach[..., None, :])


def mutual_rank(similarities: Reals, split_half: Reals | None = None) -> Reals:
    """1 − (√(k_st k_ts) − 1) / (L − 1): the mutual rank of two languages as a similarity.

    k_st is the rank of s among the neighbours of t: 1 for the language that is most similar to t, and L − 1 for the
    least similar one; equal similarities have the mean of their ranks. The value is 1 if each of the
    two languages is the nearest neighbour of the other, and 1 / (L − 1) if each is the farthest neighbour of the other.
    The value of a language with itself is 1.

    Source:
        Obayashi and Kinoshita (2009), "Rank of correlation coefficient as a comparable measure for biological
        significance of gene coexpression" (mutual rank); Schnitzer et al. (2012), "Local and global scaling reduce
        hubs in space" (mutual proximity, of which this is the variant by ranks).
    """
    from scipy.stats import rankdata

    others = _without_own(similarities)
    unknown = np.isnan(others)
    # Row t has the ranks k_st. Undefined pairs and the language itself come last, after the ranks of all others.
    ranks = rankdata(np.where(unknown, np.inf, -others), axis=-1)
    size = similarities.shape[-1]
    values: Reals = 1.0 - (np.sqrt(ranks * ranks.swapaxes(-1, -2)) - 1.0) / max(size - 1, 1)
    values[unknown] = np.nan
    values[..., np.arange(size), np.arange(size)] = 1.0
    return values


def reliability(similarities: Reals, split_half: Reals | None = None) -> Reals:
    """J_st / √(h_s h_t): Spearman's correction for attenuation, with split-half similarities h.

    h_s is the Jaccard coefficient of the sub-networks of two halves of the examples of s. A language whose
    sub-network is measured with more noise is less similar to all others. The division corrects for this. Each half has
    only half of the examples from which J is computed. Therefore h is lower than the reliability of J, and the values
    are too large rather than too small; they may exceed 1. The value is NaN for a language without h, and for h = 0.

    Source:
        Spearman (1904), "The proof and measurement of association between two things".
    """
    if split_half is None:
        return np.full(similarities.shape, np.nan)
    known = np.where(split_half > 0, split_half, np.nan)
    corrected: Reals = similarities / np.sqrt(known[..., :, None] * known[..., None, :])
    return corrected


#: {name: correction}.
CORRECTIONS: Final[Mapping[str, Correction]] = MappingProxyType(
    {
        "centred": Correction(centred, -2.0, 2.0),
        "csls": Correction(csls, -2.0, 2.0),
        "mutual-rank": Correction(mutual_rank, 0.0, 1.0),
        "reliability": Correction(reliability, 0.0, np.inf, depends_on_pool=False, needs_split_half=True),
    }
)


def _without_own(similarities: Reals) -> Reals:
    """Return a copy of the similarities, float64 [..., L, L], whose diagonal is NaN."""
    others = similarities.copy()
    index = np.arange(similarities.shape[-1])
    others[..., index, index] = np.nan
    return others


def _sum(values: Reals) -> Reals:
    """Return the sums of the defined values over the last axis; the order of the values has no influence on a sum."""
    total: Reals = np.sort(np.where(np.isfinite(values), values, 0.0), axis=-1).sum(axis=-1)
    return total


def _divide(total: Reals, count: Reals) -> Reals:
    """Return total / count; NaN for a count of zero."""
    shape = np.broadcast_shapes(np.shape(total), np.shape(count))
    mean: Reals = np.divide(total, count, out=np.full(shape, np.nan), where=np.asarray(count) > 0)
    return mean
