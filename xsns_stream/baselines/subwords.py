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
    """Number of occurrences of each token in the sample of a language; only tokens that occur are listed.

    Attributes:
        tokens: int64 [U]: the distinct token ids in ascending order.
        counts: int64 [U]: the number of occurrences of each token, at least 1.
    """

    tokens: Counts
    counts: Counts


def count_tokens(examples: Iterable[Counts], special: Counts) -> TokenCounts:
    """Count the tokens of encoded examples.

    Args:
        examples: The token ids of each example, int64 [T].
        special: Ids of the tokens that are not counted, because they say nothing about a language: beginning, end,
            padding and unknown.

    Raises:
        CorpusError: No token is left to count.
    """
    ids = np.concatenate([np.empty(0, np.int64), *examples])
    tokens, counts = np.unique(ids[~np.isin(ids, special)], return_counts=True)
    if not len(tokens):
        raise CorpusError("there are no tokens to count.", "no word of this text is in the tokenizer's vocabulary.")
    return TokenCounts(tokens, counts.astype(np.int64))


def lexical_overlap(languages: Mapping[str, TokenCounts]) -> Reals:
    """Return float64 [L, L]: the similarity 1 − JSD(P, Q) of each pair of languages, in [0, 1].

    P and Q are the token distributions of two languages. JSD is the Jensen–Shannon divergence in bits: 0 for equal
    distributions, and 1 for distributions without a common token. Memory use depends on the number of distinct tokens
    of two languages, not on the size of the vocabulary.

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
    """Return {word: number of its occurrences} in all texts.

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
    """Train a byte-pair encoding on words, and return {word: lengths of its sub-words in characters}.

    Args:
        words: {word: number of occurrences}.
        merges: Largest number of merges of the byte-pair encoding.

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

    Each word of at least two sub-words is a point (x, y). The coordinate x is the length of the word in characters, and
    y is the unevenness of the word: the length of its longest sub-word minus the length of its shortest sub-word. A
    triangle is drawn around the cloud of points. Its left side is the line y = x − 2, which has slope 1, because
    unevenness is at most x − 2. Its right side is the line from the highest point of the cloud down to its rightmost
    point, which has slope k. The cloud is the region where the density of the points is at least one third of its
    maximum. The density is estimated on a grid over the range of the points, by a Gaussian kernel whose standard
    deviation is one character.

    Args:
        lengths: For each distinct word, the lengths of its sub-words in characters.

    Returns:
        SuE in degrees; NaN if there are fewer than three distinct points, or all points are on one line.

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
    """Return the points of a grid at which the density of `points` is high: float64 [N, 2].

    `counts` has the number of words at each of the points.
    """
    axes = [np.linspace(low, high, GRID) for low, high in zip(points.min(axis=0), points.max(axis=0), strict=True)]
    along = [np.exp(-((axis[:, None] - points[:, n]) ** 2) / 2) for n, axis in enumerate(axes)]
    density = (along[0] * counts) @ along[1].T
    column, row = np.nonzero(density >= density.max() / BANDS)
    return np.stack([axes[0][column], axes[1][row]], axis=1)


def _extreme(cloud: Reals, axis: int) -> tuple[float, float]:
    """Return the point (x, y) of a cloud with the largest coordinate on an axis; the mean if several points have it."""
    x, y = cloud[cloud[:, axis] == cloud[:, axis].max()].mean(axis=0).tolist()
    return x, y


def evenness_matrix(languages: Mapping[str, float]) -> Reals:
    """Return float64 [L, L]: −SuE of each source in degrees, which is the same for every target.

    SuE is negated because sources with a low SuE are predicted to transfer best.
    """
    values = -np.array(list(languages.values()), np.float64)
    return np.repeat(values[:, None], len(values), axis=1)
