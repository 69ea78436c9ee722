"""The commands, the Python example and the links of README."""

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

from tests.support.paths import ROOT

README = ROOT / "README.md"


def test_all_python_examples_of_readme_run(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    assert len(blocks) == 1
    finished = subprocess.run(
        [sys.executable, "-c", blocks[0]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=200,
        env=os.environ | {"HF_HUB_OFFLINE": "1"},
    )
    assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "sw.safetensors").exists()
    assert (tmp_path / "python.zarr" / "zarr.json").exists()


def test_every_file_that_readme_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []


#: Commands of README that install the program or run its tests; `.ci/run` runs them.
NOT_RUN_HERE = ("make demo", "make test")
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


def commands_of_readme() -> list[str]:
    """Return the commands of all console blocks, from top to bottom."""
    blocks = re.findall(r"```console\n(.*?)```", README.read_text(encoding="utf-8"), flags=re.DOTALL)
    lines = "".join(blocks).replace("\\\n", " ").splitlines()
    return [line.partition("  #")[0].strip() for line in lines if line.strip()]


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
    commands, shown = (
        [line for line in block.splitlines() if line.startswith("$ ") is is_command] for is_command in (True, False)
    )
    built, ranked = (xsns(*shlex.split(command)[2:]) for command in commands)
    assert built.code == ranked.code == 0, built.err
    printed = [line.strip() for line in ranked.out.splitlines()]
    assert printed[0] == shown[0]
    assert shown[-1] in printed
    rows, expected = ([line.split() for line in lines if re.match(r"[ \d]+[~ ] ", line)] for lines in (printed, shown))
    assert len(expected) == 5
    for row, wanted in zip(rows, expected, strict=True):
        assert row[:3] == wanted[:3]
        # Another processor rounds sums in another order, which changes a few bits of a sub-network.
        assert float(row[3]) == pytest.approx(float(wanted[3]), abs=0.002)


@pytest.mark.slow
def test_the_commands_of_readme_run_from_top_to_bottom(
    folder_of_readme: Path, xsns: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(folder_of_readme)
    commands = [command for command in commands_of_readme() if command not in NOT_RUN_HERE]
    assert len(commands) >= 7
    printed: dict[str, Any] = {}
    for command in commands:
        program, *arguments = shlex.split(command)
        assert program == "xsns-stream"
        done = xsns(*arguments)
        assert done.code == 0, f"{command}\n{done.err}"
        printed[command] = done
    first, dry, second = (printed[command] for command in commands if " build " in command)
    assert "3 rows measured" in first.out
    assert "1 row, 1 of them not in the store yet." in dry.out
    assert "1 row measured" in second.out
    assert "taken from the store 'mine.zarr': model mini, corpus texts, examples 256" in second.err
    ranked = [printed[command].out for command in commands if " rank " in command]
    assert "Sources for Swahili (sw), most similar first" in ranked[0]
    assert "German" in ranked[1]
    assert all("95 % interval" in out for out in ranked)
    assert {"mine.zarr", "ranking.csv", "ranking.png", "gold.parquet"} <= {path.name for path in Path().iterdir()}
