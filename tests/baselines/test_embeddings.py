"""Cosine of mean language vectors (`emb`), compared with scikit-learn."""

import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_similarity

from xsns_stream.baselines.model_vectors import embedding_cosine
from xsns_stream.errors import UsageError


@pytest.fixture
def vectors() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(3)
    return {code: rng.normal(5, 1, 16) for code in ("sw", "zu", "fi", "et")}


def test_cosine_equals_scikit_learn(vectors: dict[str, np.ndarray]) -> None:
    stacked = np.stack(list(vectors.values()))
    np.testing.assert_allclose(embedding_cosine(vectors), cosine_similarity(stacked), atol=1e-12)
    centred = embedding_cosine(vectors, centre=True)
    np.testing.assert_allclose(centred, cosine_similarity(stacked - stacked.mean(axis=0)), atol=1e-12)
    # All vectors share a large component: their cosines are near 1 before centring, and differ after it.
    assert embedding_cosine(vectors).min() > 0.9
    assert centred.min() < 0


def test_cosine_ignores_scale_and_centred_cosine_ignores_shift(vectors: dict[str, np.ndarray]) -> None:
    scaled = {code: vector * (2 + n) for n, (code, vector) in enumerate(vectors.items())}
    np.testing.assert_allclose(embedding_cosine(scaled), embedding_cosine(vectors), atol=1e-12)
    shifted = {code: vector + 7 for code, vector in vectors.items()}
    np.testing.assert_allclose(
        embedding_cosine(shifted, centre=True), embedding_cosine(vectors, centre=True), atol=1e-12
    )


def test_zero_vector_has_no_cosine() -> None:
    values = embedding_cosine({"a": np.zeros(3), "b": np.ones(3)})
    assert np.isnan(values[0, 1])
    assert values[1, 1] == pytest.approx(1)


def test_two_vectors_cannot_be_centred() -> None:
    with pytest.raises(UsageError, match="2 language vectors cannot be centred"):
        embedding_cosine({"a": np.ones(3), "b": np.arange(3.0)}, centre=True)
