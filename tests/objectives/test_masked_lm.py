"""Masked language modelling: the masked tokens depend only on the seed and the example."""

from __future__ import annotations

import hashlib
import math
from typing import Any

import numpy as np
import pytest

from tests.support.samples import WORDS, many, sample
from tests.support.tokenizers import mini_tokenizer
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.objectives import EncodedExample, MaskedLanguageModelling
from xsns_stream.objectives.encoding import IGNORED
from xsns_stream.types import TextExample

#: How far from its mean a binomial may lie: beyond five standard deviations lies one draw in 1.7 million. The seeds
#: below are fixed, so that what passes once passes always.
DEVIATIONS = 5


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return mini_tokenizer()


def same(one: EncodedExample, other: EncodedExample) -> bool:
    return np.array_equal(one.input_ids, other.input_ids) and np.array_equal(one.labels, other.labels)


def original(example: EncodedExample) -> np.ndarray:
    """Return the tokens before masking."""
    return np.where(example.labels == IGNORED, example.input_ids, example.labels)


def within(count: int, total: int, share: float) -> bool:
    return abs(count - share * total) <= DEVIATIONS * math.sqrt(total * share * (1 - share))


# --------------------------------------------------------------------------------- what it depends on


def test_the_result_is_repeatable(tokenizer: Any) -> None:
    objective = MaskedLanguageModelling()
    first, second = (objective.encode(many(20), tokenizer, seed=3).examples for _ in range(2))
    assert all(map(same, first, second))


@pytest.mark.parametrize(
    ("texts", "expected"),
    [
        (WORDS, "549dce9856219a2c"),
        ((WORDS, WORDS[::-1], ("kitabu",)), "d9da02c3ad8331e5"),
        ((TextExample(" ".join(WORDS), "kitabu kizuri"), TextExample(WORDS, "leo asubuhi")), "2171fb71a4f28a13"),
    ],
    ids=["plain", "words", "pairs"],
)
def test_masking_is_the_same_in_every_version(texts: Any, expected: str, tokenizer: Any) -> None:
    """The masked tokens determine every bit of a store, so that no version may mask other tokens."""
    digest = hashlib.sha256()
    for seed in (0, 42):
        for example in MaskedLanguageModelling(max_length=20).encode(sample(*texts), tokenizer, seed).examples:
            digest.update(example.input_ids.tobytes() + example.labels.tobytes())
    assert digest.hexdigest()[:16] == expected


def test_neither_order_nor_other_examples_matter(tokenizer: Any) -> None:
    objective, texts = MaskedLanguageModelling(), many(20)
    together = objective.encode(texts, tokenizer, seed=3).examples
    reversed_ = objective.encode(sample(*texts.examples[::-1]), tokenizer, seed=3).examples
    singles = [objective.encode(sample(example), tokenizer, seed=3).examples[0] for example in texts.examples]
    assert all(map(same, together, reversed_[::-1]))
    assert all(map(same, together, singles))


def test_the_language_s_name_does_not_matter_and_the_seed_does(tokenizer: Any) -> None:
    objective, texts = MaskedLanguageModelling(), many(20).examples
    swahili = objective.encode(sample(*texts), tokenizer, seed=3).examples
    finnish = objective.encode(sample(*texts, language="fi"), tokenizer, seed=3).examples
    other = objective.encode(sample(*texts), tokenizer, seed=4).examples
    assert all(map(same, swahili, finnish))
    assert sum(map(same, swahili, other)) < len(texts) / 2
    assert all(np.array_equal(original(a), original(b)) for a, b in zip(swahili, other, strict=True))


def test_numpy_s_and_python_s_generators_are_left_alone(tokenizer: Any) -> None:
    before = np.random.get_state()[1].copy()
    MaskedLanguageModelling().encode(many(5), tokenizer, seed=3)
    assert np.array_equal(np.random.get_state()[1], before)


# --------------------------------------------------------------------------------------- what is hidden


def test_every_example_has_something_to_predict(tokenizer: Any) -> None:
    texts = [*WORDS, "a", "1", "。", "ya ya"]
    encoded = MaskedLanguageModelling(rate=1e-6).encode(sample(*texts), tokenizer, seed=0)
    assert encoded.unusable == 0
    assert [int((example.labels != IGNORED).sum()) for example in encoded.examples] == [1] * len(texts)


def test_special_tokens_are_neither_hidden_nor_inserted(tokenizer: Any) -> None:
    special = set(tokenizer.all_special_ids)
    encoded = MaskedLanguageModelling(rate=0.9).encode(many(200), tokenizer, seed=1)
    for example in encoded.examples:
        assert not special & set(example.labels[example.labels != IGNORED].tolist())
        assert {int(example.input_ids[0]), int(example.input_ids[-1])} == {
            tokenizer.bos_token_id,
            tokenizer.eos_token_id,
        }
        middle = set(example.input_ids[1:-1].tolist())
        assert middle & special <= {tokenizer.mask_token_id}


def test_tokens_without_target_are_not_changed(tokenizer: Any) -> None:
    texts = many(50)
    encoded = MaskedLanguageModelling().encode(texts, tokenizer, seed=1)
    for text, example in zip(texts.examples, encoded.examples, strict=True):
        assert original(example).tolist() == tokenizer(text.text)["input_ids"]
        assert example.input_ids.dtype == example.labels.dtype == np.int64


@pytest.mark.parametrize("rate", [0.15, 0.4])
def test_the_masking_rate_and_the_shares_of_replacements_are_right(rate: float, tokenizer: Any) -> None:
    # In long examples a token is forced so rarely that the rate does not change.
    texts = sample(*(" ".join(WORDS[(n * 7 + i * (1 + n % 5)) % 13] for i in range(90)) + f" {n}" for n in range(400)))
    encoded = MaskedLanguageModelling(rate=rate, max_length=256).encode(texts, tokenizer, seed=8)
    special = list(tokenizer.all_special_ids)
    candidates = sum(int((~np.isin(original(example), special)).sum()) for example in encoded.examples)
    pairs = [
        (int(token), int(label))
        for example in encoded.examples
        for token, label in zip(example.input_ids, example.labels, strict=True)
        if label != IGNORED
    ]
    assert candidates > 40_000
    assert within(len(pairs), candidates, rate)
    masked = sum(token == tokenizer.mask_token_id for token, _ in pairs)
    count = sum(token == label for token, label in pairs)
    assert within(masked, len(pairs), 0.8)
    # A random token equals the original one in 16,000 draws once, which is far within the tolerance.
    assert within(count, len(pairs), 0.1)
    assert within(len(pairs) - masked - count, len(pairs), 0.1)
    swapped = [token for token, label in pairs if token not in (tokenizer.mask_token_id, label)]
    # n draws of N tokens give N (1 − exp(−n / N)) different ones: 0.88 n where n is a quarter of N.
    assert len(set(swapped)) > 0.85 * len(swapped), "tokens are drawn from the whole vocabulary"


def test_every_position_is_equally_likely(tokenizer: Any) -> None:
    texts, length = many(3000, words=6), 0
    encoded = MaskedLanguageModelling(rate=0.3).encode(texts, tokenizer, seed=2).examples
    length = min(len(example.labels) for example in encoded) - 2
    hits = [sum(int(example.labels[position] != IGNORED) for example in encoded) for position in range(1, 1 + length)]
    # In a share of (1 − 0.3)^n of examples with n tokens, the hidden token is forced: slightly above the rate.
    forced = 0.7**length / length
    assert all(within(hit, len(encoded), 0.3 + forced / 2) for hit in hits), hits


# ------------------------------------------------------------------------------------- kinds of text


def test_words_and_plain_text_give_the_same_tokens(tokenizer: Any) -> None:
    objective = MaskedLanguageModelling()
    (plain,) = objective.encode(sample("watoto wa shule"), tokenizer, 0).examples
    (split,) = objective.encode(sample(("watoto", "wa", "shule")), tokenizer, 0).examples
    assert np.array_equal(original(plain), original(split))


@pytest.mark.parametrize("text", ["watoto wa shule", ("watoto", "wa", "shule")], ids=["plain", "words"])
def test_pairs_are_tokenized_as_pairs(text: Any, tokenizer: Any) -> None:
    pair = TextExample(text, "kitabu kizuri")
    (example,) = MaskedLanguageModelling().encode(sample(pair), tokenizer, 0).examples
    assert original(example).tolist() == tokenizer("watoto wa shule", "kitabu kizuri")["input_ids"]


def test_the_second_text_of_a_pair_is_hidden_too(tokenizer: Any) -> None:
    pair = TextExample("leo", "kitabu kizuri")
    first = len(tokenizer("leo")["input_ids"])
    hidden = {
        int(position)
        for seed in range(40)
        for example in MaskedLanguageModelling().encode(sample(pair), tokenizer, seed).examples
        for position in np.flatnonzero(example.labels != IGNORED)
    }
    assert min(hidden) < first < max(hidden)


# ------------------------------------------------------------------------------------------- lengths


@pytest.mark.parametrize("longest", [3, 4, 7, 64])
def test_long_text_is_cut(longest: int, tokenizer: Any) -> None:
    encoded = MaskedLanguageModelling(max_length=longest).encode(many(10, words=60), tokenizer, seed=0)
    assert {len(example.input_ids) for example in encoded.examples} == {longest}
    assert all(example.input_ids[-1] == tokenizer.eos_token_id for example in encoded.examples)
    assert all((example.labels != IGNORED).any() for example in encoded.examples)


@pytest.mark.parametrize("longest", [5, 6, 20])
def test_long_pairs_are_cut(longest: int, tokenizer: Any) -> None:
    pair = TextExample(" ".join(WORDS), " ".join(WORDS[::-1]))
    (example,) = MaskedLanguageModelling(max_length=longest).encode(sample(pair), tokenizer, 0).examples
    assert len(example.input_ids) == longest


@pytest.mark.parametrize("longest", [3, 4])
def test_a_pair_needs_room(longest: int, tokenizer: Any) -> None:
    with pytest.raises(UsageError) as caught:
        MaskedLanguageModelling(max_length=longest).encode(sample(TextExample("a", "b")), tokenizer, 0)
    assert caught.value.message == (
        f"the maximum length must be more than 4 tokens, not {longest}: the special tokens of each example need 4."
    )


@pytest.mark.parametrize("rate", [0, 1, -0.1, 1.5, math.nan])
def test_an_invalid_rate_is_refused(rate: float) -> None:
    with pytest.raises(UsageError, match="the mask rate must be between 0 and 1, not "):
        MaskedLanguageModelling(rate=rate)


@pytest.mark.parametrize("longest", [2, 0, -5])
def test_an_invalid_length_is_refused(longest: int) -> None:
    with pytest.raises(UsageError, match=f"at least 3 tokens, not {longest}"):
        MaskedLanguageModelling(max_length=longest)


def test_the_text_of_an_objective_has_its_settings() -> None:
    assert str(MaskedLanguageModelling()) == "masked-lm(rate=0.15,max_length=128)"
    assert str(MaskedLanguageModelling(0.5, 16)) == "masked-lm(rate=0.5,max_length=16)"


# ----------------------------------------------------------------------------------- unknown tokens


class Ignorant:
    """A tokenizer that knows the letters a to e."""

    all_special_ids = (0, 1, 2, 3, 4)
    bos_token_id, pad_token_id, eos_token_id, unk_token_id, mask_token_id = all_special_ids

    def __len__(self) -> int:
        return 10

    def num_special_tokens_to_add(self, pair: bool = False) -> int:
        return 2

    def __call__(self, text: str, **settings: Any) -> dict[str, list[int]]:
        return {"input_ids": [0, *("abcde".find(c) + 5 if c in "abcde" else 3 for c in text), 2]}


def test_text_of_unknown_tokens_only_is_refused() -> None:
    with pytest.raises(CorpusError) as caught:
        MaskedLanguageModelling().encode(sample("xyz", "zyx", language="zh"), Ignorant(), 0)
    assert caught.value.message == (
        "no example of language 'zh' has a token in the tokenizer's vocabulary (2 examples from a test)."
    )
    assert "script" in caught.value.hint


def test_unknown_tokens_are_counted_and_left_out() -> None:
    encoded = MaskedLanguageModelling(rate=0.9).encode(sample("xyz", "abx", "abcde"), Ignorant(), 0)
    assert (len(encoded.examples), encoded.unusable) == (2, 1)
    assert encoded.unknown_share == 4 / 11
    assert original(encoded.examples[0]).tolist() == [0, 5, 6, 3, 2]
    assert encoded.examples[0].labels[3] == IGNORED, "an unknown token cannot be predicted"


def test_an_unknown_script_is_counted_as_unknown_tokens(tokenizer: Any) -> None:
    encoded = MaskedLanguageModelling().encode(sample("watoto 𐍈𐌰"), tokenizer, 0)
    assert 0 < encoded.unknown_share < 1
