"""The commands and the Python examples of docs/matrix.md run in the order of the page."""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import networks
from tests.support.paths import DOCS
from xsns_stream.io.matrix_formats import FIGURES, SUFFIXES
from xsns_stream.store import open_store

TEXT = (DOCS / "matrix.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```(console|python)\n(.*?)```", TEXT, re.DOTALL)


def test_the_page_lists_every_format_and_figure() -> None:
    rows = [line for line in TEXT.splitlines() if re.match(r"\| `[^-]", line)]
    named = re.findall(r"`([^`]+)`", " ".join(row.split("|")[1] for row in rows))
    assert {name for name in named if name.startswith(".")} == set(SUFFIXES)
    assert [name for name in named if not name.startswith(".")] == list(FIGURES)


def test_the_examples_run_in_the_order_of_the_page(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, in_process: Callable[..., Any]
) -> None:
    store = open_store(tmp_path / "xsns.zarr", "a")
    for language in ("sw", "zu", "fi", "et", "de", "en"):
        store.write(networks.make_sub(language, 7))
    monkeypatch.chdir(tmp_path)
    namespace: dict[str, Any] = {}
    for kind, block in BLOCKS:
        if kind == "python":
            exec(compile(block, "docs/matrix.md", "exec"), namespace)  # the examples of our own page
            continue
        for line in block.splitlines():
            program, *arguments = shlex.split(line)
            done = in_process(tmp_path, *arguments)
            assert (program, done.code) == ("xsns-stream", 0), done.err
    written = {path.name for path in tmp_path.iterdir()}
    assert {"tree.nwk", "tree.pdf", "tree.svg", "map.pdf", "neighbours.graphml", "similarity.html"} <= written
