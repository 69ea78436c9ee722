"""Tiny models of every family with random weights, and batches for them. Tests and benchmarks use them.

The sizes are the smallest ones that all differ: width 32, 2 blocks (2 in each stack), vocabulary 97. Weights are drawn
from a wider distribution than usual, so that attention is not uniform. Noise is added to one-dimensional parameters, so
that factors of one and terms of zero do not hide a mistake.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Final
from unittest import mock

import torch
import transformers as tf
from torch import Tensor

VOCABULARY: Final = 97
WIDTH: Final = 32
PADDING: Final = 1
IGNORED: Final = -100
TOKEN_LABELS: Final = 5
TEXT_LABELS: Final = 3
#: The first token that is not a special token.
FIRST: Final = 5
#: Family → ends of the names of parameters whose gradient is zero but for rounding, beside the biases of keys that are
#: named so. The keys of these decoders contain positions that are added at the embeddings; a head that chooses among
#: positions does not change if all positions change alike.
SILENT: Final = dict.fromkeys(("opt", "xglm", "mbart"), ("k_proj.bias",)) | {
    "xlm-roberta-question-answering": ("layer.1.output.LayerNorm.bias",)
}

_IDS = {"bos_token_id": 0, "pad_token_id": PADDING, "eos_token_id": 2}
_BASE = {"vocab_size": VOCABULARY, **_IDS}
_BLOCKS = {"hidden_size": WIDTH, "num_hidden_layers": 2}
_ENCODER = _BASE | _BLOCKS | {"num_attention_heads": 2, "intermediate_size": 64, "initializer_range": 0.2}
_BERT = _ENCODER | {"max_position_embeddings": 66}
# Fewer keys than queries, and an attention window (where the family has one) that is shorter than the texts.
_ROTARY = _ENCODER | {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": 64}
_WINDOW = {"sliding_window": 5}
_GEMMA = _ROTARY | {"head_dim": 8, "query_pre_attn_scalar": 8}
_T5 = _BASE | {"d_model": WIDTH, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_decoder_layers": 2, "num_heads": 4}
_T5 |= {"decoder_start_token_id": PADDING, "relative_attention_num_buckets": 8, "relative_attention_max_distance": 16}
_MBART = _BASE | {"d_model": WIDTH, "max_position_embeddings": 64, "init_std": 0.2}
_MBART |= {f"{stack}_layers": 2 for stack in ("encoder", "decoder")}
_MBART |= {f"{stack}_attention_heads": 4 for stack in ("encoder", "decoder")}
_MBART |= {f"{stack}_ffn_dim": 64 for stack in ("encoder", "decoder")}
_MODERNBERT = _ENCODER | {"local_attention": 6, "cls_token_id": 3, "sep_token_id": 4, "max_position_embeddings": 64}
# As DeBERTa-v3 is set up, but with the head that is the transposed embedding.
_DEBERTA = _BERT | {
    "relative_attention": True,
    "position_buckets": 4,
    "norm_rel_ebd": "layer_norm",
    "type_vocab_size": 0,
}
_DEBERTA |= {"share_att_key": True, "pos_att_type": ["p2c", "c2p"], "position_biased_input": False}
_REMBERT = _BERT | {"input_embedding_size": 16, "output_embedding_size": 24}
_GPT2 = _BASE | {"n_embd": WIDTH, "n_layer": 2, "n_head": 4, "n_positions": 64, "initializer_range": 0.2}
_BLOOM = _BASE | {"hidden_size": WIDTH, "n_layer": 2, "n_head": 4, "initializer_range": 0.2}
_XGLM = _BASE | {"d_model": WIDTH, "num_layers": 2, "attention_heads": 4, "ffn_dim": 64, "init_std": 0.2}
_XGLM |= {"max_position_embeddings": 64}
_OPT = _BASE | _BLOCKS | {"num_attention_heads": 4, "ffn_dim": 64, "init_std": 0.2, "max_position_embeddings": 64}
_OPT |= {"word_embed_proj_dim": WIDTH}
_NEOX = _ENCODER | {"num_attention_heads": 4, "max_position_embeddings": 64}
_FALCON = _BASE | _BLOCKS | {"num_attention_heads": 4, "initializer_range": 0.2, "max_position_embeddings": 64}
_MOE = {"num_experts_per_tok": 2, "num_local_experts": 4}
_DISTIL = _BASE | {"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 64, "initializer_range": 0.2}
_DISTIL |= {"max_position_embeddings": 66}


@dataclass(frozen=True)
class Family:
    """A family of models.

    Attributes:
        name: The key of the family in :data:`FAMILIES`.
        objective: The objective of the family, under the name that `xsns_stream.load_model` uses.
        build: Function from an attention implementation to a model with random weights, drawn from torch's generator.
    """

    name: str
    objective: str
    build: Callable[[str], Any]


def _builder(kind: Any, config: Any, settings: dict[str, Any]) -> Callable[[str], Any]:
    def build(attention: str) -> Any:
        # BLOOM, XGLM, RemBERT, DeBERTa and Gemma 2 have one implementation of attention only.
        chosen = attention if kind._supports_sdpa else "eager"
        # Only the eager implementation of mixtures of experts runs in float64.
        return kind._from_config(config(**settings), attn_implementation=chosen, experts_implementation="eager")

    return build


def _families() -> dict[str, Family]:
    masked: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "xlm-roberta": (tf.XLMRobertaForMaskedLM, tf.XLMRobertaConfig, _BERT),
        "xlm-roberta-xl": (tf.XLMRobertaXLForMaskedLM, tf.XLMRobertaXLConfig, _BERT),
        "bert": (tf.BertForMaskedLM, tf.BertConfig, _BERT),
        "roberta": (tf.RobertaForMaskedLM, tf.RobertaConfig, _BERT),
        "distilbert": (tf.DistilBertForMaskedLM, tf.DistilBertConfig, _DISTIL),
        "modernbert": (tf.ModernBertForMaskedLM, tf.ModernBertConfig, _MODERNBERT),
        # In the next three families, embeddings are narrower than the blocks.
        "electra": (tf.ElectraForMaskedLM, tf.ElectraConfig, _BERT | {"embedding_size": 16}),
        "rembert": (tf.RemBertForMaskedLM, tf.RemBertConfig, _REMBERT),
        "albert": (tf.AlbertForMaskedLM, tf.AlbertConfig, _BERT | {"embedding_size": 16}),
        "eurobert": (tf.EuroBertForMaskedLM, tf.EuroBertConfig, _ROTARY | {"mask_token_id": 3}),
        "deberta-v2": (tf.DebertaV2ForMaskedLM, tf.DebertaV2Config, _DEBERTA),
    }
    causal: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "gpt2": (tf.GPT2LMHeadModel, tf.GPT2Config, _GPT2),
        "bloom": (tf.BloomForCausalLM, tf.BloomConfig, _BLOOM),
        "xglm": (tf.XGLMForCausalLM, tf.XGLMConfig, _XGLM),
        "opt": (tf.OPTForCausalLM, tf.OPTConfig, _OPT),
        "gpt-neox": (tf.GPTNeoXForCausalLM, tf.GPTNeoXConfig, _NEOX),
        "llama": (tf.LlamaForCausalLM, tf.LlamaConfig, _ROTARY),
        "mistral": (tf.MistralForCausalLM, tf.MistralConfig, _ROTARY | _WINDOW),
        "qwen2": (tf.Qwen2ForCausalLM, tf.Qwen2Config, _ROTARY),
        "qwen3": (tf.Qwen3ForCausalLM, tf.Qwen3Config, _ROTARY | {"head_dim": 8}),
        # The softmax of Gemma 2 is always in float32: with a short window, padding that attends to no token would give
        # NaN in float64.
        "gemma2": (tf.Gemma2ForCausalLM, tf.Gemma2Config, _GEMMA),
        "gemma3-text": (tf.Gemma3ForCausalLM, tf.Gemma3TextConfig, _GEMMA | _WINDOW),
        "falcon": (tf.FalconForCausalLM, tf.FalconConfig, _FALCON),
        "mixtral": (tf.MixtralForCausalLM, tf.MixtralConfig, _ROTARY | _MOE),
        "qwen3-moe": (
            tf.Qwen3MoeForCausalLM,
            tf.Qwen3MoeConfig,
            _ROTARY | _MOE | {"head_dim": 8, "moe_intermediate_size": 16, "norm_topk_prob": True},
        ),
    }
    encoder_decoder: dict[str, tuple[Any, Any, dict[str, Any]]] = {
        "t5": (tf.T5ForConditionalGeneration, tf.T5Config, _T5),
        "mt5": (tf.MT5ForConditionalGeneration, tf.MT5Config, _T5),
        "umt5": (tf.UMT5ForConditionalGeneration, tf.UMT5Config, _T5),
        "mbart": (tf.MBartForConditionalGeneration, tf.MBartConfig, _MBART),
    }
    tasks: dict[str, tuple[Any, str, int]] = {
        "token-classification": (tf.XLMRobertaForTokenClassification, "num_labels", TOKEN_LABELS),
        "sequence-classification": (tf.XLMRobertaForSequenceClassification, "num_labels", TEXT_LABELS),
        "question-answering": (tf.XLMRobertaForQuestionAnswering, "num_labels", 2),
    }
    groups = {"masked-lm": masked, "causal-lm": causal, "span-corruption": encoder_decoder}
    families: dict[str, Family] = {}
    for objective, group in groups.items():
        families |= {name: Family(name, objective, _builder(*arguments)) for name, arguments in group.items()}
    for objective, (kind, key, count) in tasks.items():
        name = f"xlm-roberta-{objective}"
        families[name] = Family(name, objective, _builder(kind, tf.XLMRobertaConfig, _BERT | {key: count}))
    return families


#: Every family by name: encoders, decoders, encoder-decoders, then XLM-R with the heads of three tasks.
FAMILIES: Final[dict[str, Family]] = _families()


def make(name: str, dtype: torch.dtype = torch.float64, attention: str = "sdpa", seed: int = 11) -> Any:
    """Return a model of a family in evaluation mode. The same arguments give the same weights.

    Args:
        name: A key of :data:`FAMILIES`.
        dtype: Data type of the weights and of the arithmetic.
        attention: `sdpa` or `eager`. Families with one implementation of attention ignore it.
        seed: Seed for the random weights. The state of torch's own generator does not change.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = FAMILIES[name].build(attention)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
    if name == "xglm":
        _compute_in_own_dtype(model.base_model)
    return model.to(dtype).eval()


def _compute_in_own_dtype(body: Any) -> None:
    """Let XGLM run in float64: its attention makes the lowest number in torch's default dtype."""
    before: list[torch.dtype] = []

    def enter(module: Any, _: Any) -> None:
        before.append(torch.get_default_dtype())
        torch.set_default_dtype(module.dtype)

    def leave(*_: Any) -> None:
        torch.set_default_dtype(before.pop())

    body.register_forward_pre_hook(enter)
    body.register_forward_hook(leave, always_call=True)


@contextmanager
def float64_throughout() -> Iterator[None]:
    """Let models of float64 compute every step in float64, while the block runs.

    Most families take the softmax of eager attention, the scale of a norm or a mask in float32 whatever their weights
    are, which is meant for half precision. Such a step rounds at 1e-7, and whether it rounds a row of a batch as it
    rounds the row alone depends on the processor: without this, no tolerance below that holds on every machine.
    """

    def wider(dtype: Any) -> Any:
        return torch.float64 if dtype is torch.float32 else dtype

    def kept(compute: Callable[..., Any]) -> Callable[..., Any]:
        def computed(values: Any, *args: Any, **kwargs: Any) -> Any:
            if isinstance(values, Tensor) and values.dtype == torch.float64:
                args, kwargs = tuple(map(wider, args)), {name: wider(value) for name, value in kwargs.items()}
            return compute(values, *args, **kwargs)

        return computed

    before = torch.get_default_dtype()
    with ExitStack() as patched:
        patched.callback(torch.set_default_dtype, before)
        # XGLM's mask.
        torch.set_default_dtype(torch.float64)
        for owner in (torch.nn.functional, torch, Tensor):
            patched.enter_context(mock.patch.object(owner, "softmax", kept(owner.softmax)))
        patched.enter_context(mock.patch.object(Tensor, "to", kept(Tensor.to)))
        patched.enter_context(mock.patch.object(Tensor, "float", lambda values: values.to(torch.float32)))
        yield


def batch(model: Any, family: str, lengths: Sequence[int], seed: int = 0) -> dict[str, Tensor]:
    """Draw a batch of random tokens, padded on the right, with labels in the form that transformers expects.

    Args:
        model: From :func:`make`; the batch is put on its device.
        family: A key of :data:`FAMILIES`.
        lengths: Number of tokens of each example, at least 2.
        seed: Seed for the tokens and labels.

    Returns:
        `input_ids`, `attention_mask` [B, T] and, int64, what the family's objective scores: `labels` [B, T] (decoder's
        length in an encoder-decoder), `labels` [B], or `start_positions` and `end_positions` [B].
    """
    generator = torch.Generator().manual_seed(seed)
    rows = [_pieces(length, generator) for length in lengths]
    tensors = {"input_ids": _pad(rows, PADDING), "attention_mask": _pad([torch.ones_like(row) for row in rows], 0)}
    tensors |= _LABELS[FAMILIES[family].objective](rows, generator)
    return {name: values.to(model.device) for name, values in tensors.items()}


def _pieces(length: int, generator: torch.Generator, classes: tuple[int, int] = (FIRST, VOCABULARY)) -> Tensor:
    return torch.randint(*classes, (length,), generator=generator)


def _pad(rows: Sequence[Tensor], value: int) -> Tensor:
    return torch.nn.utils.rnn.pad_sequence(list(rows), batch_first=True, padding_value=value)


def _some(row: Tensor, share: float, generator: torch.Generator) -> Tensor:
    """Choose about `share` of the positions of a row, and at least one."""
    chosen = torch.rand(len(row), generator=generator) < share
    chosen[int(torch.randint(len(row), (), generator=generator))] = True
    return chosen


def _masked(rows: Sequence[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    labels = [torch.where(_some(r, 0.3, generator), _pieces(len(r), generator), IGNORED) for r in rows]
    return {"labels": _pad(labels, IGNORED)}


def _causal(rows: Sequence[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    return {"labels": _pad(rows, IGNORED)}


def _decoded(rows: Sequence[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    lengths = [int(torch.randint(2, 8, (), generator=generator)) for _ in rows]
    return {"labels": _pad([_pieces(length, generator) for length in lengths], IGNORED)}


def _tokens(rows: Sequence[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    classes = (0, TOKEN_LABELS)
    labels = [torch.where(_some(r, 0.7, generator), _pieces(len(r), generator, classes), IGNORED) for r in rows]
    return {"labels": _pad(labels, IGNORED)}


def _texts(rows: Sequence[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    return {"labels": _pieces(len(rows), generator, (0, TEXT_LABELS))}


def _spans(rows: Sequence[Tensor], generator: torch.Generator) -> dict[str, Tensor]:
    starts = [int(torch.randint(len(row), (), generator=generator)) for row in rows]
    ends = [
        int(torch.randint(start, len(row), (), generator=generator)) for start, row in zip(starts, rows, strict=True)
    ]
    return {"start_positions": torch.tensor(starts), "end_positions": torch.tensor(ends)}


_LABELS: Final[dict[str, Callable[[Sequence[Tensor], torch.Generator], dict[str, Tensor]]]] = {
    "masked-lm": _masked,
    "causal-lm": _causal,
    "span-corruption": _decoded,
    "token-classification": _tokens,
    "sequence-classification": _texts,
    "question-answering": _spans,
}
