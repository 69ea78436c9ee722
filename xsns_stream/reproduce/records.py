"""Records of steps that were run, and what recipes read from their outputs."""

from __future__ import annotations

import hashlib
import json
import math
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from xsns_stream.errors import ExitCode
from xsns_stream.io.atomic import write_whole
from xsns_stream.reproduce.config import RunConfig, TaskConfig
from xsns_stream.reproduce.pages import bullets, code
from xsns_stream.reproduce.step import Figure, Folder, Recipe, Result, Step

#: States of a step.
DONE: Final = "done"
PARTLY: Final = "partly done"
TO_DO: Final = "to do"

_LONG: Final = 100


@dataclass(frozen=True)
class Record:
    """The end of a step's last run.

    Attributes:
        command: As it was run.
        exit_code: 0, or 3 where some languages failed and the others are done.
        run: Its own, never another run's.
        after: {step that it needs: the run of that one}.
        left: {file among its outputs: digest}, so that what another command or an accident has made of it is no output
            of this one; stores and models check themselves.
    """

    command: str
    exit_code: int
    run: str
    after: Mapping[str, str]
    left: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, kind in (("command", str), ("exit_code", int), ("run", str), ("after", dict), ("left", dict)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} is no {kind.__name__}")


class Records:
    """The records of a folder.

    Args:
        folder: Where they lie; made when the first is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, step: Step) -> Record | None:
        """Return a step's record; None where there is none, or none that can be read."""
        try:
            found = Record(**json.loads(self._path(step).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None
        return found

    def state(self, step: Step, steps: Sequence[Step]) -> str:
        """Tell whether a step is done: by this command, after what it needs, and with its outputs as it left them.

        Args:
            step: The step.
            steps: All of the run, from which those that it needs are taken.
        """
        found = self.read(step)
        if found is None or found.command != step.shown or not all(path.exists() for path in step.outputs):
            return TO_DO
        if found.left != _digests(step):
            return TO_DO
        for other in needed(step, steps):
            if self.state(other, steps) == TO_DO or found.after.get(other.name) != self._run(other):
                return TO_DO
        return DONE if found.exit_code == ExitCode.OK else PARTLY

    def write(self, step: Step, steps: Sequence[Step], exit_code: int) -> None:
        """Keep that a step has come to its end.

        Raises:
            XsnsError: It cannot be written.
        """
        after = {other.name: self._run(other) for other in needed(step, steps)}
        document = asdict(Record(step.shown, exit_code, uuid.uuid4().hex, after, _digests(step)))
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(step), _writes(document))

    def _run(self, step: Step) -> str:
        found = self.read(step)
        return "" if found is None else found.run

    def _path(self, step: Step) -> Path:
        return self.folder / f"{file_name(step.name)}.json"


def needed(step: Step, steps: Sequence[Step]) -> list[Step]:
    """Return the steps among `steps` that `step` needs."""
    return [other for other in steps if step.needs(other)]


def _digests(step: Step) -> dict[str, str]:
    """Return {file among the outputs: digest}."""
    files = [(path, path.stat()) for path in step.outputs if path.is_file()]
    return {str(path): _digest(path, known.st_size, known.st_mtime_ns, known.st_ino) for path, known in files}


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, changed: int, inode: int) -> str:
    """Return a file's digest; size, time and number tell whether it is still the file that was read."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def file_name(name: str) -> str:
    """Return a name for a step's files: no path, never another step's, and not too long for a file.

    >>> file_name("mini.pos.gold")
    'mini.pos.gold'
    """
    plain = "".join(sign if sign.isalnum() or sign in "._-" else "-" for sign in name)
    return (
        name if plain == name and len(name) < 100 else f"{plain[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
    )


def _writes(document: Mapping[str, Any]) -> Callable[[Any], None]:
    text = json.dumps(document, ensure_ascii=False, indent=1) + "\n"

    def write(file: Any) -> None:
        file.write(text.encode())

    return write


SCHEMA_VERSION: Final = 1
FIGURE_KINDS: Final = ("png", "svg")


def write_result(recipe: Recipe, result: Result, config: RunConfig, folder: Folder) -> tuple[Path, ...]:
    """Write NAME.md and NAME.json, and NAME.png and NAME.svg where there is a figure, each whole or not at all.

    Returns:
        The files.

    Raises:
        XsnsError: One cannot be written.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    stem = config.out / recipe.name
    page = f"{result.markdown.rstrip()}\n\n{_ending(config, folder)}"
    document = {
        "schema_version": SCHEMA_VERSION,
        "target": recipe.name,
        "title": recipe.title,
        "setting": config_record(config),
        "result": dict(result.record),
        "failed": dict(folder.failed),
        "partly": dict(folder.partly),
        "commands": {step.name: step.shown for step in folder.steps.values()},
    }
    text = json.dumps(_plain(document), ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    written = {stem.with_suffix(".md"): page, stem.with_suffix(".json"): text}
    for path, content in written.items():
        write_whole(path, partial(_write_text, content))
    figures = []
    if result.figure is not None:
        for kind in FIGURE_KINDS:
            figures.append(stem.with_suffix(f".{kind}"))
            write_whole(figures[-1], partial(_draw, result.figure, kind))
    return (*written, *figures)


def config_record(config: RunConfig) -> dict[str, Any]:
    """Return what the numbers depend on, as JSON can say it."""
    return {
        "preset": config.preset,
        "model": config.model,
        "examples": config.examples,
        "density": config.density,
        "fine_tuning": config.fine_tuning,
        "epochs": config.epochs,
        "tasks": {
            name: {
                "data": task.data,
                "sources": list(task.sources),
                "targets": list(task.targets),
                "low_resource": list(task.low_resource),
                "tuning_seeds": list(task.tuning_seeds),
                "fisher_seeds": list(task.fisher_seeds),
                "limit": task.limit,
                "test_limit": task.test_limit,
                "papers": task.papers,
            }
            for name, task in config.tasks.items()
        },
        "left_out": dict(config.left_out),
        "general": config.general,
    }


def _ending(config: RunConfig, folder: Folder) -> str:
    """Return the settings, what went wrong, and the commands."""
    lines = [
        f"preset {config.preset}, model {config.model}.",
        f"sub-networks, where the page has any: {config.examples:,} examples a language, density {config.density:g}.",
        f"fine-tuning preset {config.fine_tuning}{f', {config.epochs} epochs at most' if config.epochs else ''}.",
        *(
            f"{task.title}: {len(task.sources)} sources ({' '.join(task.sources)}), {len(task.targets)} targets; "
            f"Fisher seeds {_numbers(task.fisher_seeds)}; fine-tuning seeds {_numbers(task.tuning_seeds)}; "
            f"{_limits(task)}."
            for task in config.tasks.values()
        ),
        *(note for task in config.tasks.values() for note in _of(task.title, task.notes)),
        *(f"{name} is left out: {why}" for name, why in config.left_out.items()),
        *(f"The step {name} failed: {why}" for name, why in folder.failed.items()),
        *(f"The step {name} is not done for every language: {why}" for name, why in folder.partly.items()),
    ]
    commands = [config.command] if config.command else []
    steps = [step.shown for step in folder.steps.values()]
    return f"## Settings\n\n{bullets(lines)}\n## Commands\n\n{code([*commands, *steps])}"


def _numbers(seeds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seeds))


def _limits(task: TaskConfig) -> str:
    limits = [
        f"at most {task.limit:,} training examples a source" if task.limit else "",
        f"at most {task.test_limit:,} test examples a target" if task.test_limit else "",
    ]
    return ", ".join(filter(None, limits)) or "all examples"


def _of(title: str, notes: tuple[str, ...]) -> list[str]:
    return [f"{title}: {note}" for note in notes]


def _write_text(text: str, file: BinaryIO) -> None:
    file.write(text.encode())


def _draw(figure: Figure, kind: str, file: BinaryIO) -> None:
    figure(file, kind)


def _plain(value: Any) -> Any:
    """Return the same with null for what JSON cannot say, and text for paths."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, Path):
        return str(value)
    return None if isinstance(value, float) and not math.isfinite(value) else value
