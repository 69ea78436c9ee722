"""`xsns-stream matrix`: compare all languages of a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.common import (
    common_options,
    emit_json,
    examples,
    row_options,
    split_codes,
    stderr_console,
    stdout_console,
    store_option,
)
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import OverlapCounts, SimilarityMatrix

#: Up to this many languages the table is the matrix itself.
WHOLE_UP_TO: Final = 12
NEIGHBOURS: Final = 3


@click.command(
    epilog=examples("xsns-stream matrix --lang sw,rw,zu,en", "xsns-stream matrix -o similarity.csv -o similarity.png")
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


# ---------------------------------------------------------------- what `matrix`, `rank` and `verify` share


def note(text: str, quiet: bool) -> None:
    """Print a line beside the result; never wrapped, so that it can be searched for."""
    if not quiet:
        click.echo(text, err=True)


@contextmanager
def progress_bar(what: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Draw a bar while the block runs; give what is to be called with (done, total), None off a terminal."""
    console = stderr_console(quiet)
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import Progress

    with Progress(console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def open_rows(store: str) -> SubNetworkStore:
    """Open a store for reading.

    Raises:
        StoreError: There is none.
    """
    from xsns_stream.store import open_store

    return open_store(store)


def choose(asked: tuple[str, ...], rows: SubNetworkStore, store: str) -> tuple[str, ...] | None:
    """Return the languages of a store that were asked for; None where none was, or all were.

    Raises:
        LanguageError: One is not in the store; near misses are suggested.
    """
    from xsns_stream.languages import select

    codes = split_codes(asked)
    return None if not codes or "all" in codes else select(codes, rows.languages, f"the store '{store}'")


def count_rows(
    rows: SubNetworkStore,
    languages: Sequence[str] | None,
    seeds: Sequence[int],
    density: float | None,
    quiet: bool,
    needed: str | None = None,
) -> tuple[OverlapCounts, ...]:
    """Count overlaps, drawing progress; languages that lack a seed are left out and named on stderr.

    Args:
        rows: The store.
        languages: Those to compare, which must have every seed; None takes all that have.
        seeds: Those to average over; all of the store where empty.
        density: May be None where there is a single one.
        quiet: Without progress and notes.
        needed: A language that must not be left out.

    Raises:
        UsageError: The store has no such seed or density.
        LanguageError: A language was asked for, or is needed, that lacks a seed.
    """
    from xsns_stream.errors import LanguageError
    from xsns_stream.similarity import count_overlaps_by_seed

    _require_labels(rows, seeds, density)
    left_out: list[str] = []

    def leave_out(language: str, lacking: tuple[int, ...]) -> None:
        what = f"{'seed' if len(lacking) == 1 else 'seeds'} {', '.join(map(str, lacking))}"
        if language == needed:
            raise LanguageError(
                f"'{language}' has no sub-network for {what}.",
                "build it, or choose seeds that it has with --seed.",
            )
        left_out.append(f"{language} ({what})")

    with progress_bar("comparing", quiet) as on_progress:
        counts = count_overlaps_by_seed(
            rows,
            languages=languages,
            seeds=list(dict.fromkeys(seeds)) or None,
            density=density,
            on_progress=on_progress,
            on_incomplete=leave_out,
        )
    if left_out:
        note(f"left out, because there is no sub-network: {', '.join(left_out)}", quiet)
    return counts


def _require_labels(rows: SubNetworkStore, seeds: Sequence[int], density: float | None) -> None:
    known_seeds, known_densities = rows.seeds, rows.densities
    for name, value, known in (
        *(("seed", seed, known_seeds) for seed in seeds),
        *([("density", density, known_densities)] if density is not None else []),
    ):
        if value not in known:
            raise UsageError(
                f"the store '{rows.path}' has no {name} {value}.",
                f"it has {', '.join(map(str, known))}." if known else "it has no sub-network at all yet.",
            )
