"""The tables of `docs/fisher.md`, from `results/fisher*.json` and `results/exactness.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import NOT_RUN, aim, number, power, table

Row = Mapping[str, Any]


def rows_of(results: Path, section: str) -> list[dict[str, Any]]:
    """Return the rows of a section from all `fisher*.json`, each with its run's parameters."""
    found = []
    for path in sorted(results.glob("fisher*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        found += [document["parameters"] | row for row in document["results"] if row["section"] == section]
    return found


def families(results: Path) -> str:
    """How every family is measured, and how exactly."""
    path = results / "exactness.json"
    if not path.exists():
        return NOT_RUN
    rows = json.loads(path.read_text(encoding="utf-8"))["results"]
    lines = []
    for row in rows:
        counts = [str(row[key]) for key in ("tensors", "by_rule", "one_at_a_time", "refused")]
        lines.append([row["family"], row["objective"], *counts, power(row["float64"]), power(row["float32"])])
    columns = ["family", "objective", "tensors", "by rule", "one example at a time", "of these, rule refused"]
    return table([*columns, "float64", "float32"], lines)


def speed(results: Path) -> str:
    """The engine's time over everybody else's, targets beside it."""
    return _speed(rows_of(results, "speed"), ["positions"])


def ragged(results: Path) -> str:
    """The same on texts of different lengths."""
    return _speed(rows_of(results, "ragged"), [])


def _speed(rows: Sequence[Row], keys: Sequence[str]) -> str:
    lines = []
    for row in rows:
        ratio = None if row["contestant"] in ("engine", "opening") else row["engine_over"]
        name = row["contestant"] + (f" (without {row['leaves_out']})" if row.get("leaves_out") else "")
        error = "–" if row.get("error") is None or row["contestant"].startswith("plain") else power(row["error"])
        lines.append(
            [
                *(str(row[key]) for key in keys),
                name,
                f"{row['median_s']:.2f}",
                f"{row['best_s']:.2f}",
                error,
                number(ratio),
                number(ratio and row["engine_over_best"]),
                aim(ratio, row["target"]),
            ]
        )
    heads = ["contestant", "s", "best s", "error", "engine takes ×", "× (best)", "aim"]
    return table([*({"positions": "T"}[key] for key in keys), *heads], lines)


def threads(results: Path) -> str:
    """One thread and two."""
    rows = rows_of(results, "threads")
    lines = [
        [row["contestant"], str(row["threads"]), f"{row['clock_median_s']:.2f}", number(row["engine_over"])]
        for row in rows
    ]
    return table(["contestant", "threads", "s by the clock", "engine takes ×"], lines)


def head(results: Path) -> str:
    """The head of a large vocabulary."""
    lines = [
        [
            row["what"],
            row["contestant"],
            f"{row['value']:.2f}",
            number(row["engine_over"]),
            aim(row["engine_over"], row["target"]),
        ]
        for row in rows_of(results, "head")
    ]
    return table(["what", "contestant", "value", "engine takes ×", "aim"], lines)


def memory(results: Path) -> str:
    """Peaks above the model."""
    lines = [
        [
            row["method"],
            *(f"{row[key]:.0f}" for key in ("above_model_mib", "less_f_mib", "needed_less_f_mib")),
            number(row["less_f_mib_of_step"]),
            number(row["needed_less_f_mib_of_step"]),
            aim(row["less_f_mib_of_step"], row["target"]),
        ]
        for row in rows_of(results, "memory")
    ]
    heads = ["method", "MiB above the model", "less F", "less F, blocks given back", "less F, of the step's"]
    return table([*heads, "of the step's, blocks given back", "aim (as it is)"], lines)


def precision(results: Path) -> str:
    """Sub-networks in other precisions."""
    lines = [[row["variant"], f"{row['smallest']:.4f}", f"{row['mean']:.4f}"] for row in rows_of(results, "precision")]
    return table(["variant", "smallest Jaccard", "mean Jaccard"], lines)


def compiled(results: Path) -> str:
    """`torch.compile` on the model's body."""
    lines = [
        [row["what"], row["variant"], f"{row['first_s']:.1f}", f"{row['median_s']:.2f}", power(row["error"])]
        for row in rows_of(results, "compile")
    ]
    return table(["what", "body", "first call, s", "then, s", "error"], lines)


def settings(results: Path) -> str:
    """Where each run was made."""
    lines = []
    for path in [*sorted(results.glob("fisher*.json")), results / "exactness.json"]:
        if path.exists():
            run = json.loads(path.read_text(encoding="utf-8"))
            machine, parameters = run["machine"], run["parameters"]
            layers = parameters.get("layers", "–")
            lines.append(
                [path.name, machine["cpu"], str(machine["load_before"]), machine["versions"]["torch"], str(layers)]
            )
    return table(["results", "processor", "load", "torch", "blocks"], lines)


#: Name in the page's markers → what makes the table.
TABLES: dict[str, Callable[[Path], str]] = {
    "families": families,
    "speed": speed,
    "ragged": ragged,
    "threads": threads,
    "head": head,
    "memory": memory,
    "precision": precision,
    "compile": compiled,
    "settings": settings,
}
