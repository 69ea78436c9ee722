"""The loss in blocks of the vocabulary equals the loss of all logits at once, with its gradient."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from xsns_stream.fisher import vocabulary_loss
from xsns_stream.fisher.vocabulary_loss import cross_entropy_with_gradient

POSITIONS, WIDTH, VOCABULARY = 13, 8, 101


@pytest.fixture(params=[7, 101, 4096], ids=["blocks that do not divide", "one exact block", "one block"], autouse=True)
def block(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vocabulary_loss, "BLOCK_TOKENS", request.param)


def inputs(dtype: torch.dtype = torch.float64, scale: float = 1.0) -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(3)
    hidden = torch.randn(POSITIONS, WIDTH, generator=generator, dtype=torch.float64) * scale
    weight = torch.randn(VOCABULARY, WIDTH, generator=generator, dtype=torch.float64)
    bias = torch.randn(VOCABULARY, generator=generator, dtype=torch.float64)
    targets = torch.randint(0, VOCABULARY, (POSITIONS,), generator=generator)
    factors = torch.rand(POSITIONS, generator=generator, dtype=torch.float64)
    return hidden.to(dtype), weight.to(dtype), bias.to(dtype), targets, factors.to(dtype)


def at_once(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, factors: Tensor
) -> tuple[Tensor, Tensor]:
    """Return the loss and its gradient by autograd, from all logits."""
    leaf = hidden.clone().requires_grad_()
    loss = F.cross_entropy(F.linear(leaf, weight, bias).to(factors.dtype), targets, reduction="none") @ factors
    return loss.detach(), torch.autograd.grad(loss, leaf)[0]


@pytest.mark.parametrize("with_bias", [True, False], ids=["bias", "no bias"])
@pytest.mark.parametrize("scale", [1e-3, 1.0, 1e3], ids=["flat", "usual", "steep"])
def test_loss_and_gradient_equal_autograd(with_bias: bool, scale: float) -> None:
    hidden, weight, bias, targets, factors = inputs(scale=scale)
    own_bias = bias if with_bias else None
    loss, gradient = cross_entropy_with_gradient(hidden, weight, own_bias, targets, factors)
    expected, expected_gradient = at_once(hidden, weight, own_bias, targets, factors)
    torch.testing.assert_close(loss, expected, rtol=1e-12, atol=1e-12)
    torch.testing.assert_close(gradient, expected_gradient, rtol=1e-10, atol=1e-12)


def test_loss_and_gradient_are_exact_with_biases_of_minus_infinity() -> None:
    """A bias of −∞ on the first forty tokens, which fill whole blocks of seven."""
    hidden, weight, bias, targets, factors = inputs()
    bias[:40] = float("-inf")
    targets = targets.clamp(min=40)
    loss, gradient = cross_entropy_with_gradient(hidden, weight, bias, targets, factors)
    expected, expected_gradient = at_once(hidden, weight, bias, targets, factors)
    torch.testing.assert_close(loss, expected)
    torch.testing.assert_close(gradient, expected_gradient)


def test_float32_is_as_close_to_float64_as_autograd() -> None:
    exact = at_once(*inputs())[1]
    own = (cross_entropy_with_gradient(*inputs(torch.float32))[1].double() - exact).abs().max()
    autograd = (at_once(*inputs(torch.float32))[1].double() - exact).abs().max()
    assert float(own) <= 3 * float(autograd)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
@pytest.mark.parametrize("source", ["autocast", "weights"])
def test_gradients_in_lower_precision_are_as_close_as_rounding_allows(dtype: torch.dtype, source: str) -> None:
    hidden, weight, bias, targets, factors = inputs(torch.float32)
    exact = at_once(*inputs())[1]
    if source == "weights":
        hidden, weight, bias = hidden.to(dtype), weight.to(dtype), bias.to(dtype)
    with torch.autocast("cpu", dtype=dtype, enabled=source == "autocast"):
        gradient = cross_entropy_with_gradient(hidden, weight, bias, targets, factors)[1]
    assert gradient.dtype == hidden.dtype
    assert float((gradient.double() - exact).abs().max() / exact.abs().max()) <= 8 * torch.finfo(dtype).eps


def test_a_target_outside_of_the_vocabulary_is_refused() -> None:
    hidden, weight, bias, targets, factors = inputs()
    targets[2] = VOCABULARY
    with pytest.raises(IndexError):
        cross_entropy_with_gradient(hidden, weight, bias, targets, factors)
