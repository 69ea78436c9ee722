"""Rows that are read a block of columns at a time, straight from their files."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import StoreError
from xsns_stream.store.format import RowKey
from xsns_stream.store.plain_rows import LocalRow, RowReader, read_fully
from xsns_stream.store.records import CommitRecord
from xsns_stream.store.row_array import RowArray
from xsns_stream.store.storage.local import os_errors
from xsns_stream.types import Words

#: Files held open, where the system allows as many; the rows past these are opened for each block.
MOST_OPEN: Final = 512
#: Words that are copied at a time, 1 MiB, and how many copy: decoding takes five times that of each.
PIECE_WORDS: Final = 1 << 17
FETCHERS: Final = 3


class StoredColumns:
    """Committed rows, a block of columns at a time: `xsns_kernels.Columns`. Made by `SubNetworkStore.columns`.

    Bits are not checked here: counts of a finished comparison can be, against the records' cardinalities.

    Attributes:
        rows: L.
        words: W.
    """

    def __init__(
        self, words: int, names: Sequence[RowKey], readers: Sequence[RowReader], hint: Callable[[RowKey], str]
    ) -> None:
        self.rows = len(readers)
        self.words = words
        self._names, self._readers, self._hint = names, readers, hint
        self._direct = [reader.direct for reader in readers]

    def read(self, start: int, stop: int, out: npt.NDArray[np.uint64]) -> None:
        """Fill `out` [L, stop − start]; may be called from several threads at once.

        Raises:
            StoreError: A row cannot be read; it is named.
            ValueError: Words outside of a row, or an `out` of another shape.
        """
        if not 0 <= start <= stop <= self.words or out.shape != (self.rows, stop - start):
            raise ValueError(f"words {start} up to {stop} of {self.rows} rows of {self.words} into {out.shape}")
        number, skip, expected = 0, start * 8, (stop - start) * 8
        views: Any = out
        try:
            # Of a store that is in the system's cache this loop is most of the time: it does no more than it must.
            for number, (direct, row) in enumerate(zip(self._direct, views, strict=True)):
                if direct is None or os.preadv(direct[0], [row], direct[1] + skip) != expected:
                    self._readers[number].read(start, row)
        except (OSError, ValueError) as error:
            key = self._names[number]
            raise StoreError(f"the row {key} cannot be read: {error}.", self._hint(key)) from error


@contextmanager
def open_columns(array: RowArray, records: Sequence[CommitRecord]) -> Iterator[StoredColumns]:
    """Open committed rows for reading by columns.

    Plain rows in a folder are read where they are. All others are first copied into a file of plain words in the
    folder for temporary files, which is gone when the block ends.

    Args:
        array: The array.
        records: Of the rows, in the order in which they are wanted.

    Raises:
        StoreError: A row is missing or damaged; or there is no room for the copies.
    """
    names = [record.key for record in records]
    with ExitStack() as undo:
        readers: list[RowReader] = []
        if array.plain_files:
            most = min(MOST_OPEN, _open_files() // 2)
            for record in records:
                with array.reading(record.key, record.slot):
                    path = array.file(record.slot)
                    row = LocalRow(path, array.geometry, keep_open=len(readers) < most)
                undo.callback(row.close)
                readers.append(row)
        else:
            readers.extend(undo.enter_context(_spooled(array, records)))
        yield StoredColumns(array.words, names, readers, array.redo_hint)


def _open_files() -> int:
    """Return how many files this process may have open."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_OPEN * 2 if soft == resource.RLIM_INFINITY else soft


class _SpooledRow:
    """A row within the file of copies."""

    def __init__(self, descriptor: int, offset: int) -> None:
        self.direct = (descriptor, offset)

    def read(self, start: int, out: Words) -> None:
        """Fill `out` with the words from `start` on."""
        read_fully(self.direct[0], out, self.direct[1] + start * 8)

    def close(self) -> None:
        """The file is closed by whoever made it."""


@contextmanager
def _spooled(array: RowArray, records: Sequence[CommitRecord]) -> Iterator[list[RowReader]]:
    """Copy rows into a temporary file, a piece at a time."""
    row_bytes = array.words * 8
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < row_bytes * len(records):
        raise StoreError(
            f"there is no room in '{folder}' for a copy of {len(records)} rows of {row_bytes:,} bytes.",
            "rows that are compressed or not on this machine are copied first: set TMPDIR to a folder with more room.",
        )
    # It has no name, so that nothing is left of it however the process ends.
    with tempfile.TemporaryFile(prefix="xsns-") as file:
        descriptor = file.fileno()
        with ThreadPoolExecutor(FETCHERS) as pool:
            jobs = [pool.submit(_copy, array, record, descriptor, i * row_bytes) for i, record in enumerate(records)]
            try:
                for job in jobs:
                    job.result()
            finally:
                for job in jobs:
                    job.cancel()
        yield [_SpooledRow(descriptor, number * row_bytes) for number in range(len(records))]


def _copy(array: RowArray, record: CommitRecord, descriptor: int, offset: int) -> None:
    """Copy one row, and compare it with its record on the way."""
    # A compressed chunk is decoded as a whole, however little of it is asked for.
    step = max(1, PIECE_WORDS // array.chunk) * array.chunk if array.compressed else PIECE_WORDS
    digest = hashlib.sha256()
    with array.reading(record.key, record.slot):
        reader = array.open_row(record.slot)
    for start in range(0, array.words, step):
        piece = np.empty(min(step, array.words - start), np.uint64)
        with array.reading(record.key, record.slot):
            reader.read(start, piece)
        digest.update(piece.astype("<u8", copy=False).data)
        with os_errors("copy rows to", tempfile.gettempdir()):
            _write_fully(descriptor, piece, offset + start * 8)
    reader.close()
    if digest.hexdigest() != record.sha256:
        raise StoreError(
            f"the row {record.key} does not hold the bits that were committed.", array.redo_hint(record.key)
        )


def _write_fully(descriptor: int, words: Words, offset: int) -> None:
    rest = words.data.cast("B")
    while rest:
        done = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[done:], offset + done
