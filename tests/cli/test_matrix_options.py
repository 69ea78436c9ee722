"""The verb `matrix`: options that select rows, and options of counting."""

import json

import numpy as np
import pandas as pd
import pytest

from tests.support import networks
from tests.support.streams import without_next
from xsns_stream.similarity import count_overlaps_by_seed, sample_overlaps_by_seed, similarity, similarity_by_group
from xsns_stream.store import open_store

CODES = ("en", "fi", "rw", "sw", "yo", "zh-Hant")


@pytest.fixture
def folder(tmp_path):
    """A store of six languages, two seeds and three layers."""
    layout = networks.make_layout(3, 12_800)
    store = open_store(tmp_path / "xsns.zarr", "a")
    for code in CODES:
        for seed in (7, 8):
            store.write(networks.make_sub(code, seed, layout=layout))
    return tmp_path


@pytest.fixture
def matrix(folder, in_process):
    """Run `matrix --json` and return its result."""

    def call(*arguments):
        code, out, err = in_process(folder, "matrix", "--json", "-q", *arguments)
        assert (code, err) == (0, "")
        return json.loads(out)["result"]

    return call


def expected(folder, coefficient="jaccard", **options):
    return similarity(count_overlaps_by_seed(open_store(folder / "xsns.zarr"), **options), coefficient)


# --------------------------------------------------------------------------------- coefficients, rectangles


@pytest.mark.parametrize("coefficient", ["dice", "overlap", "cosine", "corrected-jaccard", "mutual-information"])
def test_every_coefficient_can_be_chosen(folder, matrix, coefficient):
    result = matrix("--coefficient", coefficient)
    similarities = expected(folder, coefficient)
    assert result["coefficient"] == coefficient
    assert result[coefficient] == similarities.values.tolist()
    corrected = similarities.chance_corrected
    assert result["chance_corrected"] == (None if corrected is None else corrected.tolist())


def test_a_rectangle_reads_no_other_row(folder, matrix):
    labels = json.loads((folder / "xsns.zarr/subnetworks/zarr.json").read_text())["attributes"]["languages"]
    for seed in (0, 1):
        for code in ("rw", "yo"):
            (folder / f"xsns.zarr/subnetworks/c/0/{seed}/{labels.index(code)}/0").unlink()
    result = matrix("--sources", "en,sw", "--target", "sw", "--target", "fi,zh-hant", "--coefficient", "containment")
    assert (result["sources"], result["targets"]) == (["en", "sw"], ["sw", "fi", "zh-Hant"])
    assert "languages" not in result
    assert result["parameters"] == 38_400
    similarities = expected(folder, "containment", sources=["en", "sw"], targets=["sw", "fi", "zh-Hant"])
    assert result["containment"] == similarities.values.tolist()


def test_a_rectangle_is_printed_with_sources_as_rows(folder, in_process):
    code, out, _ = in_process(folder, "matrix", "--target", "sw,fi")
    assert code == 0
    header, _, *lines = out.splitlines()
    assert header.split() == ["source", "sw", "fi"]
    assert [line.split()[0] for line in lines] == list(CODES)


# ------------------------------------------------------------------------------------------------ groups


def test_json_has_one_matrix_for_each_layer(folder, matrix):
    result = matrix("--by", "layer", "--lang", "sw,fi,en")
    store = open_store(folder / "xsns.zarr")
    by_group = similarity_by_group(count_overlaps_by_seed(store, languages=("sw", "fi", "en"), by="layer"))
    assert (result["by"], result["languages"], result["seeds"]) == ("layer", ["sw", "fi", "en"], [7, 8])
    assert [group["name"] for group in result["groups"]] == ["layer.0", "layer.1", "layer.2"]
    for group, (name, values) in zip(result["groups"], by_group, strict=True):
        assert group["jaccard"] == values.values.tolist()
        assert group["mean"] == values.mean_of_pairs
        assert (group["name"], group["parameters"]) == (name, 12_800)
    assert sum(group["share"] for group in result["groups"]) == pytest.approx(1)


def test_groups_are_printed_and_written_to_every_format(folder, in_process):
    names = ("g.csv", "g.tsv", "g.parquet", "g.json", "g.npz")
    outputs = [part for name in names for part in ("-o", name)]
    code, out, err = in_process(folder, "matrix", "--by", "tensor", "--coefficient", "dice", *outputs)
    assert code == 0
    assert without_next(err).splitlines() == [f"wrote {name}" for name in names]
    header, _, *lines = out.splitlines()
    assert header.split() == ["tensor", "parameters", "share", "of", "all", "share", "of", "selected", "mean", "dice"]
    store = open_store(folder / "xsns.zarr")
    by_group = similarity_by_group(count_overlaps_by_seed(store, by="tensor"), "dice")
    cells = [
        [name, "12,800", "33.3%", f"{share:.1%}", f"{values.mean_of_pairs:.3f}"]
        for (name, values), share in zip(by_group, by_group.shares, strict=True)
    ]
    assert [line.split() for line in lines] == cells
    frames = [
        pd.read_csv(folder / "g.csv"),
        pd.read_csv(folder / "g.tsv", sep="\t"),
        pd.read_parquet(folder / "g.parquet"),
    ]
    for frame in frames:
        assert list(frame.columns) == ["group", "source", "target", "dice"]
        assert len(frame) == 3 * 6 * 6
        np.testing.assert_allclose(frame["dice"].to_numpy().reshape(3, 6, 6), by_group.values, rtol=1e-15)
    document = json.loads((folder / "g.json").read_text())
    assert (document["by"], document["density"], document["sources"]) == ("tensor", 0.15, list(CODES))
    assert [group["values"] for group in document["groups"]] == by_group.values.tolist()
    with np.load(folder / "g.npz") as arrays:
        assert np.array_equal(arrays["values"], by_group.values)
        assert arrays["groups"].tolist() == list(by_group.names)
        assert arrays["sizes"].tolist() == [12_800] * 3


# ------------------------------------------------------------------------------------------------ samples


def test_a_sample_has_standard_errors(folder, matrix, in_process):
    result = matrix("--sample", "0.3", "-o", "s.json", "-o", "s.npz")
    similarities = similarity(sample_overlaps_by_seed(open_store(folder / "xsns.zarr"), 0.3))
    assert result["jaccard"] == similarities.values.tolist()
    assert result["standard_error"] == similarities.standard_error.tolist()
    assert 0.2 < result["sampled"] < 0.4
    assert json.loads((folder / "s.json").read_text())["standard_error"] == result["standard_error"]
    with np.load(folder / "s.npz") as arrays:
        assert arrays["standard_error"].tolist() == result["standard_error"]
    code, _, err = in_process(folder, "matrix", "--sample", "0.3")
    assert code == 0
    off = similarities.standard_error[~np.eye(6, dtype=bool)]
    assert err.startswith(f"estimated from {result['sampled']:.1%} of the parameters; one standard deviation of ")
    assert f"± {off.mean():.4f} on average, ± {off.max():.4f} at most" in err
    assert not (folder / "xsns.zarr/overlaps").exists(), "estimates are never saved"


def test_a_sample_of_all_parameters_is_exact(folder, matrix):
    result = matrix("--sample", "1")
    assert result["jaccard"] == matrix()["jaccard"]
    assert not np.any(result["standard_error"])


# ------------------------------------------------------------------------------------------- what is kept


def test_counts_are_saved_unless_no_keep_is_given(folder, matrix):
    overlaps = folder / "xsns.zarr/overlaps"
    first = matrix("--no-keep")
    assert not overlaps.exists()
    assert matrix() == first
    cached = sorted(overlaps.glob("*/*/*/zarr.json"))
    assert [path.parent.parent.name for path in cached] == ["7", "8"]
    objects = [path for path in (folder / "xsns.zarr/subnetworks/c").rglob("*") if path.is_file()]
    for path in objects:
        path.rename(path.with_suffix(".away"))
    assert matrix() == first, "no row is read"
    for path in objects:
        path.with_suffix(".away").rename(path)
    assert matrix("--recount", "--no-keep") == first
    assert sorted(overlaps.glob("*/*/*/zarr.json")) == cached
    assert matrix("--recount") == first
    assert sorted(overlaps.glob("*/*/*/zarr.json")) != cached


def test_a_ranking_uses_saved_counts_and_is_the_same(folder, matrix, in_process):
    _, before, _ = in_process(folder, "rank", "--target", "sw", "--json", "--coefficient", "cosine")
    matrix()
    for path in (folder / "xsns.zarr/subnetworks/c").rglob("0"):
        if path.is_file():
            path.unlink()
    code, after, _ = in_process(folder, "rank", "--target", "sw", "--json", "--coefficient", "cosine")
    assert code == 0
    assert after == before
    assert json.loads(after)["result"]["coefficient"] == "cosine"


@pytest.mark.parametrize("options", [(), ("--by", "layer"), ("--sample", "0.5"), ("--sources", "sw", "--target", "fi")])
def test_verify_finds_damage_that_saved_counts_do_not_show(folder, matrix, in_process, options):
    matrix()
    labels = json.loads((folder / "xsns.zarr/subnetworks/zarr.json").read_text())["attributes"]["languages"]
    path = folder / f"xsns.zarr/subnetworks/c/0/1/{labels.index('fi')}/0"
    data = bytearray(path.read_bytes())
    # Two bits are exchanged, so that the cardinality does not change.
    first, second = (next(i for i in range(100) if data[i] & 1 == value) for value in (0, 1))
    data[first] ^= 1
    data[second] ^= 1
    path.write_bytes(data)
    assert in_process(folder, "matrix", *options)[0] == 0
    code, out, err = in_process(folder, "matrix", "--verify", *options)
    assert (code, out) == (1, "")
    assert "'fi' (seed 8, density 0.15)" in err


# ------------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("arguments", "code", "message", "hint"),
    [
        (["--lang", "sw,fi", "--target", "en"], 2, "--lang cannot be combined with --sources or --target.", "--lang"),
        (["--by", "layer", "--sample", "0.1"], 2, "--by and --sample cannot be combined.", "not estimated"),
        (["--by", "layer", "--recount"], 2, "--recount cannot be combined with --by.", "never saved"),
        (["--sample", "0.1", "--no-keep"], 2, "--no-keep cannot be combined with --sample.", "never saved"),
        (["--by", "layer", "-o", "m.png"], 2, "'m.png' does not end in the suffix of a supported format.", ".npz"),
        (["--sample", "0.1", "--device", "cuda"], 2, "--device cannot be combined with --sample.", "on the CPU"),
        (["--by", "block"], 2, "'block' is not one of", "--help"),
        (["--sample", "0"], 2, "0.0 is not in the range", "--help"),
        (["--coefficient", "jacard"], 2, "'jacard' is not one of", "--help"),
        (["--sources", "swahilo"], 2, "no language 'swahilo' in the store 'xsns.zarr'.", "did you mean 'sw'"),
        (["--sources", "sw", "--target", "sw"], 2, "at least two languages, and 'sw' is the only one.", "--lang"),
    ],
)
def test_errors_have_a_message_and_a_hint(folder, in_process, arguments, code, message, hint):
    ended, out, err = in_process(folder, "matrix", *arguments)
    assert (ended, out) == (code, "")
    error, hint_line = err.splitlines()
    assert message in error
    assert hint in hint_line


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("matrix", "--store", "memory://a"), "the store 'memory://a' is in memory and is lost when the command ends"),
        (("copy", "xsns.zarr", "memory://a"), "the store 'memory://a' is in memory and is lost when the command ends"),
        (
            ("merge", "all.zarr", "xsns.zarr", "memory://a"),
            "the store 'memory://a' is in memory and is lost when the command ends",
        ),
        (("matrix", "--lang", ",,"), "no language was requested"),
        (("prune", "xsns.zarr", "--lang", ",", "--yes"), "no language was requested"),
        (("prune", "xsns.zarr", "--lang", "", "--yes"), "no language was requested"),
        (("copy", "xsns.zarr", "all.zarr", "--lang", ","), "no language was requested"),
        (("matrix", "--device", "none-such"), "cannot be counted on the device 'none-such'"),
    ],
)
def test_an_empty_list_of_languages_is_refused(folder, in_process, arguments, message):
    # Saved counts do not change the error.
    assert in_process(folder, "matrix", "-q")[0] == 0
    code, _, err = in_process(folder, *arguments)
    assert code == 2
    assert message in err
    assert open_store(folder / "xsns.zarr").languages == CODES
    assert not (folder / "all.zarr").exists()
