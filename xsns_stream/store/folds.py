"""Folds of rows: a store contains K further stores, each of which leaves out one fold of the examples of its rows.

Folds show how much a similarity would change with other examples. In the store format, and on the command line, a fold
is called a part. The rows that leave out fold k form a complete store. Every function that reads, checks, copies or
removes rows therefore also works on this store.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any, Final

from xsns_stream.errors import UsageError
from xsns_stream.io.json import FieldError, convert, describe, format_error
from xsns_stream.store import schemas
from xsns_stream.store.format import ARRAY, FOLDS, METADATA, fold_node, group_document
from xsns_stream.store.storage import Storage
from xsns_stream.types import Provenance

#: The smallest and the largest number of folds.
FEWEST_FOLDS: Final = 2
MOST_FOLDS: Final = 64

#: Key of the split-half coefficient of the whole row, in the reliability of a row that leaves out one fold.
SPLIT_HALF_OF_ROW: Final = "split_half_of_row"

_GROUP: Final = f"{FOLDS}/{METADATA}"
_HINT: Final = "restore it from a copy; or delete the folder of the parts and build them again."


def check_fold_count(count: int) -> int:
    """Return `count` after checking that it is a valid number of folds, from 2 to 64.

    Raises:
        UsageError: The number is not valid.
    """
    if not FEWEST_FOLDS <= count <= MOST_FOLDS:
        raise UsageError(
            f"examples can be divided into {FEWEST_FOLDS} to {MOST_FOLDS} parts, not {count}.",
            "8 parts are usual; omit the option to measure without parts.",
        )
    return count


def fold_storage(storage: Storage, count: int, number: int) -> Storage:
    """Return the storage of the store that leaves out fold `number` (from 1) of `count` folds.

    Args:
        storage: The storage of the whole store.
        count: K, the number of folds.
        number: Index of the fold that is left out, from 1.
    """
    return storage.child(fold_node(count, number))


def fold_provenance(whole: Provenance, count: int, number: int) -> Provenance:
    """Return the provenance of a row that leaves out fold `number` (from 1) of `count` folds.

    The split-half coefficient of the whole row is copied under the key `split_half_of_row`. If the whole row was
    committed before its folds were measured, its commit record lacks this coefficient. It is then read from the record
    of a row that leaves out a fold.

    Args:
        whole: The provenance of the whole row.
        count: K, the number of folds.
        number: Index of the fold that is left out, from 1.
    """
    half = whole.reliability.get("split_half")
    reliability = {} if half is None else {SPLIT_HALF_OF_ROW: half}
    return replace(whole, corpus=f"{whole.corpus}, without part {number} of {count}", reliability=reliability, text={})


def fold_counts(storage: Storage) -> tuple[int, ...]:
    """Return the numbers of folds K for which a store has rows, in ascending order; empty if it has no folds.

    Raises:
        StoreError: The metadata of the Zarr group that contains the folds are damaged.
    """
    document = storage.read_as(_GROUP, schemas.FoldsDocument, _HINT)
    return () if document is None else tuple(sorted(set(document.attributes.counts)))


def announce_folds(storage: Storage, count: int) -> None:
    """Record in a store that its rows may have `count` folds. Call this before the first fold is written."""
    storage.create_json(_GROUP, group_document({"counts": []}))

    def with_count(document: dict[str, Any]) -> dict[str, Any]:
        try:
            counts = convert(document, schemas.FoldsDocument).attributes.counts
        except FieldError as error:
            raise format_error(storage.full_name(_GROUP), describe(error), _HINT) from error
        return document if count in counts else group_document({"counts": sorted([*counts, count])})

    # The lock is not within the group, because Zarr lists the members of a group.
    storage.update_json(_GROUP, with_count, lock=f"{ARRAY}/.lock-parts")
    storage.create_json(f"{FOLDS}/{count}/{METADATA}", group_document())
