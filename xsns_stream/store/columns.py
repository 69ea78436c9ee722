"""A reader of committed rows, which reads blocks of columns directly from the files of the rows."""

from __future__ import annotations

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
from xsns_stream.store.records import CommitRecord
from xsns_stream.store.row_array import RowArray
from xsns_stream.store.shards import RowReader, check_system, read_fully
from xsns_stream.store.storage.local_files import os_errors
from xsns_stream.types import Words

#: The largest number of files that stay open, if the system allows it; other rows are opened for each block.
MOST_OPEN: Final = 512
#: Number of threads that copy rows. In each thread, decoding needs five times the memory of a block.
COPY_THREADS: Final = 3


class StoredColumns:
    """Committed rows that are read in blocks of columns; `SubNetworkStore.columns` returns them.

    The class implements `xsns_kernels.Columns`. It does not check the bits of the rows. Instead, a caller can compare
    the counts that it computes with the cardinalities in the commit records.

    Attributes:
        rows: L, the number of rows.
        words: W, the number of words of a row. If only a range of words was opened, the number of words in this range.
    """

    def __init__(
        self,
        words: tuple[int, int],
        names: Sequence[RowKey],
        readers: Sequence[RowReader],
        hint: Callable[[RowKey], str],
    ) -> None:
        self.rows = len(readers)
        self._first, self.words = words[0], words[1] - words[0]
        self._names, self._readers, self._hint = names, readers, hint
        self._direct = [reader.direct for reader in readers]

    def read(self, start: int, stop: int, out: npt.NDArray[np.uint64]) -> None:
        """Read the words from `start` to `stop` (exclusive) of all rows into `out` [L, stop − start].

        Several threads may call this method at the same time.

        Raises:
            StoreError: A row cannot be read; the message names it.
            ValueError: The words are outside of a row, or `out` has another shape.
        """
        if not 0 <= start <= stop <= self.words or out.shape != (self.rows, stop - start):
            raise ValueError(
                f"cannot read words {start} to {stop} of {self.rows} rows of {self.words} words into shape {out.shape}"
            )
        start, stop = start + self._first, stop + self._first
        number, skip, expected = 0, start * 8, (stop - start) * 8
        views: Any = out
        try:
            # If the files are in the cache of the operating system, this loop takes most of the time. It is therefore
            # kept as short as possible.
            for number, (direct, row) in enumerate(zip(self._direct, views, strict=True)):
                if direct is None or os.preadv(direct[0], [row], direct[1] + skip) != expected:
                    self._readers[number].read(start, row)
        except (OSError, ValueError) as error:
            key = self._names[number]
            raise StoreError(f"the row {key} cannot be read: {error}.", self._hint(key)) from error


@contextmanager
def open_columns(
    array: RowArray, records: Sequence[CommitRecord], words: tuple[int, int] | None = None
) -> Iterator[StoredColumns]:
    """Open committed rows for reading by columns.

    Uncompressed rows in a folder are read in place. All other rows are first copied, uncompressed, into a temporary
    file, which is removed when the `with` block ends. Rows that are copied completely are compared with their commit
    records.

    Args:
        array: The array of rows.
        records: The records of the rows, in the order of the result.
        words: The range of words to open, as (start, stop) with `stop` exclusive; whole rows by default.

    Raises:
        StoreError: A row is missing or damaged, or the disk has no space for the copies.
    """
    check_system()
    names = [record.key for record in records]
    with ExitStack() as opened:
        readers: list[RowReader] = []
        if array.plain_files:
            most = min(MOST_OPEN, _open_files_limit() // 2)
            for record in records:
                with array.reading(record.key, record.slot):
                    row = array.open_file(record.slot, keep_open=len(readers) < most)
                opened.callback(row.close)
                readers.append(row)
        else:
            readers.extend(opened.enter_context(_copied(array, records, words)))
        yield StoredColumns(words or (0, array.words), names, readers, array.rebuild_hint)


def _open_files_limit() -> int:
    """Return the largest number of files that this process may have open at the same time."""
    import resource

    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return MOST_OPEN * 2 if soft == resource.RLIM_INFINITY else soft


class _CopiedRow:
    """A row in the temporary file of copies. Word 0 of the row is at byte `offset` of the file.

    If only a range of words was copied, `offset` is the position that word 0 would have, which may be outside the file.
    """

    def __init__(self, descriptor: int, offset: int) -> None:
        self.direct = (descriptor, offset)

    def read(self, start: int, out: Words) -> None:
        """Fill `out` with the words of the row that begin at word `start`."""
        read_fully(self.direct[0], out, self.direct[1] + start * 8)

    def close(self) -> None:
        """Do nothing, because all copied rows share one file, which :func:`_copied` closes."""


@contextmanager
def _copied(
    array: RowArray, records: Sequence[CommitRecord], words: tuple[int, int] | None
) -> Iterator[list[RowReader]]:
    """Copy rows into a temporary file, block by block; yield one reader for each copied row.

    Args:
        array: The array of rows.
        records: The commit records of the rows.
        words: The range of words to copy, as (start, stop); None for whole rows.

    Raises:
        StoreError: A row cannot be read, or the disk has no space for the copies.
    """
    first, last = words or (0, array.words)
    row_bytes = (last - first) * 8
    folder = tempfile.gettempdir()
    if shutil.disk_usage(folder).free < row_bytes * len(records):
        raise StoreError(
            f"there is no room in '{folder}' for copies of rows, which need {row_bytes * len(records):,} bytes.",
            "compressed rows and rows in object stores are copied before they are compared: set TMPDIR to a folder "
            "with more room.",
        )
    # The file has no name, so that the system removes it even if the process is killed.
    with tempfile.TemporaryFile(prefix="xsns-") as file:
        descriptor = file.fileno()
        with ThreadPoolExecutor(COPY_THREADS) as pool:
            starts = [i * row_bytes - first * 8 for i in range(len(records))]
            jobs = [
                pool.submit(_copy, array, record, words, descriptor, start)
                for record, start in zip(records, starts, strict=True)
            ]
            try:
                for job in jobs:
                    job.result()
            finally:
                for job in jobs:
                    job.cancel()
        yield [_CopiedRow(descriptor, start) for start in starts]


def _copy(array: RowArray, record: CommitRecord, words: tuple[int, int] | None, descriptor: int, offset: int) -> None:
    """Copy one row, or the range `words` of its words, into the file that is open as `descriptor`.

    Word 0 of the row is at byte `offset` of the file, or would be there if it were copied. If the whole row is copied,
    it is compared with its commit record.
    """
    for start, piece in array.pieces(record) if words is None else array.pieces_between(record, *words):
        with os_errors("copy rows to", tempfile.gettempdir()):
            _write_fully(descriptor, piece, offset + start * 8)


def _write_fully(descriptor: int, words: Words, offset: int) -> None:
    rest = words.data.cast("B")
    while rest:
        done = os.pwrite(descriptor, rest, offset)
        rest, offset = rest[done:], offset + done
