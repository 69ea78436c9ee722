"""Reading of a store: its rows, their commit records, and saved Fisher values."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from xsns_stream.errors import LanguageError, StoreError, UsageError
from xsns_stream.store.columns import StoredColumns, open_columns
from xsns_stream.store.fisher_array import read_fisher
from xsns_stream.store.format import FisherKey, Header, RowKey, Slot, check_language, find_header, suggestion
from xsns_stream.store.records import (
    CommitRecord,
    FisherRecord,
    committed_fisher_keys,
    committed_keys,
    read_fisher_record,
    read_record,
    read_records,
)
from xsns_stream.store.row_array import Compressor, RowArray
from xsns_stream.store.storage import Storage
from xsns_stream.store.verify import damaged_rows, refuse_damaged, unfinished_rows
from xsns_stream.types import Counts, DiagonalFisher, ParameterLayout, SubNetwork, Words

Mode = Literal["r", "a", "w-"]
_Label = TypeVar("_Label", int, float)


def _own_slot(array: RowArray, record: CommitRecord) -> Slot:
    """Return the slot of a row, after checking that its record and the labels of the array state the same slot.

    Raises:
        StoreError: The labels give the row another slot than its commit record states.
    """
    slot = array.slot(record.key)
    if slot != record.slot:
        raise StoreError(
            f"the row {record.key} was written to slot {list(record.slot)}, but the labels now give it slot "
            f"{list(slot)}.",
            "the labels of the store were changed; `xsns-stream verify` shows what is damaged.",
        )
    return slot


class StoreReader:
    """The base class of :class:`xsns_stream.store.SubNetworkStore`; it has all methods that only read."""

    def __init__(self, storage: Storage, mode: Mode, compressor: Compressor = "none") -> None:
        self.storage = storage
        self.mode = mode
        self._compressor = compressor
        self._header: Header | None = None
        self._ensured = False

    @property
    def path(self) -> Path | str:
        """The folder of the store, or its URL if it is in an object store."""
        return self.storage.path

    # -------------------------------------------------------------------------------------- content

    def load(self) -> Header:
        """Return the header of the store. It is read at the first call and then kept.

        Raises:
            StoreError: There is no store, or it cannot be read.
        """
        if self._header is None:
            self._header = find_header(self.storage)
        if self._header is None:
            raise StoreError(
                f"there is no store at '{self.storage}'.",
                "check the path, or build the store with xsns-stream build.",
            )
        return self._header

    @property
    def exists(self) -> bool:
        """Whether there is a store at the path."""
        if self._header is None:
            # The header never changes; therefore it is read only once.
            self._header = find_header(self.storage)
        return self._header is not None

    @property
    def layout(self) -> ParameterLayout:
        """The layout of the model's parameters, which assigns one parameter to each bit of a row."""
        return self.load().layout

    @property
    def experiment(self) -> dict[str, Any]:
        """The fields of :class:`Provenance` that all rows share."""
        return dict(self.load().experiment)

    def keys(self) -> tuple[RowKey, ...]:
        """Return the key of every committed row, sorted by density, seed and language."""
        return tuple(sorted(committed_keys(self.storage)))

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages with at least one committed row, sorted."""
        return tuple(sorted({key.language for key in self.keys()}))

    @property
    def seeds(self) -> tuple[int, ...]:
        """Seeds with at least one committed row, sorted."""
        return tuple(sorted({key.seed for key in self.keys()}))

    @property
    def densities(self) -> tuple[float, ...]:
        """Densities with at least one committed row, sorted."""
        return tuple(sorted({key.density for key in self.keys()}))

    def languages_at(self, seed: int, density: float) -> tuple[str, ...]:
        """Return the languages that have a committed row for this seed and density, sorted."""
        return tuple(key.language for key in self.keys() if (key.seed, key.density) == (seed, density))

    def __contains__(self, language: object) -> bool:
        return language in self.languages

    def __iter__(self) -> Iterator[str]:
        return iter(self.languages)

    def is_committed(self, language: str, seed: int, density: float) -> bool:
        """Return whether the store has a commit record of the row with this language, seed and density."""
        return self.storage.exists(RowKey.checked(language, seed, density).record)

    def records(self) -> tuple[CommitRecord, ...]:
        """Return the commit record of every row, sorted by density, seed and language."""
        return tuple(record for record in read_records(self.storage, self.keys()) if record is not None)

    def record(self, language: str, seed: int | None = None, density: float | None = None) -> CommitRecord:
        """Return the commit record of one row; arguments and errors are those of :meth:`read`."""
        key = self._resolve(language, seed, density)
        record = read_record(self.storage, key)
        if record is None:
            raise self._absent(key)
        return record

    def unfinished(self) -> tuple[RowKey, ...]:
        """Return the rows that were started but not committed. If the build is repeated, it writes them again."""
        return tuple(unfinished_rows(RowArray.open(self.storage, self.layout)))

    # ------------------------------------------------------------------------------------- reading

    def __getitem__(self, language: str) -> SubNetwork:
        return self.read(language)

    def read(self, language: str, seed: int | None = None, density: float | None = None) -> SubNetwork:
        """Read one sub-network and compare it with its record.

        Args:
            language: The code of the language.
            seed: The seed; it may be omitted if the store has only one seed.
            density: The density; it may be omitted if the store has only one density.

        Raises:
            LanguageError: The language has no row.
            UsageError: The seed or the density is omitted, and the store has several.
            StoreError: The row is not committed, or does not match its record.
        """
        layout = self.layout
        record = self.record(language, seed, density)
        array = RowArray.open(self.storage, layout)
        _own_slot(array, record)
        return SubNetwork(
            language=record.language,
            seed=record.seed,
            bits=array.read_row(record),
            layout=layout,
            cardinality=record.cardinality,
            threshold=record.threshold,
            density=record.density,
            provenance=record.provenance,
        )

    def rows(
        self, languages: Sequence[str], seed: int, density: float, start: int = 0, stop: int | None = None
    ) -> Words:
        """Read the words from `start` to `stop` (exclusive) of several rows: uint64 [n, stop − start].

        The rows are in the order of `languages`. Bits are not compared with the records, because the
        digests in the records cover whole rows. A caller can compare the counts that it computes with
        :meth:`cardinalities`.

        Raises:
            LanguageError, StoreError: See :meth:`read`.
            UsageError: The words are outside of the row.
        """
        array = RowArray.open(self.storage, self.layout)
        stop = array.words if stop is None else stop
        if not 0 <= start <= stop <= array.words:
            raise UsageError(f"words {start} up to {stop} are not within a row of {array.words} words.")
        keys = [self._committed(language, seed, density) for language in languages]
        return array.read([(key, array.slot(key)) for key in keys], start, stop)

    def cardinalities(self, languages: Sequence[str], seed: int, density: float) -> Counts:
        """Return the number of selected parameters |A| of each row, from its commit record: int64 [n].

        Raises:
            LanguageError, StoreError: See :meth:`read`.
        """
        _, records = self.records_at(languages, seed, density)
        return np.array([record.cardinality for record in records], np.int64)

    @contextmanager
    def columns(self, languages: Sequence[str], seed: int, density: float) -> Iterator[StoredColumns]:
        """Open committed rows for reading in blocks of columns.

        Uncompressed rows in a folder are read in place. All other rows are first copied into a temporary file on this
        machine; the environment variable TMPDIR sets the folder of this file.

        Args:
            languages: The languages of the rows, in the order of the result.
            seed: The seed of all rows.
            density: The density of all rows.

        Raises:
            LanguageError, StoreError: See :meth:`read`; or the disk has no space for the copies.
        """
        array, records = self.records_at(languages, seed, density)
        with open_columns(array, records) as columns:
            yield columns

    def records_at(self, languages: Sequence[str], seed: int, density: float) -> tuple[RowArray, list[CommitRecord]]:
        """Return the array of rows, and the commit records of several rows in the order of `languages`.

        The slot in each record is compared with the labels of the array.

        Raises:
            LanguageError, StoreError: See :meth:`read`.
        """
        array = RowArray.open(self.storage, self.layout)
        keys = [RowKey.checked(code, seed, density) for code in languages]
        records = []
        for key, record in zip(keys, read_records(self.storage, keys), strict=True):
            if record is None:
                raise self._absent(key)
            _own_slot(array, record)
            records.append(record)
        return array, records

    def check_rows(self, keys: Iterable[RowKey], on_progress: Callable[[int, int], None] | None = None) -> None:
        """Compare the bits of some rows with their commit records.

        Args:
            keys: The rows. An error is raised only after all rows were checked.
            on_progress: Called with (rows done, total rows) after each row.

        Raises:
            StoreError: Some rows are damaged; the message names up to three of them and the fault of the first.
            LanguageError: The store has no row of a requested language.
        """
        rows = tuple(keys)
        refuse_damaged(self.damaged_rows(rows, on_progress), len(rows))

    def damaged_rows(
        self,
        keys: Sequence[RowKey],
        on_progress: Callable[[int, int], None] | None = None,
        threads: int | None = None,
    ) -> dict[RowKey, StoreError]:
        """Compare the bits of some rows with their commit records, and return {damaged row: its fault}.

        Args:
            keys: The rows.
            on_progress: Called with (rows done, total rows) after each row.
            threads: Number of threads; by default one for each core.

        Raises:
            LanguageError: The store has no row of a requested language.
        """
        array = RowArray.open(self.storage, self.layout)
        return damaged_rows(
            array, keys, lambda key: self.record(key.language, key.seed, key.density), on_progress, threads
        )

    # ------------------------------------------------------------------------------- Fisher values

    def fisher_values(self, language: str, seed: int) -> DiagonalFisher | None:
        """Return the saved Fisher values of a language and a seed; None if none are saved.

        Raises:
            StoreError: The values are damaged.
        """
        key = FisherKey.checked(language, seed)
        return read_fisher(self.storage, self.layout, key) if self.exists else None

    def fisher_record(self, language: str, seed: int) -> FisherRecord | None:
        """Return the commit record of the Fisher values of a language and a seed; None if none are saved."""
        return read_fisher_record(self.storage, FisherKey.checked(language, seed))

    def fisher_keys(self) -> tuple[FisherKey, ...]:
        """Return the keys of all saved Fisher values, sorted by seed and language."""
        return tuple(sorted(committed_fisher_keys(self.storage)))

    # ---------------------------------------------------------------------------------- absent rows

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
            raise StoreError(
                f"the store '{self.storage}' has no committed row.",
                "run its build, or repeat the build if it was interrupted.",
            )
        if len(values) > 1:
            shown = ", ".join(map(repr, values))
            plural = "densities" if name == "density" else f"{name}s"
            raise UsageError(
                f"the store '{self.storage}' has {len(values)} {plural}, and none was chosen.",
                f"choose one of {shown}.",
            )
        return values[0]

    def _committed(self, language: str, seed: int, density: float) -> RowKey:
        key = RowKey.checked(language, seed, density)
        if not self.storage.exists(key.record):
            raise self._absent(key)
        return key

    def _absent(self, key: RowKey) -> LanguageError | StoreError:
        """Return the error for a missing row; its hint lists the rows that exist."""
        keys = self.keys()
        if key.language not in {other.language for other in keys}:
            return LanguageError(
                f"the store '{self.storage}' has no sub-network of '{key.language}'.",
                suggestion(key.language, self.languages),
            )
        there = ", ".join(f"seed {k.seed} at density {k.density!r}" for k in keys if k.language == key.language)
        return StoreError(
            f"the store '{self.storage}' has no row {key}.",
            f"'{key.language}' has {there}; build the missing row.",
        )
