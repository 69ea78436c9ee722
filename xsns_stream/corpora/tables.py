"""Reading tables: Parquet, CSV, TSV.

Each yields a :data:`~xsns_stream.corpora.examples.Unit` for each row, from the columns that
:func:`~xsns_stream.corpora.labels.find_columns` chooses; no other column is read where the format allows that.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing
from itertools import islice
from pathlib import Path
from typing import Final

from xsns_stream.corpora.decoding import not_utf8_hint, open_bytes
from xsns_stream.corpora.dialects import dialect_of
from xsns_stream.corpora.examples import Tell, Unit, ignore
from xsns_stream.corpora.labels import find_columns
from xsns_stream.corpora.rows import Row, not_a_table, read_rows
from xsns_stream.errors import CorpusError

#: Rows that are held at a time.
_ROWS: Final = 1000


def read_parquet(path: Path, column: str | None, labels: str | None, tell: Tell = ignore) -> Iterator[Unit]:
    """Yield the rows of a Parquet file.

    Args:
        path: The file.
        column: The column that holds the text; None looks for a usual one.
        labels: None, `auto`, or the column that holds the labels.
        tell: Takes sentences on how the file is read.

    Raises:
        CorpusError: The file is no whole Parquet file, or has no such column, or two of it.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        with parquet.ParquetFile(path) as file:
            chosen = find_columns(tuple(file.schema_arrow.names), column, labels, path.name, tell)
            for batch in file.iter_batches(_ROWS, columns=list(chosen.names)):
                for row in batch.to_pylist():
                    yield chosen.unit(row, path.name)
    except (pa.ArrowInvalid, UnicodeDecodeError) as error:
        raise _not_parquet(path, error) from error


def read_table(path: Path, column: str | None, labels: str | None, tell: Tell = ignore) -> Iterator[Unit]:
    """Yield the rows of a table of text, as :func:`~xsns_stream.corpora.dialects.dialect_of` says that it is written.

    See :func:`read_parquet`.
    """
    with closing(_rows(path, tell)) as rows:
        header = next(rows, None)
        if header is None:
            return
        chosen = find_columns(header, column, labels, path.name, tell)
        places = [(name, header.index(name)) for name in chosen.names]
        for row in rows:
            yield chosen.unit({name: row[place] for name, place in places}, path.name)


def _rows(path: Path, tell: Tell = ignore) -> Generator[list[str], None, None]:
    """Yield a table's header and its rows, each with as many fields as the header; nothing where it is empty.

    Rows that repeat the header, as files joined with `cat` have them, are left out. What had to be decided is told.

    Raises:
        CorpusError: It is not UTF-8, or not a table.
    """
    dialect = dialect_of(path)
    for remark in dialect.remarks(path.name):
        tell(remark)
    found = _Found(path.name)
    try:
        with open_bytes(path) as stream, io.TextIOWrapper(stream, encoding="utf-8-sig", newline="") as text:
            rows = read_rows(text, path.name, dialect.separator, quoted=dialect.quoted, escaped=dialect.escaped)
            for row in islice(rows, 1 if dialect.said else 0, None):
                fields = found.fields(row)
                if fields is not None:
                    yield fields
    except UnicodeDecodeError as error:
        raise CorpusError(f"{path.name} is not UTF-8 ({error.reason}).", not_utf8_hint(path.name)) from error
    for remark in found.remarks(breaks_are_known=not dialect.usual and dialect.quoted and dialect.separator == "\t"):
        tell(remark)


class _Found:
    """What was met in the rows of a table.

    Args:
        name: Of the file, for messages.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.header: list[str] | None = None
        self.rows = self.repeated = self.broken = self.first_broken = 0
        self._returns = False

    def fields(self, row: Row) -> list[str] | None:
        """Return a row's fields, as many as the header has; None for one that repeats the header."""
        if self.header is None:
            self.header, self._returns = row.fields, row.returned
            return row.fields
        if row.fields == self.header:
            self.repeated += 1
            return None
        lacking = len(self.header) - len(row.fields)
        if lacking < 0 or (lacking and row.returned and not self._returns):
            raise self._misfit(row, len(self.header))
        self.rows += 1
        if row.raw:
            self.broken += 1
            self.first_broken = self.first_broken or row.line
        return row.fields + [""] * lacking

    def remarks(self, *, breaks_are_known: bool) -> Iterator[str]:
        """Yield sentences on rows that repeat the header, and on fields that hold line ends."""
        if self.repeated:
            rows = "1 row that repeats" if self.repeated == 1 else f"{self.repeated} rows that repeat"
            yield f"{rows} the header of {self.name} {'is' if self.repeated == 1 else 'are'} left out."
        if self.broken and not breaks_are_known:
            yield (
                f"{self.broken} of {self.rows} rows of {self.name} hold line ends between quotation marks, and are one "
                f"example each; the first begins in line {self.first_broken}."
            )

    def _misfit(self, row: Row, width: int) -> CorpusError:
        many = f"{len(row.fields)} field{'s' if len(row.fields) > 1 else ''}, and the header {width}"
        if len(row.fields) < width:
            reason = f"line {row.line} ends with a carriage return (CR) alone, other lines do not, and it has {many}"
            return not_a_table(self.name, reason, "the header says how many; remove carriage returns within fields.")
        hint = "give each row as many fields as the header has: enclose one that holds the separator in quotation marks"
        return not_a_table(self.name, f"line {row.line} has {many}", f"{hint}, or write the texts to a .txt file.")


# ------------------------------------------------------------------------------------- one column alone


def _text_column(path: Path, names: Sequence[str]) -> list[str]:
    with closing(_rows(path)) as rows:
        header = next(rows, [])
        column = next((header.index(name) for name in names if name in header), None)
        return [] if column is None else [row[column] for row in rows]


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
