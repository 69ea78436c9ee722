"""The function `transfer` for fine-tuning, which has all options of the command `xsns-stream transfer`."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from xsns_stream.corpora import TaskCorpus
from xsns_stream.errors import PartialError, XsnsError
from xsns_stream.gold import SCORE_FORMATS, write_scores
from xsns_stream.io.atomic import writable
from xsns_stream.pipeline.cluster_clients import Workers, workers_asked
from xsns_stream.pipeline.events import (
    TransferEvent,
    TransferResult,
    UnitDone,
    reasons_of,
)
from xsns_stream.pipeline.failure_logs import log_folder
from xsns_stream.pipeline.finetune_data import TransferData, read_data
from xsns_stream.pipeline.finetune_settings import TransferSettings, transfer_settings
from xsns_stream.pipeline.run_transfer import ModelLoader, plan_transfer, run_transfer
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
    workers: int | Literal["auto"] | None = None,
    scheduler: str | None = None,
    client: Any = None,
    retries: int | None = None,
    worker_timeout: float | None = None,
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
        output: File to which the gold scores are written, .parquet or .csv.
        metric: The metric of the scores in the file and in the result; the first metric of the task by default.
        progress: Whether to show progress and notes on stderr.
        on_event: Called with each event of :mod:`xsns_stream.pipeline.events`, in order.
        workers: Number of processes on this machine that work on units, or `auto` for as many as the cores and the
            memory allow; needs the extra `distributed`. A script that gives `workers` must call `transfer` below the
            line `if __name__ == "__main__":`, because each process imports the script.
        scheduler: Address of a running Dask scheduler, or the path of its scheduler file; its workers fine-tune.
        client: A Dask client, whose workers fine-tune.
        retries: Number of times that a unit is tried again after its worker died (default 3).
        worker_timeout: Seconds after which a worker that has not finished a unit is restarted. The default is 20 times
            the time of the slowest unit so far, scaled by the size of the unit, and at least ten minutes.
        **options: All options of the verb, under the same names: `model` (default mini), `revision`,
            `sources`, `mix`, `targets` (all), `pairs`, `seeds` (42), `preset` (quick), `epochs`, `patience`,
            `learning_rate`, `batch_size`, `max_length`, `evaluation_batch`, `limit`, `test_limit`, `device`,
            `precision`, `label_at` (auto), `words` (given), `keep_models`, `config`, `data_revision`, `relabel`,
            `treebank`. `docs/transfer.md` describes them.

    Returns:
        The scores of all units in the folder.

    Raises:
        PartialError: Some languages or units failed; the file contains the scores of the other units.
        IncompatibleError: The folder contains units with other settings.
        CorpusError, LanguageError: The data cannot be read, or do not contain a requested language.
        UsageError: An option is not valid.
        ModelError: The model cannot be loaded.
    """
    from xsns_stream.pipeline.progress import TransferProgress, notebook_console

    cluster = workers_asked(workers, scheduler, client, retries, worker_timeout)
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

        result = transfer_to_file(settings, read, target, metric, load, notify, cluster)
    refuse_failures(result, read)
    if result.scores is None:
        raise XsnsError("no unit was fine-tuned.", "check sources, targets and pairs.")
    return gold_scores(UnitFolder(units_folder(target)).all(), settings, metric)


def check_output(output: str | Path) -> Path:
    """Check that gold scores can be written to a file, and return its path.

    Raises:
        UsageError: The suffix is not a known format, or the file cannot be written.
    """
    return writable(output, SCORE_FORMATS)


def units_folder(output: Path) -> Path:
    """Return the folder of the units, which is beside the file of gold scores."""
    return output.with_name(f"{output.name}.units")


def refuse_failures(result: TransferResult, data: TransferData) -> None:
    """Raise an error if languages or units failed; call this after all other work.

    Raises:
        PartialError: Some languages or units failed.
    """
    problems = dict(data.failed) | {str(unit): error for unit, error in result.failed.items()}
    if problems:
        raise PartialError(
            f"{len(problems)} of the languages and units failed: {', '.join(problems)}.",
            f"the file contains the scores of the other units. {reasons_of(problems)}",
        )


def transfer_to_file(
    settings: TransferSettings,
    data: TransferData,
    output: Path,
    metric: str | None,
    load: Callable[[int], LoadedModel],
    on_event: Callable[[TransferEvent], None],
    workers: Workers | None = None,
) -> TransferResult:
    """Fine-tune and test every missing unit; after each unit, write the scores of all units to a file.

    Args:
        settings: Settings of the units.
        data: The result of :func:`~xsns_stream.pipeline.finetune_data.read_data`.
        output: File of gold scores; the units are in the folder beside it.
        metric: The metric in the file; None for the first metric of the task.
        load: Function that takes the seed of the head and returns the model.
        on_event: Called with each event, in order.
        workers: The workers that fine-tune; None to fine-tune in this process.
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

    # If the caller has enabled mixed precision, it would change the scores, and no record would show this.
    with caller_modes_off():
        if workers is None:
            result = run_transfer(settings, data, folder, load, notify)
        else:
            from xsns_stream.pipeline.cluster_transfer import run_transfer_on_cluster

            logs = log_folder(str(output))
            result = run_transfer_on_cluster(settings, data, folder, load, workers, logs, notify)
    write()
    return result
