"""Steps and recipes, and the catalogue of targets."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from xsns_stream.errors import XsnsError
from xsns_stream.io.atomic import read_json

if TYPE_CHECKING:
    from xsns_stream.reproduce.config import RunConfig


PROGRAM: Final = "xsns-stream"

#: Writes a figure as `png` or `svg` into an open file.
Figure: TypeAlias = Callable[[BinaryIO, str], None]


class LeftOutError(XsnsError):
    """A recipe that cannot be run with the data at hand; the others go on."""


@dataclass(frozen=True)
class Step:
    """One command line, and the files or folders that it leaves.

    A step needs every other step one of whose outputs its command names, as `PATH` or `NAME=PATH`.

    Attributes:
        name: Unique among all recipes; steps of the same name must be the same. Becomes the name of its log.
        args: The verb and what follows it.
        outputs: What is there once it is done, at least one.
        stdout: One of `outputs` that the verb's stdout is written to; None where it only goes to the log.
        action: Instead of a verb: what is called, with `command` as what a user can type.
        command: The command line where it is no verb's.
        spare: The option whose values may be left out where the step that makes one has failed, as `--predict`.
        excess: Says in a sentence what the outputs hold beyond what was asked for, because an earlier command asked for
            more, or nothing. A verb that continues its own file keeps what is in it.
    """

    name: str
    args: tuple[str, ...]
    outputs: tuple[Path, ...]
    stdout: Path | None = None
    action: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    command: tuple[str, ...] = ()
    spare: str = ""
    excess: Callable[[], str] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.outputs:
            raise ValueError(f"the step '{self.name}' leaves nothing")
        if self.stdout is not None and self.stdout not in self.outputs:
            raise ValueError(f"the stdout of the step '{self.name}' is none of its outputs")

    @property
    def output(self) -> Path:
        """The first output, which other steps name."""
        return self.outputs[0]

    @property
    def shown(self) -> str:
        """The command as a user can type it in a shell."""
        words = self.command or (PROGRAM, *self.args)
        return shlex.join(words) + (f" > {shlex.quote(str(self.stdout))}" if self.stdout else "")

    def needs(self, other: Step) -> bool:
        """Tell whether this step reads what the other leaves."""
        return other.name != self.name and not self._named.isdisjoint(other._left)

    @cached_property
    def _named(self) -> frozenset[str]:
        """Every path that the command may name."""
        return frozenset(path for word in self.command or self.args for path in _paths(word))

    @cached_property
    def _left(self) -> frozenset[str]:
        """The paths of the outputs."""
        return frozenset(map(str, self.outputs))

    def without(self, others: Sequence[Step]) -> Step | None:
        """Return the step without what other steps would have left; None where it cannot do without.

        What else names a value that is left out, as `--against NAME`, is left out with it.
        """
        pairs = list(zip(self.args, self.args[1:], strict=False))
        values = [value for option, value in pairs if option == self.spare and self.spare]
        lost = {path for other in others for path in other._left}
        gone = {value for value in values if lost & _paths(value)}
        labels = {value.partition("=")[0] for value in gone if "=" in value}
        dropped = {
            place
            for place, (option, value) in enumerate(pairs)
            if value in gone or (option.startswith("--") and value in labels)
        }
        places = {place + more for place in dropped for more in (0, 1)}
        args = tuple(word for place, word in enumerate(self.args) if place not in places)
        left = replace(self, args=args)
        return left if len(gone) < len(values) and not any(left.needs(other) for other in others) else None


def _paths(word: str) -> set[str]:
    """Return the paths that a word of a command line may name, as `PATH` or `NAME=PATH`."""
    return {str(Path(path)) for path in (word, word.partition("=")[2]) if path}


@dataclass(frozen=True)
class Folder:
    """What the steps of a recipe have left, for its render function.

    Attributes:
        steps: {name: step} of the recipe.
        failed: {name: why} of those that are not done, one sentence each.
        partly: {name: why} of those that are done, but not for every language.
        waiting: Names of those that were not run, because the run is only planned.
    """

    steps: Mapping[str, Step]
    failed: Mapping[str, str] = field(default_factory=dict)
    partly: Mapping[str, str] = field(default_factory=dict)
    waiting: frozenset[str] = frozenset()

    def done(self, step: Step | str) -> bool:
        """Tell whether a step of the recipe is done, so that its outputs are there and its own."""
        name = step if isinstance(step, str) else step.name
        return name in self.steps and name not in self.failed and name not in self.waiting

    def document(self, step: Step | str) -> dict[str, Any] | None:
        """Return the first JSON document among a step's outputs; None where the step is not done.

        Raises:
            ValueError: None of its outputs is one.
            XsnsError: It is damaged.
        """
        if not self.done(step):
            return None
        known = self.steps[step if isinstance(step, str) else step.name]
        path = next((path for path in known.outputs if path.suffix == ".json"), None)
        if path is None:
            raise ValueError(f"the step '{known.name}' leaves no JSON")
        found: dict[str, Any] = read_json(path)
        return found

    def why(self, step: Step | str) -> str:
        """Return why a step is not done; empty where it is."""
        return self.failed.get(step if isinstance(step, str) else step.name, "")


@dataclass(frozen=True)
class Result:
    """What a recipe ends in.

    Attributes:
        markdown: The page, from its title on, without the commands: the runner adds these.
        record: All numbers, as JSON can say them; NaN becomes null.
        figure: Writes the figure, where there is one.
    """

    markdown: str
    record: Mapping[str, Any]
    figure: Figure | None = None


@dataclass(frozen=True)
class Recipe:
    """A table or a figure of the paper.

    Attributes:
        name: As on the command line, and of its files.
        title: One line.
        steps: The command lines that it needs. Raises :class:`LeftOutError` where the data do not allow it.
        render: Makes the result of what they have left. It is called also where some steps failed, and leaves out
            what these would have given; raises :class:`LeftOutError` where nothing is left.
        then: Further steps that depend on what the first have left. It is asked for a dry run too, and then has to do
            without what is not there.
    """

    name: str
    title: str
    steps: Callable[[RunConfig], Sequence[Step]]
    render: Callable[[RunConfig, Folder], Result]
    then: Callable[[RunConfig, Folder], Sequence[Step]] | None = None


ALL: Final = "all"
#: Target → one line of help. The file recipes/TARGET.py holds a recipe named `RECIPE`.
TARGETS: Final[Mapping[str, str]] = {
    "table1": "Which text, and which output of the model: task or general text, language model or task head.",
    "table2": "Sub-networks against typology, text and embeddings, on every task.",
    "table3": "How far scores fitted to similarity are off: least squares and mixed effects.",
    "table4": "The same predictors on other models.",
    "figure1": "Transfer of NER by source.",
    "figure3": "Prediction by density of the sub-networks.",
    "figure4": "Three sources at once, chosen by each predictor.",
    "figure5": "How far transfer to a target spreads over sources.",
    "figure6": "Prediction by number of examples.",
    "figure7": "Low-resource targets: the predicted source against English.",
    "choices": "Not the paper's: other estimators, thresholds and ways to compare.",
}


def recipes(target: str) -> list[Recipe]:
    """Return the recipe of a target; all of them, in the order of the paper, for `all`."""
    names = list(TARGETS) if target == ALL else [target]
    found: list[Recipe] = [import_module(f"xsns_stream.reproduce.recipes.{name}").RECIPE for name in names]
    return found
