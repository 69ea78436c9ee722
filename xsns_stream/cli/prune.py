"""`xsns-stream prune`: remove rows, Fisher values, or leftovers of crashes from a store."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.option_groups import selection_options
from xsns_stream.cli.output import (
    Notes,
    common_options,
    counted,
    emit_json,
    examples,
    given_arguments,
    key_json,
    next_step,
    progress_bar,
    say,
    store_arguments,
    store_or_argument,
)
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.pipeline.store_rows import PrunePlan


@click.command(
    name="prune",
    epilog=examples("xsns-stream prune --keep-lang sw,zu --dry-run", "xsns-stream prune xsns.zarr --unfinished --yes"),
)
@store_or_argument
@selection_options
@click.option(
    "--keep-lang",
    multiple=True,
    metavar="CODES",
    help="Keep only these languages and remove all others. It cannot be combined with --lang.",
)
@click.option("--fisher", is_flag=True, help="Remove Fisher values, but keep the sub-networks.")
@click.option("--parts", is_flag=True, help="Remove the parts of rows, but keep the rows.")
@click.option(
    "--unfinished",
    is_flag=True,
    help="Remove the leftovers of killed builds: rows that were not committed, and partial files.",
)
@click.option("--dry-run", is_flag=True, help="Print what would be removed, and remove nothing.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask for confirmation.")
@common_options
def command(store: str, dry_run: bool, yes: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Remove rows, Fisher values, or leftovers of crashes from a store.

    The rows and the freed space are printed first. Removed rows cannot be restored; a build measures them again.
    Without a terminal for the confirmation, nothing is removed unless --yes is given.
    """
    from xsns_stream.pipeline.store_rows import prune, prune_plan

    _refuse_together("give one of them.", dry_run=dry_run, yes=yes)
    _refuse_together(
        "give the languages to remove, or the languages to keep.", lang=options["lang"], keep_lang=options["keep_lang"]
    )
    _refuse_together(
        "remove the Fisher values and the parts with two commands.", fisher=options["fisher"], parts=options["parts"]
    )
    notes = Notes(quiet)
    opened, plan = prune_plan(store, writable=not dry_run, on_note=notes, **options)
    if not as_json:
        _show(plan, store, "would be removed" if dry_run else "to be removed")
    removed = not dry_run and (yes or not plan.things or _confirmed(as_json))
    if removed:
        with progress_bar("removing", quiet) as on_progress:
            plan = prune(opened, plan, on_progress)
    if not as_json and not dry_run:
        say(f"{store}: {_amount(plan)} removed." if removed else f"{store}: nothing was removed.")
    if as_json:
        emit_json("prune", _result(plan, store, removed) | notes.to_json())
    if dry_run:
        again = (word for word in given_arguments() if word != "--dry-run")
        next_step(*again, "--yes", quiet=quiet, as_json=as_json)
    else:
        next_step("info", *store_arguments(store), quiet=quiet, as_json=as_json)


def _refuse_together(hint: str, **given: object) -> None:
    """Raise an error if more than one of several mutually exclusive options was given.

    Args:
        hint: The hint of the error.
        **given: {option: value}; names of options have underscores instead of hyphens.

    Raises:
        UsageError: More than one option has a value that is neither empty nor false.
    """
    names = [f"--{name.replace('_', '-')}" for name, value in given.items() if value]
    if len(names) > 1:
        raise UsageError(f"{names[0]} and {names[1]} were both given.", hint)


def _confirmed(as_json: bool) -> bool:
    """Ask the user for confirmation, and return whether it was given.

    Raises:
        UsageError: There is no terminal on which to ask, or the output is JSON.
    """
    if as_json or not (sys.stdin.isatty() and sys.stderr.isatty()):
        reason = "--json asks for no confirmation" if as_json else "there is no terminal for the confirmation"
        raise UsageError(
            f"nothing was removed, because {reason}.",
            "give --yes to remove without confirmation, or --dry-run to see what would be removed.",
        )
    return click.confirm("remove these objects?", err=True)


def _amount(plan: PrunePlan) -> str:
    from rich.filesize import decimal

    parts = [
        counted(len(plan.rows), "row"),
        *([f"Fisher values of {counted(len(plan.fisher), 'row')}"] if plan.fisher else []),
        *([counted(len(plan.folds), "part")] if plan.folds else []),
        *([counted(len(plan.leftovers), "leftover")] if plan.leftovers else []),
    ]
    return f"{', '.join(parts)}, {decimal(plan.bytes)}"


def _show(plan: PrunePlan, store: str, verb: str) -> None:
    for key in (*plan.rows, *plan.fisher, *plan.folds, *plan.leftovers):
        say(f"  {key}")
    say(f"{store}: {_amount(plan)} {verb}.")


def _result(plan: PrunePlan, store: str, removed: bool) -> dict[str, Any]:
    return {
        "store": store,
        "dropped": removed,
        "rows": [key_json(key) for key in plan.rows],
        "kept_rows": [key_json(key) for key in plan.fisher],
        "parts": [key_json(key.row) | {"part": key.number, "parts": key.count} for key in plan.folds],
        "leftovers": list(plan.leftovers),
        "bytes": plan.bytes,
    }
