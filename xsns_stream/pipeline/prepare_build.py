"""Preparation of a build: checks of the settings, the model, the store and the texts, and the data that rows share."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.errors import IncompatibleError, UsageError
from xsns_stream.models.auto_classes import TASKS
from xsns_stream.objectives import Objective, make_objective
from xsns_stream.pipeline.events import Event, Noted, Row
from xsns_stream.pipeline.measure import Batching, Run, free_memory
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.pipeline.store_settings import recorded_corpus, relative_inputs
from xsns_stream.store import SubNetworkStore
from xsns_stream.types import ParameterLayout, Provenance
from xsns_stream.types.provenance import library_versions

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel

#: Phrases of notes, for results that a finished row may lack.
_HALVES: Final = "compared in halves"
_FISHER: Final = "stored with its Fisher values"
_AUTOCAST: Final = {"bf16": "+bf16-autocast", "fp16": "+fp16-autocast"}


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
        IncompatibleError, UsageError, ModelError, StoreError: See :func:`~xsns_stream.pipeline.run_build.run_build`.
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
    from_fisher = frozenset(row for row in missing if has_stored_fisher(row, settings, store))
    if check_text:
        _check_text(settings, store)
    for note in loaded.notes if missing else ():
        on_event(Noted(note))
    relabelled = settings.relabelled_rows((row for row in settings.rows() if settings.is_missing(row, store)), store)
    if relabelled:
        names = dict.fromkeys(f"{row.language} (now {label})" for row, label in relabelled.items())
        on_event(Noted(f"rows that were relabelled are in the store already: {', '.join(names)}."))
    not_measured = [row for row in settings.rows() if row not in set(missing) - from_fisher and row not in relabelled]
    if note := note_on_finished_rows(settings, store, not_measured):
        on_event(Noted(note))
    if settings.quantile_used == "histogram" and missing:
        on_event(
            Noted(
                "thresholds are estimated, within 0.8 % of the exact thresholds; each row records the share of "
                "parameters that it selects."
            )
        )
    return PreparedBuild(settings, layout, objective, provenance, missing, from_fisher)


def refuse_other_settings(settings: BuildSettings, model_options: Mapping[str, Any], store: SubNetworkStore) -> None:
    """Check the settings that do not depend on the model against the record of a store, before the model is loaded.

    Args:
        settings: The settings of the build, without the objective.
        model_options: Options of :func:`~xsns_stream.pipeline.build_model.load_for_build`.
        store: The store, which may not exist yet.

    Raises:
        IncompatibleError: The store contains another experiment; the message names each field that differs.
    """
    if not store.exists:
        return
    known = _shared_settings(settings) | {"corpus": recorded_corpus(_printable(settings.corpus.name), store)}
    name = model_options.get("objective", "auto")
    if name not in ("auto", *TASKS):
        objective = make_objective(
            name,
            rate=model_options.get("mask_rate"),
            mean_span=model_options.get("mean_span"),
            max_length=model_options.get("max_length", 128),
            scored_share=model_options.get("scored_share"),
        )
        known["objective"] = str(objective)
    header = store.load()
    header.require(replace(header, experiment={**header.experiment, **known}), store.storage)


def _shared_settings(settings: BuildSettings) -> dict[str, Any]:
    """Return the fields of provenance that all rows share and that depend on the settings alone."""
    return {
        "estimator": settings.fisher.describe(settings.batch),
        "examples_asked": settings.examples,
        "stopping": str(settings.stopping or ""),
        "quantile": "" if settings.quantile_used == settings.own_quantile else settings.quantile_used,
    }


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
        corpus=_printable(settings.corpus.name),
        head=f"seed={settings.head_seed}" if objective.name in TASKS else "",
        dtype=str(weight.dtype).removeprefix("torch.") + _AUTOCAST.get(settings.fisher.precision, ""),
        device=str(weight.device.type),
        versions=library_versions(),
        checkpoint=loaded.origin,
        **_shared_settings(settings),
    )


def _printable(name: str) -> str:
    """Return a file name as valid UTF-8, which records require; other bytes are replaced by escape sequences."""
    return name.encode("utf-8", "backslashreplace").decode("utf-8")


def note_on_finished_rows(settings: BuildSettings, store: SubNetworkStore, not_measured: Sequence[Row]) -> str:
    """Return a note on rows that are in the store but lack a requested result; empty if there are no such rows."""
    phrases = [missing for row in not_measured if (missing := lacking(row, settings, store))]
    if not phrases:
        return ""
    missing = " or ".join(name for name in (_HALVES, _FISHER) if name in " ".join(phrases))
    # Parts can be added to a row, and an even number of them is compared in halves.
    parts = " --parts 8 adds intervals and split-half to rows that are in the store." if _HALVES in missing else ""
    return (
        f"{len(phrases)} of {len(settings.rows())} rows are in the store already, and are not {missing}. "
        f"To add what is missing, remove these rows with prune, and build again.{parts}"
    )


def lacking(row: Row, settings: BuildSettings, store: SubNetworkStore) -> str:
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


def has_stored_fisher(row: Row, settings: BuildSettings, store: SubNetworkStore) -> bool:
    """Return whether the missing sub-networks of a row can be selected from Fisher values in the store."""
    # The values of all examples do not determine the values without one part of the examples.
    return not settings.lacks_parts(row, store) and store.fisher_record(row.language, row.seed) is not None


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
                f"the text of '{row.language}' in {settings.corpus.name} differs from the text on which its row in the "
                "store was measured.",
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
    """Return how often the text of each row must be read so that the Fisher values fit into the limit on memory.

    A note says so if the text must be read more than once.

    Raises:
        UsageError: The text must be read more than once, but the settings need all Fisher values in memory.
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
                f"{name} needs all Fisher values at once: {needed:,} bytes, more than --memory allows.",
                f"give more --memory, or build without {name}.",
            )
    passes = len(groups_of_layers(layout, settings.memory))
    notify(
        Noted(
            f"the Fisher values need {needed:,} bytes: each text is read {passes} times, once for each group of layers."
        )
    )
    return passes


def _fallback(
    settings: BuildSettings, loaded: LoadedModel, layout: ParameterLayout, notify: Callable[[Event], None]
) -> tuple[str, ...]:
    """Return the names of the parameters that have no fast rule, and are thus measured one example at a time.

    A note is sent if there are such parameters.
    """
    from xsns_stream.fisher import without_rules

    if settings.fisher.batch_wise:
        return ()
    names = without_rules(loaded.model, layout, cached=True, budget=settings.memory)
    if names:
        notify(
            Noted(
                f"{len(names)} of {len(layout.names)} parameters (such as '{names[0]}') are measured one example "
                "at a time, which is exact, but slower."
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
    notify(Noted(f"examples are measured in batches of at most {budget:,} tokens."))
    return budget
