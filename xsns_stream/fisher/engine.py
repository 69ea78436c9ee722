"""The streaming engine, which squares and adds gradients within the backward pass.

The engine never stores the whole gradient with respect to θ. While an engine is open, the modules with parameters in θ
use the rules of :mod:`xsns_stream.fisher.rules`. Closing the engine restores the model. A parameter without a rule gets
an ordinary gradient from one example at a time, which is squared and freed immediately. Peak memory consists of the
model, one float32 for each measured parameter, and the activations of one batch.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xsns_stream.errors import FisherError
from xsns_stream.fisher import scoring
from xsns_stream.fisher.accumulators import Moments
from xsns_stream.fisher.head import ScoredHead
from xsns_stream.fisher.model_state import (
    autocast,
    checkpointing,
    evaluating,
    loss_scale,
    replaced,
    sum_dtype,
    weights_dtype,
)
from xsns_stream.fisher.rules import NotExactError, Rows, Rule, rule_for
from xsns_stream.fisher.scoring import LANGUAGE_MODELS, ScoredBatch
from xsns_stream.types import FisherSettings, ParameterLayout


class NotFiniteError(FisherError):
    """Raised if the loss of a batch is NaN or infinite."""


def require_finite(loss: Tensor) -> None:
    """Raise an error if the loss of a batch is NaN or infinite.

    Raises:
        NotFiniteError: The loss is not finite.
    """
    if not bool(torch.isfinite(loss)):
        raise NotFiniteError(
            "the loss is not finite.", "the weights may be damaged, or a value may overflow in this precision."
        )


class Engine:
    """Context manager that accumulates moments of per-example gradients of θ over batches.

    Args:
        model: A transformers model with a language-modelling head or a task head.
        layout: The parameters θ.
        settings: Token reduction, labels, precision, checkpointing.
        without_rules: Names of parameters that must not be measured by a rule.
        measured: Names of the parameters to measure in this pass; all of θ by default. The other parameters keep their
            rules, because the result must not depend on the division of θ into passes.
        moments: The moments to accumulate: any of `square`, `absolute`, `signed`.
        seed: Seed for labels drawn from the model.
        kind: Kind of the model; by default it is determined by :func:`xsns_stream.fisher.scoring.kind_of`.

    Attributes:
        examples: Number of examples added so far.
        fallback: Names of measured parameters that are measured one example at a time.
        kind: Kind of the model; see :func:`xsns_stream.fisher.scoring.kind_of`.
        examples_in_pass: Number of examples B of the current pass.
    """

    def __init__(
        self,
        model: nn.Module,
        layout: ParameterLayout,
        settings: FisherSettings | None = None,
        without_rules: Collection[str] = (),
        *,
        measured: Collection[str] | None = None,
        moments: Sequence[str] = ("square",),
        seed: int = 0,
        kind: str | None = None,
    ) -> None:
        self.model, self.layout, self.settings, self.seed = model, layout, settings or FisherSettings(), seed
        self.kind = kind or scoring.kind_of(model)
        self.examples = self.examples_in_pass = 0
        theta = scoring.theta_of(model, layout)
        chosen = theta if measured is None else {name: theta[name] for name in layout.names if name in set(measured)}
        buffers: dict[tuple[int, ...], Tensor] = {}
        self.moments = {name: Moments.zeros(p, moments, buffers) for name, p in chosen.items()}
        self._buffers = buffers
        self._by_id = {id(chosen[name]): moments for name, moments in self.moments.items()}
        self.ruled = _ruled_modules(model, theta, set(without_rules))
        covered = {id(p) for _, rule in self.ruled for p in rule.parameters}
        self.fallback = tuple(name for name, p in chosen.items() if id(p) not in covered)
        # This includes parameters that another pass measures, because the bits must not depend on the division of θ.
        self._one_by_one = any(id(p) not in covered for p in theta.values())
        self._fallback_parameters = [chosen[name] for name in self.fallback]
        self._device = next(model.parameters()).device
        self._scale = loss_scale(self.settings, weights_dtype(model))
        self._undo = ExitStack()
        self._head: ScoredHead | None = None
        self._small: dict[int, Tensor] = {}
        self._uses: dict[int, int] = {}
        self._gathered: dict[int, list[Any]] = {}
        self._lengths: dict[int, list[int]] = {}
        self._rows: dict[int, Rows] = {}
        self._backward_runs = False

    @property
    def sums(self) -> dict[str, Tensor]:
        """{name: running sum of the first moment}; the tensors are not copies."""
        return {name: next(iter(moments.sums.values())) for name, moments in self.moments.items()}

    @property
    def count(self) -> float:
        """The divisor that turns the sums of the first moment into means over examples."""
        return self.divisor(next(iter(next(iter(self.moments.values())).sums)))

    def divisor(self, moment: str) -> float:
        """Return the divisor that turns the sums of `moment` into means over examples."""
        return self.examples * (self._scale**2 if moment == "square" else self._scale)

    # The interface for the rules.

    def accumulator(self, parameter: Tensor | None) -> Moments | None:
        """Return the running sums of `parameter`; None if it is not measured in this pass."""
        return self._by_id.get(id(parameter))

    def by_example(self, x: Tensor, module: nn.Module) -> Tensor:
        """Return a view [B, T, …] of activations x of the current pass, which have the shape [B, T, …] or [B · T, …].

        Raises:
            NotExactError: The activations have a different shape; the error names `module`.
        """
        examples = self.examples_in_pass
        if x.dim() >= 3 and x.shape[0] == examples and (x.dim() > 3 or x.shape[1] in self._lengths):
            return x if x.dim() == 3 else x.flatten(1, -2)
        if x.dim() >= 2 and x.shape[0] % examples == 0 and x.shape[0] // examples in self._lengths:
            return x.reshape(examples, -1, x.shape[-1])
        if x.dim() == 2 and x.shape[0] == examples:
            return x[:, None]
        positions = " or ".join(str(n) for n in self._lengths)
        raise NotExactError(
            f"{type(module).__name__} got activations of shape {tuple(x.shape)} in a batch of {examples} examples × "
            f"{positions} positions",
            module,
        )

    def real_rows(self, positions: int) -> Rows:
        """Return the rows of activations [B · positions, …] that are not padding."""
        if positions not in self._rows:
            lengths = self._lengths.get(positions) or [positions] * self.examples_in_pass
            self._rows[positions] = Rows.up_to(lengths, positions, self._device)
        return self._rows[positions]

    def add_small(self, parameter: Tensor, gradients: Tensor) -> None:
        """Add the gradients [B, *shape] of a small parameter; sums over all uses are squared at the end of the pass."""
        before = self._small.get(id(parameter))
        self._small[id(parameter)] = gradients if before is None else before.add_(gradients)

    def note_use(self, module: nn.Module) -> None:
        """Count a use of `module` in this pass; repetitions by checkpointing are not counted."""
        if not self._backward_runs:
            self._uses[id(module)] = self._uses.get(id(module), 0) + 1

    def gather_uses(self, module: nn.Module, use: Any) -> Sequence[Any] | None:
        """Store the data of a use of a module; at its last use in the pass, return the data of all uses, else None."""
        uses = self._gathered.setdefault(id(module), [])
        uses.append(use)
        if len(uses) < self._uses[id(module)]:
            return None
        return self._gathered.pop(id(module))

    # Opening and closing.

    def __enter__(self) -> Engine:
        with ExitStack() as undo:
            undo.enter_context(evaluating(self.model))
            for parameter in self.model.parameters():
                undo.callback(parameter.requires_grad_, parameter.requires_grad)
                parameter.requires_grad_(False)
            marker = torch.zeros((), device=self._device, requires_grad=True)
            for module, rule in self.ruled:
                here = any(id(p) in self._by_id for p in rule.parameters)
                if here or rule.every_pass:
                    replacement = rule.make(module, self, marker if here else marker.detach())
                    undo.enter_context(replaced(module, rule.method, replacement))
            if self.settings.checkpoint:
                # Checkpointing is outside of the rules, because a repeated forward must use them again.
                undo.enter_context(checkpointing(self.model, self.layout))
            for parameter in self._fallback_parameters:
                # An existing gradient would be squared together with the new one.
                undo.callback(setattr, parameter, "grad", parameter.grad)
                parameter.grad = None
                parameter.requires_grad_(True)
                hook = parameter.register_post_accumulate_grad_hook(self._take_gradient)  # type: ignore[no-untyped-call]
                undo.callback(hook.remove)
            if self.kind in LANGUAGE_MODELS:
                self._head = ScoredHead(self.model, undo)
            # From here on, `close` restores the model; an error before this line has restored it already.
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()
        self._buffers.clear()
        self._forget_pass()

    # One batch.

    def add(self, batch: Mapping[str, Tensor]) -> None:
        """Add the moments of the gradient of every example of a batch.

        Args:
            batch: A batch in the format of transformers; see :mod:`xsns_stream.fisher.scoring`.

        Raises:
            FisherError: The batch has no example, or an example without a scored position; a label is outside of the
                vocabulary; batch and model are on different devices; the loss is not finite.
        """
        scoring.prepare_checked(self.model, self.kind, batch, self.examples)
        parts = scoring.single_examples(batch, self.kind) if self._one_by_one else [dict(batch)]
        for part in parts:
            try:
                self._backward(part)
            finally:
                self._forget_pass()
        self.examples += len(batch["input_ids"])

    def _backward(self, batch: Mapping[str, Tensor]) -> None:
        scored_batch = scoring.prepare(self.model, self.kind, batch)
        self._probe_head(batch, scored_batch)
        self._note_lengths(batch, scored_batch)
        with torch.enable_grad():
            with self._autocast():
                rows = self._outputs(scored_batch)
            loss, start = self._losses(rows, scored_batch, batch)
        require_finite(loss)
        self._run_backward(start if rows.requires_grad else None)

    def _run_backward(self, start: Callable[[], None] | None) -> None:
        """Run the backward pass of one batch, and square the gradients of small parameters at its end.

        `start` is the function that runs the backward pass; None if no measured parameter affects the loss.
        """
        self._backward_runs = True
        if start is not None:
            start()
        for left in self._gathered:
            raise NotExactError(
                "a module was called several times, and the loss depends on only some of its outputs",
                self._module(left),
            )
        for parameter, gradients in self._small.items():
            if (total := self._by_id.get(parameter)) is not None:
                total.add_each(gradients)

    def _outputs(self, scored_batch: ScoredBatch) -> Tensor:
        """Run the model; return the logits [N, C], or the inputs [N, H] of the head for a loss in blocks."""
        if self._head is None:
            return scoring.scored_logits(self.kind, self.model(**scored_batch.inputs), scored_batch, gathered=False)
        with self._head.scoring(scored_batch):
            output = self.model(**scored_batch.inputs)
        return scoring.scored_logits(self.kind, output, scored_batch, gathered=self._head.gathered)

    def _probe_head(self, batch: Mapping[str, Tensor], scored_batch: ScoredBatch) -> None:
        """Determine, by running the model on a single example, whether its loss can be computed in blocks."""
        head = self._head
        if head is None or not head.has_many_logits(scored_batch):
            return
        if head.divisible is None:
            if any(id(p) in self._by_id for p in head.module.parameters()):
                head.divisible = False  # a measured head needs all positions of an example
                return
            alone = scoring.single_examples(batch, self.kind)[0]
            single = scoring.prepare(self.model, self.kind, alone)
            self._note_lengths(alone, single)
            with torch.no_grad(), self._autocast():
                head.probe(single)
            self._forget_pass()

    def _losses(
        self, rows: Tensor, scored_batch: ScoredBatch, batch: Mapping[str, Tensor]
    ) -> tuple[Tensor, Callable[[], None]]:
        """Return the loss of a batch, and a function that runs the backward pass of the loss.

        `rows` are the logits [N, C], or the inputs [N, H] of the head for a loss in blocks.
        """
        factors = self._factors(scored_batch, sum_dtype(rows.dtype))
        keys = scoring.example_keys(batch) if self.settings.labels == "sample" else []
        if self._head is None or not self._head.in_blocks:
            targets = scoring.draw_targets(rows, scored_batch, keys, self.seed) if keys else scored_batch.targets
            losses = F.cross_entropy(rows.to(factors.dtype), targets, reduction="none")
            loss = (losses * factors).sum()
            return loss.detach(), loss.backward
        targets = scored_batch.targets
        if keys:
            # A draw needs the logits of all tokens, which are computed here for one example at a time.
            with torch.no_grad(), self._autocast():
                drawn = self._head.per_example(
                    lambda logits, part: scoring.draw_targets(logits, part, keys, self.seed), rows, scored_batch
                )
            targets = torch.cat(drawn)
        with self._autocast():
            loss, gradient = self._head.backward(rows, targets, factors)
        return loss, lambda: rows.backward(gradient)  # type: ignore[no-untyped-call]

    def _factors(self, scored_batch: ScoredBatch, dtype: torch.dtype) -> Tensor:
        """Return the factor by which the loss at each scored position is multiplied, [N]."""
        factors = torch.full((len(scored_batch.targets),), self._scale, dtype=dtype, device=self._device)
        if self.settings.token_reduction == "mean":
            counts = torch.bincount(scored_batch.example_index, minlength=self.examples_in_pass)
            factors /= counts[scored_batch.example_index]
        return factors

    def _autocast(self) -> Any:
        return autocast(self.settings, self._device)

    def _note_lengths(self, batch: Mapping[str, Tensor], scored_batch: ScoredBatch) -> None:
        examples, positions = batch["input_ids"].shape
        self.examples_in_pass = examples
        self._lengths = {positions: scoring.real_lengths(batch.get("attention_mask"), examples, positions)}
        if self.kind == "seq2seq" and scored_batch.mask is not None:
            decoded = scored_batch.mask.shape[1]
            own = scoring.real_lengths(scored_batch.mask, examples, decoded)
            both = self._lengths.get(decoded, own)  # if encoder and decoder have this length, use the larger mask
            self._lengths[decoded] = [max(pair) for pair in zip(own, both, strict=True)]

    def _module(self, identity: int) -> nn.Module:
        return next(module for module, _ in self.ruled if id(module) == identity)

    def _take_gradient(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            total = self._by_id[id(parameter)]
            total.add(parameter.grad.to(total.scratch().dtype))
        parameter.grad = None

    def _forget_pass(self) -> None:
        self._small, self._uses, self._gathered, self._rows, self._backward_runs = {}, {}, {}, {}, False


def _ruled_modules(
    model: nn.Module, theta: Mapping[str, Tensor], without_rules: Collection[str]
) -> list[tuple[nn.Module, Rule]]:
    """Return (module, rule) for the modules that have a rule and parameters in `theta`, {name: parameter}.

    Modules with a parameter in `without_rules`, and modules that share a parameter with another module, are left out.
    """
    names = {id(p): name for name, p in theta.items()}
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    ruled = []
    for module in model.modules():
        rule = rule_for(module)
        if rule is None:
            continue
        covered = [names[id(p)] for p in rule.parameters if id(p) in names]
        if (
            covered
            and all(owners[id(p)] == 1 for p in rule.parameters)
            and not any(name in without_rules for name in covered)
        ):
            ruled.append((module, rule))
    return ruled
