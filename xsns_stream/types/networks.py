"""The sub-network of one language, as packed bits."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from xsns_kernels import popcount, unpack_bits
from xsns_stream.errors import StoreError
from xsns_stream.types.arrays import WORD_BITS, Words, words_for
from xsns_stream.types.parameters import ParameterLayout
from xsns_stream.types.provenance import Provenance

if TYPE_CHECKING:
    import bitarray


@dataclass(frozen=True)
class SubNetwork:
    """The parameters that matter most for one language, as bits.

    Attributes:
        language: Normalised code.
        seed: Seed of the text draw and of the masking.
        bits: uint64 [W]; parameter i is bit i % 64 of word i // 64; pad bits are zero.
        layout: Says which bit is which.
        cardinality: Number of set bits.
        threshold: Smallest selected Fisher value; `inf` where nothing is selected.
        density: The density asked for, in (0, 1].
        provenance: How it was computed.
    """

    language: str
    seed: int
    bits: Words
    layout: ParameterLayout
    cardinality: int
    threshold: float
    density: float
    provenance: Provenance = field(default_factory=Provenance)

    def __post_init__(self) -> None:
        if self.bits.dtype != np.uint64 or self.bits.shape != (words_for(self.size),):
            raise ValueError(
                f"a sub-network of {self.size} parameters needs uint64 [{words_for(self.size)}], "
                f"not {self.bits.dtype} {list(self.bits.shape)}"
            )
        count = popcount(self.bits)
        if count != self.cardinality:
            raise StoreError(
                f"the sub-network of '{self.language}' has {count} bits set, its record says {self.cardinality}."
            )
        tail = self.size % WORD_BITS
        if tail and int(self.bits[-1]) >> tail:
            raise StoreError(f"the sub-network of '{self.language}' has bits set past its last parameter.")

    @property
    def size(self) -> int:
        """P, the number of parameters."""
        return self.layout.size

    @property
    def density_realised(self) -> float:
        """Selected fraction, |S| / P."""
        return self.cardinality / self.size

    def to_numpy(self) -> npt.NDArray[np.bool_]:
        """Return bool [P]."""
        return unpack_bits(self.bits, self.size)

    def to_bitarray(self) -> bitarray.bitarray:
        """Return a little-endian `bitarray` of P bits."""
        import bitarray as ba

        bits = ba.bitarray(endian="little")
        bits.frombytes(self.bits.astype("<u8", copy=False).tobytes())
        del bits[self.size :]
        return bits
