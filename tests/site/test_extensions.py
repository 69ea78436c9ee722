"""The extensions of the site: links of the repository, docstrings, tables of JSON keys."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType
from typing import Any

import pytest

from tests.support.paths import DOCS, ROOT

pytest.importorskip("sphinx", reason="needs the extra docs")


@pytest.fixture
def extension(monkeypatch: pytest.MonkeyPatch) -> Any:
    """Import an extension of the site by its name."""

    def load(name: str) -> ModuleType:
        monkeypatch.setattr(sys, "path", [str(DOCS / "_extensions"), *sys.path])
        return importlib.import_module(name)

    return load


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("[a](gold.md#pools)", "[a](gold.md#pools)"),
        ("[a](../README.md)", "[a](index.md)"),
        ("[a](../kernels/README.md#x)", "[a](kernels.md#x)"),
        ("[card](../xsns_stream/assets/mini/README.md)", "card (`xsns_stream/assets/mini/README.md`)"),
        ("[a](https://example.org/x.md) [b](#here)", "[a](https://example.org/x.md) [b](#here)"),
        ("```text\n[a](../README.md)\n```", "```text\n[a](../README.md)\n```"),
        ("<!-- [a](nowhere.md) -->", "<!-- [a](nowhere.md) -->"),
    ],
)
def test_links_of_the_repository_lead_to_pages_of_the_site(text: str, expected: str, extension: Any) -> None:
    page = DOCS / "gold.md"
    assert extension("repository_links").converted(text, page, page) == expected


def test_links_of_an_included_file_are_those_of_its_folder(extension: Any) -> None:
    converted = extension("repository_links").converted
    text = "[gold](docs/gold.md), [log](docs/dev/log.md), [kernels](kernels/README.md)"
    expected = "[gold](gold.md), [log](dev/log.md), [kernels](kernels.md)"
    assert converted(text, ROOT / "README.md", DOCS / "index.md") == expected
    assert (
        converted("[a](../ARCHITECTURE.md)", ROOT / "docs" / "x.md", DOCS / "dev" / "log.md")
        == "[a](../architecture.md)"
    )


def test_a_link_that_leads_nowhere_is_a_warning(extension: Any, caplog: pytest.LogCaptureFixture) -> None:
    module = extension("repository_links")
    warnings: list[tuple[Any, ...]] = []
    module.log = type("Log", (), {"warning": lambda self, *words, **more: warnings.append(words)})()
    module.converted("[a](nowhere.md)", DOCS / "gold.md", DOCS / "gold.md")
    assert warnings == [("the link to '%s' leads nowhere", "nowhere.md")]


def test_bars_are_characters_and_examples_are_code(extension: Any) -> None:
    module = extension("docstring_text")
    assert module.escaped("|A ∩ B| of `|x|` and ``|y|``") == "\\|A ∩ B\\| of `|x|` and ``|y|``"
    assert module.escaped("    >>> a | b") == "    >>> a | b"
    lines = [".. option:: --fit <a|b>", "   |D|, with --parts or `--x`.", "| Examples:", "|   xsns-stream rank", ""]
    assert module.help_lines(lines) == [
        ".. option:: --fit <a|b>",
        "   \\|D\\|, with ``--parts`` or `--x`.",
        "Examples:",
        "",
        ".. code-block:: console",
        "",
        "   xsns-stream rank",
        "",
    ]


def test_keys_of_a_schema_are_listed_with_their_paths(extension: Any) -> None:
    schema = {
        "required": ["rows"],
        "properties": {
            "rows": {
                "type": "array",
                "description": "The rows.",
                "items": {
                    "type": "object",
                    "required": ["a"],
                    "properties": {"a": {"type": "string", "description": "A."}},
                },
            },
            "by_name": {
                "type": ["object", "null"],
                "description": "Means.",
                "additionalProperties": {
                    "type": "object",
                    "properties": {"mean": {"type": ["number", "null"], "description": "The mean."}},
                },
            },
        },
    }
    assert list(extension("json_schemas").keys(schema)) == [
        ("rows", "array of object", "The rows."),
        ("rows[].a", "string", "A."),
        ("by_name", "object or null, optional", "Means."),
        ("by_name.*.mean", "number or null, optional", "The mean."),
    ]


def test_attributes_of_accessibility_are_added(extension: Any) -> None:
    html = '<p class="caption" role="heading">How to</p><div class="highlight"><pre>x</pre></div>'
    completed_html = extension("accessibility").completed(html)
    assert completed_html == html.replace('role="heading"', 'role="heading" aria-level="2"').replace(
        "<pre", '<pre tabindex="0"'
    )


def test_parameters_of_a_signature_are_lines_and_not_definitions(extension: Any) -> None:
    end = '<span class="sig-paren">)</span>'
    html = f"<dl>\n<dd><em>a</em>,</dd>\n<dd><em>b</em>,</dd>\n</dl>\n\n{end}<dl><dt>x</dt><dd>y</dd></dl>"
    completed_html = extension("accessibility").completed(html)
    assert completed_html == (
        '<span class="sig-lines"><span class="sig-line"><em>a</em>,</span>\n'
        '<span class="sig-line"><em>b</em>,</span>\n</span>'
        f"{end}<dl><dt>x</dt><dd>y</dd></dl>"
    )
