"""The metadata of the array of rows: what is written when a store is created, and what is read back and checked."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from xsns_stream.store import schemas
from xsns_stream.store.documents import WrongFieldError, wrong
from xsns_stream.store.files import check_unlinked
from xsns_stream.store.format import ARRAY, DIMENSIONS, METADATA, Labels, inner_chunk_words
from xsns_stream.store.place import Place
from xsns_stream.types import ParameterLayout, words_for

Compressor = Literal["none", "zstd"]

#: Entries of a chunk of `density` or `seed`, which have a handful.
COORDINATE_CHUNK = 64
_COPY_HINT = "delete '{}': it is a copy of labels, and is made again."


def create_array(root: Any, layout: ParameterLayout, labels: Labels, compressor: Compressor) -> None:
    """Create an array of rows in `root`, whatever Zarr takes for a store that holds nothing yet."""
    import zarr
    from zarr.codecs import BytesCodec, ZstdCodec

    words = words_for(layout.size)
    chunk = inner_chunk_words(layout)
    zarr.create_array(
        store=root,
        name=ARRAY,
        shape=(*labels.shape, words),
        dtype="uint64",
        chunks=(1, 1, 1, chunk),
        shards=(1, 1, 1, -(-words // chunk) * chunk),
        filters=None,
        serializer=BytesCodec(endian="little"),
        compressors=None if compressor == "none" else ZstdCodec(level=1),
        fill_value=0,
        dimension_names=DIMENSIONS,
        attributes=labels.to_json(),
    )
    write_coordinates(root, labels)


def write_coordinates(root: Any, labels: Labels) -> None:
    """Bring the arrays `density` and `seed`, which xarray takes for coordinates, up to the labels.

    They are a convenience: labels are read from the attributes, which change in one step with the shape.
    """
    wanted: dict[str, npt.NDArray[Any]] = {
        "density": np.array(labels.densities, np.float64),
        "seed": np.array(labels.seeds, np.int64),
    }
    for name, values in wanted.items():
        with _zarr_errors(root, name):
            array = _coordinate(root, name, values)
            if array.shape != values.shape or not np.array_equal(np.asarray(array[:]), values):
                array.resize(values.shape)
                array[:] = values


def _coordinate(root: Any, name: str, values: npt.NDArray[Any]) -> Any:
    """Open the array of a coordinate, making it where there is none."""
    import zarr

    try:
        return zarr.open_array(store=root, path=name, mode="r+", zarr_format=3)
    except FileNotFoundError:
        return zarr.create_array(
            store=root,
            name=name,
            shape=values.shape,
            dtype=values.dtype,
            chunks=(COORDINATE_CHUNK,),
            filters=None,
            compressors=None,
            fill_value=0,
            dimension_names=(name,),
        )


@contextmanager
def _zarr_errors(root: Any, name: str) -> Iterator[None]:
    """Turn what Zarr raises on metadata that it cannot use into a sentence."""
    try:
        yield
    except (TypeError, ValueError, KeyError, AttributeError, NotImplementedError, ArithmeticError) as error:
        at = f"{root}/{name}/{METADATA}" if isinstance(root, Path) else f"{name}/{METADATA}"
        raise wrong(at, "Zarr cannot use it", _COPY_HINT.format(at.removesuffix(f"/{METADATA}"))) from error


def check_coordinates(place: Place) -> None:
    """Check the arrays `density` and `seed` before Zarr opens them: that they are small regular files.

    Raises:
        StoreError: They are not as the format says, or lie behind a link.
    """
    for name in ("density", "seed"):
        if place.local is not None:
            check_unlinked(place.local, place.local / name / METADATA)
        hint = _COPY_HINT.format(place.at(name))
        place.read_as(f"{name}/{METADATA}", schemas.CoordinateDocument, hint)
        for key in place.list(name):
            if (place.size(key) or 0) > 8 * schemas.MOST_LABELS or not place.exists(key):
                raise wrong(place.at(key), "it is not a small regular file", hint)


def geometry_of(
    found: schemas.RowsDocument, labels: Labels, layout: ParameterLayout
) -> tuple[int, int, bool, schemas.ShardSettings]:
    """Return (words, words of an inner chunk, compressed, what a shard is made of) of a document that is as it must be.

    Raises:
        WrongFieldError: Its fields do not fit one another, or the layout.
    """
    sharding, shape = found.codecs[0].configuration, tuple(found.shape)
    words = words_for(layout.size)
    if shape[:-1] != labels.shape or len(shape) != len(DIMENSIONS):
        raise WrongFieldError(f"shape: {list(shape)} does not fit {list(labels.shape)} labels")
    if shape[-1] != words:
        raise WrongFieldError(f"shape: {shape[-1]} words cannot hold {layout.size} parameters")
    if tuple(found.dimension_names) != DIMENSIONS:
        raise WrongFieldError("dimension_names: not those of an array of density, seed, language and word")
    chunk = sharding.chunk_shape[-1] if sharding.chunk_shape else 0
    if sharding.chunk_shape[:-1] != [1, 1, 1] or not 1 <= chunk <= max(1, words):
        raise WrongFieldError("codecs: inner chunks are not pieces of a row")
    if found.chunk_grid.configuration.chunk_shape != [1, 1, 1, -(-words // chunk) * chunk]:
        raise WrongFieldError("chunk_grid: a row is not one object")
    if not schemas.words_first(sharding):
        raise WrongFieldError("codecs: rows are not shards of words, which one compressor may follow")
    return words, chunk, not schemas.plain(sharding), sharding
