"""Fisher values of tiny models, and batches for them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xsns_stream.fisher import diagonal_fisher
from xsns_stream.models import parameter_layout

#: Lengths of the examples of two batches.
LENGTHS = ((9, 4, 6), (5, 11))


def fisher(model: Any, batches: Any, **settings: Any) -> dict[str, Any]:
    """Return {tensor: its Fisher values} of all parameters of a model."""
    return diagonal_fisher(model, batches, parameter_layout(model), **settings).to_dict()


def batches_of(zoo: Any, model: Any, family: str, lengths: Sequence[Sequence[int]] = LENGTHS) -> list[Any]:
    """Return a batch for each tuple of lengths of examples, with another seed each."""
    return [zoo.batch(model, family, each, seed) for seed, each in enumerate(lengths)]
