"""Checks of imported scores: labels, numbers, duplicates, units, and cells that an import would lose."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.problems import Problems
from xsns_stream.gold.raw_scores import RawCell
from xsns_stream.io.escaping import visible
from xsns_stream.io.numbers import ReadCells
from xsns_stream.io.tables import all_listed, listed
from xsns_stream.language_labels import Labels, candidates
from xsns_stream.types.parameters import Reals
from xsns_stream.types.transfer_scores import UNITS, TransferScores


@dataclass(frozen=True)
class LeftOut:
    """The parts of a file that an import leaves out, or would leave out.

    Attributes:
        labels: {label that is neither a code nor a name of a language: number of its scores}.
        ambiguous: {label: (code, code)} for labels that are the code of the first language and the name of the second.
        summaries: {label: code} for labels that are both a word for a summary, such as `max`, and a language code.
        collisions: {code: labels} for languages that have several labels among the sources or among the targets.
        cells: Descriptions of cells that do not contain a number, are infinite, or can be read in two ways.
        scores: Number of cells that are left out.
        of: Number of all cells of the file.
        ambiguous_numbers: Whether some of the cells can be read in two ways.
    """

    labels: dict[str, int] = field(default_factory=dict)
    ambiguous: dict[str, tuple[str, str]] = field(default_factory=dict)
    collisions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cells: tuple[str, ...] = ()
    scores: int = 0
    of: int = 0
    summaries: dict[str, str] = field(default_factory=dict)
    ambiguous_numbers: bool = False

    def to_json(self) -> dict[str, Any]:
        """Return a dictionary of JSON types."""
        return {
            "labels": dict(self.labels),
            "ambiguous": {label: list(codes) for label, codes in self.ambiguous.items()},
            "collisions": {code: list(labels) for code, labels in self.collisions.items()},
            "cells": list(self.cells),
            "scores": self.scores,
            "of": self.of,
            "summaries": dict(self.summaries),
        }


@dataclass(frozen=True)
class CheckedCells:
    """The cells of an import, divided into valid cells and cells that are left out.

    Attributes:
        valid: The valid cells, each as a pair (cell, score as a number).
        left_out: The cells and labels that are left out.
        problems: One sentence, without its full stop, for each reason to leave out cells.
        duplicates: Sentences about scores that occur twice under the same labels. Duplicates cannot be left out.
    """

    valid: tuple[tuple[RawCell, float], ...]
    left_out: LeftOut
    problems: tuple[str, ...]
    duplicates: tuple[str, ...]

    def report(self, problems: Problems, *, skip: bool) -> None:
        """Add all problems of the cells to the problems of the file.

        Args:
            problems: The problems that were found so far.
            skip: Whether cells may be left out. Duplicate scores are a problem in any case.
        """
        if not skip:
            problems.add(self.problems, list(self._hints()))
        once = "keep one score for each pair, regime and seed; if these are several runs, add a column `seed`"
        problems.add(self.duplicates, [once], by_hand=True)

    def _hints(self) -> Iterator[str]:
        if self.left_out.summaries:
            label = visible(next(iter(self.left_out.summaries)))
            yield f"--rename {label}={label} selects the language"
        if self.left_out.labels or self.left_out.ambiguous or self.left_out.collisions or self.left_out.summaries:
            yield "--rename OLD=NEW gives a label its code"
        yield f"--skip-unknown imports the rest, without {self.left_out.scores} of {self.left_out.of} scores"
        if self.left_out.cells:
            yield "leave a cell empty if the score is unknown"
        if self.left_out.ambiguous_numbers:
            yield "write numbers without separators of thousands"


# Largest number of labels for which codes are suggested, because each label takes a search among twelve thousand names.
_MOST_SUGGESTED: Final = 40
# Largest number of duplicates in a message. If a file was joined with itself, all of its scores are duplicates.
_SHOWN_DUPLICATES: Final = 10


def check_cells(cells: Sequence[RawCell], labels: Labels, read: ReadCells) -> CheckedCells:
    """Divide the cells of an import into valid cells and cells that are left out.

    Args:
        cells: The cells as they are written in the file.
        labels: The language of each label of the cells.
        read: The cells' scores as numbers, in the order of `cells`.
    """
    collisions = _collisions(cells, labels)
    colliding = {label for several in collisions.values() for label in several}
    usable = [
        all(labels.codes[label] is not None and label not in colliding for label in (cell.source, cell.target))
        for cell in cells
    ]
    valid = tuple(
        (cell, number)
        for cell, number, has_codes, readable in zip(cells, read.values, usable, read.readable, strict=True)
        if has_codes and readable
    )
    unknown = {
        label: count
        for label, count in _cells_per_label(cells).items()
        if labels.codes[label] is None and label not in labels.ambiguous and label not in labels.summaries
    }
    left_out = LeftOut(
        unknown,
        dict(labels.ambiguous),
        collisions,
        (*read.wrong, *read.infinite, *read.ambiguous),
        len(cells) - len(valid),
        len(cells),
        dict(labels.summaries),
        bool(read.ambiguous),
    )
    duplicates = list(_duplicates([cell for cell, _ in valid]))
    if len(duplicates) > _SHOWN_DUPLICATES:
        duplicates[_SHOWN_DUPLICATES:] = [f"{len(duplicates) - _SHOWN_DUPLICATES} more scores occur twice"]
    return CheckedCells(valid, left_out, tuple(_problems(left_out, read)), tuple(duplicates))


def _cells_per_label(cells: Sequence[RawCell]) -> Counter[str]:
    """Return {label: number of its cells}; a cell whose source and target have the same label is counted once."""
    return Counter(label for cell in cells for label in dict.fromkeys((cell.source, cell.target)))


def _collisions(cells: Sequence[RawCell], labels: Labels) -> dict[str, tuple[str, ...]]:
    """Return {code: labels} for languages with several labels among the sources, or among the targets, of one run."""
    labels_by_side: dict[tuple[str, str, int | None, str], dict[str, None]] = {}
    for cell in cells:
        for side, label in (("source", cell.source), ("target", cell.target)):
            if (code := labels.codes[label]) is not None:
                labels_by_side.setdefault((side, cell.regime, cell.seed, code), {})[label] = None
    collisions: dict[str, dict[str, None]] = {}
    for (*_, code), names in labels_by_side.items():
        if len(names) > 1:
            collisions.setdefault(code, {}).update(names)
    return {code: tuple(names) for code, names in collisions.items()}


def _problems(lost: LeftOut, read: ReadCells) -> Iterator[str]:
    if lost.labels:
        named = [f"{label or 'an empty label'} ({count})" for label, count in lost.labels.items()]
        yield f"labels that are neither codes nor names of languages, with their number of scores: {all_listed(named)}"
    for label, code in lost.summaries.items():
        yield f"'{visible(label)}' is a word for a summary and the code of a language ({code})"
    for label, (code, other) in lost.ambiguous.items():
        yield f"'{visible(label)}' is the code of {code} and the name of {other}"
    for code, names in lost.collisions.items():
        both = "both" if len(names) == 2 else "all"
        yield f"{' and '.join(repr(visible(name)) for name in names)} are {both} '{code}', and {both} have scores"
    for cells, singular, plural in (
        (read.wrong, "does not contain a number", "do not contain a number"),
        (read.infinite, "is infinite", "are infinite"),
        (read.ambiguous, "can be read in two ways", "can be read in two ways"),
    ):
        if cells:
            count = (
                f"1 cell of the scores {singular}" if len(cells) == 1 else f"{len(cells)} cells of the scores {plural}"
            )
            yield f"{count}: {all_listed(cells)}"


def suggested_codes(lost: LeftOut, labels: Labels) -> dict[str, tuple[str, ...]]:
    """Return {label: possible codes, the most likely one first} for labels whose language is not certain.

    If a label is the code of one language and the name of another, the language with this name is suggested first,
    because other labels of the table are names. Codes that other labels of the table already have are not suggested.
    """
    taken = {code for code in labels.codes.values() if code is not None}
    found: dict[str, tuple[str, ...]] = {}
    for label, (code, other) in lost.ambiguous.items():
        found[label] = (other, code)
    for label in list(lost.labels)[:_MOST_SUGGESTED]:
        if codes := tuple(code for code in candidates(label) if code not in taken):
            found[label] = codes
            taken.add(codes[0])
    return found


def _duplicates(cells: Sequence[RawCell]) -> Iterator[str]:
    """Yield a sentence about each score that occurs twice."""
    first: dict[tuple[str, str, str, int | None], RawCell] = {}
    for cell in cells:
        other = first.setdefault((cell.source, cell.target, cell.regime, cell.seed), cell)
        if other is not cell:
            regime = "" if cell.regime == "main" else f" of regime {visible(cell.regime)}"
            pair = f"{visible(cell.source)} → {visible(cell.target)}"
            yield f"the score {pair}{regime} occurs twice: {visible(str(other.score))} and {visible(str(cell.score))}"


# ------------------------------------------------------------------------------------------------- units

_PERCENT: Final = 100.0
# It is unlikely that this number of scores of one run are all at or below one percent.
_ENOUGH: Final = 3
# In percent, it is rare that some scores are at or below 1, the others above this number, and none in between.
_GAP: Final = 10.0


def check_unit(scores: TransferScores, requested: str | None) -> tuple[str, list[str]]:
    """Return the unit of the scores, and notes.

    Fractions are at most 1 and percentages at most 100. The checks are:

    * If all scores are at most 1, the unit cannot be percent.
    * If all scores of one source, seed or regime are at most 1, and other scores are larger, units are mixed: an error.
      If all scores of one target are at most 1, there is only a note, because the target may be hard.
    * If several scores are between 0 and 1 and all others are 0 or above 10, units are mixed: an error. If only one
      score is between 0 and 1, there is only a note.

    Args:
        scores: The scores; their attribute `unit` is ignored.
        requested: The unit that the user gave; if it is empty or None, the unit is inferred from the scores.

    Raises:
        UsageError: The unit is unknown, or it was not given and cannot be inferred.
        XsnsError: The scores are outside the range of the unit, or fractions and percentages are mixed.
    """
    if requested and requested not in UNITS:
        raise UsageError(f"there is no unit '{requested}'.", f"units are {', '.join(UNITS)}.")
    known = scores.cells[np.isfinite(scores.cells)]
    low, high = float(known.min()), float(known.max())
    unit = requested or _inferred_unit(low, high)
    if unit == "fraction" and (high > 1 or low < 0):
        outside = int(((known > 1) | (known < 0)).sum())
        raise XsnsError(
            f"{outside} of {known.size} scores are not between 0 and 1, and cannot be fractions ({low:g} to {high:g}).",
            "give --unit percent, or --unit points for a metric with another range.",
        )
    if unit == "percent":
        _check_percent(scores, low, high)
    notes = [] if requested else [f"no unit was given; scores from {low:g} to {high:g} are assumed to be {unit}."]
    if unit == "percent" and (low_targets := list(_fractions_among(scores, ((3, "target", scores.targets),)))):
        notes.append(f"every score is 1 or less for {listed(low_targets)}: are these fractions among percentages?")
    if unit == "percent" and len(isolated := _below_a_gap(scores)) == 1:
        notes.append(f"the score of {isolated[0]} is 1 or less, and all others are above 10: is it a fraction?")
    return unit, notes


#: Words in the names of metrics of which smaller values are better.
_SMALLER_IS_BETTER: Final = re.compile(
    r"[\w %()-]*\b(perplexity|ppl|loss|errors?|error[ _-]rate|wer|cer|ter|mae|mse|rmse|distance|ranks?)\b[\w %()-]*",
    re.IGNORECASE,
)


def check_larger_is_better(metric: str) -> None:
    """Check that larger values of a metric are better, judged by the name of the metric.

    Raises:
        XsnsError: The metric is called an error, a distance, a rank or the like: smaller values of such a metric are
            better.
    """
    if _SMALLER_IS_BETTER.fullmatch(metric.replace("_", " ")):
        raise XsnsError(
            f"smaller values of '{metric}' are better, but larger scores are read as better transfer.",
            "write the negative values, or 100 - error; if larger values are better, give another name with --metric.",
        )


def check_percent_signs(read: ReadCells, requested: str | None) -> str | None:
    """Return the requested unit, or `percent` if some cells have a percent sign.

    Raises:
        XsnsError: Cells have a percent sign although another unit was requested, or some cells have a percent sign
            and all others look like fractions.
    """
    if not any(read.percent):
        return requested
    if requested and requested != "percent":
        raise XsnsError(
            f"{sum(read.percent)} cells have a percent sign, but the unit was given as {requested}.",
            "give --unit percent.",
        )
    without_sign = [
        number for number, sign in zip(read.values, read.percent, strict=True) if not sign and math.isfinite(number)
    ]
    if without_sign and 0 < max(without_sign) <= 1:
        raise XsnsError(
            f"{sum(read.percent)} cells have a percent sign, and all others are 1 or less: fractions and percentages "
            "are mixed.",
            "write all scores in the same unit.",
        )
    return "percent"


def check_range(scores: TransferScores) -> None:
    """Raise an error for scores outside the range of their unit.

    This function checks files that state the unit of their scores. It does not infer the unit, because all percentages
    of a weak model may be below one.

    Raises:
        XsnsError: A fraction is above 1, a percentage is above 100, or a fraction or percentage is below 0.
    """
    known = scores.cells[np.isfinite(scores.cells)]
    largest = {"fraction": 1.0, "percent": _PERCENT}.get(scores.unit, np.inf)
    if scores.unit != "points" and ((known < 0) | (known > largest)).any():
        raise XsnsError(
            f"scores in the unit {scores.unit} must be between 0 and {largest:g}; these are between "
            f"{known.min():g} and {known.max():g}.",
            "import them again with `xsns-stream gold import --unit …`.",
        )


def _inferred_unit(low: float, high: float) -> str:
    if low >= 0 and high <= 1:
        return "fraction"
    if low >= 0 and high <= _PERCENT:
        return "percent"
    raise UsageError(
        f"scores from {low:g} to {high:g} are neither fractions nor percentages.",
        "give --unit points for a metric with another range.",
    )


def _check_percent(scores: TransferScores, low: float, high: float) -> None:
    if high <= 1:
        raise XsnsError(
            f"every score is 1 or less ({low:g} to {high:g}): these are fractions, not percentages.",
            "give --unit fraction.",
        )
    if low < 0 or high > _PERCENT:
        raise XsnsError(
            f"scores from {low:g} to {high:g} cannot be percentages.",
            "give --unit points for a metric with another range.",
        )
    runs = ((0, "regime", scores.regimes), (1, "seed", scores.seeds), (2, "source", scores.sources))
    if mixed := list(_fractions_among(scores, runs)):
        raise XsnsError(
            f"fractions and percentages are mixed: every score is 1 or less for {listed(mixed)}, and other scores "
            f"are above 1.",
            "give all scores in one unit; --unit points imports them unchanged.",
        )
    if len(cells := _below_a_gap(scores)) > 1:
        raise XsnsError(
            f"fractions and percentages are mixed: {len(cells)} scores are 1 or less, others are above {_GAP:g}, and "
            f"none is in between: {listed(cells)}.",
            "give all scores in one unit; --unit points imports them unchanged.",
        )


def _below_a_gap(scores: TransferScores) -> list[str]:
    """Return descriptions of the scores in (0, 1], such as `fi → sw (0.8)`, if all scores above 1 are above 10.

    The list is empty if a score is between 1 and 10. A target with at least three scores, all of them at most 1, is
    ignored, because the target may be hard.
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
    """Yield each label of some axes, such as `source fi`, if all of its scores look like fractions.

    `axes` are tuples (index of the axis in `scores.cells`, noun for a label, labels on the axis).
    """
    for axis, kind, labels in axes:
        for index, label in enumerate(labels):
            part: Reals = np.take(scores.cells, index, axis=axis)
            known = part[np.isfinite(part)]
            # A model that has learned nothing has only scores of zero.
            if known.size >= _ENOUGH and known.max() <= 1 and known.max() > 0:
                yield f"{kind} {label}"
