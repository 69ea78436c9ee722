"""Token budgets of batches, and recognition of out-of-memory errors."""

from __future__ import annotations

import pytest
import torch
import transformers as tf

from xsns_stream.fisher import is_out_of_memory, token_budget
from xsns_stream.models import parameter_layout
from xsns_stream.types import FisherSettings

SIZES = {"vocab_size": 50, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 24, "pad_token_id": 1}


def model_of(kind: str, layers: int = 2):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        if kind == "encoder":
            return tf.BertForMaskedLM(tf.BertConfig(num_hidden_layers=layers, **SIZES)).eval()
        if kind == "sentences":
            return tf.BertForSequenceClassification(tf.BertConfig(num_hidden_layers=layers, **SIZES)).eval()
        if kind == "questions":
            return tf.BertForQuestionAnswering(tf.BertConfig(num_hidden_layers=layers, **SIZES)).eval()
        if kind == "decoder":
            sizes = SIZES | {"bos_token_id": 0, "eos_token_id": 2}
            return tf.LlamaForCausalLM(tf.LlamaConfig(num_hidden_layers=layers, **sizes)).eval()
        both = {"vocab_size": 50, "d_model": 16, "d_kv": 8, "d_ff": 24, "num_heads": 2, "decoder_start_token_id": 0}
        return tf.T5ForConditionalGeneration(tf.T5Config(num_layers=layers, **both)).eval()


def budget(kind: str, longest: int, memory: int, layers: int = 2, **settings) -> int:
    model = model_of(kind, layers)
    return token_budget(model, parameter_layout(model), FisherSettings(**settings), longest, memory)


@pytest.mark.parametrize("kind", ["encoder", "decoder", "both", "sentences", "questions"])
def test_twice_the_memory_holds_twice_the_tokens(kind) -> None:
    small, large = budget(kind, 32, 2 * 2**20), budget(kind, 32, 4 * 2**20)
    assert 32 < small < large <= 4096
    assert 1.8 < large / small < 2.2
    assert small % 32 == 0, "the budget is a multiple of the maximum length"


def test_a_budget_is_at_least_one_example_and_at_most_the_useful_size() -> None:
    assert budget("encoder", 32, 0) == 32
    assert budget("encoder", 400, 1000) == 400
    assert budget("encoder", 32, 2**40) == 4096


def test_more_layers_need_more_and_checkpointing_less() -> None:
    memory = 4 * 2**20
    assert budget("encoder", 32, memory, layers=6) < 0.6 * budget("encoder", 32, memory, layers=2)
    assert budget("encoder", 32, memory, layers=6, checkpoint=True) > 1.5 * budget("encoder", 32, memory, layers=6)


def test_the_model_is_not_changed() -> None:
    model = model_of("encoder").train()
    flags = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
    token_budget(model, parameter_layout(model), FisherSettings(), 16, 2**20)
    assert model.training
    assert {name: parameter.requires_grad for name, parameter in model.named_parameters()} == flags
    assert all(parameter.grad is None for parameter in model.parameters())
    assert not any("forward" in vars(module) for module in model.modules())


def test_out_of_memory_errors_are_recognised() -> None:
    assert is_out_of_memory(MemoryError())
    assert is_out_of_memory(torch.OutOfMemoryError("CUDA out of memory."))
    assert not is_out_of_memory(RuntimeError("shapes cannot be multiplied"))
    assert not is_out_of_memory(ValueError("not enough memory"))


def test_the_out_of_memory_error_of_torch_on_a_cpu_is_recognised() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    assert is_out_of_memory(caught.value)
