"""`xsns-stream build`: measure sub-networks from raw text, and save them in a store."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from statistics import mean
from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.choices import DEFAULT_CORPUS
from xsns_stream.cli.cluster_options import asked_workers, cluster_options
from xsns_stream.cli.option_groups import (
    PRECISIONS,
    SCORED_TOKENS_HELP,
    corpus_option,
    corpus_options,
    label_position_option,
    length_option,
    model_option,
    model_options,
    parameter_options,
    seeds_option,
)
from xsns_stream.cli.option_sections import Decorated, SectionedCommand, apply, section
from xsns_stream.cli.output import (
    DENSITIES,
    LANG,
    common_options,
    corpus_json,
    counted,
    duration,
    emit_json,
    examples,
    given_arguments,
    given_options,
    next_step,
    note,
    say,
    stderr_console,
    store_arguments,
    store_option,
)
from xsns_stream.cli.parameter_types import NumberOrAuto, Numbers, Size, flattened

if TYPE_CHECKING:
    from xsns_stream.errors import XsnsError
    from xsns_stream.pipeline.build import PlannedBuild
    from xsns_stream.pipeline.events import BuildPlan, BuildResult, Row
    from xsns_stream.pipeline.settings import BuildSettings

_model, _text, _cost = section("Model"), section("Text"), section("Time and memory")
_selection, _trust = section("Sub-networks"), section("Reliability")


def build_options(function: Decorated) -> Decorated:
    """Add every option of `build` except the options for the store and for output."""
    return apply(
        function,
        model_option(),
        model_options,
        _objective_options,
        _text_options,
        parameter_options,
        _estimator_options,
        _cost_options,
        _trust_options,
    )


def _objective_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _model("--mask-rate", type=float, default=None, help="Share of tokens that are masked.  [default: 0.15]"),
        _model(
            "--mean-span",
            type=float,
            default=None,
            help="Mean length of a masked span in tokens, for span corruption.  [default: 3]",
        ),
        _model(
            "--scored-share",
            type=float,
            default=None,
            help="Share of the predicted tokens that are scored, in (0, 1], for causal and encoder-decoder models: a "
            "smaller share is faster.  [default: 1]",
        ),
        length_option,
        label_position_option(_model),
        _model(
            "--head-seed",
            default=0,
            show_default=True,
            help="Seed for the random weights of a task head, if the checkpoint has no head for the task.",
        ),
    )


def _text_options(function: Decorated) -> Decorated:
    return apply(
        function,
        corpus_option(DEFAULT_CORPUS),
        corpus_options(_text),
        _text(
            "--label-column",
            default=None,
            help="Column of the labels of a task. By default, it is a column with a usual name, such as label.",
        ),
        _text(
            *LANG,
            "languages",
            multiple=True,
            default=("all",),
            show_default=True,
            help="Languages to measure, such as `sw,en`, or `all`. May be given more than once.",
        ),
        _text(
            "--examples",
            default=64,
            show_default=True,
            help="Number of examples for each language, |D|. 64 are enough for a first test; use 256 or more for "
            "results (the paper: 1024).",
        ),
        seeds_option(_text, "Seed for drawing and masking examples. May be given more than once."),
    )


def _estimator_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _selection(
            *DENSITIES,
            "densities",
            type=Numbers(),
            callback=flattened,
            multiple=True,
            default=(0.15,),
            show_default=True,
            help="Share of parameters to select, in (0, 1]. May be given more than once.",
        ),
        _selection(
            "--estimator",
            type=click.Choice(["per-example", "per-batch", "authors", "grad-abs"]),
            default="per-example",
            show_default=True,
            help="How gradients are averaged. per-example is the equation of the paper, authors the computation of its "
            "published code; docs/fisher.md describes all of them.",
        ),
        _selection(
            "--labels",
            type=click.Choice(["data", "sample", "as-given"]),
            default="data",
            show_default=True,
            help="Labels for the gradients: the observed labels (data), or labels that are drawn from the model "
            "(sample, the true Fisher information). as-given is another spelling of --labels-as-given.",
        ),
        _selection(
            "--token-reduction",
            type=click.Choice(["sum", "mean"]),
            default="sum",
            show_default=True,
            help=SCORED_TOKENS_HELP,
        ),
        _selection(
            "--quantile",
            type=click.Choice(["exact", "histogram", "percentile"]),
            default=None,
            help="Method for the threshold: the K-th largest value (exact); an estimate within 0.8 % of it "
            "(histogram); or numpy.percentile, as in the authors' code (percentile). [default: percentile for "
            "--estimator authors, otherwise exact]",
        ),
        _selection(
            "--keep-fisher",
            type=click.Choice(["float32", "bf16"]),
            is_flag=False,
            flag_value="float32",
            default=None,
            help="Store the Fisher values, so that other densities can be added later; bf16 needs half the "
            "space, but rounds the values.",
        ),
    )


def _cost_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _cost(
            "--batch",
            "batch_size",
            type=NumberOrAuto("batch"),
            default=None,
            metavar="N|auto",
            help="Number of examples in a batch. It affects results only for the estimators per-batch and authors. "
            "[default: 8; authors: 4]",
        ),
        _cost(
            "--precision",
            type=PRECISIONS,
            default="float32",
            show_default=True,
            help="Precision of matrix products (automatic mixed precision); sums are computed in float32.",
        ),
        _cost("--checkpoint", is_flag=True, help="Recompute activations instead of keeping them in memory."),
        _cost(
            "--memory",
            type=Size(),
            default=None,
            metavar="SIZE",
            help="Largest size of the Fisher values in memory, such as 2GB; larger values need several passes over the "
            "text.",
        ),
    )


def _trust_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _trust(
            "--parts",
            type=int,
            default=None,
            metavar="K",
            help="Split each row's examples into K parts, and also store the sub-networks that leave one part out: "
            "`rank` computes intervals from them. 8 parts are usual; the store grows K-fold.",
        ),
        _trust("--split-half", is_flag=True, help="Compare the sub-networks of two halves of each row's examples."),
        _trust(
            "--until-stable",
            type=float,
            default=None,
            metavar="J",
            help="Finish a row when the Jaccard coefficient of its sub-networks at two successive checks reaches J "
            "(at density 0.15); --examples is then the largest number of examples.",
        ),
        _trust(
            "--check-every",
            type=int,
            default=None,
            help="Number of examples between two checks of --until-stable. [default: 64]",
        ),
        _trust(
            "--at-least",
            type=int,
            default=None,
            help="Smallest number of examples of a row with --until-stable. [default: 128]",
        ),
    )


@click.command(
    name="build",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream build --lang sw,zu,fi,et --examples 32",
        "xsns-stream build --corpus sw=swahili.txt --corpus fi=finnish.txt --store mine.zarr",
    ),
)
@build_options
@cluster_options("row")
@store_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Check all inputs, and print the planned rows and an estimate of time, disk space and memory; build nothing.",
)
@common_options
@click.pass_context
def command(ctx: click.Context, /, store: str, as_json: bool, quiet: bool, dry_run: bool, **options: Any) -> None:
    """Measure languages and store their sub-networks.

    A row that is already in the store is skipped. The same command therefore continues an interrupted run, which loses
    only the row that it was measuring. If the store has rows, every option that is not given has the value that these
    rows have, except --lang and the options of time and memory. The defaults below are those of a new store.

    --workers 4 measures four rows at a time in processes of this machine; --scheduler uses a cluster of Dask.
    """
    from xsns_stream.pipeline.build import build_plan, carry_out, refuse_failures, store_for_build
    from xsns_stream.pipeline.events import BuildPlan
    from xsns_stream.pipeline.progress import RowProgress

    workers = asked_workers(options)
    opened = store_for_build(store)
    plan = build_plan(opened, **given_options(ctx, options))
    for sentence in plan.notes():
        note(f"note: {sentence}", quiet)
    settings, console = plan.settings, stderr_console(quiet)
    with RowProgress(console, len(settings.missing_rows(opened)), loading=True) as progress:
        done = carry_out(plan, opened, progress, workers, dry_run=dry_run)
    if isinstance(done, BuildPlan):
        _show_plan(done, plan, as_json)
        refuse_failures(done, settings)
        next_step(*(word for word in given_arguments() if word != "--dry-run"), quiet=quiet, as_json=as_json)
        return
    _show(done, plan, store, as_json)
    refuse_failures(done, settings)
    where = store_arguments(store)
    # A ranking needs a source besides the target.
    what = ("rank", *where, "--target", settings.languages[0]) if len(opened.languages) > 1 else ("info", *where)
    next_step(*what, quiet=quiet, as_json=as_json)


def _show_plan(found: BuildPlan, plan: PlannedBuild, as_json: bool) -> None:
    settings = plan.settings
    if as_json:
        taken = {"taken": dict(plan.taken)} if plan.taken else {}
        emit_json("build", found.to_dict() | taken | corpus_json(settings.corpus))
        return
    say(
        f"{counted(len(settings.languages), 'language')} × {counted(len(settings.seeds), 'seed')} × "
        f"{counted(len(settings.densities), 'density', 'densities')} from {settings.corpus.name}: "
        f"{counted(len(found.rows), 'row')}, {len(found.missing)} of them not in the store yet."
    )
    failed: dict[str, XsnsError] = {}
    for row, error in found.failed.items():
        failed.setdefault(row.language, error)
    if measured := list(dict.fromkeys(row.language for row in found.missing if row.language not in failed)):
        say("to measure: " + " ".join(measured))
    if failed:
        reasons = (f"{code} ({error.message.removesuffix('.')})" for code, error in failed.items())
        say("cannot be measured: " + ", ".join(reasons))
    if found.seconds is not None:
        say(_costs(found, settings))


def _costs(found: BuildPlan, settings: BuildSettings) -> str:
    """Return a sentence on the estimated time, disk space and memory."""
    from rich.filesize import decimal

    rows = len(found.missing) - len(found.failed)
    most = "at most" if settings.stopping else "about"
    memory = "" if found.memory is None else f", {decimal(found.memory)} of memory"
    together = ""
    if found.workers is not None:
        # A scheduler may have no worker yet.
        spent = f": {duration(found.seconds_on_workers, most)}" if found.seconds_on_workers is not None else ""
        together = f"with {counted(found.workers, 'worker')}{spent}; "
    return (
        f"{duration(found.seconds or 0, most)} here for {counted(rows, 'row')}, estimated from one timed row; "
        f"{together}{decimal(found.disk or 0)} of disk{memory}."
    )


def _show(result: BuildResult, plan: PlannedBuild, store: str, as_json: bool) -> None:
    settings = plan.settings
    if as_json:
        taken = {"taken": dict(plan.taken)} if plan.taken else {}
        emit_json("build", _result(result, settings, store) | taken)
        return
    say(
        f"{store}: {counted(len(result.committed), 'row')} measured, {len(result.skipped)} already present, "
        f"{_by_others(result)}{len(result.failed)} failed."
    )
    for line in _reliability(result, settings):
        say(line)


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
        | ({"notes": [*settings.notes, *result.notes]} if settings.notes or result.notes else {})
        | corpus_json(settings.corpus)
    )


def _by_others(result: BuildResult) -> str:
    number = len(result.by_others)
    if not number:
        return ""
    return f"{number} {'was' if number == 1 else 'were'} measured by another process, "


def _reliability(result: BuildResult, settings: BuildSettings) -> Iterator[str]:
    """Yield a line of output for each measure of the repeatability of rows."""
    halves = {row: recorded["split_half"] for row, recorded in result.reliability.items() if "split_half" in recorded}
    if halves:
        worst = min(halves, key=lambda row: halves[row])
        yield (
            f"split-half Jaccard: {mean(halves.values()):.3f} on average, "
            f"{halves[worst]:.3f} at lowest ({worst.language}, seed {worst.seed})."
        )
    curves = [each["stability"] for each in result.reliability.values() if each.get("stability")]
    if curves:
        used = [curve[-1][0] for curve in curves]
        yield f"until stable: {mean(used):,.0f} examples per row on average, from {min(used):,} to {max(used):,}."
        wanted = settings.stopping.jaccard if settings.stopping else 0.0
        unstable = sum(curve[-1][1] is None or curve[-1][1] < wanted for curve in curves)
        if unstable:
            yield f"{counted(unstable, 'row')} used all examples and did not become stable."
