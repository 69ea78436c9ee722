"""Check chosen rows against their records before something is concluded from them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final

from xsns_stream.errors import StoreError
from xsns_stream.store.format import RowKey
from xsns_stream.store.reader import StoreReader

# Rows in the message, which is one line; `verify` names every one.
_NAMED: Final = 3


def check_rows(
    store: StoreReader, keys: Iterable[RowKey], on_progress: Callable[[int, int], None] | None = None
) -> None:
    """Read rows whole and compare each with the SHA-256 and the count of its commit record.

    One row is in memory at a time, W × 8 bytes.

    Args:
        store: Holds the rows.
        keys: Which; all are checked before damage is told.
        on_progress: Called with (rows done, rows in all) after each.

    Raises:
        StoreError: Some are damaged; the first three are named, with what is wrong with the first.
        LanguageError: One is of a language that the store does not have.
    """
    wanted = tuple(keys)
    damaged: dict[RowKey, StoreError] = {}
    for done, key in enumerate(wanted, start=1):
        try:
            store.read(key.language, key.seed, key.density)
        except StoreError as error:
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
