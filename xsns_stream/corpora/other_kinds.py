"""Detection of archives, compressed files and documents that have the name of a text file.

The first bytes show the kind. Without this check, a document in Rich Text Format would be measured with its commands,
and an archive of text with the headers of its files.
"""

from __future__ import annotations

import re
import shlex
from typing import Final, NamedTuple

from xsns_stream.errors import CorpusError

#: Position in bytes, and text, of the format name in a TAR archive.
_TAR: Final = (257, b"ustar")
#: Pattern of the suffix of an archive → the command that unpacks it.
_ARCHIVES: Final = {
    r"\.zip$": "unzip -d {folder} {file}",
    r"\.(?:tar(?:\.(?:gz|bz2|xz|zst))?|tgz)$": "mkdir {folder} && tar -xf {file} -C {folder}",
    r"\.7z$": "7z x -o{folder} {file}",
    r"\.rar$": "unrar x {file} {folder}/",
}


class _Kind(NamedTuple):
    """A kind of file that is not text.

    Attributes:
        magic: Pattern of the first bytes of such a file.
        name: Phrase for messages that names the kind, such as `a PDF document`.
        hint: What the user can do, for messages.
    """

    magic: re.Pattern[bytes]
    name: str
    hint: str


_KINDS: Final = (
    _Kind(re.compile(rb"PK\x03\x04"), "a ZIP archive, or a document of an office program", "unpack it, or save the "
          "document as plain text in UTF-8."),
    _Kind(re.compile(rb"\xd0\xcf\x11\xe0"), "a document of an office program", "save it as plain text in UTF-8."),
    _Kind(re.compile(rb"\{\\rtf"), "a document in Rich Text Format", "save it as plain text in UTF-8; in "
          "TextEdit choose `Format`, `Make Plain Text`."),
    _Kind(re.compile(rb"%PDF-"), "a PDF document", "extract its text, for instance with `pdftotext`."),
    _Kind(re.compile(rb"\x1f\x8b\x08"), "compressed with gzip", "add .gz to its name."),
    _Kind(re.compile(rb"BZh[1-9]1AY&SY"), "compressed with bzip2", "add .bz2 to its name."),
    _Kind(re.compile(rb"\xfd7zXZ\x00"), "compressed with xz", "add .xz to its name."),
    _Kind(re.compile(rb"\x28\xb5\x2f\xfd"), "compressed with Zstandard", "add .zst to its name."),
    _Kind(re.compile(rb"PAR1[\x00-\x1f]"), "a Parquet file", "name it .parquet."),
    _Kind(re.compile(rb"SQLite format 3\x00"), "a database of SQLite", "export its text to a file."),
)  # fmt: skip


def check_kind(beginning: bytes, name: str) -> None:
    """Check that a file is not an archive, a compressed file or a document.

    Args:
        beginning: The first bytes of the file, decompressed.
        name: Name of the file, for messages.

    Raises:
        CorpusError: The file is an archive, a compressed file or a document.
    """
    start, magic = _TAR
    if beginning[start : start + len(magic)] == magic and b"\0" in beginning[:start]:
        raise CorpusError(f"{name} is a TAR archive, not text.", f"unpack it with `tar -xf {shlex.quote(name)}`.")
    for kind in _KINDS:
        if kind.magic.match(beginning):
            raise CorpusError(f"{name} is {kind.name}, not text.", kind.hint)


def unpacking(file: str) -> tuple[str, str]:
    """Return the name of a folder, quoted for a shell, and the command that unpacks an archive into it.

    Return two empty strings for a file that is not an archive.
    """
    for suffix, command in _ARCHIVES.items():
        if match := re.search(suffix, file, re.IGNORECASE):
            folder = shlex.quote(file[: match.start()])
            return folder, command.format(folder=folder, file=shlex.quote(file))
    return "", ""
