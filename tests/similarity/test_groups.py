"""Overlap counts of layers, kinds of modules and tensors."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest

from xsns_kernels import unpack_bits
from xsns_stream.errors import IncompatibleError, UsageError
from xsns_stream.similarity import count_overlaps, count_overlaps_by_seed, similarity, similarity_by_group
from xsns_stream.similarity.groups import groups_of
from xsns_stream.types import GroupedOverlaps, OverlapCounts

CODES = ("en", "fi", "sw")


@pytest.fixture(scope="module")
def store(memory_rows, two_layers, random_rows):
    return memory_rows(random_rows(CODES, two_layers.size), two_layers)


@pytest.mark.parametrize("by", ["layer", "module"])
def test_a_layout_without_layers_is_grouped_by_tensor_alone(two_layers, by):
    without = replace(two_layers, layers=())
    with pytest.raises(UsageError, match=f"cannot be grouped by {by}: their layout has no layers"):
        groups_of(without, by)
    assert groups_of(without, "tensor").names == two_layers.names


@pytest.mark.parametrize(
    ("by", "names", "sizes"),
    [
        ("layer", ("model.layers.0", "model.layers.1"), (110, 140)),
        ("module", ("attention.query", "scale", "weight"), (197, 3, 50)),
        (
            "tensor",
            (
                "model.layers.0.attention.query.weight",
                "model.layers.0.attention.query.bias",
                "model.layers.0.scale",
                "model.layers.1.attention.query.weight",
                "model.layers.1.weight",
            ),
            (100, 7, 3, 90, 50),
        ),
    ],
)
def test_groups_hold_every_bit_once(two_layers, by, names, sizes):
    groups = groups_of(two_layers, by)
    assert (groups.by, groups.names, groups.sizes) == (by, names, sizes)
    bits = sorted((segment.start, segment.stop) for segment in groups.segments)
    assert bits[0][0] == 0
    assert bits[-1][1] == two_layers.size
    assert all(one[1] == other[0] for one, other in pairwise(bits))


def test_an_unknown_grouping_is_refused(two_layers):
    with pytest.raises(UsageError, match="parameters cannot be grouped by 'block'") as caught:
        groups_of(two_layers, "block")
    assert "layer, module, tensor" in caught.value.hint


@pytest.mark.parametrize("by", ["layer", "module", "tensor"])
def test_counts_are_those_of_unpacked_bits_and_add_up(store, two_layers, by):
    grouped = count_overlaps(store, by=by)
    groups = groups_of(two_layers, by)
    dense = np.stack([unpack_bits(store.packed[code], two_layers.size) for code in CODES]).astype(np.int64)
    for group, (name, table) in enumerate(grouped):
        inside = [dense[:, s.start : s.stop] for s in groups.segments if s.group == group]
        assert table.intersection.tolist() == sum(part @ part.T for part in inside).tolist()
        assert table.size == groups.sizes[group]
        assert grouped[name] is table
    ungrouped = count_overlaps(store)
    assert grouped.total.intersection.tolist() == ungrouped.intersection.tolist()
    assert (grouped.total.size, grouped.total.languages) == (ungrouped.size, ungrouped.languages)
    with pytest.raises(KeyError):
        grouped["no such group"]


def test_a_rectangle_of_groups_equals_a_part_of_the_square(store):
    grouped = count_overlaps(store, sources=["sw", "fi"], targets=["en", "sw"], by="layer")
    square = count_overlaps(store, by="layer")
    for name, table in grouped:
        part = square[name].between(("sw", "fi"), ("en", "sw"))
        for field in ("intersection", "source_cardinality", "target_cardinality"):
            assert getattr(table, field).tolist() == getattr(part, field).tolist()
    ungrouped = count_overlaps(store, sources=["sw", "fi"], targets=["en", "sw"])
    for field in ("intersection", "source_cardinality", "target_cardinality"):
        assert getattr(grouped.total, field).tolist() == getattr(ungrouped, field).tolist()


def test_a_coefficient_is_computed_for_each_group(store):
    counts = count_overlaps_by_seed(store, by="layer")
    by_group = similarity_by_group(counts, "dice")
    assert (by_group.by, by_group.names, by_group.sizes, by_group.coefficient) == (
        "layer",
        counts[0].names,
        (110, 140),
        "dice",
    )
    for name, matrix in by_group:
        assert np.array_equal(matrix.values, similarity(counts[0][name], "dice").values)
        assert by_group[name] is matrix
        pairs = matrix.values[np.triu_indices(3, 1)]
        assert matrix.mean_of_pairs == pytest.approx(pairs.mean())
    selected = [table.cardinality.sum() for _, table in counts[0]]
    assert by_group.shares == pytest.approx([part / sum(selected) for part in selected])
    assert by_group.values.shape == (2, 3, 3)
    frame = by_group.to_frame()
    assert list(frame.columns) == ["group", "source", "target", "dice"]
    line = frame[(frame.group == "model.layers.1") & (frame.source == "en") & (frame.target == "sw")]
    assert line["dice"].tolist() == [by_group["model.layers.1"]["en", "sw"]]


def test_different_groups_are_not_averaged(store):
    layers, modules = count_overlaps(store, by="layer"), count_overlaps(store, by="module")
    with pytest.raises(IncompatibleError, match="counted for different groups"):
        similarity_by_group([layers, modules])
    with pytest.raises(UsageError, match="no table of counts"):
        similarity_by_group([])
    with pytest.raises(ValueError, match="not 2 names for 1 tables"):
        GroupedOverlaps("layer", ("a", "b"), (OverlapCounts(("a",), np.zeros((1, 1), np.int64), 3),))


def test_groups_without_selected_parameters_are_undefined(memory_rows, two_layers):
    empty = memory_rows({code: np.zeros(4, np.uint64) for code in CODES}, two_layers)
    by_group = similarity_by_group(count_overlaps(empty, by="layer"))
    assert np.isnan(by_group.shares).all()
    assert np.isnan(by_group["model.layers.0"].mean_of_pairs)
