"""The commands and the Python examples of docs/matrix.md run in the order of the page."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support import networks
from tests.support.page_blocks import run_page
from tests.support.paths import DOCS
from xsns_stream.io.matrix_formats import FIGURES, SUFFIXES
from xsns_stream.store import open_store


def test_the_page_lists_every_format_and_figure() -> None:
    lines = (DOCS / "matrix.md").read_text(encoding="utf-8").splitlines()
    rows = [line for line in lines if re.match(r"\| `[^-]", line)]
    named = re.findall(r"`([^`]+)`", " ".join(row.split("|")[1] for row in rows))
    assert {name for name in named if name.startswith(".")} == set(SUFFIXES)
    assert [name for name in named if name in FIGURES] == list(FIGURES)


def test_all_blocks_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xsns: Any) -> None:
    store = open_store(tmp_path / "xsns.zarr", "a")
    for language in ("de", "en", "et", "fi", "sw", "zu"):
        store.write(networks.make_sub(language))
    monkeypatch.chdir(tmp_path)
    run_page("docs/matrix.md", xsns)
    written = {path.name for path in tmp_path.iterdir()}
    assert {"tree.nwk", "tree.pdf", "tree.svg", "map.pdf", "neighbours.graphml", "similarity.html"} <= written
