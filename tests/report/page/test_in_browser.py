"""The report page in Chromium: every section is drawn, used by mouse and keyboard, in both themes, and printed."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from dataclasses import replace
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import xsns_stream as xs
from tests.support import networks
from tests.support.pages import CODES, EVIL, full_page, similarities
from xsns_stream.report import write_matrix
from xsns_stream.report.page import PredictorPairs, write_page
from xsns_stream.store import open_store
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.language_tree import LanguageTree, TreeSupport, joined_groups
from xsns_stream.types.transfer_scores import TransferScores

pytestmark = pytest.mark.xdist_group("browser")
SECTIONS = ("summary", "ranking", "heat-map", "tree", "maps", "layers", "evaluation")
NAMES = {"sw": "Swahili", "zu": "Zulu", "xh": "Xhosa", "fi": "Finnish", "et": "Estonian", "hu": "Hungarian"}


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_page(full_page(), tmp_path_factory.mktemp("page") / "report.html")


class Opened:
    """An open page, its requests, and what it wrote to the console."""

    def __init__(self, browser: Any, path: Path, **options: Any) -> None:
        self.context = browser.new_context(viewport={"width": 1280, "height": 900}, **options)
        self.page = self.context.new_page()
        self.requests: list[str] = []
        self.errors: list[str] = []
        self.page.on("request", lambda request: self.requests.append(request.url))
        self.page.on("pageerror", lambda error: self.errors.append(str(error)))
        self.page.on("console", lambda message: self.errors.append(message.text))
        self.page.on("dialog", lambda dialog: (self.errors.append("a dialog"), dialog.dismiss()))
        self.page.goto(path.as_uri())
        self.page.wait_for_selector("html[data-ready]", state="attached")

    def text(self, selector: str) -> str:
        return str(self.page.locator(selector).inner_text())

    def fill(self, selector: str, text: str) -> None:
        self.page.fill(selector, text)
        self.page.press(selector, "Enter")

    def sources(self) -> list[str]:
        return list(self.page.locator("#ranking-table tbody th .pick").all_inner_texts())


@pytest.fixture
def opened(browser: Any, path: Path) -> Iterator[Opened]:
    """An open page. After the test, it must have neither an error nor a request."""
    page = Opened(browser, path)
    yield page
    assert page.errors == []
    assert page.requests == [path.as_uri()]
    page.context.close()


def test_the_page_loads_without_a_request(opened: Opened) -> None:
    assert opened.page.get_attribute("html", "data-ready") == "yes"
    assert [link.get_attribute("href") for link in opened.page.locator("nav a").all()] == [f"#{s}" for s in SECTIONS]
    assert all(opened.page.locator(f"#{section}").is_visible() for section in SECTIONS)
    opened.page.wait_for_timeout(50)


def test_a_language_called_script_is_text(opened: Opened) -> None:
    assert opened.page.title() == f"Ten languages & {EVIL}"
    assert EVIL in opened.text("#ranking-table")
    assert EVIL in opened.text("#evaluation")
    assert EVIL in opened.page.locator("#tree-figure").text_content()
    assert opened.page.locator("main script").count() == 0


def test_the_ranking_has_intervals_probabilities_and_expected_scores(opened: Opened) -> None:
    assert set(opened.sources()[:2]) == {"Zulu", "Xhosa"}
    assert len(opened.sources()) == len(CODES) - 1
    first = opened.page.locator("#ranking-table tbody tr").first.inner_text()
    assert "70 %" in first
    assert "perhaps" in first
    ranks = opened.page.locator("#ranking-table tbody td:first-child").all_inner_texts()
    assert ranks == ["1~", "2~", *map(str, range(3, len(CODES)))]
    chances = opened.page.locator("#ranking-table tbody td:nth-child(6)").all_inner_texts()
    assert chances == ["70 %", "30 %", *["<1 %"] * (len(CODES) - 3)]
    assert "“perhaps” in the column “First?”" in opened.text("#ranking .lead")
    assert opened.page.locator("#ranking-table tbody svg circle").count() == len(CODES) - 1
    assert opened.page.locator("#ranking-table tbody svg line").count() == len(CODES) - 1
    assert opened.page.locator("#ranking-sentences li").all_inner_texts() == [
        "A sentence on sw.",
        "Similarity is not transfer.",
    ]


def test_every_number_of_the_ranking_has_the_digits_of_python(browser: Any, tmp_path: Path) -> None:
    page = full_page()
    assert page.ranking is not None
    noise = np.random.default_rng(3).uniform(0.001, 0.06, (2, len(CODES), len(CODES)))
    main = replace(page.matrices[0], low=page.matrices[0].values - noise[0], high=page.matrices[0].values + noise[1])
    best = tuple(
        replace(each, best=((each.best[0][0], 0.125), (each.best[1][0], 0.003))) for each in page.ranking.targets
    )
    page = replace(page, matrices=(main, *page.matrices[1:]), ranking=replace(page.ranking, targets=best))
    expected = page.ranking.expected
    assert expected is not None
    expected.measured[:] = (100 * main.values).round(2)
    opened = Opened(browser, write_page(page, tmp_path / "report.html"))
    rows = [row.locator("th, td").all_inner_texts() for row in opened.page.locator("#ranking-table tbody tr").all()]
    column, names = CODES.index("sw"), {name: code for code, name in NAMES.items()}
    for cells in (cells for cells in rows if cells[1].split()[0] in names):
        row = CODES.index(names[cells[1].split()[0]])
        decimals = len(cells[3].partition(".")[2])
        arrays = (main.values, main.low, main.high, expected.mean, expected.low, expected.high, expected.measured)
        numbers = [float(array[row, column]) for array in arrays if array is not None]
        texts = [f"{value:.{decimals if k < 3 else 1}f}" for k, value in enumerate(numbers)]
        assert [cells[3], cells[4], *cells[7:]] == [
            texts[0], f"{texts[1]} to {texts[2]}", texts[3], f"{texts[4]} to {texts[5]}", texts[6]
        ]  # fmt: skip
    assert [cells[5] for cells in rows[:3]] == ["12 %", "<1 %", "<1 %"]
    opened.context.close()


@pytest.mark.parametrize("typed", ["fi", "Finnish", "finn", "Finnish (fi)"])
def test_a_target_is_found_by_code_and_by_name(opened: Opened, typed: str) -> None:
    opened.fill("#target", typed)
    assert opened.page.input_value("#target") == "Finnish (fi)"
    assert "Sources for Finnish (fi)" in opened.text("#ranking-caption")
    assert set(opened.sources()[:2]) == {"Estonian", "Hungarian"}
    assert opened.page.input_value("#map-target") == "Finnish (fi)"


def test_an_unknown_target_is_reported(opened: Opened) -> None:
    opened.fill("#target", "Klingonese")
    assert opened.text("#ranking-status") == "No language matches “Klingonese”."
    assert "Sources for Swahili" in opened.text("#ranking-caption")


def test_a_source_is_chosen_as_target(opened: Opened) -> None:
    opened.page.locator("#ranking-table .pick", has_text="German").click()
    assert "Sources for German (de)" in opened.text("#ranking-caption")
    assert set(opened.sources()[:2]) == {"Dutch", "Swedish"}


def test_sources_are_restricted_by_name_and_by_family(opened: Opened) -> None:
    opened.fill("#sources", "fi, German, nothing-like-this")
    assert set(opened.sources()) == {"Finnish", "German"}
    assert "nothing-like-this" in opened.text("#ranking-status")
    assert "P(best)" not in opened.text("#ranking-table thead")
    opened.fill("#sources", "")
    opened.page.select_option("#source-family", "Uralic")
    assert set(opened.sources()) == {"Finnish", "Estonian", "Hungarian"}


def test_the_ranking_is_copied_as_csv(browser: Any, path: Path) -> None:
    opened = Opened(browser, path, permissions=["clipboard-read", "clipboard-write"])
    opened.page.click("#copy-ranking")
    opened.page.wait_for_function("() => document.getElementById('copied-ranking').textContent.includes('copied')")
    assert opened.text("#ranking-status") == ""
    lines = str(opened.page.evaluate("() => navigator.clipboard.readText()")).splitlines()
    assert lines[0] == (
        "target,rank,language,name,similarity,low,high,best_probability,level_with_first,tied,"
        "expected,expected_low,expected_high,measured"
    )
    assert [line.split(",")[7:10] for line in lines[1:4]] == [
        ["0.699", "True", "False"],
        ["0.3", "True", "False"],
        ["0.001", "False", "False"],
    ]
    assert len(lines) == len(CODES)
    similarity = full_page().matrices[0].values
    code = lines[1].split(",")[2]
    value = similarity[CODES.index(code), 0]
    assert float(lines[1].split(",")[4]) == pytest.approx(value, rel=1e-6)
    opened.context.close()


def test_the_copied_ranking_is_the_file_of_rank(browser: Any, tmp_path: Path) -> None:
    codes = ("de", "en", "fi", "sw", "zu")
    store = open_store(tmp_path / "xsns.zarr", "a")
    for seed in (1, 2, 3):
        for language in codes:
            store.write(networks.make_sub(language, seed))
    cells = np.random.default_rng(0).random((1, 1, 5, 5)) * 100
    gold = TransferScores(codes, codes, cells, "pos", "accuracy", "percent", "")
    path = xs.report(store, tmp_path / "report.html", target="sw", gold=gold, layers=False).path
    assert path is not None
    expected = pd.read_csv(xs.rank(store, "sw", gold=gold).save(tmp_path / "ranking.csv"))
    opened = Opened(browser, path, permissions=["clipboard-read", "clipboard-write"])
    opened.page.click("#copy-ranking")
    opened.page.wait_for_function("() => document.getElementById('copied-ranking').textContent.includes('copied')")
    copied = pd.read_csv(io.StringIO(str(opened.page.evaluate("() => navigator.clipboard.readText()"))))
    missing = [name for name in expected.columns if name not in copied.columns]
    assert missing == ["chance_corrected", "spread"]
    expected = expected.drop(columns=missing)
    assert list(copied.columns) == list(expected.columns)
    for name in copied.columns:
        if copied[name].dtype == float:
            # Scores are divided into 1,000 steps of their range, and intervals into 6,000.
            step = 0.1 if "expected" in name or name == "measured" else 1e-4
            assert copied[name].tolist() == pytest.approx(expected[name].tolist(), abs=step), name
        else:
            assert copied[name].tolist() == expected[name].tolist(), name
    opened.context.close()


def test_the_note_on_a_copy_disappears(browser: Any, path: Path) -> None:
    context = browser.new_context(permissions=["clipboard-read", "clipboard-write"])
    page = context.new_page()
    page.clock.install()
    page.goto(path.as_uri())
    page.wait_for_selector("html[data-ready]", state="attached")
    before = page.locator("#tree-status").inner_text()
    page.click("#copy-clusters")
    page.wait_for_function("() => document.getElementById('copied-clusters').textContent.includes('copied')")
    assert page.locator("#tree-status").inner_text() == before
    page.clock.fast_forward(6000)
    assert page.locator("#copied-clusters").inner_text() == ""
    context.close()


@pytest.mark.parametrize(("share", "percent"), [(0.465, 46), (0.605, 60), (0.305, 30), (0.475, 48), (0.999, 100)])
def test_the_support_has_the_number_of_the_file(browser: Any, tmp_path: Path, share: float, percent: int) -> None:
    made = full_page()
    assert made.tree is not None
    support = np.full(len(CODES) - 1, share)
    path = write_page(replace(made, tree=replace(made.tree, support=support)), tmp_path / "support.html")
    opened = Opened(browser, path)
    groups = [frozenset(CODES[leaf] for leaf in group) for group in joined_groups(made.tree.linkage)]
    tree = LanguageTree(CODES, made.tree.linkage, TreeSupport(dict.fromkeys(groups, share), "8 parts", 200))
    assert f"){percent}:" in tree.newick()
    numbers = set(opened.page.locator("#tree-figure g > text.quiet").all_text_contents())
    assert numbers == {str(percent)}
    opened.context.close()


def test_the_heat_map_is_zoomed_by_buttons_keys_and_wheel(opened: Opened) -> None:
    canvas = opened.page.locator("#heat")
    zoom = lambda: float(canvas.get_attribute("data-zoom"))  # noqa: E731
    opened.page.set_viewport_size({"width": 700, "height": 500})
    opened.page.wait_for_timeout(250)
    opened.page.click("#heat-in")
    first = zoom()
    assert first > 1
    canvas.press("+")
    second = zoom()
    assert second > first
    canvas.hover()
    opened.page.mouse.wheel(0, 200)
    opened.page.wait_for_function(f"() => Number(document.getElementById('heat').dataset.zoom) < {second}")
    opened.page.click("#heat-reset")
    assert zoom() == 1


def test_cells_are_read_by_keyboard_and_chosen(opened: Opened) -> None:
    canvas = opened.page.locator("#heat")
    opened.fill("#find", "Finnish")
    assert opened.text("#heat-status").startswith("Finnish (fi); Finnish (fi); the same language")
    canvas.press("ArrowDown")
    status = opened.text("#heat-status")
    assert "Jaccard: 0." in status
    assert "95 % interval: 0." in status
    canvas.press("Enter")
    assert "Sources for Finnish (fi)" in opened.text("#ranking-caption")


def test_hover_shows_names_value_and_interval(opened: Opened) -> None:
    canvas = opened.page.locator("#heat")
    canvas.scroll_into_view_if_needed()
    box = canvas.bounding_box()
    opened.page.mouse.move(box["x"] + 200, box["y"] + 190)
    tip = opened.text("#heat-tip")
    assert len(tip.splitlines()) >= 3
    opened.page.mouse.move(5, 5)
    assert not opened.page.locator("#heat-tip").is_visible()


def test_the_heat_map_is_reordered(opened: Opened) -> None:
    canvas = opened.page.locator("#heat")
    opened.page.select_option("#order", "name")
    # "<script>…" comes first, because `<` is before all letters.
    assert canvas.get_attribute("data-first") == EVIL
    opened.page.select_option("#order", "target")
    assert canvas.get_attribute("data-first") == "sw"
    opened.fill("#target", "hu")
    assert canvas.get_attribute("data-first") == "hu"
    opened.page.select_option("#order", "family")
    assert canvas.get_attribute("data-first") in ("de", "nl", "sv", "zu", "sw", "xh", "fi", "et", "hu")
    opened.page.select_option("#matrix", "layer:encoder.1")
    opened.page.wait_for_function("() => document.getElementById('heat').ariaLabel.includes('encoder.1')")


def test_the_tree_is_cut(opened: Opened) -> None:
    slider = opened.page.locator("#cut")
    slider.fill("4")
    opened.page.wait_for_function("() => document.getElementById('tree-status').textContent.startsWith('4 clusters')")
    opened.page.locator("summary", has_text="Clusters as a list").click()
    clusters = [set(text.split(", ")) for text in opened.page.locator("#clusters li").all_inner_texts()]
    assert len(clusters) == 4
    assert {"Swahili (sw)", "Zulu (zu)", "Xhosa (xh)"} in clusters
    assert "adjusted Rand index with the families of 9 languages: 1.000" in opened.text("#tree-status")
    assert "with the scripts of " not in opened.text("#tree-status"), "all languages have the same script"
    assert "distance, 1 − Jaccard similarity" in opened.page.locator("#tree-figure .title").text_content()
    slider.press("ArrowRight")
    opened.page.wait_for_function("() => document.querySelectorAll('#clusters li').length === 5")
    assert opened.page.locator("#tree-figure .quiet", has_text="100").count() > 0, "the support of the inner nodes"


def test_maps_show_families_neighbours_and_places(opened: Opened) -> None:
    assert opened.page.locator("#world-figure .land").count() == 1
    dots = "#embedding-figure path[d][transform]"
    assert opened.page.locator(dots).count() >= len(CODES)
    assert "1 language has no place" in opened.text("#world-caption")
    assert {"Atlantic-Congo", "Uralic", "Indo-European"} <= set(opened.text("#map-legend").splitlines())
    assert opened.page.locator("#world-figure .link").count() >= 2
    shapes = opened.page.locator("#map-legend path").evaluate_all(
        "paths => paths.map((path) => path.getAttribute('d'))"
    )
    assert len(set(shapes)) == len(shapes) == 4, "each family has a shape of its own, and so have unknown families"
    assert opened.text("#lines-meaning") == "Lines lead from the target to its most similar languages."
    opened.page.select_option("#lines", "all")
    assert opened.text("#lines-meaning") == "A line leads from every language to its most similar language."
    opened.page.select_option("#lines", "none")
    assert opened.text("#lines-meaning") == ""
    opened.page.select_option("#lines", "target")
    opened.page.select_option("#colour", "cluster")
    assert opened.text("#map-legend").splitlines()[:3] == ["cluster 1", "cluster 2", "cluster 3"]
    opened.page.focus("#embedding-figure")
    opened.page.keyboard.press("ArrowRight")
    if not opened.text("#map-status"):
        opened.page.keyboard.press("ArrowLeft")
    assert "most similar:" in opened.text("#map-status")
    opened.page.keyboard.press("Enter")
    assert "Sources for Swahili" not in opened.text("#ranking-caption")


def test_layers_show_a_pair(opened: Opened) -> None:
    opened.fill("#pair-one", "fi")
    opened.fill("#pair-other", "et")
    opened.page.wait_for_function("() => document.getElementById('layers-status').textContent.includes('Estonian')")
    values = [
        matrix.values[CODES.index("fi"), CODES.index("et")] for matrix in full_page().matrices if matrix.kind == "layer"
    ]
    cells = opened.page.locator("#layer-tables tbody tr td:nth-child(3)").all_inner_texts()
    assert [float(cell) for cell in cells] == pytest.approx(values, abs=6e-4)
    assert "★ marks the largest one" in opened.text("#layers .lead")


def test_the_evaluation_has_tables_regret_scatter_and_calibration(opened: Opened) -> None:
    assert "[1.0, 3.0]" in opened.text("#evaluation table")
    assert opened.page.locator("#regret-figure .row").count() == len(CODES)
    assert "similarity: 4.5 percentage points on average" in opened.text("#regret-legend")
    assert "90 pairs against similarity" in opened.text("#scatter-caption")
    assert opened.page.locator("#calibration-figure circle").count() == 10
    axis, lowest = opened.page.evaluate("""() => {
      const found = [document.querySelector("#calibration-figure .axis path"),
        ...document.querySelectorAll("#calibration-figure .axis ~ g:not(.axis) line")];
      const [axis, ...bars] = found.map((each) => each.getBoundingClientRect());
      return [axis.bottom, Math.max(...bars.map((bar) => bar.bottom))];
    }""")
    assert lowest < axis - 5, "no bar is cut by the axis"


def test_a_mean_over_few_targets_says_over_how_many(browser: Any, tmp_path: Path) -> None:
    made = full_page()
    assert made.evaluation is not None
    regret = np.full(len(CODES), np.nan)
    regret[2] = 12.25
    few = PredictorPairs("few", None, regret)
    evaluation = replace(made.evaluation, predictors=(*made.evaluation.predictors, few))
    opened = Opened(browser, write_page(replace(made, evaluation=evaluation), tmp_path / "few.html"))
    legend = opened.text("#regret-legend").splitlines()
    assert "few: 12.3 percentage points on average (n = 1 of 10 targets)" in legend
    assert "similarity: 4.5 percentage points on average" in legend
    opened.context.close()


def test_many_families_differ_in_shape_and_colour(browser: Any, tmp_path: Path) -> None:
    made = full_page()
    languages = tuple(replace(each, family=f"family {i}") for i, each in enumerate(made.languages))
    opened = Opened(browser, write_page(replace(made, languages=languages), tmp_path / "families.html"))
    looks = opened.page.locator("#map-legend path").evaluate_all(
        "paths => paths.map((path) => [path.getAttribute('d'), path.style.fill, path.style.stroke].join())"
    )
    assert len(set(looks)) == len(looks) == len(CODES)
    shapes = {look.rpartition("Z")[0] for look in looks[:7]}
    assert len(shapes) == 7
    opened.context.close()


def test_the_reader_chooses_the_theme(browser: Any, path: Path) -> None:
    opened = Opened(browser, path, color_scheme="dark")
    page = opened.page
    background = "() => getComputedStyle(document.body).backgroundColor"
    assert page.get_attribute("html", "data-theme") == "dark"
    dark = page.evaluate(background)
    page.select_option("#theme", "light")
    assert page.evaluate(background) == "rgb(255, 255, 255)" != dark
    page.select_option("#theme", "auto")
    assert page.evaluate(background) == dark
    assert opened.errors == []
    opened.context.close()


def test_the_printed_page_is_light_and_has_no_controls(browser: Any, path: Path, tmp_path: Path) -> None:
    opened = Opened(browser, path, color_scheme="dark")
    opened.page.emulate_media(media="print")
    assert not opened.page.locator(".controls").first.is_visible()
    assert not opened.page.locator("nav").is_visible()
    assert opened.page.locator("#ranking-table").is_visible()
    # A4 without its margins; a wider table would be cut off.
    opened.page.set_viewport_size({"width": 703, "height": 1000})
    assert opened.page.evaluate("() => document.documentElement.scrollWidth") <= 703
    opened.page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert opened.page.get_attribute("html", "data-theme") == "light"
    opened.page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert opened.page.get_attribute("html", "data-theme") == "dark"
    paper = opened.page.pdf(path=tmp_path / "report.pdf")
    assert paper.startswith(b"%PDF")
    assert opened.errors == []
    opened.context.close()


def test_a_printed_tree_has_letters_of_the_size_of_the_screen(browser: Any, path: Path) -> None:
    opened = Opened(browser, path)
    width = "() => document.getElementById('tree-figure').width.baseVal.value"
    screen = opened.page.evaluate(width)
    opened.page.evaluate("() => window.dispatchEvent(new Event('beforeprint'))")
    assert opened.page.evaluate(width) == 700
    opened.page.evaluate("() => window.dispatchEvent(new Event('afterprint'))")
    assert opened.page.evaluate(width) == screen > 1000
    opened.context.close()


def test_support_values_cover_no_branch(opened: Opened) -> None:
    covered = opened.page.evaluate("""() => {
      const branches = [...document.querySelectorAll("#tree-figure path[d*=V]")].map((path) =>
        /^M([-\\d.]+),[-\\d.]+V([-\\d.]+)H([-\\d.]+)$/.exec(path.getAttribute("d"))).filter(Boolean)
        .map((found) => found.slice(1).map(Number));
      const numbers = [...document.querySelectorAll("#tree-figure g > text.quiet")].map((text) => text.getBBox());
      return [branches.length, numbers.length, numbers.filter((box) => branches.some(([start, y, end]) =>
        y > box.y + 2 && y < box.y + box.height - 2 && start < box.x + box.width && end > box.x)).length];
    }""")
    assert covered == [2 * (len(CODES) - 1), len(CODES) - 2, 0]


def test_a_page_may_contain_the_heat_map_alone(browser: Any, tmp_path: Path) -> None:
    path = write_matrix(similarities(), tmp_path / "similarity.html")
    opened = Opened(browser, path)
    assert [link.get_attribute("href") for link in opened.page.locator("nav a").all()] == ["#summary", "#heat-map"]
    for order in ("name", "family", "target", "cluster"):
        opened.page.select_option("#order", order)
    opened.page.locator("#heat").press("ArrowRight")
    assert opened.text("#heat-status") != ""
    opened.page.locator("#heat").press("Enter")
    opened.fill("#find", "Finnish")
    assert EVIL in opened.page.locator("#language-list").inner_html().replace("&lt;", "<").replace("&gt;", ">")
    assert opened.page.locator("main script").count() == 0
    assert opened.errors == []
    assert opened.requests == [path.as_uri()]
    opened.context.close()


@pytest.mark.parametrize(
    ("sources", "targets"), [(("sw", "fi"), ("fi", "sw")), (("sw",), ("sw", "fi", "et")), (("sw",), ("sw",))]
)
def test_small_and_rectangular_heat_maps_are_drawn(
    browser: Any, tmp_path: Path, sources: tuple[str, ...], targets: tuple[str, ...]
) -> None:
    values = np.full((len(sources), len(targets)), 0.5)
    values[0, -1] = np.nan
    path = write_matrix(SimilarityMatrix(sources, targets, values, "mine"), tmp_path / "s.html")
    opened = Opened(browser, path)
    assert opened.page.get_attribute("html", "data-ready") == "yes"
    opened.page.locator("#heat").press("ArrowRight")
    assert opened.errors == []
    opened.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_no_violation(browser: Any, path: Path, scheme: str) -> None:
    pytest.importorskip("axe_playwright_python", reason="axe-playwright-python is not installed")
    opened = Opened(browser, path, color_scheme=scheme, bypass_csp=True)
    opened.page.evaluate((files("axe_playwright_python") / "axe.min.js").read_text(encoding="utf-8"))
    evaluation = opened.page.evaluate("() => axe.run()")["violations"]
    named = [(each["id"], [node["target"] for node in each["nodes"]][:3]) for each in evaluation]
    assert not named, json.dumps(named)
    opened.context.close()


def test_a_rectangular_matrix_with_undefined_pairs_is_drawn(browser: Any, tmp_path: Path) -> None:
    """A rectangular matrix with undefined pairs, one target that is not a source, and no families."""
    values = np.array([[0.5], [np.nan], [0.25], [1.0]])
    matrix = SimilarityMatrix(("x-a", "x-b", "x-c", "fi"), ("fi",), values, "mine")
    path = xs.report(matrix=matrix, output=tmp_path / "wide.html").path
    assert path is not None
    opened = Opened(browser, path)
    assert opened.errors == []
    assert opened.sources() == ["x-a", "x-c", "x-b"]
    assert "There are no intervals" in opened.text("#ranking .lead")
    assert opened.page.locator("#ranking-table tbody tr").last.inner_text().split("\t")[-1].strip() == "–"
    opened.page.locator("#heat").press("ArrowDown")
    assert opened.text("#heat-status") != ""
    for order in ("name", "family", "target"):
        opened.page.select_option("#order", order)
    assert opened.page.locator("nav a").count() == 3
    assert opened.errors == []
    opened.context.close()


def test_a_page_of_two_languages_has_no_error(browser: Any, tmp_path: Path) -> None:
    matrix = SimilarityMatrix(("sw", "fi"), ("sw", "fi"), np.array([[1.0, 0.5], [0.5, 1.0]]), "mine")
    path = xs.report(matrix=matrix, output=tmp_path / "two.html").path
    assert path is not None
    opened = Opened(browser, path)
    assert opened.sources() == ["Finnish"]
    assert opened.page.get_attribute("html", "data-ready") == "yes"
    assert opened.errors == []
    opened.context.close()
