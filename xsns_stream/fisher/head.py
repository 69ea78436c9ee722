"""Replacement of the language-modelling head that computes only scored positions, in chunks if there are many logits.

With a vocabulary of 250,000 tokens, the logits would need more memory than any other tensor of a batch: one gigabyte
for eight texts of 128 tokens, most of it for positions that are not scored. The parameters of the head are not
measured, so that only the gradient with respect to the input of the head is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from xsns_stream.fisher.model_state import replaced
from xsns_stream.fisher.scoring import ScoredBatch, head_of

#: Number of scored positions in a chunk, and the number of logits above which chunks are used.
CHUNK_ROWS: Final = 64
MANY_LOGITS: Final = 2**22

LossOf = Callable[[Tensor, ScoredBatch, Tensor | None], Tensor]


class ScoredHead:
    """Replacement of the forward of a model's head; closing `undo` restores the forward.

    Attributes:
        module: The head.
        chunkable: Whether the model returns the output of the head unchanged (without a soft cap or a bias), so that
            the head can be run in chunks; None before :meth:`probe`.
        in_chunks: Whether the last pass skipped the head, so that :meth:`backward` runs it.
        gathered: Whether the head received only the scored positions in the last pass.
    """

    def __init__(self, model: Any, undo: ExitStack) -> None:
        self.module = head_of(model)
        self.chunkable: bool | None = None
        self.in_chunks = self.gathered = False
        self._model, self._forward = model, self.module.forward
        self._scored: Tensor | None = None
        self._last: Any = None
        undo.enter_context(replaced(self.module, "forward", self._run))

    def needs_chunks(self, scored_batch: ScoredBatch) -> bool:
        """Return whether the number of logits is too large for one chunk."""
        vocabulary = self._model.get_output_embeddings().weight.shape[0]
        return len(scored_batch.targets) > CHUNK_ROWS and len(scored_batch.targets) * vocabulary > MANY_LOGITS

    @contextmanager
    def scoring(self, scored_batch: ScoredBatch) -> Iterator[None]:
        """Pass only the scored positions of `scored_batch` to the head while the block runs one forward pass."""
        self.in_chunks = bool(self.chunkable) and self.needs_chunks(scored_batch)
        self._scored = scored_batch.mask
        try:
            yield
        finally:
            # The output of the head refers to the whole graph, including all sums that are accumulated.
            self._scored = self._last = None

    def probe(self, scored_batch: ScoredBatch) -> None:
        """Determine by one forward pass of the model whether it returns the output of the head unchanged."""
        mask = scored_batch.mask
        assert mask is not None
        alone = torch.zeros_like(mask)
        alone[0, int(mask[0].nonzero()[0])] = True
        with self.scoring(scored_batch._replace(mask=alone, targets=scored_batch.targets[:1])):
            logits = self._model(**scored_batch.inputs).logits
            self.chunkable = self.gathered and logits is self._last

    def backward(
        self, rows: Tensor, scored_batch: ScoredBatch, divisors: Tensor | None, loss_of: LossOf
    ) -> tuple[Tensor, Tensor]:
        """Run the head, the loss and the backward pass of both in chunks of :data:`CHUNK_ROWS` positions.

        Args:
            rows: Inputs of the head, [N, H].
            scored_batch: The batch, with targets [N].
            divisors: Divisor of the loss at each position, [N]; None if the loss is not divided.
            loss_of: (logits, scored batch, divisors) → loss.

        Returns:
            The loss, and its gradient with respect to `rows`.
        """
        gradient, loss = torch.empty_like(rows), torch.zeros((), device=rows.device)
        for at in range(0, len(rows), CHUNK_ROWS):
            chunk = slice(at, at + CHUNK_ROWS)
            leaf = rows[chunk].detach().requires_grad_()
            part = loss_of(
                self._forward(leaf), _take(scored_batch, chunk), None if divisors is None else divisors[chunk]
            )
            (gradient[chunk],) = torch.autograd.grad(part, leaf)
            loss += part.detach()
        return loss, gradient

    def per_example(
        self, make: Callable[[Tensor, ScoredBatch], Tensor], rows: Tensor, scored_batch: ScoredBatch
    ) -> list[Tensor]:
        """Return `make(logits, scored_batch)` for the scored positions, example by example."""
        parts = []
        for example in torch.unique(scored_batch.example_index).tolist():
            of_example = scored_batch.example_index == example
            parts.append(make(self._forward(rows[of_example]), _take(scored_batch, of_example)))
        return parts

    def _run(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.gathered = self._scored is not None and hidden.shape[:2] == self._scored.shape
        if not self.gathered:
            # The axes have a different order, so that all logits are computed and the scored ones are selected
            # afterwards.
            return self._forward(hidden, *args, **kwargs)
        rows = hidden[self._scored]
        self._last = rows if self.in_chunks else self._forward(rows, *args, **kwargs)
        return self._last


def _take(scored_batch: ScoredBatch, chunk: Any) -> ScoredBatch:
    return scored_batch._replace(targets=scored_batch.targets[chunk], example_index=scored_batch.example_index[chunk])
