"""Settings of the Fisher estimate: those that change its values, and those that change only its cost."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from xsns_stream.errors import UsageError

ESTIMATORS: Final = ("per-example", "per-batch", "authors", "grad-abs")
TOKEN_REDUCTIONS: Final = ("sum", "mean")
LABELS: Final = ("data", "sample")
PRECISIONS: Final = ("float32", "bf16", "fp16")
#: Estimators whose values depend on which examples share a batch.
BATCH_WISE: Final = ("per-batch", "authors")
#: The batch size of the authors' published code.
AUTHORS_BATCH: Final = 4


@dataclass(frozen=True)
class FisherSettings:
    """What is averaged, and how it is computed.

    Attributes:
        estimator: `per-example`, the paper's equation: each example's own gradient is squared. `per-batch` squares the
            gradient of a batch's mean. `authors` does what the authors' published code does: dropout on, batch mean
            of the loss per piece, each tensor's gradient clipped to norm 1, then squared. `grad-abs` averages the
            absolute value of each example's gradient.
        token_reduction: How an example's scored pieces make up its log-likelihood, `sum` or `mean`.
        labels: `data` asks for the observed pieces (empirical Fisher); `sample` for pieces drawn from the model
            itself (true Fisher, one draw an example).
        precision: `float32` (what the weights have), or automatic mixed precision, `bf16` or `fp16`, with accumulators
            in float32.
        checkpoint: Compute activations again in the backward instead of keeping them; the values stay the same.
    """

    estimator: str = "per-example"
    token_reduction: str = "sum"
    labels: str = "data"
    precision: str = "float32"
    checkpoint: bool = False

    def __post_init__(self) -> None:
        _choose("estimator", self.estimator, ESTIMATORS)
        _choose("token reduction", self.token_reduction, TOKEN_REDUCTIONS)
        _choose("kind of labels", self.labels, LABELS)
        _choose("precision", self.precision, PRECISIONS)
        if self.estimator == "authors" and (self.token_reduction, self.labels, self.precision) != (
            "sum",
            "data",
            "float32",
        ):
            raise UsageError(
                "the authors' estimator has no choices of its own.",
                "leave token reduction, labels and precision at their defaults.",
            )

    @property
    def batch_wise(self) -> bool:
        """Whether the values depend on which examples share a batch, and so on batch size and order."""
        return self.estimator in BATCH_WISE

    def describe(self, batch_size: int) -> str:
        """Return the canonical text that is kept with every result; equal exactly when values are comparable.

        Args:
            batch_size: Examples computed together; part of the text only where values depend on it.
        """
        if self.estimator == "authors":
            return f"authors(batch={batch_size})"
        said = [f"token_reduction={self.token_reduction}"]
        if self.labels != "data":
            said.append(f"labels={self.labels}")
        if self.batch_wise:
            said.append(f"batch={batch_size}")
        return f"{self.estimator}({','.join(said)})"


def _choose(what: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f"no {what} '{value}'.", f"choose one of {', '.join(known)}.")
