"""Relabelling of the rows of a language: sub-networks, folds, saved Fisher values and cached counts.

A row cannot be moved within a store. The rows of the old label are therefore read, compared with their records, and
written again under the new label. After that, the rows of the old label are removed. A crash may leave complete rows
under both labels; the same call then finishes the work.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from xsns_stream.errors import LanguageError, StoreError
from xsns_stream.io.tables import listed
from xsns_stream.store.fisher_array import discard_fisher
from xsns_stream.store.format import FisherKey, RowKey, check_language, suggestion
from xsns_stream.store.overlap_cache import overlap_cache
from xsns_stream.store.records import CommitRecord, FisherRecord, read_records
from xsns_stream.types import Provenance

if TYPE_CHECKING:
    from xsns_stream.store.store import SubNetworkStore

Progress = Callable[[int, int], None]
# The largest number of rows that a message names.
_NAMED: Final = 3


@dataclass(frozen=True)
class RelabelResult:
    """The result of relabelling a language.

    Attributes:
        old: The old label; no row has it any more.
        new: The new label.
        rows: Keys of the relabelled sub-networks, with the new label; empty if an earlier call has relabelled all of
            them.
        fisher: Keys of the relabelled Fisher values, with the new label.
        folds: The number of relabelled rows in folds.
    """

    old: str
    new: str
    rows: tuple[RowKey, ...] = ()
    fisher: tuple[FisherKey, ...] = ()
    folds: int = 0


def relabel_rows(store: SubNetworkStore, old: str, new: str, on_progress: Progress | None = None) -> RelabelResult:
    """Give the rows of a language another label; see :meth:`SubNetworkStore.relabel`."""
    check_language(new)
    store.require_writable()
    if old == new:
        raise LanguageError(f"the old and the new label are both '{old}'.", "give another label as the new label.")
    rows = tuple(key for key in store.keys() if key.language == old)  # noqa: SIM118
    fisher = tuple(key for key in store.fisher_keys() if key.language == old)
    folds = tuple(key for count in store.fold_counts for key in store.fold_keys(count) if key.language == old)
    if not (rows or fisher or folds):
        _require_relabelled(store, old, new)
        return RelabelResult(old, new)
    _check_free(store, old, new)
    seeds = sorted({key.seed for key in rows} | {key.seed for key in fisher} | {key.seed for key in folds})
    steps = 2 * (len(rows) + len(fisher) + len(folds))
    done = 0

    def step(_: object) -> None:
        nonlocal done
        done += 1
        if on_progress is not None:
            on_progress(done, steps)

    with ExitStack() as claims:
        for label in (old, new):
            for seed in seeds:
                _claim(claims, store, label, seed)
        # The new rows are written in the order of a build, so that a committed row has its Fisher values and its folds.
        for value in fisher:
            step(_write_fisher(store, value, old, new))
        for fold in folds:
            step(_write_row(store.folds(fold.count)[fold.number - 1], fold.row, new))
        for key in rows:
            step(_write_row(store, key, new))
        for key in rows:
            overlap_cache(store).relabel(old, new, key.seed, key.density)
        # The old rows are removed before their folds, so that a committed row has its folds.
        for key in rows:
            step(store.discard(key.language, key.seed, key.density))
        for value in fisher:
            step(discard_fisher(store.storage, store.layout, value))
        for fold in folds:
            step(store.folds(fold.count)[fold.number - 1].discard(fold.language, fold.seed, fold.density))
    return RelabelResult(
        old,
        new,
        tuple(replace(key, language=new) for key in rows),
        tuple(replace(key, language=new) for key in fisher),
        len(folds),
    )


def _check_free(store: SubNetworkStore, old: str, new: str) -> None:
    """Check that no row has the new label, except for rows that an interrupted call has written.

    Raises:
        LanguageError: Another row has the new label.
    """
    taken: list[str] = []
    for name, within in (("", store), *_named_folds(store)):
        old_rows, new_rows = (_digests(within, label) for label in (old, new))
        both = old_rows.keys() & new_rows.keys()
        # A call writes all rows before it removes the first one.
        interrupted = all(old_rows[key] == new_rows[key] for key in both) and both in (old_rows.keys(), new_rows.keys())
        others = [key for key, former in _former_labels(within, new).items() if former != old]
        taken += [f"{key}{name}" for key in (others if interrupted else _former_labels(within, new))]
    if taken:
        raise LanguageError(
            f"the store '{store.storage}' has a row '{new}' already: {listed(taken, _NAMED)}.",
            f"nothing was changed. Choose another label, or remove that row first: xsns-stream prune "
            f"{store.storage} --lang {new}.",
        )


def _named_folds(store: SubNetworkStore) -> Iterator[tuple[str, SubNetworkStore]]:
    """Yield (phrase that names the fold in error messages, store of the fold) for each fold."""
    for count in store.fold_counts:
        for number, fold in enumerate(store.folds(count), start=1):
            yield f" without part {number} of {count}", fold


def _digests(store: SubNetworkStore, language: str) -> dict[tuple[int, float | None], str]:
    """Return {(seed, density): digest} for the rows of a language; the density of Fisher values is None."""
    return {(record.key.seed, record.key.density): record.sha256 for record in _records(store, language)}


def _former_labels(store: SubNetworkStore, language: str) -> dict[RowKey | FisherKey, str]:
    """Return {row: its former label} for the rows of a language; the label is empty if a row had no other label."""
    return {record.key: "".join(record.provenance.former_labels[-1:]) for record in _records(store, language)}


def _records(store: SubNetworkStore, language: str) -> Iterator[CommitRecord | FisherRecord]:
    """Yield the records of the rows and of the Fisher values of a language."""
    keys = [key for key in store.keys() if key.language == language]  # noqa: SIM118
    yield from (record for record in read_records(store.storage, keys) if record is not None)
    for key in store.fisher_keys():
        record = store.fisher_record(key.language, key.seed) if key.language == language else None
        if record is not None:
            yield record


def _require_relabelled(store: SubNetworkStore, old: str, new: str) -> None:
    """Check that an earlier call has changed the label `old` to `new`; call this if no row has the label `old`.

    Raises:
        LanguageError: No row was relabelled from `old` to `new`: the store never had a row of the language `old`.
    """
    if old not in _former_labels(store, new).values():
        raise LanguageError(
            f"the store '{store.storage}' has no sub-network of '{old}'.", suggestion(old, store.languages)
        )


def _claim(claims: ExitStack, store: SubNetworkStore, language: str, seed: int) -> None:
    """Claim the rows of a language and a seed, so that no build measures them while they are relabelled.

    The claim is added to `claims`, which releases it.

    Raises:
        StoreError: Another process is measuring the rows.
    """
    if not claims.enter_context(store.claimed(language, seed)):
        raise StoreError(
            f"the row '{language}' (seed {seed}) is being measured by another process.",
            "wait until its build has ended.",
        )


def _renamed(provenance: Provenance, old: str) -> Provenance:
    return replace(provenance, former_labels=(*provenance.former_labels, old))


def _write_row(store: SubNetworkStore, key: RowKey, new: str) -> bool:
    """Write a copy of a row under the label `new`; return False if an earlier call has written it."""
    sub = store.read(key.language, key.seed, key.density)
    return store.write(replace(sub, language=new, provenance=_renamed(sub.provenance, key.language)))


def _write_fisher(store: SubNetworkStore, key: FisherKey, old: str, new: str) -> bool:
    """Write a copy of saved Fisher values under the label `new`; return False if an earlier call has written it."""
    values, record = store.fisher_values(key.language, key.seed), store.fisher_record(key.language, key.seed)
    if values is None or record is None:
        raise StoreError(f"{key} is no longer in '{store.storage}'.", "another process removed it; repeat the command.")
    return store.save_fisher(
        replace(values, language=new, provenance=_renamed(values.provenance, old)), record.encoding
    )
