"""`xsns-stream baseline file`: any matrix, in the form that the other verbs read."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.baseline_options import Pool, check_outputs, finish, output_option, pool_of, pool_options
from xsns_stream.cli.output import common_options, examples
from xsns_stream.cli.selection import as_given_option, rename_option, skip_unknown_option

if TYPE_CHECKING:
    from xsns_stream.types import Reals, SimilarityMatrix


@click.command(
    name="file",
    epilog=examples(
        "xsns-stream baseline file similarity.csv --lang sw,fi",
        "xsns-stream baseline file distances.tsv --distance -o similarity.parquet",
    ),
)
@click.argument("file")
@click.option("--distance", is_flag=True, help="The numbers are distances: similarity = 1 − distance / scale.")
@click.option(
    "--scale", type=float, default=None, help="The distance at which nothing is shared, as 100.  [default: 1]"
)
@click.option("--transpose", is_flag=True, help="Rows are targets and columns sources.")
@skip_unknown_option
@rename_option
@as_given_option
@pool_options
@output_option
@common_options
def file_command(
    file: str,
    distance: bool,
    scale: float | None,
    transpose: bool,
    skip_unknown: bool,
    rename: dict[str, str],
    as_given: bool,
    outputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Read the matrix in FILE, check it, and write it as the other verbs read it.

    FILE is a .csv, .tsv, .parquet, .json or .npz with codes or names of languages on both sides, sources down and
    targets across.
    """
    from xsns_stream.pipeline.predictors import check_renamed, label_notes
    from xsns_stream.similarity.matrix_io import known_languages, read_matrix

    pool = pool_of(options)
    check_outputs(outputs)
    read = read_matrix(file, distance=distance, transpose=transpose, scale=scale, as_given=as_given)
    check_renamed(rename, [read])
    known = known_languages(read, f"'{file}'", skip_unknown=skip_unknown, rename=rename)
    matrix = _restricted(known.matrix, pool, file)
    more = {"left_out": list(known.left_out), "by_name": dict(known.by_name)}
    finish(matrix, pool, outputs, as_json=as_json, quiet=quiet, notes=label_notes(known), more=more)


def _restricted(matrix: SimilarityMatrix, pool: Pool, file: str) -> SimilarityMatrix:
    """Return the pairs of a matrix that were asked for."""
    from xsns_stream.baselines.language_values import restrict

    rows = restrict(matrix.sources, pool.sources, f"'{file}'")
    columns = restrict(matrix.targets, pool.targets, f"'{file}'")
    down = [matrix.sources.index(code) for code in rows.values()]
    across = [matrix.targets.index(code) for code in columns.values()]

    def cut(values: Reals | None) -> Reals | None:
        return None if values is None else values[..., down, :][..., across]

    return replace(
        matrix,
        sources=tuple(rows),
        targets=tuple(columns),
        values=matrix.values[down][:, across],
        chance=cut(matrix.chance),
        per_seed=cut(matrix.per_seed),
        standard_error=cut(matrix.standard_error),
    )


COMMANDS: Final = {"file": file_command}
