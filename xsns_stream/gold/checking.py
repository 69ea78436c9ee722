"""Checks of raw scores: numbers, codes, duplicates, units, and what an import would lose."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.formats import RawCell
from xsns_stream.io.escaping import visible
from xsns_stream.io.tables import ReadCells, all_listed, listed
from xsns_stream.languages import Labels
from xsns_stream.types.arrays import Reals
from xsns_stream.types.transfer_scores import UNITS, TransferScores


@dataclass(frozen=True)
class LeftOut:
    """What an import left out because that was allowed, or must not leave out otherwise.

    Attributes:
        labels: {label that is neither a code nor a name of a language: scores that it has}.
        ambiguous: {label: (code, code)} of labels that are a code of one language and the name of another.
        summaries: {label: code} of labels that are a word for a summary, as `max`, and the code of a language.
        collisions: {code: labels} of languages that stand under several labels on one side.
        cells: Cells that hold no number, that are infinite, or that may be read in two ways.
        scores: How many cells of the file are left out in all.
        of: How many cells the file has.
    """

    labels: dict[str, int] = field(default_factory=dict)
    ambiguous: dict[str, tuple[str, str]] = field(default_factory=dict)
    collisions: dict[str, tuple[str, ...]] = field(default_factory=dict)
    cells: tuple[str, ...] = ()
    scores: int = 0
    of: int = 0
    summaries: dict[str, str] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return plain values."""
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
class Checked:
    """The cells of an import, sorted into those that can be kept and those that cannot.

    Attributes:
        kept: Cells, each with its number.
        left_out: What is lost.
        problems: A sentence, without its full stop, on each kind of loss.
        duplicates: Sentences on scores that stand twice under the same labels. These cannot be skipped.
    """

    kept: tuple[tuple[RawCell, float], ...]
    left_out: LeftOut
    problems: tuple[str, ...]
    duplicates: tuple[str, ...]

    def require_nothing_lost(self, *, skip: bool) -> None:
        """Refuse losses, all of them in one message.

        Args:
            skip: Losses are allowed; scores that stand twice are not.

        Raises:
            XsnsError: Something would be lost, or a score stands twice.
        """
        problems = (*(() if skip else self.problems), *self.duplicates)
        if not problems:
            return
        hints = []
        if self.problems and not skip:
            lost = f"{self.left_out.scores} of {self.left_out.of} scores"
            if self.left_out.summaries:
                label = visible(next(iter(self.left_out.summaries)))
                hints.append(f"--rename {label}={label} says that the language is meant")
            hints += ["--rename OLD=NEW gives a label its code", f"--skip-unknown imports the rest, without {lost}"]
        if self.left_out.cells and not skip:
            hints.append("leave a cell empty where nothing was measured")
        if self.duplicates:
            hints.append("a file has one score for each pair, regime and seed; several runs need a column `seed`")
        raise XsnsError(f"{'; '.join(problems)}.", f"{'; '.join(hints)}.")


def check(cells: Sequence[RawCell], labels: Labels, read: ReadCells) -> Checked:
    """Sort the cells of an import.

    Args:
        cells: As they stand in the file.
        labels: What their labels stand for.
        read: Their numbers.
    """
    colliding = _collisions(cells, labels)
    lost_labels = {label for several in colliding.values() for label in several}
    usable = [
        all(labels.codes[label] is not None and label not in lost_labels for label in (cell.source, cell.target))
        for cell in cells
    ]
    kept = tuple(
        (cell, number)
        for cell, number, fine, readable in zip(cells, read.values, usable, read.readable, strict=True)
        if fine and readable
    )
    unknown = {
        label: count
        for label, count in _counts(cells).items()
        if labels.codes[label] is None and label not in labels.ambiguous and label not in labels.summaries
    }
    left_out = LeftOut(
        unknown,
        dict(labels.ambiguous),
        colliding,
        (*read.wrong, *read.infinite, *read.either),
        len(cells) - len(kept),
        len(cells),
        dict(labels.summaries),
    )
    return Checked(kept, left_out, tuple(_problems(left_out, read)), tuple(_duplicates([cell for cell, _ in kept])))


def _counts(cells: Sequence[RawCell]) -> Counter[str]:
    """Return how many cells each label has; a cell of a language with itself counts once."""
    return Counter(label for cell in cells for label in dict.fromkeys((cell.source, cell.target)))


def _collisions(cells: Sequence[RawCell], labels: Labels) -> dict[str, tuple[str, ...]]:
    """Return the languages that stand under several labels on one side of one run."""
    stands: dict[tuple[str, str, int | None, str], dict[str, None]] = {}
    for cell in cells:
        for side, label in (("source", cell.source), ("target", cell.target)):
            if (code := labels.codes[label]) is not None:
                stands.setdefault((side, cell.regime, cell.seed, code), {})[label] = None
    found: dict[str, dict[str, None]] = {}
    for (*_, code), names in stands.items():
        if len(names) > 1:
            found.setdefault(code, {}).update(names)
    return {code: tuple(names) for code, names in found.items()}


def _problems(lost: LeftOut, read: ReadCells) -> Iterator[str]:
    if lost.labels:
        named = [f"{label or 'an empty label'} ({count})" for label, count in lost.labels.items()]
        yield f"labels that are neither codes nor names of languages, with their scores: {all_listed(named)}"
    for label, code in lost.summaries.items():
        yield f"'{visible(label)}' is a word for a summary and the code of a language ({code})"
    for label, (code, other) in lost.ambiguous.items():
        yield f"'{visible(label)}' is the code of {code} and the name of {other}"
    for code, names in lost.collisions.items():
        both = "both" if len(names) == 2 else "all"
        yield f"{' and '.join(repr(visible(name)) for name in names)} are {both} '{code}', and {both} have scores"
    for found, one, several in (
        (read.wrong, "holds no number", "hold no number"),
        (read.infinite, "is infinite", "are infinite"),
        (read.either, "may be read in two ways", "may be read in two ways"),
    ):
        if found:
            what = f"1 cell of the scores {one}" if len(found) == 1 else f"{len(found)} cells of the scores {several}"
            yield f"{what}: {all_listed(found)}"


def _duplicates(cells: Sequence[RawCell]) -> Iterator[str]:
    """Yield a sentence on each score that stands twice."""
    first: dict[tuple[str, str, str, int | None], RawCell] = {}
    for cell in cells:
        other = first.setdefault((cell.source, cell.target, cell.regime, cell.seed), cell)
        if other is not cell:
            more = "" if cell.regime == "main" else f" of regime {visible(cell.regime)}"
            pair = f"{visible(cell.source)} → {visible(cell.target)}"
            yield f"the score {pair}{more} stands twice: {visible(str(other.score))} and {visible(str(cell.score))}"


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
