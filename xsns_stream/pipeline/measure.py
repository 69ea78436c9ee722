"""One row: encoded examples → Fisher values, with their repeatability."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from xsns_kernels import popcount
from xsns_stream.errors import FisherError
from xsns_stream.objectives import EncodedExample
from xsns_stream.pipeline.events import Event, ExamplesDone, Noted, Row
from xsns_stream.pipeline.memory import Batching, release
from xsns_stream.pipeline.settings import BuildSettings, Stopping
from xsns_stream.pipeline.texts import RowTexts
from xsns_stream.store import SubNetworkStore
from xsns_stream.subnetworks.select import extract_subnetworks, select_top, select_top_many
from xsns_stream.types import DiagonalFisher, ParameterLayout, Provenance, SubNetwork, Words

if TYPE_CHECKING:
    from torch import Tensor

    from xsns_stream.fisher import Measurement
    from xsns_stream.models import LoadedModel


@dataclass
class Run:
    """What all rows of a build share.

    Attributes:
        settings: What to measure.
        loaded: The model.
        layout: θ.
        provenance: Of every row, but for what is the row's own.
        store: Where rows go.
        batching: How examples are put into batches now.
        passes: Groups of layers, measured one after the other; 1 where all Fisher values fit.
        tell: Receives events.
        texts: What is known of the texts that were read.
    """

    settings: BuildSettings
    loaded: LoadedModel
    layout: ParameterLayout
    provenance: Provenance
    store: SubNetworkStore
    batching: Batching
    passes: int
    tell: Callable[[Event], None]
    texts: RowTexts = field(default_factory=RowTexts)


@dataclass(frozen=True)
class Measured:
    """A row's Fisher values.

    Attributes:
        fisher: The values; its provenance has the stability curve where there is one.
        halves: {density: coefficient of the sub-networks of two halves of the examples}.
        parts: For each part of the examples, the sub-networks of all others, for each density; empty where no parts
            were asked for.
    """

    fisher: DiagonalFisher
    halves: Mapping[float, float | None] = field(default_factory=dict)
    parts: tuple[tuple[SubNetwork, ...], ...] = ()

    def reliability(self, density: float) -> dict[str, Any]:
        """Return what is recorded with the row's sub-network of this density."""
        known = dict(self.fisher.provenance.reliability)
        half = self.halves.get(density)
        return known if half is None else {"split_half": half} | known


def measure_in_memory(
    row: Row, examples: Sequence[EncodedExample], run: Run, provenance: Provenance, undo: ExitStack
) -> Measured:
    """Measure a row, with smaller batches where the present ones do not fit into memory.

    Args:
        row: Which.
        examples: Its encoded examples, in the order in which they were drawn.
        run: What all rows share; its batching may shrink.
        provenance: The row's.
        undo: Receives what must be undone when the values are no longer needed.

    Raises:
        FisherError: A single example does not fit, or what :func:`xsns_stream.diagonal_fisher` raises.
    """
    from xsns_stream.fisher import is_out_of_memory

    while True:
        try:
            if run.passes > 1:
                return _in_groups(row, examples, run, provenance, undo)
            if run.settings.parts:
                return _in_parts(row, examples, run, provenance, run.settings.parts, undo)
            return _in_one_pass(row, examples, run, provenance)
        except Exception as error:
            if not is_out_of_memory(error):
                raise
        # Out of the handler, so that nothing refers to the failed pass any more: its memory is free again.
        release(run.loaded.model)
        _shrink(row, examples, run)


def _shrink(row: Row, examples: Sequence[EncodedExample], run: Run) -> None:
    """Make batches smaller for this row and those that follow.

    Raises:
        FisherError: They cannot be smaller, or must not be.
    """
    estimator = run.settings.fisher
    if estimator.batch_wise:
        raise FisherError(
            f"batches of {run.batching.size} examples of language '{row.language}' do not fit into memory, and the "
            f"values of the estimator '{estimator.estimator}' depend on the batch size.",
            "give a smaller --batch in a new store, or a smaller --max-length.",
        )
    if not run.batching.halve(len(examples), max(example.longest for example in examples)):
        # For the rows that follow, whose examples may be shorter.
        run.batching.size = max(1, run.batching.size)
        raise FisherError(
            f"a single example of language '{row.language}' does not fit into memory.",
            "try --checkpoint, a smaller --max-length, or --memory for the Fisher values.",
        )
    run.tell(Noted(f"did not fit into memory; it is measured again, with {run.batching}.", row))


def _in_one_pass(row: Row, examples: Sequence[EncodedExample], run: Run, provenance: Provenance) -> Measured:
    from xsns_stream.fisher import error_context, measurement

    settings = run.settings
    curve = StabilityCurve(settings.stopping, settings.quantile_used) if settings.stopping else None
    halves = Halves() if settings.split_half else None
    running = measurement(
        run.loaded.model, run.layout, settings.fisher, without_rules=provenance.fallback, seed=row.seed
    )
    with running, error_context(running, row.language):
        for chunk in _chunks(examples, settings.stopping.check_every if settings.stopping else len(examples)):
            _add(chunk, row, running, run, halves, len(examples))
            if curve is not None and curve.check(running.examples, running.sums):
                break
    compared = halves.compare(running.sums, settings.densities, settings.quantile_used) if halves else {}
    stability = {"stability": [list(point) for point in curve.points]} if curve else {}
    provenance = replace(provenance, examples=running.examples, reliability=stability)
    values = _means(running.sums, running.count, run.layout)
    return Measured(DiagonalFisher(values, run.layout, running.examples, row.language, provenance), compared)


def _in_parts(
    row: Row, examples: Sequence[EncodedExample], run: Run, provenance: Provenance, count: int, undo: ExitStack
) -> Measured:
    """Measure the parts of a row one after the other; batches lie within parts."""
    from xsns_stream.fisher import error_context, measurement

    estimator = run.settings.fisher
    cuts = list(cut(examples, count, run.batching.size if estimator.batch_wise else 1, row.language))
    parts = Parts(undo.enter_context(run.store.scratch()), count)
    divisors: list[float] = []
    running = measurement(run.loaded.model, run.layout, estimator, without_rules=provenance.fallback, seed=row.seed)
    with running, error_context(running, row.language):
        for part in cuts:
            before = running.count
            _add_batches(part, row, running, run, len(examples))
            divisors.append(running.count - before)
            parts.take(running.sums)

    def fisher_of(numbers: Sequence[int]) -> DiagonalFisher:
        parts.add_up(running.sums, numbers)
        values = _means(running.sums, sum(divisors[number] for number in numbers), run.layout)
        used = sum(len(cuts[number]) for number in numbers)
        return DiagonalFisher(values, run.layout, used, row.language, replace(provenance, examples=used))

    every = range(count)
    densities, quantile = run.settings.densities, run.settings.quantile_used
    without = tuple(
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
    return Measured(fisher_of(every), halves, without)


def _chunks(examples: Sequence[EncodedExample], size: int) -> Iterator[Sequence[EncodedExample]]:
    return (examples[start : start + size] for start in range(0, len(examples), size))


def _add(
    chunk: Sequence[EncodedExample], row: Row, running: Measurement, run: Run, halves: Halves | None, total: int
) -> None:
    """Add a chunk of examples; half of them to the first half where two halves are compared."""
    if halves is None:
        _add_batches(chunk, row, running, run, total)
        return
    # Whole batches where values depend on what shares a batch, so that comparing halves changes no row.
    unit = run.batching.size if run.settings.fisher.batch_wise else 1
    cut = len(chunk) // 2 // unit * unit
    if cut:
        halves.before_first(running.sums)
        _add_batches(chunk[:cut], row, running, run, total)
        halves.after_first(running.sums)
        halves.second_examples += len(chunk) - cut
    _add_batches(chunk[cut:], row, running, run, total)


def _add_batches(examples: Sequence[EncodedExample], row: Row, running: Measurement, run: Run, total: int) -> None:
    for batch in _batches(examples, run):
        running.add(batch)
        run.tell(ExamplesDone(row, running.examples, total))


def _batches(examples: Sequence[EncodedExample], run: Run) -> Iterator[dict[str, Tensor]]:
    from xsns_stream.objectives import batches

    device = str(next(run.loaded.model.parameters()).device)
    how = run.batching
    return batches(examples, how.size, run.loaded.pad_id, device, order=how.order, token_budget=how.token_budget)


def _means(sums: Mapping[str, Tensor], count: float, layout: ParameterLayout) -> tuple[Any, ...]:
    """Return the mean of each tensor, made of its sum in place: arrays, or tensors where the model is on a device."""
    means = [sums[name].div_(count) for name in layout.names]
    return tuple(mean.numpy() if mean.device.type == "cpu" else mean for mean in means)


def _in_groups(
    row: Row, examples: Sequence[EncodedExample], run: Run, provenance: Provenance, undo: ExitStack
) -> Measured:
    from xsns_stream.fisher import diagonal_fisher_in_groups

    def make_batches() -> Iterator[dict[str, Tensor]]:
        done = 0
        for batch in _batches(examples, run):
            yield batch
            done += len(batch["input_ids"])
            run.tell(ExamplesDone(row, done, len(examples)))

    fisher = diagonal_fisher_in_groups(
        run.loaded.model,
        make_batches,
        run.layout,
        run.settings.fisher,
        budget=run.settings.memory or 0,
        # Not in the system's folder, which may itself lie in memory.
        folder=undo.enter_context(run.store.scratch()),
        without_rules=provenance.fallback,
        seed=row.seed,
        language=row.language,
        provenance=replace(provenance, examples=len(examples)),
    )
    return Measured(fisher)


def jaccard_of_bits(a: Words, b: Words) -> float | None:
    """Return |A ∩ B| / |A ∪ B|; None where both are empty."""
    union = popcount(a | b)
    return popcount(a & b) / union if union else None


class StabilityCurve:
    """The sub-network of the running sums at each check, compared with the one before.

    Attributes:
        points: (examples, coefficient to the check before); None at the first.
    """

    def __init__(self, stopping: Stopping, quantile: str) -> None:
        self.stopping, self.quantile = stopping, quantile
        self.points: list[tuple[int, float | None]] = []
        self._before: Words | None = None

    def check(self, examples: int, sums: Mapping[str, Tensor]) -> bool:
        """Add a point; return whether the row has enough examples. A divisor of the sums would change no bit."""
        bits, _, _ = select_top(list(sums.values()), self.stopping.density, self.quantile)
        coefficient = None if self._before is None else jaccard_of_bits(self._before, bits)
        self._before = bits
        self.points.append((examples, coefficient))
        stable = coefficient is not None and coefficient >= self.stopping.jaccard
        return stable and examples >= self.stopping.at_least


class Halves:
    """The sums over one half of the examples, told apart from the running sums over all of them.

    Examples come in turns: a part of the first half, a part of the second, and so on. Only one more set of sums is
    held: before a part of the first half the running sums are taken off, after it they are added again.
    """

    def __init__(self) -> None:
        self._first: dict[str, Tensor] | None = None
        self.second_examples = 0

    def before_first(self, sums: Mapping[str, Tensor]) -> None:
        """Call before a part of the first half is added."""
        for name, total in (self._first or {}).items():
            total.sub_(sums[name])

    def after_first(self, sums: Mapping[str, Tensor]) -> None:
        """Call after a part of the first half was added."""
        if self._first is None:
            self._first = {name: total.clone() for name, total in sums.items()}
            return
        for name, total in self._first.items():
            total.add_(sums[name])

    def compare(
        self, sums: Mapping[str, Tensor], densities: Sequence[float], quantile: str
    ) -> dict[float, float | None]:
        """Return {density: coefficient of the two halves}; empty where a half has no example. Call once, at the end."""
        if self._first is None or not self.second_examples:
            return {}
        halves = list(self._first.values())
        firsts = select_top_many(halves, densities, quantile)
        for name, total in self._first.items():
            # In place, because a third set of sums may not fit. Rounding may leave a little less than nothing.
            total.neg_().add_(sums[name]).clamp_(min=0)
        seconds = select_top_many(halves, densities, quantile)
        self._first = None
        return {
            density: jaccard_of_bits(first.bits, second.bits)
            for density, first, second in zip(densities, firsts, seconds, strict=True)
        }


class Parts:
    """The sums over each of K disjoint parts of the examples, in a file; of them, the sums without each part.

    The running sums hold one part at a time, so that a part is what its examples are by themselves. Sums without a part
    are added up from the others, not taken off the total: an example that outweighs all others would leave nothing but
    its rounding behind.

    Args:
        folder: For the file, of K times the size of the running sums.
        count: K.
    """

    def __init__(self, folder: Path, count: int) -> None:
        self.count = count
        self._file = folder / "parts.f32"
        self._kept: np.memmap[Any, np.dtype[Any]] | None = None
        self._done = 0

    def take(self, sums: Mapping[str, Tensor]) -> None:
        """Move the running sums of the next part into the file; they are zero then."""
        if self._kept is None:
            first = next(iter(sums.values()))
            kind = np.dtype(str(first.dtype).removeprefix("torch."))
            size = sum(values.numel() for values in sums.values())
            self._kept = np.memmap(self._file, kind, "w+", shape=(self.count, size))
        for name, place in self._places(sums):
            self._kept[self._done, place] = sums[name].cpu().numpy().ravel()
            sums[name].zero_()
        self._done += 1

    def add_up(self, sums: Mapping[str, Tensor], numbers: Iterable[int]) -> None:
        """Let the running sums be those of some parts, added in order."""
        import torch

        kept = self._kept
        if kept is None:
            raise ValueError("no part was taken")
        for values in sums.values():
            values.zero_()
        for number in numbers:
            for name, place in self._places(sums):
                part = torch.from_numpy(np.array(kept[number, place])).reshape(sums[name].shape)
                sums[name].add_(part.to(sums[name].device))

    @staticmethod
    def _places(sums: Mapping[str, Tensor]) -> Iterator[tuple[str, slice]]:
        start = 0
        for name, values in sums.items():
            yield name, slice(start, start + values.numel())
            start += values.numel()


def cut(examples: Sequence[EncodedExample], count: int, unit: int, language: str) -> Iterator[Sequence[EncodedExample]]:
    """Yield `count` parts of nearly the same size, in the order in which the examples were drawn.

    Args:
        examples: All of a row.
        count: How many parts.
        unit: Examples that must stay together, from the first on.
        language: For the error.

    Raises:
        FisherError: There are too few examples for so many parts.
    """
    whole = len(examples) // unit if unit > 1 else len(examples)
    if whole < count:
        what = f"{len(examples)} usable examples" + (f", {whole} whole batches," if unit > 1 else "")
        raise FisherError(f"the language '{language}' has {what}: too few for {count} parts.", "ask for fewer --parts.")
    bounds = [whole * number // count * unit for number in range(count)] + [len(examples)]
    return (examples[start:stop] for start, stop in pairwise(bounds))
