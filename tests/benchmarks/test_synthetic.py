"""Synthetic rows of the benchmarks: reproducible, made from any word on, and with the overlaps of real rows."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest

from tests.support.paths import BENCHMARKS
from xsns_stream.store import open_store


@pytest.fixture(scope="module")
def synthetic() -> ModuleType:
    """The program `synthetic.py`, loaded as a module."""
    spec = importlib.util.spec_from_file_location("synthetic", BENCHMARKS / "synthetic.py")
    assert spec is not None
    assert spec.loader is not None
    sys.modules["synthetic"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("size", [768, 12 * 640, 10_000, 123_457])
def test_a_row_depends_on_seed_language_and_word_alone(synthetic: ModuleType, size: int) -> None:
    row = synthetic.row_words(size, 5, seed=3)
    assert (row.dtype, row.shape) == (np.uint64, (-(-size // 64),))
    assert np.array_equal(row, list(synthetic.rows(6, size, 3))[5])
    middle = len(row) // 3
    parts = [synthetic.row_words(size, 5, 3, 0, middle), synthetic.row_words(size, 5, 3, middle)]
    assert np.array_equal(row, np.concatenate(parts))
    assert not np.array_equal(row, synthetic.row_words(size, 5, seed=4))
    assert not np.array_equal(row, synthetic.row_words(size, 4, seed=3))
    assert size % 64 == 0 or int(row[-1]) >> size % 64 == 0


def test_rows_overlap_as_those_of_the_real_store(synthetic: ModuleType) -> None:
    """The overlaps of languages drawn from 235 are those in the docstring of the program."""
    size, languages = 768 * 4096, 36
    counts = np.zeros(size, np.int32)
    for language in np.random.default_rng(0).permutation(235)[:languages].tolist():
        row = synthetic.row_words(size, language)
        counts += np.unpackbits(row.view(np.uint8), bitorder="little")[:size]
    assert counts.mean() / languages == pytest.approx(0.15, abs=0.01)
    assert (counts > 0).mean() == pytest.approx(0.424, abs=0.02)
    assert 0.02 < (counts == languages).mean() < 0.05

    rows = list(synthetic.rows(synthetic.FAMILY + 1, size))

    def jaccard(one: np.ndarray, other: np.ndarray) -> float:
        return float(np.bitwise_count(one & other).sum() / np.bitwise_count(one | other).sum())

    strangers, relatives = jaccard(rows[0], rows[synthetic.FAMILY]), jaccard(rows[0], rows[1])
    assert 0.4 < strangers < relatives - 0.05
    # Layers differ in their shares, as in a model.
    parts = counts.reshape(4, -1).mean(axis=1) / languages
    assert parts.max() > 2.5 * parts.min()


def test_missing_rows_of_a_store_are_written(synthetic: ModuleType, tmp_path: Path) -> None:
    synthetic.write_store(tmp_path / "x.zarr", 2, 12 * 640)
    store = synthetic.write_store(tmp_path / "x.zarr", 4, 12 * 640)
    assert store.languages == ("aaa", "aab", "aac", "aad")
    assert open_store(tmp_path / "x.zarr").verify() == []
    for number, language in enumerate(store.languages):
        assert np.array_equal(store[language].bits, synthetic.row_words(12 * 640, number))


def test_codes_are_distinct(synthetic: ModuleType) -> None:
    assert len({synthetic.code(number) for number in range(7000)}) == 7000


def test_invalid_sizes_are_refused(synthetic: ModuleType) -> None:
    with pytest.raises(ValueError, match="need at least 768 parameters, not 700"):
        synthetic.layout(700)
    with pytest.raises(ValueError, match="words 3 up to 13 are not within a row of 12"):
        synthetic.row_words(768, 0, start=3, stop=13)
