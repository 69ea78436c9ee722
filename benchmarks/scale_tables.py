"""Growth of times with languages and parameters: fitted terms, and the tables of `docs/scaling.md`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from harness import NOT_RUN, number, table

#: Operation → terms of its time, as powers of L and P.
TERMS: Mapping[str, tuple[tuple[int, int], ...]] = {
    "write": ((0, 1), (0, 0)),
    "matrix": ((2, 1), (1, 1), (1, 0), (0, 0)),
    "add": ((1, 1), (2, 0), (1, 0), (0, 0)),
    "rank": ((1, 1), (1, 0), (0, 0)),
    # The number of blocks grows with P up to a bound, which is not a sum of powers.
    "sample": (),
}


def fits(operation: str, points: Sequence[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """Return the growth of an operation's time: exponents along either series, and fitted terms."""
    operation_points = [row for row in points if row.get("operation") == operation]
    rows = [fit_terms(operation, operation_points)] if TERMS[operation] else []
    for series in ("languages", "parameters"):
        along = [row for row in operation_points if row["series"] == series]
        if len(along) > 1:
            rows.append(
                {"section": "exponent", "operation": operation, "series": series, **fit_exponents(along, series)}
            )
    return rows


def fit_exponents(points: Sequence[Mapping[str, Any]], axis: str) -> dict[str, Any]:
    """Return the slope of log time over log size: over all points, and between the two largest.

    `axis` is the size: `languages` or `parameters`.
    """
    x, y = (np.log([row[name] for row in points]) for name in (axis, "cpu_s"))
    return {
        "slope": float(np.polyfit(x, y, 1)[0]),
        "last_slope": float((y[-1] - y[-2]) / (x[-1] - x[-2])),
        "points": len(points),
    }


def fit_terms(operation: str, points: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Fit CPU seconds by a sum of terms in powers of L and P with non-negative coefficients.

    Each point is weighted by its own time, so that relative errors are small at all sizes.
    """
    from scipy.optimize import nnls

    powers = TERMS[operation]
    seconds = np.array([row["cpu_s"] for row in points])
    sizes = np.array([(row["languages"], row["parameters"]) for row in points], float)
    table = np.stack([sizes[:, 0] ** one * sizes[:, 1] ** other for one, other in powers], axis=1)
    scale = (table / seconds[:, None]).max(axis=0)
    fitted = nnls(table / seconds[:, None] / scale, np.ones(len(points)))[0] / scale
    return {
        "section": "terms",
        "operation": operation,
        "coefficients": [
            {"languages": one, "parameters": other, "seconds": float(value)}
            for (one, other), value in zip(powers, fitted, strict=True)
        ],
        "largest_error": float(np.abs(table @ fitted / seconds - 1).max()),
    }


def predicted(coefficients: Sequence[Mapping[str, Any]], languages: int, parameters: int) -> float:
    """Return the seconds that a sum of terms gives for L languages and P parameters."""
    powers = ((c["seconds"], c["languages"], c["parameters"]) for c in coefficients)
    return float(sum(seconds * languages**one * parameters**other for seconds, one, other in powers))


# ------------------------------------------------------------------------------------------- tables

#: Languages × parameters of the plans: XLM-R base, and a model of seven thousand million.
PLANS = ((7_000, 85_054_464), (7_000, 7_000_000_000))
CORES, NODES = 2, 10
OPERATIONS = ("write", "matrix", "add", "rank", "sample")

Row = Mapping[str, Any]


def runs(results: Path) -> list[dict[str, Any]]:
    """Return all runs of `bench_scale.py`."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("scale*.json"))]


def points(results: Path) -> str:
    """Return a Markdown table of the CPU seconds of every operation, and of the memory of `matrix`."""
    lines = []
    for run in runs(results):
        rows = [row for row in run["results"] if row["section"] == "point"]
        measured = dict.fromkeys((row["series"], row["languages"], row["parameters"]) for row in rows)
        for series, languages, parameters in measured:
            by_operation = {
                row["operation"]: row
                for row in rows
                if (row["series"], row["languages"], row["parameters"]) == (series, languages, parameters)
            }
            seconds = [_seconds(by_operation[name]["cpu_s"]) if name in by_operation else "–" for name in OPERATIONS]
            wall, memory = _seconds(by_operation["matrix"]["wall_s"]), f"{by_operation['matrix']['extra_mib']:.0f}"
            disk = f"{languages * by_operation['write']['row_bytes'] / 1e6:,.0f}"
            lines.append([f"{languages}", f"{parameters / 1e6:.1f} M", disk, *seconds, wall, memory])
    heads = ["L", "P", "rows, MB", "write a row", "matrix", "add a row", "rank", "5 % sample", "matrix, wall clock"]
    return table([*heads, "matrix, MiB"], lines)


def growth(results: Path) -> str:
    """Return a Markdown table of the exponents of growth along languages and parameters."""
    lines = [
        [row["operation"], {"languages": "L", "parameters": "P"}[row["series"]], *map(number, _slopes(row))]
        for run in runs(results)
        for row in run["results"]
        if row["section"] == "exponent"
    ]
    return table(["operation", "size", "exponent, all points", "exponent, last two points"], lines)


def _slopes(row: Row) -> tuple[float, float]:
    return row["slope"], row["last_slope"]


def terms(results: Path) -> str:
    """Return a Markdown table of the fitted terms of each operation."""
    lines = []
    for run in runs(results):
        for row in run["results"]:
            if row["section"] == "terms":
                lines.append([row["operation"], _formula(row["coefficients"]), f"{row['largest_error']:.0%}"])
    return table(["operation", "CPU seconds", "largest relative error"], lines)


def _formula(coefficients: Sequence[Row]) -> str:
    parts = [
        f"{c['seconds']:.1e}{_power(' L', c['languages'])}{_power(' P', c['parameters'])}"
        for c in coefficients
        if c["seconds"] > 0
    ]
    return " + ".join(parts)


def _power(letter: str, exponent: int) -> str:
    return "" if exponent == 0 else letter + ("²" if exponent == 2 else "")


def sampling(results: Path) -> str:
    """Return a Markdown table of the error and the time of a sample of the parameters."""
    lines = []
    for run in runs(results):
        groups: dict[tuple[str, int, int], dict[str, Row]] = {}
        for row in run["results"]:
            if row["section"] == "point":
                setting = row["series"], row["languages"], row["parameters"]
                groups.setdefault(setting, {})[row["operation"]] = row
        for (_, languages, parameters), by_operation in groups.items():
            if "sample" in by_operation:
                sample = by_operation["sample"]
                errors = [f"{sample[name]:.5f}" if name in sample else "–" for name in ("standard_error", "error")]
                ratio = number(sample["cpu_s"] / by_operation["matrix"]["cpu_s"])
                # This assumes that half of the positions of a union are shared, and that a union is a fifth of P.
                single = (0.25 / (run["parameters"]["sample"] * parameters * 0.2)) ** 0.5
                lines.append([f"{languages}", f"{parameters / 1e6:.1f} M", *errors, f"{single:.5f}", ratio])
    heads = ["L", "P", "standard error", "error", "standard error of single positions", "time relative to exact count"]
    return table(heads, lines)


def beyond(results: Path) -> str:
    """Return a Markdown table of the predicted and measured times of a size that was not used for the fit."""
    lines = []
    for run in runs(results):
        for row in run["results"]:
            if row["section"] == "beyond":
                seconds = [_seconds(row[name]) for name in ("predicted_s", "cpu_s", "wall_s")]
                size = f"{row['languages']} × {row['parameters'] / 1e6:.1f} M"
                lines.append([size, *seconds, number(row["cpu_s"] / row["predicted_s"]), f"{row['extra_mib']:.0f}"])
    return table(["L × P", "predicted CPU s", "measured CPU s", "wall-clock s", "measured / predicted", "MiB"], lines)


def plan(results: Path) -> str:
    """Return a Markdown table of predictions for sizes that were not measured."""
    for run in runs(results):
        fitted_terms = {row["operation"]: row["coefficients"] for row in run["results"] if row["section"] == "terms"}
        columns = [_planned(fitted_terms, languages, parameters) for languages, parameters in PLANS]
        heads = [f"{languages:,} × {parameters / 1e6:,.0f} M" for languages, parameters in PLANS]
        lines = [[name, *(column[name] for column in columns)] for name in columns[0]]
        return table(["quantity", *heads], lines)
    return NOT_RUN


def _planned(fitted_terms: Mapping[str, Sequence[Row]], languages: int, parameters: int) -> dict[str, str]:
    pairs, row = languages * (languages + 1) // 2, parameters / 8
    compared, reading = (
        predicted(
            [c for c in fitted_terms["matrix"] if (c["languages"], c["parameters"]) == powers], languages, parameters
        )
        for powers in ((2, 1), (1, 1))
    )
    whole = predicted(fitted_terms["matrix"], languages, parameters)
    return {
        "a row: P / 8": _bytes(row),
        "all rows: L · P / 8": _bytes(languages * row),
        "pairs: L (L + 1) / 2": f"{pairs:,}",
        "bytes compared: pairs · P / 8": _bytes(pairs * row),
        "table of counts: 8 L²": _bytes(8 * languages**2),
        "writing all rows, CPU time": _time(languages * predicted(fitted_terms["write"], languages, parameters)),
        "matrix, CPU time": _time(whole),
        "… pairs, the term L² P": _time(compared),
        "… reading, the term L P": _time(reading),
        f"matrix on one node of {CORES} cores": _time(whole / CORES),
        f"matrix on {NODES} such nodes": _time(whole / CORES / NODES),
        "disk rate at which reading takes as long": f"{_bytes(languages * row / (whole / CORES))}/s",
        "adding a language, CPU time": _time(predicted(fitted_terms["add"], languages, parameters)),
        "ranking for one target, CPU time": _time(predicted(fitted_terms["rank"], languages, parameters)),
    }


def _seconds(value: float) -> str:
    return f"{value:.3f}" if value < 1 else f"{value:.1f}"


def _time(seconds: float) -> str:
    for unit, length in (("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds / length:,.1f} {unit}"
    return f"{seconds:.1f} s"


def _bytes(value: float) -> str:
    for unit, size in (("PB", 1e15), ("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if value >= size:
            return f"{value / size:,.1f} {unit}"
    return f"{value / 1e3:,.1f} kB"


def settings(results: Path) -> str:
    """Return a Markdown table of processor, load and versions of the runs."""
    lines = []
    for run in runs(results):
        machine = run["machine"]
        versions = ", ".join(f"{name} {machine['versions'][name]}" for name in ("numpy", "numba", "zarr"))
        lines.append([machine["cpu"], str(machine["cores"]), str(machine["load_before"]), versions])
    return table(["processor", "cores", "load at the end", "versions"], lines)


#: Name in the markers of a page → function that returns the table.
TABLES: dict[str, Callable[[Path], str]] = {
    "scale-points": points,
    "scale-growth": growth,
    "scale-terms": terms,
    "scale-sampling": sampling,
    "scale-beyond": beyond,
    "scale-plan": plan,
    "scale-settings": settings,
}
