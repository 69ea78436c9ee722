"""Other implementations of Zarr read the same bits: dask, tensorstore (C++), zarrs (Rust) and plain zarr."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
import zarr

from tests.support.paths import DOCS
from xsns_stream.store import open_store
from xsns_stream.types import DiagonalFisher, LayerSpan, ParameterLayout

FIXTURE = Path(__file__).with_name("fixtures") / "store_v1"
PAGE = DOCS / "store-format.md"
#: The words exceed an inner chunk and are not a multiple of it, so that the last chunk is padded.
UNEVEN = 131_072 * 64 + 6_464


def uneven_layout():
    return ParameterLayout(("a", "b"), ((UNEVEN - 100,), (100,)), (LayerSpan("a", 0, UNEVEN - 100),))


@pytest.fixture(params=["layers", "uneven"])
def layout(request, networks):
    return networks.make_layout(3, 640) if request.param == "layers" else uneven_layout()


@pytest.fixture(params=["none", "zstd"])
def store(request, path, networks, layout):
    """A store to which languages, a seed and a density were added one after the other."""
    store = open_store(path, "a", compressor=request.param)
    for row in (("sw",), ("zh-Hant",), ("sw", 2**40), ("zh-Hant", 0, 0.3)):
        store.write(networks.make_sub(*row, layout=layout))
    assert store.info()["compressed"] == (request.param == "zstd")
    return store


def assert_same(store, read_row):
    """Compare the words that `read_row` returns for each committed slot with those of the store."""
    records = store.records()
    assert len(records) == 4
    for record in records:
        ours = store.read(record.language, record.seed, record.density).bits
        theirs = np.asarray(read_row(record.slot))
        assert (theirs.dtype, theirs.shape) == (np.dtype(np.uint64), ours.shape)
        assert np.array_equal(theirs, ours)
    # A slot without a row has no object, and every reader fills it with zeros.
    assert not np.asarray(read_row((1, 1, 0))).any()


def test_plain_zarr_reads_the_rows(store, path):
    array = zarr.open_group(path, mode="r")["subnetworks"]
    assert_same(store, lambda slot: array[slot])


def test_xarray_reads_the_rows_with_dask(store, path):
    import dask.array
    import xarray

    # The array is read lazily in chunks of 1 MiB, and its metadata name the dimensions.
    dataset = xarray.open_zarr(path, consolidated=False, chunks={})
    assert isinstance(dataset.subnetworks.data, dask.array.Array)
    assert dataset.subnetworks.dims == ("density", "seed", "language", "word")
    assert dataset.density.values.tolist() == [0.15, 0.3]
    assert dataset.seed.values.tolist() == [0, 2**40]
    assert dataset.subnetworks.attrs["languages"] == ["sw", "zh-Hant"]
    assert_same(store, lambda slot: dataset.subnetworks[slot].compute(scheduler="synchronous").values)
    chosen = dataset.subnetworks.sel(density=0.3, seed=0)[1]
    assert np.array_equal(chosen.compute(scheduler="synchronous").values, store.read("zh-Hant", 0, 0.3).bits)


def test_dask_counts_the_same_overlap(store, path):
    import dask.array

    from xsns_stream.similarity import count_overlaps

    array = dask.array.from_zarr(path, component="subnetworks")
    both = dask.array.map_blocks(np.bitwise_count, array[0, 0, 0] & array[0, 0, 1], dtype=np.uint8)
    count = int(both.sum(dtype=np.int64).compute(scheduler="synchronous"))
    assert count == count_overlaps(store, seed=0, density=0.15).intersection[0, 1]
    assert count > 0


def test_tensorstore_reads_the_rows(store, path, layout):
    import tensorstore

    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / "subnetworks")}}
    array = tensorstore.open(spec, read=True).result()
    assert array.domain.labels == ("density", "seed", "language", "word")
    # For TensorStore, too, a row is one object.
    assert array.chunk_layout.write_chunk.shape[:3] == (1, 1, 1)
    assert array.chunk_layout.write_chunk.shape[3] >= store.info()["words"]
    assert_same(store, lambda slot: array[slot].read().result())


def test_zarrs_reads_the_rows(store, path):
    import zarrs

    with zarr.config.set({"codec_pipeline.path": "zarrs.ZarrsCodecPipeline"}):
        array = zarr.open_array(path, path="subnetworks", mode="r")
        assert isinstance(array.async_array.codec_pipeline, zarrs.ZarrsCodecPipeline)
        assert_same(store, lambda slot: array[slot])


@pytest.mark.parametrize("encoding", ["float32", "bf16"])
def test_tensorstore_reads_fisher_values(path, networks, encoding):
    import tensorstore

    sub = networks.make_sub("sw")
    values = tuple(np.linspace(0, 1, int(np.prod(shape)), dtype=np.float32) for shape in sub.layout.shapes)
    store = open_store(path, "a")
    store.save_fisher(DiagonalFisher(values, sub.layout, 7, "sw", sub.provenance), encoding)
    spec = {"driver": "zarr3", "kvstore": {"driver": "file", "path": str(path / "fisher")}}
    theirs = tensorstore.open(spec, read=True).result()[0, 0].read().result()
    if encoding == "bf16":
        theirs = (theirs.astype(np.uint32) << np.uint32(16)).view(np.float32)
    ours = np.concatenate([part.reshape(-1) for part in store.fisher_values("sw", 0).values])
    assert np.array_equal(theirs, ours)


# ----------------------------------------------------------------------------------- the format's page


def snippets():
    return re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)


def test_the_code_on_the_format_page_reads_a_store(store, path):
    words = []
    for code in snippets():
        names = {"path": path}
        exec(code, names)  # its assertion is the test
        words.append(names["words"])
    keys = store.keys()
    assert any(np.array_equal(words[0], store.read(key.language, key.seed, key.density).bits) for key in keys)


def test_the_code_on_the_format_page_reads_version_1():
    for code in snippets():
        exec(code, {"path": FIXTURE})


def test_version_1_follows_the_format_page():
    """The metadata of the oldest store are the documents that the page shows."""
    root = json.loads((FIXTURE / "zarr.json").read_text())
    assert (root["node_type"], root["attributes"]["format"], root["attributes"]["format_version"]) == (
        "group",
        "xsns-subnetworks",
        1,
    )
    array = json.loads((FIXTURE / "subnetworks/zarr.json").read_text())
    assert array["dimension_names"] == ["density", "seed", "language", "word"]
    (sharding,) = array["codecs"]
    assert sharding["name"] == "sharding_indexed"
    assert [codec["name"] for codec in sharding["configuration"]["codecs"]] == ["bytes"]
    record = json.loads((FIXTURE / "commits/0.15/7/sw/zarr.json").read_text())["attributes"]
    section = re.search(r"## Commit records\n(.*?)\n## ", PAGE.read_text(), re.DOTALL).group(1)
    before_provenance = section.partition("The fields of `experiment`")[0]
    table = re.findall(r"^\| (`.*?) \|", before_provenance, re.MULTILINE)
    promised = {name for cell in table for name in re.findall(r"`(\w+)`", cell)}
    assert promised == set(record)
