"""Properties of the selection that hold for all Fisher values, texts and orders."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from xsns_stream.subnetworks.select import extract_subnetwork
from xsns_stream.types import DiagonalFisher, LanguageSample, LayerSpan, ParameterLayout, SubNetwork, TextExample

LARGEST = float(np.finfo(np.float32).max)
#: Values with frequent zeros, ties, and extreme values of float32.
VALUE = st.one_of(st.sampled_from([0.0, 0.0, 0.5, 1.0, 1e-45, LARGEST]), st.floats(0, LARGEST, width=32))
DENSITY = st.floats(1e-6, 1.0)


@st.composite
def fishers(draw: st.DrawFn) -> DiagonalFisher:
    """Draw Fisher values of one to four tensors, with at least one value above zero."""
    sizes = draw(st.lists(st.integers(1, 90), min_size=1, max_size=4))
    values = [draw(arrays(np.float32, size, elements=VALUE)) for size in sizes]
    values[0][0] = draw(st.sampled_from([1e-45, 0.5, 1.0]))
    names = tuple(f"b.{n}" for n in range(len(sizes)))
    layout = ParameterLayout(names, tuple((size,) for size in sizes), (LayerSpan("b", 0, sum(sizes)),))
    return DiagonalFisher(tuple(values), layout, 1, "sw")


def flat(fisher: DiagonalFisher) -> np.ndarray:
    return np.concatenate([values.ravel() for values in fisher.values])


@given(fishers(), DENSITY, DENSITY)
def test_sub_networks_are_nested_in_density(fisher: DiagonalFisher, first: float, second: float) -> None:
    small, large = (extract_subnetwork(fisher, density) for density in sorted((first, second)))
    assert np.array_equal(small.bits & large.bits, small.bits)
    assert small.threshold >= large.threshold


@given(fishers(), DENSITY)
def test_the_requested_number_or_all_nonzero_values_are_selected(fisher: DiagonalFisher, density: float) -> None:
    values = flat(fisher)
    network = extract_subnetwork(fisher, density)
    rank = max(1, int(np.floor(density * len(values) + 0.5)))
    assert network.cardinality >= min(rank, np.count_nonzero(values))
    mask = network.to_numpy()
    assert values[mask].min() == network.threshold > 0
    assert not (values[~mask] >= network.threshold).any()


@given(fishers(), DENSITY, st.randoms(use_true_random=False))
def test_the_selection_follows_a_permutation_of_the_parameters(
    fisher: DiagonalFisher, density: float, random: object
) -> None:
    """The selected parameters do not depend on the order of the tensors."""
    order = list(range(len(fisher.values)))
    random.shuffle(order)
    old = fisher.layout
    names, shapes = (tuple(part[i] for i in order) for part in (old.names, old.shapes))
    layout = ParameterLayout(names, shapes, old.layers)
    moved = DiagonalFisher(tuple(fisher.values[i] for i in order), layout, 1, "sw")

    def by_name(network: SubNetwork) -> dict[str, list[bool]]:
        parts = np.split(network.to_numpy(), network.layout.offsets[1:])
        return {name: part.tolist() for name, part in zip(network.layout.names, parts, strict=True)}

    assert by_name(extract_subnetwork(moved, density)) == by_name(extract_subnetwork(fisher, density))


@given(fishers(), DENSITY, st.integers(-20, 20))
def test_the_selection_does_not_depend_on_the_scale_of_the_loss(
    fisher: DiagonalFisher, density: float, power: int
) -> None:
    """A factor of two in the loss multiplies Fisher values by four, and does not change the sub-network."""
    wide = [values.astype(np.float64) for values in fisher.values]
    plain, scaled = (
        DiagonalFisher(tuple(v * factor for v in wide), fisher.layout, 1, "sw") for factor in (1.0, 2.0**power)
    )
    assert np.array_equal(extract_subnetwork(plain, density).bits, extract_subnetwork(scaled, density).bits)


@given(fishers(), DENSITY)
def test_array_bitarray_and_words_say_the_same(fisher: DiagonalFisher, density: float) -> None:
    network = extract_subnetwork(fisher, density)
    assert network.to_bitarray().tolist() == network.to_numpy().astype(int).tolist()
    tail = network.size % 64
    assert not tail or int(network.bits[-1]) >> tail == 0


@given(st.lists(st.text(min_size=1), min_size=1, max_size=30, unique=True), st.integers(0, 2**63 - 1), st.data())
def test_larger_samples_extend_smaller_ones(texts: list[str], seed: int, data: st.DataObject) -> None:
    sample = LanguageSample("sw", tuple(map(TextExample, texts)), "here")
    less, more = sorted(data.draw(st.integers(1, 40)) for _ in range(2))
    short, long = sample.draw(less, seed).examples, sample.draw(more, seed).examples
    assert long[: len(short)] == short
    assert len(set(long)) == len(long) == min(more, len(texts))


@given(st.lists(st.lists(st.integers(0, 9), max_size=3).map(tuple), min_size=1, max_size=6))
@settings(max_examples=50)
def test_layouts_survive_json(shapes: list[tuple[int, ...]]) -> None:
    layout = ParameterLayout(tuple(f"n{i}" for i in range(len(shapes))), tuple(shapes), ())
    again = ParameterLayout.from_json(layout.to_json())
    assert (again, again.digest, again.size) == (layout, layout.digest, sum(layout.sizes))
    ends = np.cumsum(layout.sizes).tolist()
    assert [o + s for o, s in zip(layout.offsets, layout.sizes, strict=True)] == ends
