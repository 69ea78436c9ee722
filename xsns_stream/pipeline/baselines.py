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
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from xsns_stream.corpora import Corpus
from xsns_stream.errors import CorpusError, ModelError, XsnsError
from xsns_stream.objectives import EncodedSample, batches, make_objective
from xsns_stream.pipeline.baseline_parts import (
    EmbeddingsPart,
    EvennessPart,
    GradientsPart,
    LanguageText,
    LexicalPart,
    Matrices,
    NeighboursPart,
    Part,
    StatesPart,
)
from xsns_stream.pipeline.baseline_settings import (
    MODEL_BASELINES,
    NEED_WEIGHTS,
    BaselineEvent,
    BaselineSettings,
    NeighboursFound,
    RowMeasured,
    Tell,
)
from xsns_stream.pipeline.build import ONE_LANGUAGE
from xsns_stream.pipeline.events import ExamplesDone, Noted, Row, RowFailed, RowStarted
from xsns_stream.pipeline.read_ahead import OneAhead
from xsns_stream.pipeline.texts import MANY_UNKNOWN, unit_of
from xsns_stream.pipeline.token_states import Body, encode_plain
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
            for row, text in OneAhead(rows, self._read):
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
        yield f"has only {len(text.sample)} of the {asked} examples asked for."
    if malformed := text.sample.counts.malformed:
        yield f"{malformed} malformed of {text.sample.counts.read} {unit_of(text.sample.source)} skipped."
    encoded = text.plain or text.asked
    if encoded is not None and encoded.unknown_share > MANY_UNKNOWN:
        yield f"{encoded.unknown_share:.0%} of the pieces are unknown to the tokenizer; the result says little."


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
