"""Blocks of commands and of Python on the pages of the documentation, and a function that runs all blocks of a page.

Every block is run by a test or has a mark, an HTML comment on the line before it:

* `<!-- not run: REASON -->` for a block that tests cannot run;
* `<!-- run by: tests/…/test_….py -->` for a block that a test runs in its own way.

`tests/e2e/test_pages.py` fails for a block without a mark on a page that no test runs.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt

from tests.support.paths import ROOT

COMMANDS = ("console", "sh", "bash", "shell")
PYTHON = ("python", "py", "pycon")
_MARK = re.compile(r"<!-- (not run|run by): (.+?) -->", re.DOTALL)


@dataclass(frozen=True)
class Block:
    """A block of code on a page.

    Attributes:
        page: Path of the page, from the root of the repository.
        line: Line of the page on which the block begins.
        language: The word after the three backticks.
        text: The content of the block.
        not_run: Why no test runs the block; empty if a test runs it.
        run_by: The test file that runs the block in its own way; empty if there is none.
    """

    page: str
    line: int
    language: str
    text: str
    not_run: str = ""
    run_by: str = ""

    @property
    def is_python(self) -> bool:
        """Whether the block is Python."""
        return self.language in PYTHON

    def commands(self) -> Iterator[str]:
        """Yield the command lines of the block, without comments."""
        for line in self.text.replace("\\\n", " ").splitlines():
            command = re.sub(r"(^|\s+)# .*$", "", line).removeprefix("$ ").strip()
            if command:
                yield command


def pages() -> list[str]:
    """Return the paths of all pages: the Markdown files of the repository, and not of its environment."""
    paths = (path.relative_to(ROOT).as_posix() for path in ROOT.rglob("*.md"))
    return sorted(path for path in paths if not path.startswith((".", "build/", "demo/", "docs/_build/")))


def blocks(page: str) -> list[Block]:
    """Return the blocks of commands and of Python of a page.

    A block of another language that contains a line with the prompt `$ ` is a block of commands.
    """
    result, mark = [], None
    for token in MarkdownIt("commonmark").parse((ROOT / page).read_text(encoding="utf-8")):
        if token.type == "html_block":
            mark = _MARK.fullmatch(token.content.strip())
            continue
        language = token.info.split()[0] if token.info.split() else ""
        if token.type == "fence" and (language in COMMANDS + PYTHON or re.search(r"^\$ ", token.content, re.MULTILINE)):
            kind, value = mark.groups() if mark else ("", "")
            line = token.map[0] + 1 if token.map else 0
            result.append(
                Block(page, line, language, token.content, value * (kind == "not run"), value * (kind == "run by"))
            )
        mark = None
    return result


@dataclass
class PageRun:
    """Results of the blocks of a page.

    Attributes:
        commands: Each command as a list of words, and its exit code and output, in the order of the page.
        names: The names that the Python blocks defined.
    """

    commands: list[tuple[list[str], Any]] = field(default_factory=list)
    names: dict[str, Any] = field(default_factory=dict)

    def output(self, *words: str) -> list[str]:
        """Return what the commands with these words printed to stdout."""
        return [completed.out for command, completed in self.commands if set(words) <= set(command)]


def run_page(
    page: str,
    xsns: Callable[..., Any] | None = None,
    *,
    more: Callable[[list[str]], list[str]] = lambda words: [],
    names: dict[str, Any] | None = None,
) -> PageRun:
    """Run every block of a page that has no mark, in the order of the page and in the working folder.

    Args:
        page: Path of the page, from the root of the repository.
        xsns: Runs `xsns-stream` with the given words; returns an object with `code`, `out` and `err`. A page without
            commands needs none. `> FILE` at the end of a command writes its output to a file.
        more: Returns further arguments for a command, such as a smaller model.
        names: Names that the Python blocks use and do not define.

    Raises:
        AssertionError: A command is not one of `xsns-stream`, or its exit code is not 0.
    """
    run = PageRun(names=names if names is not None else {})
    for block in blocks(page):
        if block.not_run or block.run_by:
            continue
        if block.is_python:
            exec(compile(block.text, f"{page}:{block.line}", "exec"), run.names)
            continue
        for command in block.commands():
            where = f"{page}:{block.line}: {command}"
            program, *words = shlex.split(command)
            assert program == "xsns-stream", f"{where}: only xsns-stream runs here; put a mark before the block"
            assert xsns is not None, f"{where}: no function was given that runs commands"
            words, redirected = (words[:-2], words[-1]) if words[-2:-1] == [">"] else (words, "")
            completed = xsns(*words, *more(words))
            assert completed.code == 0, f"{where}\n{completed.err}"
            if redirected:
                Path(redirected).write_text(completed.out, encoding="utf-8")
            run.commands.append((words, completed))
    return run
