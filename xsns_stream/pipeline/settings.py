"""Settings of a build: all its inputs except the model and the store."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

from xsns_stream.corpora import Corpus, select_languages
from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.objectives import Objective
from xsns_stream.pipeline.arguments import flag, real_number, several, strings, whole_number
from xsns_stream.pipeline.events import Row
from xsns_stream.store import ENCODINGS, CommitRecord, SubNetworkStore
from xsns_stream.store.folds import check_fold_count
from xsns_stream.subnetworks.select import check_density, check_quantile
from xsns_stream.types import FisherSettings
from xsns_stream.types.fisher import AUTHORS_BATCH

DEFAULT_EXAMPLES: Final = 64
DEFAULT_SEED: Final = 42
DEFAULT_DENSITY: Final = 0.15
DEFAULT_BATCH: Final = 8
_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


@dataclass(frozen=True)
class Stopping:
    """Rule that finishes a row early if its sub-network changes little between successive checks.

    Attributes:
        jaccard: Threshold in (0, 1]. A row is finished when the Jaccard coefficient of its sub-networks at two
            successive checks reaches this threshold.
        check_every: Number of examples between two checks.
        at_least: Smallest number of examples of a row.
        density: Density of the compared sub-networks. It does not depend on the densities of the rows, so that rows
            with other densities can be added to a store later.
    """

    jaccard: float
    check_every: int = 64
    at_least: int = 128
    density: float = DEFAULT_DENSITY

    def __post_init__(self) -> None:
        _convert_fields(self, {"jaccard": real_number, "check_every": whole_number, "at_least": whole_number})
        _convert_fields(self, {"density": real_number})
        check_density(self.density)
        if not (math.isfinite(self.jaccard) and 0 < self.jaccard <= 1):
            raise UsageError(
                f"the coefficient at which a row is stable must be in (0, 1], not {self.jaccard}.",
                "0.95 stops when 64 more examples change about one parameter in forty.",
            )
        for name, value in (
            ("number of examples between two checks", self.check_every),
            ("smallest number of examples", self.at_least),
        ):
            if value < 1:
                raise UsageError(f"the {name} must be at least 1, not {value}.")

    def __str__(self) -> str:
        return (
            f"until-stable(jaccard={self.jaccard:g},check_every={self.check_every},at_least={self.at_least},"
            f"density={self.density:g})"
        )


@dataclass(frozen=True)
class BuildSettings:
    """Settings of a build: all its inputs except the model and the store.

    Attributes:
        corpus: Source of the text.
        languages: Normalised codes of the languages.
        seeds: Seeds for sampling and masking; each language gets one row for each seed.
        densities: Shares of parameters to select; all densities are selected after one pass over the text.
        examples: Number |D| of examples to draw for each row. With `stopping`, a row may use fewer.
        batch_size: Number of examples in a batch; `auto` for as many as fit into memory; None for 4 if the estimator is
            `authors`, and for 8 otherwise. It affects speed and memory. It affects results only for estimators that
            square the gradient of a whole batch.
        objective: The training objective; None for the objective of the pre-training with its default settings.
        fisher: Settings of the estimator of the Fisher values.
        stack: Which blocks of an encoder-decoder model are measured: `encoder`, `decoder` or `both`.
        include: Regular expressions; parameters whose names match are measured in addition to the blocks.
        exclude: Regular expressions; parameters whose names match are not measured.
        head_seed: Seed with which the task head of the loaded model was initialised. It is only recorded.
        memory: Largest total size of the Fisher values in memory, in bytes; None for no limit. If all values need more,
            groups of layers are measured one after another, with one pass over the text for each group.
        stopping: Rule that finishes a row early; None uses all examples.
        split_half: Whether to compare the sub-networks of two halves of each row's examples.
        parts: Number K of folds into which each row's examples are divided; None for no folds. The sub-networks that
            leave one fold out are also stored, and rankings compute intervals from them. If K is even, the
            sub-networks of two halves are also compared.
        keep_fisher: Encoding with which Fisher values are saved in the store, `float32` or `bf16`; None to save none.
        quantile: Method that computes the threshold: `exact`, `histogram` or `percentile`; None for the default method
            of the estimator.
        notes: Sentences on languages whose label in the corpus is not the requested code.
        inputs: Record of where text and model are, from
            :func:`~xsns_stream.pipeline.store_settings.inputs_record`.
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
    notes: tuple[str, ...] = field(default=(), compare=False)
    inputs: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        _convert_fields(self, _CONVERSIONS)
        if not self.seeds:
            raise UsageError("no seed was given.", f"give a seed such as {DEFAULT_SEED}, the default.")
        if not self.densities:
            raise UsageError("no density was given.", "give a density such as 0.15, which the paper uses.")
        for density in self.densities:
            check_density(density)
        numbers = [("number of examples", self.examples), ("memory limit in bytes", self.memory)]
        if self.batch_size == "auto":
            if self.fisher.batch_wise:
                raise UsageError(
                    f"the values of the estimator '{self.fisher.estimator}' depend on the batch size.",
                    "give a number instead of auto.",
                )
        else:
            numbers.append(("batch size", self.batch_size))
        for name, value in numbers:
            if value is not None and value < 1:
                raise UsageError(f"the {name} must be at least 1, not {value}.")
        if self.keep_fisher is not None and self.keep_fisher not in ENCODINGS:
            raise UsageError(
                f"'{self.keep_fisher}' is not an encoding of Fisher values.", f"choose one of {', '.join(ENCODINGS)}."
            )
        if self.quantile is not None:
            check_quantile(self.quantile)
        if self.parts is not None:
            self._check_parts(self.parts)
        if not self.languages:
            raise UsageError("no language was given.", "give `--lang all`, or codes such as `--lang sw,en`.")

    def _check_parts(self, parts: int) -> None:
        check_fold_count(parts)
        if self.examples < parts:
            raise UsageError(f"{self.examples} examples cannot be split into {parts} parts.", "give more --examples.")
        for name, requested, reason in (
            ("--split-half", self.split_half, "an even number of parts also compares two halves of the examples"),
            ("--until-stable", self.stopping is not None, "parts need a known number of examples"),
        ):
            if requested:
                raise UsageError(f"--parts and {name} were both given.", f"{reason}: omit one of them.")

    @property
    def batch(self) -> int:
        """Number of examples in a batch; the default number if `batch_size` is `auto` or None."""
        if isinstance(self.batch_size, int):
            return self.batch_size
        return AUTHORS_BATCH if self.fisher.estimator == "authors" else DEFAULT_BATCH

    @property
    def order(self) -> str:
        """Order of examples for batching: `drawn` if the Fisher values depend on the batches, otherwise `length`."""
        return "drawn" if self.fisher.batch_wise else "length"

    @property
    def own_quantile(self) -> str:
        """The default method for the threshold: `percentile` for the estimator `authors`, otherwise `exact`."""
        return "percentile" if self.fisher.estimator == "authors" else "exact"

    @property
    def quantile_used(self) -> str:
        """The method that computes the threshold in this build."""
        return self.quantile or self.own_quantile

    def rows(self) -> tuple[Row, ...]:
        """Return all rows, language by language and then seed by seed, in the order of the settings."""
        return tuple(Row(language, seed) for language in self.languages for seed in self.seeds)

    def missing_rows(self, store: SubNetworkStore) -> tuple[Row, ...]:
        """Return the rows for which the store lacks one of the densities or one of the parts.

        Rows that the store has under another label, because they were relabelled, are not returned.
        """
        missing = tuple(row for row in self.rows() if self.is_missing(row, store))
        relabelled = self.relabelled_rows(missing, store)
        return tuple(row for row in missing if row not in relabelled)

    def relabelled_rows(self, rows: Iterable[Row], store: SubNetworkStore) -> dict[Row, str]:
        """Return {row: present label in the store} for those of `rows` that were relabelled.

        A row counts as relabelled if the store has a row of the same text that had the row's label before. The text of
        a corpus on the Hub is not compared, because it would have to be downloaded again.
        """
        others = set(store.languages) - set(self.languages) if store.exists else set()
        if not others:
            return {}
        records = [record for record in store.records() if record.language in others]
        found: dict[Row, str] = {}
        for row in rows:
            for record in records:
                if row.seed != record.seed or row.language not in record.provenance.former_labels:
                    continue
                if not self.is_missing(Row(record.language, row.seed), store) and self._is_text_of(row, record):
                    found[row] = record.language
        return found

    def _is_text_of(self, row: Row, record: CommitRecord) -> bool:
        """Return whether the text of `row` in the corpus is the text that the row of `record` was measured on."""
        if not self.corpus.local:
            return True
        try:
            sample = self.corpus.sample(row.language, self.examples, row.seed)
        except XsnsError:
            return False
        return sample.digest == record.provenance.corpus_digest

    def is_missing(self, row: Row, store: SubNetworkStore) -> bool:
        """Return whether the store lacks a row at one of the densities, or one of its parts."""
        return not self._is_there(row, store) or self.lacks_parts(row, store)

    def _is_there(self, row: Row, store: SubNetworkStore) -> bool:
        return all(store.is_committed(row.language, row.seed, density) for density in self.densities)

    def lacks_parts(self, row: Row, store: SubNetworkStore) -> bool:
        """Return whether the settings request parts that the store lacks for a row."""
        parts = self.parts
        return parts is not None and not all(
            store.has_folds(row.language, row.seed, density, parts) for density in self.densities
        )


def _whole_numbers(values: Any, name: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(whole_number(value, name) for value in several(values, name)))


def _real_numbers(values: Any, name: str) -> tuple[float, ...]:
    return tuple(dict.fromkeys(real_number(value, name) for value in several(values, name)))


def _whole_number_or_none(value: Any, name: str) -> int | None:
    return None if value is None else whole_number(value, name)


def _bytes(value: Any, name: str) -> int | None:
    """Return a number of bytes as an integer; a float without a fraction, such as 1.5e9, is accepted."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return _whole_number_or_none(value, name)


def _batch_size(value: Any, name: str) -> int | Literal["auto"] | None:
    return "auto" if isinstance(value, str) and value == "auto" else _whole_number_or_none(value, name)


#: Conversions of the fields of :class:`BuildSettings` to built-in Python types, because only these can be recorded.
_CONVERSIONS: Final[Mapping[str, Callable[[Any, str], Any]]] = {
    "seeds": _whole_numbers,
    "densities": _real_numbers,
    "examples": whole_number,
    "batch_size": _batch_size,
    "head_seed": whole_number,
    "memory": _bytes,
    "split_half": flag,
    "parts": _whole_number_or_none,
}


def _convert_fields(settings: object, conversions: Mapping[str, Callable[[Any, str], Any]]) -> None:
    """Replace fields of a frozen dataclass by converted values, in place.

    `conversions` is {name of a field: function of (value, name) that returns the converted value}.
    """
    for name, convert in conversions.items():
        object.__setattr__(settings, name, convert(getattr(settings, name), name))


def build_settings(
    corpus: Corpus,
    *,
    languages: str | Sequence[str] = "all",
    seeds: int | Iterable[int] = DEFAULT_SEED,
    densities: float | Iterable[float] = DEFAULT_DENSITY,
    examples: int = DEFAULT_EXAMPLES,
    parts: int | None = None,
    batch_size: int | Literal["auto"] | None = None,
    estimator: str = "per-example",
    token_reduction: str = "sum",
    labels: str = "data",
    precision: str = "float32",
    checkpoint: bool = False,
    memory: int | str | None = None,
    quantile: str | None = None,
    keep_fisher: str | None = None,
    split_half: bool = False,
    until_stable: float | None = None,
    check_every: int | None = None,
    at_least: int | None = None,
    stack: str = "both",
    include: str | Iterable[str] = (),
    exclude: str | Iterable[str] = (),
    head_seed: int = 0,
) -> BuildSettings:
    """Return the settings of a build from plain values, as :func:`xsns_stream.build` and the command line take them.

    The field `objective` is not set, because it depends on the model.

    Raises:
        LanguageError: A language is not in the corpus.
        UsageError: A value is not valid, or two values cannot be combined.
    """
    notes: list[str] = []
    wanted = several(languages, "languages")
    return BuildSettings(
        corpus=corpus,
        languages=select_languages(wanted, corpus, notes.append),
        notes=tuple(notes),
        seeds=tuple(several(seeds, "seeds")),
        densities=tuple(several(densities, "densities")),
        examples=examples,
        batch_size=batch_size,
        fisher=FisherSettings(
            estimator=estimator,
            token_reduction=token_reduction,
            labels=labels,
            precision=precision,
            checkpoint=flag(checkpoint, "checkpoint"),
        ),
        stack=stack,
        include=strings(include, "include"),
        exclude=strings(exclude, "exclude"),
        head_seed=head_seed,
        memory=parse_bytes(memory) if isinstance(memory, str) else memory,
        stopping=_stopping(until_stable, check_every, at_least),
        split_half=split_half,
        parts=parts,
        keep_fisher=keep_fisher,
        quantile=quantile,
    )


def parse_bytes(text: str) -> int:
    """Return the number of bytes of a size such as `1500`, `500k`, `1.5GB` (10⁹) or `2GiB` (2³⁰).

    Raises:
        UsageError: The text is not a size.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise UsageError(f"'{text}' is not a size.", "write 500MB, 2GB or 2GiB.")
    power = " kmgt".index(match[2].lower()) if match[2] else 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


def _stopping(until_stable: float | None, check_every: int | None, at_least: int | None) -> Stopping | None:
    given = {"check_every": check_every, "at_least": at_least}
    numbers = {name: value for name, value in given.items() if value is not None}
    if until_stable is not None:
        return Stopping(until_stable, **numbers)
    for name in numbers:
        raise UsageError(
            f"--{name.replace('_', '-')} needs --until-stable, which is missing.", "give both, or neither."
        )
    return None
