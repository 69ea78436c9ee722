"""The verb `export`."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file

from tests.support import networks
from tests.support.streams import without_next
from xsns_stream.store import open_store
from xsns_stream.types import SubNetwork


@pytest.fixture
def folder(tmp_path):
    """A store with three languages and two seeds, in which one row is missing."""
    store = open_store(tmp_path / "xsns.zarr", "a")
    for language in ("sw", "fi", "zh-Hant"):
        for seed in (7, 8):
            if (language, seed) != ("fi", 8):
                store.write(networks.make_sub(language, seed))
    return tmp_path


@pytest.mark.parametrize("suffix", ["safetensors", "npz"])
def test_an_exported_sub_network_equals_the_row(folder, in_process, suffix):
    code, out, err = in_process(folder, "export", "--lang", "swa", "--seed", "7", "-o", f"swahili.{suffix}")
    assert (code, without_next(err)) == (0, "")
    expected = networks.make_sub("sw", 7)
    assert out.startswith(f"swahili.{suffix}: 'sw', {expected.cardinality} of 576 parameters, ")
    network = SubNetwork.load(folder / f"swahili.{suffix}")
    assert network == expected
    assert (network.language, network.seed, network.threshold, network.provenance) == (
        "sw",
        7,
        7.1,
        expected.provenance,
    )


def test_every_language_has_its_own_file(folder, in_process):
    (folder / "masks").mkdir()
    arguments = ("--lang", "fi,zh-Hant", "--seed", "7", "-o", "masks/{lang}-7.safetensors", "--json")
    code, out, err = in_process(folder, "export", *arguments)
    assert (code, err) == (0, "")
    document = json.loads(out)
    assert (document["schema_version"], document["command"]) == (1, "export")
    result = document["result"]
    assert (result["store"], result["failed"]) == ("xsns.zarr", {})
    assert [file["path"] for file in result["files"]] == ["masks/fi-7.safetensors", "masks/zh-Hant-7.safetensors"]
    for file in result["files"]:
        expected = networks.make_sub(file["language"], 7)
        masks = load_file(folder / file["path"])
        flat = np.concatenate([masks[name].numpy().ravel() for name in expected.layout.names])
        np.testing.assert_array_equal(flat, expected.to_numpy())
        assert file["bytes"] == (folder / file["path"]).stat().st_size
        assert {key: file[key] for key in ("seed", "density", "cardinality", "parameters", "layout_digest")} == {
            "seed": 7,
            "density": 0.15,
            "cardinality": expected.cardinality,
            "parameters": 576,
            "layout_digest": expected.layout.digest,
        }


def test_all_exports_the_languages_with_the_seed(folder, in_process):
    code, out, err = in_process(folder, "export", "--lang", "all", "--seed", "8", "-o", "{lang}.npz")
    assert (code, len(out.splitlines())) == (0, 2)
    assert without_next(err) == "these languages are left out, because they have no sub-network: fi\n"
    assert sorted(path.name for path in folder.glob("*.npz")) == ["sw.npz", "zh-Hant.npz"]


def test_a_damaged_row_does_not_stop_the_others(folder, in_process):
    store = open_store(folder / "xsns.zarr")
    slot = store.record("fi", 7).slot
    row = folder.joinpath("xsns.zarr", "subnetworks", "c", *map(str, slot), "0")
    data = bytearray(row.read_bytes())
    data[3] ^= 1
    row.write_bytes(data)
    code, out, err = in_process(folder, "export", "--lang", "all", "--seed", "7", "-o", "{lang}.npz", "--json")
    assert code == 3
    assert "error: 1 language could not be exported: fi." in err
    result = json.loads(out)["result"]
    assert [file["language"] for file in result["files"]] == ["sw", "zh-Hant"]
    assert "does not contain the bits" in result["failed"]["fi"]
    assert not (folder / "fi.npz").exists()
    # With one language, the error is that of the whole command.
    code, out, err = in_process(folder, "export", "--lang", "fi", "--seed", "7", "-o", "fi.npz")
    assert (code, out) == (1, "")
    assert "does not contain the bits" in err


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (["--lang", "sw", "-o", "sw.npz"], 2, "has 2 seeds, and none was chosen", "choose one of 7, 8."),
        (["--lang", "all", "-o", "{lang}.npz"], 2, "has 2 seeds, and none was chosen", "choose one of 7, 8."),
        (
            ["--lang", "all", "--seed", "9", "-o", "{lang}.npz"],
            2,
            "has no sub-network of this seed and density",
            "xsns-stream info",
        ),
        (["--lang", "fi", "--seed", "8", "-o", "fi.npz"], 1, "has no row 'fi' (seed 8, density 0.15)", "seed 7"),
        (["--lang", "sw,fi", "--seed", "7", "-o", "x.npz"], 2, "2 languages cannot be written to one", "{lang}.npz"),
        (["--lang", "sw", "--seed", "7", "-o", "sw.pt"], 2, "'sw.pt' does not end in", ".safetensors, .npz"),
        (["--lang", "sw", "--seed", "7", "-o", "no/sw.npz"], 2, "there is no folder 'no'", "create the folder first."),
        (["--lang", "swahilli", "--seed", "7", "-o", "x.npz"], 2, "no language 'swahilli'", "did you mean 'sw'"),
        (["--lang", "sw", "-s", "none.zarr", "-o", "x.npz"], 1, "there is no store at 'none.zarr'.", "build"),
        (["--lang", "sw"], 2, "Missing option '-o'", "see `xsns-stream export --help`."),
    ],
)
def test_errors_have_a_message_and_a_hint(folder, in_process, arguments, code, message, hint):
    ended, out, err = in_process(folder, "export", *arguments)
    assert (ended, out) == (code, "")
    error, hint_line = err.splitlines()
    assert message in error
    assert hint_line.startswith("hint: ")
    assert hint in hint_line
    assert not [path for path in folder.iterdir() if path.name != "xsns.zarr"]
