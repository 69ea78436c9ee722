from contextlib import contextmanager

import numpy as np
import pytest

from xsns_kernels import ArrayColumns
from xsns_stream.types import LayerSpan, ParameterLayout


class MemoryRows:
    """Packed rows in memory, with the methods of a store that a comparison needs."""

    def __init__(self, rows, layout):
        self.packed, self.layout = rows, layout
        self.seeds, self.densities = (0,), (0.15,)

    def languages_at(self, seed, density):
        return tuple(sorted(self.packed))

    def cardinalities(self, languages, seed, density):
        return np.array([np.bitwise_count(self.packed[code]).sum() for code in languages], np.int64)

    @contextmanager
    def columns(self, languages, seed, density):
        yield ArrayColumns(np.stack([self.packed[code] for code in languages]))


@pytest.fixture(scope="session")
def memory_rows():
    """Make a source of rows."""
    return MemoryRows


@pytest.fixture(scope="session")
def two_layers():
    """A layout of two different layers, whose tensors end within words."""
    sizes = {
        "model.layers.0.attention.query.weight": 100,
        "model.layers.0.attention.query.bias": 7,
        "model.layers.0.scale": 3,
        "model.layers.1.attention.query.weight": 90,
        "model.layers.1.weight": 50,
    }
    layers = (LayerSpan("model.layers.0", 0, 110), LayerSpan("model.layers.1", 110, 250))
    return ParameterLayout(tuple(sizes), tuple((size,) for size in sizes.values()), layers)


@pytest.fixture(scope="session")
def random_rows():
    """Make rows of random bits, a quarter of them set, with no pad bit."""

    def make(codes, size, seed=0):
        rng = np.random.default_rng(seed)
        draws = rng.integers(0, 2**64, (2, len(codes), -(-size // 64)), np.uint64)
        rows = draws[0] & draws[1]
        if size % 64:
            rows[:, -1] &= np.uint64((1 << size % 64) - 1)
        return dict(zip(codes, rows, strict=True))

    return make
