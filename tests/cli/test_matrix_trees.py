"""The verb `matrix`: trees, clusters, support, and files for other programs."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dendropy
import numpy as np
import pytest

import xsns_stream as xs
from tests.support import networks
from xsns_stream.errors import UsageError
from xsns_stream.pipeline.resampling import TREES
from xsns_stream.store import open_store

InProcess = Callable[..., Any]
LAYOUT = networks.make_layout(3, 12_800)
#: {language: the language from whose bits its own bits are made, with some noise}.
LIKE = {"sw": "sw", "zu": "sw", "fi": "fi", "et": "fi", "de": "de"}
PARTS = 4


def bits_of(language: str, number: int = 0) -> np.ndarray:
    """Return the bits of a language without part `number`; languages of one family share most bits."""
    shared = networks.make_bits(LAYOUT.size, ord(LIKE[language][0]))
    own = networks.make_bits(LAYOUT.size, 1000 * (number + 1) + ord(language[0]) + ord(language[1]))
    return shared & ~own


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two stores of five languages from three families; one store has parts."""
    folder = tmp_path_factory.mktemp("trees")
    for name in ("parts.zarr", "xsns.zarr"):
        store = open_store(folder / name, "a")
        for language in LIKE:
            if name == "parts.zarr":
                for number in range(1, PARTS + 1):
                    row = networks.make_sub(language, 7, 0.15, LAYOUT, bits_of(language, number))
                    store.write_fold(row, PARTS, number)
            store.write(networks.make_sub(language, 7, 0.15, LAYOUT, bits_of(language)))
    return folder


def joins(path: Path) -> dict[frozenset[str], str | None]:
    """Return {languages below an inner node: label of the node} from a Newick file."""
    tree = dendropy.Tree.get(path=str(path), schema="newick", suppress_internal_node_taxa=True)
    return {
        frozenset(leaf.taxon.label for leaf in node.leaf_iter()): node.label
        for node in tree.preorder_internal_node_iter()
    }


def test_clusters_are_printed_with_names_and_families(folder: Path, in_process: InProcess) -> None:
    completed = in_process(folder, "matrix", "--cluster", "3")
    assert completed.code == 0, completed.err
    table = completed.out.split("\n\n")[-1]
    assert table.split()[:3] == ["cluster", "languages", "families"]
    assert "2  Atlantic-Congo 2" in table
    assert "Swahili (sw)" in table
    assert "adjusted Rand index of the clusters and the families of 5 languages: 1.00 (1 is the same" in completed.err
    result = json.loads(in_process(folder, "matrix", "--clusters", "3", "--json", "-q").out)["result"]
    clusters = result["clusters"]
    assert (clusters["adjusted_rand"], clusters["with_family"]) == (1.0, 5)
    uralic = next(group for group in clusters["groups"] if "fi" in group["languages"])
    assert sorted(uralic["names"]) == ["Estonian", "Finnish"]
    assert uralic["families"] == {"Uralic": 2}
    assert "jaccard" in result, "the JSON object has the matrix with and without clusters"


def test_a_tree_has_support_if_the_store_has_parts(folder: Path, in_process: InProcess) -> None:
    completed = in_process(folder, "matrix", "-s", "parts.zarr", "-o", "t.nwk", "-o", "m.csv", "-o", "t.phy")
    assert completed.code == 0, completed.err
    support = joins(folder / "t.nwk")
    assert support[frozenset({"sw", "zu"})] == "100"
    assert support[frozenset({"fi", "et"})] == "100"
    between = {group: label for group, label in support.items() if len(group) in (3, 4)}
    assert all(label is not None and 0 < int(label) <= 100 for label in between.values())
    assert support[frozenset(LIKE)] is None
    matrix = xs.similarity(str(folder / "parts.zarr"), support=True)
    assert matrix.support is not None
    assert (matrix.support.basis, matrix.support.resamples) == (f"{PARTS} parts", TREES)
    assert f"{matrix.tree()}\n" == (folder / "t.nwk").read_text()
    # The page shows the same numbers.
    page = xs.report(str(folder / "parts.zarr"), layers=False).page
    assert page.tree is not None
    assert page.tree.support is not None
    np.testing.assert_array_equal(page.tree.support, matrix.tree().join_support)


@pytest.mark.parametrize("arguments", [("-s", "parts.zarr", "--no-support"), (), ("-s", "parts.zarr", "--sample", "1")])
def test_a_tree_without_support_says_why(folder: Path, in_process: InProcess, arguments: tuple[str, ...]) -> None:
    completed = in_process(folder, "matrix", *arguments, "-o", "t.nwk")
    assert completed.code == 0, completed.err
    assert set(joins(folder / "t.nwk").values()) == {None}
    note = "note: the tree has no support values, because the store has no parts (`build --parts 8` adds them)."
    assert (note in completed.err) == (arguments == ())
    if "--sample" in arguments:
        assert "no support values, because the similarities are estimated from a sample" in completed.err


def test_parts_are_not_read_without_a_tree(folder: Path, in_process: InProcess) -> None:
    completed = in_process(folder, "matrix", "-o", "m.csv")
    assert "support" not in completed.err
    assert xs.similarity(str(folder / "parts.zarr")).support is None


def test_support_needs_all_parameters() -> None:
    for options in ({"by": "layer"}, {"sample": 0.5}):
        with pytest.raises(UsageError, match="support cannot be computed"):
            xs.similarity("xsns.zarr", support=True, **options)  # type: ignore[call-overload]


def test_a_tree_has_no_support_if_a_language_lacks_parts(folder: Path, tmp_path: Path, in_process: InProcess) -> None:
    copied = in_process(folder, "copy", "parts.zarr", str(tmp_path / "some.zarr"), "--lang", "sw,fi,et")
    assert copied.code == 0, copied.err
    store = open_store(tmp_path / "some.zarr", "a")
    store.write(networks.make_sub("de", 7, 0.15, LAYOUT, bits_of("de")))
    completed = in_process(tmp_path, "matrix", "-s", "some.zarr", "-o", "t.nwk")
    assert completed.code == 0, completed.err
    assert "languages without 4 parts have no interval: de." in completed.err
    assert "the tree has no support values, because some languages have no parts." in completed.err


@pytest.mark.parametrize(
    ("arguments", "message", "hint"),
    [
        (("--cluster", "9"), "5 languages cannot be divided into 9 clusters.", "give a number from 1 to 5"),
        (("--cluster", "0"), "0 is not in the range", "--help"),
        (("--cluster", "2", "--by", "layer"), "--cluster cannot be combined with --by.", "all parameters"),
        (("--cluster", "2", "--target", "sw"), "--cluster needs the same languages", "--lang"),
        (("-o", "t.nwk", "--target", "sw"), "'t.nwk' needs the same languages", "--lang"),
        (("-o", "t.PHY", "--sources", "sw,fi"), "'t.PHY' needs the same languages", "--lang"),
        (("-o", "t.svg", "--figure", "tree", "--target", "fi"), "'t.svg' needs the same languages", "--lang"),
        (("-o", "t.nwk", "--by", "layer"), "'t.nwk' does not end in the suffix of a supported format.", ".npz"),
        (
            (
                "-o",
                "t.newick",
            ),
            "'t.newick' does not end in the suffix of a supported format.",
            ".nwk, .phy, .graphml",
        ),
        (("-o", "t.svg", "--figure", "three"), "'three' is not one of", "--help"),
        (("--width", "nan", "-o", "t.svg"), "nan is not in the range 1<=x<=200.", "--help"),
        (("--sample", "nan"), "nan is not in the range 0<x<=1.", "--help"),
        (("--nearest", "0"), "0 is not in the range", "--help"),
        (("--nearest", "2"), "--nearest applies to none of the output files.", "-o FILE with the suffix .graphml"),
        (("--figure", "tree", "-o", "t.csv"), "--figure applies to none of the output files.", ".png or .svg or .pdf"),
        (("--width", "7", "-o", "t.nwk"), "--width applies to none of the output files.", ".png or .svg or .pdf"),
        (("--strict-names",), "--strict-names applies to none of the output files.", ".phy"),
    ],
)
def test_invalid_options_are_refused_before_anything_is_counted(
    folder: Path, in_process: InProcess, arguments: tuple[str, ...], message: str, hint: str
) -> None:
    ended, out, err = in_process(folder, "matrix", *arguments)
    assert (ended, out) == (2, "")
    error, hint_line, *_ = err.splitlines()
    assert message in error
    assert hint in hint_line


def test_the_same_languages_on_both_sides_have_a_tree(folder: Path, in_process: InProcess) -> None:
    completed = in_process(
        folder, "matrix", "--sources", "sw,fi,et", "--target", "et,sw,fi", "-o", "t.nwk", "--cluster", "2"
    )
    assert completed.code == 0, completed.err
    assert frozenset({"fi", "et"}) in joins(folder / "t.nwk")


def test_notes_on_files_are_in_json(folder: Path, in_process: InProcess) -> None:
    completed = in_process(folder, "matrix", "--json", "--coefficient", "containment", "-o", "t.nwk", "--no-support")
    note = "t.nwk: containment is not symmetric; the distance is the mean of both directions."
    assert json.loads(completed.out)["result"]["notes"] == [note]
    assert f"note: {note}" in completed.err


def test_a_baseline_has_the_same_files(folder: Path, in_process: InProcess) -> None:
    names = ("s.nwk", "s.phy", "s.graphml", "s.html", "s.svg")
    outputs = [part for name in names for part in ("-o", name)]
    completed = in_process(folder, "baseline", "script", "--lang", "sw,fi,ar", *outputs)
    assert completed.code == 0, completed.err
    assert [line for line in completed.err.splitlines() if line.startswith("wrote")] == [
        f"wrote {name}" for name in names
    ]
    assert set(joins(folder / "s.nwk")) == {frozenset({"sw", "fi"}), frozenset({"sw", "fi", "ar"})}
