"""What README shows in Python runs, in order, in a folder with the store that its commands make."""

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
    assert len(blocks) == 2
    build = "from xsns_stream.cli import main; main(['build', '--lang', 'sw,en,fi', '--examples', '8'])"
    for program in (build, "\n".join(blocks)):
        finished = subprocess.run(
            [sys.executable, "-c", program],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
            timeout=200,
            env=os.environ | {"HF_HUB_OFFLINE": "1"},
        )
        assert finished.returncode == 0, finished.stderr
    assert (tmp_path / "python.zarr" / "zarr.json").exists()


def test_every_file_that_readme_links_to_exists() -> None:
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (README.parent / link).exists()] == []
