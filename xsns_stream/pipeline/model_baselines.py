"""Baselines from text: one pass over the examples of a build computes all requested baselines.

For emb and nn-rank, the body of the model is run once on the unchanged text. grad-cosine uses the objective of the
build on the same examples, and therefore runs the model again. Memory contains one batch, and a vector or counts for
each language; token states and gradients are in temporary files.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

import numpy as np

from xsns_stream.baselines.nearest_tokens import STATE_TYPES
from xsns_stream.baselines.subwords import MERGES
from xsns_stream.corpora import Corpus, draw_sample
from xsns_stream.errors import CorpusError, LanguageError, UsageError, XsnsError
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
    fitting,
    text_notes,
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
    TextRead,
)
from xsns_stream.pipeline.run_build import ONE_LANGUAGE
from xsns_stream.pipeline.scheduling import ReadAhead
from xsns_stream.pipeline.settings import DEFAULT_BATCH, DEFAULT_EXAMPLES, DEFAULT_SEED
from xsns_stream.types import ParameterLayout, Reals, SimilarityMatrix
from xsns_stream.types.predictor_records import DrawnText, PredictorRecord

if TYPE_CHECKING:
    from torch import Tensor

    from xsns_stream.models import LoadedModel


__all__ = [
    "TEXT_BASELINES",
    "BaselineEvent",
    "BaselineSettings",
    "NeighboursFound",
    "RowMeasured",
    "model_baselines",
    "needs_tokenizer",
    "needs_weights",
]

#: Default layer of NN-Rank; models with fewer layers use the last one.
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
    """Compute baselines on the examples of a build with the same corpus, number of examples and seeds.

    If a language fails with a seed, an event reports it, and its values are NaN for this seed and in the mean over
    seeds. A language that fails with every seed is left out.

    Args:
        names: Names of :data:`TEXT_BASELINES`.
        corpus: Source of the text.
        loaded: The model with its tokenizer. For lex, its `model` may be None; for sue, `loaded` may be None.
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
    """State of one call of :func:`model_baselines`: the settings, and the parts of the model that all seeds share."""

    def __init__(self, settings: BaselineSettings, loaded: LoadedModel | None, notify: OnBaselineEvent) -> None:
        self.settings, self.loaded, self.notify = settings, loaded, notify
        self.failed: dict[Row, XsnsError] = {}
        self.read_so_far: dict[Row, int] = {}
        self.drawn: dict[str, dict[int, DrawnText]] = {}
        self.body = Body(self.model) if settings.reads("states") else None
        self.layout = settings.layout
        self.objective = settings.objective
        if settings.reads("gradients"):
            from xsns_stream.fisher import without_rules
            from xsns_stream.models import parameter_layout

            if self.objective is None:
                self.objective = make_objective(self.model.objective, max_length=settings.max_length)
            if self.layout is None:
                self.layout = parameter_layout(self.model.model)
            without_rules(self.model.model, self.layout, cached=True)

    @property
    def model(self) -> LoadedModel:
        """The model with its tokenizer."""
        if self.loaded is None:
            raise ValueError(f"{', '.join(self.settings.names)} cannot be computed without a model or its tokenizer")
        return self.loaded

    def one_seed(self, seed: int) -> Matrices:
        """Return the matrices [S, T] of one seed."""
        with ExitStack() as undo:
            folder = undo.enter_context(
                tempfile.TemporaryDirectory(prefix="xsns-baselines-", dir=self.settings.scratch)
            )
            collectors = [TEXT_BASELINES[name].make(self, seed, Path(folder), undo) for name in self.settings.names]
            rows = [Row(language, seed) for language in self.settings.languages]
            for row, text in ReadAhead(rows, self._read, self._waiting):
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
        """Return the mean matrix of each baseline over the seeds, without languages that failed with all seeds."""
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
                _kind(name),
                seeds=settings.seeds,
                per_seed=per_seed,
                record=self._record(name),
            )
        return matrices_by_name

    def _record(self, name: str) -> PredictorRecord:
        """Return the record of the origin of a baseline."""
        settings, kind = self.settings, _kind(name)
        baseline = TEXT_BASELINES[kind]
        loaded = None if baseline.reads == "text" else self.model
        return PredictorRecord(
            kind,
            model="" if loaded is None else loaded.name,
            weights_digest=loaded.weights_digest if loaded is not None and baseline.needs_weights else "",
            tokenizer_digest="" if loaded is None else loaded.tokenizer_digest,
            corpus=settings.corpus.name,
            examples_asked=settings.examples,
            seeds=settings.seeds,
            objective=str(self.objective) if baseline.reads == "gradients" else "",
            max_length=0 if loaded is None else settings.max_length,
            texts=self.drawn,
            settings=baseline.settings(self, name),
        )

    @property
    def model_body(self) -> Body:
        """The body of the model, whose token states are read."""
        assert self.body is not None
        return self.body

    @property
    def neighbour_layer(self) -> int:
        """The layer of nn-rank."""
        return self.model_body.layer(self.settings.neighbour_layer, NEIGHBOUR_LAYER)

    def embedding_layer(self, name: str) -> int:
        """Return the layer of a matrix that is named `emb`, or `emb-N`."""
        if name != _kind(name):
            return int(name.removeprefix("emb-"))
        return self.model_body.layer(_number(self.settings), self.model_body.layers)

    def gradients(self, seed: int, path: Path) -> GradientsCollector:
        """Return the collector of grad-cosine."""
        assert self.layout is not None
        return GradientsCollector(
            self.layout, path, len(self.settings.languages), lambda text: self._gradient(text, seed)
        )

    def neighbours(self, seed: int, path: Path, undo: ExitStack) -> NeighboursCollector:
        """Return the collector of nn-rank, whose file is closed by `undo`."""
        settings = self.settings
        collector = NeighboursCollector(
            self.model_body,
            self.model.tokenizer,
            path,
            layer=self.neighbour_layer,
            k=settings.neighbours,
            most=settings.max_tokens,
            dtype=settings.states,
            on_progress=lambda done, total: self.notify(NeighboursFound(seed, done, total)),
        )
        undo.callback(collector.states.close)
        return collector

    def _waiting(self, row: Row) -> None:
        self.notify(TextRead(row, self.read_so_far.get(row, 0)))

    def _read(self, row: Row) -> LanguageText:
        settings = self.settings
        on_read = partial(self.read_so_far.__setitem__, row)
        sample = draw_sample(settings.corpus, row.language, settings.examples, row.seed, on_read)
        plain = scored = None
        if settings.reads("tokens", "states"):
            plain = encode_plain(sample, self.model, row.seed, settings.max_length)
        if self.objective is not None and settings.reads("gradients"):
            scored = self.objective.encode(sample, self.model.tokenizer, row.seed)
        return LanguageText(row.language, sample, plain, scored)

    def _add(self, row: Row, text: LanguageText, collectors: Sequence[Collector]) -> None:
        """Pass the text of a language and its token states to the collectors."""
        for note in text_notes(text, self.settings.examples):
            self.notify(Noted(note, row))
        for collector in collectors:
            collector.add_text(text)
        of_states: list[StatesCollector] = [
            one for one in collectors if isinstance(one, EmbeddingsCollector | NeighboursCollector)
        ]
        if not of_states or text.plain is None:
            return
        with fitting(self.settings.batch):
            for batch in self._batches(text.plain, row):
                states = self.model_body.states(batch)
                for collector in of_states:
                    collector.add_states(row.language, batch, states)

    def _batches(self, encoded: EncodedSample, row: Row) -> Iterator[dict[str, Tensor]]:
        device = str(next(self.model.model.parameters()).device)
        done = 0
        for batch in batches(encoded.examples, self.settings.batch, self.model.pad_id, device):
            yield batch
            done += len(batch["input_ids"])
            self.notify(ExamplesDone(row, done, len(encoded.examples)))

    def _gradient(self, text: LanguageText, seed: int) -> Mapping[str, Tensor]:
        from xsns_stream.fisher import mean_gradient

        assert text.scored is not None
        assert self.layout is not None
        todo = self._batches(text.scored, Row(text.language, seed))
        with fitting(self.settings.batch):
            return mean_gradient(
                self.model.model, todo, self.layout, self.settings.token_reduction, language=text.language
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


def _kind(name: str) -> str:
    """Return the baseline of a matrix, which may be named after a layer."""
    return "emb" if name.startswith("emb-") else name


def _number(settings: BaselineSettings) -> int | None:
    return settings.layer if isinstance(settings.layer, int) else None


#: Input of a baseline: text, tokens, token states of the model, or gradients.
Reads: TypeAlias = Literal["text", "tokens", "states", "gradients"]


@dataclass(frozen=True)
class TextBaseline:
    """A baseline that is computed from text.

    Attributes:
        needs: The required options, for messages.
        reads: The input. Token states and gradients need the weights of the model, tokens its tokenizer.
        make: (run, seed, folder for temporary files, stack for closing files) → an empty collector.
        settings: (run, name of a matrix) → the settings that determine the values.
    """

    needs: str
    reads: Reads
    make: Callable[[_Run, int, Path, ExitStack], Collector]
    settings: Callable[[_Run, str], dict[str, Any]]

    @property
    def needs_weights(self) -> bool:
        """Whether the baseline runs the model."""
        return self.reads in ("states", "gradients")


#: {name: baseline}, in the order of computation.
TEXT_BASELINES: Final[Mapping[str, TextBaseline]] = MappingProxyType(
    {
        "lex": TextBaseline(
            "--corpus, and --model for its tokenizer",
            "tokens",
            lambda run, seed, folder, undo: LexicalCollector(run.model.tokenizer),
            lambda run, name: {},
        ),
        "emb": TextBaseline(
            "--corpus and --model",
            "states",
            lambda run, seed, folder, undo: EmbeddingsCollector(
                run.model_body, run.settings.layer, run.settings.centre
            ),
            lambda run, name: {"layer": run.embedding_layer(name), "centre": run.settings.centre},
        ),
        "nn-rank": TextBaseline(
            "--corpus and --model",
            "states",
            lambda run, seed, folder, undo: run.neighbours(seed, folder / "states", undo),
            lambda run, name: {
                "layer": run.neighbour_layer,
                "neighbours": run.settings.neighbours,
                "max_tokens": run.settings.max_tokens,
            },
        ),
        "grad-cosine": TextBaseline(
            "--corpus and --model",
            "gradients",
            lambda run, seed, folder, undo: run.gradients(seed, folder / "gradients"),
            lambda run, name: {"token_reduction": run.settings.token_reduction},
        ),
        "sue": TextBaseline(
            "--corpus",
            "text",
            lambda run, seed, folder, undo: EvennessCollector(run.settings.merges),
            lambda run, name: {"merges": run.settings.merges},
        ),
    }
)


def needs_weights(names: Iterable[str]) -> bool:
    """Return whether one of these baselines needs the weights of the model."""
    return any(TEXT_BASELINES[name].needs_weights for name in names)


def needs_tokenizer(names: Iterable[str]) -> bool:
    """Return whether one of these baselines needs the tokenizer of the model."""
    return any(TEXT_BASELINES[name].reads != "text" for name in names)


OnBaselineEvent: TypeAlias = Callable[[BaselineEvent], None]


@dataclass(frozen=True)
class BaselineSettings:
    """Baselines to compute, their text and their parameters.

    Attributes:
        names: Names of :data:`TEXT_BASELINES`.
        corpus: Source of the text.
        languages: Normalised codes; emb subtracts the mean of their vectors if it is centred.
        sources: Rows of the matrices; nn-rank searches their tokens. All languages by default.
        targets: Columns; all languages by default.
        examples: |D|, the number of examples of each language and seed.
        seeds: Seeds; the values are the mean over the matrices of the seeds.
        batch: Examples in a batch. It affects results only by rounding.
        max_length: Maximum length of an example in tokens, including special tokens; longer text is cut, as in the
            build.
        objective: Objective of grad-cosine; by default that of the pre-training, with its defaults.
        layout: θ of grad-cosine; the blocks by default.
        token_reduction: For grad-cosine; see :func:`xsns_stream.diagonal_fisher`.
        layer: Layer of emb: 0 is the input of the first block; the last layer by default; `all` returns one matrix for
            each layer, named `emb-0`, `emb-1`, ….
        centre: Whether emb subtracts the mean language vector.
        neighbour_layer: Layer of nn-rank; 8 by default, or the last layer of a model with fewer layers.
        neighbours: Number k of neighbours of nn-rank.
        max_tokens: Maximum number of tokens of a language for nn-rank, from the first examples drawn; all by default.
            Time grows with its square.
        states: Data type of the token states of nn-rank on disk, `float32` or `float16`.
        merges: Number of merges of the byte-pair encodings of sue.
        scratch: Folder for temporary files; the default is that of the system. nn-rank needs tokens × width × 4 bytes
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
            if name not in TEXT_BASELINES:
                raise UsageError(
                    f"there is no baseline '{name}' from text.", f"choose one of {', '.join(TEXT_BASELINES)}."
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
            raise UsageError(
                f"token states cannot be stored as '{self.states}'.", f"choose one of {', '.join(STATE_TYPES)}."
            )
        if self.centre and "emb" in self.names and len(self.languages) < 3:
            raise UsageError("two language vectors cannot be centred.", "name at least three languages.")
        for code in (*self.rows, *self.columns):
            if code not in self.languages:
                raise LanguageError(
                    f"'{code}' is not among the languages.", "sources and targets must be among the languages."
                )

    @property
    def rows(self) -> tuple[str, ...]:
        """The S sources, which are the rows of the matrix."""
        return self.languages if self.sources is None else self.sources

    @property
    def columns(self) -> tuple[str, ...]:
        """The T targets, which are the columns of the matrix."""
        return self.languages if self.targets is None else self.targets

    def reads(self, *what: Reads) -> bool:
        """Return whether one of the baselines has one of these inputs."""
        return any(TEXT_BASELINES[name].reads in what for name in self.names)
