"""Raw scores as a file has them, before they are checked; units and regimes."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.tables import ReadCells, TextTable, listed
from xsns_stream.types.arrays import Reals
from xsns_stream.types.transfer_scores import UNITS, TransferScores

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


_PERCENT: Final = 100.0
# So many scores of one run are not all at or below one percent by chance.
_ENOUGH: Final = 3
# Scores of one metric that are percent are seldom at or below 1 while others are above this and none lies between.
_GAP: Final = 10.0


def check_unit(scores: TransferScores, said: str | None) -> tuple[str, list[str]]:
    """Return the unit of the scores, and notes.

    Fractions are at most 1, percent at most 100. Where all are at most 1, percent cannot be meant. Where the scores of
    a source, seed or regime are all at most 1 and others are not, both were mixed; of a target, that is a note. Both
    were mixed cell by cell where some scores are at most 1, the others above 10, and none lies between; of a single
    score, that is a note.

    Args:
        scores: Their own unit is not looked at.
        said: What they are said to be; empty to find out.

    Raises:
        UsageError: There is no such unit, or none was named and the numbers do not tell.
        XsnsError: The numbers are not of that unit, or of two.
    """
    if said and said not in UNITS:
        raise UsageError(f"there is no unit '{said}'.", f"units are {', '.join(UNITS)}.")
    known = scores.cells[np.isfinite(scores.cells)]
    low, high = float(known.min()), float(known.max())
    unit = said or _found_out(low, high)
    if unit == "fraction" and (high > 1 or low < 0):
        outside = int(((known > 1) | (known < 0)).sum())
        raise XsnsError(
            f"{outside} of {known.size} scores are not between 0 and 1, and cannot be fractions ({low:g} to {high:g}).",
            "--unit percent, or points for a metric with a scale of its own.",
        )
    if unit == "percent":
        _check_percent(scores, low, high)
    notes = [] if said else [f"no unit was named; scores from {low:g} to {high:g} are taken for {unit}."]
    if unit == "percent" and (low_targets := list(_fractions_among(scores, ((3, "target", scores.targets),)))):
        # A hard target may be like that, so that this is no error.
        notes.append(f"every score is 1 or less for {listed(low_targets)}: are these fractions among percent?")
    if unit == "percent" and len(lonely := _below_a_gap(scores)) == 1:
        notes.append(f"the score of {lonely[0]} is 1 or less, and all others are above 10: is it a fraction?")
    return unit, notes


def check_percent_signs(read: ReadCells, said: str | None) -> str | None:
    """Return what the scores are said to be, `percent` where some have a percent sign.

    Raises:
        XsnsError: They are said to be something else; or all without a sign look like fractions.
    """
    if not any(read.percent):
        return said
    if said and said != "percent":
        raise XsnsError(
            f"{sum(read.percent)} cells have a percent sign, and the scores are said to be {said}.", "--unit percent"
        )
    bare = [
        number for number, sign in zip(read.values, read.percent, strict=True) if not sign and math.isfinite(number)
    ]
    if bare and 0 < max(bare) <= 1:
        raise XsnsError(
            f"{sum(read.percent)} cells have a percent sign, and all others are 1 or less: fractions and percent are "
            "mixed.",
            "write all scores in one way.",
        )
    return "percent"


def check_range(scores: TransferScores) -> None:
    """Refuse scores that their unit does not allow.

    A file of our own says its unit, so that nothing is guessed: a weak model's percent may all be below one.

    Raises:
        XsnsError: Fractions above 1, percent above 100, or either below 0.
    """
    known = scores.cells[np.isfinite(scores.cells)]
    most = {"fraction": 1.0, "percent": _PERCENT}.get(scores.unit, np.inf)
    if scores.unit != "points" and ((known < 0) | (known > most)).any():
        raise XsnsError(
            f"scores from {known.min():g} to {known.max():g} are no {scores.unit}.",
            "import them again with `xsns-stream gold import --unit …`.",
        )


def _found_out(low: float, high: float) -> str:
    if low >= 0 and high <= 1:
        return "fraction"
    if low >= 0 and high <= _PERCENT:
        return "percent"
    raise UsageError(
        f"scores from {low:g} to {high:g} are neither fractions nor percent.",
        "--unit points is for a metric with a scale of its own.",
    )


def _check_percent(scores: TransferScores, low: float, high: float) -> None:
    if high <= 1:
        raise XsnsError(
            f"every score is 1 or less ({low:g} to {high:g}): these are fractions, not percent.", "--unit fraction"
        )
    if low < 0 or high > _PERCENT:
        raise XsnsError(
            f"scores from {low:g} to {high:g} are no percent.", "--unit points is for a metric with a scale of its own."
        )
    runs = ((0, "regime", scores.regimes), (1, "seed", scores.seeds), (2, "source", scores.sources))
    if mixed := list(_fractions_among(scores, runs)):
        raise XsnsError(
            f"fractions and percent are mixed: every score is 1 or less for {listed(mixed)}, and others are above.",
            "give all scores in one unit; --unit points takes them as they are.",
        )
    if len(cells := _below_a_gap(scores)) > 1:
        raise XsnsError(
            f"fractions and percent are mixed: {len(cells)} scores are 1 or less, others are above {_GAP:g}, and none "
            f"lies between: {listed(cells)}.",
            "give all scores in one unit; --unit points takes them as they are.",
        )


def _below_a_gap(scores: TransferScores) -> list[str]:
    """Return the scores between 0 and 1, as `fi → sw (0.8)`, where all others are zero or above a gap.

    Targets with several scores that are all that low are not among them: such a target may be hard.
    """
    cells = scores.cells
    above = np.isfinite(cells) & (cells > 1)
    if not above.any() or cells[above].min() <= _GAP:
        return []
    hard = (np.isfinite(cells).sum(axis=(0, 1, 2)) >= _ENOUGH) & ~above.any(axis=(0, 1, 2))
    low = (cells > 0) & (cells <= 1) & ~hard
    return [
        f"{scores.sources[source]} → {scores.targets[target]} ({cells[regime, seed, source, target]:g})"
        for regime, seed, source, target in np.argwhere(low)
    ]


def _fractions_among(scores: TransferScores, axes: Iterable[tuple[int, str, Sequence[object]]]) -> Iterator[str]:
    """Yield the labels of these axes whose scores look like fractions."""
    for axis, kind, labels in axes:
        for place, label in enumerate(labels):
            part: Reals = np.take(scores.cells, place, axis=axis)
            known = part[np.isfinite(part)]
            # A model that learned nothing scores zero everywhere.
            if known.size >= _ENOUGH and known.max() <= 1 and known.max() > 0:
                yield f"{kind} {label}"
