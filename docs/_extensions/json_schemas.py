"""A table of the keys that a JSON Schema of `docs/schemas/` describes: `.. json-keys:: build`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from docutils import nodes
from sphinx.application import Sphinx
from sphinx.util.docutils import SphinxDirective

SCHEMAS = Path(__file__).resolve().parents[1] / "schemas"


def keys(schema: dict[str, Any], path: str = "") -> Iterator[tuple[str, str, str]]:
    """Yield path, type and description of every key below `schema` that has a description.

    A path such as `rows[].language` is the key `language` of each item of the list `rows`; `metrics.*.mean` is the key
    `mean` of each value of the object `metrics`.
    """
    for name, part in schema.get("properties", {}).items():
        below = f"{path}.{name}" if path else name
        optional = "" if name in schema.get("required", ()) else ", optional"
        if "description" in part:
            yield below, _type(part) + optional, part["description"]
        yield from _nested(part, below)


def _nested(part: dict[str, Any], path: str) -> Iterator[tuple[str, str, str]]:
    yield from keys(part, path)
    if isinstance(part.get("items"), dict):
        yield from _nested(part["items"], f"{path}[]")
    if isinstance(part.get("additionalProperties"), dict):
        yield from _nested(part["additionalProperties"], f"{path}.*")


def _type(part: dict[str, Any]) -> str:
    kinds = part.get("type", "any")
    names = [kinds] if isinstance(kinds, str) else kinds
    items = part.get("items")
    if "array" in names and isinstance(items, dict) and "type" in items:
        return " or ".join(f"array of {_type(items)}" if name == "array" else name for name in names)
    return " or ".join(names)


class JsonKeys(SphinxDirective):
    """The tables of keys of the result of a command, one for each form of the result."""

    required_arguments = 1

    def run(self) -> list[nodes.Node]:
        """Return a paragraph and a table for each form."""
        path = SCHEMAS / f"{self.arguments[0]}.json"
        self.env.note_dependency(str(path))
        result = json.loads(path.read_text(encoding="utf-8"))["properties"]["result"]
        made: list[nodes.Node] = []
        for form in result.get("anyOf", [result]):
            if "description" in form:
                made.append(nodes.paragraph("", "", *self.parse_inline(form["description"])[0]))
            made.append(self._table(list(keys(form))))
        return made

    def _table(self, rows: list[tuple[str, str, str]]) -> nodes.Node:
        group = nodes.tgroup("", *(nodes.colspec(colwidth=width) for width in (30, 20, 50)), cols=3)
        head = nodes.row("", *(nodes.entry("", nodes.paragraph("", name)) for name in ("key", "type", "meaning")))
        group += nodes.thead("", head)
        group += nodes.tbody(
            "",
            *(
                nodes.row(
                    "",
                    nodes.entry("", nodes.paragraph("", "", nodes.literal("", key))),
                    nodes.entry("", nodes.paragraph("", kind)),
                    nodes.entry("", nodes.paragraph("", "", *self.parse_inline(meaning)[0])),
                )
                for key, kind, meaning in rows
            ),
        )
        return nodes.table("", group)


def setup(app: Sphinx) -> dict[str, Any]:
    """Add the directive."""
    app.add_directive("json-keys", JsonKeys)
    return {"parallel_read_safe": True, "parallel_write_safe": True}
