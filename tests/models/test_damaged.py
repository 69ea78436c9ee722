"""Damaged and malicious model folders: every verb ends with an error message, in bounded time and memory."""

from __future__ import annotations

import re
import resource
import time
from pathlib import Path
from typing import Any

import pytest

from tests.support import model_damages
from xsns_stream.errors import ExitCode, ModelError
from xsns_stream.models import load_model

SECONDS, MEMORY = 20, 2**30
#: Error texts of Python, torch, safetensors and transformers that mean nothing to a user.
FOREIGN = re.compile(
    r"unhashable|object is not|has no attribute|Error\b|index out of range|PyTorch|torch\.|weights_only|"
    r"trust_remote_code|Traceback|NoneType|expected str|invalid literal|this is a bug"
)


@pytest.mark.parametrize("name", model_damages.ALL)
def test_a_damaged_folder_is_refused_in_a_sentence(name: str, tiny_copy: Path) -> None:
    damage, words = model_damages.ALL[name]
    damage(tiny_copy)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
    with pytest.raises(ModelError) as caught:
        load_model(str(tiny_copy))
    seconds = time.perf_counter() - started
    grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
    error = caught.value
    assert words in error.message
    assert error.message.endswith(".")
    assert "\n" not in error.message
    assert error.hint
    assert error.exit_code == ExitCode.FAILURE
    assert not FOREIGN.search(error.message + error.hint)
    assert seconds < SECONDS
    assert grown < MEMORY


SOME = (
    "a tensor of 10^9 values",
    "an index to another folder",
    "an index to a pickle",
    "10^6 layers",
    "architectures of a number",
    "a kind that is a list",
    "deep JSON",
    "a length of text",
    "a normaliser that multiplies",
    "a named pipe as tokenizer",
    "an adapter beside weights",
)


@pytest.mark.parametrize("name", SOME)
@pytest.mark.parametrize("verb", ["params", "build", "baseline"])
def test_every_verb_ends_with_a_sentence(name: str, verb: str, tiny_copy: Path, tmp_path: Path, xsns: Any) -> None:
    damage, words = model_damages.ALL[name]
    damage(tiny_copy)
    for language in ("sw", "fi"):
        (tmp_path / f"{language}.txt").write_text("habari ya asubuhi\n")
    text = ("--corpus", f"sw={tmp_path / 'sw.txt'}", "--corpus", f"fi={tmp_path / 'fi.txt'}", "--model", tiny_copy)
    output = tmp_path / "emb.csv"
    completed = {
        "params": lambda: xsns("params", tiny_copy),
        "build": lambda: xsns("build", *text, "--store", tmp_path / "s.zarr"),
        "baseline": lambda: xsns("baseline", "emb", *text, "-o", output),
    }[verb]()
    assert completed.code == ExitCode.FAILURE, completed.err
    assert words in re.sub(r"\s+", " ", completed.err)
    assert not FOREIGN.search(completed.err)
