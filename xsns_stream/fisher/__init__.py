"""Diagonal empirical Fisher information, streamed: model × batches → :class:`DiagonalFisher`.

* `engine`: squares and accumulates inside the backward.
* `rules`: how each kind of module does that.
* `reference`: the slow, obvious computation of the same.
* `selfcheck`: compares the two on a small batch before a model is trusted to the rules.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

import torch
from torch import Tensor, nn

from xsns_stream.errors import FisherError, UsageError
from xsns_stream.fisher.engine import Engine
from xsns_stream.fisher.rules import NotExactError
from xsns_stream.fisher.selfcheck import ParameterCheck, self_check, without_rules
from xsns_stream.types import DiagonalFisher, ParameterLayout, Provenance

__all__ = [
    "ESTIMATORS",
    "TOKEN_REDUCTIONS",
    "ParameterCheck",
    "diagonal_fisher",
    "self_check",
    "without_rules",
]

ESTIMATORS: Final = ("per-example",)
TOKEN_REDUCTIONS: Final = ("sum", "mean")


def diagonal_fisher(
    model: nn.Module,
    batches: Iterable[Mapping[str, Tensor]],
    layout: ParameterLayout,
    estimator: str = "per-example",
    token_reduction: str = "sum",
    *,
    language: str = "",
    provenance: Provenance | None = None,
) -> DiagonalFisher:
    """Compute the exact per-example diagonal Fisher information of θ.

    f_i = 1/|D| Σ_j (∂ log p(y_j|x_j;θ)/∂θ_i)², where log p(y_j|x_j) is the sum over example j's own scored
    positions. The values do not depend on how the examples are batched, padding included.

    Args:
        model: A masked language model of transformers; run in evaluation mode, left as it was found.
        batches: Mappings of int64 [B, T] tensors `input_ids`, `attention_mask` and `labels` (−100 = not scored), on
            the model's device.
        layout: θ, from :func:`xsns_stream.parameter_layout`.
        estimator: `per-example`, the paper's equation.
        token_reduction: `sum` reads the equation literally; `mean` divides an example's log-likelihood by its
            number of scored positions first, which weights examples by its inverse square.
        language: Code of the language; also named in errors.
        provenance: Kept with the result.

    Returns:
        float32 values (float64 for a float64 model), finite and ≥ 0.

    Raises:
        FisherError: No batch; an example with nothing to score; a gradient that is not finite (the parameter and
            the language are named).
        UsageError: An unknown estimator or token reduction.

    Source: X-SNS, equation 1; expectation over y replaced by the observed labels (empirical Fisher).
    """
    if estimator not in ESTIMATORS:
        raise UsageError(f"no estimator '{estimator}'.", f"there is {', '.join(ESTIMATORS)}.")
    if token_reduction not in TOKEN_REDUCTIONS:
        raise UsageError(f"no token reduction '{token_reduction}'.", f"choose one of {', '.join(TOKEN_REDUCTIONS)}.")
    about = f" of language '{language}'" if language else ""
    engine = Engine(model, layout, token_reduction, without_rules(model, layout))
    with engine:
        try:
            for batch in batches:
                engine.add(batch)
        except NotExactError as error:
            raise FisherError(f"a batch{about} cannot be split into examples: {error}.") from error
        except FisherError as error:
            _raise_not_finite(engine, about)
            _raise_damaged(model, about)
            raise FisherError(f"{error.message.rstrip('.')}{about}.", error.hint) from error
    _raise_not_finite(engine, about)
    if not engine.examples:
        raise FisherError(f"there is no batch{about} to compute the Fisher information from.")
    values = tuple((engine.sums[name] / engine.examples).cpu().numpy() for name in layout.names)
    return DiagonalFisher(values, layout, engine.examples, language, provenance or Provenance())


def _raise_not_finite(engine: Engine, about: str) -> None:
    for name, total in engine.sums.items():
        if not bool(torch.isfinite(total).all()):
            raise FisherError(
                f"the gradient{about} by parameter '{name}' is not finite (NaN or infinite).",
                "the weights may be damaged, or overflow in this precision.",
            )


def _raise_damaged(model: nn.Module, about: str) -> None:
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise FisherError(
                f"the loss{about} is not finite, because parameter '{name}' holds NaN or infinite values.",
                "the weights are damaged; fetch or export them again.",
            )
