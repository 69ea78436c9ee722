"""`xsns-stream params`: which parameters are θ, and which are not."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from math import prod
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.option_groups import SectionedCommand, model_options, parameter_options
from xsns_stream.cli.output import common_options, counted, emit_json, examples, note, stderr_console, stdout_console

if TYPE_CHECKING:
    from rich.table import Table

    from xsns_stream.fisher import ParameterCheck
    from xsns_stream.types import ParameterLayout

#: Classes of a new task head, of which nothing is measured unless it is included.
_LABELS: Final = 2


@click.command(
    name="params",
    cls=SectionedCommand,
    epilog=examples("xsns-stream params mini", "xsns-stream params mini --check --json"),
)
@click.argument("model")
@model_options
@parameter_options
@click.option("--tensors", is_flag=True, help="List every tensor in place of the blocks.")
@click.option("--check", is_flag=True, help="Compare the fast engine with a loop over single examples.")
@common_options
def command(tensors: bool, check: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Show which parameters of MODEL are measured (θ) and which are left out.

    MODEL is `mini`, a local folder, or a Hub id. θ are the transformer blocks; embeddings and head are left out.
    """
    from xsns_stream.fisher import self_check
    from xsns_stream.models import left_out, parameter_layout
    from xsns_stream.models.in_memory import open_model

    with stderr_console(quiet).status("loading the model …"):
        loaded = open_model(
            options["model"],
            revision=options["revision"],
            device=options["device"],
            objective=options["objective"],
            label_count=_LABELS if options["objective"].endswith("classification") else None,
            dtype=options["dtype"],
        )
    layout = parameter_layout(
        loaded.model, stack=options["stack"], include=options["include"], exclude=options["exclude"]
    )
    out = {name: tuple(p.shape) for name, p in left_out(loaded.model, layout).items()}
    checks = self_check(loaded.model, layout) if check else ()
    kinds = {name: type(loaded.model.get_submodule(name.rpartition(".")[0])).__name__ for name in layout.names}
    for text in loaded.notes:
        note(f"note: {text}", quiet)
    if as_json:
        result = _result(loaded.name, loaded.objective, layout, out, checks, kinds)
        emit_json("params", result | {"notes": list(loaded.notes)})
        return
    console = stdout_console()
    if tensors:
        console.print(_tensors("measured (θ)", zip(layout.names, layout.shapes, strict=True)))
    else:
        console.print(_blocks(layout))
    console.print(_tensors("left out", out.items()))
    console.print(
        f"{loaded.name}, {loaded.objective}: P = {layout.size:,} parameters measured in "
        f"{counted(len(layout.layers), 'block')}, {sum(map(prod, out.values())):,} left out. "
        f"A sub-network takes {-(-layout.size // 8):,} bytes."
    )
    if checks:
        console.print(_checked(checks, kinds))
        ruled = sum(c.by_rule and c.exact for c in checks)
        worst = max((c for c in checks if c.exact), key=lambda c: c.error, default=None)
        largest = f"; largest error {worst.error:.1e} ({worst.name})" if worst else ""
        console.print(
            f"check: {ruled} of {len(checks)} tensors by rule and exact, "
            f"{len(checks) - ruled} one example at a time{largest}."
        )


def _result(
    model: str,
    objective: str,
    layout: ParameterLayout,
    out: dict[str, tuple[int, ...]],
    checks: Sequence[ParameterCheck],
    kinds: dict[str, str],
) -> dict[str, Any]:
    result: dict[str, Any] = {
        "model": model,
        "objective": objective,
        "parameters": layout.size,
        "layout_digest": layout.digest,
        "blocks": [{"name": b.name, "size": b.stop - b.start} for b in layout.layers],
        "measured": [_entry(n, s) | {"module": kinds[n]} for n, s in zip(layout.names, layout.shapes, strict=True)],
        "left_out": [_entry(name, shape) for name, shape in out.items()],
    }
    if checks:
        result["check"] = [
            {"name": c.name, "rule": c.rule, "by_rule": c.by_rule, "error": c.error, "exact": c.exact} for c in checks
        ]
    return result


def _entry(name: str, shape: tuple[int, ...]) -> dict[str, Any]:
    return {"name": name, "shape": list(shape), "size": prod(shape)}


def _new_table(title: str, *columns: tuple[str, Any]) -> Table:
    from rich.table import Table

    table = Table(title=title, title_justify="left", box=None)
    for name, justify in columns:
        table.add_column(name, justify=justify, overflow="fold")
    return table


def _blocks(layout: ParameterLayout) -> Table:
    from rich.text import Text

    table = _new_table("measured (θ)", ("block", "left"), ("tensors", "right"), ("size", "right"))
    for block in layout.layers:
        tensors = sum(block.start <= offset < block.stop for offset in layout.offsets)
        table.add_row(Text(block.name), str(tensors), f"{block.stop - block.start:,}")
    return table


def _tensors(title: str, rows: Iterable[tuple[str, tuple[int, ...]]]) -> Table:
    from rich.text import Text

    table = _new_table(title, ("parameter", "left"), ("shape", "left"), ("size", "right"))
    for name, shape in rows:
        table.add_row(Text(name), " × ".join(map(str, shape)), f"{prod(shape):,}")
    return table


def _checked(checks: Sequence[ParameterCheck], kinds: dict[str, str]) -> Table:
    """Say for each kind of module how its parameters are measured, and how exactly."""
    groups: dict[tuple[str, str], list[ParameterCheck]] = {}
    for check in checks:
        way = f"rule {check.rule}" if check.by_rule and check.exact else "one example at a time"
        groups.setdefault((kinds[check.name], way), []).append(check)
    columns = (("module", "left"), ("tensors", "right"), ("measured by", "left"), ("largest error", "right"))
    table = _new_table("check", *columns)
    for (kind, way), members in sorted(groups.items()):
        table.add_row(kind, str(len(members)), way, f"{max(check.error for check in members):.1e}")
    return table
