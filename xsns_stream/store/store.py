"""The class `SubNetworkStore`, which reads, writes and describes a store, and `open_store`, which opens one."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path
from typing import Any

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.io.escaping import visible
from xsns_stream.store.fisher_array import folder_of, save_fisher
from xsns_stream.store.folds import (
    SPLIT_HALF_OF_ROW,
    announce_folds,
    check_fold_count,
    fold_counts,
    fold_provenance,
    fold_storage,
)
from xsns_stream.store.format import (
    ARRAY,
    FORMAT,
    FORMAT_VERSION,
    METADATA,
    FisherKey,
    FoldKey,
    Header,
    RowKey,
    fold_node,
    on_disk,
)
from xsns_stream.store.html_summary import html_summary
from xsns_stream.store.reader import Mode, StoreReader
from xsns_stream.store.records import CommitRecord
from xsns_stream.store.relabel import RelabelResult, relabel_rows
from xsns_stream.store.row_array import Compressor, RowArray
from xsns_stream.store.storage import Storage, open_storage
from xsns_stream.store.text_notes import same_texts_of
from xsns_stream.store.verify import Finding, Fold, Progress, unfinished_folds, verify_store
from xsns_stream.store.writer import discard_row, ensure_store, write_row
from xsns_stream.types import DiagonalFisher, ParameterLayout, Provenance, SubNetwork


def open_store(
    path: str | Path, mode: Mode = "r", *, compressor: Compressor = "none", sweep: bool = True
) -> SubNetworkStore:
    """Open a store of sub-networks.

    Args:
        path: The folder of the store, or a URL: `s3://bucket/prefix`, `gs://…`, `az://…`, `memory://name`,
            `file:///folder`; see :func:`xsns_stream.store.storage.open_storage`.
        mode: `r` reads a store that must exist; `a` adds to a store, and creates it with the first write if it does not
            exist; `w-` creates a store that must not exist.
        compressor: The compressor of a new store; an existing store keeps its compressor. `zstd` saves space if the
            selected parameters form clusters, but comparisons become slower. Use it for archives.
        sweep: Whether work folders of killed processes beside a writable store are removed.

    Returns:
        The store; nothing is written before the first :meth:`SubNetworkStore.write`.

    Raises:
        StoreError: The store does not exist (mode `r`) or already exists (mode `w-`); the path contains
            something other than a store; or the format version of the store is later than this program.
        UsageError: The mode or the compressor is unknown.
    """
    if mode not in ("r", "a", "w-"):
        raise UsageError(f"the mode of a store must be 'r', 'a' or 'w-', not {mode!r}.")
    if compressor not in ("none", "zstd"):
        raise UsageError(f"the compressor of a store must be 'none' or 'zstd', not {compressor!r}.")
    storage = open_storage(path)
    store = SubNetworkStore(storage, mode, compressor, sweep=sweep)
    if mode == "w-" and not storage.is_empty():
        raise StoreError(f"'{path}' exists already.", "choose a new path, or open it with mode 'a' to add to it.")
    if mode != "r" and sweep:
        storage.sweep()
    if mode == "r" or not storage.is_empty():
        store.load()
    else:
        storage.check_creatable()
    return store


class SubNetworkStore(StoreReader):
    """A store of the sub-networks of one experiment, each of which has a language, a seed and a density.

    Readers do not see rows that are not committed. An object of this class holds no lock and no open file. Each read
    therefore also sees the rows that other processes have committed since the store was opened. Use :func:`open_store`
    to create an object.

    >>> store = open_store("experiment.zarr")  # doctest: +SKIP
    >>> store["sw"].density_realised  # doctest: +SKIP
    0.15
    """

    def __init__(self, storage: Storage, mode: Mode, compressor: Compressor = "none", *, sweep: bool = True) -> None:
        super().__init__(storage, mode, compressor)
        self._sweep = sweep
        self._folds: dict[int, tuple[SubNetworkStore, ...]] = {}
        self._announced: set[int] = set()

    def __repr__(self) -> str:
        counts = {"languages": self.languages, "seeds": self.seeds, "densities": self.densities}
        size = ", ".join(f"{name}={len(values)}" for name, values in counts.items())
        return f"<SubNetworkStore '{visible(str(self.path))}' {size}>"

    def _repr_html_(self) -> str:
        return html_summary(self)

    # --------------------------------------------------------------------------------------- folds

    @property
    def fold_counts(self) -> tuple[int, ...]:
        """The numbers of folds K for which the store has rows, in ascending order; empty if it has no folds."""
        return fold_counts(self.storage)

    def folds(self, count: int) -> tuple[SubNetworkStore, ...]:
        """Return `count` stores, each of which leaves out one fold, in the order of the folds; they may have no rows.

        Raises:
            UsageError: The number of folds is not valid.
        """
        if count not in self._folds:
            storages = [fold_storage(self.storage, count, number) for number in range(1, check_fold_count(count) + 1)]
            mode: Mode = "r" if self.mode == "r" else "a"
            for number, storage in enumerate(storages if mode == "a" else (), start=1):
                self.storage.check_no_links(f"{fold_node(count, number)}/{METADATA}")
                if self._sweep:
                    storage.sweep()
            self._folds[count] = tuple(SubNetworkStore(storage, mode, self._codec()) for storage in storages)
        return self._folds[count]

    def reliability(self, record: CommitRecord) -> dict[str, Any]:
        """Return the entry `reliability` of a row's provenance, with the split-half coefficient if it is known.

        Commit records are never rewritten. If a row was committed without a split-half coefficient and folds were added
        later, the coefficient is only in the records of the folds, and is read from there.
        """
        known = dict(record.provenance.reliability)
        for count in self.fold_counts if "split_half" not in known else ():
            fold = self.folds(count)[0]
            if fold.is_committed(record.language, record.seed, record.density):
                later = fold.record(record.language, record.seed, record.density).provenance.reliability
                if later.get(SPLIT_HALF_OF_ROW) is not None:
                    return {"split_half": later[SPLIT_HALF_OF_ROW]} | known
        return known

    def has_folds(self, language: str, seed: int, density: float, count: int) -> bool:
        """Return whether a row is committed in each of the `count` stores that leave out one fold."""
        return all(fold.is_committed(language, seed, density) for fold in self.folds(count))

    def fold_keys(self, count: int) -> tuple[FoldKey, ...]:
        """Return the key of every committed row in the `count` stores that leave out a fold."""
        keys = [fold.keys() for fold in self.folds(count)]
        return tuple(FoldKey(count, number, key) for number, there in enumerate(keys, 1) for key in there)

    def write_fold(self, sub: SubNetwork, count: int, number: int) -> bool:
        """Write and commit a sub-network that was measured without the examples of one fold.

        Write all folds of a row before the row itself. A committed row then always has all its folds.

        Args:
            sub: The sub-network, measured on the examples of all other folds. Its provenance equals that of the row,
                except for the number of examples.
            count: K, the number of folds.
            number: Index of the fold that is left out, from 1.

        Raises:
            IncompatibleError, LanguageError, StoreError, UsageError: See :meth:`write`.
        """
        self.prepare_folds(Header.of(sub.provenance, sub.layout), (count,))
        fold = self.folds(count)[number - 1]
        return fold.write(replace(sub, provenance=fold_provenance(sub.provenance, count, number)))

    def prepare_folds(self, header: Header, counts: tuple[int, ...]) -> None:
        """Create the store if it does not exist, and record that its rows may have K folds, for each K in `counts`."""
        self._ensure(header, None)
        for count in counts:
            if count not in self._announced:
                announce_folds(self.storage, check_fold_count(count))
                self._announced.add(count)

    def _codec(self) -> Compressor:
        """Return the compressor of the existing store, or the requested one if the store does not exist."""
        if not self.exists:
            return self._compressor
        return "zstd" if RowArray.open(self.storage, self.layout).compressed else "none"

    # ------------------------------------------------------------------------------------- writing

    def check_experiment(self, provenance: Provenance, layout: ParameterLayout) -> None:
        """Check, before rows are computed, that rows of this experiment may be written to the store.

        Raises:
            IncompatibleError: The message names each field that differs, with both values.
        """
        if self.exists:
            self.load().require(Header.of(provenance, layout), self.storage)

    def write(self, sub: SubNetwork) -> bool:
        """Write one sub-network and commit it; the first write creates the store.

        Other processes may write rows of other languages, seeds and densities at the same time.

        Returns:
            True if the row was written; False if the same row was committed before.

        Raises:
            IncompatibleError: The store contains another experiment; the message names every field that differs.
            LanguageError, UsageError: The label of the row is not valid.
            StoreError: The store is read-only or not writable, the disk is full, or the row is committed with other
                bits.
        """
        key = RowKey.checked(sub.language, sub.seed, sub.density)
        self._ensure(Header.of(sub.provenance, sub.layout), key)
        return write_row(self.storage, key, sub)

    def add_labels(
        self, provenance: Provenance, layout: ParameterLayout, keys: Sequence[RowKey], folds: int | None = None
    ) -> None:
        """Add the labels of rows that will be written, so that the writers of these rows need not change the labels.

        Readers do not see labels that have no row.

        Args:
            provenance: Provenance of the rows. If the store does not exist, it is created with this provenance.
            layout: The layout of the parameters θ.
            keys: Keys of the rows.
            folds: Number of folds that the rows will have; None for no folds.

        Raises:
            IncompatibleError, StoreError: As for :meth:`write`.
        """
        if not keys:
            return
        header = Header.of(provenance, layout)
        self._ensure(header, keys[0])
        RowArray.open(self.storage, layout).grow(*keys)
        if folds is not None:
            self.prepare_folds(header, (folds,))
            for number, fold in enumerate(self.folds(folds), start=1):
                fold.add_labels(fold_provenance(provenance, folds, number), layout, keys)

    def claimed(self, language: str, seed: int) -> AbstractContextManager[bool]:
        """Claim a row while the `with` block runs, so that other builds do not measure the same row.

        A claim covers all densities, folds and saved Fisher values of one language and seed, because one measurement
        gives all of them. The method does not wait: it yields False if another process has claimed the row. A claim
        ends when its process ends. Rows can be written without a claim, because every row has its own lock and only
        the first commit succeeds. An object store has no locks of this kind; every claim is granted there.

        Raises:
            LanguageError, UsageError: The label of the row is not valid.
            StoreError: The lock cannot be created.
        """
        key = RowKey.checked(language, seed, 1.0)
        return self.storage.claimed(f"{key.seed}-{on_disk(key.language)}", ARRAY, METADATA)

    def remove_left_claims(self) -> None:
        """Remove the lock files that killed processes left from their claims."""
        self.storage.remove_stale_claims(ARRAY, METADATA)

    def save_fisher(self, fisher: DiagonalFisher, encoding: str = "float32") -> bool:
        """Save Fisher values, so that sub-networks of other densities can be selected from them later.

        Args:
            fisher: The values. They are saved under their language and the seed in their provenance.
            encoding: `float32`, which is exact, or `bf16`, which rounds values to the nearest bfloat16 and needs half
                the space. A store has one encoding.

        Returns:
            True if the values were written; False if the same values were committed before.

        Raises:
            IncompatibleError, LanguageError, StoreError, UsageError: See :meth:`write`; or the store has values in
                another encoding.
        """
        key = FisherKey.checked(fisher.language, fisher.provenance.seed)
        self._ensure(Header.of(fisher.provenance, fisher.layout), None)
        return save_fisher(self.storage, key, fisher, encoding)

    def check_writable(self) -> None:
        """Check, before a measurement, that the folder of the store may be written to.

        Raises:
            StoreError: The folder or its file system is read-only.
        """
        self.storage.check_writable()

    def check_saves_fisher(self) -> None:
        """Check, before a measurement, that Fisher values can be saved in this store.

        Raises:
            StoreError: The store is not in a folder.
        """
        folder_of(self.storage)

    def discard(self, language: str, seed: int, density: float) -> bool:
        """Remove the commit record of a row, then its object.

        The labels of the row are kept. The slots of other rows therefore do not change.

        Returns:
            Whether the commit record or the object existed.

        Raises:
            LanguageError, UsageError: The label of the row is not valid.
            StoreError: The store is read-only, or the row cannot be removed.
        """
        self.require_writable()
        return discard_row(self.storage, self.layout, RowKey.checked(language, seed, density))

    def relabel(self, old: str, new: str, on_progress: Progress | None = None) -> RelabelResult:
        """Give the rows of a language, their folds, saved Fisher values and cached counts another label.

        Bits, seeds and densities do not change. The old label is added to `former_labels` in the provenance. The rows
        are complete under one of the two labels at every moment, and under both for a short time. After a crash, call
        the method again with the same arguments to finish. Matrices and other files that were written before keep the
        old label.

        Args:
            old: The present label of the rows.
            new: The new label: a code, or any label such as `qaa-x-mine` or `sw_news`.
            on_progress: Called with (steps done, total steps).

        Returns:
            The rows that were relabelled; no rows if an earlier call has already relabelled them.

        Raises:
            LanguageError: The store has no row of `old`, or has a row of `new`, or `new` cannot be a label.
            StoreError: The store is read-only, a row is damaged, or another process is measuring it.
        """
        return relabel_rows(self, old, new, on_progress)

    def scratch(self) -> AbstractContextManager[Path]:
        """Yield a folder for large files of a build. The folder is removed when the `with` block ends.

        It is on the same disk as the store. For an object store, it is in the temporary folder of this machine.

        Raises:
            StoreError: The folder cannot be created.
        """
        return self.storage.scratch()

    def require_writable(self) -> None:
        """Raise an error if the store was opened for reading only.

        Raises:
            StoreError: The store was opened with mode `r`.
        """
        if self.mode == "r":
            raise StoreError(
                f"the store '{self.storage}' was opened for reading.", "open it with mode 'a' to change it."
            )

    def _ensure(self, header: Header, key: RowKey | None) -> None:
        """Create the store if it does not exist, and check that rows with this header may be written to it.

        A new store gets a slot for `key`, unless `key` is None.
        """
        self.require_writable()
        if not self._ensured:
            may_exist = self.mode != "w-"
            self._header = ensure_store(self.storage, header, key, self._compressor, may_exist=may_exist)
            self._ensured = True
        self.load().require(header, self.storage)

    # -------------------------------------------------------------------------------------- health

    def unfinished_folds(self) -> tuple[FoldKey, ...]:
        """Return the missing folds of rows that have some folds, but not all. Repeating the build adds them."""
        return tuple(unfinished_folds(self._every_fold()))

    def _every_fold(self) -> list[Fold]:
        return [
            Fold(count, number, fold.storage, fold.load() if fold.exists else None)
            for count in self.fold_counts
            for number, fold in enumerate(self.folds(count), start=1)
        ]

    def info(self) -> dict[str, Any]:
        """Return the contents of the store as JSON values, as `xsns-stream info --json` prints them."""
        return summary(self)

    def verify(self, on_progress: Progress | None = None) -> list[Finding]:
        """Read every committed row and compare it with its record.

        Args:
            on_progress: Called with (rows done, total rows) after each row.

        Returns:
            The faults of the store; empty if the store is intact. Unfinished rows and missing folds are not faults;
            :meth:`unfinished` and :meth:`unfinished_folds` return them.
        """
        return verify_store(self.storage, self.load(), self._every_fold(), on_progress)


# --------------------------------------------------------------------------------------------- summary


def summary(store: SubNetworkStore) -> dict[str, Any]:
    """Return the contents of a store as JSON values; see :meth:`SubNetworkStore.info`."""
    header, records = store.load(), store.records()
    array = RowArray.open(store.storage, header.layout)
    fisher = [record for key in store.fisher_keys() if (record := store.fisher_record(key.language, key.seed))]
    return {
        "path": str(store.storage),
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "experiment": dict(header.experiment),
        "parameters": header.layout.size,
        "words": array.words,
        "layers": len(header.layout.layers),
        "layout_digest": header.layout.digest,
        "languages": list(store.languages),
        "seeds": list(store.seeds),
        "densities": list(store.densities),
        "rows": len(records),
        "unfinished_rows": [str(key) for key in store.unfinished()],
        "bytes": sum(record.bytes for record in records),
        "kept_fisher": sorted({record.encoding for record in fisher}),
        "kept_rows": len(fisher),
        "kept_bytes": sum(record.bytes for record in fisher),
        "reliability": [
            {"language": record.language, "seed": record.seed, "density": record.density} | reliability
            for record in records
            if (reliability := store.reliability(record))
        ],
        "former_labels": {
            record.language: list(record.provenance.former_labels)
            for record in records
            if record.provenance.former_labels
        },
        "checkpoint": next((dict(r.provenance.checkpoint) for r in records if r.provenance.checkpoint), {}),
        "text": _texts(records),
        "same_text": [{"seed": seed, "languages": list(languages)} for seed, languages in same_texts_of(records)],
        "parts": [_fold_summary(store, count) for count in store.fold_counts],
        "inner_chunk_words": array.chunk,
        "compressed": array.compressed,
    }


def _texts(records: Iterable[CommitRecord]) -> list[dict[str, Any]]:
    """Return the language, the seed, and the counts of lines and tokens of each text in the records.

    Rows of several densities have the same text, which is returned once.
    """
    texts = {(record.language, record.seed): record.provenance.text for record in records if record.provenance.text}
    return [{"language": language, "seed": seed} | dict(text) for (language, seed), text in texts.items()]


def _fold_summary(store: SubNetworkStore, count: int) -> dict[str, Any]:
    """Return the number of rows that have all of `count` folds, and the size in bytes of all rows in these folds."""
    folds = store.folds(count)
    complete = set(store.keys()).intersection(*(fold.keys() for fold in folds))
    return {
        "count": count,
        "rows": len(complete),
        "bytes": sum(record.bytes for fold in folds for record in fold.records()),
    }
