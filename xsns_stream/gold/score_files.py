"""Files of transfer scores in the program's own format (Parquet, CSV, TSV or JSON), and a summary of scores.

Each format preserves everything exactly: the values, the order of languages, regimes and seeds, and the task, metric,
unit, origin and notes.
"""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.gold.axes import own_pairs
from xsns_stream.gold.checking import check_range
from xsns_stream.io.atomic import writable, write_whole
from xsns_stream.io.frames import read_parquet, write_csv, write_parquet
from xsns_stream.io.json import UnusableError, read_object
from xsns_stream.io.numbers import to_number
from xsns_stream.io.tables import (
    SEPARATORS,
    TextTable,
    column_list,
    labels_by_shared_code,
    listed,
    read_table,
    to_codes,
)
from xsns_stream.types.transfer_scores import TransferScores, mean_of_known

if TYPE_CHECKING:
    import pandas as pd


#: Version of the metadata of the Parquet file and of the columns of the CSV file.
SCHEMA_VERSION: Final = 1
KIND: Final = "transfer-scores"

#: Suffixes that :func:`write_scores` and :func:`read_scores` support.
SCORE_FORMATS: Final = (".parquet", ".csv", ".tsv", ".json")

_AXES: Final = ("regimes", "seeds", "sources", "targets")
_FACTS: Final = ("task", "metric", "unit", "origin")
_COLUMNS: Final = ("source", "target", "regime", "seed", "score", *_FACTS)
#: Name of the metadata field and of the CSV column that contain the notes, a JSON list of sentences.
_NOTES: Final = "notes"
#: Name of the metadata field with {target: score of the trivial answer}, and of the CSV column with this score.
_TRIVIAL: Final = "trivial"
#: Name of the list of scores in a JSON file.
_SCORES: Final = "scores"
#: Largest size of a JSON file; 300 languages, 3 regimes and 10 seeds take 100 MB.
_MOST_BYTES: Final = 2**28


def write_scores(scores: TransferScores, path: str | Path) -> Path:
    """Write transfer scores to a file; its suffix, `.parquet`, `.csv`, `.tsv` or `.json`, determines the format.

    The columns are `source`, `target`, `regime`, `seed` (empty if it is unknown) and `score`. A Parquet file stores
    the task, metric, unit, origin, notes and the order of the labels in its metadata, under the key `xsns_stream`, and
    leaves out pairs without a score. A CSV or TSV file has further columns for the task, metric, unit, origin and
    notes, and has a line for every pair, even without a score. A JSON file is one object. It has the entries of the
    Parquet metadata and an entry `scores`, a list with one list of the values of the columns for each known score.

    Raises:
        UsageError: The suffix is not supported, or the folder does not exist.
        XsnsError: The file cannot be written.
    """
    target = writable(path, SCORE_FORMATS)
    frame = _long_frame(scores)

    def write(file: BinaryIO) -> None:
        suffix = target.suffix.lower()
        if suffix in SEPARATORS:
            for fact in _FACTS:
                frame[fact] = getattr(scores, fact)
            if scores.trivial:
                frame[_TRIVIAL] = frame["target"].map(dict(scores.trivial))
            if scores.notes:
                frame[_NOTES] = json.dumps(scores.notes, ensure_ascii=False)
            write_csv(frame, file, separator=SEPARATORS[suffix])
        elif suffix == ".json":
            file.write(_json_document(scores, frame).encode())
        else:
            write_parquet(frame.dropna(subset="score", ignore_index=True), _metadata(scores), file)

    write_whole(target, write)
    return target


_IMPORT_AGAIN: Final = "import the scores again with `xsns-stream gold import`."


def read_scores(path: str | Path) -> TransferScores:
    """Read a file that :func:`write_scores` wrote.

    Raises:
        UsageError: The suffix is not supported.
        XsnsError: The file is missing or damaged, or has other content.
    """
    file = Path(path)
    if file.suffix.lower() not in SCORE_FORMATS:
        raise UsageError(
            f"'{path}' is not a file of gold scores.",
            "write gold scores with `xsns-stream gold import FILE -o gold.parquet`.",
        )
    try:
        scores = _READERS[file.suffix.lower()](file)
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise XsnsError(f"'{file}' is damaged: {type(error).__name__}: {error}.", _IMPORT_AGAIN) from None
    # The checks of an import are repeated here, because the file may have been edited by hand.
    for labels in (scores.sources, scores.targets):
        if repeated := labels_by_shared_code(to_codes(labels)):
            one = next(iter(repeated.values()))
            raise XsnsError(f"labels in '{file}' name the same language: {listed(one)}.", _IMPORT_AGAIN)
    check_range(scores)
    return scores


def _long_frame(scores: TransferScores) -> pd.DataFrame:
    """Return a frame with one row for each regime, seed, source and target, in this order."""
    import pandas as pd

    axes = [scores.regimes, scores.seeds or (None,), scores.sources, scores.targets]
    grid = np.indices(scores.cells.shape).reshape(len(axes), -1)
    columns = {
        name: [labels[index] for index in indices]
        for name, labels, indices in zip(("regime", "seed", "source", "target"), axes, grid, strict=True)
    }
    columns["seed"] = pd.array(columns["seed"], "Int64")  # type: ignore[assignment]
    frame = pd.DataFrame(columns | {"score": scores.cells.ravel()})
    return frame[["source", "target", "regime", "seed", "score"]]


def _metadata(scores: TransferScores) -> dict[str, Any]:
    facts = {name: getattr(scores, name) for name in _FACTS}
    axes = {name: list(getattr(scores, name)) for name in _AXES}
    notes = {_NOTES: list(scores.notes)} if scores.notes else {}
    trivial = {_TRIVIAL: dict(scores.trivial)} if scores.trivial else {}
    return {"schema_version": SCHEMA_VERSION, "kind": KIND} | facts | axes | notes | trivial


def _read_parquet(file: Path) -> TransferScores:
    frame, metadata = read_parquet(file)
    _check_kind(file, metadata)
    assert metadata is not None
    seeds = [None if missing else int(seed) for seed, missing in zip(frame["seed"], frame["seed"].isna(), strict=True)]
    lines = zip(frame["regime"], seeds, frame["source"], frame["target"], frame["score"], strict=True)
    axes, facts = {name: tuple(metadata[name]) for name in _AXES}, {name: str(metadata[name]) for name in _FACTS}
    return replace(_on_axes(axes, facts, lines), **_remarks(metadata))


def _remarks(metadata: Mapping[str, Any]) -> dict[str, Any]:
    """Return {`notes`: notes, `trivial`: {target: score of the trivial answer}} from the metadata of a file."""
    return {
        "notes": tuple(map(str, metadata.get(_NOTES, ()))),
        "trivial": {str(target): float(score) for target, score in metadata.get(_TRIVIAL, {}).items()},
    }


def _json_document(scores: TransferScores, frame: pd.DataFrame) -> str:
    known = frame.dropna(subset="score")
    seeds = [None if missing else int(seed) for seed, missing in zip(known["seed"], known["seed"].isna(), strict=True)]
    columns = (known["source"], known["target"], known["regime"], seeds, known["score"].tolist())
    rows = [list(row) for row in zip(*columns, strict=True)]
    return f"{json.dumps(_metadata(scores) | {_SCORES: rows}, ensure_ascii=False, allow_nan=False)}\n"


def _read_json(file: Path) -> TransferScores:
    if not file.exists():
        raise XsnsError(f"there is no file '{file}'.", "check the path.")
    try:
        document = read_object(file, most_bytes=_MOST_BYTES)
    except UnusableError as error:
        raise XsnsError(f"'{file}' cannot be read: {error}.", _IMPORT_AGAIN) from None
    _check_kind(file, document)
    lines = ((regime, seed, source, target, score) for source, target, regime, seed, score in document[_SCORES])
    axes, facts = {name: tuple(document[name]) for name in _AXES}, {name: str(document[name]) for name in _FACTS}
    return replace(_on_axes(axes, facts, lines), **_remarks(document))


def _check_kind(file: Path, document: Mapping[str, Any] | None) -> None:
    """Check that the metadata of a file are those of transfer scores, in a version that this program reads.

    Raises:
        XsnsError: The file has no metadata, or its metadata name another kind or another version.
    """
    if document is None or document.get("kind") != KIND:
        what = "is a similarity matrix" if document else "was not written by `xsns-stream gold`"
        raise XsnsError(f"'{file}' {what}.", "import scores with `xsns-stream gold import FILE -o gold.parquet`.")
    if document["schema_version"] != SCHEMA_VERSION:
        raise XsnsError(
            f"'{file}' has version {document['schema_version']} of the format, but this program reads version "
            f"{SCHEMA_VERSION}.",
            "update xsns-stream.",
        )


def _read_csv(file: Path) -> TransferScores:
    table = read_table(file)
    if set(table.header) - {_NOTES, _TRIVIAL} != set(_COLUMNS):
        raise XsnsError(
            f"'{file}' is not a file of gold scores: its columns are {column_list(table.header)}.",
            f"import it first: `xsns-stream gold import {shlex.quote(str(file))} -o gold.parquet`.",
        )
    columns = {name: table.column(name) for name in _COLUMNS}
    seeds = [int(seed) if seed else None for seed in columns["seed"]]
    axes: dict[str, tuple[Any, ...]] = {
        f"{name}s": tuple(dict.fromkeys(columns[name])) for name in ("regime", "source", "target")
    }
    axes["seeds"] = tuple(seed for seed in dict.fromkeys(seeds) if seed is not None)
    scores = _numbers(table)
    lines = zip(columns["regime"], seeds, columns["source"], columns["target"], scores, strict=True)
    notes = json.loads(_single_value(table.column(_NOTES), _NOTES)) if _NOTES in table.header else ()
    facts = {name: _single_value(columns[name], name) for name in _FACTS}
    trivial = table.column(_TRIVIAL) if _TRIVIAL in table.header else []
    known = {target: float(score) for target, score in zip(columns["target"], trivial, strict=False) if score}
    return replace(_on_axes(axes, facts, lines), notes=tuple(map(str, notes)), trivial=known)


def _numbers(table: TextTable) -> Iterator[float]:
    for text in table.column("score"):
        number = to_number(text)
        if number is None:
            raise ValueError(f"{text!r} is not a score")
        yield number


_READERS: Final = {".parquet": _read_parquet, ".csv": _read_csv, ".tsv": _read_csv, ".json": _read_json}


def _single_value(values: list[str], name: str) -> str:
    if len(set(values)) != 1:
        raise ValueError(f"the column {name} must have the same value on every line")
    return values[0]


def _on_axes(
    axes: dict[str, tuple[Any, ...]],
    facts: Mapping[str, Any],
    lines: Iterator[tuple[str, int | None, str, str, float]],
) -> TransferScores:
    """Return the scores in the lines of a file as transfer scores with labelled axes.

    Args:
        axes: {`regimes`, `seeds`, `sources`, `targets`: labels of the axis}.
        facts: The other attributes of the scores, such as the task.
        lines: (regime, seed, source, target, score) of each line.

    Raises:
        KeyError: A label is not on its axis.
        ValueError: A score occurs twice.
    """
    labels = [axes["regimes"], axes["seeds"] or (None,), axes["sources"], axes["targets"]]
    indices = [{label: index for index, label in enumerate(axis)} for axis in labels]
    cells = np.full([len(axis) for axis in labels], np.nan)
    seen = np.zeros(cells.shape, bool)
    for *key, score in lines:
        index = tuple(axis[label] for axis, label in zip(indices, key, strict=True))
        if seen[index]:
            raise ValueError(f"the score {key[2]} → {key[3]} occurs twice")
        seen[index] = True
        cells[index] = math.nan if score is None else score
    return TransferScores(
        axes["sources"], axes["targets"], cells, regimes=axes["regimes"], seeds=axes["seeds"], **facts
    )


@dataclass(frozen=True)
class ScoreSummary:
    """Statistics of the scores of the main regime, after averaging over seeds.

    Scores of a source on its own language are counted separately. A mixture of source languages, such as `es+it`, has
    several own languages.

    Attributes:
        missing: Pairs (source, target) that have no score, where the target is not the source's own language.
        lowest: The lowest score of a source on another language.
        highest: The highest score of a source on another language.
        mean: The mean score of sources on other languages.
        mean_own: The mean score of sources on their own language; NaN without such scores.
        best_source: {target: (source, score)} for the source with the highest score; if several sources have this
            score, the first of them. A target without a score from another language has no entry.
        source_means: {source: mean score on other languages}. Sources without such a score have no entry.
        source_targets: {source: number of other languages with a score}.
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
    """Return statistics of the scores of the main regime, averaged over seeds."""
    values = scores.values
    own = own_pairs(scores)
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
