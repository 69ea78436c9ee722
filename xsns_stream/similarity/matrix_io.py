"""Readers of similarity matrices, from files of this program or from other tables of languages × languages."""

from __future__ import annotations

import base64
import json
import zipfile
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import numpy as np

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.atomic import unreadable
from xsns_stream.io.frames import read_parquet
from xsns_stream.io.json import read_json
from xsns_stream.io.numbers import numbers
from xsns_stream.io.table_orientation import check_corner, check_diagonal
from xsns_stream.io.tables import (
    all_listed,
    codes_with_several_labels,
    duplicates,
    labels_by_shared_code,
    listed,
    read_table,
    to_codes,
)
from xsns_stream.language_labels import SUMMARY_CODES, Labels, read_labels
from xsns_stream.types import Reals, SimilarityMatrix
from xsns_stream.types.predictor_records import PredictorRecord

if TYPE_CHECKING:
    import pandas as pd


_OPTIONAL: Final = ("chance", "per_seed", "standard_error")
#: The command that writes files of matrices, for hints.
_WRITER: Final = "`xsns-stream matrix -o FILE`"


class _Table(NamedTuple):
    """A matrix as it is in its file, before it is transposed.

    Attributes:
        matrix: The matrix. Its rows are the lines of the file.
        corner: The first field of the first line, which may state whether lines are sources or targets; may be empty.
        ours: Whether the file contains a record that this program wrote.
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
    """Read a similarity matrix from a file. By default, each line is a source and each column is a target.

    ============== =======================================================================================
    .parquet .json The files that `xsns-stream matrix -o` and `baseline -o` write: with coefficient, seeds,
    .npz           values of each seed, chance, standard errors, and the record of their origin.
    .csv .tsv      A first line with targets, then a line for each source. The first field of the first
                   line may be anything but a word for targets (`target`, `tgt/src`). An empty field is a
                   pair with an unknown value. The name of the file is the name of the coefficient.
    .parquet       Also a frame whose index, or first column, contains the sources.
    .json          Also an object of objects, {source: {target: number}}.
    ============== =======================================================================================

    Codes are normalised. Labels that are not codes are not changed. Such labels match no language, and a comparison of
    the matrix with gold scores names them. A missing label is an error.

    Args:
        path: The file.
        distance: Whether the numbers are distances: similarity = 1 − distance / `scale`.
        transpose: Whether the lines of the file are targets and its columns are sources.
        scale: The distance that corresponds to similarity 0; 1 by default.
        as_given: Whether to accept similarities whose smallest value in each row is on the diagonal, and distances
            whose largest value in each row is on the diagonal. By default an error is raised for such a table, unless
            this program wrote it.

    Raises:
        UsageError: The suffix is not supported; a matrix of similarities is read as distances; or the first field of a
            table contradicts the way in which its lines are read.
        XsnsError: The file is missing, damaged or empty; its labels or cells are not valid; or the numbers look like
            distances and are read as similarities, or vice versa.
    """
    file = Path(path)
    reader = _READERS.get(file.suffix.lower())
    if reader is None:
        raise UsageError(f"'{path}' is not a file of a matrix.", f"give a file that ends in {listed(MATRIX_FORMATS)}.")
    if scale is not None and (not distance or not scale > 0):
        if not distance:
            raise UsageError("a scale was given without distances.", "give --distance, or omit --scale.")
        raise UsageError(
            f"a scale of {scale!r} is not valid.",
            "give the distance, above zero, at which languages have nothing in common.",
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
    """Return the similarity matrix of a frame whose index contains the sources and whose columns are the targets.

    Args:
        frame: The frame; its cells are numbers or text. NaN, None and an empty text are unknown values.
        coefficient: The name of the coefficient.
        distance: Whether the numbers are distances: similarity = 1 − distance.
        what: The name of the table, which is used in messages.

    Raises:
        XsnsError: A label is missing; two row labels or two column labels are equal after normalisation; no row label
            or no column label is a code; a cell does not contain a finite number; or a distance is negative.
    """
    sources = _labels(_texts(frame.index, "row", what), "row", what)
    targets = _labels(_texts(frame.columns, "column", what), "column", what)
    # pandas has several kinds of missing values, which only `isna` recognises.
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
    """Return labels as text. NaN and None are missing labels; the text `nan` is the code of a language.

    `side`, which is `row` or `column`, and `what`, the name of the file, are used in the message of an error.

    Raises:
        XsnsError: A label is missing.
    """
    texts: list[str] = []
    for number, label in enumerate(labels, 1):
        missing = label is None or type(label).__name__ in {"NAType", "NaTType"}
        missing = missing or (isinstance(label, float | np.floating) and bool(np.isnan(label)))
        text = "" if missing else str(label)
        if not text.strip():
            raise XsnsError(f"{side} {number} of {what} has no label.", f"give each {side} the code of its language.")
        texts.append(text)
    return texts


def _labels(labels: Sequence[str], side: str, what: str) -> tuple[str, ...]:
    """Return normalised codes of labels; labels that are not codes are returned unchanged.

    `side`, which is `row` or `column`, and `what`, the name of the file, are used in the messages of errors. If two
    labels are codes of the same language (`aka` and `twi` both become `ak`), they are not normalised and stay distinct.
    Neither of them is then used for the language.

    Raises:
        XsnsError: There are no labels, a label or a language occurs twice, or no label names a language.
    """
    if not labels:
        raise XsnsError(f"{what} has no {side}s.", f"give at least one {side}, labelled with a language.")
    if repeated := duplicates(labels):
        raise XsnsError(f"{what} has {side}s with the same label: {listed(repeated)}.", "give each language once.")
    codes = to_codes(labels)
    if not any(codes.values()) and not any(read_labels(labels).codes.values()):
        raise XsnsError(
            f"no {side} of {what} is labelled with the code of a language: {listed(labels)}.",
            "labels are codes such as 'sw', 'swh' or 'swh_Latn', or names such as 'Swahili'.",
        )
    several = labels_by_shared_code(codes)
    if mixed := {code: names for code, names in several.items() if code in names}:
        raise XsnsError(
            f"{side}s of {what} are the same language: {listed([' and '.join(names) for names in mixed.values()])}.",
            "give each language once.",
        )

    def shown(label: str) -> str:
        code = codes[label]
        # A word for a summary, such as `max`, is not normalised, because messages quote it.
        return label if code is None or code in several or label.lower() in SUMMARY_CODES else code

    return tuple(map(shown, labels))


def _values(sources: Sequence[str], targets: Sequence[str], cells: Any, what: str) -> Reals:
    """Return the cells of a table, an array [S, T] of numbers or texts, as float64 [S, T]; `what` names the table."""
    if cells.dtype.kind in "fiu":
        values = cells.astype(np.float64)
        if not np.isinf(values).any():
            return np.ascontiguousarray(values)
    pairs = (
        (source, target, cell)
        for source, line in zip(sources, cells, strict=True)
        for target, cell in zip(targets, line, strict=True)
    )
    return np.array(numbers(pairs, what), np.float64).reshape(len(sources), len(targets))


def _similarities(distances: Reals, scale: float, what: str) -> Reals:
    if (distances < 0).any():
        raise XsnsError(f"{what} contains negative distances.", "read similarities without --distance.")
    turned: Reals = 1.0 - distances / scale
    return turned


def _from_distances(matrix: SimilarityMatrix, scale: float, file: Path) -> SimilarityMatrix:
    if matrix.seeds or any(getattr(matrix, name) is not None for name in _OPTIONAL):
        raise UsageError(f"'{file}' contains similarities, not distances.", "read it without --distance.")
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
            # The file has no index: the labels are the first column.
            frame = frame.set_index(frame.columns[0]) if len(frame.columns) else frame
        matrix = frame_matrix(frame, coefficient=file.stem, what=f"'{file.name}'")
        return _Table(matrix, str(frame.index.name or ""))
    if notes.get("kind") != "similarity-matrix":
        raise XsnsError(
            f"'{file}' contains {notes.get('kind')}, not a similarity matrix.",
            f"give a file that {_WRITER} wrote.",
        )
    document = notes | {"sources": list(frame.index), "targets": list(frame.columns), "values": frame.to_numpy()}
    return _Table(_from_document(document, notes.get("arrays") or {}, file), ours=True)


def _decoded(entry: Mapping[str, Any]) -> Reals:
    flat = np.frombuffer(base64.b64decode(entry["float64"]), "<f8")
    decoded: Reals = flat.astype(np.float64).reshape(entry["shape"])
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
    raise XsnsError(f"'{file}' does not contain a matrix.", f"give a file that {_WRITER} wrote.")


def _read_npz(file: Path) -> _Table:
    try:
        with zipfile.ZipFile(file) as archive:
            names = [name.removesuffix(".npy") for name in archive.namelist()]
        with np.load(file, allow_pickle=False) as arrays:
            content = {name: arrays[name] for name in names}
    except OSError as error:
        raise unreadable(file, error) from None
    # The file is not an archive, is damaged or encrypted, or contains pickles.
    except (zipfile.BadZipFile, zlib.error, ValueError, EOFError, LookupError, RuntimeError, MemoryError) as error:
        raise XsnsError(f"cannot read '{file}' as arrays: {error}.", f"give a file that {_WRITER} wrote.") from None
    if not all(isinstance(array, np.ndarray) for array in content.values()):
        raise XsnsError(
            f"cannot read '{file}' as arrays: it contains other files.", f"give a file that {_WRITER} wrote."
        )
    if not {"sources", "targets", "values", "coefficient"} <= content.keys():
        raise XsnsError(f"'{file}' does not contain a matrix.", f"give a file that {_WRITER} wrote.")
    seeds = content["seeds"].tolist() if "seeds" in content else []
    document = content | {"coefficient": str(content["coefficient"]), "seeds": seeds}
    return _Table(_from_document(document, {name: content.get(name) for name in _OPTIONAL}, file), ours=True)


def _from_document(document: Mapping[str, Any], arrays: Mapping[str, Any], file: Path) -> SimilarityMatrix:
    """Return the matrix in a file that this program wrote.

    The labels are checked, because they may have been edited. `document` is the content of the file, and `arrays` is
    {name of an optional attribute of the matrix: its array}.
    """
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
            # Without seeds, the seed of each matrix is unknown.
            if arrays.get(name) is not None and (seeds or name != "per_seed")
        }
        if len(set(seeds)) < len(seeds):
            raise ValueError("a seed occurs twice")
        if "per_seed" in optional and not np.allclose(optional["per_seed"].mean(axis=0), values, equal_nan=True):
            raise ValueError("its values are not the mean of the values of its seeds")
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
            f"'{file}' is damaged: {type(error).__name__}: {error}.", f"write the file again with {_WRITER}."
        ) from None


def _record(entry: Any) -> PredictorRecord | None:
    """Return the record of the origin of a matrix, which `entry` contains as JSON values; None if `entry` is None."""
    if entry is None:
        return None
    return PredictorRecord.from_json(json.loads(str(entry)) if isinstance(entry, np.ndarray) else entry)


def _array(values: Any, shape: tuple[int, ...]) -> Any:
    """Return the numbers of a file as an array.

    Args:
        values: An array; nested lists, in which None means NaN; or an entry of the metadata of a Parquet file.
        shape: The required shape.

    Raises:
        ValueError: The array has another shape.
    """
    values = _decoded(values) if isinstance(values, Mapping) else values
    array = np.asarray(values, dtype=None if isinstance(values, np.ndarray) else np.float64)
    if array.dtype.kind == "c":
        raise ValueError("its numbers are complex")
    if array.shape != shape:
        raise ValueError(f"the labels need an array of shape {shape}, not {array.shape}")
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
    """A matrix whose rows and columns are languages, and the labels that were left out.

    Attributes:
        matrix: The matrix, labelled with codes.
        by_name: {label: code} of the languages that were recognised by name.
        left_out: Labels of rows and columns that do not name a language, or name the same language as another label.
        shared: {code: its labels} of the languages that have several labels. These labels are not changed.
    """

    matrix: SimilarityMatrix
    by_name: Mapping[str, str]
    left_out: tuple[str, ...]
    shared: Mapping[str, Sequence[str]] = field(default_factory=dict)


def known_languages(
    matrix: SimilarityMatrix, what: str, *, skip_unknown: bool = False, rename: Mapping[str, str] | None = None
) -> KnownLanguages:
    """Return the rows and columns of a matrix that are languages; by default raise an error if there are others.

    :func:`read_matrix` does not change labels that are not codes. They match no language. A comparison
    would therefore lose their rows and columns. Several codes of one language, such as `aka_Latn` and `twi_Latn`,
    remain separate labels, as in a store.

    Args:
        matrix: A matrix from :func:`read_matrix`.
        what: The name of the matrix, which is used in messages.
        skip_unknown: Whether to leave out rows and columns that do not name a language.
        rename: {label: code}. Labels that are not in the matrix are ignored. Some codes of languages are also
            words for a summary, such as `max`; to use such a label as a code, give an entry for it.

    Raises:
        XsnsError: Some labels do not name a language, and `skip_unknown` is False; the message names all of them.
        LanguageError: A new name of a label is not a code.
    """
    every = (*matrix.sources, *matrix.targets)
    names = dict(rename or {})
    if matrix.record is not None or matrix.seeds:
        # Matrices of this program have only languages as rows and columns.
        names = {label: label for label in SUMMARY_CODES.intersection(every)} | names
    labels = read_labels(every, names)
    groups = {} if skip_unknown else codes_with_several_labels(dict.fromkeys(every))
    # If a label is renamed to a code, the label gets this code, and the other labels of the language do not change.
    as_written = {label for several in groups.values() for label in several if label not in names}
    shared = {code: several for code, several in groups.items() if as_written.issuperset(several)}
    code_of = {label: label if label in as_written else code for label, code in labels.codes.items()}
    rows, columns = (_of_one_language(side, code_of) for side in (matrix.sources, matrix.targets))
    lost = [
        label
        for side, positions in ((matrix.sources, rows), (matrix.targets, columns))
        for position, label in enumerate(side)
        if position not in positions
    ]
    lost = list(dict.fromkeys(lost))
    if lost and not skip_unknown:
        raise XsnsError(
            f"these labels of {what} do not name exactly one language: {all_listed(_explained(lost, labels))}.",
            "give each language one label, which is a code or a name (--rename OLD=NEW replaces a label), or leave "
            "these rows and columns out by --skip-unknown.",
        )
    if not rows or not columns:
        raise XsnsError(
            f"no row, or no column, of {what} is labelled with a language.", "labels are codes such as 'sw', or names."
        )
    sources, targets = (
        tuple(code_of[side[position]] or side[position] for position in positions)
        for side, positions in ((matrix.sources, rows), (matrix.targets, columns))
    )

    def cut(values: Reals | None) -> Reals | None:
        return None if values is None else np.ascontiguousarray(values[..., rows, :][..., columns])

    restricted = replace(
        matrix,
        sources=sources,
        targets=targets,
        values=np.ascontiguousarray(matrix.values[rows][:, columns]),
        chance=cut(matrix.chance),
        per_seed=cut(matrix.per_seed),
        standard_error=cut(matrix.standard_error),
        counts=(),
    )
    return KnownLanguages(restricted, dict(labels.by_name), tuple(lost), shared)


def _of_one_language(side: Sequence[str], code_of: Mapping[str, str | None]) -> list[int]:
    """Return the indices of the labels in `side`, all rows or all columns, whose code no other label in `side` has.

    `code_of` is {label: its code}; labels without a code are left out.
    """
    codes = [code_of[label] for label in side]
    return [position for position, code in enumerate(codes) if code is not None and codes.count(code) == 1]


def _explained(lost: Sequence[str], labels: Labels) -> list[str]:
    """Return the labels in `lost` as texts for a message; a note on its language follows a label that may have one."""
    shared = {label: f"{label} ({labels.codes[label]})" for label in lost if labels.codes[label] is not None}
    either = {label: f"{label} ({code} by code, {other} by name)" for label, (code, other) in labels.ambiguous.items()}
    either |= {
        label: f"{label} (a word for a summary; use --rename {label}={label} for the language {code})"
        for label, code in labels.summaries.items()
    }
    return [shared.get(label) or either.get(label) or label for label in lost]


#: Suffixes that :func:`read_matrix` supports.
MATRIX_FORMATS: Final = tuple(_READERS)
