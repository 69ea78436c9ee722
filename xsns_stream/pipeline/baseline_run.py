"""Computation of baselines from text: one pass over the examples of a build computes all requested baselines.

For emb and nn-rank, the encoder or decoder of the model is run once, on text without masked tokens. grad-cosine
evaluates the objective of the build on the same examples, which needs further runs of the model. Only one batch, and a
vector or counts for each language, are in memory at a time; token states and gradients are in temporary files.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import numpy as np

from xsns_stream.corpora import Corpus, draw_sample
from xsns_stream.errors import CorpusError, XsnsError
from xsns_stream.io.scratch_files import scratch_folder
from xsns_stream.objectives import EncodedSample, batches, make_objective
from xsns_stream.pipeline.baseline_values import (
    Body,
    Collector,
    EmbeddingsCollector,
    GradientsCollector,
    LanguageText,
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
from xsns_stream.pipeline.model_baselines import TEXT_BASELINES, BaselineSettings, kind_of
from xsns_stream.pipeline.run_build import ONE_LANGUAGE
from xsns_stream.pipeline.scheduling import ReadAhead
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.predictor_records import DrawnText, PredictorRecord

if TYPE_CHECKING:
    from torch import Tensor

    from xsns_stream.models import LoadedModel

#: Default layer of NN-Rank; for a model with fewer layers, the last layer is the default.
NEIGHBOUR_LAYER: Final = 8
#: Beginning of the names of folders with temporary files of baselines.
SCRATCH_PREFIX: Final = "xsns-baselines-"
OnBaselineEvent: TypeAlias = Callable[[BaselineEvent], None]
#: Function that computes the matrices of all seeds on workers instead of in this process.
Elsewhere: TypeAlias = "Callable[[BaselineRun], Sequence[Matrices]]"


def model_baselines(
    names: Sequence[str],
    corpus: Corpus,
    loaded: LoadedModel | None,
    languages: Sequence[str],
    *,
    on_event: OnBaselineEvent = lambda event: None,
    elsewhere: Elsewhere | None = None,
    **settings: Any,
) -> dict[str, SimilarityMatrix]:
    """Compute baselines on the examples that a build with this corpus, number of examples and seeds measures.

    If the text of a language cannot be used with one seed, an event reports this. The values of the language are then
    NaN for this seed and in the mean over seeds. A language that fails with every seed is left out.

    Args:
        names: Names of :data:`TEXT_BASELINES`.
        corpus: The corpus from which the examples are drawn.
        loaded: The model with its tokenizer. For lex, its `model` may be None; for sue, `loaded` may be None.
        languages: Normalised language codes.
        on_event: Called with each event, in order.
        elsewhere: Function that computes the matrices on workers; None to compute them in this process.
        **settings: Further fields of :class:`BaselineSettings`.

    Returns:
        {name: matrix}, in the order of `names`. Each matrix has `per_seed`, the matrices of the single seeds.

    Raises:
        UsageError: A name is unknown, a number is below 1, or the model does not have a requested layer.
        LanguageError: A source or target is not among the languages.
        CorpusError: After failures of languages, no pair of a source and a target is left.
        ModelError: The model does not return its token states, or a batch does not fit into memory.
    """
    for side in ("sources", "targets", "seeds"):
        if settings.get(side) is not None:
            settings[side] = tuple(dict.fromkeys(settings[side]))
    requested = BaselineSettings(tuple(dict.fromkeys(names)), corpus, tuple(dict.fromkeys(languages)), **settings)
    run = BaselineRun(requested, loaded, on_event)
    return run.joined(elsewhere(run) if elsewhere else [run.one_seed(seed) for seed in requested.seeds])


class BaselineRun:
    """State of one call of :func:`model_baselines`: the settings, and the parts of the model that all seeds share.

    Args:
        settings: The settings.
        loaded: The parts of the model that the baselines need, from
            :func:`~xsns_stream.pipeline.baseline_model.load_for_baselines`.
        notify: Called with each event.
        together: Number of languages whose values are added to one collector; by default all languages.
    """

    settings: BaselineSettings

    def __init__(
        self,
        settings: BaselineSettings,
        loaded: LoadedModel | None,
        notify: OnBaselineEvent,
        together: int | None = None,
    ) -> None:
        self.together = len(settings.languages) if together is None else together
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
        """Compute all baselines on the examples of one seed; return {name of a matrix: values [S, T]}."""
        with ExitStack() as undo:
            folder = undo.enter_context(scratch_folder(SCRATCH_PREFIX, self.settings.scratch))
            collectors = self.collectors(seed, folder, undo)
            rows = [Row(language, seed) for language in self.settings.languages]
            for row, text in ReadAhead(rows, self.read, self._waiting):
                self.notify(RowStarted(row))
                self.measure(row, text, collectors)
            return self.finish(seed, collectors)

    def collectors(self, seed: int, folder: Path, undo: ExitStack) -> list[Collector]:
        """Return one empty collector for each baseline.

        Collectors write their temporary files into `folder`, and register the closing of these files in `undo`.
        """
        return [TEXT_BASELINES[name].make(self, seed, folder, undo) for name in self.settings.names]

    def measure(self, row: Row, text: Callable[[], LanguageText], collectors: Sequence[Collector]) -> None:
        """Add the text that `text` returns for a row to every collector; if it fails, record the row as failed."""
        started = time.perf_counter()
        try:
            drawn_text = text()
            self._add(row, drawn_text, collectors)
        except ONE_LANGUAGE as error:
            self.fail(row, error)
        else:
            drawn = DrawnText(row.language, drawn_text.sample.digest, len(drawn_text.sample))
            self.drawn.setdefault(row.language, {})[row.seed] = drawn
            self.notify(RowMeasured(row, len(drawn_text.sample), time.perf_counter() - started))

    def fail(self, row: Row, error: XsnsError) -> None:
        """Record the error of a row that cannot be measured, and send it as an event."""
        self.failed[row] = error
        self.notify(RowFailed(row, error))

    def joined(self, seeds: Sequence[Matrices]) -> dict[str, SimilarityMatrix]:
        """Return {name: mean over seeds of the matrices of a baseline}, from one dictionary for each seed.

        Languages that failed with every seed are left out.
        """
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
                kind_of(name),
                seeds=settings.seeds,
                per_seed=per_seed,
                record=self.record(name),
            )
        return matrices_by_name

    def record(self, name: str) -> PredictorRecord:
        """Return the record of the model, the text and the settings from which a baseline is computed."""
        settings, kind = self.settings, kind_of(name)
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
        """The encoder or decoder of the model, which computes the token states."""
        assert self.body is not None
        return self.body

    @property
    def neighbour_layer(self) -> int:
        """Index of the layer whose token states nn-rank compares."""
        return self.model_body.layer(self.settings.neighbour_layer, NEIGHBOUR_LAYER)

    def embedding_layer(self, name: str) -> int:
        """Return the layer of a matrix of emb from its name: N for `emb-N`, the layer of the settings for `emb`."""
        if name != kind_of(name):
            return int(name.removeprefix("emb-"))
        layer = self.settings.layer
        return self.model_body.layer(layer if isinstance(layer, int) else None, self.model_body.layers)

    def gradients(self, seed: int, path: Path) -> GradientsCollector:
        """Return an empty collector of grad-cosine, which writes mean gradients to the file `path`."""
        assert self.layout is not None
        return GradientsCollector(self.layout, path, self.together, lambda text: self._gradient(text, seed))

    def neighbours(self, seed: int, path: Path, undo: ExitStack) -> NeighboursCollector:
        """Return an empty collector of nn-rank, which writes token states to the file `path`; `undo` closes it."""
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

    def read(self, row: Row) -> LanguageText:
        """Draw the examples of a row, and encode them as far as the baselines need it."""
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
        """Add the text of a row, and the token states of each batch of it, to the collectors that use them."""
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

    def finish(self, seed: int, collectors: Sequence[Collector]) -> Matrices:
        """Return {name of a matrix: values [S, T]} of a seed, from collectors to which all languages were added.

        The rows and columns of languages that failed are NaN.

        Raises:
            CorpusError: No source, no target, or fewer than two languages are left. The message contains the first
                failure.
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
        return CorpusError(f"no two languages are left to compare. The first failure: {first.message}", first.hint)
