"""`xsns-stream build`: raw text → sub-networks in a store."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.common import (
    common_options,
    emit_json,
    examples,
    split_codes,
    stderr_console,
    store_option,
)
from xsns_stream.errors import PartialError

if TYPE_CHECKING:
    from xsns_stream.corpora import Corpus
    from xsns_stream.pipeline import BuildResult, BuildSettings
    from xsns_stream.store import SubNetworkStore


@click.command(
    name="build",
    epilog=examples(
        "xsns-stream build --lang sw,zu,fi,et --examples 32",
        "xsns-stream build --corpus sw=swahili.txt --corpus fi=finnish.txt --store mine.zarr",
    ),
)
@click.option("--model", default="mini", show_default=True, help="`mini`, a local folder, or a Hub id.")
@click.option("--revision", default=None, help="Commit, branch or tag of a model on the Hub.")
@click.option(
    "--corpus",
    multiple=True,
    default=("cldr",),
    show_default=True,
    metavar="SPEC",
    help="cldr, a folder with a file a language, LANG=FILE (repeatable), a recipe such as wikiann, or hub:ID.",
)
@click.option("--text-column", default=None, help="Column of the text, where the default is not it.")
@click.option("--split", default=None, help="Split of a data set.")
@click.option("--config", default=None, help="Configuration of a Hub data set; {lang} stands for the code.")
@click.option("--corpus-revision", default=None, help="Commit, branch or tag of a Hub data set.")
@click.option("--lang", multiple=True, default=("all",), show_default=True, help="Codes, or all; repeatable.")
@click.option(
    "--examples",
    "count",
    default=64,
    show_default=True,
    help="Examples a language, |D|. 64 is for a first look; take 256 or more for results (the paper: 1024).",
)
@click.option(
    "--seed",
    "seeds",
    type=int,
    multiple=True,
    default=(42,),
    show_default=True,
    help="Of draw and masking; repeatable.",
)
@click.option(
    "--density",
    "densities",
    type=float,
    multiple=True,
    default=(0.15,),
    show_default=True,
    help="Share of parameters kept, in (0, 1]; repeatable.",
)
@click.option("--batch", default=8, show_default=True, help="Examples computed together; results do not depend on it.")
@click.option("--max-length", default=128, show_default=True, help="Longest example in pieces; longer text is cut.")
@click.option("--mask-rate", default=0.15, show_default=True, help="Share of pieces hidden.")
@click.option(
    "--token-reduction",
    type=click.Choice(["sum", "mean"]),
    default="sum",
    show_default=True,
    help="How an example's hidden pieces make up its log-likelihood.",
)
@click.option("--device", default="cpu", show_default=True, help="As torch names it.")
@click.option("--dry-run", is_flag=True, help="Say what would be measured, and stop.")
@store_option
@common_options
def command(store: str, as_json: bool, quiet: bool, dry_run: bool, **options: Any) -> None:
    """Measure languages and store their sub-networks.

    A row that is already in the store is skipped: running again goes on where the last run stopped, and a stopped
    run loses nothing but the row it was at.
    """
    from xsns_stream.store import open_store

    settings, corpus = _settings(options)
    opened = open_store(store, "a")
    if dry_run:
        _show_plan(settings, opened, as_json)
        return
    result = _run(settings, options, opened, quiet)
    _tell(result, settings, corpus, store, as_json, quiet)


def _settings(options: dict[str, Any]) -> tuple[BuildSettings, Corpus]:
    from xsns_stream.corpora import open_corpus
    from xsns_stream.languages import select
    from xsns_stream.objectives import MaskedLanguageModelling
    from xsns_stream.pipeline import BuildSettings

    corpus = open_corpus(
        options["corpus"],
        text_column=options["text_column"],
        split=options["split"],
        config=options["config"],
        revision=options["corpus_revision"],
    )
    languages = select(split_codes(options["lang"]), corpus.languages(), f"the corpus {corpus.name}")
    settings = BuildSettings(
        corpus=corpus,
        languages=languages,
        seeds=tuple(dict.fromkeys(options["seeds"])),
        densities=tuple(dict.fromkeys(options["densities"])),
        examples=options["count"],
        batch_size=options["batch"],
        objective=MaskedLanguageModelling(options["mask_rate"], options["max_length"]),
        token_reduction=options["token_reduction"],
    )
    return settings, corpus


def _show_plan(settings: BuildSettings, store: SubNetworkStore, as_json: bool) -> None:
    rows, missing = settings.rows(), settings.missing_rows(store)
    if as_json:
        emit_json("build", {"dry_run": True, "rows": len(rows), "missing": [[r.language, r.seed] for r in missing]})
        return
    click.echo(
        f"{len(settings.languages)} languages × {len(settings.seeds)} seeds × {len(settings.densities)} densities "
        f"from {settings.corpus.name}: {len(rows)} rows, {len(missing)} of them not in the store yet."
    )
    if missing:
        click.echo("to measure: " + " ".join(dict.fromkeys(row.language for row in missing)))


def _run(settings: BuildSettings, options: dict[str, Any], store: SubNetworkStore, quiet: bool) -> BuildResult:
    from xsns_stream.cli.progress import BuildProgress
    from xsns_stream.errors import UsageError
    from xsns_stream.models import load_model, longest_input
    from xsns_stream.pipeline import build

    console = stderr_console(quiet)
    with console.status("loading the model …"):
        loaded = load_model(options["model"], revision=options["revision"], device=options["device"])
    longest = longest_input(loaded.model, loaded.tokenizer)
    if options["max_length"] > longest:
        raise UsageError(
            f"the model '{loaded.name}' takes at most {longest} pieces, not {options['max_length']}.",
            f"give `--max-length {longest}` or less.",
        )
    with BuildProgress(console, len(settings.missing_rows(store))) as progress:
        return build(settings, loaded, store, progress)


def _tell(result: BuildResult, settings: BuildSettings, corpus: Corpus, store: str, as_json: bool, quiet: bool) -> None:
    if as_json:
        emit_json(
            "build",
            {
                "store": store,
                "corpus": corpus.name,
                "committed": [[row.language, row.seed] for row in result.committed],
                "skipped": [[row.language, row.seed] for row in result.skipped],
                "failed": [
                    {"language": row.language, "seed": row.seed, "error": error.message, "hint": error.hint}
                    for row, error in result.failed.items()
                ],
            },
        )
    else:
        click.echo(
            f"{store}: {len(result.committed)} rows measured, {len(result.skipped)} were there, "
            f"{len(result.failed)} failed."
        )
    if result.failed:
        names = ", ".join(dict.fromkeys(row.language for row in result.failed))
        first = next(iter(result.failed.values()))
        others = "the others are committed." if result.committed or result.skipped else "nothing was committed."
        raise PartialError(
            f"{len(result.failed)} of {len(settings.rows())} rows failed: {names}.",
            f"{others} The first: {first.message} {first.hint}".rstrip(),
        )
    if not as_json and not quiet:
        target = settings.languages[0]
        where = "" if store == "xsns.zarr" else f" --store {shlex.quote(store)}"
        click.echo(
            f"next: xsns-stream matrix{where} -o matrix.png · xsns-stream rank{where} --target {target}",
            err=True,
        )
