"""`xsns-stream matrix`: compare all languages of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.common import (
    common_options,
    emit_json,
    examples,
    note,
    row_options,
    stdout_console,
    store_option,
)
from xsns_stream.cli.rows import choose, count_rows, open_rows
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.types import OverlapCounts, SimilarityMatrix

#: Up to this many languages the table is the matrix itself.
WHOLE_UP_TO: Final = 12
NEIGHBOURS: Final = 3


@click.command(
    name="matrix",
    epilog=examples("xsns-stream matrix --lang sw,zu,fi,et", "xsns-stream matrix -o similarity.csv -o similarity.png"),
)
@store_option
@click.option(
    "--lang",
    "languages",
    multiple=True,
    metavar="CODES",
    help="Only these languages, as `sw,en`; all that have every seed by default.",
)
@row_options
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help="Also write the whole matrix: .csv .tsv .json .parquet .npz, or a heat map: .png .svg .pdf. Repeatable.",
)
@click.option(
    "--coefficient",
    type=click.Choice(["jaccard"]),
    default="jaccard",
    show_default=True,
    help="How similarity is computed from overlap.",
)
@common_options
def command(
    store: str,
    languages: tuple[str, ...],
    seeds: tuple[int, ...],
    density: float | None,
    outputs: tuple[str, ...],
    coefficient: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Compare all languages of a store: a similarity matrix.

    The coefficient is averaged over seeds. Up to 12 languages are shown as a matrix, more as a list of each
    language's three nearest; -o writes the whole matrix.
    """
    from xsns_stream.report import check_destination, write_matrix
    from xsns_stream.similarity import jaccard

    for path in outputs:
        check_destination(path)
    rows = open_rows(store)
    counts = count_rows(rows, choose(languages, rows, store), seeds, density, quiet)
    if len(counts[0].languages) < 2:
        only = counts[0].languages[0]
        raise UsageError(
            f"a matrix compares at least two languages, and '{only}' is the only one.",
            "name more with --lang sw,en, or build more languages.",
        )
    matrix = jaccard(counts)
    for path in outputs:
        write_matrix(matrix, path, density=counts[0].density)
        note(f"wrote {path}", quiet)
    if as_json:
        emit_json("matrix", _result(matrix, counts))
    else:
        _show(matrix, quiet)


def _result(matrix: SimilarityMatrix, counts: Sequence[OverlapCounts]) -> dict[str, Any]:
    spread, corrected = matrix.spread, matrix.chance_corrected
    return {
        "languages": list(matrix.sources),
        "coefficient": matrix.coefficient,
        matrix.coefficient: matrix.values.tolist(),
        "chance_corrected": None if corrected is None else corrected.tolist(),
        "spread": None if spread is None else spread.tolist(),
        # A line for each language, a column for each seed.
        "cardinality": [list(sizes) for sizes in zip(*(c.cardinality.tolist() for c in counts), strict=True)],
        "parameters": counts[0].size,
        "seeds": list(matrix.seeds),
        "density": counts[0].density,
    }


def _show(matrix: SimilarityMatrix, quiet: bool) -> None:
    from xsns_stream.report import matrix_table, neighbours_table

    console = stdout_console()
    if len(matrix.sources) <= WHOLE_UP_TO:
        console.print(matrix_table(matrix, console.width))
        return
    console.print(neighbours_table(matrix, NEIGHBOURS))
    note(
        f"the {NEIGHBOURS} nearest of each of {len(matrix.sources)} languages; "
        "-o matrix.csv writes everything, -o matrix.png draws it.",
        quiet,
    )
