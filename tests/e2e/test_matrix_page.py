"""The commands of docs/matrix.md run in the order of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support import networks
from tests.support.page_blocks import run_page
from xsns_stream.store import open_store


def test_all_blocks_of_the_page_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xsns: Any) -> None:
    store = open_store(tmp_path / "xsns.zarr", "a")
    for language in ("de", "en", "fi", "sw", "zu"):
        store.write(networks.make_sub(language))
    monkeypatch.chdir(tmp_path)
    run_page("docs/matrix.md", xsns)
    assert {"similarity.csv", "tree.nwk", "similarity.html"} <= {path.name for path in tmp_path.iterdir()}
