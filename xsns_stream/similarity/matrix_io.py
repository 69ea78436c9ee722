"""Files and frames → similarity matrices: our own formats, and any table with a language on each side."""

from __future__ import annotations

import base64
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.atomic import unreadable
from xsns_stream.io.frames import read_parquet
from xsns_stream.io.json import read_json
from xsns_stream.io.table_orientation import check_corner, check_diagonal
from xsns_stream.io.tables import all_listed, duplicates, labels_by_shared_code, listed, numbers, read_table, to_codes
from xsns_stream.languages import SUMMARY_CODES, Labels, read_labels
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.predictor_records import PredictorRecord

if TYPE_CHECKING:
    import pandas as pd


_OPTIONAL: Final = ("chance", "per_seed", "standard_error")


class _Table(NamedTuple):
    """A matrix as a file has it.

    Attributes:
        matrix: Lines are rows.
        corner: What the file calls its lines; empty where it does not.
        ours: Whether the file says that we wrote it.
    """

    matrix: SimilarityMatrix
    corner: str = ""
    ours: bool = False


def read_matrix(
    path: str | Path,
    *,
    distance: bool = False,
    transpose: bool = False,
    scale: float | None = None,
    as_given: bool = False,
) -> SimilarityMatrix:
    """Read a similarity matrix, or a table with a source on each line and a target on each column.

    ============== =======================================================================================
    .parquet .json What `xsns-stream matrix -o` and `baseline -o` write: with coefficient, seeds, values of
    .npz           each seed, chance, standard errors, and the record of what they were made of.
    .csv .tsv      A first line with targets, then a line for each source. The first field of the first
                   line may be anything but a word for targets (`target`, `tgt/src`). An empty field is a
                   pair of which nothing is known. The name of the file is the coefficient's.
    .parquet .json Also a frame with sources as index or first column; an object of objects,
                   {source: {target: number}}.
    ============== =======================================================================================

    Codes are normalised. Labels that are no codes are kept as they are: they match nothing, and are named where the
    matrix meets gold scores. A missing label is an error.

    Args:
        path: The file.
        distance: The numbers say how far languages are apart: similarity = 1 − distance / `scale`.
        transpose: Targets stand on the lines.
        scale: Which distance is no similarity at all; 1 where left out.
        as_given: Take similarities of which each language's own is the smallest of its row, and distances of which it
            is the largest. By default a table like that, if it is none of ours, is refused.

    Raises:
        UsageError: No format has this suffix; similarities shall be taken for distances; or the first field of a table
            says that lines are what they are not read as.
        XsnsError: The file is missing, damaged or empty, or its labels or cells are not what they must be; or numbers
            look like distances and are read as similarities, or the reverse.
    """
    file = Path(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise UsageError(f"'{path}' is no matrix.", f"give a file that ends in {listed(MATRIX_FORMATS)}.")
    if scale is not None and (not distance or not scale > 0):
        raise UsageError(
            "a scale was given without distances." if not distance else f"a scale of {scale!r} means nothing.",
            "scale is the distance, above zero, at which languages have nothing in common.",
        )
    table = reader(file)
    matrix = table.matrix
    if not transpose:
        check_corner(table.corner, transpose=False)
    if not table.ours and not as_given:
        check_diagonal(matrix.sources, matrix.targets, matrix.values, f"'{file.name}'", distance=distance)
    if distance:
        matrix = _from_distances(matrix, 1.0 if scale is None else scale, file)
    return _transposed(matrix) if transpose else matrix


def frame_matrix(
    frame: pd.DataFrame, *, coefficient: str, distance: bool = False, what: str = "the table"
) -> SimilarityMatrix:
    """Turn a frame with sources as index and targets as columns into a similarity matrix.

    Args:
        frame: Its cells are numbers or text; NaN, None and an empty text say nothing of a pair.
        coefficient: What the numbers are.
        distance: They are distances: similarity = 1 − distance.
        what: The table, for messages.

    Raises:
        XsnsError: A label is missing, or stands twice on one side, also after codes are normalised; a side has no
            label that is a code; a cell holds no number, or an infinite one; or a distance is negative.
    """
    sources = _labels(_texts(frame.index, "row", what), "row", what)
    targets = _labels(_texts(frame.columns, "column", what), "column", what)
    # Missing values of pandas' own kinds are no numbers to anybody else.
    cells = frame.to_numpy() if all(kind.kind in "fiu" for kind in frame.dtypes) else _objects(frame)
    values = _values(sources, targets, cells, what)
    if distance:
        values = _similarities(values, 1.0, what)
    return SimilarityMatrix(sources, targets, values, coefficient)


def _objects(frame: pd.DataFrame) -> Any:
    cells = frame.to_numpy(dtype=object, copy=True)
    cells[frame.isna().to_numpy()] = None
    return cells


def _texts(labels: Iterable[Any], side: str, what: str) -> list[str]:
    """Return labels as text; NaN and None are no language, although `nan` is one.

    Raises:
        XsnsError: A label is missing.
    """
    found: list[str] = []
    for place, label in enumerate(labels, 1):
        missing = label is None or type(label).__name__ in {"NAType", "NaTType"}
        missing = missing or (isinstance(label, float | np.floating) and bool(np.isnan(label)))
        text = "" if missing else str(label)
        if not text.strip():
            raise XsnsError(f"{side} {place} of {what} has no label.", f"give each {side} the code of its language.")
        found.append(text)
    return found


def _labels(labels: Sequence[str], side: str, what: str) -> tuple[str, ...]:
    """Return normalised codes.

    Two codes of one language (`aka` and `twi` are both `ak`) keep the labels they have: they are told apart, and
    neither stands for the language.
    """
    if not labels:
        raise XsnsError(f"{what} has no {side}s.", "a language is needed on each side.")
    if repeated := duplicates(labels):
        raise XsnsError(f"{what} has {side}s with the same label: {listed(repeated)}.", "each language stands once.")
    codes = to_codes(labels)
    if not any(codes.values()) and not any(read_labels(labels).codes.values()):
        raise XsnsError(
            f"no {side} of {what} is labelled with the code of a language: {listed(labels)}.",
            "labels are codes as 'sw', 'swh' or 'swh_Latn', or names as 'Swahili'.",
        )
    several = labels_by_shared_code(codes)
    if mixed := {code: names for code, names in several.items() if code in names}:
        raise XsnsError(
            f"{side}s of {what} are the same language: {listed([' and '.join(names) for names in mixed.values()])}.",
            "each language stands once.",
        )

    def shown(label: str) -> str:
        code = codes[label]
        # A word for a summary stays as it is written, so that it can be asked about.
        return label if code is None or code in several or label.lower() in SUMMARY_CODES else code

    return tuple(map(shown, labels))


def _values(sources: Sequence[str], targets: Sequence[str], cells: Any, what: str) -> Reals:
    """Return float64 [S, T] of numbers or text."""
    if cells.dtype.kind in "fiu":
        found = cells.astype(np.float64)
        if not np.isinf(found).any():
            return np.ascontiguousarray(found)
    pairs = (
        (source, target, cell)
        for source, line in zip(sources, cells, strict=True)
        for target, cell in zip(targets, line, strict=True)
    )
    return np.array(numbers(pairs, what), np.float64).reshape(len(sources), len(targets))


def _similarities(distances: Reals, scale: float, what: str) -> Reals:
    if (distances < 0).any():
        raise XsnsError(f"{what} holds negative distances.", "similarities are read without --distance.")
    turned: Reals = 1.0 - distances / scale
    return turned


def _from_distances(matrix: SimilarityMatrix, scale: float, file: Path) -> SimilarityMatrix:
    if matrix.seeds or any(getattr(matrix, name) is not None for name in _OPTIONAL):
        raise UsageError(f"'{file}' holds similarities already.", "read it without --distance.")
    return replace(matrix, values=_similarities(matrix.values, scale, f"'{file.name}'"))


def _transposed(matrix: SimilarityMatrix) -> SimilarityMatrix:
    def turned(values: Reals | None) -> Reals | None:
        return None if values is None else np.ascontiguousarray(values.swapaxes(-1, -2))

    return replace(
        matrix,
        sources=matrix.targets,
        targets=matrix.sources,
        values=np.ascontiguousarray(matrix.values.T),
        chance=turned(matrix.chance),
        per_seed=turned(matrix.per_seed),
        standard_error=turned(matrix.standard_error),
    )


# ------------------------------------------------------------------------------------------- formats


def _read_text(file: Path) -> _Table:
    table = read_table(file)
    what = f"'{file.name}'"
    sources = _labels(_texts((line[0] for line in table.lines), "row", what), "row", what)
    targets = _labels(_texts(table.header[1:], "column", what), "column", what)
    cells = np.array([line[1:] for line in table.lines], dtype=object)
    matrix = SimilarityMatrix(sources, targets, _values(sources, targets, cells, what), file.stem)
    return _Table(matrix, table.header[0])


def _read_parquet(file: Path) -> _Table:
    frame, notes = read_parquet(file)
    if notes is None:
        if frame.index.dtype.kind in "iu":
            # No index was kept: labels are the first column.
            frame = frame.set_index(frame.columns[0]) if len(frame.columns) else frame
        matrix = frame_matrix(frame, coefficient=file.stem, what=f"'{file.name}'")
        return _Table(matrix, str(frame.index.name or ""))
    if notes.get("kind") != "similarity-matrix":
        raise XsnsError(f"'{file}' holds {notes.get('kind')}, no similarity matrix.", "see `xsns-stream gold show`.")
    document = notes | {"sources": list(frame.index), "targets": list(frame.columns), "values": frame.to_numpy()}
    return _Table(_from_document(document, notes.get("arrays") or {}, file), ours=True)


def _decoded(kept: Mapping[str, Any]) -> Reals:
    flat = np.frombuffer(base64.b64decode(kept["float64"]), "<f8")
    decoded: Reals = flat.astype(np.float64).reshape(kept["shape"])
    return decoded


def _read_json(file: Path) -> _Table:
    import pandas as pd

    document = read_json(file)
    if isinstance(document, dict) and {"sources", "targets", "values"} <= document.keys():
        return _Table(_from_document(document, {name: document.get(name) for name in _OPTIONAL}, file), ours=True)
    if isinstance(document, dict) and document and all(isinstance(line, dict) for line in document.values()):
        targets = dict.fromkeys(target for line in document.values() for target in line)
        cells = [[line.get(target) for target in targets] for line in document.values()]
        frame = pd.DataFrame(cells, index=list(document), columns=list(targets), dtype=object)
        return _Table(frame_matrix(frame, coefficient=file.stem, what=f"'{file.name}'"))
    raise XsnsError(f"'{file}' holds no matrix.", "write one with `xsns-stream matrix -o`.")


def _read_npz(file: Path) -> _Table:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
        with np.load(file, allow_pickle=False) as arrays:
            found = {name: arrays[name] for name in names}
    except OSError as error:
        raise unreadable(file, error) from None
    # What is no archive, is damaged, encrypted, or holds pickles.
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, LookupError, RuntimeError, MemoryError) as error:
        raise XsnsError(f"cannot read '{file}' as arrays: {error}.") from None
    if not all(isinstance(array, np.ndarray) for array in found.values()):
        raise XsnsError(f"cannot read '{file}' as arrays: it holds other files.")
    if not {"sources", "targets", "values", "coefficient"} <= found.keys():
        raise XsnsError(f"'{file}' holds no matrix.", "write one with `xsns-stream matrix -o`.")
    seeds = found["seeds"].tolist() if "seeds" in found else []
    document = found | {"coefficient": str(found["coefficient"]), "seeds": seeds}
    return _Table(_from_document(document, {name: found.get(name) for name in _OPTIONAL}, file), ours=True)


def _from_document(document: Mapping[str, Any], arrays: Mapping[str, Any], file: Path) -> SimilarityMatrix:
    """Return the matrix that a file of ours describes; its labels are codes already, but may have been edited."""
    what = f"'{file.name}'"
    try:
        sources = _labels(_texts(document["sources"], "row", what), "row", what)
        targets = _labels(_texts(document["targets"], "column", what), "column", what)
        values = _values(sources, targets, _array(document["values"], (len(sources), len(targets))), what)
        seeds = tuple(int(seed) for seed in document.get("seeds") or ())
        shapes = {"chance": values.shape, "standard_error": values.shape, "per_seed": (len(seeds), *values.shape)}
        optional = {
            name: _array(arrays[name], shapes[name]).astype(np.float64)
            for name in _OPTIONAL
            # Without seeds nobody can tell whose the matrices are.
            if arrays.get(name) is not None and (seeds or name != "per_seed")
        }
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed stands twice")
        if "per_seed" in optional and not np.allclose(optional["per_seed"].mean(axis=0), values, equal_nan=True):
            raise ValueError("its values are not the mean of those of the seeds")
        return SimilarityMatrix(
            sources,
            targets,
            values,
            str(document["coefficient"]),
            seeds=seeds,
            record=_record(document.get("record")),
            **optional,
        )
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise XsnsError(
            f"'{file}' is damaged: {type(error).__name__}: {error}.", "write it again, with `xsns-stream matrix -o`."
        ) from None


def _record(kept: Any) -> PredictorRecord | None:
    """Return the record in a file of ours; None where it was written without one."""
    if kept is None:
        return None
    return PredictorRecord.from_json(json.loads(str(kept)) if isinstance(kept, np.ndarray) else kept)


def _array(values: Any, shape: tuple[int, ...]) -> Any:
    """Return the array that nested lists (null is NaN), or an entry in a parquet file's metadata, stand for.

    Raises:
        ValueError: It has another shape.
    """
    values = _decoded(values) if isinstance(values, Mapping) else values
    array = np.asarray(values, dtype=None if isinstance(values, np.ndarray) else np.float64)
    if array.dtype.kind == "c":
        raise ValueError("its numbers are complex")
    if array.shape != shape:
        raise ValueError(f"{shape} labels do not fit numbers of shape {array.shape}")
    return array


_READERS: Final[dict[str, Callable[[Path], _Table]]] = {
    ".parquet": _read_parquet,
    ".csv": _read_text,
    ".tsv": _read_text,
    ".json": _read_json,
    ".npz": _read_npz,
}


@dataclass(frozen=True)
class KnownLanguages:
    """A matrix of languages alone, and what was left out to make it one.

    Attributes:
        matrix: The matrix, labelled with codes.
        by_name: {label: code} of the languages that were recognised by name.
        left_out: Labels of rows and columns that stand for no language, or for one that others stand for too.
    """

    matrix: SimilarityMatrix
    by_name: Mapping[str, str]
    left_out: tuple[str, ...]


def known_languages(
    matrix: SimilarityMatrix, what: str, *, skip_unknown: bool = False, rename: Mapping[str, str] | None = None
) -> KnownLanguages:
    """Return the rows and columns that stand for languages; refuse a matrix that has others.

    :func:`read_matrix` keeps labels that are no codes as they are. They match no language of anything else, so that a
    comparison would lose their rows and columns.

    Args:
        matrix: As it was read.
        what: The matrix, for messages.
        skip_unknown: Leave out other rows and columns.
        rename: {label: code that it stands for}. A label that the matrix does not have is passed over. It also says
            that a word for a summary, as `max`, is the language of this code.

    Raises:
        XsnsError: There are others, and `skip_unknown` does not allow to leave them out; all are named.
        LanguageError: What a label is renamed to is no code.
    """
    every = (*matrix.sources, *matrix.targets)
    names = dict(rename or {})
    if matrix.record is not None or matrix.seeds:
        # We wrote it, of languages and no summaries.
        names = {label: label for label in SUMMARY_CODES.intersection(every)} | names
    labels = read_labels(every, names)
    rows, columns = (_of_one_language(side, labels) for side in (matrix.sources, matrix.targets))
    lost = [
        label
        for side, kept in ((matrix.sources, rows), (matrix.targets, columns))
        for place, label in enumerate(side)
        if place not in kept
    ]
    lost = list(dict.fromkeys(lost))
    if lost and not skip_unknown:
        raise XsnsError(
            f"labels of {what} stand for no language, or several stand for one: {all_listed(_told(lost, labels))}.",
            "give each language one label, a code or a name, by --rename OLD=NEW where the file has others; "
            "--skip-unknown leaves these rows and columns out.",
        )
    if not rows or not columns:
        raise XsnsError(f"no row, or no column, of {what} stands for a language.", "labels are codes as 'sw' or names.")
    sources, targets = (
        tuple(labels.codes[side[place]] or side[place] for place in kept)
        for side, kept in ((matrix.sources, rows), (matrix.targets, columns))
    )

    def cut(values: Reals | None) -> Reals | None:
        return None if values is None else np.ascontiguousarray(values[..., rows, :][..., columns])

    kept = replace(
        matrix,
        sources=sources,
        targets=targets,
        values=np.ascontiguousarray(matrix.values[rows][:, columns]),
        chance=cut(matrix.chance),
        per_seed=cut(matrix.per_seed),
        standard_error=cut(matrix.standard_error),
        counts=(),
    )
    return KnownLanguages(kept, dict(labels.by_name), tuple(lost))


def _of_one_language(side: Sequence[str], labels: Labels) -> list[int]:
    """Return the places of labels that stand for a language that no other label of the side stands for."""
    codes = [labels.codes[label] for label in side]
    return [place for place, code in enumerate(codes) if code is not None and codes.count(code) == 1]


def _told(lost: Sequence[str], labels: Labels) -> list[str]:
    """Return labels, each with the code that it shares with another."""
    shared = {label: f"{label} ({labels.codes[label]})" for label in lost if labels.codes[label] is not None}
    either = {label: f"{label} ({code} by code, {other} by name)" for label, (code, other) in labels.ambiguous.items()}
    either |= {
        label: f"{label} (a word for a summary; --rename {label}={label} if the language {code} is meant)"
        for label, code in labels.summaries.items()
    }
    return [shared.get(label) or either.get(label) or label for label in lost]


#: Suffixes that :func:`read_matrix` knows.
MATRIX_FORMATS: Final = tuple(_READERS)
