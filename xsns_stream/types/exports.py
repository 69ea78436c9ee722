"""A sub-network as one file for other programs: boolean masks (safetensors) or places (NumPy), and back.

Both carry a record, JSON text that says whose bits they are and what they must add up to.
"""

from __future__ import annotations

import hashlib
import json
import re
import uuid
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np
import numpy.typing as npt

from xsns_stream.errors import StoreError, UsageError, XsnsError
from xsns_stream.io.atomic import sync, sync_file
from xsns_stream.types.arrays import WORD_BITS, Words, words_for
from xsns_stream.types.parameters import ParameterLayout
from xsns_stream.types.provenance import Provenance
from xsns_stream.types.subnetwork import SubNetwork

KIND: Final = "xsns-sub-network"
VERSION: Final = 1
#: Under this name the record stands in a safetensors file's metadata, and as an array of bytes in a NumPy archive.
RECORD: Final = "record"
#: A code that can be part of a path, or none, where the caller gave none.
_LANGUAGE: Final = re.compile(r"(?:[A-Za-z0-9]+(?:-[A-Za-z0-9]+)*)?")


def write_network(network: SubNetwork, path: Path) -> Path:
    """Write a sub-network in the form that the suffix of `path` names; see :meth:`SubNetwork.save_safetensors`.

    Raises:
        UsageError: Another suffix, or the folder is not there.
        XsnsError: The file cannot be written.
    """
    check_target(path)
    return write_safetensors(network, path) if path.suffix.lower() == ".safetensors" else write_indices(network, path)


def write_safetensors(network: SubNetwork, path: Path) -> Path:
    """See :meth:`SubNetwork.save_safetensors`. Holds one tensor in memory at a time."""
    check_target(path, (".safetensors",))
    layout = network.layout
    header: dict[str, Any] = {"__metadata__": {RECORD: json.dumps(record_of(network), allow_nan=False)}}
    for name, shape, start, size in zip(layout.names, layout.shapes, layout.offsets, layout.sizes, strict=True):
        header[name] = {"dtype": "BOOL", "shape": shape, "data_offsets": [start, start + size]}
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)

    def write(file: BinaryIO) -> None:
        # The format: the header's length, the header, the tensors. The library's writer wants all of them in memory.
        file.write(len(text).to_bytes(8, "little"))
        file.write(text)
        for name in layout.names:
            file.write(network.mask(name).data)

    return _written(path, write)


def write_indices(network: SubNetwork, path: Path) -> Path:
    """See :meth:`SubNetwork.save_indices`."""
    check_target(path, (".npz",))
    kind = np.uint32 if network.size <= 2**32 else np.int64
    record = np.frombuffer(json.dumps(record_of(network), allow_nan=False).encode(), np.uint8)
    return _written(path, lambda file: np.savez(file, indices=network.indices().astype(kind), record=record))


def read_network(path: Path) -> SubNetwork:
    """See :meth:`SubNetwork.load`."""
    reader = _READERS.get(path.suffix.lower())
    if reader is None:
        raise UsageError(f"'{path}' does not end in the name of a form.", f"a sub-network is in one of {_named()}.")
    if not path.is_file():
        raise StoreError(f"there is no file '{path}'.", "check the path.")
    try:
        return reader(path)
    except XsnsError:
        raise
    except Exception as error:
        # Damage shows in whatever way the parsers of zip, npy, JSON and safetensors happen to notice it.
        raise StoreError(
            f"'{path}' cannot be read as a sub-network: {str(error) or type(error).__name__}.",
            "it is damaged, or another program's; export it again.",
        ) from error


def check_target(path: Path, suffixes: tuple[str, ...] | None = None) -> None:
    """Check that a sub-network can be written to `path`, to be asked before what takes long.

    Raises:
        UsageError: Another suffix, or the folder is not there.
    """
    if path.suffix.lower() not in (suffixes or FORMS):
        named = " or ".join(suffixes or FORMS)
        raise UsageError(f"'{path}' does not end in the name of a form.", f"end it in {named}.")
    if not path.parent.is_dir():
        raise UsageError(f"there is no folder '{path.parent}' to write '{path.name}' to.", "make it first.")
    if path.is_dir():
        raise UsageError(f"'{path}' is a folder.", "name a file.")


def record_of(network: SubNetwork) -> dict[str, Any]:
    """Return what stands beside the bits in a file, as plain JSON values."""
    return {
        "kind": KIND,
        "version": VERSION,
        "language": network.language,
        "seed": network.seed,
        # JSON has no infinity, and no decimal would be exact.
        "threshold": float(network.threshold).hex(),
        "density": network.density,
        "cardinality": network.cardinality,
        "sha256": _digest(network.bits),
        "layout_digest": network.layout.digest,
        "layout": network.layout.to_json(),
        "provenance": network.provenance.to_json(),
    }


def _digest(bits: Words) -> str:
    """SHA-256 of words in little-endian order, as in a store's commit record."""
    return hashlib.sha256(bits.astype("<u8", copy=False).data).hexdigest()


def _written(path: Path, write: Callable[[BinaryIO], object]) -> Path:
    """Write under another name in the same folder, see it to the disk, and rename."""
    aside = path.with_name(f".{path.name}.{uuid.uuid4().hex}.partial")
    try:
        with aside.open("xb") as file:
            write(file)
            sync_file(file)
        aside.replace(path)
        sync(path.parent)
    except OSError as error:
        raise XsnsError(
            f"cannot write '{path}': {error.strerror or error}.", "check the space and the rights."
        ) from error
    finally:
        aside.unlink(missing_ok=True)
    return path


# ------------------------------------------------------------------------------------------- reading


def _read_safetensors(path: Path) -> SubNetwork:
    from safetensors import safe_open

    with safe_open(path, framework="numpy") as file:
        record = _record((file.metadata() or {}).get(RECORD), path)
        layout = _layout(record, path)
        if set(file.keys()) != set(layout.names):
            raise StoreError(f"the tensors in '{path}' are not those of its layout.", "export it again.")
        bits = np.zeros(words_for(layout.size), np.uint64)
        for name, shape, start in zip(layout.names, layout.shapes, layout.offsets, strict=True):
            mask = file.get_tensor(name)
            if mask.dtype != np.bool_ or mask.shape != shape:
                raise StoreError(
                    f"'{name}' in '{path}' is {mask.dtype} {list(mask.shape)}, not bool {list(shape)}.",
                    "export it again.",
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
        layout, places = _layout(record, path), arrays["indices"]
    if places.dtype.kind not in "ui" or places.ndim != 1:
        raise StoreError(f"the indices in '{path}' are {places.dtype} {list(places.shape)}.", "export it again.")
    if len(places) and not (int(places.min()) >= 0 and int(places.max()) < layout.size):
        raise StoreError(f"'{path}' has places outside of its {layout.size} parameters.", "export it again.")
    bits = np.zeros(words_for(layout.size), np.uint64)
    _set(bits, places.astype(np.int64))
    return _checked(bits, layout, record, path)


_READERS: Final[Mapping[str, Callable[[Path], SubNetwork]]] = {
    ".safetensors": _read_safetensors,
    ".npz": _read_indices,
}

#: Suffixes of files that hold a sub-network.
FORMS: Final = tuple(_READERS)


def _named() -> str:
    return " or ".join(FORMS)


def _set(bits: Words, places: npt.NDArray[np.int64]) -> None:
    np.bitwise_or.at(bits, places // WORD_BITS, np.uint64(1) << (places % WORD_BITS).astype(np.uint64))


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
            f"'{path}' has version {record['version']}, and this program knows {VERSION}.", "update xsns-stream."
        )
    return record


def _foreign(path: Path) -> StoreError:
    return StoreError(f"'{path}' is not a sub-network that xsns-stream wrote.", "name a file that `export` wrote.")


def _layout(record: Mapping[str, Any], path: Path) -> ParameterLayout:
    layout = ParameterLayout.from_json(record["layout"])
    if layout.digest != record["layout_digest"]:
        raise StoreError(f"the layout in '{path}' is not the one that its digest is of.", "export it again.")
    return layout


def _checked(bits: Words, layout: ParameterLayout, record: Mapping[str, Any], path: Path) -> SubNetwork:
    if _digest(bits) != record["sha256"]:
        raise StoreError(f"'{path}' does not hold the bits that were exported.", "it is damaged; export it again.")
    language, seed, density = record["language"], record["seed"], float(record["density"])
    threshold = float.fromhex(record["threshold"])
    # The digest is of the bits alone.
    if not (
        isinstance(language, str)
        and _LANGUAGE.fullmatch(language)
        and isinstance(seed, int)
        and seed >= 0
        and 0 < density <= 1
        and threshold >= 0
    ):
        raise StoreError(f"the record in '{path}' names no sub-network.", "it was edited or damaged; export it again.")
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
