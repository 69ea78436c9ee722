"""Baselines `emb` and `grad-cosine`: cosines between the mean states, or the mean gradients, of languages."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import UsageError
from xsns_stream.io.scratch_files import map_for_writing, reserve

if TYPE_CHECKING:
    from xsns_stream.types import Reals

#: Largest number of float64 values in memory: 32 MiB.
BLOCK: Final = 1 << 22


def embedding_cosine(languages: Mapping[str, Reals], *, centre: bool = False) -> Reals:
    """Return float64 [L, L]: the cosine similarity of each pair of languages' vectors, in [−1, 1].

    The token states of each example are averaged, and these means are averaged over the examples of a language. The
    result is the vector of the language.

    Args:
        languages: {code: float64 [D], the vector of the language}.
        centre: Whether to subtract the mean of all vectors first. Without centring, the vectors have a large common
            component, and all cosines are close to 1. With centring, each value depends on all languages.

    Raises:
        UsageError: `centre` is set for fewer than three vectors. The cosine of two centred vectors is always −1.

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
        languages: Number of languages, which is the number of rows.
        size: P, the number of parameters, which is the length of a row.
    """

    def __init__(self, path: Path, languages: int, size: int) -> None:
        self._path = path
        # The file is sparse if the file system supports it. The row of a language that fails then needs no space.
        self._values: NDArray[np.float32] = map_for_writing(path, np.float32, (max(1, languages), max(1, size)))
        self._rows: dict[str, int] = {}

    def add(self, language: str, tensors: Sequence[NDArray[np.floating]]) -> None:
        """Store the gradient of a language.

        Args:
            language: A code.
            tensors: The gradient of each parameter tensor of θ, in the order of θ. Each array may have any shape; all
                arrays together have P values.

        Raises:
            XsnsError: The disk is full.
        """
        row = self._values[len(self._rows)]
        reserve(self._path, len(self._rows) * row.nbytes, row.nbytes)
        start = 0
        for tensor in tensors:
            row[start : start + tensor.size] = tensor.ravel()
            start += tensor.size
        if start != len(row):
            raise ValueError(f"a gradient of {start} values does not fill a row of {len(row)}")
        self._rows[language] = len(self._rows)

    def written(self) -> Path:
        """Flush all rows to the file and return its path.

        :meth:`add_file` of another object can copy a gradient from this path.
        """
        self._values.flush()  # type: ignore[attr-defined]
        return self._path

    def add_file(self, language: str, path: Path) -> None:
        """Copy the gradient of a language from the file of another :class:`GradientFile` that has only one row."""
        self.add(language, [np.memmap(path, np.float32, "r")])

    def gradients(self, languages: Sequence[str]) -> tuple[NDArray[np.float32], ...]:
        """Return the gradients of some languages as memory-mapped rows of the file, each float32 [P]."""
        return tuple(self._values[self._rows[language]] for language in languages)


def gradient_cosine(gradients: Sequence[NDArray[np.floating]], *, block: int = BLOCK) -> Reals:
    """Return float64 [L, L]: the cosine similarity of each pair of gradients, in [−1, 1].

    A value is NaN if one of the gradients has only zeros. Inner products are summed in float64 over blocks of
    parameters. Only one block of all gradients is in memory at a time.

    Args:
        gradients: L gradients, each float [P].
        block: Number of values in a block, counted over all gradients together.
    """
    size = len(gradients[0])
    width = max(1, block // len(gradients))
    gram = np.zeros((len(gradients), len(gradients)))
    for start in range(0, size, width):
        part = np.stack([np.asarray(gradient[start : start + width], np.float64) for gradient in gradients])
        gram += part @ part.T
    norms = np.sqrt(np.diag(gram))
    with np.errstate(invalid="ignore", divide="ignore"):
        cosine: Reals = np.clip(gram / norms[:, None] / norms[None, :], -1.0, 1.0)
    return cosine
