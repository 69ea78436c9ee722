"""Copying of rows into another store, and merging of several stores.

The target is the store that is written to; the sources are the stores that are read. All stores are checked before
anything is written. Each row is compared with its commit record when it is read. Rows that the target contains already
are skipped. If a call was interrupted, the same call can therefore be repeated to copy the remaining rows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from xsns_stream.errors import IncompatibleError, StoreError, UsageError
from xsns_stream.store.format import FisherKey, FoldKey, RowKey
from xsns_stream.store.records import CommitRecord, FisherRecord
from xsns_stream.store.store import SubNetworkStore
from xsns_stream.types import WORD_BITS

AnyKey = RowKey | FisherKey
Progress = Callable[[int, int], None]

# The largest number of rows that a message names.
_NAMED: Final = 5


@dataclass(frozen=True)
class CopyResult:
    """The result of copying or merging.

    Attributes:
        written: Keys of the sub-networks and of the Fisher values that were copied and committed.
        skipped: Keys of the rows that the target already contained with the same content.
        failed: {key of a row that could not be read from its source: the error}; such a row is not written.
        words_bytes: Uncompressed size in bytes of the written and the skipped sub-networks.
        source_bytes: Size in bytes of the objects of these sub-networks in the source stores.
        target_bytes: Size in bytes of the objects of these sub-networks in the target.
        fisher_bytes: Size in bytes of the objects of the written Fisher values.
        folds_written: Number of rows without one fold that were written and committed.
        folds_skipped: Number of rows without one fold that the target contained already.
    """

    written: tuple[AnyKey, ...]
    skipped: tuple[AnyKey, ...]
    failed: Mapping[AnyKey | FoldKey, StoreError]
    words_bytes: int
    source_bytes: int
    target_bytes: int
    fisher_bytes: int
    folds_written: int = 0
    folds_skipped: int = 0


class _Source(NamedTuple):
    """A source store and the rows to copy from it.

    Attributes:
        store: The store.
        rows: The rows; None for all rows.
        fisher: The rows of Fisher values to copy.
    """

    store: SubNetworkStore
    rows: Sequence[RowKey] | None
    fisher: Sequence[FisherKey] = ()


@dataclass(frozen=True)
class _Item:
    source: SubNetworkStore
    record: CommitRecord | FisherRecord

    @property
    def key(self) -> AnyKey:
        return self.record.key


@dataclass
class _Plan:
    """The plan and the progress of a copy into one store. The plan contains each row once.

    Attributes:
        target: The target store.
        fold: The number of folds, and the fold that the target leaves out; None for a whole store.
        items: {key of a row: source and commit record} of the rows that the target will contain after the copy.
        present: Keys of the rows that the target already contained.
        written: Keys of the rows that were written so far.
        failed: {key of a row that could not be read: the error}.
    """

    target: SubNetworkStore
    fold: tuple[int, int] | None = None
    items: dict[AnyKey, _Item] = field(default_factory=dict)
    present: list[AnyKey] = field(default_factory=list)
    written: list[AnyKey] = field(default_factory=list)
    failed: dict[AnyKey | FoldKey, StoreError] = field(default_factory=dict)

    @property
    def todo(self) -> list[_Item]:
        """The rows to copy: first Fisher values, then sub-networks.

        A sub-network is therefore committed only after its Fisher values.
        """
        return sorted(self.items.values(), key=lambda item: isinstance(item.record, CommitRecord))

    def run(self, item: _Item) -> None:
        """Copy one row into the target, unless the target contains it, and record the outcome in the plan."""
        if item.key in self.present:
            return
        try:
            put = _read_item(item)
        except StoreError as error:
            self.failed[item.key] = error
        else:
            (self.written if put(self.target) else self.present).append(item.key)


def copy_rows(
    source: SubNetworkStore,
    target: SubNetworkStore,
    rows: Iterable[RowKey] | None = None,
    *,
    fisher: Iterable[FisherKey] = (),
    on_progress: Progress | None = None,
) -> CopyResult:
    """Copy rows of one store into another; create the target with the first row if it does not exist.

    Args:
        source: The store to read.
        target: The store to write, opened with mode `a` or `w-`. Copied rows are compressed with its compressor.
        rows: The rows to copy; all rows by default.
        fisher: The rows of Fisher values to copy; none by default.
        on_progress: Called with (rows done, total rows) after each row.

    Returns:
        The rows that were written, the rows that were skipped, and the rows that are damaged in the source.

    Raises:
        IncompatibleError: The target contains another experiment, or Fisher values in another encoding.
        LanguageError, StoreError: The source does not contain a requested row; the target contains a row with other
            bits; or the target cannot be written to.
        UsageError: One of the stores is within the other.
    """
    wanted = _Source(source, None if rows is None else tuple(rows), tuple(fisher))
    return _copy(target, [wanted], on_progress)


def merge_stores(
    target: SubNetworkStore,
    sources: Sequence[SubNetworkStore],
    *,
    with_fisher: bool = False,
    on_progress: Progress | None = None,
) -> CopyResult:
    """Copy the rows of several stores into one store; all stores must contain the same experiment.

    Args:
        target: The store to write, opened with mode `a`. If it does not exist, it is created with the
            experiment and the layout of the first source.
        sources: The stores to read. If several stores contain a row, the row is read from the first of them.
        with_fisher: Whether saved Fisher values are also copied.
        on_progress: Called with (rows done, total rows) after each row.

    Returns:
        The rows that were written, the rows that were skipped, and the rows that are damaged in their source.

    Raises:
        IncompatibleError: A store has another experiment or layout; the message names each field that differs.
        StoreError: Two of the stores contain a row with different bits; or the target cannot be written to.
        UsageError: One of the stores is within another.
    """
    wanted = [_Source(source, None, source.fisher_keys() if with_fisher else ()) for source in sources]
    return _copy(target, wanted, on_progress)


def _copy(target: SubNetworkStore, wanted: Sequence[_Source], on_progress: Progress | None) -> CopyResult:
    """Plan the copy, check all stores, then copy row by row. The folds of a row are copied before the row."""
    stores = [source.store for source in wanted]
    _require_apart(target, stores)
    _require_one_experiment(target, stores)
    plan = _plan(target, wanted)
    _require_one_encoding(target, plan)
    plans = [*_plans_of_folds(target, wanted), plan]
    if len(plans) > 1:
        # The store must exist before the stores of its folds, which are within it.
        target.prepare_folds(stores[0].load(), tuple(dict.fromkeys(each.fold[0] for each in plans if each.fold)))
    todo = [(own_plan, item) for own_plan in plans for item in own_plan.todo]
    for done, (own_plan, item) in enumerate(todo, start=1):
        own_plan.run(item)
        if on_progress is not None:
            on_progress(done, len(todo))
    return _result(target, plan, plans[:-1])


def _plans_of_folds(target: SubNetworkStore, wanted: Sequence[_Source]) -> list[_Plan]:
    """Return one plan for each fold of which `wanted` contains rows; a plan copies the rows that leave out the fold.

    Raises:
        IncompatibleError: A source has another experiment than the target.
        StoreError: Two stores contain a row with different bits.
    """
    counts = sorted({count for source in wanted for count in source.store.fold_counts})
    plans = []
    for count in counts:
        for number, own in enumerate(target.folds(count), start=1):
            within: list[_Source] = []
            for source in wanted:
                chosen = set(source.store.keys() if source.rows is None else source.rows)
                fold = source.store.folds(count)[number - 1]
                if there := [key for key in fold.keys() if key in chosen]:  # noqa: SIM118
                    within.append(_Source(fold, there))
            if within:
                _require_one_experiment(own, [source.store for source in within])
                plan = _plan(own, within)
                plan.fold = count, number
                plans.append(plan)
    return plans


def _read_item(item: _Item) -> Callable[[SubNetworkStore], bool]:
    """Read one row from its source, and return a function that writes it to a given store.

    The function returns False if the store contained the row before. Reading and writing are two steps, so that the
    caller can distinguish an error of reading from an error of writing.

    Raises:
        StoreError: The row cannot be read, or does not match its record.
    """
    record = item.record
    if isinstance(record, CommitRecord):
        sub = item.source.read(record.language, record.seed, record.density)
        return lambda target: target.write(sub)
    fisher = item.source.fisher_values(record.key.language, record.key.seed)
    if fisher is None:
        raise StoreError(
            f"{record.key} is no longer in '{item.source.storage}'.", "another process removed it; repeat the command."
        )
    return lambda target: target.save_fisher(fisher, record.encoding)


# ------------------------------------------------------------------------------------------- planning


def _plan(target: SubNetworkStore, wanted: Sequence[_Source]) -> _Plan:
    """Return the plan of a copy into `target`; each row is copied from the first source that contains it.

    Raises:
        LanguageError, StoreError: A source does not contain a requested row; or two stores contain a row with different
            content.
    """
    plan, conflicts = _Plan(target), []
    there = {record.key: record.sha256 for record in _all_records(target)} if target.exists else {}
    for source in wanted:
        for record in _records(source, plan.failed):
            first = plan.items.setdefault(record.key, _Item(source.store, record))
            for other, digest in ((target, there.get(record.key)), (first.source, first.record.sha256)):
                if digest is not None and digest != record.sha256:
                    conflicts.append((record.key, source.store, other))
                    break
    plan.present.extend(key for key in plan.items if key in there)
    # A record that is damaged in one source may be valid in another.
    plan.failed = {key: error for key, error in plan.failed.items() if key not in plan.items}
    if conflicts:
        named = [f"{key} in '{store.storage}' and '{other.storage}'" for key, store, other in conflicts[:_NAMED]]
        more = f", and {len(conflicts) - _NAMED} more" if len(conflicts) > _NAMED else ""
        raise StoreError(
            f"two stores contain the same row with different bits: {'; '.join(named)}{more}.",
            "nothing was written: remove the wrong row with `xsns-stream prune`, or copy to another store.",
        )
    return plan


def _records(source: _Source, failed: dict[AnyKey | FoldKey, StoreError]) -> Iterator[CommitRecord | FisherRecord]:
    """Yield the commit records of the rows to copy from one source.

    A row whose record is damaged or has another experiment is left out, and is added to `failed` with its error.

    Raises:
        LanguageError, StoreError: The source does not contain a requested row.
    """
    store = source.store
    header, there = store.load(), store.keys()
    keys = there if source.rows is None else tuple(source.rows)
    for key in set(keys) - set(there):
        # This raises an error whose hint lists the rows that exist.
        store.record(key.language, key.seed, key.density)
    try:
        known: dict[AnyKey, CommitRecord] = {record.key: record for record in store.records()}
    except StoreError:
        # One of the records is damaged; the others are read one by one.
        known = {}
    wanted: tuple[AnyKey, ...] = (*source.fisher, *keys)
    for name in wanted:
        try:
            record = known.get(name) or _record(store, name)
            different = header.experiment_differences(record.provenance.experiment(), other_place="in the row")
            if different:
                raise StoreError(
                    f"the row {name} belongs to another experiment: {'; '.join(different)}.",
                    f"run `xsns-stream verify --store {store.storage}`.",
                )
            yield record
        except StoreError as error:
            failed[name] = error


def _record(store: SubNetworkStore, key: AnyKey) -> CommitRecord | FisherRecord:
    if isinstance(key, RowKey):
        return store.record(key.language, key.seed, key.density)
    record = store.fisher_record(key.language, key.seed)
    if record is None:
        raise StoreError(f"the store '{store.storage}' has no row {key}.", "omit this row.")
    return record


def _all_records(store: SubNetworkStore) -> Iterator[CommitRecord | FisherRecord]:
    yield from store.records()
    yield from _fisher_records(store)


def _fisher_records(store: SubNetworkStore) -> Iterator[FisherRecord]:
    for key in store.fisher_keys():
        record = store.fisher_record(key.language, key.seed)
        if record is not None:
            yield record


def _require_apart(target: SubNetworkStore, sources: Sequence[SubNetworkStore]) -> None:
    """Raise an error if the folder of one store is inside the folder of another."""
    for source in sources:
        inner, outer = sorted((target.storage.url, source.storage.url), key=len, reverse=True)
        if inner.startswith(f"{outer.rstrip('/')}/"):
            raise UsageError(
                f"one of the stores '{target.storage}' and '{source.storage}' is within the other.",
                "choose a path outside of the other store.",
            )


def _require_one_experiment(target: SubNetworkStore, sources: Sequence[SubNetworkStore]) -> None:
    """Raise an error if the stores contain different experiments.

    Each source is compared with the target, or with the first source if the target does not exist yet.
    """
    reference = target if target.exists else sources[0]
    for source in sources:
        places = f"in '{reference.storage}'", f"in '{source.storage}'"
        different = reference.load().differences(source.load(), *places)
        if different:
            raise IncompatibleError(
                f"the stores contain different experiments: {'; '.join(different)}.",
                "nothing was written: one store contains one experiment.",
            )


def _require_one_encoding(target: SubNetworkStore, plan: _Plan) -> None:
    """Raise an error if the Fisher values of the sources and of the target have different encodings.

    The Fisher values of a store are one array, which can have only one encoding.
    """
    encodings = {
        item.record.encoding: item.source for item in plan.items.values() if isinstance(item.record, FisherRecord)
    }
    if encodings and target.exists:
        # All rows of a store have one encoding; the first record is therefore enough.
        encodings |= {record.encoding: target for record in list(_fisher_records(target))[:1]}
    if len(encodings) > 1:
        named = " and ".join(f"as {encoding} in '{store.storage}'" for encoding, store in encodings.items())
        raise IncompatibleError(
            f"Fisher values are saved {named}.",
            "nothing was written, because a store has one encoding. Omit the Fisher values, or merge into two stores.",
        )


def _result(target: SubNetworkStore, plan: _Plan, of_folds: Sequence[_Plan]) -> CopyResult:
    rows = [key for key in (*plan.written, *plan.present) if isinstance(key, RowKey)]
    fisher = [key for key in plan.written if isinstance(key, FisherKey)]
    words = -(-target.layout.size // WORD_BITS) if rows else 0
    now = {record.key: record.bytes for record in target.records()} if rows else {}
    failed: dict[AnyKey | FoldKey, StoreError] = {**plan.failed}
    for each in of_folds:
        failed |= {
            FoldKey(*each.fold, key): error
            for key, error in each.failed.items()
            if each.fold and isinstance(key, RowKey)
        }
    return CopyResult(
        written=tuple(plan.written),
        skipped=tuple(plan.present),
        failed=failed,
        words_bytes=words * (WORD_BITS // 8) * len(rows),
        source_bytes=sum(plan.items[key].record.bytes for key in rows),
        target_bytes=sum(now[key] for key in rows),
        fisher_bytes=sum(plan.items[key].record.bytes for key in fisher),
        folds_written=sum(len(each.written) for each in of_folds),
        folds_skipped=sum(len(each.present) for each in of_folds),
    )
