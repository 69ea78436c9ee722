"""`docs/schemas` describes what every verb prints with `--json`.

The fixture `xsns` compares the JSON output of every command that any test runs with these schemas.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from tests.support.json_schemas import SCHEMAS, check_output
from tests.support.page_blocks import run_page
from tests.support.paths import DOCS, ROOT
from xsns_stream.cli import VERBS

FILES = sorted(SCHEMAS.glob("*.json"))
#: Verbs with subcommands that print different objects.
SUBCOMMANDS = {"gold": ("gold-import", "gold-show")}


def described(schema: Any, path: str = "result") -> Iterator[str]:
    """Yield the paths of keys without a description."""
    if isinstance(schema, list):
        for part in schema:
            yield from described(part, path)
    elif isinstance(schema, dict):
        for name, part in schema.get("properties", {}).items():
            if not part.get("description"):
                yield f"{path}.{name}"
        for name, part in schema.items():
            parts = part.items() if name == "properties" else [("", part)]
            for key, one in parts:
                yield from described(one, f"{path}.{key}" if key else path)


def test_every_verb_has_a_schema() -> None:
    expected = {name for verb in VERBS for name in SUBCOMMANDS.get(verb, (verb,))}
    assert {path.stem for path in FILES} == expected
    page = (DOCS / "reference" / "json.md").read_text(encoding="utf-8")
    assert set(re.findall(r"```\{json-keys\} (\S+)", page)) == expected
    with_json = {
        name.replace(" ", "-")
        for path in (ROOT / "xsns_stream" / "cli").glob("*.py")
        for name in re.findall(r'emit_json\(\s*"([a-z ]+)"', path.read_text(encoding="utf-8"))
    }
    assert with_json <= expected


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_a_schema_is_valid_and_describes_every_key(path: Path) -> None:
    schema = json.loads(path.read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    assert schema["properties"]["command"] == {"const": path.stem.replace("-", " ")}
    assert list(described(schema["properties"]["result"])) == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"more": 1}, "'more' was unexpected"),
        ({"sound": 1}, "result.sound: 1 is not of type 'boolean'"),
        ({"rows": None}, "result.rows: None is not of type 'integer'"),
    ],
)
def test_another_output_is_an_error(change: dict[str, Any], message: str) -> None:
    names = ("store", "sound", "rows", "kept_rows", "parts", "findings", "unfinished_rows", "unfinished_parts")
    result: dict[str, Any] = dict(zip(names, ("x", True, 1, 0, 0, [], [], []), strict=True))
    check_output({"schema_version": 1, "command": "verify", "result": result})
    with pytest.raises(AssertionError, match=re.escape(message)):
        check_output({"schema_version": 1, "command": "verify", "result": result | change})
    del result["store"]
    with pytest.raises(AssertionError, match="'store' is a required property"):
        check_output({"schema_version": 1, "command": "verify", "result": result})


def test_the_block_of_the_page_runs(build: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert build("--store", tmp_path / "news.zarr").code == 0
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"])))
    result = run_page("docs/reference/json.md").names["result"]
    assert [source["language"] for source in result["sources"]] == ["fi"]
