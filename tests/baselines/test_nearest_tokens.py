"""Exact search for nearest tokens in blocks (`nn-rank`), compared with a full sort and with scikit-learn."""

import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.neighbors import NearestNeighbors

from xsns_stream.baselines.nearest_tokens import TokenStates, neighbour_shares
from xsns_stream.errors import ModelError, UsageError

CODES = ("sw", "zu", "fi")


def by_sorting(states: dict, sources: tuple, targets: tuple, k: int) -> np.ndarray:
    """Shares of neighbours, from a stable sort of the products of each target token with all other tokens."""
    shares = np.full((len(sources), len(targets)), np.nan)
    for column, target in enumerate(targets):
        pool = [(row, state) for row, source in enumerate(sources) if source != target for state in states[source]]
        if not pool:
            continue
        owned = np.zeros(len(sources))
        for token in states[target]:
            products = np.array([np.dot(token, state) for _, state in pool])
            for index in np.argsort(-products, kind="stable")[:k]:
                owned[pool[index][0]] += 1
        shares[:, column] = owned / owned.sum()
        if target in sources:
            shares[sources.index(target), column] = np.nan
    return shares


@st.composite
def integer_states(draw: st.DrawFn) -> dict[str, np.ndarray]:
    """States of small integers, whose products are exact and often equal, so that the order of ties is tested."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return {code: rng.integers(-2, 3, (draw(st.integers(1, 12)), 3)).astype(np.float32) for code in CODES}


@given(integer_states(), st.integers(1, 9), st.integers(1, 7), st.integers(1, 7))
def test_blocks_of_any_size_equal_a_full_sort(states: dict[str, np.ndarray], k: int, rows: int, columns: int) -> None:
    shares = neighbour_shares(states, CODES, CODES, k=k, rows=rows, columns=columns)
    np.testing.assert_array_equal(shares, by_sorting(states, CODES, CODES, k))


@given(integer_states(), st.integers(1, 5))
def test_sources_and_targets_may_differ(states: dict[str, np.ndarray], k: int) -> None:
    shares = neighbour_shares(states, ("zu", "fi"), ("sw", "zu"), k=k, rows=2, columns=3)
    np.testing.assert_array_equal(shares, by_sorting(states, ("zu", "fi"), ("sw", "zu"), k))


def test_neighbours_of_unit_vectors_equal_scikit_learn() -> None:
    """For vectors of length 1, the token with the largest product is the nearest token."""
    rng = np.random.default_rng(11)
    states = {code: rng.normal(size=(40, 8)) for code in CODES}
    states = {code: one / np.linalg.norm(one, axis=1, keepdims=True) for code, one in states.items()}
    shares = neighbour_shares(states, CODES, CODES, k=5, rows=16, columns=16)
    for column, target in enumerate(CODES):
        others = [code for code in CODES if code != target]
        index = NearestNeighbors(n_neighbors=5, algorithm="brute").fit(np.concatenate([states[c] for c in others]))
        neighbours = index.kneighbors(states[target], return_distance=False)
        for n, other in enumerate(others):
            assert shares[CODES.index(other), column] == pytest.approx((neighbours // 40 == n).mean())


def test_shares_do_not_depend_on_the_order_of_languages() -> None:
    rng = np.random.default_rng(2)
    states = {code: rng.normal(size=(30, 6)).astype(np.float32) for code in CODES}
    one = neighbour_shares(states, CODES, CODES)
    reversed_shares = neighbour_shares(states, CODES[::-1], CODES[::-1])
    np.testing.assert_array_equal(one, reversed_shares[::-1, ::-1])
    np.testing.assert_allclose(np.nansum(one, axis=0), 1)


def test_target_without_another_source_is_undefined() -> None:
    states = {"sw": np.ones((2, 2), np.float32), "zu": np.ones((2, 2), np.float32)}
    shares = neighbour_shares(states, ("sw",), ("sw", "zu"))
    assert np.isnan(shares[:, 0]).all()
    assert shares[:, 1].tolist() == [1]


def test_memory_is_bounded_by_a_block(tmp_path: Path) -> None:
    """With 8 MiB of states and blocks of 64 × 512, the allocated memory does not grow with the states."""
    rng = np.random.default_rng(9)
    token_states = TokenStates(tmp_path / "states", 64)
    for code in ("sw", "zu"):
        token_states.add(code, rng.normal(size=(16_384, 64)).astype(np.float32))
    states = token_states.states(("sw", "zu"))
    few = {"sw": states["sw"], "zu": states["zu"][:512]}
    tracemalloc.start()
    try:
        neighbour_shares(few, ("sw",), ("zu",), rows=64, columns=512)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 12 * 64 * 512 * 4 + (1 << 20) < states["sw"].nbytes


def test_number_of_neighbours_must_be_positive() -> None:
    with pytest.raises(UsageError, match="at least 1, not 0"):
        neighbour_shares({}, (), (), k=0)


def test_progress_counts_target_tokens() -> None:
    states = {code: np.ones((5, 2), np.float32) for code in CODES}
    progress: list[tuple[int, int]] = []
    neighbour_shares(states, CODES, CODES[:2], rows=3, on_progress=lambda done, total: progress.append((done, total)))
    assert progress == [(3, 10), (5, 10), (8, 10), (10, 10)]


@pytest.mark.parametrize("dtype", ["float32", "float16"])
def test_states_are_read_back_from_the_file(tmp_path: Path, dtype: str) -> None:
    rng = np.random.default_rng(4)
    parts = {code: rng.normal(size=(n + 2, 4)).astype(np.float32) for n, code in enumerate(CODES)}
    token_states = TokenStates(tmp_path / "states", 4, dtype)
    for code in ("fi", "sw"):
        token_states.add(code, parts[code][:1])
        token_states.add(code, parts[code][1:])
    states_read = token_states.states(CODES)
    assert list(states_read) == ["sw", "fi"]
    for code, states in states_read.items():
        np.testing.assert_array_equal(states, parts[code].astype(dtype))
    assert (tmp_path / "states").stat().st_size == 6 * 4 * np.dtype(dtype).itemsize
    assert isinstance(states_read["sw"], np.memmap)


def test_a_file_without_states_gives_no_language(tmp_path: Path) -> None:
    token_states = TokenStates(tmp_path / "states", 4)
    assert token_states.states(CODES) == {}


@pytest.mark.parametrize(
    ("value", "dtype", "message"),
    [
        (1e6, "float16", "is outside the range of float16"),
        (np.nan, "float32", "is not finite."),
        (np.inf, "float16", "is not finite."),
    ],
)
def test_states_that_are_not_finite_are_errors(tmp_path: Path, value: float, dtype: str, message: str) -> None:
    token_states = TokenStates(tmp_path / "states", 2, dtype)
    with pytest.raises(ModelError, match=message):
        token_states.add("sw", np.array([[1, value]], np.float32))
    token_states.close()


def test_unknown_type_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be stored as 'int8'"):
        TokenStates(tmp_path / "states", 2, "int8")
