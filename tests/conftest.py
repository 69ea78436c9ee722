"""Shared fixtures: a tiny model folder and corpus, an S3 server, and the command line in this or another process."""

from __future__ import annotations

import gc
import json
import os
import shutil
import subprocess
import sys
import urllib.request
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import pytest
from hypothesis import settings

from tests.support.browsers import chromium
from tests.support.paths import MINI, SUPPORT
from tests.support.s3_faults import FaultyServer

# The first call of a kernel may compile it, which takes longer than the deadline of a single example.
settings.register_profile("house", deadline=None)
settings.load_profile("house")

# No test may use the network. The libraries read these variables when they are imported. With threads in tokenizers,
# every subprocess would warn about forks.
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

#: Sentences of real words. Their meaning does not matter; they must differ between languages.
WORDS = {
    "sw": "habari ya asubuhi watoto wanasoma kitabu kizuri nyumbani leo mwalimu anafundisha shule kubwa",
    "fi": "hyvää huomenta lapset lukevat kirjaa kotona tänään opettaja opettaa suuressa koulussa aina",
    "et": "tere hommikust lapsed loevad raamatut kodus täna õpetaja õpetab suures koolis alati",
    "en": "good morning children read a book at home today the teacher works in that large school",
    "de": "guten morgen die kinder lesen heute zu hause ein buch und der lehrer arbeitet in der schule",
    "zu": "sawubona ekuseni izingane zifunda incwadi ekhaya namuhla uthisha ufundisa esikoleni esikhulu",
}

#: The beginning of a command line in a process of its own. A shell that starts the tests in the background lets all
#: of its children ignore Ctrl-C.
START = [
    sys.executable,
    "-c",
    "import signal; signal.signal(signal.SIGINT, signal.default_int_handler); from xsns_stream.cli import run; run()",
]


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add `--exhaustive`."""
    parser.addoption("--exhaustive", action="store_true", help="Also run tests that take many minutes each.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Skip tests with the marker `exhaustive` unless `--exhaustive` is given."""
    if config.getoption("--exhaustive"):
        return
    for item in items:
        if item.get_closest_marker("exhaustive"):
            item.add_marker(pytest.mark.skip(reason="takes many minutes: give --exhaustive"))


def pytest_unconfigure(config: pytest.Config) -> None:
    """Undo `freeze_old_objects`, so that libraries that look for leaks find none."""
    gc.unfreeze()


class CompletedCommand(NamedTuple):
    """Exit code and output of a command line."""

    code: int
    out: str
    err: str


def sentences(language: str, count: int) -> list[str]:
    """Return `count` different sentences of 2 to 12 words. Every call returns the same sentences."""
    words = WORDS[language].split()
    return [
        " ".join(words[(n * 5 + i * (1 + n % 4)) % len(words)] for i in range(2 + n % 11)) + f" {n}"
        for n in range(count)
    ]


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Let self-checks write to a cache folder of the tests instead of the user's."""
    os.environ["XSNS_STREAM_CACHE"] = str(tmp_path_factory.mktemp("cache"))


@pytest.fixture(scope="module", autouse=True)
def freeze_old_objects() -> None:
    """Exempt old objects (collected tests, imported modules) from garbage collection.

    There are a million of them, and every collection would visit each. `accelerate` collects after each fine-tuning.
    """
    if len(gc.get_objects(generation=2)) > 100_000:
        gc.collect()
        gc.freeze()


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model folder: XLM-R with 2 layers of width 32, random weights, and the tokenizer of the embedded model."""
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


@pytest.fixture(scope="module")
def one_thread() -> Iterator[None]:
    """Let torch use one thread. Small models are slower with several, and sums are then rounded in another way."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


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
    """Write one file of sentences per language into a new folder, and return the folder."""

    def write(folder: Path, languages: str = "sw fi", count: int = 20) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        for language in languages.split():
            (folder / f"{language}.txt").write_text("\n".join(sentences(language, count)) + "\n", encoding="utf-8")
        return folder

    return write


@pytest.fixture
def xsns(capsys: pytest.CaptureFixture[str]) -> Callable[..., CompletedCommand]:
    """Run a command line within this process, in which torch is already imported.

    The output of `--json` is compared with the JSON Schema of the verb.
    """
    from tests.support.json_schemas import check_output
    from xsns_stream.cli import main

    def run(*args: object) -> CompletedCommand:
        capsys.readouterr()
        with pytest.raises(SystemExit) as stop:
            main([str(arg) for arg in args])
        captured = capsys.readouterr()
        if "--json" in args and captured.out.startswith("{"):
            check_output(json.loads(captured.out))
        return CompletedCommand(int(stop.value.code or 0), captured.out, captured.err)

    return run


@pytest.fixture
def in_process(
    monkeypatch: pytest.MonkeyPatch, xsns: Callable[..., CompletedCommand]
) -> Callable[..., CompletedCommand]:
    """Run a command line within this process, in a given folder."""

    def call(folder: Path, *arguments: str) -> CompletedCommand:
        monkeypatch.chdir(folder)
        return xsns(*arguments)

    return call


@pytest.fixture(scope="session")
def start() -> list[str]:
    """The beginning of a command line in a process of its own."""
    return START


@pytest.fixture(scope="session")
def run() -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run a command line in a process of its own, in a given folder."""

    def call(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
        command = [*START, *arguments]
        return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120, check=False)

    return call


@pytest.fixture(scope="session")
def start_xsns() -> Callable[..., subprocess.Popen[str]]:
    """Start a command line in a process of its own, with pipes for stdout and stderr."""

    def start(*args: object) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [*START, *map(str, args)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            encoding="utf-8",
            # The same number of threads in every process, so that sums are rounded in the same way.
            env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONIOENCODING": "utf-8"},
        )

    return start


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The address of an S3 server that runs on this machine."""
    script = SUPPORT / "s3_server.py"
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


@pytest.fixture
def s3(s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """An empty bucket; its URL. Keys and endpoint are in the environment, as a user gives them."""
    name = f"bucket-{uuid.uuid4().hex}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-the-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
    request = urllib.request.Request(f"{s3_endpoint}/{name}", method="PUT")
    urllib.request.urlopen(request, timeout=60).close()
    return f"s3://{name}"


@pytest.fixture
def faulty_s3(s3: str, s3_endpoint: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[tuple[str, FaultyServer]]:
    """The URL of an empty bucket, and the proxy in front of the server, which can be told to fail."""
    server = FaultyServer(s3_endpoint)
    monkeypatch.setenv("AWS_ENDPOINT_URL", server.endpoint)
    yield s3, server
    server.stop()


@pytest.fixture
def server(faulty_s3: tuple[str, FaultyServer]) -> FaultyServer:
    """The proxy of :func:`faulty_s3`."""
    return faulty_s3[1]


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """Chromium, for tests of pages."""
    with chromium() as started:
        yield started
