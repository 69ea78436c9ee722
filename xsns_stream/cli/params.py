"""`xsns-stream params`: the parameters of a model that are measured (θ), and those that are left out."""

from __future__ import annotations

from collections.abc import Iterable
from math import prod
from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.option_groups import model_options, parameter_options
from xsns_stream.cli.option_sections import SectionedCommand
from xsns_stream.cli.output import (
    common_options,
    counted,
    emit_json,
    examples,
    next_step,
    note,
    stderr_console,
    stdout_console,
)

if TYPE_CHECKING:
    from rich.table import Table

    from xsns_stream.pipeline.inspection import ParameterReport
    from xsns_stream.types import ParameterLayout


@click.command(
    name="params",
    cls=SectionedCommand,
    epilog=examples("xsns-stream params mini", "xsns-stream params mini --check --json"),
)
@click.argument("model")
@model_options
@parameter_options
@click.option("--tensors", is_flag=True, help="List every tensor instead of every block.")
@click.option(
    "--check",
    is_flag=True,
    help="Compare the Fisher values of the fast engine with those of a loop over single examples.",
)
@common_options
def command(tensors: bool, check: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Show which parameters of MODEL are measured (θ) and which are left out.

    MODEL is `mini`, a local folder, a GGUF file, or a Hub id. θ are the transformer blocks; embeddings and head are
    left out.
    """
    from xsns_stream.pipeline.inspection import inspect_parameters

    with stderr_console(quiet).status("loading the model …"):
        report = inspect_parameters(check=check, **options)
    for text in report.notes:
        note(f"note: {text}", quiet)
    if as_json:
        emit_json("params", report.to_dict())
    else:
        _show(report, tensors)
    model = () if options["model"] == "mini" else ("--model", options["model"])
    next_step("build", *model, "--corpus", "FOLDER", "--parts", "8", quiet=quiet, as_json=as_json)


def _show(report: ParameterReport, tensors: bool) -> None:
    console, layout, checks = stdout_console(), report.layout, report.checks
    if tensors:
        console.print(_tensors("measured (θ)", zip(layout.names, layout.shapes, strict=True)))
    else:
        console.print(_blocks(layout))
    console.print(_tensors("left out", report.left_out.items()))
    console.print(
        f"{report.model}, {report.objective}: P = {layout.size:,} parameters measured in "
        f"{counted(len(layout.layers), 'block')}, {sum(map(prod, report.left_out.values())):,} left out. "
        f"A sub-network takes {-(-layout.size // 8):,} bytes."
    )
    if checks:
        console.print(_checked(report))
        by_rule = sum(check.by_rule and check.exact for check in checks)
        worst = max((check for check in checks if check.exact), key=lambda check: check.error, default=None)
        largest = f"; largest error {worst.error:.1e} ({worst.name})" if worst else ""
        console.print(
            f"check: {by_rule} of {len(checks)} tensors are measured by a rule, which is exact; "
            f"{len(checks) - by_rule} are measured one example at a time{largest}."
        )


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


def _checked(report: ParameterReport) -> Table:
    """Return a table with the method and the largest error of the measurement for each kind of module."""
    groups: dict[tuple[str, str], list[float]] = {}
    for check in report.checks:
        way = f"rule {check.rule}" if check.by_rule and check.exact else "one example at a time"
        groups.setdefault((report.modules[check.name], way), []).append(check.error)
    columns = (("module", "left"), ("tensors", "right"), ("measured by", "left"), ("largest error", "right"))
    table = _new_table("check", *columns)
    for (kind, way), errors in sorted(groups.items()):
        table.add_row(kind, str(len(errors)), way, f"{max(errors):.1e}")
    return table
