"""The commands and the Python example of README.md."""

from __future__ import annotations

import gzip
import json
import os
import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.page_blocks import run_page
from tests.support.paths import ROOT

README = ROOT / "README.md"


def test_all_python_examples_of_readme_run(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 1
    completed = subprocess.run(
        [sys.executable, "-c", blocks[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    assert completed.returncode == 0, completed.stderr
    assert (tmp_path / "sw.safetensors").exists()
    assert (tmp_path / "python.zarr" / "zarr.json").exists()


SCORES = """source,target,score
en,sw,55.1
en,fi,60.2
en,de,70.3
fi,sw,51.7
fi,en,66.0
fi,de,58.8
sw,en,52.4
sw,fi,47.5
sw,de,46.9
de,en,69.0
de,fi,55.2
de,sw,49.4
"""


@pytest.fixture
def folder_of_readme(tmp_path: Path, write_texts: Callable[..., Path]) -> Path:
    """A folder with the texts and the scores that README describes."""
    texts = write_texts(tmp_path / "texts", "sw en fi de", 10)
    lines = (texts / "fi.txt").read_text(encoding="utf-8").splitlines()
    rows = "\n".join(json.dumps({"text": line}) for line in lines)
    (texts / "fi.jsonl.gz").write_bytes(gzip.compress(rows.encode()))
    sentences = [
        f"# text = {line}\n"
        + "".join(f"{number}\t{word}\t_\tX\t_\t_\t0\troot\t_\t_\n" for number, word in enumerate(line.split(), start=1))
        for line in (texts / "de.txt").read_text(encoding="utf-8").splitlines()
    ]
    (texts / "de.conllu").write_text("\n".join(sentences) + "\n", encoding="utf-8")
    for name in ("fi.txt", "de.txt"):
        (texts / name).unlink()
    (tmp_path / "scores.csv").write_text(SCORES)
    return tmp_path


@pytest.mark.slow
def test_the_ranking_of_readme_is_what_its_commands_print(
    xsns: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    (block,) = re.findall(r"```text\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    commands, on_page = (
        [line for line in block.splitlines() if line.startswith("$ ") is is_command] for is_command in (True, False)
    )
    built, ranked = (xsns(*shlex.split(command)[2:]) for command in commands)
    assert built.code == ranked.code == 0, built.err
    printed = [line.strip() for line in ranked.out.splitlines()]
    assert printed[0] == on_page[0]
    assert on_page[-1] in printed
    rows, expected = (
        [line.split() for line in lines if re.match(r"[ \d]+[~ ] ", line)] for lines in (printed, on_page)
    )
    assert len(expected) == 5
    for row, expected_row in zip(rows, expected, strict=True):
        assert row[:3] == expected_row[:3]
        # Another processor rounds sums in another order, which changes a few bits of a sub-network.
        assert float(row[3]) == pytest.approx(float(expected_row[3]), abs=0.002)


@pytest.mark.slow
def test_the_blocks_of_readme_run_from_top_to_bottom(
    folder_of_readme: Path, xsns: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder_of_readme)
    run = run_page("README.md", xsns)
    assert len(run.commands) >= 7
    first, dry, second = (completed for words, completed in run.commands if words[0] == "build")
    assert "3 rows measured" in first.out
    assert "1 row, 1 of them not in the store yet." in dry.out
    assert "1 row measured" in second.out
    assert "taken from the store 'mine.zarr': model mini, corpus texts, examples 256" in second.err
    ranked = run.output("rank")
    assert "Sources for Swahili (sw), most similar first" in ranked[0]
    assert "German" in ranked[1]
    assert all("95 % interval" in out for out in ranked)
    assert {"mine.zarr", "ranking.csv", "ranking.png", "gold.parquet"} <= {path.name for path in Path().iterdir()}
