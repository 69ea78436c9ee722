"""`xsns-stream copy`: copy a store, or some of its rows, into another store."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from xsns_stream.cli.common import common_options, examples, lasting, progress_bar
from xsns_stream.cli.rows import open_rows
from xsns_stream.cli.selecting import select_keys, selection_options
from xsns_stream.cli.transfers import tell_transfer
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore


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
    help="How rows of a new store are compressed; as in SOURCE by default. none is compared fastest.",
)
@click.option("--with-fisher", is_flag=True, help="Copy kept Fisher values too, of the same languages and seeds.")
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

    Every row is checked against its record on the way. Rows that are in DEST already are skipped: running again goes
    on where the last run stopped. A row that DEST has with other bits is refused before anything is written.
    """
    from xsns_stream.store.merging import copy_rows

    origin = open_rows(source)
    where = f"the store '{source}'"
    rows = select_keys(origin.keys(), lang, seeds, densities, where)
    chosen = {key.language for key in rows}
    kept = tuple(
        key
        for key in (origin.kept_keys() if with_fisher else ())
        if (not lang or key.language in chosen) and (not seeds or key.seed in seeds)
    )
    opened = _open_target(target, origin, codec)
    with progress_bar("copying", quiet) as on_progress:
        done = copy_rows(origin, opened, rows, kept=kept, on_progress=on_progress)
    tell_transfer("copy", done, target, as_json, source=source)


def _open_target(target: str, origin: SubNetworkStore, codec: str | None) -> SubNetworkStore:
    """Open the store to copy to; a new one is compressed as asked, or as its source is.

    Raises:
        StoreError: Something else lies there.
        UsageError: There is a store that is compressed otherwise.
    """
    from xsns_stream.store import open_store

    opened = open_store(target, "a")
    if opened.exists:
        own = _codec(opened)
        if codec not in (None, own):
            raise UsageError(
                f"the store '{target}' exists with codec {own}, and {codec} was asked for.",
                "a store has one codec: leave --codec away, or copy to a new store.",
            )
        return opened
    return open_store(target, "a", compressor="zstd" if (codec or _codec(origin)) == "zstd" else "none")


def _codec(store: SubNetworkStore) -> str:
    return "zstd" if store.info()["compressed"] else "none"
