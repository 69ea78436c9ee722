"""Clusters of languages: the groups of the tree, their families, and their agreement."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster
from sklearn.metrics import adjusted_rand_score

import xsns_stream as xs
from tests.support.pages import CODES, similarities
from xsns_stream.errors import UsageError


def test_clusters_are_those_of_the_report_page() -> None:
    matrix = similarities()
    for count in range(1, len(CODES) + 1):
        clusters = matrix.clusters(count)
        assert len(clusters) == count
        number = clusters.number_of()
        expected = fcluster(matrix.tree().linkage, count, "maxclust")
        assert adjusted_rand_score(expected, [number[code] for code in CODES]) == 1.0
        assert [code for cluster in clusters for code in cluster] == list(matrix.tree().leaves)


def test_clusters_are_compared_with_families() -> None:
    clusters = similarities().clusters(4)
    assert {frozenset(cluster) for cluster in clusters} == {
        frozenset(CODES[:3]),
        frozenset(CODES[3:6]),
        frozenset(CODES[6:9]),
        frozenset(CODES[9:]),
    }
    # The label that is not a language has no family, and does not count.
    assert (clusters.agreement, len(clusters.families)) == (1.0, 9)
    bantu = next(number for number, cluster in enumerate(clusters, 1) if "sw" in cluster)
    assert clusters.families_of(bantu) == (("Atlantic-Congo", 3),)
    frame = clusters.to_frame()
    assert list(frame.columns) == ["cluster", "language", "family"]
    assert dict(zip(frame["language"], frame["family"], strict=True))["fi"] == "Uralic"
    assert "adjusted Rand index with language families: 1.00" in repr(clusters)
    assert "<script>" not in clusters._repr_html_()


def test_unknown_families_have_no_agreement() -> None:
    codes = ("x-a", "x-b", "sw")
    clusters = xs.SimilarityMatrix(codes, codes, np.eye(3), "jaccard").clusters(2)
    assert np.isnan(clusters.agreement)
    assert clusters.to_dict()["adjusted_rand"] is None
    assert "unknown" in repr(clusters)


@pytest.mark.parametrize("count", [0, 11])
def test_a_number_out_of_range_is_refused(count: int) -> None:
    with pytest.raises(UsageError, match=f"10 languages cannot be divided into {count} clusters") as caught:
        similarities().clusters(count)
    assert caught.value.hint == "give a number from 1 to 10."
