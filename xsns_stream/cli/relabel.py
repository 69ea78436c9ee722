"""`xsns-stream relabel`: give the rows of a language another label."""

from __future__ import annotations

import click

from xsns_stream.cli.output import (
    common_options,
    counted,
    emit_json,
    examples,
    key_json,
    next_step,
    progress_bar,
    say,
    store_arguments,
    store_option,
)


@click.command(
    name="relabel",
    epilog=examples("xsns-stream relabel et et-x-bible", "xsns-stream relabel et et-x-bible --json"),
)
@click.argument("old", metavar="OLD")
@click.argument("new", metavar="NEW")
@store_option
@common_options
def command(old: str, new: str, store: str, as_json: bool, quiet: bool) -> None:
    """Give the rows of the language OLD the label NEW.

    NEW is a code, or any other label, such as `qaa-x-mine` or `sw_news`; it is not normalised. Parts, saved Fisher
    values and cached counts get the new label too. The record of each row contains the former label. If NEW is the
    label of another row, nothing is changed. After a crash, run the same command again. Files that were written
    earlier, such as matrices, still contain the label OLD.
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
    next_step("rank", *store_arguments(store), "--target", result.new, quiet=quiet)
