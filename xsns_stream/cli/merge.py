"""`xsns-stream merge`: copy the rows of several stores of one experiment into one store."""

from __future__ import annotations

import click

from xsns_stream.cli.copy import show_copy
from xsns_stream.cli.output import common_options, examples, lasting, next_step, progress_bar, store_arguments


@click.command(
    name="merge",
    epilog=examples(
        "xsns-stream merge all.zarr xsns.zarr",
        "xsns-stream merge all.zarr xsns.zarr --with-fisher --json",
    ),
)
@click.argument("target", metavar="DEST", callback=lasting)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, callback=lasting)
@click.option("--with-fisher", is_flag=True, help="Also copy Fisher values.")
@common_options
def command(target: str, sources: tuple[str, ...], with_fisher: bool, as_json: bool, quiet: bool) -> None:
    """Copy the rows of stores of one experiment into DEST.

    Use it for stores that were built on several machines: their languages, seeds and densities are added to DEST, which
    is created if it does not exist. Rows that DEST has with the same bits are skipped. If the experiments differ, or a
    row has other bits, nothing is written.
    """
    from xsns_stream.pipeline.store_rows import merge

    with progress_bar("merging", quiet) as on_progress:
        result = merge(target, sources, with_fisher=with_fisher, on_progress=on_progress)
    show_copy("merge", result, target, as_json, sources=list(sources))
    next_step("info", *store_arguments(target), quiet=quiet, as_json=as_json)
