"""The blocks of docs/tutorial.md run in the order of the page, with a tiny model and few examples."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.page_blocks import blocks, run_page
from tests.support.paths import DOCS, ROOT

PAGE = "docs/tutorial.md"


def test_all_blocks_of_the_tutorial_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xsns: Any, tiny_folder: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    tiny = ["--model", str(tiny_folder), "--max-length", "24", "--examples", "12", "--parts", "3"]
    quick = {"build": tiny, "evaluate": ["--resamples", "100"]}
    run = run_page("docs/tutorial.md", xsns, more=lambda words: quick.get(words[0], []))
    assert len(run.output("rank")) == 3
    assert all("Sources for Swahili (sw), most similar first" in out for out in run.output("rank"))
    assert [path.name for path in sorted(Path("texts").iterdir())] == ["en.txt", "so.txt", "sw.txt", "xh.txt", "zu.txt"]
    assert {"matrix.csv", "report.html", "gold.parquet"} <= {path.name for path in Path().iterdir()}
    assert {source.language for source in run.names["ranking"].ranking} == {"en", "so", "xh", "zu"}


def test_the_ranking_of_the_tutorial_is_that_of_readme() -> None:
    """`tests/e2e/test_readme.py` compares the ranking of README with what its commands print."""
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    tutorial = (DOCS / "tutorial.md").read_text(encoding="utf-8")
    lines = tutorial.partition("Sources for Swahili (sw), most similar first\n")[2].partition("```")[0].splitlines()
    rows = [line for line in lines if line[:4].strip(" ~").isdigit()]
    assert len(rows) == 5
    assert [row for row in rows if row not in readme] == []


def test_the_commands_of_the_start_page_are_those_of_the_tutorial() -> None:
    commands = {command for block in blocks(PAGE) for command in block.commands() if not block.is_python}
    (block,) = blocks("docs/index.md")
    assert [command for command in block.commands() if command not in commands] == []
