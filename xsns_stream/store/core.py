"""Open, read and write a store."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from xsns_stream.errors import LanguageError, StoreError, UsageError
from xsns_stream.store.array import Compressor, RowArray
from xsns_stream.store.format import FORMAT, FORMAT_VERSION, RowKey, Slot, check_language, suggestion
from xsns_stream.store.header import Header, find_header, occupied
from xsns_stream.store.records import CommitRecord, committed_keys, digest_words, read_record, record_path
from xsns_stream.store.verify import Finding, Progress, unfinished_rows, verify_rows
from xsns_stream.store.writing import ensure_store, write_row
from xsns_stream.types import Counts, ParameterLayout, Provenance, SubNetwork, Words

Mode = Literal["r", "a", "w-"]
_Label = TypeVar("_Label", int, float)


def open_store(path: str | Path, mode: Mode = "r", *, compressor: Compressor = "none") -> SubNetworkStore:
    """Open a store of sub-networks.

    Args:
        path: Its folder.
        mode: `r` reads a store that must exist; `a` adds to a store, which the first write creates where
            there is none; `w-` creates one where there must be none.
        compressor: For a store that is yet to be created, as an existing one keeps its own. `zstd` saves a
            third of the space at most and reads slower than sub-networks are compared: for archives.

    Returns:
        The store; nothing is written before the first :meth:`SubNetworkStore.write`.

    Raises:
        StoreError: There is no store, or there is one in mode `w-`, or something else lies there, or the
            store has a later format version.
        UsageError: Unknown mode or compressor.
    """
    if mode not in ("r", "a", "w-"):
        raise UsageError(f"a store opens with mode 'r', 'a' or 'w-', not {mode!r}.")
    if compressor not in ("none", "zstd"):
        raise UsageError(f"a store's compressor is 'none' or 'zstd', not {compressor!r}.")
    store = SubNetworkStore(Path(path), mode, compressor)
    if mode == "w-" and occupied(store.path):
        raise StoreError(f"'{path}' exists already.", "choose a new path, or open it with mode 'a' to add to it.")
    if mode == "r" or occupied(store.path):
        store.load()
    else:
        _require_place(store.path)
    return store


def _require_place(path: Path) -> None:
    """Refuse a path where no folder can be made, before hours are spent on what would be written there."""
    parent = next(folder for folder in path.absolute().parents if folder.exists())
    if not (parent.is_dir() and os.access(parent, os.W_OK | os.X_OK)):
        raise StoreError(
            f"a store cannot be made at '{path}': '{parent}' is not a folder that can be written to.",
            "choose another path, or change the rights of the folder.",
        )


def _own_slot(array: RowArray, record: CommitRecord) -> Slot:
    """Return the slot that a row was written to; labels that say otherwise would name another language's bits."""
    slot = array.slot(record.key)
    if slot != record.slot:
        raise StoreError(
            f"the row {record.key} was written to slot {list(record.slot)}, but the labels now say {list(slot)}.",
            "the labels of the store were changed; `xsns-stream verify` shows what is damaged.",
        )
    return slot


class SubNetworkStore:
    """The sub-networks of one experiment, by language, seed and density.

    Rows that were started and never committed do not exist for a reader. Objects of this class hold no lock
    and no open file, and read what other processes have committed meanwhile. Made by :func:`open_store`.

    >>> store = open_store("experiment.zarr")  # doctest: +SKIP
    >>> store["sw"].density_realised  # doctest: +SKIP
    0.15
    """

    def __init__(self, path: Path, mode: Mode, compressor: Compressor = "none") -> None:
        self.path = path
        self.mode = mode
        self._compressor = compressor
        self._header: Header | None = None

    # ------------------------------------------------------------------------------- what is in it

    def load(self) -> Header:
        """Return what all rows share, read once.

        Raises:
            StoreError: There is no store, or it cannot be read.
        """
        if self._header is None:
            self._header = find_header(self.path)
        if self._header is None:
            raise StoreError(
                f"there is no store at '{self.path}'.",
                "check the path, or build the store with xsns-stream build.",
            )
        return self._header

    @property
    def exists(self) -> bool:
        """Whether the store has been created."""
        return self._header is not None or find_header(self.path) is not None

    @property
    def layout(self) -> ParameterLayout:
        """Which bit is which parameter."""
        return self.load().layout

    @property
    def experiment(self) -> dict[str, Any]:
        """The fields of :class:`Provenance` that all rows share."""
        return dict(self.load().experiment)

    def keys(self) -> tuple[RowKey, ...]:
        """Return every committed row, sorted by density, seed and language."""
        return tuple(sorted(committed_keys(self.path)))

    @property
    def languages(self) -> tuple[str, ...]:
        """Languages that have at least one committed row, sorted."""
        return tuple(sorted({key.language for key in self.keys()}))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds that have at least one committed row, sorted."""
        return tuple(sorted({key.seed for key in self.keys()}))

    @property
    def densities(self) -> tuple[float, ...]:
        """Densities that have at least one committed row, sorted."""
        return tuple(sorted({key.density for key in self.keys()}))

    def languages_at(self, seed: int, density: float) -> tuple[str, ...]:
        """Return the languages that have a committed row for this seed and density, sorted."""
        return tuple(key.language for key in self.keys() if (key.seed, key.density) == (seed, density))

    def __contains__(self, language: object) -> bool:
        return language in self.languages

    def __iter__(self) -> Iterator[str]:
        return iter(self.languages)

    def is_committed(self, language: str, seed: int, density: float) -> bool:
        """Return whether this row needs no more computing."""
        return record_path(self.path, RowKey.checked(language, seed, density)).is_file()

    def records(self) -> tuple[CommitRecord, ...]:
        """Return the commit record of every row, sorted by density, seed and language."""
        found = (read_record(self.path, key) for key in self.keys())
        return tuple(record for record in found if record is not None)

    def record(self, language: str, seed: int | None = None, density: float | None = None) -> CommitRecord:
        """Return the commit record of one row; arguments and errors as :meth:`read`."""
        key = self._resolve(language, seed, density)
        record = read_record(self.path, key)
        if record is None:
            raise self._absent(key)
        return record

    # ------------------------------------------------------------------------------------- reading

    def __getitem__(self, language: str) -> SubNetwork:
        return self.read(language)

    def read(self, language: str, seed: int | None = None, density: float | None = None) -> SubNetwork:
        """Read one sub-network, checked against its record.

        Args:
            language: Its code.
            seed: May be left out where the store has a single one.
            density: May be left out where the store has a single one.

        Raises:
            LanguageError: No row of that language.
            UsageError: Seed or density left out, and there are several.
            StoreError: The row is not committed, or is not what its record says.
        """
        layout = self.layout
        record = self.record(language, seed, density)
        array = RowArray.open(self.path, layout)
        bits = array.read([(record.key, _own_slot(array, record))], 0, array.words)[0]
        if digest_words(bits) != record.sha256:
            raise StoreError(
                f"the row {record.key} does not hold the bits that were committed.",
                array.redo_hint(record.key),
            )
        return SubNetwork(
            language=record.language,
            seed=record.seed,
            bits=bits,
            layout=layout,
            cardinality=record.cardinality,
            threshold=record.threshold,
            density=record.density,
            provenance=record.provenance,
        )

    def rows(
        self, languages: Sequence[str], seed: int, density: float, start: int = 0, stop: int | None = None
    ) -> Words:
        """Read words `start` up to `stop` of several rows: uint64 [n, stop − start], in the order asked for.

        Bits are not checked against the records, which would take whole rows; the counts of a finished
        comparison can be, against :meth:`cardinalities`.

        Raises:
            LanguageError, StoreError: As :meth:`read`.
            UsageError: Words outside of the row.
        """
        array = RowArray.open(self.path, self.layout)
        stop = array.words if stop is None else stop
        if not 0 <= start <= stop <= array.words:
            raise UsageError(f"words {start} up to {stop} are not within a row of {array.words}.")
        keys = [self._committed(language, seed, density) for language in languages]
        return array.read([(key, array.slot(key)) for key in keys], start, stop)

    def cardinalities(self, languages: Sequence[str], seed: int, density: float) -> Counts:
        """Return |A| of each row as its record has it: int64 [n].

        Raises:
            StoreError: A row's label was moved to another slot since it was written.
        """
        array = RowArray.open(self.path, self.layout)
        records = [self.record(code, seed, density) for code in languages]
        for record in records:
            _own_slot(array, record)
        return np.array([record.cardinality for record in records], np.int64)

    def _resolve(self, language: str, seed: int | None, density: float | None) -> RowKey:
        self.load()
        check_language(language)
        if seed is None:
            seed = self._only("seed", self.seeds)
        if density is None:
            density = self._only("density", self.densities)
        return self._committed(language, seed, density)

    def _only(self, name: str, values: tuple[_Label, ...]) -> _Label:
        if not values:
            raise StoreError(f"the store '{self.path}' has no committed row.", "build it, or resume its build.")
        if len(values) > 1:
            shown = ", ".join(map(repr, values))
            plural = "densities" if name == "density" else f"{name}s"
            raise UsageError(
                f"the store '{self.path}' has {len(values)} {plural}, and none was chosen.",
                f"choose one of {shown}.",
            )
        return values[0]

    def _committed(self, language: str, seed: int, density: float) -> RowKey:
        key = RowKey.checked(language, seed, density)
        if not record_path(self.path, key).is_file():
            raise self._absent(key)
        return key

    def _absent(self, key: RowKey) -> LanguageError | StoreError:
        """Return the error that says why there is no such row."""
        keys = self.keys()
        if key.language not in {other.language for other in keys}:
            return LanguageError(
                f"the store '{self.path}' has no sub-network of '{key.language}'.",
                suggestion(key.language, self.languages),
            )
        there = ", ".join(f"seed {k.seed} at density {k.density!r}" for k in keys if k.language == key.language)
        return StoreError(
            f"the store '{self.path}' has no row {key}.",
            f"for '{key.language}' there is {there}; build what is missing.",
        )

    # ------------------------------------------------------------------------------------- writing

    def check_experiment(self, provenance: Provenance, layout: ParameterLayout) -> None:
        """Check that rows of this experiment may stand in the store, before any of them is computed.

        Raises:
            IncompatibleError: Naming each field that differs, with both values.
        """
        if self.exists:
            self.load().require(Header.of(provenance, layout), self.path)

    def write(self, sub: SubNetwork) -> bool:
        """Write one sub-network and commit it; the first write creates the store.

        Rows of other languages, seeds and densities may be written at the same time by other processes.

        Returns:
            Whether anything was written: False where the very same row was committed before.

        Raises:
            IncompatibleError: The store holds another experiment; every field that differs is named.
            LanguageError, UsageError: A label that no row can have.
            StoreError: Read-only, not writable, disk full, or the row is committed with other bits.
        """
        if self.mode == "r":
            raise StoreError(f"the store '{self.path}' was opened for reading.", "open it with mode 'a' to add rows.")
        key = RowKey.checked(sub.language, sub.seed, sub.density)
        header = Header.of(sub.provenance, sub.layout)
        if self._header is None:
            may_exist = self.mode != "w-"
            self._header = ensure_store(self.path, header, key, self._compressor, may_exist=may_exist)
        self._header.require(header, self.path)
        return write_row(self.path, key, sub)

    # -------------------------------------------------------------------------------------- health

    def verify(self, on_progress: Progress | None = None) -> list[Finding]:
        """Read every committed row and compare it with its record.

        Args:
            on_progress: Called with (rows done, rows in all) after each.

        Returns:
            What is wrong, in words; empty for a sound store. A row without a commit record is not wrong but
            unfinished, which :meth:`unfinished` lists.
        """
        return verify_rows(RowArray.open(self.path, self.layout), self.layout, on_progress)

    def unfinished(self) -> tuple[RowKey, ...]:
        """Return rows that were started and never committed; building again redoes them."""
        return tuple(unfinished_rows(RowArray.open(self.path, self.layout)))

    def info(self) -> dict[str, Any]:
        """Return what the store holds, as plain JSON values."""
        header, records = self.load(), self.records()
        array = RowArray.open(self.path, header.layout)
        return {
            "path": str(self.path),
            "format": FORMAT,
            "format_version": FORMAT_VERSION,
            "experiment": dict(header.experiment),
            "parameters": header.layout.size,
            "words": array.words,
            "layers": len(header.layout.layers),
            "layout_digest": header.layout.digest,
            "languages": list(self.languages),
            "seeds": list(self.seeds),
            "densities": list(self.densities),
            "rows": len(records),
            "unfinished_rows": [str(key) for key in self.unfinished()],
            "bytes": sum(record.bytes for record in records),
            "inner_chunk_words": array.chunk,
            "compressed": array.compressed,
        }
