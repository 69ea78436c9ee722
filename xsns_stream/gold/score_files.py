"""Our own files of transfer scores (Parquet with metadata, or CSV), and a summary of scores.

Both bring back everything: values to the last bit, languages, regimes and seeds in their order, task, metric, unit and
origin.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.checking import check_range
from xsns_stream.io.atomic import writable, write_whole
from xsns_stream.io.frames import read_parquet, write_csv, write_parquet
from xsns_stream.io.tables import TextTable, labels_by_shared_code, listed, read_table, to_codes, to_number
from xsns_stream.languages import constituents
from xsns_stream.types.transfer_scores import TransferScores, mean_of_known

if TYPE_CHECKING:
    import pandas as pd


#: Of the parquet file's metadata, and of the columns of the CSV file.
SCHEMA_VERSION: Final = 1
KIND: Final = "transfer-scores"

#: Suffixes that :func:`write_scores` and :func:`read_scores` know.
SCORE_FORMATS: Final = (".parquet", ".csv")

_AXES: Final = ("regimes", "seeds", "sources", "targets")
_FACTS: Final = ("task", "metric", "unit", "origin")
_COLUMNS: Final = ("source", "target", "regime", "seed", "score", *_FACTS)
#: Of the metadata and of the CSV file, where there are notes: a list of sentences, in JSON.
_NOTES: Final = "notes"


def write_scores(scores: TransferScores, path: str | Path) -> Path:
    """Write transfer scores; `.parquet` or `.csv`, by the suffix.

    The columns are `source`, `target`, `regime`, `seed` (empty where none is known) and `score`. Parquet keeps task,
    metric, unit, origin, notes and the order of the labels in its metadata, under the key `xsns_stream`, and leaves out
    pairs without a score; CSV has a column for each of these, and a line for each pair.

    Raises:
        UsageError: No format has this suffix, or the folder is not there.
        XsnsError: The file cannot be written.
    """
    target = writable(path, SCORE_FORMATS)
    frame = _long(scores)

    def write(file: BinaryIO) -> None:
        if target.suffix.lower() == ".csv":
            for fact in _FACTS:
                frame[fact] = getattr(scores, fact)
            if scores.notes:
                frame[_NOTES] = json.dumps(scores.notes, ensure_ascii=False)
            write_csv(frame, file)
        else:
            write_parquet(frame.dropna(subset="score", ignore_index=True), _metadata(scores), file)

    write_whole(target, write)
    return target


_AGAIN: Final = "import the scores again with `xsns-stream gold import`."


def read_scores(path: str | Path) -> TransferScores:
    """Read what :func:`write_scores` wrote.

    Raises:
        UsageError: No format has this suffix.
        XsnsError: The file is missing or damaged, or holds something else.
    """
    file = Path(path)
    if file.suffix.lower() not in SCORE_FORMATS:
        raise UsageError(
            f"'{path}' is no file of gold scores.", "make one with `xsns-stream gold import FILE -o gold.parquet`."
        )
    try:
        scores = _read_csv(file) if file.suffix.lower() == ".csv" else _read_parquet(file)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise XsnsError(f"'{file}' is damaged: {type(error).__name__}: {error}.", _AGAIN) from None
    # Files are edited by hand too: what an import refuses is refused here.
    for labels in (scores.sources, scores.targets):
        if repeated := labels_by_shared_code(to_codes(labels)):
            one = next(iter(repeated.values()))
            raise XsnsError(f"'{file}' has {listed(one)} for one language.", _AGAIN)
    check_range(scores)
    return scores


def _long(scores: TransferScores) -> pd.DataFrame:
    """Return a line for each regime, seed, source and target, in this order."""
    import pandas as pd

    axes = [scores.regimes, scores.seeds or (None,), scores.sources, scores.targets]
    grid = np.indices(scores.cells.shape).reshape(len(axes), -1)
    columns = {
        name: [labels[place] for place in places]
        for name, labels, places in zip(("regime", "seed", "source", "target"), axes, grid, strict=True)
    }
    columns["seed"] = pd.array(columns["seed"], "Int64")  # type: ignore[assignment]
    frame = pd.DataFrame(columns | {"score": scores.cells.ravel()})
    return frame[["source", "target", "regime", "seed", "score"]]


def _metadata(scores: TransferScores) -> dict[str, Any]:
    facts = {name: getattr(scores, name) for name in _FACTS}
    axes = {name: list(getattr(scores, name)) for name in _AXES}
    said = {_NOTES: list(scores.notes)} if scores.notes else {}
    return {"schema_version": SCHEMA_VERSION, "kind": KIND} | facts | axes | said


def _read_parquet(file: Path) -> TransferScores:
    frame, notes = read_parquet(file)
    if notes is None or notes.get("kind") != KIND:
        held = "a similarity matrix" if notes else "no scores that `xsns-stream gold` wrote"
        raise XsnsError(f"'{file}' holds {held}.", "import scores with `xsns-stream gold import FILE -o gold.parquet`.")
    if notes["schema_version"] != SCHEMA_VERSION:
        raise XsnsError(
            f"'{file}' has version {notes['schema_version']} of the format, and this program reads {SCHEMA_VERSION}.",
            "update xsns-stream.",
        )
    seeds = [None if missing else int(seed) for seed, missing in zip(frame["seed"], frame["seed"].isna(), strict=True)]
    lines = zip(frame["regime"], seeds, frame["source"], frame["target"], frame["score"], strict=True)
    axes, facts = {name: tuple(notes[name]) for name in _AXES}, {name: str(notes[name]) for name in _FACTS}
    return replace(_scores(axes, facts, lines), notes=tuple(map(str, notes.get(_NOTES, ()))))


def _read_csv(file: Path) -> TransferScores:
    table = read_table(file)
    if set(table.header) - {_NOTES} != set(_COLUMNS):
        raise XsnsError(
            f"'{file}' is no file of gold scores: its columns are {listed(table.header)}.",
            "import it first: `xsns-stream gold import FILE --format long -o gold.parquet`; `--format matrix` where "
            "sources are lines and targets columns.",
        )
    columns = {name: table.column(name) for name in _COLUMNS}
    seeds = [int(seed) if seed else None for seed in columns["seed"]]
    axes: dict[str, tuple[Any, ...]] = {
        f"{name}s": tuple(dict.fromkeys(columns[name])) for name in ("regime", "source", "target")
    }
    axes["seeds"] = tuple(seed for seed in dict.fromkeys(seeds) if seed is not None)
    scores = _numbers(table)
    lines = zip(columns["regime"], seeds, columns["source"], columns["target"], scores, strict=True)
    found = _scores(axes, {name: _only(columns[name], name) for name in _FACTS}, lines)
    said = json.loads(_only(table.column(_NOTES), _NOTES)) if _NOTES in table.header else ()
    return replace(found, notes=tuple(map(str, said)))


def _numbers(table: TextTable) -> Iterator[float]:
    for text in table.column("score"):
        number = to_number(text)
        if number is None:
            raise ValueError(f"{text!r} is no score")
        yield number


def _only(values: list[str], name: str) -> str:
    if len(set(values)) != 1:
        raise ValueError(f"the column {name} must say the same on every line")
    return values[0]


def _scores(
    axes: dict[str, tuple[Any, ...]],
    facts: Mapping[str, Any],
    lines: Iterator[tuple[str, int | None, str, str, float]],
) -> TransferScores:
    """Put lines into axes.

    Raises:
        KeyError: A label is in no axis.
        ValueError: A score stands twice.
    """
    labels = [axes["regimes"], axes["seeds"] or (None,), axes["sources"], axes["targets"]]
    places = [{label: place for place, label in enumerate(axis)} for axis in labels]
    cells = np.full([len(axis) for axis in labels], np.nan)
    seen = np.zeros(cells.shape, bool)
    for *key, score in lines:
        place = tuple(axis[label] for axis, label in zip(places, key, strict=True))
        if seen[place]:
            raise ValueError(f"the score {key[2]} → {key[3]} stands twice")
        seen[place] = True
        cells[place] = math.nan if score is None else score
    return TransferScores(
        axes["sources"], axes["targets"], cells, regimes=axes["regimes"], seeds=axes["seeds"], **facts
    )


@dataclass(frozen=True)
class ScoreSummary:
    """Figures of the main regime, averaged over seeds; pairs of a source with a language of its own stand apart.

    A source that is a mixture (`es+it`) has several languages of its own.

    Attributes:
        missing: Pairs (source, target) without a score, a source with its own language not counted.
        lowest: The lowest score between two languages.
        highest: The highest score between two languages.
        mean: The mean score between two languages.
        mean_own: The mean score of a source on its own language; NaN where there is none.
        best_source: {target: (source, score)}, the source with the highest score; no entry where no source has one. Of
            several with the same score the first.
        source_means: {source: its mean over other languages}; no entry where there is none.
        source_targets: {source: over how many other languages}.
    """

    missing: tuple[tuple[str, str], ...]
    lowest: float
    highest: float
    mean: float
    mean_own: float
    best_source: dict[str, tuple[str, float]]
    source_means: dict[str, float]
    source_targets: dict[str, int]


def summarise(scores: TransferScores) -> ScoreSummary:
    """Return the figures of the main regime."""
    values = scores.values
    own = np.array([[target in constituents(source) for target in scores.targets] for source in scores.sources])
    known = np.isfinite(values)
    others = np.where(own, np.nan, values)
    between, itself = others[np.isfinite(others)], values[own & known]
    missing = tuple((scores.sources[row], scores.targets[column]) for row, column in np.argwhere(~known & ~own))
    best = {}
    for column, target in enumerate(scores.targets):
        if np.isfinite(others[:, column]).any():
            row = int(np.nanargmax(others[:, column]))
            best[target] = (scores.sources[row], float(others[row, column]))
    means, counts = mean_of_known(others.T), np.isfinite(others).sum(axis=1)
    tested = {
        source: (float(mean), int(count))
        for source, mean, count in zip(scores.sources, means, counts, strict=True)
        if count
    }
    low, high, mean = (float(figure(between)) if between.size else np.nan for figure in (np.min, np.max, np.mean))
    return ScoreSummary(
        missing=missing,
        lowest=low,
        highest=high,
        mean=mean,
        mean_own=float(itself.mean()) if itself.size else float("nan"),
        best_source=best,
        source_means={source: mean for source, (mean, _) in tested.items()},
        source_targets={source: count for source, (_, count) in tested.items()},
    )
