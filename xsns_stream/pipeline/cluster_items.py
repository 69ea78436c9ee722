"""Functions for work on a cluster: submission of items that may be claimed, checks of workers, logs of failures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Generic, TypeVar

from xsns_stream.corpora import Corpus
from xsns_stream.errors import IncompatibleError, UsageError, XsnsError
from xsns_stream.pipeline.cluster import Attempt, ClusterOptions, WorkDoneBy, run_on_cluster
from xsns_stream.pipeline.events import Row
from xsns_stream.pipeline.failure_logs import write_failure_log
from xsns_stream.pipeline.jobs import Item, Job
from xsns_stream.pipeline.run_build import ONE_LANGUAGE

if TYPE_CHECKING:
    from distributed import Client

#: Seconds between two checks whether other processes have released their items.
_POLL_S: Final = 2.0
DIFFERENT: Final = "a worker has other settings than the client"
SAME_INPUTS: Final = "give every worker the same model, text, device and packages."
#: A worker that keeps more texts than this, for rows that it has not begun, discards the oldest texts.
_TEXTS_AHEAD: Final = 2

_Text = TypeVar("_Text")


@dataclass(frozen=True)
class Outcome:
    """The report of a worker about an item.

    Attributes:
        taken: Whether the worker did nothing, because another process has claimed the item.
        events: Events of the item. Empty if another process had finished the item.
        value: The result of the item if it is small, or the path of the file that contains it.
        details: Machine and traceback of a failure; otherwise empty.
    """

    taken: bool = False
    events: tuple[Any, ...] = ()
    value: Any = None
    details: str = ""


def hand_out(
    client: Client,
    job: Job[Item, Any],
    items: Sequence[Item],
    *,
    on_started: Callable[[Item, str], None],
    on_done: Callable[[Item, WorkDoneBy], None],
    on_failed: Callable[[Item, XsnsError, Sequence[Attempt]], None],
    on_note: Callable[[str], None],
    on_waiting: Callable[[Sequence[Item]], None],
    is_free: Callable[[Item], bool],
    options: ClusterOptions,
) -> None:
    """Let workers do all items; items that other processes have claimed are submitted again when a claim is released.

    Args:
        client: A client of the cluster.
        job: The job to which the items belong. Its results need the attribute `taken`; see :class:`Outcome`.
        items: The items.
        on_started: See :func:`~xsns_stream.pipeline.cluster.run_on_cluster`.
        on_done: See `run_on_cluster`; not called for results whose `taken` is True.
        on_failed: See `run_on_cluster`.
        on_note: See `run_on_cluster`.
        on_waiting: Called with the items that other processes have claimed, when no other item is left.
        is_free: Function that takes an item and returns whether no process has claimed it.
        options: Number of retries and limit of time.

    Raises:
        XsnsError: See `run_on_cluster`.
    """
    taken: list[Item] = []

    def done(item: Item, work: WorkDoneBy) -> None:
        if work.result.taken:
            taken.append(item)
        else:
            on_done(item, work)

    while items:
        taken.clear()
        run_on_cluster(
            client,
            job,
            items,
            on_started=on_started,
            on_done=done,
            on_failed=on_failed,
            on_note=on_note,
            options=options,
        )
        if taken:
            on_waiting(tuple(taken))
        items = tuple(taken)
        while items and not any(is_free(item) for item in items):
            time.sleep(_POLL_S)


def text_digests(corpus: Corpus, rows: Iterable[Row], examples: int) -> tuple[dict[Row, str], dict[Row, int]]:
    """Return {row: digest of its text} and {row: its number of characters}; empty if the corpus is not local.

    Rows whose text cannot be read are left out here; a worker reports them as failed rows.
    """
    digests: dict[Row, str] = {}
    sizes: dict[Row, int] = {}
    for row in rows if corpus.local else ():
        with suppress(*ONE_LANGUAGE):
            sample = corpus.sample(row.language, examples, row.seed)
            digests[row], sizes[row] = sample.digest, sum(len(example.key()) for example in sample.examples)
    return digests, sizes


class TextsAhead(Generic[_Text]):
    """The texts that a worker has read in advance, while it measured other rows.

    Args:
        read: Function that reads the text of a row.
    """

    def __init__(self, read: Callable[[Row], _Text]) -> None:
        self._read = read
        self._texts: dict[Row, _Text] = {}

    def prepare(self, row: Row) -> None:
        """Read the text of a row, and keep it."""
        if row not in self._texts:
            while len(self._texts) > _TEXTS_AHEAD:
                # Dask may have given these rows to other workers.
                self._texts.pop(next(iter(self._texts)))
            self._texts[row] = self._read(row)

    def take(self, row: Row) -> _Text:
        """Return the text of a row, which is read now if it was not read in advance."""
        return self._texts.pop(row) if row in self._texts else self._read(row)


def refuse_other_text(row: Row, digest: str, digests: Mapping[Row, str]) -> None:
    """Raise an error if the text of a row on a worker differs from the text on the client.

    Args:
        row: The row.
        digest: Digest of the examples that the worker read.
        digests: {row: digest of its examples on the client}, without rows that the client did not read.

    Raises:
        IncompatibleError: The digests differ.
    """
    if digests.get(row, digest) != digest:
        raise IncompatibleError(
            f"a worker reads different text of '{row.language}' than the client does.",
            "give every worker the same files.",
        )


def refuse_loaded_model(model: Any) -> None:
    """Raise an error if a model is an object in memory.

    Raises:
        UsageError: The model is an object in memory.
    """
    if not isinstance(model, str | Path):
        raise UsageError(
            f"a model in memory ({type(model).__name__}) is not sent to workers, which load the model themselves.",
            "save it and its tokenizer with save_pretrained(folder), and give the folder.",
        )


def enter_folder(folder: str) -> None:
    """Change the working directory of a worker to that of the client, so that relative paths mean the same.

    Raises:
        XsnsError: The worker's machine does not have the folder.
    """
    try:
        os.chdir(folder)
    except OSError as error:
        raise XsnsError(
            f"a worker cannot enter the folder '{folder}' of the client: {error.strerror}.",
            "start workers where the folder exists, such as on a shared disk; or give absolute paths and URLs, and "
            "run the command in a folder that every machine has.",
        ) from error


def own_device(options: Mapping[str, Any]) -> dict[str, Any]:
    """Return the options of a model; for a local worker, the device `cuda` is replaced by one GPU, such as `cuda:1`.

    Workers that a user has started keep `cuda`: they use the first GPU that `CUDA_VISIBLE_DEVICES` names.
    """
    import torch
    from distributed import get_worker

    chosen, name = dict(options), get_worker().name
    if options.get("device") == "cuda" and isinstance(name, int) and (count := torch.cuda.device_count()) > 1:
        chosen["device"] = f"cuda:{name % count}"
    return chosen


def refuse_other_record(client: Mapping[str, Any], worker: Mapping[str, Any]) -> None:
    """Raise an error if the settings recorded on a worker differ from those on the client.

    Args:
        client: {setting that determines the result: its value on the client}.
        worker: The same settings, with their values on the worker.

    Raises:
        IncompatibleError: A value differs; the message names it.
    """
    names = [name for name in {**client, **worker} if client.get(name) != worker.get(name)]
    if names:
        name = names[0]
        raise IncompatibleError(
            f"{DIFFERENT}: {', '.join(names)} ({name} is {worker.get(name)!r} instead of {client.get(name)!r}).",
            SAME_INPUTS,
        )


def keep_log(folder: Path, name: str, error: XsnsError, attempts: Sequence[Attempt], details: str = "") -> str:
    """Write the log of a failed item, and return a phrase with its path, or with the reason why it cannot be written.

    Args:
        folder: Folder of the logs.
        name: Name of the item, which becomes the name of the file.
        error: The error.
        attempts: The attempts at the item, one for each time that a worker began it.
        details: Lines from the worker, such as a traceback.
    """
    try:
        path = write_failure_log(folder, name, error, attempts, details)
    except (OSError, XsnsError) as problem:
        return f"the log of its failure cannot be written: {problem}"
    return f"failed; its log is {path}"
