"""The loop over rows: read, measure, select, store; skip what is there; collect what fails."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.errors import CorpusError, FisherError, IncompatibleError, LanguageError, UsageError, XsnsError
from xsns_stream.io.atomic import refusal
from xsns_stream.models.auto_classes import TASKS
from xsns_stream.objectives import Objective, make_objective
from xsns_stream.pipeline.committing import RowCommits
from xsns_stream.pipeline.events import (
    BuildResult,
    Event,
    Noted,
    Row,
    RowByOther,
    RowCommitted,
    RowFailed,
    RowStarted,
)
from xsns_stream.pipeline.measure import Measured, Run, measure_in_memory
from xsns_stream.pipeline.memory import Batching, free_memory
from xsns_stream.pipeline.read_ahead import OneAhead, RowText
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.pipeline.sharing import SharedItems
from xsns_stream.pipeline.texts import note_on_shared, notes_on_text, text_record
from xsns_stream.store import SubNetworkStore
from xsns_stream.store.store import note_on_same_texts, same_texts
from xsns_stream.subnetworks.select import extract_subnetworks
from xsns_stream.types import ParameterLayout, Provenance, SubNetwork
from xsns_stream.types.provenance import library_versions

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel


#: Errors that concern one language; any other ends the run.
ONE_LANGUAGE: Final = (CorpusError, FisherError, LanguageError)
#: Rows that a message names.
SHOWN: Final = 5
_AUTOCAST: Final = {"bf16": "+bf16-autocast", "fp16": "+fp16-autocast"}


def build(
    settings: BuildSettings,
    loaded: LoadedModel,
    store: SubNetworkStore,
    on_event: Callable[[Event], None] = lambda event: None,
) -> BuildResult:
    """Measure every row of `settings` that `store` does not hold, and commit each as it is finished.

    Several processes may build one store at once: a row that another process is measuring is left to it, and measured
    here if that process dies. Object stores have no locks: there a row may be measured twice, and the first commit
    counts.

    Args:
        settings: What to measure.
        loaded: The model with its tokenizer.
        store: Open for writing.
        on_event: Called with each event, in order.

    Raises:
        IncompatibleError: The store holds another experiment; the differing fields are named.
        UsageError: Settings that this model, or this store, does not allow.
        ModelError, StoreError: Nothing more can be measured, or written.
    """
    from xsns_stream.models import parameter_layout

    layout = parameter_layout(loaded.model, stack=settings.stack, include=settings.include, exclude=settings.exclude)
    objective = _objective(settings, loaded)
    provenance = _provenance(settings, objective, loaded, layout)
    store.check_experiment(provenance, layout)
    if settings.keep_fisher is not None:
        store.check_keeping()
    todo = settings.missing_rows(store)
    kept = frozenset(row for row in todo if _is_kept(row, settings, store))
    _check_text(settings, store)
    for note in loaded.notes if todo else ():
        on_event(Noted(note))
    if unheeded := _unheeded(settings, store, [row for row in settings.rows() if row not in set(todo) - kept]):
        on_event(Noted(unheeded))
    if settings.quantile_used == "histogram" and todo:
        on_event(Noted("thresholds are estimated, within 0.8 % of the exact ones; each row says what share it keeps."))
    done = _Done()

    def tell(event: Event) -> None:
        if isinstance(event, Noted) and event.row is not None:
            done.row_notes.append(event)
        on_event(event)

    run = _run(settings, loaded, layout, provenance, store, tell, measuring=len(kept) < len(todo))
    _measure_rows(todo, kept, objective, run, done)
    notes = tuple(_notes_on_shared(run, done))
    for note in notes:
        on_event(Noted(note))
    skipped = tuple(row for row in settings.rows() if row not in set(todo))
    return BuildResult(
        tuple(done.committed),
        skipped,
        done.failed,
        done.known,
        tuple(done.by_others),
        (*loaded.notes, *notes),
        run.texts.records,
        tuple(done.row_notes),
    )


@dataclass
class _Done:
    """What became of the rows so far; fields as of :class:`BuildResult`."""

    committed: list[Row] = field(default_factory=list)
    by_others: list[Row] = field(default_factory=list)
    failed: dict[Row, XsnsError] = field(default_factory=dict)
    known: dict[Row, Mapping[str, Any]] = field(default_factory=dict)
    row_notes: list[Noted] = field(default_factory=list)


def _notes_on_shared(run: Run, done: _Done) -> Iterator[str]:
    """Yield what the user should know of text that several languages of this build have."""
    if not done.committed:
        return
    same = same_texts(run.store, run.settings.languages, run.settings.seeds)
    if note := note_on_same_texts(same):
        yield note
    groups = [set(languages) for _, languages in same]
    others = [one for one in run.texts.shared() if not any(group.issuperset(one.languages) for group in groups)]
    if note := note_on_shared(others):
        yield note


def _measure_rows(todo: Sequence[Row], kept: frozenset[Row], objective: Objective, run: Run, done: _Done) -> None:
    """Measure the rows that no other process holds, then those that others held and did not finish."""
    settings, store = run.settings, run.store

    def read(row: Row) -> RowText | None:
        if row in kept or _is_kept(row, settings, store):
            return None
        sample = settings.corpus.sample(row.language, settings.examples, row.seed)
        return RowText(sample, objective.encode(sample, run.loaded.tokenizer, row.seed))

    def is_there(row: Row) -> bool:
        if settings.is_missing(row, store):
            return False
        # The store may be younger than this run, and another process may have begun it with other settings.
        store.check_experiment(run.provenance, run.layout)
        return True

    with SharedItems(
        todo,
        lambda row: store.claimed(row.language, row.seed),
        is_there,
        lambda row: _left_to_other(row, run, done),
        lambda rows: run.tell(Noted(_waiting(rows))),
    ) as shared:
        for row, text in OneAhead(shared.free(), read):
            _measure_row(row, text, run, done)
            shared.release(row)
        for row in shared.deferred():
            _measure_row(row, partial(read, row), run, done)
            shared.release(row)
    if todo:
        store.remove_left_claims()


def _measure_row(row: Row, text: Callable[[], RowText | None], run: Run, done: _Done) -> None:
    run.tell(RowStarted(row))
    try:
        finished = _finish(row, text, run)
    except ONE_LANGUAGE as error:
        done.failed[row] = error
        run.tell(RowFailed(row, error))
        return
    if finished is None:
        _left_to_other(row, run, done)
        return
    done.committed.append(row)
    if finished.reliability:
        done.known[row] = finished.reliability
    run.tell(finished)
    if refused := refusal():
        run.tell(Noted(refused))


def _left_to_other(row: Row, run: Run, done: _Done) -> None:
    """Note that another process has committed a row, and what that process did not do."""
    done.by_others.append(row)
    run.tell(RowByOther(row))
    if lacking := _lacking(row, run.settings, run.store):
        run.tell(Noted(f"was measured by another process, and is not {lacking}.", row))


def _lacking(row: Row, settings: BuildSettings, store: SubNetworkStore) -> str:
    """Return what was asked for beside a row's sub-networks, and is not in the store; empty where all is."""
    asked = {
        "compared in halves": settings.split_half and not _has_halves(row, settings, store),
        "kept as Fisher values": bool(settings.keep_fisher) and store.kept_record(row.language, row.seed) is None,
    }
    return " or ".join(what for what, wanted in asked.items() if wanted)


def _has_halves(row: Row, settings: BuildSettings, store: SubNetworkStore) -> bool:
    """Return whether the records of a row say how alike two halves of its examples are."""
    return all(
        store.is_committed(row.language, row.seed, density)
        and "split_half" in store.record(row.language, row.seed, density).provenance.reliability
        for density in settings.densities
    )


def _waiting(rows: Sequence[Row]) -> str:
    names = ", ".join(f"{row.language} (seed {row.seed})" for row in rows[:SHOWN])
    more = ", …" if len(rows) > SHOWN else ""
    what = "1 row is" if len(rows) == 1 else f"{len(rows)} rows are"
    return f"{what} being measured by another process, and waited for: {names}{more}."


def _is_kept(row: Row, settings: BuildSettings, store: SubNetworkStore) -> bool:
    """Say whether a row can be made of Fisher values that the store has kept."""
    # What all examples say together does not tell what they say without a part.
    return not settings.lacks_parts(row, store) and store.kept_record(row.language, row.seed) is not None


def _objective(settings: BuildSettings, loaded: LoadedModel) -> Objective:
    if settings.objective is None:
        return make_objective(loaded.objective)
    if settings.objective.name != loaded.objective:
        raise UsageError(
            f"the model '{loaded.name}' was loaded for {loaded.objective}, and is asked for {settings.objective.name}.",
            "load it for the objective that is to be measured.",
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
    )


def _printable(name: str) -> str:
    """Return a file's name as text that can be written: names need not be UTF-8, records must."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def _unheeded(settings: BuildSettings, store: SubNetworkStore, not_measured: Sequence[Row]) -> str:
    """Return what rows that are not measured anew lack of what is asked for; empty where they lack nothing."""
    lacking = [found for row in not_measured if (found := _lacking(row, settings, store))]
    if not lacking:
        return ""
    missing = " or ".join(what for what in ("compared in halves", "kept as Fisher values") if what in " ".join(lacking))
    return (
        f"{len(lacking)} of {len(settings.rows())} rows are in the store already, and are not {missing}. "
        "For that they would have to be dropped with prune, and measured again."
    )


def _digest_before(row: Row, settings: BuildSettings, store: SubNetworkStore) -> str | None:
    """Return the digest of the text that a row was measured on before; None where nothing of it is in the store."""
    kept = store.kept_record(row.language, row.seed)
    if kept is not None:
        return kept.provenance.corpus_digest
    for density in settings.densities:
        if store.is_committed(row.language, row.seed, density):
            return store.record(row.language, row.seed, density).provenance.corpus_digest
    return None


def _check_text(settings: BuildSettings, store: SubNetworkStore) -> None:
    """Refuse to go on with rows that were measured on other text than the corpus holds now.

    Only for local corpora: reading them costs little beside measuring, a data set on the Hub would be fetched again.

    Raises:
        IncompatibleError: A language's text has changed since its row was written.
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
                f"the text of '{row.language}' in {settings.corpus.name} is not what its row in the store "
                "was measured on.",
                "write to another store, or bring the old text back.",
            )


def _run(
    settings: BuildSettings,
    loaded: LoadedModel,
    layout: ParameterLayout,
    provenance: Provenance,
    store: SubNetworkStore,
    tell: Callable[[Event], None],
    *,
    measuring: bool,
) -> Run:
    """Choose how rows are measured; nothing is where none is."""
    batching = Batching(settings.batch, None, settings.order)
    if not measuring:
        return Run(settings, loaded, layout, provenance, store, batching, 1, tell)
    passes = _passes(settings, layout, tell)
    fallback = _fallback(settings, loaded, layout, tell)
    if settings.batch_size == "auto":
        batching.token_budget = _budget(settings, loaded, layout, tell)
    return Run(settings, loaded, layout, replace(provenance, fallback=fallback), store, batching, passes, tell)


def _passes(settings: BuildSettings, layout: ParameterLayout, tell: Callable[[Event], None]) -> int:
    """Return how many passes over the text the bound on memory makes necessary.

    Raises:
        UsageError: More than one, where all values are needed at once.
    """
    from xsns_stream.fisher import groups_of_layers

    needed = 4 * layout.size * (2 if settings.split_half else 1)
    if settings.memory is None or needed <= settings.memory:
        return 1
    together = {
        f"the estimator '{settings.fisher.estimator}'": settings.fisher.batch_wise,
        "--until-stable": settings.stopping is not None,
        "--split-half": settings.split_half,
        "--parts": settings.parts is not None,
    }
    for name, asked in together.items():
        if asked:
            raise UsageError(
                f"{name} needs all Fisher values at once: {needed:,} bytes, more than the {settings.memory:,} allowed.",
                "allow more --memory, or leave one of the two out.",
            )
    passes = len(groups_of_layers(layout, settings.memory))
    tell(Noted(f"the Fisher values take {needed:,} bytes: {passes} passes over each text, a group of layers each."))
    return passes


def _fallback(
    settings: BuildSettings, loaded: LoadedModel, layout: ParameterLayout, tell: Callable[[Event], None]
) -> tuple[str, ...]:
    """Return, and announce, the parameters that need the batch-of-one path."""
    from xsns_stream.fisher import without_rules

    if settings.fisher.batch_wise:
        return ()
    names = without_rules(loaded.model, layout, cached=True, budget=settings.memory)
    if names:
        tell(
            Noted(
                f"{len(names)} of {len(layout.names)} parameters (such as '{names[0]}') are measured one example "
                "at a time: exact, but slower."
            )
        )
    return names


def _budget(
    settings: BuildSettings, loaded: LoadedModel, layout: ParameterLayout, tell: Callable[[Event], None]
) -> int:
    from xsns_stream.fisher import token_budget

    values = 4 * layout.size * (2 if settings.split_half else 1)
    left = free_memory(loaded.model) - min(values, settings.memory or values)
    longest = _objective(settings, loaded).max_length
    budget = token_budget(loaded.model, layout, settings.fisher, longest, max(0, left))
    tell(Noted(f"batches of at most {budget:,} pieces."))
    return budget


def _finish(row: Row, text: Callable[[], RowText | None], run: Run) -> RowCommitted | None:
    """Measure and commit one row; return None where another process has committed it meanwhile."""
    started = time.perf_counter()
    with ExitStack() as undo:
        read = text()
        commits = RowCommits(row, run)
        measured = _measured(row, read, run, undo) if read is not None else _kept(row, run)
        fisher = measured.fisher
        commits.write_parts(measured)
        for network in extract_subnetworks(fisher, run.settings.densities, quantile=run.settings.quantile_used):
            _note_few(network, row, run)
            commits.write(network, measured)
    if commits.lost and not commits.written:
        return None
    reliability = measured.reliability(run.settings.densities[0])
    seconds = time.perf_counter() - started
    realised = network.density_realised
    return RowCommitted(row, fisher.examples, network.cardinality, realised, seconds, read is None, reliability)


def _measured(row: Row, text: RowText, run: Run, undo: ExitStack) -> Measured:
    """Measure a row from its text, and keep its Fisher values where that is asked for."""
    encoded = text.encoded
    for note in notes_on_text(
        text.sample, encoded, run.settings.examples, _objective(run.settings, run.loaded).max_length
    ):
        run.tell(Noted(note, row))
    run.texts.add(row, text)
    provenance = replace(
        run.provenance, corpus_digest=text.sample.digest, seed=row.seed, text=text_record(text.sample, encoded)
    )
    measured = measure_in_memory(row, encoded.examples, run, provenance, undo)
    if run.settings.split_half and not measured.reliability(run.settings.densities[0]).get("split_half"):
        run.tell(Noted("has too few examples to compare two halves of them.", row))
    if run.settings.keep_fisher is not None and run.store.kept_record(row.language, row.seed) is None:
        run.store.keep(measured.fisher, run.settings.keep_fisher)
    return measured


def _kept(row: Row, run: Run) -> Measured:
    """Take a row's Fisher values from the store."""
    fisher, record = run.store.kept(row.language, row.seed), run.store.kept_record(row.language, row.seed)
    if fisher is None or record is None:
        raise FisherError(
            f"the Fisher values of '{row.language}' that the store had kept are gone.", "run the build again."
        )
    rounded = ", rounded to bf16: their sub-network is an approximation" if record.encoding == "bf16" else ""
    run.tell(Noted(f"is taken from the Fisher values that the store has kept{rounded}.", row))
    return Measured(replace(fisher, provenance=replace(fisher.provenance, values=f"kept-{record.encoding}")))


def _note_few(network: SubNetwork, row: Row, run: Run) -> None:
    if network.density_realised < 0.99 * network.density and network.cardinality + 1 < network.density * network.size:
        text = (
            f"only {network.density_realised:.2%} of the parameters have a Fisher value above zero, "
            f"fewer than the {network.density:.2%} asked for."
        )
        run.tell(Noted(text, row))
