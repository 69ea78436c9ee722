"""`xsns-stream reproduce`: run all steps of the tables and figures of the paper."""

from __future__ import annotations

import io
import shlex
import sys
import uuid
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TextIO

import click

from xsns_stream.cli.cluster_options import NAMES, asked_workers, cluster_options
from xsns_stream.cli.option_groups import DEVICE_HELP, PRECISIONS
from xsns_stream.cli.option_sections import Decorated, SectionedCommand, apply, section
from xsns_stream.cli.output import (
    LANG,
    SEEDS,
    common_options,
    counted,
    emit_json,
    examples,
    next_step,
    note,
    say,
    split_codes,
)
from xsns_stream.cli.parameter_types import WholeNumbers, flattened
from xsns_stream.errors import ExitCode, PartialError, XsnsError
from xsns_stream.reproduce.config import PRESETS
from xsns_stream.reproduce.step import ALL, TARGETS

if TYPE_CHECKING:
    from xsns_stream.pipeline.cluster_clients import Workers
    from xsns_stream.reproduce.plan import Plan
    from xsns_stream.reproduce.running import Event, Outcome, RecipePlan


_what, _sizes, _machine = section("Models and data"), section("Sizes and seeds"), section("Machine")
_FEWEST: Final = click.IntRange(min=1)


def reproduce_options(function: Decorated) -> Decorated:
    """Add every option of `reproduce` except the options for output on the terminal."""
    return apply(function, _what_options, _size_options, _machine_options)


def _what_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _what(
            "--preset",
            type=click.Choice(list(PRESETS)),
            default="embedded",
            show_default=True,
            help="embedded: the model in the package, on local data. paper: the models, sizes and data sets of the "
            "paper, from the Hub. gemma: sizes for a model such as Gemma 3 270M on two processor cores; it needs "
            "--model.",
        ),
        _what(
            "--model",
            default=None,
            help="Model to use instead of the model of the preset: `mini`, a local folder, a GGUF file, or a Hub id.",
        ),
        _what(
            "--other-model",
            "other_models",
            multiple=True,
            metavar="NAME",
            help="Additional model for table 4. May be given more than once.",
        ),
        _what(
            "--data",
            multiple=True,
            metavar="KIND=SPEC",
            help="Data of one kind. KIND is a task (ner, pos, nli, pi, qa or topic), with data as for `transfer "
            "--data`; general, a corpus that replaces Wikipedia; typology, the file feature_predictions.npz; or ldnd, "
            "a matrix of LDND. A folder alone contains folders and files that are named by kind. May be given more "
            "than once.",
        ),
        _what("--tasks", multiple=True, metavar="NAMES", help="Use only these tasks, such as `pos,ner`."),
        _what(
            *LANG,
            "languages",
            multiple=True,
            metavar="CODES",
            help="Sources and targets of every task, such as `en,de`, instead of the pool of the task.",
        ),
        _what(
            "--low-resource",
            multiple=True,
            metavar="CODES",
            help="Further targets outside the pool, instead of those of the preset.",
        ),
        _what(
            "-o",
            "--output",
            "--out",
            "out",
            type=click.Path(path_type=Path, file_okay=False),
            required=True,
            metavar="DIR",
            help="Folder of the results; the files of the steps are in DIR/work.",
        ),
    )


def _size_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _sizes("--examples", type=_FEWEST, default=None, metavar="N", help="Examples for each language, |D|."),
        _sizes("--density", type=float, default=None, help="Share of parameters to select.  [default: 0.15]"),
        _sizes(
            *SEEDS,
            "fisher_seeds",
            type=WholeNumbers(),
            callback=flattened,
            multiple=True,
            help="Seed for drawing and masking examples. May be given more than once.",
        ),
        _sizes(
            "--tuning-seed",
            "--tuning-seeds",
            "tuning_seeds",
            type=WholeNumbers(),
            callback=flattened,
            multiple=True,
            help="Seed of fine-tuning. May be given more than once.",
        ),
        _sizes(
            "--fine-tuning",
            type=click.Choice(["paper", "quick"]),
            default=None,
            help="Preset of `transfer`.  [default: quick; with --preset paper, paper]",
        ),
        _sizes(
            "--epochs",
            type=_FEWEST,
            default=None,
            metavar="N",
            help="Maximum number of epochs, instead of the number in the preset.",
        ),
        _sizes(
            "--limit", type=_FEWEST, default=None, metavar="N", help="Maximum number of training examples of a source."
        ),
        _sizes(
            "--test-limit", type=_FEWEST, default=None, metavar="N", help="Maximum number of test examples of a target."
        ),
        _sizes("--max-length", type=_FEWEST, default=None, metavar="N", help="Maximum length of an example in tokens."),
    )


def _machine_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _machine("--device", default="cpu", show_default=True, help=DEVICE_HELP),
        _machine(
            "--precision",
            type=PRECISIONS,
            default="float32",
            show_default=True,
            help="Precision of matrix products, for Fisher values and for fine-tuning.",
        ),
        click.option("--dry-run", is_flag=True, help="Print the command lines and their states, without running them."),
    )


class _Log(io.TextIOWrapper):
    """A text file that is flushed after every line. If `beside` is given, all text is also written to this stream."""

    def __init__(self, path: Path, beside: TextIO | None = None) -> None:
        super().__init__(path.open("wb"), encoding="utf-8", errors="replace", line_buffering=True)
        self.beside = beside

    def write(self, text: str, /) -> int:
        if self.beside is not None:
            self.beside.write(text)
        return super().write(text)


@contextmanager
def _words_of_workers(options: Mapping[str, Any], workers: Workers | None, quiet: bool) -> Iterator[tuple[str, ...]]:
    """Yield the options of workers as words that are added to the command lines of the steps.

    If `--workers` is a number, the processes are started once, and the words name their scheduler. If it is `auto`, the
    number of processes depends on the model, and each step starts its own processes.
    """
    if workers is not None and isinstance(workers.number, int):
        from xsns_stream.pipeline.cluster_clients import local_cluster

        others = {name: value for name, value in options.items() if name != "workers"}
        with local_cluster(workers.number, lambda text: note(f"note: {text}", quiet)) as client:
            yield _words(others | {"scheduler": client.scheduler_info(n_workers=0)["address"]})
    else:
        yield _words(options)


def _words(options: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", str(value)))


def _takes_workers(args: Sequence[str]) -> bool:
    """Return whether the verb of a step accepts the options of workers."""
    from xsns_stream.cli import cli

    command: click.Command | None = cli
    for word in args:
        if not isinstance(command, click.Group):
            break
        command = command.get_command(click.Context(command), word)
    return command is not None and "scheduler" in {parameter.name for parameter in command.params}


def run_verb(quiet: bool, words: Sequence[str] = ()) -> Callable[[Sequence[str], Path, Path | None], int]:
    """Return a function that runs a verb in this process, and returns its exit code.

    The function takes the arguments of the verb, the path of its log, and the path of a file for its stdout. The
    stderr of the verb is written to the log. If the path of the file is None, its stdout is written to a file beside
    the log.

    Args:
        quiet: Whether the stderr of the verb is not also written to the stderr of this process.
        words: Options of workers, which are added to the arguments of the verbs that accept them. They do not change
            results, and are not recorded.
    """

    def run(args: Sequence[str], log: Path, stdout: Path | None) -> int:
        args = (*args, *words) if words and _takes_workers(args) else args
        with _Log(log, None if quiet else sys.stderr) as log_stream:
            if stdout is None:
                with _Log(log.with_suffix(".out")) as result:
                    return _call(args, result, log_stream)
            # The name is unique, because two processes may work on one folder.
            partial = stdout.with_name(f".{stdout.name}.{uuid.uuid4().hex}.partial")
            try:
                with _Log(partial) as result:
                    code = _call(args, result, log_stream)
                if code in {ExitCode.OK, ExitCode.SOME_LANGUAGES_FAILED}:
                    partial.replace(stdout)
            finally:
                partial.unlink(missing_ok=True)
            return code

    return run


def _call(args: Sequence[str], out: TextIO, err: TextIO) -> int:
    """Run a command line and return its exit code.

    Raises:
        KeyboardInterrupt: The command was interrupted.
    """
    from xsns_stream.cli import main

    code: object = ExitCode.OK
    with redirect_stdout(out), redirect_stderr(err):
        try:
            main(list(args), within_another=True)
        except SystemExit as stop:
            code = stop.code
    return code if isinstance(code, int) else ExitCode.OK


class Progress:
    """Event handler that prints one line for each event of a run.

    Args:
        quiet: Whether to print nothing.
    """

    def __init__(self, quiet: bool) -> None:
        self.quiet = quiet

    def __call__(self, event: Event) -> None:
        """Print one line about an event of the run, unless `quiet` is True."""
        from xsns_stream.reproduce.running import RecipeEnded, StepEnded, StepStarted

        match event:
            case StepStarted(step, place, total, log):
                note(f"[{place}/{total}] {step.name} (log: {log})\n  {step.command_line}", self.quiet)
            case StepEnded(step, True, None):
                note(f"{step.name}: already done.", self.quiet)
            case StepEnded(step, done, seconds, why):
                after = "" if seconds is None else f" after {seconds:.0f} s"
                state = "done" if done else "failed"
                note(f"{step.name}: {state}{after}{f': {why}' if why else '.'}", self.quiet)
            case RecipeEnded(recipe, files, why):
                outcome = f"left out: {why}" if why else f"wrote {', '.join(map(str, files))}"
                note(f"{recipe.name}: {outcome}", self.quiet)


#: Words of the command line that do not change the results.
_ASIDE: Final = frozenset({"-q", "--quiet", "-v", "--verbose", "--json"})
_ARGUMENTS: Final = "reproduce.arguments"


class _Reproduce(SectionedCommand):
    """The class of the command `reproduce`, whose help page also lists the targets.

    It keeps the arguments of its command line, which the pages of results show.
    """

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = tuple(word for word in args if word not in _ASIDE)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Targets"):
            formatter.write_dl(
                [
                    *TARGETS.items(),
                    (
                        ALL,
                        "All tables and figures whose data are available. The others are listed with the reason.",
                    ),
                ]
            )
        super().format_options(ctx, formatter)


@click.command(
    name="reproduce",
    cls=_Reproduce,
    epilog=examples(
        "xsns-stream reproduce table2 --data pos=pos -o results --dry-run",
        "xsns-stream reproduce figure5 --data pos=pos --languages en,fi,sw --tuning-seed 42 --epochs 1 -o results",
    ),
)
@click.argument("target", type=click.Choice([*TARGETS, ALL]), metavar="TARGET")
@reproduce_options
@cluster_options("row or unit")
@common_options
@click.pass_context
def command(ctx: click.Context, /, target: str, dry_run: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Run the steps of a table or figure of the paper.

    A table or figure is computed by command lines of the other verbs. Their results are written to a page in the
    folder -o. The same command continues an interrupted run. --dry-run prints the command lines.

    With --workers or --scheduler, each step that measures or fine-tunes uses several processes.
    """
    from xsns_stream.reproduce.plan import RunOptions, plan
    from xsns_stream.reproduce.running import plan_recipes, with_follow_ups
    from xsns_stream.reproduce.step import recipes

    called = shlex.join(("xsns-stream", "reproduce", *ctx.meta[_ARGUMENTS]))
    given = {name: options[name] for name in NAMES if options[name] is not None}
    workers = asked_workers(options)
    for name in ("tasks", "languages", "low_resource"):
        options[name] = split_codes(options[name])
    made = plan(RunOptions(command=called, **options))
    for name, error in made.failed.items():
        note(f"left out: {name}: {error.message}", quiet)
    chosen = recipes(target)
    if dry_run:
        _show_plan(with_follow_ups(plan_recipes(chosen, made.config), made.config), made, target, as_json)
        return
    from xsns_stream.reproduce.running import reproduce

    with _words_of_workers(given, workers, quiet) as words:
        outcome = reproduce(chosen, made.config, run_verb(quiet, words), Progress(quiet))
    _tell(outcome, made, as_json)
    _refuse(outcome, made, target)
    if target != ALL:
        again = (ALL if word == target else word for word in ctx.meta[_ARGUMENTS])
        next_step("reproduce", *again, quiet=quiet, as_json=as_json)


def _show_plan(plans: list[RecipePlan], made: Plan, target: str, as_json: bool) -> None:
    """Print a shell script of all command lines that are known so far; it contains the state of each."""
    from xsns_stream.reproduce.running import states, unique

    steps = unique(step for one in plans for step in one.steps)
    state = states(made.config, steps)
    users = {
        step.name: [one.recipe.name for one in plans if step.name in {other.name for other in one.steps}]
        for step in steps
    }
    left_out = {one.recipe.name: one.left_out for one in plans if one.left_out is not None}
    later = [one.recipe.name for one in plans if one.recipe.follow_up is not None and one.left_out is None]
    if as_json:
        listed = [
            {"name": step.name, "targets": users[step.name], "command": step.command_line, "state": state[step.name]}
            for step in steps
        ]
        why = {name: error.message for name, error in left_out.items()}
        emit_json("reproduce", {"dry_run": True, "steps": listed, "left_out": why, "more_follow": later})
    else:
        for folder in dict.fromkeys(path.parent for step in steps for path in step.outputs):
            say(shlex.join(("mkdir", "-p", str(folder))))
        for step in steps:
            say(f"\n# {step.name} ({', '.join(users[step.name])}): {state[step.name]}\n{step.command_line}", lines=True)
        for name, error in left_out.items():
            say(f"\n# {name} is left out: {error.message}", lines=True)
        for name in later:
            say(f"\n# {name}: some of its steps depend on results and may change", lines=True)
    if target in left_out:
        raise left_out[target]


def _tell(outcome: Outcome, made: Plan, as_json: bool) -> None:
    if as_json:
        result = {
            "results": {name: [str(path) for path in files] for name, files in outcome.results.items()},
            "left_out": {name: error.message for name, error in outcome.left_out.items()},
            "tasks_left_out": dict(made.config.left_out),
            "failed": outcome.failed,
            "partly": outcome.partly,
        }
        emit_json("reproduce", result)
        return
    for name, files in outcome.results.items():
        say(f"{name}: {' '.join(map(str, files))}")
    for name, error in outcome.left_out.items():
        say(f"{name}: left out: {error.message}")


def _refuse(outcome: Outcome, made: Plan, target: str) -> None:
    """Raise an error if steps failed.

    Raises:
        PartialError: Some steps failed, and there are results.
        XsnsError: There are no results.
    """
    failed = outcome.failed | outcome.partly
    first = next((f"The first: {name}: {why}" for name, why in failed.items()), "")
    if not outcome.results:
        error = outcome.left_out.get(target)
        raise XsnsError(error.message if error else "there are no results.", first or (error.hint if error else ""))
    if failed:
        raise PartialError(
            f"{counted(len(failed), 'step')} failed, completely or for some languages.",
            f"the other steps are done; run the same command to try again. {first}",
        )
    if made.failed:
        name, why = next(iter(made.failed.items()))
        raise PartialError(
            f"{counted(len(made.failed), 'task')} could not be run: {', '.join(made.failed)}.",
            f"The first: {name}: {why.message} {why.hint}".rstrip(),
        )
