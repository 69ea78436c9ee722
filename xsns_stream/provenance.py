"""Versions of what a result depends on; the rest of a :class:`Provenance` the pipeline knows."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version
from typing import Final

LIBRARIES: Final = (
    "xsns-stream",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "zarr",
    "datasets",
    "babel",
)


def library_versions() -> dict[str, str]:
    """Return {library: installed version} of those that can change a sub-network; nothing is imported."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
