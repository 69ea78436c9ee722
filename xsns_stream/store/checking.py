"""Check chosen rows against their records before something is concluded from them."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import numpy as np

from xsns_kernels import popcount
from xsns_stream.errors import StoreError
from xsns_stream.store.format import RowKey
from xsns_stream.store.reader import StoreReader
from xsns_stream.store.records import CommitRecord
from xsns_stream.store.row_array import RowArray

# Rows in the message, which is one line; `verify` names every one.
_NAMED: Final = 3
#: Words that are read at a time; of a compressed row, whole chunks of about as many.
_PIECE_WORDS: Final = 1 << 17


def check_rows(
    store: StoreReader, keys: Iterable[RowKey], on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Compare the bits of rows with the SHA-256 and the count of their commit records.

    Rows are read a mebibyte at a time, by as many threads as there are cores.

    Args:
        store: Holds the rows.
        keys: Which; all are checked before damage is told.
        on_progress: Called with (rows done, rows in all) after each.

    Raises:
        StoreError: Some are damaged; the first three are named, with what is wrong with the first.
        LanguageError: One is of a language that the store does not have.
    """
    wanted = tuple(keys)
    array, damaged = RowArray.open(store.place, store.layout), dict[RowKey, StoreError]()

    def check(key: RowKey) -> StoreError | None:
        try:
            _check(array, store.record(key.language, key.seed, key.density))
        except StoreError as error:
            return error
        return None

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for done, (key, error) in enumerate(zip(wanted, pool.map(check, wanted), strict=True), start=1):
            if error is not None:
                damaged[key] = error
            if on_progress is not None:
                on_progress(done, len(wanted))
    if damaged:
        shown, more = list(damaged)[:_NAMED], len(damaged) - _NAMED
        others = f" and {more} more" if more > 0 else ""
        raise StoreError(
            f"{len(damaged)} of {len(wanted)} rows are not what was committed: {', '.join(map(str, shown))}{others}. "
            f"The first: {damaged[shown[0]].message}",
            "run `xsns-stream verify`; restore the rows from a copy, or prune them and build again.",
        )


def _check(array: RowArray, record: CommitRecord) -> None:
    """Compare one row with its record."""
    digest, ones = hashlib.sha256(), 0
    step = max(1, _PIECE_WORDS // array.chunk) * array.chunk if array.compressed else _PIECE_WORDS
    if array.labels.slot(record.key) != record.slot:
        raise StoreError(f"the label of row {record.key} has moved since it was written.", "run verify.")
    with array.reading(record.key, record.slot):
        row = array.open_row(record.slot)
        try:
            for start in range(0, array.words, step):
                piece = np.empty(min(step, array.words - start), np.uint64)
                row.read(start, piece)
                digest.update(piece.astype("<u8", copy=False).data)
                ones += popcount(piece)
        finally:
            row.close()
    if (digest.hexdigest(), ones) != (record.sha256, record.cardinality):
        raise StoreError(
            f"the row {record.key} does not hold the bits that were committed.", array.redo_hint(record.key)
        )
