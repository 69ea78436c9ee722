"""`xsns-stream relabel`: another label for the rows of a language."""

from __future__ import annotations

import shlex

import click

from xsns_stream.cli.option_groups import key_json
from xsns_stream.cli.output import (
    DEFAULT_STORE,
    common_options,
    counted,
    emit_json,
    examples,
    progress_bar,
    say,
    store_option,
)


@click.command(
    name="relabel",
    epilog=examples("xsns-stream relabel sw sw-x-bible", "xsns-stream relabel sw-x-bible sw --json"),
)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@store_option
@common_options
def command(old: str, new: str, store: str, as_json: bool, quiet: bool) -> None:
    """Give the rows of the language OLD the label NEW.

    NEW is kept as it is given: a code, or any other label, such as `qaa-x-mine` or `sw_news`. Parts, saved Fisher
    values and cached counts follow. The record of each row keeps the former label. If NEW is the label of another row,
    nothing is changed. After a crash, run the same command again. Files that were written from the store before, such
    as matrices, keep the label OLD.
    """
    from xsns_stream.pipeline.store_rows import relabel

    with progress_bar("relabelling", quiet) as on_progress:
        result = relabel(store, old, new, on_progress=on_progress)
    if as_json:
        rows = [key_json(key) for key in result.rows]
        values = [key_json(key) for key in result.fisher]
        changes = {"rows": rows, "kept_rows": values, "parts": result.folds}
        emit_json("relabel", {"store": store, "old": result.old, "new": result.new, **changes})
        return
    if not result.rows and not result.fisher and not result.folds:
        say(f"{store}: the rows of '{result.old}' were labelled '{result.new}' before.")
        return
    more = [f"Fisher values of {counted(len(result.fisher), 'row')}"] if result.fisher else []
    more += [counted(result.folds, "part")] if result.folds else []
    parts = ", ".join([counted(len(result.rows), "row"), *more])
    say(f"{store}: {parts} of '{result.old}' labelled '{result.new}'.")
    if not quiet:
        where = "" if store == DEFAULT_STORE else f" --store {shlex.quote(store)}"
        say(f"next: xsns-stream rank{where} --target {result.new}", err=True)
