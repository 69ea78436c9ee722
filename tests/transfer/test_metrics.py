"""Tasks, settings, and metrics compared with loops written from the definitions."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.transfer import PRESETS, TASKS, class_names, metrics
from xsns_stream.transfer.encoding import labels_of
from xsns_stream.types import LabelledSplit, TextExample
from xsns_stream.types.text import AnswerSpan

TAGS = ("O", "B-PER", "I-PER", "B-LOC", "I-LOC")


def draws(choices: tuple[str, ...], count: int, seed: int) -> list[str]:
    return [str(one) for one in np.random.default_rng(seed).choice(choices, count)]


def split(*examples: TextExample, language: str = "en", name: str = "train") -> LabelledSplit:
    return LabelledSplit(language, name, examples, "a test")


# --------------------------------------------------------------------------------------------- classes


@pytest.mark.parametrize("seed", range(5))
def test_accuracy_and_macro_f1_equal_loops(seed: int) -> None:
    truth, predicted = draws(("a", "b", "c"), 40, seed), draws(("a", "b", "c", "d"), 40, seed + 100)
    hits = 0
    for one, other in zip(truth, predicted, strict=True):
        hits += one == other
    assert metrics.accuracy(truth, predicted) == pytest.approx(100 * hits / 40)
    each = []
    for name in sorted({*truth, *predicted}):
        both = sum(t == name == p for t, p in zip(truth, predicted, strict=True))
        each.append(2 * both / (truth.count(name) + predicted.count(name)))
    assert metrics.macro_f1(truth, predicted) == pytest.approx(100 * sum(each) / len(each))


def test_macro_f1_counts_classes_that_are_never_predicted() -> None:
    assert metrics.macro_f1(["a", "a", "b"], ["a", "a", "a"]) == pytest.approx(100 * (0.8 + 0) / 2)


# -------------------------------------------------------------------------------------------- entities


def entities(tags: list[str]) -> set[tuple[str, int, int]]:
    """Return entities as in CoNLL-2003: B-, or I- after another type or none, begins an entity, and I- continues it."""
    spans, begun = set(), None
    for index, tag in enumerate([*tags, "O"]):
        kind = tag[2:]
        if begun is not None and not (tag[0] == "I" and kind == begun[0]):
            spans.add((begun[0], begun[1], index))
            begun = None
        if tag != "O" and begun is None:
            begun = (kind, index)
    return spans


@pytest.mark.parametrize("seed", range(8))
def test_entity_f1_equals_a_loop(seed: int) -> None:
    rng = np.random.default_rng(seed)
    truth = [draws(TAGS, int(size), seed * 50 + n) for n, size in enumerate(rng.integers(1, 12, 20))]
    # Predictions are mostly right, so that some entities are found.
    predicted = [
        [tag if rng.random() < 0.7 else other for tag, other in zip(tags, draws(TAGS, len(tags), n), strict=True)]
        for n, tags in enumerate(truth)
    ]
    right = sum(len(entities(a) & entities(b)) for a, b in zip(truth, predicted, strict=True))
    gold_count, predicted_count = (sum(len(entities(tags)) for tags in side) for side in (truth, predicted))
    assert right > 0
    assert metrics.entity_f1(truth, predicted) == pytest.approx(100 * 2 * right / (gold_count + predicted_count))
    assert metrics.count_entities(truth) == gold_count


@pytest.mark.parametrize(
    ("truth", "predicted", "expected"),
    [
        (["B-PER", "I-PER", "O"], ["B-PER", "I-PER", "O"], 100),
        (["B-PER", "I-PER", "O"], ["B-PER", "O", "O"], 0),  # the extent is wrong
        (["B-PER", "I-PER", "O"], ["B-LOC", "I-LOC", "O"], 0),  # the type is
        (["B-PER", "I-PER", "O"], ["I-PER", "I-PER", "O"], 100),  # no beginning is needed
        (["B-PER", "B-PER"], ["B-PER", "I-PER"], 0),  # two entities are not one
        (["B-PER", "O", "B-LOC"], ["B-PER", "O", "O"], 200 / 3),
        (["O", "O"], ["O", "O"], 0),  # there is no entity, and no warning
        (["O", "O"], ["O", "B-PER"], 0),
    ],
)
def test_entity_f1_equals_values_computed_by_hand(truth: list[str], predicted: list[str], expected: float) -> None:
    assert metrics.entity_f1([truth], [predicted]) == pytest.approx(expected)


def test_an_entity_ends_with_its_sentence() -> None:
    assert metrics.count_entities([["O", "B-PER"], ["I-PER", "O"]]) == 2


# --------------------------------------------------------------------------------------------- answers


@pytest.mark.parametrize(
    ("answer", "plain"),
    [
        ("The Eiffel Tower", "eiffel tower"),
        ("  in   1889. ", "in 1889"),
        ("an apple, a pear; the plum!", "apple pear plum"),
        ("theatre and answer", "theatre and answer"),  # articles are words, not letters
        ("co-operate", "cooperate"),
        ("the", ""),
        ("“quoted”", "“quoted”"),  # only ASCII punctuation is removed, as in the evaluation script
        ("L'été\n dernier", "lété dernier"),
    ],
)
def test_answers_are_normalised_as_by_squad(answer: str, plain: str) -> None:
    assert metrics.normalised(answer) == plain


@pytest.mark.parametrize(
    ("truth", "predicted", "f1", "exact"),
    [
        ("the Eiffel Tower", "Eiffel tower.", 100, 100),
        ("the Eiffel Tower in Paris", "Eiffel Tower", 200 * 1 * 0.5 / 1.5, 0),
        ("red red fish", "red fish fish", 200 / 3, 0),  # repeated words count as often as they occur
        ("Paris", "London", 0, 0),
        ("Paris", "", 0, 0),
        ("the", "a", 100, 100),  # both answers are empty
        ("北京大学", "北京", 0, 0),  # one word
        ("北京", "北京。", 0, 0),
    ],
)
def test_answer_metrics_equal_values_computed_by_hand(truth: str, predicted: str, f1: float, exact: float) -> None:
    assert metrics.answer_f1([truth], [predicted]) == pytest.approx(f1)
    assert metrics.exact_match([truth], [predicted]) == exact


def test_of_several_reference_answers_the_best_counts() -> None:
    """As in the evaluation script of SQuAD: the maximum over the references, for each metric on its own."""
    references = [("in Paris", "Paris", "the city of Paris"), ("1889",), ("red fish", "blue fish")]
    predicted = ["paris", "1890", "a blue bird"]
    assert metrics.exact_match(references, predicted) == pytest.approx(100 / 3)
    assert metrics.answer_f1(references, predicted) == pytest.approx(100 * (1 + 0 + 0.5) / 3)


@pytest.mark.parametrize("seed", range(4))
def test_answer_f1_is_precision_and_recall(seed: int) -> None:
    words = ("red", "blue", "fish", "house")
    rng = np.random.default_rng(seed)
    truth, predicted = ([draws(words, int(rng.integers(1, 5)), seed + n) for n in span] for span in ([1, 2], [3, 4]))
    total = 0.0
    for gold_words, answer in zip(truth, predicted, strict=True):
        unmatched, shared = list(gold_words), 0
        for word in answer:
            if word in unmatched:
                unmatched.remove(word)
                shared += 1
        precision, recall = shared / len(answer), shared / len(gold_words)
        total += 2 * precision * recall / (precision + recall) if shared else 0.0
    assert metrics.answer_f1([" ".join(w) for w in truth], [" ".join(w) for w in predicted]) == pytest.approx(
        50 * total
    )


# ----------------------------------------------------------------------------------------------- tasks


def test_the_classes_of_a_task_follow_from_its_data() -> None:
    topics = [split(TextExample("a", label="sport")), split(TextExample("b", label="art"), language="fi")]
    assert class_names(TASKS["topic"], topics) == ("art", "sport")
    tagged = split(TextExample(("a", "b"), label=("O", "B-PER")), TextExample(("c",), label=("",)))
    assert labels_of(tagged) == {"O", "B-PER"}
    assert class_names(TASKS["ner"], [tagged]) == ("B-PER", "O")
    assert len(class_names(TASKS["pos"], [])) == 17
    answered = split(TextExample("who?", "she", AnswerSpan(0, "she")))
    assert class_names(TASKS["qa"], [answered]) == ()


def test_parts_of_speech_are_not_named_entities() -> None:
    wrong = split(TextExample(("a", "b"), label=("NOUN", "O")), language="fi", name="test")
    with pytest.raises(CorpusError, match="the tag 'NOUN' in the test data of 'fi'") as caught:
        class_names(TASKS["ner"], [wrong])
    assert "--task" in caught.value.hint


def test_every_task_has_a_headline() -> None:
    for name, task in TASKS.items():
        assert (task.name, task.unit) == (name, "percent")
        assert len(set(task.metrics)) == len(task.metrics) > 0
    assert {name: task.metrics[0] for name, task in TASKS.items()} == {
        "ner": "f1",
        "pos": "accuracy",
        "nli": "accuracy",
        "pi": "accuracy",
        "qa": "f1",
        "topic": "accuracy",
    }


# -------------------------------------------------------------------------------------------- settings


def test_the_preset_paper_has_the_settings_of_the_paper() -> None:
    paper = PRESETS["paper"]
    assert (paper.learning_rate, paper.batch_size, paper.epochs, paper.patience) == (1e-5, 16, 20, 5)
    assert set(PRESETS) == {"paper", "quick"}
    for name, preset in PRESETS.items():
        assert preset.preset == name


def test_the_record_has_the_settings_that_the_result_depends_on() -> None:
    quick = PRESETS["quick"]
    assert quick.as_record() == replace(quick, device="cuda", evaluation_batch=1, preset="x").as_record()
    decisive = {"learning_rate": 1e-3, "batch_size": 7, "epochs": 9, "patience": 3, "warmup_share": 0.5}
    decisive |= {"weight_decay": 0.1, "max_length": 64, "stride": 3, "group_by_length": False, "precision": "bf16"}
    for name, value in decisive.items():
        assert replace(quick, **{name: value}).as_record() != quick.as_record(), name
    assert set(decisive) == set(quick.as_record())


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"batch_size": 0}, "batch size"),
        ({"epochs": 0}, "epochs"),
        ({"patience": 0}, "patience"),
        ({"evaluation_batch": 0}, "evaluation batch"),
        ({"learning_rate": 0.0}, "learning rate"),
        ({"learning_rate": 1.0}, "learning rate"),
        ({"warmup_share": 1.0}, "warm-up"),
        ({"weight_decay": -0.1}, "weight decay"),
        ({"max_length": 7, "stride": 0}, "leaves no room"),
        ({"max_length": 20, "stride": 11}, "leaves no room"),
        ({"precision": "int8"}, "int8"),
        ({"precision": "fp16"}, "fp16 needs a GPU"),
        ({"device": "cuda:1"}, "first GPU"),
    ],
)
def test_invalid_settings_are_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        replace(PRESETS["quick"], **change)
    assert caught.value.hint


def test_half_precision_is_accepted_where_it_is_supported() -> None:
    for device, precision in itertools.product(("cuda", "cuda:0"), ("float32", "bf16", "fp16")):
        assert replace(PRESETS["quick"], device=device, precision=precision).precision == precision
    assert replace(PRESETS["quick"], precision="bf16").device == "cpu"
