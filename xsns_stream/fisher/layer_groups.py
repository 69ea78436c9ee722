"""Measurement in groups of layers, with one pass over the text per group, if the values do not fit into memory."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from xsns_stream.errors import FisherError, UsageError
from xsns_stream.fisher.engine import Engine
from xsns_stream.fisher.errors import error_context
from xsns_stream.io.scratch_files import map_for_writing, reserve
from xsns_stream.types import DiagonalFisher, FisherSettings, ParameterLayout, Provenance


def diagonal_fisher_in_groups(
    model: Any,
    make_batches: Callable[[], Iterable[Mapping[str, Tensor]]],
    layout: ParameterLayout,
    settings: FisherSettings | None = None,
    *,
    budget: int,
    folder: Path,
    without_rules: Collection[str] = (),
    seed: int = 0,
    language: str = "",
    provenance: Provenance | None = None,
) -> DiagonalFisher:
    """Compute the values of :func:`xsns_stream.diagonal_fisher`, bit for bit, with bounded memory for the accumulators.

    The values of T5 and related models with fused attention agree only up to rounding (1e-6): torch uses a different
    kernel if the position bias requires a gradient, and it requires one only in the pass that measures the bias.

    Args:
        model: See :func:`xsns_stream.diagonal_fisher`.
        make_batches: Function that returns the batches. It is called once for each group, and must return the same
            batches each time.
        layout: θ.
        settings: Settings with an estimator that works example by example.
        budget: Largest size in bytes of the accumulators of a group. A larger tensor is a separate group.
        folder: Folder for the values, which are in one file that is mapped into memory; the caller removes it.
        without_rules: Names of parameters to measure one example at a time.
        seed: Seed for labels drawn from the model.
        language: Code of the language, for errors.
        provenance: Record of the values.

    Raises:
        UsageError: The estimator squares whole batches.
        FisherError: See :func:`xsns_stream.diagonal_fisher`.
    """
    settings = settings or FisherSettings()
    if settings.batch_wise:
        raise UsageError(
            f"the estimator '{settings.estimator}' cannot be computed in groups of layers.",
            "choose the estimator per-example or grad-abs.",
        )
    dtype = np.float64 if str(next(model.parameters()).dtype) == "torch.float64" else np.float32
    path = folder / "fisher.values"
    values = map_for_writing(path, dtype, (layout.size,))
    reserve(path, 0, values.nbytes)
    bits = dict(zip(layout.names, zip(layout.offsets, layout.sizes, strict=True), strict=True))
    examples = 0
    for group in groups_of_layers(layout, budget):
        engine = Engine(model, layout, settings, without_rules, measured=group, moments=moments_of(settings), seed=seed)
        with engine, error_context(engine, language):
            for batch in make_batches():
                engine.add(batch)
        if not engine.examples:
            raise FisherError(f"there is no batch{f' of language {language!r}' if language else ''} to measure.")
        examples = engine.examples
        for name, total in engine.sums.items():
            offset, size = bits[name]
            values[offset : offset + size] = (total / engine.count).cpu().numpy().ravel()
        values.flush()
    tensors = tuple(
        values[offset : offset + size].reshape(shape)
        for offset, size, shape in zip(layout.offsets, layout.sizes, layout.shapes, strict=True)
    )
    return DiagonalFisher(tensors, layout, examples, language, provenance or Provenance())


def moments_of(settings: FisherSettings) -> tuple[str, ...]:
    """Return the moments of the gradients that are accumulated: `absolute` for `grad-abs`, otherwise `square`."""
    return ("absolute",) if settings.estimator == "grad-abs" else ("square",)


def groups_of_layers(layout: ParameterLayout, budget: int) -> list[tuple[str, ...]]:
    """Divide θ into groups of adjacent tensors; the float32 accumulators of a group have at most `budget` bytes.

    A group consists of whole layers; only a layer that is larger than the budget is divided between its tensors. A
    single tensor that is larger than the budget is a separate group. The groups of the last layers come first, because
    their backward passes are the shortest.
    """
    layers: list[list[tuple[str, int]]] = [[] for _ in layout.layers]
    starts = [layer.start for layer in layout.layers]
    for name, offset, size in zip(layout.names, layout.offsets, layout.sizes, strict=True):
        layers[max(n for n, start in enumerate(starts) if start <= offset)].append((name, 4 * size))
    groups: list[list[str]] = []
    room = 0
    for layer in reversed(layers):
        whole = sum(size for _, size in layer) <= budget
        for part in [layer] if whole else [[tensor] for tensor in reversed(layer)]:
            needed = sum(size for _, size in part)
            if not groups or needed > room:
                groups.append([])
                room = max(budget, needed)
            groups[-1] += [name for name, _ in part]
            room -= needed
    return [tuple(group) for group in groups]
