"""Run recipes: each step once, those that are done not at all, and a failure stops only what needs it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

from xsns_stream.errors import ExitCode, XsnsError
from xsns_stream.reproduce.config import RunConfig
from xsns_stream.reproduce.records import DONE, Records, file_name, needed, write_result
from xsns_stream.reproduce.step import Folder, LeftOutError, Recipe, Step

#: Runs a verb's command line with its output in a file (`log`), its stdout in another where one is given.
#: Returns the verb's exit code; KeyboardInterrupt where it was interrupted.
RunVerb: TypeAlias = Callable[[Sequence[str], Path, Path | None], int]


@dataclass(frozen=True)
class StepStarted:
    """A step begins: number `place` of `total` that are known of."""

    step: Step
    place: int
    total: int
    log: Path


@dataclass(frozen=True)
class StepEnded:
    """A step has come to its end.

    Attributes:
        step: The step.
        done: Whether it is done, for some languages at least.
        seconds: None where it was done before, or could not be run because of another.
        why: What went wrong, for it or for some of its languages.
    """

    step: Step
    done: bool
    seconds: float | None = None
    why: str = ""


@dataclass(frozen=True)
class RecipeEnded:
    """A recipe's files are written, or it is left out for `why`."""

    recipe: Recipe
    files: tuple[Path, ...]
    why: str = ""


Event: TypeAlias = StepStarted | StepEnded | RecipeEnded
OnEvent: TypeAlias = Callable[[Event], None]


@dataclass
class Outcome:
    """What came of a run.

    Attributes:
        results: {recipe: its files}.
        left_out: {recipe: why, which is no failure where all were asked for}.
        failed: {step: why}, also those that could not run because of another.
        partly: {step: why}: some of its languages failed.
    """

    results: dict[str, tuple[Path, ...]] = field(default_factory=dict)
    left_out: dict[str, LeftOutError] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    partly: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class RecipePlan:
    """A recipe's steps as far as they are known, or why it is left out."""

    recipe: Recipe
    steps: tuple[Step, ...] = ()
    left_out: LeftOutError | None = None


def with_follow_ups(plans: Iterable[RecipePlan], config: RunConfig) -> list[RecipePlan]:
    """Return plans with the steps that follow from results, as far as these can be told from what is done."""
    found = []
    for one in plans:
        if one.recipe.then is None or one.left_out is not None:
            found.append(one)
            continue
        waiting = frozenset(name for name, state in states(config, one.steps).items() if state != DONE)
        known = Folder({step.name: step for step in one.steps}, waiting=waiting)
        found.append(replace(one, steps=unique((*one.steps, *one.recipe.then(config, known)))))
    return found


def plan_recipes(recipes: Iterable[Recipe], config: RunConfig) -> list[RecipePlan]:
    """Return each recipe with the steps that are known before anything is run."""
    found = []
    for recipe in recipes:
        try:
            found.append(RecipePlan(recipe, unique(recipe.steps(config))))
        except LeftOutError as error:
            found.append(RecipePlan(recipe, left_out=error))
    unique(step for one in found for step in one.steps)
    return found


def unique(steps: Iterable[Step]) -> tuple[Step, ...]:
    """Return each step once, what a step needs before it.

    Raises:
        ValueError: Two steps of one name differ, or steps need one another in a circle.
    """
    known: dict[str, Step] = {}
    for step in steps:
        if known.setdefault(step.name, step) != step:
            raise ValueError(f"two steps are called '{step.name}'")
    left = {name: {other.name for other in needed(step, list(known.values()))} for name, step in known.items()}
    ordered: list[Step] = []
    while left:
        ready = next((name for name, waiting in left.items() if not waiting), None)
        if ready is None:
            raise ValueError(f"these steps need one another: {', '.join(left)}")
        ordered.append(known[ready])
        del left[ready]
        for waiting in left.values():
            waiting.discard(ready)
    return tuple(ordered)


def states(config: RunConfig, steps: Sequence[Step]) -> dict[str, str]:
    """Return {step: DONE, PARTLY or TO_DO}."""
    records = Records(config.work / "done")
    return {step.name: records.state(step, steps) for step in steps}


def reproduce(recipes: Sequence[Recipe], config: RunConfig, run_verb: RunVerb, on_event: OnEvent) -> Outcome:
    """Run the steps of recipes that are not done, and write each recipe's result.

    Args:
        recipes: In this order; steps that they share run once.
        config: Of the run.
        run_verb: Runs one command line.
        on_event: Told of every step and recipe.

    Raises:
        KeyboardInterrupt: The run was interrupted; what is done is kept.
        XsnsError: A record cannot be written.
    """
    run = _Run(config, run_verb, on_event)
    plans = plan_recipes(recipes, config)
    run.add(step for one in plans for step in one.steps)
    for one in plans:
        if one.left_out is not None:
            run.leave_out(one.recipe, one.left_out)
        else:
            run.recipe(one)
    return run.outcome


class _Run:
    """One run: the steps known so far, and what came of them."""

    def __init__(self, config: RunConfig, run_verb: RunVerb, on_event: OnEvent) -> None:
        self.config, self.run_verb, self.on_event = config, run_verb, on_event
        self.records = Records(config.work / "done")
        self.steps: tuple[Step, ...] = ()
        self.visited: set[str] = set()
        self.outcome = Outcome()

    def add(self, steps: Iterable[Step]) -> None:
        self.steps = unique((*self.steps, *steps))

    def recipe(self, one: RecipePlan) -> None:
        """Run a recipe's steps, those that follow from them, and write its result."""
        recipe = one.recipe
        self._run_all(one.steps)
        try:
            files = self._result(recipe, one.steps)
        except LeftOutError as error:
            self.leave_out(recipe, error)
            return
        except XsnsError as error:
            self.outcome.failed[recipe.name] = f"{error.message} {error.hint}".rstrip()
            self.on_event(RecipeEnded(recipe, (), error.message))
            return
        self.outcome.results[recipe.name] = files
        self.on_event(RecipeEnded(recipe, files))

    def _result(self, recipe: Recipe, steps: tuple[Step, ...]) -> tuple[Path, ...]:
        """Run the steps that follow from what the first have left, and write the recipe's files.

        Raises:
            LeftOutError: There is nothing to write.
            XsnsError: What a step has left cannot be read, or the files cannot be written.
        """
        if recipe.then is not None:
            more = recipe.then(self.config, self._folder(steps))
            self.add(more)
            steps = unique((*steps, *more))
            self._run_all(steps)
        folder = self._folder(steps)
        return write_result(recipe, recipe.render(self.config, folder), self.config, folder)

    def leave_out(self, recipe: Recipe, error: LeftOutError) -> None:
        self.outcome.left_out[recipe.name] = error
        self.on_event(RecipeEnded(recipe, (), error.message))

    def _run_all(self, steps: Sequence[Step]) -> None:
        for step in steps:
            if step.name not in self.visited:
                self.visited.add(step.name)
                self._run(step)

    def _run(self, step: Step) -> None:
        lacking = [other for other in needed(step, self.steps) if other.name in self.outcome.failed]
        reduced = step.without(lacking) if lacking else step
        if reduced is None:
            self._fail(step, None, f"it needs {', '.join(other.name for other in lacking)}.")
            return
        step = reduced
        if why := _excess(step):
            self._fail(step, None, why)
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
            why = "" if code == ExitCode.OK else said(log) or f"some of its languages failed; see {log}."
            if why:
                self.outcome.partly[step.name] = why
            self.on_event(StepEnded(step, True, seconds, why))
            return
        self._fail(step, seconds, said(log) or f"it ended with exit code {code}; see {log}.")

    def _fail(self, step: Step, seconds: float | None, why: str) -> None:
        self.outcome.failed[step.name] = why
        self.on_event(StepEnded(step, False, seconds, why))

    def _folder(self, steps: Sequence[Step]) -> Folder:
        names = {step.name for step in steps}
        return Folder(
            {step.name: step for step in steps},
            _of(self.outcome.failed, names),
            _of(self.outcome.partly, names),
        )


def _excess(step: Step) -> str:
    """Return what a step's outputs hold beyond what was asked for; empty where that is nothing, or none is there."""
    try:
        return step.excess() if step.excess and step.output.exists() else ""
    except XsnsError as error:
        return error.message


def said(log: Path) -> str:
    """Return what a verb said went wrong, from its log; empty where it said nothing."""
    try:
        lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    return next((line.removeprefix("error: ") for line in reversed(lines) if line.startswith("error: ")), "")


def _of(found: Mapping[str, str], names: set[str]) -> dict[str, str]:
    return {name: why for name, why in found.items() if name in names}
