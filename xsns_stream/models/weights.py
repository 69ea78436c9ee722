"""Loading of the weights of a checkpoint into the class of an objective, and checks that no tensor is missing."""

from __future__ import annotations

from typing import Any

from xsns_stream.errors import ModelError
from xsns_stream.io.json import UnusableError
from xsns_stream.models.auto_classes import (
    CLASSIFICATION,
    TASKS,
    auto_class,
    model_class,
    renamed_tensors,
    task_of,
)
from xsns_stream.models.checkpoints import Checkpoint, unreadable
from xsns_stream.models.huggingface import broken_installation, quiet_transformers, reason
from xsns_stream.models.layout import block_lists
from xsns_stream.models.misplaced import check_prefix, check_sizes
from xsns_stream.models.model_files import Tensors, check_described
from xsns_stream.models.task_heads import pooler_names


def load_weights(checkpoint: Checkpoint, name: str, objective: str, head_seed: int, dtype: str) -> Any:
    """Return the model of a checkpoint with the head of an objective.

    Args:
        checkpoint: The checkpoint.
        name: Name of the model, for messages.
        objective: The resolved objective.
        head_seed: Seed for the head of a task if the checkpoint has no head.
        dtype: Precision of the weights.

    Raises:
        ModelError: The class of the model cannot be imported; the weights are damaged or incomplete; or the
            configuration describes a model that is far larger than the weights.
    """
    import torch

    _check_class(name, checkpoint.config, objective, checkpoint.tensors, dtype)

    config, tensors = checkpoint.config, checkpoint.tensors
    state = checkpoint.state(getattr(torch, dtype)) if checkpoint.state is not None else None
    kind: Any = auto_class(config, objective) if state is None else model_class(config, objective)
    settings: dict[str, Any] = (
        {"local_files_only": True, "trust_remote_code": False, "use_safetensors": True}
        if state is None
        else {"state_dict": state}
    )
    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            torch.manual_seed(head_seed)
            model, info = kind.from_pretrained(
                checkpoint.folder if state is None else None,
                config=config,
                dtype=getattr(torch, dtype),
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # `_check_complete` reports them
                key_mapping=renamed_tensors(config, objective) or None,
                **settings,
            )
    except ImportError as error:
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


def _check_complete(
    model: Any, name: str, objective: str, missing: set[str], mismatched: set[str], tensors: Tensors
) -> None:
    """Raise an error if weights are missing; transformers would use random values. Only a new task head may be missing.

    Args:
        model: The loaded model.
        name: Name of the model, for messages.
        objective: The objective for which the model was loaded.
        missing: Names of the tensors of the model that are not in the weights.
        mismatched: Names of the tensors that have another size in the weights.
        tensors: The tensors of the weights.
    """
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
            f"the weights of model '{name}' lack {len(wrong)} of the tensors that its configuration needs, "
            f"such as '{wrong[0]}'.",
            f"random values would be measured in their place; {use}",
        )


def _check_own_head(model: Any, name: str, objective: str, has_head: bool, mismatched: set[str]) -> None:
    """Raise an error if the checkpoint has a trained head for another number of labels or for another task.

    Args:
        model: The loaded model.
        name: Name of the model, for messages.
        objective: The objective for which the model was loaded.
        has_head: Whether a tensor of the head was loaded from the checkpoint.
        mismatched: Names of the tensors of the head that have another size in the checkpoint.
    """
    if mismatched:
        labels = f"{model.config.num_labels} labels" if objective in CLASSIFICATION else "the two ends of a span"
        raise ModelError(
            f"the model '{name}' has a trained head that is not for {labels}.",
            "use a checkpoint without this head, or data with the labels that the head was trained with.",
        )
    if has_head and task_of(model.config) not in (None, objective):
        raise ModelError(
            f"the model '{name}' has a head for {task_of(model.config)}, not for {objective}.",
            f"use the objective of the head, or use a checkpoint without this head for {objective}.",
        )


def _head_names(model: Any) -> set[str]:
    """Return the names of all tensors of the head.

    The head consists of the outermost modules that contain neither blocks nor input embeddings.
    """
    embeddings = model.get_input_embeddings()
    body = {name.split(".")[0] for name, _ in block_lists(model)}
    body |= {name.split(".")[0] for name, module in model.named_modules() if module is embeddings}
    return {name for name in model.state_dict() if name.split(".")[0] not in body}


def _check_class(name: str, config: Any, objective: str, tensors: Tensors, dtype: str) -> None:
    """Check that the class of the model can be imported, and that its size fits the weights.

    `name` is the name of the model, for messages.

    Raises:
        ModelError: The class cannot be imported, or the configuration describes a model that is far larger
            than the weights.
    """
    import torch

    try:
        chosen = model_class(config, objective)
    except (ImportError, RuntimeError, AttributeError) as error:
        raise broken_installation(name, error) from error
    try:
        check_described(chosen, config, tensors, getattr(torch, dtype))
    except UnusableError as error:
        raise unreadable("configuration", name, error) from error
