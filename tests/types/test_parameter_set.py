"""Operators of sub-networks, compared with Python sets."""

from __future__ import annotations

import operator
from itertools import product

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from xsns_kernels import pack_bits
from xsns_stream.errors import IncompatibleError, UsageError
from xsns_stream.types import LayerSpan, ParameterLayout, SubNetwork
from xsns_stream.types.parameter_set import BitSet, ParameterSet, Share

#: Sizes with and without pad bits in the last word.
SIZES = st.sampled_from([1, 2, 63, 64, 65, 127, 128, 130, 192, 300])


def layout_of(*shapes: tuple[int, ...], name: str = "w") -> ParameterLayout:
    """Return a layout with one layer for each tensor."""
    ends = np.cumsum([0, *(int(np.prod(shape)) for shape in shapes)]).tolist()
    names = tuple(f"{name}.{number}" for number in range(len(shapes)))
    spans = tuple(LayerSpan(f"layer {n}", ends[n], ends[n + 1]) for n in range(len(shapes)))
    return ParameterLayout(names, shapes, spans)


def network(layout: ParameterLayout, positions: set[int], language: str = "sw") -> SubNetwork:
    chosen = np.zeros(layout.size, bool)
    chosen[list(positions)] = True
    return SubNetwork(language, 1, pack_bits(chosen), layout, len(positions), 0.5, 0.15)


def places(bit_set: BitSet) -> set[int]:
    return set(np.flatnonzero(bit_set.to_numpy()).tolist())


@st.composite
def pairs(draw: st.DrawFn) -> tuple[int, set[int], set[int]]:
    """Draw P and two sets of positions; the second is sometimes a subset of the first, or equal to it."""
    size = draw(SIZES)
    some = st.sets(st.integers(0, size - 1))
    one, other = draw(some), draw(some)
    return size, one, draw(st.sampled_from([other, one & other, set(one), set()]))


@given(pairs())
@example((64, set(range(64)), set(range(64))))
@example((65, set(range(65)), set()))
def test_operators_are_those_of_python_s_sets(case: tuple[int, set[int], set[int]]) -> None:
    size, one, other = case
    layout = layout_of((size,))
    a, b = network(layout, one), network(layout, other, "zu")
    for name in ("and_", "or_", "sub", "xor"):
        result = getattr(operator, name)(a, b)
        expected = getattr(operator, name)(one, other)
        assert type(result) is ParameterSet
        assert places(result) == expected, name
        assert len(result) == result.cardinality == len(expected)
        assert bool(result) == bool(expected)
    for name in ("le", "lt", "ge", "gt", "eq", "ne"):
        assert getattr(operator, name)(a, b) is getattr(operator, name)(one, other), name
    assert a.overlap(b) == len(one & other)
    assert a.isdisjoint(b) == one.isdisjoint(other)


@given(pairs())
def test_results_of_operators_are_sets(case: tuple[int, set[int], set[int]]) -> None:
    size, one, other = case
    layout = layout_of((size,))
    a, b = network(layout, one), network(layout, other, "zu")
    assert places((a & b) | (a - b)) == one
    assert ((a & b) | (a - b)) == a
    assert a == ((a & b) | (a - b))
    assert (a ^ b) == (a | b) - (a & b)
    assert (a - b).isdisjoint(b)
    assert (a & b) <= a <= (a | b)


@given(pairs())
def test_the_forms_of_a_set_contain_the_same_bits(case: tuple[int, set[int], set[int]]) -> None:
    size, one, _ = case
    a = network(layout_of((size,)), one)
    assert {bit for bit in range(size) if bit in a} == one
    assert a.indices().tolist() == sorted(one)
    assert a.indices().dtype == np.int64
    bits = a.to_bitarray()
    assert (len(bits), bits.endian, bits.readonly) == (size, "little", True)
    assert bits.tolist() == a.to_numpy().astype(int).tolist()


SHAPES = ((3, 50), (7,), (), (0, 4), (5, 2, 13))
LAYOUT = layout_of(*SHAPES)


@given(st.sets(st.integers(0, LAYOUT.size - 1)))
def test_tensors_and_layers_are_parts_of_a_set(chosen: set[int]) -> None:
    a = network(LAYOUT, chosen)
    parts = np.split(a.to_numpy(), LAYOUT.offsets[1:])
    for name, shape, part in zip(LAYOUT.names, SHAPES, parts, strict=True):
        mask = a.mask(name)
        assert (mask.shape, mask.dtype) == (shape, bool)
        np.testing.assert_array_equal(mask.ravel(), part)
        assert a.indices(name).tolist() == np.flatnonzero(part).tolist()
        for where in product(*map(range, shape)):
            flat = int(np.ravel_multi_index(where, shape)) if shape else 0
            assert ((name, where) in a) == ((name, flat) in a) == bool(mask[where])
    assert a.by_tensor() == tuple(Share(n, int(p.sum()), p.size) for n, p in zip(LAYOUT.names, parts, strict=True))
    assert a.by_layer() == tuple(Share(f"layer {n}", int(p.sum()), p.size) for n, p in enumerate(parts))
    assert sum(share.cardinality for share in a.by_layer()) == len(a)


def test_shares_have_densities() -> None:
    a = network(LAYOUT, {0, 1, 149, 150})
    assert [share.density for share in a.by_layer()] == [3 / 150, 1 / 7, 0, 0, 0]


def test_indices_may_span_more_than_one_block() -> None:
    layout = layout_of((1000, 4097), (1000, 100))
    chosen = np.random.default_rng(0).choice(layout.size, 1000, replace=False)
    a = network(layout, set(chosen.tolist()))
    assert a.indices().tolist() == sorted(chosen.tolist())
    first = chosen[chosen < 4_097_000]
    assert a.indices("w.0").tolist() == sorted(first.tolist())
    assert a.indices("w.1").tolist() == sorted((chosen[chosen >= 4_097_000] - 4_097_000).tolist())


def test_labels_are_not_compared_and_there_is_no_hash() -> None:
    layout = layout_of((70,))
    assert network(layout, {1, 69}) == network(layout, {1, 69}, "zu")
    assert network(layout, {1, 69}) != network(layout, {1, 68})
    assert network(layout, {1}) != network(layout_of((71,)), {1})
    assert network(layout, {1}) != "sw"
    with pytest.raises(TypeError, match="unhashable"):
        hash(network(layout, {1}))


def test_sets_cannot_be_iterated_over() -> None:
    with pytest.raises(TypeError, match="not iterable"):
        iter(network(layout_of((70,)), {1}))  # type: ignore[call-overload]


@pytest.mark.parametrize("operation", ["and_", "or_", "sub", "xor", "le", "lt", "ge", "gt"])
def test_operands_of_another_kind_are_refused(operation: str) -> None:
    with pytest.raises(TypeError):
        getattr(operator, operation)(network(layout_of((70,)), {1}), {1})


@pytest.mark.parametrize(
    ("other", "difference"),
    [
        (layout_of((10, 7), name="v"), "tensor 0 is 'w.0' in one and 'v.0' in the other"),
        (layout_of((7, 10)), "'w.0' has the shape [10, 7] in one and [7, 10] in the other"),
        (layout_of((10, 7), (3,)), "the numbers of tensors are 1 and 2"),
    ],
)
@pytest.mark.parametrize("operation", ["and_", "or_", "sub", "xor", "le", "lt", "ge", "gt", "overlap", "isdisjoint"])
def test_other_layouts_are_refused_and_what_differs_is_named(
    other: ParameterLayout, difference: str, operation: str
) -> None:
    a, b = network(layout_of((10, 7)), {1}), network(other, {1})
    act = getattr(operator, operation, None) or getattr(BitSet, operation)
    first, second = (b, a) if operation in ("ge", "gt") else (a, b)
    with pytest.raises(IncompatibleError) as refused:
        act(first, second)
    assert difference in refused.value.message
    assert refused.value.hint


@pytest.mark.parametrize(
    ("parameter", "message"),
    [
        (("w.9", 1), "the layout has no tensor 'w.9'"),
        (("w.0", (1, 50)), "the index is outside of 'w.0'"),
        (("w.0", (-1, 0)), "the index is outside of 'w.0'"),
        (("w.0", 150), "the index is outside of 'w.0'"),
        (("w.0", (1,)), "(1,) is not an index into 'w.0'"),
        (("w.0", "all"), "'all' is not an index into 'w.0'"),
        (-1, "the index is outside of the layout"),
        (LAYOUT.size, "the index is outside of the layout"),
        ("w.0", "'w.0' is not a parameter"),
    ],
)
def test_invalid_parameters_raise_an_error(parameter: object, message: str) -> None:
    with pytest.raises(UsageError) as refused:
        _ = parameter in network(LAYOUT, {0})
    assert message in refused.value.message
    assert refused.value.hint


def test_a_misspelt_tensor_is_refused() -> None:
    layout = layout_of((3,), (3,), name="encoder.query.weight")
    with pytest.raises(UsageError, match=r"no tensor 'encoder\.qeury") as refused:
        network(layout, {0}).mask("encoder.qeury.weight.0")
    assert refused.value.hint == "did you mean 'encoder.query.weight.0'?"


def test_a_bitarray_of_whole_words_is_a_view() -> None:
    a = network(layout_of((128,)), {0, 127})
    bits = a.to_bitarray()
    a.bits[0] |= np.uint64(2)
    assert bits[1] == 1
    with pytest.raises(TypeError, match="read-only"):
        bits[1] = 0


@pytest.mark.parametrize("bits", [np.zeros(1, np.uint64), np.zeros(2, np.int64)])
def test_a_set_needs_words_of_its_layout(bits: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"needs uint64 \[2\]"):
        ParameterSet(bits, layout_of((70,)))


def test_a_set_refuses_pad_bits() -> None:
    with pytest.raises(ValueError, match="past its last parameter"):
        ParameterSet(np.array([0, 64], np.uint64), layout_of((70,)))
