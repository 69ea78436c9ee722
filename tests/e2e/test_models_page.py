"""The Python examples of docs/models.md run one after the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import DOCS

TEXT = (DOCS / "models.md").read_text(encoding="utf-8")


def test_the_python_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    space: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(block, space)
    assert "XLMRobertaForMaskedLM (in memory)" in capsys.readouterr().out
    assert space["store"].languages == ("fi", "sw")
    assert space["matrix"].values.shape == (2, 2)
