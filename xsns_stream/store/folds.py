"""Folds of rows: a store contains K further stores, each of which leaves out one fold of the examples of its rows.

In the store format, and on the command line, a fold is called a part. Folds show how much a similarity would change
with other examples. The rows without fold k
form a complete store. Every function that reads, checks, copies or removes rows therefore also works on this store.
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
    """Return `count` if it is a valid number of folds.

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
    """Return the storage of the store that leaves out fold `number` of `count` folds."""
    return storage.child(fold_node(count, number))


def fold_provenance(whole: Provenance, count: int, number: int) -> Provenance:
    """Return the provenance of a row that leaves out fold `number` of `count`, from the provenance of the whole row.

    The split-half coefficient of the whole row is recorded under another name. If the whole row was committed before
    its folds were measured, its own record lacks this coefficient; it is then read from the record of a fold.
    """
    half = whole.reliability.get("split_half")
    reliability = {} if half is None else {SPLIT_HALF_OF_ROW: half}
    return replace(whole, corpus=f"{whole.corpus}, without part {number} of {count}", reliability=reliability, text={})


def fold_counts(storage: Storage) -> tuple[int, ...]:
    """Return every K for which a store has rows in K folds, in ascending order; empty if it has no folds.

    Raises:
        StoreError: The group of the folds is damaged.
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
