"""Models that are in memory: digest, objective, and what is refused."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from xsns_stream.errors import ModelError, UsageError
from xsns_stream.models import load_model
from xsns_stream.models.in_memory import adopt_model, open_model, state_digest


@pytest.fixture
def pair(tiny_folder: Path) -> tuple[Any, Any]:
    from transformers import AutoModelForMaskedLM, AutoTokenizer

    return AutoModelForMaskedLM.from_pretrained(tiny_folder), AutoTokenizer.from_pretrained(tiny_folder)


def test_a_model_in_memory_is_identified_by_its_weights(pair: tuple[Any, Any], tiny_folder: Path) -> None:
    model, tokenizer = pair
    model.train()
    adopted = open_model(model, tokenizer)
    named = load_model(str(tiny_folder))
    assert adopted.model is model
    assert model.training, "the mode of the user's model does not change"
    assert adopted.name == f"{type(model).__name__} (in memory)"
    assert (adopted.objective, adopted.pad_id, adopted.revision) == (named.objective, named.pad_id, "")
    assert adopted.tokenizer_digest == named.tokenizer_digest
    assert adopted.weights_digest == state_digest(named.model) != named.weights_digest
    with torch.no_grad():
        next(model.parameters()).view(-1)[0] += 1
    assert adopt_model(model, tokenizer).weights_digest != adopted.weights_digest


def test_a_loaded_model_is_taken_as_it_is(tiny_folder: Path) -> None:
    loaded = load_model(str(tiny_folder))
    assert open_model(loaded) is loaded
    with pytest.raises(UsageError, match="was loaded for masked-lm, not for causal-lm"):
        open_model(loaded, objective="causal-lm")
    with pytest.raises(UsageError, match="another tokenizer was given"):
        open_model(loaded, loaded.tokenizer)


def test_a_loaded_model_that_was_changed_has_another_digest(tiny_folder: Path) -> None:
    loaded = load_model(str(tiny_folder))
    weight = loaded.model.roberta.encoder.layer[1].output.dense.weight
    with torch.no_grad():
        weight[3, 5] += 0.01
    changed = open_model(loaded)
    assert changed.weights_digest == state_digest(loaded.model) != loaded.weights_digest
    assert changed.name == "tiny (changed in memory)"
    assert changed.notes[-1] == "the weights of model 'tiny' were changed after it was loaded."
    with torch.no_grad():
        weight[3, 5] -= 0.01
        weight[3, 5] = load_model(str(tiny_folder)).model.roberta.encoder.layer[1].output.dense.weight[3, 5]
    assert open_model(loaded) is loaded


def test_a_model_may_be_a_path(tiny_folder: Path) -> None:
    assert open_model(tiny_folder).weights_digest == open_model(str(tiny_folder)).weights_digest


def test_models_without_values_and_wrappers_are_refused(pair: tuple[Any, Any]) -> None:
    model, tokenizer = pair
    with pytest.raises(ModelError, match="OptimizedModule is a wrapper") as caught:
        adopt_model(torch.compile(model, backend="eager"), tokenizer)
    assert caught.value.hint == "give the model itself: model._orig_mod."
    with pytest.raises(ModelError, match="DataParallel is a wrapper"):
        adopt_model(torch.nn.DataParallel(model), tokenizer)
    with pytest.raises(ModelError, match="is on the device meta"):
        adopt_model(model.to("meta"), tokenizer)


@pytest.mark.parametrize("option", [{"device": "cpu"}, {"dtype": "float32"}, {"revision": "main"}, {"head_seed": 1}])
def test_options_of_loading_do_not_apply(pair: tuple[Any, Any], option: dict[str, Any]) -> None:
    with pytest.raises(UsageError, match="does not apply to a model in memory"):
        open_model(*pair, **option)


def test_unsuitable_models_and_tokenizers_are_refused(pair: tuple[Any, Any], tiny_folder: Path) -> None:
    from transformers import AutoModel, ByT5Tokenizer

    model, tokenizer = pair
    with pytest.raises(UsageError, match="the tokenizer of the model is missing"):
        adopt_model(model, None)
    with pytest.raises(ModelError, match="Linear is not a model of transformers"):
        adopt_model(torch.nn.Linear(2, 2), tokenizer)
    with pytest.raises(UsageError, match="has the head of masked-lm, not of causal-lm"):
        adopt_model(model, tokenizer, objective="causal-lm")
    with pytest.raises(ModelError, match="has no head for a known objective"):
        adopt_model(AutoModel.from_pretrained(tiny_folder), tokenizer)
    with pytest.raises(UsageError, match="a tokenizer was given together with the name of a model"):
        open_model(str(tiny_folder), tokenizer)
    with pytest.raises(UsageError, match="the tokenizer cannot be of the type str"):
        adopt_model(model, "tiny")
    with pytest.raises(ModelError, match="no fast form"):
        adopt_model(model, SimpleNamespace(is_fast=False))
    with pytest.raises(ModelError, match=r"reads bytes or characters \(ByT5Tokenizer\)"):
        adopt_model(model, ByT5Tokenizer())
