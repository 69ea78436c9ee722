"""Sets of parameters as packed bits, with the operators of Python sets."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import numpy.typing as npt

from xsns_kernels import popcount, unpack_bits
from xsns_stream.errors import IncompatibleError
from xsns_stream.types.parameters import WORD_BITS, Counts, ParameterLayout, Words, words_for

if TYPE_CHECKING:
    import bitarray


def check_words(bits: Words, size: int) -> None:
    """Raise ValueError if `bits` is not uint64 [W] for `size` parameters."""
    if bits.dtype != np.uint64 or bits.shape != (words_for(size),):
        raise ValueError(
            f"a sub-network of {size} parameters needs uint64 [{words_for(size)}], not {bits.dtype} {list(bits.shape)}"
        )


def has_pad_bits(bits: Words, size: int) -> bool:
    """Return whether a pad bit is set, which is a bit of `bits` after the last of `size` parameters."""
    tail = size % WORD_BITS
    return bool(tail and int(bits[-1]) >> tail)


def unpacked(bits: Words, start: int, stop: int) -> npt.NDArray[np.bool_]:
    """Unpack the bits from `start` to `stop` (exclusive): bool [stop − start]."""
    first = start // WORD_BITS
    octets = bits[first : words_for(stop)].astype("<u8", copy=False).view(np.uint8)
    flat = np.unpackbits(octets, count=stop - first * WORD_BITS, bitorder="little")
    return flat[start - first * WORD_BITS :].view(np.bool_)


def count_bits(bits: Words, start: int, stop: int) -> int:
    """Return the number of set bits from `start` to `stop` (exclusive)."""
    if start == stop:
        return 0
    first, last = start // WORD_BITS, (stop - 1) // WORD_BITS
    outside = int(bits[first]) & ((1 << start % WORD_BITS) - 1)
    beyond = int(bits[last]) >> ((stop - 1) % WORD_BITS + 1)
    return popcount(bits[first : last + 1]) - outside.bit_count() - beyond.bit_count()


#: Number of words that are converted to booleans or indices in one step: 4 MiB of booleans.
_BLOCK_WORDS = 65_536


@dataclass(frozen=True, slots=True)
class Share:
    """The share of the parameters of a tensor or a layer that a set contains.

    Attributes:
        name: The name of the tensor or the layer.
        cardinality: Number of parameters of the tensor or layer that are in the set.
        size: Number of parameters of the tensor or layer.
    """

    name: str
    cardinality: int
    size: int

    @property
    def density(self) -> float:
        """Fraction of the parameters of the tensor or layer that the set contains; 0 if there are no parameters."""
        return self.cardinality / self.size if self.size else 0.0


class BitSet:
    """A set of the parameters of a layout: the base class of :class:`ParameterSet` and :class:`SubNetwork`.

    - `a & b`, `a | b`, `a - b` and `a ^ b` return a :class:`ParameterSet`, whatever the types of `a` and `b` are. The
      result has no language, seed, threshold, density or provenance.
    - `a <= b`, `a < b` and `a >= b` test for a subset, a proper subset and a superset.
    - `a == b` tests whether both sets contain the same parameters of the same layout. Language and seed are ignored; `a
    <= b` and `a >= b` together therefore imply `a == b`. Sets of different layouts are unequal. Sets are not hashable.
    - `len(a)` is the cardinality; an empty set is false. - `("encoder.w", (3, 4)) in a` tests whether the set contains
    an element of a tensor. In `("encoder.w", 7) in a`,
      the element is given by its index in row-major order.
    - `12345 in a` does the same for the index of a parameter in the layout.

    If the operands have different layouts, all operators except `==` raise :class:`IncompatibleError`. A set cannot be
    iterated over, because a loop over millions of parameters is usually a mistake: use :meth:`indices` or
    :meth:`to_numpy` instead.

    Comparisons and counts of one pair use `bitarray`, which reads both operands in place and writes nothing. Operators
    that return a set write one array with NumPy. To count all pairs of many sets, use
    :func:`xsns_stream.count_overlaps`: its kernel reads each block of columns once for all pairs, and is about 20 times
    faster than a loop over pairs (`bench_matrix.py`).
    """

    bits: Words
    layout: ParameterLayout
    cardinality: int

    # A hash would have to read all bits, and the array can be changed.
    __hash__ = None  # type: ignore[assignment]

    @property
    def size(self) -> int:
        """P, the number of parameters of the layout."""
        return self.layout.size

    @property
    def density_realised(self) -> float:
        """Fraction of all parameters of the layout that the set contains, |S| / P."""
        return self.cardinality / self.size

    # ------------------------------------------------------------------------------------- algebra

    def __and__(self, other: object) -> ParameterSet:
        return self._combined(np.bitwise_and, other) if isinstance(other, BitSet) else NotImplemented

    def __or__(self, other: object) -> ParameterSet:
        return self._combined(np.bitwise_or, other) if isinstance(other, BitSet) else NotImplemented

    def __xor__(self, other: object) -> ParameterSet:
        return self._combined(np.bitwise_xor, other) if isinstance(other, BitSet) else NotImplemented

    def __sub__(self, other: object) -> ParameterSet:
        if not isinstance(other, BitSet):
            return NotImplemented
        self._require_layout_of(other)
        complement = np.bitwise_not(other.bits)
        return ParameterSet(np.bitwise_and(self.bits, complement, out=complement), self.layout)

    def _combined(self, operator: np.ufunc, other: BitSet) -> ParameterSet:
        self._require_layout_of(other)
        return ParameterSet(operator(self.bits, other.bits), self.layout)

    def __repr__(self) -> str:
        language = getattr(self, "language", "")
        name = f"{language} (seed {getattr(self, 'seed', '')}): " if language else ""
        return f"<{type(self).__name__} {name}{self.cardinality:,} of {self.size:,} parameters>"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, BitSet):
            return NotImplemented
        return (
            self.cardinality == other.cardinality
            and self.layout.digest == other.layout.digest
            and self._padded() == other._padded()
        )

    def __le__(self, other: object) -> bool:
        if not isinstance(other, BitSet):
            return NotImplemented
        from bitarray.util import subset

        self._require_layout_of(other)
        return self.cardinality <= other.cardinality and bool(subset(self._padded(), other._padded()))

    def __lt__(self, other: object) -> bool:
        if not isinstance(other, BitSet):
            return NotImplemented
        return self <= other and self.cardinality < other.cardinality

    def __ge__(self, other: object) -> bool:
        return other <= self if isinstance(other, BitSet) else NotImplemented

    def __gt__(self, other: object) -> bool:
        return other < self if isinstance(other, BitSet) else NotImplemented

    def overlap(self, other: BitSet) -> int:
        """Return |A ∩ B| without computing the intersection.

        Raises:
            IncompatibleError: The layouts differ.
        """
        from bitarray.util import count_and

        self._require_layout_of(other)
        return int(count_and(self._padded(), other._padded()))

    def isdisjoint(self, other: BitSet) -> bool:
        """Return whether the two sets have no common parameter. Reading stops at the first common parameter.

        Raises:
            IncompatibleError: The layouts differ.
        """
        from bitarray.util import any_and

        self._require_layout_of(other)
        return not any_and(self._padded(), other._padded())

    def _require_layout_of(self, other: BitSet) -> None:
        if self.layout is not other.layout and self.layout.digest != other.layout.digest:
            raise IncompatibleError(
                f"these sets have different layouts: {self.layout.difference(other.layout)}.",
                "compare sub-networks of one model, measured with the same choice of parameters.",
            )

    # ---------------------------------------------------------------------------------- membership

    def __len__(self) -> int:
        return self.cardinality

    def __contains__(self, parameter: object) -> bool:
        """Return whether a parameter is in the set.

        Args:
            parameter: The index in the layout, or (name of the tensor, index within the tensor). The index within the
                tensor is a tuple with one integer for each axis, or one integer in row-major order.

        Raises:
            UsageError: The layout has no such parameter. An error is raised instead of returning False, because the
                name may be misspelt.
        """
        bit = self.layout.bit_of(parameter)
        return bool(int(self.bits[bit // WORD_BITS]) >> bit % WORD_BITS & 1)

    # ---------------------------------------------------------------------------------- other forms

    def by_layer(self) -> tuple[Share, ...]:
        """Return, for each layer in the order of the layout, the share of its parameters that the set contains."""
        return tuple(self._share(layer.name, layer.start, layer.stop) for layer in self.layout.layers)

    def by_tensor(self) -> tuple[Share, ...]:
        """Return, for each tensor in the order of the layout, the share of its parameters that the set contains."""
        spans = zip(self.layout.names, self.layout.offsets, self.layout.sizes, strict=True)
        return tuple(self._share(name, start, start + size) for name, start, size in spans)

    def _share(self, name: str, start: int, stop: int) -> Share:
        return Share(name, count_bits(self.bits, start, stop), stop - start)

    def to_numpy(self) -> npt.NDArray[np.bool_]:
        """Return the set as a boolean array, bool [P]: whether each parameter is in the set."""
        return unpack_bits(self.bits, self.size)

    def mask(self, name: str) -> npt.NDArray[np.bool_]:
        """Return the mask of a tensor: a boolean array of the shape of the tensor, true for elements in the set.

        Raises:
            UsageError: The layout has no such tensor.
        """
        return unpacked(self.bits, *self.layout.bit_range(name)).reshape(
            self.layout.shapes[self.layout.tensor_index(name)]
        )

    def indices(self, name: str | None = None) -> Counts:
        """Return the indices of the parameters in the set, sorted: int64 [|S|].

        Args:
            name: The name of a tensor. If it is given, only the parameters of this tensor are returned, as indices
                within the tensor in row-major order. By default, the indices are positions in the layout.

        Raises:
            UsageError: The layout has no such tensor.
        """
        start, stop = (0, self.size) if name is None else self.layout.bit_range(name)
        indices = [np.flatnonzero(block) + offset for offset, block in self._blocks(start, stop)]
        return np.concatenate(indices) if indices else np.empty(0, np.int64)

    def _blocks(self, start: int, stop: int) -> Iterator[tuple[int, npt.NDArray[np.bool_]]]:
        """Unpack the bits from `start` to `stop` (exclusive) in blocks; yield (offset, booleans) for each block."""
        step = _BLOCK_WORDS * WORD_BITS
        for at in range(start, stop, step):
            yield at - start, unpacked(self.bits, at, min(at + step, stop))

    def to_bitarray(self) -> bitarray.bitarray:
        """Return a read-only little-endian `bitarray` of P bits.

        The result is a view of :attr:`bits` if P is a multiple of 64 and the machine is little-endian. Otherwise it is
        a copy, without the pad bits. To get a writable copy, pass the result to `bitarray(...)`.
        """
        import bitarray as ba

        padded = self._padded()
        return padded if len(padded) == self.size else ba.frozenbitarray(padded[: self.size])

    def _padded(self) -> bitarray.bitarray:
        """Return a `bitarray` of all words, including pad bits; nothing is copied on little-endian machines."""
        import bitarray as ba

        if sys.byteorder != "little":
            return ba.frozenbitarray(ba.bitarray(buffer=self.bits.astype("<u8").tobytes(), endian="little"))
        words = self.bits.view()
        words.flags.writeable = False
        return ba.bitarray(buffer=words, endian="little")

    def to_masks(self) -> dict[str, Any]:
        """Return {name of a tensor: boolean torch tensor of its shape}. The masks need P bytes together.

        Fine-tuning changes only the sub-network if gradients are multiplied by the masks in each backward pass:

        >>> masks = store["sw"].to_masks()  # doctest: +SKIP
        >>> for name, parameter in model.named_parameters():  # doctest: +SKIP
        ...     parameter.requires_grad_(name in masks)
        ...     if name in masks:
        ...         parameter.register_hook(masks[name].mul)

        Weight decay must be off, because it moves weights whose gradient is zero: see `docs/sub-networks.md`.
        """
        import torch

        return {name: torch.from_numpy(self.mask(name)) for name in self.layout.names}


@dataclass(frozen=True, eq=False, repr=False)
class ParameterSet(BitSet):
    """A set of parameters without a language, such as the result of an operator on sub-networks.

    Attributes:
        bits: uint64 [W]; parameter i is bit i % 64 of word i // 64; pad bits are zero.
        layout: The layout, which assigns a parameter to each bit.
        cardinality: Number of set bits.
    """

    bits: Words
    layout: ParameterLayout
    cardinality: int = field(init=False)

    def __post_init__(self) -> None:
        check_words(self.bits, self.size)
        if has_pad_bits(self.bits, self.size):
            raise ValueError("a set of parameters has bits set past its last parameter")
        object.__setattr__(self, "cardinality", popcount(self.bits))
