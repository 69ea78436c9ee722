"""Write the tables of `docs/fisher.md` from `results/*.json`, between its markers, so that no figure is typed.

A table goes between `<!-- table: NAME -->` and `<!-- end of table -->`. With `--check` nothing is written, and the exit
code is 1 where the page differs from the results.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
PAGE = Path(__file__).parents[1] / "docs" / "fisher.md"
MARKED = re.compile(r"(<!-- table: ([a-z-]+) -->\n).*?(<!-- end of table -->)", re.DOTALL)
NOT_RUN = "Not measured yet.\n"

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
        missing = [key.replace("_", ", ") for key in row if key.startswith("float") and row[key] is None]
        name = f"{row['family']}{' ¹' if missing else ''}"
        counts = [str(row[key]) for key in ("tensors", "by_rule", "one_at_a_time", "refused")]
        lines.append([name, row["objective"], *counts, _power(row["float64"]), _power(row["float32"])])
    columns = ["family", "objective", "tensors", "by rule", "one example at a time", "of these, rule refused"]
    return _table([*columns, "float64", "float32"], lines)


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
        error = "–" if row.get("error") is None or row["contestant"].startswith("plain") else _power(row["error"])
        lines.append(
            [
                *(str(row[key]) for key in keys),
                name,
                f"{row['median_s']:.2f}",
                f"{row['best_s']:.2f}",
                error,
                _number(ratio),
                _number(ratio and row["engine_over_best"]),
                _aim(ratio, row["target"]),
            ]
        )
    heads = ["contestant", "s", "best s", "error", "engine takes ×", "× (best)", "aim"]
    return _table([*({"positions": "T"}[key] for key in keys), *heads], lines)


def threads(results: Path) -> str:
    """One thread and two."""
    rows = rows_of(results, "threads")
    lines = [
        [row["contestant"], str(row["threads"]), f"{row['clock_median_s']:.2f}", _number(row["engine_over"])]
        for row in rows
    ]
    return _table(["contestant", "threads", "s by the clock", "engine takes ×"], lines)


def head(results: Path) -> str:
    """The head of a large vocabulary."""
    lines = [
        [
            row["what"],
            row["contestant"],
            f"{row['value']:.2f}",
            _number(row["engine_over"]),
            _aim(row["engine_over"], row["target"]),
        ]
        for row in rows_of(results, "head")
    ]
    return _table(["what", "contestant", "value", "engine takes ×", "aim"], lines)


def memory(results: Path) -> str:
    """Peaks above the model."""
    lines = [
        [
            row["method"],
            *(f"{row[key]:.0f}" for key in ("above_model_mib", "less_f_mib", "needed_less_f_mib")),
            _number(row["less_f_mib_of_step"]),
            _number(row["needed_less_f_mib_of_step"]),
            _aim(row["less_f_mib_of_step"], row["target"]),
        ]
        for row in rows_of(results, "memory")
    ]
    heads = ["method", "MiB above the model", "less F", "less F, blocks given back", "less F, of the step's"]
    return _table([*heads, "of the step's, blocks given back", "aim (as it is)"], lines)


def precision(results: Path) -> str:
    """Sub-networks in other precisions."""
    lines = [[row["variant"], f"{row['smallest']:.4f}", f"{row['mean']:.4f}"] for row in rows_of(results, "precision")]
    return _table(["variant", "smallest Jaccard", "mean Jaccard"], lines)


def compiled(results: Path) -> str:
    """`torch.compile` on the model's body."""
    lines = [
        [row["what"], row["variant"], f"{row['first_s']:.1f}", f"{row['median_s']:.2f}", _power(row["error"])]
        for row in rows_of(results, "compile")
    ]
    return _table(["what", "body", "first call, s", "then, s", "error"], lines)


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
    return _table(["results", "processor", "load", "torch", "blocks"], lines)


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


def filled(page: str, results: Path) -> str:
    """Return the page with every table made anew.

    Raises:
        KeyError: A marker names no table.
    """
    return MARKED.sub(lambda found: found[1] + TABLES[found[2]](results) + found[3], page)


def _table(columns: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    if not lines:
        return NOT_RUN
    aligned = ["---", *("--:" for _ in columns[1:])]
    return "".join(f"| {' | '.join(line)} |\n" for line in (columns, aligned, *lines))


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"


def _power(value: float) -> str:
    return "0" if value == 0 else f"{value:.0e}".replace("e-0", "e-")


def _aim(value: float | None, target: float | None) -> str:
    if target is None or value is None:
        return "–"
    return f"≤ {target:.2f}: {'met' if value <= target else '**missed**'}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="write nothing; exit 1 where the page is out of date")
    parser.add_argument("--results", type=Path, default=RESULTS, help="folder of the JSON files")
    parser.add_argument("--page", type=Path, default=PAGE)
    options = parser.parse_args()
    before = options.page.read_text(encoding="utf-8")
    after = filled(before, options.results)
    if options.check:
        sys.exit(int(before != after))
    options.page.write_text(after, encoding="utf-8")


if __name__ == "__main__":
    main()
