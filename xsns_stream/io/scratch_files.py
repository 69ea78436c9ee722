"""Temporary files for values that do not fit into memory, on disks that may be full."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from xsns_stream.errors import XsnsError


def map_for_writing(path: Path, dtype: Any, shape: tuple[int, ...]) -> np.memmap[Any, np.dtype[Any]]:
    """Create a file and map it into memory for writing.

    The disk space is not reserved; call :func:`reserve` before a part of the array is written.

    Args:
        path: The file; an existing file is replaced.
        dtype: Type of the values.
        shape: Shape of the array; no size may be 0.

    Raises:
        XsnsError: The file cannot be created.
    """
    with scratch_errors(path):
        return np.memmap(path, dtype, "w+", shape=shape)


def reserve(path: Path, start: int, size: int) -> None:
    """Reserve disk space for a part of a file.

    If the disk is full, the system terminates a process that writes to a mapped file with a signal, and no message is
    printed. Writing to reserved space does not fail for this reason.

    Args:
        path: An existing file.
        start: The first byte.
        size: Number of bytes, at least 1.

    Raises:
        XsnsError: The disk has no space for the part.
    """
    # macOS does not have this function.
    if hasattr(os, "posix_fallocate"):
        with scratch_errors(path), path.open("r+b") as file:
            os.posix_fallocate(file.fileno(), start, size)


@contextmanager
def scratch_errors(path: Path) -> Iterator[None]:
    """Turn an `OSError` of the `with` block into an error that names the temporary file.

    Args:
        path: The file that the block creates or writes.
    """
    try:
        yield
    except OSError as error:
        raise XsnsError(
            f"the temporary file '{path}' cannot be written: {error.strerror or error}.",
            "name a folder with more space by --scratch or TMPDIR; temporary files of a build are in its store.",
        ) from error
