"""The function `transfer` for fine-tuning, with all options of the verb."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xsns_stream.corpora import TaskCorpus
from xsns_stream.errors import PartialError, XsnsError
from xsns_stream.gold import SCORE_FORMATS, write_scores
from xsns_stream.io.atomic import writable
from xsns_stream.pipeline.events import (
    TransferEvent,
    TransferResult,
    UnitDone,
    reasons_of,
)
from xsns_stream.pipeline.finetune_data import TransferData, read_data
from xsns_stream.pipeline.finetune_settings import TransferSettings, transfer_settings
from xsns_stream.pipeline.run_transfer import plan_transfer, run_transfer
from xsns_stream.pipeline.units import (
    UnitFolder,
    check_metric,
    gold_scores,
)
from xsns_stream.types import TransferScores

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel


def transfer(
    data: str | os.PathLike[str] | TaskCorpus,
    *,
    task: str,
    output: str | Path = "gold.parquet",
    metric: str | None = None,
    progress: bool = True,
    on_event: Callable[[TransferEvent], None] = lambda event: None,
    **options: Any,
) -> TransferScores:
    r"""Fine-tune a model on each source and test it on every target, like the command `xsns-stream transfer`.

    Each (source, seed) is a unit of work. The scores of a finished unit are written to the folder `OUTPUT.units`, and
    `output` contains the scores of all units. Another call continues an interrupted run.

    >>> import pathlib, tempfile, xsns_stream as xs
    >>> folder = pathlib.Path(tempfile.mkdtemp())
    >>> for name in ("en-train", "en-dev", "en-test", "sw-test"):
    ...     _ = (folder / f"{name}.txt").write_text("dog NOUN\nruns VERB\n\ncat NOUN\nsits VERB\n")
    >>> options = {"sources": "en", "epochs": 1, "progress": False}
    >>> xs.transfer(str(folder), task="pos", output=folder / "gold.csv", **options).targets
    ('en', 'sw')

    Args:
        data: Labelled data: a folder, a recipe such as `wikiann`, or `RECIPE=FOLDER` for a local copy.
        task: `ner`, `pos`, `nli`, `pi`, `qa` or `topic`.
        output: File of gold scores, .parquet or .csv.
        metric: The metric in the file and in the result; the first metric of the task by default.
        progress: Whether to show progress and notes on stderr.
        on_event: Called with each event of :mod:`xsns_stream.pipeline.events`, in order.
        **options: All options of the verb, under the same names: `model` (default mini), `revision`,
            `sources`, `mix`, `targets` (all), `pairs`, `seeds` (42), `preset` (quick), `epochs`, `patience`,
            `learning_rate`, `batch_size`, `max_length`, `evaluation_batch`, `limit`, `test_limit`, `device`,
            `precision`, `keep_models`, `config`, `data_revision`, `relabel`, `treebank`. `docs/transfer.md` describes
            them.

    Returns:
        The scores of all units in the folder.

    Raises:
        PartialError: Some languages or units failed; the others are in the file.
        IncompatibleError: The folder contains units with other settings.
        CorpusError, LanguageError: The data cannot be read, or lack a language.
        UsageError: An option is not valid.
        ModelError: The model cannot be loaded.
    """
    from xsns_stream.pipeline.progress import TransferProgress, notebook_console

    target = check_output(output)
    settings = transfer_settings(data, task=task, **options)
    check_metric(settings.task, metric)
    read = read_data(settings)
    console = notebook_console()
    notes = (*read.notes, *(f"{language} failed: {error.message}" for language, error in read.failed.items()))
    for sentence in notes if progress else ():
        console.print(f"note: {sentence}", soft_wrap=True)
    load = ModelLoader(settings, read.labels)
    plan = plan_transfer(settings, read, units_folder(target), load, timed=False)
    with TransferProgress(console, len(plan.todo)) if progress else nullcontext() as bar:

        def notify(event: TransferEvent) -> None:
            if bar is not None:
                bar(event)
            on_event(event)

        result = transfer_to_file(settings, read, target, metric, load, notify)
    refuse_failures(result, read)
    if result.scores is None:
        raise XsnsError("no unit was fine-tuned.", "check sources, targets and pairs.")
    return gold_scores(UnitFolder(units_folder(target)).all(), settings, metric)


def check_output(output: str | Path) -> Path:
    """Return the path of a file of gold scores.

    Raises:
        UsageError: Its suffix is not a known format, or it cannot be written.
    """
    return writable(output, SCORE_FORMATS)


def units_folder(output: Path) -> Path:
    """Return the folder of the units beside a file of gold scores."""
    return output.with_name(f"{output.name}.units")


class ModelLoader:
    """Loader of the model for fine-tuning, with a head that depends on a seed; it collects notes about the loading.

    Args:
        settings: The settings, which name the model.
        labels: Names of the classes of the head.
        on_note: Called once with each note.

    Attributes:
        notes: The notes so far, without duplicates.
    """

    def __init__(
        self, settings: TransferSettings, labels: Sequence[str], on_note: Callable[[str], None] = lambda note: None
    ) -> None:
        self._settings, self._label_count, self._on_note = settings, len(labels) or None, on_note
        self.notes: list[str] = []

    def __call__(self, seed: int) -> LoadedModel:
        """Load the model."""
        from xsns_stream.models import load_model

        loaded = load_model(
            self._settings.model,
            revision=self._settings.revision,
            device=self._settings.fine_tuning.device,
            objective=self._settings.task.objective,
            label_count=self._label_count,
            head_seed=seed,
        )
        for sentence in loaded.notes:
            if sentence not in self.notes:
                self.notes.append(sentence)
                self._on_note(sentence)
        return loaded


def refuse_failures(result: TransferResult, data: TransferData) -> None:
    """Raise an error if languages or units failed; called after all other work.

    Raises:
        PartialError: Some of them failed, or another process is working on units.
    """
    problems = dict(data.failed) | {str(unit): error for unit, error in result.failed.items()}
    if problems:
        raise PartialError(
            f"{len(problems)} failed: {', '.join(problems)}.",
            f"the others are in the file. {reasons_of(problems)}",
        )
    if result.elsewhere:
        number = len(result.elsewhere)
        raise PartialError(
            f"{number:,} {'unit is' if number == 1 else 'units are'} being fine-tuned by another process.",
            "run the same command when that process is finished.",
        )


def transfer_to_file(
    settings: TransferSettings,
    data: TransferData,
    output: Path,
    metric: str | None,
    load: Callable[[int], LoadedModel],
    on_event: Callable[[TransferEvent], None],
) -> TransferResult:
    """Compute every missing unit, and write the scores of all units to a file after each.

    Args:
        settings: Settings of the units.
        data: What :func:`~xsns_stream.pipeline.finetune_data.read_data` returned.
        output: File of gold scores; the units are in the folder beside it.
        metric: The metric in the file; None for the first metric of the task.
        load: Seed of the head → model.
        on_event: Called with each event, in order.
    """
    from xsns_stream.fisher.model_state import caller_modes_off

    folder = units_folder(output)

    def write() -> None:
        units = UnitFolder(folder)
        with units.writing():
            runs = units.all()
            if runs:
                write_scores(gold_scores(runs, settings, metric), output)

    def notify(event: TransferEvent) -> None:
        on_event(event)
        if isinstance(event, UnitDone):
            write()

    # Mixed precision of the caller would change the scores without a record of it.
    with caller_modes_off():
        result = run_transfer(settings, data, folder, load, notify)
    write()
    return result
