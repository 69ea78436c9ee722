"""`xsns-stream merge`: bring stores of one experiment together."""

from __future__ import annotations

import click

from xsns_stream.cli.copy import tell_transfer
from xsns_stream.cli.output import common_options, examples, lasting, progress_bar
from xsns_stream.cli.selection import open_rows


@click.command(
    name="merge",
    epilog=examples(
        "xsns-stream merge all.zarr xsns.zarr",
        "xsns-stream merge all.zarr xsns.zarr --with-fisher --json",
    ),
)
@click.argument("target", metavar="DEST", callback=lasting)
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True, callback=lasting)
@click.option("--with-fisher", is_flag=True, help="Bring kept Fisher values too.")
@common_options
def command(target: str, sources: tuple[str, ...], with_fisher: bool, as_json: bool, quiet: bool) -> None:
    """Bring the rows of stores of one experiment together in DEST.

    For stores that several machines have built: languages, seeds and densities are added to DEST, which is made where
    there is none. Rows that are there with the same bits are skipped. Where the experiments differ, or a row has
    other bits, nothing is written.
    """
    from xsns_stream.store import open_store
    from xsns_stream.store.copy_merge import merge_stores

    opened = [open_rows(source) for source in sources]
    with progress_bar("merging", quiet) as on_progress:
        done = merge_stores(open_store(target, "a"), opened, with_fisher=with_fisher, on_progress=on_progress)
    tell_transfer("merge", done, target, as_json, sources=list(sources))
