"""`xsns-stream verify`: compare every bit of a store with its records."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import click

from xsns_stream.cli.output import (
    common_options,
    counted,
    emit_json,
    event_display,
    examples,
    next_step,
    note,
    say,
    stdout_console,
    store_arguments,
    store_or_argument,
)
from xsns_stream.errors import StoreError

if TYPE_CHECKING:
    from xsns_stream.pipeline.inspection import Verification

#: Number of rows that the error names, which is one line. The result names every row.
_NAMED: Final = 3


@click.command(name="verify", epilog=examples("xsns-stream verify", "xsns-stream verify --store xsns.zarr --json"))
@store_or_argument
@common_options
def command(store: str, as_json: bool, quiet: bool) -> None:
    """Compare every bit of a store with its records.

    The exit code is 1 if anything is wrong; the output names each damaged row. Rows that were never finished are not
    errors: the next build finishes them.
    """
    from xsns_stream.pipeline.inspection import verify_store

    with event_display(quiet) as on_event:
        result = verify_store(store, on_event)
    if as_json:
        emit_json("verify", result.to_dict())
    elif result.findings:
        _show(result)
    else:
        values = f", and Fisher values of {counted(result.kept_rows, 'row')}" if result.kept_rows else ""
        parts = f", with {counted(result.parts, 'part')}" if result.parts else ""
        say(f"{counted(result.rows, 'row')} verified{parts}{values}")
    _note_unfinished(result, quiet)
    if result.findings:
        raise _error(store, result)
    next_step("info", *store_arguments(store), quiet=quiet, as_json=as_json)


def _note_unfinished(result: Verification, quiet: bool) -> None:
    if result.unfinished_rows:
        note(f"unfinished, to be built again: {', '.join(map(str, result.unfinished_rows))}", quiet)
    for count in sorted({key.count for key in result.unfinished_parts}):
        rows = dict.fromkeys(str(key.row) for key in result.unfinished_parts if key.count == count)
        note(f"parts unfinished, to be built again with --parts {count}: {', '.join(rows)}", quiet)


def _show(result: Verification) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table("problem", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    # A path is continued on the next line rather than cut off.
    table.add_column("what is wrong", overflow="fold")
    for finding in result.findings:
        table.add_row(Text(finding.problem), Text(finding.detail))
    stdout_console().print(table)


def _error(store: str, result: Verification) -> StoreError:
    from xsns_stream.io.tables import listed

    findings = result.findings
    rows = list(dict.fromkeys(finding.row for finding in findings if finding.row is not None))
    count = f"{len(findings)} {'thing is' if len(findings) == 1 else 'things are'} wrong"
    if not rows:
        return StoreError(f"{count} with the store '{store}'.", "restore the damaged rows from a copy.")
    return StoreError(
        f"{count} with the store '{store}', in {listed([str(row) for row in rows], _NAMED)}.",
        f"restore these rows from a copy; or delete {listed([row.node for row in rows], _NAMED)} in the store, and "
        "build again.",
    )
