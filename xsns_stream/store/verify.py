"""Find out whether every row is what its commit record says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

import numpy as np

from xsns_kernels import popcount
from xsns_stream.errors import StoreError
from xsns_stream.store.array import RowArray
from xsns_stream.store.format import COMMITS, METADATA, RowKey
from xsns_stream.store.header import Header
from xsns_stream.store.kept import KEPT_COMMITS, KeptKey, kept_keys, kept_path, kept_record, read_values
from xsns_stream.store.kept_array import KeptArray
from xsns_stream.store.records import CommitRecord, committed_keys, digest_words, read_record, record_path
from xsns_stream.types import WORD_BITS, ParameterLayout, Provenance, Words

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a store.

    Attributes:
        problem: One of `record`, `experiment`, `label`, `missing`, `size`, `unreadable`, `bits`, `swapped`,
            `cardinality`, `density`, `padding`, `values`.
        detail: A sentence for people, which names the row.
        row: The row; None where it cannot be told.
    """

    problem: str
    detail: str
    row: RowKey | KeptKey | None = None

    def __str__(self) -> str:
        return self.detail


def verify_rows(array: RowArray, header: Header, on_progress: Progress | None = None) -> list[Finding]:
    """Return what is wrong with the rows of a store; see :meth:`SubNetworkStore.verify`."""
    keys, kept = sorted(committed_keys(array.root)), sorted(kept_keys(array.root))
    findings = list(_strangers(array.root, set(keys), set(kept)))
    records: dict[RowKey, CommitRecord] = {}
    for key in keys:
        try:
            record = read_record(array.root, key)
        except StoreError as error:
            findings.append(Finding("record", error.message, key))
        else:
            if record is not None:
                records[key] = record
    owners = {record.sha256: key for key, record in records.items()}
    total = len(records) + len(kept)
    for done, record in enumerate(records.values(), start=1):
        findings.extend(_check_experiment(record.provenance, header, record.key))
        findings.extend(_check_row(array, header.layout, record, owners))
        if on_progress is not None:
            on_progress(done, total)
    for done, kept_key in enumerate(kept, start=len(records) + 1):
        findings.extend(_check_kept(array.root, header, kept_key))
        if on_progress is not None:
            on_progress(done, total)
    return findings


def _check_experiment(provenance: Provenance, header: Header, key: RowKey | KeptKey) -> Iterator[Finding]:
    """Compare what a record says of the experiment with what the store says."""
    found = header.experiment_differences(provenance.experiment())
    if found:
        yield Finding("experiment", f"the row {key} is of another experiment: {'; '.join(found)}.", key)


def _check_kept(root: Path, header: Header, key: KeptKey) -> Iterator[Finding]:
    """Compare kept Fisher values with their record."""
    try:
        record = kept_record(root, key)
    except StoreError as error:
        yield Finding("record", error.message, key)
        return
    if record is None:
        return
    yield from _check_experiment(record.provenance, header, key)
    try:
        fisher = read_values(root, header.layout, key)
    except StoreError as error:
        yield Finding("values", error.message, key)
        return
    array = KeptArray.open(root, header.layout)
    if array is not None and not array.index_is_sound(record.slot):
        yield Finding("values", f"the index of {key} is damaged.", key)
    if fisher is not None and not all(np.isfinite(values).all() and (values >= 0).all() for values in fisher.values):
        yield Finding("values", f"{key} holds values that are negative or not finite.", key)


def _strangers(root: Path, keys: set[RowKey], kept: set[KeptKey]) -> Iterator[Finding]:
    """Find records at paths that are no row's."""
    known = {record_path(root, key) for key in keys} | {kept_path(root, key) for key in kept}
    there = [*(root / COMMITS).glob(f"*/*/*/{METADATA}"), *(root / KEPT_COMMITS).glob(f"*/*/{METADATA}")]
    for path in sorted(there):
        if path not in known:
            place = path.parent.relative_to(root)
            yield Finding("record", f"the commit record '{place}' stands where no row's can.")


def _check_row(
    array: RowArray, layout: ParameterLayout, record: CommitRecord, owners: dict[str, RowKey]
) -> Iterator[Finding]:
    """Compare one row with its record."""
    key = record.key
    slot = array.labels.slot(key)
    if slot != record.slot:
        place = "has no label" if slot is None else f"is labelled as slot {list(slot)}"
        yield Finding("label", f"the row {key} was written to slot {list(record.slot)}, and {place} now.", key)
    path = array.object_path(record.slot)
    if not path.is_file():
        yield Finding("missing", f"the row {key} is committed, but its object '{path}' is missing.", key)
        return
    size = path.stat().st_size
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
    labels = array.labels
    for density, seed, language in product(labels.densities, labels.seeds, labels.languages):
        key = RowKey(density, seed, language)
        folder = array.object_path(array.slot(key)).parent
        if folder.is_dir() and any(folder.iterdir()) and not record_path(array.root, key).is_file():
            yield key
