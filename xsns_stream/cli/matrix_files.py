"""Files of verbs whose result is a similarity matrix: the option `-o`, the options of formats, and the writer."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from xsns_stream.cli.option_sections import Decorated, apply
from xsns_stream.cli.output import FiniteRange, note, output_option
from xsns_stream.io.matrix_formats import FIGURE_SUFFIXES, FIGURES, NEWICK_SUFFIX, SQUARE_SUFFIXES, listed_formats

if TYPE_CHECKING:
    from xsns_stream.types import SimilarityMatrix

_META: Final = "xsns_stream.file_options"
#: {parameter of an option: suffixes of the files that the option applies to}.
_USED_BY: Final = {
    "figure": FIGURE_SUFFIXES,
    "width": FIGURE_SUFFIXES,
    "nearest": (".graphml",),
    "strict_names": (".phy",),
}
#: Figures that need a matrix whose sources and targets are the same languages.
_SQUARE_FIGURES: Final = ("tree", "map")


def _remember(ctx: click.Context, parameter: click.Parameter, value: Any) -> None:
    ctx.meta.setdefault(_META, {})[parameter.name] = value


def matrix_output_option(function: Decorated) -> Decorated:
    """Add `--output`, `--csv-guard`, and options of figures and of files for other programs.

    The verb receives `outputs`; :func:`write_files` reads the other options.
    """
    function = apply(
        function,
        click.option(
            "--figure",
            type=click.Choice(FIGURES),
            default=FIGURES[0],
            show_default=True,
            expose_value=False,
            callback=_remember,
            help=f"What {' '.join(FIGURE_SUFFIXES)} files show: the heat map, the tree, or a map on which similar "
            "languages are close to each other.",
        ),
        click.option(
            "--width",
            type=FiniteRange(min=1, max=200),
            default=None,
            metavar="INCHES",
            expose_value=False,
            callback=_remember,
            help="Width at which figures are printed, such as 3.3 for one column and 7 for two. No text is smaller "
            "than 5 points; labels that do not fit are left out.  [default: wide enough for all labels]",
        ),
        click.option(
            "--nearest",
            type=click.IntRange(min=1),
            default=3,
            show_default=True,
            expose_value=False,
            callback=_remember,
            help="In .graphml files, number of nearest sources with an edge to each target.",
        ),
        click.option(
            "--strict-names",
            is_flag=True,
            expose_value=False,
            callback=_remember,
            help="In .phy files, shorten names to at most ten characters, and keep them distinct.",
        ),
    )
    return output_option(
        "`evaluate` and `regress` read a matrix from .parquet, .npz, .json, .csv and .tsv.", listed_formats()
    )(function)


def check_file_options(outputs: Sequence[str]) -> None:
    """Raise an error if an option of certain file formats was given, and no output file has such a format.

    Raises:
        UsageError: An option would have no effect.
    """
    from xsns_stream.errors import UsageError

    context = click.get_current_context()
    suffixes = set(map(_suffix, outputs))
    for name, used_by in _USED_BY.items():
        if context.get_parameter_source(name) is ParameterSource.COMMANDLINE and suffixes.isdisjoint(used_by):
            option = next(each.opts[0] for each in context.command.params if each.name == name)
            raise UsageError(
                f"{option} applies to none of the output files.",
                f"give -o FILE with the suffix {' or '.join(used_by)}.",
            )


def check_square(outputs: Sequence[str], also: str = "") -> None:
    """Raise an error if a file needs the same languages as sources and as targets.

    A verb calls this function before the computation, if the user asked for different sources and targets.

    Args:
        outputs: Files to write.
        also: Another part of the command line that needs the same languages, such as `--cluster`; empty if there is
            none.

    Raises:
        UsageError: A file, or `also`, needs the same languages.
    """
    from xsns_stream.errors import UsageError

    needing = [f"'{path}'" for path in outputs if _suffix(path) in SQUARE_SUFFIXES or _shows(path, _SQUARE_FIGURES)]
    if also or needing:
        raise UsageError(
            f"{also or needing[0]} needs the same languages as sources and as targets.",
            "choose languages with --lang instead.",
        )


def shows_tree(outputs: Sequence[str]) -> bool:
    """Return whether one of the output files is a tree: a file of a tree format, or a figure of the tree."""
    return any(_suffix(path) == NEWICK_SUFFIX or _shows(path, ("tree",)) for path in outputs)


def _shows(path: str, figures: Sequence[str]) -> bool:
    """Return whether a file is a figure, and `--figure` is one of `figures`."""
    return _suffix(path) in FIGURE_SUFFIXES and _given()["figure"] in figures


def _suffix(path: str) -> str:
    return Path(path).suffix.lower()


def write_files(
    matrix: SimilarityMatrix,
    outputs: Sequence[str],
    quiet: bool,
    *,
    density: float | None = None,
    clusters: int | None = None,
) -> list[str]:
    """Write a matrix to files, print a line for each file, and return notes on what the files leave out or change.

    Args:
        matrix: The matrix.
        outputs: The files.
        quiet: Whether nothing is printed.
        density: Density of the sub-networks.
        clusters: Number of clusters that figures show.
    """
    from xsns_stream.report import FileOptions, write_matrix

    notes: list[str] = []
    given = _given()
    options = FileOptions(given["figure"], given["width"], clusters, given["nearest"], given["strict_names"])
    for path in outputs:
        write_matrix(matrix, path, density=density, options=options, on_note=notes.append)
        note(f"wrote {path}", quiet)
    for sentence in notes:
        note(f"note: {sentence}", quiet)
    return notes


def _given() -> dict[str, Any]:
    """Return the options of the running verb, by the names of their parameters."""
    given: dict[str, Any] = click.get_current_context().meta[_META]
    return given
