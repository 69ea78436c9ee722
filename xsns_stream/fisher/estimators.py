"""Estimators that square the gradient of a whole batch.

They differ from the paper's equation: their values depend on the division of examples into batches. `per-batch` is
common in other software because it is fast; `authors` is the estimator in the code that was published with the paper.
Both exist for comparison with the paper's equation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from xsns_stream.fisher import scoring
from xsns_stream.fisher.engine import require_finite
from xsns_stream.fisher.model_state import (
    autocast,
    checkpointing,
    evaluating,
    loss_scale,
    sum_dtype,
    training,
    weights_dtype,
)
from xsns_stream.types import FisherSettings, ParameterLayout

#: The authors clip the gradient of every tensor to this norm before squaring it.
CLIPPED_NORM = 1.0


class BatchGradients:
    """Context manager that accumulates squared gradients of batches.

    The gradient of each parameter is squared and freed immediately. Only one gradient is in memory at a time.

    Attributes:
        examples: Number of examples added so far.
        sums: {name: running sum}; the tensors are not copies.
        fallback: Empty, because every parameter is measured in the same way.
    """

    fallback: tuple[str, ...] = ()

    def __init__(self, model: Any, layout: ParameterLayout, settings: FisherSettings, *, seed: int = 0) -> None:
        self.model, self.layout, self.settings, self.seed = model, layout, settings, seed
        self.kind = scoring.kind_of(model)
        if self.kind in scoring.LANGUAGE_MODELS:
            scoring.head_of(model)  # raises an error for a model without a head
        self.examples = 0
        self._batches, self._scale = 0, loss_scale(settings, weights_dtype(model))
        self._theta = scoring.theta_of(model, layout)
        self.sums = {name: torch.zeros_like(p, dtype=sum_dtype(p.dtype)).detach() for name, p in self._theta.items()}
        self._undo = ExitStack()

    @property
    def count(self) -> float:
        """The divisor that turns the sums into means: the number of batches."""
        return self._batches * self._scale**2

    def __enter__(self) -> BatchGradients:
        authors = self.settings.estimator == "authors"
        mode: AbstractContextManager[None] = training(self.model, self.seed) if authors else evaluating(self.model)
        with ExitStack() as undo:
            undo.enter_context(mode)
            for parameter in self.model.parameters():
                undo.callback(parameter.requires_grad_, parameter.requires_grad)
                parameter.requires_grad_(False)
            if self.settings.checkpoint and not authors:
                undo.enter_context(checkpointing(self.model, self.layout))
            for name, parameter in self._theta.items():
                undo.callback(setattr, parameter, "grad", parameter.grad)
                parameter.grad = None
                parameter.requires_grad_(True)
                square = self._squarer(self.sums[name], clip=authors)
                hook = parameter.register_post_accumulate_grad_hook(square)  # type: ignore[no-untyped-call]
                undo.callback(hook.remove)
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()

    def add(self, batch: Mapping[str, Tensor]) -> None:
        """Add the squared gradients of one batch to the sums.

        Raises:
            FisherError: See :meth:`xsns_stream.fisher.engine.Engine.add`.
        """
        scored_batch = scoring.prepare_checked(self.model, self.kind, batch, self.examples)
        authors = self.settings.estimator == "authors"
        with autocast(self.settings, next(self.model.parameters()).device):
            loss = (
                self._authors_loss(batch, scored_batch)
                if authors
                else self._mean_loss(scored_batch, batch) * self._scale
            )
        require_finite(loss)
        loss.backward()  # type: ignore[no-untyped-call]
        self.examples += len(batch["input_ids"])
        self._batches += 1

    def _authors_loss(self, batch: Mapping[str, Tensor], scored_batch: scoring.ScoredBatch) -> Tensor:
        """Return the loss that transformers computes for a batch: the mean over all its scored positions."""
        inputs = {name: values for name, values in batch.items() if name not in ("example_keys", "decoder_tokens")}
        if "decoder_tokens" in batch:
            # The model would derive the inputs of the decoder from the labels, which lack the positions not scored.
            inputs["decoder_input_ids"] = scored_batch.inputs["decoder_input_ids"]
        loss: Tensor = self.model(**inputs).loss
        return loss

    def _mean_loss(self, scored_batch: scoring.ScoredBatch, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the mean of −log p(y|x) over the examples of the batch."""
        logits = scoring.scored_logits(self.kind, self.model(**scored_batch.inputs), scored_batch, gathered=False)
        targets = scored_batch.targets
        if self.settings.labels == "sample":
            targets = scoring.draw_targets(logits, scored_batch, scoring.example_keys(batch), self.seed)
        losses = F.cross_entropy(logits.to(sum_dtype(logits.dtype)), targets, reduction="none")
        if self.settings.token_reduction == "mean":
            losses = losses / torch.bincount(scored_batch.example_index)[scored_batch.example_index]
        return losses.sum() / len(batch["input_ids"])

    def _squarer(self, total: Tensor, clip: bool) -> Callable[[Tensor], None]:
        def square(parameter: Tensor) -> None:
            if clip:
                torch.nn.utils.clip_grad_norm_([parameter], CLIPPED_NORM)
            if parameter.grad is not None:
                total.add_(parameter.grad.to(total.dtype).square())
            parameter.grad = None

        return square
