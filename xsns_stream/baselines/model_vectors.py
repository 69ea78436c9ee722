"""Baselines that compare one vector of each language: its mean state (`emb`) or its mean gradient (`grad-cosine`)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.types import Reals


def embedding_cosine(languages: Mapping[str, Reals], *, centre: bool = False) -> Reals:
    """Return float64 [L, L]: the cosine of the languages' vectors, in [−1, 1].

    A language vector is the mean over examples of the mean state of the example's tokens.

    Args:
        languages: float64 [D] each.
        centre: Take the mean of all vectors off first: raw vectors share a large part, and their cosines sit near 1.
            What comes out then depends on which languages are there.

    Raises:
        UsageError: Fewer than three languages are to be centred, whose cosines would be −1 whatever their vectors are.

    Source:
        The baseline EMB of Yun et al. (2023), section 4. Centring: Libovický et al. (2020).
    """
    from scipy.spatial.distance import cdist

    vectors = np.stack([np.asarray(vector, np.float64) for vector in languages.values()])
    if centre:
        if len(vectors) < 3:
            raise UsageError(f"{len(vectors)} language vectors cannot be centred.", "give three languages or more.")
        vectors = vectors - vectors.mean(axis=0)
    cosine: Reals = np.clip(1.0 - cdist(vectors, vectors, "cosine"), -1.0, 1.0)
    return cosine


#: Values of a block in float64; 32 MiB.
BLOCK: Final = 1 << 22


class GradientFile:
    """Mean gradients of several languages, a line each, in a temporary file.

    Args:
        path: A file that is not there yet.
        languages: How many lines to make room for.
        size: P, the number of parameters.
    """

    def __init__(self, path: Path, languages: int, size: int) -> None:
        # Sparse where the file system has it: a language that fails leaves its line empty.
        self._lines: NDArray[np.float32] = np.memmap(path, np.float32, "w+", shape=(max(1, languages), max(1, size)))
        self._rows: dict[str, int] = {}

    def add(self, language: str, tensors: Sequence[NDArray[np.floating]]) -> None:
        """Keep a language's gradient: the tensors of θ in their order, any shapes, together P values."""
        line = self._lines[len(self._rows)]
        at = 0
        for tensor in tensors:
            line[at : at + tensor.size] = tensor.ravel()
            at += tensor.size
        if at != len(line):
            raise ValueError(f"a gradient of {at} values does not fill a line of {len(line)}")
        self._rows[language] = len(self._rows)

    def lines(self, languages: Sequence[str]) -> tuple[NDArray[np.float32], ...]:
        """Return the lines of some languages, each float32 [P] in the file."""
        return tuple(self._lines[self._rows[language]] for language in languages)


def gradient_cosine(lines: Sequence[NDArray[np.floating]], *, block: int = BLOCK) -> Reals:
    """Return float64 [L, L]: the cosine of gradients, in [−1, 1]; NaN beside one that is zero throughout.

    Products are summed in float64, a block of parameters at a time, so that no more than `block` values of the file
    are in memory.

    Args:
        lines: L vectors of the same length.
        block: Values of all lines together that are read at a time.
    """
    size = len(lines[0])
    width = max(1, block // len(lines))
    gram = np.zeros((len(lines), len(lines)))
    for start in range(0, size, width):
        part = np.stack([np.asarray(line[start : start + width], np.float64) for line in lines])
        gram += part @ part.T
    norms = np.sqrt(np.diag(gram))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine: Reals = np.clip(gram / norms[:, None] / norms[None, :], -1.0, 1.0)
    return cosine
