"""Units on disk: one JSON file for each fine-tuned model, written under a lock of its own."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

from xsns_stream.errors import IncompatibleError, XsnsError
from xsns_stream.io.atomic import write_whole
from xsns_stream.io.json import read_json
from xsns_stream.io.locks import hold_lock, try_lock
from xsns_stream.pipeline.finetune_settings import Unit
from xsns_stream.transfer import TASKS
from xsns_stream.types import TestScore, TransferRun
from xsns_stream.types.provenance import library_versions

SCHEMA_VERSION: Final = 1
_KIND: Final = "transfer-unit"
_AGAIN: Final = "delete it, and the same command makes it anew."
#: Of training, what is shown.
_TOLD: Final = ("epochs", "best_epoch", "examples", "seconds", "examples_per_second")
#: What units of one file of scores may differ in: data, and the classes that these have.
_OF_ONE: Final = frozenset({"train", "dev", "labels"})
#: What units may differ in, whatever they are.
_FREE: Final = frozenset({"versions", "tests"})


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
            XsnsError: Its file is damaged, or holds another unit.
        """
        path = self._path(unit)
        return self._checked(path) if path.exists() else None

    def all(self) -> list[TransferRun]:
        """Return all units that were made, sorted by source and seed.

        Raises:
            XsnsError: A file is damaged, or holds another unit than its name says.
        """
        runs = [self._checked(path) for path in sorted(self.folder.glob("*.json"))]
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
        self._make()
        with try_lock(self._path(unit).with_suffix(".lock")) as held:
            yield held

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Hold the file of scores: of two processes that write it, the later has read the units of both."""
        self._make()
        with hold_lock(self.folder / ".scores.lock"):
            yield

    def _checked(self, path: Path) -> TransferRun:
        run = _run(path)
        if self._path(Unit(run.source, run.seed)).name != path.name:
            raise XsnsError(f"'{path}' is damaged: it holds '{run.source}' (seed {run.seed}).", _AGAIN)
        return run

    def _make(self) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise XsnsError(f"cannot make the folder '{self.folder}': {error.strerror}.", "check the path.") from error

    def _path(self, unit: Unit) -> Path:
        return self.folder / f"{unit.file_name}.json"


def check_same(run: TransferRun, settings: Mapping[str, Any], where: Path) -> None:
    """Refuse a unit that was made otherwise; versions of libraries may differ.

    Args:
        run: The unit.
        settings: Those of now.
        where: The folder, for the message.

    Raises:
        IncompatibleError: With the names of what differs.
    """
    _refuse(run, settings, where, _FREE)


def check_beside(run: TransferRun, settings: Mapping[str, Any], where: Path) -> None:
    """Refuse a unit of another source whose scores would stand in one file with those that were made otherwise.

    Args:
        run: The unit.
        settings: Those of a unit of now; data and classes may differ.
        where: The folder, for the message.

    Raises:
        IncompatibleError: With the names of what differs.
    """
    _refuse(run, settings, where, _FREE | _OF_ONE)


def check_tests(run: TransferRun, tests: Mapping[str, str], where: Path) -> None:
    """Refuse a unit that was tested on other data than those of now: one column of scores would hold both.

    Args:
        run: The unit.
        tests: {target: digest of its test data} of now.
        where: The folder, for the message.

    Raises:
        IncompatibleError: With the target whose data differ.
    """
    for target, digest in run.settings.get("tests", {}).items():
        if tests.get(target, digest) != digest:
            raise IncompatibleError(
                f"the test data of '{target}' are others than when '{run.source}' (seed {run.seed}) in '{where}' was "
                "tested.",
                "other files, --test-limit or --relabel make other test data; give another -o, or delete the folder to "
                "begin anew.",
            )


def other_versions(runs: Iterable[TransferRun]) -> list[str]:
    """Return a sentence for each library of which units were made with another version than this one's."""
    now, found = library_versions(), dict[str, set[str]]()
    for run in runs:
        for name, version in run.settings.get("versions", {}).items():
            if now.get(name) != version:
                found.setdefault(name, set()).add(str(version))
    return [
        f"some units were made with {name} {', '.join(sorted(versions))}; here it is {now.get(name, 'missing')}."
        for name, versions in sorted(found.items())
    ]


#: Options that change data, whose digests alone are known.
_CUT_BY: Final = {
    "train": " Other files, --limit or --relabel make other training data.",
    "dev": " Other files, --test-limit or --relabel make other dev data.",
    "labels": " Classes are those of all languages of a command: name them all, or those of the first command.",
}


def _refuse(run: TransferRun, settings: Mapping[str, Any], where: Path, free: frozenset[str]) -> None:
    names = sorted({*settings, *run.settings} - free)
    differing = [name for name in names if run.settings.get(name) != settings.get(name)]
    if differing:
        was, now = (_shown(side.get(differing[0])) for side in (run.settings, settings))
        raise IncompatibleError(
            f"'{run.source}' (seed {run.seed}) in '{where}' was made otherwise: {', '.join(differing)} "
            f"({differing[0]} was {was}, is {now}).",
            "give another -o, or delete the folder to begin anew." + _CUT_BY.get(differing[0], ""),
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
        run = TransferRun(
            str(document["source"]), int(document["seed"]), scores, document["training"], document["settings"]
        )
        _check(run)
        return run
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise XsnsError(f"'{path}' is damaged: {type(error).__name__}: {error}.", _AGAIN) from None


def _check(run: TransferRun) -> None:
    """Refuse what no run writes, because files are edited by hand too.

    Raises:
        ValueError: A number is none, or is missing.
        KeyError: The task is unknown, or training says nothing.
    """
    metrics = TASKS[run.settings["task"]].metrics
    for target, known in run.scores.items():
        for values in (known.metrics, known.trivial):
            if tuple(values) != metrics:
                raise ValueError(f"'{target}' has {', '.join(values) or 'nothing'}, not {', '.join(metrics)}")
            if not all(0 <= value <= 100 for value in values.values()):
                raise ValueError(f"a score of '{target}' is no percentage")
    for name in ("tests", "versions"):
        if not isinstance(run.settings.get(name, {}), dict):
            raise ValueError(f"{name} is no object")
    dev = run.training["dev"]
    if not dev or not all(math.isfinite(value) for value in dev):
        raise ValueError("the dev scores are no numbers")
    for name in _TOLD:
        if not math.isfinite(run.training[name]):
            raise ValueError(f"{name} is no number")
