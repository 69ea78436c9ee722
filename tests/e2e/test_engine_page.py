"""The Python examples of docs/engine.md run one after the other."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

import xsns_stream as xs
from tests.support.page_blocks import run_page


def test_the_python_runs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, xsns: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with torch.random.fork_rng():
        space = run_page("docs/engine.md", xsns).names
    output = capsys.readouterr().out
    assert "<DiagonalFisher 3,159,040 values, mean of 6 examples>" in output
    assert "per-example(loss=loss)" in output
    every = space["every"]
    assert every.layout.size == sum(p.numel() for p in space["model"].parameters())
    assert {layer.name for layer in space["two"].layout.layers} == {"roberta.encoder.layer.0", "lm_head"}
    assert not [name for name in space["matrices"].layout.names if name.endswith("bias") or "LayerNorm" in name]
    assert space["of_network"].layout.size == sum(p.numel() for p in space["network"].parameters())
    zeros = sum(int((space["parameters"][name] == 0).sum()) for name in space["values"])
    assert zeros / space["fisher"].layout.size == pytest.approx(0.3, abs=0.01)
    assert xs.extract_subnetwork(space["fisher"], density=0.15).layout.digest == space["fisher"].layout.digest
