"""Types of the JSON documents in a store, to be parsed by :func:`xsns_stream.io.json.parse`.

`docs/store-format.md` specifies the format. Numbers have bounds, so that no memory is allocated for impossible sizes.
Fields that are not listed here are ignored, because other programs may add fields.
"""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from msgspec import Meta, Struct

from xsns_stream.types import Provenance

#: The largest P, the largest number of labels of an axis, of tensors of a layout, and of axes of a tensor.
MOST_PARAMETERS: Final = 2**44
MOST_LABELS: Final = 2**16
MOST_TENSORS: Final = 2**18
MOST_AXES: Final = 16

Count = Annotated[int, Meta(ge=0, le=MOST_PARAMETERS)]
Bytes = Annotated[int, Meta(ge=0, le=2**53)]
Seed = Annotated[int, Meta(ge=0, le=2**63 - 1)]
Density = Annotated[float, Meta(gt=0, le=1)]
Share = Annotated[float, Meta(ge=0, le=1)]
Code = Annotated[str, Meta(pattern=r"^[A-Za-z0-9]+(-[A-Za-z0-9]+)*\Z", max_length=64)]
Sha256 = Annotated[str, Meta(pattern=r"^[0-9a-f]{64}\Z")]
Name = Annotated[str, Meta(max_length=1024)]
Index = Annotated[int, Meta(ge=0, lt=MOST_LABELS)]
Axes = Annotated[list[Count], Meta(max_length=MOST_AXES)]
Scalar = str | int | float | bool | None
Seeds = Annotated[list[Seed], Meta(max_length=MOST_LABELS)]
Codes = Annotated[list[Code], Meta(max_length=MOST_LABELS)]

# ------------------------------------------------------------------------------------------ root group


class Layout(Struct):
    """The names of the tensors in order, the shapes of the tensors, and the layers to which they belong."""

    names: Annotated[list[Name], Meta(max_length=MOST_TENSORS)]
    shapes: Annotated[list[Axes], Meta(max_length=MOST_TENSORS)]
    layers: Annotated[list[tuple[Name, Count, Count]], Meta(max_length=MOST_TENSORS)]


class Kind(Struct, frozen=True):
    """The name and the version of the format, which a root group contains."""

    format: Any = None
    format_version: Any = None


class KindDocument(Struct):
    """The metadata document of a root group, of which only the format and its version are read."""

    attributes: Kind = Kind()


class Root(Struct):
    """The attributes of the root group."""

    parameters: Count
    layout: Layout
    layout_digest: Sha256
    experiment: Annotated[dict[Name, Scalar], Meta(max_length=1000)]


class RootDocument(Struct):
    """The metadata document of the root group."""

    attributes: Root


# ------------------------------------------------------------------------------- arrays of rows, values


class Separator(Struct):
    """The configuration of `chunk_key_encoding`: the separator between the parts of a chunk's key."""

    separator: Literal["/"]


class ChunkKeys(Struct):
    """The field `chunk_key_encoding` of an array."""

    name: Literal["default"]
    configuration: Separator


class ChunkShape(Struct):
    """The configuration of `chunk_grid`: the shape of a shard."""

    chunk_shape: Axes


class Grid(Struct):
    """The field `chunk_grid` of an array; each chunk of this grid is a shard."""

    name: Literal["regular"]
    configuration: ChunkShape


class Endian(Struct):
    """The configuration of the codec `bytes`: the byte order of words."""

    endian: Literal["little"]


class BytesCodec(Struct, tag_field="name", tag="bytes"):
    """The codec `bytes`, which writes words without compression."""

    configuration: Endian


class Crc32cCodec(Struct, tag_field="name", tag="crc32c"):
    """The codec `crc32c`, which appends a checksum."""


class ZstdSettings(Struct):
    """The configuration of the codec `zstd`."""

    level: Annotated[int, Meta(ge=-131072, le=22)] = 0
    checksum: bool = False


class ZstdCodec(Struct, tag_field="name", tag="zstd"):
    """The codec `zstd`, a compressor."""

    configuration: ZstdSettings


class GzipSettings(Struct):
    """The configuration of the codec `gzip`."""

    level: Annotated[int, Meta(ge=0, le=9)]


class GzipCodec(Struct, tag_field="name", tag="gzip"):
    """The codec `gzip`, a compressor."""

    configuration: GzipSettings


class BloscSettings(Struct):
    """The configuration of the codec `blosc`."""

    cname: Literal["lz4", "lz4hc", "blosclz", "snappy", "zlib", "zstd"]
    clevel: Annotated[int, Meta(ge=0, le=9)]
    shuffle: Literal["noshuffle", "shuffle", "bitshuffle"]
    blocksize: Annotated[int, Meta(ge=0, le=2**31)]
    typesize: Annotated[int, Meta(ge=1, le=255)] = 8


class BloscCodec(Struct, tag_field="name", tag="blosc"):
    """The codec `blosc`, a compressor."""

    configuration: BloscSettings


Inner = Annotated[list[BytesCodec | ZstdCodec | GzipCodec | BloscCodec], Meta(min_length=1, max_length=2)]


class ShardSettings(Struct):
    """The configuration of the sharding codec. A shard is the object that contains a row."""

    chunk_shape: Axes
    codecs: Inner
    index_codecs: Annotated[list[BytesCodec | Crc32cCodec], Meta(min_length=2, max_length=2)]
    index_location: Literal["start", "end"] = "end"


def words_first(shard: ShardSettings) -> bool:
    """Return whether inner chunks consist of words, compressed or not, and the shard index has a checksum."""
    first, *more = [type(codec) for codec in shard.codecs]
    index = [type(codec) for codec in shard.index_codecs]
    return first is BytesCodec and BytesCodec not in more and index == [BytesCodec, Crc32cCodec]


def plain(shard: ShardSettings) -> bool:
    """Return whether the object of a row consists of uncompressed words, followed by the shard index."""
    kinds = [type(codec) for codec in shard.index_codecs]
    return (
        [type(codec) for codec in shard.codecs] == [BytesCodec]
        and kinds == [BytesCodec, Crc32cCodec]
        and shard.index_location == "end"
    )


class Sharding(Struct):
    """The sharding codec, which is the only codec of an array of rows."""

    name: Literal["sharding_indexed"]
    configuration: ShardSettings


class Labels(Struct):
    """The attributes of the array of rows, which contain its labels."""

    densities: Annotated[list[Density], Meta(max_length=MOST_LABELS)]
    seeds: Seeds
    languages: Codes


class FisherLabels(Struct):
    """The attributes of the array of Fisher values: its labels, and the encoding of its values."""

    encoding: Literal["float32", "bf16"]
    seeds: Seeds
    languages: Codes


class ArrayOfRows(Struct, kw_only=True):
    """The metadata that the array of rows and the array of Fisher values have in common."""

    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: Axes
    chunk_grid: Grid
    chunk_key_encoding: ChunkKeys
    fill_value: Annotated[float, Meta(ge=0, le=0)]
    codecs: Annotated[list[Sharding], Meta(min_length=1, max_length=1)]
    dimension_names: Annotated[list[Name], Meta(max_length=MOST_AXES)]
    storage_transformers: Annotated[list[Any], Meta(max_length=0)] = []


class RowsDocument(ArrayOfRows, kw_only=True):
    """The metadata document of the array `subnetworks`."""

    data_type: Literal["uint64"]
    attributes: Labels


class FisherDocument(ArrayOfRows, kw_only=True):
    """The metadata document of the array `fisher`."""

    data_type: Literal["float32", "uint16"]
    attributes: FisherLabels


class CoordinateLengths(Struct):
    """The configuration of the chunk grid of a one-dimensional array."""

    chunk_shape: Annotated[list[Annotated[int, Meta(ge=1, le=MOST_LABELS)]], Meta(min_length=1, max_length=1)]


class CoordinateGrid(Struct):
    """The chunk grid of a one-dimensional array."""

    name: Literal["regular"]
    configuration: CoordinateLengths


class CoordinateDocument(Struct):
    """The metadata document of the array `density` or `seed`."""

    zarr_format: Literal[3]
    node_type: Literal["array"]
    shape: Annotated[list[Index], Meta(min_length=1, max_length=1)]
    data_type: Literal["float64", "int64"]
    chunk_grid: CoordinateGrid
    chunk_key_encoding: ChunkKeys
    codecs: Annotated[list[BytesCodec], Meta(min_length=1, max_length=1)]


# --------------------------------------------------------------------------------------------- records


class Reliability(Struct):
    """How repeatable the measurement of a row is: its split-half coefficients and its stability curve.

    Unknown fields, which later versions may write, are ignored.
    """

    split_half: Share | None = None
    split_half_of_row: Share | None = None
    stability: Annotated[list[tuple[Count, Share | None]], Meta(max_length=2**20)] = []


class Text(Struct):
    """Counts of the lines and tokens of a row's text. Unknown fields, which later versions may write, are ignored."""

    lines: Annotated[dict[Annotated[str, Meta(max_length=64)], Count], Meta(max_length=64)] = {}
    examples_unusable: Count = 0
    examples_cut: Count = 0
    tokens_left_out: Share = 0.0
    tokens_unknown: Share = 0.0
    framing_tokens: Count = 0


Specification = Annotated[str, Meta(max_length=4096)]
OptionValue = Specification | int | float | bool | Annotated[list[Specification], Meta(max_length=1000)]


class Inputs(Struct):
    """The locations of the text and the model of a row, and the options with which they are read."""

    texts: Annotated[list[Specification], Meta(max_length=1000)] | None = None
    model: Specification | None = None
    options: Annotated[dict[Name, OptionValue], Meta(max_length=100)] | None = None


class Adapter(Struct):
    """The adapter that was merged into a model."""

    kind: Name = ""
    r: Count = 0
    alpha: int | float = 0
    digest: Specification = ""
    base: Specification = ""
    base_revision: Specification = ""
    base_digest: Specification = ""


class Checkpoint(Struct):
    """The format of a model's weights. Unknown fields, which later versions may write, are ignored."""

    format: Specification = ""
    architecture: Specification = ""
    quantisation: Specification | Annotated[dict[Name, Count], Meta(max_length=100)] = ""
    file_digest: Specification = ""
    adapter: Adapter | None = None


class ProvenanceBounds(Struct):
    """The fields of a row's provenance that contain numbers, with the bounds of these numbers."""

    examples: Count
    examples_asked: Count
    seed: Seed
    reliability: Reliability
    text: Text
    inputs: Inputs
    checkpoint: Checkpoint
    former_labels: Annotated[list[Name], Meta(max_length=1000)] = []


class Record(Struct):
    """The attributes of a row's commit record."""

    language: Code
    seed: Seed
    density: Density
    slot: tuple[Index, Index, Index]
    cardinality: Count
    density_realised: Share
    threshold: Annotated[str, Meta(max_length=64)]
    sha256: Sha256
    bytes: Bytes
    provenance: Provenance


class RecordDocument(Struct):
    """The metadata document of the group of a commit record."""

    attributes: Record


class FisherRecord(Struct):
    """The attributes of the commit record of a row of Fisher values."""

    language: Code
    seed: Seed
    slot: tuple[Index, Index]
    encoding: Literal["float32", "bf16"]
    examples: Count
    sha256: Sha256
    bytes: Bytes
    provenance: Provenance


class FisherRecordDocument(Struct):
    """The metadata document of the group of a commit record of Fisher values."""

    attributes: FisherRecord


# --------------------------------------------------------------------------------------- parts, counts


class Folds(Struct):
    """The attributes of the group `parts`, which contains folds."""

    counts: Annotated[list[Annotated[int, Meta(ge=2, le=64)]], Meta(max_length=63)]


class FoldsDocument(Struct):
    """The metadata document of the group `parts`."""

    attributes: Folds


class Overlaps(Struct):
    """The attributes of an array of cached overlap counts."""

    overlaps_version: Annotated[int, Meta(ge=1, le=2**53)]
    density: Density
    seed: Seed
    parameters: Count
    languages: Codes
    rows_sha256: Annotated[list[Sha256], Meta(max_length=MOST_LABELS)]
    sha256: Sha256


class OverlapsDocument(Struct):
    """The metadata document of an array of cached overlap counts."""

    attributes: Overlaps
