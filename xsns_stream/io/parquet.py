"""Parquet files with a JSON object of this program in their metadata."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

from xsns_stream.errors import XsnsError
from xsns_stream.io.atomic import unreadable

if TYPE_CHECKING:
    import pandas as pd

#: The key of the JSON object in the metadata of a Parquet file.
METADATA_KEY: Final = b"xsns_stream"


def write_parquet(frame: pd.DataFrame, notes: Mapping[str, Any], file: BinaryIO) -> None:
    """Write a frame as pandas does, with a JSON object in the metadata of the file."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.Table.from_pandas(frame)
    metadata = {**(table.schema.metadata or {}), METADATA_KEY: json.dumps(notes, allow_nan=False).encode()}
    pq.write_table(table.replace_schema_metadata(metadata), file)


def read_parquet(path: Path) -> tuple[pd.DataFrame, dict[str, Any] | None]:
    """Return the frame of a Parquet file and the JSON object in its metadata; None where it has no such object.

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
    # ArrowInvalid is a ValueError; damaged metadata of pandas raise the other errors. Damaged files also raise an
    # OSError without a number.
    except (pa.ArrowException, ValueError, LookupError, TypeError, AttributeError) as error:
        raise _not_parquet(path, error) from None
    except OSError as error:
        if error.errno is None:
            raise _not_parquet(path, error) from None
        raise unreadable(path, error) from None


def _not_parquet(path: Path, error: Exception) -> XsnsError:
    reason = (str(error).splitlines() or [type(error).__name__])[0]
    return XsnsError(f"'{path}' is not a readable Parquet file: {reason}", "write it again.")
