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
from xsns_stream.fisher.predictions import Question, head_of

#: Scored positions whose logits are held at once, and the number of logits from which on that is done.
ROWS: Final = 64
MANY_LOGITS: Final = 2**22

LossOf = Callable[[Tensor, Question, Tensor | None], Tensor]


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
        self.separable: bool | None = None
        self.in_pieces = self.gathered = False
        self._model, self._forward = model, self.module.forward
        self._scored: Tensor | None = None
        self._last: Any = None
        undo.enter_context(replaced(self.module, "forward", self._run))

    def pays(self, question: Question) -> bool:
        """Tell whether there are so many logits that they should not be held together."""
        vocabulary = self._model.get_output_embeddings().weight.shape[0]
        return len(question.targets) > ROWS and len(question.targets) * vocabulary > MANY_LOGITS

    @contextmanager
    def scoring(self, question: Question) -> Iterator[None]:
        """Hand the head the scored positions of `question` alone, for one forward of the model."""
        self.in_pieces = bool(self.separable) and self.pays(question)
        self._scored = question.scored
        try:
            yield
        finally:
            # What the head returned refers to the whole graph, and so to every sum that is accumulated.
            self._scored = self._last = None

    def probe(self, question: Question) -> None:
        """Find out, with one position of one example, whether the model returns the head's output as it is."""
        scored = question.scored
        assert scored is not None
        alone = torch.zeros_like(scored)
        alone[0, int(scored[0].nonzero()[0])] = True
        with self.scoring(question._replace(scored=alone, targets=question.targets[:1])):
            logits = self._model(**question.inputs).logits
            self.separable = self.gathered and logits is self._last

    def backward(
        self, rows: Tensor, question: Question, divisors: Tensor | None, loss_of: LossOf
    ) -> tuple[Tensor, Tensor]:
        """Run head, loss and backward of :data:`ROWS` positions at a time.

        Args:
            rows: [N, H], what the head takes.
            question: Targets [N].
            divisors: [N] or None.
            loss_of: (logits, question, divisors) → loss.

        Returns:
            The loss and its gradient by `rows`.
        """
        gradient, loss = torch.empty_like(rows), torch.zeros((), device=rows.device)
        for at in range(0, len(rows), ROWS):
            piece = slice(at, at + ROWS)
            leaf = rows[piece].detach().requires_grad_()
            part = loss_of(self._forward(leaf), _cut(question, piece), None if divisors is None else divisors[piece])
            (gradient[piece],) = torch.autograd.grad(part, leaf)
            loss += part.detach()
        return loss, gradient

    def in_parts(self, make: Callable[[Tensor, Question], Tensor], rows: Tensor, question: Question) -> list[Tensor]:
        """Return `make(logits, question)` for the scored positions of one example after the other."""
        found = []
        for owner in torch.unique(question.owners).tolist():
            mine = question.owners == owner
            found.append(make(self._forward(rows[mine]), _cut(question, mine)))
        return found

    def _run(self, hidden: Tensor, *args: Any, **kwargs: Any) -> Any:
        self.gathered = self._scored is not None and hidden.shape[:2] == self._scored.shape
        if not self.gathered:
            # Tokens in another order of axes: all logits are computed, and the scored ones are taken afterwards.
            return self._forward(hidden, *args, **kwargs)
        rows = hidden[self._scored]
        self._last = rows if self.in_pieces else self._forward(rows, *args, **kwargs)
        return self._last


def _cut(question: Question, piece: Any) -> Question:
    return question._replace(targets=question.targets[piece], owners=question.owners[piece])
