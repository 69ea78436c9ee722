"""Import of gold scores: a file in a public format → checked transfer scores on labelled axes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.checking import LeftOut, check, check_percent_signs, check_unit
from xsns_stream.gold.formats import (
    LARGEST_SEED,
    RawCell,
    RawScores,
    Wanted,
    long_scores,
    read_langrank,
    read_long,
    read_matrix,
    read_nnrank,
    read_sumeval,
    read_xpos,
)
from xsns_stream.io.table_orientation import check_corner
from xsns_stream.io.tables import ReadCells, TextTable, all_listed, listed, read_cells
from xsns_stream.languages import Labels, read_labels
from xsns_stream.types.transfer_scores import TransferScores

if TYPE_CHECKING:
    import pandas as pd

_READERS: Final[dict[str, Callable[[Path, Wanted], RawScores]]] = {
    "xpos": read_xpos,
    "nnrank": read_nnrank,
    "langrank": read_langrank,
    "sumeval": read_sumeval,
    "matrix": read_matrix,
    "long": read_long,
}

#: Names of the formats that :func:`import_scores` reads.
FORMATS: Final = tuple(_READERS)


def import_scores(
    path: str | Path | Sequence[str | Path],
    format: str,  # noqa: A002 — what users call it
    *,
    task: str | None = None,
    metric: str | None = None,
    unit: str | None = None,
    origin: str | None = None,
    seeds: Sequence[int] = (),
    regime: str | None = None,
    rename: Mapping[str, str] | None = None,
    transpose: bool = False,
    min_examples: int = 0,
    skip_unknown: bool = False,
) -> ImportedScores:
    """Read gold scores in a public format, and check them.

    Args:
        path: A file, or several files of one seed each; for `xpos` also a folder of training sizes.
        format: One of :data:`FORMATS`.
        task: What was fine-tuned; what the format says where left out, and so for the next three.
        metric: What was measured; where a file has several metrics, which.
        unit: `percent`, `fraction` or `points`.
        origin: Where the scores come from.
        seeds: One for each file.
        regime: The main regime, which comes first.
        rename: {label in the file: code that it stands for}.
        transpose: Targets stand on lines, or in the column `source`.
        min_examples: Leave out targets that were tested on fewer; where the format says on how many.
        skip_unknown: Leave out labels that are no languages, languages under several labels, and cells that hold no
            number, and list them in `left_out`. By default a file with any of these is refused.

    Raises:
        UsageError: An option that cannot mean anything.
        XsnsError: A file that cannot be read, or is not what the format is; a file of which something would be lost,
            all of it in one message; another check that fails.
    """
    reader = _reader(format)
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    if not paths:
        raise UsageError("no file was named.", "name at least one.")
    if (seeds or len(paths) > 1) and len(set(seeds)) != len(paths):
        raise UsageError(
            f"{len(paths)} files and {len(set(seeds))} different seeds were named.",
            "several files are runs of several seeds: give one --seed for each, in the same order.",
        )
    if any(abs(seed) >= LARGEST_SEED for seed in seeds):
        raise UsageError("a seed is too large.", "give one of at most fifteen digits.")
    for one in paths:
        if not one.exists():
            raise XsnsError(f"there is no file '{one}'.", "check the path.")
        if one.is_dir() and format != "xpos":
            raise UsageError(f"'{one}' is a folder.", "name a file; only xpos has folders.")
    wanted = Wanted(metric, min_examples)
    raws = [reader(one, wanted) for one in paths]
    if seeds:
        raws = [_of_seed(raw, seed) for raw, seed in zip(raws, seeds, strict=True)]
    joined = replace(
        raws[0],
        cells=tuple(cell for raw in raws for cell in raw.cells),
        notes=tuple(dict.fromkeys(note for raw in raws for note in raw.notes)),
        origin=", ".join(dict.fromkeys(raw.origin for raw in raws)),
    )
    said = Described(task, metric, unit, origin, regime, dict(rename or {}), transpose, skip_unknown)
    return assemble(joined, said)


def frame_scores(
    frame: pd.DataFrame, *, task: str | None = None, metric: str | None = None, unit: str | None = None
) -> ImportedScores:
    """Return the gold scores of a long pandas frame, and check them.

    Args:
        frame: One row for each score, with columns `source`, `target` and `score` (or the name of the metric), and
            optionally `regime` and `seed`. Missing scores are pairs that were not measured.
        task: Name of the task, for tables.
        metric: Name of the metric, for tables.
        unit: `percent`, `fraction` or `points`; by default it follows from the range of the scores.

    Raises:
        UsageError: The unit is invalid, or cannot be determined.
        XsnsError: A column is missing, or a label or a score is invalid.
    """
    cells = frame.astype(object).where(frame.notna(), "")
    lines = tuple(tuple(map(str, line)) for line in cells.itertuples(index=False, name=None))
    table = TextTable(tuple(map(str, frame.columns)), lines, "the frame of gold scores")
    return assemble(long_scores(table, Wanted(metric, 0)), Described(task, metric, unit))


def _reader(name: str) -> Callable[[Path, Wanted], RawScores]:
    if name not in _READERS:
        near = get_close_matches(name.lower(), FORMATS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"formats are {listed(FORMATS)}."
        raise UsageError(f"there is no format '{name}'.", hint)
    return _READERS[name]


def _of_seed(raw: RawScores, seed: int) -> RawScores:
    if any(cell.seed is not None for cell in raw.cells):
        raise UsageError("the file has seeds of its own.", "leave --seed out.")
    return replace(raw, cells=tuple(cell._replace(seed=seed) for cell in raw.cells))


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
