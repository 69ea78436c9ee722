"""Errors and warnings of one Fisher run, with the language and the parameter that they concern."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from xsns_stream.errors import FisherError
from xsns_stream.fisher.rules import NotExactError
from xsns_stream.fisher.scoring import theta_of
from xsns_stream.types import FisherSettings, ParameterLayout, Provenance


class HalfPrecisionWarning(UserWarning):
    """The weights of a model that is measured are float16 or bfloat16, and with them its gradients."""


class Running(Protocol):
    """A measurement: :class:`Engine` or :class:`BatchGradients`."""

    model: Any

    @property
    def sums(self) -> Mapping[str, Tensor]:
        """Running sums by name."""


@contextmanager
def error_context(measurement: Running, language: str = "") -> Iterator[None]:
    """Turn what fails inside into an error that names the language; check at the end that all sums are finite.

    Raises:
        FisherError: A batch that cannot be split into examples or scored, damaged weights, a gradient that is not
            finite.
    """
    about = f" of language '{language}'" if language else ""
    try:
        yield
    except NotExactError as error:
        raise FisherError(f"a batch{about} cannot be split into examples: {error}.") from error
    except FisherError as error:
        _refuse_not_finite(measurement.sums, about)
        _refuse_damaged(measurement.model, about)
        raise FisherError(f"{error.message.rstrip('.')}{about}.", error.hint) from error
    _refuse_not_finite(measurement.sums, about)


def half_precision_note(model: Any, layout: ParameterLayout, one_by_one: Collection[str]) -> str:
    """Return what follows from weights in half precision, in a sentence or two.

    Args:
        model: Whose weights they are.
        layout: θ.
        one_by_one: Names of the parameters that are measured one example at a time.
    """
    dtype = str(next(model.parameters()).dtype).removeprefix("torch.")
    slow = ""
    if one_by_one:
        slow = (
            f" {len(one_by_one)} of {len(layout.names)} parameters are measured one example at a time, which is slow."
        )
    return (
        f"the weights are in {dtype}, so gradients are rounded to {dtype} (squares and sums are float32); "
        f"for exact values load the model with dtype=torch.float32.{slow}"
    )


def default_provenance(
    model: Any, layout: ParameterLayout, settings: FisherSettings, batch_size: int, examples: int, seed: int
) -> Provenance:
    """Return what can be told of a measurement without knowing where its model and text came from.

    The weights' digest is over the first 4,096 values of every parameter of θ: enough to tell models apart, and
    cheap for the largest.
    """
    digest = hashlib.sha256()
    for parameter in theta_of(model, layout).values():
        digest.update(parameter.detach().flatten()[:4096].float().cpu().numpy().tobytes())
    weight = next(model.parameters())
    mixed = "" if settings.precision == "float32" else f"+{settings.precision}-autocast"
    return Provenance(
        model=type(model).__name__,
        weights_digest=digest.hexdigest(),
        layout_digest=layout.digest,
        estimator=settings.describe(batch_size),
        examples=examples,
        seed=seed,
        dtype=str(weight.dtype).removeprefix("torch.") + mixed,
        device=weight.device.type,
    )


def _refuse_not_finite(sums: Mapping[str, Tensor], about: str) -> None:
    for name, total in sums.items():
        if not bool(torch.isfinite(total).all()):
            raise FisherError(
                f"the gradient{about} by parameter '{name}' is not finite (NaN or infinite).",
                "the weights may be damaged, or overflow in this precision; try bf16 or float32.",
            )


def _refuse_damaged(model: Any, about: str) -> None:
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise FisherError(
                f"the loss{about} is not finite, because parameter '{name}' holds NaN or infinite values.",
                "the weights are damaged; fetch or export them again.",
            )
