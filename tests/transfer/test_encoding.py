"""Features for fine-tuning, compared with slow and obvious implementations."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from tests.support.samples import question
from tests.support.tokenizers import letter_tokenizer, mini_tokenizer
from xsns_stream.errors import CorpusError, ModelError, UsageError
from xsns_stream.transfer import PRESETS, TASKS
from xsns_stream.transfer.encoding import IGNORED, Feature, by_length, collate, encode
from xsns_stream.types import LabelledSplit, TextExample
from xsns_stream.types.text import AnswerSpan

WORDS = ("watoto", "wanasoma", "kitabu", "中文", "字", "l'été", "hyvää", "huomenta", "Ünïted", "3.14", "na", "10 000")
CLASSES = ("ADJ", "NOUN", "VERB")
SETTINGS = PRESETS["quick"]
SHORT = replace(SETTINGS, max_length=16, stride=4)
POS, TOPIC, QA = replace(TASKS["pos"], classes=CLASSES), TASKS["topic"], TASKS["qa"]
TOKENIZERS = ("mini", "bert", "byte_level", "without_spaces")


def split(*examples: TextExample, name: str = "train") -> LabelledSplit:
    return LabelledSplit("sw", name, examples, "a test")


def tagged(words: tuple[str, ...]) -> TextExample:
    return TextExample(words, label=tuple(CLASSES[len(word) % 3] for word in words))


def sentences(count: int, longest: int, seed: int = 0) -> list[TextExample]:
    rng = np.random.default_rng(seed)
    return [tagged(tuple(map(str, rng.choice(WORDS, rng.integers(1, longest + 1))))) for _ in range(count)]


@pytest.fixture(scope="module")
def mini() -> Any:
    return mini_tokenizer()


@pytest.fixture(scope="module")
def bert() -> Any:
    return letter_tokenizer(WORDS)


def byte_pairs(texts: list[str]) -> Any:
    """Byte-level BPE tokenizer trained on these texts, without special tokens around a text."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    trained = Tokenizer(models.BPE())
    trained.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trained.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400,
        special_tokens=["<s>", "<pad>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    trained.train_from_iterator(texts * 5, trainer)
    return PreTrainedTokenizerFast(tokenizer_object=trained, eos_token="<s>", pad_token="<pad>")


@pytest.fixture(scope="module")
def byte_level() -> Any:
    """Tokenizer whose tokens include the space before a word."""
    return byte_pairs([" ".join(WORDS)])


@pytest.fixture(scope="module")
def without_spaces() -> Any:
    """Tokenizer without spaces in its training text: a word has one more token after a space."""
    return byte_pairs(list(WORDS))


# ------------------------------------------------------------------------------------ classes of words


@pytest.mark.parametrize("kind", ["mini", "bert"])
def test_the_first_token_of_a_word_carries_its_label(kind: str, request: pytest.FixtureRequest) -> None:
    """The expected token is the first token of each word if the tokenizer gets the words one by one."""
    tokenizer = request.getfixturevalue(kind)
    examples = [e for e in sentences(60, 12) if "10 000" not in e.text]
    features = encode(POS, CLASSES, split(*examples), tokenizer, SETTINGS)
    assert [feature.example for feature in features] == list(range(len(examples)))
    for feature, example in zip(features, examples, strict=True):
        encoding = tokenizer(list(example.text), is_split_into_words=True)
        numbers = encoding.word_ids()
        assert feature.inputs["input_ids"] == encoding["input_ids"]
        assert feature.words == tuple((word, numbers.index(word)) for word in range(len(example.text)))
        assert feature.targets["labels"] == [
            IGNORED if word is None or word in numbers[:index] else CLASSES.index(example.label[word])
            for index, word in enumerate(numbers)
        ]


@pytest.mark.parametrize("kind", TOKENIZERS)
def test_every_word_of_a_long_sentence_is_in_one_window(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(kind)
    examples = sentences(40, 40, seed=3)
    features = encode(POS, CLASSES, split(*examples), tokenizer, SHORT)
    assert len(features) > 2 * len(examples)
    assert max(map(len, features)) <= 16
    for index, example in enumerate(examples):
        windows = [feature for feature in features if feature.example == index]
        assert [word for window in windows for word, _ in window.words] == list(range(len(example.text)))
        for window in windows:
            first, last = window.words[0][0], window.words[-1][0]
            # A window has the tokens of its words, and no others.
            encoding = tokenizer(" ".join(example.text[first : last + 1]), truncation=True, max_length=16)
            assert window.inputs["input_ids"] == encoding["input_ids"]
            assert {p: window.targets["labels"][p] for _, p in window.words} == {
                p: CLASSES.index(example.label[word]) for word, p in window.words
            }
            assert sum(label != IGNORED for label in window.targets["labels"]) == len(window.words)


def test_windows_of_running_text_are_parts_of_the_sentence(byte_level: Any) -> None:
    """Each window is the part of the sentence from its first to its last word."""
    words = ("watoto", "中文", "字", "na", "kitabu") * 6
    sentence = "watoto 中文字 na kitabu " * 6
    example = replace(tagged(words), running=sentence.strip())
    features = encode(POS, CLASSES, split(example), byte_level, replace(SHORT, words="running"))
    assert len(features) > 2
    assert [word for feature in features for word, _ in feature.words] == list(range(30))
    text = byte_level.decode([token for feature in features for token in feature.inputs["input_ids"]])
    assert text.replace(" ", "") == sentence.replace(" ", "")
    assert "中文字" in text


def test_nothing_is_cut_if_a_space_is_a_token(without_spaces: Any) -> None:
    """Tokenized one by one, these words would fill two windows."""
    words = ("na",) * 30
    token_ids = [without_spaces("na")["input_ids"], without_spaces("na na")["input_ids"]]
    assert [len(ids) for ids in token_ids] == [1, 3]
    features = encode(POS, CLASSES, split(tagged(words)), without_spaces, SHORT)
    assert [word for feature in features for word, _ in feature.words] == list(range(30))
    assert all(len(without_spaces(" ".join(words[: len(f.words)]))["input_ids"]) == len(f) for f in features)


def test_a_word_longer_than_a_window_is_cut(bert: Any) -> None:
    words = ("na", "a" * 40, "kitabu")
    features = encode(POS, CLASSES, split(tagged(words)), bert, SHORT)
    assert [word for feature in features for word, _ in feature.words] == [0, 1, 2]
    assert max(map(len, features)) == 16


def test_a_word_without_tokens_has_no_label(bert: Any) -> None:
    words = ("na", "\u200d", "kitabu")
    (feature,) = encode(POS, CLASSES, split(tagged(words)), bert, SETTINGS)
    assert [word for word, _ in feature.words] == [0, 2]


def test_words_without_a_label_are_inputs_but_not_trained(mini: Any) -> None:
    example = TextExample(("watoto", "na", "kitabu"), label=("NOUN", "", "VERB"))
    (feature,) = encode(POS, CLASSES, split(example), mini, SETTINGS)
    assert len(feature.words) == 3
    assert [label for label in feature.targets["labels"] if label != IGNORED] == [1, 2]


def test_more_sentences_than_are_tokenized_together(mini: Any) -> None:
    examples = sentences(7, 5) * 300
    features = encode(POS, CLASSES, split(*examples), mini, SETTINGS)
    assert [feature.example for feature in features] == list(range(2100))
    again = encode(POS, CLASSES, split(*examples[:7]), mini, SETTINGS)
    assert [f.inputs for f in features[1400:1407]] == [f.inputs for f in again]


# ------------------------------------------------------------------------------------ classes of texts


def test_pairs_and_words_are_encoded_by_the_tokenizer(bert: Any) -> None:
    examples = (
        TextExample("watoto", "kitabu", "b"),
        TextExample("leo", label="a"),
        TextExample(("watoto", "na"), label="b"),
    )
    features = encode(TOPIC, ("a", "b"), split(*examples), bert, SETTINGS)
    expected = [bert("watoto", "kitabu"), bert("leo"), bert("watoto na")]
    for feature, encoding, number in zip(features, expected, [1, 0, 1], strict=True):
        assert feature.inputs == {name: encoding[name] for name in ("input_ids", "token_type_ids")}
        assert feature.targets == {"labels": number}


def test_long_pairs_are_cut_at_the_longer_one(bert: Any) -> None:
    example = TextExample("na", "kitabu " * 20, "a")
    (feature,) = encode(TOPIC, ("a", "b"), split(example), bert, SHORT)
    assert len(feature) == 16
    assert bert.decode(feature.inputs["input_ids"]).startswith("[CLS] na [SEP] kitabu")


# --------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize("kind", ["mini", "bert", "byte_level"])
def test_windows_cover_the_passage_and_mark_the_answer(kind: str, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(kind)
    rng = np.random.default_rng(1)
    examples = []
    for number in range(20):
        words = [*map(str, rng.choice(WORDS[:9], int(rng.integers(3, 30)))), "hyvää", "Ünïted", "字"]
        rng.shuffle(words)
        start, stop = sorted(rng.choice(len(words) + 1, 2, replace=False))
        passage, before = " ".join(words), " ".join(words[:start])
        answer = " ".join(words[start : min(stop, start + 2)])
        begin = len(before) + bool(before)
        examples.append(TextExample(f"na {number}?", passage, AnswerSpan(begin, answer)))
    settings = replace(SETTINGS, max_length=32, stride=8)
    features = encode(QA, (), split(*examples), tokenizer, settings)
    assert len(features) > len(examples)
    answers_inside = 0
    for index, example in enumerate(examples):
        passage, answer = example.pair or "", example.label
        assert isinstance(answer, AnswerSpan)
        windows = [feature for feature in features if feature.example == index]
        characters = {c for w in windows for span in w.offsets if span for c in range(*span)}
        assert characters >= {c for c, letter in enumerate(passage) if not letter.isspace()}
        for window in windows:
            assert len(window) == len(window.offsets) <= 32
            in_window = {c for span in window.offsets if span for c in range(*span)}
            of_answer = {c for c in range(answer.start, answer.end) if not passage[c].isspace()}
            start, end = window.targets["start_positions"], window.targets["end_positions"]
            if not of_answer <= in_window:
                assert (start, end) == (0, 0)
                continue
            answers_inside += 1
            first, last = window.offsets[start], window.offsets[end]
            assert first is not None
            assert last is not None
            # Tokens may exceed the answer, but the first contains its first character, and the last its last one.
            assert first[0] <= answer.start < first[1]
            assert last[0] < answer.end <= last[1]
    # An answer that is longer than the overlap of windows may be in none of them.
    assert answers_inside > len(examples) // 2


def test_an_answer_beyond_the_first_window_is_marked_in_its_window(mini: Any) -> None:
    example = question("nani?", "watoto " * 30 + "kitabu", "kitabu")
    features = encode(QA, (), split(example), mini, replace(SETTINGS, max_length=24, stride=4))
    marked = [f for f in features if f.targets["start_positions"]]
    assert len(features) > 2
    assert len(marked) == 1
    (window,) = marked
    start, end = window.targets["start_positions"], window.targets["end_positions"]
    assert mini.decode(window.inputs["input_ids"][start : end + 1]).strip() == "kitabu"


def test_an_answer_at_the_end_whose_last_accent_has_no_token(mini: Any) -> None:
    example = question("nani?", "watoto wa cafe\u0301", "cafe\u0301")
    (window,) = encode(QA, (), split(example), mini, SETTINGS)
    assert max(span[1] for span in window.offsets if span) < len(example.pair or "")
    start, end = window.targets["start_positions"], window.targets["end_positions"]
    assert mini.decode(window.inputs["input_ids"][start : end + 1]).strip() == "caf\u00e9"


@pytest.mark.parametrize("longest", [8, 9, 12, 16, 24])
@pytest.mark.parametrize("kind", TOKENIZERS)
def test_a_long_question_leaves_room_for_the_passage(kind: str, longest: int, request: pytest.FixtureRequest) -> None:
    tokenizer = request.getfixturevalue(kind)
    example = question("nani " * 40, "watoto " * 10 + "kitabu", "kitabu")
    settings = replace(SETTINGS, max_length=longest, stride=longest // 2)
    features = encode(QA, (), split(example), tokenizer, settings)
    assert max(map(len, features)) <= longest
    characters = {c for f in features for span in f.offsets if span for c in range(*span)}
    assert characters >= {c for c, letter in enumerate(example.pair or "") if letter != " "}


# ---------------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("task", "example"),
    [
        (POS, TextExample(("a", "b"), label=("NOUN", "NUM"))),
        (replace(TOPIC, classes=None), TextExample("a", label="NUM")),
    ],
)
def test_a_label_that_is_not_a_class_is_refused(task: Any, example: TextExample, mini: Any) -> None:
    with pytest.raises(
        CorpusError, match="the label 'NUM' in the test data of 'sw' is not one of the classes"
    ) as caught:
        encode(task, CLASSES, split(example, name="test"), mini, SETTINGS)
    assert "ADJ, NOUN, VERB" in caught.value.hint
    assert "--relabel NUM=" in caught.value.hint


@pytest.mark.parametrize(
    ("task", "example"),
    [
        (POS, TextExample("a b", label="NOUN")),
        (POS, TextExample(("a", "b"))),
        (TOPIC, TextExample(("a", "b"), label=("NOUN", "NOUN"))),
        (TOPIC, question("a", "b c", "c")),
        (QA, TextExample("a", "b c", "NOUN")),
    ],
)
def test_examples_of_another_task_are_refused(task: Any, example: TextExample, mini: Any) -> None:
    with pytest.raises(CorpusError) as caught:
        encode(task, CLASSES, split(example), mini, SETTINGS)
    assert caught.value.hint == "check --task."


def test_a_tokenizer_that_cannot_align_words_is_refused() -> None:
    class Slow:
        is_fast = False
        model_max_length = 512

        def num_special_tokens_to_add(self, *, pair: bool) -> int:
            return 2 + pair

    for task, example in ((POS, tagged(("a",))), (QA, question("a", "b c", "c"))):
        with pytest.raises(ModelError, match="Slow does not provide the character range of each token") as caught:
            encode(task, CLASSES, split(example), Slow(), SETTINGS)
        assert "tokenizer.json" in caught.value.hint


def test_inputs_longer_than_the_model_allows_are_refused(mini: Any) -> None:
    longest = mini.model_max_length
    with pytest.raises(UsageError, match=f"have at most {longest} tokens, not {longest + 1}"):
        encode(POS, CLASSES, split(tagged(("a",))), mini, replace(SETTINGS, max_length=longest + 1))


# --------------------------------------------------------------------------------------------- batches


def test_batches_are_padded_on_the_right() -> None:
    features = [
        Feature({"input_ids": [5, 6, 7], "token_type_ids": [0, 1, 1]}, {"labels": [IGNORED, 2, 1]}, 0),
        Feature({"input_ids": [8], "token_type_ids": [1]}, {"labels": [0]}, 1),
    ]
    batch = {name: value.tolist() for name, value in collate(features, 9).items()}
    assert batch == {
        "input_ids": [[5, 6, 7], [8, 9, 9]],
        "token_type_ids": [[0, 1, 1], [1, 0, 0]],
        "attention_mask": [[1, 1, 1], [1, 0, 0]],
        "labels": [[IGNORED, 2, 1], [0, IGNORED, IGNORED]],
    }
    texts = [Feature({"input_ids": [5]}, {"labels": 3}, 0), Feature({"input_ids": [5, 5]}, {"labels": 4}, 1)]
    assert collate(texts, 0)["labels"].tolist() == [3, 4]


def test_batches_by_length_have_every_feature_once() -> None:
    features = [Feature({"input_ids": [0] * size}, {}, n) for n, size in enumerate([3, 9, 1, 9, 4, 2, 7])]
    batches = list(by_length(features, 3))
    assert sorted(index for batch in batches for index in batch) == list(range(7))
    assert [len(features[index]) for batch in batches for index in batch] == [9, 9, 7, 4, 3, 2, 1]
    assert [len(batch) for batch in batches] == [3, 3, 1]
