"""Comparison of the JSON output of a verb with the JSON Schemas of `docs/schemas`."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match

from tests.support.paths import DOCS

SCHEMAS = DOCS / "schemas"


def closed(schema: Any) -> Any:
    """Return a schema that allows only the keys it describes; the published schemas allow further keys."""
    if isinstance(schema, list):
        return [closed(part) for part in schema]
    if not isinstance(schema, dict):
        return schema
    result = {name: closed(part) for name, part in schema.items()}
    return result | {"additionalProperties": False} if "properties" in schema else result


@cache
def validators(command: str) -> tuple[Draft202012Validator, ...]:
    """Return a validator for each form of the output of a command, such as a build and a dry run."""
    schema = json.loads((SCHEMAS / f"{command.replace(' ', '-')}.json").read_text(encoding="utf-8"))
    result = schema["properties"]["result"]
    forms = [schema | {"properties": schema["properties"] | {"result": form}} for form in result.get("anyOf", [result])]
    return tuple(Draft202012Validator(closed(form)) for form in forms)


def check_output(document: dict[str, Any]) -> None:
    """Compare the JSON object of a verb with the schema of its command.

    Raises:
        AssertionError: A key is not described, is missing or has another type.
    """
    errors = [list(validator.iter_errors(document)) for validator in validators(document["command"])]
    if all(errors):
        # Errors are reported for the form that has the fewest.
        error = best_match(min(errors, key=len))
        where = ".".join(map(str, error.absolute_path))
        raise AssertionError(
            f"docs/schemas has another output of {document['command']}: {where}: {error.message[:300]}"
        )
