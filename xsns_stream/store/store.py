"""`SubNetworkStore`: open, read, write and describe a store."""

from __future__ import annotations

import tempfile
from collections.abc import Collection, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.store.claims import claimed, remove_left_claims
from xsns_stream.store.fisher_array import KeptKey, folder_of, keep_values, kept_record
from xsns_stream.store.folds import PartKey, announce, check_count, counts_of, part_place, part_provenance
from xsns_stream.store.format import FORMAT, FORMAT_VERSION, METADATA, RowKey
from xsns_stream.store.header import Header
from xsns_stream.store.reader import Mode, StoreReader
from xsns_stream.store.row_array import Compressor, RowArray
from xsns_stream.store.storage.local import LocalPlace, aside, check_unlinked, os_errors, remove_left_aside
from xsns_stream.store.storage.open import Place, open_place
from xsns_stream.store.verify import Finding, Progress, shifted, unfinished_parts, verify_parts, verify_rows
from xsns_stream.store.writer import discard_row, ensure_store, write_row
from xsns_stream.types import DiagonalFisher, ParameterLayout, Provenance, SubNetwork

if TYPE_CHECKING:
    from xsns_stream.store.reader import StoreReader
    from xsns_stream.store.records import CommitRecord


def open_store(
    path: str | Path, mode: Mode = "r", *, compressor: Compressor = "none", sweep: bool = True
) -> SubNetworkStore:
    """Open a store of sub-networks.

    Args:
        path: Its folder, or a URL: `s3://bucket/prefix`, `gs://…`, `az://…`, `memory://name`, `file:///folder`; see
            :func:`xsns_stream.store.storage.open.open_place`.
        mode: `r` reads a store that must exist; `a` adds to a store, which the first write creates where
            there is none; `w-` creates one where there must be none.
        compressor: For a store that is yet to be created, as an existing one keeps its own. `zstd` saves
            space, the more the more selected parameters cluster, and is compared slower: for archives.
        sweep: Whether folders that killed processes left beside the store are removed where it may be written to.

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
    place = open_place(path)
    store = SubNetworkStore(place, mode, compressor, sweep=sweep)
    if mode == "w-" and place.occupied():
        raise StoreError(f"'{path}' exists already.", "choose a new path, or open it with mode 'a' to add to it.")
    if mode != "r" and sweep and place.local is not None:
        remove_left_aside(place.local)
    if mode == "r" or place.occupied():
        store.load()
    else:
        _require_folder(place)
    return store


def _require_folder(place: Place) -> None:
    """Refuse a path where no folder can be made, before hours are spent on what would be written there."""
    if place.local is None:
        return
    parent = next(folder for folder in place.local.absolute().parents if folder.exists())
    if not LocalPlace(parent).writable:
        raise StoreError(
            f"a store cannot be made at '{place}': '{parent}' is not a folder that can be written to.",
            "choose another path, or change the rights of the folder.",
        )


class SubNetworkStore(StoreReader):
    """The sub-networks of one experiment, by language, seed and density.

    Rows that were started and never committed do not exist for a reader. Objects of this class hold no lock
    and no open file, and read what other processes have committed meanwhile. Made by :func:`open_store`.

    >>> store = open_store("experiment.zarr")  # doctest: +SKIP
    >>> store["sw"].density_realised  # doctest: +SKIP
    0.15
    """

    def __init__(self, place: Place, mode: Mode, compressor: Compressor = "none", *, sweep: bool = True) -> None:
        super().__init__(place, mode, compressor)
        self._sweep = sweep
        self._parts: dict[int, tuple[SubNetworkStore, ...]] = {}
        self._announced: set[int] = set()

    # --------------------------------------------------------------------------------------- parts

    @property
    def part_counts(self) -> tuple[int, ...]:
        """Each number of parts that the examples of rows were cut into, in order; empty where none was."""
        return counts_of(self.place)

    def parts(self, count: int) -> tuple[SubNetworkStore, ...]:
        """Return the stores that leave out a part, first to last; one that nothing was written to holds no row.

        Raises:
            UsageError: Examples cannot be cut into so many parts.
        """
        if count not in self._parts:
            places = [part_place(self.place, count, number) for number in range(1, check_count(count) + 1)]
            mode: Mode = "r" if self.mode == "r" else "a"
            for place in places if mode == "a" else ():
                if place.local is not None and self.place.local is not None:
                    check_unlinked(self.place.local, place.local / METADATA)
                    if self._sweep:
                        remove_left_aside(place.local)
            self._parts[count] = tuple(SubNetworkStore(place, mode, self._codec()) for place in places)
        return self._parts[count]

    def has_parts(self, language: str, seed: int, density: float, count: int) -> bool:
        """Return whether a row is committed without each of its parts."""
        return all(part.is_committed(language, seed, density) for part in self.parts(count))

    def part_keys(self, count: int) -> tuple[PartKey, ...]:
        """Return every committed row of every store that leaves out a part."""
        every = [part.keys() for part in self.parts(count)]
        return tuple(PartKey(count, number, key) for number, keys in enumerate(every, 1) for key in keys)

    def write_part(self, sub: SubNetwork, count: int, number: int) -> bool:
        """Write and commit the sub-network of a row's examples without one part of them.

        They are written before their row, so that a committed row that was measured in parts has them.

        Args:
            sub: Measured on the other parts; its provenance is the row's, but for the number of examples.
            count: K, how many parts there are.
            number: Which is left out, from 1.

        Raises:
            IncompatibleError, LanguageError, StoreError, UsageError: As for :meth:`write`.
        """
        self.prepare_parts(Header.of(sub.provenance, sub.layout), (count,))
        part = self.parts(count)[number - 1]
        return part.write(replace(sub, provenance=part_provenance(sub.provenance, count, number)))

    def prepare_parts(self, header: Header, counts: tuple[int, ...]) -> None:
        """See that there is a store whose rows may have so many parts."""
        self._ensure(header, None)
        for count in counts:
            if count not in self._announced:
                announce(self.place, check_count(count))
                self._announced.add(count)

    def _codec(self) -> Compressor:
        """Return how the rows are compressed, or will be."""
        if not self.exists:
            return self._compressor
        return "zstd" if RowArray.open(self.place, self.layout).compressed else "none"

    # ------------------------------------------------------------------------------------- writing

    def check_experiment(self, provenance: Provenance, layout: ParameterLayout) -> None:
        """Check that rows of this experiment may stand in the store, before any of them is computed.

        Raises:
            IncompatibleError: Naming each field that differs, with both values.
        """
        if self.exists:
            self.load().require(Header.of(provenance, layout), self.place)

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
        key = RowKey.checked(sub.language, sub.seed, sub.density)
        self._ensure(Header.of(sub.provenance, sub.layout), key)
        return write_row(self.place, key, sub)

    def claimed(self, language: str, seed: int) -> AbstractContextManager[bool]:
        """Claim a row while the block runs, so that other builds leave its measurement to this process.

        It never waits: the block gets False where another process holds the row. Claims end with the process that
        holds them. On an object store, which has no locks, every claim is granted.

        Raises:
            LanguageError, UsageError: A label that no row can have.
            StoreError: The lock cannot be made.
        """
        return claimed(self.place, language, seed)

    def remove_left_claims(self) -> None:
        """Remove lock files of claims that killed processes left."""
        remove_left_claims(self.place)

    def keep(self, fisher: DiagonalFisher, encoding: str = "float32") -> bool:
        """Keep a row's Fisher values, from which sub-networks of other densities can be made later.

        Args:
            fisher: Its language and the seed of its provenance name the row.
            encoding: `float32`, which keeps them exactly, or `bf16`, which rounds them to the nearest bfloat16 and
                takes half the space. A store has one encoding.

        Returns:
            Whether anything was written.

        Raises:
            IncompatibleError, LanguageError, StoreError, UsageError: As for :meth:`write`; or the store keeps its
                values in another encoding.
        """
        key = KeptKey.checked(fisher.language, fisher.provenance.seed)
        self._ensure(Header.of(fisher.provenance, fisher.layout), None)
        return keep_values(self.place, key, fisher, encoding)

    def discard(self, language: str, seed: int, density: float) -> bool:
        """Take a row away: its commit record first, then its object. Its label stays, so that no row moves.

        Returns:
            Whether there was anything to take away.

        Raises:
            LanguageError, UsageError: A label that no row can have.
            StoreError: Read-only, or the row cannot be removed.
        """
        if self.mode == "r":
            raise StoreError(f"the store '{self.place}' was opened for reading.", "open it with mode 'a'.")
        return discard_row(self.place, self.layout, RowKey.checked(language, seed, density))

    def check_keeping(self) -> None:
        """Check that Fisher values can be kept here, before any is measured.

        Raises:
            StoreError: The store is not in a folder.
        """
        folder_of(self.place)

    @contextmanager
    def scratch(self) -> Iterator[Path]:
        """Give a folder for large files of a build, which is removed at the end.

        It is on the disk where the store is; or among the temporary files, where the store is on no disk.

        Raises:
            StoreError: It cannot be made.
        """
        if self.place.local is not None:
            with os_errors("make a folder beside", self.place), aside(self.place.local) as folder:
                yield folder
            return
        with os_errors("make a folder in", tempfile.gettempdir()):
            made = tempfile.TemporaryDirectory(prefix="xsns-")
        with made as name:
            yield Path(name)

    def _ensure(self, header: Header, key: RowKey | None) -> None:
        """See that there is a store in which such rows may stand."""
        if self.mode == "r":
            raise StoreError(f"the store '{self.place}' was opened for reading.", "open it with mode 'a' to add rows.")
        if not self._ensured:
            may_exist = self.mode != "w-"
            self._header = ensure_store(self.place, header, key, self._compressor, may_exist=may_exist)
            self._ensured = True
        self.load().require(header, self.place)

    # -------------------------------------------------------------------------------------- health

    def unfinished_parts(self) -> tuple[PartKey, ...]:
        """Return parts that are missing while others of the same row are there; building again adds them."""
        return tuple(unfinished_parts(self._every_part()))

    def _every_part(self) -> list[tuple[int, int, SubNetworkStore]]:
        """Return each store that leaves out a part, with its number of parts and which it is."""
        return [(count, k, part) for count in self.part_counts for k, part in enumerate(self.parts(count), 1)]

    def info(self) -> dict[str, Any]:
        """Return what the store holds, as plain JSON values."""
        return summary(self)

    def verify(self, on_progress: Progress | None = None) -> list[Finding]:
        """Read every committed row and compare it with its record.

        Args:
            on_progress: Called with (rows done, rows in all) after each.

        Returns:
            What is wrong, in words; empty for a sound store. A row without a commit record is not wrong but
            unfinished, which :meth:`unfinished` lists; so is one of which parts are missing (:meth:`unfinished_parts`).
        """
        main, parts = self.load(), self._every_part()
        sizes = [len(self.keys()) + len(self.kept_keys()), *(len(part.keys()) for *_, part in parts)]
        progress = shifted(on_progress, sizes)
        findings = verify_rows(RowArray.open(self.place, main.layout), main, next(progress))
        for count, number, part in parts:
            if part.exists:
                found = verify_rows(RowArray.open(part.place, main.layout), part.load(), next(progress))
                findings += [finding.within(count, number) for finding in found]
        return findings + list(verify_parts(self, parts))


#: Groups of languages, and languages of a group, that a message names.
SHOWN: Final = 5


def summary(store: SubNetworkStore) -> dict[str, Any]:
    """Return what a store holds, as plain JSON values."""
    header, records = store.load(), store.records()
    array = RowArray.open(store.place, header.layout)
    kept = [record for key in store.kept_keys() if (record := kept_record(store.place, key)) is not None]
    return {
        "path": str(store.place),
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
        "kept_fisher": sorted({record.encoding for record in kept}),
        "kept_rows": len(kept),
        "kept_bytes": sum(record.bytes for record in kept),
        "reliability": [
            {"language": record.language, "seed": record.seed, "density": record.density}
            | dict(record.provenance.reliability)
            for record in records
            if record.provenance.reliability
        ],
        "text": _texts(records),
        "same_text": [{"seed": seed, "languages": list(languages)} for seed, languages in _same_texts(records)],
        "parts": [_parts(store, count) for count in store.part_counts],
        "inner_chunk_words": array.chunk,
        "compressed": array.compressed,
    }


def _texts(records: Iterable[CommitRecord]) -> list[dict[str, Any]]:
    """Return what the records say of the rows' text, once for each language and seed."""
    found = {(one.language, one.seed): one.provenance.text for one in records if one.provenance.text}
    return [{"language": language, "seed": seed} | dict(text) for (language, seed), text in found.items()]


def same_texts(
    rows: StoreReader, languages: Collection[str] = (), seeds: Collection[int] = ()
) -> list[tuple[int, tuple[str, ...]]]:
    """Return the languages whose rows were measured on the very same examples, as (seed, languages).

    Args:
        rows: The store.
        languages: Of which; all where empty.
        seeds: Of which; all where empty.
    """
    records = (one for one in rows.records() if not languages or one.language in languages)
    return _same_texts(one for one in records if not seeds or one.seed in seeds)


def _same_texts(records: Iterable[CommitRecord]) -> list[tuple[int, tuple[str, ...]]]:
    groups: dict[tuple[int, str], dict[str, None]] = {}
    for one in records:
        # Records of programs that keep no digest hold an empty one.
        if one.provenance.corpus_digest:
            groups.setdefault((one.seed, one.provenance.corpus_digest), {})[one.language] = None
    return [(seed, tuple(languages)) for (seed, _), languages in groups.items() if len(languages) > 1]


def note_on_same_texts(groups: Collection[tuple[int, tuple[str, ...]]]) -> str:
    """Return what follows from languages with the same text, in a sentence; empty where there are none."""
    if not groups:
        return ""
    every = dict.fromkeys(languages for _, languages in groups)
    named = "; ".join(_listed(languages) for languages in list(every)[:SHOWN])
    more = f"; and {len(every) - SHOWN} more groups" if len(every) > SHOWN else ""
    return (
        "rows of different languages were measured on the same text, so that their similarity says nothing of the "
        f"languages: {named}{more}."
    )


def note_on_few_examples(rows: StoreReader, languages: Collection[str] = (), seeds: Collection[int] = ()) -> str:
    """Return which rows were measured on fewer than half of the examples of another row; empty where there are none.

    A sub-network of few examples is less similar to every other, so that its language is ranked too low. Rows that
    stopped once they were stable are left out: they have as many examples as they need.

    Args:
        rows: The store.
        languages: Of which; all where empty.
        seeds: Of which; all where empty.
    """
    examples: dict[str, int] = {}
    for one in rows.records():
        known = one.provenance
        if (languages and one.language not in languages) or (seeds and one.seed not in seeds) or known.stopping:
            continue
        if known.examples:
            examples[one.language] = min(known.examples, examples.get(one.language, known.examples))
    most = max(examples.values(), default=0)
    few = [f"{language} ({number})" for language, number in examples.items() if 2 * number < most]
    if not few:
        return ""
    return (
        f"few examples lower a language's similarity to every other one: {_listed(tuple(few))}, where other languages "
        f"have up to {most}."
    )


def _listed(languages: tuple[str, ...]) -> str:
    more = f" and {len(languages) - SHOWN} more" if len(languages) > SHOWN else ""
    return ", ".join(languages[:SHOWN]) + more


def _parts(store: SubNetworkStore, count: int) -> dict[str, Any]:
    """Return what is known of the rows that were measured in `count` parts."""
    parts = store.parts(count)
    complete = set(store.keys()).intersection(*(part.keys() for part in parts))
    return {
        "count": count,
        "rows": len(complete),
        "bytes": sum(record.bytes for part in parts for record in part.records()),
    }
