"""What the baselines share on the command line: which languages, where to, and how a matrix is shown."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.matrix import NEIGHBOURS, WHOLE_UP_TO
from xsns_stream.cli.option_groups import apply
from xsns_stream.cli.output import Decorated, csv_guard_option, emit_json, note, split_codes, stdout_console
from xsns_stream.errors import UsageError
from xsns_stream.io.tables import listed

if TYPE_CHECKING:
    from xsns_stream.types import SimilarityMatrix

#: A file that knows more languages than this asks which are wanted.
MANY: Final = 1000


def pool_options(function: Decorated) -> Decorated:
    """Add `--lang`, `--sources`, `--targets` and `--gold`."""
    return apply(
        function,
        click.option(
            "--lang",
            "languages",
            multiple=True,
            metavar="CODES",
            help="Only these languages, as `sw,en`, or all; all that the data know by default.",
        ),
        click.option("--sources", multiple=True, metavar="CODES", help="Only these as sources, as `en,de`."),
        click.option("--targets", "--target", multiple=True, metavar="CODES", help="Only these as targets."),
        click.option(
            "--gold", default=None, metavar="FILE", help="The sources and targets of these gold scores, by default."
        ),
    )


def output_option(function: Decorated) -> Decorated:
    """Add `--output`, and `--csv-guard` beside it."""
    function = csv_guard_option(function)
    return click.option(
        "-o",
        "--output",
        "outputs",
        multiple=True,
        metavar="FILE",
        help="Write the whole matrix: .parquet (what `evaluate` and `regress` read), .csv .tsv .json .npz, or a heat "
        "map: .png .svg .pdf. Repeatable.",
    )(function)


@dataclass(frozen=True)
class Pool:
    """The languages that were asked for, normalised; None asks for all that the data know.

    Attributes:
        sources: Rows.
        targets: Columns.
        everything: Whether all were asked for by that word.
    """

    sources: tuple[str, ...] | None
    targets: tuple[str, ...] | None
    everything: bool = False

    @property
    def languages(self) -> tuple[str, ...] | None:
        """Sources and targets together, each once; None where either is not limited."""
        if self.sources is None or self.targets is None:
            return None
        return tuple(dict.fromkeys((*self.sources, *self.targets)))


def pool_of(options: dict[str, Any]) -> Pool:
    """Return the languages that the options ask for.

    Raises:
        UsageError: Options say nothing together, or a code is no language's.
        XsnsError: The gold scores cannot be read.
    """
    languages, sources, targets = (split_codes(options[name]) for name in ("languages", "sources", "targets"))
    if languages and (sources or targets or options["gold"]):
        raise UsageError(
            "--lang was given, and --sources, --targets or --gold too.",
            "--lang compares all with one another; the others compare sources with targets.",
        )
    # A misspelt code beside `all` is no less a mistake.
    named = _normal([code for code in languages if code != "all"])
    if "all" in languages:
        return Pool(None, None, everything=True)
    if named:
        return Pool(named, named)
    rows, columns = _of_gold(options["gold"])
    if options.get("store") is not None and options["gold"] is None:
        rows = columns = _of_store(options["store"])
    return Pool(_normal(sources) if sources else rows, _normal(targets) if targets else columns)


def require_few(pool: Pool, known: int, what: str) -> None:
    """Ask which languages are wanted where a file knows thousands and none was named.

    Raises:
        UsageError: So it is.
    """
    unlimited = pool.sources is None or pool.targets is None
    if unlimited and not pool.everything and known > MANY:
        raise UsageError(
            f"{what} knows {known:,} languages, and none was asked for.",
            "name them with --lang sw,en or --gold gold.parquet; --lang all takes them all.",
        )


def check_outputs(outputs: Sequence[str]) -> None:
    """Refuse files that cannot be written, before anything is computed.

    Raises:
        UsageError: A suffix names no format, or a folder is not there.
    """
    from xsns_stream.report import check_destination

    for path in outputs:
        check_destination(path)


def finish(
    matrix: SimilarityMatrix,
    pool: Pool,
    outputs: Sequence[str],
    *,
    as_json: bool,
    quiet: bool,
    notes: Sequence[str] = (),
    more: dict[str, Any] | None = None,
) -> None:
    """Write and print a baseline, and say what it knows nothing of.

    Args:
        matrix: The baseline.
        pool: What was asked for.
        outputs: Files to write.
        as_json: Print the JSON object, which holds the notes too.
        quiet: Print no notes.
        notes: Sentences on what was left out.
        more: Further entries of the JSON object's result.
    """
    from xsns_stream.report import write_matrix

    lacking = missing(matrix, pool)
    for text in notes:
        note(f"note: {text}", quiet)
    if lacking:
        note(f"note: {matrix.coefficient} knows nothing of {listed(lacking)}.", quiet)
    for path in outputs:
        write_matrix(matrix, path)
        note(f"wrote {path}", quiet)
    if as_json:
        emit_json("baseline", _result(matrix, lacking, notes) | (more or {}))
    else:
        _show(matrix, outputs, quiet)


def of_table(matrix: SimilarityMatrix) -> SimilarityMatrix:
    """Return the matrix with the record of a baseline that is made from no text."""
    from xsns_stream.types.predictor_records import PredictorRecord

    return matrix if matrix.record is not None else replace(matrix, record=PredictorRecord(matrix.coefficient))


def missing(matrix: SimilarityMatrix, pool: Pool) -> list[str]:
    """Return the languages that were asked for and are not in the matrix."""
    sides = ((pool.sources, matrix.sources), (pool.targets, matrix.targets))
    return list(dict.fromkeys(code for asked, there in sides for code in asked or () if code not in there))


def _result(matrix: SimilarityMatrix, lacking: Sequence[str], notes: Sequence[str]) -> dict[str, Any]:
    return {
        "coefficient": matrix.coefficient,
        "sources": list(matrix.sources),
        "targets": list(matrix.targets),
        "values": matrix.values.tolist(),
        "seeds": list(matrix.seeds),
        "per_seed": None if matrix.per_seed is None else matrix.per_seed.tolist(),
        "lacking": list(lacking),
        "notes": list(notes),
        "record": None if matrix.record is None else matrix.record.to_json(),
    }


def _show(matrix: SimilarityMatrix, outputs: Sequence[str], quiet: bool) -> None:
    from xsns_stream.report import matrix_table, neighbours_table

    console = stdout_console()
    if max(matrix.values.shape) <= WHOLE_UP_TO:
        console.print(matrix_table(matrix, console.width))
        return
    console.print(neighbours_table(matrix, NEIGHBOURS))
    if not outputs:
        note(f"the {NEIGHBOURS} nearest of {len(matrix.targets)} targets; -o FILE.parquet writes everything.", quiet)


def _of_gold(path: str | None) -> tuple[tuple[str, ...] | None, tuple[str, ...] | None]:
    if path is None:
        return None, None
    from xsns_stream.gold import read_scores

    scores = read_scores(path)
    return scores.sources, scores.targets


def _of_store(path: str) -> tuple[str, ...]:
    from xsns_stream.cli.selection import open_rows

    return open_rows(path).languages


def _normal(codes: Sequence[str]) -> tuple[str, ...]:
    from xsns_stream.languages import normalise

    return tuple(dict.fromkeys(map(normalise, codes)))
