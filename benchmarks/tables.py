"""Tables of the pages, written from `results/*.json` between markers in the pages.

A table is between `<!-- table: NAME -->` and `<!-- end of table -->`. With `--check` nothing is written, and the exit
code is 1 if a page differs from the results.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Callable
from pathlib import Path

import evidence_tables
import fisher_tables
import kernel_tables
import scale_tables
import simulation_tables
import transfer_tables

RESULTS = Path(__file__).parent / "results"
ROOT = Path(__file__).parents[1]
PAGES = [
    ROOT / "docs" / "evidence.md",
    ROOT / "docs" / "fisher.md",
    ROOT / "docs" / "ranking.md",
    ROOT / "docs" / "regression.md",
    ROOT / "docs" / "results" / "README.md",
    ROOT / "docs" / "results" / "gemma" / "README.md",
    ROOT / "docs" / "scaling.md",
    ROOT / "docs" / "transfer.md",
    ROOT / "kernels" / "README.md",
    ROOT / "README.md",
]
MARKED = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)

#: Name in the markers of a page → function that returns the table.
TABLES: dict[str, Callable[[Path], str]] = (
    evidence_tables.TABLES
    | fisher_tables.TABLES
    | kernel_tables.TABLES
    | scale_tables.TABLES
    | transfer_tables.TABLES
    | simulation_tables.TABLES
)


def filled(page: str, results: Path) -> str:
    """Return the page with all tables updated.

    Raises:
        KeyError: A marker does not name a table.
    """
    return MARKED.sub(lambda match: match[1] + TABLES[match[2]](results) + match[3], page)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--check", action="store_true", help="write nothing, and exit with code 1 if a page is out of date"
    )
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--page", type=Path, action="append", help="pages to update; all pages by default")
    options = parser.parse_args()
    changed = False
    for page in options.page or PAGES:
        before = page.read_text(encoding="utf-8")
        after = filled(before, options.results)
        changed |= before != after
        if not options.check:
            page.write_text(after, encoding="utf-8")
    sys.exit(int(options.check and changed))


if __name__ == "__main__":
    main()
