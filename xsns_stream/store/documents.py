"""The one parser of the store's JSON documents: bounded in size and depth, checked against a schema.

A store may come from anybody. Every document of it goes through :func:`parse`, which gives a value of the type that was
asked for or a :class:`StoreError` that names the field. The types are in `schemas.py`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, Final, TypeVar

import msgspec
import numpy as np

from xsns_stream.errors import StoreError

#: The largest document that is read or written. The layout of a model with 50,000 tensors takes a third of it.
MOST_BYTES: Final = 16 * 2**20
#: Lists and objects within one another. The format needs eight levels.
MOST_DEPTH: Final = 64

RESTORE: Final = "restore it from a copy."
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


class WrongFieldError(ValueError):
    """A field that is not as the format says; the message names it."""


def parse(data: bytes, kind: type[_Kind], where: str, hint: str = RESTORE) -> _Kind:
    """Return what a document holds.

    Args:
        data: Its bytes.
        kind: The type that it must have; fields that the type does not know are skipped.
        where: Names the document in an error.
        hint: What to do about a document that is damaged.

    Raises:
        StoreError: It is too large, too deep, no JSON, or not of this type.
    """
    try:
        check_size(len(data))
        found = msgspec.json.decode(data, type=kind)
        if _depth(data) > MOST_DEPTH:
            raise RecursionError
    except RecursionError:
        raise wrong(where, f"it is nested more than {MOST_DEPTH} levels deep", hint) from None
    except (msgspec.ValidationError, WrongFieldError) as error:
        raise wrong(where, sentence(error), hint) from error
    except ValueError as error:
        raise StoreError(f"'{where}' is not readable as JSON: {error}.", hint) from error
    return found


def convert(value: Any, kind: type[_Kind], within: str = "") -> _Kind:
    """Return a part of a document, or an object's attributes, as a value of a type.

    Args:
        value: What was parsed.
        kind: The type that it must have.
        within: Path of the part within its document.

    Raises:
        WrongFieldError: It is not of this type.
    """
    try:
        return msgspec.convert(value, kind, from_attributes=True)
    except RecursionError:
        raise WrongFieldError(f"{within}: it is nested too deep") from None
    except msgspec.ValidationError as error:
        raise WrongFieldError(sentence(error, within)) from error


def wrong(where: str, what: str, hint: str = RESTORE) -> StoreError:
    """Return the error for a document that is not as the format says."""
    return StoreError(f"'{where}' is not as the format says: {what}.", hint)


def sentence(error: Exception, within: str = "") -> str:
    """Return what is wrong with a field, its path first."""
    found = _PATH.fullmatch(str(error))
    what, path = found.groups() if found else (str(error), "")
    if isinstance(error, WrongFieldError):
        return what
    what = _TYPE.sub(lambda name: _WORDS[name.group(1)], what)
    field = f"{within}.{path}".strip(".") if not path.startswith("[") else f"{within}{path}"
    return f"{field}: {what[:1].lower()}{what[1:]}" if field else f"{what[:1].lower()}{what[1:]}"


def check_size(size: int) -> None:
    """Check the number of bytes of a document, which is known before it is read.

    Raises:
        WrongFieldError: It is too large.
    """
    if size > MOST_BYTES:
        raise WrongFieldError(f"it has {size:,} bytes, and a document has at most {MOST_BYTES:,}")


def encode(document: Mapping[str, Any]) -> bytes:
    """Return a document's bytes.

    Raises:
        StoreError: It would be too large to be read again.
    """
    data = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False).encode()
    if len(data) > MOST_BYTES:
        raise StoreError(
            f"a document of {len(data):,} bytes cannot be written: a store's documents have at most {MOST_BYTES:,}.",
            "divide the languages among several stores.",
        )
    return data


def _depth(data: bytes) -> int:
    """Return how deep lists and objects are nested in a document that is known to be JSON."""
    # Most documents have so few that they cannot be too deep.
    if data.count(b"[") + data.count(b"{") <= MOST_DEPTH:
        return 0
    # Without what follows a backslash, every second quotation mark ends a string.
    text = np.frombuffer(_ESCAPES.sub(b"", data) if b"\\" in data else data, np.uint8)
    outside = np.cumsum(text == ord('"'), dtype=np.int32) % 2 == 0
    opens = ((text == ord("[")) | (text == ord("{"))) & outside
    closes = ((text == ord("]")) | (text == ord("}"))) & outside
    return int(np.cumsum(opens.astype(np.int8) - closes.astype(np.int8), dtype=np.int32).max())
