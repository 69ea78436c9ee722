"""`xsns-stream params`: which parameters are θ, and which are not."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import Any

import click

from xsns_stream.cli.common import common_options, emit_json, examples, stderr_console, stdout_console


@click.command(
    name="params",
    epilog=examples("xsns-stream params mini", "xsns-stream params mini --check --json"),
)
@click.argument("model")
@click.option("--revision", default=None, help="Commit, branch or tag of a model on the Hub.")
@click.option("--check", is_flag=True, help="Compare the fast engine with a loop over single examples.")
@common_options
def command(model: str, revision: str | None, check: bool, as_json: bool, quiet: bool) -> None:
    """Show which parameters of MODEL are measured (θ) and which are left out.

    MODEL is `mini`, a local folder, or a Hub id. θ are the transformer blocks; embeddings and head are left out.
    """
    from xsns_stream.fisher import self_check
    from xsns_stream.models import left_out, load_model, parameter_layout

    with stderr_console(quiet).status("loading the model …"):
        loaded = load_model(model, revision=revision)
    layout = parameter_layout(loaded.model)
    out = {name: tuple(p.shape) for name, p in left_out(loaded.model, layout).items()}
    checks = self_check(loaded.model, layout) if check else ()
    if as_json:
        result: dict[str, Any] = {
            "model": loaded.name,
            "parameters": layout.size,
            "layout_digest": layout.digest,
            "measured": [_entry(n, s) for n, s in zip(layout.names, layout.shapes, strict=True)],
            "left_out": [_entry(name, shape) for name, shape in out.items()],
        }
        if check:
            result["check"] = [
                {"name": c.name, "by_rule": c.by_rule, "error": c.error, "exact": c.exact} for c in checks
            ]
        emit_json("params", result)
        return
    console = stdout_console()
    console.print(_table("measured (θ)", zip(layout.names, layout.shapes, strict=True)))
    console.print(_table("left out", out.items()))
    console.print(
        f"{loaded.name}: P = {layout.size:,} parameters measured in {len(layout.layers)} blocks, "
        f"{sum(map(prod, out.values())):,} left out. A sub-network takes {-(-layout.size // 8):,} bytes."
    )
    if check:
        ruled = sum(c.by_rule and c.exact for c in checks)
        worst = max((c for c in checks if c.exact), key=lambda c: c.error, default=None)
        largest = f"; largest error {worst.error:.1e} ({worst.name})" if worst else ""
        console.print(
            f"check: {ruled} of {len(checks)} tensors by rule and exact, "
            f"{len(checks) - ruled} one example at a time{largest}."
        )


def _entry(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "size": prod(shape)}


def _table(title: str, rows: Iterable[tuple[str, tuple[int, ...]]]) -> Any:
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", box=None)
    table.add_column("parameter", overflow="fold")
    table.add_column("shape")
    table.add_column("size", justify="right")
    for name, shape in rows:
        table.add_row(Text(name), " × ".join(map(str, shape)), f"{prod(shape):,}")
    return table
