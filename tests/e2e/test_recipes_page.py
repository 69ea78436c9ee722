"""The commands of docs/recipes.md run in the order of the page, with a tiny model."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.page_blocks import run_page
from tests.support.tagged_text import write_tagged_folder
from xsns_stream.gold import write_scores
from xsns_stream.types.transfer_scores import TransferScores

CODES = ("en", "fi", "sw")


def test_all_commands_of_the_page_run(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    xsns: Callable[..., Any],
    write_texts: Callable[..., Path],
    tiny_folder: Path,
) -> None:
    write_tagged_folder(tmp_path)
    write_texts(tmp_path / "texts", " ".join(CODES), 24)
    cells = np.random.default_rng(0).random((1, 1, 3, 3)) * 100
    write_scores(TransferScores(CODES, CODES, cells, "pos", "accuracy", "percent", ""), tmp_path / "gold.parquet")
    monkeypatch.chdir(tmp_path)
    tiny, quick = ["--model", str(tiny_folder), "--max-length", "24"], ["--resamples", "100"]
    run = run_page("docs/recipes.md", xsns, more=lambda words: tiny if words[0] == "build" else quick)
    assert len(run.commands) == 4
