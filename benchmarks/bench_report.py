"""Size of the report page, and the time until a browser has drawn it.

`python benchmarks/bench_report.py`: synthetic pages with every section that a store has (12 layers, 8 kinds of modules,
intervals and expected scores) are opened from a disk in Chromium, each several times in a new context. The time is from
the start of the navigation until every section is drawn, in the browser's own clock. It needs playwright and Chromium.
"""

from __future__ import annotations

import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import harness
from synthetic_page import synthetic_page

from xsns_stream.report.page import write_page

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
#: Sets `window.drawn`, the time since the start of the navigation, when the page says that it is drawn.
WATCH = """
new MutationObserver(() => {
  if (document.documentElement?.dataset.ready && !window.drawn) window.drawn = performance.now();
}).observe(document, {attributes: true, subtree: true});
"""


def opened(path: Path, runs: int) -> list[float]:
    """Return the seconds until the page is drawn, for each run."""
    from playwright.sync_api import sync_playwright

    program = next((executable for name in BROWSERS if (executable := shutil.which(name))), None)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        seconds = []
        for _ in range(runs):
            page = browser.new_context(viewport={"width": 1280, "height": 900}).new_page()
            page.add_init_script(WATCH)
            page.goto(path.as_uri())
            page.wait_for_function("() => window.drawn")
            assert page.get_attribute("html", "data-ready") == "yes"
            seconds.append(page.evaluate("() => window.drawn") / 1000)
            page.context.close()
        browser.close()
    return seconds


def measure(languages: int, runs: int) -> dict[str, Any]:
    start = time.perf_counter()
    page = synthetic_page(languages)
    build_s = time.perf_counter() - start
    with tempfile.TemporaryDirectory() as folder:
        path = write_page(page, Path(folder) / "report.html")
        size = path.stat().st_size
        seconds = opened(path, runs)
    return {
        "languages": languages,
        "megabytes": size / 1e6,
        "made": build_s,
        "opened": statistics.median(seconds),
        "slowest": max(seconds),
    }


def main() -> None:
    parser = harness.arguments("size of the report page, and the time until a browser has drawn it")
    options = parser.parse_args()
    sizes = [20] if options.smoke else [30, 235, 500]
    results = [measure(size, options.rounds) for size in sizes]
    columns = ("languages", "MB", "made, s", "drawn, s (median)", "slowest, s")
    harness.print_table(columns, [tuple(row.values()) for row in results])
    harness.write(options.output, harness.result("report", {"rounds": options.rounds}, results, options.smoke))


if __name__ == "__main__":
    main()
