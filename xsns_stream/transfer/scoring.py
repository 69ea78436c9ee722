"""Scores of a fine-tuned model on the test data of a language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from xsns_stream.errors import CorpusError
from xsns_stream.tasks import Task
from xsns_stream.transfer import metrics
from xsns_stream.transfer.encoding import Feature, by_length, collate, encode, enough_memory, labelled_token
from xsns_stream.transfer.settings import FineTuning
from xsns_stream.types import LabelledSplit, TestScore
from xsns_stream.types.text import AnswerSpan

#: Largest number of tokens of an answer, as in the usual scripts for SQuAD.
_MAX_ANSWER: Final = 30


def score(
    model: Any, tokenizer: Any, task: Task, labels: Sequence[str], test: LabelledSplit, settings: FineTuning
) -> TestScore:
    """Test a model on one language.

    The model is tested in evaluation mode; its mode is restored afterwards.

    Args:
        model: The model with the head of the task; it stays on its device.
        tokenizer: The tokenizer of the model.
        task: The task, which defines the metrics.
        labels: Names of the classes, in the order of the head's outputs; empty if labels are answers.
        test: The test data; all examples are scored.
        settings: Maximum length, stride, precision and batch size.

    Raises:
        CorpusError: A label of the test data is not one of the classes, or no example has a label.
        ModelError: The tokenizer cannot align words, or the device does not have enough memory.
    """
    label_at = labelled_token(task, settings, model)
    features = encode(task, labels, test, tokenizer, settings, label_at)
    return measure(model, tokenizer, task, labels, test, features, settings)


def measure(
    model: Any,
    tokenizer: Any,
    task: Task,
    labels: Sequence[str],
    test: LabelledSplit,
    features: Sequence[Feature],
    settings: FineTuning,
) -> TestScore:
    """Test a model like :func:`score`; `features` are the features of `test`, from :func:`encode`."""
    with _testing(model), enough_memory("testing", "lower --max-length, or use another --device."):
        metrics_of_model, trivial, units = _MEASURES[task.objective](
            model, tokenizer, task, labels, test, features, settings
        )
    return TestScore(test.language, metrics_of_model, trivial, len(test), units)


@contextmanager
def _testing(model: Any) -> Iterator[None]:
    import torch

    training = model.training
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        model.train(training)


def _outputs(
    model: Any, tokenizer: Any, features: Sequence[Feature], settings: FineTuning
) -> Iterator[tuple[list[int], Any]]:
    """Yield (indices of features, outputs of the model) for batches of features."""
    import torch

    device = next(model.parameters()).device
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(settings.precision)
    for indices in by_length(features, settings.evaluation_batch):
        batch = collate([features[index] for index in indices], padding(tokenizer, model))
        inputs = {name: batch[name].to(device) for name in (*features[0].inputs, "attention_mask")}
        with torch.autocast(device.type, dtype=half, enabled=half is not None):
            yield indices, model(**inputs)


def padding(tokenizer: Any, model: Any) -> int:
    """Return the id of the padding token; 0 if neither model nor tokenizer has one, because padding is masked.

    The id in the configuration of the model has priority, because a decoder that classifies texts finds the end of each
    text by this id.
    """
    rows = model.get_input_embeddings().weight.shape[0]
    candidates = (getattr(model.config.get_text_config(), "pad_token_id", None), tokenizer.pad_token_id)
    return next((int(pad_id) for pad_id in candidates if pad_id is not None and 0 <= pad_id < rows), 0)


# ----------------------------------------------------------------------------------------------- words


def _score_words(
    model: Any, tokenizer: Any, task: Task, labels: Sequence[str], test: LabelledSplit, features: Any, settings: Any
) -> tuple[dict[str, float], dict[str, float], int]:
    # A word without tokens has no prediction. It is scored as outside of entities, or as a wrong part of speech.
    default = metrics.OUTSIDE if task.entities else ""
    predicted = [[default] * len(example.text) for example in test.examples]
    for indices, output in _outputs(model, tokenizer, features, settings):
        best = output.logits.argmax(-1).tolist()
        for index, row in zip(indices, best, strict=True):
            for word, position in features[index].words:
                predicted[features[index].example][word] = labels[row[position]]
    known = [example.label if isinstance(example.label, tuple) else () for example in test.examples]
    pairs = [
        [(tag, guess) for tag, guess in zip(tags, guesses, strict=True) if tag]
        for tags, guesses in zip(known, predicted, strict=True)
    ]
    truth, guesses = [tag for row in pairs for tag, _ in row], [guess for row in pairs for _, guess in row]
    if not truth:
        raise CorpusError(f"no word of the {test.split} set of '{test.language}' has a label.", "check --task.")
    accuracy, trivial = metrics.accuracy(truth, guesses), _most_frequent(truth)
    if not task.entities:
        return {"accuracy": accuracy}, {"accuracy": trivial}, len(truth)
    tags = [[tag for tag, _ in row] for row in pairs]
    f1 = metrics.entity_f1(tags, [[guess for _, guess in row] for row in pairs])
    return {"f1": f1, "token-accuracy": accuracy}, {"f1": 0.0, "token-accuracy": trivial}, metrics.count_entities(tags)


def _most_frequent(truth: Sequence[str]) -> float:
    """Return the accuracy of always predicting the most frequent label, in percent."""
    return 100 * max(Counter(truth).values()) / len(truth)


# ----------------------------------------------------------------------------------------------- texts


def _score_texts(
    model: Any, tokenizer: Any, task: Task, labels: Sequence[str], test: LabelledSplit, features: Any, settings: Any
) -> tuple[dict[str, float], dict[str, float], int]:
    predicted = [""] * len(test)
    for indices, output in _outputs(model, tokenizer, features, settings):
        for index, best in zip(indices, output.logits.argmax(-1).tolist(), strict=True):
            predicted[features[index].example] = labels[best]
    truth = [str(example.label) for example in test.examples]
    most = Counter(truth).most_common(1)[0][0]
    trivial = [most] * len(truth)
    measures = {"accuracy": metrics.accuracy, "macro-f1": metrics.macro_f1}
    return (
        {name: measures[name](truth, predicted) for name in task.metrics},
        {name: measures[name](truth, trivial) for name in task.metrics},
        len(truth),
    )


# --------------------------------------------------------------------------------------------- answers


def _score_answers(
    model: Any, tokenizer: Any, task: Task, labels: Sequence[str], test: LabelledSplit, features: Any, settings: Any
) -> tuple[dict[str, float], dict[str, float], int]:
    best: dict[int, tuple[float, str]] = {}
    for indices, output in _outputs(model, tokenizer, features, settings):
        starts, ends = (logits.float().cpu().numpy() for logits in (output.start_logits, output.end_logits))
        for row, index in enumerate(indices):
            span = _best_span(starts[row], ends[row], features[index].offsets)
            example = features[index].example
            if span is not None and (example not in best or span[0] > best[example][0]):
                best[example] = (span[0], (test.examples[example].pair or "")[span[1] : span[2]])
    predicted = [best.get(example, (0.0, ""))[1] for example in range(len(test))]
    truth = [example.label.references for example in test.examples if isinstance(example.label, AnswerSpan)]
    scores = {"f1": metrics.answer_f1(truth, predicted), "exact-match": metrics.exact_match(truth, predicted)}
    return scores, dict.fromkeys(task.metrics, 0.0), len(truth)


def _best_span(starts: Any, ends: Any, offsets: Sequence[tuple[int, int] | None]) -> tuple[float, int, int] | None:
    """Return (sum of the two logits, start, end) of the best answer span; None if there is no possible span.

    Start and end are character offsets in the passage. All pairs of a start and an end token are compared, not only
    those of the best starts and the best ends.

    Args:
        starts: Logits of the start token, float32, of length T or longer because of padding.
        ends: Logits of the end token, of the same shape as `starts`.
        offsets: Start and end of the token at each of T positions in the passage; None for tokens outside the passage.
    """
    inside = np.array([span is not None for span in offsets])
    logits = starts[: len(offsets), None] + ends[None, : len(offsets)]
    distance = np.arange(len(offsets))[None, :] - np.arange(len(offsets))[:, None]
    allowed = inside[:, None] & inside[None, :] & (distance >= 0) & (distance < _MAX_ANSWER)
    if not allowed.any():
        return None
    start, end = divmod(int(np.where(allowed, logits, -np.inf).argmax()), len(offsets))
    first, last = offsets[start], offsets[end]
    return None if first is None or last is None else (float(logits[start, end]), first[0], last[1])


_MEASURES: Final = {
    "token-classification": _score_words,
    "sequence-classification": _score_texts,
    "question-answering": _score_answers,
}
