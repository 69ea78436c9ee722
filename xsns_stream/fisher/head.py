"""Replacement of the language-modelling head that computes only scored positions, in blocks if there are many logits.

With a vocabulary of 250,000 tokens, the logits would need more memory than any other tensor of a batch: one gigabyte
for eight texts of 128 tokens, most of it for positions that are not scored. Only the gradient with respect to the input
of the head is needed, because the parameters of the head are not measured.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any, Final

import torch
from torch import Tensor, nn

from xsns_stream.fisher.model_state import replaced
from xsns_stream.fisher.scoring import ScoredBatch, head_of
from xsns_stream.fisher.vocabulary_loss import cross_entropy_with_gradient

#: Number of logits above which the loss is computed in blocks of the vocabulary.
MANY_LOGITS: Final = 2**22


class ScoredHead:
    """Replacement of the forward of a model's head; closing `undo` restores the forward.

    Attributes:
        module: The head.
        divisible: Whether the loss can be computed in blocks: the logits of the model are the output of a linear layer,
            unchanged (without a soft cap or a bias that the model adds). None before :meth:`probe`.
        in_blocks: Whether the last forward pass skipped the head; :meth:`backward` then runs it.
        gathered: Whether the head received only the scored positions in the last pass.
    """

    def __init__(self, model: Any, undo: ExitStack) -> None:
        self.module = head_of(model)
        self.divisible: bool | None = None
        self.in_blocks = self.gathered = False
        self._model, self._forward = model, self.module.forward
        self._linear: Any = model.get_output_embeddings()
        self._scored: Tensor | None = None
        self._last: Any = None
        undo.enter_context(replaced(self.module, "forward", self._run))

    def has_many_logits(self, scored_batch: ScoredBatch) -> bool:
        """Return whether the logits of a batch are so many that the loss is computed in blocks of the vocabulary."""
        return len(scored_batch.targets) * int(self._linear.weight.shape[0]) > MANY_LOGITS

    @contextmanager
    def scoring(self, scored_batch: ScoredBatch) -> Iterator[None]:
        """Pass only the scored positions of `scored_batch` to the head while the block runs one forward pass."""
        self.in_blocks = bool(self.divisible) and self.has_many_logits(scored_batch)
        self._scored = scored_batch.mask
        try:
            yield
        finally:
            # This reference to the output of the head would keep the graph of the backward pass in memory.
            self._scored = self._last = None

    def probe(self, scored_batch: ScoredBatch) -> None:
        """Determine by one forward pass of the model whether its logits are the output of a linear layer, unchanged."""
        mask = scored_batch.mask
        assert mask is not None
        alone = torch.zeros_like(mask)
        alone[0, int(mask[0].nonzero()[0])] = True
        outputs: list[Tensor] = []
        with ExitStack() as undo:
            if type(self._linear) is nn.Linear:
                hook = self._linear.register_forward_hook(lambda module, args, output: outputs.append(output))
                undo.callback(hook.remove)
            with self.scoring(scored_batch._replace(mask=alone, targets=scored_batch.targets[:1])):
                logits = self._model(**scored_batch.inputs).logits
                self.divisible = self.gathered and bool(outputs) and logits is self._last is outputs[-1]

    def backward(self, rows: Tensor, targets: Tensor, factors: Tensor) -> tuple[Tensor, Tensor]:
        """Run the head, the loss and the backward pass of both in blocks of the vocabulary.

        Args:
            rows: Inputs of the head, [N, H].
            targets: Tokens that are predicted, int64 [N].
            factors: The factor of the loss at each position, [N].

        Returns:
            The loss, and its gradient with respect to `rows`.
        """
        weight, bias = self._linear.weight, self._linear.bias
        if self._linear is self.module:
            return cross_entropy_with_gradient(rows.detach(), weight, bias, targets, factors)
        leaf = rows.detach().requires_grad_()
        with replaced(self._linear, "forward", lambda hidden: hidden):
            hidden = self._forward(leaf)
        loss, gradient = cross_entropy_with_gradient(hidden.detach(), weight, bias, targets, factors)
        return loss, torch.autograd.grad(hidden, leaf, gradient)[0]

    def per_example(
        self, make: Callable[[Tensor, ScoredBatch], Tensor], rows: Tensor, scored_batch: ScoredBatch
    ) -> list[Tensor]:
        """Return `make(logits of an example, its scored positions)` for each example of a batch, as a list.

        `rows` are the inputs of the head at all scored positions, [N, H].
        """
        parts = []
        for example in torch.unique(scored_batch.example_index).tolist():
            of_example = scored_batch.example_index == example
            own = scored_batch._replace(
                targets=scored_batch.targets[of_example], example_index=scored_batch.example_index[of_example]
            )
            parts.append(make(self._forward(rows[of_example]), own))
        return parts

    def _run(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.gathered = self._scored is not None and hidden.shape[:2] == self._scored.shape
        if not self.gathered:
            # The axes have a different order. All logits are computed, and those of scored positions are selected
            # afterwards.
            return self._forward(hidden, *args, **kwargs)
        rows = hidden[self._scored]
        self._last = rows if self.in_blocks else self._forward(rows, *args, **kwargs)
        return self._last
