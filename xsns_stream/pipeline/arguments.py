"""Validation and conversion of the arguments of the public functions.

The command line passes Python numbers. A script may also pass strings, or NumPy scalars, which JSON does not support.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from numbers import Real
from typing import Any

from xsns_stream.errors import UsageError


def whole_number(value: Any, name: str) -> int:
    """Return an integer as a Python `int`; the value may be an integer of another library, such as NumPy.

    >>> import numpy as np
    >>> whole_number(np.int64(3), "seeds")
    3

    Args:
        value: The value that the caller gave.
        name: Name of the argument, for the message.

    Raises:
        UsageError: The value is not an integer. `True` and `8.0` are not accepted as integers.
    """
    # A Python bool has the method `__index__`; a NumPy bool does not.
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise UsageError(f"{name} must be an integer, not {value!r}.", _convert("int", value))


def real_number(value: Any, name: str) -> float:
    """Return a number as a Python `int` or `float`; the value may be a number of another library, such as NumPy.

    Args:
        value: The value that the caller gave.
        name: Name of the argument, for the message.

    Raises:
        UsageError: The value is not a number. `True` is not accepted as a number.
    """
    if type(value) in (int, float):
        number: float = value
        return number
    if isinstance(value, Real) and value is not True and value is not False:
        # float(np.float32(0.15)) is 0.15000000596, which would be a different density than 0.15.
        return float(str(value))
    raise UsageError(f"{name} must be a number, not {value!r}.", _convert("float", value))


def flag(value: Any, name: str) -> bool:
    """Return a truth value as a Python `bool`; the value may be a bool of any library, 0, or 1.

    Args:
        value: The value that the caller gave.
        name: Name of the argument, for the message.

    Raises:
        UsageError: The value is neither a bool nor 0 or 1; for example the string "no", which `bool` converts to True.
    """
    if not isinstance(value, str) and any(value is each or value == each for each in (False, True)):
        return bool(value)
    raise UsageError(f"{name} must be True or False, not {value!r}.")


def strings(values: Any, name: str) -> tuple[str, ...]:
    """Return a tuple of strings: the items of an iterable, or the value itself if it is a single string.

    Args:
        values: A string, or an iterable of strings.
        name: Name of the argument, for the message.

    Raises:
        UsageError: A value is not a string.
    """
    items = several(values, name)
    for item in items:
        if not isinstance(item, str):
            raise UsageError(f"{name} must be a string or a list of strings, not {item!r}.")
    return tuple(items)


def several(values: Any, name: str) -> list[Any]:
    """Return the items of an iterable as a list; a single value becomes a list with one item.

    Args:
        values: A single value, or an iterable of values. A string is a single value.
        name: Name of the argument, for the message.

    Raises:
        UsageError: The value is None.
    """
    if values is None:
        raise UsageError(f"{name} must not be None.", "omit it to use the default.")
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str) else [values]


def _convert(kind: str, value: Any) -> str:
    return f"convert it with {kind}()." if isinstance(value, str | float) else ""
