"""The Python examples and the links of README."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

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
