"""Baselines `emb` and `grad-cosine`: cosines of the mean states, or of the mean gradients, of languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.types import Reals

#: Largest number of float64 values in memory: 32 MiB.
BLOCK: Final = 1 << 22


def embedding_cosine(languages: Mapping[str, Reals], *, centre: bool = False) -> Reals:
    """Return float64 [L, L]: the cosine of the languages' vectors, in [−1, 1].

    The vector of a language is the mean over its examples of the mean state of the example's tokens.

    Args:
        languages: {code: float64 [D]}.
        centre: Subtract the mean of all vectors first. Without centring, the vectors share a large component and all
            cosines are close to 1. With centring, each value depends on all languages.

    Raises:
        UsageError: Fewer than three vectors are to be centred; the cosine of two centred vectors is always −1.

    Source:
        The baseline EMB of Yun et al. (2023), section 4. Centring: Libovický et al. (2020).
    """
    from scipy.spatial.distance import cdist

    vectors = np.stack([np.asarray(vector, np.float64) for vector in languages.values()])
    if centre:
        if len(vectors) < 3:
            raise UsageError(f"{len(vectors)} language vectors cannot be centred.", "give at least three languages.")
        vectors = vectors - vectors.mean(axis=0)
    cosine: Reals = np.clip(1.0 - cdist(vectors, vectors, "cosine"), -1.0, 1.0)
    return cosine


class GradientFile:
    """Mean gradients of several languages in a temporary file, one row for each language.

    Args:
        path: A file that does not exist yet.
        languages: Number of rows.
        size: P, the number of parameters.
    """

    def __init__(self, path: Path, languages: int, size: int) -> None:
        self._path = path
        # The file is sparse if the file system supports it, so that the row of a language that fails needs no space.
        self._values: NDArray[np.float32] = np.memmap(path, np.float32, "w+", shape=(max(1, languages), max(1, size)))
        self._rows: dict[str, int] = {}

    def add(self, language: str, tensors: Sequence[NDArray[np.floating]]) -> None:
        """Store the gradient of a language.

        Args:
            language: A code.
            tensors: The gradient of each tensor of θ in order, of any shape; together P values.
        """
        row = self._values[len(self._rows)]
        start = 0
        for tensor in tensors:
            row[start : start + tensor.size] = tensor.ravel()
            start += tensor.size
        if start != len(row):
            raise ValueError(f"a gradient of {start} values does not fill a row of {len(row)}")
        self._rows[language] = len(self._rows)

    def written(self) -> Path:
        """Write everything to the file and return its path, for :meth:`add_file` of another object."""
        self._values.flush()  # type: ignore[attr-defined]
        return self._path

    def add_file(self, language: str, path: Path) -> None:
        """Copy the gradient of a language from the file of another object, which has one row."""
        self.add(language, [np.memmap(path, np.float32, "r")])

    def lines(self, languages: Sequence[str]) -> tuple[NDArray[np.float32], ...]:
        """Return the gradients of some languages, each float32 [P], mapped from the file."""
        return tuple(self._values[self._rows[language]] for language in languages)


def gradient_cosine(lines: Sequence[NDArray[np.floating]], *, block: int = BLOCK) -> Reals:
    """Return float64 [L, L]: the cosine of gradients, in [−1, 1]; NaN for a gradient of zeros.

    Products are summed in float64 over blocks of parameters, so that at most `block` values are in memory.

    Args:
        lines: L vectors of the same length.
        block: Number of values of all vectors together in a block.
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
