"""Build of a store on a Dask cluster: each worker measures rows and writes them to the store itself."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.errors import IncompatibleError, XsnsError
from xsns_stream.objectives import make_objective
from xsns_stream.pipeline.build_model import load_for_build
from xsns_stream.pipeline.cluster import Attempt, ClusterOptions, WorkDoneBy
from xsns_stream.pipeline.cluster_clients import PROCESS_BYTES, Workers
from xsns_stream.pipeline.cluster_items import (
    DIFFERENT,
    SAME_INPUTS,
    TextsAhead,
    enter_folder,
    hand_out,
    keep_log,
    own_device,
    refuse_loaded_model,
    refuse_other_record,
    refuse_other_text,
    text_digests,
)
from xsns_stream.pipeline.events import (
    BuildResult,
    Event,
    ExamplesDone,
    Noted,
    Row,
    RowByOther,
    RowCommitted,
    RowFailed,
    RowStarted,
)
from xsns_stream.pipeline.failure_logs import details_here, log_folder
from xsns_stream.pipeline.jobs import Job, Session
from xsns_stream.pipeline.measure import Run, free_memory
from xsns_stream.pipeline.prepare_build import PreparedBuild, prepare_build, prepare_run
from xsns_stream.pipeline.row_selection import noting
from xsns_stream.pipeline.rows import RowText, RowTexts
from xsns_stream.pipeline.run_build import (
    BuildProgress,
    describe_waiting,
    finish_build,
    leave_to_other,
    measure_row,
    read_row,
)
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.store.format import RowKey, on_disk
from xsns_stream.types import ParameterLayout, Provenance

if TYPE_CHECKING:
    from distributed import Client

    from xsns_stream.models import LoadedModel

#: Events that workers do not send to the client: the client creates `RowStarted` itself, and there are too many events
#: `ExamplesDone`.
_NOT_SENT: Final = (RowStarted, ExamplesDone)
#: First attempt with smaller batches, counted from 1. The workers of the two attempts before it died, perhaps because
#: they had run out of memory.
_SMALLER_FROM: Final = 3


@dataclass(frozen=True)
class RowOutcome:
    """The report of a worker about a row.

    Attributes:
        taken: Whether the worker did nothing, because another build of the same store has claimed the row.
        events: Notes on the row, followed by its commit or its failure. Empty if another process had committed the row.
        texts: Record of the text of the row.
        details: Machine and traceback of a failure; otherwise empty.
    """

    taken: bool = False
    events: tuple[Event, ...] = ()
    texts: RowTexts = field(default_factory=RowTexts)
    details: str = ""


@dataclass(frozen=True)
class BuildJob(Job[Row, RowOutcome]):
    """A build, as a job that is sent to workers. It contains settings, but no weights and no text files.

    Attributes:
        settings: The settings of the build.
        model: `mini`, a folder, or a Hub id.
        model_options: Options of :func:`~xsns_stream.pipeline.build_model.load_for_build`.
        store: Path or URL of the store.
        provenance: Provenance of the rows on the client. The provenance on every worker must be equal.
        digests: {row: digest of its examples on the client}, without rows that the client did not read.
        sizes: {row: number of characters of its examples}.
        folder: The client's working directory, to which paths are relative.
    """

    settings: BuildSettings
    model: str
    model_options: Mapping[str, Any]
    store: str
    provenance: Provenance
    digests: Mapping[Row, str]
    sizes: Mapping[Row, int]
    folder: str

    def size(self, item: Row) -> float:
        """Return the number of characters of a row's examples."""
        return float(self.sizes.get(item, 1))

    def name(self, item: Row) -> str:
        """Return the language and the seed of a row."""
        return f"{item.language} (seed {item.seed})"

    def open(self) -> BuildSession:
        """Load the model and open the store on a worker.

        Raises:
            IncompatibleError: The worker's model, tokenizer or settings differ from those of the client.
        """
        enter_folder(self.folder)
        settings, loaded = load_for_build(self.settings, self.model, **own_device(self.model_options))
        store = open_store(self.store, "a", sweep=False)
        try:
            prepared = prepare_build(settings, loaded, store, _ignore, check_text=False)
        except IncompatibleError as error:
            raise IncompatibleError(f"{DIFFERENT}: {error.message}", SAME_INPUTS) from error
        run = prepare_run(prepared, loaded, store, _ignore)
        refuse_other_record(asdict(self.provenance), asdict(run.provenance))
        return BuildSession(self, prepared, run)


def _ignore(event: Event) -> None:
    """Ignore an event, because the client has already shown it."""


class BuildSession(Session[Row, RowOutcome]):
    """A build on one worker, with the loaded model."""

    def __init__(self, job: BuildJob, prepared: PreparedBuild, run: Run) -> None:
        self.job, self.prepared, self._run = job, prepared, run
        self._texts = TextsAhead(lambda row: read_row(row, prepared, run))

    def prepare(self, item: Row) -> None:
        """Read the text of a row before it is measured."""
        self._texts.prepare(item)

    def run(self, item: Row, attempt: int) -> RowOutcome:
        """Measure a row and commit it to the store; return a report of the events."""
        from xsns_stream.fisher.model_state import caller_modes_off

        store = self._run.store
        with store.claimed(item.language, item.seed) as mine:
            if not mine:
                return RowOutcome(taken=True)
            if not self.prepared.settings.is_missing(item, store):
                return RowOutcome()
            events: list[Event] = []
            progress = BuildProgress(lambda event: None if isinstance(event, _NOT_SENT) else events.append(event))
            run = replace(self._run, notify=progress.notify)
            self._shrink(run, item, attempt)
            with caller_modes_off():
                measure_row(item, lambda: self._text(item), self.prepared.objective, run, progress)
        failure = progress.failed.get(item)
        return RowOutcome(False, tuple(events), progress.texts, "" if failure is None else details_here(failure))

    def _text(self, row: Row) -> RowText | None:
        text = self._texts.take(row)
        if text is not None:
            refuse_other_text(row, text.sample.digest, self.job.digests)
        return text

    def _shrink(self, run: Run, row: Row, attempt: int) -> None:
        if attempt < _SMALLER_FROM or run.settings.fisher.batch_wise:
            return
        batching = replace(run.batching)
        for _ in range(attempt - _SMALLER_FROM + 1):
            batching.size = max(1, batching.size // 2)
            if batching.token_budget is not None:
                batching.token_budget = max(1, batching.token_budget // 2)
        run.batching = batching
        run.notify(Noted(f"its worker died {attempt - 1} times; the row is now measured with {batching}.", row))


def run_build_on_cluster(
    settings: BuildSettings,
    model: Any,
    model_options: Mapping[str, Any],
    store: SubNetworkStore,
    workers: Workers,
    on_event: Callable[[Event], None] = lambda event: None,
) -> BuildResult:
    """Let the workers of a cluster measure every row of `settings` that is not in `store`.

    This process loads the model to check the experiment, appends the labels of all missing rows to the store, and frees
    the model. Each worker loads the model, reads the text and writes its rows; workers never change labels.

    Args:
        settings: The settings of the build.
        model: `mini`, a folder, or a Hub id.
        model_options: Options of :func:`~xsns_stream.pipeline.build_model.load_for_build`.
        store: The store, open for writing.
        workers: The workers.
        on_event: Called with each event.

    Raises:
        IncompatibleError: The store contains another experiment, or a worker has other packages, another model or
            other text than the client.
        UsageError: The model is an object in memory, or the settings are not allowed.
        XsnsError: There is no scheduler, or the connection to it is lost.
    """
    refuse_loaded_model(model)
    progress = BuildProgress(on_event)
    with workers.reached(noting(progress.notify)) if settings.missing_rows(store) else nullcontext(workers) as reached:
        return _build(settings, model, model_options, store, reached, progress)


def _build(
    settings: BuildSettings,
    model: Any,
    model_options: Mapping[str, Any],
    store: SubNetworkStore,
    workers: Workers,
    progress: BuildProgress,
) -> BuildResult:
    """Check the experiment, let the workers measure the missing rows, and return the result of the build."""
    if settings.missing_rows(store):
        workers.preload()
    settings, loaded = load_for_build(settings, model, **model_options)
    prepared = prepare_build(settings, loaded, store, progress.on_event)
    notes = loaded.notes
    if prepared.missing:
        run = prepare_run(prepared, loaded, store, progress.notify)
        store.add_labels(run.provenance, prepared.layout, _keys(prepared), settings.parts)
        memory, free = worker_memory(settings, loaded, prepared.layout), free_memory(loaded.model)
        digests, sizes = text_digests(settings.corpus, prepared.missing, settings.examples)
        names = dict(model_options)
        job = BuildJob(settings, str(model), names, str(store.path), run.provenance, digests, sizes, str(Path.cwd()))
        # Workers have their own copies of the model.
        del loaded, run
        note, device = noting(progress.notify), str(model_options.get("device", "cpu"))
        with workers.connect(note, memory, free, most=len(prepared.missing), device=device) as client:
            _hand_out(client, job, prepared, store, progress, workers.options)
        store.remove_left_claims()
    return finish_build(prepared, notes, store, progress)


def worker_memory(settings: BuildSettings, loaded: LoadedModel, layout: ParameterLayout) -> int:
    """Estimate the bytes that a worker needs for libraries, model, Fisher values and activations of a batch."""
    from xsns_stream.fisher import MOST_TOKENS, activation_bytes

    objective = make_objective(loaded.objective) if settings.objective is None else settings.objective
    longest = objective.max_length
    examples = max(1, MOST_TOKENS["cpu"] // longest) if settings.batch_size == "auto" else int(settings.batch)
    weights = sum(each.numel() * each.element_size() for each in loaded.model.parameters())
    values = 4 * layout.size * (2 if settings.split_half else 1) * (2 if settings.parts else 1)
    values = min(values, settings.memory or values)
    activations: int = activation_bytes(loaded.model, layout, settings.fisher, longest)
    return PROCESS_BYTES + int(weights) + values + examples * activations


def _keys(prepared: PreparedBuild) -> list[RowKey]:
    return [RowKey.checked(row.language, row.seed, d) for row in prepared.missing for d in prepared.settings.densities]


def _hand_out(
    client: Client,
    job: BuildJob,
    prepared: PreparedBuild,
    store: SubNetworkStore,
    progress: BuildProgress,
    options: ClusterOptions,
) -> None:
    """Submit the missing rows; rows that another build has claimed are submitted again when it releases them."""

    def done(row: Row, work: WorkDoneBy) -> None:
        _replay(row, work.result, work.attempts, prepared, store, progress)

    def failed(row: Row, error: XsnsError, attempts: Sequence[Attempt]) -> None:
        progress.failed[row] = error
        progress.notify(RowFailed(row, error))
        _log_failure(row, error, attempts, "", store, progress)

    hand_out(
        client,
        job,
        prepared.missing,
        on_started=lambda row, worker: progress.notify(RowStarted(row)),
        on_done=done,
        on_failed=failed,
        on_note=noting(progress.notify),
        on_waiting=lambda rows: progress.notify(Noted(describe_waiting(rows))),
        is_free=lambda row: _is_free(row, store),
        options=options,
    )


def _is_free(row: Row, store: SubNetworkStore) -> bool:
    with store.claimed(row.language, row.seed) as mine:
        return mine


def _replay(
    row: Row,
    outcome: RowOutcome,
    attempts: int,
    prepared: PreparedBuild,
    store: SubNetworkStore,
    progress: BuildProgress,
) -> None:
    """Record the report of a worker about a row, and pass on the events in it."""
    progress.texts.update(outcome.texts)
    ended = False
    for event in outcome.events:
        match event:
            case RowCommitted():
                progress.add(event)
                ended = True
            case RowFailed(_, error):
                progress.failed[row] = error
                progress.notify(event)
                _log_failure(row, error, (), outcome.details, store, progress)
                ended = True
            case RowByOther():
                # `leave_to_other` records the row below.
                pass
            case _:
                progress.notify(event)
    if ended:
        return
    if attempts > 1:
        # A worker committed the row, and died before it sent its report.
        record = store.record(row.language, row.seed, prepared.settings.densities[-1])
        progress.add(RowCommitted(row, record.provenance.examples, record.cardinality, record.density_realised, 0.0))
        return
    leave_to_other(row, prepared.settings, store, progress)


def _log_failure(
    row: Row,
    error: XsnsError,
    attempts: Sequence[Attempt],
    details: str,
    store: SubNetworkStore,
    progress: BuildProgress,
) -> None:
    """Write the log of a failed row beside the store."""
    name = f"{on_disk(row.language)}-seed{row.seed}"
    progress.notify(Noted(keep_log(log_folder(str(store.path)), name, error, attempts, details), row))
