"""Baselines from text: one pass over the examples of a build computes all requested baselines.

For emb and nn-rank, the unchanged text goes through the model's body once. grad-cosine uses the objective of the build
on the same examples, and therefore runs the model again. Memory holds one batch, and a vector or counts for each
language; token states and gradients are in temporary files.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from xsns_stream.baselines.nearest_tokens import STATE_TYPES
from xsns_stream.baselines.subwords import MERGES
from xsns_stream.corpora import Corpus
from xsns_stream.errors import CorpusError, LanguageError, ModelError, UsageError, XsnsError
from xsns_stream.objectives import EncodedSample, Objective, batches, make_objective
from xsns_stream.pipeline.baseline_values import (
    Body,
    Collector,
    EmbeddingsCollector,
    EvennessCollector,
    GradientsCollector,
    LanguageText,
    LexicalCollector,
    Matrices,
    NeighboursCollector,
    StatesCollector,
    encode_plain,
)
from xsns_stream.pipeline.events import (
    BaselineEvent,
    ExamplesDone,
    NeighboursFound,
    Noted,
    Row,
    RowFailed,
    RowMeasured,
    RowStarted,
)
from xsns_stream.pipeline.rows import MANY_UNKNOWN, unit_of, unknown_tokens
from xsns_stream.pipeline.run_build import ONE_LANGUAGE
from xsns_stream.pipeline.scheduling import ReadAhead
from xsns_stream.pipeline.settings import DEFAULT_BATCH, DEFAULT_EXAMPLES, DEFAULT_SEED
from xsns_stream.types import ParameterLayout, Reals, SimilarityMatrix
from xsns_stream.types.predictor_records import DrawnText, PredictorRecord

if TYPE_CHECKING:
    from torch import Tensor

    from xsns_stream.models import LoadedModel


__all__ = [
    "MODEL_BASELINES",
    "NEED_WEIGHTS",
    "BaselineEvent",
    "BaselineSettings",
    "NeighboursFound",
    "RowMeasured",
    "model_baselines",
]

#: Layer of NN-Rank; the last layer of models with fewer.
NEIGHBOUR_LAYER: Final = 8


def model_baselines(
    names: Sequence[str],
    corpus: Corpus,
    loaded: LoadedModel | None,
    languages: Sequence[str],
    *,
    on_event: OnBaselineEvent = lambda event: None,
    **settings: Any,
) -> dict[str, SimilarityMatrix]:
    """Compute baselines on the examples that a build with the same corpus, number and seeds draws.

    A language that fails under a seed is reported as an event; its values are NaN for this seed, and in the mean over
    seeds. A language that fails under every seed is left out.

    Args:
        names: Names of :data:`MODEL_BASELINES`.
        corpus: Source of the text.
        loaded: The model with its tokenizer. For lex its `model` may be None; for sue it may be None itself.
        languages: Normalised codes.
        on_event: Called with each event, in order.
        **settings: Further fields of :class:`BaselineSettings`.

    Returns:
        {name: matrix}, in the order of the names, each with `per_seed`.

    Raises:
        UsageError: A name is unknown, a number is below 1, or the model lacks a layer.
        LanguageError: A source or target is not among the languages.
        CorpusError: No source and target are left to compare.
        ModelError: The model does not return its states, or a batch does not fit into memory.
    """
    for side in ("sources", "targets", "seeds"):
        if settings.get(side) is not None:
            settings[side] = tuple(dict.fromkeys(settings[side]))
    requested = BaselineSettings(tuple(dict.fromkeys(names)), corpus, tuple(dict.fromkeys(languages)), **settings)
    run = _Run(requested, loaded, on_event)
    return run.joined([run.one_seed(seed) for seed in requested.seeds])


class _Run:
    """One call of :func:`model_baselines`: its settings, and the parts of the model that all seeds share."""

    def __init__(self, settings: BaselineSettings, loaded: LoadedModel | None, notify: OnBaselineEvent) -> None:
        self.settings, self.loaded, self.notify = settings, loaded, notify
        self.failed: dict[Row, XsnsError] = {}
        self.drawn: dict[str, dict[int, DrawnText]] = {}
        self.body = Body(self._model) if settings.wants("emb", "nn-rank") else None
        self.layout = settings.layout
        self.objective = settings.objective
        if settings.wants("grad-cosine"):
            from xsns_stream.fisher import without_rules
            from xsns_stream.models import parameter_layout

            if self.objective is None:
                self.objective = make_objective(self._model.objective, max_length=settings.max_length)
            if self.layout is None:
                self.layout = parameter_layout(self._model.model)
            without_rules(self._model.model, self.layout, cached=True)

    @property
    def _model(self) -> LoadedModel:
        if self.loaded is None:
            raise ValueError(f"{', '.join(self.settings.names)} cannot be computed without a model or its tokenizer")
        return self.loaded

    def one_seed(self, seed: int) -> Matrices:
        """Return the matrices [S, T] of one seed."""
        with ExitStack() as undo:
            folder = undo.enter_context(
                tempfile.TemporaryDirectory(prefix="xsns-baselines-", dir=self.settings.scratch)
            )
            collectors = self._collectors(seed, Path(folder), undo)
            rows = [Row(language, seed) for language in self.settings.languages]
            for row, text in ReadAhead(rows, self._read):
                self.notify(RowStarted(row))
                started = time.perf_counter()
                try:
                    drawn_text = text()
                    self._add(row, drawn_text, collectors)
                except ONE_LANGUAGE as error:
                    self.failed[row] = error
                    self.notify(RowFailed(row, error))
                else:
                    drawn = DrawnText(row.language, drawn_text.sample.digest, len(drawn_text.sample))
                    self.drawn.setdefault(row.language, {})[row.seed] = drawn
                    self.notify(RowMeasured(row, len(drawn_text.sample), time.perf_counter() - started))
            return self._finish(seed, collectors)

    def joined(self, seeds: Sequence[Matrices]) -> dict[str, SimilarityMatrix]:
        """Return the mean matrix of each baseline over the seeds, without languages that failed under all seeds."""
        settings = self.settings
        lost = {code for code in settings.languages if all(Row(code, seed) in self.failed for seed in settings.seeds)}
        rows = [at for at, code in enumerate(settings.rows) if code not in lost]
        columns = [at for at, code in enumerate(settings.columns) if code not in lost]
        matrices_by_name = {}
        for name in seeds[0]:
            per_seed = np.stack([matrices[name][np.ix_(rows, columns)] for matrices in seeds])
            matrices_by_name[name] = SimilarityMatrix(
                tuple(settings.rows[at] for at in rows),
                tuple(settings.columns[at] for at in columns),
                per_seed.mean(axis=0),
                "emb" if name.startswith("emb-") else name,
                seeds=settings.seeds,
                per_seed=per_seed,
                record=self._record(name),
            )
        return matrices_by_name

    def _record(self, name: str) -> PredictorRecord:
        """Return the record of how the baseline of this name was computed."""
        settings, kind = self.settings, "emb" if name.startswith("emb-") else name
        # sue is computed from words alone.
        loaded = None if kind == "sue" else self._model
        return PredictorRecord(
            kind,
            model="" if loaded is None else loaded.name,
            weights_digest=loaded.weights_digest if loaded is not None and kind in NEED_WEIGHTS else "",
            tokenizer_digest="" if loaded is None else loaded.tokenizer_digest,
            corpus=settings.corpus.name,
            examples_asked=settings.examples,
            seeds=settings.seeds,
            objective=str(self.objective) if kind == "grad-cosine" else "",
            max_length=0 if loaded is None else settings.max_length,
            texts=self.drawn,
            settings=self._settings_of(name, kind),
        )

    def _settings_of(self, name: str, kind: str) -> dict[str, Any]:
        """Return the settings of this baseline alone."""
        settings = self.settings
        if kind == "emb":
            layer = (
                int(name.removeprefix("emb-"))
                if name != kind
                else self._body.layer(_number(settings), self._body.layers)
            )
            return {"layer": layer, "centre": settings.centre}
        if kind == "nn-rank":
            layer = self._body.layer(settings.neighbour_layer, NEIGHBOUR_LAYER)
            return {"layer": layer, "neighbours": settings.neighbours, "max_tokens": settings.max_tokens}
        if kind == "grad-cosine":
            return {"token_reduction": settings.token_reduction}
        return {"merges": settings.merges} if kind == "sue" else {}

    def _collectors(self, seed: int, folder: Path, undo: ExitStack) -> list[Collector]:
        """Return an empty collector for each baseline, in the order of the names."""
        settings = self.settings
        make: dict[str, Callable[[], Collector]] = {
            "lex": lambda: LexicalCollector(self._model.tokenizer),
            "sue": lambda: EvennessCollector(settings.merges),
            "emb": lambda: EmbeddingsCollector(self._body, settings.layer, settings.centre),
            "nn-rank": lambda: self._neighbours(seed, folder / "states", undo),
            "grad-cosine": lambda: GradientsCollector(
                self._theta, folder / "gradients", len(settings.languages), lambda text: self._gradient(text, seed)
            ),
        }
        return [make[name]() for name in settings.names]

    @property
    def _body(self) -> Body:
        assert self.body is not None
        return self.body

    @property
    def _theta(self) -> ParameterLayout:
        assert self.layout is not None
        return self.layout

    def _neighbours(self, seed: int, path: Path, undo: ExitStack) -> NeighboursCollector:
        settings = self.settings
        collector = NeighboursCollector(
            self._body,
            self._model.tokenizer,
            path,
            layer=self._body.layer(settings.neighbour_layer, NEIGHBOUR_LAYER),
            k=settings.neighbours,
            most=settings.max_tokens,
            dtype=settings.states,
            on_progress=lambda done, total: self.notify(NeighboursFound(seed, done, total)),
        )
        undo.callback(collector.states.close)
        return collector

    def _read(self, row: Row) -> LanguageText:
        settings = self.settings
        sample = settings.corpus.sample(row.language, settings.examples, row.seed)
        plain = scored = None
        if settings.wants("lex", "emb", "nn-rank"):
            plain = encode_plain(sample, self._model, row.seed, settings.max_length)
        if self.objective is not None and settings.wants("grad-cosine"):
            scored = self.objective.encode(sample, self._model.tokenizer, row.seed)
        return LanguageText(row.language, sample, plain, scored)

    def _add(self, row: Row, text: LanguageText, collectors: Sequence[Collector]) -> None:
        """Pass a language's text, and its token states, to every collector."""
        for note in _notes(text, self.settings.examples):
            self.notify(Noted(note, row))
        for collector in collectors:
            collector.add_text(text)
        of_states: list[StatesCollector] = [
            one for one in collectors if isinstance(one, EmbeddingsCollector | NeighboursCollector)
        ]
        if not of_states or text.plain is None:
            return
        with _fitting(self.settings.batch):
            for batch in self._batches(text.plain, row):
                states = self._body.states(batch)
                for collector in of_states:
                    collector.add_states(row.language, batch, states)

    def _batches(self, encoded: EncodedSample, row: Row) -> Iterator[dict[str, Tensor]]:
        device = str(next(self._model.model.parameters()).device)
        done = 0
        for batch in batches(encoded.examples, self.settings.batch, self._model.pad_id, device):
            yield batch
            done += len(batch["input_ids"])
            self.notify(ExamplesDone(row, done, len(encoded.examples)))

    def _gradient(self, text: LanguageText, seed: int) -> Mapping[str, Tensor]:
        from xsns_stream.fisher import mean_gradient

        assert text.scored is not None
        todo = self._batches(text.scored, Row(text.language, seed))
        with _fitting(self.settings.batch):
            return mean_gradient(
                self._model.model, todo, self._theta, self.settings.token_reduction, language=text.language
            )

    def _finish(self, seed: int, collectors: Sequence[Collector]) -> Matrices:
        """Return the matrices of a seed; NaN if a language failed.

        Raises:
            CorpusError: Fewer than two languages are left; the error includes the first failure.
        """
        settings = self.settings
        here = [code for code in settings.languages if Row(code, seed) not in self.failed]
        rows, columns = (np.array([code in here for code in side]) for side in (settings.rows, settings.columns))
        if not rows.any() or not columns.any() or len(here) < 2:
            raise self._nothing_left(seed)
        sources, targets = ([code for code in side if code in here] for side in (settings.rows, settings.columns))
        matrices: Matrices = {}
        for collector in collectors:
            for name, values in collector.matrices(sources, targets).items():
                whole: Reals = np.full((len(rows), len(columns)), np.nan)
                whole[np.ix_(rows, columns)] = values
                matrices[name] = whole
        return matrices

    def _nothing_left(self, seed: int) -> CorpusError:
        first = next((error for row, error in self.failed.items() if row.seed == seed), None)
        if first is None:
            return CorpusError("there are fewer than two languages to compare.", "name more languages.")
        return CorpusError(f"no two languages are left to compare. The first that failed: {first.message}", first.hint)


def _number(settings: BaselineSettings) -> int | None:
    return settings.layer if isinstance(settings.layer, int) else None


def _notes(text: LanguageText, requested: int) -> Iterator[str]:
    if len(text.sample) < requested:
        yield f"has only {len(text.sample)} of the {requested} examples requested."
    if malformed := text.sample.counts.malformed:
        yield f"{malformed} malformed of {text.sample.counts.read} {unit_of(text.sample.source)} skipped."
    encoded = text.plain or text.scored
    if encoded is not None and encoded.unknown_share > MANY_UNKNOWN:
        yield unknown_tokens(encoded)


@contextmanager
def _fitting(batch: int) -> Iterator[None]:
    """Raise a clear error where a batch does not fit into memory.

    Raises:
        ModelError: A batch does not fit.
    """
    from xsns_stream.fisher import is_out_of_memory

    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise ModelError(
            f"batches of {batch} examples do not fit into memory.", "give a smaller --batch or --max-length."
        ) from error


MODEL_BASELINES: Final = ("lex", "emb", "nn-rank", "grad-cosine", "sue")
#: Baselines that need the model's weights; lex needs its tokenizer, sue needs neither.
NEED_WEIGHTS: Final = ("emb", "nn-rank", "grad-cosine")


OnBaselineEvent: TypeAlias = Callable[[BaselineEvent], None]


@dataclass(frozen=True)
class BaselineSettings:
    """Baselines to compute, their text and their parameters.

    Attributes:
        names: Names of :data:`MODEL_BASELINES`.
        corpus: Source of the text.
        languages: Normalised codes; emb subtracts the mean of their vectors if it is centred.
        sources: Rows of the matrices; nn-rank searches the tokens of these. All languages by default.
        targets: Columns; all languages by default.
        examples: |D|, the number of examples of each language and seed.
        seeds: Seeds; the values are the mean over the matrices of the seeds.
        batch: Examples in a batch. Results depend on it only by rounding.
        max_length: Longest example in tokens, including special tokens; longer text is cut, as by the build.
        objective: Objective of grad-cosine; by default what the model was trained for, with its defaults.
        layout: θ of grad-cosine; the blocks by default.
        token_reduction: For grad-cosine, as for :func:`xsns_stream.diagonal_fisher`.
        layer: Layer of emb: 0 is the input of the first block; the last layer by default; `all` returns one matrix for
            each layer, named `emb-0`, `emb-1`, ….
        centre: Whether emb subtracts the mean language vector.
        neighbour_layer: Layer of nn-rank; 8 by default, or the last layer of a model with fewer.
        neighbours: Number k of neighbours of nn-rank.
        max_tokens: Largest number of tokens of a language for nn-rank, from the first examples drawn; all by default.
            Time grows with its square.
        states: Data type of nn-rank's token states on the disk, `float32` or `float16`.
        merges: Number of merges of sue's byte-pair encodings.
        scratch: Folder for temporary files; that of the system by default. nn-rank needs tokens × width × 4 bytes
            there, grad-cosine languages × parameters × 4 bytes.
    """

    names: tuple[str, ...]
    corpus: Corpus
    languages: tuple[str, ...]
    sources: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    examples: int = DEFAULT_EXAMPLES
    seeds: tuple[int, ...] = (DEFAULT_SEED,)
    batch: int = DEFAULT_BATCH
    max_length: int = 128
    objective: Objective | None = None
    layout: ParameterLayout | None = None
    token_reduction: str = "sum"
    layer: int | Literal["all"] | None = None
    centre: bool = False
    neighbour_layer: int | None = None
    neighbours: int = 5
    max_tokens: int | None = None
    states: str = "float32"
    merges: int = MERGES
    scratch: Path | None = None

    def __post_init__(self) -> None:
        for name in self.names:
            if name not in MODEL_BASELINES:
                raise UsageError(
                    f"there is no baseline '{name}' from text.", f"choose among {', '.join(MODEL_BASELINES)}."
                )
        numbers = {
            "examples": self.examples,
            "batch size": self.batch,
            "neighbours": self.neighbours,
            "tokens": self.max_tokens,
            "merges": self.merges,
        }
        for what, number in numbers.items():
            if number is not None and number < 1:
                raise UsageError(f"the number for {what} must be at least 1, not {number}.")
        if self.states not in STATE_TYPES:
            raise UsageError(f"token states cannot be stored as '{self.states}'.", f"one of {', '.join(STATE_TYPES)}.")
        if self.centre and "emb" in self.names and len(self.languages) < 3:
            raise UsageError("two language vectors cannot be centred.", "name at least three languages.")
        for code in (*self.rows, *self.columns):
            if code not in self.languages:
                raise LanguageError(
                    f"'{code}' is not among the languages.", "sources and targets must be among the languages."
                )

    @property
    def rows(self) -> tuple[str, ...]:
        """S sources."""
        return self.languages if self.sources is None else self.sources

    @property
    def columns(self) -> tuple[str, ...]:
        """T targets."""
        return self.languages if self.targets is None else self.targets

    def wants(self, *names: str) -> bool:
        """Return whether one of these baselines is requested."""
        return any(name in self.names for name in names)
