"""Raw cells → transfer scores: numbers, codes, duplicates, orientation, gaps, and what an import would lose."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from typing import Any, Final

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.raw import RawCell, RawScores, check_percent_signs, check_unit
from xsns_stream.io.escaping import visible
from xsns_stream.io.tables import ReadCells, all_listed, listed, read_cells
from xsns_stream.languages import Labels, read_labels
from xsns_stream.table_orientation import check_corner
from xsns_stream.types.transfer_scores import TransferScores


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


#: Task or metric where nobody named it.
UNKNOWN: Final = "unknown"


@dataclass(frozen=True)
class ImportedScores:
    """Scores, and what a reader of them should know.

    Attributes:
        scores: The scores.
        notes: Sentences on what was left out, taken for granted, or looks odd; empty where there is nothing.
        left_out: What the file has and the scores do not; empty unless `skip_unknown` allowed it.
        by_name: {label: code} of the languages that were recognised by name.
    """

    scores: TransferScores
    notes: tuple[str, ...] = ()
    left_out: LeftOut = field(default_factory=LeftOut)
    by_name: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Described:
    """What the user says about scores, before what a format says.

    Attributes:
        task: What was fine-tuned.
        metric: What was measured.
        unit: One of `types.transfer.UNITS`.
        origin: Where the scores come from.
        main: The regime that comes first.
        rename: {label in the file: what it shall be called}.
        transpose: Targets stand where sources are expected.
        skip_unknown: Leave out what cannot be read, instead of refusing the file.
    """

    task: str | None = None
    metric: str | None = None
    unit: str | None = None
    origin: str | None = None
    main: str | None = None
    rename: Mapping[str, str] = field(default_factory=dict)
    transpose: bool = False
    skip_unknown: bool = False


def assemble(raw: RawScores, said: Described) -> ImportedScores:
    """Check cells and put them into axes.

    Raises:
        XsnsError: A label, a cell or a language would be lost, and `skip_unknown` does not allow it; the same cell
            stands twice; the unit does not fit; no language is left.
        UsageError: A label to rename, or the main regime, is not there; or the matrix is turned round.
    """
    check_corner(raw.corner, transpose=said.transpose)
    cells = list(raw.cells)
    if said.transpose:
        cells = [cell._replace(source=cell.target, target=cell.source) for cell in cells]
    labels = _labels(cells, said.rename)
    read = read_cells((cell.source, cell.target, cell.score) for cell in cells)
    checked = check(cells, labels, read)
    if not any(labels.codes[cell.source] and labels.codes[cell.target] for cell in cells):
        raise XsnsError(
            f"no score has the code of a language on both sides; labels are {listed(list(labels.codes))}.",
            "check --format; --rename OLD=NEW maps labels to codes.",
        )
    checked.require_nothing_lost(skip=said.skip_unknown)
    kept, left_out = checked.kept, checked.left_out
    notes = [*raw.notes, *_skipped(checked.problems, left_out), *_matched(labels), *_read_otherwise(read)]
    if not kept:
        raise XsnsError("no score is left.", "see what --skip-unknown leaves out: run the import without it.")
    scores, lacking = _in_axes([cell for cell, _ in kept], [number for _, number in kept], labels.codes, raw, said)
    notes += lacking
    notes += _odd_orientation(scores, said.transpose)
    asked = check_percent_signs(read, said.unit or raw.unit)
    unit, unit_notes = check_unit(scores, asked)
    unnamed = [f"--{name}" for name in ("task", "metric") if getattr(scores, name) == UNKNOWN]
    if unnamed:
        notes.append(f"the format does not say what the scores are of: {' and '.join(unnamed)} would.")
    return ImportedScores(replace(scores, unit=unit), tuple(notes + unit_notes), left_out, dict(labels.by_name))


def _skipped(problems: Sequence[str], left_out: LeftOut) -> Iterator[str]:
    """Yield what was left out, and how much that is."""
    if problems:
        yield f"left out, {left_out.scores} of {left_out.of} scores: {'; '.join(problems)}."


def _matched(labels: Labels) -> Iterator[str]:
    """Yield which labels were taken for names of languages."""
    if labels.by_name:
        named = [f"{label} = {code}" for label, code in labels.by_name.items()]
        yield f"recognised by name: {all_listed(named)}; --rename OLD=NEW says otherwise."


def _read_otherwise(read: ReadCells) -> Iterator[str]:
    """Yield which cells were read with a decimal comma or a percent sign."""
    if read.commas:
        yield f"commas are decimal signs in {len(read.commas)} of {len(read.values)} cells, as {read.commas[0]}."
    if any(read.percent):
        yield f"{sum(read.percent)} of {len(read.values)} cells have a percent sign: the scores are percent."


# -------------------------------------------------------------------------------------- orientation


def _odd_orientation(scores: TransferScores, transpose: bool) -> Iterator[str]:
    """Yield a note where every target is a source, but not every source a target.

    Whoever has training data has test data too, so that it is mostly the other way round.
    """
    more = set(scores.sources) - set(scores.targets)
    if more and set(scores.targets) < set(scores.sources) and not transpose:
        yield (
            f"this looks transposed: every target is also a source, and {len(more)} sources are no targets, though "
            "languages with training data mostly have test data; --transpose turns it round."
        )


# -------------------------------------------------------------------------------------------- codes


def _labels(cells: Sequence[RawCell], rename: Mapping[str, str]) -> Labels:
    names = list(dict.fromkeys(label for cell in cells for label in (cell.source, cell.target)))
    for label in rename:
        if label not in names:
            near = get_close_matches(label, names, n=3)
            hint = f"did you mean {listed([repr(name) for name in near])}?" if near else f"it has {listed(names)}."
            raise UsageError(f"the file has no label '{label}' to rename.", hint)
    labels = read_labels(names, rename)
    if not any(labels.codes.values()) and not labels.ambiguous:
        raise XsnsError(
            f"no label is the code of a language: {listed(names)}.",
            "labels are codes as 'sw', 'swh' or 'swh_Latn', or names as 'Swahili'; --rename OLD=NEW maps others.",
        )
    return labels


# --------------------------------------------------------------------------------------------- axes


def _in_axes(
    cells: Sequence[RawCell],
    found: Sequence[float],
    codes: Mapping[str, str | None],
    raw: RawScores,
    said: Described,
) -> tuple[TransferScores, list[str]]:
    """Return the scores, in a unit that is not checked yet, and notes on gaps."""
    sources, targets = (
        dict.fromkeys(str(codes[getattr(cell, side)]) for cell in cells) for side in ("source", "target")
    )
    regimes = _regimes(cells, raw, said)
    seeds = _seeds(cells)
    places = [
        {label: place for place, label in enumerate(axis)} for axis in (regimes, seeds or (None,), sources, targets)
    ]
    values = np.full([len(axis) for axis in places], np.nan)
    for cell, number in zip(cells, found, strict=True):
        key = (cell.regime, cell.seed, codes[cell.source], codes[cell.target])
        values[tuple(axis[label] for axis, label in zip(places, key, strict=True))] = number
    scores = TransferScores(
        tuple(sources),
        tuple(targets),
        values,
        task=said.task or raw.task or UNKNOWN,
        metric=said.metric or raw.metric or UNKNOWN,
        unit="points",
        origin=said.origin or raw.origin,
        regimes=regimes,
        seeds=seeds,
    )
    return _without_empty(scores)


def _regimes(cells: Sequence[RawCell], raw: RawScores, said: Described) -> tuple[str, ...]:
    there = list(dict.fromkeys(cell.regime for cell in cells))
    if said.main is not None and said.main not in there:
        raise UsageError(f"there is no regime '{said.main}'.", f"there are {listed(there)}.")
    main = said.main or (raw.main if raw.main in there else there[0])
    return (main, *(name for name in there if name != main))


def _seeds(cells: Sequence[RawCell]) -> tuple[int, ...]:
    seeds = dict.fromkeys(cell.seed for cell in cells)
    if None in seeds and len(seeds) > 1:
        raise XsnsError("some scores have a seed, and others have none.", "give every line a seed, or none.")
    return tuple(seed for seed in seeds if seed is not None)


def _without_empty(scores: TransferScores) -> tuple[TransferScores, list[str]]:
    """Leave out languages without any score, and say which pairs of the others have none."""
    # How many scores each source, and each target, has in any regime and seed.
    by_source, by_target = (np.isfinite(scores.cells).sum(axis=axes) for axes in ((0, 1, 3), (0, 1, 2)))
    sources = [source for source, count in zip(scores.sources, by_source, strict=True) if count]
    targets = [target for target, count in zip(scores.targets, by_target, strict=True) if count]
    if not sources:
        raise XsnsError("there is no score at all.", "every cell of the file is empty.")
    notes = [
        f"left out, because they have no score as a {side}: {listed(empty)}."
        for side, all_of_them, kept in (("source", scores.sources, sources), ("target", scores.targets, targets))
        if (empty := [code for code in all_of_them if code not in kept])
    ]
    scores = scores.restricted(sources, targets)
    missing = [
        f"{scores.sources[row]} → {scores.targets[column]}" for row, column in np.argwhere(np.isnan(scores.values))
    ]
    if missing:
        notes.append(f"{len(missing)} of {scores.values.size} pairs have no score: {listed(missing)}.")
    further = int(np.isnan(scores.cells[1:]).sum())
    if further:
        notes.append(f"in the other regimes {further} of {scores.cells[1:].size} scores are missing.")
    return scores, notes
