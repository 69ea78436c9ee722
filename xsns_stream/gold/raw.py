"""What a file says, before anything is checked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, NamedTuple

from xsns_stream.errors import UsageError
from xsns_stream.labelled import TextTable, listed

#: Seeds are below this, so that no format rounds them.
LARGEST_SEED: Final = 2**53


class RawCell(NamedTuple):
    """One score as it stands in a file.

    Attributes:
        source: The label of the language that was trained on.
        target: The label of the language that was tested on.
        score: A number, or the text in its place.
        regime: Of training; `main` where there is one.
        seed: Of fine-tuning; None where none is known.
    """

    source: str
    target: str
    score: object
    regime: str = "main"
    seed: int | None = None


@dataclass(frozen=True)
class RawScores:
    """The cells of a file, and what its format tells about them.

    Attributes:
        cells: In the file's order, from which the order of languages, regimes and seeds follows.
        task: What was fine-tuned; empty where the format does not tell, and so is each of the next.
        metric: What was measured.
        unit: Of the scores.
        origin: Where they were published.
        notes: What the reader left out or chose, in sentences.
        main: The regime that comes first; the first one of the file where empty.
        corner: What the file calls its lines, where it is a matrix.
    """

    cells: tuple[RawCell, ...]
    task: str = ""
    metric: str = ""
    unit: str = ""
    origin: str = ""
    notes: tuple[str, ...] = ()
    main: str = ""
    corner: str = ""


@dataclass(frozen=True)
class Wanted:
    """What the user asked a reader for.

    Attributes:
        metric: By name, where a file has several; None takes the usual one.
        min_examples: Leave out targets that were tested on fewer examples, where the file says on how many.
    """

    metric: str | None = None
    min_examples: int = 0


def matrix_cells(table: TextTable, regime: str = "main") -> tuple[RawCell, ...]:
    """Return the cells of a table with a source on each line and a target on each column."""
    return tuple(
        RawCell(line[0], target, score, regime)
        for line in table.lines
        for target, score in zip(table.header[1:], line[1:], strict=True)
    )


def one_of(asked: str | None, there: Iterable[str], usual: str, name: str) -> str:
    """Return the metric that was asked for, or the usual one.

    Raises:
        UsageError: The file has no such metric.
    """
    known = list(there)
    if asked is not None and asked not in known:
        raise UsageError(f"'{name}' has no metric '{asked}'.", f"it has {listed(known)}.")
    return usual if asked is None else asked
