"""`xsns-stream matrix`: compare all languages of a store."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from xsns_stream.cli.choices import GROUPINGS
from xsns_stream.cli.cluster_options import cluster_options
from xsns_stream.cli.matrix_files import check_file_options, check_square, matrix_output_option, shows_tree, write_files
from xsns_stream.cli.option_groups import coefficient_option, languages_option, sources_option
from xsns_stream.cli.option_sections import Decorated, apply
from xsns_stream.cli.output import (
    TARGETS,
    FiniteRange,
    common_options,
    emit_json,
    event_display,
    examples,
    next_step,
    note,
    print_matrix,
    row_options,
    say,
    split_codes,
    stdout_console,
    store_arguments,
    store_option,
)

if TYPE_CHECKING:
    from xsns_stream.types import GroupedSimilarity, SimilarityMatrix
    from xsns_stream.types.language_clusters import LanguageClusters


def side_options(function: Decorated) -> Decorated:
    """Add `--lang`, `--sources` and `--target`."""
    return apply(
        function,
        languages_option,
        sources_option,
        click.option(
            *TARGETS,
            "targets",
            multiple=True,
            metavar="CODES",
            help="Compare the sources only with these targets; only these pairs are counted.",
        ),
    )


def tree_options(function: Decorated) -> Decorated:
    """Add `--cluster` and `--no-support`."""
    return apply(
        function,
        click.option(
            "--cluster",
            "--clusters",
            "clusters",
            type=click.IntRange(min=1),
            default=None,
            metavar="N",
            help="Also divide the languages into N clusters by cutting the tree, and compare the clusters with "
            "language families.",
        ),
        click.option(
            "--no-support",
            "support",
            flag_value=False,
            default=True,
            help="Write trees without support values. By default, if the store has parts (`build --parts`), all parts "
            "are read, and each join is labelled with the percentage of 200 resampled trees that have the same group.",
        ),
    )


def counting_options(function: Decorated) -> Decorated:
    """Add `--by`, `--sample`, `--verify`, `--device`, `--recount` and `--no-keep`."""
    return apply(
        function,
        click.option(
            "--by",
            type=click.Choice(GROUPINGS),
            default=None,
            help="Compare the languages separately in each layer, kind of module, or tensor.",
        ),
        click.option(
            "--sample",
            type=FiniteRange(0, 1, min_open=True),
            default=None,
            metavar="FRACTION",
            help="Estimate the similarity, with standard errors, from this fraction of the parameters, such as 0.05. "
            "The option saves time for models with at least 100 million parameters. For small models, few parameters "
            "are read, and the standard errors are too small.",
        ),
        click.option(
            "--verify",
            is_flag=True,
            help="Also compare the bits of every row with its record, even if its overlap counts are saved.",
        ),
        click.option(
            "--recount",
            is_flag=True,
            help="Read every row and count overlaps again. By default, overlap counts that are saved in the store are "
            "used; they do not show later damage to rows.",
        ),
        click.option(
            "--device",
            default="cpu",
            show_default=True,
            metavar="DEVICE",
            help="Device on which overlaps are counted: cpu, or cuda, which needs torch.",
        ),
        click.option(
            "--no-keep", "save_counts", flag_value=False, default=True, help="Do not save overlap counts in the store."
        ),
    )


@click.command(
    name="matrix",
    epilog=examples(
        "xsns-stream matrix --lang sw,zu,fi,et",
        "xsns-stream matrix -o similarity.csv -o similarity.png",
        "xsns-stream matrix --cluster 3 -o tree.nwk",
        "xsns-stream matrix --figure tree --width 7 -o tree.pdf",
        "xsns-stream matrix --by layer --coefficient dice",
        "xsns-stream matrix --sample 0.2",
        "xsns-stream matrix --workers auto",
    ),
)
@store_option
@side_options
@row_options
@matrix_output_option
@tree_options
@coefficient_option
@counting_options
@cluster_options("range of columns", few="few or short rows are compared in this process")
@common_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    store: str,
    outputs: tuple[str, ...],
    device: str,
    clusters: int | None,
    support: bool,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Compute the similarity matrix of the languages of a store.

    The coefficient is averaged over seeds. Up to 12 languages are shown as a matrix. For more languages, the three
    nearest sources of each language are listed; -o writes the whole matrix. Overlap counts are
    saved in the store; languages that were compared before are not read again.

    This process counts with one thread for each core. --scheduler uses the machines of a cluster of Dask, each of which
    reads a part of the columns of all rows.
    """
    from xsns_stream.pipeline.comparison import similarity
    from xsns_stream.report import FORMATS, GROUP_FORMATS, check_destination
    from xsns_stream.types import GroupedSimilarity

    for path in outputs:
        check_destination(path, FORMATS if options["by"] is None else GROUP_FORMATS)
    check_file_options(outputs)
    _check_sides(outputs, clusters, options)
    # A device that the user names excludes other options, even if it is the default.
    named = ctx.get_parameter_source("device") is ParameterSource.COMMANDLINE
    if options["by"] is None and options["sample"] is None:
        options["support"] = support and shows_tree(outputs)
    with event_display(quiet) as on_event:
        matrix = similarity(store, device=device if named else None, on_event=on_event, **options)
    if isinstance(matrix, GroupedSimilarity):
        _write_groups(matrix, outputs, quiet)
        _finish_groups(matrix, outputs, as_json, quiet)
        first = matrix.matrices[0]
    else:
        divided = None if clusters is None else matrix.clusters(clusters)
        notes = write_files(matrix, outputs, quiet, density=matrix.density, clusters=clusters)
        if support and options["sample"] is not None and shows_tree(outputs):
            notes.append("the tree has no support values, because the similarities are estimated from a sample.")
            note(f"note: {notes[-1]}", quiet)
        _finish(matrix, divided, notes, as_json, quiet)
        first = matrix
    next_step("rank", *store_arguments(store), "--target", first.targets[0], quiet=quiet, as_json=as_json)


def _check_sides(outputs: tuple[str, ...], clusters: int | None, options: dict[str, Any]) -> None:
    """Raise an error, before the computation, if a tree is asked for and sources and targets differ."""
    from xsns_stream.errors import UsageError

    if clusters is not None and options["by"] is not None:
        raise UsageError(
            "--cluster cannot be combined with --by.", "omit --by: clusters are computed from all parameters."
        )
    sources, targets = (set(split_codes(options[side])) for side in ("sources", "targets"))
    if sources != targets:
        check_square(outputs, "--cluster" if clusters is not None else "")


def _write_groups(matrix: GroupedSimilarity, outputs: tuple[str, ...], quiet: bool) -> None:
    from xsns_stream.report import write_groups

    for path in outputs:
        write_groups(matrix, path, density=matrix.density)
        note(f"wrote {path}", quiet)


def _finish_groups(matrix: GroupedSimilarity, outputs: tuple[str, ...], as_json: bool, quiet: bool) -> None:
    if as_json:
        emit_json("matrix", matrix.to_dict())
    else:
        _show_groups(matrix, bool(outputs), quiet)


def _finish(
    matrix: SimilarityMatrix, divided: LanguageClusters | None, notes: list[str], as_json: bool, quiet: bool
) -> None:
    """Print a matrix and its clusters, as tables or as one JSON object, which also has the notes on files."""
    if as_json:
        result = matrix.to_dict()
        if divided is not None:
            result["clusters"] = divided.to_dict()
        if notes:
            result["notes"] = [*result.get("notes", ()), *notes]
        emit_json("matrix", result)
        return
    _show(matrix, quiet)
    if divided is not None:
        _show_clusters(divided, quiet)


def _show_clusters(divided: LanguageClusters, quiet: bool) -> None:
    import math

    from xsns_stream.report import clusters_table

    say()
    stdout_console().print(clusters_table(divided))
    compared = (
        ("families", divided.families, divided.agreement),
        ("scripts", divided.scripts, divided.script_agreement),
    )
    for kind, known, agreement in compared:
        if not math.isnan(agreement):
            note(
                f"adjusted Rand index of the clusters and the {kind} of {len(known)} languages: {agreement:.2f} "
                "(1 is the same division, 0 is chance).",
                quiet,
            )
    if math.isnan(divided.agreement):
        note("fewer than two families are known, so the clusters cannot be compared with language families.", quiet)


def _show_groups(matrix: GroupedSimilarity, written: bool, quiet: bool) -> None:
    from xsns_stream.report import groups_table

    stdout_console().print(groups_table(matrix))
    if not written:
        note("means over all pairs of languages; -o groups.csv writes all pairs of all groups.", quiet)


def _show(matrix: SimilarityMatrix, quiet: bool) -> None:
    if neighbours := print_matrix(matrix):
        note(
            f"the table shows the {neighbours} nearest sources of each of {len(matrix.targets)} languages; "
            "-o matrix.csv writes the whole matrix, -o matrix.png draws it.",
            quiet,
        )
    from xsns_stream.types import SampledOverlaps

    if matrix.standard_error is not None and isinstance(matrix.counts[0], SampledOverlaps):
        note(_accuracy(matrix, matrix.counts[0].sampled), quiet)


def _accuracy(matrix: SimilarityMatrix, sampled: float) -> str:
    """Return a sentence on the standard errors of similarities that are estimated from a sample of parameters."""
    import numpy as np

    assert matrix.standard_error is not None
    own = np.equal(np.array(matrix.sources)[:, None], np.array(matrix.targets)[None, :])
    errors = matrix.standard_error[~own & np.isfinite(matrix.standard_error)]
    known = f"± {errors.mean():.4f} on average, ± {errors.max():.4f} at most" if errors.size else "unknown"
    return (
        f"estimated from {sampled:.1%} of the parameters; one standard deviation of the estimates: {known}. "
        "If few blocks are read, as for a small model, estimates may deviate more, and all in one direction."
    )
