"""Overlap counts on a Dask cluster: each worker opens the store, and counts overlaps in ranges of columns.

The client adds the counts of each range as they arrive. For L languages, a range of w words is L² · w / 2 pairs of
words, and its result has L² integers. The ratio of work to result therefore does not depend on L. For 65,536 words and
282 languages, a thread counts for 0.45 s, and the client receives 0.6 MB and adds them in 1 to 2 ms. A tree reduction
on the workers would therefore save time only if there were hundreds of workers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Final

import numpy as np

from xsns_stream.errors import LanguageError, StoreError, UsageError, XsnsError
from xsns_stream.io.free_memory import free_memory_here
from xsns_stream.pipeline.cluster import Attempt, WorkDoneBy, run_on_cluster
from xsns_stream.pipeline.cluster_clients import AUTO, Workers, automatic_workers
from xsns_stream.pipeline.events import Noted, OnReadEvent
from xsns_stream.pipeline.jobs import Job, Session
from xsns_stream.similarity.groups import Groups, groups_of
from xsns_stream.similarity.row_counts import CountedHere, Device, RowCount
from xsns_stream.similarity.selection import Progress, RowSource
from xsns_stream.similarity.streaming import Picked
from xsns_stream.store import RowKey, SubNetworkStore, open_store
from xsns_stream.store.columns import open_columns
from xsns_stream.store.records import CommitRecord
from xsns_stream.store.row_array import RowArray
from xsns_stream.store.verify import refuse_damaged
from xsns_stream.types import Counts, ParameterLayout, words_for

if TYPE_CHECKING:
    from distributed import Client

    from xsns_kernels.columns import Columns, Segment

#: Smallest number of compared bytes (pairs of rows times bytes of a row) for which `--workers auto` starts workers. For
#: fewer bytes, this process counts faster with one thread for each core, because it need not start other processes.
WORKERS_PAY_FROM: Final = 10 * 10**12
#: Smallest work of a range in pairs of words, about 0.1 s of one thread; submitting a range takes much less time.
_LEAST_WORK: Final = 600_000_000
#: Number of pairs of words that are counted in the time in which one word is read.
_READING: Final = 20
#: Number of ranges for each thread of the cluster: several, so that no worker waits long for the last ranges.
_RANGES_PER_THREAD: Final = 8
#: Assumed number of threads of a cluster whose workers have not started yet.
_ASSUMED_THREADS: Final = 16
#: Number of rows in an item that compares rows with their records.
_ROWS_AT_ONCE: Final = 4
#: Memory in bytes of a Python process that has imported the libraries for counting, including its buffers.
_COUNTING_BYTES: Final = 350_000_000
#: Modules that local workers import; PyTorch is not among them.
_MODULES: Final = (
    "distributed",
    "xsns_kernels._blocks",
    "xsns_stream.pipeline.cluster_counts",
    "xsns_stream.pipeline.cluster_worker",
)
_SAME_STORE: Final = (
    "give every worker the same store under the same name, such as a folder on a shared disk or an object store, "
    "with its credentials in the environment of every worker."
)


@dataclass(frozen=True)
class ColumnRange:
    """A range of columns of the matrix of rows, in words of 64 bits.

    Attributes:
        start: Index of the first word.
        stop: Index after the last word.
    """

    start: int
    stop: int


@dataclass(frozen=True)
class PartialCounts:
    """Overlap counts of one range of columns.

    Attributes:
        groups: Indices of the parameter groups that have bits in the range.
        counts: Arrays of counts; the index on the first axis is the position in `groups`.
    """

    groups: tuple[int, ...]
    counts: tuple[Counts, ...]


@dataclass(frozen=True)
class CountJob(Job[ColumnRange, PartialCounts]):
    """The counting of overlaps, as a job that is sent to workers.

    Attributes:
        store: Absolute path or URL of the store.
        rows: The rows, and which of their overlaps are counted.
        seed: Seed of the rows.
        density: Density of the rows.
        digests: SHA-256 of each row, as the client reads it from the commit records.
        layout: Digest of the parameter layout that the client reads from the store.
        by: `layer`, `module` or `tensor` to count each group separately; None to count all parameters together.
        device: Device on which overlaps are counted.
    """

    store: str
    rows: RowCount
    seed: int
    density: float
    digests: tuple[str, ...]
    layout: str
    by: str | None
    device: str

    uses_threads: ClassVar[bool] = True

    def name(self, item: ColumnRange) -> str:
        """Return a phrase that names a range by its first and its last word."""
        return f"the words {item.start:,} to {item.stop:,} of all rows"

    def size(self, item: ColumnRange) -> float:
        """Return the number of words of a range."""
        return float(item.stop - item.start)

    def open(self) -> CountSession:
        """Open the store on a worker.

        Raises:
            StoreError: The worker cannot open the store, or reads other rows than the client.
        """
        try:
            store = open_store(self.store)
            layout = store.layout
            array, records = store.records_at(self.rows.languages, self.seed, self.density)
        except (StoreError, LanguageError) as error:
            raise StoreError(
                f"a worker cannot read the rows of '{self.store}': {error.message}", _SAME_STORE
            ) from error
        if layout.digest != self.layout or _digests(records) != self.digests:
            raise StoreError(
                f"a worker reads other rows from '{self.store}' than the process that started the work.", _SAME_STORE
            )
        return CountSession(self, layout, array, records)


class CountSession(Session[ColumnRange, PartialCounts]):
    """The counting of overlaps on one worker, with the open store."""

    def __init__(
        self, job: CountJob, layout: ParameterLayout, array: RowArray, records: Sequence[CommitRecord]
    ) -> None:
        self.job, self.array, self.records = job, array, records
        self.groups = None if job.by is None else groups_of(layout, job.by)
        # Files stay open until the session ends.
        self.opened = ExitStack()

    def run(self, item: ColumnRange, attempt: int) -> PartialCounts:
        """Count the overlaps in a range of columns."""
        job, segments = self.job, None
        groups: tuple[int, ...] = (0,)
        if self.groups is not None:
            groups, segments = segments_within(self.groups, item)
        with self._columns(item) as columns:
            return PartialCounts(groups, job.rows.count(columns, segments, len(groups), None, self._device))

    @contextmanager
    def _columns(self, item: ColumnRange) -> Iterator[Columns]:
        """Open a range of columns; if the rows are not plain files, only this range of each row is copied."""
        words = (item.start, item.stop)
        if self.array.plain_files:
            yield Picked(self._files, [words])
        else:
            with open_columns(self.array, self.records, words) as columns:
                yield columns

    @cached_property
    def _files(self) -> Columns:
        return self.opened.enter_context(open_columns(self.array, self.records))

    @cached_property
    def _device(self) -> Device:
        from distributed import get_worker

        if self.job.device == "cpu":
            return Device(threads=int(get_worker().state.nthreads))
        from xsns_stream.pipeline.cluster_items import own_device

        return Device(own_device({"device": self.job.device})["device"])


def segments_within(groups: Groups, words: ColumnRange) -> tuple[tuple[int, ...], list[Segment]]:
    """Return the indices of the groups that have bits in a range of words, and the segments of these groups.

    Positions in the segments are bits, counted from the first word of the range. The group of a segment is the
    position of its index among the returned indices.
    """
    from xsns_kernels.columns import Segment

    first, last = words.start * 64, words.stop * 64
    within = [each for each in groups.segments if each.start < last and each.stop > first]
    present = tuple(sorted({each.group for each in within}))
    position = {group: number for number, group in enumerate(present)}
    segments = [
        Segment(max(each.start, first) - first, min(each.stop, last) - first, position[each.group]) for each in within
    ]
    return present, segments


Faults = tuple[tuple[RowKey, StoreError], ...]


@dataclass(frozen=True)
class CheckJob(Job[tuple[RowKey, ...], Faults]):
    """The comparison of rows with their commit records, as a job that is sent to workers.

    Attributes:
        store: Absolute path or URL of the store.
    """

    store: str

    uses_threads: ClassVar[bool] = True

    def name(self, item: tuple[RowKey, ...]) -> str:
        """Return a phrase that names an item by its number of rows."""
        return f"the check of {len(item)} rows"

    def size(self, item: tuple[RowKey, ...]) -> float:
        """Return the number of rows of an item."""
        return float(len(item))

    def open(self) -> CheckSession:
        """Open the store on a worker."""
        return CheckSession(open_store(self.store))


class CheckSession(Session[tuple[RowKey, ...], Faults]):
    """The comparison of rows with their commit records, on one worker."""

    def __init__(self, store: SubNetworkStore) -> None:
        self.store = store

    def run(self, item: tuple[RowKey, ...], attempt: int) -> Faults:
        """Compare the rows of an item with their records, and return the errors of damaged rows."""
        from distributed import get_worker

        return tuple(self.store.damaged_rows(item, threads=int(get_worker().state.nthreads)).items())


# ------------------------------------------------------------------------------------------------------- the client


@contextmanager
def counted_on_workers(
    workers: Workers | None, device: str, on_event: OnReadEvent
) -> Iterator[CountedOnWorkers | None]:
    """Yield a counter that uses workers; None if `workers` is None. A local cluster ends with the `with` block."""
    if workers is None:
        yield None
        return
    with ExitStack() as opened:
        yield CountedOnWorkers(workers, device, on_event, opened)


class CountedOnWorkers:
    """Counter of overlaps that uses workers. A local cluster starts only when rows are counted.

    Args:
        workers: The workers.
        device: Device on which each worker counts.
        on_event: Called with each note.
        opened: Exit stack that closes the cluster.
    """

    def __init__(self, workers: Workers, device: str, on_event: OnReadEvent, opened: ExitStack) -> None:
        self._workers, self._device, self._on_event, self._opened = workers, device, on_event, opened
        self._client: Client | None = None
        self._checked: set[RowKey] = set()
        self._told = False

    def count(
        self,
        store: RowSource,
        rows: RowCount,
        seed: int,
        density: float,
        groups: Groups | None = None,
        on_progress: Progress | None = None,
    ) -> tuple[Counts, ...]:
        """Count the overlaps of some rows, as :meth:`~xsns_stream.similarity.row_counts.CountedHere.count` does.

        Raises:
            StoreError: A row cannot be read, a row has changed during the count, or a worker reads another store.
            XsnsError: Workers died too often, or have other versions of libraries.
        """
        assert isinstance(store, SubNetworkStore)
        words = words_for(store.layout.size)
        client = self._connect(store, rows, words)
        if client is None:
            return CountedHere(Device(self._device)).count(store, rows, seed, density, groups, on_progress)
        array, records = store.records_at(rows.languages, seed, density)
        by = None if groups is None else groups.by
        job = CountJob(location(store), rows, seed, density, _digests(records), store.layout.digest, by, self._device)
        sums = _Sums(len(groups.names) if groups else 1)
        ranges = ranges_of(words, rows, _threads(client), array.chunk if array.compressed else 1)
        try:
            self._hand_out(client, job, ranges, sums.add, words, on_progress)
        except StoreError:
            # A worker that opens the store after a change finds other rows than the client did.
            _check_unchanged(store, records)
            raise
        _check_unchanged(store, records)
        if not array.plain_files:
            # Workers have copied only ranges of the rows. A row can be compared with its record only as a whole.
            self.check_rows(store, [RowKey.checked(code, seed, density) for code in rows.languages])
        return sums.counts

    def check_rows(self, store: SubNetworkStore, keys: Sequence[RowKey], on_progress: Progress | None = None) -> None:
        """Compare the bits of rows with their records, except rows that an earlier call has compared on workers.

        Raises:
            StoreError: Some rows are damaged.
        """
        missing = tuple(key for key in dict.fromkeys(keys) if key not in self._checked)
        if self._client is None:
            store.check_rows(missing, on_progress)
            return
        damaged: dict[RowKey, StoreError] = {}
        items = [missing[at : at + _ROWS_AT_ONCE] for at in range(0, len(missing), _ROWS_AT_ONCE)]
        job = CheckJob(location(store))
        self._hand_out(self._client, job, items, damaged.update, len(missing), on_progress)
        refuse_damaged({key: damaged[key] for key in missing if key in damaged}, len(missing))
        self._checked.update(missing)

    def _hand_out(
        self, client: Client, job: Job[Any, Any], items: Sequence[Any], add: Any, total: int, on_progress: Any
    ) -> None:
        """Let workers do all items of a job, and call `add` with the result of each item.

        `on_progress` is called with (sum of the sizes of the finished items, `total`), unless it is None.
        """
        done = 0

        def finished(item: Any, work: WorkDoneBy) -> None:
            nonlocal done
            add(work.result)
            done += int(job.size(item))
            if on_progress is not None:
                on_progress(done, total)

        def failed(item: Any, error: XsnsError, attempts: Sequence[Attempt]) -> None:
            raise XsnsError(
                f"the rows were not compared, because a part of them was not finished: {error.message}",
                "give workers more memory, or run the same command without workers.",
            )

        run_on_cluster(
            client,
            job,
            items,
            on_started=lambda item, worker: None,
            on_done=finished,
            on_failed=failed,
            on_note=self._note,
            options=self._workers.options,
        )

    def _connect(self, store: SubNetworkStore, rows: RowCount, words: int) -> Client | None:
        """Return a client of the workers; None if this process counts, because workers would not save time."""
        if self._client is not None:
            return self._client
        memory, free = _COUNTING_BYTES + 3 * 8 * len(rows.languages) ** 2, free_memory_here()
        if self._workers.number == AUTO and (reason := _too_small(rows, words, memory, free)):
            if not self._told:
                self._note(f"this process compares the pairs of rows itself, because {reason}.")
            self._told = True
            return None
        refuse_memory(store)
        most = len(ranges_of(words, rows, 1 << 30, 1))
        self._client = self._opened.enter_context(self._workers.connect(self._note, memory, free, most, _MODULES))
        return self._client

    def _note(self, text: str) -> None:
        self._on_event(Noted(text))


class _Sums:
    """Overlap counts, summed over ranges of columns."""

    def __init__(self, groups: int) -> None:
        self._groups = groups
        self.counts: tuple[Counts, ...] = ()

    def add(self, part: PartialCounts) -> None:
        """Add the counts of one range to the sums."""
        if not self.counts:
            self.counts = tuple(np.zeros((self._groups, *each.shape[1:]), np.int64) for each in part.counts)
        for total, each in zip(self.counts, part.counts, strict=True):
            for group, counts in zip(part.groups, each, strict=True):
                total[group] += counts


def ranges_of(words: int, rows: RowCount, threads: int, alignment: int) -> list[ColumnRange]:
    """Divide the words of the rows into ranges of the same size; the last range may be smaller.

    Args:
        words: W, the number of words of a row.
        rows: The rows that are counted, which determine the work for each word.
        threads: Number of threads of all workers together.
        alignment: Number of words; the size of every range except the last is a multiple of it.
    """
    work = words * (rows.pairs + _READING * len(rows.languages))
    number = max(1, min(_RANGES_PER_THREAD * threads, work // _LEAST_WORK, words))
    step = -(-words // number)
    step = -(-step // alignment) * alignment
    return [ColumnRange(start, min(start + step, words)) for start in range(0, words, step)]


def location(store: SubNetworkStore) -> str:
    """Return the absolute path, or the URL, with which other processes can open a store."""
    return str(Path(store.path).absolute() if store.storage.in_folder else store.path)


def refuse_memory(store: SubNetworkStore) -> None:
    """Raise an error if a store is in the memory of this process.

    Raises:
        UsageError: The store is in memory.
    """
    if str(store.path).startswith("memory://"):
        raise UsageError(
            f"workers cannot read the store '{store.path}', which is in the memory of this process.",
            "copy it to a folder, or count without workers.",
        )


def _digests(records: Sequence[CommitRecord]) -> tuple[str, ...]:
    return tuple(record.sha256 for record in records)


def _check_unchanged(store: SubNetworkStore, before: Sequence[CommitRecord]) -> None:
    """Raise an error if a row was replaced during the count, because workers may have read the old or the new row."""
    key = before[0].key
    _, after = store.records_at([record.language for record in before], key.seed, key.density)
    changed = [old.language for old, new in zip(before, after, strict=True) if old.sha256 != new.sha256]
    if changed:
        raise StoreError(
            f"rows have changed while they were compared: {', '.join(map(repr, changed))}.",
            "run the same command again when no other program writes to the store.",
        )


def _threads(client: Client) -> int:
    workers = client.scheduler_info(n_workers=-1)["workers"].values()
    return sum(int(worker.get("nthreads", 1)) for worker in workers) or _ASSUMED_THREADS


def _too_small(rows: RowCount, words: int, memory: int, free: int) -> str:
    """Return the reason why local workers would not save time; an empty string if they would."""
    compared = rows.pairs * words * 8
    if compared < WORKERS_PAY_FROM:
        size = f"{compared / 1e9:,.1f} GB" if compared >= 1e8 else f"{compared / 1e6:,.1f} MB"
        return f"they have {size}, and workers save time from {WORKERS_PAY_FROM / 1e9:,.0f} GB on"
    if automatic_workers(memory, free) < 2:
        return "the cores or the memory of this machine allow one worker only"
    return ""
