"""A build in a real Jupyter kernel: its output, and an interruption in the middle."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.notebooks import Kernel, kernel

pytestmark = pytest.mark.slow

#: The kernel gets the signal that Jupyter's button *interrupt* sends, in the middle of the second row.
INTERRUPTED = """
import os, signal
from xsns_stream.pipeline.events import ExamplesDone, RowCommitted
done = []
def interrupt(event):
    done.append(type(event))
    if RowCommitted in done and isinstance(event, ExamplesDone):
        os.kill(os.getpid(), signal.SIGINT)
xs.build(texts, model, "cut.zarr", interrupt, examples=16, max_length=24, batch_size=4)
"""


@pytest.fixture(scope="module")
def notebook(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Iterator[Kernel]:
    with kernel(str(tmp_path_factory.mktemp("notebook"))) as running:
        first = running.run(
            f"import xsns_stream as xs\nmodel = {str(tiny_folder)!r}\n"
            "texts = {code: [f'{code} habari ya asubuhi {n}' for n in range(16)] for code in ('en', 'fi', 'sw')}"
        )
        assert first.error == ""
        yield running


def test_a_build_leaves_one_bar_and_its_notes(notebook: Kernel) -> None:
    cell = notebook.run('store = xs.build(texts, model, "s.zarr", examples=20, max_length=24)')
    assert cell.error == ""
    (bar,) = cell.displays.values()
    assert bar["text/plain"].startswith("finished: 3/3, ")
    assert bar["text/html"].startswith("<div><progress ")
    assert len(bar) == 2, "no widget, which a saved notebook would not contain"
    assert cell.text.count("note: ") == 3
    assert cell.error_text == ""


def test_results_are_shown_as_html(notebook: Kernel) -> None:
    for value in ("store", 'xs.rank(store, "sw")', "xs.similarity(store)"):
        cell = notebook.run(value)
        assert cell.error == ""
        assert "<table" in cell.result["text/html"]


def test_an_interrupted_build_can_be_continued(notebook: Kernel) -> None:
    interrupted = notebook.run(INTERRUPTED)
    assert interrupted.error == "KeyboardInterrupt"
    (bar,) = interrupted.displays.values()
    assert bar["text/plain"].startswith("stopped: 1/3, ")
    assert notebook.run('xs.open_store("cut.zarr").languages').result["text/plain"] == "('en',)"
    assert notebook.run('xs.open_store("cut.zarr").verify()').result["text/plain"] == "[]"
    again = notebook.run('store = xs.build(texts, model, "cut.zarr", examples=16, max_length=24, batch_size=4)')
    assert again.error == ""
    assert next(iter(again.displays.values()))["text/plain"].startswith("finished: 2/2, ")
    assert notebook.run("store.languages, store.verify()").result["text/plain"] == "(('en', 'fi', 'sw'), [])"
