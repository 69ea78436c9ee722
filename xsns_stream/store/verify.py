"""Verification of the rows of a store against their commit records."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import partial
from itertools import accumulate, repeat
from typing import Final

import numpy as np

from xsns_kernels import popcount
from xsns_kernels.cores import available_cores
from xsns_stream.errors import StoreError
from xsns_stream.io.tables import listed
from xsns_stream.store.fisher_array import FisherArray, read_fisher
from xsns_stream.store.folds import fold_provenance
from xsns_stream.store.format import ARRAY, COMMITS, FISHER_COMMITS, METADATA, FisherKey, FoldKey, Header, RowKey
from xsns_stream.store.records import (
    CommitRecord,
    committed_fisher_keys,
    committed_keys,
    digest_words,
    read_fisher_record,
    read_record,
)
from xsns_stream.store.row_array import RowArray
from xsns_stream.store.storage import Storage
from xsns_stream.types import WORD_BITS, ParameterLayout, Provenance, Words

Progress = Callable[[int, int], None]

#: The largest number of rows in memory when rows are read from an object store.
ROWS_AT_ONCE: Final = 4

# The largest number of rows that an error names; `verify` names every row.
_NAMED: Final = 3
_OBJECT: Final = re.compile(rf"{ARRAY}/c/([0-9]{{1,9}})/([0-9]{{1,9}})/([0-9]{{1,9}})/.+")


@dataclass(frozen=True)
class Finding:
    """A fault of a store.

    Attributes:
        problem: One of `record`, `experiment`, `label`, `missing`, `size`, `unreadable`, `bits`, `swapped`,
            `cardinality`, `density`, `padding`, `values`, `text`.
        detail: A sentence that describes the fault and names the row.
        row: The key of the row; None if it is unknown.
    """

    problem: str
    detail: str
    row: RowKey | FisherKey | FoldKey | None = None

    def within(self, count: int, number: int) -> Finding:
        """Return the fault with the name of a fold in `detail` and `row`; `number` (from 1) of `count` is the fold."""
        row = FoldKey(count, number, self.row) if isinstance(self.row, RowKey) else self.row
        return replace(self, detail=f"without part {number} of {count}: {self.detail}", row=row)

    def __str__(self) -> str:
        return self.detail


@dataclass(frozen=True)
class Fold:
    """A store that leaves out a fold.

    Attributes:
        count: K, the number of folds.
        number: Index of the fold that is left out, from 1.
        storage: The storage of the store.
        header: The header of the store; None if nothing was written to it.
    """

    count: int
    number: int
    storage: Storage
    header: Header | None


def verify_store(
    storage: Storage, header: Header, folds: Sequence[Fold], on_progress: Progress | None = None
) -> list[Finding]:
    """Return the faults of the rows of a store and of its folds; see :meth:`SubNetworkStore.verify`."""
    there = [fold for fold in folds if fold.header is not None]
    sizes = [sum(1 for _ in committed_keys(storage)) + sum(1 for _ in committed_fisher_keys(storage))]
    sizes += [sum(1 for _ in committed_keys(fold.storage)) for fold in there]
    progress = _shifted(on_progress, sizes)
    findings = verify_rows(RowArray.open(storage, header.layout), header, next(progress))
    for fold in there:
        if fold.header is not None:
            rows = verify_rows(RowArray.open(fold.storage, header.layout), fold.header, next(progress))
            findings += [finding.within(fold.count, fold.number) for finding in rows]
    for fold in folds:
        for key in sorted(committed_keys(fold.storage)):
            findings += _foreign_fold(storage, fold.storage, FoldKey(fold.count, fold.number, key))
    return findings


def _shifted(on_progress: Progress | None, sizes: Sequence[int]) -> Iterator[Progress | None]:
    """Yield one progress callback for each of several checks, which read `sizes` rows; None if `on_progress` is None.

    Together, the callbacks report the progress of all checks as one pass over all rows.
    """
    if on_progress is None:
        yield from repeat(None)
        return
    for before in accumulate(sizes, initial=0):
        yield partial(_add_before, on_progress, before, sum(sizes))


def _add_before(on_progress: Progress, before: int, total: int, done: int, _: int) -> None:
    on_progress(before + done, total)


def _foreign_fold(storage: Storage, fold: Storage, name: FoldKey) -> Iterator[Finding]:
    """Yield a fault if the row `name` was measured on other text than the whole row, or belongs to another fold.

    `storage` contains the whole row, and `fold` the row that leaves out the fold.
    """
    part, whole = (_read_record(of, name.row) for of in (fold, storage))
    if not isinstance(part, CommitRecord) or not isinstance(whole, CommitRecord):
        return
    if part.provenance.corpus_digest != whole.provenance.corpus_digest:
        yield Finding("text", f"{name} was measured on different text than the whole row.", name)
    if part.provenance.corpus != fold_provenance(whole.provenance, name.count, name.number).corpus:
        yield Finding("swapped", f"the record of {name} says that it was measured on {part.provenance.corpus}.", name)


def verify_rows(array: RowArray, header: Header, on_progress: Progress | None = None) -> list[Finding]:
    """Return the faults of the rows of one store, without its folds."""
    storage = array.storage
    keys, fisher_keys = sorted(committed_keys(storage)), sorted(committed_fisher_keys(storage))
    findings = list(_strangers(storage, {key.record for key in keys} | {key.record for key in fisher_keys}))
    records: list[CommitRecord] = []
    for record in storage.map(lambda key: _read_record(storage, key), keys):
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

    total = len(records) + len(fisher_keys)
    for done, faults in enumerate(storage.map(check, records, ROWS_AT_ONCE), start=1):
        findings.extend(faults)
        if on_progress is not None:
            on_progress(done, total)
    for done, key in enumerate(fisher_keys, start=len(records) + 1):
        findings.extend(_check_fisher(storage, header, key))
        if on_progress is not None:
            on_progress(done, total)
    return findings


def _read_record(storage: Storage, key: RowKey) -> CommitRecord | Finding | None:
    try:
        return read_record(storage, key)
    except StoreError as error:
        return Finding("record", error.message, key)


def _strangers(storage: Storage, known: set[str]) -> Iterator[Finding]:
    """Yield a fault for each commit record whose path cannot belong to a row; `known` has the paths that can."""
    there = [(path, 5) for path in storage.list(COMMITS)]
    if storage.in_folder:
        there += [(path, 4) for path in storage.list(FISHER_COMMITS)]
    for path, parts in sorted(there):
        if path not in known and path.count("/") + 1 == parts and path.endswith(f"/{METADATA}"):
            group = path.rpartition("/")[0]
            yield Finding("record", f"no row can have a commit record at the path '{group}'.")


def _check_experiment(provenance: Provenance, header: Header, key: RowKey | FisherKey) -> Iterator[Finding]:
    """Yield a fault if the experiment in the provenance of a record is not the experiment of the store."""
    different = header.experiment_differences(provenance.experiment(), other_place="in the row")
    if different:
        yield Finding("experiment", f"the row {key} belongs to another experiment: {'; '.join(different)}.", key)


def _check_fisher(storage: Storage, header: Header, key: FisherKey) -> Iterator[Finding]:
    """Yield the faults of saved Fisher values: a wrong record, changed bytes, or values that are not valid."""
    try:
        record = read_fisher_record(storage, key)
    except StoreError as error:
        yield Finding("record", error.message, key)
        return
    if record is None:
        return
    yield from _check_experiment(record.provenance, header, key)
    try:
        fisher = read_fisher(storage, header.layout, key)
    except StoreError as error:
        yield Finding("values", error.message, key)
        return
    array = FisherArray.open(storage, header.layout)
    if array is not None and not array.index_is_sound(record.slot):
        yield Finding("values", f"the index of {key} is damaged.", key)
    if fisher is not None and not all(np.isfinite(values).all() and (values >= 0).all() for values in fisher.values):
        yield Finding("values", f"{key} contains values that are negative or not finite.", key)


def _check_row(
    array: RowArray, layout: ParameterLayout, record: CommitRecord, owners: dict[str, RowKey]
) -> Iterator[Finding]:
    """Yield the faults of one row: its slot, the size of its object, or its bits differ from the commit record.

    `owners` is {SHA-256 in a commit record: key of the row}, from which swapped rows are recognised.
    """
    key = record.key
    slot = array.labels.slot(key)
    if slot != record.slot:
        now = "its label is missing now" if slot is None else f"the labels now give it slot {list(slot)}"
        yield Finding("label", f"the row {key} was written to slot {list(record.slot)}, and {now}.", key)
    path = array.object_key(record.slot)
    size = array.storage.size(path)
    if size is None:
        what = "not a regular file" if array.storage.has_entry(path) else "missing"
        name = array.storage.full_name(path)
        yield Finding("missing", f"the row {key} is committed, but its object '{name}' is {what}.", key)
        return
    if size != record.bytes:
        what = "truncated" if size < record.bytes else "too long"
        yield Finding("size", f"the object of row {key} is {what}: {size} bytes instead of {record.bytes}.", key)
    try:
        bits = array.read([(key, record.slot)], 0, array.words)[0]
    except StoreError as error:
        yield Finding("unreadable", error.message, key)
        return
    yield from _check_bits(bits, layout, record, owners)


def _check_bits(
    bits: Words, layout: ParameterLayout, record: CommitRecord, owners: dict[str, RowKey]
) -> Iterator[Finding]:
    """Yield a fault for each property of the bits of a row that differs from its commit record.

    `owners` is {SHA-256 in a commit record: key of the row}, from which swapped rows are recognised.
    """
    key = record.key
    digest = digest_words(bits)
    if digest != record.sha256:
        owner = owners.get(digest)
        if owner is None:
            yield Finding("bits", f"the bits of row {key} have changed since they were committed.", key)
        else:
            yield Finding("swapped", f"the row {key} contains the bits of {owner}.", key)
    count = popcount(bits)
    if count != record.cardinality:
        yield Finding("cardinality", f"the row {key} has {count} bits set, its record says {record.cardinality}.", key)
    if record.density_realised != record.cardinality / layout.size:
        realised = f"{record.cardinality / layout.size!r}, its record says {record.density_realised!r}"
        yield Finding("density", f"the realised density of row {key} is {realised}.", key)
    tail = layout.size % WORD_BITS
    if tail and int(bits[-1]) >> tail:
        yield Finding("padding", f"the row {key} has bits set past its last parameter.", key)


# ----------------------------------------------------------------------------------------- chosen rows


def damaged_rows(
    array: RowArray,
    keys: Sequence[RowKey],
    record_of: Callable[[RowKey], CommitRecord],
    on_progress: Progress | None = None,
    threads: int | None = None,
) -> dict[RowKey, StoreError]:
    """Compare the bits of some rows with the SHA-256 and the cardinality in their commit records.

    Rows are read in blocks of 1 MiB.

    Args:
        array: The array of rows.
        keys: The rows.
        record_of: Returns the commit record of a row.
        on_progress: Called with (rows done, total rows) after each row.
        threads: Number of threads; by default one for each core.

    Returns:
        {damaged row: its fault}.
    """
    damaged: dict[RowKey, StoreError] = {}

    def check(key: RowKey) -> StoreError | None:
        try:
            _check_committed(array, record_of(key))
        except StoreError as error:
            return error
        return None

    with ThreadPoolExecutor(threads or available_cores()) as pool:
        for done, (key, error) in enumerate(zip(keys, pool.map(check, keys), strict=True), start=1):
            if error is not None:
                damaged[key] = error
            if on_progress is not None:
                on_progress(done, len(keys))
    return damaged


def refuse_damaged(damaged: Mapping[RowKey, StoreError], checked: int) -> None:
    """Raise an error if rows are damaged.

    Args:
        damaged: The damaged rows, and the fault of each.
        checked: The number of rows that were compared with their records.

    Raises:
        StoreError: Some rows are damaged; the message names up to three of them and the fault of the first.
    """
    if damaged:
        raise StoreError(
            f"{len(damaged)} of {checked} rows differ from their commit records: "
            f"{listed([str(key) for key in damaged], _NAMED)}. "
            f"The first error: {next(iter(damaged.values())).message}",
            "run `xsns-stream verify`; restore the rows from a copy, or prune them and build again.",
        )


def _check_committed(array: RowArray, record: CommitRecord) -> None:
    """Check that the bits of one row have the SHA-256 and the cardinality that its commit record states.

    Raises:
        StoreError: The row is missing or damaged, or its labels have changed.
    """
    if array.labels.slot(record.key) != record.slot:
        raise StoreError(
            f"the labels now give the row {record.key} another slot than the one to which it was written.",
            "run `xsns-stream verify`.",
        )
    if sum(popcount(piece) for _, piece in array.pieces(record)) != record.cardinality:
        raise array.changed(record)


# ------------------------------------------------------------------------------------- unfinished rows


def unfinished_rows(array: RowArray) -> Iterator[RowKey]:
    """Yield the key of each row that has an object but no commit record."""
    committed, labels = set(committed_keys(array.storage)), array.labels
    # Only slots with an object are examined, because there may be far more slots than rows.
    started = {match.groups() for path in array.storage.list(f"{ARRAY}/c") if (match := _OBJECT.fullmatch(path))}
    for density, seed, language in sorted(tuple(map(int, slot)) for slot in started):
        with suppress(IndexError):
            key = RowKey(labels.densities[density], labels.seeds[seed], labels.languages[language])
            if key not in committed:
                yield key


def unfinished_folds(folds: Sequence[Fold]) -> Iterator[FoldKey]:
    """Yield the missing folds of rows that have some folds, but not all.

    Killed writers leave such rows. Readers use the folds of a row only if all of them exist. Repeating the build adds
    the missing folds.
    """
    numbers: dict[tuple[int, RowKey], set[int]] = {}
    for fold in folds:
        for key in committed_keys(fold.storage):
            numbers.setdefault((fold.count, key), set()).add(fold.number)
    for (count, key), there in sorted(numbers.items()):
        yield from (FoldKey(count, number, key) for number in range(1, count + 1) if number not in there)
