"""What is known of steps that were run: one small file each, written once the step has come to its end."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
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
        runs: How often it has come to its end.
        after: {step that it needs: how often that one had}.
    """

    command: str
    exit_code: int
    runs: int
    after: Mapping[str, int] = field(default_factory=dict)


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
        """Tell whether a step is done: by this command, after what it needs, and with its outputs there.

        Args:
            step: The step.
            steps: All of the run, from which those that it needs are taken.
        """
        found = self.read(step)
        if found is None or found.command != step.shown or not all(path.exists() for path in step.outputs):
            return TO_DO
        for other in needed(step, steps):
            if self.state(other, steps) == TO_DO or found.after.get(other.name) != self._runs(other):
                return TO_DO
        return DONE if found.exit_code == ExitCode.OK else PARTLY

    def write(self, step: Step, steps: Sequence[Step], exit_code: int) -> None:
        """Keep that a step has come to its end.

        Raises:
            XsnsError: It cannot be written.
        """
        after = {other.name: self._runs(other) for other in needed(step, steps)}
        document = asdict(Record(step.shown, exit_code, self._runs(step) + 1, after))
        self.folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._path(step), _writes(document))

    def _runs(self, step: Step) -> int:
        found = self.read(step)
        return 0 if found is None else found.runs

    def _path(self, step: Step) -> Path:
        return self.folder / f"{file_name(step.name)}.json"


def needed(step: Step, steps: Sequence[Step]) -> list[Step]:
    """Return the steps among `steps` that `step` needs."""
    return [other for other in steps if step.needs(other)]


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
