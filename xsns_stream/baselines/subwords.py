"""Baselines `lex` and `sue`, which compare the sub-words of texts.

`lex` compares the frequencies of a model's sub-words in two languages. `sue` measures how evenly the words of a
language are split into sub-words. It is experimental, because the published definition can be interpreted in several
ways.
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
class TokenCounts:
    """Token frequencies in the sample of a language, without tokens that do not occur.

    Attributes:
        tokens: int64 [U], token ids in ascending order.
        counts: int64 [U], each at least 1.
    """

    tokens: Counts
    counts: Counts


def count_tokens(examples: Iterable[Counts], special: Counts) -> TokenCounts:
    """Count the tokens of encoded examples.

    Args:
        examples: int64 token ids of each example, [T].
        special: Ids of tokens without information about a language (beginning, end, padding, unknown), which are not
            counted.

    Raises:
        CorpusError: No token is left to count.
    """
    ids = np.concatenate([np.empty(0, np.int64), *examples])
    tokens, counts = np.unique(ids[~np.isin(ids, special)], return_counts=True)
    if not len(tokens):
        raise CorpusError("there are no tokens to count.", "no word of this text is in the tokenizer's vocabulary.")
    return TokenCounts(tokens, counts.astype(np.int64))


def lexical_overlap(languages: Mapping[str, TokenCounts]) -> Reals:
    """Return float64 [L, L]: 1 − JSD(P, Q) of the languages' token distributions, in [0, 1].

    JSD is the Jensen–Shannon divergence in bits: 0 for equal distributions, 1 for disjoint ones. Memory use depends on
    the tokens of two languages, not on the size of the vocabulary.

    Source:
        The baseline LEX of Yun et al. (2023), section 4; the divergence: Lin (1991).
    """
    from scipy.spatial.distance import jensenshannon

    counted = list(languages.values())
    values = np.eye(len(counted))
    for row, one in enumerate(counted):
        for column, other in enumerate(counted[:row]):
            tokens = np.union1d(one.tokens, other.tokens)
            pair = np.zeros((2, len(tokens)))
            for distribution, language in zip(pair, (one, other), strict=True):
                distribution[np.searchsorted(tokens, language.tokens)] = language.counts / language.counts.sum()
            values[row, column] = values[column, row] = 1.0 - jensenshannon(*pair, base=2) ** 2
    return values


#: Default number of merges of the byte-pair encoding of a language.
MERGES: Final = 200
#: Number of bands of the point density; the cloud is the region above the lowest band.
BANDS: Final = 3
#: Points of the density grid along each axis.
GRID: Final = 128


def words_of(texts: Iterable[str | Sequence[str]]) -> dict[str, int]:
    """Return the number of occurrences of each word in texts.

    A text is either a sequence of words or a string, which is split at white space and punctuation. Words without a
    letter are not counted. In scripts without spaces, a whole phrase of a string counts as one word.
    """
    from tokenizers.pre_tokenizers import Whitespace

    split = Whitespace()
    counts: dict[str, int] = {}
    for text in texts:
        words = [word for word, _ in split.pre_tokenize_str(text)] if isinstance(text, str) else text
        for word in words:
            if any(character.isalpha() for character in word):
                counts[word] = counts.get(word, 0) + 1
    return counts


def segments_of(words: Mapping[str, int], merges: int = MERGES) -> dict[str, tuple[int, ...]]:
    """Return {word: lengths of its sub-words in characters}, by a byte-pair encoding trained on these words.

    Args:
        words: {word: number of occurrences}.
        merges: Maximum number of merges.

    Raises:
        UsageError: `merges` is below 1.
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
    encoded = encoding.encode_batch(sorted(words))
    return {
        word: tuple(stop - start for start, stop in segments.offsets)
        for word, segments in zip(sorted(words), encoded, strict=True)
    }


def evenness(lengths: Iterable[Sequence[int]]) -> float:
    """Return the sub-word evenness SuE in degrees: 180 − |arctan 1| − |arctan k|, in [45, 135].

    Each word of at least two sub-words is a point. Its x is the length of the word in characters. Its y is the
    unevenness of the word: the length of its longest sub-word minus the length of its shortest one. Unevenness is at
    most length − 2, a line of slope 1, which is the left side of a triangle around the cloud of points. The right side
    falls from the highest point of the cloud to its rightmost point, with slope k. The cloud is the region where the
    density of the points is at least one third of its maximum. The density is estimated with a Gaussian kernel with a
    standard deviation of one character, on a grid over the range of the points.

    Args:
        lengths: Sub-word lengths of each distinct word.

    Returns:
        NaN if there is no cloud: fewer than three distinct points, or all points on one line.

    Source:
        Pelloni et al. (EMNLP 2022). They use the middle one of three bands of a density plot of R, whose bandwidth
        decreases with the number of words until the plot shows the grid of integers. The values of this function follow
        the same idea, but may differ from theirs.
    """
    points = [(sum(word), max(word) - min(word)) for word in lengths if len(word) >= 2]
    if not points:
        return math.nan
    distinct, counts = np.unique(np.array(points, np.float64), axis=0, return_counts=True)
    if np.linalg.matrix_rank(distinct - distinct[0]) < 2:
        return math.nan
    cloud = _dense_region(distinct, counts)
    (top_x, top), (right, right_y) = _extreme(cloud, 1), _extreme(cloud, 0)
    return 180.0 - 45.0 - math.degrees(math.atan2(top - right_y, right - top_x))


def _dense_region(points: Reals, counts: NDArray[np.int64]) -> Reals:
    """Return float64 [N, 2]: the grid points that belong to the cloud."""
    axes = [np.linspace(low, high, GRID) for low, high in zip(points.min(axis=0), points.max(axis=0), strict=True)]
    along = [np.exp(-((axis[:, None] - points[:, n]) ** 2) / 2) for n, axis in enumerate(axes)]
    density = (along[0] * counts) @ along[1].T
    column, row = np.nonzero(density >= density.max() / BANDS)
    return np.stack([axes[0][column], axes[1][row]], axis=1)


def _extreme(cloud: Reals, axis: int) -> tuple[float, float]:
    """Return the point with the largest coordinate on an axis, or the mean of several points."""
    x, y = cloud[cloud[:, axis] == cloud[:, axis].max()].mean(axis=0).tolist()
    return x, y


def evenness_matrix(languages: Mapping[str, float]) -> Reals:
    """Return float64 [L, L]: the negated SuE of each source in degrees, which is the same for every target.

    A source with a low SuE is predicted to transfer best.
    """
    values = -np.array(list(languages.values()), np.float64)
    return np.repeat(values[:, None], len(values), axis=1)
