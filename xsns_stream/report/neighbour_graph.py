"""Graphs of nearest neighbours in the GraphML format, which networkx, igraph, Gephi and Cytoscape read."""

from __future__ import annotations

from typing import Any, BinaryIO

import numpy as np

from xsns_stream.io.escaping import visible
from xsns_stream.report.page.languages import page_languages
from xsns_stream.types import SimilarityMatrix


def neighbour_graph(matrix: SimilarityMatrix, count: int) -> Any:
    """Return a directed graph with an edge from each of the nearest sources to each target.

    A node is a language with the attributes `code`, `name`, `family` and `script`, and, if known, `latitude` and
    `longitude`. An edge has the attributes `similarity`, `weight` (the same number, which programs for graphs expect)
    and `rank`, from 1 for the nearest source. Sources with an undefined similarity have no edge.

    Args:
        matrix: The matrix.
        count: Number of nearest sources of each target.

    Returns:
        A :class:`networkx.DiGraph`.
    """
    import networkx as nx

    graph = nx.DiGraph(coefficient=matrix.coefficient, neighbours=count)
    for language in page_languages(tuple(dict.fromkeys((*matrix.sources, *matrix.targets)))):
        code = visible(language.code)
        places = {"latitude": language.latitude, "longitude": language.longitude}
        known = {key: float(value) for key, value in places.items() if value is not None}
        name, family, script = (visible(text) for text in (language.name, language.family, language.script))
        graph.add_node(code, code=code, name=name, family=family, script=script, **known)
    for column, target in enumerate(matrix.targets):
        values = matrix.values[:, column]
        order = [int(row) for row in np.argsort(-values, kind="stable") if np.isfinite(values[row])]
        nearest = [row for row in order if matrix.sources[row] != target][:count]
        for rank, row in enumerate(nearest, 1):
            value = float(values[row])
            graph.add_edge(visible(matrix.sources[row]), visible(target), similarity=value, weight=value, rank=rank)
    return graph


def write_graphml(matrix: SimilarityMatrix, file: BinaryIO, *, count: int) -> None:
    """Write the :func:`neighbour_graph` of a matrix in the GraphML format.

    Args:
        matrix: The matrix.
        file: The file.
        count: Number of nearest sources of each target.
    """
    import networkx as nx

    nx.write_graphml_xml(neighbour_graph(matrix, count), file, named_key_ids=True)
