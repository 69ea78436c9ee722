"""Loading of a model, with the head for an objective, and of its tokenizer."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError, UsageError
from xsns_stream.io.escaping import visible
from xsns_stream.io.json import UnusableError, shown
from xsns_stream.io.tables import listed
from xsns_stream.models.auto_classes import (
    CLASSIFICATION,
    TASKS,
    auto_class,
    check_arguments,
    model_class,
    renamed_tensors,
    resolve,
    task_of,
)
from xsns_stream.models.hub import locate
from xsns_stream.models.huggingface import (
    EMBEDDED,
    EMBEDDED_FOLDER,
    broken_installation,
    digest_files,
    first_line,
    quiet_transformers,
    reason,
)
from xsns_stream.models.layout import block_lists
from xsns_stream.models.misplaced import check_prefix, check_sizes, model_folders
from xsns_stream.models.model_files import (
    Tensors,
    check_described,
    check_layers,
    has_safetensors,
    make_config,
    read_configuration,
    read_tensors,
)
from xsns_stream.models.task_heads import pooler_names
from xsns_stream.models.tokenizer_files import own_code
from xsns_stream.models.tokenizers import (
    check_match,
    differing_text,
    knows_its_padding,
    load_tokenizer,
    notes_on_frame,
    padding_id,
    prepare_classifier,
    refuse_bytes,
    tokenizer_digest,
)

__all__ = ["DTYPES", "EMBEDDED", "EMBEDDED_FOLDER", "LoadedModel", "load_model"]

DTYPES: Final = ("float32", "bfloat16", "float16")
#: File that peft writes beside the weights of an adapter.
ADAPTER: Final = "adapter_config.json"
#: Suffixes of weights in formats that are not read.
OTHER_WEIGHTS: Final = (".bin", ".pt", ".pth", ".h5", ".msgpack", ".gguf", ".onnx")


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode, its tokenizer, and digests that identify model and tokenizer.

    Attributes:
        model: The transformers model, with the head for its objective.
        tokenizer: Its tokenizer.
        name: `mini`, the name of the folder, or the Hub id.
        revision: Hub commit; empty for local folders.
        weights_digest: SHA-256 over the safetensors files and the configuration.
        tokenizer_digest: SHA-256 over the serialised tokenizer.
        objective: The objective: `masked-lm`, `causal-lm`, `span-corruption`, or a task.
        pad_id: The token id for padding.
        notes: Sentences that inform the user about the loading of the model.
        checksum: :func:`weights_checksum` of the model after loading; None if unknown.
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
        name: `mini` (shipped with the package), a local folder, or a Hub id `owner/name`.
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
    folder, commit = locate(name, revision)
    fields, tensors = _inspected(folder, name)
    config = make_config(folder, name, fields)
    for kind in (config.model_type, getattr(config, "tokenizer_class", None)):
        refuse_bytes(name, kind)
    objective = resolve(config, objective, name)
    if objective in TASKS:
        config.num_labels = label_count or 2  # a span has two ends
    _check_class(name, config, objective, tensors, dtype)
    padding = _padding_from_tokenizer(folder, name, config)
    model = _load_weights(folder, name, config, tensors, objective, head_seed, dtype)
    tokenizer = load_tokenizer(folder, name)
    check_match(model, tokenizer, objective, name)
    pad_id = padding_id(model, tokenizer)
    if objective == "sequence-classification":
        pad_id = prepare_classifier(model, tokenizer, name)
    model = _to_device(model.eval(), device)
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        name=name if name == EMBEDDED or commit else folder.resolve().name,
        revision=commit,
        weights_digest=digest_files([*folder.glob("*.safetensors"), folder / "config.json"]),
        tokenizer_digest=tokenizer_digest(tokenizer),
        objective=objective,
        pad_id=pad_id,
        notes=(
            *_notes(name, model, fields, tensors, dtype),
            *_note_on_adapters(folder, name),
            *padding,
            *_notes_on_tokenizer(name, folder, tokenizer),
            *notes_on_frame(name, tokenizer),
        ),
        checksum=weights_checksum(model),
    )


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


def _padding_from_tokenizer(folder: Path, name: str, config: Any) -> tuple[str, ...]:
    """Set the padding id from the tokenizer if the model needs one and its configuration has none; return notes.

    RoBERTa and related models compute positions from this id and cannot run without it.
    """
    text = config.get_text_config()
    if getattr(text, "pad_token_id", None) is not None or not knows_its_padding(config):
        return ()
    pad_id = load_tokenizer(folder, name).pad_token_id
    if pad_id is None:
        return ()
    text.pad_token_id = int(pad_id)
    return (
        f"the configuration of model '{name}' names no padding token (pad_token_id); the tokenizer's padding id "
        f"{pad_id} is used.",
    )


def _inspected(folder: Path, name: str) -> tuple[dict[str, Any], Tensors]:
    """Check a folder's configuration and weights as far as possible without torch and transformers.

    Raises:
        ModelError: The folder contains an adapter instead of a model, has no safetensors weights, or has invalid files.
    """
    check_no_adapter(folder, name)
    if not has_safetensors(folder):
        raise _no_safetensors(folder, name)
    fields = configuration_of(folder, name)
    try:
        tensors = read_tensors(folder, fields.get("transformers_weights"))
    except UnusableError as error:
        raise _unreadable("weights", name, error) from error
    try:
        check_layers(fields, tensors)
    except UnusableError as error:
        raise _unreadable("configuration", name, error) from error
    return fields, tensors


def _no_safetensors(folder: Path, name: str) -> ModelError:
    """Return the error for a folder without safetensors files; it shows a command to convert other weights."""
    if inner := model_folders(folder):
        return ModelError(
            f"the folder '{name}' is not the folder of a model, which is in a folder below it: {listed(inner)}.",
            f"give the folder of the model: --model '{Path(name) / inner[-1]}'.",
        )
    found = sorted(path.name for path in folder.iterdir() if path.suffix in OTHER_WEIGHTS)
    only = f" It has {found[0]}{' and others' if len(found) > 1 else ''}, which is not read." if found else ""
    from_hub = folder.parent.name == "snapshots"
    revision = "also try `--revision refs/pr/N` if the page of the model on the Hub has a pull request that adds them"
    if not (from_hub or any(file.endswith((".bin", ".pt", ".pth")) for file in found)):
        return ModelError(
            f"the model '{name}' has no .safetensors weights.{only}",
            f"convert it with `save_pretrained`; for a model of the Hub {revision}.",
        )
    command = (
        f'python -c "from transformers import AutoTokenizer as T, {_class_for(folder)} as M; '
        f"[C.from_pretrained('{name}').save_pretrained('converted') for C in (T, M)]\""
    )
    return ModelError(
        f"the model '{name}' has no .safetensors weights.{only}",
        "pickled weights are not read, because reading them may run code. If you trust the source, convert them with "
        f"`{command}`, and give the folder `converted`; {revision}.",
    )


def _class_for(folder: Path) -> str:
    """Return the name of the transformers class in a folder's `config.json`; if none is named, a general class."""
    try:
        named = read_configuration(folder).get("architectures")
    except UnusableError:
        named = None
    name = named[0] if isinstance(named, list) and named else ""
    return name if isinstance(name, str) and name.isidentifier() else "AutoModelForMaskedLM"


def config_alone(folder: Path, name: str) -> Any:
    """Return the configuration of a folder without checking its weights.

    Raises:
        ModelError: The configuration cannot be read.
    """
    fields = configuration_of(folder, name)
    try:
        check_layers(fields, None)
    except UnusableError as error:
        raise _unreadable("configuration", name, error) from error
    return make_config(folder, name, fields)


def check_no_adapter(folder: Path, name: str) -> None:
    """Raise an error if a folder contains an adapter (LoRA), whose weights would silently be ignored.

    Raises:
        ModelError: The folder contains an adapter.
    """
    if os.path.lexists(folder / ADAPTER):
        raise ModelError(
            f"the model '{name}' comes with an adapter ({ADAPTER}), such as LoRA, and adapters are not loaded.",
            "merge it into the weights first: `merge_and_unload()` of peft, then `save_pretrained` to a new folder.",
        )


def _note_on_adapters(folder: Path, name: str) -> tuple[str, ...]:
    """Return a note if subfolders of a model's folder contain adapters; it says that they are not loaded."""
    found = sorted({*folder.glob(f"*/{ADAPTER}"), *folder.glob(f"*/*/{ADAPTER}")})
    if not found:
        return ()
    listed = ", ".join(path.parent.relative_to(folder).as_posix() for path in found[:3])
    more = " …" if len(found) > 3 else ""
    return (
        f"the folder of the model '{name}' contains adapters, such as LoRA ({listed}{more}), which are not loaded: the "
        "weights of the folder itself are measured. Merge an adapter with `merge_and_unload()` of peft to measure it.",
    )


def configuration_of(folder: Path, name: str) -> dict[str, Any]:
    """Return the content of `config.json` of a folder, after checking its types.

    Raises:
        ModelError: The file is missing or invalid.
    """
    try:
        return read_configuration(folder)
    except UnusableError as error:
        raise _unreadable("configuration", name, error) from error


def _unreadable(what: str, name: str, error: UnusableError) -> ModelError:
    return ModelError(
        f"the {what} of model '{name}' cannot be read: {error}.",
        error.hint or "the files may be incomplete; download or export them again.",
    )


def _check_class(name: str, config: Any, objective: str, tensors: Tensors, dtype: str) -> None:
    """Check that the class of the model can be imported, and that its size fits the weights.

    Raises:
        ModelError: The class cannot be imported, or the configuration describes a far larger model.
    """
    import torch

    try:
        chosen = model_class(config, objective)
    except (ImportError, RuntimeError, AttributeError) as error:
        raise broken_installation(name, error) from error
    try:
        check_described(chosen, config, tensors, getattr(torch, dtype))
    except UnusableError as error:
        raise _unreadable("configuration", name, error) from error


def _notes(name: str, model: Any, fields: dict[str, Any], tensors: Tensors, dtype: str) -> Iterator[str]:
    """Yield notes on rounding of the weights, and on parts of the checkpoint that are not loaded."""
    if dtype != "float32":
        yield f"the weights are in {dtype}, so gradients are rounded to {dtype}; squares and sums are float32."
    if fields.get("auto_map"):
        yield (
            f"the model '{name}' names its own code (auto_map), which is never run; the transformers class "
            f"{type(model).__name__} is used."
        )
    if unused := unused_blocks(model, tensors):
        yield (
            f"the weights of model '{name}' have {len(unused):,} tensors of blocks that its configuration does not "
            f"have, such as '{shown(unused[0])}'; they are not loaded."
        )


def _notes_on_tokenizer(name: str, folder: Path, tokenizer: Any) -> Iterator[str]:
    if own_code(folder):
        yield (
            f"the tokenizer of model '{name}' names its own code (auto_map), which is never run; the transformers "
            f"class {type(tokenizer).__name__} is used."
        )
    if (text := differing_text(folder, tokenizer)) is not None:
        yield (
            f"the tokenizer class {type(tokenizer).__name__} of transformers and the tokenizer.json of model '{name}' "
            f"split the text '{text}' differently, so that the model may get tokens that it was not trained on. "
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


def _load_weights(
    folder: Path, name: str, config: Any, tensors: Tensors, objective: str, head_seed: int, dtype: str
) -> Any:
    import torch

    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(head_seed)
            model, info = auto_class(config, objective).from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=getattr(torch, dtype),
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # reported below
                key_mapping=renamed_tensors(config, objective) or None,
            )
    except ImportError as error:
        if quantised := getattr(config, "quantization_config", None):
            raise _quantised(name, quantised) from error
        raise broken_installation(name, error) from error
    except Exception as error:
        # transformers and safetensors raise many types of errors for truncated files and files of other formats.
        raise ModelError(
            f"the model '{name}' cannot be loaded: {reason(error)}.",
            "the files may be incomplete, or may not fit together; download or export them again.",
        ) from error
    mismatched = {str(m[0] if isinstance(m, tuple) else m) for m in info["mismatched_keys"]}
    _check_complete(model, name, objective, set(info["missing_keys"]) - mismatched, mismatched, tensors)
    return model


def _quantised(name: str, configuration: Any) -> ModelError:
    """Return the error for quantised weights if the package that reads them is not installed."""
    fields = configuration if isinstance(configuration, dict) else configuration.to_dict()
    method = shown(str(fields.get("quant_method", "unknown method")))
    return ModelError(
        f"the weights of model '{name}' are quantised ({method}).",
        "use the model before its quantisation. If the weights are not quantised, as after a merge, remove "
        "quantization_config from config.json.",
    )


def _check_complete(
    model: Any, name: str, objective: str, missing: set[str], mismatched: set[str], tensors: Tensors
) -> None:
    """Raise an error if weights are missing, because they would be random. Only a new task head may be missing."""
    use = "use a checkpoint with its language-modelling head."
    if objective in TASKS:
        head = _head_names(model)
        _check_own_head(
            model, name, objective, has_head=bool(head - missing - mismatched), mismatched=mismatched & head
        )
        missing, use = missing - head - pooler_names(model), "use a complete checkpoint."
    wrong = sorted(missing) + sorted(mismatched)
    if wrong:
        check_prefix(name, missing, tensors)
        check_sizes(model, name, mismatched, tensors)
        raise ModelError(
            f"the weights of model '{name}' lack {len(wrong)} tensors that its configuration needs, "
            f"such as '{wrong[0]}'.",
            f"random values would be measured in their place; {use}",
        )


def _check_own_head(model: Any, name: str, objective: str, has_head: bool, mismatched: set[str]) -> None:
    """Raise an error if the checkpoint has a trained head for another number of labels or for another task."""
    if mismatched:
        labels = f"{model.config.num_labels} labels" if objective in CLASSIFICATION else "the two ends of a span"
        raise ModelError(
            f"the model '{name}' has a trained head that is not for {labels}.",
            "give the number of labels that this head was trained with, or use a checkpoint without the head.",
        )
    if has_head and task_of(model.config) not in (None, objective):
        raise ModelError(
            f"the model '{name}' has a head for {task_of(model.config)}.",
            f"use this objective, or use a checkpoint without this head for {objective}.",
        )


def _head_names(model: Any) -> set[str]:
    """Return the names of all tensors of the head: the modules that contain neither blocks nor input embeddings."""
    embeddings = model.get_input_embeddings()
    body = {name.split(".")[0] for name, _ in block_lists(model)}
    body |= {name.split(".")[0] for name, module in model.named_modules() if module is embeddings}
    return {name for name in model.state_dict() if name.split(".")[0] not in body}


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
