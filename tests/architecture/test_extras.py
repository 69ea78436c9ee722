"""Optional dependencies: installing them must not break the environment."""

from __future__ import annotations

import tomllib
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_no_extra_installs_torchvision() -> None:
    """torchvision from PyPI cannot be imported beside a torch without CUDA; transformers then imports no model."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    listed = " ".join(
        [*project["dependencies"], *(name for extra in project["optional-dependencies"].values() for name in extra)]
    )
    assert "torchvision" not in listed
    assert "backpack" not in listed, "BackPACK requires torchvision"
    pinned = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    assert not [line for line in pinned if line.startswith("torchvision")]
