"""Dry run of a build, which finds errors, and estimates time, disk space and memory from one timed row."""

from __future__ import annotations

import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from xsns_stream.errors import XsnsError
from xsns_stream.objectives import Objective
from xsns_stream.pipeline.cluster_build import worker_memory
from xsns_stream.pipeline.cluster_clients import Workers
from xsns_stream.pipeline.events import BuildPlan, Event, Noted, Row, RowFailed
from xsns_stream.pipeline.measure import Run, free_memory
from xsns_stream.pipeline.prepare_build import prepare_build, prepare_run
from xsns_stream.pipeline.repeatability import split_into_folds
from xsns_stream.pipeline.rows import RowText, RowTexts, finish_row, notes_on_text
from xsns_stream.pipeline.run_build import ONE_LANGUAGE, read_text
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.types import ParameterLayout

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel

#: Largest number of examples that are timed; the time of a row with more examples is extrapolated.
TIMED_EXAMPLES: Final = 64
#: Number of examples of a second, smaller measurement, from which the fixed cost of a row is computed.
_FEW_EXAMPLES: Final = 8
_BYTES_OF_FISHER: Final = {"float32": 4, "bf16": 2}


def estimate_build(
    settings: BuildSettings,
    loaded: LoadedModel,
    store: SubNetworkStore,
    on_event: Callable[[Event], None] = lambda event: None,
    workers: Workers | None = None,
) -> BuildPlan:
    """Make all checks that :func:`~xsns_stream.pipeline.run_build.run_build` makes, and measure the time of one row.

    The text of every missing row is read. Nothing is written to the store or its folder; the timed row is written to a
    temporary folder of the system.

    Args:
        settings: The settings of the build.
        loaded: The model with its tokenizer.
        store: The store.
        on_event: Called with each event, in order.
        workers: The workers that would measure the rows; None if this process would measure them.

    Raises:
        IncompatibleError, UsageError, ModelError, StoreError: See `run_build`.
    """
    from xsns_stream.fisher.model_state import caller_modes_off

    failed: dict[Row, XsnsError] = {}
    row_notes: list[Noted] = []

    def notify(event: Event) -> None:
        if isinstance(event, Noted) and event.row is not None:
            row_notes.append(event)
        on_event(event)

    prepared = prepare_build(settings, loaded, store, notify)
    measured = [row for row in prepared.missing if row not in prepared.from_fisher]
    tokens: dict[Row, int] = {}
    first: tuple[Row, RowText] | None = None
    with caller_modes_off():
        run = prepare_run(prepared, loaded, store, notify)
        for row in measured:
            try:
                text = _checked_text(row, settings, prepared.objective, run)
            except ONE_LANGUAGE as error:
                failed[row] = error
                notify(RowFailed(row, error))
                continue
            tokens[row] = _tokens(text)
            first = first or (row, text)
        cost = None if first is None else _time(*first, prepared.objective, run)
    if cost is None:
        return BuildPlan(settings.rows(), prepared.missing, failed, row_notes=tuple(row_notes))
    seconds = [cost.seconds(count) for count in tokens.values()]
    number = None if workers is None else _count_workers(workers, settings, loaded, prepared.layout)
    return BuildPlan(
        settings.rows(),
        prepared.missing,
        failed,
        seconds=sum(seconds),
        workers=number,
        # No row is divided between workers.
        seconds_on_workers=None if not number else max(sum(seconds) / number, *seconds),
        disk=len(tokens) * cost.disk,
        memory=_peak_memory(loaded),
        row_notes=tuple(row_notes),
    )


def _count_workers(workers: Workers, settings: BuildSettings, loaded: LoadedModel, layout: ParameterLayout) -> int:
    return workers.count(worker_memory(settings, loaded, layout), free_memory(loaded.model))


def _checked_text(row: Row, settings: BuildSettings, objective: Objective, run: Run) -> RowText:
    """Read the text of a row, send notes on it as events, and check that it can be divided into the requested parts.

    Raises:
        CorpusError, FisherError, LanguageError: The row cannot be measured.
    """
    text = read_text(row, settings, objective, run.loaded)
    for note in notes_on_text(text.sample, text.encoded, settings.examples, objective.max_length):
        run.notify(Noted(note, row))
    if settings.parts:
        unit = run.batching.size if settings.fisher.batch_wise else 1
        list(split_into_folds(text.encoded.examples, settings.parts, unit, row.language))
    return text


def _tokens(text: RowText) -> int:
    return sum(example.longest for example in text.encoded.examples)


@dataclass(frozen=True)
class _Cost:
    """Cost of one row: a constant time in seconds, the seconds for each token, and the bytes in the store."""

    constant: float
    per_token: float
    disk: int

    def seconds(self, tokens: int) -> float:
        return self.constant + self.per_token * tokens


def _time(row: Row, text: RowText, objective: Objective, run: Run) -> _Cost:
    """Measure a row with few and with many examples, after a warm-up, and return its cost.

    The row is written to temporary stores.
    """
    examples = text.encoded.examples
    parts = run.settings.parts or 1
    many = min(len(examples), max(TIMED_EXAMPLES, 2 * parts))
    few = min(len(examples), max(_FEW_EXAMPLES, 2 * parts, run.batching.size))
    with tempfile.TemporaryDirectory(prefix="xsns-") as folder:
        _measure(row, text, few, objective, run, Path(folder) / "warm.zarr")
        seconds = {
            count: _measure(row, text, count, objective, run, Path(folder) / f"{count}.zarr") for count in {few, many}
        }
        disk = _row_bytes(open_store(Path(folder) / f"{many}.zarr"), run)
    sizes = {count: sum(example.longest for example in examples[:count]) for count in (few, many)}
    if sizes[many] == sizes[few]:
        return _Cost(0.0, seconds[many] / max(1, sizes[many]), disk)
    per_token = max(0.0, (seconds[many] - seconds[few]) / (sizes[many] - sizes[few]))
    return _Cost(max(0.0, seconds[few] - per_token * sizes[few]), per_token, disk)


def _measure(row: Row, text: RowText, count: int, objective: Objective, run: Run, path: Path) -> float:
    """Measure the first `count` examples of a row, and return the duration in seconds."""
    encoded = replace(text.encoded, examples=text.encoded.examples[:count])
    settings = replace(run.settings, keep_fisher=None)
    quiet = replace(run, settings=settings, store=open_store(path, "a"), notify=lambda event: None)
    started = time.perf_counter()
    finish_row(row, lambda: RowText(text.sample, encoded), objective, quiet, RowTexts())
    return time.perf_counter() - started


def _row_bytes(store: SubNetworkStore, run: Run) -> int:
    """Return the size of a row in bytes, including its parts and its stored Fisher values."""
    stores = (store, *(store.folds(run.settings.parts) if run.settings.parts else ()))
    fisher = 0 if run.settings.keep_fisher is None else _BYTES_OF_FISHER[run.settings.keep_fisher] * run.layout.size
    return fisher + sum(record.bytes for each in stores for record in each.records())


def _peak_memory(loaded: LoadedModel) -> int | None:
    """Return the peak memory of PyTorch on the GPU, or of this process, in bytes; None if it is unknown."""
    import torch

    device = next(loaded.model.parameters()).device
    if device.type == "cuda":
        return int(torch.cuda.max_memory_allocated(device))
    try:
        import resource
    except ImportError:
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak
