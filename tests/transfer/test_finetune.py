"""Fine-tuning and testing: a small random model learns simple tasks, reproducibly, and leaves no global state."""

from __future__ import annotations

import gc
import os
import random
import tempfile
import weakref
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers as tf

from tests.support.file_limits import largest_file
from xsns_stream.errors import CorpusError, ModelError, UsageError, XsnsError
from xsns_stream.models import load_model
from xsns_stream.transfer import (
    TASKS,
    FineTuning,
    class_names,
    equal_shares,
    fine_tune,
    save_model,
    score,
    time_steps,
)
from xsns_stream.transfer.encoding import enough_memory
from xsns_stream.transfer.finetune import subsample
from xsns_stream.transfer.scoring import _best_span
from xsns_stream.types import LabelledSplit, TextExample
from xsns_stream.types.text import AnswerSpan

pytestmark = pytest.mark.usefixtures("one_thread")

WORDS = tuple(f"{a}{b}" for a in "bdfgklmn" for b in "aeiou")
SETTINGS = FineTuning("toy", 5e-3, 8, 6, 6, warmup_share=0.1, max_length=24, stride=8, group_by_length=True)
KINDS = {"token-classification": "Token", "sequence-classification": "Sequence"}


# -------------------------------------------------------------------------------------------- the toys


def drawn_words(rng: np.random.Generator, few: int, many: int) -> tuple[str, ...]:
    return tuple(map(str, rng.choice(WORDS, int(rng.integers(few, many)))))


def tagged(rng: np.random.Generator, names: tuple[str, ...]) -> TextExample:
    """Return a sentence in which each word always has the same tag."""
    words = drawn_words(rng, 3, 9)
    return TextExample(words, label=tuple(names[WORDS.index(word) % len(names)] for word in words))


def classified(rng: np.random.Generator, pair: bool) -> TextExample:
    """Return a text, or a pair of texts, whose class depends on which of three words it contains."""
    kind = int(rng.integers(3))
    words = [str(word) for word in rng.choice(WORDS[3:], 4)]
    words[int(rng.integers(4))] = WORDS[kind]
    split = 2 if pair else 4
    return TextExample(" ".join(words[:split]), " ".join(words[split:]) or None, ("one", "three", "two")[kind])


def answered(rng: np.random.Generator, length: int = 12) -> TextExample:
    """Return a question whose answer is a word that occurs once in the passage."""
    words = [str(word) for word in rng.choice(WORDS[:-2], length)]
    position = int(rng.integers(length))
    words[position] = WORDS[-1]
    start = len(" ".join(words[:position])) + bool(position)
    return TextExample(WORDS[-2], " ".join(words), AnswerSpan(start, WORDS[-1]))


MAKERS: dict[str, Callable[[np.random.Generator], TextExample]] = {
    "pos": lambda rng: tagged(rng, ("NOUN", "VERB", "ADJ")),
    "ner": lambda rng: tagged(rng, ("O", "B-PER", "O", "B-LOC")),
    "topic": lambda rng: classified(rng, False),
    "nli": lambda rng: classified(rng, True),
    "pi": lambda rng: classified(rng, True),
    "qa": answered,
}


def made(task: str, count: int, name: str = "train", language: str = "sw", seed: int = 0) -> LabelledSplit:
    rng = np.random.default_rng([seed, ("train", "dev", "test").index(name)])
    return LabelledSplit(language, name, tuple(MAKERS[task](rng) for _ in range(count)), "a test")


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS, *(f"##{word}" for word in WORDS))
    return tf.BertTokenizer(vocab={name: number for number, name in enumerate(names)}, model_max_length=64)


def model_for(task: str, labels: tuple[str, ...], seed: int = 0, **settings: Any) -> Any:
    """A BERT of one layer and width 32 with random weights."""
    sizes = {"vocab_size": 5 + 2 * len(WORDS), "hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    sizes |= {"intermediate_size": 64, "max_position_embeddings": 64, "num_labels": len(labels) or 2}
    kind = TASKS[task].objective
    name = f"BertFor{KINDS[kind]}Classification" if kind in KINDS else "BertForQuestionAnswering"
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return getattr(tf, name)(tf.BertConfig(**sizes | settings)).eval()


def tuned(
    task: str, tokenizer: Any, settings: FineTuning = SETTINGS, seed: int = 1, count: int = 96, **more: Any
) -> tuple[Any, dict[str, Any], tuple[str, ...]]:
    train, dev = more.pop("train", [made(task, count)]), more.pop("dev", [made(task, 16, "dev")])
    labels = class_names(TASKS[task], [*train, *dev])
    model = more.pop("model", None) or model_for(task, labels)
    result = fine_tune(model, tokenizer, TASKS[task], labels, train, dev, settings, seed, **more)
    assert result.model is model
    return result.model, result.training, labels


def weights(model: Any) -> dict[str, torch.Tensor]:
    return {name: value.detach().clone() for name, value in model.state_dict().items()}


def alike(one: dict[str, torch.Tensor], other: dict[str, torch.Tensor]) -> bool:
    return all(torch.equal(one[name], other[name]) for name in one)


# -------------------------------------------------------------------------------------------- learning


@pytest.mark.parametrize("task", list(TASKS))
def test_a_simple_task_is_learnt(task: str, tokenizer: Any) -> None:
    model, training, labels = tuned(task, tokenizer, count=160)
    test = made(task, 40, "test")
    scores = score(model, tokenizer, TASKS[task], labels, test, SETTINGS)
    assert tuple(scores.metrics) == tuple(scores.trivial) == TASKS[task].metrics
    assert (scores.target, scores.examples) == ("sw", 40)
    assert min(scores.metrics.values()) >= 90
    assert scores.metrics[TASKS[task].metrics[0]] > scores.trivial[TASKS[task].metrics[0]] + 20
    assert not model.training
    assert training["examples"] == 160
    assert training["dev_examples"] == 16
    assert len(training["dev"]) == training["epochs"]
    assert training["dev"][training["best_epoch"] - 1] == max(training["dev"])
    assert training["steps"] == 20 * training["epochs"]
    assert training["examples_per_second"] == pytest.approx(160 * training["epochs"] / training["seconds"])
    words = sum(len(example.text) for example in test.examples)
    assert scores.units == {"pos": words, "ner": scores.units}.get(task, 40)


def test_an_untrained_model_is_at_chance(tokenizer: Any) -> None:
    labels = class_names(TASKS["topic"], [made("topic", 40)])
    scores = score(model_for("topic", labels), tokenizer, TASKS["topic"], labels, made("topic", 40, "test"), SETTINGS)
    assert scores.metrics["accuracy"] < 70


def test_the_weights_of_the_best_epoch_are_returned(tokenizer: Any) -> None:
    """Dev data have other tags than the training data, so that more training gives worse scores."""
    dev = made("pos", 16, "dev")
    other = {"NOUN": "VERB", "VERB": "ADJ", "ADJ": "NOUN"}
    against = tuple(replace(e, label=tuple(other[tag] for tag in e.label or ())) for e in dev.examples)
    dev = replace(dev, examples=against)
    settings = replace(SETTINGS, learning_rate=1e-3, epochs=12, patience=2, warmup_share=0.5)
    model, training, labels = tuned("pos", tokenizer, settings, dev=[dev])
    assert training["stopped_early"]
    assert training["epochs"] == training["best_epoch"] + 2 < 12
    assert training["dev"][-1] < max(training["dev"])
    scores = score(model, tokenizer, TASKS["pos"], labels, dev, settings)
    assert scores.metrics["accuracy"] == max(training["dev"])
    # The weights equal those of a training that stops there with the same schedule.
    stopped_weights = []
    again = model_for("pos", labels)

    def stop(done: int, total: int, dev: float | None) -> None:
        if done == 12 * training["best_epoch"]:
            stopped_weights.append(weights(again))

    tuned("pos", tokenizer, settings, dev=[dev], model=again, on_step=stop)
    assert alike(stopped_weights[0], weights(model))


def test_the_same_seed_gives_the_same_bits(tokenizer: Any) -> None:
    settings = replace(SETTINGS, epochs=1)
    first, again, other = (weights(tuned("pos", tokenizer, settings, seed)[0]) for seed in (1, 1, 2))
    assert alike(first, again)
    assert not alike(first, other)


def test_dev_data_are_not_trained_on(tokenizer: Any) -> None:
    settings = replace(SETTINGS, epochs=1)
    little, much = [made("pos", 1, "dev")], [made("pos", 30, "dev"), made("pos", 9, "dev", "fi", 5)]
    trained_weights = [weights(tuned("pos", tokenizer, settings, dev=dev)[0]) for dev in (little, much)]
    assert alike(*trained_weights)


def test_steps_are_reported(tokenizer: Any) -> None:
    steps: list[tuple[int, int, float | None]] = []
    _, training, _ = tuned("pos", tokenizer, replace(SETTINGS, epochs=2), on_step=lambda *step: steps.append(step))
    assert [step[:2] for step in steps] == [(n, 24) for n in range(1, 25)]
    assert {dev for _, _, dev in steps[:12]} == {None}
    assert {dev for _, _, dev in steps[12:]} == {training["dev"][0]}


def test_dropout_is_used_only_in_training(tokenizer: Any) -> None:
    settings = replace(SETTINGS, epochs=1)
    labels = class_names(TASKS["pos"], [])
    without = {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
    models = model_for("pos", labels), model_for("pos", labels, **without)
    test = made("pos", 10, "test")
    scores = [score(model, tokenizer, TASKS["pos"], labels, test, settings) for model in models]
    assert scores[0] == scores[1]
    trained_weights = [weights(tuned("pos", tokenizer, settings, model=model)[0]) for model in models]
    assert not alike(*trained_weights)


# ---------------------------------------------------------------------------------------- several sources


def test_several_sources_share_equally() -> None:
    splits = [made("pos", 30), made("pos", 12, language="fi", seed=4), made("pos", 20, language="et", seed=5)]
    shares = equal_shares(splits)
    assert [(split.language, len(split)) for split in shares] == [("sw", 12), ("fi", 12), ("et", 12)]
    assert shares == equal_shares(splits)
    for share, full in zip(shares, splits, strict=True):
        positions = [full.examples.index(example) for example in share.examples]
        assert positions == sorted(set(positions))
    assert equal_shares(splits, seed=1)[0] != shares[0]
    assert equal_shares(splits[:1]) == (splits[0],)


def test_a_larger_sample_includes_the_smaller() -> None:
    split = made("pos", 30)
    draws = [set(subsample(split, count).examples) for count in (5, 10, 30, 99)]
    assert [len(sample) for sample in draws] == [5, 10, len(set(split.examples)), len(set(split.examples))]
    assert draws[0] < draws[1] < draws[2] == draws[3]


def test_the_dev_metric_of_several_sources_is_their_mean(tokenizer: Any) -> None:
    dev = [made("pos", 20, "dev"), made("pos", 3, "dev", "fi", 7)]
    train = [made("pos", 40), made("pos", 40, language="fi", seed=7)]
    model, training, labels = tuned("pos", tokenizer, replace(SETTINGS, epochs=1), train=train, dev=dev)
    accuracies = [score(model, tokenizer, TASKS["pos"], labels, split, SETTINGS).metrics["accuracy"] for split in dev]
    assert accuracies[0] != accuracies[1]
    assert training["dev"] == [pytest.approx(sum(accuracies) / 2)]
    assert training["examples"] == 80


# ------------------------------------------------------------------------------------ left as it was found


@pytest.fixture
def own_temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def test_global_state_is_restored(
    tokenizer: Any, own_temporary: Path, capfd: Any, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    random.seed(3)
    np.random.seed(3)
    torch.manual_seed(3)

    def state() -> tuple[Any, ...]:
        return (
            random.getstate(),
            np.random.get_state()[1].tolist(),
            torch.random.get_rng_state().tolist(),
            torch.get_num_threads(),
            torch.is_grad_enabled(),
            torch.are_deterministic_algorithms_enabled(),
            tf.utils.logging.get_verbosity(),
            tf.utils.logging.is_progress_bar_enabled(),
            dict(os.environ),
        )

    capfd.readouterr()
    before = state()
    for precision in ("float32", "bf16"):
        model, _, _ = tuned("pos", tokenizer, replace(SETTINGS, epochs=1, precision=precision))
        assert state() == before
        assert "forward" not in model.__dict__
        assert not any(hasattr(module, "_hf_hook") for module in model.modules())
        assert {value.dtype for value in model.parameters()} == {torch.float32}
    assert list(own_temporary.iterdir()) == []
    assert list(tmp_path.iterdir()) == [own_temporary]
    assert tuple(capfd.readouterr()) == ("", "")


def test_half_precision_does_not_persist(tokenizer: Any) -> None:
    settings = replace(SETTINGS, epochs=1)
    half = replace(settings, precision="bf16")
    trained_weights = [weights(tuned("pos", tokenizer, one)[0]) for one in (settings, half, settings)]
    assert alike(trained_weights[0], trained_weights[2])
    assert not alike(trained_weights[0], trained_weights[1])


def test_the_optimiser_is_freed_after_training(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """The memory is freed at once, so that the next model has room."""
    references: list[weakref.ref[Any]] = []

    class Seen(torch.optim.AdamW):
        def __init__(self, *args: Any, **keywords: Any) -> None:
            super().__init__(*args, **keywords)
            references.append(weakref.ref(self))

    monkeypatch.setattr(torch.optim, "AdamW", Seen)
    gc.disable()
    try:
        tuned("pos", tokenizer, replace(SETTINGS, epochs=1), count=16)
        alive = [reference() is not None for reference in references]
    finally:
        gc.enable()
    assert alive == [False]


def test_scoring_restores_the_mode_of_the_model(tokenizer: Any) -> None:
    labels = class_names(TASKS["pos"], [])
    model = model_for("pos", labels)
    for training in (True, False):
        score(model.train(training), tokenizer, TASKS["pos"], labels, made("pos", 3, "test"), SETTINGS)
        assert model.training is training
    assert all(value.grad is None for value in model.parameters())


# --------------------------------------------------------------------------------------------- scoring


def test_token_accuracy_equals_a_loop_over_sentences(tokenizer: Any) -> None:
    model, _, labels = tuned("pos", tokenizer, replace(SETTINGS, epochs=1))
    test = made("pos", 25, "test")
    right = words = 0
    for example in test.examples:
        encoding = tokenizer(list(example.text), is_split_into_words=True, return_tensors="pt")
        with torch.no_grad():
            logits = model(**encoding).logits[0]
        numbers = encoding.word_ids()
        for word, tag in enumerate(example.label or ()):
            right += labels[int(logits[numbers.index(word)].argmax())] == tag
            words += 1
    for size in (1, 4, 64):
        scores = score(model, tokenizer, TASKS["pos"], labels, test, replace(SETTINGS, evaluation_batch=size))
        assert scores.metrics["accuracy"] == pytest.approx(100 * right / words)
        assert scores.units == words
    tags = [tag for example in test.examples for tag in example.label or ()]
    assert scores.trivial["accuracy"] == pytest.approx(100 * max(tags.count(tag) for tag in set(tags)) / len(tags))


def test_every_word_of_a_long_sentence_is_scored(tokenizer: Any) -> None:
    model, _, labels = tuned("pos", tokenizer)
    rng = np.random.default_rng(2)
    long = [tagged(rng, ("NOUN", "VERB", "ADJ")) for _ in range(12)]
    joined = TextExample(sum((e.text for e in long), ()), label=sum((e.label for e in long), ()))  # type: ignore[arg-type]
    scores = score(model, tokenizer, TASKS["pos"], labels, LabelledSplit("sw", "test", (joined,), "a test"), SETTINGS)
    assert scores.units == len(joined.text) > 2 * SETTINGS.max_length
    assert scores.metrics["accuracy"] >= 90


def test_a_word_without_tokens_is_wrong_or_outside(tokenizer: Any) -> None:
    for task, tags, expected in (("pos", ("NOUN", "VERB"), 0.0), ("ner", ("O", "B-PER"), 50.0)):
        labels = class_names(TASKS[task], [made(task, 40)])
        test = LabelledSplit("sw", "test", (TextExample(("\u200d", "\u200d"), label=tags),), "a test")
        metric = "accuracy" if task == "pos" else "token-accuracy"
        scores = score(model_for(task, labels), tokenizer, TASKS[task], labels, test, SETTINGS)
        assert scores.metrics[metric] == expected
        assert scores.units == (2 if task == "pos" else 1)


def test_trivial_answers_have_the_scores_of_the_most_frequent_class(tokenizer: Any) -> None:
    labels = ("one", "three", "two")
    examples = tuple(TextExample("ba", label=name) for name in ("two", "two", "two", "one"))
    test = LabelledSplit("sw", "test", examples, "a test")
    scores = score(model_for("topic", labels), tokenizer, TASKS["topic"], labels, test, SETTINGS)
    assert scores.trivial == {"accuracy": 75.0, "macro-f1": pytest.approx(100 * (6 / 7) / 2)}
    ner = class_names(TASKS["ner"], [made("ner", 40)])
    test = made("ner", 20, "test")
    tags = [tag for example in test.examples for tag in example.label or ()]
    scores = score(model_for("ner", ner), tokenizer, TASKS["ner"], ner, test, SETTINGS)
    assert scores.trivial == {"f1": 0.0, "token-accuracy": pytest.approx(100 * tags.count("O") / len(tags))}
    assert scores.units == len(tags) - tags.count("O")


def test_an_answer_beyond_the_first_window_is_found(tokenizer: Any) -> None:
    model, _, labels = tuned("qa", tokenizer, count=120)
    words = [*(WORDS[n % 30] for n in range(70)), WORDS[-1], *(WORDS[n % 30] for n in range(20))]
    example = TextExample(WORDS[-2], " ".join(words), AnswerSpan(len(" ".join(words[:70])) + 1, WORDS[-1]))
    test = LabelledSplit("sw", "test", (example,), "a test")
    scores = score(model, tokenizer, TASKS["qa"], labels, test, SETTINGS)
    assert scores.metrics == {"f1": 100.0, "exact-match": 100.0}
    assert scores.trivial == {"f1": 0.0, "exact-match": 0.0}


@pytest.mark.parametrize("seed", range(6))
def test_the_best_span_is_the_best_of_all_spans(seed: int) -> None:
    rng = np.random.default_rng(seed)
    size, begin = 50, int(rng.integers(2, 20))
    offsets = [None if token < begin or token == size - 1 else (3 * token, 3 * token + 2) for token in range(size)]
    starts, ends = rng.standard_normal((2, size + 7)).astype(np.float32)
    # The highest scores are in the question, in the padding, and for spans that are reversed or too long.
    starts[1] = ends[0] = ends[size + 3] = 50
    starts[begin] = ends[begin + 30] = 5
    best = None
    for start in range(size):
        for end in range(start, min(size, start + 30)):
            first, last = offsets[start], offsets[end]
            value = float(starts[start] + ends[end])
            if first is not None and last is not None and (best is None or value > best[0]):
                best = (value, first[0], last[1])
    assert _best_span(starts, ends, offsets) == best
    assert _best_span(starts, ends, [None] * size) is None


# ------------------------------------------------------------------------------------------ other models


@pytest.mark.parametrize("family", ["gpt2", "llama", "t5", "mbart", "albert", "modernbert"])
def test_decoders_and_encoder_decoders_are_fine_tuned(family: str, zoo: Any, tmp_path: Path) -> None:
    """Decoders and encoder-decoders with the head that `load_model` gives them."""
    task = "topic" if family in ("mbart", "gpt2") else "pos"
    folder = tmp_path / family
    zoo.make(family).float().save_pretrained(folder)
    closing().save_pretrained(folder)
    train = made(task, 64)
    labels = class_names(TASKS[task], [train])
    loaded = load_model(str(folder), objective=TASKS[task].objective, label_count=len(labels), head_seed=1)
    settings = replace(SETTINGS, epochs=4, learning_rate=3e-3)
    before = score(loaded.model, loaded.tokenizer, TASKS[task], labels, train, settings).metrics
    fine_tune(loaded.model, loaded.tokenizer, TASKS[task], labels, [train], [made(task, 8, "dev")], settings, 1)
    after = score(loaded.model, loaded.tokenizer, TASKS[task], labels, train, settings).metrics
    assert after["accuracy"] > before["accuracy"] + 10


def closing() -> Any:
    """A tokenizer of whole words within the zoo's vocabulary, with a token at the end of every text."""
    from tokenizers import Tokenizer, models, pre_tokenizers, processors

    names = ("<s>", "<pad>", "</s>", "<mask>", "<unk>", *WORDS)
    model = Tokenizer(models.WordLevel({name: number for number, name in enumerate(names)}, unk_token="<unk>"))
    model.pre_tokenizer = pre_tokenizers.Whitespace()
    model.post_processor = processors.TemplateProcessing("$A </s>", pair="$A $B </s>", special_tokens=[("</s>", 2)])
    return tf.PreTrainedTokenizerFast(
        tokenizer_object=model, pad_token="<pad>", eos_token="</s>", unk_token="<unk>", model_max_length=60
    )


# ----------------------------------------------------------------------------------------- keeping, timing


@pytest.mark.parametrize("task", ["pos", "qa"])
def test_a_saved_model_gives_the_same_scores(task: str, tokenizer: Any, tmp_path: Path) -> None:
    model, _, labels = tuned(task, tokenizer, replace(SETTINGS, epochs=1))
    folder = tmp_path / "kept" / "sw-1"
    for _ in range(2):  # an existing model is replaced
        save_model(model, tokenizer, folder, labels)
    assert [path.name for path in folder.parent.iterdir()] == ["sw-1"]
    assert {path.suffix for path in folder.iterdir()} <= {".safetensors", ".json", ".txt"}
    back = load_model(str(folder), objective=TASKS[task].objective, label_count=len(labels) or None, head_seed=99)
    assert alike(weights(model), weights(back.model))
    test = made(task, 12, "test")
    scores = [
        score(m, t, TASKS[task], labels, test, SETTINGS) for m, t in ((model, tokenizer), (back.model, back.tokenizer))
    ]
    assert scores[0] == scores[1]
    if labels:
        assert tuple(back.model.config.id2label[n] for n in range(len(labels))) == labels
        assert back.model.config.label2id == {name: n for n, name in enumerate(labels)}


@pytest.mark.parametrize("written", ["model", "tokenizer"])
def test_a_disk_that_takes_no_more_is_named(
    written: str, tokenizer: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """safetensors and tokenizers raise errors of their own types."""
    model = tf.BertForTokenClassification(
        tf.BertConfig(vocab_size=100, hidden_size=32, num_hidden_layers=1, num_attention_heads=2, intermediate_size=64)
    )
    (tmp_path / "kept").mkdir()
    (tmp_path / "kept" / "of before").touch()
    if written == "tokenizer":
        monkeypatch.setattr(model, "save_pretrained", lambda folder: None)
    with (
        largest_file(1000),
        pytest.raises(XsnsError, match=r"the fine-tuned model cannot be saved in '.*': File too large\.") as caught,
    ):
        save_model(model, tokenizer, tmp_path / "kept", ())
    assert "check the free space" in caught.value.hint
    assert [path.name for path in tmp_path.rglob("*")] == ["kept", "of before"]


def test_times_of_training_and_testing_are_measured(tokenizer: Any) -> None:
    labels = class_names(TASKS["pos"], [])
    train, test = made("pos", 50), made("pos", 20, "test")
    times = time_steps(model_for("pos", labels), tokenizer, TASKS["pos"], labels, train, test, SETTINGS)
    assert 0 < times.training < 1
    assert 0 < times.testing < 1


# ---------------------------------------------------------------------------------------------- errors


def test_weights_that_become_nan_are_an_error(tokenizer: Any) -> None:
    labels = class_names(TASKS["pos"], [])
    model = model_for("pos", labels)
    with torch.no_grad():
        model.classifier.bias[0] = torch.inf
    with pytest.raises(XsnsError, match="became NaN or infinite") as caught:
        tuned("pos", tokenizer, model=model)
    assert "--lr" in caught.value.hint
    assert "float32" in caught.value.hint


def test_a_window_without_labels_is_not_trained_on(tokenizer: Any) -> None:
    """In a batch of its own, such a window would have a loss of NaN."""
    train = made("pos", 8)
    words = train.examples[0].text * 12
    half = TextExample(words, label=("NOUN",) + ("",) * (len(words) - 1))  # type: ignore[arg-type]
    more = replace(train, examples=(*train.examples, half))
    model, training, _ = tuned("pos", tokenizer, replace(SETTINGS, batch_size=1, epochs=1), train=[more])
    assert training["steps"] == 9
    assert all(bool(value.isfinite().all()) for value in model.parameters())


def test_data_without_labels_are_refused(tokenizer: Any) -> None:
    empty = LabelledSplit("fi", "train", (TextExample(("ba", "be"), label=("", "")),), "a test")
    with pytest.raises(CorpusError, match="no training example of 'fi'"):
        tuned("pos", tokenizer, train=[empty])
    labels = class_names(TASKS["pos"], [])
    with pytest.raises(CorpusError, match="no word of the test set of 'fi' has a label"):
        score(model_for("pos", labels), tokenizer, TASKS["pos"], labels, replace(empty, split="test"), SETTINGS)


def test_dev_labels_are_checked_before_training(tokenizer: Any) -> None:
    dev = LabelledSplit("fi", "dev", (TextExample("ba", label="four"),), "a test")
    labels = class_names(TASKS["topic"], [made("topic", 20)])
    steps: list[Any] = []
    with pytest.raises(CorpusError, match="the label 'four' in the dev data of 'fi'"):
        fine_tune(
            model_for("topic", labels),
            tokenizer,
            TASKS["topic"],
            labels,
            [made("topic", 20)],
            [dev],
            SETTINGS,
            1,
            on_step=lambda *step: steps.append(step),
        )
    assert steps == []


def test_a_full_memory_gives_a_clear_error() -> None:
    with (
        pytest.raises(ModelError, match="does not have enough memory for testing") as caught,
        enough_memory("testing", "less."),
    ):
        torch.empty(1 << 55)
    assert caught.value.hint == "less."
    with pytest.raises(ModelError), enough_memory("testing", "less."):
        raise torch.OutOfMemoryError
    with pytest.raises(RuntimeError, match="shapes"), enough_memory("testing", "less."):
        raise RuntimeError("shapes do not fit")


def test_missing_packages_are_named(tokenizer: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib.util

    find_spec = importlib.util.find_spec
    monkeypatch.setattr(
        importlib.util, "find_spec", lambda name, *more: None if name == "seqeval" else find_spec(name, *more)
    )
    with pytest.raises(UsageError, match="needs seqeval") as caught:
        tuned("pos", tokenizer)
    assert "xsns-stream[transfer]" in caught.value.hint
