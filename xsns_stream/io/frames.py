"""Files for pandas frames: CSV for spreadsheets, and Parquet with a JSON object in the file metadata."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from xsns_stream.errors import XsnsError
from xsns_stream.io.atomic import unreadable
from xsns_stream.io.escaping import guarded, visible

if TYPE_CHECKING:
    import pandas as pd

#: The key of the JSON object in the metadata of a Parquet file.
METADATA_KEY: Final = b"xsns_stream"


_guarding: Final[ContextVar[bool]] = ContextVar("guarding_csv", default=False)


@contextmanager
def guarding_csv(guard: bool = True) -> Iterator[None]:
    """While the block runs, :func:`write_csv` puts `'` before cells that spreadsheets would read as formulas.

    If `guard` is False, cells are written unchanged.
    """
    token = _guarding.set(guard)
    try:
        yield
    finally:
        _guarding.reset(token)


def write_csv(frame: pd.DataFrame, file: BinaryIO, *, index: bool = False, separator: str = ",") -> None:
    """Write a frame as CSV. Invisible characters in text are written as escapes; numbers are not changed.

    Args:
        frame: The frame; its cells are texts and numbers.
        file: The file to write to.
        index: Whether the row labels are written as a column.
        separator: The character between cells.
    """
    import pandas as pd

    guard = _guarding.get()

    def cell(value: Any) -> Any:
        if not isinstance(value, str):
            return value
        return guarded(visible(value)) if guard else visible(value)

    shown = frame.rename(columns=cell, index=cell) if index else frame.rename(columns=cell)
    for position, kind in enumerate(shown.dtypes):
        if kind.kind not in "biufc":
            texts = [cell(value) for value in shown.iloc[:, position]]
            shown.isetitem(position, pd.Series(texts, dtype=object).to_numpy())
    file.write(shown.to_csv(index=index, sep=separator, lineterminator="\n").encode())


def write_parquet(frame: pd.DataFrame, notes: Mapping[str, Any], file: BinaryIO) -> None:
    """Write a frame as Parquet, as pandas does, and store `notes` as a JSON object in the metadata of the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame)
    metadata = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(notes, allow_nan=False).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), file)


def read_parquet(path: Path) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Return the frame of a Parquet file, and the JSON object in the metadata of the file (None if there is none).

    Raises:
        XsnsError: The file cannot be read, or is not a Parquet file.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with path.open("rb") as file:
            table = pq.read_table(file)
        notes = (table.schema.metadata or {}).get(METADATA_KEY)
        document = None if notes is None else json.loads(notes)
        return table.to_pandas(), document if isinstance(document, dict) else None
    # ArrowInvalid is a ValueError. Damaged metadata of pandas raise the other errors, and damaged files also an OSError
    # without a number.
    except (pa.ArrowException, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _not_parquet(path, error) from None
    except OSError as error:
        if error.errno is None:
            raise _not_parquet(path, error) from None
        raise unreadable(path, error) from None


def _not_parquet(path: Path, error: Exception) -> XsnsError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return XsnsError(f"'{path}' is not a readable Parquet file: {reason}", "write it again.")
