"""Public formats of transfer scores: matrix, long, xpos, nnrank, langrank, sumeval.

Source: github.com/microsoft/Litmus at 012b5c7434ae73657bb2dcdef18be706f19ac77d, `SumEval/data/README.md`. A list of
objects, each with `train_config`, {language: training examples}, and `eval_results`, {language: score}; scores are
fractions. In the released test files each score is `"x"`.

Only a run on a single language is a transfer score; mixtures are counted and left out. Sizes of training sets are
regimes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, NamedTuple

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.json import read_json
from xsns_stream.io.tables import TextTable, listed, read_table, to_number

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


def read_matrix(path: Path, wanted: Wanted) -> RawScores:
    """Read a CSV or TSV file: a first line with targets, then a line for each source."""
    table = read_table(path)
    if {"source", "target"} <= set(table.header):
        raise XsnsError(f"'{path.name}' is a long table, no matrix.", "import it with --format long.")
    return RawScores(
        matrix_cells(table), metric=wanted.metric or "", origin=path.name, notes=table.notes, corner=table.header[0]
    )


def read_long(path: Path, wanted: Wanted) -> RawScores:
    """Read a CSV or TSV file with columns `source`, `target`, one with scores, and maybe `regime` and `seed`.

    The scores are in the column that the metric names, or in `score`.

    Raises:
        XsnsError: A column is missing, or a seed is no integer.
    """
    return long_scores(read_table(path), wanted)


def long_scores(table: TextTable, wanted: Wanted) -> RawScores:
    """Return the scores of a table with columns `source` and `target`; otherwise as :func:`read_long`."""
    scores = wanted.metric if wanted.metric in table.header else "score"
    if scores not in table.header:
        others = [name for name in table.header if name not in {"source", "target", "regime", "seed"}]
        raise XsnsError(
            f"'{table.name}' has no column '{wanted.metric or 'score'}'.",
            f"name the column of the scores with --metric: it has {listed(others) or 'none'}.",
        )
    columns = [table.column(name) for name in ("source", "target", scores)]
    regimes = _optional(table, "regime")
    seeds = _optional(table, "seed")
    lines = zip(*columns, regimes, seeds, strict=True)
    cells = tuple(
        RawCell(source, target, score, regime or "main", _seed(seed, table.name))
        for source, target, score, regime, seed in lines
    )
    metric = wanted.metric or ("" if scores == "score" else scores)
    return RawScores(cells, metric=metric, origin=table.name, notes=table.notes)


def _optional(table: TextTable, name: str) -> list[str]:
    return table.column(name) if name in table.header else [""] * len(table.lines)


def _seed(text: str, name: str) -> int | None:
    if not text:
        return None
    number = to_number(text)
    # pandas writes a column of integers with gaps as 42.0.
    if number is None or not number.is_integer() or abs(number) >= LARGEST_SEED:
        raise XsnsError(f"'{text}' in column 'seed' of '{name}' is no integer.", "a seed is a number as 42.")
    return int(number)


#: The training size of the published results; the main regime of a folder.
MAIN: Final = "10000"
_SIZE: Final = re.compile(r"(?:matrix|udpos)-ft-(\w+)\.csv")
_METRIC: Final = "accuracy"


def read_xpos(path: Path, wanted: Wanted) -> RawScores:
    """Read one file, or every training size of a folder.

    Raises:
        XsnsError: It is none of the layouts, or the folder has no such file.
    """
    one_of(wanted.metric, [_METRIC], _METRIC, path.name)
    files, unread = _sizes(path) if path.is_dir() else ([path], [])
    tables = [read_table(file) for file in files]
    cells = tuple(cell for file, table in zip(files, tables, strict=True) for cell in _cells(table, _regime(file)))
    notes = [note for table in tables for note in table.notes]
    if unread:
        notes.append(
            f"files that were not read, because their names say no training size ({len(unread)}): {listed(unread)}."
        )
    corner = "source" if not path.is_dir() else ""
    main = MAIN if any(cell.regime == MAIN for cell in cells) else ""
    return RawScores(cells, "pos", _METRIC, "percent", "xpos (de Vries et al. 2022)", tuple(notes), main, corner)


def _sizes(folder: Path) -> tuple[list[Path], list[str]]:
    """Return the files of a folder, or of its folder `results`, and the names of files that look like them.

    The smallest training size comes first, epochs last.
    """
    for place in (folder, folder / "results"):
        alike = sorted(place.glob("*-ft-*.csv"))
        found = [file for file in alike if _SIZE.fullmatch(file.name)]
        if found:
            unread = [file.name for file in alike if file not in found]
            found.sort(key=lambda file: (not _regime(file).isdecimal(), _regime(file).zfill(12)))
            return found, unread
    raise XsnsError(
        f"'{folder}' holds no file as matrix-ft-10000.csv or udpos-ft-10000.csv.", "name the folder `results` of xpos."
    )


def _regime(file: Path) -> str:
    """Return the training size in a file's name, as `630` or `3epoch`."""
    named = _SIZE.fullmatch(file.name)
    if named is None:
        return "main"
    return named[1].lstrip("0") or named[1]


def _cells(table: TextTable, regime: str) -> tuple[RawCell, ...]:
    for names in (("lang_train", "lang_pred", "score"), ("source", "target", "accuracy")):
        if set(names) <= set(table.header):
            lines = zip(*(table.column(name) for name in names), strict=True)
            return tuple(RawCell(source, target, score, regime) for source, target, score in lines)
    if table.header[0] == "source":
        return matrix_cells(table, regime)
    raise XsnsError(
        f"'{table.name}' is no file of xpos.",
        "it starts with `source,af,…`, or has columns source, target, accuracy or lang_train, lang_pred, score.",
    )


_METRICS: Final = ("f1", "accuracy")
#: Below this a score moves by points when another draw of sentences is tested on; the targets are named.
_FEW: Final = 500


def read_nnrank(path: Path, wanted: Wanted) -> RawScores:
    """Read the table; entity F1 where no metric was asked for.

    Raises:
        XsnsError: A column is missing.
        UsageError: There is no such metric, or no target was tested on as many examples.
    """
    table = read_table(path)
    metric = one_of(wanted.metric, _METRICS, _METRICS[0], path.name)
    columns = (table.column(name) for name in ("source", "target", metric, "num_eval_examples"))
    lines = list(zip(*columns, strict=True))
    sizes: dict[str, float] = {}
    unsized: dict[str, None] = {}
    for _, target, _, examples in lines:
        size = to_number(examples)
        # A number that nobody knows does not leave a target out.
        known = math.inf if size is None or math.isnan(size) else size
        if known == math.inf:
            unsized[target] = None
        sizes[target] = min(sizes.get(target, math.inf), known)
    few = {target: size for target, size in sizes.items() if size < wanted.min_examples}
    if len(few) == len(sizes):
        raise UsageError(
            f"no target was tested on {wanted.min_examples} examples or more.",
            f"the most is {max(sizes.values()):.0f}: lower --min-examples.",
        )
    cells = tuple(RawCell(source, target, score) for source, target, score, _ in lines if target not in few)
    notes = (*table.notes, *_notes(sizes, few, metric, len(lines) - len(cells)))
    if unsized and wanted.min_examples:
        notes += (f"kept, because the file does not say on how many examples they were tested: {listed([*unsized])}.",)
    return RawScores(cells, "ner", metric, "percent", "nn-rank, WikiANN, XLM-R base", notes)


def _notes(sizes: Mapping[str, float], few: Mapping[str, float], metric: str, lost: int) -> list[str]:
    notes = [f"the metric is {metric}; the file also has {listed([name for name in _METRICS if name != metric])}."]
    if few:
        notes.append(f"left out, tested on too few examples: {_named(few)}; these are {lost} scores.")
    small = {target: size for target, size in sizes.items() if size < _FEW and target not in few}
    if small:
        notes.append(f"tested on fewer than {_FEW} examples: {_named(small)}; --min-examples leaves them out.")
    return notes


def _named(sizes: Mapping[str, float]) -> str:
    return listed([f"{target} ({size:.0f})" for target, size in sorted(sizes.items(), key=lambda item: item[1])])


_ORIGIN: Final = "LangRank (Lin et al. 2019)"
#: First field of a matrix → task and metric.
_CORNERS: Final = {"train/target": ("pos", "accuracy"), r"v extra v \ trg >>": ("mt", "BLEU")}
#: Columns of a training table (transfer language, task language, score) → metric.
_COLUMNS: Final = {
    ("Aux lang", "Task lang", "Accuracy"): "accuracy",
    ("Transfer lang", "Source lang", "BLEU"): "BLEU",
    ("Transfer lang", "Target lang", "Accuracy"): "accuracy",
}


def read_langrank(path: Path, wanted: Wanted) -> RawScores:
    """Read either layout.

    Raises:
        XsnsError: It is neither.
        UsageError: It has another metric than was asked for.
    """
    table = read_table(path)
    if table.header[0] in _CORNERS:
        task, metric = _CORNERS[table.header[0]]
        one_of(wanted.metric, [metric], metric, path.name)
        scores = _without_best(table)
        best = len(table.lines) - len(scores.lines)
        notes = (f"left out: {best} lines below the scores, which name the best three of each column.",) if best else ()
        return RawScores(
            matrix_cells(scores), task, metric, origin=_ORIGIN, notes=(*table.notes, *notes), corner="source"
        )
    for names, metric in _COLUMNS.items():
        if set(names) <= set(table.header):
            one_of(wanted.metric, [metric], metric, path.name)
            lines = zip(*(table.column(name) for name in names), strict=True)
            cells = tuple(RawCell(source, target, score) for source, target, score in lines)
            return RawScores(cells, path.stem, metric, origin=_ORIGIN, notes=table.notes)
    raise XsnsError(
        f"'{path.name}' is no table of LangRank.",
        "it starts with `train/target` or `v extra v \\ trg >>`, or has columns as Task lang, Aux lang, Accuracy.",
    )


def _without_best(table: TextTable) -> TextTable:
    """Leave out the lines below the scores, which say the three best of each column."""
    return TextTable(table.header, tuple(line for line in table.lines if not line[0].startswith("#")), table.name)


#: The regime of each source's largest run, where sources were run on several sizes or on different ones.
LARGEST: Final = "largest"
_UNKNOWN: Final = "x"


def read_sumeval(path: Path, wanted: Wanted) -> RawScores:
    """Read the runs on single languages; the metric is the task's own, unless it is named.

    Raises:
        XsnsError: The file is no such JSON, or has no run on a single language, or no score.
    """
    runs = _runs(path)
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
            "a transfer score is of one source; mixtures have none.",
        )
    if all(score == _UNKNOWN for _, _, results in single for score in results.values()):
        raise XsnsError(f"'{path.name}' has no scores, only places for them.", "name a file with scores.")
    notes: tuple[str, ...] = (
        (f"left out: {mixtures} of {len(runs)} runs, on mixtures of languages.",) if mixtures else ()
    )
    if untrained:
        notes += (f"left out: {untrained} of {len(runs)} runs, on no example of any language.",)
    return RawScores(
        _sumeval_cells(single),
        path.stem.split("_")[0].lower(),
        wanted.metric or "",
        "fraction",
        "SumEval 2022",
        notes,
        LARGEST,
    )


def _runs(path: Path) -> list[tuple[dict[str, float], dict[str, Any]]]:
    document = read_json(path)
    try:
        return [
            (
                {str(language): _examples(count) for language, count in run["train_config"].items()},
                {str(language): score for language, score in run["eval_results"].items()},
            )
            for run in document
        ]
    except (KeyError, TypeError, AttributeError, ValueError, OverflowError):
        raise XsnsError(
            f"'{path.name}' is no file of SumEval.",
            "it is a JSON list of objects with `train_config` and `eval_results`.",
        ) from None


def _examples(count: Any) -> float:
    """Return a number of training examples.

    Raises:
        ValueError: It is negative, infinite, or not a number.
    """
    number = float(count)
    if not 0 <= number < math.inf:
        raise ValueError(f"{count} is no number of examples")
    return number


def _sumeval_cells(single: list[tuple[str, int, dict[str, Any]]]) -> tuple[RawCell, ...]:
    """Return the cells of the largest run of each source and, where there are several sizes, of each size."""
    largest: Mapping[str, int] = {source: max(c for s, c, _ in single if s == source) for source, _, _ in single}
    sizes = sorted({count for _, count, _ in single}, reverse=True)
    found: list[RawCell] = []
    for source, count, results in single:
        regimes = [LARGEST] * (count == largest[source]) + [str(count)] * (len(sizes) > 1)
        for target, score in results.items():
            known = None if score == _UNKNOWN else score
            found += [RawCell(source, target, known, regime) for regime in regimes]
    order = [LARGEST, *map(str, sizes)]
    return tuple(sorted(found, key=lambda cell: order.index(cell.regime)))
