"""The configuration of a model folder: checked as JSON, held against the weights' headers, then made transformers'.

transformers takes what it finds: a list where a name should be ends in Python's words, and a million layers are built
one after the other before the first weight is looked at. So the types of the fields that decide the model's size are
checked here, and the model that is described is compared with the tensors that are there.
"""

from __future__ import annotations

import copy
import math
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError
from xsns_stream.io.json import UnusableError, read_object
from xsns_stream.models.files import innermost, reason
from xsns_stream.models.hf_logging import quiet_transformers
from xsns_stream.models.weights import Tensors

#: More blocks than any model has, and the number that is allowed whatever the weights hold: blocks may share them.
MOST_LAYERS: Final = 2_048
FEW_LAYERS: Final = 256
#: Largest size of anything else: of a vocabulary, a layer, a list of experts.
MOST_SIZE: Final = 2**26
MOST_LABELS: Final = 100_000
#: Numbers that a model may need beyond those in its weights: a new head, tables that are computed.
SPARE_VALUES: Final = 2**27
MOST_COMPUTED: Final = 2**30

_TEXT: Final = (
    "model_type", "hidden_act", "hidden_activation", "activation_function", "feed_forward_proj",
    "position_embedding_type", "tokenizer_class", "dtype", "torch_dtype", "transformers_weights",
)  # fmt: skip
_LAYERS: Final = re.compile(r"(^|_)layers?$")
_SIZES: Final = (
    "num_hidden_layers", "num_layers", "n_layer", "n_layers", "num_decoder_layers", "encoder_layers", "decoder_layers",
    "hidden_size", "n_embd", "d_model", "dim", "hidden_dim", "embedding_size", "intermediate_size", "n_inner", "d_ff",
    "d_kv", "head_dim", "ffn_dim", "encoder_ffn_dim", "decoder_ffn_dim", "vocab_size", "type_vocab_size",
    "num_attention_heads", "n_head", "n_heads", "num_heads", "num_key_value_heads", "encoder_attention_heads",
    "decoder_attention_heads", "max_position_embeddings", "n_positions", "n_ctx", "seq_length", "num_hidden_groups",
    "inner_group_num", "num_experts", "num_local_experts", "n_routed_experts", "n_shared_experts",
    "num_experts_per_tok", "moe_intermediate_size", "relative_attention_num_buckets",
)  # fmt: skip
#: Of the sizes, those that a model without would have nothing of.
_NEEDED: Final = ("num_hidden_layers", "n_layer", "hidden_size", "n_embd", "d_model", "vocab_size")
_NUMBERS: Final = (
    "layer_norm_eps", "layer_norm_epsilon", "rms_norm_eps", "initializer_range", "rope_theta", "attention_dropout",
    "hidden_dropout_prob", "attention_probs_dropout_prob", "dropout", "dropout_rate", "classifier_dropout",
)  # fmt: skip
#: transformers fetches code from the Hub where one of these is the name of a repository.
_IMPLEMENTATIONS: Final = (
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation",
    "_experts_implementation",
)  # fmt: skip
_FLAGS: Final = ("is_decoder", "is_encoder_decoder", "tie_word_embeddings", "add_cross_attention", "use_cache")
_MODELS: Final = ("text_config", "vision_config", "audio_config", "quantization_config")
_OBJECTS: Final = ("rope_scaling", "rope_parameters", "id2label", "label2id", "auto_map", "task_specific_params")

Fields = Mapping[str, Any]


def read_configuration(folder: Path) -> dict[str, Any]:
    """Read `config.json`, and check the types of what transformers makes a model of.

    Raises:
        UnusableError: It is missing, is no JSON object, or a field holds what it cannot.
    """
    fields = read_object(folder / "config.json")
    if not isinstance(fields.get("model_type"), str):
        raise UnusableError("config.json has no model_type that is text")
    if "configuration_files" in fields:
        raise UnusableError("config.json names other configurations to read in its place (configuration_files)")
    for part in _parts(fields):
        _check_types(part)
    return fields


def check_layers(fields: Fields, tensors: Tensors | None) -> None:
    """Refuse more blocks than there can be: building them would take minutes before anything is compared.

    Args:
        fields: From :func:`read_configuration`.
        tensors: What the weights hold; None where no weights are loaded.

    Raises:
        UnusableError: As above.
    """
    most = MOST_LAYERS if tensors is None else min(MOST_LAYERS, max(FEW_LAYERS, len(tensors)))
    for part in _parts(fields):
        for name, value in part.items():
            if _LAYERS.search(name) and type(value) is int and value > most:
                held = "" if tensors is None else f", its weights hold {len(tensors):,} tensors"
                raise UnusableError(f"config.json asks for {value:,} layers ({name}){held}")


def make_config(folder: Path, name: str, fields: Fields) -> Any:
    """Return transformers' configuration of a folder whose `config.json` was checked.

    Raises:
        ModelError: A kind of model that transformers does not know, or values that it refuses.
    """
    from transformers import CONFIG_MAPPING, AutoConfig, __version__

    kind = str(fields["model_type"])
    if kind not in CONFIG_MAPPING:
        if fields.get("auto_map"):
            raise needs_own_code(name, "configuration")
        raise ModelError(
            f"the configuration of model '{name}' cannot be read: transformers {__version__} does not know models of "
            f"the kind {_shown(kind)}.",
            "use a model of a family that it knows, or a newer transformers.",
        )
    try:
        with quiet_transformers():
            return AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except ImportError as error:
        raise broken_installation(name, error) from error
    except Exception as error:
        # transformers raises many types for values that do not fit together.
        raise ModelError(
            f"the configuration of model '{name}' cannot be read: transformers refuses it ({reason(error)}).",
            "the files may be incomplete; fetch or export them again.",
        ) from error


def needs_own_code(name: str, what: str) -> ModelError:
    """Return the error for a model that cannot be loaded without code that comes with it."""
    return ModelError(
        f"the {what} of model '{name}' cannot be read: it needs code that comes with the model, which is never run.",
        "use a model of a family that transformers knows.",
    )


def check_described(model_class: Any, config: Any, tensors: Tensors, dtype: Any) -> None:
    """Refuse a configuration that describes a far larger model than the weights hold.

    The model is built without values (on torch's `meta` device). What transformers does not find in the files it
    would fill with random values first, and so allocate.

    Raises:
        UnusableError: As above.
    """
    import torch

    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]), torch.device("meta"):
            model = model_class._from_config(copy.deepcopy(_of_class(model_class, config)), dtype=dtype)
    except Exception:
        # Whatever is wrong with the configuration, loading the model tells it, and in the same place.
        return
    described = sum(p.numel() for p in model.parameters())
    if described > 2 * tensors.values + SPARE_VALUES:
        raise UnusableError(
            f"config.json describes a model of {described:,} parameters, its weights hold {tensors.values:,} values"
        )
    computed = sum(buffer.numel() for buffer in model.buffers())
    if computed > tensors.values + MOST_COMPUTED:
        raise UnusableError(f"config.json asks for tables of {computed:,} computed values, such as those of positions")


def broken_installation(name: str, error: BaseException) -> ModelError:
    """Return the error for a class that transformers has but cannot import: nothing is wrong with the model."""
    return ModelError(
        f"transformers cannot import what the model '{name}' needs: {reason(innermost(error))}.",
        "the model's files are not the cause: installed libraries do not fit together (torchvision must match torch). "
        "Reinstall or remove the one that is named.",
    )


def _of_class(model_class: Any, config: Any) -> Any:
    """Return the part of a multimodal model's configuration that a class of the text alone is made from."""
    text = getattr(config, "sub_configs", {}).get("text_config")
    alone = text is not None and getattr(model_class, "config_class", None) is text
    return config.get_text_config() if alone else config


# ----------------------------------------------------------------------------------------- the fields


def _parts(fields: Fields) -> Iterator[Fields]:
    """Yield the configuration and those of its parts (text, vision, encoder, decoder)."""
    yield fields
    for name, value in fields.items():
        if name.endswith("_config") or name in ("encoder", "decoder"):
            if isinstance(value, dict):
                yield from _parts(value)
            elif value is not None and name in _MODELS:
                raise UnusableError(f"config.json: {name} is {_shown(value)}, not an object")


def _check_types(part: Fields) -> None:
    kinds: tuple[tuple[tuple[str, ...], Callable[[Any], bool], str], ...] = (
        (_TEXT, lambda value: isinstance(value, str), "text"),
        (_SIZES, _is_size, f"a whole number from 0 to {MOST_SIZE:,}"),
        (_NEEDED, lambda value: value != 0, "a whole number above 0"),
        (_NUMBERS, _is_finite, "a number that is not negative"),
        (_FLAGS, lambda value: isinstance(value, bool) or value in (0, 1), "true or false"),
        (_OBJECTS, lambda value: isinstance(value, dict), "an object"),
        (_IMPLEMENTATIONS, _names_no_repository, "the name of an implementation in transformers"),
        (("architectures",), _is_list_of_text, "a list of names"),
        (("layer_types",), _is_list_of_text, "a list of names"),
        (("num_labels", "_num_labels"), lambda value: _is_size(value) and value <= MOST_LABELS, "a number of labels"),
    )
    for names, fits, what in kinds:
        for name in names:
            value = part.get(name)
            if value is not None and not fits(value):
                raise UnusableError(f"config.json: {name} is {_shown(value)}, not {what}")
    for name, value in part.items():
        if name.endswith("_token_id") and value is not None and not _is_id(value):
            raise UnusableError(f"config.json: {name} is {_shown(value)}, not the number of a token")
    for name in ("id2label", "label2id"):
        if len(part.get(name) or ()) > MOST_LABELS:
            raise UnusableError(f"config.json: {name} holds more than {MOST_LABELS:,} labels")


def _is_size(value: Any) -> bool:
    # A list has one number for each layer (Gemma 3n).
    if isinstance(value, list):
        return len(value) <= MOST_LAYERS and all(type(item) is int and 0 <= item <= MOST_SIZE for item in value)
    return type(value) is int and 0 <= value <= MOST_SIZE


def _is_id(value: Any) -> bool:
    # Some name several ends of a text; some name -1 for none.
    items = value if isinstance(value, list) else [value]
    return len(items) <= MOST_LABELS and all(type(item) is int and -(2**31) <= item < 2**31 for item in items)


def _is_finite(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value >= 0 and math.isfinite(value)


def _names_no_repository(value: Any) -> bool:
    names = value.values() if isinstance(value, dict) else (value,)
    return all(name is None or (isinstance(name, str) and not set(name) & set("/:@")) for name in names)


def _is_list_of_text(value: Any) -> bool:
    return isinstance(value, list) and len(value) <= MOST_LAYERS and all(isinstance(item, str) for item in value)


def _shown(value: Any) -> str:
    if isinstance(value, list | dict):
        return "a list" if isinstance(value, list) else "an object"
    text = ascii(value)
    return text if len(text) <= 40 else f"{text[:40]}…"
