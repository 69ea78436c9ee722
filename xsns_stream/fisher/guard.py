"""What went wrong with a measurement, in words that name the language and the parameter."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol

import torch
from torch import Tensor

from xsns_stream.errors import FisherError
from xsns_stream.fisher.rules import NotExactError


class Running(Protocol):
    """A measurement: :class:`Engine` or :class:`BatchGradients`."""

    model: Any

    @property
    def sums(self) -> Mapping[str, Tensor]:
        """Running sums by name."""


@contextmanager
def explained(measurement: Running, language: str = "") -> Iterator[None]:
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
