"""Units of fine-tuning on disk (a JSON file and a lock file for each fine-tuned model), and their table of scores."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from xsns_stream.corpora.running_text import GIVEN
from xsns_stream.errors import IncompatibleError, UsageError, XsnsError
from xsns_stream.io.atomic import write_whole
from xsns_stream.io.json import read_json
from xsns_stream.io.locks import hold_lock, try_lock
from xsns_stream.pipeline.finetune_data import run_notes
from xsns_stream.pipeline.finetune_settings import TransferSettings, Unit
from xsns_stream.tasks import TASKS, Task
from xsns_stream.types import TestScore, TransferRun, TransferScores
from xsns_stream.types.provenance import library_versions

SCHEMA_VERSION: Final = 1
_KIND: Final = "transfer-unit"
_AGAIN: Final = "delete it; the same command fine-tunes the unit again."
#: Keys of the training record whose values are printed.
_PRINTED: Final = ("epochs", "best_epoch", "examples", "seconds", "examples_per_second")
#: Settings that may differ between the sources of one file of scores: the data, and the classes of its labels.
_DATA: Final = frozenset({"train", "dev", "labels"})
#: Settings that may differ between any units.
_FREE: Final = frozenset({"versions", "tests"})
#: The setting that says which token of a word has its label, in units of tasks with labels of words.
LABEL_AT: Final = "label_at"
#: {setting: its value in units of older versions, which do not record it}.
_BEFORE: Final = {LABEL_AT: "first", "words": GIVEN}


class UnitFolder:
    """The folder that contains the units of a file of gold scores; it is in the same folder as the file.

    Args:
        folder: The folder; it is created when the first unit is written.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def read(self, unit: Unit) -> TransferRun | None:
        """Return the scores and the record of a unit; None if the unit is not finished.

        Raises:
            XsnsError: The file of the unit is damaged, or contains another unit.
        """
        path = self._path(unit)
        return self._checked(path) if path.exists() else None

    def all(self) -> list[TransferRun]:
        """Return all finished units, sorted by source and seed.

        Raises:
            XsnsError: A file is damaged, or its name does not match its unit.
        """
        runs = [self._checked(path) for path in sorted(self.folder.glob("*.json"))]
        return sorted(runs, key=lambda run: (run.source, run.seed))

    def write(self, run: TransferRun) -> None:
        """Write the file of a unit, which then counts as finished.

        Raises:
            XsnsError: The file cannot be written.
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
        """Lock a unit while the block runs, and yield True; yield False if another process has locked it.

        A crash of the process releases the lock.
        """
        self._make()
        with try_lock(self._path(unit).with_suffix(".lock")) as held:
            yield held

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Lock the file of scores while the block reads the units and writes the file.

        If two processes write the file, the second process therefore includes the units of both processes.
        """
        self._make()
        with hold_lock(self.folder / ".scores.lock"):
            yield

    def _checked(self, path: Path) -> TransferRun:
        run = _run(path)
        if self._path(Unit(run.source, run.seed)).name != path.name:
            raise XsnsError(f"'{path}' is damaged: it contains '{run.source}' (seed {run.seed}).", _AGAIN)
        return run

    def _make(self) -> None:
        try:
            self.folder.mkdir(exist_ok=True)
        except OSError as error:
            raise XsnsError(f"cannot make the folder '{self.folder}': {error.strerror}.", "check the path.") from error

    def _path(self, unit: Unit) -> Path:
        return self.folder / f"{unit.file_name}.json"


def check_same(run: TransferRun, settings: Mapping[str, Any], where: Path) -> None:
    """Check that a finished unit has the settings that are requested now; versions of libraries may differ.

    Args:
        run: The finished unit.
        settings: The settings that are requested now for the unit.
        where: The folder, for the message.

    Raises:
        IncompatibleError: Settings differ; the message names them.
    """
    _refuse(run, settings, where, _FREE)


def check_beside(run: TransferRun, settings: Mapping[str, Any], where: Path) -> None:
    """Check that a finished unit of another source has the same settings, because one file contains all scores.

    Args:
        run: The finished unit.
        settings: The settings that are requested now for a unit; data, classes and library versions may differ.
        where: The folder, for the message.

    Raises:
        IncompatibleError: Settings differ; the message names them.
    """
    _refuse(run, settings, where, _FREE | _DATA)


def check_tests(run: TransferRun, tests: Mapping[str, str], where: Path) -> None:
    """Check that a finished unit was tested on the present test data, so that all scores of a target are comparable.

    Args:
        run: The finished unit.
        tests: {target: digest of the present test data of the target}.
        where: The folder, for the message.

    Raises:
        IncompatibleError: The test data of a target differ; the message names the target.
    """
    for target, digest in run.settings.get("tests", {}).items():
        if tests.get(target, digest) != digest:
            raise IncompatibleError(
                f"the test data of '{target}' have changed since the model fine-tuned on '{run.source}' (seed "
                f"{run.seed}, in '{where}') was tested.",
                "other files, --test-limit or --relabel change the test data; give another -o, or delete the folder to "
                "start again.",
            )


def other_versions(runs: Iterable[TransferRun]) -> list[str]:
    """Return one sentence for each library of which the installed version is not the version of all finished units."""
    now, others = library_versions(), dict[str, set[str]]()
    for run in runs:
        for name, version in run.settings.get("versions", {}).items():
            if now.get(name) != version:
                others.setdefault(name, set()).add(str(version))
    return [
        f"some units were fine-tuned with {name} {', '.join(sorted(versions))}; here it is {now.get(name, 'missing')}."
        for name, versions in sorted(others.items())
    ]


#: {setting whose value does not explain itself in a message: additional hint}.
_HINTS: Final = {
    "train": " Other files, --limit or --relabel change the training data.",
    "dev": " Other files, --test-limit or --relabel change the dev data.",
    LABEL_AT: " --label-at first or --label-at last repeats the setting of the finished units.",
    "labels": " The classes are those of all languages of a command: name the languages of the first command.",
}


def _refuse(run: TransferRun, settings: Mapping[str, Any], where: Path, free: frozenset[str]) -> None:
    names = sorted({*settings, *run.settings} - free)
    was_of, is_of = ({**_BEFORE, **side} for side in (run.settings, settings))
    differing = [name for name in names if was_of.get(name) != is_of.get(name)]
    if differing:
        was, now = (_shown(side.get(differing[0])) for side in (was_of, is_of))
        raise IncompatibleError(
            f"'{run.source}' (seed {run.seed}) in '{where}' has other settings: {', '.join(differing)} "
            f"({differing[0]} was {was} and is now {now}).",
            "give another -o, or delete the folder to start again." + _HINTS.get(differing[0], ""),
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
                {name: float(value) for name, value in score["metrics"].items()},
                {name: float(value) for name, value in score["trivial"].items()},
                int(score["examples"]),
                int(score["units"]),
            )
            for target, score in document["scores"].items()
        }
        run = TransferRun(
            str(document["source"]), int(document["seed"]), scores, document["training"], document["settings"]
        )
        _check(run)
        return run
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise XsnsError(f"'{path}' is damaged: {type(error).__name__}: {error}.", _AGAIN) from None


def _check(run: TransferRun) -> None:
    """Check the values of a unit, because users may edit the files.

    Raises:
        ValueError: A value is not a number, or is missing.
        KeyError: The task is unknown, or the training record is empty.
    """
    metrics = TASKS[run.settings["task"]].metrics
    for target, score in run.scores.items():
        for values in (score.metrics, score.trivial):
            if tuple(values) != metrics:
                raise ValueError(f"'{target}' has {', '.join(values) or 'nothing'}, not {', '.join(metrics)}")
            if not all(0 <= value <= 100 for value in values.values()):
                raise ValueError(f"a score of '{target}' is not between 0 and 100")
    for name in ("tests", "versions"):
        if not isinstance(run.settings.get(name, {}), dict):
            raise ValueError(f"{name} is not an object")
    dev = run.training["dev"]
    if not dev or not all(math.isfinite(value) for value in dev):
        raise ValueError("the dev scores are not numbers")
    for name in _PRINTED:
        if not math.isfinite(run.training[name]):
            raise ValueError(f"{name} is not a number")


# ------------------------------------------------------------------------------------------------- table of scores


def check_metric(task: Task, metric: str | None) -> None:
    """Check that a task has a metric; None is accepted.

    Raises:
        UsageError: The task does not have the metric.
    """
    if metric is not None and metric not in task.metrics:
        raise UsageError(f"{task.name} has no metric '{metric}'.", f"it has {', '.join(task.metrics)}.")


def gold_scores(runs: Sequence[TransferRun], settings: TransferSettings, metric: str | None = None) -> TransferScores:
    """Return the scores of units as one table; NaN for pairs that were not measured.

    Args:
        runs: At least one unit.
        settings: Settings of the run, which determine the order of sources, targets and seeds, and the description of
            the origin of the scores.
        metric: A metric of the task; None for the first metric of the task.

    Raises:
        UsageError: The task does not have the metric.
    """
    task = settings.task
    check_metric(task, metric)
    wanted = metric or task.metrics[0]
    sources = _ordered(settings.sources, [run.source for run in runs])
    targets = _ordered(settings.targets, [target for run in runs for target in run.scores])
    seeds = _ordered(settings.seeds, [run.seed for run in runs])
    cells = np.full((1, len(seeds), len(sources), len(targets)), np.nan)
    for run in runs:
        for target, test in run.scores.items():
            cell = 0, seeds.index(run.seed), sources.index(run.source), targets.index(target)
            cells[cell] = test.metrics[wanted]
    trivial = {target: test.trivial[wanted] for run in runs for target, test in run.scores.items()}
    limit = f", {settings.limit} training examples" if settings.limit else ""
    last = ", words labelled at their last token" if any(run.settings.get(LABEL_AT) == "last" for run in runs) else ""
    origin = (
        f"xsns-stream transfer: {settings.model} on {settings.corpus.name}, {settings.fine_tuning.preset}{limit}{last}"
    )
    return TransferScores(
        sources,
        targets,
        cells,
        task.name,
        wanted,
        task.unit,
        origin,
        seeds=seeds,
        notes=run_notes(runs),
        trivial=trivial,
    )


def _ordered(first: Sequence[Any], values: Sequence[Any]) -> tuple[Any, ...]:
    """Return the distinct values: first the values that are in `first`, in its order, then all other values, sorted."""
    distinct = set(values)
    return (*(value for value in first if value in distinct), *sorted(distinct - set(first)))
