"""`xsns-stream baseline`: a group of commands, each of which computes another predictor of transfer."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.matrix_files import check_file_options, matrix_output_option, write_files
from xsns_stream.cli.named_group import NamedGroup
from xsns_stream.cli.option_sections import Decorated, Options, apply
from xsns_stream.cli.output import (
    LANG,
    SOURCES,
    TARGETS,
    common_options,
    emit_json,
    examples,
    given_arguments,
    lasting,
    next_step,
    note,
    print_matrix,
)
from xsns_stream.io.tables import listed

if TYPE_CHECKING:
    from xsns_stream.pipeline.requested_languages import RequestedLanguages
    from xsns_stream.types import SimilarityMatrix


class _Baselines(NamedGroup):
    noun = "baseline"

    def summaries(self) -> Mapping[str, str]:
        return {name: command.short_help or "" for name, command in _commands().items()}

    def load(self, name: str) -> click.Command:
        return _commands()[name]


def _commands() -> dict[str, click.Command]:
    """Return {name: command}. The modules of the commands are imported here, because they import this module too."""
    modules = (import_module(f"xsns_stream.cli.baseline_{kind}") for kind in ("tables", "text"))
    return {name: command for module in modules for name, command in module.COMMANDS.items()}


@click.group(
    name="baseline",
    cls=_Baselines,
    epilog=examples(
        "xsns-stream baseline script --lang sw,zu,ru,uk,hi,ur",
        "xsns-stream baseline script --lang sw,zu,ru,uk -o script.parquet",
    ),
)
def command() -> None:
    """Compute other predictors of transfer, for comparison with sub-networks.

    Each baseline is a similarity matrix in which a larger number means a better source. -o writes it to a file that
    `evaluate` and `regress` read. `xsns-stream baseline NAME --help` describes NAME and its data. A file is
    written when its baseline is complete; an interrupted baseline starts again.
    """


# ------------------------------------------------------------------------------------------ what the commands share


def language_options(function: Decorated) -> Decorated:
    """Add `--lang`, `--sources`, `--targets` and `--gold`."""
    return apply(
        function,
        click.option(
            *LANG,
            "languages",
            multiple=True,
            metavar="CODES",
            help="Languages to compare with each other, such as `sw,en`, or `all`. By default, all languages of the "
            "data are compared.",
        ),
        click.option(
            *SOURCES, "sources", multiple=True, metavar="CODES", help="Compare only these sources, such as `en,de`."
        ),
        click.option(*TARGETS, "targets", multiple=True, metavar="CODES", help="Compare only these targets."),
        click.option(
            "--gold",
            default=None,
            metavar="FILE",
            help="File of gold scores, whose sources and targets are compared where --sources and --targets are not "
            "given.",
        ),
    )


def shared_options(function: Decorated) -> Decorated:
    """Add the options that most baselines have: languages, output files and common options."""
    return apply(function, language_options, matrix_output_option, common_options)


def requested_languages_of(options: dict[str, Any]) -> RequestedLanguages:
    """Return the languages that the options request, and remove the options of languages from `options`."""
    from xsns_stream.pipeline.requested_languages import request_languages

    sides = {name: options.pop(name) for name in ("languages", "sources", "targets", "gold")}
    return request_languages(**sides, store=options.get("store"))


def store_default_option(option: Options) -> Any:
    """Return a decorator that adds `--store`: a store from which the baseline takes its text, model and settings.

    `option` creates the option in the section of a help page; the verb receives `store`.
    """
    return option(
        "-s",
        "--store",
        default=None,
        metavar="PATH",
        callback=lasting,
        help="Use the model, text, number of examples, seeds and maximum length with which this store of sub-networks "
        "was built, and check that the text is the same. If the text or the model has been moved, also give its folder "
        "with --corpus or --model.",
    )


def check_outputs(outputs: Sequence[str]) -> None:
    """Check, before the computation, that the output files can be written.

    Raises:
        UsageError: A suffix is not a known format, or a folder does not exist.
    """
    from xsns_stream.report import check_destination

    for path in outputs:
        check_destination(path)
    check_file_options(outputs)


def finish(
    matrix: SimilarityMatrix,
    requested: RequestedLanguages,
    outputs: Sequence[str],
    *,
    as_json: bool,
    quiet: bool,
    notes: Sequence[str] = (),
    more: Mapping[str, Any] | None = None,
) -> None:
    """Write and print a baseline, and print a note about requested languages that the baseline lacks.

    Args:
        matrix: The baseline.
        requested: The languages that were requested.
        outputs: Files to write.
        as_json: Whether to print one JSON object, which includes the notes.
        quiet: Whether to suppress notes on stderr.
        notes: Sentences about the data.
        more: Further entries of the result in the JSON object.
    """
    lacking = requested.missing(matrix)
    for text in notes:
        note(f"note: {text}", quiet)
    if lacking:
        note(f"note: {matrix.coefficient} has no data on {listed(lacking)}.", quiet)
    of_files = write_files(matrix, outputs, quiet)
    if as_json:
        emit_json("baseline", _result(matrix, lacking, [*notes, *of_files]) | dict(more or {}))
    else:
        _show(matrix, outputs, quiet)
    name = matrix.coefficient
    if outputs:
        predictor = f"{name}={outputs[0]}"
        next_step("evaluate", "--gold", "gold.parquet", "--predict", predictor, quiet=quiet, as_json=as_json)
    else:
        next_step(*given_arguments(), "-o", f"{name}.parquet", quiet=quiet, as_json=as_json)


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
    if (neighbours := print_matrix(matrix)) and not outputs:
        note(
            f"the table shows the {neighbours} nearest sources of each of {len(matrix.targets)} targets; "
            "-o FILE.parquet writes all values.",
            quiet,
        )
