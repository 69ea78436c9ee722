"""The verb `matrix`: table, JSON, files, errors."""

import json
import shlex

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from tests.support import networks
from tests.support.streams import without_next
from xsns_stream.cli.matrix import command
from xsns_stream.store import open_store

LACKING = "pt-BR"
WHOLE = tuple(sorted(set(networks.LANGUAGES) - {LACKING}))


def make(language, seed):
    """Return a synthetic sub-network. Min Nan has an empty one, so that only its similarity to itself is undefined."""
    bits = np.zeros(9, np.uint64) if language == "nan" else None
    return networks.make_sub(language, seed, bits=bits)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with two stores: twelve languages and two seeds without one row, and fifteen languages with one seed."""
    folder = tmp_path_factory.mktemp("matrix")
    store = open_store(folder / "xsns.zarr", "a")
    for language in networks.LANGUAGES:
        for seed in (7, 8):
            if (language, seed) != (LACKING, 8):
                store.write(make(language, seed))
    many = open_store(folder / "many.zarr", "a")
    for language in (*networks.LANGUAGES, "nan", "no", "hu"):
        many.write(make(language, 7))
    return folder


def reference(languages, seeds):
    """Return the mean Jaccard coefficients, computed with Python integers."""

    def bits(language, seed):
        return int.from_bytes(make(language, seed).bits.tobytes(), "little")

    def coefficient(a, b):
        return (a & b).bit_count() / (a | b).bit_count()

    tables = [
        [[coefficient(bits(one, seed), bits(other, seed)) for other in languages] for one in languages]
        for seed in seeds
    ]
    return np.mean(tables, axis=0)


def test_a_small_store_is_shown_as_a_matrix(folder, in_process):
    completed = in_process(folder, "matrix")
    assert completed.code == 0
    header, _, *lines = completed.out.splitlines()
    assert tuple(header.split()) == ("source", *WHOLE)
    assert [line.split()[0] for line in lines] == list(WHOLE)
    values = np.array([line.split()[1:] for line in lines], float)
    np.testing.assert_allclose(values, reference(WHOLE, (7, 8)), atol=0.0005)
    assert without_next(completed.err) == "note: languages that lack a sub-network are left out: pt-BR (seed 8).\n"


def test_json_and_files_contain_the_same_numbers(folder, tmp_path, in_process):
    names = ("m.csv", "m.tsv", "m.json", "m.parquet", "m.npz", "m.png")
    outputs = [part for name in names for part in ("-o", str(tmp_path / name))]
    completed = in_process(folder, "matrix", "--json", "--lang", "sw,fi", "--lang", "PT_br", "--seed", "7", *outputs)
    assert completed.code == 0
    assert completed.err.splitlines() == [f"wrote {tmp_path / name}" for name in names]
    document = json.loads(completed.out)
    assert (document["schema_version"], document["command"]) == (1, "matrix")
    result = document["result"]
    assert set(result) == {
        "languages",
        "coefficient",
        "jaccard",
        "chance_corrected",
        "spread",
        "cardinality",
        "parameters",
        "seeds",
        "density",
    }
    languages = ["sw", "fi", "pt-BR"]
    assert (result["languages"], result["seeds"], result["density"]) == (languages, [7], 0.15)
    assert result["cardinality"] == [[make(code, 7).cardinality] for code in languages]
    assert result["spread"] is None
    np.testing.assert_allclose(result["jaccard"], reference(languages, (7,)), rtol=1e-15)
    frame = pd.read_csv(tmp_path / "m.csv", index_col="source", keep_default_na=False, na_values=[""])
    assert list(frame.index) == list(frame.columns) == languages
    assert frame.to_numpy().tolist() == result["jaccard"]
    assert json.loads((tmp_path / "m.json").read_text())["chance_corrected"] == result["chance_corrected"]
    with Image.open(tmp_path / "m.png") as picture:
        picture.verify()
    assert {path.name for path in tmp_path.iterdir()} == set(names)


def test_a_large_store_is_shown_as_nearest_neighbours(folder, in_process):
    completed = in_process(folder, "matrix", "--store", "many.zarr")
    assert completed.code == 0
    lines = completed.out.splitlines()[2:]
    codes = tuple(sorted((*networks.LANGUAGES, "nan", "no", "hu")))
    assert tuple(line.split()[0] for line in lines) == codes
    table = reference([code for code in codes if code != "nan"], (7,))
    row = next(line.split() for line in lines if line.startswith("sw "))
    others = [code for code in codes if code != "nan"]
    nearest = sorted((-value, code) for code, value in zip(others, table[others.index("sw")], strict=True))[1:4]
    assert row[1:] == ["Swahili", *(word for v, code in nearest for word in (code, f"{-v:.3f}"))]
    assert completed.err.startswith(
        "the table shows the 3 nearest sources of each of 15 languages; -o matrix.csv writes the whole matrix"
    )


def test_undefined_is_null_and_quiet_hides_notes_only(folder, in_process):
    code, out, err = in_process(folder, "matrix", "-s", "many.zarr", "--lang", "nan,sw", "--quiet", "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["result"]["jaccard"] == [[None, 0.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (["-s", "none.zarr"], 1, "there is no store at 'none.zarr'.", "build the store"),
        (["--lang", "sw,swahili"], 2, "no language 'swahili' in the store 'xsns.zarr'.", "did you mean 'sw' (Swahili)"),
        (["--lang", "sw"], 2, "at least two languages, and 'sw' is the only one.", "--lang sw,en"),
        (["--lang", "sw,pt-BR"], 2, "no sub-network of 'pt-BR' for seed 8", ""),
        (["--seed", "9"], 2, "the store 'xsns.zarr' has no seed 9.", "it has 7, 8."),
        (["--density", "0.3"], 2, "the store 'xsns.zarr' has no density 0.3.", "it has 0.15."),
        (["-o", "m.xls"], 2, "'m.xls' does not end in the suffix of a supported format.", ".parquet"),
        (["-o", "none/m.csv"], 2, "there is no folder 'none' to write 'm.csv' to.", "create the folder first"),
    ],
)
def test_errors_have_a_message_and_a_hint(folder, arguments, code, message, hint, in_process):
    ended, out, err = in_process(folder, "matrix", *arguments)
    assert (ended, out) == (code, "")
    error, *rest = err.splitlines()
    assert error.startswith("error: ")
    assert message in error
    assert not hint or hint in rest[0]


def test_the_examples_of_the_help_page_run(folder, tmp_path, in_process):
    (tmp_path / "xsns.zarr").symlink_to(folder / "xsns.zarr")
    examples = [line.split(maxsplit=2)[2] for line in command.epilog.splitlines() if line.startswith("  xsns-stream")]
    assert len(examples) == 7
    for example in examples:
        code, out, _ = in_process(tmp_path, "matrix", *shlex.split(example))
        assert code == 0
        assert out.startswith("layer" if "--by" in example else "source")
    assert {path.name for path in tmp_path.iterdir()} == {
        *("xsns.zarr", "similarity.csv", "similarity.png", "tree.nwk", "tree.pdf"),
    }
