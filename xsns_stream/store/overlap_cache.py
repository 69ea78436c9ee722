"""Overlap counts that are stored beside the rows that they were counted from.

They are a cache: whoever deletes or ignores them loses time alone. Counts of one density and seed are one Zarr array,
`overlaps/DENSITY/SEED/GENERATION`; its metadata say which rows were counted, by SHA-256, and are written after the
counts. A generation is never changed: the next one has a higher number, and takes the place of those before it.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import numpy as np

from xsns_stream.errors import StoreError
from xsns_stream.store import schemas
from xsns_stream.store.checking import check_rows
from xsns_stream.store.format import ARRAY, METADATA, RowKey, group_document
from xsns_stream.store.reader import StoreReader
from xsns_stream.store.records import read_records
from xsns_stream.store.row_array import RowArray
from xsns_stream.store.storage.local import check_unlinked, locked
from xsns_stream.store.storage.open import Document, Place
from xsns_stream.types import KeptOverlaps, OverlapCounts

OVERLAPS: Final = "overlaps"
OVERLAPS_VERSION: Final = 1

_COUNTS: Final = "c/0/0"
# Not among the groups, where readers of Zarr wonder what it is.
_LOCK: Final = f"{ARRAY}/.lock-overlaps"
_LAST: Final = 99_999_999
_NAME: Final = re.compile(r"[0-9]{8}-[0-9a-f]{8}")


def keep_overlaps(store: StoreReader, *, use: bool = True, write: bool = True) -> StoredOverlaps:
    """Return the overlap counts of a store, to be given to a comparison as its `keeper`.

    Args:
        store: Where the rows and their counts are. Where nothing may be written, nothing is kept.
        use: Whether counts that were kept are used; otherwise everything is counted anew.
        write: Whether new counts are kept.

    Raises:
        StoreError: The metadata of the array of rows are not as the format says, also where no row has to be read.
    """
    RowArray.open(store.place, store.layout)
    return StoredOverlaps(store, use, write)


class StoredOverlaps:
    """Overlap counts in a store; made by :func:`keep_overlaps`."""

    def __init__(self, store: StoreReader, use: bool, write: bool) -> None:
        self._store, self._use, self._write_too = store, use, write
        self._place: Place = store.place
        self._sound: set[tuple[str, str]] = set()

    def digests(self, languages: Sequence[str], seed: int, density: float) -> tuple[str, ...]:
        """Return the SHA-256 of each row, from its commit record.

        Raises:
            LanguageError, StoreError: A row is not committed, or its record is damaged.
        """
        keys = [RowKey.checked(language, seed, density) for language in languages]
        records = read_records(self._place, keys)
        # Asking the store for a row that is not there gives the error that says why.
        found = (record or self._store.record(*_row(key)) for key, record in zip(keys, records, strict=True))
        return tuple(record.sha256 for record in found)

    def load(self, seed: int, density: float) -> KeptOverlaps | None:
        """Return the newest counts that can be read; None where there are none, or none shall be used."""
        return self._newest(seed, density) if self._use else None

    def _newest(self, seed: int, density: float) -> KeptOverlaps | None:
        for generation in sorted(self._generations(_folder(seed, density)), reverse=True):
            found = self._read(f"{_folder(seed, density)}/{generation}", seed, density)
            if found is not None:
                self._sound.update(zip(found.languages, found.digests, strict=True))
                return found
        return None

    def save(self, kept: KeptOverlaps) -> None:
        """Keep counts in the place of those before them; where that fails, nothing is kept.

        Counts stand for the digests of the rows that they are of, for as long as these are committed. So rows that were
        not among those kept are compared with their digests first.

        Raises:
            StoreError: A row is not what was committed.
        """
        seed, density = kept.counts.seed, kept.counts.density
        folder = _folder(seed, density)
        if not (self._write_too and self._place.writable) or self._would_shrink(kept):
            return
        fresh = [code for code, sha in zip(kept.languages, kept.digests, strict=True) if (code, sha) not in self._sound]
        check_rows(self._store, [RowKey.checked(code, seed, density) for code in fresh])
        if self.digests(kept.languages, seed, density) != kept.digests:
            # A row was built again meanwhile: nobody knows which of the two was counted.
            return
        try:
            self._write_groups(folder)
            # In a folder writers take turns, so that what is unfinished is a dead writer's.
            # Whoever waits for a turn holds up a result that is there: this is only a cache.
            with _turn(self._place.local):
                name = self._write(folder, kept)
                self._remove_older(folder, name)
        except (StoreError, OSError):
            return

    def _would_shrink(self, kept: KeptOverlaps) -> bool:
        """Return whether counts of more languages are there, which these would take the place of."""
        seed, density = kept.counts.seed, kept.counts.density
        newest = self._newest(seed, density)
        there = set(newest.languages) & set(self._store.languages_at(seed, density)) if newest else set()
        return len(there) > len(kept.languages)

    # --------------------------------------------------------------------------------- generations

    def _generations(self, folder: str, *, unfinished: bool = False) -> set[str]:
        """Return the names of generations: those that are whole, or all."""
        found = set()
        for key in self._place.list(folder):
            name, _, rest = key.removeprefix(f"{folder}/").partition("/")
            if _NAME.fullmatch(name) and (unfinished or rest == METADATA):
                found.add(name)
        return found

    def _read(self, node: str, seed: int, density: float) -> KeptOverlaps | None:
        """Return one generation; None where it is not what its metadata say, or has just been removed."""
        try:
            document = self._place.read_as(f"{node}/{METADATA}", schemas.OverlapsDocument)
            if document is None or document.attributes.overlaps_version != OVERLAPS_VERSION:
                return None
            found, size = document.attributes, self._store.layout.size
            if (found.parameters, found.seed, found.density) != (size, seed, density):
                return None
            side = len(found.languages)
            if self._place.size(f"{node}/{_COUNTS}") != side * side * np.dtype(np.int64).itemsize:
                return None
            data = self._place.read(f"{node}/{_COUNTS}")
            if hashlib.sha256(data).hexdigest() != found.sha256:
                return None
            counts = np.frombuffer(data, "<i8").reshape(side, side).astype(np.int64, copy=False)
            table = OverlapCounts(tuple(found.languages), counts, size, seed, density)
            return KeptOverlaps(table, tuple(found.rows_sha256))
        except (StoreError, ValueError):
            return None

    def _write(self, folder: str, kept: KeptOverlaps) -> str:
        """Write a generation, counts first, and return its name."""
        newest = max((int(name[:8]) for name in self._generations(folder, unfinished=True)), default=0)
        if newest == _LAST:
            # Nobody counted that often: the name is somebody else's, and so is what is under it.
            self._place.remove_tree(folder)
            self._write_groups(folder)
            newest = 0
        name = f"{newest + 1:08d}-{uuid.uuid4().hex[:8]}"
        data = np.ascontiguousarray(kept.counts.intersection, "<i8").tobytes()
        self._place.write(f"{folder}/{name}/{_COUNTS}", data)
        self._place.write_json(f"{folder}/{name}/{METADATA}", _document(kept, hashlib.sha256(data).hexdigest()))
        return name

    def _remove_older(self, folder: str, name: str) -> None:
        """Remove the generations before `name`, each one's metadata first, so that none is ever half there."""
        for older in self._generations(folder, unfinished=self._place.local is not None):
            if older < name:
                self._place.remove(f"{folder}/{older}/{METADATA}")
                self._place.remove_tree(f"{folder}/{older}")

    def _write_groups(self, folder: str) -> None:
        for node in _ancestors(folder):
            if not self._place.exists(f"{node}/{METADATA}"):
                self._place.write_json(f"{node}/{METADATA}", group_document())


def _row(key: RowKey) -> tuple[str, int, float]:
    return key.language, key.seed, key.density


def _folder(seed: int, density: float) -> str:
    return f"{OVERLAPS}/{density!r}/{seed}"


def _ancestors(folder: str) -> Iterator[str]:
    """Yield a node's parents and itself, the first one first."""
    parts = folder.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))


@contextmanager
def _turn(root: Path | None) -> Iterator[None]:
    """Take a turn at writing counts, without waiting; an object store has no turns.

    Raises:
        StoreError: Another process has its turn, or the lock lies behind a link.
    """
    if root is None:
        yield
        return
    check_unlinked(root, root / _LOCK)
    with locked(root / _LOCK, wait_s=0):
        yield


def _document(kept: KeptOverlaps, digest: str) -> Document:
    """Return the metadata of an array of counts, which any reader of Zarr v3 understands."""
    side = len(kept.languages)
    attributes: dict[str, Any] = {
        "overlaps_version": OVERLAPS_VERSION,
        "density": kept.counts.density,
        "seed": kept.counts.seed,
        "parameters": kept.counts.size,
        "languages": list(kept.languages),
        "rows_sha256": list(kept.digests),
        "sha256": digest,
    }
    return {
        "zarr_format": 3,
        "node_type": "array",
        "shape": [side, side],
        "data_type": "int64",
        "chunk_grid": {"name": "regular", "configuration": {"chunk_shape": [side, side]}},
        "chunk_key_encoding": {"name": "default", "configuration": {"separator": "/"}},
        "fill_value": 0,
        "codecs": [{"name": "bytes", "configuration": {"endian": "little"}}],
        "dimension_names": ["language", "other"],
        "attributes": attributes,
    }
