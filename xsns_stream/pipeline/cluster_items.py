"""Work of the verbs on a cluster: items that other processes may have claimed, checks of workers, logs of failures."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.corpora import Corpus
from xsns_stream.errors import IncompatibleError, UsageError, XsnsError
from xsns_stream.pipeline.cluster import Attempt, ClusterOptions, WorkDoneBy, run_on_cluster
from xsns_stream.pipeline.events import Row
from xsns_stream.pipeline.failure_logs import write_failure_log
from xsns_stream.pipeline.jobs import Item, Job
from xsns_stream.pipeline.run_build import ONE_LANGUAGE

if TYPE_CHECKING:
    from distributed import Client

#: Seconds between two looks at items that other processes have claimed.
_POLL_S: Final = 2.0
DIFFERENT: Final = "a worker measures something else than the client"
SAME_INPUTS: Final = "give every worker the same model, text, device and packages."


@dataclass(frozen=True)
class Outcome:
    """What a worker reports on an item.

    Attributes:
        taken: Whether another process has claimed the item, so that nothing was done.
        events: Notes on the item, and its end; no end if another process has finished the item.
        value: A small result of the item, or the path of a file with a large one.
        details: Machine and traceback of a failure.
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
    """Hand items to workers; items that another process has claimed are handed out again when it releases them.

    Args:
        client: A client of the cluster.
        job: The work, whose results have the attribute `taken` of :class:`Outcome`.
        items: The items.
        on_started: See :func:`~xsns_stream.pipeline.cluster.run_on_cluster`.
        on_done: Called with an item that a worker finished, and the outcome.
        on_failed: See `run_on_cluster`.
        on_note: See `run_on_cluster`.
        on_waiting: Called with the items that other processes have claimed, when no other item is left.
        is_free: Item → whether no process has claimed it.
        options: How the cluster is used.

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
    """Return the digest, and the size in characters, of the text of each row; nothing if the corpus is not local.

    A row whose text cannot be read is left out: a worker reports it as the failure of the row.
    """
    digests: dict[Row, str] = {}
    sizes: dict[Row, int] = {}
    for row in rows if corpus.local else ():
        with suppress(*ONE_LANGUAGE):
            sample = corpus.sample(row.language, examples, row.seed)
            digests[row], sizes[row] = sample.digest, sum(len(example.key()) for example in sample.examples)
    return digests, sizes


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
    """Let a worker work in the folder of the client, in which relative paths are.

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
    """Return options of a model with one GPU for each worker of this machine, if the device is `cuda`.

    Workers that a user starts see the GPUs that `CUDA_VISIBLE_DEVICES` names, and use the first of them.
    """
    import torch
    from distributed import get_worker

    chosen, name = dict(options), get_worker().name
    if options.get("device") == "cuda" and isinstance(name, int) and (count := torch.cuda.device_count()) > 1:
        chosen["device"] = f"cuda:{name % count}"
    return chosen


def refuse_other_record(client: Mapping[str, Any], worker: Mapping[str, Any]) -> None:
    """Raise an error if the record of a worker's work differs from that of the client.

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
    """Write the log of a failed item, and return a sentence for the user; a full disk does not end the run.

    Args:
        folder: Folder of the logs.
        name: Name of the item, which becomes the name of the file.
        error: The error.
        attempts: The attempts, one for each start of the item on a worker.
        details: Lines from the worker, such as a traceback.
    """
    try:
        path = write_failure_log(folder, name, error, attempts, details)
    except (OSError, XsnsError) as problem:
        return f"the log of its failure cannot be written: {problem}"
    return f"failed; its log is {path}"
