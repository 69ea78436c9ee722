"""Copy rows from store to store: into a new store, or several stores into one.

Everything that can be refused is refused before anything is written. A row is checked against its record while it is
read; what was committed on the other side is skipped, so that the same call goes on where an earlier one stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from xsns_stream.errors import IncompatibleError, StoreError, UsageError
from xsns_stream.store.fisher_array import KeptKey, KeptRecord
from xsns_stream.store.folds import PartKey
from xsns_stream.store.format import RowKey
from xsns_stream.store.records import CommitRecord
from xsns_stream.store.store import SubNetworkStore
from xsns_stream.types import WORD_BITS

AnyKey = RowKey | KeptKey
Progress = Callable[[int, int], None]

# Rows in a message, which is one line.
_NAMED: Final = 5


@dataclass(frozen=True)
class Transfer:
    """What came of copying or merging.

    Attributes:
        written: Rows, and rows of Fisher values, that were written and committed.
        skipped: Those that were there already, with the same content.
        failed: Those that could not be read from their source, and why; nothing was written for them.
        words_bytes: Size of the bits of all rows that are in the target now, as plain words.
        source_bytes: Size of the objects of the same rows in their sources.
        target_bytes: Size of their objects in the target.
        kept_bytes: Size of the objects of kept Fisher values that were written.
        parts_written: Rows of parts that were written and committed.
        parts_skipped: Those that were there already.
    """

    written: tuple[AnyKey, ...]
    skipped: tuple[AnyKey, ...]
    failed: Mapping[AnyKey | PartKey, StoreError]
    words_bytes: int
    source_bytes: int
    target_bytes: int
    kept_bytes: int
    parts_written: int = 0
    parts_skipped: int = 0


@dataclass(frozen=True)
class _Item:
    source: SubNetworkStore
    record: CommitRecord | KeptRecord

    @property
    def key(self) -> AnyKey:
        return self.record.key


@dataclass
class _Plan:
    """What is to be copied into one store, each row once, and what cannot be.

    Attributes:
        target: The store.
        part: Of a part's store: how many parts there are, and which it is.
        items: What is to be there in the end.
        there: What is there already.
        written: What was written by now.
        failed: What could not be read.
    """

    target: SubNetworkStore
    part: tuple[int, int] | None = None
    items: dict[AnyKey, _Item] = field(default_factory=dict)
    there: list[AnyKey] = field(default_factory=list)
    written: list[AnyKey] = field(default_factory=list)
    failed: dict[AnyKey | PartKey, StoreError] = field(default_factory=dict)

    @property
    def todo(self) -> list[_Item]:
        """The items in order. Values first: a store never has a row whose values were kept and are still to come."""
        return sorted(self.items.values(), key=lambda item: isinstance(item.record, CommitRecord))

    def run(self, item: _Item) -> None:
        """Copy one item."""
        if item.key in self.there:
            return
        try:
            put = _reader(item)
        except StoreError as error:
            self.failed[item.key] = error
        else:
            (self.written if put(self.target) else self.there).append(item.key)


def copy_rows(
    source: SubNetworkStore,
    target: SubNetworkStore,
    rows: Iterable[RowKey] | None = None,
    *,
    kept: Iterable[KeptKey] = (),
    on_progress: Progress | None = None,
) -> Transfer:
    """Copy rows of one store into another, which the first row creates where there is none.

    Args:
        source: Where they are.
        target: Opened with mode `a` or `w-`; its compressor is that of the copy.
        rows: Which; all by default.
        kept: Which rows of kept Fisher values go along.
        on_progress: Called with (rows done, rows in all) after each.

    Returns:
        What was written, skipped, and damaged in the source.

    Raises:
        IncompatibleError: The target holds another experiment, or Fisher values in another encoding.
        LanguageError, StoreError: A row is not in the source; or the target has it with other bits, or cannot be
            written to.
        UsageError: One of the stores lies within the other.
    """
    return _transfer(target, [(source, None if rows is None else tuple(rows), tuple(kept))], on_progress)


def merge_stores(
    target: SubNetworkStore,
    sources: Sequence[SubNetworkStore],
    *,
    with_fisher: bool = False,
    on_progress: Progress | None = None,
) -> Transfer:
    """Bring the rows of several stores of one experiment together.

    Args:
        target: Opened with mode `a`; created like the first source where there is none.
        sources: In order; a row that several of them have is taken from the first.
        with_fisher: Whether kept Fisher values go along.
        on_progress: Called with (rows done, rows in all) after each.

    Returns:
        What was written, skipped, and damaged in its source.

    Raises:
        IncompatibleError: A store is of another experiment or layout; each field that differs is named.
        StoreError: Two of the stores have a row with different bits; or the target cannot be written to.
        UsageError: One of the stores lies within another.
    """
    parts = [(source, None, source.kept_keys() if with_fisher else ()) for source in sources]
    return _transfer(target, parts, on_progress)


_Part = tuple[SubNetworkStore, Sequence[RowKey] | None, Sequence[KeptKey]]


def _transfer(target: SubNetworkStore, parts: Sequence[_Part], on_progress: Progress | None) -> Transfer:
    """Plan, refuse what must be refused, then write row by row: parts before the rows whose parts they are."""
    sources = [source for source, _, _ in parts]
    _require_apart(target, sources)
    _require_one_experiment(target, sources)
    plan = _plan(target, parts)
    _require_one_encoding(target, plan)
    plans = [*_plans_of_parts(target, parts), plan]
    if len(plans) > 1:
        # The store itself must be there before the stores within it.
        target.prepare_parts(sources[0].load(), tuple(dict.fromkeys(of.part[0] for of in plans if of.part)))
    todo = [(of, item) for of in plans for item in of.todo]
    for done, (of, item) in enumerate(todo, start=1):
        of.run(item)
        if on_progress is not None:
            on_progress(done, len(todo))
    return _summary(target, plan, plans[:-1])


def _plans_of_parts(target: SubNetworkStore, parts: Sequence[_Part]) -> list[_Plan]:
    """Plan the copies of parts of the rows that are copied.

    Raises:
        IncompatibleError, StoreError: As for the rows.
    """
    counts = sorted({count for source, _, _ in parts for count in source.part_counts})
    plans = []
    for count in counts:
        for number, own in enumerate(target.parts(count), start=1):
            within: list[_Part] = []
            for source, rows, _ in parts:
                chosen, store = set(source.keys() if rows is None else rows), source.parts(count)[number - 1]
                if there := [key for key in store.keys() if key in chosen]:  # noqa: SIM118
                    within.append((store, there, ()))
            if within:
                _require_one_experiment(own, [store for store, _, _ in within])
                plan = _plan(own, within)
                plan.part = count, number
                plans.append(plan)
    return plans


def _reader(item: _Item) -> Callable[[SubNetworkStore], bool]:
    """Read one row and return what writes it, so that errors of reading and of writing are told apart.

    Raises:
        StoreError: The row is not what its record says.
    """
    record = item.record
    if isinstance(record, CommitRecord):
        sub = item.source.read(record.language, record.seed, record.density)
        return lambda target: target.write(sub)
    fisher = item.source.kept(record.key.language, record.key.seed)
    if fisher is None:
        raise StoreError(f"{record.key} is not in '{item.source.place}' any more.", "somebody dropped it meanwhile.")
    return lambda target: target.keep(fisher, record.encoding)


# ------------------------------------------------------------------------------------------- planning


def _plan(target: SubNetworkStore, parts: Sequence[_Part]) -> _Plan:
    """Find out what is where.

    Raises:
        LanguageError, StoreError: A row is not in its source; or two stores have it with different content.
    """
    plan, conflicts = _Plan(target), []
    there = {record.key: record.sha256 for record in _all_records(target)} if target.exists else {}
    for source, rows, kept in parts:
        for record in _records(source, rows, kept, plan.failed):
            first = plan.items.setdefault(record.key, _Item(source, record))
            for other, digest in ((target, there.get(record.key)), (first.source, first.record.sha256)):
                if digest is not None and digest != record.sha256:
                    conflicts.append((record.key, source, other))
                    break
    plan.there.extend(key for key in plan.items if key in there)
    # A record that one source has damaged may be whole in another.
    plan.failed = {key: error for key, error in plan.failed.items() if key not in plan.items}
    if conflicts:
        told = [f"{key} of '{source.place}' and of '{other.place}'" for key, source, other in conflicts[:_NAMED]]
        more = f", and {len(conflicts) - _NAMED} more" if len(conflicts) > _NAMED else ""
        raise StoreError(
            f"rows of the same name hold different bits: {'; '.join(told)}{more}.",
            "nothing was written: prune the rows that are wrong, or copy to another store.",
        )
    return plan


def _records(
    source: SubNetworkStore,
    rows: Iterable[RowKey] | None,
    kept: Sequence[KeptKey],
    failed: dict[AnyKey | PartKey, StoreError],
) -> Iterator[CommitRecord | KeptRecord]:
    """Yield the records of what is to be copied; those that cannot be used go to `failed`.

    Raises:
        LanguageError, StoreError: A row is not there.
    """
    header, there = source.load(), source.keys()
    keys = there if rows is None else tuple(rows)
    for key in set(keys) - set(there):
        # Its error says what there is instead.
        source.record(key.language, key.seed, key.density)
    try:
        known: dict[AnyKey, CommitRecord] = {record.key: record for record in source.records()}
    except StoreError:
        # One of them is damaged: the others are still worth having.
        known = {}
    wanted: tuple[AnyKey, ...] = (*kept, *keys)
    for name in wanted:
        try:
            record = known.get(name) or _record(source, name)
            other = header.experiment_differences(record.provenance.experiment())
            if other:
                raise StoreError(f"the row {name} is of another experiment: {'; '.join(other)}.", "run verify.")
            yield record
        except StoreError as error:
            failed[name] = error


def _record(source: SubNetworkStore, key: AnyKey) -> CommitRecord | KeptRecord:
    if isinstance(key, RowKey):
        return source.record(key.language, key.seed, key.density)
    record = source.kept_record(key.language, key.seed)
    if record is None:
        raise StoreError(f"the store '{source.place}' has no {key}.", "leave it out.")
    return record


def _all_records(store: SubNetworkStore) -> Iterator[CommitRecord | KeptRecord]:
    yield from store.records()
    yield from _kept_records(store)


def _kept_records(store: SubNetworkStore) -> Iterator[KeptRecord]:
    for key in store.kept_keys():
        record = store.kept_record(key.language, key.seed)
        if record is not None:
            yield record


def _require_apart(target: SubNetworkStore, sources: Sequence[SubNetworkStore]) -> None:
    """Refuse a store within another: whoever copies or drops the outer one would take the inner one along."""
    for source in sources:
        inner, outer = sorted((target.place.url, source.place.url), key=len, reverse=True)
        if inner.startswith(f"{outer.rstrip('/')}/"):
            raise UsageError(
                f"'{target.place}' and '{source.place}' lie within one another.", "copy to a place beside the store."
            )


def _require_one_experiment(target: SubNetworkStore, sources: Sequence[SubNetworkStore]) -> None:
    """Compare every source with the target, or with the first where the target is yet to be made."""
    reference = target if target.exists else sources[0]
    for source in sources:
        found = reference.load().differences(source.load())
        if found:
            raise IncompatibleError(
                f"'{source.place}' does not fit the store '{reference.place}': {'; '.join(found)}.",
                "nothing was written: one store is one experiment.",
            )


def _require_one_encoding(target: SubNetworkStore, plan: _Plan) -> None:
    """Refuse Fisher values in two encodings: an array has one."""
    found = {item.record.encoding: item.source for item in plan.items.values() if isinstance(item.record, KeptRecord)}
    if found and target.exists:
        # All of a store are alike, so that the first will do.
        found |= {record.encoding: target for record in list(_kept_records(target))[:1]}
    if len(found) > 1:
        told = " and ".join(f"as {encoding} in '{store.place}'" for encoding, store in found.items())
        raise IncompatibleError(
            f"Fisher values are kept {told}.",
            "nothing was written: a store has one encoding; leave the values behind, or merge to two stores.",
        )


def _summary(target: SubNetworkStore, plan: _Plan, of_parts: Sequence[_Plan]) -> Transfer:
    rows = [key for key in (*plan.written, *plan.there) if isinstance(key, RowKey)]
    kept = [key for key in plan.written if isinstance(key, KeptKey)]
    words = -(-target.layout.size // WORD_BITS) if rows else 0
    now = {record.key: record.bytes for record in target.records()} if rows else {}
    failed: dict[AnyKey | PartKey, StoreError] = {**plan.failed}
    for of in of_parts:
        failed |= {
            PartKey(*of.part, key): error for key, error in of.failed.items() if of.part and isinstance(key, RowKey)
        }
    return Transfer(
        written=tuple(plan.written),
        skipped=tuple(plan.there),
        failed=failed,
        words_bytes=words * (WORD_BITS // 8) * len(rows),
        source_bytes=sum(plan.items[key].record.bytes for key in rows),
        target_bytes=sum(now[key] for key in rows),
        kept_bytes=sum(plan.items[key].record.bytes for key in kept),
        parts_written=sum(len(of.written) for of in of_parts),
        parts_skipped=sum(len(of.there) for of in of_parts),
    )
