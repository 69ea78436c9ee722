"""What an import would lose: labels that are no languages, cells that hold no number, languages under two labels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from xsns_stream.errors import XsnsError
from xsns_stream.gold.raw import RawCell
from xsns_stream.labelled import all_listed, one_line
from xsns_stream.language_names import Labels
from xsns_stream.written_numbers import ReadCells


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
                label = one_line(next(iter(self.left_out.summaries)))
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
        yield f"'{one_line(label)}' is a word for a summary and the code of a language ({code})"
    for label, (code, other) in lost.ambiguous.items():
        yield f"'{one_line(label)}' is the code of {code} and the name of {other}"
    for code, names in lost.collisions.items():
        both = "both" if len(names) == 2 else "all"
        yield f"{' and '.join(repr(one_line(name)) for name in names)} are {both} '{code}', and {both} have scores"
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
            more = "" if cell.regime == "main" else f" of regime {one_line(cell.regime)}"
            pair = f"{one_line(cell.source)} → {one_line(cell.target)}"
            yield f"the score {pair}{more} stands twice: {one_line(str(other.score))} and {one_line(str(cell.score))}"
