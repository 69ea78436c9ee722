"""Graphs of nearest neighbours, as networkx reads them."""

from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np

from xsns_stream.report import FileOptions, write_matrix
from xsns_stream.types import SimilarityMatrix

CODES = ("sw", "zu", "fi", "et", "<script>&\x07")
VALUES = np.array(
    [
        [1.0, 0.7, 0.2, 0.3, 0.1],
        [0.7, 1.0, 0.25, 0.1, np.nan],
        [0.2, 0.25, 1.0, 0.8, 0.4],
        [0.3, 0.1, 0.8, 1.0, 0.5],
        [0.1, np.nan, 0.4, 0.5, 1.0],
    ]
)


def test_nodes_are_languages_and_edges_lead_from_the_nearest_sources(tmp_path: Path) -> None:
    matrix = SimilarityMatrix(CODES, CODES, VALUES, "jaccard")
    graph = nx.read_graphml(write_matrix(matrix, tmp_path / "g.graphml", options=FileOptions(neighbours=2)))
    assert graph.is_directed()
    assert list(graph) == ["sw", "zu", "fi", "et", "<script>&\\x07"]
    finnish = graph.nodes["fi"]
    assert (finnish["code"], finnish["name"], finnish["family"], finnish["script"]) == (
        *("fi", "Finnish"),
        *("Uralic", "Latin"),
    )
    assert 59 < finnish["latitude"] < 70
    assert graph.nodes["<script>&\\x07"]["family"] == ""
    into = {target: {source: graph.edges[source, target] for source in graph.predecessors(target)} for target in graph}
    assert {target: set(sources) for target, sources in into.items()} == {
        "sw": {"zu", "et"},
        "zu": {"sw", "fi"},
        "fi": {"et", "<script>&\\x07"},
        "et": {"fi", "<script>&\\x07"},
        "<script>&\\x07": {"fi", "et"},
    }
    assert into["sw"]["et"] == {"similarity": 0.3, "weight": 0.3, "rank": 2}


def test_a_graph_may_have_one_target(tmp_path: Path) -> None:
    matrix = SimilarityMatrix(("sw", "fi", "zu"), ("zu",), VALUES[[0, 2, 1]][:, [1]], "jaccard")
    graph = nx.read_graphml(write_matrix(matrix, tmp_path / "g.graphml"))
    assert set(graph.edges) == {("sw", "zu"), ("fi", "zu")}
    assert graph.edges["fi", "zu"]["rank"] == 2


def test_the_same_matrix_gives_the_same_bytes(tmp_path: Path) -> None:
    matrix = SimilarityMatrix(CODES, CODES, VALUES, "jaccard")
    first, second = (write_matrix(matrix, tmp_path / name).read_bytes() for name in ("a.graphml", "b.graphml"))
    assert first == second
