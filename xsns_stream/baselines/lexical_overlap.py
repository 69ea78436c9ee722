"""lex: how alike the sub-word unigram distributions of two languages are."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from xsns_stream.errors import CorpusError

if TYPE_CHECKING:
    from xsns_stream.types import Counts, Reals


@dataclass(frozen=True)
class PieceCounts:
    """How often each sub-word stands in a language's sample; sub-words that do not stand there are left out.

    Attributes:
        pieces: int64 [U], ids, rising.
        counts: int64 [U], each at least 1.
    """

    pieces: Counts
    counts: Counts


def count_pieces(examples: Iterable[Counts], special: Counts) -> PieceCounts:
    """Count the sub-words of encoded examples.

    Args:
        examples: int64 ids of each example, [T].
        special: Ids that say nothing of a language (what frames a text, padding, the unknown piece), which are left
            out.

    Raises:
        CorpusError: Nothing is left.
    """
    ids = np.concatenate([np.empty(0, np.int64), *examples])
    pieces, counts = np.unique(ids[~np.isin(ids, special)], return_counts=True)
    if not len(pieces):
        raise CorpusError("no sub-word is left to be counted.", "the tokenizer knows nothing of this text.")
    return PieceCounts(pieces, counts.astype(np.int64))


def lexical_overlap(languages: Mapping[str, PieceCounts]) -> Reals:
    """Return float64 [L, L]: 1 − JSD(P, Q) of the languages' sub-word distributions, in [0, 1].

    JSD is the Jensen–Shannon divergence in bits: 0 for the same distribution, 1 for disjoint ones. A pair takes
    memory for the sub-words of the two, not for the vocabulary.

    Source:
        The baseline LEX of Yun et al. (2023), section 4; the divergence: Lin (1991).
    """
    from scipy.spatial.distance import jensenshannon

    found = list(languages.values())
    values = np.eye(len(found))
    for row, one in enumerate(found):
        for column, other in enumerate(found[:row]):
            pieces = np.union1d(one.pieces, other.pieces)
            pair = np.zeros((2, len(pieces)))
            for side, language in zip(pair, (one, other), strict=True):
                side[np.searchsorted(pieces, language.pieces)] = language.counts / language.counts.sum()
            values[row, column] = values[column, row] = 1.0 - jensenshannon(*pair, base=2) ** 2
    return values
