"""Output of a command line: stderr without the next command, and the result in JSON."""

from __future__ import annotations

import json
from typing import Any


def without_next(err: str) -> str:
    """Return stderr without the line `next:`, with which a verb ends; the line must be there."""
    *lines, last = err.splitlines(keepends=True)
    assert last.startswith("next: xsns-stream "), err
    return "".join(lines)


def json_result(verb: str, completed: Any) -> dict[str, Any]:
    """Return the result that a verb printed with `--json`. The verb must have succeeded."""
    assert completed.code == 0, completed.err
    document = json.loads(completed.out)
    assert (document["schema_version"], document["command"]) == (1, verb)
    result: dict[str, Any] = document["result"]
    return result
