"""Import of gold scores from public formats or plain tables; the scores are checked and put on labelled axes."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.axes import labels_of, on_axes, seeds_of
from xsns_stream.gold.checking import (
    CheckedCells,
    LeftOut,
    check_cells,
    check_larger_is_better,
    check_percent_signs,
    check_unit,
    suggested_codes,
)
from xsns_stream.gold.detection import find_format, find_format_or_none
from xsns_stream.gold.formats import READERS
from xsns_stream.gold.import_notes import (
    mean_note,
    name_note,
    number_notes,
    orientation_note,
    own_language_note,
    skipped_note,
    trivial_note,
    unnamed_note,
)
from xsns_stream.gold.plain_tables import LARGEST_SEED, long_scores
from xsns_stream.gold.problems import FileProblemsError, OptionProblemsError, Problems, Remedy
from xsns_stream.gold.raw_scores import ImportOptions, RawCell, RawScores, ReadOptions
from xsns_stream.io.escaping import visible
from xsns_stream.io.numbers import ReadCells, read_cells
from xsns_stream.io.table_orientation import check_corner
from xsns_stream.io.tables import TextTable, listed
from xsns_stream.language_labels import Labels, described, is_mean, is_trivial_answer, read_labels
from xsns_stream.languages import code_or_none
from xsns_stream.types.transfer_scores import TransferScores

if TYPE_CHECKING:
    import pandas as pd

#: Names of the formats that :func:`import_scores` reads.
FORMATS: Final = tuple(READERS)


#: Name of a frame of gold scores in messages.
_FRAME: Final = "the frame of gold scores"


@dataclass(frozen=True)
class ImportedScores:
    """Imported scores, and notes on their import.

    Attributes:
        scores: The scores.
        notes: Sentences about omissions, assumptions and unusual values; may be empty.
        left_out: The parts of the file that were left out; empty unless `skip_unknown` was set.
        by_name: {label: code} for the languages that were recognised by name.
    """

    scores: TransferScores
    notes: tuple[str, ...] = ()
    left_out: LeftOut = field(default_factory=LeftOut)
    by_name: Mapping[str, str] = field(default_factory=dict)


def import_scores(
    path: str | Path | Sequence[str | Path],
    format: str | None = None,  # noqa: A002 — what users call it
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
    """Read gold scores in a public format or from a plain table, and check them.

    Args:
        path: A file, or several files, each with the scores of one seed. For `xpos`, it may also be a folder with one
            file for each training size.
        format: One of :data:`FORMATS`; by default it is detected from the contents, and a note names it.
        task: The task; by default the task that the format implies.
        metric: The metric; by default the metric that the format implies. If a file has several metrics, the scores of
            this metric are read.
        unit: `percent`, `fraction` or `points`; by default the unit that the format implies, or else it is inferred
            from the scores.
        origin: Origin of the scores; by default the origin that the format implies.
        seeds: One seed for each file.
        regime: The main regime, which becomes the first regime.
        rename: {label in the file: language code}.
        transpose: Whether the rows, or the column `source`, are targets.
        min_examples: Leave out targets that were tested on fewer examples, if the file has the numbers of examples.
        skip_unknown: Leave out labels that are not languages, languages with several labels, and cells that do not
            contain a number, and list them in `left_out`. By default, each of these is an error.

    Raises:
        UsageError: An argument is invalid.
        XsnsError: A file cannot be read or does not have the format; labels or cells would be left out and
            `skip_unknown` is False (one message lists all of them); or another check fails.
    """
    paths = [Path(path)] if isinstance(path, str | Path) else [Path(one) for one in path]
    if format is not None:
        _reader(format)
    _check_files(paths, format, seeds)
    name, found = (format, ()) if format is not None else _found_format(paths)
    options = ImportOptions(task, metric, unit, origin, regime, dict(rename or {}), transpose, skip_unknown)

    def imported(name: str) -> ImportedScores:
        return _assemble(_merged(paths, name, ReadOptions(metric, min_examples, task), seeds, found), options)

    try:
        return imported(name)
    except XsnsError as error:
        other = None if format is None else find_format_or_none(paths[0])
        if other in {None, name} or f"--format {other}" in error.hint:
            raise
        raise _wrong_format(error, str(other), name, imported) from None


def _merged(
    paths: Sequence[Path], name: str, options: ReadOptions, seeds: Sequence[int], notes: Sequence[str]
) -> RawScores:
    """Read all files of one import, and return the cells of all files as one object.

    Args:
        paths: The files.
        name: The format of the files.
        options: The options of the reader.
        seeds: The seed of each file; empty if no seeds were given.
        notes: Notes that precede those of the reader.
    """
    raws = [_reader(name)(one, options) for one in paths]
    if seeds:
        raws = [_with_seed(raw, seed) for raw, seed in zip(raws, seeds, strict=True)]
    return replace(
        raws[0],
        cells=tuple(cell for raw in raws for cell in raw.cells),
        notes=tuple(dict.fromkeys((*notes, *(note for raw in raws for note in raw.notes)))),
        origin=", ".join(dict.fromkeys(raw.origin for raw in raws)),
    )


def _wrong_format(error: XsnsError, other: str, given: str, imported: Callable[[str], ImportedScores]) -> XsnsError:
    """Return one error that reports a wrong `--format`, and the problems of the file in the format that it looks like.

    Args:
        error: The error of the import in the given format.
        other: The format that the file looks like.
        given: The format that was given.
        imported: Function that imports the file in a format.
    """
    looks = f"the file looks like the format {other}, not {given}"
    if isinstance(error, FileProblemsError):
        # The file was read in the given format.
        return type(error)(error.message, f"{error.hint} Check --format: {looks}.", error.remedy)
    messages, hints = [error.message], [f"{looks}: give --format {other}."]
    remedy = Remedy(("--format", other))
    try:
        kept = np.isfinite(imported(other).scores.cells).sum()
        remedy = replace(remedy, kept=int(kept))
    except FileProblemsError as further:
        messages.append(f"In the format {other}, {further.message}")
        hints.append(further.hint)
        remedy = replace(further.remedy, options=(*remedy.options, *further.remedy.options))
    except XsnsError as further:
        if further.message == error.message:
            return error
        messages.append(f"In the format {other}, {further.message}")
        hints.append(further.hint)
        remedy = replace(remedy, by_hand=True)
    kind = OptionProblemsError if isinstance(error, UsageError) else FileProblemsError
    return kind(" ".join(messages), " ".join(filter(None, hints)), remedy)


def frame_scores(
    frame: pd.DataFrame, *, task: str | None = None, metric: str | None = None, unit: str | None = None
) -> ImportedScores:
    """Return the gold scores of a pandas frame, and check them.

    Args:
        frame: One row for each score, with columns `source`, `target` and `score` (or the name of the metric), and
            optionally `regime` and `seed`. Or a matrix: one row for each source and one column for each target; the
            labels of the sources are the index or the first column. A missing score is a pair that was not measured.
        task: Name of the task, as tables show it; if the frame has a column of tasks, the task to read.
        metric: Name of the metric, as tables show it; if the frame has several metrics, the metric to read.
        unit: `percent`, `fraction` or `points`; by default it is inferred from the range of the scores.

    Raises:
        UsageError: The unit is invalid or cannot be inferred.
        XsnsError: A column is missing, or a label or a score is invalid.
    """
    if not len(frame):
        raise XsnsError("the frame of gold scores has no row.", "check how it was filtered.")
    if not {"source", "target"} <= set(map(str, frame.columns)):
        return _table_scores(frame, task, metric, unit)
    cells = frame.astype(object).where(frame.notna(), "")
    lines = tuple(tuple(map(str, line)) for line in cells.itertuples(index=False, name=None))
    table = TextTable(tuple(map(str, frame.columns)), lines, _FRAME)
    return _assemble(long_scores(table, ReadOptions(metric, 0, task)), ImportOptions(task, metric, unit))


def _table_scores(frame: pd.DataFrame, task: str | None, metric: str | None, unit: str | None) -> ImportedScores:
    """Return the scores of a frame without columns `source` and `target`: it is written to a CSV file and imported."""
    import pandas as pd

    has_labels = not isinstance(frame.index, pd.RangeIndex)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "frame.csv"
        frame.to_csv(path, index=has_labels)
        try:
            imported = import_scores(path, task=task, metric=metric, unit=unit, origin="a pandas frame")
        except XsnsError as error:
            message = error.message.replace(f"'{path}'", _FRAME).replace("'frame.csv'", _FRAME)
            raise type(error)(message, "give a frame with the columns source, target and score.") from error
    notes = tuple(note.replace("'frame.csv'", _FRAME) for note in imported.notes)
    return replace(imported, notes=notes)


def _reader(name: str) -> Callable[[Path, ReadOptions], RawScores]:
    if name not in READERS:
        near = get_close_matches(name.lower(), FORMATS, n=1)
        hint = f"did you mean '{near[0]}'?" if near else f"formats are {listed(FORMATS)}."
        raise UsageError(f"there is no format '{name}'.", hint)
    return READERS[name]


def _found_format(paths: Sequence[Path]) -> tuple[str, tuple[str, ...]]:
    """Return the format of the files, and a note that names the format and the reason for it.

    Raises:
        UsageError: The format cannot be detected, or the files have different formats.
    """
    found = [find_format(path) for path in paths]
    if len({name for name, _ in found}) > 1:
        raise UsageError(
            f"the files have different formats: {'; '.join(reason for _, reason in found)}.",
            "import files of one format together.",
        )
    return found[0][0], (f"{found[0][1]}.",)


def _check_files(paths: Sequence[Path], format_name: str | None, seeds: Sequence[int]) -> None:
    if not paths:
        raise UsageError("no file was given.", "give at least one file.")
    if (seeds or len(paths) > 1) and len(set(seeds)) != len(paths):
        raise UsageError(
            f"{len(paths)} files and {len(set(seeds))} different seeds were given.",
            "give --seed once for each file, in the order of the files, and each time with another seed: several files "
            "must be runs with different seeds.",
        )
    if any(abs(seed) >= LARGEST_SEED for seed in seeds):
        raise UsageError("a seed is too large.", "give seeds of at most fifteen digits.")
    for path in paths:
        if not path.exists():
            raise XsnsError(f"there is no file '{path}'.", "check the path.")
        if path.is_dir() and format_name not in {None, "xpos"}:
            raise UsageError(f"'{path}' is a folder.", "give a file; only the format xpos is read from folders.")


def _with_seed(raw: RawScores, seed: int) -> RawScores:
    if any(cell.seed is not None for cell in raw.cells):
        raise UsageError("the file already contains seeds.", "omit --seed.")
    return replace(raw, cells=tuple(cell._replace(seed=seed) for cell in raw.cells))


def _assemble(raw: RawScores, options: ImportOptions) -> ImportedScores:
    """Check the cells of a file, and put their scores on labelled axes.

    Raises:
        FileProblemsError: A cell or label would be left out and `skip_unknown` is False; a score occurs twice; or the
            scores do not fit the unit. One message names all problems.
        XsnsError: No label is a language code, no score is left, or smaller values of the metric are better.
        UsageError: A label in `rename` or the main regime does not exist in the file, or `transpose` contradicts the
            first field of the matrix.
    """
    problems = Problems()
    try:
        check_corner(raw.corner, transpose=options.transpose)
    except UsageError as error:
        turn = ("", "--transpose") if options.transpose else ("--transpose", "")
        problems.add_error(error, *filter(None, turn[:1]), without=turn[1])
    cells = list(raw.cells)
    if options.transpose:
        cells = [cell._replace(source=cell.target, target=cell.source) for cell in cells]
    means = _labels_that(is_mean, cells, options.rename)
    trivial = _labels_that(is_trivial_answer, cells, options.rename) - {cell.target for cell in cells}
    floors = [cell for cell in cells if cell.source in trivial and cell.target not in means]
    cells = [cell for cell in cells if not (means | trivial) & {cell.source, cell.target}]
    labels = labels_of(cells, options.rename)
    read = read_cells((cell.source, cell.target, cell.score) for cell in cells)
    checked = check_cells(cells, labels, read)
    if not any(labels.codes[cell.source] and labels.codes[cell.target] for cell in cells):
        raise XsnsError(
            f"no score has language codes for both its source and its target; labels are {listed(list(labels.codes))}.",
            "check --format; --rename OLD=NEW maps labels to codes.",
        )
    checked.report(problems, skip=options.skip_unknown)
    # If labels would be lost, the checks below use the suggested codes for them.
    valid, codes = _with_remedies(problems, cells, checked, labels, read, options)
    seeds = seeds_of([cell for cell, _ in valid], problems)
    if not valid or checked.duplicates or seeds is None:
        problems.require_none()
        raise XsnsError("no score is left.", "import without --skip-unknown to see what it leaves out.")
    scores, gap_notes = on_axes(valid, codes, raw, options, seeds)
    unit, unit_notes = _checked_unit(scores, read, options.unit or raw.unit, problems)
    problems.require_none()
    check_larger_is_better(scores.metric)
    notes = (
        *raw.notes,
        *mean_note(means),
        *trivial_note(trivial),
        *skipped_note(checked.problems, checked.left_out),
        *name_note(labels),
        *number_notes(read),
        *gap_notes,
        *orientation_note(scores, options.transpose),
        *unnamed_note(scores),
        *own_language_note(scores),
        *unit_notes,
    )
    answers = {code: score for code, score in _trivial_answers(floors, codes).items() if code in scores.targets}
    scores = replace(scores, unit=unit, trivial=answers)
    return ImportedScores(scores, notes, checked.left_out, dict(labels.by_name))


def _labels_that(meets: Callable[[str], bool], cells: Sequence[RawCell], rename: Mapping[str, str]) -> set[str]:
    """Return the labels that meet a condition, without language codes and labels that `rename` maps to a code."""
    labels = {label for cell in cells for label in (cell.source, cell.target)}
    return {label for label in labels if label not in rename and meets(label) and code_or_none(label) is None}


def _trivial_answers(floors: Sequence[RawCell], codes: Mapping[str, str | None]) -> dict[str, float]:
    """Return {target: best score of any trivial answer} from `floors`, the cells in lines of trivial answers.

    `codes` is {label: code}; labels without a code are left out.
    """
    read = read_cells((cell.source, cell.target, cell.score) for cell in floors)
    best: dict[str, float] = {}
    for cell, number in zip(floors, read.values, strict=True):
        code = codes.get(cell.target)
        if code is not None and not math.isnan(number):
            best[code] = max(number, best.get(code, number))
    return best


def _with_remedies(
    problems: Problems,
    cells: Sequence[RawCell],
    checked: CheckedCells,
    labels: Labels,
    read: ReadCells,
    options: ImportOptions,
) -> tuple[tuple[tuple[RawCell, float], ...], Mapping[str, str | None]]:
    """Add to `problems` the options with which the file can be imported: `--rename` and `--skip-unknown`.

    `--rename` is added for each label for which a code can be suggested, and `--skip-unknown` if cells would still be
    left out. Nothing is added if there are no problems with cells, or if `skip_unknown` is set.

    Returns:
        The cells that would be imported with these options, each as a pair (cell, score as a number), and
        {label: code}.
    """
    if not checked.problems or options.skip_unknown:
        return checked.valid, labels.codes
    choices = suggested_codes(checked.left_out, labels)
    chosen = {label: codes[0] for label, codes in choices.items()}
    renamed = read_labels(labels.codes, {**options.rename, **chosen})
    rest = check_cells(cells, renamed, read)
    problems.options += [part for label, code in chosen.items() for part in ("--rename", f"{label}={code}")]
    problems.options += ["--skip-unknown"] if rest.problems else []
    problems.kept = len(rest.valid)
    if choices:
        asked = [f"'{visible(label)}': {' or '.join(map(described, codes))}" for label, codes in choices.items()]
        problems.hints.append(f"choose the languages that are meant: {'; '.join(asked)}")
    return (rest.valid if not rest.duplicates else checked.valid), renamed.codes


def _checked_unit(scores: TransferScores, read: ReadCells, requested: str, problems: Problems) -> tuple[str, list[str]]:
    """Return the unit of the scores, and notes; if a check of the unit fails, add its error to the problems.

    `read` are the cells as numbers, and `requested` is the unit that the user gave, which may be empty.
    """
    try:
        return check_unit(scores, check_percent_signs(read, requested))
    except XsnsError as error:
        # Fractions among percentages have no such hint, because they must be corrected in the file.
        match = re.search(r"give --unit (\w+)", error.hint)
        problems.add_error(error, *(("--unit", match[1]) if match else ()))
    return "points", []
