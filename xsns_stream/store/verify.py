"""Find out whether every row is what its commit record says."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, repeat
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_kernels import popcount
from xsns_stream.errors import StoreError
from xsns_stream.store.fisher_array import (
    KEPT_COMMITS,
    KeptArray,
    KeptKey,
    kept_key,
    kept_keys,
    kept_record,
    read_values,
)
from xsns_stream.store.folds import PartKey, part_provenance
from xsns_stream.store.format import ARRAY, COMMITS, METADATA, RowKey
from xsns_stream.store.header import Header
from xsns_stream.store.records import CommitRecord, committed_keys, digest_words, read_record, record_key
from xsns_stream.store.row_array import RowArray
from xsns_stream.store.storage.open import Place
from xsns_stream.types import WORD_BITS, ParameterLayout, Provenance, Words

if TYPE_CHECKING:
    from xsns_stream.store.reader import StoreReader

Progress = Callable[[int, int], None]

#: Whole rows that are in memory at a time, where they are fetched.
ROWS_AT_ONCE: Final = 4

_OBJECT: Final = re.compile(rf"{ARRAY}/c/([0-9]{{1,9}})/([0-9]{{1,9}})/([0-9]{{1,9}})/.+")


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a store.

    Attributes:
        problem: One of `record`, `experiment`, `label`, `missing`, `size`, `unreadable`, `bits`, `swapped`,
            `cardinality`, `density`, `padding`, `values`, `text`.
        detail: A sentence for people, which names the row.
        row: The row; None where it cannot be told.
    """

    problem: str
    detail: str
    row: RowKey | KeptKey | PartKey | None = None

    def within(self, count: int, number: int) -> Finding:
        """Return the same of a store that leaves out a part."""
        row = PartKey(count, number, self.row) if isinstance(self.row, RowKey) else self.row
        return replace(self, detail=f"without part {number} of {count}: {self.detail}", row=row)

    def __str__(self) -> str:
        return self.detail


def shifted(on_progress: Progress | None, sizes: Sequence[int]) -> Iterator[Progress | None]:
    """Yield, for each of several checks of so many rows, what it reports to, so that they look like one."""
    if on_progress is None:
        yield from repeat(None)
        return
    for before in accumulate(sizes, initial=0):
        yield partial(_later, on_progress, before, sum(sizes))


def _later(on_progress: Progress, before: int, total: int, done: int, _: int) -> None:
    on_progress(before + done, total)


def verify_parts(store: StoreReader, parts: Sequence[tuple[int, int, StoreReader]]) -> Iterator[Finding]:
    """Find rows without a part that say nothing of their row: of other text, or of another part."""
    for count, number, part in parts:
        for key in part.keys():  # noqa: SIM118
            yield from _other_part(store, part, PartKey(count, number, key))


def _other_part(store: StoreReader, part: StoreReader, name: PartKey) -> Iterator[Finding]:
    found, whole = (_read_record(place, name.row) for place in (part.place, store.place))
    if not isinstance(found, CommitRecord) or not isinstance(whole, CommitRecord):
        return
    if found.provenance.corpus_digest != whole.provenance.corpus_digest:
        yield Finding("text", f"{name} was measured on other text than the row.", name)
    if found.provenance.corpus != part_provenance(whole.provenance, name.count, name.number).corpus:
        yield Finding("swapped", f"{name} is of {found.provenance.corpus}.", name)


def verify_rows(array: RowArray, header: Header, on_progress: Progress | None = None) -> list[Finding]:
    """Return what is wrong with the rows of a store; see :meth:`SubNetworkStore.verify`."""
    keys, kept = sorted(committed_keys(array.place)), sorted(kept_keys(array.place))
    findings = list(_strangers(array.place, set(keys), set(kept)))
    records: list[CommitRecord] = []
    for record in array.place.each(lambda key: _read_record(array.place, key), keys):
        if isinstance(record, Finding):
            findings.append(record)
        elif record is not None:
            records.append(record)
    owners = {record.sha256: record.key for record in records}

    def check(record: CommitRecord) -> list[Finding]:
        return [
            *_check_experiment(record.provenance, header, record.key),
            *_check_row(array, header.layout, record, owners),
        ]

    total = len(records) + len(kept)
    for done, found in enumerate(array.place.each(check, records, ROWS_AT_ONCE), start=1):
        findings.extend(found)
        if on_progress is not None:
            on_progress(done, total)
    for done, kept_row in enumerate(kept, start=len(records) + 1):
        findings.extend(_check_kept(array.place, header, kept_row))
        if on_progress is not None:
            on_progress(done, total)
    return findings


def _read_record(place: Place, key: RowKey) -> CommitRecord | Finding | None:
    try:
        return read_record(place, key)
    except StoreError as error:
        return Finding("record", error.message, key)


def _check_experiment(provenance: Provenance, header: Header, key: RowKey | KeptKey) -> Iterator[Finding]:
    """Compare what a record says of the experiment with what the store says."""
    found = header.experiment_differences(provenance.experiment())
    if found:
        yield Finding("experiment", f"the row {key} is of another experiment: {'; '.join(found)}.", key)


def _check_kept(place: Place, header: Header, key: KeptKey) -> Iterator[Finding]:
    """Compare kept Fisher values with their record."""
    try:
        record = kept_record(place, key)
    except StoreError as error:
        yield Finding("record", error.message, key)
        return
    if record is None:
        return
    yield from _check_experiment(record.provenance, header, key)
    try:
        fisher = read_values(place, header.layout, key)
    except StoreError as error:
        yield Finding("values", error.message, key)
        return
    array = KeptArray.open(place.local, header.layout) if place.local is not None else None
    if array is not None and not array.index_is_sound(record.slot):
        yield Finding("values", f"the index of {key} is damaged.", key)
    if fisher is not None and not all(np.isfinite(values).all() and (values >= 0).all() for values in fisher.values):
        yield Finding("values", f"{key} holds values that are negative or not finite.", key)


def _strangers(place: Place, keys: set[RowKey], kept: set[KeptKey]) -> Iterator[Finding]:
    """Find records at paths that are no row's."""
    known = {record_key(key) for key in keys} | {kept_key(key) for key in kept}
    there = [(path, 5) for path in place.list(COMMITS)]
    if place.local is not None:
        there += [(path, 4) for path in place.list(KEPT_COMMITS)]
    for path, parts in sorted(there):
        if path not in known and path.count("/") + 1 == parts and path.endswith(f"/{METADATA}"):
            yield Finding("record", f"the commit record '{path.rpartition('/')[0]}' stands where no row's can.")


def _check_row(
    array: RowArray, layout: ParameterLayout, record: CommitRecord, owners: dict[str, RowKey]
) -> Iterator[Finding]:
    """Compare one row with its record."""
    key = record.key
    slot = array.labels.slot(key)
    if slot != record.slot:
        place = "has no label" if slot is None else f"is labelled as slot {list(slot)}"
        yield Finding("label", f"the row {key} was written to slot {list(record.slot)}, and {place} now.", key)
    path = array.object_key(record.slot)
    size = array.place.size(path)
    if size is None:
        what = "not a regular file" if array.place.present(path) else "missing"
        yield Finding("missing", f"the row {key} is committed, but its object '{array.place.at(path)}' is {what}.", key)
        return
    if size != record.bytes:
        what = "truncated" if size < record.bytes else "too long"
        yield Finding("size", f"the object of row {key} is {what}: {size} bytes of {record.bytes}.", key)
    try:
        bits = array.read([(key, record.slot)], 0, array.words)[0]
    except StoreError as error:
        yield Finding("unreadable", error.message, key)
        return
    yield from _check_bits(bits, layout, record, owners)


def _check_bits(
    bits: Words, layout: ParameterLayout, record: CommitRecord, owners: dict[str, RowKey]
) -> Iterator[Finding]:
    """Compare a row's bits with its record."""
    key = record.key
    digest = digest_words(bits)
    if digest != record.sha256:
        owner = owners.get(digest)
        if owner is None:
            yield Finding("bits", f"the bits of row {key} have changed since they were committed.", key)
        else:
            yield Finding("swapped", f"the row {key} holds the bits of {owner}.", key)
    count = popcount(bits)
    if count != record.cardinality:
        yield Finding("cardinality", f"the row {key} has {count} bits set, its record says {record.cardinality}.", key)
    if record.density_realised != record.cardinality / layout.size:
        realised = f"{record.cardinality / layout.size!r}, its record says {record.density_realised!r}"
        yield Finding("density", f"the realised density of row {key} is {realised}.", key)
    tail = layout.size % WORD_BITS
    if tail and int(bits[-1]) >> tail:
        yield Finding("padding", f"the row {key} has bits set past its last parameter.", key)


def unfinished_rows(array: RowArray) -> Iterator[RowKey]:
    """Yield rows of which something was written, and no commit record."""
    committed, labels = set(committed_keys(array.place)), array.labels
    # What was started, and not every slot: there may be far more slots than rows.
    started = {found.groups() for path in array.place.list(f"{ARRAY}/c") if (found := _OBJECT.fullmatch(path))}
    for density, seed, language in sorted(tuple(map(int, slot)) for slot in started):
        with suppress(IndexError):
            key = RowKey(labels.densities[density], labels.seeds[seed], labels.languages[language])
            if key not in committed:
                yield key


def unfinished_parts(parts: Sequence[tuple[int, int, StoreReader]]) -> Iterator[PartKey]:
    """Yield rows without a part that are not there, while others of the same row and number of parts are.

    A writer that was killed leaves them so. Nobody reads parts of which one is missing, and building again adds it.
    """
    numbers: dict[tuple[int, RowKey], set[int]] = {}
    for count, number, part in parts:
        for key in part.keys():  # noqa: SIM118
            numbers.setdefault((count, key), set()).add(number)
    for (count, key), there in sorted(numbers.items()):
        yield from (PartKey(count, number, key) for number in range(1, count + 1) if number not in there)
