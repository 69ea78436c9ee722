"""Estimators that square the gradient of a whole batch.

They are not the paper's equation: their values depend on which examples share a batch. `per-batch` is what is computed
elsewhere in the name of speed; `authors` is what the code published with the paper does. Both are here to be compared
with.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional as F

from xsns_stream.errors import FisherError
from xsns_stream.fisher import scoring
from xsns_stream.fisher.model_state import autocast, checkpointing, evaluating, loss_scale, training, wide
from xsns_stream.types import FisherSettings, ParameterLayout

#: The authors clip every tensor's gradient to this norm before squaring it.
CLIPPED_NORM = 1.0


class BatchGradients:
    """Accumulates squared gradients of batches; use as a context manager.

    Each parameter's gradient is squared and dropped the moment it exists, so that no two are held.

    Attributes:
        examples: Added so far.
        sums: {name: running sum}, live tensors.
        fallback: Empty; no parameter needs another path.
    """

    fallback: tuple[str, ...] = ()

    def __init__(self, model: Any, layout: ParameterLayout, settings: FisherSettings, *, seed: int = 0) -> None:
        self.model, self.layout, self.settings, self.seed = model, layout, settings, seed
        self.kind = scoring.kind_of(model)
        if self.kind in scoring.LANGUAGE_MODELS:
            scoring.head_of(model)  # a model without one is refused here, in words
        self.examples = 0
        self._batches, self._scale = 0, loss_scale(settings, next(model.parameters()).dtype)
        self._theta = scoring.theta_of(model, layout)
        self.sums = {name: torch.zeros_like(p, dtype=wide(p.dtype)).detach() for name, p in self._theta.items()}
        self._undo = ExitStack()

    @property
    def count(self) -> float:
        """What the sums are divided by: the number of batches."""
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
        """Add one batch.

        Raises:
            FisherError: As for :meth:`xsns_stream.fisher.engine.Engine.add`.
        """
        scored_batch = scoring.prepare_checked(self.model, self.kind, batch, self.examples)
        authors = self.settings.estimator == "authors"
        with autocast(self.settings, next(self.model.parameters()).device):
            loss = self._authors_loss(batch) if authors else self._mean_loss(scored_batch, batch) * self._scale
        if not bool(torch.isfinite(loss)):
            raise FisherError("the loss is not finite.", "the weights may be damaged, or overflow in this precision.")
        loss.backward()  # type: ignore[no-untyped-call]
        self.examples += len(batch["input_ids"])
        self._batches += 1

    def _authors_loss(self, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the model's own loss: the mean over all scored positions of the batch."""
        inputs = {name: values for name, values in batch.items() if name != "example_keys"}
        loss: Tensor = self.model(**inputs).loss
        return loss

    def _mean_loss(self, scored_batch: scoring.ScoredBatch, batch: Mapping[str, Tensor]) -> Tensor:
        """Return the mean over the batch's examples of −log p(y|x)."""
        logits = scoring.scored_logits(self.kind, self.model(**scored_batch.inputs), scored_batch, gathered=False)
        targets = scored_batch.targets
        if self.settings.labels == "sample":
            targets = scoring.draw_targets(logits, scored_batch, scoring.example_keys(batch), self.seed)
        losses = F.cross_entropy(logits.to(wide(logits.dtype)), targets, reduction="none")
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
