"""Reading tables: Parquet, CSV, TSV.

Each yields a :data:`~xsns_stream.corpora.units.Unit` for each row, from the columns that
:func:`~xsns_stream.corpora.labels.find_columns` chooses; no other column is read where the format allows that.
"""

from __future__ import annotations

import csv
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

from xsns_stream.corpora.labels import find_columns
from xsns_stream.corpora.units import Unit
from xsns_stream.errors import CorpusError


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
        reason = str(error).splitlines()[0]
        raise CorpusError(f"{path.name} is not a whole Parquet file ({reason}).") from error


def read_csv(path: Path, column: str | None, labels: str | None) -> Iterator[Unit]:
    """Yield the rows of a comma-separated file, quoted as usual; see :func:`read_parquet`."""
    yield from _table(path, column, labels, ",", csv.QUOTE_MINIMAL)


def read_tsv(path: Path, column: str | None, labels: str | None) -> Iterator[Unit]:
    """Yield the rows of a tab-separated file; it has no quoting: a quotation mark is text."""
    yield from _table(path, column, labels, "\t", csv.QUOTE_NONE)


def _table(path: Path, column: str | None, labels: str | None, separator: str, quoting: int) -> Iterator[Unit]:
    import pandas as pd

    try:
        with warnings.catch_warnings():
            # Rows that are all longer than the header: pandas would drop their ends with a warning.
            warnings.simplefilter("error", pd.errors.ParserWarning)
            frame = pd.read_csv(
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
        return
    except (pd.errors.ParserError, pd.errors.ParserWarning) as error:
        reason = str(error).strip().splitlines()[-1].rstrip(".")
        hint = "give each row as many columns as the header has."
        raise CorpusError(f"{path.name} is not a table ({reason}).", hint) from error
    chosen = find_columns(tuple(str(c) for c in frame.columns), column, labels, path.name)
    for values in frame[list(chosen.names)].itertuples(index=False, name=None):
        yield chosen.unit(dict(zip(chosen.names, values, strict=True)), path.name)
