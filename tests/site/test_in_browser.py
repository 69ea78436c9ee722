"""The site is built without a warning, makes no request to anywhere else, and can be read with a screen reader."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import DOCS, ROOT

pytest.importorskip("furo", reason="needs the extra docs")
pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("browser")]
PAGES = ("index", "tutorial", "verbs/rank", "reference/api-sub-networks", "reference/json")


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the pages, built as `make docs` builds it."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "-E", "-q", "-W", "-n", "--keep-going", "-b", "html"]
    built = subprocess.run(
        [*command, "-d", str(folder / "trees"), str(DOCS), str(folder / "html")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    assert built.returncode == 0, built.stderr
    return folder / "html"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("name", PAGES)
def test_a_page_has_no_foreign_request_and_no_violation(site: Path, browser: Any, name: str, scheme: str) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright")
    context = browser.new_context(viewport={"width": 1280, "height": 900}, color_scheme=scheme)
    page = context.new_page()
    requests: list[str] = []
    page.on("request", lambda request: requests.append(request.url))
    page.goto((site / f"{name}.html").as_uri())
    assert [url for url in requests if not url.startswith("file:")] == []
    result = axe.Axe().run(page)
    assert result.violations_count == 0, result.generate_report()
    context.close()


def test_no_line_of_output_is_cut(site: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 1280, "height": 900})
    page.goto((site / "tutorial.html").as_uri())
    blocks = page.locator(".highlight-text pre, .highlight-console pre")
    assert blocks.count() > 3
    assert blocks.evaluate_all("blocks => blocks.filter((each) => each.scrollWidth > each.clientWidth).length") == 0
    page.close()


def test_no_page_is_wider_than_a_telephone(site: Path, browser: Any) -> None:
    page = browser.new_page(viewport={"width": 390, "height": 844})
    for name in PAGES:
        page.goto((site / f"{name}.html").as_uri())
        root = "document.documentElement"
        assert page.evaluate(f"{root}.scrollWidth - {root}.clientWidth") == 0, name
