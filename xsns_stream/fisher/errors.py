"""Errors and warnings of a measurement, which name the language and the parameter."""

from __future__ import annotations

import hashlib
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from xsns_stream.errors import FisherError
from xsns_stream.fisher.memory import is_out_of_memory
from xsns_stream.fisher.model_state import weights_dtype
from xsns_stream.fisher.rules import NotExactError
from xsns_stream.fisher.scoring import theta_of
from xsns_stream.types import FisherSettings, ParameterLayout, Provenance


class HalfPrecisionWarning(UserWarning):
    """Warning about weights in float16 or bfloat16: gradients are rounded to the precision of the weights."""


class RunningMeasurement(Protocol):
    """Interface of a measurement: an :class:`Engine` or :class:`BatchGradients`."""

    model: Any

    @property
    def sums(self) -> Mapping[str, Tensor]:
        """{name of a parameter: its running sum}."""


@contextmanager
def error_context(measurement: RunningMeasurement, language: str = "") -> Iterator[None]:
    """Turn errors of the block into errors that name the language; finally, check that all sums are finite.

    Raises:
        FisherError: A batch cannot be split into examples or scored; the weights are damaged; a gradient is not finite.
    """
    about = f" of language '{language}'" if language else ""
    try:
        yield
    except NotExactError as error:
        raise FisherError(f"a batch{about} cannot be split into examples: {error}.") from error
    except FisherError as error:
        _refuse_not_finite(measurement.sums, about)
        _refuse_damaged(measurement.model, about)
        prefix = f"language '{language}': " if language else ""
        raise FisherError(f"{prefix}{error.message}", error.hint) from error
    _refuse_not_finite(measurement.sums, about)


@contextmanager
def mixed_types(model: Any) -> Iterator[None]:
    """If the weights of the model have several dtypes, turn an error of torch into a sentence that names this cause.

    Models with several dtypes are not rejected beforehand, because some of them are intended to have several and work.

    Raises:
        FisherError: torch cannot compute the model, and its weights have several dtypes.
    """
    try:
        yield
    except RuntimeError as error:
        dtypes = sorted({str(p.dtype).removeprefix("torch.") for p in model.parameters() if p.is_floating_point()})
        if len(dtypes) < 2 or is_out_of_memory(error):
            raise
        raise FisherError(
            f"the model has weights in {' and '.join(dtypes)}, and torch cannot combine these types: "
            f"{(str(error).strip().splitlines() or [''])[0].rstrip('.')}.",
            "convert the whole model to one type, for example with model.float().",
        ) from error


def half_precision_note(model: Any, layout: ParameterLayout, one_by_one: Collection[str]) -> str:
    """Return a text of one or two sentences about the consequences of weights in half precision.

    Args:
        model: The model with these weights.
        layout: θ.
        one_by_one: Names of the parameters that are measured one example at a time.
    """
    dtype = str(weights_dtype(model)).removeprefix("torch.")
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
    """Return the provenance of a measurement whose model and text have an unknown origin.

    The digest of the weights covers the first 4,096 values of every parameter in θ. These values suffice to distinguish
    models, and their digest is computed fast even for a large model.
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
                f"the gradient{about} with respect to parameter '{name}' is not finite (NaN or infinite).",
                "the weights may be damaged, or a value may overflow in this precision; try bf16 or float32.",
            )


def _refuse_damaged(model: Any, about: str) -> None:
    for name, parameter in model.named_parameters():
        if not bool(torch.isfinite(parameter).all()):
            raise FisherError(
                f"the loss{about} is not finite, because parameter '{name}' contains NaN or infinite values.",
                "the weights are damaged; download or export them again.",
            )
