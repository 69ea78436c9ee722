"""Removal of rows, of Fisher values, and of what killed writers left behind.

A record goes before its object, so that a crash in between leaves an unfinished row, never a record without bits.
Slots stay: no row moves, and a row that is built again gets the slot that it had.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from xsns_stream.errors import StoreError
from xsns_stream.store.fisher_array import KEPT, KeptArray, KeptKey, kept_key
from xsns_stream.store.folds import PARTS, PartKey, part_node
from xsns_stream.store.format import ARRAY, RowKey
from xsns_stream.store.records import record_key
from xsns_stream.store.row_array import RowArray
from xsns_stream.store.storage.local import YOUNG_S, left_aside, remove_aside
from xsns_stream.store.storage.open import Place, local_folder
from xsns_stream.store.store import SubNetworkStore

_ROW_FILE: Final = re.compile(rf"{ARRAY}/c/(\d+)/(\d+)/(\d+)/[^/]+")
_KEPT_FILE: Final = re.compile(rf"{KEPT}/c/(\d+)/(\d+)/[^/]+")
_PARTIAL: Final = ".partial"
# What lies in the store of a part belongs to that store.
_OF_A_PART: Final = re.compile(rf"{PARTS}/\d+/\d+(\.[0-9a-f]{{32}}\.partial)?/.+")
_ASIDE: Final = re.compile(rf"(\.\.|{PARTS}/\d+)/[^/]+\.[0-9a-f]{{32}}\.partial")
_Thing = TypeVar("_Thing", RowKey, KeptKey, PartKey, str)
_Key = TypeVar("_Key", RowKey, KeptKey)


@dataclass(frozen=True)
class PrunePlan:
    """What is to be dropped, or was: each thing with the bytes that it takes.

    Attributes:
        rows: Sub-networks.
        kept: Kept Fisher values.
        parts: Parts of rows.
        leftovers: Files that mean nothing to a reader: of rows that were never committed, and partial ones. Folders
            that begin with `../` lie beside the store, where killed processes worked in them.
    """

    rows: Mapping[RowKey, int] = field(default_factory=dict)
    kept: Mapping[KeptKey, int] = field(default_factory=dict)
    parts: Mapping[PartKey, int] = field(default_factory=dict)
    leftovers: Mapping[str, int] = field(default_factory=dict)

    @property
    def things(self) -> int:
        """How many there are."""
        return len(self.rows) + len(self.kept) + len(self.parts) + len(self.leftovers)

    @property
    def bytes(self) -> int:
        """What they take together; records and other metadata are not counted."""
        return sum(sum(things.values()) for things in (self.rows, self.kept, self.parts, self.leftovers))


def plan_prune(
    store: SubNetworkStore,
    rows: Iterable[RowKey] = (),
    kept: Iterable[KeptKey] = (),
    *,
    parts: Iterable[PartKey] = (),
    leftovers: bool = False,
) -> PrunePlan:
    """Say what dropping these would free; nothing is changed.

    Args:
        store: In any mode.
        rows: Sub-networks, which go with their parts; damaged ones too.
        kept: Kept Fisher values.
        parts: Parts whose rows stay.
        leftovers: Whether what killed writers left goes too. Partial metadata younger than a minute are left out,
            because somebody may be writing them.

    Raises:
        StoreError: The store's metadata are damaged; or `leftovers` of an object store, where nothing tells them
            from what is being written.
    """
    files, chosen = _Files.of(store), tuple(rows)
    going = {key for count in store.part_counts for key in store.part_keys(count) if key.row in set(chosen)}
    left = dict(files.left()) if leftovers else {}
    for prefix, within in _files_of_parts(store) if leftovers else ():
        left |= {f"{prefix}/{name}": size for name, size in within.left()}
    left |= dict(_left_aside(store)) if leftovers else {}
    return PrunePlan(
        files.sizes(chosen), files.sizes(tuple(kept)), _sizes_of_parts(store, sorted(going | set(parts))), left
    )


def _left_aside(store: SubNetworkStore) -> Iterator[tuple[str, int]]:
    """Yield the folders in which killed processes made a store, or worked beside one: path from the store, bytes."""
    places = [(store.place, "..")]
    for count in store.part_counts:
        places += [(part.place, f"{PARTS}/{count}") for part in store.parts(count)]
    for place, above in places:
        for folder in left_aside(local_folder(place)):
            yield f"{above}/{folder.name}", sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _sizes_of_parts(store: SubNetworkStore, keys: Sequence[PartKey]) -> dict[PartKey, int]:
    sizes: dict[PartKey, int] = {}
    for count, number in sorted({(key.count, key.number) for key in keys}):
        part = [key for key in keys if (key.count, key.number) == (count, number)]
        found = _Files.of(store.parts(count)[number - 1]).sizes([key.row for key in part])
        sizes |= {key: found[key.row] for key in part}
    return sizes


def _files_of_parts(store: SubNetworkStore) -> Iterator[tuple[str, _Files]]:
    """Yield the path of each part's store, and its files."""
    for count in store.part_counts:
        for number, part in enumerate(store.parts(count), start=1):
            if part.exists:
                yield part_node(count, number), _Files.of(part)


def prune(store: SubNetworkStore, plan: PrunePlan, on_progress: Callable[[int, int], None] | None = None) -> PrunePlan:
    """Drop what is planned.

    Args:
        store: Opened with mode `a`.
        plan: What :func:`plan_prune` gave.
        on_progress: Called with (things done, things in all) after each.

    Returns:
        What was dropped: what is gone already, and leftovers that somebody works on again, are not in it.

    Raises:
        StoreError: Read-only, or something cannot be removed; what was dropped before stays dropped.
    """
    if store.mode == "r":
        raise StoreError(f"the store '{store.place}' was opened for reading.", "open it with mode 'a'.")
    files = _Files.of(store)
    done = 0

    def dropped(things: Mapping[_Thing, int], drop: Callable[[_Thing], bool]) -> dict[_Thing, int]:
        nonlocal done
        gone = {}
        for thing, size in things.items():
            if drop(thing):
                gone[thing] = size
            done += 1
            if on_progress is not None:
                on_progress(done, plan.things)
        return gone

    rows = dropped(plan.rows, lambda key: store.discard(key.language, key.seed, key.density))
    kept = dropped(plan.kept, files.discard_kept)
    # After their rows: a row that is there has its parts.
    parts = dropped(
        plan.parts, lambda key: store.parts(key.count)[key.number - 1].discard(key.language, key.seed, key.density)
    )
    of_parts = dict(_files_of_parts(store))

    def discard_left(name: str) -> bool:
        if _ASIDE.fullmatch(name):
            return remove_aside(local_folder(store.place).resolve() / name)
        prefix = next((prefix for prefix in of_parts if name.startswith(f"{prefix}/")), None)
        return files.discard_left(name) if prefix is None else of_parts[prefix].discard_left(name[len(prefix) + 1 :])

    return PrunePlan(rows, kept, parts, dropped(plan.leftovers, discard_left))


@dataclass(frozen=True)
class _Files:
    """The files of a store, and whose they are."""

    place: Place
    array: RowArray
    values: KeptArray | None

    @classmethod
    def of(cls, store: SubNetworkStore) -> _Files:
        local = store.place.local
        values = None if local is None else KeptArray.open(local, store.layout)
        return cls(store.place, RowArray.open(store.place, store.layout), values)

    def row_object(self, key: RowKey | KeptKey) -> str | None:
        """Return the key of a row's object; None where the labels give it no slot."""
        if isinstance(key, RowKey):
            slot = self.array.labels.slot(key)
            return None if slot is None else self.array.object_key(slot)
        place = None if self.values is None else self.values.slot(key.seed, key.language)
        return None if place is None else f"{KEPT}/c/{place[0]}/{place[1]}/0"

    def sizes(self, keys: Sequence[_Key]) -> dict[_Key, int]:
        """Return the bytes of each row's object; 0 where there is none."""

        def size(key: _Key) -> int:
            name = self.row_object(key)
            return 0 if name is None else self.place.size(name) or 0

        return dict(zip(keys, self.place.each(size, keys), strict=True))

    def owner(self, name: str) -> RowKey | KeptKey | None:
        """Return the row in whose folder a file stands; None where it is no row's."""
        if found := _ROW_FILE.fullmatch(name):
            density, seed, language = map(int, found.groups())
            labels = self.array.labels
            with suppress(IndexError):
                return RowKey(labels.densities[density], labels.seeds[seed], labels.languages[language])
        if (found := _KEPT_FILE.fullmatch(name)) and self.values is not None:
            seed, language = map(int, found.groups())
            with suppress(IndexError):
                return KeptKey(self.values.seeds[seed], self.values.languages[language])
        return None

    def left(self) -> Iterator[tuple[str, int]]:
        """Yield what killed writers left: name, bytes.

        Raises:
            StoreError: The store is no folder.
        """
        root = self._folder()
        for name in sorted(self.place.list()):
            if _OF_A_PART.fullmatch(name):
                continue
            with suppress(FileNotFoundError):
                found = (root / name).lstat()
                if self._is_left(name, found.st_mtime):
                    yield name, found.st_size

    def _is_left(self, name: str, written: float) -> bool:
        owner = self.owner(name)
        if owner is not None:
            return name.endswith(_PARTIAL) or not self.place.exists(_record(owner))
        return name.endswith(_PARTIAL) and time.time() - written > YOUNG_S

    def discard_left(self, name: str) -> bool:
        """Remove a file that a killed writer left; False where it is gone, committed or being written by now."""
        from filelock import FileLock, Timeout

        owner = self.owner(name)
        if owner is None:
            return self._remove(name)
        try:
            with FileLock(self._folder() / self._lock(name), timeout=0):
                finished = not name.endswith(_PARTIAL) and self.place.exists(_record(owner))
                return not finished and self._remove(name)
        except Timeout:
            return False

    def discard_kept(self, key: KeptKey) -> bool:
        """Drop kept values, their record first; return whether there were any."""
        name = self.row_object(key)
        names = [_record(key)] if name is None else [_record(key), name]
        with nullcontext() if name is None else self.place.locked(self._lock(name)):
            return sum(map(self._remove, names)) > 0

    def _remove(self, name: str) -> bool:
        there = self.place.present(name)
        if there:
            self.place.remove(name)
        return there

    def _lock(self, name: str) -> str:
        """Return the lock of the row in whose folder a file stands, as its writers name it."""
        array, _, *slot, _ = name.split("/")
        return f"{array}/.lock-{'-'.join(slot)}"

    def _folder(self) -> Path:
        if self.place.local is None:
            raise StoreError(
                f"what killed writers left at '{self.place}' cannot be told from what is being written.",
                "build again, which finishes rows; only in a folder do locks tell who is still at work.",
            )
        return self.place.local


def _record(key: RowKey | KeptKey) -> str:
    return record_key(key) if isinstance(key, RowKey) else kept_key(key)
