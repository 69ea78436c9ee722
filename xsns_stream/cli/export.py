"""`xsns-stream export`: sub-networks as files that other programs read."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.output import common_options, counted, emit_json, examples, note, say, store_option
from xsns_stream.cli.selection import choose, open_rows
from xsns_stream.errors import LanguageError, PartialError, StoreError, UsageError

if TYPE_CHECKING:
    from xsns_stream.store import RowKey, SubNetworkStore

#: Stands for the language's code in the name of a file.
PLACE: Final = "{lang}"


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
    "--lang",
    "languages",
    multiple=True,
    required=True,
    metavar="CODES",
    help="Which, as `sw,en`; or `all` of the store.",
)
@click.option("--seed", type=int, default=None, help="Which seed, where the store holds several.")
@click.option("--density", type=float, default=None, help="Which density, where the store holds several.")
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="FILE",
    help="Where to: .safetensors holds boolean masks by tensor's name, .npz the places of the selected parameters. "
    "{lang} in it becomes the language's code.",
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
    """Write sub-networks as files that other programs read.

    Each file carries its language, seed, density, threshold, layout and provenance, and is checked against them by
    `SubNetwork.load`. An existing file is replaced. docs/sub-networks.md fine-tunes with such masks.
    """
    rows = open_rows(store)
    keys = _keys(rows, store, languages, seed, density, quiet)
    targets = _targets(keys, output)
    written, failed = [], {}
    for key in keys:
        try:
            written.append(_export(rows, key, targets[key]))
        except StoreError as error:
            if len(keys) == 1:
                raise
            failed[key.language] = error
    if as_json:
        reasons = {language: error.message for language, error in failed.items()}
        emit_json("export", {"store": store, "files": written, "failed": reasons})
    else:
        for file in written:
            selected = f"{file['cardinality']:,} of {counted(file['parameters'], 'parameter')}"
            say(f"{file['path']}: '{file['language']}', {selected}, {counted(file['bytes'], 'byte')}")
    if failed:
        first = next(iter(failed.values()))
        raise PartialError(
            f"{counted(len(failed), 'language')} could not be exported: {', '.join(failed)}.", first.message
        )


def _keys(
    rows: SubNetworkStore, store: str, asked: tuple[str, ...], seed: int | None, density: float | None, quiet: bool
) -> list[RowKey]:
    """Return the rows that were asked for.

    Raises:
        LanguageError, StoreError, UsageError: One is not there, or seed or density must be chosen.
    """
    named = choose(asked, rows, store)
    if named is not None:
        return [rows.record(language, seed, density).key for language in named]
    there = rows.keys()
    keys = [key for key in there if seed in (None, key.seed) and density in (None, key.density)]
    if not keys:
        raise LanguageError(f"the store '{store}' has no such sub-network.", "see `xsns-stream info` for what it has.")
    # Where several seeds or densities remain, this names them and says what to do.
    first = rows.record(keys[0].language, seed, density).key
    chosen = [key for key in keys if (key.seed, key.density) == (first.seed, first.density)]
    lacking = sorted({key.language for key in there} - {key.language for key in chosen})
    if lacking:
        note(f"left out, because there is no sub-network: {', '.join(lacking)}", quiet)
    return chosen


def _targets(keys: list[RowKey], output: str) -> dict[RowKey, Path]:
    """Return where each row goes, before anything is read.

    Raises:
        UsageError: Files would overwrite each other, or cannot be made there.
    """
    from xsns_stream.types.subnetwork import check_target

    if PLACE not in output and len(keys) > 1:
        raise UsageError(f"{len(keys)} languages cannot be written to one file.", f"name it as '{PLACE}.npz'.")
    # A code holds letters, digits and hyphens only, or the store would not have taken it.
    targets = {key: Path(output.replace(PLACE, key.language)) for key in keys}
    for target in targets.values():
        check_target(target)
    return targets


def _export(rows: SubNetworkStore, key: RowKey, target: Path) -> dict[str, Any]:
    network = rows.read(key.language, key.seed, key.density)
    network.save(target)
    return {
        "path": str(target),
        "language": key.language,
        "seed": key.seed,
        "density": key.density,
        "cardinality": network.cardinality,
        "parameters": network.size,
        "layout_digest": network.layout.digest,
        "bytes": target.stat().st_size,
    }
