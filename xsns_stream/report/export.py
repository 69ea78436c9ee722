"""Writers of files with similarity matrices, over all parameters or for each group of parameters."""

from __future__ import annotations

import base64
import json
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from xsns_stream.io.atomic import writable, write_whole
from xsns_stream.io.escaping import visible
from xsns_stream.io.frames import write_csv, write_parquet
from xsns_stream.io.matrix_formats import FIGURES, GROUP_SUFFIXES, SUFFIXES
from xsns_stream.report.console_tables import groups_sheet, matrix_sheet
from xsns_stream.report.heatmap import printed_heat_map
from xsns_stream.report.map_figure import map_figure
from xsns_stream.report.markup import Sheet, latex, markdown
from xsns_stream.report.neighbour_graph import write_graphml
from xsns_stream.report.printed_figures import PrintedFigure, save_printed
from xsns_stream.report.result_files import SCHEMA_VERSION, write_document
from xsns_stream.report.tree_figure import tree_figure
from xsns_stream.report.tree_files import write_newick, write_phylip
from xsns_stream.types import GroupedSimilarity, Reals, SimilarityMatrix


@dataclass(frozen=True)
class FileOptions:
    """Options for the files that :func:`write_matrix` writes; each format uses only some of them.

    Attributes:
        figure: What .png, .svg and .pdf files show: `heatmap`, `tree` or `map`.
        width: Width in inches at which figures are printed; None for the width that fits the number of languages.
        clusters: Number of clusters that a tree or a map shows by colours; None for no clusters.
        neighbours: Number of nearest sources of each target in .graphml files.
        strict_names: Whether names in .phy files are shortened to ten characters.
    """

    figure: str = FIGURES[0]
    width: float | None = None
    clusters: int | None = None
    neighbours: int = 3
    strict_names: bool = False


class MatrixFileWarning(UserWarning):
    """A file differs from the matrix, for example because labels do not fit into a figure."""


def write_matrix(
    matrix: SimilarityMatrix,
    path: str | Path,
    *,
    density: float | None = None,
    options: FileOptions | None = None,
    on_note: Callable[[str], object] | None = None,
) -> Path:
    """Write a matrix to a file; the suffix of `path` selects the format.

    ============== =========================================================================================
    .csv, .tsv     The values: a row for each source and a column for each target; undefined values are
                   empty. Min Nan Chinese has the code `nan`, so read the file with
                   `pd.read_csv(path, index_col="source", keep_default_na=False, na_values=[""])`.
    .parquet       The values as a pandas frame: `pd.read_parquet(path)` returns the frame. All other data of the matrix
                   are in the metadata of the file, under the key `xsns_stream`.
    .json          The whole matrix; undefined values are null.
    .npz           The whole matrix; `np.load(path)` needs no pickles. Attributes that are None have no array.
    .md, .tex      The table that the terminal shows, with three decimals; LaTeX needs the package booktabs.
    .png .svg .pdf A figure: a heat map, the tree, or a map of the languages in the plane.
    .html          The heat map as a page for a browser, which loads nothing from the network.
    .nwk           The tree in the Newick format; see :meth:`SimilarityMatrix.tree`.
    .phy           The distances 1 − similarity as a square matrix of PHYLIP.
    .graphml       A directed graph with an edge from each of the nearest sources to each target.
    ============== ==================================================================================
    The file is written atomically: it is written under a temporary name and then renamed. A reader therefore sees
    either the old file or the complete new one.

    Args:
        matrix: The matrix.
        path: The file to write; an existing file is replaced.
        density: The density of the sub-networks, for the title and the metadata; the matrix itself does not contain it.
        options: Options of figures and of files for other programs.
        on_note: Called with a sentence on each difference between the file and the matrix, such as labels that do not
            fit into a figure. By default, the sentences are warnings of the class :class:`MatrixFileWarning`.

    Returns:
        The path.

    Raises:
        UsageError: The suffix is not supported, the folder does not exist, or the matrix cannot be written in this
            format, for example because sources and targets of a tree are not the same languages.
        XsnsError: The file cannot be written.
    """
    target = check_destination(path)
    notes: list[str] = []
    request = _Request(matrix, density, options or FileOptions(), notes.append)
    write_whole(target, lambda file: _WRITERS[target.suffix.lower()](request, file))
    for sentence in notes:
        if on_note is None:
            warnings.warn(f"{target.name}: {sentence}", MatrixFileWarning, stacklevel=2)
        else:
            on_note(f"{target.name}: {sentence}")
    return target


@dataclass(frozen=True)
class _Request:
    """The arguments of a writer: the matrix, its density, the options, and a function that takes notes."""

    matrix: SimilarityMatrix
    density: float | None
    options: FileOptions
    note: Callable[[str], object]


def check_destination(path: str | Path, formats: Sequence[str] | None = None) -> Path:
    """Check, before a long computation, that a file can be written to `path`, and return the path.

    Args:
        path: The file to write.
        formats: The allowed suffixes; by default those of :func:`write_matrix`.

    Raises:
        UsageError: The suffix is not supported, or the folder does not exist.
    """
    return writable(path, FORMATS if formats is None else formats)


def _write_csv(request: _Request, file: BinaryIO) -> None:
    write_csv(request.matrix.to_frame(), file, index=True)


def _write_tsv(request: _Request, file: BinaryIO) -> None:
    write_csv(request.matrix.to_frame(), file, index=True, separator="\t")


def _write_parquet(request: _Request, file: BinaryIO) -> None:
    """Write the values as a frame, and all other data of the matrix to the metadata of the Parquet file."""
    matrix = request.matrix
    arrays = {"chance": matrix.chance, "per_seed": matrix.per_seed, "standard_error": matrix.standard_error}
    notes = {
        "schema_version": SCHEMA_VERSION,
        "kind": "similarity-matrix",
        "coefficient": matrix.coefficient,
        "direction": matrix.direction,
        "seeds": list(matrix.seeds),
        "density": request.density,
        "record": _record(matrix),
        # As JSON numbers, the values of a few hundred languages would be four times as long and slow to read.
        "arrays": {
            name: {"shape": list(values.shape), "float64": base64.b64encode(values.astype("<f8").tobytes()).decode()}
            for name, values in arrays.items()
            if values is not None
        },
    }
    write_parquet(matrix.to_frame(), notes, file)


def _write_json(request: _Request, file: BinaryIO) -> None:
    matrix = request.matrix
    document = {
        "schema_version": SCHEMA_VERSION,
        "coefficient": matrix.coefficient,
        "direction": matrix.direction,
        "seeds": list(matrix.seeds),
        "density": request.density,
        "sources": list(matrix.sources),
        "targets": list(matrix.targets),
        "values": _listed(matrix.values),
        "chance": _listed(matrix.chance),
        "chance_corrected": _listed(matrix.chance_corrected),
        "spread": _listed(matrix.spread),
        "per_seed": _listed(matrix.per_seed),
        "record": _record(matrix),
    }
    # Only estimates from samples have a standard error.
    if matrix.standard_error is not None:
        document["standard_error"] = _listed(matrix.standard_error)
    write_document(document, file)


def _record(matrix: SimilarityMatrix) -> dict[str, Any] | None:
    """Return the matrix's record of its origin as JSON values; None if the matrix has no record."""
    return None if matrix.record is None else matrix.record.to_json()


def _listed(values: Reals | None) -> list[Any] | None:
    return None if values is None else values.tolist()


def _write_npz(request: _Request, file: BinaryIO) -> None:
    matrix, density = request.matrix, request.density
    optional = {
        "chance": matrix.chance,
        "chance_corrected": matrix.chance_corrected,
        "spread": matrix.spread,
        "per_seed": matrix.per_seed,
        "standard_error": matrix.standard_error,
        "density": None if density is None else np.array(density),
        "record": None if matrix.record is None else np.array(json.dumps(_record(matrix)), np.str_),
    }
    arrays: dict[str, Any] = {
        "schema_version": np.int64(SCHEMA_VERSION),
        # The text has a fixed width, because arrays of Python objects would need pickles.
        "coefficient": np.array(matrix.coefficient, np.str_),
        "sources": np.array(matrix.sources, np.str_),
        "targets": np.array(matrix.targets, np.str_),
        "seeds": np.array(matrix.seeds, np.int64),
        "values": matrix.values,
    }
    arrays.update((name, value) for name, value in optional.items() if value is not None)
    np.savez(file, **arrays)


def _write_markdown(request: _Request, file: BinaryIO) -> None:
    file.write(markdown([matrix_sheet(request.matrix)]).encode())


def _write_latex(request: _Request, file: BinaryIO) -> None:
    file.write(latex([matrix_sheet(request.matrix)]).encode())


def _figure_writer(kind: str) -> Callable[[_Request, BinaryIO], None]:
    return lambda request, file: _write_figure(request, file, kind)


def _write_figure(request: _Request, file: BinaryIO, kind: str) -> None:
    matrix, options = _with_visible_labels(request.matrix), request.options
    common: dict[str, Any] = {"density": request.density, "width": options.width}
    draw: Callable[[], PrintedFigure]
    if options.figure == "heatmap":
        draw = partial(printed_heat_map, matrix, **common)
    else:
        draw = partial(_WITH_CLUSTERS[options.figure], matrix, clusters=options.clusters, **common)
    for sentence in save_printed(draw, file, kind):
        request.note(sentence)


def _with_visible_labels(matrix: SimilarityMatrix) -> SimilarityMatrix:
    """Return a matrix whose labels have no control characters, which an SVG file must not contain."""
    shown = {label: visible(label) for label in (*matrix.sources, *matrix.targets)}
    if len(set(shown.values())) < len(shown) or all(label == text for label, text in shown.items()):
        return matrix
    support = matrix.support
    if support is not None:
        shares = {frozenset(shown[label] for label in group): share for group, share in support.shares.items()}
        support = replace(support, shares=shares)
    sources, targets = (tuple(shown[label] for label in labels) for labels in (matrix.sources, matrix.targets))
    return replace(matrix, sources=sources, targets=targets, support=support, counts=())


#: {figure that can show clusters: function that draws it}.
_WITH_CLUSTERS: Final[dict[str, Callable[..., PrintedFigure]]] = {"tree": tree_figure, "map": map_figure}


def _write_html(request: _Request, file: BinaryIO) -> None:
    # The template of the page needs jinja2, which other formats do not load.
    from xsns_stream.report.page.heat_map_page import heat_map_page

    file.write(heat_map_page(request.matrix, request.density).to_html().encode())


def _write_newick(request: _Request, file: BinaryIO) -> None:
    write_newick(request.matrix, file, request.note)


def _write_phylip(request: _Request, file: BinaryIO) -> None:
    write_phylip(request.matrix, file, request.note, strict=request.options.strict_names)


def _write_graphml(request: _Request, file: BinaryIO) -> None:
    write_graphml(request.matrix, file, count=request.options.neighbours)


_WRITERS: Final[dict[str, Callable[[_Request, BinaryIO], None]]] = {
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".json": _write_json,
    ".parquet": _write_parquet,
    ".npz": _write_npz,
    ".md": _write_markdown,
    ".tex": _write_latex,
    ".png": _figure_writer("png"),
    ".svg": _figure_writer("svg"),
    ".pdf": _figure_writer("pdf"),
    ".html": _write_html,
    ".nwk": _write_newick,
    ".phy": _write_phylip,
    ".graphml": _write_graphml,
}

#: Suffixes of :func:`write_matrix`.
FORMATS: Final = SUFFIXES


_Writer = Callable[[GroupedSimilarity, float | None, BinaryIO], None]


def write_groups(groups: GroupedSimilarity, path: str | Path, *, density: float | None = None) -> Path:
    """Write the matrices of all groups atomically to a file; the suffix of `path` selects the format.

    ============== =========================================================================================
    .csv, .tsv     A row for each group, source and target; undefined values are empty.
    .parquet       The same rows, with the columns `group`, `source`, `target` and the coefficient.
    .json          All matrices; undefined values are null.
    .npz           `values` float64 [G, S, T] with `groups`, `sources`, `targets`, `sizes`, `shares`, `seeds`.
    .md, .tex      The table that the terminal shows, and a table for each group; LaTeX needs the package booktabs.
    ============== =========================================================================================

    Args:
        groups: The matrices.
        path: The file to write; an existing file is replaced.
        density: The density of the sub-networks, which is written to the metadata.

    Returns:
        The path.

    Raises:
        UsageError: The suffix is not supported, or the folder does not exist.
        XsnsError: The file cannot be written.
    """
    target = check_destination(path, GROUP_FORMATS)
    write_whole(target, lambda file: _GROUP_WRITERS[target.suffix.lower()](groups, density, file))
    return target


def _write_groups_csv(groups: GroupedSimilarity, _: float | None, file: BinaryIO) -> None:
    write_csv(groups.to_frame(), file)


def _write_groups_tsv(groups: GroupedSimilarity, _: float | None, file: BinaryIO) -> None:
    write_csv(groups.to_frame(), file, separator="\t")


def _write_groups_parquet(groups: GroupedSimilarity, _: float | None, file: BinaryIO) -> None:
    groups.to_frame().to_parquet(file, index=False)


def _write_groups_json(groups: GroupedSimilarity, density: float | None, file: BinaryIO) -> None:
    first = groups.matrices[0]
    documents: list[dict[str, Any]] = [
        {
            "name": name,
            "parameters": size,
            "share": share,
            "values": _listed(matrix.values),
            "chance": _listed(matrix.chance),
            "per_seed": _listed(matrix.per_seed),
        }
        for (name, matrix), size, share in zip(groups, groups.sizes, groups.shares, strict=True)
    ]
    write_document(
        {
            "schema_version": SCHEMA_VERSION,
            "coefficient": groups.coefficient,
            "direction": first.direction,
            "by": groups.by,
            "seeds": list(first.seeds),
            "density": density,
            "sources": list(first.sources),
            "targets": list(first.targets),
            "groups": documents,
        },
        file,
    )


def _write_groups_npz(groups: GroupedSimilarity, density: float | None, file: BinaryIO) -> None:
    first = groups.matrices[0]
    arrays: dict[str, Any] = {
        "schema_version": np.int64(SCHEMA_VERSION),
        # The text has a fixed width, because arrays of Python objects would need pickles.
        "coefficient": np.array(groups.coefficient, np.str_),
        "by": np.array(groups.by, np.str_),
        "groups": np.array(groups.names, np.str_),
        "sources": np.array(first.sources, np.str_),
        "targets": np.array(first.targets, np.str_),
        "seeds": np.array(first.seeds, np.int64),
        "sizes": np.array(groups.sizes, np.int64),
        "shares": np.array(groups.shares, np.float64),
        "values": groups.values,
    }
    if density is not None:
        arrays["density"] = np.array(density)
    np.savez(file, **arrays)


def _group_sheets(groups: GroupedSimilarity) -> list[Sheet]:
    return [groups_sheet(groups), *(replace(matrix_sheet(matrix), title=name) for name, matrix in groups)]


def _write_groups_markdown(groups: GroupedSimilarity, _: float | None, file: BinaryIO) -> None:
    file.write(markdown(_group_sheets(groups)).encode())


def _write_groups_latex(groups: GroupedSimilarity, _: float | None, file: BinaryIO) -> None:
    file.write(latex(_group_sheets(groups)).encode())


_GROUP_WRITERS: Final[dict[str, _Writer]] = {
    ".csv": _write_groups_csv,
    ".tsv": _write_groups_tsv,
    ".json": _write_groups_json,
    ".parquet": _write_groups_parquet,
    ".npz": _write_groups_npz,
    ".md": _write_groups_markdown,
    ".tex": _write_groups_latex,
}

#: Suffixes of :func:`write_groups`.
GROUP_FORMATS: Final = GROUP_SUFFIXES
