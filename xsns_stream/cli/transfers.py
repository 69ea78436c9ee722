"""What `copy` and `merge` share: telling what came of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from xsns_stream.cli.common import counted, emit_json, say
from xsns_stream.cli.selecting import key_json
from xsns_stream.errors import PartialError, StoreError

if TYPE_CHECKING:
    from xsns_stream.store.merging import Transfer

# Rows in the error, which is one line; the result names every one.
_NAMED: Final = 3


def tell_transfer(verb: str, done: Transfer, target: str, as_json: bool, **more: Any) -> None:
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


def _result(done: Transfer, ratio: float | None) -> dict[str, Any]:
    return {
        "written": [key_json(key) for key in done.written],
        "skipped": [key_json(key) for key in done.skipped],
        "parts_written": done.parts_written,
        "parts_skipped": done.parts_skipped,
        "failed": [key_json(key) | {"error": error.message, "hint": error.hint} for key, error in done.failed.items()],
        "words_bytes": done.words_bytes,
        "source_bytes": done.source_bytes,
        "target_bytes": done.target_bytes,
        "kept_bytes": done.kept_bytes,
        "ratio": ratio,
    }


def _show(done: Transfer, target: str, ratio: float | None) -> None:
    from rich.filesize import decimal

    written = [key for key in done.written if key.density is not None]
    values = len(done.written) - len(written)
    say(f"{target}: {counted(len(written), 'row')} copied, {len(done.skipped)} were there.")
    if done.parts_written or done.parts_skipped:
        say(f"parts: {counted(done.parts_written, 'row')} copied, {done.parts_skipped} were there.")
    if values:
        say(f"Fisher values: {counted(values, 'row')}, {decimal(done.kept_bytes)}.")
    if ratio is not None:
        sizes = f"size: {decimal(done.target_bytes)}, {decimal(done.source_bytes)} in the source"
        # Below 1 there is nothing compressed, but an index and the filling of the last chunk.
        say(f"{sizes}, {ratio:.2f} × smaller than the bits." if ratio > 1 else f"{sizes}.")
