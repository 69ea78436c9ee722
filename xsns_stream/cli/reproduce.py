"""`xsns-stream reproduce`: the paper's tables and figures, from their first step to the page."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.common import common_options, counted, emit_json, examples, note, say, split_codes
from xsns_stream.cli.reproduce_options import reproduce_options
from xsns_stream.cli.sections import SectionedCommand
from xsns_stream.errors import PartialError, XsnsError
from xsns_stream.reproduce.catalogue import ALL, TARGETS

if TYPE_CHECKING:
    from xsns_stream.reproduce.data import Plan
    from xsns_stream.reproduce.running import Outcome, Planned

#: Words that change nothing in what is made.
_ASIDE: Final = frozenset({"-q", "--quiet", "-v", "--verbose", "--json"})
_ARGUMENTS: Final = "reproduce.arguments"


class _Reproduce(SectionedCommand):
    """A command that remembers how it was called, for the pages, and lists its targets."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta[_ARGUMENTS] = tuple(word for word in args if word not in _ASIDE)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Targets"):
            formatter.write_dl([*TARGETS.items(), (ALL, "All that the data allow; the others are named, with why.")])
        super().format_options(ctx, formatter)


@click.command(
    name="reproduce",
    cls=_Reproduce,
    epilog=examples(
        "xsns-stream reproduce table2 --data pos=pos --out results --dry-run",
        "xsns-stream reproduce figure5 --data pos=pos --languages en,fi,sw --tuning-seed 42 --epochs 1 --out results",
    ),
)
@click.argument("target", type=click.Choice([*TARGETS, ALL]), metavar="TARGET")
@reproduce_options
@common_options
@click.pass_context
def command(ctx: click.Context, /, target: str, dry_run: bool, as_json: bool, quiet: bool, **options: Any) -> None:
    """Run a table or figure of the paper, step by step.

    Each is a few command lines of the other verbs, and a page made of what they leave, in the folder --out. Running
    again goes on where the last run stopped; what is done is not done again. --dry-run prints the command lines.
    """
    from xsns_stream.reproduce.catalogue import recipes
    from xsns_stream.reproduce.data import Asked, plan
    from xsns_stream.reproduce.running import foreseen, planned

    called = shlex.join(("xsns-stream", "reproduce", *ctx.meta[_ARGUMENTS]))
    for name in ("tasks", "languages", "low_resource"):
        options[name] = split_codes(options[name])
    made = plan(Asked(command=called, **options))
    for name, error in made.failed.items():
        note(f"left out: {name}: {error.message}", quiet)
    chosen = recipes(target)
    if dry_run:
        _show_plan(foreseen(planned(chosen, made.setting), made.setting), made, target, as_json)
        return
    from xsns_stream.cli.reproduce_running import Progress, run_verb
    from xsns_stream.reproduce.running import reproduce

    outcome = reproduce(chosen, made.setting, run_verb(quiet), Progress(quiet))
    _tell(outcome, made, as_json)
    _refuse(outcome, made, target)


def _show_plan(plans: list[Planned], made: Plan, target: str, as_json: bool) -> None:
    """Print every known command line, as a script that a shell can run, and whether it is done."""
    from xsns_stream.reproduce.running import states, unique

    steps = unique(step for one in plans for step in one.steps)
    state = states(made.setting, steps)
    users = {
        step.name: [one.recipe.name for one in plans if step.name in {other.name for other in one.steps}]
        for step in steps
    }
    left_out = {one.recipe.name: one.left_out for one in plans if one.left_out is not None}
    later = [one.recipe.name for one in plans if one.recipe.then is not None and one.left_out is None]
    if as_json:
        listed = [
            {"name": step.name, "targets": users[step.name], "command": step.shown, "state": state[step.name]}
            for step in steps
        ]
        why = {name: error.message for name, error in left_out.items()}
        emit_json("reproduce", {"dry_run": True, "steps": listed, "left_out": why, "more_follow": later})
    else:
        for folder in dict.fromkeys(path.parent for step in steps for path in step.outputs):
            say(shlex.join(("mkdir", "-p", str(folder))))
        for step in steps:
            say(f"\n# {step.name} ({', '.join(users[step.name])}): {state[step.name]}\n{step.shown}", lines=True)
        for name, error in left_out.items():
            say(f"\n# {name} is left out: {error.message}", lines=True)
        for name in later:
            say(f"\n# {name}: some of its steps depend on results; there may be more of them, or others", lines=True)
    if target in left_out:
        raise left_out[target]


def _tell(outcome: Outcome, made: Plan, as_json: bool) -> None:
    if as_json:
        result = {
            "results": {name: [str(path) for path in files] for name, files in outcome.results.items()},
            "left_out": {name: error.message for name, error in outcome.left_out.items()},
            "tasks_left_out": dict(made.setting.left_out),
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
    """End with the exit code of what failed.

    Raises:
        PartialError: Something failed, and something is there all the same.
        XsnsError: Nothing is there.
    """
    failed = outcome.failed | outcome.partly
    first = next((f"The first: {name}: {why}" for name, why in failed.items()), "")
    if not outcome.results:
        error = outcome.left_out.get(target)
        raise XsnsError(error.message if error else "nothing could be made.", first or (error.hint if error else ""))
    if failed:
        raise PartialError(
            f"{counted(len(failed), 'step')} failed, wholly or for some languages.",
            f"the others are done; the same command tries again. {first}",
        )
    if made.failed:
        name, why = next(iter(made.failed.items()))
        raise PartialError(
            f"{counted(len(made.failed), 'task')} could not be run: {', '.join(made.failed)}.",
            f"The first: {name}: {why.message} {why.hint}".rstrip(),
        )
