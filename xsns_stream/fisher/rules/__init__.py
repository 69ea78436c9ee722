"""How each kind of module turns what its backward sees into squared per-example gradients.

A rule replaces a module's forward by one whose backward computes the ordinary input gradient and, in place of the
weight gradient, adds every example's squared weight gradient to an accumulator. The weight-gradient product is
replaced, not added to: a backward costs as many floating-point operations as an ordinary one.

Which rule a module gets is decided by what it is, never by what it is called; whether the rule is right for it is
found out by the self-check.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from xsns_stream.fisher.accumulators import Accumulator, NotExactError, Rows, RuleEngine
from xsns_stream.fisher.rules.elementwise import feature_wise, layer_norm, rms_norm
from xsns_stream.fisher.rules.experts import experts
from xsns_stream.fisher.rules.linear import conv1d, inner_linear, nn_linear
from xsns_stream.fisher.rules.position_bias import compute_bias

__all__ = ["Accumulator", "NotExactError", "Rows", "Rule", "RuleEngine", "rule_for"]

Replacement = Callable[..., Any]

#: Subclasses of `nn.Linear` that write the same product in another way.
SAME_AS_LINEAR = ("transformers.models.falcon.modeling_falcon.FalconLinear",)
CONV1D = "transformers.pytorch_utils.Conv1D"


@dataclass(frozen=True)
class Rule:
    """A method of a module to be replaced, and the parameters that are covered by that.

    Attributes:
        name: As `params --check` shows it.
        make: (module, sink, marker) → the replacement.
        method: Which method is replaced.
        parameters: The covered parameters.
        every_pass: Whether the replacement is needed where nothing of the module is measured, so that a model
            measured in groups computes the same bits as one measured at once.
    """

    name: str
    make: Callable[[Any, Any, Tensor], Replacement]
    method: str
    parameters: tuple[Tensor, ...]
    every_pass: bool = False


def rule_for(module: nn.Module) -> Rule | None:
    """Return the rule for a module; None where there is none, or where it owns no parameter.

    A module that is not itself (its forward replaced, its weight computed from other parameters) gets none.
    """
    own = dict(module.named_parameters(recurse=False))
    table = getattr(module, "relative_attention_bias", None)
    if isinstance(table, nn.Embedding) and hasattr(module, "compute_bias") and not own:
        return Rule("position bias", compute_bias, "compute_bias", (table.weight,), every_pass=True)
    if not own or "forward" in vars(module) or _computed(module, own):
        return None
    return _by_type(module, tuple(own.values())) or _by_parameters(module, own)


def _computed(module: nn.Module, own: dict[str, nn.Parameter]) -> bool:
    return any(getattr(module, name, None) is not own.get(name) for name in ("weight", "bias"))


def _by_type(module: nn.Module, parameters: tuple[Tensor, ...]) -> Rule | None:
    kind, forward = f"{type(module).__module__}.{type(module).__qualname__}", type(module).forward
    if forward is nn.Linear.forward or kind in SAME_AS_LINEAR:
        return Rule("linear", nn_linear, "forward", parameters, every_pass=True)
    if kind == CONV1D:
        return Rule("linear", conv1d, "forward", parameters, every_pass=True)
    over_features = len(getattr(module, "normalized_shape", ())) == 1
    if forward is nn.LayerNorm.forward and over_features:
        return Rule("layer norm", layer_norm, "forward", parameters, every_pass=True)
    if forward is nn.RMSNorm.forward and over_features:
        return Rule("RMS norm", rms_norm, "forward", parameters, every_pass=True)
    return None


def _by_parameters(module: nn.Module, own: dict[str, nn.Parameter]) -> Rule | None:
    parameters = tuple(own.values())
    if isinstance(module, nn.Embedding | nn.Linear | nn.LayerNorm | nn.RMSNorm):
        # A subclass that computes something else, or in another shape, than the rules above were written for.
        return None
    if all(parameter.dim() == 1 for parameter in parameters):
        return Rule("feature-wise", feature_wise, "forward", parameters)
    if set(own) == {"gate_up_proj", "down_proj"} and all(p.dim() == 3 for p in parameters):
        plain = hasattr(module, "act_fn") and not getattr(module, "is_transposed", False)
        return Rule("experts", experts, "forward", parameters, every_pass=True) if plain else None
    if set(own) == {"weight"} and own["weight"].dim() == 2:
        return Rule("linear", inner_linear, "forward", parameters, every_pass=True)
    return None
