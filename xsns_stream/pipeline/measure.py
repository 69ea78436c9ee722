"""Measurement of one row: Fisher values from encoded examples, in batches that fit into memory."""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from xsns_stream.errors import FisherError
from xsns_stream.io.allocator import FreedMemory
from xsns_stream.io.free_memory import free_memory_here
from xsns_stream.objectives import EncodedExample
from xsns_stream.pipeline.events import Event, ExamplesDone, Noted, Row
from xsns_stream.pipeline.repeatability import (
    FoldSums,
    SplitHalves,
    StabilityCurve,
    jaccard_of_bits,
    split_into_folds,
)
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.store import SubNetworkStore
from xsns_stream.subnetworks.select import extract_subnetworks
from xsns_stream.types import DiagonalFisher, ParameterLayout, Provenance, SubNetwork

if TYPE_CHECKING:
    from torch import Tensor

    from xsns_stream.fisher import Measurement
    from xsns_stream.models import LoadedModel


@dataclass
class Batching:
    """Size and order of batches. If a batch does not fit into memory, all later batches are smaller.

    Attributes:
        size: Number of examples in a batch.
        token_budget: Maximum number of tokens in a batch (examples × longest example), which replaces `size`; None if
            the number of examples is fixed.
        order: See :func:`xsns_stream.batches`.
    """

    size: int
    token_budget: int | None
    order: str

    def halve(self, examples: int, longest: int) -> bool:
        """Halve the size of batches; return False if a batch already contains a single example.

        Args:
            examples: Number of examples of the row.
            longest: Number of tokens of the longest example of the row.
        """
        if self.token_budget is None:
            self.size = min(self.size, examples) // 2
            return self.size >= 1
        before = min(self.token_budget, examples * longest)
        self.token_budget = max(longest, before // 2)
        return before > longest

    def __str__(self) -> str:
        if self.token_budget is not None:
            return f"batches of at most {self.token_budget:,} tokens"
        return f"batches of {self.size}" if self.size > 1 else "one example at a time"


@dataclass
class Run:
    """The parts of a build that all rows share.

    Attributes:
        settings: The settings of the build.
        loaded: The model with its tokenizer.
        layout: Layout of the measured parameters θ.
        provenance: Provenance of every row, without the fields that differ between rows.
        store: The store that rows are written to.
        batching: The current size and order of batches.
        passes: Number of groups of layers, which are measured one after the other; 1 if all Fisher values fit into
            memory.
        notify: Called with each event.
        freed: Returns the memory that earlier rows have freed.
    """

    settings: BuildSettings
    loaded: LoadedModel
    layout: ParameterLayout
    provenance: Provenance
    store: SubNetworkStore
    batching: Batching
    passes: int
    notify: Callable[[Event], None]
    freed: FreedMemory = field(default_factory=FreedMemory)


@dataclass(frozen=True)
class MeasuredRow:
    """Fisher values of a row and measures of their repeatability.

    Attributes:
        fisher: The values; their provenance contains the stability curve, if there is one.
        halves: {density: Jaccard coefficient of the sub-networks of two halves of the examples}; empty if they were
            not compared.
        leave_one_out: For each fold, the sub-networks measured on the other folds, one for each density; empty
            if no folds were requested.
    """

    fisher: DiagonalFisher
    halves: Mapping[float, float | None] = field(default_factory=dict)
    leave_one_out: tuple[tuple[SubNetwork, ...], ...] = ()

    def reliability(self, density: float) -> dict[str, Any]:
        """Return the measures of reliability at a density, as they are recorded in the provenance of the row."""
        recorded = dict(self.fisher.provenance.reliability)
        half = self.halves.get(density)
        return recorded if half is None else {"split_half": half} | recorded


@contextmanager
def measured(row: Row, examples: Sequence[EncodedExample], run: Run, provenance: Provenance) -> Iterator[MeasuredRow]:
    """Measure a row; use smaller batches if the present batches do not fit into memory.

    The values may be in a temporary file, which is removed at the end of the block.

    Args:
        row: The row to measure.
        examples: Its encoded examples, in the order in which they were drawn.
        run: The parts that all rows share; its batches may become smaller.
        provenance: Provenance of the row.

    Raises:
        FisherError: A single example does not fit into memory, or :func:`xsns_stream.diagonal_fisher` raises it.
    """
    on_disk = run.passes > 1 or bool(run.settings.parts)
    # Without this, the memory of a build grows with the number of languages.
    run.freed.give_back()
    while True:
        # The system's folder for temporary files is not used, because it may be in memory.
        with run.store.scratch() if on_disk else nullcontext(Path()) as scratch:
            result = _measure_once(row, examples, run, provenance, scratch)
            if result is not None:
                yield result
                return
        # The exception, which refers to the tensors of the failed pass, is out of scope here, and they can be freed.
        _release_memory(run.loaded.model)
        _shrink_batches(row, examples, run)


def _measure_once(
    row: Row, examples: Sequence[EncodedExample], run: Run, provenance: Provenance, scratch: Path
) -> MeasuredRow | None:
    """Measure a row with batches of the present size; return None if a batch does not fit into memory."""
    from xsns_stream.fisher import is_out_of_memory

    try:
        if run.passes > 1:
            return _in_groups_of_layers(row, examples, run, provenance, scratch)
        if run.settings.parts:
            return _in_folds(row, examples, run, provenance, run.settings.parts, scratch)
        return _in_one_pass(row, examples, run, provenance)
    except Exception as error:
        if not is_out_of_memory(error):
            raise
    return None


def _shrink_batches(row: Row, examples: Sequence[EncodedExample], run: Run) -> None:
    """Use smaller batches for this row and the following rows.

    Raises:
        FisherError: A batch contains a single example already, or the values depend on the batch size.
    """
    estimator = run.settings.fisher
    if estimator.batch_wise:
        raise FisherError(
            f"batches of {run.batching.size} examples of language '{row.language}' do not fit into memory, and the "
            f"values of the estimator '{estimator.estimator}' depend on the batch size.",
            "give a smaller --batch in a new store, or a smaller --max-length.",
        )
    if not run.batching.halve(len(examples), max(example.longest for example in examples)):
        # The batches are reset, because the following rows may have shorter examples.
        run.batching.size = max(1, run.batching.size)
        raise FisherError(
            f"a single example of language '{row.language}' does not fit into memory.",
            "try --checkpoint, a smaller --max-length, or --memory for the Fisher values.",
        )
    run.notify(Noted(f"did not fit into memory; it is measured again, with {run.batching}.", row))


def _in_one_pass(row: Row, examples: Sequence[EncodedExample], run: Run, provenance: Provenance) -> MeasuredRow:
    from xsns_stream.fisher import error_context, measurement

    settings = run.settings
    curve = StabilityCurve(settings.stopping, settings.quantile_used) if settings.stopping else None
    halves = SplitHalves() if settings.split_half else None
    running = measurement(
        run.loaded.model, run.layout, settings.fisher, without_rules=provenance.fallback, seed=row.seed
    )
    with running, error_context(running, row.language):
        chunk_size = settings.stopping.check_every if settings.stopping else len(examples)
        for start in range(0, len(examples), chunk_size):
            _add_chunk(examples[start : start + chunk_size], row, running, run, halves, len(examples))
            if curve is not None and curve.check(running.examples, running.sums):
                break
    compared = halves.compare(running.sums, settings.densities, settings.quantile_used) if halves else {}
    stability = {"stability": [list(point) for point in curve.points]} if curve else {}
    provenance = replace(provenance, examples=running.examples, reliability=stability)
    values = _means(running.sums, running.count, run.layout)
    return MeasuredRow(DiagonalFisher(values, run.layout, running.examples, row.language, provenance), compared)


def _in_folds(
    row: Row, examples: Sequence[EncodedExample], run: Run, provenance: Provenance, count: int, scratch: Path
) -> MeasuredRow:
    """Measure the folds of a row one after the other; no batch contains examples of two folds."""
    from xsns_stream.fisher import error_context, measurement

    estimator = run.settings.fisher
    folds = list(split_into_folds(examples, count, run.batching.size if estimator.batch_wise else 1, row.language))
    fold_sums = FoldSums(scratch, count)
    divisors: list[float] = []
    running = measurement(run.loaded.model, run.layout, estimator, without_rules=provenance.fallback, seed=row.seed)
    with running, error_context(running, row.language):
        for fold in folds:
            before = running.count
            _add_batches(fold, row, running, run, len(examples))
            divisors.append(running.count - before)
            fold_sums.take(running.sums)

    def fisher_of(numbers: Sequence[int]) -> DiagonalFisher:
        fold_sums.add_up(running.sums, numbers)
        values = _means(running.sums, sum(divisors[number] for number in numbers), run.layout)
        used = sum(len(folds[number]) for number in numbers)
        return DiagonalFisher(values, run.layout, used, row.language, replace(provenance, examples=used))

    every = range(count)
    densities, quantile = run.settings.densities, run.settings.quantile_used
    leave_one_out = tuple(
        extract_subnetworks(fisher_of([other for other in every if other != number]), densities, quantile=quantile)
        for number in every
    )
    halves: dict[float, float | None] = {}
    if count % 2 == 0:
        first, second = (
            extract_subnetworks(fisher_of(half), densities, quantile=quantile)
            for half in (every[: count // 2], every[count // 2 :])
        )
        pairs = zip(densities, first, second, strict=True)
        halves = {density: jaccard_of_bits(a.bits, b.bits) for density, a, b in pairs}
    return MeasuredRow(fisher_of(every), halves, leave_one_out)


def _in_groups_of_layers(
    row: Row, examples: Sequence[EncodedExample], run: Run, provenance: Provenance, scratch: Path
) -> MeasuredRow:
    from xsns_stream.fisher import diagonal_fisher_in_groups

    def make_batches() -> Iterator[dict[str, Tensor]]:
        done = 0
        for batch in _batches(examples, run):
            yield batch
            done += len(batch["input_ids"])
            run.notify(ExamplesDone(row, done, len(examples)))

    fisher = diagonal_fisher_in_groups(
        run.loaded.model,
        make_batches,
        run.layout,
        run.settings.fisher,
        budget=run.settings.memory or 0,
        folder=scratch,
        without_rules=provenance.fallback,
        seed=row.seed,
        language=row.language,
        provenance=replace(provenance, examples=len(examples)),
    )
    return MeasuredRow(fisher)


def _add_chunk(
    chunk: Sequence[EncodedExample], row: Row, running: Measurement, run: Run, halves: SplitHalves | None, total: int
) -> None:
    """Add a chunk of examples to the running measurement of a row, and send an event after each batch.

    Args:
        chunk: The encoded examples.
        row: The row, for the events.
        running: The measurement to which the examples are added.
        run: The parts of the build that all rows share.
        halves: Sums over the first half of the examples, to which one half of the chunk is added; None if two halves
            are not compared.
        total: Number of examples of the row, for the events.
    """
    if halves is None:
        _add_batches(chunk, row, running, run, total)
        return
    # If values depend on batches, whole batches are used, so that comparing halves does not change the row.
    unit = run.batching.size if run.settings.fisher.batch_wise else 1
    middle = len(chunk) // 2 // unit * unit
    if middle:
        halves.before_first(running.sums)
        _add_batches(chunk[:middle], row, running, run, total)
        halves.after_first(running.sums)
        halves.second_examples += len(chunk) - middle
    _add_batches(chunk[middle:], row, running, run, total)


def _add_batches(examples: Sequence[EncodedExample], row: Row, running: Measurement, run: Run, total: int) -> None:
    for batch in _batches(examples, run):
        running.add(batch)
        run.notify(ExamplesDone(row, running.examples, total))


def _batches(examples: Sequence[EncodedExample], run: Run) -> Iterator[dict[str, Tensor]]:
    from xsns_stream.objectives import batches

    device = str(next(run.loaded.model.parameters()).device)
    batching = run.batching
    return batches(
        examples, batching.size, run.loaded.pad_id, device, order=batching.order, token_budget=batching.token_budget
    )


def _means(sums: Mapping[str, Tensor], count: float, layout: ParameterLayout) -> tuple[Any, ...]:
    """Divide sums of squared gradients by `count`, in place, and return the means in the order of the layout.

    A mean is an array if its tensor is on the CPU, and a tensor otherwise.
    """
    means = [sums[name].div_(count) for name in layout.names]
    return tuple(mean.numpy() if mean.device.type == "cpu" else mean for mean in means)


def free_memory(model: Any) -> int:
    """Return the free memory in bytes: that of the GPU if the model is on a GPU, otherwise that of this machine."""
    import torch

    if model is not None and (device := next(model.parameters()).device).type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return free_memory_here()


def _release_memory(model: Any) -> None:
    """Free the memory that a pass used which failed because a batch did not fit into memory."""
    import torch

    gc.collect()
    if next(model.parameters()).device.type == "cuda":
        torch.cuda.empty_cache()
