"""Loading of a model, with the head for an objective, and of its tokenizer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError, UsageError
from xsns_stream.io.escaping import visible
from xsns_stream.io.json import shown
from xsns_stream.models.adapters import open_adapter
from xsns_stream.models.auto_classes import TASKS, check_arguments, resolve
from xsns_stream.models.checkpoints import Checkpoint, open_folder_or_file, tokenizer_of_folder
from xsns_stream.models.hub import locate
from xsns_stream.models.huggingface import ADAPTER, EMBEDDED, EMBEDDED_FOLDER, first_line
from xsns_stream.models.layout import block_lists
from xsns_stream.models.model_files import Tensors
from xsns_stream.models.tokenizer_files import own_code
from xsns_stream.models.tokenizers import (
    check_match,
    differing_text,
    knows_its_padding,
    notes_on_frame,
    padding_id,
    prepare_classifier,
    refuse_bytes,
    tokenizer_digest,
)
from xsns_stream.models.weights import load_weights

__all__ = ["DTYPES", "EMBEDDED", "EMBEDDED_FOLDER", "LoadedModel", "load_model"]

DTYPES: Final = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode, its tokenizer, and digests that identify model and tokenizer.

    Attributes:
        model: The transformers model, with the head for its objective.
        tokenizer: Its tokenizer.
        name: `mini`, the name of the folder or file, or the Hub id.
        revision: Hub commit; empty for local folders.
        weights_digest: SHA-256 over the files of the weights and the configuration.
        tokenizer_digest: SHA-256 over the serialised tokenizer.
        objective: The objective: `masked-lm`, `causal-lm`, `span-corruption`, or a task.
        pad_id: The token id for padding.
        notes: Sentences that inform the user about the loading of the model.
        checksum: :func:`weights_checksum` of the model after loading; None if unknown.
        origin: Format of the weights if they are not plain safetensors, for the provenance: see
            :class:`~xsns_stream.types.Provenance`.
    """

    model: Any
    tokenizer: Any
    name: str
    revision: str
    weights_digest: str
    tokenizer_digest: str
    objective: str
    pad_id: int
    notes: tuple[str, ...] = ()
    checksum: int | None = None
    origin: Mapping[str, Any] = field(default_factory=dict)

    def __repr__(self) -> str:
        return f"<LoadedModel '{visible(self.name)}': {type(self.model).__name__} for {self.objective}>"


def weights_checksum(model: Any) -> int:
    """Return a fast checksum of the bits of a model's state dict, which detects changes of the weights.

    The bits of each tensor are read as 64-bit integers (8-bit integers if this is not possible) and summed. The sum of
    a tensor is multiplied by the index of the tensor in the state dict, counted from 1. The checksum is the total of
    these products modulo 2⁶⁴. It is much faster to compute than a digest.
    """
    import torch

    total = 0
    with torch.no_grad():
        for number, tensor in enumerate(model.state_dict().values(), start=1):
            bits = tensor.detach().contiguous().reshape(-1).view(torch.uint8)
            words = bits.view(torch.int64) if bits.numel() % 8 == 0 and bits.data_ptr() % 8 == 0 else bits
            total += number * int(words.sum(dtype=torch.int64))
    return total % 2**64


def load_model(
    name: str,
    *,
    revision: str | None = None,
    device: str = "cpu",
    objective: str = "auto",
    label_count: int | None = None,
    head_seed: int = 0,
    dtype: str = "float32",
) -> LoadedModel:
    """Load a model and its tokenizer.

    Args:
        name: `mini` (shipped with the package), a local folder, a GGUF file, or a Hub id `owner/name`.
        revision: Commit, branch or tag on the Hub.
        device: Name of a device of torch.
        objective: `masked-lm`, `causal-lm`, `span-corruption`, `token-classification`, `sequence-classification` or
            `question-answering`; `auto` is the objective of the pre-training.
        label_count: Number of classes of `token-classification` and `sequence-classification`.
        head_seed: Seed for the random weights of a task head; the same seed gives the same bits. It is not used if the
            checkpoint has a head for the task.
        dtype: Precision of the weights: `float32`, `bfloat16` or `float16`.

    Raises:
        ModelError: The model does not exist; its weights are damaged or incomplete; it does not support the objective;
            or the tokenizer belongs to a different model.
        UsageError: The objective, the number of labels or the dtype is invalid.
    """
    check_arguments(objective, label_count)
    check_python()
    if dtype not in DTYPES:
        raise UsageError(f"'{dtype}' is not a valid dtype for weights.", f"choose one of {', '.join(DTYPES)}.")
    checkpoint = open_checkpoint(name, revision)
    config, tensors = checkpoint.config, checkpoint.tensors
    for kind in (config.model_type, getattr(config, "tokenizer_class", None)):
        refuse_bytes(name, kind)
    objective = resolve(config, objective, name)
    if objective in TASKS:
        config.num_labels = label_count or 2  # question answering: the start and the end of a span
    padding = _padding_from_tokenizer(checkpoint, name, config)
    model = load_weights(checkpoint, name, objective, head_seed, dtype)
    tokenizer = checkpoint.tokenizer()
    check_match(model, tokenizer, objective, name)
    pad_id = padding_id(model, tokenizer)
    if objective == "sequence-classification":
        pad_id = prepare_classifier(model, tokenizer, name)
    model = _to_device(model.eval(), device)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        name=checkpoint.name,
        revision=checkpoint.commit,
        weights_digest=checkpoint.digest,
        tokenizer_digest=tokenizer_digest(tokenizer),
        objective=objective,
        pad_id=pad_id,
        notes=(
            *checkpoint.notes,
            *_notes(name, model, checkpoint.fields, tensors, dtype),
            *padding,
            *(_notes_on_folder(name, checkpoint.folder, tokenizer) if checkpoint.state is None else ()),
            *notes_on_frame(name, tokenizer),
        ),
        origin=checkpoint.origin,
        checksum=weights_checksum(model),
    )


def open_checkpoint(name: str, revision: str | None = None) -> Checkpoint:
    """Find and check the files of a model.

    Args:
        name: `mini`, a local folder, a GGUF file, or a Hub id `owner/name`.
        revision: Commit, branch or tag on the Hub.

    Raises:
        ModelError: The model does not exist, or its files are damaged, incomplete or of a format that is not read.
    """
    path, commit = locate(name, revision)
    if os.path.lexists(path / ADAPTER):
        return open_adapter(path, name, commit)
    return open_folder_or_file(path, name, commit)


def open_tokenizer(name: str, revision: str | None = None) -> tuple[Any, Any, str]:
    """Return the configuration and the tokenizer of a model, and its Hub commit, without reading its weights.

    The arguments are those of :func:`open_checkpoint`.

    Raises:
        ModelError: The model does not exist, or its configuration or its tokenizer cannot be read.
    """
    path, commit = locate(name, revision)
    if os.path.lexists(path / ADAPTER):
        checkpoint = open_adapter(path, name, commit)
        return checkpoint.config, checkpoint.tokenizer(), commit
    return *tokenizer_of_folder(path, name, commit), commit


def check_python() -> None:
    """Raise an error if Python runs without docstrings; transformers parses docstrings when it creates a model.

    Raises:
        ModelError: Python runs without docstrings.
    """
    if sys.flags.optimize > 1:
        raise ModelError(
            "this Python runs without docstrings (-OO, or PYTHONOPTIMIZE=2), and transformers cannot create a model "
            "without them.",
            "run Python without -OO, and unset PYTHONOPTIMIZE.",
        )


def _padding_from_tokenizer(checkpoint: Checkpoint, name: str, config: Any) -> tuple[str, ...]:
    """Set the padding id from the tokenizer if the model needs one and its configuration has none; return notes.

    `name` is the name of the model, for messages.

    RoBERTa and related models compute positions from this id and cannot run without it.
    """
    text = config.get_text_config()
    if getattr(text, "pad_token_id", None) is not None or not knows_its_padding(config):
        return ()
    pad_id = checkpoint.tokenizer().pad_token_id
    if pad_id is None:
        return ()
    text.pad_token_id = int(pad_id)
    return (
        f"the configuration of model '{name}' names no padding token (pad_token_id); the tokenizer's padding id "
        f"{pad_id} is used.",
    )


def _note_on_adapters(folder: Path, name: str) -> tuple[str, ...]:
    """Return a note if subfolders of a model's folder contain adapters; it says that they are not loaded.

    `name` is the name of the model, for messages.
    """
    found = sorted({*folder.glob(f"*/{ADAPTER}"), *folder.glob(f"*/*/{ADAPTER}")})
    if not found:
        return ()
    listed = ", ".join(path.parent.relative_to(folder).as_posix() for path in found[:3])
    more = " …" if len(found) > 3 else ""
    return (
        f"the folder of the model '{name}' contains adapters, such as LoRA ({listed}{more}), which are not loaded: the "
        "weights of the folder itself are measured. Merge an adapter with `merge_and_unload()` of peft to measure it.",
    )


def _notes(name: str, model: Any, fields: Mapping[str, Any], tensors: Tensors, dtype: str) -> Iterator[str]:
    """Yield notes on rounding of the weights, and on parts of the checkpoint that are not loaded.

    `name` is the name of the model, `fields` its configuration, and `tensors` are the tensors of its weights.
    """
    if dtype != "float32":
        yield f"the weights are in {dtype}, so gradients are rounded to {dtype}; squares and sums are float32."
    if fields.get("auto_map"):
        yield (
            f"the model '{name}' names its own code (auto_map), which is never run; the transformers class "
            f"{type(model).__name__} is used."
        )
    if unused := unused_blocks(model, tensors):
        yield (
            f"the weights of model '{name}' contain blocks that its configuration does not have; the tensors of "
            f"these blocks are not loaded ({len(unused):,}, such as '{shown(unused[0])}')."
        )


def _notes_on_folder(name: str, folder: Path, tokenizer: Any) -> Iterator[str]:
    yield from _note_on_adapters(folder, name)
    if own_code(folder):
        yield (
            f"the tokenizer of model '{name}' names its own code (auto_map), which is never run; the transformers "
            f"class {type(tokenizer).__name__} is used."
        )
    if (text := differing_text(folder, tokenizer)) is not None:
        yield (
            f"the tokenizer class {type(tokenizer).__name__} of transformers and the tokenizer.json of model '{name}' "
            f"split the text '{text}' differently. The model may get tokens that it was not trained on. "
            '`"tokenizer_class": "PreTrainedTokenizerFast"` in tokenizer_config.json selects tokenizer.json.'
        )


def unused_blocks(model: Any, tensors: Tensors) -> list[str]:
    """Return the names of tensors of the weights whose block index is beyond the last block of the model."""
    lengths = {f"{name}.": len(blocks) for name, blocks in block_lists(model)}
    unused = []
    for name in tensors.shapes:
        for prefix, length in lengths.items():
            # The tensor names of a checkpoint without a head do not start with the name of the body.
            suffix = name.removeprefix(f"{prefix}") if name.startswith(prefix) else None
            if suffix is None and name.startswith(short := prefix.partition(".")[2]) and short:
                suffix = name.removeprefix(short)
            number = (suffix or "").partition(".")[0]
            if number.isdecimal() and int(number) >= length:
                unused.append(name)
    return unused


def _to_device(model: Any, device: str) -> Any:
    try:
        if device == "meta":
            raise ValueError("it has shapes without values")
        return model.to(device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ModelError(
            f"the device '{device}' cannot be used: {first_line(error)}",
            "give `--device cpu`, or cuda if there is a GPU.",
        ) from error
