"""Configuration of transformers for a GGUF file.

transformers makes a configuration from the metadata of a GGUF file, but does not read all entries that determine what a
model computes: head dimensions, the share of rotary dimensions, soft caps of logits, attention windows, and the scaling
of rotary positions. This module adds these entries. It refuses a file if transformers would compute other positions
than llama.cpp.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from xsns_stream.io.json import UnusableError, opened, shown
from xsns_stream.models.gguf_files import GgufHeader

#: {architecture in llama.cpp: kind of model in transformers}, for the architectures whose outputs are tested.
ARCHITECTURES: Final = {
    "llama": "llama",
    "qwen2": "qwen2",
    "qwen3": "qwen3",
    "gemma2": "gemma2",
    "gemma3": "gemma3_text",
    "phi3": "phi3",
    "falcon": "falcon",
    "gpt2": "gpt2",
    "bloom": "bloom",
    "starcoder2": "starcoder2",
    "stablelm": "stablelm",
    "nemotron": "nemotron",
    "t5": "t5",
}
#: Tensors that describe positions and not weights.
ROPE_FREQUENCIES: Final = "rope_freqs.weight"
_ROPE_FACTORS: Final = ("rope_factors_long.weight", "rope_factors_short.weight")
_OWN_FILES: Final = "use the folder of the model with safetensors instead of the GGUF file."
#: Number of layers of the models with 27 billion parameters. These models scale attention by the width of the model
#: divided by the number of heads, and not by the head dimension.
_LARGEST_GEMMA: Final = {"gemma2": 46, "gemma3": 62}
#: Keys of metadata, without the name of the architecture, that transformers or this module reads or that do not change
#: what a model computes.
_KNOWN: Final = frozenset((
    "context_length", "block_count", "embedding_length", "feed_forward_length", "vocab_size", "attention.head_count",
    "attention.head_count_kv", "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon",
    "attention.key_length", "attention.value_length", "attention.key_length_swa", "attention.value_length_swa",
    "attention.causal", "attention.sliding_window", "attention.sliding_window_pattern",
    "attention.relative_buckets_count", "attn_logit_softcapping", "final_logit_softcapping", "rope.freq_base",
    "rope.freq_base_swa", "rope.dimension_count", "rope.scaling.type", "rope.scaling.factor", "rope.scale_linear",
    "rope.scaling.original_context_length", "rope.scaling.attn_factor", "rope.scaling.finetuned",
    "use_parallel_residual", "tensor_data_layout", "decoder_start_token_id", "decoder_block_count",
    "attention.group_norm_epsilon",
))  # fmt: skip


def fields_of(header: GgufHeader, read: Mapping[str, Any], path: Path) -> tuple[dict[str, Any], list[str]]:
    """Return the fields of the configuration of a model, and notes on metadata that is not used.

    Args:
        header: The header of the file.
        read: The fields that transformers reads from the file.
        path: The file, from which small tensors that describe positions are read.

    Raises:
        UnusableError: The file describes a computation that transformers does not have.
    """
    fields = {name: value for name, value in read.items() if not name.startswith("_")}
    fields["model_type"] = ARCHITECTURES[header.architecture]
    fields["dtype"] = "float32"
    # The vocabulary may be missing, or may have fewer tokens than there are embeddings.
    if len(embeddings := header.tensors.shapes.get("token_embd.weight", ())) == 2:
        fields["vocab_size"] = embeddings[0]
    key, value = header.value("attention.key_length"), header.value("attention.value_length")
    if key != value and None not in (key, value):
        raise UnusableError(
            f"{path.name} has attention keys of width {key} and attention values of width {value}; transformers needs "
            "equal widths",
            _OWN_FILES,
        )
    heads = header.value("attention.head_count")
    if type(heads) is not int or heads < 1 or type(header.value("embedding_length")) is not int:
        raise UnusableError(f"{path.name} does not give the number of attention heads or the width of the model")
    width = key if type(key) is int and key else header.value("embedding_length") // heads
    if key is not None and "head_dim" in _fields_known(fields["model_type"]):
        fields["head_dim"] = width
    if own := _OWN.get(header.architecture):
        fields |= own(header, width)
    fields |= _positions(header, width, path)
    return fields, list(_notes(header))


def _fields_known(kind: str) -> set[str]:
    from transformers import CONFIG_MAPPING

    return set(CONFIG_MAPPING[kind]().to_dict())


def _notes(header: GgufHeader) -> Iterator[str]:
    prefix = f"{header.architecture}."
    keys = {*header.metadata, *header.lengths}
    if unread := sorted(key for key in keys if key.startswith(prefix) and key.removeprefix(prefix) not in _KNOWN):
        more = " and others" if len(unread) > 3 else ""
        yield (
            f"the GGUF file has metadata that transformers does not read: {', '.join(map(shown, unread[:3]))}{more}. "
            "If it changes what the model computes, results differ from those of the model in llama.cpp."
        )


# ------------------------------------------------------------------------------------ single architectures


def _gemma(header: GgufHeader, width: int) -> dict[str, Any]:
    large = header.value("block_count") == _LARGEST_GEMMA[header.architecture]
    scaled = header.value("embedding_length") // header.value("attention.head_count") if large else width
    fields: dict[str, Any] = {"query_pre_attn_scalar": scaled}
    for name in ("attn_logit_softcapping", "final_logit_softcapping"):
        if (cap := header.value(name)) is not None:
            fields[name] = cap or None
    if (pattern := header.value("attention.sliding_window_pattern")) is not None:
        blocks = header.value("block_count")
        slides = pattern if isinstance(pattern, list) else [(block + 1) % pattern != 0 for block in range(blocks)]
        fields["layer_types"] = ["sliding_attention" if slide else "full_attention" for slide in slides]
    return fields


def _phi3(header: GgufHeader, width: int) -> dict[str, Any]:
    return {"sliding_window": header.value("attention.sliding_window") or None}


def _falcon(header: GgufHeader, width: int) -> dict[str, Any]:
    kept = header.value("attention.head_count_kv", header.value("attention.head_count"))
    if kept != 1:
        # llama.cpp reorders the queries, keys and values of these models, and transformers does not undo it.
        raise UnusableError(f"Falcon models with {kept} key-value heads are not read from GGUF files", _OWN_FILES)
    return {
        "num_kv_heads": 1,
        "multi_query": True,
        "new_decoder_architecture": False,
        "ffn_hidden_size": header.value("feed_forward_length", 4 * header.value("embedding_length")),
        "layer_norm_epsilon": header.value("attention.layer_norm_epsilon", 1e-5),
        "alibi": False,
    }


def _gpt2(header: GgufHeader, width: int) -> dict[str, Any]:
    return {"n_inner": header.value("feed_forward_length"), "n_positions": header.value("context_length", 1024)}


def _starcoder2(header: GgufHeader, width: int) -> dict[str, Any]:
    return {"use_bias": any(name.endswith("attn_q.bias") for name in header.tensors.shapes), "sliding_window": None}


def _t5(header: GgufHeader, width: int) -> dict[str, Any]:
    gated = any(name.endswith("ffn_gate.weight") for name in header.tensors.shapes)
    return {
        "feed_forward_proj": "gated-gelu" if gated else "relu",
        "is_gated_act": gated,
        "num_layers": header.value("block_count"),
        "num_decoder_layers": header.value("decoder_block_count", header.value("block_count")),
    }


_OWN: Final[Mapping[str, Callable[[GgufHeader, int], dict[str, Any]]]] = {
    "gemma2": _gemma,
    "gemma3": _gemma,
    "phi3": _phi3,
    "falcon": _falcon,
    "gpt2": _gpt2,
    "starcoder2": _starcoder2,
    "t5": _t5,
}

# ----------------------------------------------------------------------------------------------- positions


def _positions(header: GgufHeader, width: int, path: Path) -> dict[str, Any]:
    """Return the fields of the configuration that determine rotary positions; `width` is the head dimension."""
    kind = header.value("rope.scaling.type", "none")
    factor = header.value("rope.scaling.factor") or header.value("rope.scale_linear") or 1.0
    if any(name in header.tensors.shapes for name in _ROPE_FACTORS) or kind not in ("none", "linear"):
        name = kind if kind not in ("none", "linear") else "longrope"
        raise UnusableError(
            f"{path.name} scales rotary positions by a method ({shown(str(name))}) that is not read from GGUF files",
            _OWN_FILES,
        )
    base = header.value("rope.freq_base")
    if base is None:
        return {}
    scaling: dict[str, Any] = {"rope_type": "default", "rope_theta": base}
    if factor != 1.0:
        scaling |= {"rope_type": "linear", "factor": factor}
    if ROPE_FREQUENCIES in header.tensors.shapes:
        scaling |= _llama3(_numbers(header, ROPE_FREQUENCIES, path), base, width, path)
    rotated = header.value("rope.dimension_count", width)
    if rotated != width:
        scaling["partial_rotary_factor"] = rotated / width
    if header.architecture == "gemma3":
        local = header.value("rope.freq_base_swa", 10_000.0)
        return {
            "rope_parameters": {
                "full_attention": scaling,
                "sliding_attention": {"rope_type": "default", "rope_theta": local},
            }
        }
    return {"rope_parameters": scaling}


def _llama3(divisors: list[float], base: float, width: int, path: Path) -> dict[str, Any]:
    """Return the settings of rotary positions as in Llama 3.

    Args:
        divisors: The divisors of the frequencies, from the file; width / 2 values.
        base: Base of the frequencies (`rope_theta`).
        width: Head dimension.
        path: The file, for messages.

    Raises:
        UnusableError: The divisors differ from those of Llama 3.
    """
    import torch
    from transformers import LlamaConfig
    from transformers.modeling_rope_utils import ROPE_INIT_FUNCTIONS

    if all(value == 1.0 for value in divisors):
        return {}
    settings = {
        "rope_type": "llama3",
        "factor": max(divisors),
        "low_freq_factor": 1.0,
        "high_freq_factor": 4.0,
        "original_max_position_embeddings": 8192,
    }
    config = LlamaConfig(head_dim=width, rope_parameters=settings | {"rope_theta": base})
    frequencies, _ = ROPE_INIT_FUNCTIONS["llama3"](config, torch.device("cpu"))
    plain = base ** (-torch.arange(0, width, 2, dtype=torch.float32) / width)
    if len(divisors) != len(frequencies) or not torch.allclose(plain / frequencies, torch.tensor(divisors), rtol=1e-4):
        raise UnusableError(
            f"{path.name} scales rotary positions ({ROPE_FREQUENCIES}) in another way than Llama 3", _OWN_FILES
        )
    return settings


def _numbers(header: GgufHeader, name: str, path: Path) -> list[float]:
    """Return the values of a float32 tensor of one axis with at most 4,096 values."""
    (count,) = header.tensors.shapes[name] if len(header.tensors.shapes[name]) == 1 else (0,)
    if header.types[name] != "F32" or not 0 < count <= 4_096:
        raise UnusableError(f"the tensor '{name}' of {path.name} is not a list of 1 to 4,096 values of type F32")
    with opened(path) as file:
        file.seek(header.data + header.offsets[name])
        return list(struct.unpack(f"<{count}f", file.read(4 * count)))
