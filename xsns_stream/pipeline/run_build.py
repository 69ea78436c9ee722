"""The loop over the rows of a build.

For each row that the store lacks, it reads the text, measures the Fisher values, selects the sub-networks and stores
them. Errors that concern one language are collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.corpora import draw_sample
from xsns_stream.errors import CorpusError, FisherError, LanguageError, XsnsError
from xsns_stream.io.atomic import refusal
from xsns_stream.objectives import Objective
from xsns_stream.pipeline.events import (
    BuildResult,
    Event,
    Noted,
    Row,
    RowByOther,
    RowCommitted,
    RowFailed,
    RowStarted,
    TextRead,
)
from xsns_stream.pipeline.measure import Run
from xsns_stream.pipeline.prepare_build import PreparedBuild, has_stored_fisher, lacking, prepare_build, prepare_run
from xsns_stream.pipeline.rows import RowText, RowTexts, finish_row, note_on_shared
from xsns_stream.pipeline.scheduling import ReadAhead, SharedItems
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.store import SubNetworkStore
from xsns_stream.store.text_notes import note_on_same_texts, same_texts

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel


#: Errors that concern one language only; any other error ends the run.
ONE_LANGUAGE: Final = (CorpusError, FisherError, LanguageError)
#: Largest number of rows in a message.
SHOWN: Final = 5


def run_build(
    settings: BuildSettings,
    loaded: LoadedModel,
    store: SubNetworkStore,
    on_event: Callable[[Event], None] = lambda event: None,
) -> BuildResult:
    """Measure every row of `settings` that `store` lacks, and commit each row as soon as it is finished.

    Several processes may build one store at the same time. This process skips rows that another process is measuring,
    and measures them if the other process ends without a commit. In object stores, which have no locks, a row may be
    measured twice; the first commit is valid.

    Args:
        settings: The settings of the build.
        loaded: The model with its tokenizer.
        store: The store, open for writing.
        on_event: Called with each event, in order.

    Raises:
        IncompatibleError: The store contains another experiment; the message names the fields that differ.
        UsageError: The model or the store does not allow these settings.
        ModelError, StoreError: No row can be measured or written, because of the model or the store.
    """
    from xsns_stream.fisher.model_state import caller_modes_off

    prepared = prepare_build(settings, loaded, store, on_event)
    progress = BuildProgress(on_event)
    with caller_modes_off():
        run = prepare_run(prepared, loaded, store, progress.notify)
        _measure_rows(prepared, run, progress)
    return finish_build(prepared, loaded.notes, store, progress)


def finish_build(
    prepared: PreparedBuild, model_notes: tuple[str, ...], store: SubNetworkStore, progress: BuildProgress
) -> BuildResult:
    """Send notes on text that languages share, and return the result of a build."""
    notes = tuple(_notes_on_shared(prepared.settings, store, progress))
    for note in notes:
        progress.on_event(Noted(note))
    return BuildResult(
        tuple(progress.committed),
        tuple(row for row in prepared.settings.rows() if row not in set(prepared.missing)),
        progress.failed,
        progress.reliability,
        tuple(progress.by_others),
        (*model_notes, *notes),
        progress.texts.records,
        tuple(progress.row_notes),
        model_notes,
    )


def read_text(
    row: Row,
    settings: BuildSettings,
    objective: Objective,
    loaded: LoadedModel,
    on_read: Callable[[int], None] = lambda count: None,
) -> RowText:
    """Draw and encode the examples of a row.

    Args:
        row: The row.
        settings: The settings of the build.
        objective: The training objective.
        loaded: The model with its tokenizer.
        on_read: Called with the number of lines, rows or sentences that were read so far.

    Raises:
        CorpusError, LanguageError: The text cannot be read.
    """
    sample = draw_sample(settings.corpus, row.language, settings.examples, row.seed, on_read)
    return RowText(sample, objective.encode(sample, loaded.tokenizer, row.seed))


@dataclass
class BuildProgress:
    """Results of a build so far; most fields have the meaning of the fields of :class:`BuildResult`."""

    on_event: Callable[[Event], None]
    committed: list[Row] = field(default_factory=list)
    by_others: list[Row] = field(default_factory=list)
    failed: dict[Row, XsnsError] = field(default_factory=dict)
    reliability: dict[Row, Mapping[str, Any]] = field(default_factory=dict)
    row_notes: list[Noted] = field(default_factory=list)
    texts: RowTexts = field(default_factory=RowTexts)

    def add(self, committed: RowCommitted) -> None:
        """Record that a row was committed, and send the event."""
        self.committed.append(committed.row)
        if committed.reliability:
            self.reliability[committed.row] = committed.reliability
        self.on_event(committed)

    def notify(self, event: Event) -> None:
        """Send an event; if it is a note on a row, also record it."""
        if isinstance(event, Noted) and event.row is not None:
            self.row_notes.append(event)
        self.on_event(event)


def _notes_on_shared(settings: BuildSettings, store: SubNetworkStore, progress: BuildProgress) -> Iterator[str]:
    """Yield notes on text that several languages of this build share."""
    if not progress.committed:
        return
    same = same_texts(store, settings.languages, settings.seeds)
    if note := note_on_same_texts(same):
        yield note
    groups = [set(languages) for _, languages in same]
    others = [one for one in progress.texts.shared() if not any(group.issuperset(one.languages) for group in groups)]
    if note := note_on_shared(others):
        yield note


def _measure_rows(prepared: PreparedBuild, run: Run, progress: BuildProgress) -> None:
    """Measure the missing rows: first all rows that are not claimed, then rows that other processes left unfinished."""
    settings, store = run.settings, run.store
    read_so_far: dict[Row, int] = {}

    def read(row: Row) -> RowText | None:
        return read_row(row, prepared, run, partial(read_so_far.__setitem__, row))

    def is_finished(row: Row) -> bool:
        if settings.is_missing(row, store):
            return False
        # Another process may have created the store with other settings since this run began.
        store.check_experiment(run.provenance, run.layout)
        return True

    with SharedItems(
        prepared.missing,
        lambda row: store.claimed(row.language, row.seed),
        is_finished,
        lambda row: leave_to_other(row, run.settings, run.store, progress),
        lambda rows: run.notify(Noted(describe_waiting(rows))),
    ) as shared:
        for row, text in ReadAhead(shared.free(), read, lambda row: run.notify(TextRead(row, read_so_far.get(row, 0)))):
            measure_row(row, text, prepared.objective, run, progress)
            shared.release(row)
        for row in shared.deferred():
            measure_row(row, partial(read, row), prepared.objective, run, progress)
            shared.release(row)
    if prepared.missing:
        store.remove_left_claims()


def read_row(
    row: Row, prepared: PreparedBuild, run: Run, on_read: Callable[[int], None] = lambda count: None
) -> RowText | None:
    """Read and encode the text of a row; return None if it is not needed, because Fisher values are in the store."""
    settings = prepared.settings
    if row in prepared.from_fisher or has_stored_fisher(row, settings, run.store):
        return None
    return read_text(row, settings, prepared.objective, run.loaded, on_read)


def measure_row(
    row: Row, read_text: Callable[[], RowText | None], objective: Objective, run: Run, progress: BuildProgress
) -> None:
    """Measure and commit a row that this process has claimed; record an error that concerns only its language."""
    run.notify(RowStarted(row))
    try:
        committed = finish_row(row, read_text, objective, run, progress.texts)
    except ONE_LANGUAGE as error:
        progress.failed[row] = error
        run.notify(RowFailed(row, error))
        return
    if committed is None:
        leave_to_other(row, run.settings, run.store, progress)
        return
    progress.add(committed)
    if note := refusal():
        run.notify(Noted(note))


def leave_to_other(row: Row, settings: BuildSettings, store: SubNetworkStore, progress: BuildProgress) -> None:
    """Record that another process has committed a row; send a note if the row lacks requested results."""
    progress.by_others.append(row)
    progress.notify(RowByOther(row))
    if missing := lacking(row, settings, store):
        progress.notify(Noted(f"was measured by another process, and is not {missing}.", row))


def describe_waiting(rows: Sequence[Row]) -> str:
    """Return a note on rows that other processes are measuring."""
    names = ", ".join(f"{row.language} (seed {row.seed})" for row in rows[:SHOWN])
    more = ", …" if len(rows) > SHOWN else ""
    number = "1 row is" if len(rows) == 1 else f"{len(rows)} rows are"
    return f"{number} being measured by another process; this process waits for: {names}{more}."
