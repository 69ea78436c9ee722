"""From the bytes of a file to its lines: decompression, encoding, line ends, lines without end.

A file is UTF-8, plain or compressed. UTF-16 and UTF-32, which look like UTF-8 with NULs between the letters, are
refused with what converts them. Lines end with LF, CRLF, or CR alone (classic Mac OS); Unicode's own separators
(U+0085, U+2028, U+2029) stand within a line, as in Python's text files.
"""

from __future__ import annotations

import bz2
import codecs
import gzip
import io
import lzma
import re
import shlex
import stat
import zlib
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, BinaryIO, Final, cast

from xsns_stream.errors import CorpusError
from xsns_stream.types import ReadCounts

#: A text is cut after so many characters: far beyond what any model reads, and a bound on memory.
LONGEST_TEXT: Final = 2**20
#: Bytes of a line that are kept; a valid line of more bytes has more than `LONGEST_TEXT` characters.
_LONGEST_LINE: Final = 4 * LONGEST_TEXT
_BLOCK: Final = 2**18
#: Bytes at the beginning of a file that its encoding is recognised by.
_SNIFFED: Final = 2**16
_UTF8_BOM: Final = codecs.BOM_UTF8
# UTF-32 first: its little-endian mark begins with that of UTF-16.
_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
#: More NULs than this share are no accident: UTF-16 of Chinese has one or two a line.
_NUL_SHARE: Final = 0.001
#: A file is refused when more than this share of its lines, and at least `_BAD_LINES`, cannot be used.
_BAD_SHARE: Final = 0.1
_BAD_LINES: Final = 3


def _zstd(path: Path, _: str) -> BinaryIO:
    import pyarrow as pa

    return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "zstd")))


#: Suffix → what opens a file compressed so, for reading bytes.
COMPRESSIONS: Final[dict[str, Callable[[Path, str], Any]]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _zstd,
}
A_FOLDER: Final = "a folder"
#: What a path may be that is no regular file.
_OTHER_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISDIR, A_FOLDER),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_CAT: Final = {".gz": "zcat", ".bz2": "bzcat", ".xz": "xzcat", ".zst": "zstdcat"}
_NAMES: Final = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading, decompressed where its suffix says that it is compressed."""
    opener = COMPRESSIONS.get(path.suffix.lower())
    return cast(IO[bytes], path.open("rb") if opener is None else opener(path, "rb"))


def not_regular(path: Path) -> str:
    """Return what a path is that is no regular file: `a folder`, `a pipe`; empty for a regular file."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "a link that leads nowhere" if path.is_symlink() else f"not there ({error.strerror})"
    return "" if stat.S_ISREG(mode) else next((what for is_it, what in _OTHER_KINDS if is_it(mode)), "no regular file")


@contextmanager
def readable(path: Path) -> Iterator[None]:
    """Turn what the operating system and the decompressors say of a file into a `CorpusError`."""
    if not path.exists():
        raise CorpusError(f"there is no file '{path}'.", "check the path.")
    # Opening a pipe would wait for a writer, and a device may have no end.
    if (what := not_regular(path)) not in ("", A_FOLDER):
        raise CorpusError(f"{path.name} is {what}, not a file of text.", "write its text to a file.")
    try:
        with path.open("rb") as stream:
            check_stand_in(stream.read(_STAND_IN_BYTES + 1), path.name)
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _not_whole(path, error) from error
    except OSError as error:
        # bz2 and pyarrow raise OSError without a number for data that are broken.
        if error.errno is None and path.suffix.lower() in _NAMES:
            raise _not_whole(path, error) from error
        raise CorpusError(f"{path.name} cannot be read ({error.strerror or error}).") from error


def _not_whole(path: Path, error: Exception) -> CorpusError:
    kind = _NAMES.get(path.suffix.lower(), "compressed")
    return CorpusError(f"{path.name} is not a whole {kind} file ({error}).", "compress it again.")


# -------------------------------------------------------------------------------------------- encoding


#: What a server or Git puts in place of a file, by how it begins, in lower case.
_LFS_POINTER: Final = b"version https://git-lfs.github.com/spec/"
_PAGES: Final = (b"<!doctype html", b"<html")
_XML: Final = (b"<?xml", b"<error")
#: Whole answers of servers to a request for a file that is not there.
_ANSWERS: Final = frozenset((b"404: not found", b"404 not found", b"entry not found", b"repository not found"))
_STAND_IN_BYTES: Final = 2**10


def check_stand_in(beginning: bytes, name: str) -> None:
    """Refuse a file that stands in for another: a pointer of Git LFS, or the page that a server answered with.

    Args:
        beginning: The first bytes of the file, or all of it.
        name: Of the file, for the message.

    Raises:
        CorpusError: It is one; the hint says how to get the file itself.
    """
    start = beginning[:_STAND_IN_BYTES].removeprefix(_UTF8_BOM).strip().lower()
    if start.startswith(_LFS_POINTER):
        raise CorpusError(
            f"{name} is a pointer of Git LFS, not the file itself.", "run `git lfs pull` in its repository."
        )
    is_error = start.startswith(_XML) and b"<error>" in start and b"<code>" in start
    if start.startswith(_PAGES) or is_error or start in _ANSWERS:
        shown = "an HTML page" if start.startswith(_PAGES) else "an error message of a server"
        raise CorpusError(
            f"{name} is {shown}, not the file itself.", "a download failed, or took a web page: fetch the file again."
        )


def check_encoding(beginning: bytes, name: str) -> None:
    """Refuse a file that stands in for another, is UTF-16 or UTF-32, or holds too many NULs to be text.

    Args:
        beginning: The first bytes of the file, decompressed.
        name: Of the file, for the message.

    Raises:
        CorpusError: It is not UTF-8; the hint has the command that converts it.
    """
    check_stand_in(beginning, name)
    sniffed = beginning[:_SNIFFED]
    for mark, encoding in _BOMS:
        if sniffed.startswith(mark):
            raise CorpusError(f"{name} is {encoding}, not UTF-8.", f"convert it: {_iconv(encoding, name)}")
    nuls = sniffed.count(0)
    if nuls < _BAD_LINES or nuls <= _NUL_SHARE * len(sniffed):
        return
    encoding = _wide_encoding(sniffed, nuls)
    if encoding:
        raise CorpusError(
            f"{name} seems to be {encoding}, not UTF-8: {nuls / len(sniffed):.1%} of its bytes are NUL.",
            f"convert it: {_iconv(encoding, name)}",
        )
    raise CorpusError(
        f"{name} is not text: {nuls / len(sniffed):.1%} of its first {len(sniffed):,} bytes are NUL.",
        "the file is damaged or of another kind; write its text again as UTF-8.",
    )


def _wide_encoding(sniffed: bytes, nuls: int) -> str:
    """Return the name of the encoding of two or four bytes a character that the NULs' places say; empty for none."""
    places = [sniffed[start::4].count(0) for start in range(4)]
    quarter = len(sniffed) / 4
    if min(places[2:]) > 0.9 * quarter - 1:
        return "UTF-32LE"
    if min(places[:2]) > 0.9 * quarter - 1:
        return "UTF-32BE"
    if places[1] + places[3] > 0.9 * nuls:
        return "UTF-16LE" if _decodes(sniffed, "utf-16-le") else ""
    if places[0] + places[2] > 0.9 * nuls:
        return "UTF-16BE" if _decodes(sniffed, "utf-16-be") else ""
    return ""


def _decodes(sniffed: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sniffed)
    except UnicodeDecodeError:
        return False
    return True


def _iconv(encoding: str, name: str) -> str:
    """Return the command that converts a file, decompressing it where it is compressed."""
    convert, quoted = f"iconv -f {encoding} -t UTF-8", shlex.quote(name)
    packed = next((suffix for suffix in _CAT if name.lower().endswith(suffix)), None)
    if packed is None:
        new = shlex.quote(f"{name}.utf8")
        return f"`{convert} {quoted} > {new} && mv {new} {quoted}`."
    return f"`{_CAT[packed]} {quoted} | {convert} > {shlex.quote(name[: -len(packed)])}`, and remove {name}."


def not_utf8_hint(name: str) -> str:
    """Return how to convert a file whose encoding has single bytes, for a message."""
    return (
        f"save it as UTF-8: find out its encoding, and convert it; from Latin-1, {_iconv('ISO-8859-1', name)} "
        "Others are WINDOWS-1252, WINDOWS-1251 (Cyrillic), GB18030, SHIFT_JIS."
    )


def check_counts(counts: ReadCounts, name: str) -> None:
    """Refuse a file of which too much is not text: few bad lines are skipped, many say that the file is wrong.

    Args:
        counts: What became of its lines.
        name: Of the file, for the message.

    Raises:
        CorpusError: More than a tenth of the lines that are not empty, and at least three, are not UTF-8 or hold
            control characters.
    """
    filled = counts.read - counts.empty
    kinds = (
        (counts.undecodable, "are not UTF-8", not_utf8_hint(name)),
        (counts.control, "hold control characters", "the file is not plain text, or damaged; write it again as UTF-8."),
    )
    for number, what, hint in kinds:
        if number >= _BAD_LINES and number > _BAD_SHARE * filled:
            raise CorpusError(f"{number:,} of {filled:,} lines of {name} {what}.", hint)


# ----------------------------------------------------------------------------------------------- lines


def lines(path: Path) -> Generator[bytes, None, None]:
    r"""Yield the lines of a file, decompressed, each ending with `\n`, without byte order marks before it.

    Of a line of more than 4 MiB the beginning is given, which ends between two characters.

    Args:
        path: The file; its suffix says whether it is compressed.

    Raises:
        CorpusError: It is UTF-16, UTF-32 or not text.
    """
    with open_bytes(path) as stream:
        for line, _ in _limited(stream, path.name):
            yield line


def whole_lines(path: Path, longest: int) -> Generator[bytes, None, None]:
    """Yield the lines as :func:`lines` does, and refuse a line of more than `longest` bytes.

    Raises:
        CorpusError: As in :func:`lines`, or a line is longer.
    """
    with open_bytes(path) as stream:
        for number, (line, cut) in enumerate(_limited(stream, path.name, longest), 1):
            if cut:
                raise CorpusError(
                    f"line {number} of {path.name} is longer than {longest // 2**20} MiB.", "write one object a line."
                )
            yield line


def decode(line: bytes) -> str | None:
    """Return a line as text; None where it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _limited(stream: IO[bytes], name: str, longest: int = _LONGEST_LINE) -> Iterator[tuple[bytes, bool]]:
    """Yield each line with whether its end was dropped."""
    block = stream.read(_BLOCK)
    check_encoding(block, name)
    rest = block.removeprefix(_UTF8_BOM)
    dropping = False
    while block:
        *pieces, rest = rest.split(b"\n")
        ended = [line for piece in pieces for line in _at_returns(piece.rstrip(b"\r"))]
        # What follows the last CR may be LF, so that the CR is no line end of its own.
        body = rest.rstrip(b"\r")
        at = body.rfind(b"\r")
        if at >= 0:
            ended += _at_returns(body[:at])
            rest = rest[at + 1 :]
        for line in ended:
            if not dropping:
                yield _shortened(line, longest)
            dropping = False
        if dropping:
            rest = rest[-1:]  # a CR at the end may be half of a line end
        elif len(rest) > longest:
            yield _shortened(rest, longest)
            dropping, rest = True, rest[-1:]
        block = stream.read(_BLOCK)
        rest += block
    if rest and not dropping:
        for line in _at_returns(rest.removesuffix(b"\r")):
            yield _shortened(line, longest)


def _at_returns(piece: bytes) -> list[bytes]:
    return piece.split(b"\r") if b"\r" in piece else [piece]


def _shortened(line: bytes, longest: int) -> tuple[bytes, bool]:
    # Files joined with `cat` have byte order marks at the beginning of later lines too.
    line = line.removeprefix(_UTF8_BOM)
    if len(line) <= longest:
        return line + b"\n", False
    end = longest
    # The bytes of a character after its first are 10xxxxxx.
    while end > longest - 4 and line[end] & 0xC0 == 0x80:
        end -= 1
    return line[:end] + b"\n", True


# As in :func:`lines`.
_LINE_END: Final = re.compile(r"\r*\n|\r")
# A byte order mark as `cat` leaves it at the beginning of a later line; not a word of nothing else.
_LATER_MARK: Final = re.compile("\n\ufeff(?![ \t])")


def file_text(path: Path) -> str:
    """Return a whole file, compressed or not, without a byte order mark, all line ends alike.

    Raises:
        CorpusError: It cannot be read, or is not UTF-8.
    """
    with readable(path), open_bytes(path) as stream:
        data = stream.read()
    check_encoding(data, path.name)
    try:
        return _LATER_MARK.sub("\n", _LINE_END.sub("\n", data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(
            f"line {line} of {path.name} is not UTF-8 ({error.reason}).", not_utf8_hint(path.name)
        ) from error
