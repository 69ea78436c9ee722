"""Baselines that compare the sub-words of texts: `lex` and `sue`.

`lex` compares how often a model's sub-words stand in two languages. `sue` measures how evenly a language's words are
split into sub-words; it is experimental, because the published definition can be read in several ways.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import CorpusError, UsageError

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


#: Merges of a language's byte-pair encoding.
MERGES: Final = 200
#: Bands into which the density of the cloud is cut; the triangle stands round all but the lowest.
BANDS: Final = 3
#: Points of the density's grid along each side.
GRID: Final = 128


def words_of(texts: Iterable[str | Sequence[str]]) -> dict[str, int]:
    """Count the words of texts: those given, or what stands between white space and punctuation; with a letter.

    Text of scripts without spaces is one word a phrase, unless it is given as words.
    """
    from tokenizers.pre_tokenizers import Whitespace

    split = Whitespace()
    counts: dict[str, int] = {}
    for text in texts:
        parts = [part for part, _ in split.pre_tokenize_str(text)] if isinstance(text, str) else text
        for word in parts:
            if any(character.isalpha() for character in word):
                counts[word] = counts.get(word, 0) + 1
    return counts


def segments_of(words: Mapping[str, int], merges: int = MERGES) -> dict[str, tuple[int, ...]]:
    """Return word → lengths of its sub-words in characters, by a byte-pair encoding learnt from these words.

    Args:
        words: Word → how often it stands there.
        merges: Pairs that are merged, at most.
    """
    from tokenizers import Tokenizer
    from tokenizers.models import BPE
    from tokenizers.trainers import BpeTrainer

    if merges < 1:
        raise UsageError(f"the number of merges must be at least 1, not {merges}.")
    alphabet = sorted({character for word in words for character in word})
    encoding = Tokenizer(BPE())
    trainer = BpeTrainer(
        vocab_size=len(alphabet) + merges, min_frequency=2, initial_alphabet=alphabet, show_progress=False
    )
    encoding.train_from_iterator((word for word, count in sorted(words.items()) for _ in range(count)), trainer)
    cut = encoding.encode_batch(sorted(words))
    return {
        word: tuple(stop - start for start, stop in found.offsets)
        for word, found in zip(sorted(words), cut, strict=True)
    }


def evenness(lengths: Iterable[Sequence[int]]) -> float:
    """Return SuE in degrees: 180 − |arctan 1| − |arctan k|, in [45, 135]; NaN where there is no cloud.

    Each word of two sub-words or more is a point: its length in characters, and its unevenness, the longest of its
    sub-words minus the shortest. Unevenness never exceeds length − 2, a line of slope 1: the left side of a triangle
    round the cloud. Its right side falls from the cloud's highest point to its rightmost, with slope k. The cloud is
    where the density of the points is at least a third of the highest; the density is that of a Gaussian kernel with a
    standard deviation of one character, on a grid over their range. No cloud: fewer than three different points, or
    all on one line.

    Args:
        lengths: Of the sub-words of each different word.

    Source:
        Pelloni et al. (EMNLP 2022). Theirs is the middle one of three bands of an R density plot, whose bandwidth
        shrinks with the number of words until it shows the lattice of whole numbers. Ours agrees in idea, and need not
        agree in value.
    """
    points = [(sum(word), max(word) - min(word)) for word in lengths if len(word) >= 2]
    if not points:
        return math.nan
    cells, counts = np.unique(np.array(points, np.float64), axis=0, return_counts=True)
    if np.linalg.matrix_rank(cells - cells[0]) < 2:
        return math.nan
    cloud = _dense(cells, counts)
    (top_x, top), (right, right_y) = _extreme(cloud, 1), _extreme(cloud, 0)
    return 180.0 - 45.0 - math.degrees(math.atan2(top - right_y, right - top_x))


def _dense(cells: Reals, counts: NDArray[np.int64]) -> Reals:
    """Return float64 [N, 2]: the points of the grid that belong to the cloud."""
    axes = [np.linspace(low, high, GRID) for low, high in zip(cells.min(axis=0), cells.max(axis=0), strict=True)]
    along = [np.exp(-((axis[:, None] - cells[:, n]) ** 2) / 2) for n, axis in enumerate(axes)]
    density = (along[0] * counts) @ along[1].T
    column, row = np.nonzero(density >= density.max() / BANDS)
    return np.stack([axes[0][column], axes[1][row]], axis=1)


def _extreme(cloud: Reals, axis: int) -> tuple[float, float]:
    """Return the point that lies farthest along an axis; the middle of several."""
    x, y = cloud[cloud[:, axis] == cloud[:, axis].max()].mean(axis=0).tolist()
    return x, y


def evenness_matrix(languages: Mapping[str, float]) -> Reals:
    """Return float64 [L, L]: minus the source's SuE in degrees, the same for every target: the lowest is best."""
    values = -np.array(list(languages.values()), np.float64)
    return np.repeat(values[:, None], len(values), axis=1)
