"""Files that are written whole or not at all, `fsync`, and Parquet files with metadata."""

from __future__ import annotations

import errno
import json
import os
import threading
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, BinaryIO, Final

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.escaping import guarded, visible

if TYPE_CHECKING:
    import pandas as pd


#: What a file system answers that does not support `fsync` at all.
_UNSUPPORTED: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
#: What some file systems answer for folders besides: they cannot be opened, or not be synchronised when opened to read.
_NOT_FOR_FOLDERS: Final = _UNSUPPORTED | {errno.EPERM, errno.EACCES, errno.EBADF, errno.EISDIR}


class _Refusals:
    """Where `fsync` was refused first, and whether that was reported."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.forget()

    def forget(self) -> None:
        self.first, self.reported = "", False

    def remember(self, path: object) -> None:
        with self.lock:
            self.first = self.first or str(path)

    def take(self) -> str:
        with self.lock:
            if self.reported or not self.first:
                return ""
            self.reported = True
            return self.first


_refusals = _Refusals()


def sync_file(file: IO[Any]) -> None:
    """Flush an open file and wait until its content is on the disk.

    Raises:
        OSError: The content could not be written, as on a full disk.
    """
    file.flush()
    _sync_descriptor(file.fileno(), _UNSUPPORTED, file.name)


def sync(path: Path) -> None:
    """Wait until the file or folder `path` is on the disk.

    Raises:
        OSError: It could not be written, or a file cannot be opened.
    """
    accepted = _NOT_FOR_FOLDERS if path.is_dir() else _UNSUPPORTED
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError as error:
        if error.errno not in accepted:
            raise
        _refusals.remember(path)
        return
    try:
        _sync_descriptor(descriptor, accepted, path)
    finally:
        os.close(descriptor)


def refusal() -> str:
    """Return a sentence about the first refused `fsync`; empty where none was, or it was returned before."""
    path = _refusals.take()
    if not path:
        return ""
    return (
        f"the file system of '{path}' does not support fsync: what was written is safe if this program is killed, "
        "but may be lost if the machine loses power."
    )


def forget_refusals() -> None:
    """Start anew, as at the beginning of a program."""
    _refusals.forget()


def _sync_descriptor(descriptor: int, accepted: frozenset[int], path: object) -> None:
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in accepted:
            raise
        _refusals.remember(path)


#: Under which a parquet file's metadata hold a JSON object of ours.
METADATA_KEY: Final = b"xsns_stream"

# Digits of the shortest integer that may not fit into 64 bits.
_LONG: Final = 19


def write_whole(target: Path, write: Callable[[BinaryIO], None]) -> None:
    """Write a file under another name in the same folder and rename it: a reader sees the whole file, or the old one.

    The file is on the disk when this returns, so that a power failure cannot leave an empty one.

    Raises:
        XsnsError: It cannot be written.
    """
    aside = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with aside.open("xb") as file:
            write(file)
            sync_file(file)
        aside.replace(target)
        sync(target.parent)
    except OSError as error:
        raise XsnsError(
            f"cannot write '{target}': {error.strerror or error}.", "check the space and the rights."
        ) from error
    finally:
        aside.unlink(missing_ok=True)


def writable(path: str | Path, formats: Sequence[str]) -> Path:
    """Return `path` if something can be written there, to be asked before what takes long.

    Args:
        path: Where to.
        formats: The suffixes that there are.

    Raises:
        UsageError: No format has this suffix, or the folder is not there.
    """
    target = Path(path)
    if target.suffix.lower() not in formats:
        raise UsageError(f"'{path}' does not end in the name of a format.", f"end it in one of {', '.join(formats)}.")
    if not target.parent.is_dir():
        raise UsageError(f"there is no folder '{target.parent}' to write '{target.name}' to.", "make it first.")
    if target.is_dir():
        raise UsageError(f"'{path}' is a folder.", "name a file.")
    return target


def at_home(path: str) -> Path:
    """Return a path whose `~` is a home directory.

    Raises:
        UsageError: There is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError as error:
        raise UsageError(f"'{path}' names a home directory that is not known.", "write the path from / on.") from error


def unreadable(path: Path, error: OSError) -> XsnsError:
    """Return the error for a file that cannot be opened."""
    if isinstance(error, FileNotFoundError):
        return XsnsError(f"there is no file '{path}'.", "check the path.")
    return XsnsError(f"cannot read '{path}': {error.strerror or error}.", "check the path and the rights.")


def read_json(path: Path) -> Any:
    """Read a JSON file. Numbers too long for 64 bits are read as floats.

    Raises:
        XsnsError: It cannot be read, is no JSON, or names something twice in one object: which one would count?
    """
    try:
        return json.loads(
            path.read_text(encoding="utf-8"),
            parse_int=lambda digits: int(digits) if len(digits) < _LONG else float(digits),
            object_pairs_hook=_all_different,
        )
    except OSError as error:
        raise unreadable(path, error) from None
    except (ValueError, RecursionError) as error:
        raise XsnsError(f"'{path}' is no JSON that can be read: {error}.") from None


def _all_different(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Return an object of JSON.

    Raises:
        ValueError: A name stands twice.
    """
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"'{twice}' stands twice in one object")
    return found


_guarding: Final[ContextVar[bool]] = ContextVar("guarding_csv", default=False)


@contextmanager
def guarding_csv(guard: bool = True) -> Iterator[None]:
    """Guard cells of CSV files that spreadsheets would take for formulas, while the block runs."""
    token = _guarding.set(guard)
    try:
        yield
    finally:
        _guarding.reset(token)


def write_csv(frame: pd.DataFrame, file: BinaryIO, *, index: bool = False, separator: str = ",") -> None:
    """Write a frame as CSV; what cannot be seen of its texts is written as escapes. Numbers stay as they are.

    Args:
        frame: Texts and numbers.
        file: Where to.
        index: Whether the labels of its lines are a column too.
        separator: Of cells.
    """
    import pandas as pd

    guard = _guarding.get()

    def cell(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return guarded(visible(value)) if guard else visible(value)

    shown = frame.rename(columns=cell, index=cell) if index else frame.rename(columns=cell)
    for position, kind in enumerate(shown.dtypes):
        if kind.kind not in "biufc":
            texts = [cell(value) for value in shown.iloc[:, position]]
            shown.isetitem(position, pd.Series(texts, dtype=object).to_numpy())
    file.write(shown.to_csv(index=index, sep=separator, lineterminator="\n").encode())


def write_parquet(frame: pd.DataFrame, notes: Mapping[str, Any], file: BinaryIO) -> None:
    """Write a frame as pandas does, with a JSON object in the file's metadata."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame)
    said = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(notes, allow_nan=False).encode()}
    pq.write_table(table.replace_schema_metadata(said), file)


def read_parquet(path: Path) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Return a parquet file's frame, and the JSON object in its metadata; None where it has none of ours.

    Raises:
        XsnsError: It cannot be read, or is no parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
        notes = (table.schema.metadata or {}).get(METADATA_KEY)
        document = None if notes is None else json.loads(notes)
        return table.to_pandas(), document if isinstance(document, dict) else None
    # ArrowInvalid is a ValueError; what pandas' own metadata lack once they are damaged raises the others. Damaged
    # files also raise OSError without a number.
    except (pa.ArrowException, ValueError, LookupError, TypeError, AttributeError) as error:
        raise XsnsError(f"'{path}' is no parquet file that can be read: {_first_line(error)}") from None
    except OSError as error:
        if error.errno is None:
            raise XsnsError(f"'{path}' is no parquet file that can be read: {_first_line(error)}") from None
        raise unreadable(path, error) from None


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]
