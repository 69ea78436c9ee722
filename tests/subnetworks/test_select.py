"""Selection of the largest values, compared with sorting."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest
import torch

import xsns_kernels as kernels
from xsns_stream.errors import FisherError, UsageError
from xsns_stream.subnetworks import select as subnetwork
from xsns_stream.subnetworks.select import (
    QUANTILES,
    check_density,
    extract_subnetwork,
    extract_subnetworks,
    select_top,
    select_top_many,
)
from xsns_stream.types import DiagonalFisher, LayerSpan, ParameterLayout, Provenance

SHAPES = ((7, 5), (31,), (4, 3, 6), (1,), (64,))
SIZE = sum(math.prod(shape) for shape in SHAPES)


def fisher_of(values: np.ndarray, dtype: Any = np.float32, **fields: Any) -> DiagonalFisher:
    """Return Fisher values whose tensors are cut from flat values."""
    flat = np.asarray(values, dtype)
    sizes = [math.prod(shape) for shape in SHAPES]
    cuts = np.split(flat, np.cumsum(sizes)[:-1])
    layout = ParameterLayout(
        tuple(f"blocks.0.{n}" for n in range(len(SHAPES))), SHAPES, (LayerSpan("blocks.0", 0, SIZE),)
    )
    return DiagonalFisher(
        tuple(part.reshape(shape) for part, shape in zip(cuts, SHAPES, strict=True)), layout, 3, **fields
    )


def by_sorting(values: np.ndarray, density: float) -> tuple[np.ndarray, float]:
    """Return (selected, threshold) by sorting: all values that reach the K-th largest one, except zeros."""
    rank = max(1, math.floor(density * len(values) + 0.5))
    kth = np.sort(values)[::-1][rank - 1]
    threshold = kth if kth > 0 else values[values > 0].min()
    return values >= threshold, float(threshold)


def kinds() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(4)
    plain = rng.random(SIZE)
    binades = rng.random(SIZE) * 10.0 ** rng.integers(-30, 10, SIZE)
    sparse = np.where(rng.random(SIZE) < 0.1, rng.random(SIZE), 0.0)
    one = np.zeros(SIZE)
    one[SIZE // 2] = 1e-38
    return {
        "random": plain,
        "many binades": binades,
        "tied": rng.integers(0, 4, SIZE) / 4,
        "all alike": np.full(SIZE, 0.25),
        "mostly zero": sparse,
        "a single one": one,
        "subnormal": rng.integers(0, 9, SIZE) * 1.4e-45,
    }


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("density", [1e-9, 0.005, 0.15, 0.5, 0.999, 1.0])
@pytest.mark.parametrize("kind", kinds())
def test_the_selection_equals_that_of_sorting(kind: str, density: float, dtype: Any) -> None:
    values = kinds()[kind].astype(dtype)
    selected, threshold = by_sorting(values, density)
    network = extract_subnetwork(fisher_of(values, dtype), density, language="sw", seed=3)
    assert np.array_equal(network.to_numpy(), selected)
    assert network.cardinality == selected.sum()
    assert network.threshold == threshold
    assert network.density == density
    assert network.density_realised == selected.sum() / SIZE


@pytest.mark.parametrize("kind", kinds())
def test_larger_densities_contain_smaller_ones(kind: str) -> None:
    fisher = fisher_of(kinds()[kind])
    before = np.zeros(SIZE, bool)
    for density in (0.01, 0.1, 0.15, 0.4, 0.8, 1.0):
        mask = extract_subnetwork(fisher, density).to_numpy()
        assert not (before & ~mask).any()
        before = mask


def test_zeros_are_never_selected() -> None:
    values = np.zeros(SIZE)
    values[::10] = 1.0
    network = extract_subnetwork(fisher_of(values), 0.5)
    assert network.cardinality == len(values[::10])
    assert network.density_realised < 0.11 < network.density


def test_all_ties_at_the_threshold_are_selected() -> None:
    values = np.ones(SIZE)
    values[:3] = 2.0
    assert extract_subnetwork(fisher_of(values), 4 / SIZE).cardinality == SIZE
    assert extract_subnetwork(fisher_of(values), 3 / SIZE).cardinality == 3


@pytest.mark.parametrize("density", [0, -1, 1.5, math.nan, math.inf, -math.inf, 2])
def test_an_invalid_density_is_refused(density: float) -> None:
    with pytest.raises(UsageError) as caught:
        extract_subnetwork(fisher_of(np.ones(SIZE)), density)
    assert caught.value.message == f"the density must be in (0, 1], not {density}."
    assert "0.15" in caught.value.hint


@pytest.mark.parametrize("density", [1, 1.0, 0.15, 1e-12])
def test_a_density_in_the_valid_range_is_returned(density: float) -> None:
    assert check_density(density) == density


def test_only_zeros_are_refused() -> None:
    with pytest.raises(FisherError) as caught:
        extract_subnetwork(fisher_of(np.zeros(SIZE), language="sw"))
    assert caught.value.message == "every Fisher value of language 'sw' is zero: the language has no sub-network."
    assert "does not depend" in caught.value.hint


@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1e-9])
@pytest.mark.parametrize("index", [0, SIZE - 1])
def test_values_that_are_not_squares_are_refused(wrong: float, index: int) -> None:
    values = np.ones(SIZE)
    values[index] = wrong
    with pytest.raises(FisherError, match=r"the top 0\.15 of these Fisher values cannot be selected: "):
        extract_subnetwork(fisher_of(values))


def test_the_forms_agree_and_pad_bits_are_zero() -> None:
    network = extract_subnetwork(fisher_of(kinds()["random"]), 0.3)
    array, bits = network.to_numpy(), network.to_bitarray()
    assert array.dtype == bool
    assert len(array) == len(bits) == SIZE
    assert SIZE % 64, "the last word has pad bits"
    assert bits.endian == "little"
    assert bits.tolist() == array.astype(int).tolist()
    assert bits.count() == network.cardinality
    assert [int(network.bits[i // 64]) >> i % 64 & 1 for i in range(SIZE)] == array.astype(int).tolist()
    assert int(network.bits[-1]) >> SIZE % 64 == 0


def test_all_selected_leaves_pad_bits_zero() -> None:
    network = extract_subnetwork(fisher_of(np.ones(SIZE)), 1)
    assert network.cardinality == SIZE == network.to_bitarray().count()
    assert int(network.bits[-1]) == (1 << SIZE % 64) - 1


def test_the_memory_order_of_arrays_has_no_influence() -> None:
    values = kinds()["random"].astype(np.float32)
    plain = fisher_of(values)
    fortran = DiagonalFisher(tuple(np.asfortranarray(v) for v in plain.values), plain.layout, 3)
    assert not fortran.values[0].flags.c_contiguous
    assert np.array_equal(extract_subnetwork(fortran).bits, extract_subnetwork(plain).bits)


def test_labels_come_from_the_fisher_values_by_default() -> None:
    fisher = fisher_of(kinds()["random"], language="fi", provenance=Provenance(seed=5, model="m"))
    network = extract_subnetwork(fisher)
    assert (network.language, network.seed, network.provenance.model, network.density) == ("fi", 5, "m", 0.15)
    renamed = extract_subnetwork(fisher, language="sw", seed=0)
    assert (renamed.language, renamed.seed) == ("sw", 0)


# ------------------------------------------------------------------------------- several densities, other quantiles

DENSITIES = (0.5, 0.01, 0.15, 1.0, 1e-9, 0.4)


@pytest.fixture(params=["host", "tensors", "device"])
def pieces_of(request: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A function that cuts flat values into arrays, tensors, or tensors that take the code path for devices."""
    if request.param == "device":
        monkeypatch.setattr(subnetwork, "_are_on_device", lambda values: True)

    def pieces(values: np.ndarray) -> list[Any]:
        cuts = np.split(values, [0, 7, 70, 71])
        return cuts if request.param == "host" else [torch.from_numpy(part.copy()) for part in cuts]

    return pieces


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", kinds())
def test_many_densities_are_exact(kind: str, dtype: Any, pieces_of: Any) -> None:
    values = kinds()[kind].astype(dtype)
    selections = select_top_many(pieces_of(values), DENSITIES)
    for density, selection in zip(DENSITIES, selections, strict=True):
        expected, threshold = by_sorting(values, density)
        assert np.array_equal(selection.bits, kernels.pack_bits(expected))
        assert selection.cardinality == expected.sum()
        assert selection.density_realised == expected.sum() / SIZE
        assert (selection.threshold, selection.error, selection.size) == (threshold, 0, SIZE)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", kinds())
def test_percentile_is_numpys_of_the_joined_values(kind: str, dtype: Any, pieces_of: Any) -> None:
    values = kinds()[kind].astype(dtype)
    selections = select_top_many(pieces_of(values), DENSITIES, "percentile")
    for density, selection in zip(DENSITIES, selections, strict=True):
        threshold = np.percentile(values, (1 - density) * 100)
        assert selection.threshold == float(threshold)
        expected = (values >= threshold) & (values > 0)
        assert np.array_equal(selection.bits, kernels.pack_bits(expected))
        assert selection.cardinality == expected.sum()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("kind", kinds())
def test_histogram_is_within_its_error(kind: str, dtype: Any, pieces_of: Any) -> None:
    values = kinds()[kind].astype(dtype)
    selections = select_top_many(pieces_of(values), DENSITIES, "histogram")
    for density, selection in zip(DENSITIES, selections, strict=True):
        kth = np.sort(values)[::-1][max(1, math.floor(density * SIZE + 0.5)) - 1]
        expected = (values >= selection.threshold) & (values > 0)
        assert np.array_equal(selection.bits, kernels.pack_bits(expected))
        assert selection.cardinality == expected.sum() > 0
        if math.isinf(selection.error):
            assert selection.threshold == 0
        else:
            assert abs(selection.threshold - kth) <= selection.error * kth


def test_histogram_selects_about_the_requested_number() -> None:
    values = np.random.default_rng(0).standard_normal(100_000, np.float32) ** 2
    for density, selection in zip(DENSITIES, select_top_many([values], DENSITIES, "histogram"), strict=True):
        assert selection.density_realised == pytest.approx(density, rel=5e-3, abs=2e-5)
        assert selection.error <= 2**-7


def test_histogram_selects_the_largest_where_no_value_reaches_the_estimate() -> None:
    # The values from 1.0 to 1.001 lie in one bin, from 1 to 1.0078, whose middle is above all of them.
    values = np.linspace(1, 1.001, 50, dtype=np.float32)
    few, more = select_top_many([values], (0.02, 0.5), "histogram")
    assert few.cardinality == more.cardinality == 1
    assert few.threshold == more.threshold == values.max()


@pytest.mark.parametrize("quantile", QUANTILES)
@pytest.mark.parametrize("kind", kinds())
def test_larger_densities_contain_smaller_ones_in_one_go(kind: str, quantile: str, pieces_of: Any) -> None:
    values = kinds()[kind].astype(np.float32)
    densities = (1e-9, 0.01, 0.02, 0.1, 0.15, 0.16, 0.4, 0.8, 1.0)
    selections = select_top_many(pieces_of(values), densities, quantile)
    for few, many in itertools.pairwise(selections):
        assert np.array_equal(few.bits & many.bits, few.bits)
        assert few.threshold >= many.threshold


@pytest.mark.parametrize("quantile", QUANTILES)
def test_one_density_is_one_of_many(quantile: str, pieces_of: Any) -> None:
    tensors = pieces_of(kinds()["many binades"].astype(np.float32))
    for density, selection in zip(DENSITIES, select_top_many(tensors, DENSITIES, quantile), strict=True):
        bits, cardinality, threshold = select_top(tensors, density, quantile)
        assert np.array_equal(bits, selection.bits)
        assert (cardinality, threshold) == (selection.cardinality, selection.threshold)


@pytest.mark.parametrize("quantile", QUANTILES)
@pytest.mark.parametrize("wrong", [math.nan, math.inf, -1.0])
def test_every_quantile_refuses_values_that_are_not_squares(quantile: str, wrong: float, pieces_of: Any) -> None:
    values = np.ones(SIZE, np.float32)
    values[9] = wrong
    with pytest.raises(ValueError, match=f"1 of {SIZE} are negative, infinite or NaN"):
        select_top_many(pieces_of(values), (0.15,), quantile)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_every_quantile_reports_that_all_values_are_zero(quantile: str, pieces_of: Any) -> None:
    (selection,) = select_top_many(pieces_of(np.zeros(SIZE)), (0.15,), quantile)
    assert selection.cardinality == 0


@pytest.mark.parametrize("quantile", QUANTILES)
def test_no_quantile_makes_a_sub_network_of_zeros(quantile: str) -> None:
    with pytest.raises(FisherError, match="every Fisher value of language 'sw' is zero"):
        extract_subnetwork(fisher_of(np.zeros(SIZE), language="sw"), quantile=quantile)


@pytest.mark.parametrize("quantile", QUANTILES)
def test_an_empty_vector_is_refused(quantile: str) -> None:
    with pytest.raises(ValueError, match=r"(k|size) must be"):
        select_top_many([], (0.15,), quantile)


def test_sub_networks_of_many_densities_equal_single_ones() -> None:
    fisher = fisher_of(kinds()["random"], language="fi", provenance=Provenance(seed=5))
    for quantile in QUANTILES:
        result = extract_subnetworks(fisher, DENSITIES, quantile=quantile, seed=9)
        for density, network in zip(DENSITIES, result, strict=True):
            single = extract_subnetwork(fisher, density, quantile=quantile)
            assert np.array_equal(network.bits, single.bits)
            assert (network.cardinality, network.threshold) == (single.cardinality, single.threshold)
            assert (network.density, network.language, network.seed) == (density, "fi", 9)


def test_all_densities_are_checked_together() -> None:
    fisher = fisher_of(np.full(SIZE, np.nan))
    with pytest.raises(FisherError, match=r"the top 0\.15, 0\.5 of these Fisher values cannot be selected: "):
        extract_subnetworks(fisher, (0.15, 0.5))
    with pytest.raises(UsageError, match=r"not 1\.5"):
        extract_subnetworks(fisher, (0.15, 1.5))


def test_an_unknown_quantile_is_refused() -> None:
    with pytest.raises(UsageError) as caught:
        extract_subnetwork(fisher_of(np.ones(SIZE)), quantile="median")
    assert caught.value.message == "there is no quantile 'median'."
    assert caught.value.hint == "choose one of exact, histogram, percentile."
