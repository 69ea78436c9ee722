"""Compilation with Numba and a cache on disk, and functions shared by the kernels that emit LLVM instructions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic as _intrinsic

Function = TypeVar("Function", bound=Callable[..., Any])

#: Part of the message of Numba if no folder for its cache can be written to.
_NO_PLACE = "no locator available"

# Numba has annotations neither for the arguments of an intrinsic nor for a compiled function.
intrinsic: Callable[[Callable[..., Any]], Callable[..., Any]] = cast(Any, _intrinsic)

INT64 = ir.IntType(64)
INTP = types.intp
VOID = types.void

#: Number of words of a vector, and its type: 512 bits.
LANES = 8
VECTOR = ir.VectorType(INT64, LANES)
WORD_BYTES = 8


def compiled(*signatures: Any) -> Callable[[Function], Function]:
    """Return a decorator that compiles a function for the given signatures and caches the machine code.

    The compiled function releases the GIL. The cache is in the folder of the source file or, if that folder cannot be
    written to, in the cache folder of the user. If neither can be written to (a read-only
    image, a full disk), each process compiles the function again.

    Args:
        signatures: Numba signatures. Because they are explicit, each kernel is compiled once, at import, and threads do
            not wait for a compilation.

    Raises:
        RuntimeError: Numba failed, and the reason is not the cache folder.
    """

    def decorate(function: Function) -> Function:
        try:
            return _jit(function, signatures, cache=True)
        except OSError:
            return _jit(function, signatures, cache=False)
        except RuntimeError as error:
            if _NO_PLACE not in str(error):
                raise
            return _jit(function, signatures, cache=False)

    return decorate


def _jit(function: Function, signatures: tuple[Any, ...], cache: bool) -> Function:
    return cast(Function, numba.njit(list(signatures), nogil=True, cache=cache)(function))


def readable(dtype: Any, ndim: int = 1) -> Any:
    """Return the Numba type of a C-contiguous input array with `ndim` axes that may be read-only or misaligned.

    Numba converts writable and aligned arrays to this type. One compiled version therefore serves memory maps, views of
    files and ordinary arrays.
    """
    return types.Array(dtype, ndim, "C", readonly=True, aligned=False)


def writable(dtype: Any, ndim: int = 1) -> Any:
    """Return the Numba type of a C-contiguous array with `ndim` axes that a kernel writes to."""
    return types.Array(dtype, ndim, "C")


def array_pointer(context: Any, builder: Any, array_type: Any, array: Any) -> Any:
    """Emit the address of the first element of an array, which has the Numba type `array_type`, as an integer."""
    return builder.ptrtoint(context.make_array(array_type)(context, builder, array).data, INT64)


def at(builder: Any, address: Any, element: Any) -> Any:
    """Emit a pointer to a value of the type `element` at an integer address."""
    return builder.inttoptr(address, element.as_pointer())


def times(builder: Any, value: Any, factor: int) -> Any:
    """Emit the product of a value and the constant `factor`."""
    return builder.mul(value, ir.Constant(value.type, factor))


def plus(builder: Any, value: Any, constant: int) -> Any:
    """Emit the sum of a value and the integer `constant`."""
    return builder.add(value, ir.Constant(value.type, constant))


def row_addresses(
    context: Any, builder: Any, array_type: Any, array: Any, first: Any, offset: Any, count: int
) -> list[Any]:
    """Emit, for each of the `count` rows from row `first` on, the address of the row plus `offset` bytes.

    `array` [R] contains the addresses of the rows and has the Numba type `array_type`.
    """
    fields = context.make_array(array_type)(context, builder, array)
    start = builder.add(builder.ptrtoint(fields.data, INT64), times(builder, first, WORD_BYTES))
    return [
        builder.add(builder.load(at(builder, plus(builder, start, WORD_BYTES * r), INT64)), offset)
        for r in range(count)
    ]


def load_vector(builder: Any, address: Any, offset: Any) -> Any:
    """Emit a load of eight words from `address` plus `offset` bytes, which need not be aligned."""
    return builder.load(at(builder, builder.add(address, offset), VECTOR), align=WORD_BYTES)


def variable(builder: Any, value: Any) -> Any:
    """Emit a variable with an initial value. LLVM keeps the variable in a register, not on the stack."""
    create: Any = cgutils.alloca_once_value
    return create(builder, value)


def call(builder: Any, name: str, result: Any, argument: Any) -> Any:
    """Emit a call of the LLVM function `name`, which takes one argument and returns the type `result`."""
    insert: Any = cgutils.get_or_insert_function
    function = insert(builder.module, ir.FunctionType(result, [argument.type]), name)
    return builder.call(function, [argument])
