"""Baselines that need a model or its tokenizer: one pass over the examples of a build feeds all that are asked for.

Text as it is goes through the model's body once, for emb and nn-rank; grad-cosine asks the build's question of the
same examples, and so runs the model again. Memory holds one batch, and of each language a vector or counts; token
states and gradients lie in temporary files.
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
    EmbeddingsPart,
    EvennessPart,
    GradientsPart,
    LanguageText,
    LexicalPart,
    Matrices,
    NeighboursPart,
    Part,
    StatesPart,
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
from xsns_stream.pipeline.rows import MANY_UNKNOWN, unit_of
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

#: NN-Rank's layer, where the model has as many.
NEIGHBOUR_LAYER: Final = 8


def model_baselines(
    names: Sequence[str],
    corpus: Corpus,
    loaded: LoadedModel | None,
    languages: Sequence[str],
    *,
    on_event: Tell = lambda event: None,
    **settings: Any,
) -> dict[str, SimilarityMatrix]:
    """Compute baselines on the examples that a build with the same corpus, number and seeds would draw.

    A language that fails under a seed is told as an event and is NaN there, and so in the mean over seeds; one that
    fails under every seed is left out.

    Args:
        names: Of :data:`MODEL_BASELINES`.
        corpus: Where the text comes from.
        loaded: The model with its tokenizer. Its `model` may be None for lex, and all of it for sue.
        languages: Normalised codes.
        on_event: Called with each event, in order.
        **settings: Further fields of :class:`BaselineSettings`.

    Returns:
        {name: matrix}, in the order of the names, each with `per_seed`.

    Raises:
        UsageError: An unknown name, a number below 1, a layer that is not there.
        LanguageError: A source or target is not among the languages.
        CorpusError: No source and target are left that could be compared.
        ModelError: The model does not give its states, or a batch does not fit into memory.
    """
    for side in ("sources", "targets", "seeds"):
        if settings.get(side) is not None:
            settings[side] = tuple(dict.fromkeys(settings[side]))
    asked = BaselineSettings(tuple(dict.fromkeys(names)), corpus, tuple(dict.fromkeys(languages)), **settings)
    run = _Run(asked, loaded, on_event)
    return run.joined([run.one_seed(seed) for seed in asked.seeds])


class _Run:
    """One call: settings, and what all its seeds share of the model."""

    def __init__(self, settings: BaselineSettings, loaded: LoadedModel | None, tell: Tell) -> None:
        self.settings, self.loaded, self.tell = settings, loaded, tell
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
            parts = self._parts(seed, Path(folder), undo)
            rows = [Row(language, seed) for language in self.settings.languages]
            for row, text in ReadAhead(rows, self._read):
                self.tell(RowStarted(row))
                started = time.perf_counter()
                try:
                    found = text()
                    self._add(row, found, parts)
                except ONE_LANGUAGE as error:
                    self.failed[row] = error
                    self.tell(RowFailed(row, error))
                else:
                    drawn = DrawnText(row.language, found.sample.digest, len(found.sample))
                    self.drawn.setdefault(row.language, {})[row.seed] = drawn
                    self.tell(RowMeasured(row, len(found.sample), time.perf_counter() - started))
            return self._finish(seed, parts)

    def joined(self, seeds: Sequence[Matrices]) -> dict[str, SimilarityMatrix]:
        """Return one matrix a baseline from those of the seeds; languages that failed under all are left out."""
        asked = self.settings
        lost = {code for code in asked.languages if all(Row(code, seed) in self.failed for seed in asked.seeds)}
        rows = [at for at, code in enumerate(asked.rows) if code not in lost]
        columns = [at for at, code in enumerate(asked.columns) if code not in lost]
        found = {}
        for name in seeds[0]:
            per_seed = np.stack([matrices[name][np.ix_(rows, columns)] for matrices in seeds])
            found[name] = SimilarityMatrix(
                tuple(asked.rows[at] for at in rows),
                tuple(asked.columns[at] for at in columns),
                per_seed.mean(axis=0),
                "emb" if name.startswith("emb-") else name,
                seeds=asked.seeds,
                per_seed=per_seed,
                record=self._record(name),
            )
        return found

    def _record(self, name: str) -> PredictorRecord:
        """Return what the baseline of this name was made of."""
        asked, kind = self.settings, "emb" if name.startswith("emb-") else name
        # Made from words alone.
        loaded = None if kind == "sue" else self._model
        return PredictorRecord(
            kind,
            model="" if loaded is None else loaded.name,
            weights_digest=loaded.weights_digest if loaded is not None and kind in NEED_WEIGHTS else "",
            tokenizer_digest="" if loaded is None else loaded.tokenizer_digest,
            corpus=asked.corpus.name,
            examples_asked=asked.examples,
            seeds=asked.seeds,
            objective=str(self.objective) if kind == "grad-cosine" else "",
            max_length=0 if loaded is None else asked.max_length,
            texts=self.drawn,
            settings=self._settings_of(name, kind),
        )

    def _settings_of(self, name: str, kind: str) -> dict[str, Any]:
        """Return the settings that only this baseline has."""
        asked = self.settings
        if kind == "emb":
            layer = (
                int(name.removeprefix("emb-")) if name != kind else self._body.layer(_number(asked), self._body.layers)
            )
            return {"layer": layer, "centre": asked.centre}
        if kind == "nn-rank":
            layer = self._body.layer(asked.neighbour_layer, NEIGHBOUR_LAYER)
            return {"layer": layer, "neighbours": asked.neighbours, "max_tokens": asked.max_tokens}
        if kind == "grad-cosine":
            return {"token_reduction": asked.token_reduction}
        return {"merges": asked.merges} if kind == "sue" else {}

    def _parts(self, seed: int, folder: Path, undo: ExitStack) -> list[Part]:
        """Return an empty part for each baseline, in the order of the names."""
        asked = self.settings
        make: dict[str, Callable[[], Part]] = {
            "lex": lambda: LexicalPart(self._model.tokenizer),
            "sue": lambda: EvennessPart(asked.merges),
            "emb": lambda: EmbeddingsPart(self._body, asked.layer, asked.centre),
            "nn-rank": lambda: self._neighbours(seed, folder / "states", undo),
            "grad-cosine": lambda: GradientsPart(
                self._theta, folder / "gradients", len(asked.languages), lambda text: self._gradient(text, seed)
            ),
        }
        return [make[name]() for name in asked.names]

    @property
    def _body(self) -> Body:
        assert self.body is not None
        return self.body

    @property
    def _theta(self) -> ParameterLayout:
        assert self.layout is not None
        return self.layout

    def _neighbours(self, seed: int, path: Path, undo: ExitStack) -> NeighboursPart:
        asked = self.settings
        part = NeighboursPart(
            self._body,
            self._model.tokenizer,
            path,
            layer=self._body.layer(asked.neighbour_layer, NEIGHBOUR_LAYER),
            k=asked.neighbours,
            most=asked.max_tokens,
            dtype=asked.states,
            on_progress=lambda done, total: self.tell(NeighboursFound(seed, done, total)),
        )
        undo.callback(part.states.close)
        return part

    def _read(self, row: Row) -> LanguageText:
        asked = self.settings
        sample = asked.corpus.sample(row.language, asked.examples, row.seed)
        plain = question = None
        if asked.wants("lex", "emb", "nn-rank"):
            plain = encode_plain(sample, self._model, row.seed, asked.max_length)
        if self.objective is not None and asked.wants("grad-cosine"):
            question = self.objective.encode(sample, self._model.tokenizer, row.seed)
        return LanguageText(row.language, sample, plain, question)

    def _add(self, row: Row, text: LanguageText, parts: Sequence[Part]) -> None:
        """Give a language's text, and its token states, to every part."""
        for note in _notes(text, self.settings.examples):
            self.tell(Noted(note, row))
        for part in parts:
            part.add_text(text)
        seeing: list[StatesPart] = [part for part in parts if isinstance(part, EmbeddingsPart | NeighboursPart)]
        if not seeing or text.plain is None:
            return
        with _fitting(self.settings.batch):
            for batch in self._batches(text.plain, row):
                states = self._body.states(batch)
                for part in seeing:
                    part.add_states(row.language, batch, states)

    def _batches(self, encoded: EncodedSample, row: Row) -> Iterator[dict[str, Tensor]]:
        device = str(next(self._model.model.parameters()).device)
        done = 0
        for batch in batches(encoded.examples, self.settings.batch, self._model.pad_id, device):
            yield batch
            done += len(batch["input_ids"])
            self.tell(ExamplesDone(row, done, len(encoded.examples)))

    def _gradient(self, text: LanguageText, seed: int) -> Mapping[str, Tensor]:
        from xsns_stream.fisher import mean_gradient

        assert text.asked is not None
        todo = self._batches(text.asked, Row(text.language, seed))
        with _fitting(self.settings.batch):
            return mean_gradient(
                self._model.model, todo, self._theta, self.settings.token_reduction, language=text.language
            )

    def _finish(self, seed: int, parts: Sequence[Part]) -> Matrices:
        """Return the seed's matrices, NaN where a language failed.

        Raises:
            CorpusError: Nothing is left to be compared; the first failure says why.
        """
        asked = self.settings
        here = [code for code in asked.languages if Row(code, seed) not in self.failed]
        rows, columns = (np.array([code in here for code in side]) for side in (asked.rows, asked.columns))
        if not rows.any() or not columns.any() or len(here) < 2:
            raise self._nothing_left(seed)
        sources, targets = ([code for code in side if code in here] for side in (asked.rows, asked.columns))
        found: Matrices = {}
        for part in parts:
            for name, values in part.matrices(sources, targets).items():
                whole: Reals = np.full((len(rows), len(columns)), np.nan)
                whole[np.ix_(rows, columns)] = values
                found[name] = whole
        return found

    def _nothing_left(self, seed: int) -> CorpusError:
        first = next((error for row, error in self.failed.items() if row.seed == seed), None)
        if first is None:
            return CorpusError("there are not two languages to compare.", "name more of them.")
        return CorpusError(f"no two languages are left to compare. The first that failed: {first.message}", first.hint)


def _number(asked: BaselineSettings) -> int | None:
    return asked.layer if isinstance(asked.layer, int) else None


def _notes(text: LanguageText, asked: int) -> Iterator[str]:
    if len(text.sample) < asked:
        yield f"has only {len(text.sample)} of the {asked} examples requested."
    if malformed := text.sample.counts.malformed:
        yield f"{malformed} malformed of {text.sample.counts.read} {unit_of(text.sample.source)} skipped."
    encoded = text.plain or text.asked
    if encoded is not None and encoded.unknown_share > MANY_UNKNOWN:
        yield f"{encoded.unknown_share:.0%} of the tokens are unknown to the tokenizer; the result is not reliable."


@contextmanager
def _fitting(batch: int) -> Iterator[None]:
    """Say in words that a batch does not fit into memory.

    Raises:
        ModelError: So it is.
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
#: Those that need the model's weights; lex needs its tokenizer, sue neither.
NEED_WEIGHTS: Final = ("emb", "nn-rank", "grad-cosine")


Tell: TypeAlias = Callable[[BaselineEvent], None]


@dataclass(frozen=True)
class BaselineSettings:
    """What to compute, on which text, and how.

    Attributes:
        names: Of :data:`MODEL_BASELINES`.
        corpus: Where the text comes from.
        languages: Normalised codes; emb's centre is their mean.
        sources: Rows of the matrices; nn-rank searches the tokens of these. All languages by default.
        targets: Columns; all languages by default.
        examples: |D|, a language and seed.
        seeds: One matrix for each; the values are their mean.
        batch: Examples computed together. Results do not depend on it, but by rounding.
        max_length: Longest example in pieces, special ones included; longer text is cut. As for the build.
        objective: What grad-cosine asks; by default what the model was trained for, with that objective's defaults.
        layout: θ of grad-cosine; the blocks by default.
        token_reduction: Of grad-cosine, as for :func:`xsns_stream.diagonal_fisher`.
        layer: Of emb: 0 is what goes into the first block; the last by default; `all` gives a matrix a layer, named
            `emb-0`, `emb-1`, ….
        centre: Of emb: take the mean language vector off.
        neighbour_layer: Of nn-rank; 8 by default, or the last of a model with fewer.
        neighbours: k of nn-rank.
        max_tokens: Of nn-rank: the most tokens of a language, from the first examples drawn; all by default. Time
            grows with their square.
        states: Of nn-rank: `float32` or `float16`, the type in which token states lie on the disk.
        merges: Of sue's byte-pair encodings.
        scratch: Folder for temporary files; the system's by default. nn-rank takes tokens × width × 4 bytes there,
            grad-cosine languages × parameters × 4.
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
                    f"there is no baseline '{name}' that is made with a model.",
                    f"choose among {', '.join(MODEL_BASELINES)}.",
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
            raise UsageError("two language vectors cannot be centred.", "name three languages or more.")
        for code in (*self.rows, *self.columns):
            if code not in self.languages:
                raise LanguageError(f"'{code}' is not among the languages.", "sources and targets are part of them.")

    @property
    def rows(self) -> tuple[str, ...]:
        """S sources."""
        return self.languages if self.sources is None else self.sources

    @property
    def columns(self) -> tuple[str, ...]:
        """T targets."""
        return self.languages if self.targets is None else self.targets

    def wants(self, *names: str) -> bool:
        """Whether one of these is asked for."""
        return any(name in self.names for name in names)
