"""The report page of a store or of a similarity matrix: one HTML file with figures and tables.

:func:`report` is the public function; the command `xsns-stream report` calls it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.pipeline.events import Noted, NoteLog, OnReadEvent
from xsns_stream.pipeline.row_selection import Codes, Seeds, StoreLike, as_density, as_seeds, as_store

if TYPE_CHECKING:
    from xsns_stream.pipeline.expected_scores import CalibratedScores
    from xsns_stream.pipeline.predictors import Gold, Predictor
    from xsns_stream.report.page import PageMatrix, ReportPage
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import SimilarityMatrix


@dataclass(frozen=True)
class Report:
    """A report page, and the file that it was written to.

    Attributes:
        page: The data of the page.
        path: The file that was written; None if the page was not written.
        bytes: Size of the file; 0 if the page was not written.
        notes: Notes on languages that were left out, and on the compared texts.
    """

    page: ReportPage
    path: Path | None = None
    bytes: int = 0
    notes: tuple[str, ...] = field(default=())

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Write the page to a file with the suffix .html.

        Raises:
            UsageError: The suffix is not .html, or the folder does not exist.
            XsnsError: The file cannot be written.
        """
        from xsns_stream.report.page import write_page

        return write_page(self.page, os.fspath(path))

    def to_dict(self) -> dict[str, Any]:
        """Return a description of the contents of the page, as `xsns-stream report --json` prints it."""
        return {
            "path": None if self.path is None else str(self.path),
            "bytes": self.bytes,
            "sections": [name for name, _ in self.page.sections],
            "languages": [language.code for language in self.page.languages],
            "matrices": [matrix.key for matrix in self.page.matrices],
            "summary": self.page.summary.to_json(),
            "notes": list(self.notes),
        }

    def __repr__(self) -> str:
        titles = ", ".join(title for _, title in self.page.sections)
        where = "not written" if self.path is None else f"{self.path} ({self.bytes:,} bytes)"
        return f"<Report of {len(self.page.languages)} languages: {titles}; {where}>"


def report(
    store: StoreLike | None = None,
    output: str | os.PathLike[str] | None = None,
    *,
    matrix: Predictor | None = None,
    languages: Codes | None = None,
    sources: Codes | None = None,
    targets: Codes | None = None,
    target: str | None = None,
    coefficient: str = "jaccard",
    seeds: Seeds | None = None,
    density: float | None = None,
    layers: bool = True,
    gold: Gold | None = None,
    regime: str | None = None,
    predictors: Mapping[str, Predictor] | None = None,
    title: str = "",
    on_event: OnReadEvent | None = None,
) -> Report:
    """Make a report page of a store, or of a similarity matrix, like `xsns-stream report`.

    The page is one HTML file that loads nothing from the network. Its sections are a summary, the ranking for every
    target, a heat map, a tree, maps, the layers, and, if gold scores are given, an evaluation. A section without data
    is left out.

    Args:
        store: A store, or its folder or URL.
        output: The file to write, with the suffix .html; None to write nothing.
        matrix: Similarities to use instead of a store: a similarity matrix, its file, or a pandas frame.
        languages: Languages to compare with one another; by default all languages that have every seed.
        sources: Sources to compare with the targets, instead of `languages`.
        targets: Targets to compare with the sources. Overlaps are counted only for pairs of a source and a target.
        target: The target whose ranking is shown when the page is opened; by default the first target.
        coefficient: Coefficient of the ranking, the tree and the maps; see
            :func:`xsns_stream.pipeline.comparison.similarity`. The heat map can show every coefficient.
        seeds: Seeds; by default all seeds of the store.
        density: Density; required if the store has several.
        layers: Whether to also compare layers and kinds of modules separately; this reads all rows two more times.
        gold: Gold scores, for expected scores and the evaluation; see :func:`xsns_stream.rank`.
        regime: Training regime of the gold scores; the first regime by default.
        predictors: {name: predictor} of further predictors for the evaluation; see :func:`xsns_stream.evaluate`.
        title: Title of the page.
        on_event: Handler of progress and notes.

    Returns:
        The page, and the file that was written.

    Raises:
        UsageError: Neither a store nor a matrix was given, or both were given, or another argument is invalid.
        LanguageError: A language is not in the store, or lacks a seed.
        StoreError: The store cannot be read.
        XsnsError: The matrix or the gold scores cannot be read, or the file cannot be written.

    >>> import xsns_stream as xs
    >>> page = xs.report("xsns.zarr", "report.html")
    >>> page.to_dict()["sections"][:3]
    ['summary', 'ranking', 'heat-map']
    """
    _check_arguments(store, matrix, gold, regime, predictors)
    if output is not None:
        from xsns_stream.report import check_destination
        from xsns_stream.report.page import PAGE_SUFFIX

        check_destination(os.fspath(output), [PAGE_SUFFIX])
    log = NoteLog(on_event)
    if store is not None:
        compared = _compare_store(store, languages, sources, targets, coefficient, seeds, density, log)
    else:
        assert matrix is not None
        compared = _read_matrix(matrix, languages, sources, targets, log)
    page = _make_page(compared, target, layers, gold, regime, predictors or {}, title, log)
    result = Report(page, notes=tuple(log.notes))
    if output is None:
        return result
    path = result.save(output)
    return replace(result, path=path, bytes=path.stat().st_size)


def _check_arguments(
    store: object, matrix: object, gold: object, regime: str | None, predictors: Mapping[str, Predictor] | None
) -> None:
    if (store is None) == (matrix is None):
        raise UsageError(
            "a report needs a store or a matrix" + (", not both." if store is not None else "."),
            "give --store for sub-networks, or --matrix for a file of similarities.",
        )
    if gold is None and (regime is not None or predictors):
        name = "--regime" if regime is not None else "--predict"
        raise UsageError(f"{name} cannot be used without --gold.", f"give the gold scores, or omit {name}.")


@dataclass(frozen=True)
class Compared:
    """The data from which the page is made.

    Attributes:
        matrix: The similarities.
        others: {other coefficient: similarities by that coefficient}, for the heat map.
        rows: The store; None if only a matrix was given.
        density: Density of the rows; None if only a matrix was given.
        origin: Path of the store or of the file of the matrix.
    """

    matrix: SimilarityMatrix
    others: Mapping[str, SimilarityMatrix]
    rows: SubNetworkStore | None
    density: float | None
    origin: str


def _compare_store(
    store: StoreLike,
    languages: Codes | None,
    sources: Codes | None,
    targets: Codes | None,
    coefficient: str,
    seeds: Seeds | None,
    density: float | None,
    log: NoteLog,
) -> Compared:
    from xsns_stream.pipeline.comparison import similarity
    from xsns_stream.similarity import COEFFICIENTS
    from xsns_stream.similarity import similarity as similarity_of

    rows = as_store(store)
    matrix = similarity(
        rows,
        coefficient=coefficient,
        languages=languages,
        sources=sources,
        targets=targets,
        seeds=as_seeds(seeds) or None,
        density=as_density(density),
        on_event=log,
    )
    others = {name: similarity_of(list(matrix.counts), name) for name in COEFFICIENTS if name != coefficient}
    if matrix.sources == matrix.targets:
        others |= {name: similarity_of(list(matrix.counts), name) for name in _without_halves() if name != coefficient}
    return Compared(matrix, others, rows, matrix.density, str(rows.path))


def _without_halves() -> list[str]:
    """Return the names of the corrections that need no split-half similarities, but only overlap counts."""
    from xsns_stream.similarity import CORRECTIONS

    return [name for name, correction in CORRECTIONS.items() if not correction.needs_split_half]


def _read_matrix(
    matrix: Predictor, languages: Codes | None, sources: Codes | None, targets: Codes | None, log: NoteLog
) -> Compared:
    from xsns_stream.pipeline.predictors import is_store, matrix_of_predictor

    if is_store(matrix):
        raise UsageError(f"'{matrix}' is not a file with a matrix.", "give a store as --store.")
    if isinstance(matrix, str | os.PathLike) and not Path(matrix).exists():
        raise XsnsError(f"there is no file '{os.fspath(matrix)}'.", "check --matrix FILE.")
    found, _ = matrix_of_predictor(matrix, "matrix")
    for note in found.notes:
        log(Noted(note))
    rows = _chosen(found.sources, sources or languages)
    columns = _chosen(found.targets, targets or languages)
    if len({*(found.sources[i] for i in rows), *(found.targets[i] for i in columns)}) < 2:
        raise UsageError("a report needs at least two languages.", "choose more languages of the matrix.")
    origin = os.fspath(matrix) if isinstance(matrix, str | os.PathLike) else "a matrix in memory"
    return Compared(_part(found, rows, columns), {}, None, None, origin)


def _chosen(labels: Sequence[str], codes: Codes | None) -> list[int]:
    """Return the indices of the labels that `codes` choose; all indices if no codes are given."""
    from xsns_stream.languages import select
    from xsns_stream.pipeline.row_selection import as_codes

    asked = as_codes(codes)
    if not asked:
        return list(range(len(labels)))
    return [labels.index(code) for code in select(asked, tuple(labels), "the matrix", lambda note: None)]


def _part(matrix: SimilarityMatrix, rows: Sequence[int], columns: Sequence[int]) -> SimilarityMatrix:
    """Return the given rows and columns of a matrix.

    If the rows and the columns have the same languages, the columns get the order of the rows.
    """
    sources, targets = [matrix.sources[i] for i in rows], [matrix.targets[i] for i in columns]
    return replace(matrix.between(sources, sources if set(sources) == set(targets) else targets), counts=())


# ------------------------------------------------------------------------------------------- sections


def _make_page(
    compared: Compared,
    target: str | None,
    layers: bool,
    gold: Gold | None,
    regime: str | None,
    predictors: Mapping[str, Predictor],
    title: str,
    log: NoteLog,
) -> ReportPage:
    from importlib.metadata import version

    from xsns_stream.pipeline.report_ranking import rank_every_target
    from xsns_stream.pipeline.report_sections import (
        evaluation_section,
        layers_section,
        missing_sections,
        note_on_labels,
        tree_and_maps,
    )
    from xsns_stream.pipeline.report_summary import summarise
    from xsns_stream.pipeline.resampling import resample
    from xsns_stream.report.page import PageMatrix, ReportPage, page_languages

    matrix, rows, density = compared.matrix, compared.rows, compared.density
    everyone = page_languages(tuple(dict.fromkeys((*matrix.sources, *matrix.targets))))
    note_on_labels(matrix, log)
    resampling = None if rows is None or density is None else resample(rows, matrix, density, log)
    # The evaluation shows its own notes.
    comparison_notes = tuple(log.notes)
    calibrated = None if gold is None else _calibrated(matrix, gold, regime, log)
    ranked = rank_every_target(
        matrix,
        _first_target(matrix, target),
        rows=rows,
        density=density,
        resampling=resampling,
        calibrated=calibrated,
        on_event=log,
    )
    tree, maps = tree_and_maps(matrix, everyone, resampling)
    missing = list(filter(None, [missing_sections(matrix, layers and rows is not None)]))
    for sentence in missing:
        log(Noted(sentence))
    layers_found, of_groups = None, list[PageMatrix]()
    if layers and rows is not None and density is not None:
        layers_found, of_groups = layers_section(rows, matrix, everyone, density, log)
    evaluation = None
    if gold is not None:
        options = {"coefficient": matrix.coefficient}
        evaluation = evaluation_section(matrix, gold, regime, predictors, log, **options)
    main = replace(_coefficient_matrix(matrix, exact=True), low=ranked.low, high=ranked.high)
    others = [_coefficient_matrix(other) for other in compared.others.values()]
    return ReportPage(
        summarise(
            matrix,
            title=title,
            rows=rows,
            density=density,
            origin=compared.origin,
            notes=comparison_notes,
            missing=missing,
        ),
        everyone,
        (main, *others, *of_groups),
        ranked.section,
        tree,
        maps,
        layers_found,
        evaluation,
        version("xsns-stream"),
    )


def _first_target(matrix: SimilarityMatrix, target: str | None) -> str:
    """Return the label of the target whose ranking is shown when the page is opened."""
    from xsns_stream.languages import pick

    if target is None:
        return matrix.targets[0]
    return pick(target, matrix.targets, "the report", lambda note: None)


def _coefficient_matrix(matrix: SimilarityMatrix, *, exact: bool = False) -> PageMatrix:
    from xsns_stream.report.page import matrix_of
    from xsns_stream.types.similarity_matrix import coefficient_title

    name = matrix.coefficient
    return matrix_of(matrix, key=name, title=coefficient_title(name), exact=exact)


def _calibrated(matrix: SimilarityMatrix, gold: Gold, regime: str | None, log: NoteLog) -> CalibratedScores | None:
    """Return the regression of gold scores on the similarities; None, with a note, if there are too few scores."""
    from xsns_stream.pipeline.expected_scores import CalibratedScores
    from xsns_stream.pipeline.predictors import load_gold
    from xsns_stream.pipeline.ranking_worth import check_with_gold
    from xsns_stream.regression import calibrate

    scores = load_gold(gold, regime, log)
    try:
        calibration = calibrate(scores, matrix)
    except UsageError as error:
        log(Noted(f"expected scores are left out: {error.message}"))
        return None
    return CalibratedScores(scores, calibration, check_with_gold(scores, matrix), ())
