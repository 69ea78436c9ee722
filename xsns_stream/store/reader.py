"""What a store holds, and reading it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal, TypeVar

import numpy as np

from xsns_stream.errors import LanguageError, StoreError, UsageError
from xsns_stream.store.columns import StoredColumns, open_columns
from xsns_stream.store.fisher_array import KeptKey, KeptRecord, kept_keys, kept_record, read_values
from xsns_stream.store.format import RowKey, Slot, check_language, suggestion
from xsns_stream.store.header import Header, find_header
from xsns_stream.store.records import (
    CommitRecord,
    committed_keys,
    digest_words,
    read_record,
    read_records,
    record_key,
)
from xsns_stream.store.row_array import Compressor, RowArray
from xsns_stream.store.storage.open import Place
from xsns_stream.store.verify import unfinished_rows
from xsns_stream.types import Counts, DiagonalFisher, ParameterLayout, SubNetwork, Words

Mode = Literal["r", "a", "w-"]
_Label = TypeVar("_Label", int, float)


def _own_slot(array: RowArray, record: CommitRecord) -> Slot:
    """Return the slot that a row was written to; labels that say otherwise would name another language's bits."""
    slot = array.slot(record.key)
    if slot != record.slot:
        raise StoreError(
            f"the row {record.key} was written to slot {list(record.slot)}, but the labels now say {list(slot)}.",
            "the labels of the store were changed; `xsns-stream verify` shows what is damaged.",
        )
    return slot


class StoreReader:
    """The reading half of :class:`xsns_stream.store.SubNetworkStore`."""

    def __init__(self, place: Place, mode: Mode, compressor: Compressor = "none") -> None:
        self.place = place
        self.mode = mode
        self._compressor = compressor
        self._header: Header | None = None
        self._ensured = False

    @property
    def path(self) -> Path | str:
        """The store's folder; its URL where it is none."""
        return self.place.url if self.place.local is None else self.place.local

    # ------------------------------------------------------------------------------- what is in it

    def load(self) -> Header:
        """Return what all rows share, read once.

        Raises:
            StoreError: There is no store, or it cannot be read.
        """
        if self._header is None:
            self._header = find_header(self.place)
        if self._header is None:
            raise StoreError(
                f"there is no store at '{self.place}'.",
                "check the path, or build the store with xsns-stream build.",
            )
        return self._header

    @property
    def exists(self) -> bool:
        """Whether the store has been created."""
        if self._header is None:
            # Kept, because it never changes.
            self._header = find_header(self.place)
        return self._header is not None

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
        return tuple(sorted(committed_keys(self.place)))

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
        return self.place.exists(record_key(RowKey.checked(language, seed, density)))

    def records(self) -> tuple[CommitRecord, ...]:
        """Return the commit record of every row, sorted by density, seed and language."""
        return tuple(record for record in read_records(self.place, self.keys()) if record is not None)

    def record(self, language: str, seed: int | None = None, density: float | None = None) -> CommitRecord:
        """Return the commit record of one row; arguments and errors as :meth:`read`."""
        key = self._resolve(language, seed, density)
        record = read_record(self.place, key)
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
        array = RowArray.open(self.place, layout)
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
        array = RowArray.open(self.place, self.layout)
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
        _, records = self._chosen(languages, seed, density)
        return np.array([record.cardinality for record in records], np.int64)

    @contextmanager
    def columns(self, languages: Sequence[str], seed: int, density: float) -> Iterator[StoredColumns]:
        """Open committed rows for reading a block of columns of all of them at a time.

        Rows of a folder that are not compressed are read where they are. All others are first copied, a piece at a
        time, into a temporary file on this machine; set TMPDIR to say where.

        Args:
            languages: Of the rows, in the order in which they are wanted.
            seed: Of all of them.
            density: Of all of them.

        Raises:
            LanguageError, StoreError: As :meth:`read`; or there is no room for copies.
        """
        array, records = self._chosen(languages, seed, density)
        with open_columns(array, records) as columns:
            yield columns

    def _chosen(self, languages: Sequence[str], seed: int, density: float) -> tuple[RowArray, list[CommitRecord]]:
        """Return the records of several rows, which lie where their labels say."""
        array = RowArray.open(self.place, self.layout)
        keys = [RowKey.checked(code, seed, density) for code in languages]
        records = []
        for key, record in zip(keys, read_records(self.place, keys), strict=True):
            if record is None:
                raise self._absent(key)
            _own_slot(array, record)
            records.append(record)
        return array, records

    def kept(self, language: str, seed: int) -> DiagonalFisher | None:
        """Return the Fisher values that were kept for a row; None where there are none.

        Raises:
            StoreError: They are damaged.
        """
        key = KeptKey.checked(language, seed)
        return read_values(self.place, self.layout, key) if self.exists else None

    def kept_record(self, language: str, seed: int) -> KeptRecord | None:
        """Return what is known of the Fisher values that were kept for a row; None where there are none."""
        return kept_record(self.place, KeptKey.checked(language, seed))

    def kept_keys(self) -> tuple[KeptKey, ...]:
        """Return every row whose Fisher values are kept, sorted by seed and language."""
        return tuple(sorted(kept_keys(self.place)))

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
            raise StoreError(f"the store '{self.place}' has no committed row.", "build it, or resume its build.")
        if len(values) > 1:
            shown = ", ".join(map(repr, values))
            plural = "densities" if name == "density" else f"{name}s"
            raise UsageError(
                f"the store '{self.place}' has {len(values)} {plural}, and none was chosen.",
                f"choose one of {shown}.",
            )
        return values[0]

    def _committed(self, language: str, seed: int, density: float) -> RowKey:
        key = RowKey.checked(language, seed, density)
        if not self.place.exists(record_key(key)):
            raise self._absent(key)
        return key

    def _absent(self, key: RowKey) -> LanguageError | StoreError:
        """Return the error that says why there is no such row."""
        keys = self.keys()
        if key.language not in {other.language for other in keys}:
            return LanguageError(
                f"the store '{self.place}' has no sub-network of '{key.language}'.",
                suggestion(key.language, self.languages),
            )
        there = ", ".join(f"seed {k.seed} at density {k.density!r}" for k in keys if k.language == key.language)
        return StoreError(
            f"the store '{self.place}' has no row {key}.",
            f"for '{key.language}' there is {there}; build what is missing.",
        )

    # ------------------------------------------------------------------------------------- summary

    def unfinished(self) -> tuple[RowKey, ...]:
        """Return rows that were started and never committed; building again redoes them."""
        return tuple(unfinished_rows(RowArray.open(self.place, self.layout)))
