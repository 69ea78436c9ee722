"""Checks of numbers and flags that are arguments of the public functions.

The command line passes numbers of Python. A script may also pass numbers of NumPy, which JSON does not support, or
text.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable
from numbers import Real
from typing import Any

from xsns_stream.errors import UsageError


def whole_number(value: Any, name: str) -> int:
    """Return an integer of Python for an integer of any library.

    >>> import numpy as np
    >>> whole_number(np.int64(3), "seeds")
    3

    Args:
        value: The value that the caller gave.
        name: Name of the argument, for the message.

    Raises:
        UsageError: The value is not an integer; `True` and `8.0` are not.
    """
    # The bool of NumPy has no index; the bool of Python has one.
    if not isinstance(value, bool):
        try:
            return operator.index(value)
        except TypeError:
            pass
    raise UsageError(f"{name} must be an integer, not {value!r}.", _convert("int", value))


def real_number(value: Any, name: str) -> float:
    """Return a number of Python for a number of any library.

    Args:
        value: The value that the caller gave.
        name: Name of the argument, for the message.

    Raises:
        UsageError: The value is not a number; `True` is not.
    """
    if type(value) in (int, float):
        number: float = value
        return number
    if isinstance(value, Real) and value is not True and value is not False:
        # float(np.float32(0.15)) is 0.15000000596, which would be a different density than 0.15.
        return float(str(value))
    raise UsageError(f"{name} must be a number, not {value!r}.", _convert("float", value))


def flag(value: Any, name: str) -> bool:
    """Return a bool of Python for a bool of any library, or for 0 and 1.

    Args:
        value: The value that the caller gave.
        name: Name of the argument, for the message.

    Raises:
        UsageError: The value has another type, for example the text "no", which Python treats as true.
    """
    if not isinstance(value, str) and any(value is each or value == each for each in (False, True)):
        return bool(value)
    raise UsageError(f"{name} must be True or False, not {value!r}.")


def strings(values: Any, name: str) -> tuple[str, ...]:
    """Return strings, or one string, as a tuple.

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
    """Return the items of an iterable, or one value as a list.

    Args:
        values: A value, which may be text, or an iterable of values.
        name: Name of the argument, for the message.

    Raises:
        UsageError: The value is None.
    """
    if values is None:
        raise UsageError(f"{name} must not be None.", "omit it to use the default.")
    return list(values) if isinstance(values, Iterable) and not isinstance(values, str) else [values]


def _convert(kind: str, value: Any) -> str:
    return f"convert it with {kind}()." if isinstance(value, str | float) else ""
