"""Newick trees and PHYLIP distances, as other programs read them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import dendropy
import numpy as np
import pytest
from scipy.cluster.hierarchy import cophenet

from xsns_stream.errors import UsageError
from xsns_stream.report import FileOptions, MatrixFileWarning, write_matrix
from xsns_stream.report.tree_files import phylip_names
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.language_tree import TreeSupport

#: Labels with every character that has a meaning in the Newick format, and a label that is markup.
NASTY = ("sw", "o'k", "my corpus (1)", "a:b,c;d[e]", "zh_Hant", "<script>", "''", "日本語", "1e5", "nan")


def square(codes: Sequence[str], seed: int = 0, **fields: object) -> SimilarityMatrix:
    values = np.random.default_rng(seed).uniform(0.1, 0.9, (len(codes), len(codes)))
    values = (values + values.T) / 2
    np.fill_diagonal(values, 1.0)
    return SimilarityMatrix(tuple(codes), tuple(codes), values, "jaccard", **fields)  # type: ignore[arg-type]


def read_tree(path: Path) -> dendropy.Tree:
    return dendropy.Tree.get(path=str(path), schema="newick", suppress_internal_node_taxa=True)


def tip_distances(tree: dendropy.Tree, codes: Sequence[str]) -> Reals:
    """Return the lengths of the paths between all pairs of leaves, computed by DendroPy."""
    distances = tree.phylogenetic_distance_matrix()
    taxa = {taxon.label: taxon for taxon in tree.taxon_namespace}
    return np.array([[distances.patristic_distance(taxa[a], taxa[b]) for b in codes] for a in codes])


# ---------------------------------------------------------------------------------------------- Newick


@pytest.mark.parametrize("codes", [NASTY, ("sw", "fi"), tuple(f"x-{i}" for i in range(40))], ids=["nasty", "two", "40"])
def test_another_program_reads_the_labels_and_the_distances(tmp_path: Path, codes: tuple[str, ...]) -> None:
    matrix = square(codes)
    tree = read_tree(write_matrix(matrix, tmp_path / "t.nwk"))
    assert sorted(leaf.taxon.label for leaf in tree.leaf_node_iter()) == sorted(codes)
    distances = tip_distances(tree, codes)[np.triu_indices(len(codes), 1)]
    np.testing.assert_allclose(distances, cophenet(matrix.tree().linkage), rtol=1e-11)


def test_plain_codes_have_no_quotation_marks(tmp_path: Path) -> None:
    """R's `ape::read.tree` keeps quotation marks as a part of the label."""
    text = write_matrix(square(("sw", "zh-Hant", "zh_Hant")), tmp_path / "t.nwk").read_text()
    assert "'zh_Hant':" in text, "readers replace underscores without quotation marks by blanks"
    assert text.count("'") == 2
    assert text.endswith(";\n")


def test_support_is_the_label_of_a_join(tmp_path: Path) -> None:
    codes = ("sw", "zu", "fi", "et")
    values = np.full((4, 4), 0.2)
    values[0, 1] = values[1, 0] = values[2, 3] = values[3, 2] = 0.6
    shares = {frozenset({"sw", "zu"}): 0.957, frozenset({"fi", "et"}): 0.5, frozenset(codes): 1.0}
    matrix = SimilarityMatrix(codes, codes, values, "jaccard", support=TreeSupport(shares, "8 parts", 200))
    tree = read_tree(write_matrix(matrix, tmp_path / "t.nwk"))
    support = {
        frozenset(leaf.taxon.label for leaf in node.leaf_iter()): node.label
        for node in tree.preorder_internal_node_iter()
    }
    assert support == {frozenset({"sw", "zu"}): "96", frozenset({"fi", "et"}): "50", frozenset(codes): None}


def test_equal_languages_have_branches_of_length_zero(tmp_path: Path) -> None:
    matrix = SimilarityMatrix(("a", "b", "c"), ("a", "b", "c"), np.ones((3, 3)), "jaccard")
    tree = read_tree(write_matrix(matrix, tmp_path / "t.nwk"))
    assert [edge.length for edge in tree.postorder_edge_iter() if edge.length is not None] == [0.0] * 4


def test_a_tree_can_have_five_hundred_languages(tmp_path: Path) -> None:
    codes = tuple(f"x-{i}" for i in range(500))
    tree = read_tree(write_matrix(square(codes), tmp_path / "t.nwk"))
    assert len(tree.leaf_nodes()) == 500


def test_a_tree_can_be_saved_alone(tmp_path: Path) -> None:
    tree = square(("sw", "fi")).tree()
    assert tree.save(tmp_path / "t.nwk").read_text() == f"{tree}\n"
    with pytest.raises(UsageError, match="does not end in the suffix") as caught:
        tree.save(tmp_path / "t.tree")
    assert ".nwk" in caught.value.hint


# ------------------------------------------------------------------------------------ what files change


def test_undefined_similarities_of_a_tree_are_named(tmp_path: Path) -> None:
    matrix = square(("sw", "fi", "et", "zu"))
    matrix.values[1, :] = matrix.values[:, 1] = np.nan
    with pytest.warns(MatrixFileWarning, match=r"t\.nwk: the similarities of fi to some languages are undefined"):
        write_matrix(matrix, tmp_path / "t.nwk")
    with pytest.raises(UsageError, match=r"similarities of fi to some languages are undefined, and a \.phy") as caught:
        write_matrix(matrix, tmp_path / "t.phy")
    assert "--lang" in caught.value.hint
    assert not (tmp_path / "t.phy").exists()


@pytest.mark.parametrize("suffix", [".nwk", ".phy"])
def test_other_distances_than_one_minus_similarity_are_explained(tmp_path: Path, suffix: str) -> None:
    matrix = square(("sw", "fi", "et"))
    matrix.values[0, 1] += 0.01
    notes: list[str] = []
    write_matrix(matrix, tmp_path / f"t{suffix}", on_note=notes.append)
    write_matrix(
        replace(square(("a", "b")), values=np.full((2, 2), 3.0)), tmp_path / f"u{suffix}", on_note=notes.append
    )
    assert notes == [
        f"t{suffix}: jaccard is not symmetric; the distance is the mean of both directions.",
        f"u{suffix}: some similarities are larger than 1; all distances are increased by the same number, "
        "and the smallest one is then 0.",
    ]


@pytest.mark.parametrize("suffix", [".nwk", ".phy"])
@pytest.mark.parametrize(("sources", "targets"), [(("sw", "fi"), ("sw", "et")), (("sw",), ("sw", "fi"))])
def test_a_rectangle_is_refused(
    tmp_path: Path, suffix: str, sources: tuple[str, ...], targets: tuple[str, ...]
) -> None:
    matrix = SimilarityMatrix(sources, targets, np.ones((len(sources), 2)), "jaccard")
    with pytest.raises(UsageError, match="same languages as sources and as targets"):
        write_matrix(matrix, tmp_path / f"t{suffix}")


def test_one_language_has_no_tree(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="at least two languages"):
        write_matrix(SimilarityMatrix(("sw",), ("sw",), np.ones((1, 1)), "jaccard"), tmp_path / "t.nwk")


# ---------------------------------------------------------------------------------------------- PHYLIP


def read_strict(path: Path) -> tuple[list[str], Reals]:
    """Read a distance matrix as the program `neighbor` of PHYLIP does: a name has ten characters."""
    first, *lines = path.read_text(encoding="utf-8").splitlines()
    assert int(first) == len(lines)
    return [line[:10].rstrip() for line in lines], np.array([line[10:].split() for line in lines], float)


def read_relaxed(path: Path) -> tuple[list[str], Reals]:
    """Read a distance matrix as QuickTree, FastME and RapidNJ do: a name ends before the first blank."""
    lines = [line.split() for line in path.read_text(encoding="utf-8").splitlines()[1:]]
    return [line[0] for line in lines], np.array([line[1:] for line in lines], float)


def test_a_file_with_short_names_is_strict_and_relaxed(tmp_path: Path) -> None:
    matrix = square(("sw", "zh-Hant-TW", "<script>"))
    path = write_matrix(matrix, tmp_path / "t.phy")
    for names, values in (read_strict(path), read_relaxed(path)):
        assert names == list(matrix.sources)
        np.testing.assert_allclose(values, np.where(np.eye(3), 0.0, 1 - matrix.values), atol=5e-9)


def test_long_names_are_kept_or_shortened(tmp_path: Path) -> None:
    matrix = square(("sw", "my corpus (1)", "my corpus (2)"))
    notes: list[str] = []
    relaxed = write_matrix(matrix, tmp_path / "t.phy", on_note=notes.append)
    assert read_relaxed(relaxed)[0] == ["sw", "my_corpus__1_", "my_corpus__2_"]
    assert "my corpus (1) → my_corpus__1_" in notes[0]
    assert "--strict-names" in notes[1]
    options = FileOptions(strict_names=True)
    strict = write_matrix(matrix, tmp_path / "s.phy", options=options, on_note=notes.append)
    assert read_strict(strict)[0] == read_relaxed(strict)[0] == ["sw", "my_corpus_", "my_corpu_2"]
    assert "my corpus (2) → my_corpu_2" in notes[2]
    assert len(notes) == 3


def test_names_are_unique() -> None:
    codes = ("a b", "a_b", "a:b", "x" * 11, "x" * 12, "x" * 10, "日本", "日木", "")
    for strict in (True, False):
        names = phylip_names(codes, strict=strict)
        assert len(set(names)) == len(codes)
        assert names[1] == "a_b", "a short name is not changed"
        assert not strict or (max(map(len, names)) <= 10 and names[5] == "x" * 10)


def test_quicktree_reads_both_kinds_of_names(tmp_path: Path) -> None:
    program = shutil.which("quicktree")
    if program is None:
        pytest.skip("the program quicktree is not installed (`apt-get install quicktree`)")
    matrix = square(NASTY[:6])
    for strict in (True, False):
        path = write_matrix(
            matrix, tmp_path / "t.phy", options=FileOptions(strict_names=strict), on_note=lambda _: None
        )
        completed = subprocess.run([program, "-in", "m", path], capture_output=True, text=True, check=True, timeout=60)
        tree = dendropy.Tree.get(data=completed.stdout, schema="newick", preserve_underscores=True)
        assert sorted(leaf.taxon.label for leaf in tree.leaf_node_iter()) == sorted(read_relaxed(path)[0])
