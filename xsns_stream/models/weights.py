"""The weights of a model folder: which safetensors files they are, and what their headers say.

A header is eight bytes with its length, JSON that names each tensor's type, shape and place, and after it the values.
All of that is checked here before torch or transformers open a file, so that nothing is allocated on the word of a
header that is not true.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

from xsns_stream.io.json import MIB, UnusableError, check_regular, opened, parse_object, read_object

WEIGHTS: Final = "model.safetensors"
INDEX: Final = "model.safetensors.index.json"
#: Largest header that is read; 100,000 tensors take about 12 MB.
MOST_HEADER: Final = 64 * MIB
#: {type of a tensor: bits of a value}.
BITS: Final = {
    "BOOL": 8, "U8": 8, "I8": 8, "F8_E5M2": 8, "F8_E4M3": 8, "F8_E8M0": 8, "F8_E4M3FNUZ": 8, "F8_E5M2FNUZ": 8,
    "I16": 16, "U16": 16, "F16": 16, "BF16": 16, "I32": 32, "U32": 32, "F32": 32, "I64": 64, "U64": 64, "F64": 64,
    "C64": 64, "F4": 4, "F6_E2M3": 6, "F6_E3M2": 6,
}  # fmt: skip
#: No tensor of a model has more axes.
MOST_AXES: Final = 16
_PLAIN_NAME: Final = re.compile(r"[^/\\\x00]+")


@dataclass(frozen=True)
class Tensors:
    """What the headers of all weight files of a model say together.

    Attributes:
        shapes: {name of a tensor: its shape}.
    """

    shapes: Mapping[str, tuple[int, ...]]

    def __len__(self) -> int:
        return len(self.shapes)

    @property
    def values(self) -> int:
        """How many numbers the tensors hold together."""
        return sum(map(prod, self.shapes.values()))


def has_safetensors(folder: Path) -> bool:
    """Tell whether any file of the folder is named as safetensors."""
    return any(folder.glob("*.safetensors"))


def read_tensors(folder: Path, chosen: object = None) -> Tensors:
    """Read and check the headers of all files that the weights of a model are loaded from.

    Args:
        folder: The model's.
        chosen: The file of weights or of an index that the configuration names; None where it names none.

    Raises:
        UnusableError: A file that is missing, no regular file or none of this folder; a header that is not true.
    """
    shapes: dict[str, tuple[int, ...]] = {}
    for path in _files(folder, chosen):
        for name, shape in read_header(path).items():
            if name in shapes:
                raise UnusableError(f"the tensor '{name}' is in two files")
            shapes[name] = shape
    for path in folder.glob("*.safetensors"):
        check_regular(path)  # the digest reads all of them
    return Tensors(shapes)


def read_header(path: Path) -> dict[str, tuple[int, ...]]:
    """Return {name: shape} of the tensors of a safetensors file.

    Raises:
        UnusableError: The file is cut short, or its header names an unknown type, a shape that does not fit the number
            of bytes, bytes outside the file, or bytes of two tensors or of none.
    """
    with opened(path) as file:
        size = os.fstat(file.fileno()).st_size
        length = int.from_bytes(file.read(8), "little")
        if size < 8 or length > size - 8:
            raise UnusableError(f"{path.name} is cut short, or is not a safetensors file")
        if length > MOST_HEADER:
            raise UnusableError(f"the header of {path.name} is larger than {MOST_HEADER // MIB} MiB")
        data = file.read(length)
    header = parse_object(data, f"the header of {path.name}", pairs=_all_different)
    metadata = header.pop("__metadata__", None)
    if metadata is not None and not _is_text_by_text(metadata):
        raise UnusableError(f"the header of {path.name} has metadata that are not text")
    places = [(*_place(name, entry, path.name), name) for name, entry in header.items()]
    end = 0
    for start, stop, name in sorted(places):
        if start != end:
            what = "shares bytes with another tensor" if start < end else "leaves bytes before it unused"
            raise UnusableError(f"the tensor '{name}' of {path.name} {what}")
        end = stop
    if end != size - 8 - length:
        raise UnusableError(f"{path.name} holds {size - 8 - length:,} bytes of values, its header names {end:,}")
    return {name: tuple(entry["shape"]) for name, entry in header.items()}


def _files(folder: Path, chosen: object) -> list[Path]:
    """Return the files that transformers loads, in its order of preference."""
    if chosen is not None:
        if not isinstance(chosen, str) or not _PLAIN_NAME.fullmatch(chosen):
            raise UnusableError("config.json names weights (transformers_weights) outside the model's folder")
        if not chosen.endswith((".safetensors", ".safetensors.index.json")):
            raise UnusableError(f"config.json names weights that are not safetensors: '{chosen}'")
        path = folder / chosen
        return [path] if chosen.endswith(".safetensors") else _indexed(path)
    # Not `exists`: a link that leads nowhere is to be named, not passed over.
    if os.path.lexists(folder / WEIGHTS):
        return [folder / WEIGHTS]
    if os.path.lexists(folder / INDEX):
        return _indexed(folder / INDEX)
    raise UnusableError(f"there is neither {WEIGHTS} nor {INDEX}")


def _indexed(index: Path) -> list[Path]:
    document = read_object(index, most_bytes=MOST_HEADER)
    places, metadata = document.get("weight_map"), document.get("metadata")
    if not _is_text_by_text(places) or not places:
        raise UnusableError(f"{index.name} has no weight_map that names a file for each tensor")
    if not isinstance(metadata, dict):
        raise UnusableError(f"{index.name} has no metadata")
    for name in sorted(set(places.values())):
        if not _PLAIN_NAME.fullmatch(name):
            raise UnusableError(f"{index.name} names a file outside the model's folder: '{name}'")
        if not name.endswith(".safetensors"):
            raise UnusableError(f"{index.name} names a file that is not safetensors: '{name}'")
    return [index.parent / name for name in sorted(set(places.values()))]


def _place(name: str, entry: Any, file: str) -> tuple[int, int]:
    """Return where the bytes of a tensor begin and end, counted from the end of the header."""
    about = f"the header of {file} says of the tensor '{name}'"
    if not isinstance(entry, dict) or not {"dtype", "shape", "data_offsets"} <= set(entry):
        raise UnusableError(f"{about} no type, shape and place")
    dtype, shape, place = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in BITS:
        raise UnusableError(f"{about} a type that is not known: {_short(dtype)}")
    if not _are_counts(shape):
        raise UnusableError(f"{about} a shape that is none: {_short(shape)}")
    if not _are_counts(place) or len(place) != 2 or place[0] > place[1]:
        raise UnusableError(f"{about} a place that is none: {_short(place)}")
    if prod(shape) * BITS[dtype] != 8 * (place[1] - place[0]):
        raise UnusableError(
            f"{about} a shape {_short(shape)} of {dtype}, which does not take the {place[1] - place[0]:,} bytes that "
            "it names"
        )
    return place[0], place[1]


def _are_counts(values: object) -> bool:
    if not isinstance(values, list) or len(values) > MOST_AXES:
        return False
    return all(type(value) is int and 0 <= value < 2**48 for value in values)


def _is_text_by_text(value: object) -> bool:
    return isinstance(value, dict) and all(isinstance(item, str) for item in value.values())


def _short(value: object) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _all_different(pairs: Iterable[tuple[str, Any]]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    for name, value in pairs:
        if name in found:
            raise UnusableError(f"a header names '{name}' twice")
        found[name] = value
    return found
