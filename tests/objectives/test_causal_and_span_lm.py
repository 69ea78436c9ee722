"""Causal language modelling and span corruption, with tokenizers of the kinds that their models have."""

from __future__ import annotations

import hashlib
import json
import math
import re
from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from tests.support.samples import WORDS, many, sample
from tests.support.tokenizers import mini_tokenizer, mini_vocabulary
from xsns_stream.errors import CorpusError, ModelError, UsageError
from xsns_stream.objectives import (
    CausalLanguageModelling,
    EncodedExample,
    MaskedLanguageModelling,
    SpanCorruption,
)
from xsns_stream.objectives.encoding import IGNORED
from xsns_stream.types import TextExample

SENTINELS = 100


def same(one: EncodedExample, other: EncodedExample) -> bool:
    return one.key == other.key and all(np.array_equal(one.arrays[name], other.arrays[name]) for name in one.arrays)


@pytest.fixture(scope="module")
def mini() -> Any:
    return mini_tokenizer()


@pytest.fixture(scope="module")
def t5() -> Any:
    """A T5 tokenizer: <pad>, </s>, <unk>, text, and the sentinels at the end in falling order."""
    from transformers import T5Tokenizer

    sentinels = [(f"<extra_id_{n}>", 0.0) for n in reversed(range(SENTINELS))]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return T5Tokenizer(vocab=[*special, *mini_vocabulary(), *sentinels], extra_ids=SENTINELS)


@pytest.fixture(scope="module")
def mt5() -> Any:
    """A tokenizer whose sentinels are in its text vocabulary, like that of mT5."""
    from transformers import T5Tokenizer

    sentinels = [(f"▁<extra_id_{n}>", 0.0) for n in reversed(range(SENTINELS))]
    special = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    return T5Tokenizer(vocab=[*special, *mini_vocabulary(), *sentinels], extra_ids=0)


@pytest.fixture(scope="module")
def mbart() -> Any:
    from transformers import MBartTokenizer
    from transformers.models.mbart.tokenization_mbart import FAIRSEQ_LANGUAGE_CODES

    special = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    codes = [(code, 0.0) for code in FAIRSEQ_LANGUAGE_CODES]
    return MBartTokenizer(vocab=[*special, *mini_vocabulary(), *codes, ("<mask>", 0.0)], src_lang="fi_FI")


@pytest.fixture(scope="module")
def gpt2() -> Any:
    """A byte-level tokenizer without special tokens around a text, without mask and padding, like that of GPT-2."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers
    from transformers import GPT2Tokenizer

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>"], initial_alphabet=alphabet, show_progress=False
    )
    trained.train_from_iterator([" ".join(WORDS)] * 5, trainer)
    model = json.loads(trained.to_str())["model"]
    return GPT2Tokenizer(vocab=model["vocab"], merges=[tuple(merge) for merge in model["merges"]])


# ----------------------------------------------------------------------------------------- causal


def test_every_token_is_its_own_label(mini: Any) -> None:
    texts = many(20)
    encoded = CausalLanguageModelling().encode(texts, mini, seed=3)
    for text, example in zip(texts.examples, encoded.examples, strict=True):
        assert example.input_ids.tolist() == example.labels.tolist() == mini(text.text)["input_ids"]
        assert example.labels.dtype == np.int64
    assert (encoded.unusable, encoded.unknown_share) == (0, 0)


def test_a_tokenizer_without_special_tokens_around_text_adds_none(gpt2: Any) -> None:
    encoded = CausalLanguageModelling().encode(sample("watoto wa shule"), gpt2, seed=3)
    assert encoded.examples[0].input_ids.tolist() == gpt2("watoto wa shule")["input_ids"]
    assert gpt2.eos_token_id not in encoded.examples[0].input_ids


def test_a_single_token_has_no_target(gpt2: Any) -> None:
    encoded = CausalLanguageModelling().encode(sample("a", "qx", "b"), gpt2, seed=3)
    assert [example.input_ids.tolist() for example in encoded.examples] == [gpt2("qx")["input_ids"]]
    assert encoded.unusable == 2
    with pytest.raises(CorpusError, match="no example of language 'sw' has a target within 128 tokens"):
        CausalLanguageModelling().encode(sample("a", "b"), gpt2, seed=3)


def test_words_are_joined_by_spaces(gpt2: Any) -> None:
    """A byte-level tokenizer would read words that it gets one by one as one long word."""
    (split,) = CausalLanguageModelling().encode(sample(WORDS), gpt2, 0).examples
    assert split.input_ids.tolist() == gpt2(" ".join(WORDS))["input_ids"]
    assert gpt2.decode(split.input_ids) == " ".join(WORDS)


def test_the_token_that_ends_a_text_is_not_unknown(gpt2: Any) -> None:
    assert gpt2.unk_token_id == gpt2.eos_token_id
    assert CausalLanguageModelling().encode(sample("<|endoftext|> watoto"), gpt2, 0).unknown_share == 0


def test_long_text_is_cut_for_causal(mini: Any) -> None:
    encoded = CausalLanguageModelling(max_length=7).encode(many(5, words=60), mini, seed=0)
    assert {len(example.input_ids) for example in encoded.examples} == {7}


@pytest.mark.parametrize("objective", [CausalLanguageModelling(), SpanCorruption(), MaskedLanguageModelling()])
def test_text_of_unknown_tokens_only_is_refused(objective: Any) -> None:
    from transformers import BertTokenizer

    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "watoto", "kitabu")
    bert = BertTokenizer(vocab={name: number for number, name in enumerate(names)})
    encoded = objective.encode(sample("habari leo", "watoto leo", "kitabu"), bert, 0)
    assert (len(encoded.examples), encoded.unusable, encoded.unknown_share) == (2, 1, 3 / 5)
    with pytest.raises(CorpusError, match="no example of language 'got' has a token in the tokenizer's vocabulary"):
        objective.encode(sample("habari leo", language="got"), bert, 0)


@pytest.mark.parametrize("longest", [1, 0])
def test_invalid_lengths_are_refused(longest: int) -> None:
    for objective in (CausalLanguageModelling, SpanCorruption):
        with pytest.raises(UsageError, match=f"at least 2 tokens, not {longest}"):
            objective(max_length=longest)


# ------------------------------------------------------------------------------- what it depends on


@pytest.mark.parametrize("objective", [CausalLanguageModelling(), SpanCorruption(rate=0.3), MaskedLanguageModelling()])
def test_neither_order_nor_other_examples_nor_language_matter(objective: Any, t5: Any, mini: Any) -> None:
    tokenizer = t5 if isinstance(objective, SpanCorruption) else mini
    texts = many(20)
    together = objective.encode(texts, tokenizer, seed=3).examples
    reversed_ = objective.encode(sample(*texts.examples[::-1], language="fi"), tokenizer, seed=3).examples
    singles = [objective.encode(sample(example), tokenizer, seed=3).examples[0] for example in texts.examples]
    assert all(map(same, together, reversed_[::-1]))
    assert all(map(same, together, singles))
    other = objective.encode(texts, tokenizer, seed=4).examples
    assert all(a.key != b.key for a, b in zip(together, other, strict=True))


def test_keys_are_seeds_and_differ(mini: Any) -> None:
    keys = [
        example.key for seed in (0, 1) for example in MaskedLanguageModelling().encode(many(50), mini, seed).examples
    ]
    assert len(set(keys)) == 100
    assert all(0 <= key < 2**63 for key in keys)


def test_the_label_does_not_change_the_key_or_what_is_hidden(mini: Any) -> None:
    plain, labelled = TextExample("watoto wa shule"), TextExample("watoto wa shule", label="yes")
    first, second = (MaskedLanguageModelling().encode(sample(text), mini, 5).examples[0] for text in (plain, labelled))
    assert same(first, second)


# -------------------------------------------------------------------------------- span corruption


def sentinel_ids(tokenizer: Any) -> list[int]:
    vocabulary = tokenizer.get_vocab()
    mark = "▁" if "▁<extra_id_0>" in vocabulary else ""
    return [vocabulary[f"{mark}<extra_id_{n}>"] for n in range(SENTINELS)]


def filled(example: EncodedExample, sentinels: list[int]) -> list[int]:
    """The input of the encoder, with each sentinel replaced by the tokens that the decoder writes for it."""
    spans: dict[int, list[int]] = {}
    for token in example.labels.tolist():
        if token in sentinels:
            spans[token] = []
            current = spans[token]
        else:
            current.append(token)
    return [part for token in example.input_ids.tolist() for part in spans.get(token, [token])]


@pytest.mark.parametrize("kind", ["t5", "mt5"])
@pytest.mark.parametrize("rate", [0.15, 0.5, 0.9])
def test_encoder_and_decoder_make_up_the_text(kind: str, rate: float, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(kind)
    sentinels = sentinel_ids(tokenizer)
    texts = many(40)
    encoded = SpanCorruption(rate=rate).encode(texts, tokenizer, seed=1)
    for text, example in zip(texts.examples, encoded.examples, strict=True):
        assert filled(example, sentinels) == tokenizer(text.text)["input_ids"]
        used = [token for token in example.input_ids.tolist() if token in sentinels]
        written = [token for token in example.labels.tolist() if token in sentinels]
        assert used, "every example has at least one span"
        assert written == sentinels[: len(used) + 1], (
            "sentinels are in order from the first, and one more ends the text"
        )
        assert written[:-1] == used
        assert example.labels[-2:].tolist() == [written[-1], tokenizer.eos_token_id]
        assert example.input_ids[-1] == tokenizer.eos_token_id
        assert IGNORED not in example.labels


def spans_of(example: EncodedExample, sentinels: list[int]) -> list[int]:
    """The number of tokens that each sentinel replaces."""
    positions = [position for position, token in enumerate(example.labels.tolist()) if token in sentinels]
    return [b - a - 1 for a, b in pairwise(positions)]


@pytest.mark.parametrize(("rate", "mean"), [(0.15, 3.0), (0.35, 3.5), (0.5, 1.0), (0.25, 6.0)])
def test_spans_have_the_requested_share_and_mean_length(rate: float, mean: float, t5: Any) -> None:
    sentinels = sentinel_ids(t5)
    # Texts have several lengths, so that errors of rounding do not cancel.
    texts = sample(*(" ".join(WORDS[(n * 7 + i) % 13] for i in range(50 + n % 17)) + f" {n}" for n in range(300)))
    encoded = SpanCorruption(rate, mean, max_length=180).encode(texts, t5, seed=8)
    tokens = sum(len(filled(example, sentinels)) - 1 for example in encoded.examples)
    spans = [length for example in encoded.examples for length in spans_of(example, sentinels)]
    assert tokens > 30_000
    # The share of an example is wrong by less than one token; these errors are independent and have a mean of zero.
    assert abs(sum(spans) - rate * tokens) < 5 * math.sqrt(len(texts) / 4)
    # Both counts of an example are random around the right value, so that their ratio has second-order errors only.
    assert abs(sum(spans) / len(spans) - mean) < 0.05 * mean
    assert min(spans) >= 1


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_share_is_right_for_short_texts_too(rate: float, t5: Any) -> None:
    texts = many(3000, words=4)
    sentinels = sentinel_ids(t5)
    encoded = SpanCorruption(rate=rate).encode(texts, t5, seed=8)
    expected = [max(rate * (len(filled(example, sentinels)) - 1), 1) for example in encoded.examples]
    hidden = sum(sum(spans_of(example, sentinels)) for example in encoded.examples)
    assert abs(hidden - sum(expected)) < 5 * math.sqrt(len(expected) / 4)


def test_every_position_is_equally_likely_to_be_hidden(t5: Any) -> None:
    sentinels = sentinel_ids(t5)
    texts = {n: " ".join(WORDS[(n // 13**i) % 13] for i in range(5)) for n in range(4000)}
    lengths = {n: len(t5(text)["input_ids"]) - 1 for n, text in texts.items()}
    length = max(set(lengths.values()), key=list(lengths.values()).count)
    alike = [text for n, text in texts.items() if lengths[n] == length]
    hits = np.zeros(length)
    for example in SpanCorruption(0.3, 2.0).encode(sample(*alike), t5, seed=2).examples:
        position, spans = 0, iter(spans_of(example, sentinels))
        for token in example.input_ids[:-1].tolist():
            width = next(spans) if token in sentinels else 1
            hits[position : position + width] += token in sentinels
            position += width
    # Runs cover the ends of a text slightly less often than its middle, as windows do; other bias is not allowed.
    assert len(alike) > 300
    share = hits / len(alike)
    assert abs(share.mean() - 0.3) < 0.02
    assert share.min() > 0.15
    assert np.allclose(share, share[::-1], atol=5 * math.sqrt(2 * 0.25 / len(alike))), (
        "neither end of a text is hidden more often"
    )


@pytest.mark.parametrize("text", ["ya", "ya ya", "。"])
def test_the_shortest_texts_have_a_span(text: str, t5: Any) -> None:
    (example,) = SpanCorruption(rate=0.01).encode(sample(text), t5, 0).examples
    assert sum(spans_of(example, sentinel_ids(t5))) == 1


def test_unknown_tokens_are_never_targets(t5: Any) -> None:
    texts = [f"watoto 𐍈𐌰 wanasoma 𐌹 kitabu {n}" for n in range(60)]
    encoded = SpanCorruption(rate=0.9).encode(sample(*texts), t5, 0)
    sentinels = sentinel_ids(t5)
    assert encoded.unknown_share > 0
    for text, example in zip(texts, encoded.examples, strict=True):
        assert t5.unk_token_id not in example.labels
        assert filled(example, sentinels) == t5(text)["input_ids"]


def test_sentinels_within_a_text_are_characters(mt5: Any) -> None:
    sentinels = sentinel_ids(mt5)
    (example,) = SpanCorruption(rate=0.9).encode(sample("watoto <extra_id_7> kitabu"), mt5, 0).examples
    assert sentinels[7] in mt5("watoto <extra_id_7> kitabu")["input_ids"]
    assert sentinels[7] not in [*example.input_ids, *example.labels]


def test_more_spans_than_sentinels_are_refused(t5: Any) -> None:
    text = " ".join(WORDS[i % 13] for i in range(300))
    with pytest.raises(UsageError, match=r"an example has \d+ spans, but the vocabulary has sentinels for only 99"):
        SpanCorruption(0.5, 1.0, max_length=400).encode(sample(text), t5, 0)


def test_both_texts_of_a_pair_are_hidden(t5: Any) -> None:
    pair = TextExample("watoto wanasoma", "kitabu kizuri")
    frames = [
        position for position, token in enumerate(t5("watoto wanasoma", "kitabu kizuri")["input_ids"]) if token == 1
    ]
    assert len(frames) == 2
    hidden = set()
    for seed in range(40):
        (example,) = SpanCorruption(rate=0.5).encode(sample(pair), t5, seed).examples
        assert filled(example, sentinel_ids(t5)) == t5("watoto wanasoma", "kitabu kizuri")["input_ids"]
        hidden |= set(example.labels.tolist())
    assert set(t5("watoto kizuri")["input_ids"]) <= hidden


# ------------------------------------------------------------------------------------ text infilling


def test_without_sentinels_a_span_is_one_mask_and_the_target_is_the_text(mbart: Any) -> None:
    texts = many(40)
    encoded = SpanCorruption(0.35, 3.5).encode(texts, mbart, seed=1)
    for text, example in zip(texts.examples, encoded.examples, strict=True):
        tokens = mbart(text.text)["input_ids"]
        assert example.labels.tolist() == tokens
        assert tokens[-2:] == [mbart.eos_token_id, mbart.convert_tokens_to_ids("fi_FI")], (
            "special tokens are those of mBART"
        )
        assert example.input_ids[-2:].tolist() == tokens[-2:]
        masks = example.input_ids == mbart.mask_token_id
        assert masks.any()
        assert not (masks[1:] & masks[:-1]).any(), "one mask for each span"
        assert is_with_gaps(example.input_ids.tolist(), tokens, mbart.mask_token_id)


def is_with_gaps(masked: list[int], tokens: list[int], mask: int) -> bool:
    """Return whether `masked` is `tokens` with runs replaced by masks; each token is written as one character."""
    pattern = "".join("(.+)" if token == mask else re.escape(chr(0x10000 + token)) for token in masked)
    return re.fullmatch(pattern, "".join(chr(0x10000 + token) for token in tokens)) is not None


def test_the_same_spans_are_hidden_in_both_forms(t5: Any, mbart: Any) -> None:
    """Draws depend on the text and its number of tokens, which are the same for both vocabularies."""
    texts = many(10)
    ours, theirs = (SpanCorruption().encode(texts, tokenizer, 3).examples for tokenizer in (t5, mbart))
    assert [int((np.isin(a.input_ids, sentinel_ids(t5))).sum()) for a in ours] == [
        int((b.input_ids == mbart.mask_token_id).sum()) for b in theirs
    ]


def test_a_vocabulary_without_sentinels_and_mask_is_refused(gpt2: Any) -> None:
    with pytest.raises(ModelError, match="neither sentinels") as caught:
        SpanCorruption().encode(many(1), gpt2, 0)
    assert "mT5" in caught.value.hint


@pytest.mark.parametrize("mean", [0.5, 0, -1, math.nan, math.inf])
def test_an_invalid_mean_span_is_refused(mean: float) -> None:
    with pytest.raises(UsageError, match=f"the mean length of a span must be at least 1, not {mean}"):
        SpanCorruption(mean_span=mean)


def test_an_invalid_share_is_refused() -> None:
    with pytest.raises(UsageError, match=r"must be between 0 and 1, not 1\.5"):
        SpanCorruption(rate=1.5)


def test_the_text_of_an_objective_has_its_settings() -> None:
    assert str(CausalLanguageModelling()) == "causal-lm(max_length=128)"
    assert str(SpanCorruption()) == "span-corruption(rate=0.15,mean_span=3,max_length=128)"
    assert str(SpanCorruption(0.35, 3.5, 64)) == "span-corruption(rate=0.35,mean_span=3.5,max_length=64)"


# --------------------------------------------------------------------------- a share of the positions


def expected_choice(text: str, seed: int, count: int, share: float) -> set[int]:
    """Return the scored positions of a causal example of `count` tokens, written here from the definition."""
    digest = hashlib.sha256(f"{seed}\x00{TextExample(text).key()}".encode()).digest()
    generator = np.random.Generator(np.random.Philox(key=np.frombuffer(digest[:16], dtype=np.uint64)))
    draws = generator.random(count - 1)
    number = max(1, round(share * (count - 1)))
    return {position + 1 for position in sorted(range(count - 1), key=lambda n: draws[n])[:number]}


@pytest.mark.parametrize("share", [0.01, 0.15, 0.5, 0.99])
def test_a_share_of_the_next_tokens_is_scored(share: float, mini: Any) -> None:
    whole = sample(*(" ".join(WORDS[: 1 + n % 12]) + f" {n}" for n in range(40)))
    encoded = CausalLanguageModelling(scored_share=share).encode(whole, mini, seed=3)
    for text, example in zip(whole.examples, encoded.examples, strict=True):
        tokens = mini(text.text)["input_ids"]
        assert example.input_ids.tolist() == tokens, "the whole text is read"
        scored = set(np.flatnonzero(example.labels != IGNORED).tolist())
        assert scored == expected_choice(text.text, 3, len(tokens), share)
        assert all(example.labels[position] == tokens[position] for position in scored)


@pytest.mark.parametrize("objective", [CausalLanguageModelling(scored_share=0.15), SpanCorruption(scored_share=0.15)])
def test_the_choice_depends_on_the_seed_and_the_text_only(objective: Any, t5: Any) -> None:
    whole = many(20, words=30)
    together = objective.encode(whole, t5, seed=3).examples
    turned = objective.encode(sample(*whole.examples[::-1], language="fi"), t5, seed=3).examples
    alone = [objective.encode(sample(example), t5, seed=3).examples[0] for example in whole.examples]
    assert all(map(same, together, turned[::-1]))
    assert all(map(same, together, alone))
    other = objective.encode(whole, t5, seed=4).examples
    assert not all(np.array_equal(a.labels, b.labels) for a, b in zip(together, other, strict=True))


def test_smaller_shares_are_parts_of_larger_ones_and_every_position_is_equally_likely(mini: Any) -> None:
    texts = [" ".join(WORDS[(n // 13**i) % 13] for i in range(6)) for n in range(2000)]
    alike = [text for text in texts if len(mini(text)["input_ids"]) == 15]
    few, more = (
        [e.labels != IGNORED for e in CausalLanguageModelling(scored_share=s).encode(sample(*alike), mini, 1).examples]
        for s in (0.2, 0.5)
    )
    assert len(alike) > 200
    assert all((b | ~a).all() for a, b in zip(few, more, strict=True))
    share = np.mean(few, axis=0)
    assert share[0] == 0
    assert np.allclose(share[1:], 3 / 14, atol=4.5 * math.sqrt(3 / 14 * 11 / 14 / len(alike)))


@pytest.mark.parametrize("kind", ["t5", "mbart"])
def test_a_share_of_the_decoder_s_targets_is_scored(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer, whole = request.getfixturevalue(kind), many(20, words=30)
    every = SpanCorruption(0.35, 3.5).encode(whole, tokenizer, 3).examples
    some = SpanCorruption(0.35, 3.5, scored_share=0.15).encode(whole, tokenizer, 3).examples
    for all_scored, few in zip(every, some, strict=True):
        assert np.array_equal(few.input_ids, all_scored.input_ids), "the same spans are hidden"
        assert np.array_equal(few.arrays["decoder_tokens"], all_scored.labels), "the decoder reads all of its targets"
        scored = few.labels != IGNORED
        assert np.array_equal(few.labels[scored], all_scored.labels[scored])
        assert scored.sum() == max(1, round(0.15 * len(scored)))
        assert "decoder_tokens" not in all_scored.arrays


@pytest.mark.parametrize("share", [0, -0.1, 1.01, 15, math.nan, math.inf])
def test_an_invalid_scored_share_is_refused(share: float) -> None:
    for objective in (CausalLanguageModelling, SpanCorruption):
        with pytest.raises(UsageError, match=rf"the scored share must be in \(0, 1\], not {share}") as caught:
            objective(scored_share=share)
        assert caught.value.hint == "write 15 % as 0.15; 1 means all positions."


def test_all_positions_are_the_default(t5: Any) -> None:
    for objective in (CausalLanguageModelling, SpanCorruption):
        assert objective() == objective(scored_share=1)
        assert str(objective(scored_share=1)) == str(objective(scored_share=1.0)) == str(objective())
        pairs = (objective(scored_share=share).encode(many(5), t5, 0).examples for share in (1, 1.0))
        assert all(map(same, *pairs))
    assert str(CausalLanguageModelling(64, 0.15)) == "causal-lm(max_length=64,scored_share=0.15)"
    described = "span-corruption(rate=0.15,mean_span=3,max_length=128,scored_share=0.123456789)"
    assert str(SpanCorruption(scored_share=0.123456789)) == described, "no digit is lost"
