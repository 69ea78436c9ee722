"""Scores as they are written in a file, before labels, numbers and units are checked."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class RawCell(NamedTuple):
    """One score in the form in which it is written in a file.

    Attributes:
        source: Label of the language that the model was fine-tuned on.
        target: Label of the language that the model was tested on.
        score: A number or text.
        regime: The training regime; `main` if there is only one.
        seed: The seed of fine-tuning; None if it is unknown.
    """

    source: str
    target: str
    score: object
    regime: str = "main"
    seed: int | None = None


@dataclass(frozen=True)
class RawScores:
    """The cells of a file, and facts that are known from its format.

    Attributes:
        cells: In the order of the file, which determines the order of languages, regimes and seeds.
        task: The task; this and the following fields are empty if the format does not imply them.
        metric: The metric.
        unit: The unit of the scores.
        origin: The publication.
        notes: Sentences about omissions and choices of the reader.
        main: The main regime; empty for the first regime of the file.
        corner: The first field of a matrix, above the labels of its rows.
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
class ReadOptions:
    """Options of a reader.

    Attributes:
        metric: The metric to read from a file with several metrics; None for the usual one.
        min_examples: Leave out targets that were tested on fewer examples, if the file has their number.
        task: The task to read from a table with several tasks; None if it was not given.
    """

    metric: str | None = None
    min_examples: int = 0
    task: str | None = None
