"""Settings of a build: everything but the model and the store."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Final, Literal

from xsns_stream.corpora import Corpus
from xsns_stream.errors import UsageError
from xsns_stream.objectives import Objective
from xsns_stream.pipeline.events import Row
from xsns_stream.store import ENCODINGS, SubNetworkStore
from xsns_stream.store.folds import check_fold_count
from xsns_stream.subnetworks.select import check_density, check_quantile
from xsns_stream.types import FisherSettings
from xsns_stream.types.fisher import AUTHORS_BATCH

DEFAULT_EXAMPLES: Final = 64
DEFAULT_SEED: Final = 42
DEFAULT_DENSITY: Final = 0.15
DEFAULT_BATCH: Final = 8


@dataclass(frozen=True)
class Stopping:
    """When a row has enough examples: once its sub-network changes little from one check to the next.

    Attributes:
        jaccard: Coefficient of two successive checks at which the row is finished, in (0, 1].
        check_every: Examples between two checks.
        at_least: Examples that every row gets.
        density: Of the sub-networks that are compared; not that of the rows, so that a store can be given rows of
            other densities later.
    """

    jaccard: float
    check_every: int = 64
    at_least: int = 128
    density: float = DEFAULT_DENSITY

    def __post_init__(self) -> None:
        check_density(self.density)
        if not (math.isfinite(self.jaccard) and 0 < self.jaccard <= 1):
            raise UsageError(
                f"the coefficient at which a row is stable must lie in (0, 1], not {self.jaccard}.",
                "0.95 stops when 64 more examples change about one parameter in forty.",
            )
        for name, value in (("examples between checks", self.check_every), ("least examples", self.at_least)):
            if value < 1:
                raise UsageError(f"the number for {name} must be at least 1, not {value}.")

    def __str__(self) -> str:
        return (
            f"until-stable(jaccard={self.jaccard:g},check_every={self.check_every},at_least={self.at_least},"
            f"density={self.density:g})"
        )


@dataclass(frozen=True)
class BuildSettings:
    """What to measure, and how; everything but the model and the store.

    Attributes:
        corpus: Where the text comes from.
        languages: Normalised codes.
        seeds: One row of each language for each.
        densities: All from one pass over the text.
        examples: |D| asked for; with `stopping`, the most that a row gets.
        batch_size: Examples computed together; `auto` takes as many as fit into memory; None is 8, or 4 for the
            authors' estimator. Changes speed and memory, not results, but for estimators that square whole batches.
        objective: What the model is asked to predict; None is what it was trained for, with that objective's defaults.
        fisher: The estimator, and how it is computed.
        stack: Of a model with encoder and decoder: `encoder`, `decoder` or `both`.
        include: Regular expressions of parameter names that are measured beside the blocks.
        exclude: Regular expressions of parameter names that are left out.
        head_seed: Of a task head that is new, for the record; the model was loaded with it.
        memory: Bytes that the Fisher values of a pass may take; None sets no bound. Where they do not fit, θ is cut
            into groups of layers, with a pass over the text for each.
        stopping: When to finish a row before `examples`; never by default.
        split_half: Compare the sub-networks of two halves of each row's examples.
        parts: Cut each row's examples into so many parts, and store beside the row's sub-network those that leave one
            part out: what a ranking's intervals are made of. None for no parts. An even number compares halves too.
        keep_fisher: Keep the Fisher values in the store, as `float32` or `bf16`.
        quantile: How the threshold is found, `exact`, `histogram` or `percentile`; None is the estimator's own way.
    """

    corpus: Corpus
    languages: tuple[str, ...]
    seeds: tuple[int, ...] = (DEFAULT_SEED,)
    densities: tuple[float, ...] = (DEFAULT_DENSITY,)
    examples: int = DEFAULT_EXAMPLES
    batch_size: int | Literal["auto"] | None = None
    objective: Objective | None = None
    fisher: FisherSettings = field(default_factory=FisherSettings)
    stack: str = "both"
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    head_seed: int = 0
    memory: int | None = None
    stopping: Stopping | None = None
    split_half: bool = False
    parts: int | None = None
    keep_fisher: str | None = None
    quantile: str | None = None

    def __post_init__(self) -> None:
        if not self.densities:
            raise UsageError("no density was asked for.", "the paper's is 0.15.")
        for density in self.densities:
            check_density(density)
        numbers = [("examples", self.examples), ("memory", self.memory)]
        if self.batch_size == "auto":
            if self.fisher.batch_wise:
                raise UsageError(
                    f"the values of the estimator '{self.fisher.estimator}' depend on the batch size.",
                    "give a number in place of auto.",
                )
        else:
            numbers.append(("batch size", self.batch_size))
        for name, value in numbers:
            if value is not None and value < 1:
                raise UsageError(f"the number for {name} must be at least 1, not {value}.")
        if self.keep_fisher is not None and self.keep_fisher not in ENCODINGS:
            raise UsageError(
                f"Fisher values cannot be kept as '{self.keep_fisher}'.", f"choose one of {', '.join(ENCODINGS)}."
            )
        if self.quantile is not None:
            check_quantile(self.quantile)
        if self.parts is not None:
            self._check_parts(self.parts)
        if not self.languages:
            raise UsageError("no language was asked for.", "give `--lang all`, or codes such as `--lang sw,en`.")

    def _check_parts(self, parts: int) -> None:
        check_fold_count(parts)
        if self.examples < parts:
            raise UsageError(f"{self.examples} examples cannot be cut into {parts} parts.", "ask for more --examples.")
        for name, asked, why in (
            ("--split-half", self.split_half, "an even number of parts compares halves too"),
            ("--until-stable", self.stopping is not None, "parts are cut from a number of examples that is known"),
        ):
            if asked:
                raise UsageError(f"--parts and {name} were both given.", f"{why}: leave one of them out.")

    @property
    def batch(self) -> int:
        """Examples computed together, where that is a fixed number."""
        if isinstance(self.batch_size, int):
            return self.batch_size
        return AUTHORS_BATCH if self.fisher.estimator == "authors" else DEFAULT_BATCH

    @property
    def order(self) -> str:
        """How examples are put into batches: `drawn` where the values depend on it, else by length."""
        return "drawn" if self.fisher.batch_wise else "length"

    @property
    def own_quantile(self) -> str:
        """How the threshold is found where nothing else is asked for; the authors' estimator has the authors' way."""
        return "percentile" if self.fisher.estimator == "authors" else "exact"

    @property
    def quantile_used(self) -> str:
        """How the threshold is found."""
        return self.quantile or self.own_quantile

    def rows(self) -> tuple[Row, ...]:
        """Return every row asked for, language after language."""
        return tuple(Row(language, seed) for language in self.languages for seed in self.seeds)

    def missing_rows(self, store: SubNetworkStore) -> tuple[Row, ...]:
        """Return the rows that the store does not hold yet, for all densities, with the parts that are asked for."""
        return tuple(row for row in self.rows() if self.is_missing(row, store))

    def is_missing(self, row: Row, store: SubNetworkStore) -> bool:
        """Say whether the store lacks a row at one of the densities, or one of the parts that are asked for."""
        return not self._is_there(row, store) or self.lacks_parts(row, store)

    def _is_there(self, row: Row, store: SubNetworkStore) -> bool:
        return all(store.is_committed(row.language, row.seed, density) for density in self.densities)

    def lacks_parts(self, row: Row, store: SubNetworkStore) -> bool:
        """Say whether the store lacks parts of a row that are asked for."""
        parts = self.parts
        return parts is not None and not all(
            store.has_folds(row.language, row.seed, density, parts) for density in self.densities
        )
