"""The record of everything that is needed to compute a result again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib.metadata import PackageNotFoundError, version
from typing import Any, Final


@dataclass(frozen=True)
class Provenance:
    """Everything that must be known to compute a result again; written next to it.

    The fields of :meth:`experiment` decide what may be compared; the others may differ from row to row.

    Attributes:
        model: Folder name or Hub id.
        revision: Hub commit, empty for local folders.
        weights_digest: SHA-256 of the weight files.
        tokenizer_digest: SHA-256 of the tokenizer's serialisation.
        layout_digest: SHA-256 of the parameter layout.
        objective: Name and settings, as `masked-lm(rate=0.15,max_length=128)`.
        estimator: Name and settings, as `per-example(token_reduction=sum)`.
        corpus: Corpus and its settings, as `cldr(babel=2.18.0)`.
        corpus_digest: SHA-256 of the drawn examples of this row's language.
        examples: Examples used, |D|.
        examples_asked: Examples asked for.
        stopping: When a row was finished before it had all examples, as
            `until-stable(jaccard=0.95,check_every=64,at_least=128,density=0.15)`; empty where no row was.
        head: The seed of a task's head, as `seed=0`, of which it is made where the weights bring none; empty for
            language models.
        quantile: How the threshold was found, `exact`, `histogram` or `percentile`; empty where it was the estimator's
            own way, which is `percentile` for the authors' and `exact` for the others.
        seed: The seed of the draw and of the masking.
        dtype: Of the model's weights while computing, with `+bf16-autocast` where products were rounded on the way.
        device: Where it was computed.
        fallback: Names of parameters that went through the batch-of-one path; empty normally.
        versions: Library name → version.
        values: Where the Fisher values came from: empty where they were measured for this row, `kept-float32` or
            `kept-bf16` where they had been kept in the store.
        reliability: What is known of this row's repeatability: `split_half`, the Jaccard coefficient of the
            sub-networks of two halves of the examples; `stability`, a list of [examples, Jaccard coefficient to the
            sub-network at the check before].
        text: What became of the row's text, where that was recorded: `lines`, {what: number} of lines read and skipped;
            `examples_unusable` and `examples_cut`, numbers of examples; `tokens_left_out`, the share of tokens beyond
            the longest example, and `tokens_unknown`, those that the vocabulary does not know; `framing_tokens`, the
            number of special tokens around a text.
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
        """Return the fields that all rows of one store share."""
        return {name: getattr(self, name) for name in self.SHARED}

    def to_json(self) -> dict[str, Any]:
        """Return what :meth:`from_json` reads."""
        data = {name: getattr(self, name) for name in self.__dataclass_fields__}
        return data | {
            "fallback": list(self.fallback),
            "versions": dict(self.versions),
            "reliability": dict(self.reliability),
            "text": dict(self.text),
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> Provenance:
        """Rebuild from :meth:`to_json`; unknown keys of later versions are ignored."""
        known = {k: v for k, v in data.items() if k in cls.__dataclass_fields__}
        return cls(**(known | {"fallback": tuple(known.get("fallback", ()))}))


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
    """Return {library: installed version} of those that can change a sub-network; nothing is imported."""
    found = {}
    for name in LIBRARIES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found
