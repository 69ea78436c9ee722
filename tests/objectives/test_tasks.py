"""Labelled tasks, and objectives by name: the tokens that carry classes, and the positions of answers."""

from __future__ import annotations

import re
from itertools import product
from typing import Any

import numpy as np
import pytest

from tests.support.samples import question, sample
from tests.support.tokenizers import letter_tokenizer, mini_tokenizer
from xsns_stream.errors import CorpusError, ModelError, UsageError
from xsns_stream.objectives import (
    OBJECTIVES,
    CausalLanguageModelling,
    MaskedLanguageModelling,
    QuestionAnswering,
    SequenceClassification,
    SpanCorruption,
    TokenClassification,
    batches,
    make_objective,
)
from xsns_stream.objectives.encoding import IGNORED
from xsns_stream.types import TextExample
from xsns_stream.types.text import AnswerSpan

TAGS = ("NOUN", "VERB", "ADJ")
KINDS = ("entailment", "neutral", "contradiction")
WORDS = ("watoto", "wanasoma", "kitabu", "中文", "字", "l'été", "hyvää", "huomenta", "Ünïted", "3.14", "na")


@pytest.fixture(scope="module")
def mini() -> Any:
    return mini_tokenizer()


@pytest.fixture(scope="module")
def bert() -> Any:
    return letter_tokenizer(WORDS)


@pytest.fixture(scope="module")
def byte_level() -> Any:
    """A byte-level tokenizer whose tokens include the space before their word."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=330, special_tokens=["<s>", "<pad>"], initial_alphabet=alphabet, show_progress=False
    )
    trained.train_from_iterator([" ".join(WORDS)] * 5, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=trained, eos_token="<s>", pad_token="<pad>")


# ------------------------------------------------------------------------------- classes of words


def random_words(count: int, seed: int = 0) -> list[tuple[str, ...]]:
    generator = np.random.Generator(np.random.PCG64(seed))
    return [tuple(generator.choice(WORDS, size=generator.integers(1, 12))) for _ in range(count)]


@pytest.mark.parametrize("kind", ["mini", "bert"])
def test_the_first_token_of_a_word_carries_its_label(kind: str, request: pytest.FixtureRequest) -> None:
    """The expected first tokens follow from the numbers of tokens if the tokenizer gets the words one by one."""
    tokenizer = request.getfixturevalue(kind)
    for words in random_words(60):
        names = tuple(TAGS[len(word) % 3] for word in words)
        (example,) = TokenClassification(TAGS).encode(sample(TextExample(words, label=names)), tokenizer, 0).examples
        split = tokenizer(list(words), is_split_into_words=True)
        assert example.input_ids.tolist() == split["input_ids"]
        numbers = split.word_ids()
        expected = [
            IGNORED if word is None or word in numbers[:position] else TAGS.index(names[word])
            for position, word in enumerate(numbers)
        ]
        assert example.labels.tolist() == expected


def test_labels_are_at_tokens_that_begin_with_a_space(byte_level: Any) -> None:
    words, names = ("watoto", "x", "kitabu"), ("NOUN", "VERB", "ADJ")
    (example,) = TokenClassification(TAGS).encode(sample(TextExample(words, label=names)), byte_level, 0).examples
    labelled = [
        (byte_level.decode(example.input_ids[position:]), int(example.labels[position]))
        for position in np.flatnonzero(example.labels != IGNORED)
    ]
    assert labelled == [("watoto x kitabu", 0), (" x kitabu", 1), (" kitabu", 2)]


def test_words_without_a_label_are_not_scored(mini: Any) -> None:
    texts = (
        TextExample(("watoto", "wa", "shule"), label=("NOUN", "", "ADJ")),
        TextExample(("leo", "na"), label=("", "")),
    )
    encoded = TokenClassification(TAGS).encode(sample(*texts), mini, 0)
    assert encoded.unusable == 1
    (example,) = encoded.examples
    assert example.labels[example.labels != IGNORED].tolist() == [0, 2]


def test_words_that_are_cut_off_are_not_scored(mini: Any) -> None:
    words = WORDS[:3] * 10
    text = TextExample(words, label=("NOUN",) * 30)
    (example,) = TokenClassification(TAGS, max_length=9).encode(sample(text), mini, 0).examples
    encoding = mini(list(words), is_split_into_words=True, truncation=True, max_length=9)
    assert len(example.input_ids) == 9
    assert (example.labels != IGNORED).sum() == len(set(encoding.word_ids()) - {None})
    late = TextExample(words, label=("",) * 29 + ("NOUN",))
    with pytest.raises(CorpusError, match=r"has a target within 9 tokens") as caught:
        TokenClassification(TAGS, max_length=9).encode(sample(late), mini, 0)
    assert "longer examples" in caught.value.hint


def test_offsets_need_a_fast_tokenizer() -> None:
    class Slow:
        is_fast = False

    for objective, text in (
        (TokenClassification(TAGS), TextExample(("a",), label=("NOUN",))),
        (QuestionAnswering(), question("a", "b c", "c")),
    ):
        with pytest.raises(ModelError, match="Slow does not provide the character range of each token"):
            objective.encode(sample(text), Slow(), 0)


# ------------------------------------------------------------------------------- classes of texts


def test_a_pair_has_one_class(bert: Any) -> None:
    texts = (
        TextExample("watoto", "kitabu", "neutral"),
        TextExample("leo", "na", "entailment"),
        TextExample("leo", label="contradiction"),
    )
    encoded = SequenceClassification(KINDS).encode(sample(*texts), bert, 0)
    assert [int(example.labels) for example in encoded.examples] == [1, 0, 2]
    assert encoded.examples[0].labels.shape == ()
    both = bert("watoto", "kitabu")
    assert encoded.examples[0].input_ids.tolist() == both["input_ids"]
    assert encoded.examples[0].arrays["token_type_ids"].tolist() == both["token_type_ids"]
    assert 1 in both["token_type_ids"]
    assert "token_type_ids" not in encoded.examples[2].arrays
    (batch,) = batches(encoded.examples, 3, 0)
    assert batch["labels"].tolist() == [1, 0, 2]
    assert batch["token_type_ids"].shape == batch["input_ids"].shape


def test_pairs_keep_their_kinds_under_every_objective(bert: Any) -> None:
    pair = TextExample("watoto", "kitabu")
    (example,) = MaskedLanguageModelling().encode(sample(pair), bert, 0).examples
    assert example.arrays["token_type_ids"].tolist() == bert("watoto", "kitabu")["token_type_ids"]


def test_the_same_class_has_the_same_number_in_every_language(mini: Any) -> None:
    objective = SequenceClassification(KINDS)
    for language, name in (("sw", "neutral"), ("fi", "neutral"), ("et", "contradiction")):
        (example,) = objective.encode(sample(TextExample("leo", label=name), language=language), mini, 0).examples
        assert int(example.labels) == KINDS.index(name)


@pytest.mark.parametrize(
    ("objective", "text"),
    [
        (SequenceClassification(KINDS), TextExample("leo", label="maybe")),
        (TokenClassification(KINDS), TextExample(("leo", "na"), label=("neutral", "maybe"))),
    ],
)
def test_an_unknown_label_is_refused(objective: Any, text: TextExample, mini: Any) -> None:
    with pytest.raises(CorpusError) as caught:
        objective.encode(sample(text), mini, 0)
    assert caught.value.message == "language 'sw' has the label 'maybe', which is not one of the classes."
    assert caught.value.hint == "the classes are entailment, neutral, contradiction."


@pytest.mark.parametrize("objective", [SequenceClassification(KINDS), TokenClassification(KINDS), QuestionAnswering()])
@pytest.mark.parametrize(
    "text",
    [
        TextExample("leo"),
        TextExample("leo", "na"),
        TextExample(("leo",), "na", ("neutral",)),
        TextExample(("leo",), "na"),
    ],
)
def test_text_without_the_right_kind_of_label_is_refused(objective: Any, text: TextExample, mini: Any) -> None:
    with pytest.raises(
        UsageError, match=f"{objective.name} needs .*, but the text of 'sw' in a test is of another kind"
    ):
        objective.encode(sample(text), mini, 0)


# -------------------------------------------------------------------------------------- answers

PASSAGE = "Watoto wanasoma kitabu kizuri nyumbani leo, na mwalimu anafundisha shule kubwa ya Nairobi."


@pytest.mark.parametrize("kind", ["mini", "bert", "byte_level"])
def test_an_answer_has_the_positions_of_its_characters(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(kind)
    passage = PASSAGE.lower().replace(",", "")
    starts = [position for position in range(len(passage)) if position == 0 or passage[position - 1] == " "]
    for start, later in product(starts, [*starts[1:], len(passage) + 1]):
        if later <= start:
            continue
        answer = AnswerSpan(start, passage[start : later - 1])
        text = TextExample("nani yuko wapi?", passage, answer)
        (example,) = QuestionAnswering(max_length=256).encode(sample(text), tokenizer, 0).examples
        first, last = (int(example.arrays[name]) for name in ("start_positions", "end_positions"))
        tokens = tokenizer.convert_ids_to_tokens(example.input_ids[first : last + 1])
        assert re.sub("▁|Ġ|##", "", "".join(tokens)) == answer.text.replace(" ", "")
        assert example.input_ids.tolist() == tokenizer(text.text, text.pair)["input_ids"]


def test_an_answer_is_in_the_passage_and_not_in_the_question(mini: Any) -> None:
    text = question("kitabu", "leo kitabu", "kitabu")
    (example,) = QuestionAnswering().encode(sample(text), mini, 0).examples
    ids = mini("kitabu", "leo kitabu")["input_ids"]
    last = len(ids) - 1 - ids[::-1].index(mini("kitabu")["input_ids"][1])
    assert int(example.arrays["start_positions"]) == last > ids.index(mini("kitabu")["input_ids"][1])


def test_an_answer_that_is_cut_off_is_unusable(mini: Any) -> None:
    late = question("nani?", PASSAGE, "mwalimu anafundisha")
    early = question("nani?", PASSAGE, "kitabu")
    (example,) = QuestionAnswering(max_length=256).encode(sample(late), mini, 0).examples
    last = int(example.arrays["end_positions"])
    # One token follows the passage: with just enough room the answer is complete, and with one token less it is cut.
    for longest, usable in ((last + 2, 2), (last + 1, 1)):
        encoded = QuestionAnswering(longest).encode(sample(late, early), mini, 0)
        assert (len(encoded.examples), encoded.unusable) == (usable, 2 - usable)
        assert len(encoded.examples[0].input_ids) == longest
    with pytest.raises(CorpusError, match="has a target within"):
        QuestionAnswering(last + 1).encode(sample(late), mini, 0)


# -------------------------------------------------------------------------------- models take them


@pytest.mark.parametrize("name", sorted(OBJECTIVES))
def test_a_model_of_the_kind_takes_the_batches(name: str, mini: Any) -> None:
    import torch
    import transformers as tf

    sizes = {"vocab_size": len(mini) + 100, "pad_token_id": 1}
    small = sizes | {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 16}
    roberta = tf.XLMRobertaConfig(**small, num_labels=3, max_position_embeddings=200)
    bart = {f"{side}_layers": 1 for side in ("encoder", "decoder")}
    models = {
        "masked-lm": lambda: tf.XLMRobertaForMaskedLM(roberta),
        "causal-lm": lambda: tf.GPT2LMHeadModel(tf.GPT2Config(vocab_size=len(mini), n_embd=16, n_layer=1, n_head=2)),
        "span-corruption": lambda: tf.MBartForConditionalGeneration(
            tf.MBartConfig(**sizes, **bart, d_model=16, encoder_attention_heads=2, decoder_attention_heads=2)
        ),
        "token-classification": lambda: tf.XLMRobertaForTokenClassification(roberta),
        "sequence-classification": lambda: tf.XLMRobertaForSequenceClassification(roberta),
        "question-answering": lambda: tf.XLMRobertaForQuestionAnswering(
            tf.XLMRobertaConfig(**small, num_labels=2, max_position_embeddings=200)
        ),
    }
    texts = {
        "token-classification": [TextExample(words, label=("NOUN",) * len(words)) for words in random_words(5)],
        "sequence-classification": [TextExample(word, "na", "ADJ") for word in WORDS[:5]],
        "question-answering": [question(word, PASSAGE, "mwalimu") for word in WORDS[:5]],
    }.get(name, [TextExample(" ".join(words)) for words in random_words(5)])
    objective = make_objective(name, labels=TAGS if name.endswith("classification") else ())
    model = models[name]().eval()
    for batch in batches(objective.encode(sample(*texts), mini, 0).examples, 2, mini.pad_token_id):
        assert batch.pop("example_keys").shape == batch["input_ids"].shape[:1]
        with torch.no_grad():
            assert bool(torch.isfinite(model(**batch).loss))


# --------------------------------------------------------------------------------------- by name


def test_objectives_are_made_by_name() -> None:
    assert make_objective("masked-lm") == MaskedLanguageModelling()
    assert make_objective("masked-lm", rate=0.4, max_length=64) == MaskedLanguageModelling(0.4, 64)
    assert make_objective("causal-lm", max_length=9) == CausalLanguageModelling(9)
    assert make_objective("span-corruption") == SpanCorruption(0.15, 3.0, 128)
    assert make_objective("span-corruption", rate=0.35, mean_span=3.5) == SpanCorruption(0.35, 3.5)
    assert make_objective("token-classification", labels=TAGS) == TokenClassification(TAGS)
    assert make_objective("sequence-classification", labels=KINDS, max_length=9) == SequenceClassification(KINDS, 9)
    assert make_objective("question-answering") == QuestionAnswering()
    for name, kind in OBJECTIVES.items():
        assert kind.name == name


@pytest.mark.parametrize(
    ("name", "option", "message"),
    [
        ("causal-lm", {"rate": 0.15}, "causal-lm does not use the option 'mask rate'."),
        ("masked-lm", {"mean_span": 3.0}, "masked-lm does not use the option 'mean span'."),
        (
            "token-classification",
            {"rate": 0.1, "labels": TAGS},
            "token-classification does not use the option 'mask rate'.",
        ),
        ("question-answering", {"labels": TAGS}, "question-answering does not use the option 'labels'."),
        ("span-corruption", {"labels": TAGS}, "span-corruption does not use the option 'labels'."),
    ],
)
def test_options_of_other_objectives_are_refused(name: str, option: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_objective(name, **option)
    assert (caught.value.message, caught.value.hint) == (message, "leave it out.")


@pytest.mark.parametrize(
    ("name", "hint"),
    [
        ("masked-lm", "it scores the hidden tokens, whose share is `--mask-rate`."),
        ("token-classification", "leave it out: every label is scored."),
        ("sequence-classification", "leave it out: every label is scored."),
        ("question-answering", "leave it out: every label is scored."),
    ],
)
def test_a_share_of_positions_is_for_causal_and_encoder_decoder_models(name: str, hint: str) -> None:
    with pytest.raises(UsageError) as caught:
        make_objective(name, scored_share=0.15)
    assert caught.value.message == f"{name} does not use the option 'scored share'."
    assert caught.value.hint == hint
    for other in ("causal-lm", "span-corruption"):
        objective: Any = make_objective(other, scored_share=0.15)
        assert objective.scored_share == 0.15


def test_an_invalid_objective_is_refused() -> None:
    with pytest.raises(UsageError, match="'mlm' is not a valid objective") as caught:
        make_objective("mlm")
    assert caught.value.hint.startswith("choose one of masked-lm, causal-lm, span-corruption,")


@pytest.mark.parametrize("name", ["token-classification", "sequence-classification"])
@pytest.mark.parametrize("labels", [(), ("one",)])
def test_classes_are_needed(name: str, labels: tuple[str, ...]) -> None:
    with pytest.raises(UsageError, match=f"{name} needs the names of at least two classes, not {len(labels)}"):
        make_objective(name, labels=labels)


def test_classes_have_distinct_names() -> None:
    with pytest.raises(UsageError, match="two classes of token-classification have the same name"):
        TokenClassification(("a", "b", "a"))


def test_the_text_of_an_objective_has_its_settings() -> None:
    assert str(QuestionAnswering(64)) == "question-answering(max_length=64)"
    first = str(TokenClassification(TAGS))
    assert first.startswith("token-classification(labels=3:")
    assert first.endswith(",max_length=128)")
    assert len(first) == len("token-classification(labels=3:,max_length=128)") + 12
    others = {str(TokenClassification(names)) for names in (TAGS[::-1], ("NOUNVERB", "ADJ", "X"), ("NOUN", "VERBADJ"))}
    assert first not in others
    assert len(others) == 3
    digest = first.removeprefix("token-classification(").removesuffix(",max_length=128)")
    assert str(SequenceClassification(TAGS, 9)) == f"sequence-classification({digest},max_length=9)"


@pytest.mark.parametrize("objective", [QuestionAnswering, lambda max_length: TokenClassification(TAGS, max_length)])
def test_a_length_that_is_too_short_is_refused(objective: Any) -> None:
    with pytest.raises(UsageError, match="at least 3 tokens, not 2"):
        objective(max_length=2)
