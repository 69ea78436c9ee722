"""Test a fine-tuned model on a language."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import numpy as np

from xsns_stream.errors import CorpusError
from xsns_stream.transfer import metrics
from xsns_stream.transfer.batching import by_length, collate, enough_memory
from xsns_stream.transfer.encoding import Feature, encode
from xsns_stream.transfer.tasks import FineTuning, Task
from xsns_stream.types import LabelledSplit, TestScore
from xsns_stream.types.text import AnswerSpan

#: An answer's most pieces, as SQuAD's usual scripts have it.
_LONGEST_ANSWER: Final = 30


def score(
    model: Any, tokenizer: Any, task: Task, labels: Sequence[str], test: LabelledSplit, settings: FineTuning
) -> TestScore:
    """Test a model on one language; it is in evaluation mode then, and as it was afterwards.

    Args:
        model: With the head of the task.
        tokenizer: Its own.
        task: Says what is measured.
        labels: Names of the classes, in the order of the head's outputs; empty where labels are answers.
        test: The examples; every one counts.
        settings: Longest input, stride, precision, batch; the model stays on the device where it is.

    Raises:
        CorpusError: The test data have a label that is none of the classes, or no label at all.
        ModelError: The tokenizer cannot align words; or memory is not enough.
    """
    return measure(model, tokenizer, task, labels, test, encode(task, labels, test, tokenizer, settings), settings)


def measure(
    model: Any,
    tokenizer: Any,
    task: Task,
    labels: Sequence[str],
    test: LabelledSplit,
    features: Sequence[Feature],
    settings: FineTuning,
) -> TestScore:
    """Do what :func:`score` does with features that :func:`~xsns_stream.transfer.encoding.encode` made of `test`."""
    with _testing(model), enough_memory("testing", "lower --max-length, or take another --device."):
        found, trivial, units = _MEASURES[task.kind](model, tokenizer, task, labels, test, features, settings)
    return TestScore(test.language, found, trivial, len(test), units)


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
    """Yield (places, outputs) of batches of features."""
    import torch

    device = next(model.parameters()).device
    half = {"bf16": torch.bfloat16, "fp16": torch.float16}.get(settings.precision)
    for places in by_length(features, settings.evaluation_batch):
        batch = collate([features[place] for place in places], padding(tokenizer, model))
        inputs = {name: batch[name].to(device) for name in (*features[0].inputs, "attention_mask")}
        with torch.autocast(device.type, dtype=half, enabled=half is not None):
            yield places, model(**inputs)


def padding(tokenizer: Any, model: Any) -> int:
    """Return the id that batches are padded with; attention leaves it out, so that any will do."""
    found = tokenizer.pad_token_id
    if found is None:
        found = getattr(model.config.get_text_config(), "pad_token_id", None)
    return 0 if found is None else int(found)


# ----------------------------------------------------------------------------------------------- words


def _words(
    model: Any, tokenizer: Any, task: Task, labels: Sequence[str], test: LabelledSplit, features: Any, settings: Any
) -> tuple[dict[str, float], dict[str, float], int]:
    # A word of which the tokenizer leaves nothing has no prediction: outside every entity, and no part of speech.
    nothing = metrics.OUTSIDE if task.name == "ner" else ""
    predicted = [[nothing] * len(example.text) for example in test.examples]
    for places, output in _outputs(model, tokenizer, features, settings):
        best = output.logits.argmax(-1).tolist()
        for place, row in zip(places, best, strict=True):
            for word, position in features[place].words:
                predicted[features[place].example][word] = labels[row[position]]
    known = [example.label if isinstance(example.label, tuple) else () for example in test.examples]
    pairs = [
        [(tag, guess) for tag, guess in zip(tags, guesses, strict=True) if tag]
        for tags, guesses in zip(known, predicted, strict=True)
    ]
    truth, guesses = [tag for row in pairs for tag, _ in row], [guess for row in pairs for _, guess in row]
    if not truth:
        raise CorpusError(f"no word of the {test.split} set of '{test.language}' has a label.", "check --task.")
    share, most = metrics.accuracy(truth, guesses), _most_frequent(truth)
    if task.name != "ner":
        return {"accuracy": share}, {"accuracy": most}, len(truth)
    tags = [[tag for tag, _ in row] for row in pairs]
    f1 = metrics.entity_f1(tags, [[guess for _, guess in row] for row in pairs])
    return {"f1": f1, "token-accuracy": share}, {"f1": 0.0, "token-accuracy": most}, metrics.count_entities(tags)


def _most_frequent(truth: Sequence[str]) -> float:
    return 100 * max(Counter(truth).values()) / len(truth)


# ----------------------------------------------------------------------------------------------- texts


def _texts(
    model: Any, tokenizer: Any, task: Task, labels: Sequence[str], test: LabelledSplit, features: Any, settings: Any
) -> tuple[dict[str, float], dict[str, float], int]:
    predicted = [""] * len(test)
    for places, output in _outputs(model, tokenizer, features, settings):
        for place, best in zip(places, output.logits.argmax(-1).tolist(), strict=True):
            predicted[features[place].example] = labels[best]
    truth = [str(example.label) for example in test.examples]
    most = Counter(truth).most_common(1)[0][0]
    trivial = [most] * len(truth)
    measured = {"accuracy": metrics.accuracy, "macro-f1": metrics.macro_f1}
    return (
        {name: measured[name](truth, predicted) for name in task.metrics},
        {name: measured[name](truth, trivial) for name in task.metrics},
        len(truth),
    )


# --------------------------------------------------------------------------------------------- answers


def _answers(
    model: Any, tokenizer: Any, task: Task, labels: Sequence[str], test: LabelledSplit, features: Any, settings: Any
) -> tuple[dict[str, float], dict[str, float], int]:
    best: dict[int, tuple[float, str]] = {}
    for places, output in _outputs(model, tokenizer, features, settings):
        starts, ends = (logits.float().cpu().numpy() for logits in (output.start_logits, output.end_logits))
        for row, place in enumerate(places):
            found = _best_span(starts[row], ends[row], features[place].offsets)
            example = features[place].example
            if found is not None and (example not in best or found[0] > best[example][0]):
                best[example] = (found[0], (test.examples[example].pair or "")[found[1] : found[2]])
    predicted = [best.get(place, (0.0, ""))[1] for place in range(len(test))]
    truth = [example.label.text for example in test.examples if isinstance(example.label, AnswerSpan)]
    found_scores = {"f1": metrics.answer_f1(truth, predicted), "exact-match": metrics.exact_match(truth, predicted)}
    return found_scores, dict.fromkeys(task.metrics, 0.0), len(truth)


def _best_span(starts: Any, ends: Any, offsets: Sequence[tuple[int, int] | None]) -> tuple[float, int, int] | None:
    """Return (logit, first character, character after the last) of the best span within the passage.

    All spans are compared, not the best beginnings with the best ends alone.

    Args:
        starts: Logits, float32 [T] or longer by padding.
        ends: As `starts`.
        offsets: Of T positions; None outside the passage.
    """
    inside = np.array([span is not None for span in offsets])
    logits = starts[: len(offsets), None] + ends[None, : len(offsets)]
    further = np.arange(len(offsets))[None, :] - np.arange(len(offsets))[:, None]
    allowed = inside[:, None] & inside[None, :] & (further >= 0) & (further < _LONGEST_ANSWER)
    if not allowed.any():
        return None
    start, end = divmod(int(np.where(allowed, logits, -np.inf).argmax()), len(offsets))
    first, last = offsets[start], offsets[end]
    return None if first is None or last is None else (float(logits[start, end]), first[0], last[1])


_MEASURES: Final = {
    "token-classification": _words,
    "sequence-classification": _texts,
    "question-answering": _answers,
}
