"""Sub-networks that leave out one of K folds of a row's examples: K stores of the same layout inside the store.

They tell how much a similarity would change with other examples. What leaves out part k is a store of its own, so that
everything that reads, checks, copies or drops rows works on it as it does on the whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any, Final

from xsns_stream.errors import UsageError
from xsns_stream.io.json import FieldError, convert, describe, format_error
from xsns_stream.store import schemas
from xsns_stream.store.format import ARRAY, METADATA, RowKey, group_document
from xsns_stream.store.storage.open import Place, open_place
from xsns_stream.types import Provenance

PARTS: Final = "parts"
#: Parts that a row can be cut into.
FEWEST_PARTS: Final = 2
MOST_PARTS: Final = 64

_GROUP: Final = f"{PARTS}/{METADATA}"
_HINT: Final = "restore it from a copy; or delete the folder of the parts and build them again."


@dataclass(frozen=True, order=True)
class PartKey:
    """Names a row without one of its parts.

    Attributes:
        count: K, how many parts the examples were cut into.
        number: Which is left out, from 1.
        row: The row.
    """

    count: int
    number: int
    row: RowKey

    @property
    def language(self) -> str:
        """The row's language."""
        return self.row.language

    @property
    def seed(self) -> int:
        """The row's seed."""
        return self.row.seed

    @property
    def density(self) -> float:
        """The density asked for."""
        return self.row.density

    @property
    def node(self) -> str:
        """Path of the commit record's node within the store."""
        return f"{part_node(self.count, self.number)}/{self.row.node}"

    def __str__(self) -> str:
        return f"{self.row} without part {self.number} of {self.count}"


def check_count(count: int) -> int:
    """Return `count` if examples can be cut into so many parts.

    Raises:
        UsageError: They cannot.
    """
    if not FEWEST_PARTS <= count <= MOST_PARTS:
        raise UsageError(
            f"examples are cut into {FEWEST_PARTS} to {MOST_PARTS} parts, not {count}.",
            "8 is a good number; leave it out for none.",
        )
    return count


def part_node(count: int, number: int) -> str:
    """Return the path, within the store, of the store that leaves out a part."""
    return f"{PARTS}/{count}/{number}"


def part_place(place: Place, count: int, number: int) -> Place:
    """Return the place of the store that leaves out a part."""
    node = part_node(count, number)
    return open_place(f"{place.url}/{node}" if place.local is None else place.local / node)


def part_provenance(whole: Provenance, count: int, number: int) -> Provenance:
    """Return the provenance of a row without a part, so that no store takes it for a whole row or another part's."""
    return replace(whole, corpus=f"{whole.corpus}, without part {number} of {count}", reliability={}, text={})


def counts_of(place: Place) -> tuple[int, ...]:
    """Return each number of parts that rows of a store were cut into, in order; empty where none was.

    Raises:
        StoreError: The group of the parts is damaged.
    """
    document = place.read_as(_GROUP, schemas.PartsDocument, _HINT)
    return () if document is None else tuple(sorted(set(document.attributes.counts)))


def announce(place: Place, count: int) -> None:
    """Note in a store that rows are cut into `count` parts, before the first of them is written."""
    place.create_json(_GROUP, group_document({"counts": []}))

    def with_count(document: dict[str, Any]) -> dict[str, Any]:
        try:
            there = convert(document, schemas.PartsDocument).attributes.counts
        except FieldError as error:
            raise format_error(place.at(_GROUP), describe(error), _HINT) from error
        return document if count in there else group_document({"counts": sorted([*there, count])})

    if place.local is None:
        place.update_json(_GROUP, with_count)
    else:
        # Not under a lock within the group, whose members Zarr lists.
        with place.locked(f"{ARRAY}/.lock-parts"):
            place.write_json(_GROUP, with_count(place.read_json(_GROUP) or group_document({"counts": []})))
    place.create_json(f"{PARTS}/{count}/{METADATA}", group_document())
