"""Parameter types: how the values of options are converted to numbers and sizes."""

from __future__ import annotations

from typing import Any, Literal

import click

from xsns_stream.errors import UsageError


class WholeNumbers(click.ParamType[tuple[int, ...]]):
    """Parameter type of whole numbers separated by commas, such as `42` or `1,2,3`."""

    name = "integers"
    _kind: type[int] | type[float] = int

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[Any, ...]:
        """Return the numbers that a text such as `1,2,3` contains; raise a usage error if it is something else."""
        if isinstance(value, int | float):
            return (value,)
        if isinstance(value, tuple):
            return value
        try:
            return tuple(self._kind(part) for part in str(value).split(",") if part.strip())
        except ValueError:
            noun = "an integer" if self._kind is int else "a number"
            self.fail(f"'{value}' is not {noun} or a list of {noun.split()[1]}s with commas between them.", param, ctx)


class Numbers(WholeNumbers):
    """Parameter type of numbers separated by commas, such as `0.15` or `0.1,0.2`."""

    name = "numbers"
    _kind = float


def flattened(_: click.Context, __: click.Parameter, values: tuple[tuple[Any, ...], ...]) -> tuple[Any, ...]:
    """Return the numbers in all values of an option such as `--seed 1,2 --seed 3`, as one tuple.

    This is a callback of click; `values` has one tuple of numbers for each time that the option was given.
    """
    return tuple(number for value in values for number in value)


class NumberOrAuto(click.ParamType[int | Literal["auto"]]):
    """Parameter type of a whole number or `auto`.

    Args:
        name: Name of the type, which the help page shows.
    """

    def __init__(self, name: str) -> None:
        self.name = name

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | Literal["auto"]:
        """Return the number that the text contains, or `auto`; raise a usage error if it is something else."""
        if value == "auto":
            return "auto"
        try:
            return int(value)
        except ValueError:
            self.fail(f"'{value}' is neither a number nor auto.", param, ctx)


class Size(click.ParamType[int]):
    """Parameter type of a size, which is converted to a number of bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return the number of bytes of a size such as `500MB` or `2GiB`; raise a usage error for other text."""
        from xsns_stream.pipeline.settings import parse_bytes

        try:
            return value if isinstance(value, int) else parse_bytes(value)
        except UsageError as error:
            self.fail(f"{error.message}\nhint: {error.hint}", param, ctx)
