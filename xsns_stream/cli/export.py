"""`xsns-stream export`: write sub-networks to files for other programs."""

from __future__ import annotations

from collections.abc import Sequence

import click

from xsns_stream.cli.output import (
    LANG,
    Notes,
    common_options,
    counted,
    emit_json,
    examples,
    next_step,
    note,
    say,
    store_arguments,
    store_option,
)
from xsns_stream.errors import PartialError


@click.command(
    name="export",
    epilog=examples(
        "xsns-stream export --lang sw -o sw.safetensors",
        "xsns-stream export --lang sw,fi -o '{lang}.npz'",
        "xsns-stream export --lang all -o '{lang}.safetensors' --json",
    ),
)
@store_option
@click.option(
    *LANG,
    "languages",
    multiple=True,
    required=True,
    metavar="CODES",
    help="Languages to export, such as `sw,en`, or all.",
)
@click.option("--seed", type=int, default=None, help="Seed of the rows; required if the store has several seeds.")
@click.option(
    "--density", type=float, default=None, help="Density of the rows; required if the store has several densities."
)
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="File to write: .safetensors has a boolean mask for each tensor, .npz the indices of selected parameters. "
    "{lang} in the name is replaced by the code of the language.",
)
@common_options
def command(
    store: str,
    languages: tuple[str, ...],
    seed: int | None,
    density: float | None,
    output: str,
    as_json: bool,
    quiet: bool,
) -> None:
    """Write sub-networks to files for other programs.

    Each file also contains language, seed, density, threshold, layout and provenance; `SubNetwork.load` checks
    that the bits fit this record. An existing file is replaced. docs/sub-networks.md shows fine-tuning with these
    masks.
    """
    from xsns_stream.pipeline.store_rows import export_rows

    def note_left_out(codes: Sequence[str]) -> None:
        note(f"these languages are left out, because they have no sub-network: {', '.join(codes)}", quiet)

    notes = Notes(quiet)
    result = export_rows(store, output, languages, seed, density, note_left_out, notes)
    if as_json:
        reasons = {language: error.message for language, error in result.failed.items()}
        emit_json("export", {"store": store, "files": list(result.files), "failed": reasons} | notes.to_json())
    else:
        for file in result.files:
            selected = f"{file['cardinality']:,} of {counted(file['parameters'], 'parameter')}"
            say(f"{file['path']}: '{file['language']}', {selected}, {counted(file['bytes'], 'byte')}")
    if result.failed:
        first = next(iter(result.failed.values()))
        raise PartialError(
            f"{counted(len(result.failed), 'language')} could not be exported: {', '.join(result.failed)}.",
            f"the first error: {first.message} {first.hint}".rstrip(),
        )
    next_step("info", *store_arguments(store), quiet=quiet, as_json=as_json)
