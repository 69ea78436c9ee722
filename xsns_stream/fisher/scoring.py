"""Scored outputs of a model for a batch, with the target and the example of each scored output.

Batches follow the conventions of transformers. The meaning of the labels depends on the kind of the model:

* masked: `labels` [B, T], aligned with the outputs;
* causal: `labels` [B, T], not shifted: the output at position t is scored against label t + 1;
* seq2seq: `labels` [B, T'] of the decoder; missing inputs of the decoder are derived from the labels, or from
  `decoder_tokens` [B, T'], all tokens that the decoder writes, if labels are −100 between scored positions;
* tokens: `labels` [B, T] of a token classifier;
* sequence: `labels` [B] of a classifier of whole texts;
* span: `start_positions` and `end_positions` [B] of extractive question answering.

A label of −100 marks a position that is not scored.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from typing import Any, Final, NamedTuple

import numpy as np
import torch
from torch import Tensor, nn

from xsns_stream.errors import FisherError, UsageError
from xsns_stream.models.task_heads import GENERIC_HEADS
from xsns_stream.types import ParameterLayout

IGNORED: Final = -100
LANGUAGE_MODELS: Final = ("masked", "causal", "seq2seq")
TARGETS: Final = ("labels", "start_positions", "end_positions", "example_keys", "decoder_tokens")
# The order matters, because transformers also lists mBART among the masked language models.
_TASKS: Final = {
    "seq2seq": "SEQ_TO_SEQ_CAUSAL_LM",
    "masked": "MASKED_LM",
    "causal": "CAUSAL_LM",
    "tokens": "TOKEN_CLASSIFICATION",
    "sequence": "SEQUENCE_CLASSIFICATION",
    "span": "QUESTION_ANSWERING",
}
#: {kind: base class of the models that transformers does not list}.
_GENERIC: Final = {
    "tokens": GENERIC_HEADS["token-classification"],
    "sequence": GENERIC_HEADS["sequence-classification"],
    "span": GENERIC_HEADS["question-answering"],
}

#: Pattern of the names of tables of learned positions.
_POSITIONS: Final = re.compile(r"^(wpe|position_embeddings?|embed_positions?|position_embed\w*)$")

Batch = Mapping[str, Tensor]


def kind_of(model: Any) -> str:
    """Return the kind of a model, which depends on the tasks for which transformers lists the class of the model.

    A class that transformers does not list is treated as a masked language model, unless it has a decoder.

    Raises:
        UsageError: The model is not a model of transformers.
    """
    if not hasattr(model, "config"):
        raise UsageError(
            f"{type(model).__name__} is not a model of transformers, and its loss is not known.",
            "give the argument loss=…, a function of a model and a batch that returns one value for each example, "
            "for example lambda model, batch: F.cross_entropy(model(batch['x']), batch['y'], reduction='none').",
        )
    from transformers.models.auto import modeling_auto

    for kind, task in _TASKS.items():
        known = getattr(modeling_auto, f"MODEL_FOR_{task}_MAPPING_NAMES").values()
        names = {name for entry in known for name in ((entry,) if isinstance(entry, str) else entry)}
        names.add(_GENERIC.get(kind, ""))
        if any(parent.__name__ in names for parent in type(model).__mro__):
            return kind
    if getattr(model.config, "is_encoder_decoder", False):
        return "seq2seq"
    # The text decoder of a multimodal model predicts the next token.
    return "causal" if type(model).__name__.endswith("ForConditionalGeneration") else "masked"


class ScoredBatch(NamedTuple):
    """A batch, split into inputs, scored positions and targets.

    Attributes:
        inputs: Arguments of the model's forward.
        mask: bool [B, T], True at scored positions; None if the model has one output per example and not per position.
        targets: int64 [N], one for each scored output, in the order of the examples.
        example_index: int64 [N], the index in the batch of the example to which each target belongs.
    """

    inputs: dict[str, Any]
    mask: Tensor | None
    targets: Tensor
    example_index: Tensor


def prepare(model: Any, kind: str, batch: Batch) -> ScoredBatch:
    """Split a batch into inputs and targets.

    Raises:
        FisherError: The batch lacks the targets of this kind of model.
    """
    wanted = ("input_ids", *(("start_positions", "end_positions") if kind == "span" else ("labels",)))
    if missing := [name for name in wanted if name not in batch]:
        raise FisherError(
            f"a batch for {type(model).__name__} has no '{missing[0]}'.",
            "use the names of transformers for the tensors.",
        )
    inputs: dict[str, Any] = {name: values for name, values in batch.items() if name not in TARGETS}
    if kind == "sequence":
        return ScoredBatch(
            inputs, None, batch["labels"], torch.arange(len(batch["labels"]), device=batch["labels"].device)
        )
    if kind == "span":
        example_index = torch.arange(len(batch["start_positions"]), device=batch["start_positions"].device)
        targets = torch.cat([batch["start_positions"], batch["end_positions"]])
        return ScoredBatch(inputs, None, targets, example_index.repeat(2))
    labels = batch["labels"]
    if kind == "causal":
        labels = torch.cat([labels[:, 1:], torch.full_like(labels[:, :1], IGNORED)], dim=1)
        if "attention_mask" in batch:
            # With padding on the left, the first token of a text is not scored, because it has no context.
            labels = labels.masked_fill(batch["attention_mask"] == 0, IGNORED)
    if kind == "seq2seq" and "decoder_input_ids" not in inputs:
        written = batch.get("decoder_tokens", labels)
        inputs["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels=written)
    if kind in ("causal", "seq2seq"):
        inputs["use_cache"] = False
    scored = labels != IGNORED
    return ScoredBatch(inputs, scored, labels[scored], scored.nonzero()[:, 0])


def scored_logits(kind: str, output: Any, scored_batch: ScoredBatch, gathered: bool) -> Tensor:
    """Return the logits [N, C] that are scored against the targets.

    Args:
        kind: Kind of the model; see :func:`kind_of`.
        output: The output of the model.
        scored_batch: The batch.
        gathered: Whether the head received only the scored positions.
    """
    if kind == "span":
        both = torch.cat([output.start_logits, output.end_logits])
        attention = scored_batch.inputs.get("attention_mask")
        # Padding is not a candidate, because the answer must not depend on the other examples of the batch.
        return both if attention is None else both.masked_fill(attention.repeat(2, 1) == 0, float("-inf"))
    logits: Tensor = output.logits
    return logits if gathered or scored_batch.mask is None else logits[scored_batch.mask]


def prepare_checked(model: Any, kind: str, batch: Batch, before: int) -> ScoredBatch:
    """Split a batch into inputs and targets; raise an error if its gradients would silently be wrong or zero.

    Args:
        model: The model; it determines the number of tokens and classes, and the device.
        kind: Kind of the model; see :func:`kind_of`.
        batch: A batch of any number of examples.
        before: Number of examples in earlier batches; error messages count examples from the first batch.

    Raises:
        FisherError: The batch has no example, or an example with nothing to score; a scored position is padding; the
            model does not have a token, label or position; the batch is on another device than the model.
    """
    _check_device(batch, next(model.parameters()).device)
    if "input_ids" in batch and not len(batch["input_ids"]):
        raise FisherError("a batch has no examples.", "leave out empty batches.")
    if "input_ids" in batch:
        _check_shapes(kind, batch)
    if "input_ids" in batch:
        rows = model.get_input_embeddings().weight.shape[0]
        _check_range(
            batch["input_ids"],
            rows,
            f"a token of the text is outside of the model's {rows} embeddings.",
        )
        _check_length(model, kind, batch)
    if kind == "seq2seq" and "labels" in batch:
        written = batch.get("decoder_tokens", batch["labels"])
        _check_labels(model, kind, written[written != IGNORED])  # before the decoder uses them
    scored_batch = prepare(model, kind, batch)
    _check_padding(kind, batch)
    counts = torch.bincount(scored_batch.example_index, minlength=len(batch["input_ids"]))
    empty = (counts == 0).nonzero().flatten().tolist()
    if empty:
        raise FisherError(
            f"example {before + empty[0]} has no position to score.",
            "its gradient would be zero; hide at least one token of every example. A label of "
            f"{IGNORED} is not scored, and a causal model does not score the first token.",
        )
    _check_labels(model, kind, scored_batch.targets)
    return scored_batch


def _check_shapes(kind: str, batch: Batch) -> None:
    """Raise an error if the shapes of the tensors of a batch do not fit together for this kind of model."""
    ids = batch["input_ids"]
    if ids.dim() != 2 or ids.is_floating_point():
        raise FisherError(
            f"'input_ids' must be integers of the shape [examples, positions], not {ids.dtype} of {list(ids.shape)}."
        )
    per_position = ("labels", "attention_mask") if kind in ("masked", "causal", "tokens") else ("attention_mask",)
    written, labels = batch.get("decoder_tokens"), batch.get("labels")
    if written is not None and labels is not None and written.shape != labels.shape:
        raise FisherError(
            f"'decoder_tokens' has the shape {list(written.shape)}, and 'labels' has {list(labels.shape)}.",
            "give one token of the decoder for each label.",
        )
    for name in ("labels", "attention_mask"):
        if name not in batch:
            continue
        values = batch[name]
        if (name in per_position and values.shape != ids.shape) or len(values) != len(ids):
            raise FisherError(
                f"'{name}' has the shape {list(values.shape)}, and 'input_ids' has {list(ids.shape)}.",
                "make both tensors from the same examples.",
            )


def _check_length(model: nn.Module, kind: str, batch: Batch) -> None:
    """Raise an error if a batch has more positions than the model has learned position embeddings."""
    ids = batch["input_ids"]
    longest = max(real_lengths(batch.get("attention_mask"), *ids.shape))
    for name, table in position_tables(model).items():
        unused = getattr(table, "offset", 0)
        # Decoders with such an offset (OPT) count the positions of tokens, without padding.
        here, counted = longest if unused and kind != "seq2seq" else ids.shape[1], longest
        if kind == "seq2seq" and "decoder" in name and "labels" in batch:
            here = counted = batch["labels"].shape[1]
        if table.padding_idx is not None and not unused:
            # RoBERTa and related models count the positions of tokens, without padding, from this index on.
            unused = table.padding_idx + 1
            here = max(counted, here - unused)
        if here > table.num_embeddings - unused:
            raise FisherError(
                f"a batch has {max(here, counted):,} positions, and the model has {table.num_embeddings - unused:,} "
                f"('{name}').",
                f"shorten the texts: tokenizer(…, truncation=True, max_length={table.num_embeddings - unused}).",
            )


def position_tables(model: nn.Module) -> dict[str, nn.Embedding]:
    """Return {name: table} of the learned absolute position embeddings of a model; empty if it has none."""
    return {
        name: module
        for name, module in model.named_modules()
        if isinstance(module, nn.Embedding) and _POSITIONS.search(name.rpartition(".")[2])
    }


def _check_labels(model: Any, kind: str, targets: Tensor) -> None:
    if kind == "span":
        return  # these targets are positions, which are compared with the length of the text
    classes = int(model.config.num_labels)
    if kind in LANGUAGE_MODELS:
        output = model.get_output_embeddings()
        classes = output.weight.shape[0] if output is not None else classes
    known = f"vocabulary of {classes} tokens" if kind in LANGUAGE_MODELS else f"{classes} classes of the model"
    _check_range(targets, classes, f"a label is outside of the {known}.")


def _check_range(values: Tensor, stop: int, message: str) -> None:
    if values.numel() and (int(values.max()) >= stop or int(values.min()) < 0):
        raise FisherError(message, "the tokenizer or the labels may belong to another model.")


def _check_device(batch: Batch, device: torch.device) -> None:
    for name, values in batch.items():
        if values.device.type != device.type:
            raise FisherError(
                f"'{name}' is on {values.device} and the model is on {device}.",
                "move the batches to the model's device.",
            )


def _check_padding(kind: str, batch: Batch) -> None:
    attention = batch.get("attention_mask")
    if attention is None:
        return
    if kind in ("masked", "causal", "tokens") and bool(((batch["labels"] != IGNORED) & (attention == 0)).any()):
        raise FisherError("a scored position is padding.", f"set its label to {IGNORED}.")
    if kind == "span":
        for name in ("start_positions", "end_positions"):
            position = batch[name].clamp(0, attention.shape[1] - 1)
            if bool((position != batch[name]).any()) or bool((attention.gather(1, position[:, None]) == 0).any()):
                raise FisherError("an answer is outside of its text, in the padding.", f"correct '{name}'.")


def draw_targets(logits: Tensor, scored_batch: ScoredBatch, keys: list[int], seed: int) -> Tensor:
    """Draw targets from the distribution of the model, one for each scored output; `keys` has one key for each example.

    The draws for an example depend only on the seed, the key of the example and its logits, not on the batch. A draw is
    the inverse of the cumulative distribution function, evaluated at a uniform random number from a Philox generator.
    """
    uniforms = np.empty(len(scored_batch.targets))
    example_index = scored_batch.example_index.cpu().numpy()
    for n, key in enumerate(keys):
        generator = np.random.Generator(np.random.Philox(key=np.array([seed % 2**64, key % 2**64], np.uint64)))
        of_example = example_index == n
        uniforms[of_example] = generator.random(int(of_example.sum()))
    cumulative = logits.detach().to(torch.float64).softmax(dim=-1).cumsum(dim=-1)
    thresholds = torch.from_numpy(uniforms).to(logits.device)[:, None] * cumulative[:, -1:]
    return torch.searchsorted(cumulative, thresholds, right=True).flatten().clamp_(max=logits.shape[-1] - 1)


def example_keys(batch: Batch) -> list[int]:
    """Return one integer for each example: its entry of `example_keys` or, without this entry, a digest of its tokens.

    The integer does not depend on the other examples of the batch.
    """
    if "example_keys" in batch:
        return [int(key) for key in batch["example_keys"].tolist()]
    ids = batch["input_ids"].cpu()
    masks = batch["attention_mask"].cpu().bool() if "attention_mask" in batch else torch.ones_like(ids).bool()
    digests = (hashlib.sha256(row[mask].numpy().tobytes()).digest() for row, mask in zip(ids, masks, strict=True))
    return [int.from_bytes(digest[:8], "little") for digest in digests]


def single_examples(batch: Batch, kind: str = "masked") -> list[dict[str, Tensor]]:
    """Split a batch into batches of one example each, without padding on the right."""
    examples, positions = batch["input_ids"].shape
    lengths = real_lengths(batch.get("attention_mask"), examples, positions)
    decoded = [0] * examples
    if kind == "seq2seq":
        written = batch.get("decoder_tokens", batch["labels"])
        decoded = real_lengths(written != IGNORED, examples, written.shape[1])
    rows = []
    for n in range(examples):
        row = {}
        for name, values in batch.items():
            own = values[n : n + 1] if len(values) == examples else values
            if own.dim() > 1:
                decoder = kind == "seq2seq" and (name == "labels" or name.startswith("decoder_"))
                own = own[:, : decoded[n] if decoder else lengths[n]]
            row[name] = own
        rows.append(row)
    return rows


def real_lengths(mask: Tensor | None, examples: int, positions: int) -> list[int]:
    """Return the length of each example up to the last position that the attention mask [B, T] includes.

    If `mask` is None, the length of each of the B = `examples` examples is T = `positions`.
    """
    if mask is None:
        return [positions] * examples
    position = torch.arange(1, mask.shape[1] + 1, device=mask.device)
    lengths: list[int] = (mask.bool() * position).amax(dim=1).tolist()
    return lengths


def theta_of(model: Any, layout: ParameterLayout) -> dict[str, nn.Parameter]:
    """Return {name: parameter} of θ, in the order of the layout.

    Raises:
        FisherError: The layout belongs to a different model.
    """
    if not layout.names:
        raise FisherError("the layout has no parameters to measure.")
    parameters = dict(model.named_parameters())
    for name, shape in zip(layout.names, layout.shapes, strict=True):
        if name not in parameters or tuple(parameters[name].shape) != shape:
            raise FisherError(
                f"the layout's parameter '{name}' {list(shape)} is not in {type(model).__name__}.",
                "make the layout from the measured model: parameter_layout(model).",
            )
    return {name: parameters[name] for name in layout.names}


def head_of(model: Any) -> nn.Module:
    """Return the language-modelling head: the outermost module outside of the body that has the output embeddings.

    Raises:
        FisherError: The model has no such module.
    """
    output = getattr(model, "get_output_embeddings", lambda: None)()
    if output is None:
        raise FisherError(
            f"{type(model).__name__} has no head that predicts tokens or classes, so there is nothing to score.",
            "load the model with its language-modelling head, or with the head of a task.",
        )
    name = next(name for name, module in model.named_modules() if module is output)
    top = model.get_submodule(name.split(".")[0])
    head: nn.Module = output if top is getattr(model, "base_model", None) else top
    return head
