"""Tables of `docs/scaling.md` on builds with many workers, from the results of `simulate_workers.py`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from harness import NOT_RUN, table

SHOWN = (1, 4, 16, 64, 256)


def _run(results: Path) -> Mapping[str, Any] | None:
    path = results / "workers-simulated.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def inputs(results: Path) -> str:
    """Return a Markdown table of the measured and the assumed times of a row."""
    run = _run(results)
    if run is None:
        return NOT_RUN
    task, write = run["parameters"]["task_s"], run["parameters"]["write_s"]
    lines = [
        [
            row["device"],
            f"{row['row_s']:.0f} s",
            f"{1000 * task:.1f} ms",
            f"{1000 * write:.0f} ms",
            f"{row['scheduler']:,.0f}",
            f"{row['disk']:,.0f}",
        ]
        for row in run["results"]
        if row["section"] == "limit"
    ]
    columns = ["device", "row", "scheduler a row", "disk a row", "workers at which the scheduler is full"]
    return table([*columns, "workers at which the disk is full"], lines)


def growth(results: Path) -> str:
    """Return a Markdown table of languages an hour and idle shares for several numbers of workers."""
    run = _run(results)
    if run is None:
        return NOT_RUN
    rates = {
        (row["device"], row["languages"], row["workers"], row["order"]): row
        for row in run["results"]
        if row["section"] == "point"
    }
    lines = []
    for device, languages, workers, order in rates:
        if order != "random" and workers in SHOWN:
            first, other = (rates[device, languages, workers, each] for each in (order, "random"))
            shares = (first["idle"], other["idle"], first["scheduler"], first["disk"])
            lines.append(
                [device, f"{languages:,}", str(workers), f"{first['languages_per_hour']:,.0f}"]
                + [f"{100 * share:.1f} %" for share in shares]
            )
    columns = ["device", "languages", "workers", "languages an hour", "idle", "idle, random order"]
    return table([*columns, "scheduler busy", "disk busy"], lines)


#: Name in the markers of a page → function that returns the table.
TABLES: dict[str, Callable[[Path], str]] = {"workers-inputs": inputs, "workers-growth": growth}
