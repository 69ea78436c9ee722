"""Scores as they are written in a file, before labels, numbers and units are checked, and options of an import."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple


class RawCell(NamedTuple):
    """One score, as it is written in a file.

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
        cells: The cells in the order of the file, which determines the order of languages, regimes and seeds.
        task: The task; empty if the format does not imply it.
        metric: The metric; empty if the format does not imply it.
        unit: The unit of the scores; empty if the format does not imply it.
        origin: The publication or the name of the file.
        notes: Sentences about what the reader left out or chose.
        main: The main regime; if it is empty, the first regime of the file is the main regime.
        corner: The first field of the header of a matrix, above the labels of the rows; empty for other tables.
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
        metric: The metric to read from a file with several metrics; None for the default metric of the format.
        min_examples: Leave out targets that were tested on fewer examples, if the file has the numbers of examples.
        task: The task to read from a table with several tasks; None if it was not given.
    """

    metric: str | None = None
    min_examples: int = 0
    task: str | None = None


@dataclass(frozen=True)
class ImportOptions:
    """Options of an import. An option that is given overrides what the format implies.

    Attributes:
        task: The task.
        metric: The metric.
        unit: One of `types.transfer_scores.UNITS`.
        origin: Origin of the scores.
        main: The main regime, which becomes the first regime.
        rename: {label in the file: code}.
        transpose: Whether the rows, or the column `source`, are targets.
        skip_unknown: Whether to leave out unreadable labels and cells, instead of raising an error.
    """

    task: str | None = None
    metric: str | None = None
    unit: str | None = None
    origin: str | None = None
    main: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    transpose: bool = False
    skip_unknown: bool = False
