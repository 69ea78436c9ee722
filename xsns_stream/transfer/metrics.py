"""Metrics of fine-tuned models, all in percent.

Named entities are scored by the micro-averaged F1 of whole entities with the right type and extent, computed by seqeval
as in CoNLL-2003 (an I- tag that does not follow a tag of the same type also begins an entity). Answers are scored by
exact match and by the F1 of words, as in the evaluation script of SQuAD: an answer gets its highest score over all
reference answers.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Final, TypeAlias

#: The reference answer to a question, or several.
Answers: TypeAlias = str | tuple[str, ...]
OUTSIDE: Final = "O"
_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = frozenset(string.punctuation)


def accuracy(truth: Sequence[str], predicted: Sequence[str]) -> float:
    """Return the share of predicted labels that equal the true labels, `truth`, in percent."""
    return 100 * sum(map(str.__eq__, truth, predicted)) / len(truth)


def macro_f1(truth: Sequence[str], predicted: Sequence[str]) -> float:
    """Return the mean F1 over the classes that occur in the true labels or in the predictions, in percent."""
    from sklearn.metrics import f1_score

    return 100 * float(f1_score(list(truth), list(predicted), average="macro", zero_division=0))


def entity_f1(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Return the micro-averaged F1 of entities over sentences of IOB tags, in percent."""
    from seqeval.metrics import f1_score

    return 100 * float(f1_score([list(tags) for tags in truth], [list(tags) for tags in predicted], zero_division=0))


def count_entities(sentences: Sequence[Sequence[str]]) -> int:
    """Return the number of named entities in sentences of tags."""
    from seqeval.metrics.sequence_labeling import get_entities

    return len(get_entities([list(tags) for tags in sentences]))


def exact_match(truth: Sequence[Answers], predicted: Sequence[str]) -> float:
    """Return the share of predicted answers that equal a reference answer after normalisation, in percent."""

    def matches(references: Answers, given: str) -> bool:
        return normalised(given) in map(normalised, _several(references))

    return 100 * sum(map(matches, truth, predicted)) / len(truth)


def answer_f1(truth: Sequence[Answers], predicted: Sequence[str]) -> float:
    """Return the mean over all questions of the F1 of the words of the predicted answer, in percent.

    If a question has several reference answers, the highest F1 counts. Words are separated by white space. An answer in
    Chinese, Japanese or Thai is therefore usually one word, and its F1 equals its exact match.
    """

    def highest(references: Answers, given: str) -> float:
        return max(_overlap(normalised(each), normalised(given)) for each in _several(references))

    return 100 * sum(map(highest, truth, predicted)) / len(truth)


def _several(references: Answers) -> tuple[str, ...]:
    return (references,) if isinstance(references, str) else references


def normalised(answer: str) -> str:
    """Return an answer in lower case without ASCII punctuation, English articles and extra white space (SQuAD)."""
    plain = "".join(character for character in answer.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def _overlap(truth: str, predicted: str) -> float:
    expected, given = truth.split(), predicted.split()
    if not expected or not given:
        return float(expected == given)
    shared = (Counter(expected) & Counter(given)).total()
    return 2 * shared / (len(expected) + len(given))
