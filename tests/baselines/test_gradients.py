"""Mean gradients in a file and their cosine, block by block (`grad-cosine`)."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics.pairwise import cosine_similarity

from xsns_stream.baselines.model_vectors import GradientFile, gradient_cosine

LANGUAGES = ("sw", "zu", "fi")


@pytest.fixture
def gradients() -> dict[str, list[np.ndarray]]:
    rng = np.random.default_rng(5)
    return {
        code: [rng.normal(size=(4, 3)).astype(np.float32), rng.normal(size=7).astype(np.float32)] for code in LANGUAGES
    }


def flat(tensors: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([tensor.ravel() for tensor in tensors])


def test_file_returns_the_added_gradients(tmp_path: Path, gradients: dict[str, list[np.ndarray]]) -> None:
    file = GradientFile(tmp_path / "gradients", 3, 19)
    for code in ("zu", "sw", "fi"):
        file.add(code, gradients[code])
    for code, line in zip(LANGUAGES, file.gradients(LANGUAGES), strict=True):
        np.testing.assert_array_equal(line, flat(gradients[code]))
    assert (tmp_path / "gradients").stat().st_size == 3 * 19 * 4


def test_gradient_of_another_size_is_a_value_error(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="18 values does not fill a row of 19"):
        GradientFile(tmp_path / "gradients", 1, 19).add("sw", [np.ones(18, np.float32)])


@given(st.integers(1, 80))
def test_blocks_give_the_cosine_of_scikit_learn(block: int) -> None:
    lines = np.random.default_rng(1).normal(size=(4, 23)).astype(np.float32)
    expected = cosine_similarity(lines.astype(np.float64))
    np.testing.assert_allclose(gradient_cosine(list(lines), block=block), expected, atol=1e-12)


def test_zero_gradient_has_no_cosine() -> None:
    values = gradient_cosine([np.zeros(4, np.float32), np.ones(4, np.float32)])
    assert np.isnan(values[0]).all()
    assert values[1, 1] == 1


def test_sums_are_computed_in_float64() -> None:
    """In float32 the small products would be lost beside the large one."""
    one = np.full(1 << 16, 1e-3, np.float32)
    two = one.copy()
    two[0] = 1e3
    norms = np.linalg.norm(one.astype(np.float64)), np.linalg.norm(two.astype(np.float64))
    expected = float(one.astype(np.float64) @ two.astype(np.float64)) / norms[0] / norms[1]
    assert gradient_cosine([one, two], block=64)[0, 1] == pytest.approx(expected, rel=1e-12)


def test_memory_is_bounded_by_a_block(tmp_path: Path) -> None:
    file = GradientFile(tmp_path / "gradients", 2, 1 << 20)
    for code in ("sw", "zu"):
        file.add(code, [np.random.default_rng(1).normal(size=1 << 20).astype(np.float32)])
    lines = file.gradients(("sw", "zu"))
    tracemalloc.start()
    try:
        assert gradient_cosine(lines, block=1 << 14)[0, 1] == pytest.approx(1)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 4 * 8 * (1 << 14) + (1 << 20) < lines[0].nbytes
