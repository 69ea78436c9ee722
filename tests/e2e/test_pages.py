"""Every block of commands and of Python on every page is run by a test, or has a mark that says why not."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support.page_blocks import blocks, pages
from tests.support.paths import ROOT

#: Pages that `xsns-stream reproduce` wrote. Their blocks are the commands that made them, hours of computing;
#: tests/cli/test_reproduce.py runs the same commands on small data.
RECORDED = "docs/results/"
#: {page: the test file that runs all of its blocks without a mark}.
RUN = {
    page: path.relative_to(ROOT).as_posix()
    for path in sorted((ROOT / "tests").rglob("test_*.py"))
    for page in re.findall(r'run_page\(\s*"([^"]+)"', path.read_text(encoding="utf-8"))
}


@pytest.mark.parametrize("page", [page for page in pages() if not page.startswith(RECORDED)])
def test_every_block_is_run_or_says_why_not(page: str) -> None:
    for block in blocks(page):
        where = f"{page}:{block.line}"
        if block.run_by:
            text = (ROOT / block.run_by).read_text(encoding="utf-8")
            assert Path(page).name in text, f"{where}: {block.run_by} does not name the page"
        elif not block.not_run:
            assert page in RUN, f"{where}: no test runs this block; call run_page, or put a mark before the block"


def test_a_block_without_a_test_is_found(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "page.md").write_text(
        "```console\nxsns-stream build  # a comment\n```\n\n<!-- not run: needs SLURM -->\n\n```sh\nsbatch x\n```\n\n"
        "* In a list:\n\n  ```python\n  x = 1\n  ```\n\n```text\n$ xsns-stream info \\\n  --json\nshown\n```\n\n"
        "<!-- run by: tests/x.py -->\n```py\n1\n```\n\n```json\n{}\n```\n"
    )
    monkeypatch.setattr("tests.support.page_blocks.ROOT", tmp_path)
    page_blocks = blocks("page.md")
    assert [(block.line, block.language, block.not_run, block.run_by) for block in page_blocks] == [
        (1, "console", "", ""),
        (7, "sh", "needs SLURM", ""),
        (13, "python", "", ""),
        (17, "text", "", ""),
        (24, "py", "", "tests/x.py"),
    ]
    assert list(page_blocks[0].commands()) == ["xsns-stream build"]
    assert page_blocks[2].text == "x = 1\n"
