"""Malicious stores: `build` does not hang, end with a traceback, or leave wrong rows."""

import json
import shutil

import pytest

from tests.support import store_damages
from xsns_stream.errors import XsnsError
from xsns_stream.store import open_store


@pytest.fixture(scope="module")
def command(tiny_folder, tmp_path_factory, write_texts):
    """The words of a build, without the languages and the store."""
    texts = write_texts(tmp_path_factory.mktemp("build") / "texts", "sw fi et", 30)
    words = f"build --model {tiny_folder} --corpus {texts} --examples 4 --max-length 24 --seed 0 --parts 2"
    return [*words.split(), "--keep-fisher", "float32", "--json"]


@pytest.fixture
def sound(command, tmp_path, xsns):
    store = tmp_path / "sound.zarr"
    assert xsns(*command, "--lang", "sw,fi", "--store", store).code == 0
    assert xsns("matrix", "--store", store).code == 0
    return store


@pytest.mark.slow
def test_build_survives_damaged_stores(sound, command, tmp_path, xsns):
    undamaged = tmp_path / "whole.zarr"
    assert xsns(*command, "--lang", "et", "--store", undamaged).code == 0
    expected = open_store(undamaged).read("et").bits.tolist()
    faults = []
    for number, damage in enumerate([*store_damages.special()[::9], *store_damages.sample(sound, 22, 20)]):
        store = shutil.copytree(sound, tmp_path / f"{number}.zarr")
        damage.apply(store)
        completed = xsns(*command, "--lang", "sw,et", "--store", store)
        if completed.code not in (0, 1, 2, 3) or "Traceback" in completed.err:
            faults.append(f"{damage} | {completed.code}: {completed.err[-300:]}")
        elif completed.code == 0 and (
            not json.loads(completed.out)["result"]["committed"]
            or open_store(store).read("et").bits.tolist() != expected
        ):
            faults.append(f"{damage} | gave another row: {completed.out[:300]}")
        shutil.rmtree(store)
    assert not faults, f"{len(faults)} faults:\n" + "\n".join(faults)


@pytest.mark.parametrize("field", [("chunk_grid", "name"), ("fill_value",), ("attributes",), ("dimension_names",)])
@pytest.mark.parametrize(
    "value", [None, "abc", *(pytest.param(value, marks=pytest.mark.slow) for value in ([], {}, 10**30))]
)
def test_a_coordinate_that_zarr_cannot_use_is_written_again(sound, command, xsns, field, value):
    store_damages.Damage("density/zarr.json", "put", field, value).apply(sound)
    completed = xsns(*command, "--lang", "sw", "--density", "0.5", "--store", sound)
    assert completed.code in (0, 1)
    if completed.code:
        assert "density/zarr.json' does not follow the format: " in completed.err
        assert "which is a copy of the labels; it will be written again" in completed.err


def test_the_metadata_of_the_rows_are_read_where_counts_are_kept(sound, xsns):
    (sound / "subnetworks/zarr.json").write_text("{}")
    completed = xsns("matrix", "--store", sound)
    assert completed.code == 1
    assert "subnetworks/zarr.json' does not follow the format" in completed.err
    with pytest.raises(XsnsError, match="not follow the format"):
        open_store(sound).read("sw")
