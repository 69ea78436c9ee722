"""The text of the next row is read while a row is computed: in order, one row ahead, and with its own errors."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import xsns_stream as xs
from xsns_stream.errors import CorpusError
from xsns_stream.pipeline.events import ExamplesDone, Row, RowStarted, TextRead
from xsns_stream.pipeline.scheduling import ReadAhead
from xsns_stream.types import LanguageSample, TextExample


def test_results_come_in_order_and_one_ahead() -> None:
    started: list[int] = []

    def make(item: int) -> int:
        started.append(item)
        return item * 10

    taken = []
    for item, take in ReadAhead(range(4), make):
        taken.append((item, take()))
        give_up = time.monotonic() + 10
        while len(started) < min(item + 2, 4) and time.monotonic() < give_up:
            time.sleep(0.001)
        assert started == list(range(min(item + 2, 4))), "only the next item is read"
    assert taken == [(0, 0), (1, 10), (2, 20), (3, 30)]


def test_items_are_read_by_one_other_thread_at_a_time() -> None:
    running, most = 0, 0

    def make(item: int) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        assert threading.current_thread() is not threading.main_thread()
        time.sleep(0.002)
        running -= 1
        return item

    assert [take() for _, take in ReadAhead(range(8), make)] == list(range(8))
    assert most == 1


@pytest.mark.parametrize("error", [CorpusError("a sad file."), KeyError("x"), SystemExit(3)])
def test_an_error_is_raised_where_its_item_is_taken(error: BaseException) -> None:
    def make(item: int) -> int:
        if item == 1:
            raise error
        return item

    results: list[Any] = []
    for _, take in ReadAhead(range(3), make):
        try:
            results.append(take())
        except BaseException as caught:
            results.append(caught)
    assert results == [0, error, 2]


def test_waiting_for_a_long_text_is_reported_in_the_thread_of_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xsns_stream.pipeline.scheduling._WAIT", 0.01)
    reported: list[int] = []

    def report(item: int) -> None:
        assert threading.current_thread() is threading.main_thread()
        reported.append(item)

    def make(item: int) -> int:
        give_up = time.monotonic() + 10
        while item not in reported and time.monotonic() < give_up:
            time.sleep(0.001)
        return item

    assert [take() for _, take in ReadAhead(range(2), make, report)] == [0, 1]
    assert set(reported) == {0, 1}


def test_a_build_reports_how_much_of_a_text_was_read(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xsns_stream.pipeline.scheduling._WAIT", 0.001)
    monkeypatch.setattr("xsns_stream.corpora.examples._CHUNK", 64)
    text = "".join(f"line {number}\n" for number in range(20_000))
    (tmp_path / "sw.txt").write_text(text, encoding="utf-8")
    events: list[Any] = []
    options: dict[str, Any] = {"examples": 2, "max_length": 8, "progress": False}
    xs.build(f"sw={tmp_path / 'sw.txt'}", tiny_folder, tmp_path / "s.zarr", events.append, **options)
    counts = [event.count for event in events if isinstance(event, TextRead)]
    assert counts == sorted(counts)
    assert counts[-1] > 0


def test_no_items_give_no_results() -> None:
    assert list(ReadAhead([], str)) == []


class Watched:
    """A corpus that records when it is read, and that can block the reading of a language."""

    name, local = "watched", False

    def __init__(self) -> None:
        self.read: list[str] = []
        self.hold: dict[str, threading.Event] = {}

    def languages(self) -> tuple[str, ...]:
        return ("et", "fi", "sw")

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        self.read.append(language)
        if language in self.hold:
            self.hold[language].wait(30)
        texts = tuple(TextExample(f"{language} watoto wanasoma kitabu {n}") for n in range(count))
        return LanguageSample(language, texts, "nowhere")

    def label_names(self) -> tuple[str, ...]:
        return ()


def test_a_build_reads_the_next_text_while_it_computes(make: Callable[..., Any], run: Callable[..., Any]) -> None:
    corpus = Watched()
    result, events, _ = run(make(corpus=corpus))
    assert corpus.read == ["sw", "fi", "et"]
    assert result.committed == (Row("sw", 42), Row("fi", 42), Row("et", 42))
    started = [event.row.language for event in events if isinstance(event, RowStarted)]
    assert started == ["sw", "fi", "et"]


def test_ctrl_c_does_not_wait_for_a_text_that_does_not_come(make: Callable[..., Any], loaded: Any, path: Any) -> None:
    from xsns_stream.pipeline.build import build
    from xsns_stream.store import open_store

    corpus = Watched()
    corpus.hold["fi"] = threading.Event()

    def stop(event: object) -> None:
        if isinstance(event, ExamplesDone):
            raise KeyboardInterrupt

    started = time.monotonic()
    try:
        with pytest.raises(KeyboardInterrupt):
            build(make(corpus=corpus), loaded, open_store(path, "a"), stop)
        assert time.monotonic() - started < 20
    finally:
        corpus.hold["fi"].set()
