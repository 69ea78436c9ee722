"""Units on the disk: one JSON file for each fine-tuned model, written when it is tested, under a lock of its own."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from xsns_stream.errors import IncompatibleError, XsnsError
from xsns_stream.files import read_json, write_whole
from xsns_stream.pipeline.transfer_settings import Unit
from xsns_stream.types import TestScore, TransferRun

SCHEMA_VERSION: Final = 1
_KIND: Final = "transfer-unit"
_AGAIN: Final = "delete it, and the same command makes it anew."


class UnitFolder:
    """The units beside a file of gold scores.

    Args:
        folder: Made when the first unit is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, unit: Unit) -> TransferRun | None:
        """Return a unit; None where it was not made.

        Raises:
            XsnsError: Its file is damaged.
        """
        path = self._path(unit)
        return _run(path) if path.exists() else None

    def all(self) -> list[TransferRun]:
        """Return all units that were made, sorted by source and seed.

        Raises:
            XsnsError: A file is damaged.
        """
        runs = [_run(path) for path in sorted(self.folder.glob("*.json"))]
        return sorted(runs, key=lambda run: (run.source, run.seed))

    def write(self, run: TransferRun) -> None:
        """Commit a unit.

        Raises:
            XsnsError: It cannot be written.
        """
        self._make()
        document = {
            "schema_version": SCHEMA_VERSION,
            "kind": _KIND,
            "source": run.source,
            "seed": run.seed,
            "settings": dict(run.settings),
            "training": dict(run.training),
            "scores": {
                target: {
                    "metrics": dict(score.metrics),
                    "trivial": dict(score.trivial),
                    "examples": score.examples,
                    "units": score.units,
                }
                for target, score in run.scores.items()
            },
        }
        text = json.dumps(document, ensure_ascii=False, indent=1, allow_nan=False).encode()

        def write(file: BinaryIO) -> None:
            file.write(text)

        write_whole(self._path(Unit(run.source, run.seed)), write)

    @contextmanager
    def claimed(self, unit: Unit) -> Iterator[bool]:
        """Hold a unit while the block runs; give False where another process holds it. A crash lets go of it."""
        from filelock import FileLock, Timeout

        self._make()
        lock = FileLock(self._path(unit).with_suffix(".lock"))
        try:
            lock.acquire(timeout=0)
        except Timeout:
            yield False
            return
        try:
            yield True
        finally:
            lock.release()

    def _make(self) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise XsnsError(f"cannot make the folder '{self.folder}': {error.strerror}.", "check the path.") from error

    def _path(self, unit: Unit) -> Path:
        # A mixture of many languages would be too long a name for some file systems.
        name = unit.source if len(unit.source) <= 64 else hashlib.sha256(unit.source.encode()).hexdigest()[:16]
        return self.folder / f"{name}-{unit.seed}.json"


def check_same(run: TransferRun, settings: Mapping[str, Any], where: Path) -> None:
    """Refuse a unit that was made otherwise; versions of libraries may differ.

    Args:
        run: The unit.
        settings: Those of now.
        where: The folder, for the message.

    Raises:
        IncompatibleError: With the names of what differs.
    """
    differing = [
        name
        for name in sorted({*settings, *run.settings} - {"versions", "tests"})
        if run.settings.get(name) != settings.get(name)
    ]
    if differing:
        was, now = (_shown(side.get(differing[0])) for side in (run.settings, settings))
        raise IncompatibleError(
            f"'{run.source}' (seed {run.seed}) in '{where}' was made otherwise: {', '.join(differing)} "
            f"({differing[0]} was {was}, is {now}).",
            "give another -o, or delete the folder to begin anew.",
        )


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 60 else f"{text[:57]}…"


def _run(path: Path) -> TransferRun:
    document = read_json(path)
    try:
        if document["kind"] != _KIND or document["schema_version"] != SCHEMA_VERSION:
            raise ValueError(f"{document['kind']} of version {document['schema_version']}")
        scores = {
            str(target): TestScore(
                str(target),
                {name: float(value) for name, value in known["metrics"].items()},
                {name: float(value) for name, value in known["trivial"].items()},
                int(known["examples"]),
                int(known["units"]),
            )
            for target, known in document["scores"].items()
        }
        return TransferRun(
            str(document["source"]), int(document["seed"]), scores, document["training"], document["settings"]
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise XsnsError(f"'{path}' is damaged: {type(error).__name__}: {error}.", _AGAIN) from None
