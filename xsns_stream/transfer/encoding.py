"""Labelled examples → features: what a model reads, and what it should answer.

Words are joined by spaces, as where their sub-networks are measured, and the first piece of a word carries its label. A
sentence that is too long is read in windows of whole words, a passage in windows that overlap, so that nothing that is
scored is cut off. Other texts are cut at the longest input.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.models.tokenizers import tokenise, tokenizer_limit
from xsns_stream.objectives.encoding import first_tokens, require_offsets
from xsns_stream.transfer.tasks import FineTuning, Task
from xsns_stream.types import LabelledSplit, TextExample
from xsns_stream.types.text import AnswerSpan

#: What the loss leaves out.
IGNORED: Final = -100
#: Sentences that are given to the tokenizer together.
_AT_ONCE: Final = 1_000
#: Where the answer begins and ends in a window that does not hold it.
_NOT_HERE: Final = 0


@dataclass(frozen=True)
class Feature:
    """One input of a model.

    Attributes:
        inputs: `input_ids`, with `token_type_ids` where the model has them, each [T].
        targets: `labels` ([T] for words, a number for texts), or `start_positions` and `end_positions`.
        example: Which example of its split it belongs to.
        words: (word, position of its first piece) of the words in this window.
        offsets: Of each position: where its piece stands in the passage; None where it is no part of it.
    """

    inputs: dict[str, list[int]]
    targets: dict[str, Any]
    example: int
    words: tuple[tuple[int, int], ...] = ()
    offsets: tuple[tuple[int, int] | None, ...] = field(default=(), repr=False)

    def __len__(self) -> int:
        return len(self.inputs["input_ids"])


def encode(
    task: Task, labels: Sequence[str], split: LabelledSplit, tokenizer: Any, settings: FineTuning
) -> list[Feature]:
    """Turn the examples of a split into features, in their order.

    Args:
        task: Says what a label is.
        labels: Names of the classes, in the order of the head's outputs; empty where labels are answers.
        split: The examples.
        tokenizer: Of the model.
        settings: Longest input and stride.

    Raises:
        CorpusError: A label is none of the classes.
        ModelError: The tokenizer cannot say which characters a piece comes from, and labels ask for it.
        UsageError: The longest input leaves no room.
    """
    room = _check_length(tokenizer, settings)
    number = _numbers(labels, split)
    if task.kind == "sequence-classification":
        return [_text(example, place, tokenizer, settings, number) for place, example in enumerate(split.examples)]
    require_offsets(tokenizer)
    if task.kind == "token-classification":
        return list(_sentences(split.examples, tokenizer, settings.max_length, room, number))
    return [
        feature
        for place, example in enumerate(split.examples)
        for feature in _passage(example, place, tokenizer, settings, room)
    ]


def _check_length(tokenizer: Any, settings: FineTuning) -> int:
    """Return how many pieces of text fit beside the special ones.

    Raises:
        UsageError: The model takes no inputs of this length, or special pieces take all of it.
    """
    if settings.max_length > tokenizer_limit(tokenizer):
        raise UsageError(
            f"this model takes {tokenizer_limit(tokenizer)} pieces, not {settings.max_length}.", "lower --max-length."
        )
    room = settings.max_length - int(tokenizer.num_special_tokens_to_add(pair=True))
    if room < 4:
        raise UsageError(f"a longest input of {settings.max_length} pieces leaves no room.", "raise --max-length.")
    return room


def _numbers(labels: Sequence[str], split: LabelledSplit) -> Callable[[str], int]:
    known = {name: number for number, name in enumerate(labels)}

    def number(label: str) -> int:
        if label not in known:
            listed = ", ".join(labels[:8]) + (" …" if len(labels) > 8 else "")
            raise CorpusError(
                f"the {split.split} data of '{split.language}' have the label '{label}', which is none of the classes.",
                f"they are {listed}; --relabel {label}=NAME gives it another name.",
            )
        return known[label]

    return number


def _names(tokenizer: Any) -> list[str]:
    """Return what a model reads of an encoding; the attention mask follows from the padding."""
    return ["input_ids", *(["token_type_ids"] if "token_type_ids" in tokenizer.model_input_names else [])]


# ----------------------------------------------------------------------------------------------- texts


def _text(
    example: TextExample, place: int, tokenizer: Any, settings: FineTuning, number: Callable[[str], int]
) -> Feature:
    if not isinstance(example.label, str):
        raise CorpusError(f"a text has no class: {example.text!r:.60}.", "check --task.")
    texts = (example.sentence(),) if example.pair is None else (example.sentence(), example.pair)
    encoding = tokenise(tokenizer, *texts, truncation="longest_first", max_length=settings.max_length)
    return Feature({name: encoding[name] for name in _names(tokenizer)}, {"labels": number(example.label)}, place)


# ----------------------------------------------------------------------------------------------- words


def _sentences(
    examples: Sequence[TextExample], tokenizer: Any, longest: int, room: int, number: Callable[[str], int]
) -> Iterator[Feature]:
    for first in range(0, len(examples), _AT_ONCE):
        some = examples[first : first + _AT_ONCE]
        sizes = _sizes([" ".join(_words(example)) for example in some], tokenizer)
        windows = [
            (first + place, start, stop)
            for place, (example, size) in enumerate(zip(some, sizes, strict=True))
            for start, stop in _windows(_words(example), size, tokenizer, room)
        ]
        encoding = tokenise(
            tokenizer,
            [" ".join(examples[place].text[start:stop]) for place, start, stop in windows],
            truncation=True,
            max_length=longest,
            return_offsets_mapping=True,
        )
        for row, (place, start, stop) in enumerate(windows):
            inputs = {name: encoding[name][row] for name in _names(tokenizer)}
            yield _window(examples[place], (place, start, stop), inputs, encoding["offset_mapping"][row], number)


def _words(example: TextExample) -> tuple[str, ...]:
    if isinstance(example.text, str) or not isinstance(example.label, tuple):
        raise CorpusError(f"a sentence is not labelled word by word: {example.text!r:.60}.", "check --task.")
    return example.text


def _window(
    example: TextExample,
    window: tuple[int, int, int],
    inputs: dict[str, list[int]],
    offsets: Sequence[tuple[int, int]],
    number: Callable[[str], int],
) -> Feature:
    place, start, stop = window
    names = example.label if isinstance(example.label, tuple) else ()
    labels = [IGNORED] * len(offsets)
    found = []
    for word, position in enumerate(first_tokens(example.text[start:stop], offsets), start):
        if position is not None:
            found.append((word, position))
            if name := names[word]:
                labels[position] = number(name)
    return Feature(inputs, {"labels": labels}, place, tuple(found))


def _sizes(texts: list[str], tokenizer: Any) -> list[int]:
    """Return how many pieces each text has, without special ones."""
    return [len(ids) for ids in tokenise(tokenizer, texts, add_special_tokens=False, verbose=False)["input_ids"]]


def _windows(words: Sequence[str], size: int, tokenizer: Any, room: int) -> list[tuple[int, int]]:
    """Cut a sentence of `size` pieces into runs of words that fit.

    A word that does not fit by itself is a run, which the tokenizer will cut.
    """
    if size <= room:
        return [(0, len(words))]
    found, start, filled = [], 0, 0
    for word, more in enumerate(max(1, size) for size in _sizes(list(words), tokenizer)):
        if word > start and filled + more > room:
            found.append((start, word))
            start, filled = word, 0
        filled += more
    return [half for run in [*found, (start, len(words))] for half in _fitting(words, *run, tokenizer, room)]


def _fitting(words: Sequence[str], start: int, stop: int, tokenizer: Any, room: int) -> list[tuple[int, int]]:
    """Halve a run until it fits: after a space, a word may have more pieces than by itself."""
    if stop - start == 1 or _sizes([" ".join(words[start:stop])], tokenizer)[0] <= room:
        return [(start, stop)]
    middle = (start + stop) // 2
    return [*_fitting(words, start, middle, tokenizer, room), *_fitting(words, middle, stop, tokenizer, room)]


# --------------------------------------------------------------------------------------------- answers


def _passage(example: TextExample, place: int, tokenizer: Any, settings: FineTuning, room: int) -> Iterator[Feature]:
    answer, question = example.label, example.text
    if not isinstance(answer, AnswerSpan) or not isinstance(question, str):
        raise CorpusError(f"a question has no answer: {example.text!r:.60}.", "check --task.")
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
        start, end = _answer_tokens(answer, offsets, last)
        inputs = {name: encoding[name][window] for name in _names(tokenizer)}
        yield Feature(inputs, {"start_positions": start, "end_positions": end}, place, offsets=offsets)


def _shortened(question: str, tokenizer: Any, most: int) -> str:
    """Return the beginning of a question that leaves the passage half of the room."""
    offsets = tokenise(tokenizer, question, add_special_tokens=False, verbose=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    return question if len(offsets) <= most else question[: offsets[most - 1][1]]


def _answer_tokens(answer: AnswerSpan, offsets: Sequence[tuple[int, int] | None], end: int) -> tuple[int, int]:
    """Return the positions of the answer's first and last piece; the first special piece where it is not all here.

    Args:
        answer: Where it stands in the passage.
        offsets: Of the window's pieces; None for those that are not of the passage.
        end: Of the passage's last piece: some tokenizers drop what follows it, as an accent by itself.
    """
    passage = [place for place, span in enumerate(offsets) if span is not None]
    held = [p for p in passage if (s := offsets[p]) is not None and s[0] < answer.end and s[1] > answer.start]
    if not held:
        return _NOT_HERE, _NOT_HERE
    first, last = offsets[passage[0]], offsets[passage[-1]]
    if first is None or last is None or first[0] > answer.start or last[1] < min(answer.end, end):
        return _NOT_HERE, _NOT_HERE
    return held[0], held[-1]
