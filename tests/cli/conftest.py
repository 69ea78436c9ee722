"""What tests of the command line share: made-up stores, verbs called in two ways, and a small build."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

# A shell that starts the tests in the background ignores Ctrl-C for all of its children.
_HEARS_CTRL_C = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
START = [sys.executable, "-c", f"{_HEARS_CTRL_C}from xsns_stream.cli import run; run()"]
LANGUAGES = ("de", "en", "et", "fi", "sw", "zu")


@pytest.fixture(scope="session")
def start() -> list[str]:
    """The beginning of a command line in a process of its own."""
    return START


@pytest.fixture(scope="session")
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a verb in a folder, in a process of its own."""

    def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*START, *arguments], cwd=folder, capture_output=True, text=True, timeout=120, check=False
        )

    return call


@pytest.fixture
def in_process(monkeypatch: pytest.MonkeyPatch, xsns: Callable[..., Any]) -> Callable[..., Any]:
    """Run a verb in a folder, in this process, which has everything imported; return exit code, stdout and stderr."""

    def call(folder: Path, *arguments: str) -> Any:
        monkeypatch.chdir(folder)
        return xsns(*arguments)

    return call


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
        given = [str(part) for pair in common.items() for part in pair]
        return xsns("build", "--model", model, "--corpus", corpus, "--lang", lang, *given, *args)

    return call
