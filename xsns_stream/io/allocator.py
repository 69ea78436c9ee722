"""Return of freed memory to the operating system, where glibc allocates memory.

glibc keeps freed blocks of up to 32 MiB for later allocations. With checkpointing, the output of each layer that is
kept lies at the start of freed memory, and what is left is too small for the next layer. The process therefore grows by
the activations that checkpointing should save. `malloc_trim` returns whole pages of freed blocks. A low threshold for
`mmap` (`mallopt`) would have the same effect, but costs a page fault for each page of each tensor: 12 % of the time of
a batch (docs/dev/log.md).
"""

from __future__ import annotations

import ctypes
import os
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any, Final

#: Memory is returned only if the process grew by this number of bytes.
LEAST_GROWTH: Final = 16 << 20


class FreedMemory:
    """Returns freed memory at some of the calls of :meth:`give_back`.

    The operating system clears memory again before it is used again. With one return for every fourth block of a model,
    this costs 2 % of the time (8 × 128 tokens), and with one return for each block 5 %.

    Args:
        every: Memory is returned at every such call, if the process has grown since.
        growth: Number of bytes by which the process must have grown, because a small model gains nothing.
    """

    def __init__(self, every: int = 1, growth: int = LEAST_GROWTH) -> None:
        self._every, self._growth, self._calls = every, growth, 0
        self._return = return_freed_pages()
        self._before = _resident() if self._return else 0

    def give_back(self) -> None:
        """Return the pages of freed blocks if this is one of the calls that do, and if the process has grown."""
        self._calls += 1
        if self._return is None or self._calls % self._every:
            return
        if _resident() - self._before >= self._growth:
            self._return(0)
            self._before = _resident()


def return_freed_pages() -> Callable[[int], Any] | None:
    """Return `malloc_trim` of glibc; None if another allocator is used, or if the user has set variables of glibc's."""
    if sys.platform != "linux" or settings_of_user(os.environ):
        return None
    return _malloc_trim()


def settings_of_user(environment: Mapping[str, str]) -> bool:
    """Return whether the environment has settings of an allocator, which must not be changed."""
    named = any(name.startswith("MALLOC_") for name in environment)
    return named or "glibc.malloc" in environment.get("GLIBC_TUNABLES", "")


class _Symbol(ctypes.Structure):
    """`Dl_info`: the library in which an address lies."""

    _fields_ = (
        ("file", ctypes.c_char_p),
        ("base", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
        ("address", ctypes.c_void_p),
    )


@cache
def _malloc_trim() -> Callable[[int], Any] | None:
    with suppress(AttributeError, OSError):
        process = ctypes.CDLL(None)
        # A preloaded allocator (jemalloc, tcmalloc) provides malloc; other C libraries have no gnu_get_libc_version.
        if _library_of(process, "malloc") == _library_of(process, "gnu_get_libc_version"):
            trim: Callable[[int], Any] = process.malloc_trim
            return trim
    return None


def _library_of(process: ctypes.CDLL, name: str) -> bytes:
    """Return the path of the library that provides a function of this process.

    Raises:
        AttributeError: No library provides the function.
        OSError: The library is not known.
    """
    symbol = _Symbol()
    if not process.dladdr(ctypes.cast(getattr(process, name), ctypes.c_void_p), ctypes.byref(symbol)):
        raise OSError(f"the library of {name} is not known")
    return bytes(symbol.file)


def _resident() -> int:
    """Return the resident memory of this process in bytes; 0 if the operating system does not report it."""
    with suppress(OSError, ValueError, IndexError):
        pages = Path("/proc/self/statm").read_text(encoding="ascii").split()[1]
        return int(pages) * os.sysconf("SC_PAGE_SIZE")
    return 0
