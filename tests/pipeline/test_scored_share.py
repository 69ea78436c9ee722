"""The share of scored positions is a setting of a store: rows of different shares are never in one store."""

from __future__ import annotations

import json
import pickle
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

import xsns_stream as xs
from tests.support.paths import MINI
from xsns_stream.errors import IncompatibleError, UsageError
from xsns_stream.objectives import CausalLanguageModelling, SpanCorruption
from xsns_stream.pipeline import finished_builds
from xsns_stream.pipeline.events import Noted
from xsns_stream.pipeline.store_settings import settings_of_store
from xsns_stream.pipeline.stored_text import objective_of
from xsns_stream.store import SubNetworkStore, open_store

OPTIONS: dict[str, Any] = {"examples": 6, "max_length": 24, "progress": False}


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny GPT-2 with the tokenizer of the embedded model."""
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    tokenizer = AutoTokenizer.from_pretrained(MINI)
    torch.manual_seed(5)
    sizes = {"n_embd": 32, "n_layer": 2, "n_head": 2, "n_positions": 64, "initializer_range": 0.2}
    return saved(tmp_path_factory, GPT2LMHeadModel(GPT2Config(vocab_size=len(tokenizer), **sizes)), tokenizer)


@pytest.fixture(scope="module")
def encoder_decoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny T5, whose tokenizer has the tokens of the embedded model and ten sentinels."""
    from transformers import T5Config, T5ForConditionalGeneration, T5Tokenizer

    tokens = json.loads((MINI / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    words = [(token, score) for token, score in tokens if not token.startswith("<")]
    special = [(token, 0.0) for token in ("<pad>", "</s>", "<unk>")]
    sentinels = [(f"<extra_id_{n}>", 0.0) for n in reversed(range(10))]
    tokenizer = T5Tokenizer(vocab=[*special, *words, *sentinels], extra_ids=10)
    torch.manual_seed(5)
    sizes = {"d_model": 32, "d_kv": 8, "d_ff": 64, "num_layers": 2, "num_heads": 4, "decoder_start_token_id": 0}
    return saved(tmp_path_factory, T5ForConditionalGeneration(T5Config(vocab_size=len(tokenizer), **sizes)), tokenizer)


def saved(tmp_path_factory: pytest.TempPathFactory, model: Any, tokenizer: Any) -> Path:
    folder = tmp_path_factory.mktemp("models") / model.config.model_type
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def bits(store: SubNetworkStore, language: str) -> np.ndarray[Any, Any]:
    return store[language].to_numpy()


def test_later_builds_have_the_share_of_the_store(causal: Path, texts: Path, path: Path) -> None:
    xs.build(texts, causal, path, languages="sw", scored_share=0.15, **OPTIONS)
    events: list[Any] = []
    store = xs.build(store=path, languages="fi,sw", on_event=events.append, progress=False)
    assert store.languages == ("fi", "sw")
    assert store.experiment["objective"] == "causal-lm(max_length=24,scored_share=0.15)"
    assert settings_of_store(store).options["scored_share"] == 0.15
    (note,) = (
        e.text for e in events if isinstance(e, Noted) and e.text.startswith("these options are taken from the store")
    )
    assert "scored share 0.15" in note
    other = xs.build(
        texts, causal, path.with_name("b.zarr"), languages="fi", scored_share=0.15, batch_size=1, **OPTIONS
    )
    assert np.array_equal(bits(other, "fi"), bits(store, "fi")), "the values do not depend on the batch size"
    everything = xs.build(texts, causal, path.with_name("all.zarr"), languages="fi", **OPTIONS)
    assert not np.array_equal(bits(everything, "fi"), bits(store, "fi"))


def test_rows_of_different_shares_are_not_mixed(causal: Path, texts: Path, path: Path) -> None:
    every = path.with_name("all.zarr")
    xs.build(texts, causal, path, languages="sw", scored_share=0.15, **OPTIONS)
    xs.build(texts, causal, every, languages="sw", **OPTIONS)
    for store, share, there, here in ((path, 1, ",scored_share=0.15", ""), (every, 0.15, "", ",scored_share=0.15")):
        for dry_run in (False, True):
            with pytest.raises(IncompatibleError) as caught:
                xs.build(store=store, languages="fi", scored_share=share, progress=False, dry_run=dry_run)
            objectives = f"'causal-lm(max_length=24{there})' in the store and 'causal-lm(max_length=24{here})' here"
            assert f"objective is {objectives}" in caught.value.message
            assert caught.value.hint
        assert open_store(store).languages == ("sw",)


def test_all_positions_given_or_not_is_one_setting(
    causal: Path, texts: Path, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(finished_builds, "_SETTLED_S", 0.0)
    first = xs.build(texts, causal, path, languages="sw", **OPTIONS)
    given = xs.build(texts, causal, path.with_name("given.zarr"), languages="sw", scored_share=1, **OPTIONS)
    assert np.array_equal(bits(first, "sw"), bits(given, "sw"))
    ours, theirs = (store.record("sw") for store in (first, given))
    assert ours.sha256 == theirs.sha256
    assert ours.provenance.experiment() == theirs.provenance.experiment()
    assert ours.provenance.inputs == theirs.provenance.inputs
    assert "scored_share" not in settings_of_store(given).options
    events: list[Any] = []
    xs.build(store=path, languages="sw", scored_share=1.0, on_event=events.append, progress=False)
    assert not any("scored share" in str(event) for event in events)
    assert open_store(path).record("sw") == ours, "the row is not measured again"


def test_an_encoder_decoder_scores_a_share_of_its_positions(encoder_decoder: Path, texts: Path, path: Path) -> None:
    options = OPTIONS | {"mask_rate": 0.5}
    store = xs.build(texts, encoder_decoder, path, languages="sw", scored_share=0.25, parts=2, **options)
    assert store.experiment["objective"] == "span-corruption(rate=0.5,mean_span=3,max_length=24,scored_share=0.25)"
    again = xs.build(texts, encoder_decoder, path.with_name("b.zarr"), scored_share=0.25, batch_size=1, **options)
    assert np.array_equal(bits(store, "sw"), bits(again, "sw"))
    every = xs.build(texts, encoder_decoder, path.with_name("all.zarr"), languages="sw", **options)
    assert not np.array_equal(bits(store, "sw"), bits(every, "sw"))


def test_a_masked_model_names_its_own_option(tiny_folder: Path, texts: Path, path: Path) -> None:
    with pytest.raises(UsageError, match="masked-lm does not use the option 'scored share'") as caught:
        xs.build(texts, tiny_folder, path, languages="sw", scored_share=0.15, **OPTIONS)
    assert caught.value.hint == "it scores the hidden tokens, whose share is `--mask-rate`."
    with pytest.raises(UsageError, match=r"scored_share must be a number, not '0\.15'"):
        xs.build(texts, tiny_folder, path, languages="sw", scored_share="0.15", **OPTIONS)
    assert not path.exists()


@pytest.mark.parametrize("objective", [CausalLanguageModelling(24, 0.15), SpanCorruption(0.2, 2.0, 24, 1e-05)])
def test_baselines_and_workers_have_the_objective_of_the_rows(objective: Any) -> None:
    stored: Any = SimpleNamespace(shared=SimpleNamespace(objective=str(objective)))
    assert objective_of(stored) == objective
    assert pickle.loads(pickle.dumps(objective)) == objective


def test_mean_gradients_score_the_positions_of_the_rows(causal: Path, texts: Path, path: Path) -> None:
    few, every = path, path.with_name("all.zarr")
    xs.build(texts, causal, few, scored_share=0.15, **OPTIONS)
    xs.build(texts, causal, every, **OPTIONS)
    ours, theirs = (
        xs.baseline("grad-cosine", texts, store=store, model=causal, progress=False) for store in (few, every)
    )
    assert ours.sources == theirs.sources
    assert not np.allclose(ours.values, theirs.values)
