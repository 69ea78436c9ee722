"""Chromium of the system or of playwright for tests of HTML pages, which are skipped without a browser."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

#: Names of the program on different systems.
PROGRAMS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
HINT = "install it (`apt-get install chromium`) to test the report page in a browser"


@contextmanager
def chromium() -> Iterator[Any]:
    """Start a browser without a window; skip the test if there is none."""
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed: no browser tests")
    program = next((path for name in PROGRAMS if (path := shutil.which(name))), None)
    with playwright.sync_playwright() as started:
        own = Path(started.chromium.executable_path)
        if program is None and not own.exists():
            pytest.skip(f"there is no Chromium: {HINT}")
        # The sandbox needs a user that is not root, and tests open pages of their own only.
        browser = started.chromium.launch(executable_path=program or str(own), args=["--no-sandbox"])
        try:
            yield browser
        finally:
            browser.close()
