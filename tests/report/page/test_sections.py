"""Sections of the report page without a browser: packed numbers, trees, maps, layers, and escaped text."""

from __future__ import annotations

import base64
import json
import re
import sys
import zlib
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster
from sklearn.metrics import adjusted_rand_score, roc_auc_score

from tests.support.pages import CODES, EVIL, full_page, similarities
from xsns_stream.errors import UsageError
from xsns_stream.report.page import group_set, map_section, matrix_of, page_languages, tree_section, write_page
from xsns_stream.report.page.maps import classical_mds
from xsns_stream.report.page.packing import EXACT, codes_of, pack, pack_ends, step_for
from xsns_stream.types import GroupedSimilarity, SimilarityMatrix
from xsns_stream.types.language_clusters import adjusted_rand
from xsns_stream.types.language_tree import clusters_of, distances

# ------------------------------------------------------------------------------------------ packed numbers


def codes(packed: dict[str, Any]) -> np.ndarray:
    """Read packed integers as the page does."""
    raw = np.frombuffer(zlib.decompress(base64.b64decode(packed["data"])), np.uint8).astype(np.int64)
    found = sum(plane << 8 * k for k, plane in enumerate(raw.reshape(packed["bytes"], -1)))
    return np.where(found == 256 ** packed["bytes"] - 1, np.nan, packed["start"] + found)


def unpacked(packed: dict[str, Any]) -> np.ndarray:
    """Read packed numbers as the page does."""
    return (codes(packed) + 0.5) * packed["step"] / packed["scale"]


@pytest.mark.parametrize("steps", [100, 1000, 6000, EXACT])
@pytest.mark.parametrize(
    ("low", "high"), [(0.2, 0.9), (-0.3, 0.01), (0.5, 0.5), (0.0, 98.0), (1e-6, 3e-6), (-4e9, 2e12)]
)
def test_packed_numbers_are_within_half_a_step(low: float, high: float, steps: int) -> None:
    values = np.random.default_rng(0).uniform(low, high, 500)
    values[3] = np.nan
    packed = pack(values, steps=steps)
    step = packed["step"] / packed["scale"]
    found = unpacked(packed)
    assert np.isnan(found[3])
    assert np.nanmax(np.abs(found - values)) <= step / 2 * (1 + 1e-9) + 1e-15 * max(abs(low), abs(high))
    assert high == low or step <= max((high - low) / steps, 5e-12)


@pytest.mark.parametrize("steps", [100, 1000, 6000, EXACT])
@pytest.mark.parametrize("given", [None, 4, 2])
def test_packed_numbers_have_the_digits_of_python(steps: int, given: int | None) -> None:
    """Scores with two decimals are often in the middle between two numbers with one decimal."""
    values = np.random.default_rng(1).uniform(-0.7, 71.0, 3000)
    values = np.append(values if given is None else values.round(given), [0.0, -0.0, 0.25, 0.5, 70.75, 1.5, 2.5])
    packed = pack(values, steps=steps)
    assert packed["decimals"] >= (0 if steps == 100 else 1)
    for decimals in range(min(packed["decimals"], 6) + 1):
        shown = [float(f"{value:.{decimals}f}") for value in unpacked(packed)]
        assert shown == [float(f"{value:.{decimals}f}") for value in values]


def test_packed_ends_of_intervals_have_the_digits_of_python() -> None:
    generator = np.random.default_rng(2)
    values = generator.uniform(0.3, 0.6, 2000)
    low, high = values - generator.uniform(0.0, 0.2, 2000), values + generator.uniform(-0.001, 0.05, 2000)
    low[5] = np.nan
    main = unpacked(pack(values, steps=EXACT))
    for end, packed in zip((low, high), pack_ends(values, low, high, steps=1000), strict=True):
        step, scale = packed["step"], packed["scale"]
        found = (np.floor(main * scale / step) - codes(packed) + 0.5) * step / scale
        assert np.array_equal(np.isnan(found), np.isnan(end))
        assert packed["decimals"] == 3
        assert [f"{value:.3f}" for value in found] == [f"{value:.3f}" for value in end]


def test_a_number_at_the_end_of_a_step_has_the_digits_of_python() -> None:
    # 71.35 is less than its decimal form, and 70.25 is rounded to the even digit.
    assert codes_of(np.array([71.35, 70.25, 70.75, 71.3]), 5, 100).tolist() == [1426, 1404, 1415, 1426]


def test_a_symmetric_matrix_is_packed_without_its_diagonal() -> None:
    values = np.array([[9.0, 0.1, 0.2], [0.1, 9.0, 0.3], [0.2, 0.3, 9.0]])
    packed = pack(values, symmetric=True)
    assert unpacked(packed).tolist() == pytest.approx([0.1, 0.2, 0.3], abs=5e-4)
    assert packed["symmetric"] is True


def test_undefined_numbers_alone_are_packed() -> None:
    assert np.isnan(unpacked(pack(np.array([np.nan, np.inf])))).all()
    assert unpacked(pack(np.array([]))).size == 0


def test_exact_numbers_keep_the_order_of_close_values() -> None:
    values = np.array([0.5, 0.5 + 1e-6, np.nan])
    found = unpacked(pack(values, steps=EXACT))
    assert found[1] > found[0]
    assert np.isnan(found[2])


def test_steps_are_round() -> None:
    assert step_for(1.0, 1000) == (5, 10**4)
    assert step_for(1e-30, 1000) == (5, 10**12)


# ------------------------------------------------------------------------------------------ the tree


def test_clusters_are_those_of_scipy() -> None:
    tree = tree_section(similarities(), page_languages(CODES))
    for count in range(1, len(CODES) + 1):
        expected = fcluster(tree.linkage, count, "maxclust")
        assert adjusted_rand_score(expected, clusters_of(tree.linkage, count)) == 1.0


def test_the_rand_index_is_that_of_scikit_learn() -> None:
    draw = np.random.default_rng(0)
    for _ in range(20):
        one, other = draw.integers(0, 4, (2, 15))
        assert adjusted_rand(one, other) == pytest.approx(adjusted_rand_score(one, other))


def test_the_tree_agrees_with_families() -> None:
    tree = tree_section(similarities(), page_languages(CODES))
    # There are three families. The label without a family does not count in any cluster.
    assert (tree.best_cut, tree.with_family) == (3, 9)
    assert tree.agreement[2] == tree.agreement[3] == 1.0
    assert tree.agreement[0] == pytest.approx(0.0)
    assert tree.cophenetic > 0.9
    assert tree.support is None


def test_agreement_with_scripts_is_told_if_it_is_larger() -> None:
    codes = ("ru", "uk", "kk", "de", "fi", "tr")
    matrix = SimilarityMatrix(
        codes, codes, np.kron(np.eye(2), np.full((3, 3), 0.5)) + 0.2 + 0.01 * np.eye(6), "jaccard"
    )
    tree = tree_section(matrix, page_languages(codes))
    scripts = [language.script for language in page_languages(codes)]
    expected = adjusted_rand_score(scripts, clusters_of(tree.linkage, 2))
    assert tree.script_agreement[1] == expected == 1.0
    assert tree.with_script == 6
    assert tree.sentence.startswith("The clusters agree more with scripts (adjusted Rand index 1.00 for 2 clusters)")
    assert matrix.clusters(2).script_agreement == tree.script_agreement[1]
    assert tree_section(similarities(), page_languages(CODES)).sentence == ""


def test_without_families_there_is_no_agreement() -> None:
    codes = ("x-one", "x-two", "x-three", "x-four")
    tree = tree_section(similarities(codes), page_languages(codes))
    assert np.isnan(tree.agreement).all()
    assert tree.best_cut == 2
    assert tree.to_json({code: i for i, code in enumerate(codes)})["agreement"] == [None] * 4


def test_support_is_the_share_of_trees_with_the_same_group() -> None:
    matrix, other = similarities(), similarities(seed=9).values.copy()
    section = tree_section(matrix, page_languages(CODES), [matrix.values] * 3, "8 parts")
    assert (section.support == 1).all()
    assert (section.resamples, section.basis) == (3, "8 parts")
    # A tree in which Swahili is a Uralic language contradicts the groups with and without Swahili.
    other[0, 1:3] = other[1:3, 0] = 0.0
    other[0, 3:6] = other[3:6, 0] = 0.9
    mixed = tree_section(matrix, page_languages(CODES), [matrix.values, other], "8 parts").support
    assert mixed is not None
    assert mixed[-1] == 1.0, "every tree has the group of all languages"
    assert (mixed == 0.5).any()


# ------------------------------------------------------------------------------------------ the map


def test_scaling_finds_points_of_the_plane() -> None:
    points = np.random.default_rng(1).standard_normal((12, 2))
    distance = np.linalg.norm(points[:, None] - points[None], axis=-1)
    scaled, explained = classical_mds(distance)
    assert np.linalg.norm(scaled[:, None] - scaled[None], axis=-1) == pytest.approx(distance)
    assert explained == pytest.approx(1.0)
    assert np.array_equal(classical_mds(distance)[0], scaled)


def test_undefined_pairs_are_the_farthest() -> None:
    values = np.array([[1.0, 0.8, np.nan], [0.8, 1.0, 0.4], [np.nan, 0.4, 1.0]])
    assert distances(values)[0].tolist() == pytest.approx([0.0, 0.2, 0.6])


def test_neighbours_are_the_most_similar_languages() -> None:
    matrix = similarities()
    section = map_section(matrix)
    for i, near in enumerate(section.neighbours):
        values = matrix.values[i].copy()
        values[i] = -1
        assert list(near) == np.argsort(-values)[:3].tolist()
    assert section.umap is None or section.umap.shape == (len(CODES), 2)


def test_umap_is_used_if_it_is_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments: dict[str, Any] = {}

    class Umap:
        def __init__(self, **options: Any) -> None:
            arguments.update(options)

        def fit_transform(self, distance: np.ndarray) -> np.ndarray:
            arguments["distance"] = distance
            return np.arange(2 * len(distance), dtype=np.float32).reshape(-1, 2)

    module = ModuleType("umap")
    module.UMAP = Umap  # type: ignore[attr-defined]
    module.__spec__ = ModuleSpec("umap", None)
    monkeypatch.setitem(sys.modules, "umap", module)
    section = map_section(similarities())
    assert section.umap is not None
    assert section.umap.shape == (len(CODES), 2)
    assert (arguments["metric"], arguments["random_state"], arguments["n_neighbors"]) == ("precomputed", 0, 9)
    assert (np.diag(arguments["distance"]) == 0).all()
    assert section.to_json({code: i for i, code in enumerate(CODES)})["umap"][0] == [0.0, 0.0556]


# ------------------------------------------------------------------------------------------ layers


def test_separation_is_the_area_under_the_roc_curve() -> None:
    codes = CODES[:9]
    grouped = GroupedSimilarity(
        "layer", ("a", "b"), (similarities(codes, 1), similarities(codes, 2)), (64, 64), (0.5, 0.5)
    )
    languages = page_languages(codes)
    group = group_set(grouped, languages)
    upper = np.triu_indices(9, 1)
    families = np.array([language.family for language in languages])
    same = families[upper[0]] == families[upper[1]]
    for i, matrix in enumerate(grouped.matrices):
        pairs = matrix.values[upper]
        assert group.separations[i] == pytest.approx(roc_auc_score(same, pairs))
        assert group.means[i] == pytest.approx(pairs.mean())
        assert group.spreads[i] == pytest.approx(pairs.std(ddof=1))


def test_without_relatives_there_is_no_separation() -> None:
    codes = ("sw", "fi", "de")
    matrix = SimilarityMatrix(codes, codes, np.full((3, 3), 0.5), "jaccard")
    group = group_set(GroupedSimilarity("layer", ("a",), (matrix,), (64,), (1.0,)), page_languages(codes))
    assert np.isnan(group.separations[0])
    assert group.to_json()["separations"] == [None]


# ------------------------------------------------------------------------------------------ the page


def test_a_rectangular_matrix_is_ordered_on_both_sides() -> None:
    values = np.array([[0.9, 0.1], [0.1, 0.8], [0.8, 0.2], [np.nan, 0.9]])
    matrix = matrix_of(SimilarityMatrix(("a", "b", "c", "d"), ("x", "y"), values, "j"), key="j", title="J")
    assert sorted(matrix.row_order) == [0, 1, 2, 3]
    assert abs(matrix.row_order.index(0) - matrix.row_order.index(2)) == 1
    packed = matrix.to_json({code: i for i, code in enumerate("abcdxy")})
    assert (packed["rows"], packed["columns"]) == ([0, 1, 2, 3], [4, 5])
    assert not packed["values"]["symmetric"]


def test_names_cannot_become_markup() -> None:
    html = full_page().to_html()
    assert EVIL not in html
    assert "&lt;script&gt;alert(1)" in html
    script = re.search(r'<script type="application/json" id="report-data">(.*?)</script>', html, re.DOTALL)
    assert script is not None
    assert "<" not in script[1]
    assert EVIL in [language[0] for language in json.loads(script[1])["languages"]]
    assert html.count("</script>") == 3


def test_invisible_characters_are_shown() -> None:
    codes = ("sw", "zu", "a\u202eb\x07")
    values = np.eye(3) / 2 + 0.5
    page = full_page()
    languages = page_languages(codes)
    matrix = matrix_of(SimilarityMatrix(codes, codes, values, "j"), key="j", title="x\u202ey")
    other = type(page)(page.summary, languages, (matrix,), version="0")
    assert "\u202e" not in other.to_html()
    assert other.to_json()["languages"][2][0] == "a\\u202eb\\x07"
    assert other.sections == (("summary", "Summary"), ("heat-map", "Heat map"))


def test_the_page_names_no_address_that_it_would_load() -> None:
    html = full_page().to_html()
    head = html[: html.index('id="report-data"')]
    assert not re.search(r'(src|href)="(?!#|data:)', head)
    assert "default-src 'none'" in head
    assert "Permission to use, copy, modify" in html, "the licences are in the file"
    assert "CC BY 4.0" in html


def test_the_same_page_gives_the_same_bytes() -> None:
    assert full_page().to_html() == full_page().to_html()


def test_a_page_needs_its_suffix(tmp_path: Any) -> None:
    with pytest.raises(UsageError, match=r"does not end in the suffix") as found:
        write_page(full_page(), tmp_path / "report.pdf")
    assert found.value.hint == "use the suffix .html."
