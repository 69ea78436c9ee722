"""Direction of a model's attention, which decides at which token of a word the word is labelled."""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any, Final, Literal, TypeAlias, cast

from xsns_stream.errors import UsageError

#: The token of a word that has the label of the word.
LabelAt: TypeAlias = Literal["first", "last"]
AUTO: Final = "auto"
LABEL_AT: Final = (AUTO, "first", "last")


def check_label_at(label_at: object) -> str:
    """Check and return a value of `label_at`: `auto`, `first` or `last`.

    Raises:
        UsageError: The value is none of these.
    """
    if label_at not in LABEL_AT:
        raise UsageError(
            f"words cannot be labelled at their token '{label_at}'.", f"choose one of {', '.join(LABEL_AT)}."
        )
    return str(label_at)


def label_position(label_at: str, model: Any) -> LabelAt:
    """Return the token of a word at which a model labels the word.

    Args:
        label_at: `first` or `last`, which are returned; or `auto`: the first token if the model reads the text after a
            token, and the last token if it does not. A causal model has read a whole word only at its last token.
        model: The model.

    Raises:
        UsageError: `label_at` is none of these.
    """
    if check_label_at(label_at) == AUTO:
        return "first" if reads_ahead(model) else "last"
    return cast(LabelAt, label_at)


def reads_ahead(model: Any) -> bool:
    """Return whether the output of a model at a token depends on later tokens of the text.

    The encoder of an encoder-decoder always does. Other models are tried on two tokens: the gradient of the output at
    the first token with respect to the embedding of the second token is exactly zero if attention is causal. The name
    of the architecture does not determine the direction, because a configuration can change it (`is_decoder` of BERT,
    `use_bidirectional_attention` of Gemma 3).
    """
    import torch

    if model.config.is_encoder_decoder:
        return True
    embeddings, embedded = model.get_input_embeddings(), []
    # The encoder of T5 has a module of its own for the embeddings, with the same tensor.
    tables = [module for module in model.modules() if getattr(module, "weight", None) is embeddings.weight]

    def keep(module: Any, inputs: Any, output: Any) -> Any:
        output = output.detach().requires_grad_()
        embedded.append(output)
        return output

    rows, device = embeddings.weight.shape[0], embeddings.weight.device
    training = model.training
    with ExitStack() as undo:
        undo.callback(model.train, training)
        for table in tables:
            undo.callback(table.register_forward_hook(keep).remove)
        model.eval()
        with torch.enable_grad():
            # Two tokens from the middle of the vocabulary, where special tokens are rare.
            output = model.base_model(torch.tensor([[rows // 2, rows // 2 + 1]], device=device) % rows)
            first = output[0][0, 0].float()
            # A plain sum would be constant after a layer norm.
            weighted = (first * torch.arange(len(first), device=device).cos()).sum()
            (gradient,) = torch.autograd.grad(weighted, embedded[0])
    # The gradient has the shape [1, 2, H], or [2, 1, H] in XLNet.
    return bool(gradient.reshape(2, -1)[1].any())
