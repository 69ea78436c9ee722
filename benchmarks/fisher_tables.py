"""Tables of `docs/fisher.md`, from `results/fisher*.json` and `results/exactness.json`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from harness import NOT_RUN, at_most, by_processor, number, power, processor, table

Row = Mapping[str, Any]


def rows_of(results: Path, section: str) -> list[dict[str, Any]]:
    """Return the rows of a section from all `fisher*.json`, each with the parameters and the processor of its run."""
    result = []
    for path in sorted(results.glob("fisher*.json")):
        document = json.loads(path.read_text(encoding="utf-8"))
        run = document["parameters"] | {"processor": processor(document.get("machine", {}).get("cpu", ""))}
        result += [run | row for row in document["results"] if row["section"] == section]
    return result


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]], rows: Sequence[Row], keys: int) -> str:
    return by_processor(columns, lines, [row["processor"] for row in rows], keys)


def families(results: Path) -> str:
    """Return the numbers of tensors measured by rules, and the errors, for every family."""
    path = results / "exactness.json"
    if not path.exists():
        return NOT_RUN
    rows = json.loads(path.read_text(encoding="utf-8"))["results"]
    lines = []
    for row in rows:
        counts = [str(row[key]) for key in ("tensors", "by_rule", "one_at_a_time", "refused")]
        lines.append([row["family"], row["objective"], *counts, power(row["float64"]), power(row["float32"])])
    columns = ["family", "objective", "tensors", "by rule", "by single examples", "of these, rule rejected"]
    return table([*columns, "error, float64", "error, float32"], lines)


def speed(results: Path) -> str:
    """Return the time of the engine relative to each contestant, for batches of equal lengths."""
    return _speed(rows_of(results, "speed"), ["positions"])


def ragged(results: Path) -> str:
    """Return the time of the engine relative to each contestant, for texts of different lengths."""
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
                at_most(ratio, row["target"]),
            ]
        )
    heads = ["contestant", "s", "best s", "error", "engine / contestant", "of best times", "goal"]
    return _table([*({"positions": "T"}[key] for key in keys), *heads], lines, rows, len(keys) + 1)


def threads(results: Path) -> str:
    """Return times with one thread and with two."""
    rows = rows_of(results, "threads")
    lines = [
        [row["contestant"], str(row["threads"]), f"{row['clock_median_s']:.2f}", number(row["engine_over"])]
        for row in rows
    ]
    return _table(["contestant", "threads", "wall-clock s", "engine / contestant"], lines, rows, 2)


def head(results: Path) -> str:
    """Return time and memory of the head of a large vocabulary."""
    rows = rows_of(results, "head")
    lines = [
        [
            row["what"],
            row["contestant"],
            f"{row['value']:.2f}",
            number(row["engine_over"]),
            at_most(row["engine_over"], row["target"]),
        ]
        for row in rows
    ]
    return _table(["quantity", "contestant", "value", "engine / contestant", "goal"], lines, rows, 2)


def share(results: Path) -> str:
    """Return the time of a causal model with a share of its positions scored."""
    lines = [
        [
            row["contestant"],
            str(row["scored"]),
            f"{row['median_s']:.2f}",
            f"{row['best_s']:.2f}",
            "–" if row["error"] is None else power(row["error"]),
            number(row["engine_over"]),
            number(row["engine_over_best"]),
            at_most(row["engine_over"], row["target"]),
        ]
        for row in rows_of(results, "share")
    ]
    heads = [
        "contestant",
        "scored positions",
        "s",
        "best s",
        "error",
        "first row / contestant",
        "of best times",
        "goal",
    ]
    return table(heads, lines)


def memory(results: Path) -> str:
    """Return the peak memory of each method above the model."""
    rows = rows_of(results, "memory")
    lines = [
        [
            row["method"],
            *(f"{row[key]:.0f}" for key in ("above_model_mib", "less_f_mib", "needed_less_f_mib")),
            number(row["less_f_mib_of_step"]),
            number(row["needed_less_f_mib_of_step"]),
            at_most(row["less_f_mib_of_step"], row["target"]),
        ]
        for row in rows
    ]
    heads = [
        "method",
        "MiB above the model",
        "without F",
        "without F, freed blocks returned",
        "without F, relative to step",
    ]
    heads += ["relative to step, freed blocks returned", "goal (default allocator)"]
    return _table(heads, lines, rows, 1)


def precision(results: Path) -> str:
    """Return the agreement of sub-networks in other precisions."""
    lines = [[row["variant"], f"{row['smallest']:.4f}", f"{row['mean']:.4f}"] for row in rows_of(results, "precision")]
    return table(["variant", "smallest Jaccard", "mean Jaccard"], lines)


def compiled(results: Path) -> str:
    """Return times with `torch.compile` on the body of the model."""
    lines = [
        [row["what"], row["variant"], f"{row['first_s']:.1f}", f"{row['median_s']:.2f}", power(row["error"])]
        for row in rows_of(results, "compile")
    ]
    return table(["call", "body", "first call, s", "later calls, s", "error"], lines)


def settings(results: Path) -> str:
    """Return processor, load and versions of each run."""
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


#: Name in the markers of a page → function that returns the table.
TABLES: dict[str, Callable[[Path], str]] = {
    "families": families,
    "speed": speed,
    "ragged": ragged,
    "threads": threads,
    "head": head,
    "share": share,
    "memory": memory,
    "precision": precision,
    "compile": compiled,
    "settings": settings,
}
