"""The streaming engine: squares and adds inside the backward, so that no gradient of θ is ever held.

While an engine is open, the model's modules that own parameters of θ run under the rules of
:mod:`xsns_stream.fisher.rules`; nothing else of the model is changed, and closing puts everything back. Parameters
that no rule covers get an ordinary gradient, from one example at a time, that is squared and dropped the moment it
exists. Peak memory is the model, one float32 per parameter of θ, and one batch's activations.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import ExitStack
from types import TracebackType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from xsns_stream.errors import FisherError
from xsns_stream.fisher.reference import evaluating, single_examples
from xsns_stream.fisher.rules import NotExactError, Rule, rule_for
from xsns_stream.types import ParameterLayout

IGNORED = -100


class NotFiniteError(FisherError):
    """The loss of a batch is NaN or infinite."""


class Engine:
    """Accumulates squared per-example gradients of θ over batches; use as a context manager.

    Args:
        model: A masked language model of transformers.
        layout: The parameters θ.
        token_reduction: `sum` or `mean` over an example's scored positions.
        without_rules: Names of parameters that must not go through a rule.
    """

    def __init__(
        self,
        model: nn.Module,
        layout: ParameterLayout,
        token_reduction: str = "sum",
        without_rules: Collection[str] = (),
    ) -> None:
        self.model, self.layout, self.token_reduction = model, layout, token_reduction
        self.examples = 0
        parameters = dict(model.named_parameters())
        theta = {name: parameters[name] for name in layout.names}
        self.sums = {name: torch.zeros_like(p, dtype=_accumulator_dtype(p)) for name, p in theta.items()}
        self._sums_by_id = {id(theta[name]): total for name, total in self.sums.items()}
        self._ruled = _ruled_modules(model, theta, set(without_rules))
        covered = {id(p) for module, _ in self._ruled for p in module.parameters(recurse=False)}
        self.fallback = tuple(name for name, p in theta.items() if id(p) not in covered)
        self._fallback_parameters = [theta[name] for name in self.fallback]
        self._scratch: dict[tuple[Any, ...], Tensor] = {}
        self._shape = (0, 0)
        self.lengths: list[int] = []
        self._undo = ExitStack()

    # The sink of the rules.

    def accumulator(self, parameter: Tensor) -> Tensor | None:
        """Return the running sum for `parameter`; None where it is not in θ."""
        return self._sums_by_id.get(id(parameter))

    def scratch(self, like: Tensor) -> Tensor:
        """Return a buffer of `like`'s shape; one is kept for each shape."""
        key = (like.shape, like.dtype, like.device)
        if key not in self._scratch:
            self._scratch[key] = torch.empty_like(like)
        return self._scratch[key]

    def check(self, activations: Tensor) -> None:
        """Refuse anything but [B, T, features] of the current batch."""
        if activations.dim() != 3 or tuple(activations.shape[:2]) != self._shape:
            raise NotExactError(f"activations {tuple(activations.shape)} in a batch of {self._shape}")

    # Opening and closing.

    def __enter__(self) -> Engine:
        with ExitStack() as undo:
            undo.enter_context(evaluating(self.model))
            for parameter in self.model.parameters():
                undo.callback(parameter.requires_grad_, parameter.requires_grad)
                parameter.requires_grad_(False)
            device = next(self.model.parameters()).device
            marker = torch.zeros((), device=device, requires_grad=True)
            for module, rule in self._ruled:
                module.forward = _once_a_pass(module, rule(module, self, marker), self)
                undo.callback(delattr, module, "forward")
            for parameter in self._fallback_parameters:
                # A gradient that the caller left there would be squared with ours.
                undo.callback(setattr, parameter, "grad", parameter.grad)
                parameter.grad = None
                parameter.requires_grad_(True)
                hook = parameter.register_post_accumulate_grad_hook(self._square_gradient)  # type: ignore[no-untyped-call]
                undo.callback(hook.remove)
            self._selected: Tensor | None = None
            undo.callback(head_of(self.model).register_forward_pre_hook(self._keep_scored).remove)
            # Only now is everything in place; an error before this line has put everything back.
            self._undo = undo.pop_all()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._undo.close()
        self._scratch.clear()

    # One batch.

    def add(self, batch: Mapping[str, Tensor]) -> None:
        """Add the squared gradients of every example of a batch.

        Args:
            batch: `input_ids`, `attention_mask`, `labels` (−100 where not scored), int64 [B, T] each, and whatever
                else the model's forward takes.

        Raises:
            FisherError: An example with nothing to score, a label outside the vocabulary, a loss that is not finite.
        """
        _check_batch(batch, self.examples)
        parts: Iterator[Mapping[str, Tensor]] = iter([batch])
        if self.fallback:
            parts = iter(single_examples(batch))
        for part in parts:
            self._backward(part)
        self.examples += len(batch["input_ids"])

    def _backward(self, batch: Mapping[str, Tensor]) -> None:
        labels = batch["labels"]
        self._shape = tuple(labels.shape)  # type: ignore[assignment]
        self.lengths = _lengths(batch)
        self._selected = labels != IGNORED
        self.calls: set[int] = set()
        inputs = {name: values for name, values in batch.items() if name != "labels"}
        with torch.enable_grad():
            logits = self.model(**inputs).logits  # [scored positions, V]
            target = labels[self._selected]
            if int(target.max()) >= logits.shape[-1] or int(target.min()) < 0:
                raise FisherError(f"a label lies outside the vocabulary of {logits.shape[-1]} pieces.")
            losses = F.cross_entropy(logits, target, reduction="none")
            if self.token_reduction == "mean":
                losses = losses / self._selected.sum(dim=1).repeat_interleave(self._selected.sum(dim=1))
            loss = losses.sum()
        if not bool(torch.isfinite(loss)):
            raise NotFiniteError(
                "the loss is not finite.", "the weights may be damaged, or overflow in this precision."
            )
        loss.backward()  # type: ignore[no-untyped-call]

    def _keep_scored(self, module: nn.Module, args: tuple[Any, ...]) -> tuple[Any, ...]:
        """Hand the head only the scored positions: the others' logits would be computed and thrown away."""
        if self._selected is None or args[0].shape[:2] != self._selected.shape:
            raise NotExactError("the head does not take [B, T, hidden]")
        return (args[0][self._selected], *args[1:])

    def _square_gradient(self, parameter: Tensor) -> None:
        gradient = parameter.grad
        if gradient is not None:
            total = self._sums_by_id[id(parameter)]
            gradient = gradient.to(total.dtype)
            total.addcmul_(gradient, gradient)
        parameter.grad = None


def _accumulator_dtype(parameter: Tensor) -> torch.dtype:
    return torch.float64 if parameter.dtype == torch.float64 else torch.float32


def _ruled_modules(
    model: nn.Module, theta: Mapping[str, Tensor], without: Collection[str]
) -> list[tuple[nn.Module, Rule]]:
    """Return the modules whose parameters of θ a rule covers: each parameter owned by one module alone."""
    chosen = {id(p): name for name, p in theta.items()}
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    found = []
    for module in model.modules():
        own = [id(p) for p in module.parameters(recurse=False)]
        mine = [chosen[i] for i in own if i in chosen]
        rule = rule_for(module)
        if mine and rule and all(owners[i] == 1 for i in own) and not any(name in without for name in mine):
            found.append((module, rule))
    return found


def _once_a_pass(module: nn.Module, forward: Callable[[Tensor], Tensor], engine: Engine) -> Callable[[Tensor], Tensor]:
    """Refuse a module that is used twice in one pass: squares of parts do not add up to the square of the sum."""

    def guarded(activations: Tensor) -> Tensor:
        if id(module) in engine.calls:
            raise NotExactError(f"{type(module).__name__} is used more than once in a pass")
        engine.calls.add(id(module))
        return forward(activations)

    return guarded


def head_of(model: Any) -> nn.Module:
    """Return the outermost module outside the body that holds the output embeddings.

    Raises:
        FisherError: The model has none.
    """
    output = getattr(model, "get_output_embeddings", lambda: None)()
    if output is None:
        raise FisherError(
            f"{type(model).__name__} has no language-modelling head, so there is nothing to predict.",
            "load it with AutoModelForMaskedLM.",
        )
    name = next(name for name, module in model.named_modules() if module is output)
    top = model.get_submodule(name.split(".")[0])
    head: nn.Module = output if top is getattr(model, "base_model", None) else top
    return head


def _lengths(batch: Mapping[str, Tensor]) -> list[int]:
    """Return the number of positions up to the last that is not padding, for each example."""
    examples, positions = batch["labels"].shape
    if "attention_mask" not in batch:
        return [positions] * examples
    place = torch.arange(1, positions + 1, device=batch["attention_mask"].device)
    lengths: list[int] = (batch["attention_mask"].bool() * place).amax(dim=1).tolist()
    return lengths


def _check_batch(batch: Mapping[str, Tensor], before: int) -> None:
    if not len(batch["input_ids"]):
        raise FisherError("a batch holds no example.")
    scored = batch["labels"] != IGNORED
    if "attention_mask" in batch and bool((scored & ~batch["attention_mask"].bool()).any()):
        raise FisherError("a position that is scored is padding.", f"set its label to {IGNORED}.")
    empty = (scored.sum(dim=1) == 0).nonzero().flatten().tolist()
    if empty:
        raise FisherError(
            f"example {before + empty[0]} has no position to score: all its labels are {IGNORED}.",
            "its gradient would be zero without a word; hide at least one piece of every example.",
        )
