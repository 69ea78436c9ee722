"""The table of the baselines from text, and the settings with which baselines are computed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Literal, TypeAlias

from xsns_stream.baselines.nearest_tokens import STATE_TYPES
from xsns_stream.baselines.subwords import MERGES
from xsns_stream.corpora import Corpus
from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.objectives import Objective
from xsns_stream.pipeline.baseline_values import (
    Collector,
    EmbeddingsCollector,
    EvennessCollector,
    LexicalCollector,
)
from xsns_stream.pipeline.settings import DEFAULT_BATCH, DEFAULT_EXAMPLES, DEFAULT_SEED
from xsns_stream.types import ParameterLayout

if TYPE_CHECKING:
    from xsns_stream.pipeline.baseline_run import BaselineRun


def kind_of(name: str) -> str:
    """Return the name of the baseline to which a matrix with this name belongs: `emb` for `emb-N`, otherwise `name`."""
    return "emb" if name.startswith("emb-") else name


#: Input of a baseline: text, tokens, token states of the model, or gradients.
Reads: TypeAlias = Literal["text", "tokens", "states", "gradients"]


@dataclass(frozen=True)
class TextBaseline:
    """A baseline that is computed from text.

    Attributes:
        needs: Description of the required options, for messages.
        reads: The input. Token states and gradients need the weights of the model, tokens its tokenizer.
        make: (run, seed, folder for temporary files, stack for closing files) → an empty collector.
        settings: (run, name of a matrix) → the settings that determine the values.
        files: Whether the collector writes the values of a language to a file.
    """

    needs: str
    reads: Reads
    make: Callable[[BaselineRun, int, Path, ExitStack], Collector]
    settings: Callable[[BaselineRun, str], dict[str, Any]]
    files: bool = False

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
            files=True,
        ),
        "grad-cosine": TextBaseline(
            "--corpus and --model",
            "gradients",
            lambda run, seed, folder, undo: run.gradients(seed, folder / "gradients"),
            lambda run, name: {"token_reduction": run.settings.token_reduction},
            files=True,
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


@dataclass(frozen=True)
class BaselineSettings:
    """Settings of a computation of baselines: the baselines, the text and the parameters.

    Attributes:
        names: Names of :data:`TEXT_BASELINES`.
        corpus: The corpus from which examples are drawn.
        languages: Normalised codes. If `centre` is True, emb subtracts the mean of the vectors of these languages.
        sources: Codes of the rows; nn-rank searches neighbours among the tokens of these languages. All languages by
            default.
        targets: Codes of the columns; all languages by default.
        examples: |D|, the number of examples of each language and seed.
        seeds: Seeds; the result is the mean of the matrices of the seeds.
        batch: Number of examples in a batch. It affects results only by rounding.
        max_length: Maximum length of an example in tokens, including special tokens; longer text is cut, as in the
            build.
        objective: Objective of grad-cosine; by default, the objective of the pre-training.
        layout: Parameters (θ) of grad-cosine; by default, the parameters of the transformer blocks.
        token_reduction: Token reduction of grad-cosine; see :func:`xsns_stream.diagonal_fisher`.
        layer: Layer of emb: 0 is the input of the first block; the last layer by default; `all` returns one matrix for
            each layer, named `emb-0`, `emb-1`, ….
        centre: Whether emb subtracts the mean language vector.
        neighbour_layer: Layer of nn-rank; 8 by default, or the last layer of a model with fewer layers.
        neighbours: Number k of neighbours of nn-rank.
        max_tokens: Maximum number of tokens of a language for nn-rank; the tokens of the examples that were drawn first
            are used. All tokens by default. The run time grows with the square of this number.
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
            "number of examples": self.examples,
            "batch size": self.batch,
            "number of neighbours": self.neighbours,
            "maximum number of tokens": self.max_tokens,
            "number of merges": self.merges,
        }
        for what, number in numbers.items():
            if number is not None and number < 1:
                raise UsageError(f"the {what} must be at least 1, not {number}.")
        if self.states not in STATE_TYPES:
            raise UsageError(
                f"token states cannot be stored as '{self.states}'.", f"choose one of {', '.join(STATE_TYPES)}."
            )
        if self.centre and "emb" in self.names and len(self.languages) < 3:
            raise UsageError(
                "--centre needs at least three languages, because it subtracts their mean vector.",
                "name more languages, or omit --centre.",
            )
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
        """Return whether at least one of the baselines reads one of these kinds of input."""
        return any(TEXT_BASELINES[name].reads in what for name in self.names)
