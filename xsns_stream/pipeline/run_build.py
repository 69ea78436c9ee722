"""The loop over the rows of a build.

For each row that the store lacks, it reads the text, measures the Fisher values, selects the sub-networks and stores
them. Errors that concern one language are collected.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.corpora import draw_sample
from xsns_stream.errors import (
    CorpusError,
    FisherError,
    IncompatibleError,
    LanguageError,
    UsageError,
    XsnsError,
)
from xsns_stream.io.atomic import refusal
from xsns_stream.models.auto_classes import TASKS
from xsns_stream.objectives import Objective, make_objective
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
from xsns_stream.pipeline.measure import Batching, Run, free_memory
from xsns_stream.pipeline.rows import RowText, RowTexts, finish_row, note_on_shared
from xsns_stream.pipeline.scheduling import ReadAhead, SharedItems
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.pipeline.store_settings import recorded_corpus, relative_inputs
from xsns_stream.store import SubNetworkStore
from xsns_stream.store.text_notes import note_on_same_texts, same_texts
from xsns_stream.types import ParameterLayout, Provenance
from xsns_stream.types.provenance import library_versions

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel


#: Errors that concern one language only; any other error ends the run.
ONE_LANGUAGE: Final = (CorpusError, FisherError, LanguageError)
#: Largest number of rows in a message.
SHOWN: Final = 5
#: Phrases of notes, for results that a finished row may lack.
_HALVES: Final = "compared in halves"
_FISHER: Final = "stored with its Fisher values"
_AUTOCAST: Final = {"bf16": "+bf16-autocast", "fp16": "+fp16-autocast"}


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
        ModelError, StoreError: The model or the store fails, so that no row can be measured or written.
    """
    from xsns_stream.fisher.model_state import caller_modes_off

    prepared = prepare_build(settings, loaded, store, on_event)
    progress = BuildProgress(on_event)
    with caller_modes_off():
        run = prepare_run(prepared, loaded, store, progress.notify)
        _measure_rows(prepared, run, progress)
    return finish_build(prepared, loaded.notes, store, progress)


@dataclass(frozen=True)
class PreparedBuild:
    """A build whose settings were checked against the model, the store and the texts of finished rows.

    Attributes:
        settings: The settings of the build.
        layout: Layout of the measured parameters θ.
        objective: The training objective.
        provenance: The fields of provenance that all rows share.
        missing: The rows that the store lacks, in the order of the build.
        from_fisher: The missing rows whose sub-networks are selected from Fisher values in the store.
    """

    settings: BuildSettings
    layout: ParameterLayout
    objective: Objective
    provenance: Provenance
    missing: tuple[Row, ...]
    from_fisher: frozenset[Row]


def prepare_build(
    settings: BuildSettings,
    loaded: LoadedModel,
    store: SubNetworkStore,
    on_event: Callable[[Event], None],
    *,
    check_text: bool = True,
) -> PreparedBuild:
    """Check that the rows may be written to the store, and find the rows that the store lacks; nothing is written.

    Args:
        settings: The settings of the build.
        loaded: The model with its tokenizer.
        store: The store.
        on_event: Called with the notes on the model and on finished rows.
        check_text: Whether to compare the present text of finished rows with the text that they were measured on.

    Raises:
        IncompatibleError, UsageError, ModelError, StoreError: See :func:`run_build`.
    """
    from xsns_stream.models import parameter_layout

    layout = parameter_layout(loaded.model, stack=settings.stack, include=settings.include, exclude=settings.exclude)
    objective = _objective(settings, loaded)
    provenance = _provenance(settings, objective, loaded, layout)
    provenance = replace(
        provenance,
        inputs=relative_inputs(settings.inputs, store),
        corpus=recorded_corpus(provenance.corpus, store),
    )
    store.check_experiment(provenance, layout)
    if settings.keep_fisher is not None:
        store.check_saves_fisher()
    missing = settings.missing_rows(store)
    from_fisher = frozenset(row for row in missing if _has_stored_fisher(row, settings, store))
    if check_text:
        _check_text(settings, store)
    for note in loaded.notes if missing else ():
        on_event(Noted(note))
    relabelled = settings.relabelled_rows((row for row in settings.rows() if settings.is_missing(row, store)), store)
    if relabelled:
        names = dict.fromkeys(f"{row.language} is {label}" for row, label in relabelled.items())
        on_event(Noted(f"rows that were relabelled are in the store already: {', '.join(names)}."))
    not_measured = [row for row in settings.rows() if row not in set(missing) - from_fisher and row not in relabelled]
    if note := note_on_finished_rows(settings, store, not_measured):
        on_event(Noted(note))
    if settings.quantile_used == "histogram" and missing:
        on_event(
            Noted("thresholds are estimated, within 0.8 % of the exact ones; each row records the share it selects.")
        )
    return PreparedBuild(settings, layout, objective, provenance, missing, from_fisher)


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
    """Measure the missing rows: those that no other process has claimed, then those that others left unfinished."""
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
    if row in prepared.from_fisher or _has_stored_fisher(row, settings, run.store):
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
    if lacking := _lacking(row, settings, store):
        progress.notify(Noted(f"was measured by another process, and is not {lacking}.", row))


def _lacking(row: Row, settings: BuildSettings, store: SubNetworkStore) -> str:
    """Return a phrase that names the requested results (except sub-networks) that a row lacks; empty if none."""
    missing = {
        _HALVES: settings.split_half and not _has_halves(row, settings, store),
        _FISHER: bool(settings.keep_fisher) and store.fisher_record(row.language, row.seed) is None,
    }
    return " or ".join(name for name, is_missing in missing.items() if is_missing)


def _has_halves(row: Row, settings: BuildSettings, store: SubNetworkStore) -> bool:
    """Return whether the records of a row have its split-half reliability at every density."""
    return all(
        store.is_committed(row.language, row.seed, density)
        and "split_half" in store.reliability(store.record(row.language, row.seed, density))
        for density in settings.densities
    )


def describe_waiting(rows: Sequence[Row]) -> str:
    """Return a note on rows that other processes are measuring."""
    names = ", ".join(f"{row.language} (seed {row.seed})" for row in rows[:SHOWN])
    more = ", …" if len(rows) > SHOWN else ""
    number = "1 row is" if len(rows) == 1 else f"{len(rows)} rows are"
    return f"{number} being measured by another process; this process waits for: {names}{more}."


def _has_stored_fisher(row: Row, settings: BuildSettings, store: SubNetworkStore) -> bool:
    """Return whether the missing sub-networks of a row can be selected from Fisher values in the store."""
    # The values of all examples do not determine the values without one part of the examples.
    return not settings.lacks_parts(row, store) and store.fisher_record(row.language, row.seed) is not None


def _objective(settings: BuildSettings, loaded: LoadedModel) -> Objective:
    if settings.objective is None:
        return make_objective(loaded.objective)
    if settings.objective.name != loaded.objective:
        raise UsageError(
            f"the model '{loaded.name}' was loaded for {loaded.objective}, not for {settings.objective.name}.",
            "load the model for the objective of the settings.",
        )
    return settings.objective


def _provenance(
    settings: BuildSettings, objective: Objective, loaded: LoadedModel, layout: ParameterLayout
) -> Provenance:
    weight = next(loaded.model.parameters())
    return Provenance(
        model=_printable(loaded.name),
        revision=loaded.revision,
        weights_digest=loaded.weights_digest,
        tokenizer_digest=loaded.tokenizer_digest,
        layout_digest=layout.digest,
        objective=str(objective),
        estimator=settings.fisher.describe(settings.batch),
        corpus=_printable(settings.corpus.name),
        examples_asked=settings.examples,
        stopping=str(settings.stopping or ""),
        head=f"seed={settings.head_seed}" if objective.name in TASKS else "",
        quantile="" if settings.quantile_used == settings.own_quantile else settings.quantile_used,
        dtype=str(weight.dtype).removeprefix("torch.") + _AUTOCAST.get(settings.fisher.precision, ""),
        device=str(weight.device.type),
        versions=library_versions(),
        checkpoint=loaded.origin,
    )


def _printable(name: str) -> str:
    """Return a file name as valid UTF-8, which records require; other bytes are replaced by escape sequences."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def note_on_finished_rows(settings: BuildSettings, store: SubNetworkStore, not_measured: Sequence[Row]) -> str:
    """Return a note on rows that are in the store but lack a requested result; empty if there are no such rows."""
    lacking = [missing for row in not_measured if (missing := _lacking(row, settings, store))]
    if not lacking:
        return ""
    missing = " or ".join(name for name in (_HALVES, _FISHER) if name in " ".join(lacking))
    # Parts can be added to a row, and an even number of them is compared in halves.
    parts = " --parts 8 adds intervals and split-half to rows that are in the store." if _HALVES in missing else ""
    return (
        f"{len(lacking)} of {len(settings.rows())} rows are in the store already, and are not {missing}. "
        f"To add this, remove these rows with prune, and build again.{parts}"
    )


def _digest_before(row: Row, settings: BuildSettings, store: SubNetworkStore) -> str | None:
    """Return the digest of the text that a row was measured on; None if the store has nothing of the row."""
    record = store.fisher_record(row.language, row.seed)
    if record is not None:
        return record.provenance.corpus_digest
    for density in settings.densities:
        if store.is_committed(row.language, row.seed, density):
            return store.record(row.language, row.seed, density).provenance.corpus_digest
    return None


def _check_text(settings: BuildSettings, store: SubNetworkStore) -> None:
    """Raise an error if the text of an existing row differs from the present text of the corpus.

    Only local corpora are compared, because a data set on the Hub would have to be downloaded again.

    Raises:
        IncompatibleError: The text of a language has changed since its row was written.
    """
    if not settings.corpus.local:
        return
    for row in settings.rows():
        digest = _digest_before(row, settings, store)
        if digest is None:
            continue
        sample = settings.corpus.sample(row.language, settings.examples, row.seed)
        if sample.digest != digest:
            raise IncompatibleError(
                f"the text of '{row.language}' in {settings.corpus.name} is not the text that its row in the store "
                "was measured on.",
                "write to another store, or restore the old text.",
            )


def prepare_run(
    prepared: PreparedBuild, loaded: LoadedModel, store: SubNetworkStore, notify: Callable[[Event], None]
) -> Run:
    """Return the parts of a build that all rows share.

    The model is used only if there are rows to measure, and not if all missing rows are selected from Fisher values.
    """
    settings, layout, provenance = prepared.settings, prepared.layout, prepared.provenance
    batching = Batching(settings.batch, None, settings.order)
    if len(prepared.from_fisher) == len(prepared.missing):
        return Run(settings, loaded, layout, provenance, store, batching, 1, notify)
    passes = _passes(settings, layout, notify)
    fallback = _fallback(settings, loaded, layout, notify)
    if settings.batch_size == "auto":
        batching.token_budget = _budget(settings, loaded, layout, notify)
    return Run(settings, loaded, layout, replace(provenance, fallback=fallback), store, batching, passes, notify)


def _passes(settings: BuildSettings, layout: ParameterLayout, notify: Callable[[Event], None]) -> int:
    """Return the number of passes over the text that the limit on memory requires.

    Raises:
        UsageError: More than one pass is needed, but the settings need all values in memory.
    """
    from xsns_stream.fisher import groups_of_layers

    needed = 4 * layout.size * (2 if settings.split_half else 1)
    if settings.memory is None or needed <= settings.memory:
        return 1
    need_all_values = {
        f"the estimator '{settings.fisher.estimator}'": settings.fisher.batch_wise,
        "--until-stable": settings.stopping is not None,
        "--split-half": settings.split_half,
        "--parts": settings.parts is not None,
    }
    for name, requested in need_all_values.items():
        if requested:
            raise UsageError(
                f"{name} needs all Fisher values at once: {needed:,} bytes, more than the {settings.memory:,} allowed.",
                "give more --memory, or omit one of the two options.",
            )
    passes = len(groups_of_layers(layout, settings.memory))
    notify(
        Noted(f"the Fisher values need {needed:,} bytes: {passes} passes over each text, one for each group of layers.")
    )
    return passes


def _fallback(
    settings: BuildSettings, loaded: LoadedModel, layout: ParameterLayout, notify: Callable[[Event], None]
) -> tuple[str, ...]:
    """Return the names of the parameters that are measured one example at a time; send a note if there are any."""
    from xsns_stream.fisher import without_rules

    if settings.fisher.batch_wise:
        return ()
    names = without_rules(loaded.model, layout, cached=True, budget=settings.memory)
    if names:
        notify(
            Noted(
                f"{len(names)} of {len(layout.names)} parameters (such as '{names[0]}') are measured one example "
                "at a time: exact, but slower."
            )
        )
    return names


def _budget(
    settings: BuildSettings, loaded: LoadedModel, layout: ParameterLayout, notify: Callable[[Event], None]
) -> int:
    from xsns_stream.fisher import token_budget

    values = 4 * layout.size * (2 if settings.split_half else 1)
    available = free_memory(loaded.model) - min(values, settings.memory or values)
    longest = _objective(settings, loaded).max_length
    budget = token_budget(loaded.model, layout, settings.fisher, longest, max(0, available))
    notify(Noted(f"batches of at most {budget:,} tokens."))
    return budget
