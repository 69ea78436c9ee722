"""Similarity matrices of the languages of a store.

:func:`similarity` is the public function; the command `xsns-stream matrix` calls it. The handler `on_event` receives
progress (:class:`~xsns_stream.pipeline.events.WorkDone`) and notes (:class:`~xsns_stream.pipeline.events.Noted`) while
the function runs. The attribute `notes` of the result contains the same notes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Literal, overload

from xsns_stream.errors import UsageError
from xsns_stream.pipeline.arguments import real_number
from xsns_stream.pipeline.cluster_clients import workers_asked
from xsns_stream.pipeline.compare_rows import compare_groups, compare_rows
from xsns_stream.pipeline.events import NoteLog, OnReadEvent, progress_of
from xsns_stream.pipeline.row_selection import (
    Codes,
    Seeds,
    StoreLike,
    as_codes,
    as_density,
    as_seeds,
    as_store,
    noting,
    select_languages,
    select_rows,
    with_record,
)

if TYPE_CHECKING:
    from distributed import Client

    from xsns_stream.pipeline.cluster_clients import Workers
    from xsns_stream.pipeline.cluster_counts import CountedOnWorkers
    from xsns_stream.similarity import By, Progress, Selection
    from xsns_stream.store import RowKey, SubNetworkStore
    from xsns_stream.types import GroupedSimilarity, SimilarityMatrix


@overload
def similarity(
    store: StoreLike,
    *,
    coefficient: str = ...,
    languages: Codes | None = ...,
    sources: Codes | None = ...,
    targets: Codes | None = ...,
    seeds: Seeds | None = ...,
    density: float | None = ...,
    by: None = ...,
    sample: float | None = ...,
    device: str | None = ...,
    recount: bool = ...,
    save_counts: bool = ...,
    verify: bool = ...,
    workers: int | Literal["auto"] | None = ...,
    scheduler: str | None = ...,
    client: Client | None = ...,
    retries: int | None = ...,
    worker_timeout: float | None = ...,
    support: bool = ...,
    on_event: OnReadEvent | None = ...,
) -> SimilarityMatrix: ...


@overload
def similarity(
    store: StoreLike,
    *,
    coefficient: str = ...,
    languages: Codes | None = ...,
    sources: Codes | None = ...,
    targets: Codes | None = ...,
    seeds: Seeds | None = ...,
    density: float | None = ...,
    by: Literal["layer", "module", "tensor"],
    sample: float | None = ...,
    device: str | None = ...,
    recount: bool = ...,
    save_counts: bool = ...,
    verify: bool = ...,
    workers: int | Literal["auto"] | None = ...,
    scheduler: str | None = ...,
    client: Client | None = ...,
    retries: int | None = ...,
    worker_timeout: float | None = ...,
    support: bool = ...,
    on_event: OnReadEvent | None = ...,
) -> GroupedSimilarity: ...


def similarity(
    store: StoreLike,
    *,
    coefficient: str = "jaccard",
    languages: Codes | None = None,
    sources: Codes | None = None,
    targets: Codes | None = None,
    seeds: Seeds | None = None,
    density: float | None = None,
    by: Literal["layer", "module", "tensor"] | None = None,
    sample: float | None = None,
    device: str | None = None,
    recount: bool = False,
    save_counts: bool = True,
    verify: bool = False,
    workers: int | Literal["auto"] | None = None,
    scheduler: str | None = None,
    client: Client | None = None,
    retries: int | None = None,
    worker_timeout: float | None = None,
    support: bool = False,
    on_event: OnReadEvent | None = None,
) -> SimilarityMatrix | GroupedSimilarity:
    """Compare the languages of a store, like the command `xsns-stream matrix`.

    Overlap counts are saved in the store. Rows whose counts are saved are not read again.

    Args:
        store: A store, or its folder or URL.
        coefficient: `jaccard`, `dice`, `overlap`, `containment` (share of the target that the source contains),
            `cosine`, `corrected-jaccard` or `mutual-information` (in nats). Or a correction of the Jaccard coefficient:
            `centred`, `csls` or `mutual-rank` against hubs, or `reliability`, which divides by split-half similarities.
            The first three depend on which languages are compared: the given `languages`; with `sources` or `targets`,
            all languages of the store that have every seed. The coefficients are averaged over seeds.
        languages: Languages to compare with one another; by default all languages that have every seed.
        sources: Sources to compare with the targets, instead of `languages`.
        targets: Targets. Only pairs of a source and a target are counted.
        seeds: Seeds; by default all seeds of the store.
        density: Density; required if the store has several densities.
        by: `layer`, `module` or `tensor`, to compare each layer, kind of module or tensor separately.
        sample: Fraction of the parameters, in (0, 1], from which overlaps are estimated. The result then has standard
            errors. By default, all parameters are counted.
        device: Device on which overlaps are counted: `cpu` (the default), or `cuda`, which needs torch.
        recount: Whether to ignore saved counts and read every row.
        save_counts: Whether to save new counts in the store, if it is writable.
        verify: Whether to compare the bits of every row with its record first.
        workers: Number of processes on this machine that count ranges of columns, or `auto` for as many as the cores
            and the memory allow. With `auto`, this process counts if workers would not save time, and a note says so.
            By default, this process counts with one thread for each core. A script that gives `workers` must call this
            function below `if __name__ == "__main__":`.
        scheduler: Address of a running Dask scheduler, or the path of its scheduler file; its workers count. The store
            must be on a shared disk or in an object store, because the workers open it themselves.
        client: A Dask client, whose workers count.
        retries: Number of times that a range is counted again after its worker died; 3 by default.
        worker_timeout: Seconds after which a worker that has not finished a range is restarted.
        support: Whether to also compute how often each group of the tree of languages occurs in trees of resampled
            similarities. The similarities are resampled from the parts of the store (`build --parts`), which are all
            read. If there are no parts, a note says so.
        on_event: Handler of progress and notes.

    Returns:
        A :class:`~xsns_stream.types.SimilarityMatrix`, or a :class:`~xsns_stream.types.GroupedSimilarity` if `by` is
        given.

    Raises:
        UsageError: Arguments cannot be combined, a seed or density is not in the store, or there are fewer than two
            languages.
        LanguageError: A language is not in the store, or lacks a seed.
        StoreError: The store cannot be read, a row differs from its record, a worker reads another store, or a row
            changed while workers counted.
        IncompatibleError: A worker has other versions of libraries than this process.

    >>> import xsns_stream as xs
    >>> matrix = xs.similarity("xsns.zarr")
    >>> matrix.sources
    ('en', 'fi', 'sw', 'zu')
    >>> round(matrix["sw", "zu"], 3)
    0.728
    """
    from xsns_stream.pipeline.cluster_counts import counted_on_workers
    from xsns_stream.pipeline.resampling import tree_support
    from xsns_stream.types import SimilarityMatrix

    density, sample = as_density(density), None if sample is None else real_number(sample, "sample")
    cluster = workers_asked(workers, scheduler, client, retries, worker_timeout)
    _check_modes(by, sample, device, recount, save_counts, cluster, support)
    _check_correction(coefficient, by, sample)
    log = NoteLog(on_event)
    rows = as_store(store)
    everyone, first, second = _sides(rows, languages, sources, targets, log)
    selection = select_rows(
        rows,
        languages=everyone,
        sources=first,
        targets=second,
        seeds=as_seeds(seeds),
        density=density,
        on_event=log,
    )
    asked = _Comparison(coefficient, by, sample, device, recount, save_counts, verify)
    with counted_on_workers(cluster, device or "cpu", log) as counter:
        matrix = _compare(rows, selection, asked, counter, log)
    if support and isinstance(matrix, SimilarityMatrix):
        matrix = replace(matrix, support=tree_support(rows, matrix, log))
    return replace(matrix, notes=tuple(log.notes))


@dataclass(frozen=True)
class _Comparison:
    """The validated arguments of :func:`similarity` that say how rows are compared."""

    coefficient: str
    by: By | None
    sample: float | None
    device: str | None
    recount: bool
    save_counts: bool
    verify: bool


def _compare(
    rows: SubNetworkStore, selection: Selection, asked: _Comparison, counter: CountedOnWorkers | None, log: NoteLog
) -> SimilarityMatrix | GroupedSimilarity:
    """Count the overlaps of the rows of a selection, and return their similarities."""
    from xsns_stream.similarity import sample_selection, similarity
    from xsns_stream.store.overlap_cache import overlap_cache

    device = asked.device or "cpu"
    check_rows = rows.check_rows if counter is None else partial(counter.check_rows, rows)
    if asked.by is not None:
        grouped = compare_groups(rows, selection, asked.coefficient, asked.by, log, device=device, counter=counter)
        _check_languages(check_rows, selection, selection.languages, asked.verify, log)
        return grouped
    if asked.sample is not None:
        counts = sample_selection(rows, selection, asked.sample, on_progress=progress_of("comparing", log))
        matrix = similarity(counts, asked.coefficient)
    else:
        # If the user names another device than the CPU, the rows are counted on it even if the store has their counts.
        use = not asked.recount and asked.device in (None, "cpu")
        cache = overlap_cache(rows, use=use, write=asked.save_counts, check_rows=check_rows)
        matrix = compare_rows(rows, selection, asked.coefficient, log, cache=cache, device=device, counter=counter)
    compared = selection.languages if matrix.pool is None else matrix.pool.languages
    _check_languages(check_rows, selection, compared, asked.verify, log)
    return with_record(matrix, rows, selection.density)


def _check_correction(coefficient: str, by: str | None, sample: float | None) -> None:
    """Raise an error if a correction is combined with an argument for which it is not defined."""
    from xsns_stream.similarity import CORRECTIONS

    if coefficient not in CORRECTIONS:
        return
    if sample is not None:
        raise UsageError(
            f"--sample cannot be combined with '{coefficient}', which would have no standard errors.",
            "omit --sample to count all parameters.",
        )
    if by is not None and CORRECTIONS[coefficient].needs_split_half:
        raise UsageError(
            f"--by cannot be combined with '{coefficient}': split-half is measured for all parameters together.",
            "omit --by, or choose another coefficient.",
        )


def _check_modes(
    by: str | None,
    sample: float | None,
    device: str | None,
    recount: bool,
    save_counts: bool,
    workers: Workers | None = None,
    support: bool = False,
) -> None:
    """Raise an error if arguments of :func:`similarity` were given that cannot be combined."""
    if support and (by is not None or sample is not None):
        raise UsageError(
            "support cannot be computed for groups of parameters, or for estimates from a sample.",
            "omit `by` and `sample`, or `support`.",
        )
    if by is not None and sample is not None:
        raise UsageError(
            "--by and --sample cannot be combined.",
            "omit one of them: groups of parameters are counted, not estimated.",
        )
    if sample is not None and device is not None:
        raise UsageError(
            "--device cannot be combined with --sample.", "omit one of them: estimates are computed on the CPU."
        )
    if sample is not None and workers is not None:
        raise UsageError(
            "--sample cannot be combined with --workers or --scheduler.",
            "omit one of them: an estimate reads a small part of the rows, and workers would not save time.",
        )
    if (recount or not save_counts) and (by is not None or sample is not None):
        option, mode = "--recount" if recount else "--no-keep", "--by" if by is not None else "--sample"
        raise UsageError(
            f"{option} cannot be combined with {mode}.",
            f"omit {option}: counts of groups and estimates are never saved in the store.",
        )


def _sides(
    rows: SubNetworkStore,
    languages: Codes | None,
    sources: Codes | None,
    targets: Codes | None,
    on_event: OnReadEvent,
) -> list[tuple[str, ...] | None]:
    """Return labels of the store for `languages`, `sources` and `targets`; None for an argument that means all.

    Raises:
        LanguageError: A language is not in the store.
        UsageError: Both `languages` and one of the other arguments were given.
    """
    sides = [select_languages(codes, rows, noting(on_event)) for codes in (languages, sources, targets)]
    if as_codes(languages) and (as_codes(sources) or as_codes(targets)):
        raise UsageError(
            "--lang cannot be combined with --sources or --target.",
            "--lang compares languages with one another; --sources and --target compare sources with targets.",
        )
    return sides


def _check_languages(
    check_rows: Callable[[Sequence[RowKey], Progress], None],
    selection: Selection,
    compared: Sequence[str],
    verify: bool,
    on_event: OnReadEvent,
) -> None:
    """Check that at least two languages are selected; if `verify` is True, also check the bits of their rows.

    Args:
        check_rows: Function that compares rows with their commit records.
        selection: The selected rows.
        compared: The languages of all rows that are read, which for a correction are those of its pool.
        verify: Whether the rows of these languages are compared with their records.
        on_event: Handler of progress.

    Raises:
        UsageError: Only one language is selected.
        StoreError: A row differs from its record.
    """
    if len(selection.languages) < 2:
        (only,) = selection.languages
        raise UsageError(
            f"a matrix compares at least two languages, and '{only}' is the only one.",
            "name more languages, such as --lang sw,en, or build more languages.",
        )
    if not verify:
        return
    from xsns_stream.store import RowKey

    keys = [RowKey.checked(language, seed, selection.density) for seed in selection.seeds for language in compared]
    check_rows(keys, progress_of("verifying", on_event))
