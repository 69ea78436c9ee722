"""The commands and the Python examples of docs/gold.md run unchanged, in the order of the page."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.page_blocks import run_page


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the files that the page names."""
    table = "source,sw,fi,en\nen,61.2,80.4,95.5\nde,58.5,79.25,\n"
    (tmp_path / "sizes").mkdir()
    for name in ("matrix.csv", "run1.csv", "run2.csv", "sizes/matrix-ft-10000.csv", "sizes/matrix-ft-00630.csv"):
        (tmp_path / name).write_text(table)
    (tmp_path / "scores.csv").write_text("source,target,f1\nen,sw,61.2\nde,sw,58.5\nen,fi,80.4\n")
    (tmp_path / "similarity.tsv").write_text("lang\teng_Latn\tswh_Latn\neng_Latn\t\t0.25\nswh_Latn\t0.25\t\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_all_examples_of_the_page_run(folder: Path, xsns: Any) -> None:
    run = run_page("docs/gold.md", xsns)
    assert all(completed.out for _, completed in run.commands)
    space = run.names
    np.testing.assert_array_equal(space["gold"].values, [[61.2, 80.4, 95.5], [58.5, 79.25, np.nan]])
    assert space["found"].notes == ("1 of 5 pairs of different languages has no score: de → en.",)
    assert len(space["frame"]) == 5
    assert space["similarities"]["en", "sw"] == 0.25
    assert {path.name for path in folder.glob("*.parquet")} == {
        "gold.parquet",
        "ner.parquet",
        "runs.parquet",
        "sizes.parquet",
        "again.parquet",
    }
