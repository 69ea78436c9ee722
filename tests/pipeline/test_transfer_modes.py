"""Fine-tuning inside mixed precision or inference mode of the caller."""

from __future__ import annotations

from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import pytest
import torch

from xsns_stream.errors import XsnsError
from xsns_stream.pipeline import finetune
from xsns_stream.pipeline.events import TransferResult


@pytest.mark.parametrize(
    "mode", [torch.autocast("cpu", torch.bfloat16), torch.inference_mode()], ids=["autocast", "inference"]
)
def test_modes_of_the_caller_are_off(
    mode: AbstractContextManager[None], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    modes: list[tuple[bool, bool]] = []

    def run(*args: Any) -> TransferResult:
        modes.append((torch.is_autocast_enabled("cpu"), torch.is_inference_mode_enabled()))
        raise XsnsError("stopped.", "this is a test.")

    monkeypatch.setattr(finetune, "run_transfer", run)
    for name in ("en-train", "en-dev", "en-test"):
        (tmp_path / f"{name}.txt").write_text("dog NOUN\nruns VERB\n\ncat NOUN\nsits VERB\n")
    with mode, pytest.raises(XsnsError, match="stopped"):
        finetune.transfer(str(tmp_path), task="pos", sources="en", output=tmp_path / "gold.csv", progress=False)
    assert modes == [(False, False)]
