"""The pages of the site: all are in the navigation, all links lead to a page, and the reference is complete."""

from __future__ import annotations

import inspect
import re
from collections import Counter
from pathlib import Path

import pytest

import xsns_kernels
import xsns_stream as xs
from tests.support.page_blocks import pages
from tests.support.paths import DOCS, ROOT
from xsns_stream.cli import VERBS

DIRECTIVE = re.compile(r"^\.\. auto(?:function|class|exception):: (\S+)", re.MULTILINE)
PAGES = sorted((DOCS / "reference").glob("api-*.md"))


def test_every_public_name_is_documented_once() -> None:
    documented = Counter(name for page in PAGES for name in DIRECTIVE.findall(page.read_text(encoding="utf-8")))
    public = {f"xsns_stream.{name}" for name in xs.__all__ if name != "__version__"}
    public |= {f"xsns_kernels.{name}" for name in xsns_kernels.__all__}
    assert public - set(documented) == set(), "add these names to a page of docs/reference"
    assert [name for name, times in documented.items() if times > 1] == []
    # All other names that are documented are those of public modules of the kernels.
    modules = (
        "xsns_kernels.device.",
        "xsns_kernels.device_overlap.",
        "xsns_kernels.grouped.",
        "xsns_kernels.reference.",
    )
    results = set(DIRECTIVE.findall((DOCS / "reference" / "api-results.md").read_text(encoding="utf-8")))
    assert [name for name in set(documented) - public - results if not name.startswith(modules)] == []


def test_what_the_functions_of_the_verbs_return_is_documented() -> None:
    text = "".join(page.read_text(encoding="utf-8") for page in PAGES)
    for verb in ("build", "similarity", "rank", "report", "shared", "transfer", "baseline", "evaluate", "regress"):
        returned = str(inspect.signature(getattr(xs, verb)).return_annotation)
        for name in re.findall(r"\b[A-Z]\w+", returned):
            assert re.search(rf"autoclass:: \S+\.{name}$", text, re.MULTILINE), f"add {name} to api-results.md"


def test_every_page_of_the_reference_is_in_a_list() -> None:
    listed = (DOCS / "reference" / "api.md").read_text(encoding="utf-8")
    assert [page.stem for page in PAGES if f"\n{page.stem}\n" not in listed] == []


def test_every_verb_has_a_page_with_its_options() -> None:
    index = (DOCS / "verbs" / "index.md").read_text(encoding="utf-8")
    assert {page.stem for page in (DOCS / "verbs").glob("*.md")} == {*VERBS, "index"}
    for verb, help_line in VERBS.items():
        page = (DOCS / "verbs" / f"{verb}.md").read_text(encoding="utf-8")
        assert f".. click:: xsns_stream.cli.{verb}:command\n   :prog: xsns-stream {verb}\n" in page
        assert f"| [`{verb}`]({verb}.md) | {help_line} |" in index, (
            "the description in docs/verbs/index.md differs from the help of the verb"
        )
        assert f"\n{verb}\n" in index


def test_every_page_is_in_the_navigation() -> None:
    listed = {"index"}
    for path in DOCS.rglob("*.md"):
        folder = path.parent.relative_to(DOCS).as_posix()
        for block in re.findall(r"```\{toctree\}\n(.*?)```", path.read_text(encoding="utf-8"), re.DOTALL):
            names = [line for line in block.splitlines() if line and not line.startswith(":")]
            listed |= {name if folder == "." else f"{folder}/{name}" for name in names}
    assert {path.removeprefix("docs/").removesuffix(".md") for path in pages() if path.startswith("docs/")} == listed


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub and the site give to the headings of a page."""
    text = re.sub(r"^ *```.*?^ *```", "", page.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", pages())
def test_no_link_leads_nowhere(page: str) -> None:
    path = ROOT / page
    text = re.sub(r"^ *```.*?^ *```|<!--.*?-->", "", path.read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in re.findall(r"\]\((?!https?:)([^)#\s]*)(?:#([^)\s]+))?\)", text):
        file = path.parent / target if target else path
        assert file.exists(), f"{page}: there is no file '{target}'"
        assert not anchor or anchor in anchors(file), f"{page}: there is no heading '{target}#{anchor}'"
