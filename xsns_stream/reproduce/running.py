"""Execution of recipes.

Each step runs once. Finished steps are skipped. If a step fails, only the steps that need it are not run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from xsns_stream.errors import ExitCode, XsnsError
from xsns_stream.reproduce.config import RunConfig
from xsns_stream.reproduce.records import DONE, Records, file_name, needed, write_result
from xsns_stream.reproduce.step import LeftOutError, Recipe, Step, StepOutputs

#: A function that runs a verb: (words of the command line, log file for its output, file for its stdout or None) → exit
#: code. It raises KeyboardInterrupt if the verb was interrupted.
RunVerb: TypeAlias = Callable[[Sequence[str], Path, Path | None], int]


@dataclass(frozen=True)
class StepStarted:
    """Event: a step starts. `number` is its position, from 1, among the `total` steps that are known so far."""

    step: Step
    number: int
    total: int
    log: Path


@dataclass(frozen=True)
class StepEnded:
    """Event: a step has ended.

    Attributes:
        step: The step.
        done: Whether the step is done, at least for some languages.
        seconds: The duration of the step in seconds; None if the step was already done, or was not run because another
            step failed.
        reason: The error message if the step, or some of its languages, failed.
    """

    step: Step
    done: bool
    seconds: float | None = None
    reason: str = ""


@dataclass(frozen=True)
class RecipeEnded:
    """Event: a recipe has ended; either its files were written, or it was left out for the reason in `reason`."""

    recipe: Recipe
    files: tuple[Path, ...]
    reason: str = ""


Event: TypeAlias = StepStarted | StepEnded | RecipeEnded
OnEvent: TypeAlias = Callable[[Event], None]


@dataclass
class Outcome:
    """The outcome of a run.

    Attributes:
        results: {recipe: its files}.
        left_out: {recipe: reason}. A recipe that is left out is not a failure if all recipes were requested.
        failed: {step: reason}, including the steps that were not run because another step failed.
        partly: {step: reason} of the steps in which some languages failed.
    """

    results: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    left_out: dict[str, LeftOutError] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    partly: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecipePlan:
    """The steps of a recipe that are known so far, or the reason why the recipe is left out."""

    recipe: Recipe
    steps: tuple[Step, ...] = ()
    left_out: LeftOutError | None = None


def plan_recipes(recipes: Iterable[Recipe], config: RunConfig) -> list[RecipePlan]:
    """Return each recipe with the steps that are known before anything is run."""
    plans = []
    for recipe in recipes:
        try:
            plans.append(RecipePlan(recipe, unique(recipe.steps(config))))
        except LeftOutError as error:
            plans.append(RecipePlan(recipe, left_out=error))
    unique(step for plan in plans for step in plan.steps)
    return plans


def with_follow_ups(plans: Iterable[RecipePlan], config: RunConfig) -> list[RecipePlan]:
    """Return plans that also contain the follow-up steps that are known from the completed steps."""
    extended = []
    for plan in plans:
        if plan.recipe.follow_up is None or plan.left_out is not None:
            extended.append(plan)
            continue
        pending = frozenset(name for name, state in states(config, plan.steps).items() if state != DONE)
        outputs = StepOutputs({step.name: step for step in plan.steps}, pending=pending)
        extended.append(replace(plan, steps=unique((*plan.steps, *plan.recipe.follow_up(config, outputs)))))
    return extended


def unique(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return the distinct steps in topological order: each step comes after the steps that it needs.

    Raises:
        ValueError: Two different steps have the same name, or the dependencies of steps form a cycle.
    """
    known: dict[str, Step] = {}
    for step in steps:
        if known.setdefault(step.name, step) != step:
            raise ValueError(f"two steps are called '{step.name}'")
    waiting = {name: {other.name for other in needed(step, list(known.values()))} for name, step in known.items()}
    ordered: list[Step] = []
    while waiting:
        ready = next((name for name, needs in waiting.items() if not needs), None)
        if ready is None:
            raise ValueError(f"these steps need one another: {', '.join(waiting)}")
        ordered.append(known[ready])
        del waiting[ready]
        for needs in waiting.values():
            needs.discard(ready)
    return tuple(ordered)


def states(config: RunConfig, steps: Sequence[Step]) -> dict[str, str]:
    """Return {step: DONE, PARTLY or TO_DO}."""
    records = Records(config.work / "done")
    return {step.name: records.state(step, steps) for step in steps}


def reproduce(recipes: Sequence[Recipe], config: RunConfig, run_verb: RunVerb, on_event: OnEvent) -> Outcome:
    """Run the steps of recipes that are not done, and write the result of each recipe.

    Args:
        recipes: The recipes, which are run in this order; a step that several recipes share runs once.
        config: The configuration of the run.
        run_verb: Function that runs one command line.
        on_event: Function that is called with every event of a step or a recipe.

    Raises:
        KeyboardInterrupt: The run was interrupted; finished steps stay finished.
        XsnsError: A record cannot be written.
    """
    run = _Run(config, run_verb, on_event)
    plans = plan_recipes(recipes, config)
    run.add(step for plan in plans for step in plan.steps)
    for plan in plans:
        if plan.left_out is not None:
            run.leave_out(plan.recipe, plan.left_out)
        else:
            run.run_recipe(plan)
    return run.outcome


class _Run:
    """A run of recipes: all steps that are known so far, and the outcome so far."""

    def __init__(self, config: RunConfig, run_verb: RunVerb, on_event: OnEvent) -> None:
        self.config, self.run_verb, self.on_event = config, run_verb, on_event
        self.records = Records(config.work / "done")
        self.steps: tuple[Step, ...] = ()
        self.visited: set[str] = set()
        self.outcome = Outcome()

    def add(self, steps: Iterable[Step]) -> None:
        self.steps = unique((*self.steps, *steps))

    def run_recipe(self, plan: RecipePlan) -> None:
        """Run a recipe's steps and its follow-up steps, and write its result."""
        recipe = plan.recipe
        self._run_steps(plan.steps)
        try:
            files = self._write_result(recipe, plan.steps)
        except LeftOutError as error:
            self.leave_out(recipe, error)
            return
        except XsnsError as error:
            self.outcome.failed[recipe.name] = f"{error.message} {error.hint}".rstrip()
            self.on_event(RecipeEnded(recipe, (), error.message))
            return
        self.outcome.results[recipe.name] = files
        self.on_event(RecipeEnded(recipe, files))

    def _write_result(self, recipe: Recipe, steps: tuple[Step, ...]) -> tuple[Path, ...]:
        """Run the follow-up steps, and write the files of the recipe.

        Raises:
            LeftOutError: There is no result.
            XsnsError: The output of a step cannot be read, or a file cannot be written.
        """
        if recipe.follow_up is not None:
            more = recipe.follow_up(self.config, self._outputs(steps))
            self.add(more)
            steps = unique((*steps, *more))
            self._run_steps(steps)
        outputs = self._outputs(steps)
        return write_result(recipe, recipe.render(self.config, outputs), self.config, outputs)

    def leave_out(self, recipe: Recipe, error: LeftOutError) -> None:
        self.outcome.left_out[recipe.name] = error
        self.on_event(RecipeEnded(recipe, (), error.message))

    def _run_steps(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.name not in self.visited:
                self.visited.add(step.name)
                self._run_step(step)

    def _run_step(self, step: Step) -> None:
        missing = [other for other in needed(step, self.steps) if other.name in self.outcome.failed]
        reduced = step.without(missing) if missing else step
        if reduced is None:
            self._fail(step, None, f"it needs {', '.join(other.name for other in missing)}.")
            return
        step = reduced
        if reason := _violation(step):
            self._fail(step, None, reason)
            return
        if self.records.state(step, self.steps) == DONE:
            self.on_event(StepEnded(step, True))
            return
        log = self.config.work / "logs" / f"{file_name(step.name)}.log"
        for path in (log, *step.outputs):
            path.parent.mkdir(parents=True, exist_ok=True)
        self.on_event(StepStarted(step, len(self.visited), len(self.steps), log))
        started = time.monotonic()
        code = self._call(step, log)
        self._end(step, code, time.monotonic() - started, log)

    def _call(self, step: Step, log: Path) -> int:
        if step.action is None:
            return self.run_verb(step.args, log, step.stdout)
        try:
            step.action()
        except XsnsError as error:
            log.write_text(f"error: {error.message}\nhint: {error.hint}\n", encoding="utf-8")
            return error.exit_code
        return ExitCode.OK

    def _end(self, step: Step, code: int, seconds: float, log: Path) -> None:
        if code in {ExitCode.OK, ExitCode.SOME_LANGUAGES_FAILED} and all(path.exists() for path in step.outputs):
            self.records.write(step, self.steps, code)
            partly = f"some of its languages failed; see {log}."
            reason = "" if code == ExitCode.OK else last_error(log) or partly
            if reason:
                self.outcome.partly[step.name] = reason
            self.on_event(StepEnded(step, True, seconds, reason))
            return
        self._fail(step, seconds, last_error(log) or f"it ended with exit code {code}; see {log}.")

    def _fail(self, step: Step, seconds: float | None, reason: str) -> None:
        self.outcome.failed[step.name] = reason
        self.on_event(StepEnded(step, False, seconds, reason))

    def _outputs(self, steps: Sequence[Step]) -> StepOutputs:
        by_name = {step.name: step for step in steps}
        return StepOutputs(by_name, _restrict(self.outcome.failed, by_name), _restrict(self.outcome.partly, by_name))


def _violation(step: Step) -> str:
    """Return a sentence if a step's precondition is violated; empty if not, or if the first output does not exist."""
    try:
        return step.precondition() if step.precondition and step.output.exists() else ""
    except XsnsError as error:
        return error.message


def last_error(log: Path) -> str:
    """Return the last error message in the log of a verb; empty if there is none."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), "")


def _restrict(reasons: Mapping[str, str], names: Iterable[str]) -> dict[str, str]:
    return {name: reasons[name] for name in reasons if name in names}
