"""Freed memory is returned only where glibc allocates memory, and where the user has not set its variables."""

from __future__ import annotations

import ctypes
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.io import allocator
from xsns_stream.io.allocator import LEAST_GROWTH, FreedMemory, return_freed_pages, settings_of_user

#: An allocator that is preloaded: it provides malloc, and passes every call to glibc.
OTHER_ALLOCATOR = """
#include <stddef.h>
extern void *__libc_malloc(size_t size);
void *malloc(size_t size) { return __libc_malloc(size); }
"""
PROGRAM = "from xsns_stream.io.allocator import return_freed_pages as returns; print(returns() is not None)"


def is_glibc() -> bool:
    return sys.platform == "linux" and hasattr(ctypes.CDLL(None), "gnu_get_libc_version")


@pytest.fixture
def no_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_PRELOAD"))]:
        monkeypatch.delenv(name)


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Record the calls of malloc_trim; the process appears to grow by LEAST_GROWTH with each reading."""
    found: list[int] = []
    sizes = iter(range(0, 1_000 * LEAST_GROWTH, LEAST_GROWTH))
    monkeypatch.setattr(allocator, "return_freed_pages", lambda: found.append)
    monkeypatch.setattr(allocator, "_resident", lambda: next(sizes))
    return found


@pytest.mark.parametrize(
    ("environment", "set_by_user"),
    [
        ({}, False),
        ({"MALLOC_MMAP_THRESHOLD_": "1000000"}, True),
        ({"MALLOC_TRIM_THRESHOLD_": "1"}, True),
        ({"MALLOC_ARENA_MAX": "1"}, True),
        ({"MALLOC_CONF": "dirty_decay_ms:0"}, True),
        ({"GLIBC_TUNABLES": "glibc.malloc.trim_threshold=1"}, True),
        ({"GLIBC_TUNABLES": "glibc.cpu.x86_ibt=on"}, False),
    ],
)
def test_settings_of_the_user(environment: dict[str, str], set_by_user: bool) -> None:
    assert settings_of_user(environment) is set_by_user


@pytest.mark.usefixtures("no_variables")
def test_pages_are_returned_with_glibc() -> None:
    assert (return_freed_pages() is not None) is is_glibc()


@pytest.mark.usefixtures("no_variables")
def test_a_variable_of_the_user_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MALLOC_TRIM_THRESHOLD_", "131072")
    assert return_freed_pages() is None


@pytest.mark.usefixtures("no_variables")
@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_other_systems_are_left_alone(monkeypatch: pytest.MonkeyPatch, platform: str) -> None:
    monkeypatch.setattr(sys, "platform", platform)
    assert return_freed_pages() is None


@pytest.mark.usefixtures("no_variables")
def test_other_c_libraries_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """musl has no gnu_get_libc_version."""

    class Musl:
        malloc: Any = ctypes.CFUNCTYPE(ctypes.c_void_p)()
        dladdr: Callable[..., int] = staticmethod(lambda *_: 0)

    allocator._malloc_trim.cache_clear()
    monkeypatch.setattr(ctypes, "CDLL", lambda _: Musl())
    assert return_freed_pages() is None
    allocator._malloc_trim.cache_clear()


@pytest.mark.skipif(not is_glibc() or shutil.which("cc") is None, reason="needs glibc and a C compiler")
def test_a_preloaded_allocator_is_left_alone() -> None:
    environment = {n: v for n, v in os.environ.items() if not n.startswith(("MALLOC_", "GLIBC_TUNABLES", "LD_"))}
    with tempfile.TemporaryDirectory() as folder:
        source, library = Path(folder) / "other.c", Path(folder) / "other.so"
        source.write_text(OTHER_ALLOCATOR, encoding="utf-8")
        subprocess.run(["cc", "-shared", "-fPIC", str(source), "-o", str(library)], check=True)
        printed = [
            subprocess.run(
                [sys.executable, "-c", PROGRAM], env=environment | more, check=True, capture_output=True, text=True
            ).stdout.strip()
            for more in ({}, {"LD_PRELOAD": str(library)})
        ]
    assert printed == ["True", "False"]


def test_memory_is_returned_at_every_fourth_call(calls: list[int]) -> None:
    freed = FreedMemory(every=4)
    counts = []
    for _ in range(9):
        freed.give_back()
        counts.append(len(calls))
    assert counts == [0, 0, 0, 1, 1, 1, 1, 2, 2]
    assert calls == [0, 0]


def test_nothing_is_returned_if_the_process_did_not_grow(calls: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(allocator, "_resident", lambda: LEAST_GROWTH)
    freed = FreedMemory()
    freed.give_back()
    monkeypatch.setattr(allocator, "_resident", lambda: 2 * LEAST_GROWTH - 1)
    freed.give_back()
    assert calls == []
