"""Load a model with the head that an objective needs, and its tokenizer."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError, UsageError
from xsns_stream.models.files import EMBEDDED, EMBEDDED_FOLDER, digest_files, first_line, locate
from xsns_stream.models.layout import block_lists
from xsns_stream.models.objectives import (
    CLASSIFICATION,
    TASKS,
    auto_class,
    check_arguments,
    renamed_tensors,
    resolve,
    task_of,
)
from xsns_stream.models.tokenizers import check_match, load_tokenizer, padding_id, tokenizer_digest
from xsns_stream.quiet import quiet_transformers

__all__ = ["DTYPES", "EMBEDDED", "EMBEDDED_FOLDER", "LoadedModel", "load_model"]

DTYPES: Final = ("float32", "bfloat16", "float16")


@dataclass(frozen=True)
class LoadedModel:
    """A model in evaluation mode with its tokenizer, and what identifies them.

    Attributes:
        model: The transformers model with the head of its objective.
        tokenizer: Its tokenizer.
        name: `mini`, the folder's name, or the Hub id.
        revision: Hub commit; empty for local folders.
        weights_digest: SHA-256 over the safetensors files and the configuration, which also decides what they compute.
        tokenizer_digest: SHA-256 over the tokenizer's serialisation.
        objective: What the model is asked: `masked-lm`, `causal-lm`, `span-corruption`, or a task.
        pad_id: The id that batches are padded with.
    """

    model: Any
    tokenizer: Any
    name: str
    revision: str
    weights_digest: str
    tokenizer_digest: str
    objective: str
    pad_id: int


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
    """Load a model with its tokenizer.

    Args:
        name: `mini` (shipped with the package), a local folder, or a Hub id `owner/name`.
        revision: Commit, branch or tag on the Hub.
        device: As torch names it.
        objective: `masked-lm`, `causal-lm`, `span-corruption`, `token-classification`, `sequence-classification`,
            `question-answering`; `auto` is what the checkpoint was pre-trained for.
        label_count: Number of classes of `token-classification` and `sequence-classification`.
        head_seed: Seed of a task's head where the checkpoint has none; the same seed gives the same bits. A head of
            the same task that comes with the checkpoint is kept.
        dtype: `float32`, `bfloat16` or `float16`, of the weights.

    Raises:
        ModelError: No such model, damaged or incomplete weights, an objective that does not suit it, or a tokenizer of
            another model.
        UsageError: An objective, number of labels or dtype that cannot be.
    """
    check_arguments(objective, label_count)
    if dtype not in DTYPES:
        raise UsageError(f"there is no dtype '{dtype}' for weights.", f"one of: {', '.join(DTYPES)}.")
    folder, commit = locate(name, revision)
    config = _load_config(folder, name)
    objective = resolve(config, objective, name)
    if objective in TASKS:
        config.num_labels = label_count or 2  # a span has two ends
    model = _load_weights(folder, name, config, objective, head_seed, dtype)
    tokenizer = load_tokenizer(folder, name)
    check_match(model, tokenizer, objective, name)
    pad_id = padding_id(model, tokenizer)
    if objective == "sequence-classification" and model.config.get_text_config().pad_token_id is None:
        # Decoders classify a text at the last position that is not padding, and look for it by this id.
        model.config.get_text_config().pad_token_id = pad_id
    return LoadedModel(
        model=_to_device(model.eval(), device),
        tokenizer=tokenizer,
        name=name if name == EMBEDDED or commit else folder.resolve().name,
        revision=commit,
        weights_digest=digest_files([*folder.glob("*.safetensors"), folder / "config.json"]),
        tokenizer_digest=tokenizer_digest(tokenizer),
        objective=objective,
        pad_id=pad_id,
    )


def _load_config(folder: Path, name: str) -> Any:
    from transformers import AutoConfig

    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"the model '{name}' has no .safetensors weights.",
            "convert it with `save_pretrained`; pickled weights are not read, because reading them runs code.",
        )
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except Exception as error:
        raise ModelError(
            f"the configuration of model '{name}' cannot be read: {first_line(error)}",
            "the files may be incomplete; fetch or export them again.",
        ) from error


def _load_weights(folder: Path, name: str, config: Any, objective: str, head_seed: int, dtype: str) -> Any:
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
                ignore_mismatched_sizes=True,  # told below, in words
                key_mapping=renamed_tensors(config, objective) or None,
            )
    except Exception as error:
        # transformers and safetensors raise many types for files that are cut short or of another kind.
        raise ModelError(
            f"the weights of model '{name}' cannot be read: {first_line(error)}",
            "the files may be incomplete; fetch or export them again.",
        ) from error
    mismatched = {str(m[0] if isinstance(m, tuple) else m) for m in info["mismatched_keys"]}
    _check_complete(model, name, objective, set(info["missing_keys"]) - mismatched, mismatched)
    return model


def _check_complete(model: Any, name: str, objective: str, missing: set[str], mismatched: set[str]) -> None:
    """Refuse random values in place of weights, but for the whole new head of a task."""
    use = "use a checkpoint with its language-modelling head."
    if objective in TASKS:
        head = _head_names(model)
        _check_own_head(model, name, objective, kept=bool(head - missing - mismatched), mismatched=mismatched & head)
        missing, use = missing - head, "use a complete checkpoint."
    wrong = sorted(missing) + sorted(mismatched)
    if wrong:
        raise ModelError(
            f"the weights of model '{name}' lack {len(wrong)} tensors that its configuration needs, "
            f"such as '{wrong[0]}'.",
            f"random values would be measured in their place; {use}",
        )


def _check_own_head(model: Any, name: str, objective: str, kept: bool, mismatched: set[str]) -> None:
    """Refuse a trained head whose classes would mean something else than the objective's."""
    if mismatched:
        labels = f"{model.config.num_labels} labels" if objective in CLASSIFICATION else "the two ends of a span"
        raise ModelError(
            f"the model '{name}' comes with a head of its own, which is not for {labels}.",
            "give as many labels as it was trained with, or a checkpoint without this head.",
        )
    if kept and task_of(model.config) not in (None, objective):
        raise ModelError(
            f"the model '{name}' comes with a head for {task_of(model.config)}.",
            f"ask it that, or give a checkpoint without this head for {objective}.",
        )


def _head_names(model: Any) -> set[str]:
    """Return the names of all tensors of the children that hold neither blocks nor input embeddings."""
    embeddings = model.get_input_embeddings()
    body = {name.split(".")[0] for name, _ in block_lists(model)}
    body |= {name.split(".")[0] for name, module in model.named_modules() if module is embeddings}
    return {name for name in model.state_dict() if name.split(".")[0] not in body}


def _to_device(model: Any, device: str) -> Any:
    try:
        if device == "meta":
            raise ValueError("it holds shapes without values")
        return model.to(device)
    except (RuntimeError, AssertionError, ValueError) as error:
        raise ModelError(
            f"the device '{device}' cannot be used: {first_line(error)}",
            "give `--device cpu`, or cuda where there is one.",
        ) from error
