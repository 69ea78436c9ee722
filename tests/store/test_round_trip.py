"""Round trips of rows through the API, through blocks, and with plain Zarr."""

import math
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from xsns_stream.store import open_store
from xsns_stream.types import LayerSpan, ParameterLayout


def assert_same(row, written):
    assert np.array_equal(row.bits, written.bits)
    assert row.layout == written.layout
    assert row.provenance == written.provenance
    for name in ("language", "seed", "cardinality", "threshold", "density"):
        assert getattr(row, name) == getattr(written, name)


@pytest.mark.parametrize("compressor", ["none", "zstd"])
def test_a_row_round_trips(path, networks, compressor):
    sub = networks.make_sub("zh-Hant", fallback=("layer.0.weight",))
    store = open_store(path, "a", compressor=compressor)
    assert store.write(sub)
    assert_same(open_store(path)["zh-Hant"], sub)
    assert store.info()["compressed"] is (compressor == "zstd")
    assert store.verify() == []


def test_the_threshold_is_stored_exactly_and_may_be_infinite(path, networks):
    store = open_store(path, "a")
    odd = replace(networks.make_sub("sw"), threshold=math.nextafter(1e-7, 1))
    empty = networks.make_sub("rw", bits=np.zeros(9, np.uint64))
    empty = replace(empty, threshold=math.inf)
    store.write(odd)
    store.write(empty)
    assert store["sw"].threshold == odd.threshold
    assert_same(store["rw"], empty)
    assert store.verify() == []


def test_writing_again_writes_nothing_and_other_bits_are_refused(filled, networks):
    sub = networks.make_sub("sw")
    assert filled.write(sub) is False
    other = networks.make_sub("sw", bits=networks.make_bits(576, 99))
    with pytest.raises(Exception, match="committed already, with other bits") as caught:
        filled.write(other)
    assert "never overwritten" in caught.value.hint
    assert_same(filled["sw"], sub)


def test_new_labels_move_no_row(path, networks):
    store = open_store(path, "a")
    subs = [
        networks.make_sub(language, seed, density)
        for density in (0.5, 0.15)
        for seed in (7, 3)
        for language in ("yo", "sw")
    ]
    slots = {}
    for sub in subs:
        store.write(sub)
        for record in store.records():
            assert slots.setdefault(record.key, record.slot) == record.slot
    for sub in subs:
        assert_same(store.read(sub.language, sub.seed, sub.density), sub)
    assert (store.languages, store.seeds, store.densities) == (("sw", "yo"), (3, 7), (0.15, 0.5))
    assert store.verify() == []


def test_plain_zarr_reads_the_same_bits_and_labels(filled, path, networks):
    group = zarr.open_group(path, mode="r")
    array = group["subnetworks"]
    assert array.metadata.dimension_names == ("density", "seed", "language", "word")
    for index, language in enumerate(array.attrs["languages"]):
        assert np.array_equal(array[0, 0, index], networks.make_sub(language).bits)
        attributes = group[f"commits/0.15/0/{language}"].attrs
        assert attributes["cardinality"] == filled.record(language).cardinality
        assert attributes["slot"] == [0, 0, index]
    assert array.shape == (1, 1, 3, 9)
    assert array.shards == (1, 1, 1, 9)
    assert array.chunks == (1, 1, 1, 3)
    assert group["seed"][:].tolist() == array.attrs["seeds"]
    assert group["density"][:].tolist() == array.attrs["densities"]
    assert group.attrs["format"] == "xsns-subnetworks"
    # Every folder under the root is a node that other readers can list.
    assert len(list(group.members(max_depth=None))) == 3 + 3 + 3


def test_xarray_opens_it(filled, path):
    xarray = pytest.importorskip("xarray")
    data = xarray.open_zarr(path, consolidated=False)
    assert data["subnetworks"].dims == ("density", "seed", "language", "word")
    assert data["subnetworks"].dtype == np.uint64


@pytest.mark.parametrize(
    ("spans", "words"),
    [
        ([(0, 192), (192, 384)], 3),  # equal layers of whole words
        ([(0, 100), (100, 200)], 4),  # equal, but a layer ends within a word
        ([(0, 128), (128, 192)], 3),  # not equal
        ([], 2),  # no layers
    ],
)
def test_inner_chunks_follow_layers_where_they_can(path, networks, spans, words):
    size = spans[-1][1] if spans else 100
    layers = tuple(LayerSpan(f"l{i}", *span) for i, span in enumerate(spans))
    layout = ParameterLayout(("all",), ((size,),), layers)
    store = open_store(path, "a")
    store.write(networks.make_sub(layout=layout))
    assert store.info()["inner_chunk_words"] == words


def test_rows_reads_blocks_of_columns(filled, networks):
    words = np.stack([networks.make_sub(language).bits for language in ("yo", "sw")])
    for start, stop in [(0, 9), (0, 1), (2, 4), (3, 6), (5, 9), (4, 4)]:
        assert np.array_equal(filled.rows(("yo", "sw"), 0, 0.15, start, stop), words[:, start:stop])
    assert filled.rows((), 0, 0.15, 0, 5).shape == (0, 5)
    with pytest.raises(Exception, match="words 3 up to 10 are not within a row of 9"):
        filled.rows(("sw",), 0, 0.15, 3, 10)


layouts = st.builds(
    lambda sizes: ParameterLayout(
        tuple(f"t{i}" for i in range(len(sizes))),
        tuple((size,) for size in sizes),
        tuple(LayerSpan(f"l{i}", sum(sizes[:i]), sum(sizes[: i + 1])) for i in range(len(sizes))),
    ),
    st.lists(st.integers(1, 700), min_size=1, max_size=4)
    | st.builds(lambda n, words: [words * 64] * n, st.integers(1, 4), st.integers(1, 9)),
)


@settings(max_examples=25, deadline=None)
@given(layout=layouts, density=st.floats(0.01, 1.0), seed=st.integers(0, 2**63 - 1), data=st.data())
def test_any_layout_round_trips_and_blocks_are_the_whole(networks, layout, density, seed, data):
    sub = networks.make_sub("sw", seed, density, layout, networks.make_bits(layout.size, seed % 99))
    with tempfile.TemporaryDirectory() as folder:
        compressor = data.draw(st.sampled_from(["none", "none", "zstd"]))
        store = open_store(Path(folder) / "s", "a", compressor=compressor)
        store.write(sub)
        assert_same(store["sw"], sub)
        assert store.verify() == []
        start = data.draw(st.integers(0, len(sub.bits)))
        stop = data.draw(st.integers(start, len(sub.bits)))
        assert np.array_equal(store.rows(("sw",), seed, density, start, stop)[0], sub.bits[start:stop])
        array = zarr.open_array(store=store.path, path="subnetworks", mode="r")
        assert np.array_equal(array[0, 0, 0, start:stop], sub.bits[start:stop])


class StoreMachine(RuleBasedStateMachine):
    """A store, compared with a dictionary after each step."""

    networks = None
    written = Bundle("written")

    def __init__(self):
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.store = open_store(Path(self.folder.name) / "s", "a")
        self.model = {}

    @rule(
        target=written,
        language=st.sampled_from(["sw", "rw", "zh-Hant", "x1"]),
        seed=st.integers(0, 2),
        density=st.sampled_from([0.05, 0.15, 0.1 + 0.2]),
    )
    def write(self, language, seed, density):
        key = (language, seed, density)
        sub = self.networks.make_sub(*key)
        assert self.store.is_committed(*key) is (key in self.model)
        assert self.store.write(sub) is (key not in self.model)
        self.model[key] = sub
        return key

    @rule(key=written)
    def read(self, key):
        assert_same(self.store.read(*key), self.model[key])

    @rule()
    def open_again(self):
        self.store = open_store(self.store.path, "a")

    @invariant()
    def labels_are_those_written(self):
        assert {(r.language, r.seed, r.density) for r in self.store.records()} == set(self.model)
        assert self.store.languages == tuple(sorted({language for language, _, _ in self.model}))

    def teardown(self):
        if self.model:
            assert self.store.verify() == []
        self.folder.cleanup()


def test_a_store_behaves_like_a_dictionary(networks):
    from hypothesis.stateful import run_state_machine_as_test

    machine = type("Machine", (StoreMachine,), {"networks": networks})
    run_state_machine_as_test(machine, settings=settings(max_examples=8, stateful_step_count=12, deadline=None))
