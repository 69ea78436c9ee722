"""Progress in a notebook: one bar, in an output that is saved with the notebook."""

from __future__ import annotations

from typing import Any

import pytest

import xsns_stream as xs
from xsns_stream.pipeline import notebook_progress, progress
from xsns_stream.pipeline.notebook_progress import NotebookConsole
from xsns_stream.pipeline.progress import RowProgress, is_live, notebook_console


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, str]]:
    """The states of the bar in order; updates are not limited in time."""
    display = pytest.importorskip("IPython.display", reason="IPython is not installed")
    states: list[dict[str, str]] = []

    class Handle:
        def update(self, state: dict[str, str], *, raw: bool) -> None:
            assert raw
            states.append(state)

    def show(state: dict[str, str], *, raw: bool, display_id: bool) -> Handle:
        assert raw
        assert display_id
        assert not states, "there is one bar"
        states.append(state)
        return Handle()

    monkeypatch.setattr(display, "display", show)
    monkeypatch.setattr(notebook_progress, "_PERIOD", 0.0)
    monkeypatch.setattr(notebook_progress, "in_notebook", lambda: True)
    return states


def test_a_build_in_a_notebook_shows_one_bar(
    shown: list[dict[str, str]], tmp_path: Any, tiny_folder: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    texts = {"sw": ["Habari ya asubuhi.", "Karibu sana."], "fi": ["Hyvää huomenta.", "Tervetuloa meille."]}
    xs.build(texts, str(tiny_folder), tmp_path / "s.zarr", examples=8, max_length=24)
    assert shown[0]["text/plain"].startswith("measuring: 0/2, 0:0")
    assert any(state["text/plain"].startswith("fi (seed 42) 2/2: 0/2, ") for state in shown)
    assert shown[-1]["text/plain"].startswith("finished: 2/2, ")
    assert '<progress max="2" value="2" aria-label="finished">100 %</progress>' in shown[-1]["text/html"]
    out, err = capsys.readouterr()
    assert "note: sw (seed 42): has only 2 of the 8 examples requested." in out
    assert err == ""


def test_nothing_to_do_shows_no_bar(shown: list[dict[str, str]]) -> None:
    with RowProgress(notebook_console(), 0):
        pass
    assert shown == []


def test_an_interrupted_bar_keeps_its_position(shown: list[dict[str, str]]) -> None:
    bar = RowProgress(NotebookConsole(), 4)
    bar.__enter__()
    bar.advance("a row")
    bar.__exit__(KeyboardInterrupt, KeyboardInterrupt(), None)
    assert shown[-1]["text/plain"].startswith("stopped: 1/4, ")
    assert 'value="1"' in shown[-1]["text/html"]


def test_texts_of_the_bar_are_escaped(shown: list[dict[str, str]]) -> None:
    with RowProgress(NotebookConsole(), 1) as bar:
        bar.describe("<b>\x1b[31m", 0.5)
        assert "&lt;b&gt;\\x1b[31m" in shown[-1]["text/html"]
        assert "<b>" not in shown[-1]["text/html"]
        assert shown[-1]["text/plain"].startswith("<b>\\x1b[31m: 0/1, ")


def test_updates_are_limited(shown: list[dict[str, str]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notebook_progress, "_PERIOD", 3600.0)
    monkeypatch.setattr(notebook_progress.time, "monotonic", lambda: 10.0)
    with RowProgress(NotebookConsole(), 9) as bar:
        for _ in range(9):
            bar.advance("a row")
    assert [state["text/plain"].split(",")[0] for state in shown] == ["measuring: 0/9", "finished: 9/9"]


def test_durations_are_read_as_clocks() -> None:
    assert [notebook_progress._duration(seconds) for seconds in (0.4, 61, 3661)] == ["0:00", "1:01", "1:01:01"]


def test_a_program_outside_of_a_notebook_writes_lines_to_stderr() -> None:
    console = progress.notebook_console()
    assert console.stderr
    assert not is_live(console)
