"""`xsns-stream build`: raw text → sub-networks in a store."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator
from statistics import mean
from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.build_options import build_options, settings_of, with_model
from xsns_stream.cli.option_groups import SectionedCommand, corpus_json, note_corpus
from xsns_stream.cli.output import (
    DEFAULT_STORE,
    common_options,
    counted,
    emit_json,
    examples,
    say,
    stderr_console,
    store_option,
)
from xsns_stream.errors import PartialError

if TYPE_CHECKING:
    from xsns_stream.pipeline.events import BuildResult, Row
    from xsns_stream.pipeline.settings import BuildSettings
    from xsns_stream.store import SubNetworkStore


@click.command(
    name="build",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream build --lang sw,zu,fi,et --examples 32",
        "xsns-stream build --corpus sw=swahili.txt --corpus fi=finnish.txt --store mine.zarr",
    ),
)
@build_options
@store_option
@click.option("--dry-run", is_flag=True, help="Say what would be measured, and stop.")
@common_options
def command(store: str, as_json: bool, quiet: bool, dry_run: bool, **options: Any) -> None:
    """Measure languages and store their sub-networks.

    A row that is already in the store is skipped: running again goes on where the last run stopped, and a stopped
    run loses nothing but the row it was at.
    """
    from xsns_stream.store import open_store

    settings = settings_of(options)
    note_corpus(settings.corpus, quiet)
    opened = open_store(store, "a")
    if dry_run:
        _show_plan(settings, opened, as_json)
        return
    result = _run(settings, options, opened, quiet)
    _tell(result, settings, store, as_json, quiet)


def _show_plan(settings: BuildSettings, store: SubNetworkStore, as_json: bool) -> None:
    rows, missing = settings.rows(), settings.missing_rows(store)
    if as_json:
        plan = {"dry_run": True, "rows": len(rows), "missing": [[r.language, r.seed] for r in missing]}
        emit_json("build", plan | corpus_json(settings.corpus))
        return
    say(
        f"{counted(len(settings.languages), 'language')} × {counted(len(settings.seeds), 'seed')} × "
        f"{counted(len(settings.densities), 'density', 'densities')} from {settings.corpus.name}: "
        f"{counted(len(rows), 'row')}, {len(missing)} of them not in the store yet."
    )
    if missing:
        say("to measure: " + " ".join(dict.fromkeys(row.language for row in missing)))


def _run(settings: BuildSettings, options: dict[str, Any], store: SubNetworkStore, quiet: bool) -> BuildResult:
    from xsns_stream.cli.progress import BuildProgress
    from xsns_stream.pipeline.build import build

    console = stderr_console(quiet)
    with console.status("loading the model …"):
        settings, loaded = with_model(settings, options)
    with BuildProgress(console, len(settings.missing_rows(store))) as progress:
        return build(settings, loaded, store, progress)


def _tell(result: BuildResult, settings: BuildSettings, store: str, as_json: bool, quiet: bool) -> None:
    if as_json:
        emit_json("build", _result(result, settings, store))
    else:
        say(
            f"{store}: {counted(len(result.committed), 'row')} measured, {len(result.skipped)} were there, "
            f"{_by_others(result)}{len(result.failed)} failed."
        )
        for line in _reliability(result, settings):
            say(line)
    if result.failed:
        names = ", ".join(dict.fromkeys(row.language for row in result.failed))
        first = next(iter(result.failed.values()))
        others = (
            "the others are committed."
            if result.committed or result.skipped or result.by_others
            else "nothing was committed."
        )
        raise PartialError(
            f"{len(result.failed)} of {counted(len(settings.rows()), 'row')} failed: {names}.",
            f"{others} The first: {first.message} {first.hint}".rstrip(),
        )
    if not as_json and not quiet:
        target = settings.languages[0]
        where = "" if store == DEFAULT_STORE else f" --store {shlex.quote(store)}"
        say(
            f"next: xsns-stream matrix{where} -o matrix.png · xsns-stream rank{where} --target {target}",
            err=True,
        )


def _result(result: BuildResult, settings: BuildSettings, store: str) -> dict[str, Any]:
    def pairs(rows: Iterable[Row]) -> list[list[str | int]]:
        return [[row.language, row.seed] for row in rows]

    return (
        {
            "store": store,
            "corpus": settings.corpus.name,
            "quantile": settings.quantile_used,
            "committed": pairs(result.committed),
            "skipped": pairs(result.skipped),
            "by_others": pairs(result.by_others),
            "failed": [
                {"language": row.language, "seed": row.seed, "error": error.message, "hint": error.hint}
                for row, error in result.failed.items()
            ],
            "reliability": [
                {"language": row.language, "seed": row.seed} | dict(known) for row, known in result.reliability.items()
            ],
        }
        | {
            "text": [
                {"language": row.language, "seed": row.seed} | dict(text)
                for row, text in result.texts.items()
                if row in result.committed
            ],
            "row_notes": [
                {"language": note.row.language, "seed": note.row.seed, "note": note.text}
                for note in result.row_notes
                if note.row is not None
            ],
        }
        | ({"notes": list(result.notes)} if result.notes else {})
        | corpus_json(settings.corpus)
    )


def _by_others(result: BuildResult) -> str:
    number = len(result.by_others)
    if not number:
        return ""
    return f"{number} {'was' if number == 1 else 'were'} measured by another process, "


def _reliability(result: BuildResult, settings: BuildSettings) -> Iterator[str]:
    """Yield a line for each kind of thing that is known of the rows' repeatability."""
    halves = {row: known["split_half"] for row, known in result.reliability.items() if "split_half" in known}
    if halves:
        worst = min(halves, key=lambda row: halves[row])
        yield (
            f"split-half Jaccard: {mean(halves.values()):.3f} on average, "
            f"{halves[worst]:.3f} at lowest ({worst.language}, seed {worst.seed})."
        )
    curves = [known["stability"] for known in result.reliability.values() if known.get("stability")]
    if curves:
        used = [curve[-1][0] for curve in curves]
        yield f"until stable: {mean(used):,.0f} examples a row on average, from {min(used):,} to {max(used):,}."
        wanted = settings.stopping.jaccard if settings.stopping else 0.0
        unstable = sum(curve[-1][1] is None or curve[-1][1] < wanted for curve in curves)
        if unstable:
            yield f"{counted(unstable, 'row')} used all examples and did not become stable."
