"""`xsns-stream copy`: copy a store, or some of its rows, into another store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.option_groups import selection_options
from xsns_stream.cli.output import (
    Notes,
    common_options,
    counted,
    emit_json,
    examples,
    key_json,
    lasting,
    next_step,
    progress_bar,
    say,
    store_arguments,
)

if TYPE_CHECKING:
    from xsns_stream.pipeline.store_rows import CopyResult


@click.command(
    name="copy",
    epilog=examples(
        "xsns-stream copy xsns.zarr backup.zarr",
        "xsns-stream copy xsns.zarr archive.zarr --lang sw,fi --codec zstd",
    ),
)
@click.argument("source", metavar="SOURCE", callback=lasting)
@click.argument("target", metavar="DEST", callback=lasting)
@selection_options
@click.option(
    "--codec",
    type=click.Choice(["none", "zstd"]),
    default=None,
    help="Compression of the rows of a new store; that of SOURCE by default. Comparisons are fastest "
    "with uncompressed rows.",
)
@click.option("--with-fisher", is_flag=True, help="Also copy Fisher values of the same languages and seeds.")
@common_options
def command(
    source: str,
    target: str,
    lang: tuple[str, ...],
    seeds: tuple[int, ...],
    densities: tuple[float, ...],
    codec: str | None,
    with_fisher: bool,
    as_json: bool,
    quiet: bool,
) -> None:
    """Copy a store, or some of its rows, into another store.

    Every row is compared with its record. Rows that are in DEST already are skipped. The same command therefore
    continues an interrupted run. If DEST has a row with other bits, nothing is written.
    """
    from xsns_stream.pipeline.store_rows import copy_store

    notes = Notes(quiet)
    with progress_bar("copying", quiet) as on_progress:
        result = copy_store(
            source,
            target,
            lang=lang,
            seeds=seeds,
            densities=densities,
            codec=codec,
            with_fisher=with_fisher,
            on_progress=on_progress,
            on_note=notes,
        )
    show_copy("copy", result, target, as_json, source=source, **notes.to_json())
    next_step("verify", *store_arguments(target), quiet=quiet, as_json=as_json)


def show_copy(verb: str, result: CopyResult, target: str, as_json: bool, **more: Any) -> None:
    """Print how many rows were copied, and their size.

    Args:
        verb: `copy` or `merge`.
        result: The outcome of the copy.
        target: The store that was written to.
        as_json: Whether to print one JSON object.
        more: Further entries of the object.

    Raises:
        PartialError: Some rows could not be read from their source.
        StoreError: There was no row to copy.
    """
    from xsns_stream.pipeline.store_rows import refuse_unread_rows, require_rows

    require_rows(verb, result, target)
    ratio = result.words_bytes / result.target_bytes if result.target_bytes else None
    if as_json:
        emit_json(verb, more | {"target": target} | _result(result, ratio))
    else:
        _show(result, target, ratio)
    refuse_unread_rows(result, target)


def _result(result: CopyResult, ratio: float | None) -> dict[str, Any]:
    return {
        "written": [key_json(key) for key in result.written],
        "skipped": [key_json(key) for key in result.skipped],
        "parts_written": result.folds_written,
        "parts_skipped": result.folds_skipped,
        "failed": [
            key_json(key) | {"error": error.message, "hint": error.hint} for key, error in result.failed.items()
        ],
        "words_bytes": result.words_bytes,
        "source_bytes": result.source_bytes,
        "target_bytes": result.target_bytes,
        "kept_bytes": result.fisher_bytes,
        "ratio": ratio,
    }


def _show(result: CopyResult, target: str, ratio: float | None) -> None:
    from rich.filesize import decimal

    written = [key for key in result.written if key.density is not None]
    values = len(result.written) - len(written)
    say(f"{target}: {counted(len(written), 'row')} copied, {len(result.skipped)} already present.")
    if result.folds_written or result.folds_skipped:
        say(f"parts: {counted(result.folds_written, 'row')} copied, {result.folds_skipped} already present.")
    if values:
        say(f"Fisher values: {counted(values, 'row')}, {decimal(result.fisher_bytes)}.")
    if ratio is not None:
        sizes = f"size: {decimal(result.target_bytes)}, {decimal(result.source_bytes)} in the source"
        # Without compression the ratio is below 1, because of an index and the padding of the last chunk.
        say(f"{sizes}, {ratio:.2f} × smaller than uncompressed rows." if ratio > 1 else f"{sizes}.")
