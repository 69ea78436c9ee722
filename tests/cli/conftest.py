"""A corpus of six languages, and a small build of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

LANGUAGES = ("de", "en", "et", "fi", "sw", "zu")


@pytest.fixture(scope="session")
def texts(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Path:
    """A corpus of six languages."""
    return write_texts(tmp_path_factory.mktemp("build") / "texts", " ".join(LANGUAGES), 30)


@pytest.fixture
def build(xsns: Callable[..., Any], tiny_folder: Path, texts: Path, tmp_path: Path) -> Callable[..., Any]:
    """Run a small build within this process."""

    def call(
        *args: object, model: Path = tiny_folder, corpus: Path = texts, lang: str = "sw,fi", **options: Any
    ) -> Any:
        common = {"--examples": 6, "--max-length": 24, "--store": tmp_path / "x.zarr"}
        common |= {f"--{name.replace('_', '-')}": value for name, value in options.items()}
        words = [str(part) for pair in common.items() for part in pair]
        return xsns("build", "--model", model, "--corpus", corpus, "--lang", lang, *words, *args)

    return call
