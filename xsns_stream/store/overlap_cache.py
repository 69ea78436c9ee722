"""A cache, in the store, of overlap counts: for each pair of languages, the number of parameters that both select.

The cache can be deleted without changing any result. The counts of one density and seed are one Zarr array,
`overlaps/DENSITY/SEED/GENERATION`. The metadata of this array identify the counted rows by SHA-256 and are written
after the counts. A written generation never changes. New counts are written as a generation with a higher number,
which replaces all earlier generations.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final

import numpy as np

from xsns_stream.errors import StoreError
from xsns_stream.store import schemas
from xsns_stream.store.format import ARRAY, METADATA, OVERLAPS, RowKey, from_disk, group_document, on_disk
from xsns_stream.store.reader import StoreReader
from xsns_stream.store.records import read_records
from xsns_stream.store.row_array import RowArray
from xsns_stream.store.storage.base import Document
from xsns_stream.types import CachedOverlaps, OverlapCounts

OVERLAPS_VERSION: Final = 1

_COUNTS: Final = "c/0/0"
# The lock is outside of the groups, because Zarr would read it as a member of a group.
_LOCK: Final = f"{ARRAY}/.lock-overlaps"
_LAST_GENERATION: Final = 99_999_999
_GENERATION: Final = re.compile(r"[0-9]{8}-[0-9a-f]{8}")


def overlap_cache(
    store: StoreReader,
    *,
    use: bool = True,
    write: bool = True,
    check_rows: Callable[[Sequence[RowKey]], None] | None = None,
) -> StoredOverlaps:
    """Return the overlap cache of a store, which :func:`xsns_stream.similarity.count_selection` takes as `cache`.

    Args:
        store: The store that contains the rows. If it is not writable, no counts are written.
        use: Whether cached counts are used; if False, all rows are counted again.
        write: Whether new counts are cached.
        check_rows: The function that compares rows with their records, for example on several machines;
            `store.check_rows` by default.

    Raises:
        StoreError: The metadata of the array of rows do not follow the format. They are checked even if no row has to
            be read.
    """
    RowArray.open(store.storage, store.layout)
    return StoredOverlaps(store, use, write, check_rows)


class StoredOverlaps:
    """Reader and writer of the overlap counts that are cached in a store; see :func:`overlap_cache`."""

    def __init__(
        self,
        store: StoreReader,
        use: bool,
        write: bool,
        check_rows: Callable[[Sequence[RowKey]], None] | None = None,
    ) -> None:
        self._check_rows = check_rows or store.check_rows
        self._store, self._use, self._write_too = store, use, write
        self._storage = store.storage
        # (language, digest) of the rows whose bits were compared with the digest.
        self._sound: set[tuple[str, str]] = set()

    def digests(self, languages: Sequence[str], seed: int, density: float) -> tuple[str, ...]:
        """Return the SHA-256 of each row, from its commit record.

        Raises:
            LanguageError, StoreError: A row is not committed, or its record is damaged.
        """
        keys = [RowKey.checked(language, seed, density) for language in languages]
        records = read_records(self._storage, keys)
        # For a row that is not committed, `record` raises an error with the reason.
        present = (
            record or self._store.record(key.language, key.seed, key.density)
            for key, record in zip(keys, records, strict=True)
        )
        return tuple(record.sha256 for record in present)

    def load(self, seed: int, density: float) -> CachedOverlaps | None:
        """Return the newest counts for a seed and a density; None if there are none, or if the cache is not used."""
        return self._newest(seed, density) if self._use else None

    def _newest(self, seed: int, density: float) -> CachedOverlaps | None:
        for generation in sorted(self._generations(_folder(seed, density)), reverse=True):
            cached = self._read(f"{_folder(seed, density)}/{generation}", seed, density)
            if cached is not None:
                self._sound.update(zip(cached.languages, cached.digests, strict=True))
                return cached
        return None

    def save(self, overlaps: CachedOverlaps) -> None:
        """Replace the cached counts of a seed and a density. If writing fails, the new counts are not cached.

        Cached counts are used as long as the digests of the committed rows stay the same. Before counts are saved, the
        bits of all rows that were not in the cache are therefore compared with their digests.

        Raises:
            StoreError: The bits of a row do not have the digest in its commit record.
        """
        seed, density = overlaps.counts.seed, overlaps.counts.density
        folder = _folder(seed, density)
        if not (self._write_too and self._storage.writable) or self._would_shrink(overlaps):
            return
        named = zip(overlaps.languages, overlaps.digests, strict=True)
        self._check_rows([RowKey.checked(row[0], seed, density) for row in named if row not in self._sound])
        if self.digests(overlaps.languages, seed, density) != overlaps.digests:
            # A row was built again in the meantime; either the old or the new row may have been counted.
            return
        try:
            self._write_groups(folder)
            # The counts are computed already. This process therefore does not wait for another process that writes a
            # cache. If the lock excludes other writers, an unfinished generation was left by a killed writer.
            with self._storage.exclusive(_LOCK) as alone:
                name = self._write(folder, overlaps)
                self._remove_older(folder, name, unfinished=alone)
        except (StoreError, OSError):
            return

    def relabel(self, old: str, new: str, seed: int, density: float) -> None:
        """Replace the label of a language in the cached counts; do nothing if the language has no cached counts.

        If writing fails, the counts are computed again when they are needed.

        Args:
            old: The present label of the language in the counts.
            new: The new label.
            seed: The seed of the rows.
            density: The density of the rows.
        """
        cached = self._newest(seed, density)
        if not (self._storage.writable and cached) or old not in cached.languages or new in cached.languages:
            return
        languages = tuple(new if language == old else language for language in cached.languages)
        with suppress(StoreError, OSError), self._storage.exclusive(_LOCK) as alone:
            folder = _folder(seed, density)
            name = self._write(folder, replace(cached, counts=replace(cached.counts, languages=languages)))
            self._remove_older(folder, name, unfinished=alone)

    def _would_shrink(self, overlaps: CachedOverlaps) -> bool:
        """Return whether the cache has counts for more languages of the store than `overlaps` has."""
        seed, density = overlaps.counts.seed, overlaps.counts.density
        newest = self._newest(seed, density)
        there = set(newest.languages) & set(self._store.languages_at(seed, density)) if newest else set()
        return len(there) > len(overlaps.languages)

    # --------------------------------------------------------------------------------- generations

    def _generations(self, folder: str, *, unfinished: bool = False) -> set[str]:
        """Return the names of the generations in `folder` that have metadata; if `unfinished` is True, of all."""
        names = set()
        for key in self._storage.list(folder):
            name, _, rest = key.removeprefix(f"{folder}/").partition("/")
            if _GENERATION.fullmatch(name) and (unfinished or rest == METADATA):
                names.add(name)
        return names

    def _read(self, node: str, seed: int, density: float) -> CachedOverlaps | None:
        """Return the counts of the generation at the path `node`; None if they are missing or damaged."""
        try:
            document = self._storage.read_as(f"{node}/{METADATA}", schemas.OverlapsDocument)
            if document is None or document.attributes.overlaps_version != OVERLAPS_VERSION:
                return None
            fields, size = document.attributes, self._store.layout.size
            if (fields.parameters, fields.seed, fields.density) != (size, seed, density):
                return None
            side = len(fields.languages)
            if self._storage.size(f"{node}/{_COUNTS}") != side * side * np.dtype(np.int64).itemsize:
                return None
            data = self._storage.read(f"{node}/{_COUNTS}")
            if hashlib.sha256(data).hexdigest() != fields.sha256:
                return None
            counts = np.frombuffer(data, "<i8").reshape(side, side).astype(np.int64, copy=False)
            table = OverlapCounts(tuple(map(from_disk, fields.languages)), counts, size, seed, density)
            return CachedOverlaps(table, tuple(fields.rows_sha256))
        except (StoreError, ValueError):
            return None

    def _write(self, folder: str, overlaps: CachedOverlaps) -> str:
        """Write counts, then their metadata, as a new generation in `folder`, and return its name."""
        newest = max((int(name[:8]) for name in self._generations(folder, unfinished=True)), default=0)
        if newest == _LAST_GENERATION:
            # No process counts that often: another program made this folder and its content.
            self._storage.remove_tree(folder)
            self._write_groups(folder)
            newest = 0
        name = f"{newest + 1:08d}-{uuid.uuid4().hex[:8]}"
        data = np.ascontiguousarray(overlaps.counts.intersection, "<i8").tobytes()
        self._storage.write(f"{folder}/{name}/{_COUNTS}", data)
        document = _document(overlaps, hashlib.sha256(data).hexdigest())
        self._storage.write_json(f"{folder}/{name}/{METADATA}", document)
        return name

    def _remove_older(self, folder: str, name: str, *, unfinished: bool) -> None:
        """Remove the generations in `folder` that are older than the generation `name`.

        The metadata of a generation are removed before its counts, so that no reader finds metadata without counts.

        Args:
            folder: The folder of the generations of one density and seed.
            name: Name of the generation to keep.
            unfinished: Whether generations without metadata are also removed.
        """
        for older in self._generations(folder, unfinished=unfinished):
            if older < name:
                self._storage.remove(f"{folder}/{older}/{METADATA}")
                self._storage.remove_tree(f"{folder}/{older}")

    def _write_groups(self, folder: str) -> None:
        for node in _ancestors(folder):
            if not self._storage.exists(f"{node}/{METADATA}"):
                self._storage.write_json(f"{node}/{METADATA}", group_document())


def _folder(seed: int, density: float) -> str:
    return f"{OVERLAPS}/{density!r}/{seed}"


def _ancestors(folder: str) -> Iterator[str]:
    """Yield the paths of the groups above `folder`, outermost first, and then `folder` itself."""
    parts = folder.split("/")
    return ("/".join(parts[:depth]) for depth in range(1, len(parts) + 1))


def _document(overlaps: CachedOverlaps, digest: str) -> Document:
    """Return the Zarr v3 metadata of an array of counts; `digest` is the SHA-256 of its bytes."""
    side = len(overlaps.languages)
    attributes: dict[str, Any] = {
        "overlaps_version": OVERLAPS_VERSION,
        "density": overlaps.counts.density,
        "seed": overlaps.counts.seed,
        "parameters": overlaps.counts.size,
        "languages": [on_disk(language) for language in overlaps.languages],
        "rows_sha256": list(overlaps.digests),
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
