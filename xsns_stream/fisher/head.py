"""The language-modelling head, run on the scored positions alone and, for a large vocabulary, on a few at a time.

With 250,000 pieces the logits of a batch are the largest thing there is: eight texts of 128 pieces take a gigabyte,
and most of it would be thrown away. The head is not measured, so only the gradient by what it takes is needed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor

from xsns_stream.fisher.model_state import replaced
from xsns_stream.fisher.scoring import ScoredBatch, head_of

#: Scored positions whose logits are held at once, and the number of logits from which on that is done.
CHUNK_ROWS: Final = 64
MANY_LOGITS: Final = 2**22

LossOf = Callable[[Tensor, ScoredBatch, Tensor | None], Tensor]


class ScoredHead:
    """Replaces the forward of a model's head until `undo` is closed.

    Attributes:
        module: The head.
        separable: Whether the model returns the head's output as it is (no soft cap, no bias added afterwards), so
            that it can be run on a few positions at a time; None until :meth:`probe` has seen.
        in_pieces: Whether the last pass left the head out, for :meth:`backward` to run it.
        gathered: Whether the last pass gave the head the scored positions alone.
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
        """Tell whether there are so many logits that they should not be held together."""
        vocabulary = self._model.get_output_embeddings().weight.shape[0]
        return len(scored_batch.targets) > CHUNK_ROWS and len(scored_batch.targets) * vocabulary > MANY_LOGITS

    @contextmanager
    def scoring(self, scored_batch: ScoredBatch) -> Iterator[None]:
        """Hand the head the scored positions of `question` alone, for one forward of the model."""
        self.in_chunks = bool(self.chunkable) and self.needs_chunks(scored_batch)
        self._scored = scored_batch.mask
        try:
            yield
        finally:
            # What the head returned refers to the whole graph, and so to every sum that is accumulated.
            self._scored = self._last = None

    def probe(self, scored_batch: ScoredBatch) -> None:
        """Find out, with one position of one example, whether the model returns the head's output as it is."""
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
        """Run head, loss and backward of :data:`ROWS` positions at a time.

        Args:
            rows: [N, H], what the head takes.
            scored_batch: Targets [N].
            divisors: [N] or None.
            loss_of: (logits, question, divisors) → loss.

        Returns:
            The loss and its gradient by `rows`.
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
        """Return `make(logits, question)` for the scored positions of one example after the other."""
        found = []
        for owner in torch.unique(scored_batch.example_index).tolist():
            mine = scored_batch.example_index == owner
            found.append(make(self._forward(rows[mine]), _take(scored_batch, mine)))
        return found

    def _run(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.gathered = self._scored is not None and hidden.shape[:2] == self._scored.shape
        if not self.gathered:
            # Tokens in another order of axes: all logits are computed, and the scored ones are taken afterwards.
            return self._forward(hidden, *args, **kwargs)
        rows = hidden[self._scored]
        self._last = rows if self.in_chunks else self._forward(rows, *args, **kwargs)
        return self._last


def _take(scored_batch: ScoredBatch, chunk: Any) -> ScoredBatch:
    return scored_batch._replace(targets=scored_batch.targets[chunk], example_index=scored_batch.example_index[chunk])
