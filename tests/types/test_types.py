"""The value types check their invariants when they are created."""

from __future__ import annotations

import dataclasses
import json
import math
from typing import Any

import numpy as np
import pytest

from xsns_stream.errors import LanguageError, StoreError, UsageError
from xsns_stream.types import (
    DiagonalFisher,
    LanguageSample,
    LayerSpan,
    OverlapCounts,
    ParameterLayout,
    Provenance,
    RankedSource,
    ReadCounts,
    SimilarityMatrix,
    SourceRanking,
    SubNetwork,
    TextExample,
    words_for,
)

LAYOUT = ParameterLayout(("a.weight", "a.bias"), ((10, 10), (3,)), (LayerSpan("a", 0, 103),))


def sample(count: int = 20, language: str = "sw") -> LanguageSample:
    examples = tuple(TextExample(f"text {n}") for n in range(count))
    return LanguageSample(language, examples, "here", ReadCounts(read=count))


def words(*bits: int) -> np.ndarray:
    result = np.zeros(2, np.uint64)
    for bit in bits:
        result[bit // 64] |= np.uint64(1 << bit % 64)
    return result


def network(bits: np.ndarray, cardinality: int, **fields: Any) -> SubNetwork:
    labels = {"language": "sw", "seed": 1, "threshold": 0.5, "density": 0.15} | fields
    return SubNetwork(**labels, bits=bits, layout=LAYOUT, cardinality=cardinality)


@pytest.mark.parametrize(("bits", "expected"), [(0, 0), (1, 1), (63, 1), (64, 1), (65, 2), (85_054_464, 1_328_976)])
def test_bits_need_whole_words(bits: int, expected: int) -> None:
    assert words_for(bits) == expected


# -------------------------------------------------------------------------------------------- text


def test_keys_of_examples_that_differ_differ() -> None:
    examples = [
        TextExample("a b"),
        TextExample(("a", "b")),
        TextExample(("a b",), "c"),
        TextExample("a", "b"),
        TextExample("a", ""),
        TextExample("a"),
        TextExample(("ab",)),
    ]
    keys = {example.key() for example in examples}
    assert len(keys) == len(examples)
    assert TextExample("a").key() == TextExample(("a",)).key(), "a list of one word differs from a text"


def test_a_sample_needs_text() -> None:
    with pytest.raises(LanguageError, match="no usable text for language 'sw' in here"):
        LanguageSample("sw", (), "here")


def test_a_larger_draw_extends_a_smaller_one() -> None:
    full = sample()
    short, long = full.draw(5, seed=3), full.draw(12, seed=3)
    assert long.examples[:5] == short.examples
    assert len(short) == 5
    assert (short.language, short.source, short.counts) == (full.language, full.source, full.counts)
    assert set(full.draw(99, seed=3).examples) == set(full.examples)
    assert full.draw(99, seed=3).examples != full.examples


def test_a_draw_depends_on_seed_and_sample_alone() -> None:
    assert sample().draw(7, 1) == sample().draw(7, 1)
    assert sample().draw(7, 1) != sample().draw(7, 2)
    assert sample(21).draw(7, 1) != sample(20).draw(7, 1)


@pytest.mark.parametrize("count", [0, -1])
def test_a_draw_of_no_examples_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match=f"must be at least 1, not {count}"):
        sample().draw(count, 0)


def test_the_digest_tells_order_and_text() -> None:
    first, second = sample(3), sample(3)
    assert first.digest == second.digest
    assert len(first.digest) == 64
    assert dataclasses.replace(first, examples=first.examples[::-1]).digest != first.digest
    assert dataclasses.replace(first, examples=first.examples[:2]).digest != first.digest
    joined = (TextExample("text 0text 1"), first.examples[2])
    assert dataclasses.replace(first, examples=joined).digest != first.digest


# ------------------------------------------------------------------------------------------ layout


def test_a_layout_numbers_its_bits() -> None:
    assert (LAYOUT.sizes, LAYOUT.offsets, LAYOUT.size) == ((100, 3), (0, 100), 103)
    empty = ParameterLayout((), (), ())
    assert (empty.size, empty.offsets[1:]) == (0, ())


def test_offsets_do_not_overflow() -> None:
    huge = ParameterLayout(("a", "b", "c"), ((2**31,), (2**31,), (1,)), ())
    assert huge.offsets == (0, 2**31, 2**32)
    assert huge.size == 2**32 + 1


def test_a_layout_survives_json() -> None:
    again = ParameterLayout.from_json(json.loads(json.dumps(LAYOUT.to_json())))
    assert again == LAYOUT
    assert again.digest == LAYOUT.digest


def test_the_digest_tells_names_shapes_and_order() -> None:
    others = [
        ParameterLayout(("a.weight", "b.bias"), LAYOUT.shapes, LAYOUT.layers),
        ParameterLayout(LAYOUT.names, ((100,), (3,)), LAYOUT.layers),
        ParameterLayout(LAYOUT.names[::-1], LAYOUT.shapes[::-1], LAYOUT.layers),
    ]
    assert len({layout.digest for layout in (LAYOUT, *others)}) == 4


@pytest.mark.parametrize(("names", "shapes"), [(("a", "a"), ((1,), (1,))), (("a",), ((1,), (1,))), (("a",), ())])
def test_names_and_shapes_of_a_layout_must_agree(names: Any, shapes: Any) -> None:
    with pytest.raises(ValueError, match="one shape for each name"):
        ParameterLayout(names, shapes, ())


# -------------------------------------------------------------------------------------- provenance


def test_provenance_survives_json_and_later_versions() -> None:
    provenance = Provenance(model="m", seed=3, examples=7, fallback=("a", "b"), versions={"torch": "2"})
    data = json.loads(json.dumps(provenance.to_json()))
    assert Provenance.from_json(data) == provenance
    assert Provenance.from_json(data | {"colour": "blue"}) == provenance
    assert Provenance.from_json({}) == Provenance()


def test_what_rows_share_is_not_what_differs_between_them() -> None:
    provenance = Provenance(model="m", corpus_digest="x", seed=3, device="cuda", versions={"torch": "2"})
    shared = provenance.experiment()
    assert shared == dataclasses.replace(provenance, corpus_digest="y", seed=4, device="cpu", versions={}).experiment()
    for name in ("model", "weights_digest", "tokenizer_digest", "layout_digest", "objective", "estimator", "corpus"):
        assert shared != dataclasses.replace(provenance, **{name: "other"}).experiment()
    assert shared != dataclasses.replace(provenance, examples_asked=9).experiment()


# ------------------------------------------------------------------------------------------ Fisher


def test_fisher_values_need_the_layout_s_shapes() -> None:
    values = (np.zeros((10, 10), np.float32), np.zeros(3, np.float32))
    tensors = DiagonalFisher(values, LAYOUT, 1).to_dict()
    assert {name: tuple(tensor.shape) for name, tensor in tensors.items()} == {"a.weight": (10, 10), "a.bias": (3,)}
    values[1][2] = 4
    assert float(tensors["a.bias"][2]) == 4, "the memory is shared"
    for wrong in (values[:1], (values[0].T[:5], values[1]), values[::-1]):
        with pytest.raises(ValueError, match="every tensor of the layout"):
            DiagonalFisher(wrong, LAYOUT, 1)


# ------------------------------------------------------------------------------------- sub-network


def test_a_sub_network_converts_to_array_and_bitarray() -> None:
    sub = network(words(0, 63, 64, 102), 4)
    assert np.flatnonzero(sub.to_numpy()).tolist() == [0, 63, 64, 102]
    assert [i for i, bit in enumerate(sub.to_bitarray()) if bit] == [0, 63, 64, 102]
    assert (sub.size, sub.density_realised) == (103, 4 / 103)


def test_bits_that_contradict_the_cardinality_are_refused() -> None:
    with pytest.raises(StoreError, match="'sw' has 2 bits set, but its record says 3"):
        network(words(1, 2), 3)


@pytest.mark.parametrize("bit", [103, 127])
def test_pad_bits_are_refused(bit: int) -> None:
    with pytest.raises(StoreError, match="bits set past its last parameter"):
        network(words(1, bit), 2)


@pytest.mark.parametrize("bits", [np.zeros(1, np.uint64), np.zeros(2, np.int64), np.zeros((2, 1), np.uint64)])
def test_words_of_another_kind_are_refused(bits: np.ndarray) -> None:
    with pytest.raises(ValueError, match=r"a sub-network of 103 parameters needs uint64 \[2\]"):
        network(bits, 0)


# ----------------------------------------------------------------------- counts, similarity, ranks


def test_counts_give_cardinality_and_union() -> None:
    counts = OverlapCounts(("a", "b"), np.array([[5, 2], [2, 4]], np.int64), 10)
    assert counts.cardinality.tolist() == [5, 4]
    assert counts.union.tolist() == [[5, 7], [7, 4]]
    for wrong in (np.zeros((2, 3), np.int64), np.zeros((2, 2), np.float64), np.zeros((2, 2), np.int32)):
        with pytest.raises(ValueError, match="intersection must be int64"):
            OverlapCounts(("a", "b"), wrong, 10)


def matrix(**fields: Any) -> SimilarityMatrix:
    values = np.array([[1.0, 0.5, 0.25], [0.5, 1.0, math.nan]])
    return SimilarityMatrix(("sw", "fi"), ("sw", "fi", "et"), values, "jaccard", **fields)


def test_a_matrix_is_read_by_label() -> None:
    similarities = matrix()
    assert similarities["sw", "et"] == 0.25
    assert similarities.column("fi").tolist() == [0.5, 1.0]
    assert similarities.direction == "similarity"
    frame = similarities.to_frame()
    assert frame.loc["sw", "et"] == 0.25
    assert (frame.index.name, frame.columns.name, frame.shape) == ("source", "target", (2, 3))
    for wrong in (("et", "sw"), ("sw", "xx")):
        with pytest.raises(LanguageError, match=r"the matrix does not contain the language '(et|xx)'"):
            similarities[wrong]
    with pytest.raises(LanguageError):
        similarities.column("xx")


def test_the_shape_of_a_matrix_must_fit_its_labels() -> None:
    with pytest.raises(ValueError, match=r"values must have the shape \(2, 1\), not \(2, 2\)"):
        SimilarityMatrix(("a", "b"), ("a",), np.zeros((2, 2)), "jaccard")


def test_chance_corrected_values_and_the_spread_over_seeds_are_computed() -> None:
    assert matrix().chance_corrected is None
    assert matrix().spread is None
    chance = np.full((2, 3), 0.25)
    assert matrix(chance=chance).chance_corrected[0].tolist() == pytest.approx([1.0, 1 / 3, 0.0])
    certain = matrix(chance=np.ones((2, 3))).chance_corrected
    assert math.isnan(certain[0, 0]), "the correction is undefined if the chance level is one"
    several = np.stack([np.zeros((2, 3)), np.ones((2, 3))])
    assert matrix(per_seed=several).spread[0, 0] == pytest.approx(math.sqrt(0.5))
    assert matrix(per_seed=several[:1]).spread is None


def test_a_ranking_is_a_sequence_of_sources() -> None:
    sources = (RankedSource("fi", 0.5, None, None), RankedSource("et", 0.4, None, None))
    ranking = SourceRanking("sw", "jaccard", sources)
    assert len(ranking) == 2
    assert [source.language for source in ranking] == ["fi", "et"]


VALUES = (TextExample("a"), sample(1), LAYOUT, Provenance(), network(words(), 0), matrix())


@pytest.mark.parametrize("value", VALUES, ids=lambda value: type(value).__name__)
def test_values_are_frozen(value: Any) -> None:
    name = next(iter(value.__dataclass_fields__))
    with pytest.raises(dataclasses.FrozenInstanceError):
        setattr(value, name, None)
