"""The Python examples of docs/models.md run one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.support.page_blocks import run_page


def test_the_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xsns: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    space = run_page("docs/models.md", xsns).names
    assert "XLMRobertaForMaskedLM (in memory)" in capsys.readouterr().out
    assert space["store"].languages == ("fi", "sw")
    assert space["matrix"].values.shape == (2, 2)
