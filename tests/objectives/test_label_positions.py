"""The token of a word that has its label: the first one, or the last one for models with causal attention."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

from tests.objectives.test_word_alignment import KINDS, TAGS, WORDS, sample
from xsns_stream.errors import UsageError
from xsns_stream.models.attention import label_position, reads_ahead
from xsns_stream.objectives import TokenClassification, make_objective
from xsns_stream.objectives.encoding import labelled_tokens, word_tokens
from xsns_stream.types import TextExample


@pytest.fixture(scope="module", params=KINDS)
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return KINDS[request.param]()


def ends_of_words(words: tuple[str, ...], tokenizer: Any) -> list[int]:
    """Return the last token of each word: the one before the tokens that the text after the word adds.

    The function tokenizes the beginnings of the text, which is slow and needs no offsets.
    """
    return [len(tokenizer(" ".join(words[: word + 1]))["input_ids"]) - 1 for word in range(len(words))]


@pytest.mark.parametrize("words", WORDS)
def test_labels_are_at_the_last_token_of_their_word(words: tuple[str, ...], tokenizer: Any) -> None:
    label = tuple(TAGS[len(word) % 3] for word in words)
    objective = TokenClassification(TAGS, label_at="last")
    (result,) = objective.encode(sample(TextExample(words, label=label)), tokenizer, 0).examples
    expected = dict(zip(ends_of_words(words, tokenizer), (TAGS.index(name) for name in label), strict=True))
    assert {position: int(tag) for position, tag in enumerate(result.labels) if tag != -100} == expected


@pytest.mark.parametrize(
    ("offsets", "first", "last"),
    [
        # "ab  cd": the word in the middle is empty; special tokens are at both ends.
        ([(0, 0), (0, 1), (1, 2), (3, 6), (0, 0)], [1, None, 3], [2, None, 3]),
        # The space is a token of its own, and belongs to the word after it as its first token.
        ([(0, 2), (2, 3), (3, 4), (4, 5), (5, 6)], [0, 1, 2], [0, 1, 4]),
        # One token contains the end of the first word and the beginning of the last.
        ([(0, 1), (1, 5), (5, 6)], [0, 1, 1], [1, 1, 2]),
        # The last word was cut off.
        ([(0, 2)], [0, None, None], [0, None, None]),
    ],
)
def test_positions_of_words_follow_from_offsets(
    offsets: list[tuple[int, int]], first: list[Any], last: list[Any]
) -> None:
    words = ("ab", "", "cd")
    assert word_tokens(words, offsets) == first
    assert word_tokens(words, offsets, "last") == last


def test_a_token_of_several_words_has_one_label() -> None:
    assert dict(labelled_tokens([0, 1, 1, None], ["A", "B", "C", "D"])) == {0: "A", 1: "B"}
    assert dict(labelled_tokens([0, 1, 1, None], ["A", "B", "C", "D"], "last")) == {0: "A", 1: "C"}
    assert dict(labelled_tokens([0, 0], ["", "B"])) == {0: "B"}


def test_the_setting_is_part_of_the_name_of_the_objective() -> None:
    """Rows of older versions, which do not record the setting, have labels at the first token."""
    first, last = (
        str(make_objective("token-classification", labels=TAGS, label_at=position)) for position in ("first", "last")
    )
    assert first == str(make_objective("token-classification", labels=TAGS)) == str(TokenClassification(TAGS))
    assert last == first.replace(",max_length=128)", ",max_length=128,label_at=last)")
    with pytest.raises(UsageError, match="causal-lm does not use the option 'label at'"):
        make_objective("causal-lm", label_at="last")
    with pytest.raises(UsageError, match="words cannot be labelled at their token 'middle'"):
        TokenClassification(TAGS, label_at="middle")


# ---------------------------------------------------------------------------------- direction of attention


def test_every_family_is_labelled_where_it_has_read_the_word(zoo: Any) -> None:
    for family in zoo.FAMILIES.values():
        model = zoo.make(family.name, torch.float32)
        causal = family.objective == "causal-lm"
        assert label_position("auto", model) == ("last" if causal else "first"), family.name
        assert all(parameter.grad is None for parameter in model.parameters())
        assert not model.get_input_embeddings()._forward_hooks
        assert [label_position(position, model) for position in ("first", "last")] == ["first", "last"]


def test_the_configuration_determines_whether_a_model_reads_ahead() -> None:
    small = {"vocab_size": 97, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
    bert = tf.BertConfig(**small, intermediate_size=16, is_decoder=True)
    gemma = tf.Gemma3TextConfig(
        **small, intermediate_size=16, num_key_value_heads=1, head_dim=8, use_bidirectional_attention=True
    )
    xlnet = tf.XLNetConfig(vocab_size=97, d_model=16, n_layer=1, n_head=2, d_inner=16)
    assert not reads_ahead(tf.BertLMHeadModel(bert))
    assert reads_ahead(tf.Gemma3ForCausalLM(gemma))
    assert reads_ahead(tf.XLNetLMHeadModel(xlnet).train())


def test_an_unknown_token_of_a_word_is_refused() -> None:
    with pytest.raises(UsageError, match="words cannot be labelled at their token 'middle'") as caught:
        label_position("middle", None)
    assert caught.value.hint == "choose one of auto, first, last."


# ----------------------------------------------------------------------- what a causal model can learn


@pytest.mark.parametrize(("label_at", "learns"), [("first", False), ("last", True)])
def test_a_causal_model_knows_a_word_at_its_last_token(label_at: str, learns: bool) -> None:
    """The class of a word is its last character. Before this character, a causal model can only guess."""
    from xsns_stream.objectives import batches

    tokenizer = KINDS["characters"]()
    generator = np.random.default_rng(0)
    letters = [*"aelo"]
    texts = []
    for _ in range(64):
        words = tuple("".join(generator.choice(letters, 3)) for _ in range(4))
        texts.append(TextExample(words, label=tuple(word[-1] for word in words)))
    objective = TokenClassification(tuple(letters), label_at=label_at)
    torch.manual_seed(0)
    config = tf.LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        num_hidden_layers=1,
        num_attention_heads=2,
        intermediate_size=32,
        num_labels=len(letters),
    )
    model = tf.LlamaForTokenClassification(config)
    model.dropout.p = 0.0
    optimiser = torch.optim.AdamW(model.parameters(), lr=1e-2)
    data = list(batches(objective.encode(sample(*texts), tokenizer, 0).examples, 64, 0))
    for _ in range(40):
        for batch in data:
            loss = model(**{name: values for name, values in batch.items() if name != "example_keys"}).loss
            loss.backward()
            optimiser.step()
            optimiser.zero_grad()
    # Guessing one of four letters costs 1.39 nat.
    assert (loss.item() < 0.1) if learns else (1.0 < loss.item() < 1.5)
