"""Several builds of one store: each row is measured by the process that claims it, and reports name these processes."""

from __future__ import annotations

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xsns_stream.errors import IncompatibleError
from xsns_stream.pipeline.events import Noted, Row, RowByOther, RowCommitted
from xsns_stream.pipeline.rows import RowCommits
from xsns_stream.pipeline.scheduling import SharedItems
from xsns_stream.pipeline.source_ranking import rank
from xsns_stream.pipeline.store_rows import copy_store
from xsns_stream.store import OtherBitsError, open_store

#: The module `build`; the package has a function of the same name.
building = import_module("xsns_stream.pipeline.build")
LIMIT = 120
ROWS = 6

# ------------------------------------------------------------------------------------------ the division


class Locks:
    """Claims within this process: the items that others hold, the finished items, and the items that were claimed."""

    def __init__(self, held: Sequence[str] = (), done: Sequence[str] = ()) -> None:
        self.held, self.done, self.mine = set(held), set(done), set[str]()

    @contextmanager
    def claim(self, item: str) -> Iterator[bool]:
        if item in self.held | self.mine:
            yield False
            return
        self.mine.add(item)
        yield True
        self.mine.remove(item)


def shared(items: str, locks: Locks) -> tuple[SharedItems[str], list[str], list[Sequence[str]]]:
    others: list[str] = []
    waits: list[Sequence[str]] = []
    return SharedItems(items.split(), locks.claim, locks.done.__contains__, others.append, waits.append), others, waits


def test_items_are_claimed_when_they_are_asked_for() -> None:
    locks = Locks()
    items, others, waits = shared("a b c", locks)
    with items:
        taken = []
        for item in items.free():
            assert locks.mine == {item}
            taken.append(item)
            items.release(item)
        assert list(items.deferred()) == []
    assert (taken, others, waits, locks.mine) == (["a", "b", "c"], [], [], set())


def test_items_of_others_are_deferred_and_taken_up_when_they_are_free(monkeypatch: pytest.MonkeyPatch) -> None:
    locks = Locks(held="bd", done="c")
    items, others, waits = shared("a b c d e", locks)

    def others_go_on(seconds: float) -> None:
        # One process finishes its item; the other is killed before it finishes.
        locks.done.add("b")
        locks.held.clear()

    monkeypatch.setattr("xsns_stream.pipeline.scheduling.time.sleep", others_go_on)
    with items:
        for item in items.free():
            items.release(item)
        assert others == ["c"]
        later = []
        for item in items.deferred():
            later.append(item)
            items.release(item)
    assert (later, others, waits) == (["d"], ["c", "b"], [("b", "d")])


def test_claims_end_when_work_is_broken_off() -> None:
    locks = Locks()
    items, _, _ = shared("a b", locks)

    def stop() -> None:
        with items:
            for _ in items.free():
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        stop()
    assert locks.mine == set()


# ----------------------------------------------------------------------------------- claims of a store


def test_a_claim_is_held_by_one_at_a_time_before_and_after_the_store_is_there(
    path: Path, make: Callable[..., Any], run: Callable[..., Any]
) -> None:
    store = open_store(path, "a")
    with store.claimed("sw", 42) as first, open_store(path, "a").claimed("sw", 42) as second:
        assert (first, second) == (True, False)
        with store.claimed("sw", 43) as seed, store.claimed("fi", 42) as language:
            assert (seed, language) == (True, True)
        assert not path.exists()
        run(make("fi"))
        # The store exists now, and the claim that was made before is still valid.
        with open_store(path, "a").claimed("sw", 42) as third:
            assert third is False
    with store.claimed("sw", 42) as again, store.claimed("sw", 42) as second:
        assert (again, second) == (True, False)
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert not list(path.rglob(".lock-claim*"))


def test_a_store_that_comes_to_be_between_two_looks(path: Path, make: Any, run: Any, monkeypatch: Any) -> None:
    """Of a process that found no store and one that found a new store, only one gets the row."""
    from xsns_stream.store.storage.local import LocalStorage

    run(make("fi"))
    answers = iter([False])
    real = LocalStorage._is_created
    monkeypatch.setattr(
        LocalStorage, "_is_created", lambda *arguments: next(answers, None) is None and real(*arguments)
    )
    with open_store(path).claimed("sw", 42) as late, open_store(path).claimed("sw", 42) as other:
        assert (late, other) == (True, False)


def test_lock_files_of_killed_processes_are_removed(path: Path, make: Any, run: Any) -> None:
    lock = path.with_name(f".{path.name}.claim-42-zu")
    lock.touch()
    (path.with_name(".other.zarr.claim-42-zu")).touch()
    run(make("fi"))
    within = path / "subnetworks" / ".lock-claim-42-zu"
    within.touch()
    run(make("sw"))
    assert (lock.exists(), within.exists()) == (False, False)
    assert path.with_name(".other.zarr.claim-42-zu").exists(), "the lock file of another store is kept"


def test_labels_that_no_row_can_have_claim_nothing(path: Path) -> None:
    from xsns_stream.errors import UsageError

    with pytest.raises(UsageError), open_store(path, "a").claimed("../../x", 1):
        pass
    assert list(path.parent.iterdir()) == []


# -------------------------------------------------------------------------------- builds in one process


class Watched:
    """A corpus that records which languages were read."""

    name, local = "watched", True

    def __init__(self, corpus: Any) -> None:
        self.corpus, self.read = corpus, list[str]()

    def languages(self) -> tuple[str, ...]:
        return tuple(self.corpus.languages())

    def sample(self, language: str, count: int, seed: int) -> Any:
        self.read.append(language)
        return self.corpus.sample(language, count, seed)


def test_a_row_of_another_process_is_not_read_and_is_reported(path: Path, make: Any, run: Any, loaded: Any) -> None:
    corpus = Watched(make().corpus)
    settings = make("sw fi et", corpus=corpus)
    other = open_store(path, "a")
    claim = other.claimed("sw", 42)
    assert claim.__enter__()

    def finish_it() -> None:
        give_up = time.monotonic() + 60
        while not open_store(path, "a").exists and time.monotonic() < give_up:
            time.sleep(0.01)
        while len(open_store(path).keys()) < 2 and time.monotonic() < give_up:
            time.sleep(0.01)
        run(make("sw", corpus=Watched(make().corpus)), at=path.with_name("aside.zarr"))
        other.write(open_store(path.with_name("aside.zarr"))["sw"])

    # The main thread holds the claim, in place of the other process.
    thread = threading.Thread(target=finish_it)
    thread.start()
    waited: list[str] = []
    events: list[Any] = []

    def listen(event: Any) -> None:
        events.append(event)
        if isinstance(event, Noted) and "waits for" in event.text:
            waited.append(event.text)
            thread.join()
            claim.__exit__(None, None, None)

    result = building.build(settings, loaded, open_store(path, "a"), listen)
    assert corpus.read == ["fi", "et"], "the text of a row that another process measures is not read"
    assert result.committed == (Row("fi", 42), Row("et", 42))
    assert (result.by_others, result.skipped) == ((Row("sw", 42),), ())
    assert waited == ["1 row is being measured by another process; this process waits for: sw (seed 42)."]
    assert RowByOther(Row("sw", 42)) in events


def test_a_row_that_was_committed_since_the_start_is_left_alone(
    path: Path, make: Any, run: Any, loaded: Any, tmp_path: Path
) -> None:
    """A note says what the other process did not do: save Fisher values and compare halves."""
    aside = tmp_path / "aside.zarr"
    run(make("fi"), at=aside)
    store = open_store(path, "a")
    events: list[Any] = []

    def listen(event: Any) -> None:
        events.append(event)
        if isinstance(event, RowCommitted) and event.row.language == "sw":
            store.write(open_store(aside)["fi"])

    # 'et' is between both rows: reading ahead would otherwise claim 'fi' while 'sw' is measured.
    settings = make("sw et fi", split_half=True, keep_fisher="bf16")
    result = building.build(settings, loaded, store, listen)
    assert (result.committed, result.by_others) == ((Row("sw", 42), Row("et", 42)), (Row("fi", 42),))
    (note,) = [event.text for event in events if isinstance(event, Noted) and event.row == Row("fi", 42)]
    assert note == "was measured by another process, and is not compared in halves or stored with its Fisher values."


def test_another_experiment_that_was_begun_meanwhile_is_refused(
    path: Path, make: Any, run: Any, loaded: Any, tmp_path: Path
) -> None:
    aside = tmp_path / "aside.zarr"
    run(make("fi sw", examples=7), at=aside)
    store, other = open_store(path, "a"), open_store(path, "a")

    def listen(event: Any) -> None:
        if not other.exists:
            other.write(open_store(aside)["sw"])

    with pytest.raises(IncompatibleError, match="examples_asked"):
        building.build(make("fi sw"), loaded, store, listen)


def test_of_two_that_measured_one_row_the_first_commit_counts(
    path: Path, make: Any, run: Any, loaded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without locks, as on an object store, two processes measure one row, with the same or with other bits."""
    from dataclasses import replace

    aside = tmp_path / "aside.zarr"
    run(make("sw fi"), at=aside)
    same, rounded = (open_store(aside)[language] for language in ("sw", "fi"))
    bits = rounded.bits.copy()
    first = int(np.flatnonzero(bits)[0])
    bits[first] &= bits[first] - np.uint64(1)
    rounded = replace(rounded, bits=bits, cardinality=rounded.cardinality - 1)
    store = open_store(path, "a")
    store.write(open_store(aside)["sw"])
    store.discard("sw", 42, 0.15)
    write_folds = RowCommits.write_folds

    def other_is_faster(self: RowCommits, measured: Any) -> None:
        open_store(path, "a").write({"sw": same, "fi": rounded}[self.row.language])
        write_folds(self, measured)

    monkeypatch.setattr(RowCommits, "write_folds", other_is_faster)
    result, events, _ = run(make("sw fi"))
    assert (result.committed, result.by_others) == ((), (Row("sw", 42), Row("fi", 42)))
    (note,) = [event for event in events if isinstance(event, Noted) and "cut there" not in event.text]
    assert note.row == Row("fi", 42)
    assert note.text.startswith("was committed by another process in the meantime, with other bits")
    assert np.array_equal(open_store(path)["fi"].bits, bits), "the first commit counts"

    other_text = replace(rounded, seed=7, provenance=replace(rounded.provenance, seed=7, corpus_digest="0" * 64))
    monkeypatch.setattr(
        RowCommits, "write_folds", lambda self, measured: open_store(path, "a").write(other_text) and None
    )
    with pytest.raises(OtherBitsError, match="with other bits"):
        run(make("fi", seeds=(7,)))


def test_split_half_that_is_measured_with_parts_of_an_older_row_is_found(make: Any, run: Any, tmp_path: Path) -> None:
    run(make("sw fi"))
    result, events, store = run(make("sw", parts=2))
    assert result.committed == (Row("sw", 42),)
    notes = [event.text for event in events if isinstance(event, Noted)]
    assert [note for note in notes if "cut there" not in note] == []
    assert store.record("sw").provenance.reliability == {}, "the record is never rewritten"
    later = store.reliability(store.record("sw"))
    assert later == result.reliability[Row("sw", 42)]
    assert 0 < later["split_half"] < 1
    assert store.reliability(store.record("fi")) == {}
    assert store.info()["reliability"] == [{"language": "sw", "seed": 42, "density": 0.15} | later]
    assert rank(store, "sw").ranking.reliability == later["split_half"]
    assert rank(store, "fi").ranking.sources[0].reliability == later["split_half"]
    assert store.verify() == []
    _, events, _ = run(make("sw fi", split_half=True))
    (note,) = [event.text for event in events if isinstance(event, Noted) and "compared in halves" in event.text]
    assert note.startswith("1 of 2 rows are in the store already, and are not compared in halves.")
    assert note.endswith("--parts 8 adds intervals and split-half to rows that are in the store.")
    copy_store(store, tmp_path / "copy.zarr")
    copied = open_store(tmp_path / "copy.zarr")
    assert copied.reliability(copied.record("sw")) == later


def test_halves_of_one_example_are_said_to_be_too_few(make: Any, run: Any) -> None:
    _, events, _ = run(make("sw", examples=1, split_half=True))
    assert "has too few examples to compare two halves of them." in [e.text for e in events if isinstance(e, Noted)]


# --------------------------------------------------------------------------------------- real processes


@pytest.fixture
def two_builds(tiny_folder: Path, texts: Path, path: Path, start_xsns: Any) -> Callable[..., subprocess.Popen[str]]:
    """A function that starts a build of six rows, with enough examples that another build works at the same time."""

    def start(*options: str) -> subprocess.Popen[str]:
        common = ["--corpus", str(texts), "--lang", "sw,fi,et", "--seed", "1", "--seed", "2", "--max-length", "24"]
        process: subprocess.Popen[str] = start_xsns(
            "build", "--model", tiny_folder, *common, "--store", path, "--json", *options
        )
        return process

    return start


def finished(process: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = process.communicate(timeout=LIMIT)
    assert process.returncode == 0, err
    result: dict[str, Any] = json.loads(out)["result"]
    return result


@pytest.mark.slow
@pytest.mark.parametrize("options", [(), ("--parts", "2", "--keep-fisher", "bf16")], ids=["rows", "parts"])
def test_two_builds_measure_each_row_once(options: tuple[str, ...], two_builds: Any, path: Path) -> None:
    both = [finished(process) for process in [two_builds(*options), two_builds(*options)]]
    measured = [tuple(row) for result in both for row in result["committed"]]
    assert sorted(measured) == sorted({(code, seed) for code in ("sw", "fi", "et") for seed in (1, 2)})
    for result in both:
        rows = [tuple(row) for name in ("committed", "skipped", "by_others") for row in result[name]]
        assert (len(rows), len(set(rows)), result["failed"]) == (ROWS, ROWS, [])
    store = open_store(path)
    assert (len(store.keys()), store.verify(), store.unfinished()) == (ROWS, [], ())
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    assert not list(path.rglob(".lock-claim*"))


@pytest.mark.slow
def test_four_builds_measure_each_row_once(two_builds: Any, path: Path) -> None:
    """As in a job array, every job is given all rows, and some jobs may find no row to measure."""
    results = [finished(process) for process in [two_builds() for _ in range(4)]]
    measured = [tuple(row) for result in results for row in result["committed"]]
    assert sorted(measured) == sorted({(code, seed) for code in ("sw", "fi", "et") for seed in (1, 2)})
    for result in results:
        rows = [tuple(row) for name in ("committed", "skipped", "by_others") for row in result[name]]
        assert (len(rows), len(set(rows)), result["failed"]) == (ROWS, ROWS, [])
    store = open_store(path)
    assert (len(store.keys()), store.verify(), store.unfinished()) == (ROWS, [], ())


@pytest.mark.slow
def test_one_store_for_each_job_and_merge_give_the_store_of_one_process(
    two_builds: Any, path: Path, tmp_path: Path, xsns: Any
) -> None:
    parts = {tmp_path / "part1.zarr": "sw", tmp_path / "part2.zarr": "fi,et"}
    jobs = [two_builds("--store", part, "--lang", languages) for part, languages in parts.items()]
    for process in [*jobs, two_builds()]:
        finished(process)
    merged = tmp_path / "merged.zarr"
    assert xsns("merge", merged, *parts).code == 0
    ours, theirs = open_store(merged), open_store(path)
    assert ours.verify() == []
    assert ours.languages == theirs.languages
    assert {each.key: each.sha256 for each in ours.records()} == {each.key: each.sha256 for each in theirs.records()}


def test_a_row_whose_process_is_killed_is_taken_up(two_builds: Any, path: Path) -> None:
    """The first process is stopped while it holds a row, the second waits for the row, and the first is killed."""
    first = two_builds()
    give_up = time.monotonic() + LIMIT
    # The process is stopped as soon as it has claimed a row, and holds one or two rows until it is killed.
    while not list(path.parent.glob(".*.claim-*")) and first.poll() is None and time.monotonic() < give_up:
        time.sleep(0.001)
    first.send_signal(signal.SIGSTOP)
    second = two_builds()
    assert second.stderr is not None
    lines = []
    for line in second.stderr:
        lines.append(line)
        if "waits for" in line:
            break
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=LIMIT)
    result = finished(second)
    assert any("being measured by another process; this process waits for: sw (seed 1)" in line for line in lines), (
        lines
    )
    store = open_store(path)
    assert (len(store.keys()), store.verify(), store.unfinished()) == (ROWS, [], ())
    assert len(result["committed"]) + len(result["skipped"]) + len(result["by_others"]) == ROWS
    assert ["sw", 1] in result["committed"]
    assert [entry.name for entry in path.parent.iterdir() if "claim" in entry.name] == []
