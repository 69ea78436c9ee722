"""Removal of rows, Fisher values, and files that killed writers left.

The commit record of a row is removed before its object. A crash between the two steps therefore leaves an unfinished
row, and never a record without bits. The slots of rows do not change: a row that is built again gets its former slot.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from xsns_stream.io.locks import try_lock
from xsns_stream.store.fisher_array import FisherArray, discard_fisher
from xsns_stream.store.format import ARRAY, FISHER_ARRAY, FOLDS, FisherKey, FoldKey, RowKey, fold_node
from xsns_stream.store.row_array import RowArray
from xsns_stream.store.storage import Storage
from xsns_stream.store.storage.local_files import YOUNG_S, left_folders, remove_left_folder
from xsns_stream.store.store import SubNetworkStore

_PARTIAL: Final = ".partial"
_ROW_FILE: Final = re.compile(rf"{ARRAY}/c/(\d+)/(\d+)/(\d+)/[^/]+")
_FISHER_FILE: Final = re.compile(rf"{FISHER_ARRAY}/c/(\d+)/(\d+)/[^/]+")
# Files of the stores of folds; these stores are examined separately.
_FILE_OF_FOLD: Final = re.compile(rf"{FOLDS}/\d+/\d+(\.[0-9a-f]{{32}}\.partial)?/.+")
_LEFT_FOLDER: Final = re.compile(rf"(\.\.|{FOLDS}/\d+)/[^/]+\.[0-9a-f]{{32}}\.partial")
_Thing = TypeVar("_Thing", RowKey, FisherKey, FoldKey, str)
_Key = TypeVar("_Key", RowKey, FisherKey)


@dataclass(frozen=True)
class PrunePlan:
    """Objects that are to be removed or were removed, and their sizes.

    Attributes:
        rows: {key of a sub-network: size in bytes}.
        fisher: {key of saved Fisher values: size in bytes}.
        folds: {key of a row that leaves out a fold: size in bytes}.
        leftovers: {path: size in bytes} of files that readers ignore: files of rows that were never committed, and
            partial files. Paths that begin with `../` are work folders of killed processes beside the store.
    """

    rows: Mapping[RowKey, int] = field(default_factory=dict)
    fisher: Mapping[FisherKey, int] = field(default_factory=dict)
    folds: Mapping[FoldKey, int] = field(default_factory=dict)
    leftovers: Mapping[str, int] = field(default_factory=dict)

    @property
    def things(self) -> int:
        """The number of objects in the plan."""
        return len(self.rows) + len(self.fisher) + len(self.folds) + len(self.leftovers)

    @property
    def bytes(self) -> int:
        """The total size in bytes of the objects in the plan; records and other metadata are not counted."""
        return sum(sum(things.values()) for things in (self.rows, self.fisher, self.folds, self.leftovers))


def plan_prune(
    store: SubNetworkStore,
    rows: Iterable[RowKey] = (),
    fisher: Iterable[FisherKey] = (),
    *,
    folds: Iterable[FoldKey] = (),
    leftovers: bool = False,
) -> PrunePlan:
    """Return the objects that :func:`prune` would remove, with their sizes; nothing is removed.

    Args:
        store: The store, opened in any mode.
        rows: Keys of the sub-networks to remove; they may be damaged. The folds of these rows are also removed.
        fisher: Keys of the saved Fisher values to remove.
        folds: Keys of folds to remove; their rows are kept.
        leftovers: Whether the files of killed writers are also removed. Partial metadata that are younger than a minute
            are left out, because another process may be writing them.

    Raises:
        StoreError: The metadata of the store are damaged; or `leftovers` is True for an object store, where leftovers
            cannot be distinguished from objects that are being written.
    """
    files, chosen = _Files.of(store), tuple(rows)
    with_rows = {key for count in store.fold_counts for key in store.fold_keys(count) if key.row in set(chosen)}
    left = dict(files.left()) if leftovers else {}
    for prefix, within in _files_of_folds(store) if leftovers else ():
        left |= {f"{prefix}/{name}": size for name, size in within.left()}
    left |= dict(_left_folders(store)) if leftovers else {}
    return PrunePlan(
        files.sizes(chosen),
        files.sizes(tuple(fisher)),
        _sizes_of_folds(store, sorted(with_rows | set(folds))),
        left,
    )


def _left_folders(store: SubNetworkStore) -> Iterator[tuple[str, int]]:
    """Yield the path, relative to the store, and the size in bytes of each work folder of a killed process."""
    storages = [(store.storage, "..")]
    for count in store.fold_counts:
        storages += [(fold.storage, f"{FOLDS}/{count}") for fold in store.folds(count)]
    for storage, above in storages:
        for folder in left_folders(_folder(storage)):
            yield f"{above}/{folder.name}", sum(file.lstat().st_size for file in folder.rglob("*") if file.is_file())


def _sizes_of_folds(store: SubNetworkStore, keys: Sequence[FoldKey]) -> dict[FoldKey, int]:
    sizes: dict[FoldKey, int] = {}
    for count, number in sorted({(key.count, key.number) for key in keys}):
        fold = [key for key in keys if (key.count, key.number) == (count, number)]
        of_rows = _Files.of(store.folds(count)[number - 1]).sizes([key.row for key in fold])
        sizes |= {key: of_rows[key.row] for key in fold}
    return sizes


def _files_of_folds(store: SubNetworkStore) -> Iterator[tuple[str, _Files]]:
    """For each fold, yield the path of its store and the files of this store."""
    for count in store.fold_counts:
        for number, fold in enumerate(store.folds(count), start=1):
            if fold.exists:
                yield fold_node(count, number), _Files.of(fold)


def prune(store: SubNetworkStore, plan: PrunePlan, on_progress: Callable[[int, int], None] | None = None) -> PrunePlan:
    """Remove the objects of a plan.

    Args:
        store: The store, opened with mode `a`.
        plan: The result of :func:`plan_prune`.
        on_progress: Called with (objects done, total objects) after each object.

    Returns:
        The objects that were removed. Objects that no longer existed, and leftovers that are in use again, are not
        included.

    Raises:
        StoreError: The store is read-only, or an object cannot be removed; objects that were removed before stay
            removed.
    """
    store.require_writable()
    files = _Files.of(store)
    done = 0

    def removed(things: Mapping[_Thing, int], remove: Callable[[_Thing], bool]) -> dict[_Thing, int]:
        nonlocal done
        gone = {}
        for thing, size in things.items():
            if remove(thing):
                gone[thing] = size
            done += 1
            if on_progress is not None:
                on_progress(done, plan.things)
        return gone

    rows = removed(plan.rows, lambda key: store.discard(key.language, key.seed, key.density))
    fisher = removed(plan.fisher, lambda key: discard_fisher(store.storage, store.layout, key))
    # Folds are removed after their rows, so that every committed row has its folds.
    folds = removed(
        plan.folds, lambda key: store.folds(key.count)[key.number - 1].discard(key.language, key.seed, key.density)
    )
    of_folds = dict(_files_of_folds(store))

    def discard_left(name: str) -> bool:
        if _LEFT_FOLDER.fullmatch(name):
            return remove_left_folder(_folder(store.storage).resolve() / name)
        prefix = next((prefix for prefix in of_folds if name.startswith(f"{prefix}/")), None)
        return files.discard_left(name) if prefix is None else of_folds[prefix].discard_left(name[len(prefix) + 1 :])

    return PrunePlan(rows, fisher, folds, removed(plan.leftovers, discard_left))


def _folder(storage: Storage) -> Path:
    """Return the folder of a store whose leftovers are to be removed.

    Raises:
        StoreError: The store is in an object store.
    """
    return storage.folder(
        "leftovers of killed writers can be removed only in folders",
        "run the build again, which completes the rows. In an object store, leftovers cannot be distinguished from "
        "objects that are being written, because there are no locks that show which writers are active.",
    )


@dataclass(frozen=True)
class _Files:
    """The arrays of a store, and methods that find the files of a row and the row of a file."""

    storage: Storage
    array: RowArray
    values: FisherArray | None

    @classmethod
    def of(cls, store: SubNetworkStore) -> _Files:
        array, values = RowArray.open(store.storage, store.layout), FisherArray.open(store.storage, store.layout)
        return cls(store.storage, array, values)

    def row_object(self, key: RowKey | FisherKey) -> str | None:
        """Return the key of the object that contains a row; None if the labels of the array give the row no place."""
        if isinstance(key, RowKey):
            slot = self.array.labels.slot(key)
            return None if slot is None else self.array.object_key(slot)
        fisher_slot = None if self.values is None else self.values.slot(key)
        return None if self.values is None or fisher_slot is None else self.values.object_key(fisher_slot)

    def sizes(self, keys: Sequence[_Key]) -> dict[_Key, int]:
        """Return the size of the object of each row in bytes; 0 if the object does not exist."""

        def size(key: _Key) -> int:
            name = self.row_object(key)
            return 0 if name is None else self.storage.size(name) or 0

        return dict(zip(keys, self.storage.map(size, keys), strict=True))

    def owner(self, name: str) -> RowKey | FisherKey | None:
        """Return the row whose folder contains a file; None if the file is not in the folder of a row."""
        if match := _ROW_FILE.fullmatch(name):
            density, seed, language = map(int, match.groups())
            labels = self.array.labels
            with suppress(IndexError):
                return RowKey(labels.densities[density], labels.seeds[seed], labels.languages[language])
        if (match := _FISHER_FILE.fullmatch(name)) and self.values is not None:
            seed, language = map(int, match.groups())
            with suppress(IndexError):
                return FisherKey(self.values.seeds[seed], self.values.languages[language])
        return None

    def left(self) -> Iterator[tuple[str, int]]:
        """Yield the key and the size in bytes of each file that a killed writer left.

        Raises:
            StoreError: The store is not in a folder.
        """
        root = _folder(self.storage)
        for name in sorted(self.storage.list()):
            if _FILE_OF_FOLD.fullmatch(name):
                continue
            with suppress(FileNotFoundError):
                status = (root / name).lstat()
                if self._is_left(name, status.st_mtime):
                    yield name, status.st_size

    def _is_left(self, name: str, written: float) -> bool:
        owner = self.owner(name)
        if owner is not None:
            return name.endswith(_PARTIAL) or not self.storage.exists(owner.record)
        return name.endswith(_PARTIAL) and time.time() - written > YOUNG_S

    def discard_left(self, name: str) -> bool:
        """Remove a file of a killed writer.

        Returns:
            False if the file no longer exists, or if another writer has committed or locked its row in the meantime.
        """
        owner = self.owner(name)
        if owner is None:
            return self.storage.discard([name], None)
        with try_lock(_folder(self.storage) / self._lock(name)) as free:
            finished = not name.endswith(_PARTIAL) and self.storage.exists(owner.record)
            return free and not finished and self.storage.discard([name], None)

    def _lock(self, name: str) -> str:
        """Return the key of the lock of the row whose folder contains a file."""
        array, _, *slot, _ = name.split("/")
        return f"{array}/.lock-{'-'.join(slot)}"
