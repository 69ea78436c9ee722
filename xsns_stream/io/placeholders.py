"""Detection of placeholders that stand in for a file after a download: Git LFS pointers and HTML pages of servers."""

from __future__ import annotations

import codecs
from typing import Final, NamedTuple

#: Number of bytes at the beginning of a file that show whether it is a placeholder.
PLACEHOLDER_BYTES: Final = 2**10
#: First bytes of placeholders, in lower case: a pointer of Git LFS, HTML pages, and error messages in XML.
_LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"
_PAGES: Final = (b"<!doctype html", b"<html")
_XML: Final = (b"<?xml", b"<error")
#: Complete answers of servers to a request for a missing file.
_ANSWERS: Final = frozenset((b"404: not found", b"404 not found", b"entry not found", b"repository not found"))


class Placeholder(NamedTuple):
    """A description of the placeholder that was found instead of a file.

    Attributes:
        kind: What the placeholder is, such as `a pointer of Git LFS`.
        hint: How to get the real file.
    """

    kind: str
    hint: str


def placeholder(beginning: bytes) -> Placeholder | None:
    """Return a description of a file that is only a placeholder for another file; None for any other file.

    Args:
        beginning: The first bytes of the file, or the whole file.
    """
    start = beginning[:PLACEHOLDER_BYTES].removeprefix(codecs.BOM_UTF8).strip().lower()
    if start.startswith(_LFS_POINTER):
        return Placeholder("a pointer of Git LFS", "run `git lfs pull` in its repository.")
    is_error = start.startswith(_XML) and b"<error>" in start and b"<code>" in start
    if start.startswith(_PAGES) or is_error or start in _ANSWERS:
        return Placeholder(
            "an HTML page" if start.startswith(_PAGES) else "an error message of a server",
            "the download failed, or fetched a web page instead: download the file again.",
        )
    return None
