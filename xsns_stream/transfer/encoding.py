"""Encoding of labelled examples: classes, features (inputs and labels of a model), and batches of features.

The words of a sentence are joined by spaces, as when sub-networks are measured, or are read as running text. The first
or the last token of a word has the label of the word. Sentences that are too long are split into windows of whole
words, and passages that are too long into overlapping windows. All words and answers are therefore scored. Other texts
are cut at the maximum length.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, Final

from xsns_stream.corpora.running_text import RUNNING, join_words, word_ranges
from xsns_stream.errors import CorpusError, ModelError, UsageError
from xsns_stream.models.attention import label_position
from xsns_stream.models.tokenizers import tokenise, tokenizer_limit
from xsns_stream.objectives.encoding import joined_ranges, labelled_tokens, require_offsets, tokens_of_ranges
from xsns_stream.tasks import Task
from xsns_stream.transfer.settings import FineTuning
from xsns_stream.types import LabelledSplit, TextExample
from xsns_stream.types.text import AnswerSpan

#: Label of positions that the loss ignores.
IGNORED: Final = -100
#: Number of sentences that are tokenized in one call.
_SENTENCES_PER_CALL: Final = 1_000
#: Start and end position of the answer in windows that do not contain it: the position of the first special token.
_NO_ANSWER: Final = 0
#: Pattern of tags of named entities: `O` for outside, or B, I, E or S (begin, inside, end, single) and a type.
_ENTITY_TAG: Final = re.compile(r"O|[BIES]-.+")


def class_names(task: Task, splits: Iterable[LabelledSplit]) -> tuple[str, ...]:
    """Return the names of a task's classes, in the order of the head's outputs; empty if the labels are answer spans.

    Args:
        task: The task.
        splits: The data of all languages together. A class then has the same index in every language.

    Raises:
        CorpusError: The task is named-entity recognition, and a label is not a tag of named entities.
    """
    if task.classes is not None:
        return task.classes
    names: set[str] = set()
    for split in splits:
        labels = labels_of(split)
        if task.entities:
            _check_tags(labels, split)
        names |= labels
    return tuple(sorted(names))


def _check_tags(labels: set[str], split: LabelledSplit) -> None:
    if wrong := sorted(label for label in labels if not _ENTITY_TAG.fullmatch(label)):
        raise CorpusError(
            f"the tag '{wrong[0]}' in the {split.split} data of '{split.language}' is not a tag of named entities.",
            "tags are O, B-TYPE and I-TYPE; check --task.",
        )


def labels_of(split: LabelledSplit) -> set[str]:
    """Return the labels that occur in a split; empty if the labels are answer spans."""
    labels: set[str] = set()
    for example in split.examples:
        if isinstance(example.label, str):
            labels.add(example.label)
        elif example.label is not None and not isinstance(example.label, AnswerSpan):
            labels.update(filter(None, example.label))
    return labels


@dataclass(frozen=True)
class Feature:
    """One encoded input of a model, with its targets: a text, a sentence, or a window of a sentence or passage.

    Attributes:
        inputs: `input_ids`, and `token_type_ids` if the model uses them, each [T].
        targets: Either `labels`, which are class indices [T] if words are labelled and one class index if texts are; or
            `start_positions` and `end_positions`, which are token positions.
        example: Index of the example in its split.
        words: Pairs (index of the word in its sentence, position of its labelled token) for the words in this window.
        offsets: For each token position, the start and end of the token in the characters of the passage; None for
            tokens outside the passage.
    """

    inputs: dict[str, list[int]]
    targets: dict[str, Any]
    example: int
    words: tuple[tuple[int, int], ...] = ()
    offsets: tuple[tuple[int, int] | None, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


def encode(
    task: Task,
    labels: Sequence[str],
    split: LabelledSplit,
    tokenizer: Any,
    settings: FineTuning,
    label_at: str = "first",
) -> list[Feature]:
    """Return the features of the examples of a split, in the order of the examples.

    Args:
        task: The task, which determines the kind of labels.
        labels: Names of the classes, in the order of the outputs of the head; empty if labels are answers.
        split: The examples.
        tokenizer: The tokenizer of the model.
        settings: Maximum length and stride.
        label_at: The token of a word that has its label, from :func:`labelled_token`.

    Raises:
        CorpusError: A label is not one of the classes.
        ModelError: The task needs character offsets of tokens, and the tokenizer does not return them.
        UsageError: The maximum length is invalid for the model.
    """
    room = _check_length(tokenizer, settings)
    class_index = _class_indices(labels, split)
    if task.objective == "sequence-classification":
        return [
            _text_feature(example, index, tokenizer, settings, class_index)
            for index, example in enumerate(split.examples)
        ]
    require_offsets(tokenizer)
    if task.objective == "token-classification":
        return list(_sentence_features(split.examples, tokenizer, settings, room, class_index, label_at))
    return [
        feature
        for index, example in enumerate(split.examples)
        for feature in _passage_features(example, index, tokenizer, settings, room)
    ]


def labelled_token(task: Task, settings: FineTuning, model: Any) -> str:
    """Return which token of a word has the label of the word, `first` or `last`; `first` if words are not labelled."""
    return label_position(settings.label_at, model) if task.labelled == "words" else "first"


def _check_length(tokenizer: Any, settings: FineTuning) -> int:
    """Return the largest number of tokens of an input, not counting special tokens.

    Raises:
        UsageError: The maximum length is larger than the model allows, or too small for special tokens and text.
    """
    if settings.max_length > tokenizer_limit(tokenizer):
        raise UsageError(
            f"the inputs of this model have at most {tokenizer_limit(tokenizer)} tokens, not {settings.max_length}.",
            "lower --max-length.",
        )
    room = settings.max_length - int(tokenizer.num_special_tokens_to_add(pair=True))
    if room < 4:
        raise UsageError(
            f"a maximum length of {settings.max_length} tokens leaves no room for text.", "raise --max-length."
        )
    return room


def _class_indices(labels: Sequence[str], split: LabelledSplit) -> Callable[[str], int]:
    """Return a function from the name of a class to its index in `labels`.

    The function raises an error for a name that is not in `labels`; the error names the data, `split`.
    """
    known = {name: index for index, name in enumerate(labels)}

    def class_index(label: str) -> int:
        if label not in known:
            listed = ", ".join(labels[:8]) + (" …" if len(labels) > 8 else "")
            raise CorpusError(
                f"the label '{label}' in the {split.split} data of '{split.language}' is not one of the classes.",
                f"the classes are {listed}; --relabel {label}=NAME renames the label.",
            )
        return known[label]

    return class_index


def _input_names(tokenizer: Any) -> list[str]:
    """Return the names of a model's inputs except the attention mask, which :func:`collate` computes."""
    return ["input_ids", *(["token_type_ids"] if "token_type_ids" in tokenizer.model_input_names else [])]


# ----------------------------------------------------------------------------------------------- texts


def _text_feature(
    example: TextExample, index: int, tokenizer: Any, settings: FineTuning, class_index: Callable[[str], int]
) -> Feature:
    if not isinstance(example.label, str):
        raise CorpusError(f"the label of this text is not a class: {example.text!r:.60}.", "check --task.")
    texts = (example.sentence(),) if example.pair is None else (example.sentence(), example.pair)
    encoding = tokenise(tokenizer, *texts, truncation="longest_first", max_length=settings.max_length)
    inputs = {name: encoding[name] for name in _input_names(tokenizer)}
    return Feature(inputs, {"labels": class_index(example.label)}, index)


# ----------------------------------------------------------------------------------------------- words


@dataclass(frozen=True)
class _Sentence:
    """The text of a sentence of words, and the label and the character range of each word in it."""

    words: tuple[str, ...]
    labels: tuple[str, ...]
    text: str
    ranges: tuple[tuple[int, int], ...]

    @classmethod
    def of(cls, example: TextExample, words: str) -> _Sentence:
        """Return the sentence of an example: its words joined by spaces (`given`), or the `running` text."""
        parts, labels = _words(example)
        if words == RUNNING:
            text = join_words(parts) if example.running is None else example.running
            return cls(parts, labels, text, tuple(word_ranges(parts, text)))
        return cls(parts, labels, " ".join(parts), tuple(joined_ranges(parts)))

    def part(self, start: int, stop: int) -> str:
        """Return the text from the word `start` to the word before `stop`."""
        return self.text[self.ranges[start][0] : self.ranges[stop - 1][1]]

    def ranges_in_part(self, start: int, stop: int) -> list[tuple[int, int]]:
        """Return the character ranges of the words from `start` to `stop` within the text of this part."""
        origin = self.ranges[start][0]
        return [(begin - origin, end - origin) for begin, end in self.ranges[start:stop]]


def _sentence_features(
    examples: Sequence[TextExample],
    tokenizer: Any,
    settings: FineTuning,
    room: int,
    class_index: Callable[[str], int],
    label_at: str,
) -> Iterator[Feature]:
    for first in range(0, len(examples), _SENTENCES_PER_CALL):
        chunk = [_Sentence.of(example, settings.words) for example in examples[first : first + _SENTENCES_PER_CALL]]
        counts = _token_counts([sentence.text for sentence in chunk], tokenizer)
        windows = [
            (index, start, stop)
            for index, (sentence, count) in enumerate(zip(chunk, counts, strict=True))
            for start, stop in _windows(sentence, count, tokenizer, room)
        ]
        encoding = tokenise(
            tokenizer,
            [chunk[index].part(start, stop) for index, start, stop in windows],
            truncation=True,
            max_length=settings.max_length,
            return_offsets_mapping=True,
        )
        for row, (index, start, stop) in enumerate(windows):
            inputs = {name: encoding[name][row] for name in _input_names(tokenizer)}
            ranges = chunk[index].ranges_in_part(start, stop)
            positions = tokens_of_ranges(ranges, encoding["offset_mapping"][row], label_at)
            labels = [IGNORED] * len(inputs["input_ids"])
            names = chunk[index].labels[start:stop]
            for position, name in labelled_tokens(positions, names, label_at):
                labels[position] = class_index(name)
            words = [(word, position) for word, position in enumerate(positions, start) if position is not None]
            yield Feature(inputs, {"labels": labels}, first + index, tuple(words))


def _words(example: TextExample) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(example.text, str) or not isinstance(example.label, tuple):
        raise CorpusError(f"the words of this sentence are not labelled: {example.text!r:.60}.", "check --task.")
    return example.text, example.label


def _token_counts(texts: list[str], tokenizer: Any) -> list[int]:
    """Return the number of tokens of each text, without special tokens."""
    return [len(ids) for ids in tokenise(tokenizer, texts, add_special_tokens=False, verbose=False)["input_ids"]]


def _windows(sentence: _Sentence, count: int, tokenizer: Any, room: int) -> list[tuple[int, int]]:
    """Split a sentence into runs of words, and return the (start, stop) indices of the words of each run.

    `count` is the number of tokens of the whole sentence. A run has at most `room` tokens. A word with more tokens is a
    run of its own, which the tokenizer cuts.
    """
    number = len(sentence.words)
    if count <= room:
        return [(0, number)]
    runs, start, filled = [], 0, 0
    for word, more in enumerate(max(1, tokens) for tokens in _token_counts(list(sentence.words), tokenizer)):
        if word > start and filled + more > room:
            runs.append((start, word))
            start, filled = word, 0
        filled += more
    return [half for run in [*runs, (start, number)] for half in _halved(sentence, *run, tokenizer, room)]


def _halved(sentence: _Sentence, start: int, stop: int, tokenizer: Any, room: int) -> list[tuple[int, int]]:
    """Halve the run of words from `start` to `stop` until each part has at most `room` tokens; return the parts.

    A run may have too many tokens because a word after a space may have more tokens than the word alone.
    """
    if stop - start == 1 or _token_counts([sentence.part(start, stop)], tokenizer)[0] <= room:
        return [(start, stop)]
    middle = (start + stop) // 2
    return [*_halved(sentence, start, middle, tokenizer, room), *_halved(sentence, middle, stop, tokenizer, room)]


# --------------------------------------------------------------------------------------------- answers


def _passage_features(
    example: TextExample, index: int, tokenizer: Any, settings: FineTuning, room: int
) -> Iterator[Feature]:
    answer, question = example.label, example.text
    if not isinstance(answer, AnswerSpan) or not isinstance(question, str):
        raise CorpusError(f"the label of this question is not an answer: {example.text!r:.60}.", "check --task.")
    encoding = tokenise(
        tokenizer,
        _shortened(question, tokenizer, room // 2),
        example.pair,
        truncation="only_second",
        max_length=settings.max_length,
        stride=min(settings.stride, room // 4),
        return_overflowing_tokens=True,
        return_offsets_mapping=True,
    )
    spans = [
        tuple(
            tuple(span) if text == 1 else None
            for text, span in zip(encoding.sequence_ids(window), encoding["offset_mapping"][window], strict=True)
        )
        for window in range(len(encoding["input_ids"]))
    ]
    last = max((span[1] for offsets in spans for span in offsets if span is not None), default=0)
    for window, offsets in enumerate(spans):
        start, end = _answer_positions(answer, offsets, last)
        inputs = {name: encoding[name][window] for name in _input_names(tokenizer)}
        yield Feature(inputs, {"start_positions": start, "end_positions": end}, index, offsets=offsets)


def _shortened(question: str, tokenizer: Any, most: int) -> str:
    """Return the first `most` tokens of a question as text; the other tokens of an input are left for the passage."""
    offsets = tokenise(tokenizer, question, add_special_tokens=False, verbose=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    return question if len(offsets) <= most else question[: offsets[most - 1][1]]


def _answer_positions(answer: AnswerSpan, offsets: Sequence[tuple[int, int] | None], end: int) -> tuple[int, int]:
    """Return the positions of the first and last token of the answer.

    Both are `_NO_ANSWER` if the window does not contain the whole answer.

    Args:
        answer: The start and end of the answer in the characters of the passage.
        offsets: The start and end of each token of the window in the passage; None for tokens outside the passage.
        end: The end of the passage's last token. Some tokenizers omit the text after it, such as a separate accent.
    """
    passage = [position for position, span in enumerate(offsets) if span is not None]
    inside = [p for p in passage if (s := offsets[p]) is not None and s[0] < answer.end and s[1] > answer.start]
    if not inside:
        return _NO_ANSWER, _NO_ANSWER
    first, last = offsets[passage[0]], offsets[passage[-1]]
    if first is None or last is None or first[0] > answer.start or last[1] < min(answer.end, end):
        return _NO_ANSWER, _NO_ANSWER
    return inside[0], inside[-1]


# --------------------------------------------------------------------------------------------- batches


def collate(features: Sequence[Feature], pad_id: int) -> dict[str, Any]:
    """Return a batch of inputs and attention mask, int64 [B, T], padded on the right, and of the targets.

    Args:
        features: B features.
        pad_id: The id of the padding token.
    """
    import torch

    longest = max(map(len, features))

    def padded(rows: list[list[int]], value: int) -> torch.Tensor:
        return torch.tensor([row + [value] * (longest - len(row)) for row in rows])

    batch = {
        name: padded([feature.inputs[name] for feature in features], pad_id if name == "input_ids" else 0)
        for name in features[0].inputs
    }
    batch["attention_mask"] = padded([[1] * len(feature) for feature in features], 0)
    for name, value in features[0].targets.items():
        rows = [feature.targets[name] for feature in features]
        batch[name] = padded(rows, IGNORED) if isinstance(value, list) else torch.tensor(rows)
    return batch


def by_length(features: Sequence[Feature], size: int) -> Iterator[list[int]]:
    """Yield batches of at most `size` indices of features, longest features first.

    If memory is not sufficient, the error then occurs in the first batch.
    """
    order = sorted(range(len(features)), key=lambda index: -len(features[index]))
    for start in range(0, len(order), size):
        yield order[start : start + size]


@contextmanager
def enough_memory(what: str, hint: str) -> Iterator[None]:
    """Turn out-of-memory errors into a :class:`~xsns_stream.errors.ModelError`.

    Args:
        what: Noun phrase for the work of the block in the error message, such as `fine-tuning`.
        hint: The hint of the error.

    Raises:
        ModelError: The device does not have enough memory for the block.
    """
    import torch

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # The allocator of the CPU raises a RuntimeError.
        out_of_memory = isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)
        if not out_of_memory:
            raise
        raise ModelError(f"the device does not have enough memory for {what}.", hint) from error
