"""Open, read and write a store."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from xsns_stream.errors import StoreError, UsageError
from xsns_stream.store.array import RowArray
from xsns_stream.store.array_document import Compressor
from xsns_stream.store.files import aside, os_errors, remove_left_aside
from xsns_stream.store.format import RowKey
from xsns_stream.store.header import Header
from xsns_stream.store.kept import KeptKey, folder_of, keep_values
from xsns_stream.store.local import LocalPlace
from xsns_stream.store.place import Place, open_place
from xsns_stream.store.reader import Mode, StoreReader
from xsns_stream.store.verify import Finding, Progress, verify_rows
from xsns_stream.store.writing import discard_row, ensure_store, write_row
from xsns_stream.types import DiagonalFisher, ParameterLayout, Provenance, SubNetwork


def open_store(path: str | Path, mode: Mode = "r", *, compressor: Compressor = "none") -> SubNetworkStore:
    """Open a store of sub-networks.

    Args:
        path: Its folder, or a URL: `s3://bucket/prefix`, `gs://…`, `az://…`, `memory://name`, `file:///folder`; see
            :func:`xsns_stream.store.place.open_place`.
        mode: `r` reads a store that must exist; `a` adds to a store, which the first write creates where
            there is none; `w-` creates one where there must be none.
        compressor: For a store that is yet to be created, as an existing one keeps its own. `zstd` saves
            space, the more the more selected parameters cluster, and is compared slower: for archives.

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
    store = SubNetworkStore(place, mode, compressor)
    if mode == "w-" and place.occupied():
        raise StoreError(f"'{path}' exists already.", "choose a new path, or open it with mode 'a' to add to it.")
    if mode != "r" and place.local is not None:
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

    def verify(self, on_progress: Progress | None = None) -> list[Finding]:
        """Read every committed row and compare it with its record.

        Args:
            on_progress: Called with (rows done, rows in all) after each.

        Returns:
            What is wrong, in words; empty for a sound store. A row without a commit record is not wrong but
            unfinished, which :meth:`unfinished` lists.
        """
        return verify_rows(RowArray.open(self.place, self.layout), self.load(), on_progress)
