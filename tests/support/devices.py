"""Devices on which a test runs: the CPU always, and a GPU if there is one."""

import pytest
import torch

#: `pytest -m cuda` selects the repetitions on a GPU. Without a GPU they are not collected.
every_device = pytest.mark.parametrize(
    "device",
    ["cpu", *([pytest.param("cuda", marks=pytest.mark.cuda)] if torch.cuda.is_available() else [])],
)
