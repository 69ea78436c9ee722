"""Preparation of models that are already in memory: checks, objective and digests of model and tokenizer."""

from __future__ import annotations

import hashlib
import json
import os
from dataclasses import replace
from typing import Any, Final

from xsns_stream.errors import ModelError, UsageError
from xsns_stream.models.auto_classes import CLASSIFICATION, OBJECTIVES, TASKS, classes_of, fits
from xsns_stream.models.loading import LoadedModel, load_model, weights_checksum
from xsns_stream.models.tokenizers import (
    check_match,
    knows_its_padding,
    notes_on_frame,
    padding_id,
    refuse_bytes,
    tokenizer_digest,
)

#: Entries of a configuration that do not affect the outputs of a model.
_NOT_COMPUTED: Final = ("transformers_version", "_name_or_path", "architectures", "torch_dtype", "dtype")


def open_model(
    model: Any,
    tokenizer: Any = None,
    *,
    revision: str | None = None,
    device: str | None = None,
    objective: str = "auto",
    label_count: int | None = None,
    head_seed: int = 0,
    dtype: str | None = None,
) -> LoadedModel:
    """Return a loaded model with its tokenizer, from a name or from objects in memory.

    Args:
        model: `mini`, a local folder, a GGUF file or a Hub id, as a string or path; a :class:`LoadedModel`; or a
            model of transformers.
        tokenizer: The tokenizer, if `model` is a model of transformers.
        revision: Commit, branch or tag on the Hub; for names only.
        device: The device of torch for a named model; a model in memory is not moved.
        objective: See :func:`xsns_stream.load_model`; for a model in memory, `auto` means the objective of its class.
        label_count: Number of classes of a classification task.
        head_seed: Seed for the random weights of a task head, if the checkpoint has no head for the task; for named
            models only.
        dtype: Data type of the weights of a named model.

    Raises:
        ModelError: The model or the tokenizer cannot be used.
        UsageError: An argument does not apply to this kind of model.
    """
    if isinstance(model, str | os.PathLike):
        if tokenizer is not None:
            raise UsageError(
                "a tokenizer was given together with the name of a model.", "omit it, or give a loaded model."
            )
        return load_model(
            os.fspath(model),
            revision=revision,
            device=device or "cpu",
            objective=objective,
            label_count=label_count,
            head_seed=head_seed,
            dtype=dtype or "float32",
        )
    given = {"revision": revision, "device": device, "dtype": dtype, "head_seed": head_seed or None}
    if name := next((name for name, value in given.items() if value is not None), None):
        raise UsageError(
            f"{name} does not apply to a model in memory.",
            "load the model with this setting yourself, and omit the argument.",
        )
    if not isinstance(model, LoadedModel):
        return adopt_model(model, tokenizer, objective=objective, label_count=label_count)
    if tokenizer is not None:
        raise UsageError(
            "the model was loaded with its tokenizer, and another tokenizer was given.", "omit the tokenizer."
        )
    if objective not in ("auto", model.objective):
        raise UsageError(
            f"the model '{model.name}' was loaded for {model.objective}, not for {objective}.",
            "load it for this objective.",
        )
    return with_current_weights(model)


def with_current_weights(loaded: LoadedModel) -> LoadedModel:
    """Return a loaded model whose `weights_digest` is that of its present weights.

    If the weights were changed after loading, for example by training, the digest of the files is no longer valid. Rows
    from the weights before and after the change must not be in one store.
    """
    if loaded.model is None or loaded.checksum is None or weights_checksum(loaded.model) == loaded.checksum:
        return loaded
    return replace(
        loaded,
        name=f"{loaded.name} (changed in memory)",
        revision="",
        weights_digest=state_digest(loaded.model),
        notes=(*loaded.notes, f"the weights of model '{loaded.name}' were changed after it was loaded."),
        checksum=None,
    )


def adopt_model(model: Any, tokenizer: Any, *, objective: str = "auto", label_count: int | None = None) -> LoadedModel:
    """Return a :class:`LoadedModel` of a transformers model and its tokenizer, as from :func:`xsns_stream.load_model`.

    The name of the model is the name of its class. The digest of the weights is the SHA-256 over the configuration and
    over the names, dtypes, shapes and values of the state dict. It differs from the digest of the same model loaded
    from a folder, which is computed from the files. The mode of the model (training or evaluation) is not changed.

    Args:
        model: The model, with the head of its objective.
        tokenizer: The fast tokenizer of the model.
        objective: One of :data:`~xsns_stream.models.auto_classes.OBJECTIVES`; `auto` means the objective of the model's
            class.
        label_count: Number of classes in the data of a classification task.

    Raises:
        ModelError: The model has no head, or the tokenizer belongs to another model.
        UsageError: The tokenizer is missing, or the objective is not that of the model's class.
    """
    _refuse_wrapper(model)
    name = f"{type(model).__name__} (in memory)"
    if not all(hasattr(model, attribute) for attribute in ("config", "state_dict", "get_input_embeddings")):
        raise ModelError(
            f"{type(model).__name__} is not a model of transformers.", "give a model, a folder, a Hub id or `mini`."
        )
    if getattr(model.config, "return_dict", True) is False:
        raise ModelError(
            f"the model '{name}' returns a tuple, whose parts have no names.", "set `model.config.return_dict = True`."
        )
    if any(parameter.is_meta for parameter in model.parameters()):
        raise ModelError(
            f"the model '{name}' is on the device meta, which has no values.", "load its weights with from_pretrained."
        )
    if tokenizer is None:
        raise UsageError("the tokenizer of the model is missing.", "give tokenizer=AutoTokenizer.from_pretrained(…).")
    if not hasattr(tokenizer, "is_fast"):
        raise UsageError(
            f"the tokenizer cannot be of the type {type(tokenizer).__name__}.",
            "give tokenizer=AutoTokenizer.from_pretrained(…).",
        )
    refuse_bytes(name, type(tokenizer).__name__)
    if not tokenizer.is_fast:
        raise ModelError(f"the tokenizer of model '{name}' has no fast form.", "load it with use_fast=True.")
    own = _objective_of(model, name)
    if objective not in ("auto", own):
        raise UsageError(
            f"the model '{name}' has the head of {own}, not of {objective}.", "load it with the head of the objective."
        )
    if own in CLASSIFICATION and label_count is not None and label_count != model.config.num_labels:
        raise ModelError(
            f"the model '{name}' has {model.config.num_labels} labels, and the text has {label_count}.",
            "load the model with as many labels as the text has.",
        )
    check_match(model, tokenizer, own, name)
    pad_id = padding_id(model, tokenizer)
    if own == "sequence-classification" and not knows_its_padding(model.config):
        pad_id = model.config.get_text_config().pad_token_id
        if pad_id is None:
            raise ModelError(
                f"the model '{name}' finds the end of a text by its padding token, and its configuration names none.",
                "set model.config.pad_token_id to the id of a token that is not part of texts.",
            )
    return LoadedModel(
        model=model,
        tokenizer=tokenizer,
        name=name,
        revision="",
        weights_digest=state_digest(model),
        tokenizer_digest=tokenizer_digest(tokenizer),
        objective=own,
        pad_id=pad_id,
        notes=tuple(notes_on_frame(name, tokenizer)),
    )


def _refuse_wrapper(model: Any) -> None:
    """Raise an error if the model is wrapped in another module, such as `DataParallel`."""
    for attribute, kind in (("_orig_mod", "OptimizedModule"), ("module", "DataParallel")):
        if hasattr(model, attribute) and kind in type(model).__name__:
            raise ModelError(
                f"{type(model).__name__} is a wrapper around a model.", f"give the model itself: model.{attribute}."
            )


def state_digest(model: Any) -> str:
    """Return the hexadecimal SHA-256 over the configuration and the state dict of a model."""
    import torch

    config = {key: value for key, value in model.config.to_dict().items() if key not in _NOT_COMPUTED}
    digest = hashlib.sha256(f"{type(model).__name__}\n{json.dumps(config, sort_keys=True, default=str)}".encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(f"\n{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        digest.update(tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()


def _objective_of(model: Any, name: str) -> str:
    """Return the objective of a model, determined from its class or the base classes of its class.

    `name` is the name of the model, for messages.
    """
    names = {base.__name__ for base in type(model).__mro__}
    for objective in OBJECTIVES:
        if names & classes_of(objective) and (objective in TASKS or fits(model.config, objective)):
            return objective
    raise ModelError(
        f"the model '{name}' has no head for a known objective.",
        "load it with a head, for example with AutoModelForMaskedLM or AutoModelForCausalLM.",
    )
