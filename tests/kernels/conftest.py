"""Slow expected values and random arrays for the kernel tests; nothing here uses the package under test."""

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest


def _count_pairs(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    # Each product is 0 or 1, and each sum is far below 2**53, so that float64 is exact.
    left, right = (
        np.unpackbits(np.ascontiguousarray(side, "<u8").view(np.uint8), axis=1).astype(np.float64) for side in (a, b)
    )
    return (left @ right.T).astype(np.int64)


def _select(arrays: list[np.ndarray], threshold: float) -> list[int]:
    values = [float(value) for array in arrays for value in array.ravel()]
    return [index for index, value in enumerate(values) if value >= threshold and value > 0]


@pytest.fixture
def count_pairs() -> Callable[..., np.ndarray]:
    """A function that returns the numbers of common bits, int64 [A, B], by a matrix product of unpacked bits."""
    return _count_pairs


@pytest.fixture
def select() -> Callable[..., list[int]]:
    """A function that returns the indices of values that reach a threshold, by a Python loop."""
    return _select


@pytest.fixture
def random_words() -> Callable[..., np.ndarray]:
    """A function that returns a random uint64 array of a shape; the shape is the seed."""

    def draw(*shape: int) -> np.ndarray:
        return np.random.default_rng(shape).integers(0, 2**64, shape, dtype=np.uint64)

    return draw


@pytest.fixture
def random_values() -> Callable[..., np.ndarray]:
    """A function that returns non-negative floats over many binades, with zeros and ties; the size is the seed."""

    def draw(size: int, dtype: Any = np.float32) -> np.ndarray:
        rng = np.random.default_rng(size)
        values = rng.standard_normal(size) ** 2 * 10.0 ** rng.integers(-30, 10, size)
        values[rng.random(size) < 0.125] = 0.0
        return np.concatenate([values[: size // 2], values[: size - size // 2]]).astype(dtype)[:size]

    return draw
