"""`xsns-stream transfer`: fine-tune on sources and test on targets, to measure gold scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.choices import FINE_TUNING_PRESETS
from xsns_stream.cli.cluster_options import asked_workers, cluster_options
from xsns_stream.cli.option_groups import (
    CONFIG_HELP,
    DEVICE_HELP,
    MODEL_HELP,
    PRECISIONS,
    REVISION_HELP,
    TREEBANK_HELP,
    label_position_option,
    seeds_option,
)
from xsns_stream.cli.option_sections import Decorated, SectionedCommand, apply, section
from xsns_stream.cli.output import (
    DEFAULT_STORE,
    SOURCES,
    TARGETS,
    common_options,
    corpus_json,
    counted,
    duration,
    emit_json,
    examples,
    given_arguments,
    next_step,
    note,
    say,
    score_output_option,
    stderr_console,
    stdout_console,
)
from xsns_stream.errors import XsnsError
from xsns_stream.tasks import TASKS

if TYPE_CHECKING:
    from xsns_stream.pipeline.cluster_clients import Workers
    from xsns_stream.pipeline.events import TransferPlan, TransferResult
    from xsns_stream.pipeline.finetune_data import TransferData
    from xsns_stream.pipeline.finetune_settings import TransferSettings
    from xsns_stream.pipeline.run_transfer import ModelLoader
    from xsns_stream.types import TransferRun

_task, _languages, _tuning, _cost = (
    section("Task"),
    section("Languages"),
    section("Fine-tuning"),
    section("Time and space"),
)


def transfer_options(function: Decorated) -> Decorated:
    """Add every option of `transfer` except the options for output."""
    return apply(
        function,
        _task("--task", type=click.Choice(tuple(TASKS)), required=True, help="Task of fine-tuning."),
        _task("--model", default="mini", show_default=True, help=MODEL_HELP),
        _task("--revision", default=None, help=REVISION_HELP),
        _task(
            "--data",
            required=True,
            metavar="SPEC",
            help="Labelled data: a folder, a recipe such as wikiann, or RECIPE=FOLDER for a local copy.",
        ),
        _task("--config", default=None, help=CONFIG_HELP),
        _task("--data-revision", default=None, help="Commit, branch or tag of a Hub data set."),
        _task("--treebank", default=None, help=TREEBANK_HELP),
        _task(
            "--relabel",
            multiple=True,
            metavar="OLD=NEW",
            help="Rename the label OLD to NEW. May be given more than once.",
        ),
        _language_options,
        _tuning_options,
        _cost_options,
    )


def _language_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _languages(
            *SOURCES,
            "sources",
            multiple=True,
            metavar="CODES",
            help="Fine-tune one model on each of these sources, such as `en,de`, or all.",
        ),
        _languages(
            "--mix",
            multiple=True,
            metavar="CODES",
            help="Fine-tune one model on all of these languages together, such as `es,pt,it`. May be given more than "
            "once, for several mixtures.",
        ),
        _languages(
            *TARGETS,
            "targets",
            multiple=True,
            default=("all",),
            metavar="CODES",
            help="Test the models on these languages.  [default: all]",
        ),
        _languages(
            "--pairs",
            default=None,
            metavar="PAIRS",
            help="Measure only these pairs, such as `en>sw,fi>all` (a mixture is written as `es+pt>it`), or the pairs "
            "in a file with one pair on each line.",
        ),
    )


def _tuning_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _tuning(
            "--preset",
            type=click.Choice(FINE_TUNING_PRESETS),
            default="quick",
            show_default=True,
            help="Hyper-parameters. paper: learning rate 1e-5, at most 20 epochs, patience 5. quick, for small models: "
            "learning rate 5e-4, at most 5 epochs, patience 2.",
        ),
        seeds_option(_tuning, "Seed of fine-tuning. May be given more than once."),
        _tuning("--epochs", type=int, default=None, help="Maximum number of epochs, instead of that of --preset."),
        _tuning(
            "--patience",
            type=int,
            default=None,
            help="Number of epochs without a better dev score before training stops: 5 with paper, 2 with quick.",
        ),
        _tuning(
            "--lr",
            "learning_rate",
            type=float,
            default=None,
            help="Highest learning rate, instead of that of --preset.",
        ),
        _tuning(
            "--batch",
            "batch_size",
            type=int,
            default=None,
            help="Number of training examples in a step of the optimiser: 16 in both presets.",
        ),
        _tuning("--max-length", type=int, default=None, help="Maximum length of an input in tokens. [default: 128]"),
        _tuning(
            "--words",
            type=click.Choice(("given", "running")),
            default=None,
            help="How to read labelled words: joined by spaces (given), or in the sentence as it is written (running). "
            "[default: given]",
        ),
        label_position_option(_tuning),
    )


def _cost_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _cost("--limit", type=int, default=None, metavar="N", help="Maximum number of training examples of a source."),
        _cost(
            "--test-limit",
            type=int,
            default=None,
            metavar="N",
            help="Maximum number of test examples of a target, and of dev examples of a source.",
        ),
        _cost("--device", default="cpu", show_default=True, help=DEVICE_HELP),
        _cost(
            "--precision",
            type=PRECISIONS,
            default="float32",
            show_default=True,
            help="Precision of matrix products (automatic mixed precision).",
        ),
        _cost("--test-batch", "evaluation_batch", type=int, default=None, help="Number of test examples in a batch."),
        _cost(
            "--keep-models",
            type=click.Path(path_type=Path),
            default=None,
            metavar="DIR",
            help="Folder in which the fine-tuned models are saved. By default, they are not saved.",
        ),
    )


@click.command(
    name="transfer",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream transfer --task pos --data pos --sources en,fi --limit 20 --epochs 1 -o scores.parquet",
        "xsns-stream transfer --task pos --data pos --sources all --dry-run -o gold.parquet",
    ),
)
@transfer_options
@cluster_options("unit")
@score_output_option
@click.option("--metric", default=None, help="The metric in FILE; the first metric of the task by default.")
@click.option(
    "--dry-run", is_flag=True, help="Print the planned units and an estimate of the time, without fine-tuning."
)
@common_options
def command(output: str, metric: str | None, as_json: bool, quiet: bool, dry_run: bool, **options: Any) -> None:
    """Fine-tune a model on each source, and test it on every target.

    Each (source, seed) is a unit of work. Its scores are written to FILE.units as soon as it is finished, and FILE
    contains the scores of all units. Running again computes the missing units. Several processes may work on one FILE,
    and an interrupted run loses only the unit that it was working on. `evaluate --gold` and `regress --gold` read FILE.

    --workers 4 works on four units at a time in processes of this machine; --scheduler uses a cluster of Dask.
    """
    from xsns_stream.pipeline.finetune import check_output, refuse_failures, units_folder
    from xsns_stream.pipeline.finetune_data import read_data
    from xsns_stream.pipeline.finetune_settings import transfer_settings
    from xsns_stream.pipeline.run_transfer import ModelLoader, plan_transfer
    from xsns_stream.pipeline.units import check_metric

    workers = asked_workers(options)
    target = check_output(output)
    settings = transfer_settings(**options)
    check_metric(settings.task, metric)
    console = stderr_console(quiet)
    with console.status("reading the data …") as status:
        data = read_data(settings, lambda part: status.update(f"reading {part} …"))
    for sentence in data.notes:
        note(f"note: {sentence}", quiet)
    for language, error in data.failed.items():
        note(f"failed: {language}: {error.message}", quiet)
    load = ModelLoader(settings, data.labels, lambda sentence: note(f"note: {sentence}", quiet))
    with console.status("loading the model …"):
        plan = plan_transfer(settings, data, units_folder(target), load, timed=dry_run, workers=workers)
    _note_plan(plan, quiet)
    if dry_run:
        _show_plan(_with_notes(plan, load), settings, data, as_json)
        next_step(*(word for word in given_arguments() if word != "--dry-run"), quiet=quiet, as_json=as_json)
        return
    result = _run(settings, data, load, target, metric, plan, quiet, workers)
    _show(result, settings, data, _with_notes(plan, load), target, metric, as_json)
    refuse_failures(result, data)
    _next(output, options, quiet, as_json)


def _next(output: str, options: Mapping[str, Any], quiet: bool, as_json: bool) -> None:
    """Print the command to run next: compare a store with the gold scores, or build a store from the same text."""
    if Path(DEFAULT_STORE).exists():
        next_step("evaluate", "--gold", output, "--predict", f"xsns={DEFAULT_STORE}", quiet=quiet, as_json=as_json)
        return
    named = {"--model": options["model"] if options["model"] != "mini" else None}
    named |= {"--config": options["config"], "--treebank": options["treebank"]}
    more = [word for name, value in named.items() if value is not None for word in (name, value)]
    text = ("--corpus", options["data"], "--task", options["task"])
    next_step("build", *text, *more, "--parts", "8", quiet=quiet, as_json=as_json)


def _note_plan(plan: TransferPlan, quiet: bool) -> None:
    for sentence in plan.notes:
        note(f"note: {sentence}", quiet)
    for units, work in (
        (plan.again, "these units lack targets, and are fine-tuned again, because no saved model has their settings"),
        (plan.kept, "these units lack targets, on which their saved models are tested"),
    ):
        if units:
            note(f"note: {work}: {', '.join(map(str, units))}.", quiet)


def _with_notes(plan: TransferPlan, load: ModelLoader) -> TransferPlan:
    """Return the plan with additional notes: the notes on how the model was loaded."""
    return replace(plan, notes=(*plan.notes, *load.notes))


def _run(
    settings: TransferSettings,
    data: TransferData,
    load: ModelLoader,
    target: Path,
    metric: str | None,
    plan: TransferPlan,
    quiet: bool,
    workers: Workers | None,
) -> TransferResult:
    from xsns_stream.pipeline.finetune import transfer_to_file
    from xsns_stream.pipeline.progress import TransferProgress

    with TransferProgress(stderr_console(quiet), len(plan.todo)) as progress:
        return transfer_to_file(settings, data, target, metric, load, progress, workers)


def _show_plan(plan: TransferPlan, settings: TransferSettings, data: TransferData, as_json: bool) -> None:
    if as_json:
        times = None if plan.times is None else {"training": plan.times.training, "testing": plan.times.testing}
        emit_json(
            "transfer",
            {
                "dry_run": True,
                "units": len(plan.todo) + len(plan.done),
                "todo": [[unit.source, unit.seed] for unit in plan.todo],
                "done": [[unit.source, unit.seed] for unit in plan.done],
                "again": [[unit.source, unit.seed] for unit in plan.again],
                "kept": [[unit.source, unit.seed] for unit in plan.kept],
                "sources": {source: sum(map(len, splits)) for source, splits in data.train.items()},
                "targets": {target: len(split) for target, split in data.test.items()},
                "failed": [_failure(code, error) for code, error in data.failed.items()],
                "notes": [*data.notes, *plan.notes],
                "files_not_read": corpus_json(settings.corpus)["files_not_read"],
                "training_examples": plan.training_examples,
                "test_examples": plan.test_examples,
                "seconds_an_example": times,
                "hours": None if plan.seconds is None else plan.seconds / 3600,
                "workers": plan.workers,
                "hours_on_workers": None if plan.seconds_on_workers is None else plan.seconds_on_workers / 3600,
            },
        )
        return
    say(
        f"{counted(len(data.train), 'source')} × {counted(len(settings.seeds), 'seed')}, "
        f"{counted(len(data.test), 'target')}, from {settings.corpus.name}: "
        f"{counted(len(plan.todo) + len(plan.done), 'unit')}, {len(plan.todo)} of them not computed yet."
    )
    sizes = ", ".join(f"{source} {sum(map(len, splits)):,}" for source, splits in data.train.items())
    say(f"training examples: {sizes}; test examples: {sum(map(len, data.test.values())):,}.")
    if plan.times is not None and plan.seconds is not None:
        say(
            f"{duration(plan.seconds, 'at most')} here: {plan.training_examples:,} training examples × "
            f"{1000 * plan.times.training:.1f} ms (all epochs) + {plan.test_examples:,} test examples × "
            f"{1000 * plan.times.testing:.1f} ms."
        )
    if plan.workers is not None:
        # A scheduler may have no worker yet.
        spent = f": {duration(plan.seconds_on_workers, 'at most')}" if plan.seconds_on_workers is not None else ""
        say(f"with {counted(plan.workers, 'worker')}{spent}.")


def _show(
    result: TransferResult,
    settings: TransferSettings,
    data: TransferData,
    plan: TransferPlan,
    target: Path,
    metric: str | None,
    as_json: bool,
) -> None:
    headline = metric or settings.task.metrics[0]
    runs = [_requested(run, settings, data) for run in result.runs]
    rows = [_row(run, headline) for run in runs]
    trivial = {code: score.trivial[headline] for run in runs for code, score in run.scores.items()}
    summary = _summary(runs, headline)
    if as_json:
        emit_json(
            "transfer",
            {
                "output": str(target),
                "task": settings.task.name,
                "metric": headline,
                "unit": settings.task.unit,
                "sources": list(data.train),
                "targets": list(data.test),
                "seeds": list(settings.seeds),
                "trivial": trivial,
                "runs": rows,
                "summary": summary,
                "committed": [[unit.source, unit.seed] for unit in result.committed],
                "elsewhere": [[unit.source, unit.seed] for unit in result.elsewhere],
                "by_others": [[unit.source, unit.seed] for unit in result.by_others],
                "failed": _failures(result, data),
                "notes": [*data.notes, *plan.notes],
                "files_not_read": corpus_json(settings.corpus)["files_not_read"],
            },
        )
        return
    from rich.table import Table
    from rich.text import Text

    from xsns_stream.pipeline.units import gold_scores
    from xsns_stream.report import scores_table

    table = Table(title=Text(_title(settings, headline, summary)), title_justify="left")
    # Training uses the task's first metric, which may differ from the metric that is shown.
    dev = "dev" if headline == settings.task.metrics[0] else f"dev {settings.task.metrics[0]}"
    for name in ("source", "seed", dev, "own test", "zero-shot", "best target", "epochs"):
        table.add_column(name, justify="left" if name in ("source", "best target") else "right")
    for row in rows:
        shown = [_number(row[name]) for name in ("dev", "at_home", "zero_shot")]
        table.add_row(row["source"], str(row["seed"]), *shown, row["best_target"] or "–", str(row["epochs"]))
    console = stdout_console()
    console.print(table)
    if runs:
        scores = gold_scores(runs, settings, headline)
        console.print("", scores_table(scores, console.width, trivial=trivial), "", sep="\n")
    if summary["zero_shot"] is not None:
        say(
            f"the mean zero-shot score is {summary['zero_shot']:.1f}, that of the trivial answer is "
            f"{summary['trivial']:.1f}; {100 * summary['above_trivial']:.0f} % of {counted(summary['pairs'], 'score')} "
            "are above it."
        )
    others = f"{len(result.by_others)} computed by another process, " if result.by_others else ""
    say(f"{target}: {counted(len(result.committed), 'unit')} computed, {others}{len(result.runs)} in total.")


def _title(settings: TransferSettings, metric: str, summary: Mapping[str, Any]) -> str:
    """Return the title of the table; it warns if most scores on other languages do not exceed the trivial score."""
    title = f"{settings.task.name}: {metric} of {settings.model}, percent"
    above = summary["above_trivial"]
    if above is None or above > 0.5:
        return title
    below = summary["pairs"] - round(above * summary["pairs"])
    return (
        f"{title}; {below} of {summary['pairs']} zero-shot scores are not above the score of the trivial answer, such "
        "as the most frequent class"
    )


def _requested(run: TransferRun, settings: TransferSettings, data: TransferData) -> TransferRun:
    """Return the run without the scores of targets that earlier commands requested and this command does not."""
    targets = set(settings.targets_of(run.source)) & set(data.test)
    return replace(run, scores={target: score for target, score in run.scores.items() if target in targets})


def _languages_of(run: TransferRun) -> tuple[str, ...]:
    from xsns_stream.pipeline.finetune_settings import Unit

    return Unit(run.source, run.seed).languages


def _row(run: TransferRun, headline: str) -> dict[str, Any]:
    languages = _languages_of(run)
    own = run.scores.get(run.source)
    others = {t: s.metrics[headline] for t, s in run.scores.items() if t not in languages}
    return {
        "source": run.source,
        "seed": run.seed,
        "dev": max(run.training["dev"]),
        "at_home": None if own is None else own.metrics[headline],
        "zero_shot": mean(others.values()) if others else None,
        "best_target": max(others, key=lambda target: others[target]) if others else None,
        "epochs": run.training["epochs"],
        "examples": run.training["examples"],
        "seconds": run.training["seconds"],
        "examples_per_second": run.training["examples_per_second"],
    }


def _summary(runs: Sequence[TransferRun], headline: str) -> dict[str, Any]:
    """Return mean scores over all units: on the languages of the source, on other languages, and of trivial answers."""
    own = [run.scores[run.source].metrics[headline] for run in runs if run.source in run.scores]
    others = [
        (score.metrics[headline], score.trivial[headline])
        for run in runs
        for target, score in run.scores.items()
        if target not in _languages_of(run)
    ]
    return {
        "at_home": mean(own) if own else None,
        "zero_shot": mean(value for value, _ in others) if others else None,
        "trivial": mean(floor for _, floor in others) if others else None,
        "above_trivial": mean(float(value > floor) for value, floor in others) if others else None,
        "pairs": len(others),
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _failures(result: TransferResult, data: TransferData) -> list[dict[str, Any]]:
    failed = [_failure(code, error) for code, error in data.failed.items()]
    return failed + [
        {"source": unit.source, "seed": unit.seed, "error": error.message, "hint": error.hint}
        for unit, error in result.failed.items()
    ]


def _failure(code: str, error: XsnsError) -> dict[str, Any]:
    return {"language": code, "error": error.message, "hint": error.hint}
