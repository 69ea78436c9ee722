"""The commands of docs/transfer.md run unchanged, one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.example_files import lay_out
from tests.support.page_blocks import run_page
from tests.support.paths import DOCS
from xsns_stream.gold import read_scores
from xsns_stream.transfer import PRESETS, TASKS

TEXT = (DOCS / "transfer.md").read_text(encoding="utf-8")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the files that the examples name."""
    lay_out(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_blocks_run_and_python_gives_the_scores_of_the_command(folder: Path, xsns: Any) -> None:
    space = run_page("docs/transfer.md", xsns).names
    command = "transfer --task pos --data pos --sources en --targets fi --preset quick --epochs 1 -o gold.csv"
    completed = xsns(*command.split())
    assert completed.code == 0, completed.err
    assert read_scores(folder / "gold.csv")["en", "fi"] == space["finnish"].metrics["accuracy"]


def test_the_tables_equal_the_tasks_and_presets() -> None:
    for name, task in TASKS.items():
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{name}` "))
        assert re.findall(r"`([a-z0-9-]+)`", row) == [name, *task.metrics]
    for name, preset in PRESETS.items():
        row = next(line for line in TEXT.splitlines() if line.startswith(f"| `{name}` | "))
        rate, warmup, batch, epochs, patience, _ = (cell.strip() for cell in row.strip("|").split("|")[1:])
        assert float(rate) == preset.learning_rate
        assert float(warmup.removesuffix("%")) == 100 * preset.warmup_share
        assert [int(batch), int(epochs.removeprefix("≤ ")), int(patience)] == [
            preset.batch_size,
            preset.epochs,
            preset.patience,
        ]
