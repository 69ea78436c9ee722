"""`xsns-stream copy`: copy a store, or some of its rows, into another store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.output import common_options, counted, emit_json, examples, lasting, progress_bar, say
from xsns_stream.cli.selection import key_json, open_rows, select_keys, selection_options
from xsns_stream.errors import PartialError, StoreError, UsageError

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.store.copy_merge import CopyResult


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
    from xsns_stream.store.copy_merge import copy_rows

    origin = open_rows(source)
    where = f"the store '{source}'"
    rows = select_keys(origin.keys(), lang, seeds, densities, where)
    chosen = {key.language for key in rows}
    kept = tuple(
        key
        for key in (origin.fisher_keys() if with_fisher else ())
        if (not lang or key.language in chosen) and (not seeds or key.seed in seeds)
    )
    opened = _open_target(target, origin, codec)
    with progress_bar("copying", quiet) as on_progress:
        done = copy_rows(origin, opened, rows, fisher=kept, on_progress=on_progress)
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


# Rows in the error, which is one line; the result names every one.
_NAMED: Final = 3


def tell_transfer(verb: str, done: CopyResult, target: str, as_json: bool, **more: Any) -> None:
    """Print what was copied and what it takes.

    Args:
        verb: `copy` or `merge`.
        done: What came of it.
        target: The store that was written to.
        as_json: Whether to print one JSON object.
        more: What the object holds besides.

    Raises:
        PartialError: Some rows could not be read from their source.
        StoreError: There was nothing to copy, and the target may not even be there.
    """
    if not (done.written or done.skipped or done.failed):
        raise StoreError(
            f"there is no row to {verb}: nothing was written to '{target}'.", "choose other rows, or build them first."
        )
    ratio = done.words_bytes / done.target_bytes if done.target_bytes else None
    if as_json:
        emit_json(verb, more | {"target": target} | _result(done, ratio))
    else:
        _show(done, target, ratio)
    if done.failed:
        shown, more_rows = list(done.failed)[:_NAMED], len(done.failed) - _NAMED
        others = f" and {more_rows} more" if more_rows > 0 else ""
        first = done.failed[shown[0]]
        raise PartialError(
            f"{counted(len(done.failed), 'row')} could not be read: {', '.join(map(str, shown))}{others}.",
            f"the others are in '{target}'. The first: {first.message} {first.hint}".rstrip(),
        )


def _result(done: CopyResult, ratio: float | None) -> dict[str, Any]:
    return {
        "written": [key_json(key) for key in done.written],
        "skipped": [key_json(key) for key in done.skipped],
        "parts_written": done.folds_written,
        "parts_skipped": done.folds_skipped,
        "failed": [key_json(key) | {"error": error.message, "hint": error.hint} for key, error in done.failed.items()],
        "words_bytes": done.words_bytes,
        "source_bytes": done.source_bytes,
        "target_bytes": done.target_bytes,
        "kept_bytes": done.fisher_bytes,
        "ratio": ratio,
    }


def _show(done: CopyResult, target: str, ratio: float | None) -> None:
    from rich.filesize import decimal

    written = [key for key in done.written if key.density is not None]
    values = len(done.written) - len(written)
    say(f"{target}: {counted(len(written), 'row')} copied, {len(done.skipped)} were there.")
    if done.folds_written or done.folds_skipped:
        say(f"parts: {counted(done.folds_written, 'row')} copied, {done.folds_skipped} were there.")
    if values:
        say(f"Fisher values: {counted(values, 'row')}, {decimal(done.fisher_bytes)}.")
    if ratio is not None:
        sizes = f"size: {decimal(done.target_bytes)}, {decimal(done.source_bytes)} in the source"
        # Below 1 there is nothing compressed, but an index and the filling of the last chunk.
        say(f"{sizes}, {ratio:.2f} × smaller than the bits." if ratio > 1 else f"{sizes}.")
