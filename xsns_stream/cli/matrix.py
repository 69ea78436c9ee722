"""`xsns-stream matrix`: compare all languages of a store."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final, cast

import click
from click.core import ParameterSource

from xsns_stream.cli.matrix_options import coefficient_option, how_options, sides_options
from xsns_stream.cli.output import (
    common_options,
    csv_guard_option,
    emit_json,
    examples,
    note,
    row_options,
    stdout_console,
    store_option,
)
from xsns_stream.cli.selection import Chosen, choose, count_rows, group_rows, open_rows, sample_rows, time_bar
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.similarity import By
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import GroupedOverlaps, GroupedSimilarity, Overlaps, Reals, SampledOverlaps, SimilarityMatrix


def finish_groups(
    counts: Sequence[GroupedOverlaps], coefficient: str, outputs: tuple[str, ...], as_json: bool, quiet: bool
) -> None:
    """Write, and print, what was compared by groups."""
    from xsns_stream.report import groups_table, write_groups
    from xsns_stream.similarity import similarity_by_group

    found = similarity_by_group(counts, coefficient)
    table = counts[0].tables[0]
    for path in outputs:
        write_groups(found, path, density=table.density)
        note(f"wrote {path}", quiet)
    if as_json:
        emit_json("matrix", _groups_result(found, table))
        return
    stdout_console().print(groups_table(found))
    if not outputs:
        note("means over all pairs of languages; -o groups.csv writes every pair of every group.", quiet)


def labels(table: Overlaps | SampledOverlaps) -> dict[str, list[str]]:
    """Return what a result is labelled with: its languages, or sources and targets where these differ."""
    if table.sources == table.targets:
        return {"languages": list(table.sources)}
    return {"sources": list(table.sources), "targets": list(table.targets)}


def _groups_result(found: GroupedSimilarity, table: Overlaps) -> dict[str, Any]:
    groups = [
        {
            "name": name,
            "parameters": size,
            "share": share,
            "mean": matrix.mean_of_pairs,
            found.coefficient: matrix.values.tolist(),
        }
        for (name, matrix), size, share in zip(found, found.sizes, found.shares, strict=True)
    ]
    return {
        **labels(table),
        "coefficient": found.coefficient,
        "by": found.by,
        "groups": groups,
        "seeds": list(found.matrices[0].seeds),
        "density": table.density,
    }


#: Up to this many languages the table is the matrix itself.
WHOLE_UP_TO: Final = 12
NEIGHBOURS: Final = 3


@click.command(
    name="matrix",
    epilog=examples(
        "xsns-stream matrix --lang sw,zu,fi,et",
        "xsns-stream matrix -o similarity.csv -o similarity.png",
        "xsns-stream matrix --by layer --coefficient dice",
        "xsns-stream matrix --sample 0.2",
    ),
)
@store_option
@sides_options
@row_options
@click.option(
    "-o",
    "--output",
    "outputs",
    multiple=True,
    metavar="FILE",
    help="Also write the whole matrix: .csv .tsv .json .parquet .npz, or a heat map: .png .svg .pdf. Repeatable.",
)
@csv_guard_option
@coefficient_option
@how_options
@common_options
@click.pass_context
def command(
    ctx: click.Context,
    /,
    store: str,
    outputs: tuple[str, ...],
    coefficient: str,
    as_json: bool,
    quiet: bool,
    **options: Any,
) -> None:
    """Compare all languages of a store: a similarity matrix.

    The coefficient is averaged over seeds. Up to 12 languages are shown as a matrix, more as a list of each
    language's three nearest; -o writes the whole matrix. Counts are kept in the store, so that languages that were
    compared before need not be read again.
    """
    by, fraction = options["by"], options["sample"]
    _require_sense(ctx, by, fraction)
    _check_outputs(outputs, by)
    rows = open_rows(store)
    chosen = _chosen(rows, store, options)
    if by is not None:
        grouped = group_rows(chosen, by, quiet)
        _require_pair(grouped[0].tables[0])
        _verify(rows, [counts.tables[0] for counts in grouped], options["verify"], quiet)
        finish_groups(grouped, coefficient, outputs, as_json, quiet)
        return
    counts = _count(chosen, fraction, options, quiet)
    _require_pair(counts[0])
    _verify(rows, counts, options["verify"], quiet)
    _finish(counts, rows, coefficient, outputs, as_json, quiet)


def _count(
    chosen: Chosen, fraction: float | None, options: dict[str, Any], quiet: bool
) -> Sequence[Overlaps | SampledOverlaps]:
    if fraction is not None:
        return sample_rows(chosen, fraction, quiet)
    from xsns_stream.store.overlap_cache import overlap_cache

    # Who names a device wants it to count.
    use = not options["recount"] and chosen.device == "cpu"
    cache = overlap_cache(chosen.rows, use=use, write=options["keep"])
    return count_rows(chosen, cache, quiet)


def _finish(
    counts: Sequence[Overlaps | SampledOverlaps],
    rows: SubNetworkStore,
    coefficient: str,
    outputs: tuple[str, ...],
    as_json: bool,
    quiet: bool,
) -> None:
    """Write, and print, what was compared."""
    from xsns_stream.cli.predictors import with_record
    from xsns_stream.report import write_matrix
    from xsns_stream.similarity import similarity

    matrix = similarity(counts, coefficient)
    if outputs:
        matrix = with_record(matrix, rows, counts[0].density)
    for path in outputs:
        write_matrix(matrix, path, density=counts[0].density)
        note(f"wrote {path}", quiet)
    if as_json:
        emit_json("matrix", _result(matrix, counts))
    else:
        _show(matrix, counts, quiet)


# ------------------------------------------------------------------------------------ what is asked


def _require_sense(ctx: click.Context, by: str | None, fraction: float | None) -> None:
    """Refuse options that say nothing together."""
    if by is not None and fraction is not None:
        raise UsageError("--by and --sample were both given.", "groups of parameters are counted, not estimated.")
    if fraction is not None and ctx.get_parameter_source("device") is ParameterSource.COMMANDLINE:
        raise UsageError("--device means nothing with --sample.", "estimates are made on the CPU.")
    for name in ("recount", "keep"):
        given = ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if given and (by is not None or fraction is not None):
            option = "--by" if by is not None else "--sample"
            raise UsageError(
                f"--{'no-keep' if name == 'keep' else name} means nothing with {option}.",
                "counts of groups and estimates are never kept.",
            )


def _check_outputs(outputs: tuple[str, ...], by: By | None) -> None:
    from xsns_stream.report import FORMATS, GROUP_FORMATS, check_destination

    for path in outputs:
        check_destination(path, FORMATS if by is None else GROUP_FORMATS)


def _chosen(rows: SubNetworkStore, store: str, options: dict[str, Any]) -> Chosen:
    languages = choose(options["languages"], rows, store)
    sources, targets = (choose(options[side], rows, store) for side in ("sources", "targets"))
    if options["languages"] and (options["sources"] or options["targets"]):
        raise UsageError(
            "--lang was given, and --sources or --target too.",
            "--lang compares all with one another, --sources and --target compare these with those.",
        )
    seeds, density, device = options["seeds"], options["density"], options["device"]
    return Chosen(rows, languages, sources, targets, seeds, density, device=device)


def _require_pair(table: Overlaps | SampledOverlaps) -> None:
    """Refuse a comparison of a language with itself alone."""
    languages = {*table.sources, *table.targets}
    if len(languages) < 2:
        (only,) = languages
        raise UsageError(
            f"a matrix compares at least two languages, and '{only}' is the only one.",
            "name more with --lang sw,en, or build more languages.",
        )


def _verify(rows: SubNetworkStore, counts: Sequence[Overlaps | SampledOverlaps], asked: bool, quiet: bool) -> None:
    """Compare every row that was compared with its record, where that was asked for."""
    if not asked:
        return
    from xsns_stream.store import RowKey

    keys = [
        RowKey.checked(language, table.seed, table.density)
        for table in counts
        for language in dict.fromkeys((*table.sources, *table.targets))
    ]
    with time_bar("verifying", quiet) as on_progress:
        rows.check_rows(keys, on_progress)


# ---------------------------------------------------------------------------------- what is printed


def _result(matrix: SimilarityMatrix, counts: Sequence[Overlaps | SampledOverlaps]) -> dict[str, Any]:
    from xsns_stream.types import OverlapCounts, SampledOverlaps

    spread, corrected = matrix.spread, matrix.chance_corrected
    result: dict[str, Any] = {
        **labels(counts[0]),
        "coefficient": matrix.coefficient,
        matrix.coefficient: matrix.values.tolist(),
        "chance_corrected": None if corrected is None else corrected.tolist(),
        "spread": None if spread is None else spread.tolist(),
        "parameters": counts[0].size,
        "seeds": list(matrix.seeds),
        "density": counts[0].density,
    }
    if isinstance(counts[0], OverlapCounts):
        # A line for each language, a column for each seed.
        sizes = [cast(OverlapCounts, table).cardinality.tolist() for table in counts]
        result["cardinality"] = [list(line) for line in zip(*sizes, strict=True)]
    if isinstance(counts[0], SampledOverlaps) and matrix.standard_error is not None:
        result |= {"standard_error": matrix.standard_error.tolist(), "sampled": counts[0].sampled}
    return result


def _show(matrix: SimilarityMatrix, counts: Sequence[Overlaps | SampledOverlaps], quiet: bool) -> None:
    from xsns_stream.report import matrix_table, neighbours_table
    from xsns_stream.types import SampledOverlaps

    console = stdout_console()
    if max(matrix.values.shape) <= WHOLE_UP_TO:
        console.print(matrix_table(matrix, console.width))
    else:
        console.print(neighbours_table(matrix, NEIGHBOURS))
        note(
            f"the {NEIGHBOURS} nearest of each of {len(matrix.targets)} languages; "
            "-o matrix.csv writes everything, -o matrix.png draws it.",
            quiet,
        )
    if isinstance(counts[0], SampledOverlaps) and matrix.standard_error is not None:
        note(_estimated(matrix, matrix.standard_error, counts[0].sampled), quiet)


def _estimated(matrix: SimilarityMatrix, standard_error: Reals, sampled: float) -> str:
    """Say how far estimates may be off."""
    import numpy as np

    own = np.equal(np.array(matrix.sources)[:, None], np.array(matrix.targets)[None, :])
    errors = standard_error[~own & np.isfinite(standard_error)]
    known = f"± {errors.mean():.4f} on average, ± {errors.max():.4f} at most" if errors.size else "unknown"
    return (
        f"estimated from {sampled:.1%} of the parameters; one standard deviation of the estimates: {known}. "
        "Where few blocks are read, as of a small model, estimates may be further off, and all in one direction."
    )
