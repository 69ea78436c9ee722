"""Classes of steps and recipes, and the catalogue of the targets of `reproduce`."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Final, TypeAlias

from xsns_stream.errors import XsnsError
from xsns_stream.io.json import read_json

if TYPE_CHECKING:
    from xsns_stream.reproduce.config import RunConfig


PROGRAM: Final = "xsns-stream"

#: Writes a figure as `png` or `svg` into an open file.
Figure: TypeAlias = Callable[[BinaryIO, str], None]


class LeftOutError(XsnsError):
    """Raised if a recipe cannot be run with the given data; other recipes are not affected."""


@dataclass(frozen=True)
class Step:
    """A step of a recipe: one command line, and the files or folders that it writes.

    A step needs another step if its command line contains the path of an output of the other step, either as
    `PATH` or as `NAME=PATH`.

    Attributes:
        name: The name of the step and of its log file. Steps with the same name must be equal, even in different
            recipes.
        args: The verb and its arguments.
        outputs: Files and folders that exist when the step is done; at least one.
        stdout: The output file to which the stdout of the verb is written; None if no output contains it.
        action: A function that is called instead of a verb; None if the step runs a verb.
        command: The equivalent command line of a step with an action.
        droppable: An option, such as `--predict`, whose values are outputs of other steps. A value is omitted if the
            step that writes it has failed.
        precondition: Function that returns a sentence if existing outputs contain data that this step does not request,
            and otherwise an empty text. It is needed because a verb that continues an existing file removes no data
            from this file.
    """

    name: str
    args: tuple[str, ...]
    outputs: tuple[Path, ...]
    stdout: Path | None = None
    action: Callable[[], None] | None = field(default=None, compare=False, repr=False)
    command: tuple[str, ...] = ()
    droppable: str = ""
    precondition: Callable[[], str] | None = field(default=None, compare=False, repr=False)

    def __post_init__(self) -> None:
        if not self.outputs:
            raise ValueError(f"the step '{self.name}' has no outputs")
        if self.stdout is not None and self.stdout not in self.outputs:
            raise ValueError(f"the stdout of the step '{self.name}' is not one of its outputs")

    @property
    def output(self) -> Path:
        """The first output; the commands of the steps that need this step contain its path."""
        return self.outputs[0]

    @property
    def command_line(self) -> str:
        """The command line, quoted for a shell."""
        words = self.command or (PROGRAM, *self.args)
        return shlex.join(words) + (f" > {shlex.quote(str(self.stdout))}" if self.stdout else "")

    def needs(self, other: Step) -> bool:
        """Return whether this step reads an output of the other step."""
        return other.name != self.name and not self._named_paths.isdisjoint(other._output_paths)

    @cached_property
    def _named_paths(self) -> frozenset[str]:
        """All paths that the command may contain."""
        return frozenset(path for word in self.command or self.args for path in _paths(word))

    @cached_property
    def _output_paths(self) -> frozenset[str]:
        return frozenset(map(str, self.outputs))

    def without(self, others: Sequence[Step]) -> Step | None:
        """Return this step without the arguments that are outputs of `others`; None if it cannot run without them.

        Options that refer to an omitted argument, such as `--against NAME`, are also omitted.
        """
        pairs = list(zip(self.args, self.args[1:], strict=False))
        values = [value for option, value in pairs if option == self.droppable and self.droppable]
        missing = {path for other in others for path in other._output_paths}
        dropped = {value for value in values if missing & _paths(value)}
        labels = {value.partition("=")[0] for value in dropped if "=" in value}
        options = {
            index
            for index, (option, value) in enumerate(pairs)
            if value in dropped or (option.startswith("--") and value in labels)
        }
        indices = {index + offset for index in options for offset in (0, 1)}
        args = tuple(word for index, word in enumerate(self.args) if index not in indices)
        reduced = replace(self, args=args)
        return reduced if len(dropped) < len(values) and not any(map(reduced.needs, others)) else None


def _paths(word: str) -> set[str]:
    """Return the paths that an argument of a command line may contain, in the form `PATH` or `NAME=PATH`."""
    return {str(Path(path)) for path in (word, word.partition("=")[2]) if path}


@dataclass(frozen=True)
class StepOutputs:
    """The outputs of the steps of a recipe, which its `render` function receives.

    Attributes:
        steps: {name: step} of the recipe.
        failed: {name: reason} of the steps that are not done; each reason is one sentence.
        partly: {name: reason} of the steps that are done, but not for every language.
        pending: Names of the steps that are only planned.
    """

    steps: Mapping[str, Step]
    failed: Mapping[str, str] = field(default_factory=dict)
    partly: Mapping[str, str] = field(default_factory=dict)
    pending: frozenset[str] = frozenset()

    def done(self, step: Step | str) -> bool:
        """Return whether a step belongs to the recipe and is done; only then its outputs can be read."""
        name = step if isinstance(step, str) else step.name
        return name in self.steps and name not in self.failed and name not in self.pending

    def document(self, step: Step | str) -> dict[str, Any] | None:
        """Return the first JSON document of the outputs of a step; None if the step is not done.

        Raises:
            ValueError: The step has no JSON output.
            XsnsError: The document is damaged.
        """
        if not self.done(step):
            return None
        known = self.steps[step if isinstance(step, str) else step.name]
        path = next((path for path in known.outputs if path.suffix == ".json"), None)
        if path is None:
            raise ValueError(f"the step '{known.name}' has no JSON output")
        document: dict[str, Any] = read_json(path)
        return document

    def failure(self, step: Step | str) -> str:
        """Return the reason why a step is not done; empty if it is done."""
        return self.failed.get(step if isinstance(step, str) else step.name, "")


@dataclass(frozen=True)
class Result:
    """The result of a recipe.

    Attributes:
        markdown: The page, beginning with its title. It does not contain settings and commands, which the runner adds.
        record: All numbers, as JSON values; NaN is written as null.
        figure: Function that writes the figure; None if the recipe has no figure.
    """

    markdown: str
    record: Mapping[str, Any]
    figure: Figure | None = None


@dataclass(frozen=True)
class Recipe:
    """A table or a figure of the paper.

    Attributes:
        name: The name on the command line; also the stem of the names of the recipe's files.
        title: A title of one line.
        steps: Function that returns the steps. It raises :class:`LeftOutError` if the recipe cannot be run
            with the given data.
        render: Function that computes the result from the outputs of the steps. It is also called if some
            steps failed; it then omits their results, and raises :class:`LeftOutError` if there is no result.
        follow_up: Function that returns further steps, which depend on the outputs of the first steps. It is
            also called in a dry run, in which outputs may be missing.
    """

    name: str
    title: str
    steps: Callable[[RunConfig], Sequence[Step]]
    render: Callable[[RunConfig, StepOutputs], Result]
    follow_up: Callable[[RunConfig, StepOutputs], Sequence[Step]] | None = None


ALL: Final = "all"
#: Target → one line of help.
TARGETS: Final[Mapping[str, str]] = {
    "table1": "Text and output of the model: task or general text, language model or task head.",
    "table2": "Sub-networks compared with typology, text and embeddings, on every task.",
    "table3": "Errors of regressions of scores on similarity: least squares and mixed effects.",
    "table4": "The same predictors on other models.",
    "figure1": "NER scores of each source on each target.",
    "figure3": "How well sub-networks of each density predict transfer.",
    "figure4": "Fine-tuning on three sources together, which each predictor chooses.",
    "figure5": "Spread of the scores of a target over sources.",
    "figure6": "How well transfer is predicted from each number of examples.",
    "figure7": "Low-resource targets: the predicted source compared with English.",
    "choices": "Not in the paper: other estimators, thresholds and ways to compare.",
}
#: Target → module in `recipes/` that contains its recipe.
_MODULES: Final[Mapping[str, str]] = {
    "table1": "variants",
    "table2": "predictor_tables",
    "table3": "predictor_tables",
    "table4": "predictor_tables",
    "figure1": "transfer_by_source",
    "figure3": "variants",
    "figure4": "source_choice",
    "figure5": "transfer_by_source",
    "figure6": "variants",
    "figure7": "low_resource",
    "choices": "variants",
}


def recipes(target: str) -> list[Recipe]:
    """Return a list with the recipe of a target or, for `all`, with all recipes in the order of :data:`TARGETS`."""
    names = list(TARGETS) if target == ALL else [target]
    return [import_module(f"xsns_stream.reproduce.recipes.{_MODULES[name]}").RECIPES[name] for name in names]
