"""Rules that turn the backward pass of a module into squared per-example gradients of its parameters.

A rule replaces the forward of a module. The backward of the replacement computes the ordinary gradient with respect to
the input. It does not compute the weight gradient of the batch; instead, it computes the weight gradient of every
example, squares it and adds it to an accumulator. This backward needs the same number of floating-point operations as
an ordinary backward.

The rule of a module depends on the type and the parameters of the module, not on its name. The self-check tests whether
the rule is exact for the module.
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

#: Subclasses of `nn.Linear` that compute the same product in another way.
SAME_AS_LINEAR = ("transformers.models.falcon.modeling_falcon.FalconLinear",)
CONV1D = "transformers.pytorch_utils.Conv1D"


@dataclass(frozen=True)
class Rule:
    """The replacement of a method of a module, and the parameters that the replacement covers.

    Attributes:
        name: Name of the rule in the output of `params --check`.
        make: Function (module, engine, marker) → the replacement of the method. The marker is a scalar tensor. If it
            requires a gradient, autograd runs the backward of the replacement even if no other input requires a
            gradient.
        method: Name of the replaced method.
        parameters: The covered parameters.
        every_pass: Whether the method is also replaced in passes that do not measure the module. If it is, measurement
            in groups gives the same bits as measurement in one pass.
    """

    name: str
    make: Callable[[Any, Any, Tensor], Replacement]
    method: str
    parameters: tuple[Tensor, ...]
    every_pass: bool = False


def rule_for(module: nn.Module) -> Rule | None:
    """Return the rule for a module; None if there is no rule or the module has no parameters.

    A module gets no rule if its forward was replaced or its weight is computed from other parameters.
    """
    own = dict(module.named_parameters(recurse=False))
    table = getattr(module, "relative_attention_bias", None)
    if isinstance(table, nn.Embedding) and hasattr(module, "compute_bias") and not own:
        return Rule("position bias", compute_bias, "compute_bias", (table.weight,), every_pass=True)
    if not own or "forward" in vars(module) or _computed(module, own):
        return None
    return _by_type(module, tuple(own.values())) or _by_parameters(module, own)


def _computed(module: nn.Module, own: dict[str, nn.Parameter]) -> bool:
    """Return whether the weight or the bias of a module is computed from other parameters, as by weight norm.

    `own` is {name: parameter} of the parameters of the module itself.
    """
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
        # Other subclasses may compute something else than the rules expect, or in another shape.
        return None
    if isinstance(module, nn.modules.batchnorm._NormBase | nn.GroupNorm | nn.PReLU):
        # torch requires the vectors of these modules to have one axis. A rule cannot replace such a vector by one copy
        # for each example.
        return None
    if all(parameter.dim() == 1 for parameter in parameters):
        return Rule("feature-wise", feature_wise, "forward", parameters)
    if set(own) == {"gate_up_proj", "down_proj"} and all(p.dim() == 3 for p in parameters):
        plain = hasattr(module, "act_fn") and not getattr(module, "is_transposed", False)
        return Rule("experts", experts, "forward", parameters, every_pass=True) if plain else None
    if set(own) == {"weight"} and own["weight"].dim() == 2:
        return Rule("linear", inner_linear, "forward", parameters, every_pass=True)
    return None
