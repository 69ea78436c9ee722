"""The sub-network of one language, as packed bits."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

from xsns_kernels import popcount
from xsns_stream.errors import StoreError
from xsns_stream.types.arrays import Words
from xsns_stream.types.parameter_set import BitSet, check_words, has_pad_bits
from xsns_stream.types.parameters import ParameterLayout
from xsns_stream.types.provenance import Provenance


@dataclass(frozen=True, eq=False)
class SubNetwork(BitSet):
    """The parameters that matter most for one language, as bits.

    It is a set of parameters, with the operators of sets (:class:`BitSet`):

    >>> (store["sw"] & store["zu"]) - store["en"]  # doctest: +SKIP
    >>> store["sw"].by_layer()  # doctest: +SKIP

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
        check_words(self.bits, self.size)
        count = popcount(self.bits)
        if count != self.cardinality:
            raise StoreError(
                f"the sub-network of '{self.language}' has {count} bits set, its record says {self.cardinality}."
            )
        if has_pad_bits(self.bits, self.size):
            raise StoreError(f"the sub-network of '{self.language}' has bits set past its last parameter.")

    def save_safetensors(self, path: str | Path) -> Path:
        """Write boolean masks by tensor's name, which any reader of safetensors reads: P bytes.

        Labels, layout and provenance stand in the file's metadata. The file is there whole or not at all; an existing
        one is replaced.

        Returns:
            The path.

        Raises:
            UsageError: The folder is not there, or the name does not end in `.safetensors`.
            XsnsError: The file cannot be written.
        """
        from xsns_stream.types.exports import write_safetensors

        return write_safetensors(self, Path(path))

    def save_indices(self, path: str | Path) -> Path:
        """Write the places of the selected parameters as a NumPy archive without pickles: 4 |S| bytes.

        The array `indices` is that of :meth:`indices`, of 8 bytes an element where there are more than 2³² parameters;
        labels, layout and provenance are JSON text in `record`.

        Returns:
            The path.

        Raises:
            UsageError: The folder is not there, or the name does not end in `.npz`.
            XsnsError: The file cannot be written.
        """
        from xsns_stream.types.exports import write_indices

        return write_indices(self, Path(path))

    @classmethod
    def load(cls, path: str | Path) -> SubNetwork:
        """Read what :meth:`save_safetensors` or :meth:`save_indices` wrote, checked against its own record.

        Raises:
            UsageError: The name ends in neither `.safetensors` nor `.npz`.
            StoreError: There is no such file, it is damaged, or it is no sub-network.
        """
        from xsns_stream.types.exports import read_network

        return read_network(Path(path))
