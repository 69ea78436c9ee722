"""`xsns-stream transfer`: fine-tune on sources, test on targets → gold scores."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from types import TracebackType
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.option_groups import SectionedCommand, corpus_json
from xsns_stream.cli.output import (
    common_options,
    counted,
    csv_guard_option,
    emit_json,
    examples,
    note,
    say,
    stderr_console,
    stdout_console,
)
from xsns_stream.cli.transfer_options import Loader, settings_of, transfer_options
from xsns_stream.errors import PartialError, UsageError, XsnsError
from xsns_stream.languages import constituents
from xsns_stream.pipeline.events import (
    StepsDone,
    TransferEvent,
    UnitDone,
    UnitFailed,
    UnitsAwaited,
    UnitStarted,
)

if TYPE_CHECKING:
    from rich.console import Console

    from xsns_stream.pipeline.events import TransferEvent, TransferPlan, TransferResult
    from xsns_stream.pipeline.finetune_settings import TransferData, TransferSettings
    from xsns_stream.types import TransferRun


#: Seconds after which a log that was silent hears of the unit at work.
_QUIET: Final = 60.0


class TransferProgress:
    """Receives events; use as a context manager.

    Args:
        console: Where to draw.
        units: How many units there are to make.
    """

    def __init__(self, console: Console, units: int) -> None:
        from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

        self.console, self.units, self.done = console, units, 0
        self.said = time.monotonic()
        self.bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            TextColumn("{task.fields[count]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(elapsed_when_finished=True),
            console=console,
            disable=not console.is_terminal or not units,
        )
        self.task = self.bar.add_task("fine-tuning", total=float(units), count=self._count())

    def __enter__(self) -> TransferProgress:
        self.bar.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.bar.__exit__(kind, value, trace)

    def __call__(self, event: TransferEvent) -> None:
        """Draw one event."""
        if isinstance(event, UnitStarted):
            self.bar.update(self.task, description=str(event.unit))
        elif isinstance(event, StepsDone):
            # Testing is taken for a tenth of a unit, which moves the bar and decides nothing.
            share = event.done / event.total
            part = 0.9 + 0.1 * share if event.what.startswith("testing") else 0.9 * share
            self.bar.update(self.task, completed=self.done + part, description=f"{event.unit} {event.what}")
            self._remind(event)
        elif isinstance(event, UnitsAwaited):
            names = ", ".join(map(str, event.units))
            self._say(f"note: being made by another process, and waited for: {names}.")
        elif isinstance(event, UnitFailed):
            self._advance()
            self._say(f"failed: {event.unit}: {event.error.message}")
        elif isinstance(event, UnitDone):
            self._advance()
            if not self.console.is_terminal:
                self._say(f"[{self.done}/{self.units}] {event.unit}: {_unit_summary(event.run)}, {event.seconds:.0f} s")

    def _count(self) -> str:
        return f"{self.done}/{self.units}"

    def _remind(self, event: StepsDone) -> None:
        """Say in a log file that a long unit goes on."""
        if self.console.is_terminal or time.monotonic() - self.said < _QUIET:
            return
        testing = event.what.startswith("testing")
        step = f"{event.what}, {event.done} of {event.total}" if testing else f"step {event.done:,} of {event.total:,}"
        self._say(f"{event.unit}: {step}{f', {event.what}' if event.what and not testing else ''}")

    def _advance(self) -> None:
        self.done += 1
        self.bar.update(self.task, completed=self.done, count=self._count())

    def _say(self, text: str) -> None:
        self.said = time.monotonic()
        self.console.print(text, markup=False, soft_wrap=True)


def _unit_summary(run: TransferRun) -> str:
    headline = next(iter(next(iter(run.scores.values())).metrics))
    abroad = [score.metrics[headline] for target, score in run.scores.items() if target not in constituents(run.source)]
    home = run.scores.get(run.source)
    parts = [
        f"dev {max(run.training['dev']):.1f} after {run.training['best_epoch']} of {run.training['epochs']} epochs"
    ]
    if home is not None:
        parts.append(f"own test {home.metrics[headline]:.1f}")
    if abroad:
        parts.append(f"zero-shot {mean(abroad):.1f} on {len(abroad)}")
    return ", ".join(parts)


@click.command(
    name="transfer",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream transfer --task pos --data pos --sources en,fi --limit 20 --epochs 1 -o scores.parquet",
        "xsns-stream transfer --task pos --data pos --sources all --dry-run -o gold.parquet",
    ),
)
@transfer_options
@click.option("-o", "--output", required=True, metavar="FILE", help="Gold scores: .parquet, or .csv.")
@csv_guard_option
@click.option("--metric", default=None, help="Which of the task's metrics goes to FILE; its first by default.")
@click.option("--dry-run", is_flag=True, help="Say what would be done and how long it takes, and stop.")
@common_options
def command(output: str, metric: str | None, as_json: bool, quiet: bool, dry_run: bool, **options: Any) -> None:
    """Fine-tune a model on each source, and test it on every target.

    Each (source, seed) is a unit of work. Its scores are kept in FILE.units as soon as it is done, and FILE holds all
    of them: running again makes what is missing, several processes may work on one FILE, and a stopped run loses
    nothing but the unit it was at. FILE is what `evaluate --gold` and `regress --gold` read.
    """
    from xsns_stream.gold import SCORE_FORMATS
    from xsns_stream.io.atomic import writable
    from xsns_stream.pipeline.finetune import plan_transfer
    from xsns_stream.pipeline.finetune_settings import read_data

    target = writable(output, SCORE_FORMATS)
    settings = settings_of(options)
    if metric is not None and metric not in settings.task.metrics:
        raise UsageError(
            f"{settings.task.name} has no metric '{metric}'.", f"it has {', '.join(settings.task.metrics)}."
        )
    console = stderr_console(quiet)
    with console.status("reading the data …") as status:
        data = read_data(settings, lambda what: status.update(f"reading {what} …"))
    for sentence in data.notes:
        note(f"note: {sentence}", quiet)
    for language, error in data.failed.items():
        note(f"failed: {language}: {error.message}", quiet)
    load = Loader(settings, data.labels, quiet)
    folder = target.with_name(f"{target.name}.units")
    with console.status("loading the model …"):
        plan = plan_transfer(settings, data, folder, load, timed=dry_run)
    for sentence in plan.notes:
        note(f"note: {sentence}", quiet)
    for units, what in (
        (plan.again, "lacking targets and kept in no --keep-models, so fine-tuned again"),
        (plan.kept, "lacking targets, which the kept model is tested on"),
    ):
        if units:
            note(f"note: {what}: {', '.join(map(str, units))}.", quiet)
    if dry_run:
        _show_plan(_with_notes(plan, load), settings, data, as_json)
        return
    result = _run(settings, data, load, target, metric, plan, quiet)
    _tell(result, settings, data, _with_notes(plan, load), target, metric, as_json)
    _complain(result, data)


def _with_notes(plan: TransferPlan, load: Loader) -> TransferPlan:
    """Return a plan whose notes hold what was said of how the model was loaded."""
    return replace(plan, notes=(*plan.notes, *load.notes))


def _run(
    settings: TransferSettings,
    data: TransferData,
    load: Loader,
    target: Path,
    metric: str | None,
    plan: TransferPlan,
    quiet: bool,
) -> TransferResult:
    from xsns_stream.gold import write_scores
    from xsns_stream.pipeline.events import UnitDone
    from xsns_stream.pipeline.finetune import gold_scores, transfer
    from xsns_stream.pipeline.units import UnitFolder

    folder = target.with_name(f"{target.name}.units")

    def write() -> None:
        units = UnitFolder(folder)
        with units.writing():
            runs = units.all()
            if runs:
                write_scores(gold_scores(runs, settings, metric), target)

    with TransferProgress(stderr_console(quiet), len(plan.todo)) as progress:

        def on_event(event: TransferEvent) -> None:
            progress(event)
            if isinstance(event, UnitDone):
                write()

        result = transfer(settings, data, folder, load, on_event)
    write()
    return result


# ---------------------------------------------------------------------------------------------- telling


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
            },
        )
        return
    say(
        f"{counted(len(data.train), 'source')} × {counted(len(settings.seeds), 'seed')}, "
        f"{counted(len(data.test), 'target')}, from {settings.corpus.name}: "
        f"{counted(len(plan.todo) + len(plan.done), 'unit')}, {len(plan.todo)} of them not made yet."
    )
    sizes = ", ".join(f"{source} {sum(map(len, splits)):,}" for source, splits in data.train.items())
    say(f"training examples: {sizes}; test examples: {sum(map(len, data.test.values())):,}.")
    if plan.times is not None and plan.seconds is not None:
        say(
            f"at most {_duration(plan.seconds)} here: {plan.training_examples:,} training examples × "
            f"{1000 * plan.times.training:.1f} ms (all epochs) + {plan.test_examples:,} tests × "
            f"{1000 * plan.times.testing:.1f} ms."
        )


def _duration(seconds: float) -> str:
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def _tell(
    result: TransferResult,
    settings: TransferSettings,
    data: TransferData,
    plan: TransferPlan,
    target: Path,
    metric: str | None,
    as_json: bool,
) -> None:
    headline = metric or settings.task.metrics[0]
    runs = [_asked(run, settings, data) for run in result.runs]
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

    table = Table(title=f"{settings.task.name}: {headline} of {settings.model}, percent")
    # Training watches the task's first metric, whatever is shown.
    dev = "dev" if headline == settings.task.metrics[0] else f"dev {settings.task.metrics[0]}"
    for name in ("source", "seed", dev, "own test", "zero-shot", "best target", "epochs"):
        table.add_column(name, justify="left" if name in ("source", "best target") else "right")
    for row in rows:
        shown = [_number(row[name]) for name in ("dev", "at_home", "zero_shot")]
        table.add_row(row["source"], str(row["seed"]), *shown, row["best_target"] or "–", str(row["epochs"]))
    stdout_console().print(table)
    if summary["zero_shot"] is not None:
        say(
            f"zero-shot {summary['zero_shot']:.1f} on average; {summary['trivial']:.1f} for the answer that needs no "
            f"model; {100 * summary['above_trivial']:.0f} % of {counted(summary['pairs'], 'score')} are above that."
        )
    others = f"{len(result.by_others)} made by another process, " if result.by_others else ""
    say(f"{target}: {counted(len(result.committed), 'unit')} made, {others}{len(result.runs)} there.")


def _asked(run: TransferRun, settings: TransferSettings, data: TransferData) -> TransferRun:
    """Return a run without the scores of earlier commands' targets, which the table does not speak of."""
    targets = set(settings.targets_of(run.source)) & set(data.test)
    return replace(run, scores={target: score for target, score in run.scores.items() if target in targets})


def _row(run: TransferRun, headline: str) -> dict[str, Any]:
    languages = constituents(run.source)
    home = run.scores.get(run.source)
    abroad = {t: s.metrics[headline] for t, s in run.scores.items() if t not in languages}
    return {
        "source": run.source,
        "seed": run.seed,
        "dev": max(run.training["dev"]),
        "at_home": None if home is None else home.metrics[headline],
        "zero_shot": mean(abroad.values()) if abroad else None,
        "best_target": max(abroad, key=lambda target: abroad[target]) if abroad else None,
        "epochs": run.training["epochs"],
        "examples": run.training["examples"],
        "seconds": run.training["seconds"],
        "examples_per_second": run.training["examples_per_second"],
    }


def _summary(runs: Sequence[TransferRun], headline: str) -> dict[str, Any]:
    """Return what all units scored at home and abroad, and how far above the trivial answer that is."""
    home = [run.scores[run.source].metrics[headline] for run in runs if run.source in run.scores]
    abroad = [
        (score.metrics[headline], score.trivial[headline])
        for run in runs
        for target, score in run.scores.items()
        if target not in constituents(run.source)
    ]
    return {
        "at_home": mean(home) if home else None,
        "zero_shot": mean(value for value, _ in abroad) if abroad else None,
        "trivial": mean(floor for _, floor in abroad) if abroad else None,
        "above_trivial": mean(float(value > floor) for value, floor in abroad) if abroad else None,
        "pairs": len(abroad),
    }


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.1f}"


def _failures(result: TransferResult, data: TransferData) -> list[dict[str, Any]]:
    found = [_failure(code, error) for code, error in data.failed.items()]
    return found + [
        {"source": unit.source, "seed": unit.seed, "error": error.message, "hint": error.hint}
        for unit, error in result.failed.items()
    ]


def _failure(code: str, error: XsnsError) -> dict[str, Any]:
    return {"language": code, "error": error.message, "hint": error.hint}


def _complain(result: TransferResult, data: TransferData) -> None:
    """Raise the error that tells what failed, after everything else was done."""
    problems = dict(data.failed) | {str(unit): error for unit, error in result.failed.items()}
    if problems:
        first = next(iter(problems.values()))
        raise PartialError(
            f"{len(problems)} failed: {', '.join(problems)}.",
            f"the others are in the file. The first: {first.message} {first.hint}".rstrip(),
        )
    if result.elsewhere:
        raise PartialError(
            f"{counted(len(result.elsewhere), 'unit')} are being made by another process.",
            "run the same command once it is done, to have them in the file.",
        )
