"""Readers for JSON documents that limit size and nesting depth, and the conversion of NaN to null.

Stores and model folders may come from an untrusted source. A named pipe instead of `config.json` would make a reader
wait forever, a device file never ends, and JSON that is nested ten thousand levels deep overflows the stack. The
functions of this module therefore open only regular files, and check the size and the depth of a document.

:func:`parse` reads documents of a store and compares them with a schema, :func:`read_object` reads files of a model
folder, and :func:`read_json` reads files that the user names, such as tables of scores.
"""

from __future__ import annotations

import json
import math
import os
import re
import stat
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any, BinaryIO, Final, TypeVar

from xsns_stream.errors import StoreError, XsnsError
from xsns_stream.io.atomic import unreadable
from xsns_stream.io.placeholders import placeholder

MIB: Final = 2**20
#: Largest size of a document in bytes. The layout of a model with 50,000 tensors needs a third of it, and the largest
#: known configurations of models (21,843 classes, or 6,000 added tokens) need 2 MiB.
MOST_BYTES: Final = 16 * MIB
#: Deepest nesting of lists and objects in a document of a store. The format needs eight levels.
MOST_DEPTH: Final = 64
#: Deepest nesting in a file of a model folder; known files have six levels.
MOST_LEVELS: Final = 40
#: Largest number of values in a file of a model folder. A vocabulary of 900,000 tokens with scores has 2.7 million
#: commas and brackets.
MOST_VALUES: Final = 6_000_000
#: Largest number of characters from a file in a message.
LONGEST_SHOWN: Final = 300

RESTORE: Final = "restore it from a copy."

# Number of digits of the shortest integer that may not fit into 64 bits.
_LONG: Final = 19
_ESCAPES: Final = re.compile(rb"\\.", re.DOTALL)
_PATH: Final = re.compile(r"(.*) - at `(?:key in )?\$\.?(.*?)`", re.DOTALL)
_WORDS: Final = {
    "int": "an integer",
    "float": "a number",
    "str": "text",
    "array": "a list",
    "object": "an object",
    "bool": "true or false",
    "null": "null",
}
_TYPE: Final = re.compile(rf"`({'|'.join(_WORDS)})`")
_Kind = TypeVar("_Kind")


# -------------------------------------------------------------------------------------- regular files


class IrregularFileError(OSError):
    """Raised if a path leads to a pipe, a socket, a device or a folder instead of a regular file."""


def open_regular(path: Path) -> int:
    """Open a regular file, or a symbolic link to one, for reading, and return its descriptor.

    Pipes, sockets and devices are refused before they are opened, because reading from them may never end.

    Raises:
        IrregularFileError: The path leads to something other than a regular file.
        OSError: The file is missing, or cannot be opened.
    """
    if not stat.S_ISREG(Path(path).stat().st_mode):
        raise IrregularFileError(f"'{path}' is not a regular file")
    # Without O_NONBLOCK, opening a named pipe waits for a writer.
    descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
    # Another process may have replaced the file between the two checks.
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise IrregularFileError(f"'{path}' is not a regular file")
    return descriptor


# ---------------------------------------------------------------------------------- documents of a store


class FieldError(ValueError):
    """Raised if a field of a document does not follow the format; the message names the field."""


def parse(data: bytes, kind: type[_Kind], where: str, hint: str = RESTORE) -> _Kind:
    """Parse a JSON document and convert it to a value of type `kind`.

    Args:
        data: The bytes of the document.
        kind: The type that the document must have; fields that the type does not define are skipped.
        where: The name of the document, for messages.
        hint: The hint of the error for a damaged document.

    Raises:
        StoreError: The document is too large, nested too deeply, not JSON, or not of this type.
    """
    import msgspec

    try:
        check_size(len(data))
        value = msgspec.json.decode(data, type=kind)
        if _depth(data) > MOST_DEPTH:
            raise RecursionError
    except RecursionError:
        raise format_error(where, f"it is nested more than {MOST_DEPTH} levels deep", hint) from None
    except (msgspec.ValidationError, FieldError) as error:
        raise format_error(where, describe(error), hint) from error
    except ValueError as error:
        raise StoreError(f"'{where}' is not readable as JSON: {error}.", hint) from error
    return value


def convert(value: Any, kind: type[_Kind], within: str = "") -> _Kind:
    """Convert a part of a parsed document, or the attributes of an object, to a value of type `kind`.

    Args:
        value: A parsed value.
        kind: The type that the value must have.
        within: The path of the value within its document.

    Raises:
        FieldError: The value does not have this type.
    """
    import msgspec

    try:
        return msgspec.convert(value, kind, from_attributes=True)
    except RecursionError:
        raise FieldError(f"{within}: it is nested too deeply") from None
    except msgspec.ValidationError as error:
        raise FieldError(describe(error, within)) from error


def format_error(where: str, what: str, hint: str = RESTORE) -> StoreError:
    """Return the error for the document `where`, which does not follow the format; `what` is the reason."""
    return StoreError(f"'{where}' does not follow the format: {what}.", hint)


def describe(error: Exception, within: str = "") -> str:
    """Return a phrase that describes the error in a field: the path of the field (`within`, …) and the reason."""
    if isinstance(error, FieldError):
        return str(error)
    match = _PATH.fullmatch(str(error))
    what, path = match.groups() if match else (str(error), "")
    what = _TYPE.sub(lambda name: _WORDS[name.group(1)], what)
    what = f"{what[:1].lower()}{what[1:]}"
    field = f"{within}{path}" if path.startswith("[") else f"{within}.{path}".strip(".")
    return f"{field}: {what}" if field else what


def check_size(size: int) -> None:
    """Check the size of a document before it is read.

    Raises:
        FieldError: The document is too large.
    """
    if size > MOST_BYTES:
        raise FieldError(f"it has {size:,} bytes, and a document has at most {MOST_BYTES:,}")


def encode(document: Mapping[str, Any]) -> bytes:
    """Serialise a document to JSON.

    Raises:
        StoreError: The document is larger than :func:`parse` accepts.
    """
    data = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode()
    if len(data) > MOST_BYTES:
        raise StoreError(
            f"a document of {len(data):,} bytes cannot be written: documents of a store have at most {MOST_BYTES:,} "
            f"bytes.",
            "divide the languages among several stores.",
        )
    return data


def _depth(data: bytes) -> int:
    """Return how deeply lists and objects are nested in a valid JSON document."""
    import numpy as np

    # A document with few brackets cannot be nested too deeply.
    if data.count(b"[") + data.count(b"{") <= MOST_DEPTH:
        return 0
    # After escaped characters are removed, every second quotation mark ends a string.
    text = np.frombuffer(_ESCAPES.sub(b"", data) if b"\\" in data else data, np.uint8)
    outside = np.cumsum(text == ord('"'), dtype=np.int32) % 2 == 0
    opens = ((text == ord("[")) | (text == ord("{"))) & outside
    closes = ((text == ord("]")) | (text == ord("}"))) & outside
    return int(np.cumsum(opens.astype(np.int8) - closes.astype(np.int8), dtype=np.int32).max())


# -------------------------------------------------------------------------------- files of a model folder


class UnusableError(Exception):
    """Raised for a file of a model folder that cannot be used.

    Args:
        reason: The reason, a sentence without a full stop.
        hint: What to do; empty if it is not known.
    """

    def __init__(self, reason: str, hint: str = "") -> None:
        super().__init__(shown(reason))
        self.hint: Final = hint


def shown(text: str) -> str:
    """Shorten text from a file for printing, and escape its control characters and direction marks."""
    cut = text if len(text) <= LONGEST_SHOWN else f"{text[:LONGEST_SHOWN]}…"
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in cut)


@contextmanager
def opened(path: Path) -> Iterator[BinaryIO]:
    """Open a regular file for reading; symbolic links are followed.

    Raises:
        UnusableError: The file is missing, is not a regular file, or cannot be opened.
    """
    try:
        descriptor = open_regular(path)
    except IrregularFileError as error:
        raise UnusableError(f"{path.name} is not a regular file") from error
    except FileNotFoundError as error:
        what = "is a broken link" if path.is_symlink() else "is missing"
        raise UnusableError(f"{path.name} {what}") from error
    except OSError as error:
        raise UnusableError(f"{path.name} cannot be opened ({error.strerror or error})") from error
    with os.fdopen(descriptor, "rb") as file:
        yield file


def check_regular(path: Path) -> None:
    """Check that a path leads to a regular file, without opening it.

    Raises:
        UnusableError: The path does not exist, or is not a regular file.
    """
    try:
        mode = path.stat().st_mode
    except FileNotFoundError as error:
        raise UnusableError(f"{path.name} is a broken link") from error
    except OSError as error:
        raise UnusableError(f"{path.name} cannot be read ({error.strerror or error})") from error
    if not stat.S_ISREG(mode):
        raise UnusableError(f"{path.name} is not a regular file")


def read_object(path: Path, *, most_bytes: int = MOST_BYTES, levels: int | None = MOST_LEVELS) -> dict[str, Any]:
    """Read a JSON file that contains one object.

    Args:
        path: The file.
        most_bytes: The largest size that is read.
        levels: The deepest nesting that is read; None if the caller checks the depth.

    Raises:
        UnusableError: The file is not a regular file, too large, nested too deeply, not JSON, or not an object.
    """
    with opened(path) as file:
        data = file.read(most_bytes + 1)
    if len(data) > most_bytes:
        raise UnusableError(f"{path.name} is larger than {most_bytes // MIB} MiB")
    document = parse_object(data, path.name)
    if levels is not None:
        check_levels(document, path.name, levels)
    return document


def refuse_placeholder(beginning: bytes, name: str) -> None:
    """Raise an error if a file is only a placeholder, such as a pointer of Git LFS.

    Args:
        beginning: The first bytes of the file, or the whole file.
        name: The name of the file, for messages.

    Raises:
        UnusableError: The file is a placeholder; the error has a hint.
    """
    if found := placeholder(beginning):
        raise UnusableError(f"{name} is {found.kind}, not the file itself", found.hint)


def parse_object(
    data: bytes, name: str, *, pairs: Callable[[list[tuple[str, Any]]], dict[str, Any]] | None = None
) -> dict[str, Any]:
    """Parse JSON that contains one object.

    Args:
        data: The bytes.
        name: The name of the file, for messages.
        pairs: Function that makes a dictionary from the (name, value) pairs of an object.

    Raises:
        UnusableError: The data has too many values, is not JSON, or is not an object.
    """
    if sum(map(data.count, (b",", b"[", b"{"))) > MOST_VALUES:
        raise UnusableError(f"{name} contains more than {MOST_VALUES:,} values")
    try:
        document = json.loads(data.decode("utf-8-sig"), object_pairs_hook=pairs)
    except RecursionError as error:
        raise UnusableError(f"{name} is nested too deeply") from error
    except UnicodeDecodeError as error:
        raise UnusableError(f"{name} is not UTF-8 text") from error
    except json.JSONDecodeError as error:
        refuse_placeholder(data, name)
        where = f"line {error.lineno}, column {error.colno}" if data.strip() else "it is empty"
        raise UnusableError(f"{name} is not valid JSON ({where})") from error
    except ValueError as error:
        # Python refuses integers of more than 4,300 digits.
        raise UnusableError(f"{name} contains a number that is too long") from error
    if not isinstance(document, dict):
        raise UnusableError(f"{name} does not contain a JSON object")
    return document


def check_levels(value: Any, name: str, levels: int) -> None:
    """Check that a value is not nested deeper than `levels`.

    Raises:
        UnusableError: The value is nested deeper than `levels`.
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
    raise UnusableError(f"{name} is nested more than {levels} levels deep")


# ------------------------------------------------------------------------------- files that the user names


def read_json(path: Path) -> Any:
    """Read a JSON file. Integers that are too long for 64 bits are read as floats.

    Raises:
        XsnsError: The file cannot be read, is not JSON, or contains an object with the same name twice.
    """
    try:
        return json.loads(
            path.read_text(encoding="utf-8"),
            parse_int=lambda digits: int(digits) if len(digits) < _LONG else float(digits),
            object_pairs_hook=_with_distinct_names,
        )
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, RecursionError) as error:
        raise XsnsError(f"'{path}' is not valid JSON: {error}.", "check the file.") from None


def _with_distinct_names(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return a dictionary of the (name, value) pairs of a JSON object.

    Raises:
        ValueError: A name occurs twice.
    """
    members = dict(pairs)
    if len(members) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice}' occurs twice in one object")
    return members


# --------------------------------------------------------------------------------------------- NaN → null


def nan_to_null(value: Any) -> Any:
    """Convert a value to types that JSON can represent: NaN and infinities become None, and paths become text.

    >>> nan_to_null({"mean": float("nan"), "scores": (1.0, 2.5)})
    {'mean': None, 'scores': [1.0, 2.5]}
    """
    if isinstance(value, Mapping):
        return {_member_name(key): nan_to_null(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [nan_to_null(item) for item in value]
    if isinstance(value, PurePath):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _member_name(key: Any) -> Any:
    return key if key is None or isinstance(key, str | int | float) else str(key)
