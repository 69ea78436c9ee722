"""Reading tables: Parquet, CSV, TSV.

Each yields a :data:`~xsns_stream.corpora.units.Unit` for each row, from the columns that
:func:`~xsns_stream.corpora.labels.find_columns` chooses; no other column is read where the format allows that.
"""

from __future__ import annotations

import csv
import io
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

from xsns_stream.corpora.decoding import not_utf8_hint, open_bytes
from xsns_stream.corpora.dialects import dialect_of
from xsns_stream.corpora.labels import find_columns
from xsns_stream.corpora.units import Unit
from xsns_stream.errors import CorpusError

if TYPE_CHECKING:
    import pandas as pd

#: Rows that are held at a time.
_ROWS: Final = 1000


def read_parquet(path: Path, column: str | None, labels: str | None) -> Iterator[Unit]:
    """Yield the rows of a Parquet file.

    Args:
        path: The file.
        column: The column that holds the text; None looks for a usual one.
        labels: None, `auto`, or the column that holds the labels.

    Raises:
        CorpusError: The file is no whole Parquet file, or has no such column.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            chosen = find_columns(tuple(file.schema_arrow.names), column, labels, path.name)
            for batch in file.iter_batches(_ROWS, columns=list(chosen.names)):
                for row in batch.to_pylist():
                    yield chosen.unit(row, path.name)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _not_parquet(path, error) from error


def read_table(path: Path, column: str | None, labels: str | None) -> Iterator[Unit]:
    """Yield the rows of a table of text, as :func:`~xsns_stream.corpora.dialects.dialect_of` says that it is written.

    See :func:`read_parquet`.
    """
    for frame in _frames(path):
        chosen = find_columns(tuple(str(c) for c in frame.columns), column, labels, path.name)
        for values in frame[list(chosen.names)].itertuples(index=False, name=None):
            yield chosen.unit(dict(zip(chosen.names, values, strict=True)), path.name)


def _frames(path: Path) -> Iterator[pd.DataFrame]:
    """Yield a file's rows as text, some at a time; nothing where it is empty."""
    import pandas as pd

    dialect = dialect_of(path)
    try:
        with open_bytes(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            frames = pd.read_csv(
                text,
                sep=dialect.separator,
                quoting=cast(Any, csv.QUOTE_MINIMAL if dialect.quoted else csv.QUOTE_NONE),
                dtype=str,
                na_filter=False,
                index_col=False,
                skip_blank_lines=False,
                chunksize=_ROWS,
            )
            with frames:
                while (frame := _next(frames)) is not None:
                    yield frame
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path.name} is not UTF-8 ({error.reason}).", not_utf8_hint(path.name)) from error
    except pd.errors.EmptyDataError:
        return
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().splitlines()[-1].rstrip(".")
        hint = "give each row as many columns as the header has."
        raise CorpusError(f"{path.name} is not a table ({reason}).", hint) from error


def _next(frames: Iterator[pd.DataFrame]) -> pd.DataFrame | None:
    import pandas as pd

    with warnings.catch_warnings():
        # Rows that are all longer than the header: pandas would drop their ends with a warning.
        warnings.simplefilter("error", pd.errors.ParserWarning)
        return next(frames, None)


# ------------------------------------------------------------------------------------- one column alone


def _text_column(path: Path, names: Sequence[str]) -> list[str]:
    cells: list[str] = []
    for frame in _frames(path):
        column = next((name for name in names if name in frame.columns), None)
        if column is None:
            return []
        cells += map(str, frame[column])
    return cells


def _parquet_column(path: Path, names: Sequence[str]) -> list[str]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            column = next((name for name in names if name in file.schema_arrow.names), None)
            cells = file.read(columns=[column]).column(0).to_pylist() if column else []
    except pa.ArrowInvalid as error:
        raise _not_parquet(path, error) from error
    return ["" if cell is None else str(cell) for cell in cells]


def _not_parquet(path: Path, error: Exception) -> CorpusError:
    return CorpusError(f"{path.name} is not a whole Parquet file ({str(error).splitlines()[0]}).")


#: Suffix → what returns the cells, as text, of the first of some columns that a file has; none where it has none.
COLUMN_READERS: Final[dict[str, Callable[[Path, Sequence[str]], list[str]]]] = {
    ".parquet": _parquet_column,
    ".csv": _text_column,
    ".tsv": _text_column,
}
