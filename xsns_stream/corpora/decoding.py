"""Reading of the lines of a text file: decompression, decoding and line ends.

A file is UTF-8, plain or compressed. A file in UTF-16 or UTF-32, which looks like UTF-8 with NULs between the letters,
raises an error whose hint contains a command that converts the file. Lines end with LF, CRLF, or CR (classic Mac OS).
The separators of Unicode (U+0085, U+2028, U+2029) are characters within a line, as in text files of Python.
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

from xsns_stream.corpora.other_kinds import check_kind
from xsns_stream.errors import CorpusError
from xsns_stream.io.placeholders import PLACEHOLDER_BYTES, placeholder
from xsns_stream.types import ReadCounts

#: Largest number of characters of a text; longer text is cut. Models read far less; the limit bounds memory.
MAX_TEXT_LENGTH: Final = 2**20
#: Largest number of bytes of a line that are read; a longer line has more than `MAX_TEXT_LENGTH` characters.
_MAX_LINE_BYTES: Final = 4 * MAX_TEXT_LENGTH
_BLOCK: Final = 2**18
#: Number of bytes at the beginning of a file that are examined to find its encoding.
_SNIFFED: Final = 2**16
_UTF8_BOM: Final = codecs.BOM_UTF8
# UTF-32 is first, because its little-endian mark begins with that of UTF-16.
_BOMS: Final = (
    (codecs.BOM_UTF32_LE, "UTF-32"),
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
#: Damaged text in UTF-8 may have up to this share of NUL bytes. A larger share means UTF-16, UTF-32 or binary data. The
#: limit is low because Chinese text in UTF-16, for example, has only one or two NUL bytes on each line.
_NUL_SHARE: Final = 0.001
#: If more than this share of the lines, and at least `_BAD_LINES` lines, cannot be used, an error is raised.
_BAD_SHARE: Final = 0.1
_BAD_LINES: Final = 3


# ---------------------------------------------------------------------------------------- opening


def _open_zstd(path: Path, _: str) -> BinaryIO:
    import pyarrow as pa

    return cast(BinaryIO, io.BufferedReader(pa.CompressedInputStream(pa.OSFile(str(path), "rb"), "zstd")))


#: Suffix → function that opens a file of this compression for reading bytes.
COMPRESSIONS: Final[dict[str, Callable[[Path, str], Any]]] = {
    ".gz": gzip.open,
    ".bz2": bz2.open,
    ".xz": lzma.open,
    ".zst": _open_zstd,
}
A_FOLDER: Final = "a folder"
#: Kinds of paths that are not regular files.
_IRREGULAR_KINDS: Final[tuple[tuple[Callable[[int], bool], str], ...]] = (
    (stat.S_ISDIR, A_FOLDER),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
#: Suffix → program that prints the decompressed contents of a file.
_CAT: Final = {".gz": "zcat", ".bz2": "bzcat", ".xz": "xzcat", ".zst": "zstdcat"}
#: Suffix → name of the compression.
_COMPRESSION_NAMES: Final = {".gz": "gzip", ".bz2": "bzip2", ".xz": "xz", ".zst": "Zstandard"}


#: First bytes of a file → suffix of its format.
_MAGIC: Final = (
    (b"\x1f\x8b", ".gz"),
    (b"BZh", ".bz2"),
    (b"\xfd7zXZ\x00", ".xz"),
    (b"\x28\xb5\x2f\xfd", ".zst"),
    (b"PAR1", ".parquet"),
)


def suffix_of_bytes(beginning: bytes) -> str:
    """Return the suffix of the format (a compression or Parquet) that the first bytes of a file indicate, or ""."""
    return next((suffix for magic, suffix in _MAGIC if beginning.startswith(magic)), "")


def open_bytes(path: Path) -> IO[bytes]:
    """Open a file for reading bytes; a file with the suffix of a compression is decompressed."""
    opener = COMPRESSIONS.get(path.suffix.lower())
    return cast(IO[bytes], path.open("rb") if opener is None else opener(path, "rb"))


def irregular_kind(path: Path) -> str:
    """Return the kind of a path that is not a regular file (`a folder`, `a pipe`); empty for a regular file."""
    try:
        mode = path.stat().st_mode
    except OSError as error:
        return "a broken link" if path.is_symlink() else f"missing ({error.strerror})"
    if stat.S_ISREG(mode):
        return ""
    return next((kind for is_kind, kind in _IRREGULAR_KINDS if is_kind(mode)), "not a regular file")


@contextmanager
def corpus_errors(path: Path) -> Iterator[None]:
    """Turn errors of the operating system and of decompression into a `CorpusError`, while a file is read."""
    if not path.exists():
        raise CorpusError(f"there is no file '{path}'.", "check the path.")
    # Opening a pipe would wait for a writer, and reading a device may never end.
    if (kind := irregular_kind(path)) not in ("", A_FOLDER):
        raise CorpusError(f"{path.name} is {kind}, not a file of text.", "write its text to a file.")
    try:
        with path.open("rb") as stream:
            check_placeholder(stream.read(PLACEHOLDER_BYTES + 1), path.name)
        yield
    except (gzip.BadGzipFile, EOFError, zlib.error, lzma.LZMAError) as error:
        raise _damaged(path, error) from error
    except OSError as error:
        # bz2 and pyarrow raise OSError without a number for damaged data.
        if error.errno is None and path.suffix.lower() in _COMPRESSION_NAMES:
            raise _damaged(path, error) from error
        raise CorpusError(
            f"{path.name} cannot be read ({error.strerror or error}).", "check the file and its permissions."
        ) from error


def _damaged(path: Path, error: Exception) -> CorpusError:
    kind = _COMPRESSION_NAMES.get(path.suffix.lower(), "compressed")
    return CorpusError(
        f"{path.name} is not a complete {kind} file ({error}).", "get the file again, or compress it again."
    )


# --------------------------------------------------------------------------------------- encoding


def check_placeholder(beginning: bytes, name: str) -> None:
    """Raise an error if a file is only a placeholder: a pointer of Git LFS, or an error page of a server.

    Args:
        beginning: The first bytes of the file, or the whole file.
        name: Name of the file, for the message.

    Raises:
        CorpusError: The file is a placeholder; the hint explains how to get the file.
    """
    if found := placeholder(beginning):
        raise CorpusError(f"{name} is {found.kind}, not the file itself.", found.hint)


def check_encoding(beginning: bytes, path: Path) -> None:
    """Raise an error if a file is not UTF-8 text: a placeholder, an archive, a document, UTF-16 or UTF-32, or binary.

    Args:
        beginning: The first bytes of the file, decompressed.
        path: The file, for the message.

    Raises:
        CorpusError: The file is not UTF-8; the hint has a command that converts it.
    """
    name = path.name
    check_placeholder(beginning, name)
    check_kind(beginning, name)
    sniffed = beginning[:_SNIFFED]
    for mark, encoding in _BOMS:
        if sniffed.startswith(mark):
            raise CorpusError(f"{name} is {encoding}, not UTF-8.", f"convert it: {_iconv(encoding, path)}")
    nuls = sniffed.count(0)
    if nuls < _BAD_LINES or nuls <= _NUL_SHARE * len(sniffed):
        return
    encoding = _wide_encoding(sniffed, nuls)
    if encoding:
        raise CorpusError(
            f"{name} seems to be {encoding}, not UTF-8: {nuls / len(sniffed):.1%} of its bytes are NUL.",
            f"convert it: {_iconv(encoding, path)}",
        )
    raise CorpusError(
        f"{name} is not text: {nuls / len(sniffed):.1%} of its first {len(sniffed):,} bytes are NUL.",
        "the file is damaged or of another kind; write its text again as UTF-8.",
    )


def _wide_encoding(sniffed: bytes, nuls: int) -> str:
    """Return the encoding (UTF-16 or UTF-32) that fits the positions of NUL bytes; empty if none fits.

    `sniffed` are the first bytes of a file, of which `nuls` are NUL.
    """
    nuls_at = [sniffed[start::4].count(0) for start in range(4)]
    quarter = len(sniffed) / 4
    if min(nuls_at[2:]) > 0.9 * quarter - 1:
        return "UTF-32LE"
    if min(nuls_at[:2]) > 0.9 * quarter - 1:
        return "UTF-32BE"
    if nuls_at[1] + nuls_at[3] > 0.9 * nuls:
        return "UTF-16LE" if _decodes(sniffed, "utf-16-le") else ""
    if nuls_at[0] + nuls_at[2] > 0.9 * nuls:
        return "UTF-16BE" if _decodes(sniffed, "utf-16-be") else ""
    return ""


def _decodes(sniffed: bytes, encoding: str) -> bool:
    try:
        codecs.getincrementaldecoder(encoding)().decode(sniffed)
    except UnicodeDecodeError:
        return False
    return True


def _iconv(encoding: str, path: Path) -> str:
    """Return a command that converts a file in the given encoding to UTF-8, and decompresses it if necessary."""
    name = str(path)
    convert, quoted = f"iconv -f {encoding} -t UTF-8", shlex.quote(name)
    compression = next((suffix for suffix in _CAT if name.lower().endswith(suffix)), None)
    if compression is None:
        new = shlex.quote(f"{name}.utf8")
        return f"`{convert} {quoted} > {new} && mv {new} {quoted}`."
    plain = shlex.quote(name[: -len(compression)])
    return f"`{_CAT[compression]} {quoted} | {convert} > {plain}`, and remove {quoted}."


def not_utf8_hint(path: Path) -> str:
    """Return a hint for a file in a single-byte encoding, with a command that converts it."""
    return (
        f"save it as UTF-8: determine its encoding and convert it. If it is Latin-1: {_iconv('ISO-8859-1', path)} "
        "Latin-1 is used only for languages of western Europe. Other common encodings are WINDOWS-1250 (central "
        "Europe), WINDOWS-1251 or KOI8-R (Cyrillic), WINDOWS-1253 (Greek), WINDOWS-1254 (Turkish), WINDOWS-1255 "
        "(Hebrew), WINDOWS-1256 (Arabic), TIS-620 (Thai), GB18030 (Chinese), SHIFT_JIS (Japanese) and EUC-KR (Korean)."
    )


def check_counts(counts: ReadCounts, name: str, path: Path | None = None) -> None:
    """Raise an error if many lines of a file are not text.

    A few unusable lines are skipped, but many unusable lines show that the file is not plain text in UTF-8.

    Args:
        counts: Counts of the lines.
        name: Name of the file, for the message.
        path: The file, for a command that converts it; None for text in memory.

    Raises:
        CorpusError: More than a tenth of the lines that are not empty, and at least three, are not UTF-8 or contain
            control characters.
    """
    filled = counts.read - counts.empty
    kinds = (
        (counts.undecodable, "are not UTF-8", not_utf8_hint(path or Path(name))),
        (
            counts.control,
            "contain control characters",
            "the file is not plain text, or it is damaged; write its text again as UTF-8.",
        ),
    )
    for number, what, hint in kinds:
        if number >= _BAD_LINES and number > _BAD_SHARE * filled:
            raise CorpusError(f"{number:,} of {filled:,} lines of {name} {what}.", hint)


# ------------------------------------------------------------------------------------------ lines


def iter_lines(path: Path) -> Generator[bytes, None, None]:
    r"""Yield the decompressed lines of a file, each ending with `\n`, without byte order marks at the beginning.

    A line is cut after 4 MiB, between two characters.

    Args:
        path: The file; its suffix shows whether it is compressed.

    Raises:
        CorpusError: The file is UTF-16, UTF-32 or not text.
    """
    with open_bytes(path) as stream:
        for line, _ in _bounded_lines(stream, path):
            yield line


def iter_whole_lines(path: Path, max_bytes: int) -> Generator[bytes, None, None]:
    """Yield lines like :func:`iter_lines`; raise an error for a line of more than `max_bytes` bytes.

    Raises:
        CorpusError: See :func:`iter_lines`; or a line has more than `max_bytes` bytes.
    """
    with open_bytes(path) as stream:
        for number, (line, was_cut) in enumerate(_bounded_lines(stream, path, max_bytes), 1):
            if was_cut:
                raise CorpusError(
                    f"line {number} of {path.name} is longer than {max_bytes // 2**20} MiB.",
                    "write one object on each line.",
                )
            yield line


def decode(line: bytes) -> str | None:
    """Return a line as text; None if it is not UTF-8."""
    try:
        return line.decode("utf-8")
    except UnicodeDecodeError:
        return None


def _bounded_lines(stream: IO[bytes], path: Path, max_bytes: int = _MAX_LINE_BYTES) -> Iterator[tuple[bytes, bool]]:
    """Yield (line, whether it was cut) for the lines in `stream`, which are cut after `max_bytes` bytes."""
    block = stream.read(_BLOCK)
    check_encoding(block, path)
    rest = block.removeprefix(_UTF8_BOM)
    dropping = False
    while block:
        *chunks, rest = rest.split(b"\n")
        ended = [line for chunk in chunks for line in _split_at_returns(chunk.rstrip(b"\r"))]
        # If LF follows the last CR, the two are one line end.
        body = rest.rstrip(b"\r")
        at = body.rfind(b"\r")
        if at >= 0:
            ended += _split_at_returns(body[:at])
            rest = rest[at + 1 :]
        for line in ended:
            if not dropping:
                yield _cut_line(line, max_bytes)
            dropping = False
        if dropping:
            rest = rest[-1:]  # a CR at the end may be the first half of a line end
        elif len(rest) > max_bytes:
            yield _cut_line(rest, max_bytes)
            dropping, rest = True, rest[-1:]
        block = stream.read(_BLOCK)
        rest += block
    if rest and not dropping:
        for line in _split_at_returns(rest.removesuffix(b"\r")):
            yield _cut_line(line, max_bytes)


def _split_at_returns(chunk: bytes) -> list[bytes]:
    return chunk.split(b"\r") if b"\r" in chunk else [chunk]


def _cut_line(line: bytes, max_bytes: int) -> tuple[bytes, bool]:
    # Files that were joined with `cat` also have byte order marks at the beginning of later lines.
    line = line.removeprefix(_UTF8_BOM)
    if len(line) <= max_bytes:
        return line + b"\n", False
    end = max_bytes
    # In UTF-8, all bytes of a character except the first have the form 10xxxxxx.
    while end > max_bytes - 4 and line[end] & 0xC0 == 0x80:
        end -= 1
    return line[:end] + b"\n", True


# ------------------------------------------------------------------------------------ whole files


# The line ends are those of :func:`iter_lines`.
_LINE_END: Final = re.compile(r"\r*\n|\r")
# Byte order mark that `cat` left at the beginning of a later line. A mark before a tab or space is a whole word and is
# kept.
_LATER_BOM: Final = re.compile("\n\ufeff(?![ \t])")


def file_text(path: Path) -> str:
    """Return the text of a file, compressed or not, without byte order marks and with LF as the only line end.

    Raises:
        CorpusError: The file cannot be read, or is not UTF-8.
    """
    with corpus_errors(path), open_bytes(path) as stream:
        data = stream.read()
    check_encoding(data, path)
    try:
        return _LATER_BOM.sub("\n", _LINE_END.sub("\n", data.decode("utf-8-sig")))
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise CorpusError(f"line {line} of {path.name} is not UTF-8 ({error.reason}).", not_utf8_hint(path)) from error
