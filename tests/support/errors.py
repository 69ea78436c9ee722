"""Errors that calls raise."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import pytest

Kind = TypeVar("Kind", bound=Exception)


def error_of(kind: type[Kind], call: Callable[..., object], *arguments: Any, **options: Any) -> Kind:
    """Return the error of this kind that a call raises; fail if it raises none."""
    with pytest.raises(kind) as caught:
        call(*arguments, **options)
    return caught.value
