"""What baselines are computed on which text, and how; what is told on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal, TypeAlias

from xsns_stream.baselines.nearest_tokens import STATE_TYPES
from xsns_stream.baselines.subwords import MERGES
from xsns_stream.corpora import Corpus
from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.objectives import Objective
from xsns_stream.pipeline.events import ExamplesDone, Noted, Row, RowFailed, RowStarted
from xsns_stream.pipeline.settings import DEFAULT_BATCH, DEFAULT_EXAMPLES, DEFAULT_SEED
from xsns_stream.types import ParameterLayout

MODEL_BASELINES: Final = ("lex", "emb", "nn-rank", "grad-cosine", "sue")
#: Those that need the model's weights; lex needs its tokenizer, sue neither.
NEED_WEIGHTS: Final = ("emb", "nn-rank", "grad-cosine")


@dataclass(frozen=True, slots=True)
class RowMeasured:
    """All that is needed of a language under a seed is known."""

    row: Row
    examples: int
    seconds: float


@dataclass(frozen=True, slots=True)
class NeighboursFound:
    """The nearest neighbours of some more target tokens are found."""

    seed: int
    count: int
    total: int


BaselineEvent: TypeAlias = RowStarted | ExamplesDone | RowMeasured | RowFailed | Noted | NeighboursFound
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
            raise UsageError(f"token states cannot be kept as '{self.states}'.", f"one of {', '.join(STATE_TYPES)}.")
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
