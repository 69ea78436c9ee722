"""The sub-network of one language as packed bits, and its file formats: boolean masks (safetensors), indices (NumPy).

Both file formats contain a record: JSON text with the language, the settings and the provenance of the sub-network, and
the digests of its bits and of its layout.
"""

from __future__ import annotations

import hashlib
import json
import zipfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from xsns_kernels import popcount
from xsns_stream.errors import StoreError, UsageError, XsnsError
from xsns_stream.io.atomic import writable, write_whole
from xsns_stream.languages import is_label
from xsns_stream.types.parameter_set import BitSet, check_words, has_pad_bits
from xsns_stream.types.parameters import WORD_BITS, ParameterLayout, Words, words_for
from xsns_stream.types.provenance import Provenance

KIND: Final = "xsns-sub-network"
VERSION: Final = 1
#: The key of the record in the metadata of a safetensors file, and the name of its array of bytes in a NumPy archive.
RECORD: Final = "record"
#: Suffixes of files that contain a sub-network.
FORMATS: Final = (".safetensors", ".npz")
_AGAIN: Final = "export it again."


@dataclass(frozen=True, eq=False, repr=False)
class SubNetwork(BitSet):
    """The most important parameters for one language, as bits.

    A sub-network is a set of parameters and supports the operators of sets (see :class:`BitSet`):

    >>> (store["sw"] & store["zu"]) - store["en"]  # doctest: +SKIP
    >>> store["sw"].by_layer()  # doctest: +SKIP

    Attributes:
        language: Normalised code.
        seed: Seed of the text sample and of the masking.
        bits: uint64 [W]; parameter i is bit i % 64 of word i // 64; pad bits are zero.
        layout: The layout, which assigns a parameter to each bit.
        cardinality: Number of set bits.
        threshold: Smallest selected Fisher value; `inf` if no parameter is selected.
        density: The requested density, in (0, 1].
        provenance: How the sub-network was computed.
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
                f"the sub-network of '{self.language}' has {count} bits set, but its record says {self.cardinality}."
            )
        if has_pad_bits(self.bits, self.size):
            raise StoreError(f"the sub-network of '{self.language}' has bits set past its last parameter.")

    def save(self, path: str | Path) -> Path:
        """Write the sub-network to a file; its suffix selects :meth:`save_safetensors` or :meth:`save_indices`.

        Returns:
            The path.

        Raises:
            UsageError: The folder does not exist, or the suffix is not one of `FORMATS`.
            XsnsError: The file cannot be written.
        """
        target = writable(path, FORMATS)
        return self.save_indices(target) if target.suffix.lower() == ".npz" else self.save_safetensors(target)

    def save_safetensors(self, path: str | Path) -> Path:
        """Write one boolean mask for each tensor, under the name of the tensor, to a safetensors file of about P bytes.

        The record is in the metadata of the file. The file is written completely or not at all; an
        existing file is replaced. Only one tensor is in memory at a time.

        Returns:
            The path.

        Raises:
            UsageError: The folder does not exist, or the name does not end in `.safetensors`.
            XsnsError: The file cannot be written.
        """
        target = writable(path, FORMATS[:1])
        write_whole(target, lambda file: _write_masks(self, file))
        return target

    def save_indices(self, path: str | Path) -> Path:
        """Write the indices of the selected parameters to a NumPy archive (.npz) without pickles: 4 |S| bytes.

        The array `indices` contains the values of :meth:`indices`; its elements have 8 bytes if there are more than 2³²
        parameters. The array `record` contains the record as bytes of UTF-8 text.

        Returns:
            The path.

        Raises:
            UsageError: The folder does not exist, or the name does not end in `.npz`.
            XsnsError: The file cannot be written.
        """
        target = writable(path, FORMATS[1:])
        kind = np.uint32 if self.size <= 2**32 else np.int64
        record = np.frombuffer(_record_text(self).encode(), np.uint8)
        write_whole(target, lambda file: np.savez(file, indices=self.indices().astype(kind), record=record))
        return target

    @classmethod
    def load(cls, path: str | Path) -> SubNetwork:
        """Read a file that :meth:`save_safetensors` or :meth:`save_indices` wrote, and verify it against its record.

        Raises:
            UsageError: The name ends in neither `.safetensors` nor `.npz`.
            StoreError: There is no such file, it is damaged, or it does not contain a sub-network.
        """
        return _load(Path(path))


def check_target(path: Path) -> None:
    """Check, before a long computation, that a sub-network can be written to `path`.

    Raises:
        UsageError: The suffix is not one of `FORMATS`, or the folder does not exist.
    """
    writable(path, FORMATS)


# --------------------------------------------------------------------------------------------- writing


def _write_masks(network: SubNetwork, file: BinaryIO) -> None:
    """Write the length of the header, the header, and the tensors, which is the format of safetensors."""
    # The writer of the library needs all tensors in memory.
    layout = network.layout
    header: dict[str, Any] = {"__metadata__": {RECORD: _record_text(network)}}
    for name, shape, start, size in zip(layout.names, layout.shapes, layout.offsets, layout.sizes, strict=True):
        header[name] = {"dtype": "BOOL", "shape": shape, "data_offsets": [start, start + size]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    file.write(len(text).to_bytes(8, "little"))
    file.write(text)
    for name in layout.names:
        file.write(network.mask(name).data)


def _record_text(network: SubNetwork) -> str:
    """Return the record of a sub-network as JSON text."""
    record = {
        "kind": KIND,
        "version": VERSION,
        "language": network.language,
        "seed": network.seed,
        # JSON cannot represent infinity, and a decimal number would not be exact.
        "threshold": float(network.threshold).hex(),
        "density": network.density,
        "cardinality": network.cardinality,
        "sha256": _digest(network.bits),
        "layout_digest": network.layout.digest,
        "layout": network.layout.to_json(),
        "provenance": network.provenance.to_json(),
    }
    return json.dumps(record, allow_nan=False)


def _digest(bits: Words) -> str:
    """Return the SHA-256 of the words of a sub-network as little-endian bytes, as in the commit record of a store."""
    return hashlib.sha256(np.ascontiguousarray(bits, "<u8").data).hexdigest()


# --------------------------------------------------------------------------------------------- reading


def _load(path: Path) -> SubNetwork:
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(
            f"'{path}' does not end in the suffix of a supported format.",
            f"the suffixes of sub-networks are {' and '.join(FORMATS)}.",
        )
    if not path.is_file():
        raise StoreError(f"there is no file '{path}'.", "check the path.")
    try:
        return reader(path)
    except XsnsError:
        raise
    except Exception as error:
        # The parsers of zip, npy, JSON and safetensors raise many kinds of errors for damaged files.
        raise StoreError(
            f"'{path}' cannot be read as a sub-network: {str(error) or type(error).__name__}.",
            "the file is damaged, or another program wrote it; export it again.",
        ) from error


def _read_masks(path: Path) -> SubNetwork:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        record = _record((file.metadata() or {}).get(RECORD), path)
        layout = _layout(record, path)
        if set(file.keys()) != set(layout.names):
            raise StoreError(f"the tensors in '{path}' differ from its layout.", _AGAIN)
        bits = np.zeros(words_for(layout.size), np.uint64)
        for name, shape, start in zip(layout.names, layout.shapes, layout.offsets, strict=True):
            mask = file.get_tensor(name)
            if mask.dtype != np.bool_ or mask.shape != shape:
                raise StoreError(
                    f"'{name}' in '{path}' is {mask.dtype} {list(mask.shape)}, not bool {list(shape)}.", _AGAIN
                )
            _set(bits, np.flatnonzero(mask) + start)
    return _checked(bits, layout, record, path)


def _read_indices(path: Path) -> SubNetwork:
    with zipfile.ZipFile(path) as archive:
        names = {entry.filename for entry in archive.infolist()}
    if names != {"indices.npy", f"{RECORD}.npy"}:
        raise _foreign(path)
    with np.load(path, allow_pickle=False) as arrays:
        record = _record(arrays[RECORD].astype(np.uint8, casting="equiv").tobytes(), path)
        layout, indices = _layout(record, path), arrays["indices"]
    if indices.dtype.kind not in "ui" or indices.ndim != 1:
        raise StoreError(f"the indices in '{path}' are {indices.dtype} {list(indices.shape)}, not integers.", _AGAIN)
    if len(indices) and not (int(indices.min()) >= 0 and int(indices.max()) < layout.size):
        raise StoreError(f"'{path}' has indices outside of its {layout.size} parameters.", _AGAIN)
    bits = np.zeros(words_for(layout.size), np.uint64)
    _set(bits, indices.astype(np.int64))
    return _checked(bits, layout, record, path)


_READERS: Final[Mapping[str, Callable[[Path], SubNetwork]]] = dict(
    zip(FORMATS, (_read_masks, _read_indices), strict=True)
)


def _set(bits: Words, indices: npt.NDArray[np.int64]) -> None:
    np.bitwise_or.at(bits, indices // WORD_BITS, np.uint64(1) << (indices % WORD_BITS).astype(np.uint64))


def _record(text: str | bytes | None, path: Path) -> Mapping[str, Any]:
    if text is None:
        raise _foreign(path)
    record = json.loads(text)
    if not isinstance(record, dict) or record.get("kind") != KIND:
        raise _foreign(path)
    if not isinstance(record["version"], int) or record["version"] < 1:
        raise _foreign(path)
    if record["version"] > VERSION:
        raise StoreError(
            f"'{path}' has version {record['version']}, and this program reads up to {VERSION}.", "update xsns-stream."
        )
    return record


def _foreign(path: Path) -> StoreError:
    return StoreError(f"'{path}' is not a sub-network of xsns-stream.", "give a file that `xsns-stream export` wrote.")


def _layout(record: Mapping[str, Any], path: Path) -> ParameterLayout:
    layout = ParameterLayout.from_json(record["layout"])
    if layout.digest != record["layout_digest"]:
        raise StoreError(f"the layout in '{path}' does not match its digest.", _AGAIN)
    return layout


def _checked(bits: Words, layout: ParameterLayout, record: Mapping[str, Any], path: Path) -> SubNetwork:
    if _digest(bits) != record["sha256"]:
        raise StoreError(f"'{path}' does not contain the bits that were exported.", "it is damaged; export it again.")
    language, seed, density = record["language"], record["seed"], float(record["density"])
    threshold = float.fromhex(record["threshold"])
    # The digest covers only the bits.
    if not (
        isinstance(language, str)
        and (language == "" or is_label(language))
        and isinstance(seed, int)
        and seed >= 0
        and 0 < density <= 1
        and threshold >= 0
    ):
        raise StoreError(f"the record in '{path}' has invalid labels.", "it was edited or damaged; export it again.")
    return SubNetwork(
        language=language,
        seed=seed,
        bits=bits,
        layout=layout,
        cardinality=int(record["cardinality"]),
        threshold=threshold,
        density=density,
        provenance=Provenance.from_json(record["provenance"]),
    )
