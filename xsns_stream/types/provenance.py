"""Provenance: the record of all inputs and settings of a result."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final


@dataclass(frozen=True)
class Provenance:
    """All inputs and settings that are needed to repeat a result; it is written next to the result.

    Results may be compared if they agree in the fields of :meth:`experiment`; the other fields may differ between the
    rows of a store.

    Attributes:
        model: Name of the folder, or Hub id.
        revision: Hub commit, empty for local folders.
        weights_digest: SHA-256 of the weight files.
        tokenizer_digest: SHA-256 of the serialised tokenizer.
        layout_digest: SHA-256 of the parameter layout.
        objective: Name and settings of the training objective, such as `masked-lm(rate=0.15,max_length=128)`.
        estimator: Name and settings of the Fisher estimator, such as `per-example(token_reduction=sum)`.
        corpus: Name and settings of the corpus, such as `cldr(babel=2.18.0)`.
        corpus_digest: SHA-256 of the sampled examples of the language.
        examples: Number of examples that were used, |D|.
        examples_asked: Number of examples that were requested.
        stopping: Rule for ending a measurement before all examples are used, such as
            `until-stable(jaccard=0.95,check_every=64,at_least=128,density=0.15)`; empty if there is no such rule.
        head: Seed of the randomly initialised task head, such as `seed=0`, which is used if the weights contain no
            head; empty for language models.
        quantile: Method of computing the threshold: `exact`, `histogram` or `percentile`. Empty for the default of the
            estimator: `percentile` for `authors`, and `exact` for all other estimators.
        seed: Seed for sampling and masking.
        dtype: Precision of the model's weights during computation, with `+bf16-autocast` or `+fp16-autocast` under
            automatic mixed precision.
        device: Device of the computation.
        fallback: Names of parameters that were measured one example at a time; usually empty.
        versions: Library name → version.
        values: Origin of the Fisher values: empty if they were measured for this row, `kept-float32` or `kept-bf16` if
            they were read from the store.
        reliability: Repeatability of this row, if it was measured: `split_half`, the Jaccard coefficient of the
            sub-networks of two halves of the examples; `stability`, a list of [number of examples, Jaccard coefficient
            with the sub-network of the preceding check].
        text: Counts about the text of the row, if they were recorded: `lines`, {reason: number} of lines read and
            skipped; `examples_unusable` and `examples_cut`, numbers of examples; `tokens_left_out`, the share of tokens
            beyond the maximum length, and `tokens_unknown`, the share of tokens that are not in the vocabulary;
            `framing_tokens`, the number of special tokens around a text.
        inputs: Where the text and the model were; more rows can then be built without naming them again: `texts`, a
            list of specifications of a corpus; `model`; `options`, the options of the text and of the parameters that
            were given. A path is relative to the folder of the store, and begins with a full stop. Empty if it was not
            recorded.
        checkpoint: Format of the model's weights if they are not plain safetensors: `format` (`gguf`, `safetensors`),
            `architecture`, `quantisation` ({type: number of tensors}, or the method), `file_digest`; and `adapter`, an
            object with `kind`, `r`, `alpha`, `digest`, `base`, `base_revision` and `base_digest`. Empty otherwise.
        former_labels: Labels that the row had before it was relabelled, the oldest first; usually empty.
    """

    model: str = ""
    revision: str = ""
    weights_digest: str = ""
    tokenizer_digest: str = ""
    layout_digest: str = ""
    objective: str = ""
    estimator: str = ""
    corpus: str = ""
    corpus_digest: str = ""
    examples: int = 0
    examples_asked: int = 0
    stopping: str = ""
    head: str = ""
    quantile: str = ""
    seed: int = 0
    dtype: str = ""
    device: str = ""
    fallback: tuple[str, ...] = ()
    versions: Mapping[str, str] = field(default_factory=dict)
    values: str = ""
    reliability: Mapping[str, Any] = field(default_factory=dict)
    text: Mapping[str, Any] = field(default_factory=dict)
    inputs: Mapping[str, Any] = field(default_factory=dict)
    checkpoint: Mapping[str, Any] = field(default_factory=dict)
    former_labels: tuple[str, ...] = ()

    #: Fields that all rows of one store share.
    SHARED = (
        "model",
        "weights_digest",
        "tokenizer_digest",
        "layout_digest",
        "objective",
        "estimator",
        "corpus",
        "examples_asked",
        "stopping",
        "head",
        "quantile",
        "dtype",
    )

    def experiment(self) -> dict[str, Any]:
        """Return {name: value} of the fields that must be equal in all rows of a store."""
        return {name: getattr(self, name) for name in self.SHARED}

    def to_json(self) -> dict[str, Any]:
        """Return a JSON object that :meth:`from_json` reads."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        del data["former_labels"], data["checkpoint"]
        return data | {
            "fallback": list(self.fallback),
            "versions": dict(self.versions),
            "reliability": dict(self.reliability),
            "text": dict(self.text),
            **({"inputs": dict(self.inputs)} if self.inputs else {}),
            **({"checkpoint": dict(self.checkpoint)} if self.checkpoint else {}),
            **({"former_labels": list(self.former_labels)} if self.former_labels else {}),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Provenance:
        """Return the record from a JSON object of :meth:`to_json`; unknown keys are ignored."""
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        lists = {name: tuple(known.get(name, ())) for name in ("fallback", "former_labels")}
        return cls(**(known | lists))


LIBRARIES: Final = (
    "xsns-stream",
    "torch",
    "transformers",
    "tokenizers",
    "numpy",
    "zarr",
    "datasets",
    "babel",
)


def library_versions() -> dict[str, str]:
    """Return {library: installed version} for the libraries that can change a sub-network, without importing them."""
    return dict(_versions_of(LIBRARIES))


@cache
def _versions_of(libraries: tuple[str, ...]) -> Mapping[str, str]:
    """Return {library: installed version}; the files of the packages are read once in a process."""
    versions = {}
    for name in libraries:
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return versions
