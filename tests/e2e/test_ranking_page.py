"""The commands and the Python examples of docs/ranking.md run in the order of the page, with a tiny model."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.page_blocks import run_page
from tests.support.paths import DOCS
from xsns_stream.gold import write_scores
from xsns_stream.types.transfer_scores import TransferScores

TEXT = (DOCS / "ranking.md").read_text(encoding="utf-8")
CODES = ("de", "en", "et", "fi", "sw", "zu")


@pytest.fixture
def folder(write_texts: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the texts and the gold scores that the page names."""
    write_texts(tmp_path / "texts", " ".join(CODES), 32)
    cells = np.array([[80 - 4 * abs(a - b) - 2.5 * b + (a * b) % 3 for b in range(6)] for a in range(6)])
    scores = TransferScores(CODES, CODES, cells[None, None], "pos", "accuracy", "percent", "made up")
    write_scores(scores, tmp_path / "gold.parquet")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_examples_of_the_page_run(folder: Path, xsns: Any, tiny_folder: Path) -> None:
    tiny = ["--model", str(tiny_folder), "--max-length", "24"]
    run = run_page("docs/ranking.md", xsns, more=lambda words: tiny if words[0] == "build" else [])
    outputs, space = run.output(), run.names
    assert "5 rows measured, 0 already present" in outputs[0]
    assert "1 row measured, 0 already present" in outputs[1]
    ranking = outputs[2]
    for column in ("jaccard", "95 % interval", "P(best)", "chance-corrected", "split-half"):
        assert column in ranking
        assert f"| {column} |" in TEXT
    assert "(95 %, 8 parts)." in ranking
    assert "6 rows without each of 8" in outputs[3]
    assert "Jaccard by layer" in outputs[4]
    assert "Sources for Estonian (et)" in outputs[5]
    assert all((folder / f"sources{suffix}").exists() for suffix in (".csv", ".md", ".png"))
    assert "chosen by similarity" in outputs[7]
    assert "chosen by coverage" in outputs[8]
    assert "Expected accuracy (pos) from 30 pairs of gold scores" in outputs[9]
    assert (folder / "both.png").exists()
    assert [source.language for source in space["ranking"]] == [
        line.split()[1] for line in ranking.splitlines() if re.match(r" +\d", line)
    ]
    assert len(space["cover"].sources) == 3
