"""Reader of Parquet files."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from xsns_stream.corpora.columns import LanguageRows, find_columns
from xsns_stream.corpora.examples import AddNote, Unit, discard_note
from xsns_stream.errors import CorpusError

#: Number of rows that are in memory at a time.
_BATCH_ROWS: Final = 1000


def read_parquet(
    path: Path,
    column: str | None,
    labels: str | None,
    add_note: AddNote = discard_note,
    rows: LanguageRows | None = None,
) -> Iterator[Unit]:
    """Yield the rows of a Parquet file; only the columns that are needed are read.

    Args:
        path: The file.
        column: The column that contains the text; None for a column with a usual name.
        labels: None, `auto`, or the column that contains the labels.
        add_note: Called with sentences about the reading of the file.
        rows: Selection of the rows of one language; None for all rows.

    Raises:
        CorpusError: The file is damaged, or a column does not exist or exists twice.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            columns = find_columns(_field_names(file.schema_arrow), column, labels, path.name, add_note, rows)
            has_bytes = any("binary" in str(kind) for kind in file.schema_arrow.types)
            for batch in file.iter_batches(_BATCH_ROWS, columns=list(columns.names)):
                for row in map(_with_text, batch.to_pylist()) if has_bytes else batch.to_pylist():
                    if columns.takes(row):
                        yield columns.unit(row, path.name)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _not_parquet(path, error) from error


def _field_names(fields: Iterable[Any], before: str = "") -> list[str]:
    """Return the names of the columns of a schema and of the fields of struct columns, prefixed with `before`."""
    import pyarrow as pa

    names: list[str] = []
    for field in fields:
        names.append(f"{before}{field.name}")
        if pa.types.is_struct(field.type):
            names += _field_names(field.type, f"{before}{field.name}.")
    return names


def parquet_cells(path: Path, names: Sequence[str]) -> list[str]:
    """Return the cells of the first column in `names` that the table has, as text; an empty list if it has none."""
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            column = next((name for name in names if name in file.schema_arrow.names), None)
            cells = file.read(columns=[column]).column(0).to_pylist() if column else []
    except pa.ArrowInvalid as error:
        raise _not_parquet(path, error) from error
    return ["" if cell is None else str(_with_text(cell)) for cell in cells]


def _with_text(value: Any) -> Any:
    """Return a value of a table with bytes decoded as text; Impala and older programs write text as bytes.

    Bytes that are not UTF-8 become text that cannot be encoded, which is counted as undecodable.
    """
    if isinstance(value, bytes):
        return value.decode("utf-8", "surrogateescape")
    if isinstance(value, dict):
        return {name: _with_text(cell) for name, cell in value.items()}
    return [_with_text(cell) for cell in value] if isinstance(value, list) else value


def _not_parquet(path: Path, error: Exception) -> CorpusError:
    return CorpusError(
        f"{path.name} is not a complete Parquet file ({str(error).splitlines()[0]}).", "get the file again."
    )


def parquet_columns(path: Path) -> tuple[str, ...]:
    """Return the names of the columns, including the fields of struct columns."""
    from pyarrow import parquet

    with parquet.ParquetFile(path) as file:
        return tuple(_field_names(file.schema_arrow))
