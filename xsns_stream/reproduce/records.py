"""What is known of steps that were run: one small file each, written once the step has come to its end."""

from __future__ import annotations

import hashlib
import json
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ExitCode
from xsns_stream.files import write_whole
from xsns_stream.reproduce.step import Step

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
