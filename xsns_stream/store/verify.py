"""Find out whether every row is what its commit record says."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from pathlib import Path

from xsns_kernels import popcount
from xsns_stream.errors import StoreError
from xsns_stream.store.array import RowArray
from xsns_stream.store.format import COMMITS, METADATA, RowKey
from xsns_stream.store.records import CommitRecord, committed_keys, digest_words, read_record, record_path
from xsns_stream.types import WORD_BITS, ParameterLayout, Words

Progress = Callable[[int, int], None]


@dataclass(frozen=True)
class Finding:
    """Something that is wrong with a store.

    Attributes:
        problem: One of `record`, `label`, `missing`, `size`, `unreadable`, `bits`, `swapped`, `cardinality`,
            `padding`.
        detail: A sentence for people, which names the row.
        row: The row; None where it cannot be told.
    """

    problem: str
    detail: str
    row: RowKey | None = None

    def __str__(self) -> str:
        return self.detail


def verify_rows(array: RowArray, layout: ParameterLayout, on_progress: Progress | None = None) -> list[Finding]:
    """Return what is wrong with the rows of an array; see :meth:`SubNetworkStore.verify`."""
    keys = sorted(committed_keys(array.root))
    findings = list(_strangers(array.root, set(keys)))
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
    for done, record in enumerate(records.values(), start=1):
        findings.extend(_check_row(array, layout, record, owners))
        if on_progress is not None:
            on_progress(done, len(records))
    return findings


def _strangers(root: Path, keys: set[RowKey]) -> Iterator[Finding]:
    """Find records at paths that are no row's."""
    known = {record_path(root, key) for key in keys}
    for path in sorted((root / COMMITS).glob(f"*/*/*/{METADATA}")):
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
