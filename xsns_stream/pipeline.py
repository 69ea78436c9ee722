"""Plan and run a build: the only place where the stages meet.

corpus → sample → encoded examples → Fisher → sub-networks → store, one (language, seed) row at a time. A row is
committed when it is finished and skipped when it is there, so that running again is resuming. What goes wrong with
one language's text or gradients is noted and the others go on; what goes wrong with the model or the store ends the
run, because it would go wrong for all.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeAlias

from xsns_stream.corpora import Corpus
from xsns_stream.errors import CorpusError, FisherError, IncompatibleError, LanguageError, UsageError, XsnsError
from xsns_stream.objectives import MaskedLanguageModelling
from xsns_stream.provenance import library_versions
from xsns_stream.store import SubNetworkStore
from xsns_stream.subnetwork import check_density, extract_subnetwork
from xsns_stream.types import LanguageSample, ParameterLayout, Provenance

if TYPE_CHECKING:
    import torch

    from xsns_stream.models import LoadedModel

DEFAULT_EXAMPLES: Final = 64
DEFAULT_SEED: Final = 42
DEFAULT_DENSITY: Final = 0.15
#: Above this share of unknown pieces a language is measured on little more than its punctuation.
MANY_UNKNOWN: Final = 0.2
#: Errors that concern one language; any other ends the run.
ONE_LANGUAGE: Final = (CorpusError, FisherError, LanguageError)


@dataclass(frozen=True, slots=True)
class Row:
    """One unit of work."""

    language: str
    seed: int


@dataclass(frozen=True, slots=True)
class RowStarted:
    """A row's text is about to be read."""

    row: Row


@dataclass(frozen=True, slots=True)
class ExamplesDone:
    """Some more examples of the current row are measured."""

    row: Row
    count: int
    total: int


@dataclass(frozen=True, slots=True)
class RowCommitted:
    """A row is in the store, whatever happens next."""

    row: Row
    examples: int
    cardinality: int
    density_realised: float
    seconds: float


@dataclass(frozen=True, slots=True)
class RowFailed:
    """A row could not be measured."""

    row: Row
    error: XsnsError


@dataclass(frozen=True, slots=True)
class Noted:
    """Something that the user should know about a row, or about the run (no row)."""

    text: str
    row: Row | None = None


Event: TypeAlias = RowStarted | ExamplesDone | RowCommitted | RowFailed | Noted


@dataclass(frozen=True)
class BuildSettings:
    """What to measure, and how; everything but the model and the store.

    Attributes:
        corpus: Where the text comes from.
        languages: Normalised codes.
        seeds: One row of each language for each.
        densities: All from one pass over the text.
        examples: |D| asked for.
        batch_size: Examples computed together; changes speed and memory, not results.
        objective: What the model is asked to predict.
        token_reduction: `sum` or `mean`.
    """

    corpus: Corpus
    languages: tuple[str, ...]
    seeds: tuple[int, ...] = (DEFAULT_SEED,)
    densities: tuple[float, ...] = (DEFAULT_DENSITY,)
    examples: int = DEFAULT_EXAMPLES
    batch_size: int = 8
    objective: MaskedLanguageModelling = field(default_factory=MaskedLanguageModelling)
    token_reduction: str = "sum"

    def __post_init__(self) -> None:
        for density in self.densities:
            check_density(density)
        for name, value in (("examples", self.examples), ("batch size", self.batch_size)):
            if value < 1:
                raise UsageError(f"the number for {name} must be at least 1, not {value}.")
        if not self.languages:
            raise UsageError("no language was asked for.", "give `--lang all`, or codes such as `--lang sw,en`.")

    def rows(self) -> tuple[Row, ...]:
        """Return every row asked for, language after language."""
        return tuple(Row(language, seed) for language in self.languages for seed in self.seeds)

    def missing_rows(self, store: SubNetworkStore) -> tuple[Row, ...]:
        """Return the rows that the store does not hold yet, for all densities."""
        return tuple(
            row
            for row in self.rows()
            if not all(store.is_committed(row.language, row.seed, density) for density in self.densities)
        )


@dataclass(frozen=True)
class BuildResult:
    """What a build did.

    Attributes:
        committed: Rows measured and written by this run.
        skipped: Rows that were there before.
        failed: Row → what was wrong with it.
    """

    committed: tuple[Row, ...]
    skipped: tuple[Row, ...]
    failed: Mapping[Row, XsnsError]


def build(
    settings: BuildSettings,
    loaded: LoadedModel,
    store: SubNetworkStore,
    on_event: Callable[[Event], None] = lambda event: None,
) -> BuildResult:
    """Measure every row of `settings` that `store` does not hold, and commit each as it is finished.

    Args:
        settings: What to measure.
        loaded: The model with its tokenizer.
        store: Open for writing.
        on_event: Called with each event, in order.

    Raises:
        IncompatibleError: The store holds another experiment; the differing fields are named.
        ModelError, StoreError: Nothing more can be measured, or written.
    """
    from xsns_stream.models import parameter_layout

    layout = parameter_layout(loaded.model)
    provenance = _provenance(settings, loaded, layout)
    store.check_experiment(provenance, layout)
    todo = settings.missing_rows(store)
    _check_text(settings, store, set(todo))
    fallback = _fallback(loaded, layout, on_event) if todo else ()
    provenance = replace(provenance, fallback=fallback)
    committed: list[Row] = []
    failed: dict[Row, XsnsError] = {}
    for row in todo:
        on_event(RowStarted(row))
        try:
            _measure(row, settings, loaded, layout, provenance, store, on_event)
            committed.append(row)
        except ONE_LANGUAGE as error:
            failed[row] = error
            on_event(RowFailed(row, error))
    skipped = tuple(row for row in settings.rows() if row not in set(todo))
    return BuildResult(tuple(committed), skipped, failed)


def _check_text(settings: BuildSettings, store: SubNetworkStore, todo: set[Row]) -> None:
    """Refuse to go on with rows that were measured on other text than the corpus holds now.

    Only for local corpora: reading them costs little beside measuring, a data set on the Hub would be fetched again.

    Raises:
        IncompatibleError: A language's text has changed since its row was written.
    """
    if not settings.corpus.local:
        return
    for row in settings.rows():
        if row in todo:
            continue
        record = store.record(row.language, row.seed, settings.densities[0])
        sample = settings.corpus.sample(row.language, settings.examples, row.seed)
        if sample.digest != record.provenance.corpus_digest:
            raise IncompatibleError(
                f"the text of '{row.language}' in {settings.corpus.name} is not what its row in the store "
                "was measured on.",
                "write to another store, or bring the old text back.",
            )


def _provenance(settings: BuildSettings, loaded: LoadedModel, layout: ParameterLayout) -> Provenance:
    weight = next(loaded.model.parameters())
    return Provenance(
        model=loaded.name,
        revision=loaded.revision,
        weights_digest=loaded.weights_digest,
        tokenizer_digest=loaded.tokenizer_digest,
        layout_digest=layout.digest,
        objective=str(settings.objective),
        estimator=f"per-example(token_reduction={settings.token_reduction})",
        corpus=settings.corpus.name,
        examples_asked=settings.examples,
        dtype=str(weight.dtype).removeprefix("torch."),
        device=str(weight.device.type),
        versions=library_versions(),
    )


def _fallback(loaded: LoadedModel, layout: ParameterLayout, on_event: Callable[[Event], None]) -> tuple[str, ...]:
    """Return, and announce, the parameters that need the batch-of-one path."""
    from xsns_stream.fisher import without_rules

    names = without_rules(loaded.model, layout)
    if names:
        on_event(
            Noted(
                f"{len(names)} of {len(layout.names)} parameters (such as '{names[0]}') are measured one example "
                "at a time: exact, but slower."
            )
        )
    return names


def _measure(
    row: Row,
    settings: BuildSettings,
    loaded: LoadedModel,
    layout: ParameterLayout,
    provenance: Provenance,
    store: SubNetworkStore,
    on_event: Callable[[Event], None],
) -> None:
    from xsns_stream.fisher import diagonal_fisher

    started = time.perf_counter()
    sample = settings.corpus.sample(row.language, settings.examples, row.seed)
    encoded = settings.objective.encode(sample, loaded.tokenizer, row.seed)
    used = len(encoded.examples)
    for text in _notes(sample, settings.examples, encoded.unusable, encoded.unknown_share):
        on_event(Noted(text, row))
    fisher = diagonal_fisher(
        loaded.model,
        _counted(row, encoded.examples, settings, loaded, on_event),
        layout,
        token_reduction=settings.token_reduction,
        language=row.language,
        provenance=replace(provenance, corpus_digest=sample.digest, examples=used, seed=row.seed),
    )
    for density in settings.densities:
        network = extract_subnetwork(fisher, density)
        if network.density_realised < 0.99 * density and network.cardinality + 1 < density * layout.size:
            on_event(
                Noted(
                    f"only {network.density_realised:.2%} of the parameters have a Fisher value above zero, "
                    f"fewer than the {density:.2%} asked for.",
                    row,
                )
            )
        if not store.is_committed(row.language, row.seed, density):
            store.write(network)
    on_event(RowCommitted(row, used, network.cardinality, network.density_realised, time.perf_counter() - started))


def _counted(
    row: Row,
    examples: Any,
    settings: BuildSettings,
    loaded: LoadedModel,
    on_event: Callable[[Event], None],
) -> Iterator[dict[str, torch.Tensor]]:
    """Yield the batches, and tell when each has been measured."""
    from xsns_stream.objectives import batches

    device = str(next(loaded.model.parameters()).device)
    done = 0
    for batch in batches(examples, settings.batch_size, loaded.tokenizer.pad_token_id, device):
        yield batch
        done += len(batch["input_ids"])
        on_event(ExamplesDone(row, done, len(examples)))


def _notes(sample: LanguageSample, asked: int, unusable: int, unknown_share: float) -> Iterator[str]:
    counts = sample.counts
    if len(sample) < asked:
        yield f"has {len(sample)} examples, fewer than the {asked} asked for; all are used."
    skipped = {"empty": counts.empty, "duplicate": counts.duplicate, "undecodable": counts.undecodable}
    told = ", ".join(f"{number} {what}" for what, number in skipped.items() if number)
    if told:
        yield f"{told} of {counts.read} lines skipped."
    if unusable:
        yield f"{unusable} examples without a piece that could be hidden are left out."
    if unknown_share > MANY_UNKNOWN:
        yield f"{unknown_share:.0%} of the pieces are unknown to the tokenizer; the result says little."
