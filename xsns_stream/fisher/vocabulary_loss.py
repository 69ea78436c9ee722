"""Cross-entropy of a linear layer over a large vocabulary, in blocks of tokens.

The logits of one batch over 262,144 tokens need half a gigabyte, and the loss and its gradient need as much again. The
functions of this module compute the logits of a block of tokens, add them to a running log-sum-exp and to a running
gradient, and discard them. If a block contains a larger logit than all earlier blocks, both sums are rescaled to the
new maximum, as in the online softmax of FlashAttention (Dao et al. 2022, https://arxiv.org/abs/2205.14135). Each block
of the weights is read once and is used for all positions while it is in the processor's cache.
"""

from __future__ import annotations

from typing import Final

import torch
from torch import Tensor
from torch.nn import functional as F

from xsns_stream.fisher.model_state import LOSS_SCALE, sum_dtype

#: Number of tokens in a block. The logits of 512 positions take 4 MiB, which fit into the cache of a processor.
BLOCK_TOKENS: Final = 2048


def cross_entropy_with_gradient(
    hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, factors: Tensor
) -> tuple[Tensor, Tensor]:
    """Return a weighted sum of cross-entropies, and its gradient with respect to the inputs of the linear layer.

    The result equals that of `F.cross_entropy(F.linear(hidden, weight, bias), targets, reduction="none") @ factors` and
    of its backward pass, up to rounding. Under autocast, the two matrix products are in the lower precision; the sums
    are not.

    Args:
        hidden: Inputs of the linear layer, [N, H].
        weight: Weights of the layer, [V, H].
        bias: Bias of the layer, [V]; None if the layer has no bias.
        targets: Tokens that are predicted, int64 [N].
        factors: The factor of the loss at each position, [N].

    Returns:
        The loss, a scalar, and its gradient with respect to `hidden`, [N, H] in the data type of `hidden`.

    Raises:
        IndexError: A target is not in the vocabulary.
    """
    with torch.no_grad():
        dtype = sum_dtype(hidden.dtype)
        # The lowest finite number is used instead of −∞. If the bias of a whole block is −∞, the maximum would stay −∞,
        # and −∞ − (−∞) is NaN.
        maximum = torch.full((len(hidden), 1), torch.finfo(dtype).min, dtype=dtype, device=hidden.device)
        total, gradient = torch.zeros_like(maximum), torch.zeros_like(hidden, dtype=dtype)
        for start in range(0, len(weight), BLOCK_TOKENS):
            block = weight[start : start + BLOCK_TOKENS]
            product = F.linear(hidden, block, None if bias is None else bias[start : start + BLOCK_TOKENS])
            logits = product.to(dtype)
            larger = torch.maximum(maximum, logits.amax(dim=1, keepdim=True))
            rescale = (maximum - larger).exp_()
            probabilities = logits.sub_(larger).exp_()
            total.mul_(rescale).add_(probabilities.sum(dim=1, keepdim=True))
            gradient.mul_(rescale)
            if product.dtype == torch.float16:  # it has no number below 6e-8
                gradient += (probabilities * LOSS_SCALE["fp16"]).to(block.dtype) @ block / LOSS_SCALE["fp16"]
            else:
                gradient += probabilities.to(block.dtype) @ block
            maximum = larger
        of_targets = weight[targets]
        target_logits = (hidden.to(dtype) * of_targets).sum(dim=1)
        if bias is not None:
            target_logits += bias[targets]
        losses = total.log().add_(maximum).flatten() - target_logits
        gradient.div_(total).sub_(of_targets).mul_(factors[:, None])
        return (losses * factors).sum(), gradient.to(hidden.dtype)
