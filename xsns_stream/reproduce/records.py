"""Records of the steps that were run, and writers of the files of recipes: pages, result records and figures."""

from __future__ import annotations

import gzip
import hashlib
import json
import uuid
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, BinaryIO, Final

from xsns_stream.errors import ExitCode, XsnsError
from xsns_stream.io.atomic import write_whole
from xsns_stream.io.json import nan_to_null, read_json
from xsns_stream.reproduce.config import RunConfig, TaskConfig
from xsns_stream.reproduce.pages import bullets, code
from xsns_stream.reproduce.step import Figure, Recipe, Result, Step, StepOutputs

#: States of a step.
DONE: Final = "done"
PARTLY: Final = "partly done"
TO_DO: Final = "to do"

_MAX_FILE_NAME: Final = 100


# ----------------------------------------------------------------------------------------------------- steps


@dataclass(frozen=True)
class Record:
    """The record of a step's last run. The keys in the file are the names of the attributes.

    Attributes:
        command: The command line.
        exit_code: The exit code of the step: 0, or 3 if only some languages failed.
        run: A random identifier of the run.
        after: {step that this step needs: identifier of that step's run}.
        left: {file among the outputs: SHA-256 digest}. A file that was changed afterwards no longer counts as an output
            of the step. Folders (stores and models) have no digest here, because they contain their own digests.
    """

    command: str
    exit_code: int
    run: str
    after: Mapping[str, str]
    left: Mapping[str, str]

    def __post_init__(self) -> None:
        for name, kind in (("command", str), ("exit_code", int), ("run", str), ("after", dict), ("left", dict)):
            if not isinstance(getattr(self, name), kind):
                raise TypeError(f"{name} must be of type {kind.__name__}")


class Records:
    """The records of steps in a folder.

    Args:
        folder: The folder; it is created when the first record is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, step: Step) -> Record | None:
        """Return the record of a step; None if there is no readable record."""
        try:
            return Record(**json.loads(self._path(step).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError):
            return None

    def state(self, step: Step, steps: Sequence[Step]) -> str:
        """Return the state of a step.

        A step is done if three conditions hold: its last run had the present command line; this run used the outputs of
        the last runs of the steps that it needs; and the outputs of the step have not changed since.

        Args:
            step: The step.
            steps: All steps of the run, including those that the step needs.
        """
        record = self.read(step)
        if record is None or record.command != step.command_line or not all(path.exists() for path in step.outputs):
            return TO_DO
        if record.left != _digests(step):
            return TO_DO
        for other in needed(step, steps):
            if self.state(other, steps) == TO_DO or record.after.get(other.name) != self._run(other):
                return TO_DO
        return DONE if record.exit_code == ExitCode.OK else PARTLY

    def write(self, step: Step, steps: Sequence[Step], exit_code: int) -> None:
        """Write the record of a step after its run.

        Raises:
            XsnsError: The record cannot be written.
        """
        after = {other.name: self._run(other) for other in needed(step, steps)}
        record = Record(step.command_line, exit_code, uuid.uuid4().hex, after, _digests(step))
        text = json.dumps(asdict(record), ensure_ascii=False, indent=1) + "\n"
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(step), _writes(text.encode()))

    def _run(self, step: Step) -> str:
        record = self.read(step)
        return "" if record is None else record.run

    def _path(self, step: Step) -> Path:
        return self.folder / f"{file_name(step.name)}.json"


def needed(step: Step, steps: Sequence[Step]) -> list[Step]:
    """Return the steps among `steps` that `step` needs."""
    return [other for other in steps if step.needs(other)]


def _digests(step: Step) -> dict[str, str]:
    """Return {file: SHA-256 digest} of the outputs of a step that are files."""
    files = [(path, path.stat()) for path in step.outputs if path.is_file()]
    return {str(path): _digest(path, stat.st_size, stat.st_mtime_ns, stat.st_ino) for path, stat in files}


@lru_cache(maxsize=4096)
def _digest(path: Path, size: int, changed: int, inode: int) -> str:
    """Return the digest of a file. Size, time and inode are part of the cache key: changed files are read again."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


def file_name(name: str) -> str:
    """Return a file name for a step; it has no path separators, has a limited length, and differs for each step.

    >>> file_name("mini.pos.gold")
    'mini.pos.gold'
    """
    plain = "".join(letter if letter.isalnum() or letter in "._-" else "-" for letter in name)
    if plain == name and len(name) < _MAX_FILE_NAME:
        return name
    return f"{plain[:80]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"


def _writes(data: bytes) -> Callable[[BinaryIO], None]:
    """Return a function that writes data into an open file, for :func:`~xsns_stream.io.atomic.write_whole`."""

    def write(file: BinaryIO) -> None:
        file.write(data)

    return write


# --------------------------------------------------------------------------------------------------- results

SCHEMA_VERSION: Final = 1
FIGURE_KINDS: Final = ("png", "svg")
#: Suffixes of result records; earlier versions wrote the second.
RESULT_SUFFIXES: Final = (".json.gz", ".json")


def write_result(recipe: Recipe, result: Result, config: RunConfig, outputs: StepOutputs) -> tuple[Path, ...]:
    """Write the result of a recipe to NAME.md, NAME.json.gz and, if it has a figure, NAME.png and NAME.svg, atomically.

    Returns:
        The files that were written.

    Raises:
        XsnsError: A file cannot be written.
    """
    config.out.mkdir(parents=True, exist_ok=True)
    page = config.out / f"{recipe.name}.md"
    record, uncompressed = (config.out / f"{recipe.name}{suffix}" for suffix in RESULT_SUFFIXES)
    write_whole(page, _writes(f"{result.markdown.rstrip()}\n\n{_ending(config, outputs)}".encode()))
    document = {
        "schema_version": SCHEMA_VERSION,
        "target": recipe.name,
        "title": recipe.title,
        "setting": config_record(config),
        "result": dict(result.record),
        "failed": dict(outputs.failed),
        "partly": dict(outputs.partly),
        "commands": {step.name: step.command_line for step in outputs.steps.values()},
    }
    text = json.dumps(nan_to_null(document), ensure_ascii=False, allow_nan=False, indent=1) + "\n"
    # The header contains no time, because the same result must give the same bytes.
    write_whole(record, _writes(gzip.compress(text.encode(), mtime=0)))
    uncompressed.unlink(missing_ok=True)
    figures = []
    if result.figure is not None:
        for kind in FIGURE_KINDS:
            figures.append(config.out / f"{recipe.name}.{kind}")
            write_whole(figures[-1], partial(_draw, result.figure, kind))
    return (page, record, *figures)


def _draw(figure: Figure, kind: str, file: BinaryIO) -> None:
    figure(file, kind)


def read_result(folder: Path, name: str) -> dict[str, Any] | None:
    """Return the record of a recipe's result, from a compressed or an uncompressed file; None if there is no file.

    Args:
        folder: The folder of the results.
        name: The name of the recipe; it may include subfolders, as in `FOLDER/NAME`.

    Raises:
        XsnsError: The record cannot be read, or is damaged.
    """
    compressed, uncompressed = (folder / f"{name}{suffix}" for suffix in RESULT_SUFFIXES)
    if not compressed.exists():
        return read_json(uncompressed) if uncompressed.exists() else None
    try:
        document: dict[str, Any] = json.loads(gzip.decompress(compressed.read_bytes()))
    except (OSError, EOFError, zlib.error, ValueError) as error:
        raise XsnsError(f"the record '{compressed}' is damaged: {error}.", "run the recipe again.") from error
    return document


def config_record(config: RunConfig) -> dict[str, Any]:
    """Return the settings that affect the results, as JSON values."""
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


def _ending(config: RunConfig, outputs: StepOutputs) -> str:
    """Return the end of a page: the configuration, the failures, and the command lines."""
    epochs = f", at most {config.epochs} epochs" if config.epochs else ""
    lines = [
        f"Preset {config.preset}, model {config.model}.",
        f"Sub-networks, if the page has any: {config.examples:,} examples per language, density {config.density:g}.",
        f"Fine-tuning preset {config.fine_tuning}{epochs}.",
        *(
            f"{task.title}: {len(task.sources)} sources ({' '.join(task.sources)}), {len(task.targets)} targets; "
            f"Fisher seeds {_numbers(task.fisher_seeds)}; fine-tuning seeds {_numbers(task.tuning_seeds)}; "
            f"{_limits(task)}."
            for task in config.tasks.values()
        ),
        *(f"{task.title}: {note}" for task in config.tasks.values() for note in task.notes),
        *(f"{name} is left out: {reason}" for name, reason in config.left_out.items()),
        *(f"The step {name} failed: {reason}" for name, reason in outputs.failed.items()),
        *(f"The step {name} is not done for every language: {reason}" for name, reason in outputs.partly.items()),
    ]
    commands = [config.command] if config.command else []
    steps = [step.command_line for step in outputs.steps.values()]
    return f"## Settings\n\n{bullets(lines)}\n## Commands\n\n{code([*commands, *steps])}"


def _numbers(seeds: tuple[int, ...]) -> str:
    return ", ".join(map(str, seeds))


def _limits(task: TaskConfig) -> str:
    limits = [
        f"at most {task.limit:,} training examples per source" if task.limit else "",
        f"at most {task.test_limit:,} test examples per target" if task.test_limit else "",
    ]
    return ", ".join(filter(None, limits)) or "all examples"
