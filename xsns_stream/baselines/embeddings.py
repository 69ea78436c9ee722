"""emb: cosine of language vectors."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import numpy as np

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
