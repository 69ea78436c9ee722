"""Readers for public formats of transfer scores: matrix, long, xpos, nnrank, langrank, sumeval.

Each reader returns :class:`~xsns_stream.gold.raw_scores.RawScores`: the cells of a file as they are written, before
labels, numbers and units are checked. To add a format, write a reader and register it in :data:`READERS`.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.plain_tables import matrix_cells, read_long, read_matrix
from xsns_stream.gold.raw_scores import RawCell, RawScores, ReadOptions
from xsns_stream.io.json import read_json
from xsns_stream.io.numbers import to_number
from xsns_stream.io.tables import TextTable, listed, read_table


def _choose_metric(requested: str | None, available: Iterable[str], default: str, name: str) -> str:
    """Return the requested metric, or `default` if no metric was requested.

    `available` are the metrics in the file, and `name` is the name of the file for the message.

    Raises:
        UsageError: The file does not have the requested metric.
    """
    metrics = list(available)
    if requested is not None and requested not in metrics:
        raise UsageError(f"'{name}' has no metric '{requested}'.", f"it has {listed(metrics)}.")
    return default if requested is None else requested


# -------------------------------------------------------------------------------------------------- xpos

#: The training size of the published results; the main regime of a folder.
_XPOS_MAIN: Final = "10000"
XPOS_FILE: Final = re.compile(r"(?:matrix|udpos)-ft-(\w+)\.csv")
_XPOS_METRIC: Final = "accuracy"
#: Columns of the published results.
XPOS_COLUMNS: Final = ("lang_train", "lang_pred", "score")


def read_xpos(path: Path, options: ReadOptions) -> RawScores:
    """Read a file of xpos, or a folder of xpos that has one file for each training size.

    Raises:
        XsnsError: The file has none of the published layouts, or the folder contains no file of xpos.

    Source:
        github.com/wietsedv/xpos; de Vries, Wieling and Nissim (ACL 2022).
    """
    _choose_metric(options.metric, [_XPOS_METRIC], _XPOS_METRIC, path.name)
    files, skipped = _xpos_files(path) if path.is_dir() else ([path], [])
    tables = [read_table(file) for file in files]
    cells = tuple(
        cell for file, table in zip(files, tables, strict=True) for cell in _xpos_cells(table, _xpos_regime(file))
    )
    notes = [note for table in tables for note in table.notes]
    if skipped:
        notes.append(
            f"files that were not read, because their names have no training size ({len(skipped)}): {listed(skipped)}."
        )
    corner = "source" if not path.is_dir() else ""
    main = _XPOS_MAIN if any(cell.regime == _XPOS_MAIN for cell in cells) else ""
    return RawScores(cells, "pos", _XPOS_METRIC, "percent", "xpos (de Vries et al. 2022)", tuple(notes), main, corner)


def _xpos_files(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files of xpos in a folder or its sub-folder `results`, and the names of similar files there.

    Files are sorted by the training size in their names. Files named by a number of epochs come last. Similar files
    have no training size in their names and are skipped.
    """
    for parent in (folder, folder / "results"):
        similar = sorted(parent.glob("*-ft-*.csv"))
        files = [file for file in similar if XPOS_FILE.fullmatch(file.name)]
        if files:
            skipped = [file.name for file in similar if file not in files]
            files.sort(key=lambda file: (not _xpos_regime(file).isdecimal(), _xpos_regime(file).zfill(12)))
            return files, skipped
    raise XsnsError(
        f"'{folder}' has no file such as matrix-ft-10000.csv or udpos-ft-10000.csv.",
        "give the folder `results` of xpos.",
    )


def _xpos_regime(file: Path) -> str:
    """Return the training size in the name of a file, such as `630` or `3epoch`; `main` if the name has none."""
    match = XPOS_FILE.fullmatch(file.name)
    if match is None:
        return "main"
    return match[1].lstrip("0") or match[1]


def _xpos_cells(table: TextTable, regime: str) -> tuple[RawCell, ...]:
    for names in (XPOS_COLUMNS, ("source", "target", "accuracy")):
        if set(names) <= set(table.header):
            lines = zip(*(table.column(name) for name in names), strict=True)
            return tuple(RawCell(source, target, score, regime) for source, target, score in lines)
    if table.header[0] == "source":
        return matrix_cells(table, regime)
    raise XsnsError(
        f"'{table.name}' is not a file of xpos.",
        "such a file is a matrix whose header begins with `source`, a table with the columns source, target and "
        "accuracy, or a table with the columns lang_train, lang_pred and score.",
    )


# ------------------------------------------------------------------------------------------------ nnrank

_NNRANK_METRICS: Final = ("f1", "accuracy")
NNRANK_COLUMNS: Final = ("source", "target", *_NNRANK_METRICS, "num_eval_examples")
#: A note names targets with fewer test examples, because their scores vary by several points with the choice of
#: sentences.
_FEW_EXAMPLES: Final = 500


def read_nnrank(path: Path, options: ReadOptions) -> RawScores:
    """Read the table of NN-Rank. The default metric is entity F1.

    Raises:
        XsnsError: A column is missing.
        UsageError: The table does not have the requested metric, or every target was tested on fewer than
            `min_examples` examples.

    Source:
        github.com/abteen/nn-rank.
    """
    table = read_table(path)
    metric = _choose_metric(options.metric, _NNRANK_METRICS, _NNRANK_METRICS[0], path.name)
    columns = (table.column(name) for name in ("source", "target", metric, "num_eval_examples"))
    lines = list(zip(*columns, strict=True))
    sizes: dict[str, float] = {}
    unknown: dict[str, None] = {}
    for _, target, _, examples in lines:
        size = to_number(examples)
        # A target with an unknown number of examples is never left out.
        known_size = math.inf if size is None or math.isnan(size) else size
        if known_size == math.inf:
            unknown[target] = None
        sizes[target] = min(sizes.get(target, math.inf), known_size)
    few = {target: size for target, size in sizes.items() if size < options.min_examples}
    if len(few) == len(sizes):
        raise UsageError(
            f"no target was tested on {options.min_examples} examples or more.",
            f"lower --min-examples: the largest number of test examples is {max(sizes.values()):.0f}.",
        )
    cells = tuple(RawCell(source, target, score) for source, target, score, _ in lines if target not in few)
    notes = (*table.notes, *_nnrank_notes(sizes, few, metric, len(lines) - len(cells)))
    if unknown and options.min_examples:
        notes += (
            "these targets are not left out, because the file does not state their numbers of test examples: "
            f"{listed([*unknown])}.",
        )
    return RawScores(cells, "ner", metric, "percent", "nn-rank, WikiANN, XLM-R base", notes)


def _nnrank_notes(sizes: Mapping[str, float], few: Mapping[str, float], metric: str, lost: int) -> list[str]:
    other = listed([name for name in _NNRANK_METRICS if name != metric])
    notes = [f"the metric is {metric}; the file also has {other}."]
    if few:
        notes.append(
            f"targets left out, because they were tested on too few examples: {_with_sizes(few)}; "
            f"they have {lost} scores."
        )
    small = {target: size for target, size in sizes.items() if size < _FEW_EXAMPLES and target not in few}
    if small:
        notes.append(
            f"targets tested on fewer than {_FEW_EXAMPLES} examples: {_with_sizes(small)}; "
            "--min-examples leaves targets out."
        )
    return notes


def _with_sizes(sizes: Mapping[str, float]) -> str:
    return listed([f"{target} ({size:.0f})" for target, size in sorted(sizes.items(), key=lambda item: item[1])])


# ---------------------------------------------------------------------------------------------- langrank

_LANGRANK_ORIGIN: Final = "LangRank (Lin et al. 2019)"
#: {first field of a matrix: (task, metric)}.
LANGRANK_CORNERS: Final = {"train/target": ("pos", "accuracy"), r"v extra v \ trg >>": ("mt", "BLEU")}
#: {columns of a training table (transfer language, task language, score): metric}.
LANGRANK_COLUMNS: Final = {
    ("Aux lang", "Task lang", "Accuracy"): "accuracy",
    ("Transfer lang", "Source lang", "BLEU"): "BLEU",
    ("Transfer lang", "Target lang", "Accuracy"): "accuracy",
}


def read_langrank(path: Path, options: ReadOptions) -> RawScores:
    """Read a file of LangRank: a matrix of scores, or a table on which LangRank's ranking model was trained.

    Raises:
        XsnsError: The file has neither layout.
        UsageError: The file does not have the requested metric.

    Source:
        github.com/neulab/langrank; Lin et al. (ACL 2019).
    """
    table = read_table(path)
    if table.header[0] in LANGRANK_CORNERS:
        task, metric = LANGRANK_CORNERS[table.header[0]]
        _choose_metric(options.metric, [metric], metric, path.name)
        scores = _without_best_lines(table)
        best = len(table.lines) - len(scores.lines)
        notes = (
            (f"{best} lines below the scores are left out, because they name the best three sources of each column.",)
            if best
            else ()
        )
        return RawScores(
            matrix_cells(scores), task, metric, origin=_LANGRANK_ORIGIN, notes=(*table.notes, *notes), corner="source"
        )
    for names, metric in LANGRANK_COLUMNS.items():
        if set(names) <= set(table.header):
            _choose_metric(options.metric, [metric], metric, path.name)
            lines = zip(*(table.column(name) for name in names), strict=True)
            cells = tuple(RawCell(source, target, score) for source, target, score in lines)
            return RawScores(cells, path.stem, metric, origin=_LANGRANK_ORIGIN, notes=table.notes)
    raise XsnsError(
        f"'{path.name}' is not a table of LangRank.",
        "such a table starts with `train/target` or `v extra v \\ trg >>`, or has columns such as Task lang, Aux "
        "lang, Accuracy.",
    )


def _without_best_lines(table: TextTable) -> TextTable:
    """Return the table without its last lines, which contain the three best sources of each column, not scores."""
    return TextTable(table.header, tuple(line for line in table.lines if not line[0].startswith("#")), table.name)


# ----------------------------------------------------------------------------------------------- sumeval

#: The main regime, which contains the largest run of each source. Each size of runs is another regime.
_LARGEST: Final = "largest"
#: A placeholder for scores that were not released.
_NO_SCORE: Final = "x"


def read_sumeval(path: Path, options: ReadOptions) -> RawScores:
    """Read the fine-tuning runs on a single language from a file of SumEval 2022.

    The file does not name the metric. If `options` does not name it either, the metric of the scores is unknown.

    The file is a JSON list of objects, one for each run. Each object has the entries `train_config`, which is
    {language: number of training examples}, and `eval_results`, which is {language: score}. Scores are fractions; in
    the released test files, each score is the placeholder `"x"`. Only runs on a single language give transfer scores.
    Runs on several languages are left out, and a note says how many.

    Raises:
        XsnsError: The file does not have this structure, has no run on a single language, or has no score.

    Source:
        github.com/microsoft/Litmus at 012b5c7434ae73657bb2dcdef18be706f19ac77d, `SumEval/data/README.md`.
    """
    runs = _sumeval_runs(path)
    single: list[tuple[str, int, dict[str, Any]]] = []
    untrained = 0
    for configuration, results in runs:
        trained = {language: count for language, count in configuration.items() if count > 0}
        untrained += not trained
        if len(trained) == 1:
            single += [(language, int(count), results) for language, count in trained.items()]
    mixtures = len(runs) - len(single) - untrained
    if not single:
        raise XsnsError(
            f"each of the {mixtures} runs of '{path.name}' was trained on several languages.",
            "transfer scores need runs on a single source language.",
        )
    if all(score == _NO_SCORE for _, _, results in single for score in results.values()):
        raise XsnsError(f"'{path.name}' has placeholders instead of scores.", "give a file with scores.")
    notes: tuple[str, ...] = (
        (f"{mixtures} of {len(runs)} runs are left out, because they were trained on several languages.",)
        if mixtures
        else ()
    )
    if untrained:
        notes += (f"{untrained} of {len(runs)} runs are left out, because they have no training examples.",)
    return RawScores(
        _sumeval_cells(single),
        path.stem.split("_")[0].lower(),
        options.metric or "",
        "fraction",
        "SumEval 2022",
        notes,
        _LARGEST,
    )


def _sumeval_runs(path: Path) -> list[tuple[dict[str, float], dict[str, Any]]]:
    document = read_json(path)
    try:
        return [
            (
                {str(language): _example_count(count) for language, count in run["train_config"].items()},
                {str(language): score for language, score in run["eval_results"].items()},
            )
            for run in document
        ]
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        raise XsnsError(
            f"'{path.name}' is not a file of SumEval.",
            "such a file is a JSON list of objects with `train_config` and `eval_results`.",
        ) from None


def _example_count(count: Any) -> float:
    """Return a number of training examples, from a JSON file, as a float.

    Raises:
        ValueError: The value is negative or infinite, or is not a number.
    """
    number = float(count)
    if not 0 <= number < math.inf:
        raise ValueError(f"{count} is not a number of examples")
    return number


def _sumeval_cells(single: list[tuple[str, int, dict[str, Any]]]) -> tuple[RawCell, ...]:
    """Return the cells of the largest run of each source; if the training sizes differ, also the cells of every size.

    `single` are the runs on one language: (source, number of training examples, {target: score}).

    Each training size is a regime; the largest runs of all sources are the main regime.
    """
    largest: Mapping[str, int] = {source: max(c for s, c, _ in single if s == source) for source, _, _ in single}
    sizes = sorted({count for _, count, _ in single}, reverse=True)
    cells: list[RawCell] = []
    for source, count, results in single:
        regimes = [_LARGEST] * (count == largest[source]) + [str(count)] * (len(sizes) > 1)
        for target, score in results.items():
            known_score = None if score == _NO_SCORE else score
            cells += [RawCell(source, target, known_score, regime) for regime in regimes]
    order = [_LARGEST, *map(str, sizes)]
    return tuple(sorted(cells, key=lambda cell: order.index(cell.regime)))


#: {name of a format: its reader}.
READERS: Final[Mapping[str, Callable[[Path, ReadOptions], RawScores]]] = {
    "xpos": read_xpos,
    "nnrank": read_nnrank,
    "langrank": read_langrank,
    "sumeval": read_sumeval,
    "matrix": read_matrix,
    "long": read_long,
}
