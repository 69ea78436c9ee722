"""Logs of items that failed on workers; each log is a text file in a folder beside the results."""

from __future__ import annotations

import os
import platform
import traceback
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from xsns_stream.errors import XsnsError
from xsns_stream.io.atomic import write_whole
from xsns_stream.pipeline.cluster import Attempt


def log_folder(results: str) -> Path:
    """Return the folder for the failure logs of a store or file, such as `xsns.zarr.logs` beside `xsns.zarr`.

    For a store at a URL, the folder is in the working directory.
    """
    if "://" in results:
        return Path(f"{results.rstrip('/').rpartition('/')[2]}.logs")
    return Path(f"{results.rstrip('/')}.logs")


def write_failure_log(
    folder: Path, name: str, error: XsnsError, attempts: Sequence[Attempt], details: str = ""
) -> Path:
    """Write a text file with the error and the attempts of an item, and return its path.

    Args:
        folder: Folder of the logs; it is created.
        name: Name of the item, which becomes the name of the file.
        error: The error.
        attempts: The attempts at the item, one for each time that a worker began it.
        details: Lines from the worker, such as a traceback.
    """
    begun = [
        f"attempt {number}: begun {datetime.fromtimestamp(attempt.begun):%Y-%m-%d %H:%M:%S} by {attempt.worker}"
        for number, attempt in enumerate(attempts, 1)
    ]
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.log"
    text = "\n".join([f"{name}: {error.message}", error.hint, *begun, "", details]).rstrip() + "\n"
    write_whole(path, lambda file: file.write(text.encode("utf-8", "backslashreplace")))
    return path


def details_here(error: BaseException) -> str:
    """Return lines with the machine, the process id, and the traceback of an error in this process."""
    where = f"on {platform.node()}, process {os.getpid()}"
    return f"{where}\n{''.join(traceback.format_exception(error))}"
