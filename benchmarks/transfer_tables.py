"""The tables of what fine-tuning costs: `results/transfer.json` as Markdown."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from table_text import aim_at_least, number, table

Row = dict[str, Any]

_NAMES = {"build": "ranking: `build`", "matrix": "ranking: `matrix`", "transfer": "fine-tuning: `transfer`"}


def runs(results: Path) -> list[Row]:
    """Return the documents of the benchmark."""
    return [json.loads(path.read_text(encoding="utf-8")) for path in sorted(results.glob("transfer*.json"))]


def speed(results: Path) -> str:
    """Fine-tuning beside the bare loop."""
    lines = []
    for run in runs(results):
        for row in (row for row in run["results"] if row["section"] == "speed"):
            ours = row["contestant"] == "fine_tune"
            lines.append(
                [
                    f"`{row['contestant']}`" if ours else row["contestant"],
                    f"{row['examples_per_second']:,.0f}",
                    *(number(row[name]) for name in ("of_loop", "whole_call_of_loop", "cpu_of_loop")),
                    aim_at_least(row["of_loop"], run["parameters"]["target"] if ours else None),
                ]
            )
    heads = ["contestant", "examples/s", "of the loop's", "whole call", "whole call, processor's time", "aim"]
    return table(heads, lines)


def cost(results: Path) -> str:
    """What a ranking and the fine-tuning cost, each command once."""
    lines = [
        [_NAMES[row["what"]], str(row["languages"]), str(row["seeds"]), f"{row['wall_s']:,.0f}", f"{row['cpu_s']:,.0f}"]
        for run in runs(results)
        for row in run["results"]
        if row["section"] == "cost"
    ]
    return table(["command", "languages", "seeds", "seconds", "processor's seconds"], lines)


def ratios(results: Path) -> str:
    """Ranking against fine-tuning."""
    lines = [
        [
            "multiplied up, not measured" if row["extrapolated"] else "measured",
            str(row["languages"]),
            str(row["seeds"]),
            *(f"{row[name]:,.0f}" for name in ("ranking_s", "fine_tuning_s")),
            f"{row['ratio']:.1f}",
        ]
        for run in runs(results)
        for row in run["results"]
        if row["section"] == "ratio"
    ]
    heads = ["", "languages", "seeds", "ranking, processor's seconds", "fine-tuning", "fine-tuning / ranking"]
    return table(heads, lines)


#: Name in the page's markers → what makes the table.
TABLES: dict[str, Callable[[Path], str]] = {
    "transfer-speed": speed,
    "transfer-cost": cost,
    "transfer-ratio": ratios,
}
