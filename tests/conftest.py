"""What several kinds of tests share: a tiny model folder, a tiny corpus, and the command line called in two ways."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType
from typing import NamedTuple

import pytest
from hypothesis import settings

from tests.support.paths import MINI

# A kernel's first call may compile it, which no deadline for a single example allows for.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# No test may reach the network; the libraries read these when they are imported. Threads of the tokenizer's would
# make every subprocess complain about forks.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

#: Made-up sentences of real words: what they say is of no matter, that they differ by language is.
WORDS = {
    "sw": "habari ya asubuhi watoto wanasoma kitabu kizuri nyumbani leo mwalimu anafundisha shule kubwa",
    "fi": "hyvää huomenta lapset lukevat kirjaa kotona tänään opettaja opettaa suuressa koulussa aina",
    "et": "tere hommikust lapsed loevad raamatut kodus täna õpetaja õpetab suures koolis alati",
    "en": "good morning children read a book at home today the teacher works in that large school",
    "de": "guten morgen die kinder lesen heute zu hause ein buch und der lehrer arbeitet in der schule",
    "zu": "sawubona ekuseni izingane zifunda incwadi ekhaya namuhla uthisha ufundisa esikoleni esikhulu",
}


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--exhaustive`."""
    parser.addoption("--exhaustive", action="store_true", help="Also run tests that take many minutes each.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip what is marked `exhaustive` unless it was asked for."""
    if config.getoption("--exhaustive"):
        return
    for item in items:
        if item.get_closest_marker("exhaustive"):
            item.add_marker(pytest.mark.skip(reason="takes many minutes: give --exhaustive"))


class Finished(NamedTuple):
    """A command line that came to its end."""

    code: int
    out: str
    err: str


def sentences(language: str, count: int) -> list[str]:
    """`count` different sentences of 2 to 12 words; the same for every call."""
    words = WORDS[language].split()
    return [
        " ".join(words[(n * 5 + i * (1 + n % 4)) % len(words)] for i in range(2 + n % 11)) + f" {n}"
        for n in range(count)
    ]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Keep what self-checks find out of the user's cache folder."""
    os.environ["XSNS_STREAM_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An XLM-R of 2 layers and width 32 with random weights, beside the embedded model's tokenizer."""
    import torch
    from transformers import AutoTokenizer, XLMRobertaConfig, XLMRobertaForMaskedLM
    from transformers.utils import logging

    folder = tmp_path_factory.mktemp("models") / "tiny"
    rows = len(AutoTokenizer.from_pretrained(MINI))
    config = XLMRobertaConfig(
        vocab_size=rows,
        hidden_size=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        intermediate_size=64,
        max_position_embeddings=66,
        pad_token_id=1,
    )
    with torch.random.fork_rng():
        torch.manual_seed(20)
        model = XLMRobertaForMaskedLM(config)
    logging.disable_progress_bar()
    model.save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(MINI / name, folder / name)
    return folder


@pytest.fixture(scope="session")
def zoo() -> ModuleType:
    """Tiny models of every family, and batches for them."""
    from tests.support import zoo

    return zoo


@pytest.fixture
def tiny_copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model folder that a test may damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "model"))


@pytest.fixture(scope="session")
def write_texts() -> Callable[..., Path]:
    """Write one file of sentences a language into a new folder, and return the folder."""

    def write(folder: Path, languages: str = "sw fi", count: int = 20) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for language in languages.split():
            (folder / f"{language}.txt").write_text("\n".join(sentences(language, count)) + "\n", encoding="utf-8")
        return folder

    return write


@pytest.fixture
def xsns(capsys: pytest.CaptureFixture[str]) -> Callable[..., Finished]:
    """Run a command line within this process, where importing torch has been paid for."""
    from xsns_stream.cli import main

    def run(*args: object) -> Finished:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        return Finished(int(stop.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def start_xsns() -> Callable[..., subprocess.Popen[str]]:
    """Start a command line in a process of its own, with pipes for stdout and stderr."""
    # A shell that starts the tests in the background ignores Ctrl-C for all of its children.
    program = (
        "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); "
        "from xsns_stream.cli import run; run()"
    )

    def start(*args: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", program, *map(str, args)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            # As many threads in every process, so that sums are rounded alike.
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        )

    return start
