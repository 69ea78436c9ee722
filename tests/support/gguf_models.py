"""Tiny models written as GGUF files, in the way in which llama.cpp converts models of transformers."""

from __future__ import annotations

import string
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Final

import gguf
import numpy as np
import torch
import transformers as tf

from tests.support import zoo

#: Tokens of a SentencePiece vocabulary with as many entries as the models of the zoo have embeddings.
_WORDS: Final = ["▁" + one for one in string.ascii_lowercase] + ["an", "er", "▁an", "▁ha", "ri", "ya"]
TOKENS: Final = (
    ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "▁", *string.ascii_lowercase, *_WORDS, *string.digits, *".,!?"]
    + [f"<unused{number}>" for number in range(97)]
)[: zoo.VOCABULARY]
_KINDS: Final = {"<unk>": 2, "<s>": 3, "</s>": 3, "<pad>": 3, "<mask>": 3}

_STARCODER: Final = zoo._ROTARY | {"use_bias": True, "rope_parameters": {"rope_type": "default", "rope_theta": 5e4}}
_STABLELM: Final = zoo._ROTARY | {"partial_rotary_factor": 0.5}
#: Families that the zoo does not have: {architecture: (class of the model, class of the configuration, settings)}.
_MORE: Final[dict[str, tuple[Any, Any, dict[str, Any]]]] = {
    "phi3": (tf.Phi3ForCausalLM, tf.Phi3Config, zoo._ROTARY | {"sliding_window": 5}),
    "starcoder2": (tf.Starcoder2ForCausalLM, tf.Starcoder2Config, _STARCODER | {"sliding_window": None}),
    "stablelm": (tf.StableLmForCausalLM, tf.StableLmConfig, _STABLELM),
    "nemotron": (tf.NemotronForCausalLM, tf.NemotronConfig, zoo._ROTARY | {"partial_rotary_factor": 0.5}),
    "t5": (tf.T5ForConditionalGeneration, tf.T5Config, zoo._T5 | {"relative_attention_max_distance": 128}),
    "t5-gated": (
        tf.T5ForConditionalGeneration,
        tf.T5Config,
        zoo._T5
        | {
            "relative_attention_max_distance": 128,
            "feed_forward_proj": "gated-gelu",
            "tie_word_embeddings": False,
        },
    ),
}
#: {name of a tested model: architecture in llama.cpp}.
MODELS: Final = {
    "llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3", "gemma2": "gemma2",
    "gemma3-text": "gemma3", "falcon": "falcon", "gpt2": "gpt2", "bloom": "bloom", "phi3": "phi3",
    "starcoder2": "starcoder2", "stablelm": "stablelm", "nemotron": "nemotron", "t5": "t5", "t5-gated": "t5",
}  # fmt: skip


def make(name: str, **settings: Any) -> Any:
    """Return a tiny model of float32 in evaluation mode; `settings` replace fields of the configuration."""
    if name not in _MORE and not settings:
        return zoo.make(name, torch.float32)
    if name in _MORE:
        kind, config, own = _MORE[name]
        config = config(**(own | settings))
    else:
        built = zoo.FAMILIES[name].build("sdpa")
        kind, config = type(built), type(built.config)(**(built.config.to_dict() | settings))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        model = kind._from_config(config)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.float().eval()


def write(
    path: Path,
    model: Any,
    architecture: str,
    *,
    quantised: str = "F32",
    tokenizer: str | None = "llama",
    extra: Mapping[str, Any] | None = None,
    tensors: Mapping[str, np.ndarray] | None = None,
    replaced: Mapping[str, tuple[np.ndarray, gguf.GGMLQuantizationType] | None] | None = None,
) -> Path:
    """Write a model as a GGUF file, and return the path.

    Args:
        path: The file.
        model: The model of transformers.
        architecture: Name of its architecture in llama.cpp.
        quantised: Type of all matrices whose rows have a multiple of the block size; vectors are F32.
        tokenizer: Kind of the vocabulary of :data:`TOKENS`; None for a file without a vocabulary.
        extra: More metadata; a value of None removes an entry.
        tensors: More tensors of float32.
        replaced: {name: quantised rows and their type} of tensors that are written as given; None leaves one out.
    """
    writer = gguf.GGUFWriter(path, architecture)
    metadata = _metadata(model.config, architecture) | dict(extra or {})
    for key, value in metadata.items():
        _add(writer, key if "." in key and key.split(".")[0] in _GENERAL else f"{architecture}.{key}", value)
    if tokenizer is not None:
        writer.add_tokenizer_model(tokenizer)
        writer.add_token_list(TOKENS)
        writer.add_token_scores([-float(number) for number in range(len(TOKENS))])
        writer.add_token_types([_KINDS.get(token, 1) for token in TOKENS])
        for key, number in (("bos", 0), ("eos", 2), ("unknown", 3), ("padding", 1)):
            writer.add_uint32(f"tokenizer.ggml.{key}_token_id", number)
    for name, values in _tensors(model, architecture).items():
        if name in (replaced or {}):
            if own := (replaced or {})[name]:
                writer.add_tensor(name, own[0], raw_dtype=own[1])
            continue
        kind = gguf.GGMLQuantizationType[quantised]
        block, _ = gguf.GGML_QUANT_SIZES[kind]
        if values.ndim < 2 or values.shape[-1] % block:
            kind = gguf.GGMLQuantizationType.F32
        writer.add_tensor(name, gguf.quantize(values, kind), raw_dtype=kind)
    for name, values in (tensors or {}).items():
        writer.add_tensor(name, values)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


_GENERAL: Final = ("general", "split", "tokenizer")


def _add(writer: Any, key: str, value: Any) -> None:
    match value:
        case None:
            return
        case bool():
            writer.add_bool(key, value)
        case int():
            writer.add_uint32(key, value)
        case float():
            writer.add_float32(key, value)
        case str():
            writer.add_string(key, value)
        case _:
            writer.add_array(key, value)


def _metadata(config: Any, architecture: str) -> dict[str, Any]:
    """Return the metadata that llama.cpp writes for a configuration."""
    get = lambda *names: next((v for n in names if (v := getattr(config, n, None)) is not None), None)  # noqa: E731
    heads = get("num_attention_heads", "n_head", "num_heads")
    width = get("hidden_size", "n_embd", "d_model")
    rope = getattr(config, "rope_parameters", None) or {}
    local = rope.get("sliding_attention", {})
    rope = rope.get("full_attention", rope)
    head = get("head_dim", "d_kv") or width // heads
    data: dict[str, Any] = {
        "general.name": "tiny",
        "context_length": get("max_position_embeddings", "n_positions", "seq_length") or 512,
        "embedding_length": width,
        "block_count": get("num_hidden_layers", "n_layer", "num_layers"),
        "feed_forward_length": get("intermediate_size", "n_inner", "d_ff", "ffn_hidden_size") or 4 * width,
        "attention.head_count": heads,
        "attention.head_count_kv": get("num_kv_heads", "num_key_value_heads", "num_heads"),
        "rope.freq_base": rope.get("rope_theta"),
    }
    if architecture == "falcon":
        data["attention.head_count_kv"] = 1
    rms, plain = "attention.layer_norm_rms_epsilon", "attention.layer_norm_epsilon"
    by_kind = {"gpt2": plain, "bloom": plain, "falcon": plain, "starcoder2": plain, "stablelm": plain, "t5": plain}
    data[by_kind.get(architecture, rms)] = get(
        "rms_norm_eps", "layer_norm_epsilon", "norm_epsilon", "layer_norm_eps", "norm_eps"
    )
    if rope:
        data["rope.dimension_count"] = int(head * rope.get("partial_rotary_factor", 1.0))
    own: Callable[[Any, int], dict[str, Any]] = _OWN.get(architecture, lambda config, head: {})
    data |= own(config, head)
    if local:
        data["rope.freq_base_swa"] = local["rope_theta"]
    return data


def _widths(config: Any, head: int) -> dict[str, Any]:
    return {"attention.key_length": head, "attention.value_length": head}


def _gemma(config: Any, head: int) -> dict[str, Any]:
    return _widths(config, head) | {
        "attention.sliding_window": config.sliding_window,
        "attn_logit_softcapping": config.attn_logit_softcapping,
        "final_logit_softcapping": config.final_logit_softcapping,
    }


_OWN: Final[dict[str, Callable[[Any, int], dict[str, Any]]]] = {
    "qwen3": _widths,
    "gemma2": _gemma,
    "gemma3": _gemma,
    "phi3": lambda config, head: {"attention.sliding_window": config.sliding_window},
    "t5": lambda config, head: (
        _widths(config, head)
        | {
            "attention.relative_buckets_count": config.relative_attention_num_buckets,
            "decoder_start_token_id": config.decoder_start_token_id,
            "decoder_block_count": config.num_decoder_layers,
        }
    ),
}


def _tensors(model: Any, architecture: str) -> dict[str, np.ndarray]:
    """Return {name in llama.cpp: values} of a model."""
    from transformers.modeling_gguf_pytorch_utils import TensorProcessor, get_gguf_hf_weights_map

    # Models of Mistral have the architecture of Llama in llama.cpp.
    names = get_gguf_hf_weights_map(model, TensorProcessor(), model_type=architecture)
    state = {name: value.detach().numpy() for name, value in model.state_dict().items()}
    # The configuration of T5 always says that the embeddings are tied, and scales the outputs only if they were.
    tied = (
        {"lm_head.weight"} if getattr(model.config, "scale_decoder_outputs", model.config.tie_word_embeddings) else ()
    )
    change = _CHANGES.get(architecture, lambda name, values, config: values)
    return {
        own: np.ascontiguousarray(change(own, state[name], model.config))
        for own, name in names.items()
        if name in state and name not in tied
    }


def _llama(name: str, values: np.ndarray, config: Any) -> np.ndarray:
    if ".attn_q." not in name and ".attn_k." not in name:
        return values
    heads = config.num_attention_heads if ".attn_q." in name else config.num_key_value_heads
    return values.reshape(heads, 2, len(values) // heads // 2, *values.shape[1:]).swapaxes(1, 2).reshape(values.shape)


def _gpt2(name: str, values: np.ndarray, config: Any) -> np.ndarray:
    transposed = ("attn_qkv.weight", "ffn_down.weight", "ffn_up.weight", "attn_output.weight")
    return values.T if name.endswith(transposed) else values


def _bloom(name: str, values: np.ndarray, config: Any) -> np.ndarray:
    if "attn_qkv" not in name:
        return values
    split = values.reshape(config.n_head, 3, -1, *values.shape[1:])
    return np.concatenate([split[:, part].reshape(-1, *values.shape[1:]) for part in range(3)])


def _one_more(name: str, values: np.ndarray, config: Any) -> np.ndarray:
    return values + 1 if name.endswith("norm.weight") else values


_CHANGES: Final[dict[str, Callable[[str, np.ndarray, Any], np.ndarray]]] = {
    "llama": _llama, "gpt2": _gpt2, "bloom": _bloom, "gemma2": _one_more, "gemma3": _one_more, "nemotron": _one_more,
}  # fmt: skip
