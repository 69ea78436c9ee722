"""Adapters (LoRA), which are merged into the model that they change.

peft writes a folder with `adapter_config.json` and `adapter_model.safetensors`. The configuration names the base model.
The weights of the adapter are two low-rank matrices A and B for each matrix W of the base that the adapter changes.
Merging replaces W by W + (alpha / r) B A. The merged model has the modules and the parameters of an ordinary model.

The configuration of an adapter may also name Python modules, and rules that change the base model in other ways. Only
the settings that determine the change of the matrices are given to peft. A configuration with other settings is
refused.
"""

from __future__ import annotations

import copy
import hashlib
import re
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from math import isfinite
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError
from xsns_stream.io.atomic import at_home
from xsns_stream.io.json import UnusableError, read_object, shown
from xsns_stream.models.auto_classes import CLASSIFICATION, TASKS, fits, model_class, resolve
from xsns_stream.models.checkpoints import Checkpoint, open_folder_or_file, unreadable
from xsns_stream.models.hub import locate
from xsns_stream.models.huggingface import ADAPTER, file_digest, quiet_transformers, reason
from xsns_stream.models.model_files import Tensors, read_header
from xsns_stream.models.tokenizers import load_tokenizer
from xsns_stream.models.weights import load_weights

#: File of the weights that peft writes.
WEIGHTS: Final = "adapter_model.safetensors"
#: Largest rank r of an adapter, and largest number of modules that have their own rank or alpha.
MOST_RANK: Final = 65_536
MOST_PATTERNS: Final = 10_000
_PREFIX: Final = "base_model.model."
#: {task of peft: objective}.
_TASKS: Final = {
    "TOKEN_CLS": "token-classification",
    "SEQ_CLS": "sequence-classification",
    "QUESTION_ANS": "question-answering",
}
#: Kinds of adapters that add tokens or keys to the input of a layer.
_PROMPTS: Final = ("PROMPT_TUNING", "MULTITASK_PROMPT_TUNING", "P_TUNING", "PREFIX_TUNING", "ADAPTION_PROMPT", "CPT")
#: Initialisations that do not change the base model. Other initialisations subtract the initial B A from its matrices.
_PLAIN_STARTS: Final = (True, False, None, "gaussian", "eva", "orthogonal")
#: Settings that have no influence on a merged model.
_IGNORED: Final = frozenset((
    "alora_invocation_tokens", "auto_mapping", "base_model_name_or_path", "bias", "eva_config", "exclude_modules",
    "fan_in_fan_out", "inference_mode", "init_lora_weights", "layers_pattern", "layers_to_transform", "lora_alpha",
    "lora_bias", "lora_dropout", "modules_to_save", "peft_type", "peft_version", "qalora_group_size", "r",
    "rank_pattern", "alpha_pattern", "revision", "target_modules", "task_type", "use_dora", "use_rslora",
    "runtime_config", "ensure_weight_tying", "megatron_core",
))  # fmt: skip
_MERGE: Final = "merge it into the weights first: `merge_and_unload()` of peft, then `save_pretrained` to a new folder."
_LORA_KEY: Final = re.compile(
    r"(.+)\.(lora_A|lora_B|lora_embedding_A|lora_embedding_B|lora_magnitude_vector)(\.weight|\.bias)?"
)


@dataclass(frozen=True)
class _Adapter:
    """An adapter whose files were checked.

    Attributes:
        folder: Its folder.
        settings: The content of `adapter_config.json`.
        shapes: {name of a tensor without the prefix of peft: shape}.
        modules: Names of the modules that it changes.
    """

    folder: Path
    settings: Mapping[str, Any]
    shapes: Mapping[str, tuple[int, ...]]
    modules: tuple[str, ...]

    @property
    def whole(self) -> dict[str, tuple[int, ...]]:
        """{name: shape} of the tensors of the adapter that replace whole tensors of its base model."""
        return {name: shape for name, shape in self.shapes.items() if not _LORA_KEY.fullmatch(name)}


def open_adapter(folder: Path, name: str, commit: str) -> Checkpoint:
    """Check an adapter and its base model, and return the checkpoint of the merged model.

    Args:
        folder: The folder of the adapter.
        name: Name of the model, for messages.
        commit: Hub commit of the adapter; empty for local files.

    Raises:
        ModelError: The adapter is not a LoRA adapter that can be merged; its base model is missing or does not fit; or
            the package peft is not installed.
    """
    _check_alone(folder, name)
    try:
        adapter = _read(folder, name)
    except UnusableError as error:
        raise unreadable("adapter", name, error) from error
    try:
        import peft  # noqa: F401
    except ImportError as error:
        raise ModelError(
            f"the model '{name}' is an adapter (LoRA), and the package peft, which merges it into its base model, is "
            "not installed.",
            "install it with `pip install 'xsns-stream[peft]'`.",
        ) from error
    base = _base(adapter, name)
    objective, label_count = _objective(adapter, base, name)
    config = base.config
    if objective in TASKS:
        config.num_labels = label_count or 2
        config.architectures = [model_class(config, objective).__name__]
    changed = ", ".join(sorted(adapter.whole)[:2])
    return replace(
        base,
        name=name if commit else folder.resolve().name,
        commit=commit,
        # The shapes of the base, and of the tensors that the adapter adds, such as those of a head.
        tensors=Tensors({**base.tensors.shapes, **adapter.whole}),
        digest=_digest(base, folder),
        config=copy.deepcopy(config),
        tokenizer=_tokenizer(adapter, base, name),
        state=lambda dtype: _merged(adapter, base, objective, name, dtype),
        origin=_origin(adapter, base),
        notes=(
            *base.notes,
            f"the adapter '{name}' (LoRA of {len(adapter.modules)} matrices, r = {adapter.settings['r']}) was merged "
            f"into its base model '{base.name}'.",
            *((f"the adapter replaces tensors of its base model: {changed}.",) if changed else ()),
        ),
    )


def _check_alone(folder: Path, name: str) -> None:
    """Raise an error if a folder contains no weights of an adapter, or other safetensors files beside them.

    `name` is the name of the adapter, for messages.
    """
    others = sorted(path.name for path in folder.glob("*.safetensors") if path.name != WEIGHTS)
    if others:
        raise ModelError(
            f"the model '{name}' comes with an adapter ({ADAPTER}), such as LoRA, and with other weights "
            f"({others[0]}), and it is not clear whether they belong together.",
            f"put the adapter into a folder of its own. If its weights were merged already, remove {ADAPTER}.",
        )
    if not (folder / WEIGHTS).is_file():
        below = sorted(path.parent.name for path in folder.glob(f"*/{ADAPTER}"))
        if below:
            raise ModelError(
                f"the folder '{name}' has no weights of an adapter; they are in a folder below it: {', '.join(below)}.",
                f"give one of them: --model '{Path(name) / below[0]}'.",
            )
        pickled = (folder / "adapter_model.bin").exists()
        raise ModelError(
            f"the adapter '{name}' has no {WEIGHTS}.{' It has adapter_model.bin, which is not read.' * pickled}",
            "pickled weights are not read, because reading them may run code. If you trust the source, load the "
            "adapter with peft and save it again with `save_pretrained`."
            if pickled
            else "download the adapter again; it may be incomplete.",
        )


# ----------------------------------------------------------------------------------------------- the files


def _read(folder: Path, name: str) -> _Adapter:
    settings = read_object(folder / ADAPTER)
    kind = settings.get("peft_type")
    if kind != "LORA":
        prompts = kind in _PROMPTS
        raise ModelError(
            f"the adapter '{name}' is of the kind {shown(str(kind))}, and only adapters of the kind LORA are merged.",
            "it adds trained vectors to the input of layers, which cannot be merged into weights; use the base model, "
            "or a LoRA adapter."
            if prompts
            else _MERGE,
        )
    _check_settings(settings, name)
    shapes: dict[str, tuple[int, ...]] = {}
    for key, shape in read_header(folder / WEIGHTS).items():
        if not key.startswith(_PREFIX):
            raise UnusableError(f"the tensor '{shown(key)}' of {WEIGHTS} is not named as peft names tensors")
        shapes[key.removeprefix(_PREFIX)] = shape
    modules = {match[1] for key in shapes if (match := _LORA_KEY.fullmatch(key))}
    for module in sorted(modules):
        parts = {match[2] for key in shapes if (match := _LORA_KEY.fullmatch(key)) and match[1] == module}
        if not (parts >= {"lora_A", "lora_B"} or parts >= {"lora_embedding_A", "lora_embedding_B"}):
            raise UnusableError(f"{WEIGHTS} has only one of the two matrices of the module '{shown(module)}'")
        if settings.get("use_dora") and "lora_magnitude_vector" not in parts:
            raise UnusableError(f"{WEIGHTS} has no magnitudes (DoRA) of the module '{shown(module)}'")
    if not modules:
        raise UnusableError(f"{WEIGHTS} has no low-rank matrices (lora_A, lora_B)")
    return _Adapter(folder, settings, shapes, tuple(sorted(modules)))


def _check_settings(settings: Mapping[str, Any], name: str) -> None:
    """Check `adapter_config.json`.

    `name` is the name of the adapter, for messages.

    Raises:
        UnusableError: A setting has a wrong type, or no base model is named.
        ModelError: The adapter cannot be merged, because a setting changes the base model in another way.
    """
    if type(settings.get("r")) is not int or not 0 < settings["r"] <= MOST_RANK:
        raise UnusableError(f"{ADAPTER}: r is not a whole number from 1 to {MOST_RANK:,}")
    if not _is_number(settings.get("lora_alpha", 8)):
        raise UnusableError(f"{ADAPTER}: lora_alpha is not a number")
    for field in ("use_rslora", "use_dora", "fan_in_fan_out", "lora_bias"):
        if settings.get(field) not in (None, True, False):
            raise UnusableError(f"{ADAPTER}: {field} is not true or false")
    if settings.get("bias", "none") not in ("none", "all", "lora_only"):
        raise UnusableError(f"{ADAPTER}: bias is not none, all or lora_only")
    for field in ("rank_pattern", "alpha_pattern"):
        pattern = settings.get(field) or {}
        if (
            not isinstance(pattern, dict)
            or len(pattern) > MOST_PATTERNS
            or not all(len(key) <= 256 and _is_number(value) and value > 0 for key, value in pattern.items())
        ):
            raise UnusableError(f"{ADAPTER}: {field} does not have a number for each module")
    base = settings.get("base_model_name_or_path")
    if not isinstance(base, str) or not base:
        raise UnusableError(
            f"{ADAPTER} does not name the base model", "write its folder or Hub id as base_model_name_or_path."
        )
    start = settings.get("init_lora_weights")
    if not any(start is plain or start == plain for plain in _PLAIN_STARTS):
        raise ModelError(
            f"the adapter '{name}' was initialised from the weights of its base model ({shown(str(start))}), and this "
            "initialisation changed the base model, too.",
            "save the adapter with peft's `path_initial_model_for_weight_conversion`, or merge it into the changed "
            "base model.",
        )
    others = sorted(key for key, value in settings.items() if value and key not in _IGNORED)
    if settings.get("alora_invocation_tokens"):
        others.append("alora_invocation_tokens")
    if others:
        raise ModelError(
            f"the adapter '{name}' has the setting {shown(others[0])}, and such adapters are not merged.", _MERGE
        )


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)


# ------------------------------------------------------------------------------------------------ the base


def _base(adapter: _Adapter, name: str) -> Checkpoint:
    """Return the checkpoint of the base model.

    `name` is the name of the adapter, for messages.

    Its path may be relative to the folder of the adapter, or to the working folder.
    """
    given = str(adapter.settings["base_model_name_or_path"])
    revision = adapter.settings.get("revision")
    near, own = adapter.folder / given, at_home(given)
    found = str(near) if near.exists() and (given.startswith(".") or not own.exists()) else given
    try:
        path, commit = locate(found, revision if isinstance(revision, str) else None)
        if path.is_dir() and (path / ADAPTER).exists():
            raise ModelError(
                f"the base model '{shown(given)}' is an adapter too.", "merge it with peft, and name the merged folder."
            )
        return open_folder_or_file(path, found, commit)
    except ModelError as error:
        raise ModelError(
            f"the base model of the adapter '{name}' cannot be used: {error.message}",
            f"base_model_name_or_path in {ADAPTER} ('{shown(given)}') must be a folder or a Hub id. {error.hint}",
        ) from error


def _objective(adapter: _Adapter, base: Checkpoint, name: str) -> tuple[str, int | None]:
    """Return the objective of a merged model, and its number of labels (None if the objective is not a classification).

    `name` is the name of the adapter, for messages.

    It is the task of the adapter if the adapter contains a head for it; otherwise the objective of the base model.
    """
    task = _TASKS.get(str(adapter.settings.get("task_type")))
    heads = [
        shape for key, shape in adapter.whole.items() if len(shape) == 2 and not key.endswith("embed_tokens.weight")
    ]
    if task is None or not heads or not fits(base.config, task):
        return resolve(base.config, "auto", base.name), None
    return task, heads[-1][0] if task in CLASSIFICATION else None


def _digest(base: Checkpoint, folder: Path) -> str:
    digests = (base.digest, file_digest(folder / WEIGHTS), file_digest(folder / ADAPTER))
    return hashlib.sha256(b"".join(map(bytes.fromhex, digests))).hexdigest()


def _origin(adapter: _Adapter, base: Checkpoint) -> dict[str, Any]:
    settings = adapter.settings
    return {
        "format": base.origin.get("format", "safetensors"),
        **{key: value for key, value in base.origin.items() if key != "format"},
        "adapter": {
            "kind": "dora" if settings.get("use_dora") else "lora",
            "r": settings["r"],
            "alpha": settings.get("lora_alpha", 8),
            "digest": file_digest(adapter.folder / WEIGHTS),
            "base": base.name,
            "base_revision": base.commit,
            "base_digest": base.digest,
        },
    }


def _tokenizer(adapter: _Adapter, base: Checkpoint, name: str) -> Callable[[], Any]:
    """Return a function that loads the tokenizer of the adapter or, if its folder has none, of the base model.

    `name` is the name of the adapter, for messages.
    """
    if (adapter.folder / "tokenizer.json").exists():
        return lambda: load_tokenizer(adapter.folder, name, base.config)
    return base.tokenizer


# ------------------------------------------------------------------------------------------------ the merge


def _merged(adapter: _Adapter, base: Checkpoint, objective: str, name: str, dtype: Any) -> dict[str, Any]:
    """Return {name: tensor} of the merged model. Base and adapter are merged in float32, then converted to `dtype`."""
    model = load_weights(base, base.name, objective, 0, "float32")
    prefix = _prefix(adapter, model)
    _check_fit(adapter, model, prefix, name)
    try:
        with quiet_transformers(), warnings.catch_warnings():
            # peft reads attributes of transformers that are deprecated.
            warnings.simplefilter("ignore")
            merged = _merge(model, adapter, prefix)
    except Exception as error:
        raise ModelError(f"the adapter '{name}' cannot be merged: {reason(error)}.", _MERGE) from error
    return {key: value.to(dtype) for key, value in merged.state_dict().items()}


def _merge(model: Any, adapter: _Adapter, prefix: str) -> Any:
    """Merge an adapter into its base model with peft, and return the merged model.

    `prefix` is added to the module names of the adapter; see :func:`_prefix`.
    """
    import peft
    from safetensors.torch import load_file

    settings = adapter.settings
    tensors = {
        f"{_PREFIX}{prefix}{key.removeprefix(_PREFIX)}": value
        for key, value in load_file(adapter.folder / WEIGHTS).items()
    }
    biases = settings.get("bias", "none") != "none"
    replaced = {key.rpartition(".")[0] for key in adapter.whole if not (biases and key.endswith(".bias"))}
    config = peft.LoraConfig(
        r=settings["r"],
        lora_alpha=settings.get("lora_alpha", 8),
        target_modules=[f"{prefix}{module}" for module in adapter.modules],
        rank_pattern=settings.get("rank_pattern") or {},
        alpha_pattern=settings.get("alpha_pattern") or {},
        use_rslora=bool(settings.get("use_rslora")),
        use_dora=bool(settings.get("use_dora")),
        fan_in_fan_out=bool(settings.get("fan_in_fan_out")),
        lora_bias=bool(settings.get("lora_bias")),
        bias=settings.get("bias", "none"),
        modules_to_save=sorted(f"{prefix}{module}" for module in replaced) or None,
        inference_mode=True,
    )
    wrapped = peft.PeftModel(model, config)
    result: Any = peft.set_peft_model_state_dict(wrapped, tensors)
    if result.unexpected_keys:
        raise ValueError(f"peft does not use the tensor '{result.unexpected_keys[0]}'")
    return wrapped.merge_and_unload(safe_merge=True)


def _prefix(adapter: _Adapter, model: Any) -> str:
    """Return the prefix to add to the module names of an adapter to get the names in the model; may be empty.

    An adapter that was trained on the body of the model alone lacks the name of the body.
    """
    own = {key for key, _ in model.named_modules()}
    prefix = f"{model.base_model_prefix}."
    first = adapter.modules[0]
    return prefix if first not in own and f"{prefix}{first}" in own else ""


def _check_fit(adapter: _Adapter, model: Any, prefix: str, name: str) -> None:
    """Raise an error if the modules or the tensors of an adapter do not fit its base model; see :func:`_prefix`.

    `name` is the name of the adapter, for messages.
    """
    modules, state = dict(model.named_modules()), model.state_dict()
    unlike = f"the adapter '{name}' does not fit its base model ({type(model).__name__})"
    hint = f"base_model_name_or_path in {ADAPTER} must name the model that the adapter was trained on."
    for module in adapter.modules:
        found = modules.get(f"{prefix}{module}")
        weight = getattr(found, "weight", None)
        if weight is None or weight.ndim != 2:
            raise ModelError(f"{unlike}: the base model has no matrix '{shown(prefix + module)}'.", hint)
        wide = {f"{module}.{part}": adapter.shapes.get(f"{module}.{part}.weight") for part in ("lora_A", "lora_B")}
        down, up = wide[f"{module}.lora_A"], wide[f"{module}.lora_B"]
        if down and up and sorted((down[-1], up[0])) != sorted(weight.shape):
            raise ModelError(
                f"{unlike}: it changes a matrix of {up[0]:,} × {down[-1]:,} values, and '{shown(prefix + module)}' has "
                f"{' × '.join(f'{size:,}' for size in weight.shape)}.",
                hint,
            )
        if model.config.tie_word_embeddings and found in (model.get_input_embeddings(), model.get_output_embeddings()):
            raise ModelError(
                f"the adapter '{name}' changes only one of two tied matrices, '{shown(prefix + module)}'.", _MERGE
            )
    for key, shape in adapter.whole.items():
        own = state.get(f"{prefix}{key}")
        if own is None or tuple(own.shape) != shape:
            size = "no such tensor" if own is None else f"one of {' × '.join(map(str, own.shape))}"
            raise ModelError(
                f"{unlike}: it replaces '{shown(key)}' of {' × '.join(map(str, shape))} values, and the base "
                f"model has {size}.",
                f"{hint} For an enlarged vocabulary, {_MERGE}",
            )
