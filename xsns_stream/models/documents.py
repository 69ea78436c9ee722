"""Files of a model folder, opened with care: regular files only, JSON with a limit on size and depth.

A model folder comes from somebody else. A named pipe in place of `config.json` would make a reader wait for ever, a
device would never end, and JSON that is nested ten thousand deep ends in Python's own words. Everything that
transformers opens later is looked at here first.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

MIB: Final = 2**20
#: Largest size of a configuration. The largest known ones list 21,843 classes, or 6,000 added tokens: 2 MiB.
MOST_BYTES: Final = 16 * MIB
#: Most values of a document. A vocabulary of 900,000 tokens with scores has 2.7 million commas and brackets.
MOST_VALUES: Final = 6_000_000
#: Deepest nesting of a configuration; known ones have 6.
MOST_LEVELS: Final = 40


#: Most characters of a message that come from a file.
LONGEST_SHOWN: Final = 300


class UnusableError(Exception):
    """A file of a model folder that is not what it should be; the reason is one sentence without a full stop."""

    def __init__(self, reason: str) -> None:
        super().__init__(shown(reason))


def shown(text: str) -> str:
    """Return text from a file as it may be printed: short, control characters and marks of direction escaped."""
    cut = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; a link is followed to its end.

    Raises:
        UnusableError: There is no such file, it is something else (a folder, a named pipe, a device), or it cannot be
            opened.
    """
    try:
        # Without O_NONBLOCK, opening a named pipe waits for somebody to write.
        handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    except FileNotFoundError as error:
        what = "is a link that leads nowhere" if path.is_symlink() else "is missing"
        raise UnusableError(f"{path.name} {what}") from error
    except OSError as error:
        raise UnusableError(f"{path.name} cannot be opened ({error.strerror or error})") from error
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise UnusableError(f"{path.name} is not a regular file")
    with os.fdopen(handle, "rb") as file:
        yield file


def check_regular(path: Path) -> None:
    """Refuse what is not a regular file, without opening it.

    Raises:
        UnusableError: As above.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise UnusableError(f"{path.name} is a link that leads nowhere") from error
    except OSError as error:
        raise UnusableError(f"{path.name} cannot be read ({error.strerror or error})") from error
    if not stat.S_ISREG(mode):
        raise UnusableError(f"{path.name} is not a regular file")


def read_object(path: Path, *, most_bytes: int = MOST_BYTES, levels: int | None = MOST_LEVELS) -> dict[str, Any]:
    """Read a JSON file that holds one object.

    Args:
        path: The file.
        most_bytes: Largest size that is read.
        levels: Deepest nesting; None where the caller checks that of some values only.

    Raises:
        UnusableError: No regular file, too large, too deep, no JSON, or no object.
    """
    with opened(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise UnusableError(f"{path.name} is larger than {most_bytes // MIB} MiB")
    found = parse_object(data, path.name)
    if levels is not None:
        check_levels(found, path.name, levels)
    return found


def parse_object(
    data: bytes, name: str, *, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Parse JSON that holds one object.

    Args:
        data: The bytes.
        name: Of the file, for messages.
        pairs: Makes a dictionary of the names and values of an object.

    Raises:
        UnusableError: Too many values, no JSON, or no object.
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise UnusableError(f"{name} holds more than {MOST_VALUES:,} values")
    try:
        found = json.loads(data.decode("utf-8-sig"), object_pairs_hook=pairs)
    except RecursionError as error:
        raise UnusableError(f"{name} is nested too deep") from error
    except UnicodeDecodeError as error:
        raise UnusableError(f"{name} is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        where = f"line {error.lineno}, column {error.colno}" if data.strip() else "it is empty"
        raise UnusableError(f"{name} is not valid JSON ({where})") from error
    except ValueError as error:
        # Python reads no integer of more than 4,300 digits.
        raise UnusableError(f"{name} holds a number that is too long") from error
    if not isinstance(found, dict):
        raise UnusableError(f"{name} does not hold a JSON object")
    return found


def check_levels(value: Any, name: str, levels: int) -> None:
    """Refuse a value that is nested deeper than `levels`.

    Raises:
        UnusableError: It is.
    """
    layer = [value]
    for _ in range(levels + 1):
        layer = [
            item
            for holder in layer
            if isinstance(holder, dict | list)
            for item in (holder.values() if isinstance(holder, dict) else holder)
        ]
        if not layer:
            return
    raise UnusableError(f"{name} is nested more than {levels} deep")
