"""Comparisons on workers: counts of ranges of columns add up to exactly the counts of one process."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import xsns_stream as xs
from tests.support import networks
from tests.support.cluster_faults import KilledWhileCounting
from tests.support.clusters import ON_CLUSTER
from xsns_stream.errors import IncompatibleError, StoreError, UsageError, XsnsError
from xsns_stream.pipeline import cluster_clients, cluster_counts
from xsns_stream.pipeline.cluster_counts import ColumnRange, ranges_of, segments_within
from xsns_stream.pipeline.events import Noted, WorkDone
from xsns_stream.similarity.groups import groups_of
from xsns_stream.similarity.row_counts import AllPairs
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.types import LayerSpan, ParameterLayout, SubNetwork, provenance

pytestmark = ON_CLUSTER

CODES = ("en", "fi", "sw", "zh-Hant", "zu")
SEEDS = (1, 2)
DENSITIES = (0.15, 0.3)


def unlike_layers() -> ParameterLayout:
    """A layout whose layers and tensors end within words: 30 words and 7 bits."""
    sizes = [
        (f"block.{layer}.{name}", size) for layer in range(3) for name, size in (("query.weight", 500), ("b", 142))
    ]
    sizes[-1] = ("block.2.b", 143)
    names, numbers = zip(*sizes, strict=True)
    layers = tuple(LayerSpan(f"block.{layer}", layer * 642, layer * 642 + 642 + layer // 2) for layer in range(3))
    return ParameterLayout(names, tuple((number,) for number in numbers), layers)


LAYOUT = unlike_layers()
WORDS = -(-LAYOUT.size // 64)


#: Three layers of ten words, which become the chunks of compressed rows.
EQUAL = networks.make_layout(3, 640)


def make(code: str, seed: int = 1, density: float = 0.15, layout: ParameterLayout = LAYOUT) -> SubNetwork:
    return networks.make_sub(code, seed, density, layout)


def fill(
    store: SubNetworkStore,
    codes: tuple[str, ...] = CODES,
    densities: tuple[float, ...] = DENSITIES,
    layout: ParameterLayout = LAYOUT,
) -> SubNetworkStore:
    for density in densities:
        for seed in SEEDS:
            for code in codes:
                store.write(make(code, seed, density, layout))
    return store


@pytest.fixture(autouse=True)
def short_ranges(monkeypatch: pytest.MonkeyPatch) -> None:
    """Use ranges of eight words, so that small rows have several ranges, and groups end within ranges."""
    monkeypatch.setattr(cluster_counts, "_LEAST_WORK", 800)


@pytest.fixture
def store(tmp_path: Path) -> SubNetworkStore:
    return fill(open_store(tmp_path / "x.zarr", "a"))


def tables(result: Any) -> list[tuple[Any, ...]]:
    """Return all numbers of a matrix, or of the matrices of groups."""
    matrices = getattr(result, "matrices", [result])
    contents: list[tuple[Any, ...]] = []
    for matrix in matrices:
        contents.append((matrix.sources, matrix.targets, matrix.seeds, matrix.coefficient, matrix.values.tolist()))
        for counts in matrix.counts:
            sides = [getattr(counts, name).tolist() for name in vars(counts) if name.endswith("cardinalities")]
            contents.append((counts.size, counts.seed, counts.density, counts.intersection.tolist(), sides))
    return contents


def assert_same(store: SubNetworkStore, client: Any, **options: Any) -> None:
    """Check that workers give the result of this process, with and without saved counts."""
    options = {"density": 0.15} | options
    if not {"by"} & options.keys():
        options |= {"save_counts": False, "recount": True}
    words_done: list[int] = []
    watch = lambda event: words_done.append(event.done) if isinstance(event, WorkDone) else None  # noqa: E731
    ours = xs.similarity(store, client=client, on_event=watch, **options)
    theirs = xs.similarity(store, **options)
    assert tables(ours) == tables(theirs)
    assert tuple(note for note in ours.notes if "died while it worked on the words" not in note) == theirs.notes
    seeds = getattr(ours, "matrices", [ours])[0].seeds
    # Every seed was counted in more than one range.
    assert len(words_done) > len(seeds)
    assert words_done == sorted(words_done)
    assert words_done[-1] == -(-store.layout.size // 64) * len(seeds)


# ------------------------------------------------------------------------------------------ without faults


def slow(**options: Any) -> Any:
    return pytest.param(options, marks=pytest.mark.slow)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"sources": "sw,zu,en", "targets": "en,fi,sw"},
        {"by": "tensor", "density": 0.3, "seeds": (1,)},
        {"by": "layer", "sources": "sw,zu,en", "targets": "en,fi,sw", "seeds": (2,)},
        slow(density=0.3),
        slow(seeds=(2,), coefficient="containment"),
        slow(languages="sw,en,zu", coefficient="mutual-information"),
        slow(sources="sw,fi,en", targets="zu"),
        slow(sources="fi"),
        slow(by="layer"),
        slow(by="module", coefficient="cosine"),
    ],
    ids=lambda options: "-".join(map(str, options)) or "whole",
)
def test_workers_give_the_counts_of_one_process(client: Any, store: SubNetworkStore, options: dict[str, Any]) -> None:
    assert_same(store, client, **options)


def test_the_counts_are_those_of_python_integers(client: Any, store: SubNetworkStore) -> None:
    (counts,) = xs.similarity(store, density=0.3, seeds=2, client=client).counts
    rows = [int.from_bytes(make(code, 2, 0.3).bits.tobytes(), "little") for code in CODES]
    assert counts.languages == CODES
    assert counts.intersection.tolist() == [[(one & other).bit_count() for other in rows] for one in rows]


@pytest.mark.parametrize("by", ["layer", *(pytest.param(by, marks=pytest.mark.slow) for by in ("module", "tensor"))])
def test_common_parameters_are_those_of_one_process(client: Any, store: SubNetworkStore, by: Any) -> None:
    for languages in ("sw,zu,en", "all"):
        one, two = (xs.shared(store, languages, density=0.15, by=by, client=each) for each in (None, client))
        assert one == two


def test_parts_are_compared_like_whole_rows(client: Any, tmp_path: Path) -> None:
    store = open_store(tmp_path / "x.zarr", "a")
    for code in CODES:
        for number in (1, 2):
            bits = networks.make_bits(LAYOUT.size, number * 100 + CODES.index(code))
            store.write_fold(networks.make_sub(code, 1, layout=LAYOUT, bits=bits), 2, number)
        store.write(make(code))
    for part in store.folds(2):
        assert_same(part, client)


@pytest.mark.parametrize("compressor", ["none", pytest.param("zstd", marks=pytest.mark.slow)])
def test_an_object_store_is_read_by_the_workers(client: Any, s3: str, compressor: Any) -> None:
    url = f"{s3}/x.zarr"
    names = [name for name in os.environ if name.startswith("AWS_")]
    client.run(os.environ.update, {name: os.environ[name] for name in names})
    store = fill(open_store(url, "a", compressor=compressor), densities=(0.15,), layout=EQUAL)
    assert_same(store, client)
    assert_same(store, client, by="layer", sources="sw,zu", targets="en,sw", seeds=(1,))
    # The counts are saved, and every row is compared with its record.
    saved = xs.similarity(store, density=0.15, client=client)
    assert tables(saved) == tables(xs.similarity(store, density=0.15))
    damage(store, "sw")
    with pytest.raises(StoreError) as ours:
        xs.similarity(store, density=0.15, seeds=1, recount=True, save_counts=False, client=client)
    with pytest.raises(StoreError):
        xs.similarity(store, density=0.15, seeds=1, recount=True, save_counts=False)
    assert "sw" in ours.value.message


def damage(store: SubNetworkStore, language: str) -> None:
    """Replace the object of a row by that of another row; both have a valid index."""
    array, records = store.records_at([language, "fi"], 1, 0.15)
    first, other = (array.object_key(record.slot) for record in records)
    store.storage.write(first, store.storage.read(other))


def test_compressed_rows_are_counted_as_by_one_process(client: Any, tmp_path: Path) -> None:
    store = fill(open_store(tmp_path / "x.zarr", "a", compressor="zstd"), densities=(0.15,), layout=EQUAL)
    assert_same(store, client)
    assert_same(store, client, by="tensor", seeds=(1,))


# ------------------------------------------------------------------------------------------ saved counts


def test_counts_are_saved_as_by_one_process(client: Any, store: SubNetworkStore, tmp_path: Path) -> None:
    single = fill(open_store(tmp_path / "alone.zarr", "a"))
    xs.similarity(store, density=0.15, client=client)
    xs.similarity(single, density=0.15)
    ours, theirs = (
        {path.parent.parent.parent.parent.name: path.read_bytes() for path in each.path.glob("overlaps/**/c/0/0")}
        for each in (store, single)
    )
    assert len(ours) == len(SEEDS)
    assert ours == theirs


def test_no_worker_starts_if_all_counts_are_saved(store: SubNetworkStore, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = xs.similarity(store, density=0.15)
    monkeypatch.setattr(cluster_clients, "local_cluster", no_cluster)
    assert tables(xs.similarity(store, density=0.15, workers=2)) == tables(expected)
    with pytest.raises(AssertionError, match="a cluster starts"):
        xs.similarity(store, density=0.15, workers=2, recount=True)


def no_cluster(*arguments: Any) -> Any:
    raise AssertionError("a cluster starts")


def test_only_new_rows_are_counted(client: Any, tmp_path: Path) -> None:
    store = fill(open_store(tmp_path / "x.zarr", "a"), CODES[:-1])
    xs.similarity(store, density=0.15, seeds=1)
    fill(store)
    added = xs.similarity(store, density=0.15, seeds=1, client=client)
    assert tables(added) == tables(xs.similarity(store, density=0.15, seeds=1, recount=True))


def test_verify_compares_rows_on_workers(client: Any, store: SubNetworkStore) -> None:
    events: list[Any] = []
    xs.similarity(store, density=0.15, seeds=1, verify=True, client=client, on_event=events.append)
    damage(store, "sw")
    # All counts are saved, so that only `verify` notices the damage.
    xs.similarity(store, density=0.15, seeds=1, client=client)
    with pytest.raises(StoreError) as ours:
        xs.similarity(store, density=0.15, seeds=1, verify=True, client=client)
    with pytest.raises(StoreError) as theirs:
        xs.similarity(store, density=0.15, seeds=1, verify=True)
    assert (ours.value.message, ours.value.hint) == (theirs.value.message, theirs.value.hint)


# -------------------------------------------------------------------------------------- where rows are counted


def test_few_rows_are_counted_in_this_process(store: SubNetworkStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_clients, "local_cluster", no_cluster)
    matrix = xs.similarity(store, density=0.15, workers="auto")
    assert matrix.notes[-1] == (
        "this process compares the pairs of rows itself, because they have 0.0 MB, and workers save time from "
        f"{cluster_counts.WORKERS_PAY_FROM / 1e9:,.0f} GB on."
    )
    assert tables(matrix) == tables(xs.similarity(store, density=0.15))
    assert xs.shared(store, "all", density=0.15, workers="auto").total.common


def test_automatic_workers_start_for_many_rows(store: SubNetworkStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_clients, "local_cluster", no_cluster)
    monkeypatch.setattr(cluster_counts, "WORKERS_PAY_FROM", 1)
    for module in (cluster_counts, cluster_clients):
        monkeypatch.setattr(module, "automatic_workers", lambda memory, free: 2)
    with pytest.raises(AssertionError, match="a cluster starts"):
        xs.similarity(store, density=0.15, workers="auto")
    monkeypatch.setattr(cluster_counts, "automatic_workers", lambda memory, free: 1)
    (note,) = xs.similarity(store, density=0.15, seeds=1, workers="auto").notes
    assert note.endswith("because the cores or the memory of this machine allow one worker only.")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sample": 0.5, "workers": 2}, "--sample cannot be combined with --workers or --scheduler."),
        ({"retries": 2}, "retries needs workers."),
        ({"workers": 2, "scheduler": "tcp://a:1"}, "workers and scheduler were both given."),
    ],
)
def test_options_that_do_not_go_together(store: SubNetworkStore, options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        xs.similarity(store, density=0.15, **options)
    assert caught.value.message == message


def test_a_store_in_memory_is_refused(client: Any) -> None:
    store = fill(open_store("memory://counted-on-workers", "a"))
    with pytest.raises(UsageError, match=r"workers cannot read the store 'memory://counted-on-workers'"):
        xs.similarity(store, density=0.15, client=client)


def test_the_package_is_named_if_it_is_not_installed(store: SubNetworkStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "distributed", None)
    for compare in (xs.similarity, lambda each, **options: xs.shared(each, "all", **options)):
        with pytest.raises(UsageError, match="workers need the package 'distributed'") as caught:
            compare(store, density=0.15, workers=2)
        assert "pip install 'xsns-stream[distributed]'" in caught.value.hint


def test_the_command_line_takes_a_scheduler(client: Any, store: SubNetworkStore, xsns: Callable[..., Any]) -> None:
    where = ("--store", store.path, "--density", 0.15, "--json")
    address = ("--scheduler", client.scheduler.address)
    for verb in (("matrix", "--by", "layer"), ("matrix",), ("shared", "--lang", "sw,zu")):
        ours, theirs = xsns(*verb, *where, *address), xsns(*verb, *where)
        assert (ours.code, theirs.code) == (0, 0), ours.err
        assert json.loads(ours.out) == json.loads(theirs.out)


# ------------------------------------------------------------------------------------------------- faults


def test_a_worker_without_the_store_is_refused(
    client: Any, store: SubNetworkStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    elsewhere = str(tmp_path / "elsewhere.zarr")
    monkeypatch.setattr(cluster_counts, "location", lambda store: elsewhere)
    with pytest.raises(
        StoreError, match=r"a worker cannot read the rows of '.*elsewhere\.zarr': there is no store"
    ) as e:
        xs.similarity(store, density=0.15, client=client)
    assert "a folder on a shared disk or an object store" in e.value.hint
    other = open_store(elsewhere, "a")
    for code in CODES:
        other.write(networks.make_sub(code, 1, 0.15, LAYOUT, networks.make_bits(LAYOUT.size, 7)))
    with pytest.raises(StoreError, match=r"a worker reads other rows from '.*elsewhere\.zarr' than the process"):
        xs.similarity(store, density=0.15, seeds=1, client=client)


def test_a_row_that_is_built_again_meanwhile_is_refused(client: Any, store: SubNetworkStore) -> None:
    changed: list[bool] = []

    def build_again(event: Any) -> None:
        if isinstance(event, WorkDone) and not changed:
            changed.append(store.discard("sw", 1, 0.15))
            # The number of bits is the same, so that the cardinality does not show the change.
            bits = np.roll(make("sw").bits, 3)
            bits[[2, -1]] = bits[[-1, 2]]
            store.write(networks.make_sub("sw", 1, 0.15, LAYOUT, bits))

    with pytest.raises(StoreError, match="rows have changed while they were compared: 'sw'") as caught:
        xs.similarity(store, density=0.15, seeds=1, client=client, on_event=build_again)
    assert "run the same command again" in caught.value.hint
    assert not list(store.path.glob("overlaps/**/c/0/0"))
    assert_same(store, client, seeds=1)


def test_a_row_that_is_gone_meanwhile_is_refused(client: Any, store: SubNetworkStore) -> None:
    gone: list[bool] = []

    def discard(event: Any) -> None:
        if isinstance(event, WorkDone) and not gone:
            gone.append(store.discard("sw", 1, 0.15))

    with pytest.raises(XsnsError, match="sw"):
        xs.similarity(store, density=0.15, seeds=1, client=client, on_event=discard)
    assert not list(store.path.glob("overlaps/**/c/0/0"))


def test_damaged_rows_are_refused_as_by_one_process(client: Any, store: SubNetworkStore) -> None:
    damage(store, "sw")
    messages = []
    for each in (client, None):
        with pytest.raises(StoreError) as caught:
            xs.similarity(store, density=0.15, seeds=1, client=each)
        messages.append((caught.value.message, caught.value.hint))
    assert messages[0] == messages[1]
    assert "sw" in messages[0][0]


def test_workers_with_other_versions_are_refused(client: Any, store: SubNetworkStore) -> None:
    client.run(_measure_versions_of, ("numpy",))
    try:
        with pytest.raises(IncompatibleError, match=r"the worker at tcp://.* has other versions: .*torch missing"):
            xs.similarity(store, density=0.15, client=client)
    finally:
        client.run(_measure_versions_of, provenance.LIBRARIES)


def _measure_versions_of(libraries: tuple[str, ...]) -> None:
    provenance.LIBRARIES = libraries


@pytest.fixture
def killed(damage: Callable[..., Path]) -> Callable[..., Path]:
    """Kill workers in the middle of a range."""
    return partial(damage, KilledWhileCounting)


@pytest.mark.slow
def test_the_range_of_a_killed_worker_is_counted_again(
    own_client: Any, store: SubNetworkStore, killed: Callable[..., Path]
) -> None:
    kills = killed(start=8, times=2)
    assert_same(store, own_client, seeds=1)
    assert len(list(kills.iterdir())) == 2


@pytest.mark.slow
def test_a_range_that_kills_every_worker_ends_the_comparison(
    own_client: Any, store: SubNetworkStore, killed: Callable[..., Path]
) -> None:
    killed(start=8, times=99)
    with pytest.raises(XsnsError, match="a part of them was not finished: it was begun 2 times") as caught:
        xs.similarity(store, density=0.15, seeds=1, client=own_client, retries=1)
    assert caught.value.hint == "give workers more memory, or run the same command without workers."
    assert not list(store.path.glob("overlaps/**/c/0/0"))


@pytest.mark.slow
def test_the_command_line_starts_workers(store: SubNetworkStore, start_xsns: Callable[..., Any]) -> None:
    where = ("matrix", "--store", store.path, "--density", "0.15", "--json", "--quiet", "--recount")
    ours, theirs = start_xsns(*where, "--workers", "2"), start_xsns(*where)
    (one, error), (two, _) = ours.communicate(timeout=280), theirs.communicate(timeout=280)
    assert (ours.returncode, theirs.returncode) == (0, 0), error
    assert json.loads(one) == json.loads(two)


# ------------------------------------------------------------------------------------------------- ranges


@given(words=st.integers(1, 500), threads=st.integers(1, 40), alignment=st.integers(1, 70), work=st.integers(1, 10**5))
def test_ranges_contain_every_word_once(words: int, threads: int, alignment: int, work: int) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(cluster_counts, "_LEAST_WORK", work)
        ranges = ranges_of(words, AllPairs(CODES), threads, alignment)
    assert [word for each in ranges for word in range(each.start, each.stop)] == list(range(words))
    assert all(each.start % alignment == 0 for each in ranges)
    assert len(ranges) <= 8 * threads


def test_large_rows_have_some_ranges_for_each_thread(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    many = AllPairs(tuple(map(str, range(282))))
    assert len(ranges_of(85_054_464 // 64, many, 2, 1)) == 16
    assert len(ranges_of(85_054_464 // 64, many, 1000, 1)) == 100
    assert len(ranges_of(WORDS, AllPairs(CODES), 1000, 1)) == 1


@given(start=st.integers(0, WORDS - 1), length=st.integers(1, WORDS), by=st.sampled_from(["layer", "module", "tensor"]))
def test_segments_of_a_range_are_the_bits_of_its_groups(start: int, length: int, by: str) -> None:
    words = ColumnRange(start, min(WORDS, start + length))
    groups = groups_of(LAYOUT, by)
    present, segments = segments_within(groups, words)
    bits = {(present[each.group], bit) for each in segments for bit in range(each.start, each.stop)}
    first, last = words.start * 64, min(words.stop * 64, LAYOUT.size)
    expected = {
        (each.group, bit - first)
        for each in groups.segments
        for bit in range(max(first, each.start), min(last, each.stop))
    }
    assert bits == expected
    assert set(present) == {group for group, _ in expected}


def test_notes_of_the_workers_are_events(client: Any, store: SubNetworkStore, monkeypatch: pytest.MonkeyPatch) -> None:
    events: list[Any] = []
    xs.similarity(store, density=0.15, seeds=1, client=client, on_event=events.append)
    # Workers with several threads are useful here, so that no note asks for workers with one thread.
    assert [event.text for event in events if isinstance(event, Noted)] == []
