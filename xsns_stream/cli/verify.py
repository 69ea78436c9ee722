"""`xsns-stream verify`: check every bit of a store against its records."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.output import (
    common_options,
    counted,
    emit_json,
    examples,
    note,
    progress_bar,
    say,
    stdout_console,
    store_option,
)
from xsns_stream.cli.selection import open_rows
from xsns_stream.errors import StoreError

if TYPE_CHECKING:
    from xsns_stream.store import Finding

# Rows in the error, which is one line; the result names every one.
_NAMED: Final = 3


@click.command(name="verify", epilog=examples("xsns-stream verify", "xsns-stream verify --store xsns.zarr --json"))
@store_option
@common_options
def command(store: str, as_json: bool, quiet: bool) -> None:
    """Check every bit of a store against its records.

    Exits with 1 where anything is wrong, and names each row. Rows that were never finished are not wrong: building
    again finishes them.
    """
    rows = open_rows(store)
    with progress_bar("verifying", quiet) as on_progress:
        findings = rows.verify(on_progress)
    unfinished, lacking = rows.unfinished(), rows.unfinished_folds()
    checked, kept = len(rows.keys()), len(rows.fisher_keys())
    parts = sum(len(rows.fold_keys(count)) for count in rows.fold_counts)
    if as_json:
        emit_json(
            "verify",
            {
                "store": store,
                "sound": not findings,
                "rows": checked,
                "kept_rows": kept,
                "parts": parts,
                "findings": [_finding(finding) for finding in findings],
                "unfinished_rows": [str(key) for key in unfinished],
                "unfinished_parts": [str(key) for key in lacking],
            },
        )
    elif findings:
        _show(findings)
    else:
        values = f", and Fisher values of {counted(kept, 'row')}" if kept else ""
        pieces = f", with {counted(parts, 'part')}" if parts else ""
        say(f"{counted(checked, 'row')} verified{pieces}{values}")
    if unfinished:
        note(f"unfinished, to be built again: {', '.join(map(str, unfinished))}", quiet)
    for count in sorted({key.count for key in lacking}):
        named = dict.fromkeys(str(key.row) for key in lacking if key.count == count)
        note(f"parts unfinished, to be built again with --parts {count}: {', '.join(named)}", quiet)
    if findings:
        raise _error(store, findings)


def _finding(finding: Finding) -> dict[str, Any]:
    row = finding.row
    return {
        "problem": finding.problem,
        "detail": finding.detail,
        "language": row.language if row else None,
        "seed": row.seed if row else None,
        "density": row.density if row else None,
        "node": row.node if row else None,
    }


def _show(findings: Sequence[Finding]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table("problem", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False)
    # A path that is cut off cannot be looked at: it goes on in the next line.
    table.add_column("what is wrong", overflow="fold")
    for finding in findings:
        table.add_row(Text(finding.problem), Text(finding.detail))
    stdout_console().print(table)


def _error(store: str, findings: Sequence[Finding]) -> StoreError:
    rows = list(dict.fromkeys(finding.row for finding in findings if finding.row is not None))
    count = f"{len(findings)} {'thing is' if len(findings) == 1 else 'things are'} wrong"
    if not rows:
        return StoreError(f"{count} with the store '{store}'.", "restore what is damaged from a copy.")
    shown, more = rows[:_NAMED], len(rows) - _NAMED
    others = f" and {more} more" if more > 0 else ""
    return StoreError(
        f"{count} with the store '{store}', in {', '.join(map(str, shown))}{others}.",
        f"restore them from a copy; or delete {', '.join(row.node for row in shown)}{others} "
        "in the store, and build again.",
    )
