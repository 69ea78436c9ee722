"""Baselines from text on a Dask cluster: each worker measures languages, and the client compares their values.

Workers send small values, such as a mean vector, to the client. They write token states and gradients to files in the
folder of temporary files, which they share with the client.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xsns_stream.baselines.nearest_tokens import OnProgress, TokenStates, neighbour_shares
from xsns_stream.errors import XsnsError
from xsns_stream.io.scratch_files import scratch_folder
from xsns_stream.pipeline.baseline_model import load_for_baselines, model_modes
from xsns_stream.pipeline.baseline_run import SCRATCH_PREFIX, BaselineRun
from xsns_stream.pipeline.baseline_values import Collector, LanguageText, Matrices, NeighboursCollector
from xsns_stream.pipeline.cluster import Attempt, ClusterOptions, WorkDoneBy, run_on_cluster
from xsns_stream.pipeline.cluster_clients import PROCESS_BYTES, Workers
from xsns_stream.pipeline.cluster_items import (
    Outcome,
    TextsAhead,
    enter_folder,
    keep_log,
    own_device,
    refuse_other_record,
    refuse_other_text,
    text_digests,
)
from xsns_stream.pipeline.events import BaselineEvent, ExamplesDone, Noted, Row, RowFailed, RowStarted
from xsns_stream.pipeline.failure_logs import details_here
from xsns_stream.pipeline.jobs import Job, Session
from xsns_stream.pipeline.measure import free_memory
from xsns_stream.pipeline.model_baselines import TEXT_BASELINES, BaselineSettings
from xsns_stream.store.format import on_disk

if TYPE_CHECKING:
    from distributed import Client

    from xsns_stream.types import Reals


@dataclass(frozen=True)
class BaselineJob(Job[Row, Outcome]):
    """The computation of baselines, as a job that is sent to workers. It contains settings, but no weights and no text.

    Attributes:
        settings: The baselines to compute, and their settings.
        model_options: The model and the options for loading it; see
            :func:`~xsns_stream.pipeline.baseline_model.load_for_baselines`.
        records: {name: record of the baseline on the client}. The record on every worker must be equal.
        digests: {row: digest of its examples on the client}, without rows that the client did not read.
        sizes: {row: number of characters of its examples}.
        files: Folder of temporary files, which client and workers share; None if no baseline writes files.
        folder: The client's working directory, to which paths are relative.
    """

    settings: BaselineSettings
    model_options: Mapping[str, Any]
    records: Mapping[str, Mapping[str, Any]]
    digests: Mapping[Row, str]
    sizes: Mapping[Row, int]
    files: Path | None
    folder: str

    def size(self, item: Row) -> float:
        """Return the number of characters of a row's examples."""
        return float(self.sizes.get(item, 1))

    def name(self, item: Row) -> str:
        """Return the language and the seed of a row."""
        return f"{item.language} (seed {item.seed})"

    def open(self) -> BaselineSession:
        """Load the model on a worker.

        Raises:
            IncompatibleError: The worker's model, tokenizer or settings differ from those of the client.
        """
        enter_folder(self.folder)
        loaded, _ = load_for_baselines(self.settings.names, own_device(self.model_options))
        run = BaselineRun(self.settings, loaded, _ignore, together=1)
        for name, record in self.records.items():
            refuse_other_record(record, asdict(run.record(name)))
        return BaselineSession(self, run)


def _ignore(event: BaselineEvent) -> None:
    """Ignore an event on a worker, because the client has already shown it."""


class BaselineSession(Session[Row, Outcome]):
    """The computation of baselines on one worker, with the loaded model."""

    def __init__(self, job: BaselineJob, run: BaselineRun) -> None:
        self.job, self._run = job, run
        self._texts = TextsAhead(run.read)

    def prepare(self, item: Row) -> None:
        """Read the text of a row before it is measured."""
        self._texts.prepare(item)

    def run(self, item: Row, attempt: int) -> Outcome:
        """Measure a row; return its events, the record of its sample, and one value for each baseline."""
        run = self._run
        events: list[BaselineEvent] = []
        run.notify = lambda event: None if isinstance(event, ExamplesDone) else events.append(event)
        with ExitStack() as undo:
            undo.enter_context(model_modes(run.loaded))
            collectors = run.collectors(item.seed, self._folder(item), undo)
            run.measure(item, lambda: self._text(item), collectors)
            error = run.failed.pop(item, None)
            if error is not None:
                return Outcome(False, tuple(events), None, details_here(error))
            values = [collector.value(item.language) for collector in collectors]
        return Outcome(False, tuple(events), (run.drawn.pop(item.language)[item.seed], values))

    def _text(self, row: Row) -> LanguageText:
        text = self._texts.take(row)
        refuse_other_text(row, text.sample.digest, self.job.digests)
        return text

    def _folder(self, row: Row) -> Path:
        """Return a new folder for the files of a row; an unused path if no baseline writes files."""
        if self.job.files is None:
            return Path()
        try:
            return Path(tempfile.mkdtemp(prefix=f"{on_disk(row.language)}-{row.seed}-", dir=self.job.files))
        except OSError as error:
            raise XsnsError(
                f"a worker cannot write to the folder '{self.job.files}' of the client: {error.strerror}.",
                "give --scratch a folder to which the client and every worker can write, such as on a shared disk.",
            ) from error


def baselines_on_cluster(
    run: BaselineRun, *, model_options: Mapping[str, Any], workers: Workers, logs: Path
) -> list[Matrices]:
    """Measure the languages on the workers of a cluster, and return the matrices of each seed.

    Args:
        run: The state of the computation in this process, to which the values of the workers are added.
        model_options: The model and the options for loading it.
        workers: The workers.
        logs: Folder for the logs of languages that failed.

    Raises:
        IncompatibleError: A worker has other packages, another model or other text than the client.
        XsnsError: There is no scheduler, or the connection to it is lost; a worker cannot write its files; or after
            failures, fewer than two languages are left.
    """
    settings = run.settings
    rows = [Row(language, seed) for seed in settings.seeds for language in settings.languages]
    digests, sizes = text_digests(settings.corpus, rows, settings.examples)
    with ExitStack() as undo:
        files = undo.enter_context(scratch_folder(SCRATCH_PREFIX, settings.scratch))
        collectors = {seed: run.collectors(seed, _new_folder(files / str(seed)), undo) for seed in settings.seeds}
        report = _Report(run, collectors, logs)
        job = BaselineJob(
            settings,
            model_options,
            {name: asdict(run.record(name)) for name in settings.names},
            digests,
            sizes,
            files if any(TEXT_BASELINES[name].files for name in settings.names) else None,
            str(Path.cwd()),
        )
        free = free_memory(None if run.loaded is None else run.loaded.model)
        device = str(model_options.get("device", "cpu"))
        with workers.connect(report.note, worker_memory(run), free, most=len(rows), device=device) as client:
            run_on_cluster(
                client,
                job,
                rows,
                on_started=lambda row, worker: run.notify(RowStarted(row)),
                on_done=report.done,
                on_failed=report.failed,
                on_note=report.note,
                options=workers.options,
            )
            run.drawn = _in_order(run)
            return [_finish(run, seed, collectors[seed], client, workers.options) for seed in settings.seeds]


def _new_folder(folder: Path) -> Path:
    folder.mkdir()
    return folder


def _in_order(run: BaselineRun) -> dict[str, Any]:
    """Return `run.drawn`, sorted by language and seed, so that the order does not depend on the workers."""
    return {
        code: {seed: run.drawn[code][seed] for seed in run.settings.seeds if seed in run.drawn[code]}
        for code in run.settings.languages
        if code in run.drawn
    }


def worker_memory(run: BaselineRun) -> int:
    """Return an estimate of the bytes that a worker needs for libraries, model, gradient and activations of a batch."""
    if run.loaded is None or run.loaded.model is None:
        return PROCESS_BYTES
    from xsns_stream.fisher import activation_bytes
    from xsns_stream.models import parameter_layout
    from xsns_stream.types import FisherSettings

    model, settings = run.loaded.model, run.settings
    if not settings.reads("states", "gradients"):
        return PROCESS_BYTES
    layout = run.layout or parameter_layout(model)
    weights = sum(each.numel() * each.element_size() for each in model.parameters())
    gradient = 2 * 4 * layout.size if settings.reads("gradients") else 0
    activations: int = activation_bytes(model, layout, FisherSettings(), settings.max_length)
    return PROCESS_BYTES + int(weights) + gradient + settings.batch * activations


class _Report:
    """Handler of the outcomes of workers: it passes on their events, and adds their values to the collectors."""

    def __init__(self, run: BaselineRun, collectors: Mapping[int, Sequence[Collector]], logs: Path) -> None:
        self.run, self.collectors, self.logs = run, collectors, logs

    def note(self, text: str) -> None:
        self.run.notify(Noted(text))

    def done(self, row: Row, work: WorkDoneBy) -> None:
        """Add the values of a row to the collectors, or record its failure."""
        outcome: Outcome = work.result
        if outcome.value is not None:
            drawn, values = outcome.value
            self.run.drawn.setdefault(row.language, {})[row.seed] = drawn
            for collector, value in zip(self.collectors[row.seed], values, strict=True):
                collector.add_value(row.language, value)
            for path in values:
                if isinstance(path, Path):
                    shutil.rmtree(path.parent, ignore_errors=True)
        for event in outcome.events:
            if isinstance(event, RowFailed):
                self._failed(row, event.error, (), outcome.details)
            else:
                self.run.notify(event)

    def failed(self, row: Row, error: XsnsError, attempts: Sequence[Attempt]) -> None:
        """Record a row whose workers died or did not finish in time."""
        self._failed(row, error, attempts, "")

    def _failed(self, row: Row, error: XsnsError, attempts: Sequence[Attempt], details: str) -> None:
        self.run.fail(row, error)
        name = f"{on_disk(row.language)}-seed{row.seed}"
        self.run.notify(Noted(keep_log(self.logs, name, error, attempts, details), row))


# ------------------------------------------------------------------------------------------------ the neighbours


@dataclass(frozen=True)
class NeighboursJob(Job[str, "Reals"]):
    """The search for the nearest neighbours of the tokens of each target, as a job that is sent to workers.

    Attributes:
        states: Token states of all languages, in a file that client and workers share.
        sources: The languages among whose tokens the neighbours are searched.
        tokens: {target: number of its tokens}.
        k: Number of neighbours of each target token.
    """

    states: TokenStates
    sources: tuple[str, ...]
    tokens: Mapping[str, int]
    k: int

    def size(self, item: str) -> float:
        """Return the number of tokens of a target."""
        return float(max(1, self.tokens[item]))

    def open(self) -> NeighboursSession:
        """Open the file of token states as a memory map."""
        return NeighboursSession(self)


class NeighboursSession(Session[str, "Reals"]):
    """The search for nearest neighbours on one worker."""

    def __init__(self, job: NeighboursJob) -> None:
        self.job = job
        self._states = job.states.states(list(dict.fromkeys((*job.sources, *job.tokens))))

    def run(self, item: str, attempt: int) -> Reals:
        """Return the share of each source among the neighbours of the tokens of a target, float64 [S]."""
        column: Reals = neighbour_shares(self._states, self.job.sources, [item], k=self.job.k)[:, 0]
        return column


def _finish(
    run: BaselineRun, seed: int, collectors: Sequence[Collector], client: Client, options: ClusterOptions
) -> Matrices:
    """Return the matrices of a seed; the workers search the nearest neighbours for nn-rank."""
    for collector in collectors:
        if isinstance(collector, NeighboursCollector):
            collector.search = partial(_search, client, options, run)
    return run.finish(seed, collectors)


def _search(
    client: Client,
    options: ClusterOptions,
    run: BaselineRun,
    states: TokenStates,
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    k: int,
    on_progress: OnProgress,
) -> Reals:
    """Return the result of :func:`neighbour_shares`; the workers compute one target at a time.

    Raises:
        XsnsError: The workers that had a target died too often, or another error occurred on a worker.
    """
    states.written()
    tokens = {target: len(values) for target, values in states.states(targets).items()}
    columns: dict[str, Reals] = {}

    def done(target: str, work: WorkDoneBy) -> None:
        columns[target] = work.result
        on_progress(sum(tokens[one] for one in columns), sum(tokens.values()))

    def failed(target: str, error: XsnsError, attempts: Sequence[Attempt]) -> None:
        raise XsnsError(f"the search for the nearest tokens of '{target}' failed: {error.message}", error.hint)

    run_on_cluster(
        client,
        NeighboursJob(states, tuple(sources), tokens, k),
        list(tokens),
        on_started=lambda target, worker: None,
        on_done=done,
        on_failed=failed,
        on_note=lambda text: run.notify(Noted(text)),
        options=options,
    )
    return np.stack([columns[target] for target in targets], axis=1)
