"""Checks of a GGUF file before a library opens it.

GGUF is the format of llama.cpp: one file with metadata, the vocabulary and the weights, usually quantised. It begins
with the magic bytes `GGUF`, a version, and the numbers of tensors and of metadata entries. The metadata entries, the
descriptions of the tensors and the values of the tensors follow. Libraries that read the format trust these numbers.
This module therefore reads the whole header first, with limits, and compares it with the size of the file.
"""

from __future__ import annotations

import mmap
import os
import re
import struct
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError
from xsns_stream.io.json import UnusableError, opened, refuse_placeholder, shown
from xsns_stream.io.placeholders import PLACEHOLDER_BYTES
from xsns_stream.models.model_files import Tensors
from xsns_stream.models.tokenizer_files import LONGEST, MOST_TOKENS

SUFFIX: Final = ".gguf"
#: Pattern of the end of a file name if a model was split into several files.
SPLIT: Final = re.compile(r"-\d{5}-of-\d{5}\.gguf$")
MAGIC: Final = b"GGUF"
VERSIONS: Final = (2, 3)
#: Largest numbers of metadata entries and of tensors; known files have up to 100 and 10,000.
MOST_ENTRIES: Final = 10_000
MOST_TENSORS: Final = 100_000
MOST_AXES: Final = 4
#: Longest text of a metadata entry that is kept; chat templates are longer and are not needed.
LONGEST_KEPT: Final = 4_096
#: Largest number of values of an array that is kept, such as one number for each layer.
MOST_KEPT: Final = 4_096
#: Largest sum of squared lengths of the tokens, which bounds the time to build a tokenizer from them.
MOST_WORK: Final = 2**30
_STRING, _ARRAY = 8, 9
_ALIGNMENT: Final = 32
#: {type of a metadata value: format of the module struct}.
_FORMATS: Final = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
_OLDER_MAGIC: Final = (b"lmgg", b"fmgg", b"tjgg", b"algg")
_AGAIN: Final = "download the file again; it may be incomplete."
_CONVERT: Final = "convert the model again with a current version of llama.cpp."


@dataclass(frozen=True)
class GgufHeader:
    """The header of a GGUF file.

    Attributes:
        architecture: Name of the architecture in llama.cpp, such as `llama`.
        metadata: {key: value} of numbers, texts of up to 4,096 characters and short arrays of numbers.
        lengths: {key: number of values} of all arrays.
        tensors: {name: shape} of the tensors, in the order of the axes in torch.
        types: {name: quantisation type} of the tensors, such as `Q4_K`.
        data: Position of the first tensor in the file, in bytes.
        offsets: {name: position of the tensor, in bytes after `data`}.
    """

    architecture: str
    metadata: Mapping[str, Any]
    lengths: Mapping[str, int]
    tensors: Tensors
    types: Mapping[str, str]
    data: int
    offsets: Mapping[str, int] = field(default_factory=dict)

    def value(self, key: str, default: Any = None) -> Any:
        """Return the metadata value under `ARCHITECTURE.key`, such as `llama.attention.head_count`, or `default`."""
        return self.metadata.get(f"{self.architecture}.{key}", default)

    def type_counts(self) -> dict[str, int]:
        """Return {quantisation type: number of tensors}, sorted by name."""
        return dict(sorted(Counter(self.types.values()).items()))

    @property
    def has_tokenizer(self) -> bool:
        """Whether the file contains a vocabulary."""
        return bool(self.lengths.get("tokenizer.ggml.tokens"))


def needs_package(name: str) -> ModelError:
    """Return the error for a GGUF file if the package gguf is not installed.

    `name` is the name of the model, for messages.
    """
    return ModelError(
        f"the model '{name}' is a GGUF file, and the package gguf, which reads it, is not installed.",
        "install it with `pip install 'xsns-stream[gguf]'`.",
    )


def read_gguf_header(path: Path, name: str) -> GgufHeader:
    """Read and check the header of a GGUF file.

    Args:
        path: The file.
        name: Name of the model, for messages.

    Raises:
        ModelError: The package gguf is not installed; or the file is not a GGUF file, has another version or byte
            order, is truncated or inconsistent, is one part of several, or does not contain a model.
    """
    try:
        import gguf  # noqa: F401
    except ImportError as error:
        raise needs_package(name) from error
    try:
        with opened(path) as file:
            check_magic(file.read(PLACEHOLDER_BYTES), path.name)
            size = os.fstat(file.fileno()).st_size
            with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
                header = _Reader(data, size, path.name).header()
        _check_whole(header, path.name)
    except UnusableError as error:
        raise ModelError(
            f"the GGUF file of model '{name}' cannot be read: {error}.",
            error.hint or "the file may be damaged; download it again.",
        ) from error
    return header


def check_magic(beginning: bytes, name: str) -> None:
    """Check the magic bytes, the version and the byte order of a GGUF file.

    Args:
        beginning: The first bytes of the file.
        name: Name of the file, for messages.

    Raises:
        UnusableError: The file is not a GGUF file of a version that is read.
    """
    refuse_placeholder(beginning, name)
    if beginning[:4] in _OLDER_MAGIC:
        raise UnusableError(f"{name} has a format of llama.cpp that is older than GGUF", _CONVERT)
    if beginning[:4] != MAGIC:
        raise UnusableError(f"{name} is not a GGUF file", f"check the path, or {_AGAIN}")
    if len(beginning) < 24:
        raise UnusableError(f"{name} is truncated", _AGAIN)
    (version,) = struct.unpack_from("<I", beginning, 4)
    if version and version % 2**16 == 0:
        raise UnusableError(
            f"{name} has numbers of big-endian byte order",
            f"convert it with `gguf-convert-endian {name} little`, a program of the package gguf.",
        )
    if version not in VERSIONS:
        raise UnusableError(f"{name} has version {version} of GGUF, and only versions 2 and 3 are read", _CONVERT)


def _check_whole(header: GgufHeader, name: str) -> None:
    """Raise an error if a file does not contain a whole model: it is one of several files, or contains no tensors.

    `name` is the name of the file, for messages.
    """
    if (parts := header.metadata.get("split.count", 1)) not in (0, 1):
        first = name.replace(f"-{header.metadata.get('split.no', 0) + 1:05}-of-", "-00001-of-")
        raise UnusableError(
            f"{name} is one of {parts} files of a model",
            f"join the files with `llama-gguf-split --merge {first} model.gguf` of llama.cpp, and give the new file.",
        )
    if (kind := header.metadata.get("general.type", "model")) != "model":
        raise UnusableError(f"{name} contains something other than a model: {kind}", "give the GGUF file of the model.")
    if not header.tensors:
        raise UnusableError(f"{name} has no tensors", "it may contain a vocabulary only; give the file of the model.")


class _Reader:
    """Reader of the header of a GGUF file, which keeps its position in the file."""

    def __init__(self, data: mmap.mmap, size: int, name: str) -> None:
        self._data, self._size, self._name, self._at = data, size, name, 8

    def header(self) -> GgufHeader:
        tensors, entries = self._take("Q"), self._take("Q")
        # The shortest entry has 13 bytes, and the shortest description of a tensor 25.
        for count, most, least, what in (
            (entries, MOST_ENTRIES, 13, "metadata entries"),
            (tensors, MOST_TENSORS, 25, "tensors"),
        ):
            if count > most or count * least > self._size:
                raise UnusableError(f"the header of {self._name} claims {count:,} {what}, which is not possible")
        metadata, lengths = self._entries(entries)
        architecture = metadata.get("general.architecture")
        if not isinstance(architecture, str) or not architecture:
            raise UnusableError(f"{self._name} does not name its architecture (general.architecture)")
        alignment = metadata.get("general.alignment", _ALIGNMENT)
        if type(alignment) is not int or not 1 <= alignment <= 2**20 or alignment & (alignment - 1):
            raise UnusableError(f"{self._name} has an invalid alignment (general.alignment)")
        shapes, types, offsets = self._tensors(tensors)
        start = -(-self._at // alignment) * alignment
        self._check_ranges(start, shapes, types, offsets)
        return GgufHeader(architecture, metadata, lengths, Tensors(shapes), types, start, offsets)

    def _take(self, code: str) -> Any:
        size = struct.calcsize(f"<{code}")
        self._skip(size)
        return struct.unpack_from(f"<{code}", self._data, self._at - size)[0]

    def _skip(self, size: int) -> None:
        if size > self._size - self._at:
            raise UnusableError(f"{self._name} is truncated: it ends within its header", _AGAIN)
        self._at += size

    def _bytes(self) -> bytes:
        size = self._take("Q")
        self._skip(size)
        return self._data[self._at - size : self._at]

    def _text(self, longest: int, what: str) -> str:
        data = self._bytes()
        if len(data) > longest:
            raise UnusableError(f"the header of {self._name} has {what} of {len(data):,} bytes, more than {longest:,}")
        try:
            return data.decode()
        except UnicodeDecodeError as error:
            raise UnusableError(f"the header of {self._name} has {what} that is not UTF-8 text") from error

    def _entries(self, count: int) -> tuple[dict[str, Any], dict[str, int]]:
        metadata: dict[str, Any] = {}
        lengths: dict[str, int] = {}
        for _ in range(count):
            key = self._text(LONGEST_KEPT, "a key")
            if key in metadata or key in lengths:
                raise UnusableError(f"the header of {self._name} has the key '{shown(key)}' twice")
            kind = self._take("I")
            if kind == _ARRAY:
                lengths[key], values = self._array(key)
                if values is not None:
                    metadata[key] = values
            elif kind == _STRING:
                data = self._bytes()
                if len(data) <= LONGEST_KEPT:
                    metadata[key] = data.decode(errors="replace")
            elif kind in _FORMATS:
                metadata[key] = self._take(_FORMATS[kind])
            else:
                raise UnusableError(f"the metadata entry '{shown(key)}' of {self._name} has the unknown type {kind}")
        return metadata, lengths

    def _array(self, key: str) -> tuple[int, list[Any] | None]:
        """Read the array of the metadata entry `key`.

        Returns:
            The number of values, and the values; None instead of the values for texts and for more than `MOST_KEPT`
            numbers.
        """
        kind, count = self._take("I"), self._take("Q")
        if kind != _STRING and kind not in _FORMATS:
            raise UnusableError(f"the array '{shown(key)}' of {self._name} has values of the unknown type {kind}")
        if count > 2 * MOST_TOKENS:
            raise UnusableError(
                f"the header of {self._name} has an array of {count:,} values ('{shown(key)}'), more than "
                f"{2 * MOST_TOKENS:,}"
            )
        if kind == _STRING:
            self._strings(key, count)
            return count, None
        size = struct.calcsize(f"<{_FORMATS[kind]}")
        self._skip(count * size)
        if count > MOST_KEPT:
            return count, None
        return count, list(struct.unpack_from(f"<{count}{_FORMATS[kind]}", self._data, self._at - count * size))

    def _strings(self, key: str, count: int) -> None:
        tokens, work = key == "tokenizer.ggml.tokens", 0
        if tokens and count > MOST_TOKENS:
            raise UnusableError(f"{self._name} has {count:,} tokens, more than {MOST_TOKENS:,}")
        length = struct.Struct("<Q").unpack_from
        for _ in range(count):
            self._skip(8)
            (size,) = length(self._data, self._at - 8)
            self._skip(size)
            work += size * size
            if tokens and (size > LONGEST or work > MOST_WORK):
                raise UnusableError(f"{self._name} has tokens that are too long")

    def _tensors(self, count: int) -> tuple[dict[str, tuple[int, ...]], dict[str, str], dict[str, int]]:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        shapes: dict[str, tuple[int, ...]] = {}
        types: dict[str, str] = {}
        offsets: dict[str, int] = {}
        for _ in range(count):
            name = self._text(LONGEST_KEPT, "the name of a tensor")
            about = f"the tensor '{shown(name)}' of {self._name}"
            if name in shapes:
                raise UnusableError(f"{about} is described twice")
            axes = self._take("I")
            if axes > MOST_AXES:
                raise UnusableError(f"{about} has {axes:,} axes, more than {MOST_AXES}")
            shape = tuple(self._take("Q") for _ in range(axes))
            if any(size >= 2**48 for size in shape):
                raise UnusableError(f"{about} has an axis of the size {max(shape):,}, which is not possible")
            kind, offset = self._take("I"), self._take("Q")
            try:
                types[name] = GGMLQuantizationType(kind).name
            except ValueError as error:
                raise UnusableError(
                    f"{about} has the type {kind}, which the package gguf does not know",
                    "a newer version of the package may know it: `pip install -U gguf`.",
                ) from error
            block, _ = GGML_QUANT_SIZES[GGMLQuantizationType(kind)]
            if (shape[0] if shape else 1) % block:
                raise UnusableError(f"{about} has rows of {shape[0]:,} values, not a multiple of {block}")
            # The axis whose values are adjacent comes first in the file, and last in torch.
            shapes[name], offsets[name] = shape[::-1], offset
        return shapes, types, offsets

    def _check_ranges(
        self, start: int, shapes: Mapping[str, tuple[int, ...]], types: Mapping[str, str], offsets: Mapping[str, int]
    ) -> None:
        from gguf import GGML_QUANT_SIZES, GGMLQuantizationType

        end, last = start, ""
        for name in sorted(shapes, key=lambda name: offsets[name]):
            block, size = GGML_QUANT_SIZES[GGMLQuantizationType[types[name]]]
            if start + offsets[name] < end:
                raise UnusableError(f"the tensors '{shown(last)}' and '{shown(name)}' of {self._name} share bytes")
            end, last = start + offsets[name] + prod(shapes[name]) // block * size, name
        if end > self._size:
            raise UnusableError(
                f"{self._name} is truncated: its tensors end at byte {end:,}, and the file has {self._size:,} bytes",
                _AGAIN,
            )
