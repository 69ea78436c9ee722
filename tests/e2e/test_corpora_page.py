"""The Python block of docs/corpora.md on labelled data, run on folders with the names that it uses."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import DOCS

PAGE = DOCS / "corpora.md"
WORD = "1\tleo\t_\tADV\t_\t_\t0\troot\t_\t_\n2\t{n}\t_\t_\t_\t_\t1\tdep\t_\t_\n\n"


def test_the_example_of_labelled_data_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for folder, name, content in (
        ("treebanks", "sw_x-ud-{}.conllu", "".join(WORD.format(n=n) for n in range(5))),
        ("entities", "sw-{}.txt", "leo B-DATE\nNairobi B-LOC\n"),
    ):
        (tmp_path / folder).mkdir()
        for split in ("train", "dev", "test"):
            (tmp_path / folder / name.format(split)).write_text(content, encoding="utf-8")
    (tmp_path / "entities" / "notes.txt").write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    section = PAGE.read_text(encoding="utf-8").partition("## Labelled data of a task")[2]
    (block,) = re.findall(r"```python\n(.*?)```", section, flags=re.DOTALL)
    names: dict[str, Any] = {}
    exec(block, names)
    assert names["data"].languages("train") == ("sw",)
    assert names["test"].examples[0].label == ("ADV", "")
    assert names["test"].note == ""
    assert names["entities"].renamed == {"DATE"}
    assert names["entities"].skipped == ("notes.txt",)
