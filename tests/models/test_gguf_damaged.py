"""Damaged and malicious GGUF files are refused with a sentence, in bounded time and memory."""

from __future__ import annotations

import resource
import struct
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support import gguf_models
from tests.support.model_folders import refused
from xsns_stream.errors import ExitCode

Change = Callable[[bytearray], object]
SECONDS, MEMORY = 20, 2**29


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The bytes of a GGUF file that can be read."""
    path = tmp_path_factory.mktemp("gguf") / "tiny.gguf"
    return gguf_models.write(path, gguf_models.make("llama"), "llama").read_bytes()


def put(offset: int, code: str, value: int) -> Change:
    return lambda data: struct.pack_into(code, data, offset, value)


def after(key: bytes, offset: int, code: str, value: int) -> Change:
    """Write a number at a distance from the end of the first occurrence of a key."""
    return lambda data: struct.pack_into(code, data, data.index(key) + len(key) + offset, value)


def cut(size: int) -> Change:
    return lambda data: data.__delitem__(slice(size, None))


def swap(old: bytes, new: bytes) -> Change:
    def change(data: bytearray) -> None:
        offset = data.index(old)
        data[offset : offset + len(old)] = new

    return change


#: {name: (change of the bytes of a file, part of the message, part of the hint)}.
DAMAGES: dict[str, tuple[Change, str, str]] = {
    "another format": (put(0, "<I", 0), "is not a GGUF file", "check the path"),
    "an older format": (swap(b"GGUF", b"tjgg"), "a format of llama.cpp that is older than GGUF", "convert the model"),
    "version 1": (put(4, "<I", 1), "has version 1 of GGUF, and only versions 2 and 3 are read", "convert the model"),
    "version 9": (put(4, "<I", 9), "has version 9 of GGUF", "convert the model again"),
    "big-endian": (put(4, ">I", 3), "has numbers of big-endian byte order", "gguf-convert-endian bad.gguf little"),
    "a few bytes": (cut(12), "is truncated", "download the file again"),
    "a cut header": (cut(600), "it ends within its header", "download the file again"),
    "cut tensors": (cut(-100), "is truncated: its tensors end at byte", "download the file again"),
    "2^60 tensors": (put(8, "<Q", 2**60), f"claims {2**60:,} tensors", "may be damaged"),
    "2^60 entries": (put(16, "<Q", 2**60), f"claims {2**60:,} metadata entries", "may be damaged"),
    "a long key": (put(24, "<Q", 2**62), "it ends within its header", "download"),
    "2^40 tokens": (
        after(b"tokenizer.ggml.tokens", 8, "<Q", 2**40), f"has an array of {2**40:,} values", "may be damaged"
    ),
    "arrays of arrays": (after(b"tokenizer.ggml.tokens", 4, "<I", 9), "of the unknown type 9", "may be damaged"),
    "an unknown type": (after(b"llama.block_count", 0, "<I", 77), "has the unknown type 77", "may be damaged"),
    "2^40 axes": (after(b"token_embd.weight", 0, "<I", 2**31), "has 2,147,483,648 axes", "may be damaged"),
    "a huge tensor": (after(b"token_embd.weight", 4, "<Q", 2**50), f"an axis of the size {2**50:,}", "may be damaged"),
    "a tensor type": (after(b"token_embd.weight", 20, "<I", 250), "has the type 250, which the package gguf", "gguf`"),
    "a tensor beyond the end": (
        after(b"token_embd.weight", 24, "<Q", 2**40), "is truncated: its tensors end at byte", "download"
    ),
    "shared bytes": (after(b"output_norm.weight", 16, "<Q", 32), "share bytes", "may be damaged"),
    "a name twice": (swap(b"blk.1.ffn_up.weight", b"blk.0.ffn_up.weight"), "is described twice", "may be damaged"),
    "no text": (swap(b"token_embd", b"token\xff\xfe\xfd\xfc\xfb"), "that is not UTF-8 text", "may be damaged"),
    "10^6 layers": (after(b"llama.block_count", 4, "<I", 10**6), "config.json has 1,000,000 layers", "incomplete"),
    "no heads": (after(b"llama.attention.head_count", 4, "<I", 0), "does not give the number of attention heads", ""),
    "a name of a key": (swap(b"general.architecture", b"general.architectureX"[:20][::-1]), "does not name its", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", DAMAGES)
def test_a_damaged_file_is_refused_in_a_sentence(name: str, whole: bytes, tmp_path: Path) -> None:
    change, words, hint = DAMAGES[name]
    data = bytearray(whole)
    change(data)
    (tmp_path / "bad.gguf").write_bytes(data)
    before, started = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
    error = refused(tmp_path / "bad.gguf")
    assert words in error.message
    assert hint in error.hint
    assert time.process_time() - started < SECONDS
    assert 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) < MEMORY


def test_an_architecture_that_is_not_read_is_refused(tmp_path: Path) -> None:
    path = gguf_models.write(tmp_path / "a.gguf", gguf_models.make("llama"), "llama", extra={"general.name": "x"})
    path.write_bytes(
        path.read_bytes().replace(b"llama.", b"rwkv6.").replace(b"\x05\0\0\0\0\0\0\0llama", _named("rwkv6"))
    )
    error = refused(path)
    assert error.message == f"the model '{path}' is a GGUF file of the architecture 'rwkv6', which is not read."
    assert "GGUF files of bloom, falcon, gemma2, gemma3, gpt2, llama," in error.hint


def _named(name: str) -> bytes:
    return struct.pack("<Q", len(name)) + name.encode()


@pytest.mark.parametrize(
    ("extra", "words", "hint"),
    [
        ({"split.count": 3, "split.no": 1}, "is one of 3 files of a model", "llama-gguf-split --merge"),
        ({"general.type": "adapter"}, "contains something other than a model: adapter", "give the GGUF file of"),
        ({"general.alignment": 7}, "has an invalid alignment", "may be damaged"),
        (
            {"attention.value_length": 4, "attention.key_length": 8},
            "has attention keys of width 8 and attention values of width 4",
            "safetensors",
        ),
        ({"embedding_length": None}, "does not give the number of attention heads or the width", ""),
    ],
)
def test_metadata_of_unsupported_files_is_refused(extra: dict[str, Any], words: str, hint: str, tmp_path: Path) -> None:
    model = gguf_models.make("llama")
    path = gguf_models.write(tmp_path / "model-00002-of-00003.gguf", model, "llama", extra=extra)
    error = refused(path)
    assert words in error.message
    assert hint in error.hint
    if "split.count" in extra:
        assert "--merge model-00001-of-00003.gguf model.gguf" in error.hint


def test_split_files_in_a_folder_are_refused(tmp_path: Path) -> None:
    for number in (0, 1):
        gguf_models.write(
            tmp_path / f"m-0000{number + 1}-of-00002.gguf",
            gguf_models.make("llama"),
            "llama",
            extra={"split.count": 2, "split.no": number},
        )
    assert "is one of 2 files of a model" in refused(tmp_path).message


def test_a_file_without_a_tokenizer_is_refused(tmp_path: Path) -> None:
    path = gguf_models.write(tmp_path / "a.gguf", gguf_models.make("llama"), "llama", tokenizer=None)
    error = refused(path)
    assert error.message == f"the GGUF file of model '{path}' contains no tokenizer."
    assert error.hint == "put the tokenizer.json of the model into the folder of the file."


def test_an_unsupported_kind_of_tokenizer_is_refused(tmp_path: Path) -> None:
    path = gguf_models.write(tmp_path / "a.gguf", gguf_models.make("llama"), "llama", tokenizer="rwkv")
    assert "cannot be read (kind rwkv)" in refused(path).message


def test_without_gguf_the_package_is_named(whole: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "a.gguf").write_bytes(whole)
    monkeypatch.setitem(sys.modules, "gguf", None)
    error = refused(tmp_path / "a.gguf")
    assert error.message == (
        f"the model '{tmp_path / 'a.gguf'}' is a GGUF file, and the package gguf, which reads it, is not installed."
    )
    assert error.hint == "install it with `pip install 'xsns-stream[gguf]'`."


def test_a_pointer_of_git_lfs_is_refused(tmp_path: Path) -> None:
    lines = ("version https://git-lfs.github.com/spec/v1", f"oid sha256:{'4d7a2146' * 8}", "size 12345", "")
    (tmp_path / "a.gguf").write_text("\n".join(lines))
    assert "pointer of Git LFS" in refused(tmp_path / "a.gguf").message


@pytest.mark.parametrize("verb", ["params", "build", "baseline"])
def test_every_verb_ends_with_a_sentence(verb: str, whole: bytes, tmp_path: Path, xsns: Any) -> None:
    (tmp_path / "bad.gguf").write_bytes(whole[:600])
    for language in ("sw", "fi"):
        (tmp_path / f"{language}.txt").write_text("habari ya asubuhi\n")
    text = ("--corpus", f"sw={tmp_path / 'sw.txt'}", "--corpus", f"fi={tmp_path / 'fi.txt'}")
    text += ("--model", tmp_path / "bad.gguf")
    completed = {
        "params": lambda: xsns("params", tmp_path / "bad.gguf"),
        "build": lambda: xsns("build", *text, "--store", tmp_path / "s.zarr"),
        "baseline": lambda: xsns("baseline", "lex", *text, "-o", tmp_path / "lex.csv"),
    }[verb]()
    assert completed.code == ExitCode.FAILURE
    assert "it ends within its header" in " ".join(completed.err.split())
