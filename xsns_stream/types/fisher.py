"""Diagonal Fisher information: the settings of an estimate, and the estimated values."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import UsageError
from xsns_stream.types.parameters import ParameterLayout
from xsns_stream.types.provenance import Provenance

if TYPE_CHECKING:
    import torch

ESTIMATORS: Final = ("per-example", "per-batch", "authors", "grad-abs")
TOKEN_REDUCTIONS: Final = ("sum", "mean")
LABELS: Final = ("data", "sample")
PRECISIONS: Final = ("float32", "bf16", "fp16")
#: Estimators with values that depend on the division of examples into batches.
BATCH_WISE: Final = ("per-batch", "authors")
#: The batch size of the authors' published code.
AUTHORS_BATCH: Final = 4


@dataclass(frozen=True)
class FisherSettings:
    """Settings of a Fisher estimate.

    `estimator`, `token_reduction` and `labels` define the estimated quantity;
    `precision` and `checkpoint` change only numerical precision and cost.

    Attributes:
        estimator: `per-example` is the paper's equation: the gradient of each example is squared. `per-batch` squares
            the gradient of the mean over a batch. `authors` follows the published code of the authors: dropout is on,
            the loss is the mean over the tokens of a batch, and the gradient of each tensor is clipped to norm 1 and
            then squared. `grad-abs` averages the absolute value of the gradient of each example.
        token_reduction: Reduction of the log-likelihoods of the scored tokens of an example: `sum` or `mean`.
        labels: `data` scores the observed tokens (empirical Fisher); `sample` scores tokens that are drawn from the
            model itself (true Fisher, one draw for each example).
        precision: `float32` (the precision of the weights), or automatic mixed precision in `bf16` or `fp16` with
            accumulators in float32.
        checkpoint: Whether activations are recomputed in the backward pass (gradient checkpointing), which needs less
            memory. The values do not change.
    """

    estimator: str = "per-example"
    token_reduction: str = "sum"
    labels: str = "data"
    precision: str = "float32"
    checkpoint: bool = False

    def __post_init__(self) -> None:
        _check_choice("estimator", self.estimator, ESTIMATORS)
        _check_choice("token reduction", self.token_reduction, TOKEN_REDUCTIONS)
        _check_choice("kind of labels", self.labels, LABELS)
        _check_choice("precision", self.precision, PRECISIONS)
        if self.estimator == "authors" and (self.token_reduction, self.labels, self.precision) != (
            "sum",
            "data",
            "float32",
        ):
            raise UsageError(
                "the estimator 'authors' fixes these settings.",
                "leave token reduction, labels and precision at their defaults.",
            )

    @property
    def batch_wise(self) -> bool:
        """Whether the values depend on how the examples are divided into batches."""
        return self.estimator in BATCH_WISE

    def describe(self, batch_size: int) -> str:
        """Return a text that is recorded with every result. Values are comparable if their texts are equal.

        Args:
            batch_size: Number of examples in a batch. It is part of the text only if the values depend on it.
        """
        if self.estimator == "authors":
            return f"authors(batch={batch_size})"
        settings = [f"token_reduction={self.token_reduction}"]
        if self.labels != "data":
            settings.append(f"labels={self.labels}")
        if self.batch_wise:
            settings.append(f"batch={batch_size}")
        return f"{self.estimator}({','.join(settings)})"


@dataclass(frozen=True)
class DiagonalFisher:
    """f_i = 1/|D| Σ_j (∂ log p(y_j|x_j;θ)/∂θ_i)² for every parameter of a layout.

    Attributes:
        values: One array for each tensor of `layout`, in its order and shape; finite and ≥ 0. It is a torch tensor if
            the values are still on a device.
        layout: The layout of the parameters.
        examples: |D|, the number of examples averaged over.
        language: Normalised code; empty if the caller gave batches without a language.
        provenance: How the values were computed.
    """

    values: tuple[npt.NDArray[np.floating[Any]] | torch.Tensor, ...] = field(repr=False)
    layout: ParameterLayout
    examples: int
    language: str = ""
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if tuple(tuple(v.shape) for v in self.values) != self.layout.shapes:
            raise ValueError("every tensor of the layout needs values of its shape")

    def __repr__(self) -> str:
        language = f"{self.language}: " if self.language else ""
        return f"<DiagonalFisher {language}{self.layout.size:,} values, mean of {self.examples:,} examples>"

    def to_dict(self) -> dict[str, torch.Tensor]:
        """Return {parameter name: tensor of its shape}; the tensors share memory with the values."""
        import torch

        return {n: torch.as_tensor(v) for n, v in zip(self.layout.names, self.values, strict=True)}

    def layer_sums(self) -> dict[str, float]:
        """Return {layer of the layout: sum of its values}, summed in float64. The sum over all layers is the trace."""
        sums = dict.fromkeys((layer.name for layer in self.layout.layers), 0.0)
        starts = [layer.start for layer in self.layout.layers]
        for offset, values in zip(self.layout.offsets, self.values, strict=True):
            total = values.sum(dtype=np.float64) if isinstance(values, np.ndarray) else values.double().sum()
            sums[self.layout.layers[bisect_right(starts, offset) - 1].name] += float(total)
        return sums


def _check_choice(setting: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise UsageError(f"'{value}' is not a valid {setting}.", f"choose one of {', '.join(choices)}.")
