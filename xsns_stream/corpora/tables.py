"""Reading tables: Parquet, CSV, TSV.

Each yields a :data:`~xsns_stream.corpora.units.Unit` for each row, from the columns that
:func:`~xsns_stream.corpora.labels.find_columns` chooses; no other column is read where the format allows that.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from xsns_stream.corpora.labels import find_columns
from xsns_stream.corpora.units import Unit
from xsns_stream.errors import CorpusError

if TYPE_CHECKING:
    import pandas as pd

#: What separates fields, and how they are quoted.
_Dialect: TypeAlias = tuple[str, int]
_COMMAS: Final = (",", csv.QUOTE_MINIMAL)
_TABS: Final = ("\t", csv.QUOTE_NONE)


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
            for batch in file.iter_batches(columns=list(chosen.names)):
                for row in batch.to_pylist():
                    yield chosen.unit(row, path.name)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _not_parquet(path, error) from error


def read_csv(path: Path, column: str | None, labels: str | None) -> Iterator[Unit]:
    """Yield the rows of a comma-separated file, quoted as usual; see :func:`read_parquet`."""
    yield from _table(path, column, labels, _COMMAS)


def read_tsv(path: Path, column: str | None, labels: str | None) -> Iterator[Unit]:
    """Yield the rows of a tab-separated file; it has no quoting: a quotation mark is text."""
    yield from _table(path, column, labels, _TABS)


def _table(path: Path, column: str | None, labels: str | None, dialect: _Dialect) -> Iterator[Unit]:
    frame = _frame(path, dialect)
    if frame is None:
        return
    chosen = find_columns(tuple(str(c) for c in frame.columns), column, labels, path.name)
    for values in frame[list(chosen.names)].itertuples(index=False, name=None):
        yield chosen.unit(dict(zip(chosen.names, values, strict=True)), path.name)


def _frame(path: Path, dialect: _Dialect) -> pd.DataFrame | None:
    """Return a file's rows as text; None where it is empty."""
    import pandas as pd

    separator, quoting = dialect
    try:
        with warnings.catch_warnings():
            # Rows that are all longer than the header: pandas would drop their ends with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            return pd.read_csv(
                path,
                sep=separator,
                quoting=cast(Any, quoting),
                dtype=str,
                na_filter=False,
                index_col=False,
                skip_blank_lines=False,
                encoding="utf-8-sig",
            )
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path.name} is not UTF-8 ({error.reason}).", "save it as UTF-8.") from error
    except pd.errors.EmptyDataError:
        return None
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().splitlines()[-1].rstrip(".")
        hint = "give each row as many columns as the header has."
        raise CorpusError(f"{path.name} is not a table ({reason}).", hint) from error


# ------------------------------------------------------------------------------------- one column alone


def _text_column(path: Path, names: Sequence[str], dialect: _Dialect) -> list[str]:
    frame = _frame(path, dialect)
    column = next((name for name in names if frame is not None and name in frame.columns), None)
    return [] if frame is None or column is None else [str(cell) for cell in frame[column]]


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
    ".csv": partial(_text_column, dialect=_COMMAS),
    ".tsv": partial(_text_column, dialect=_TABS),
}
