"""What a fine-tuned model is worth: every metric in percent.

Named entities: micro-averaged F1 of whole entities, exactly right in type and extent, by seqeval as CoNLL-2003 counts
them (an I- without its B- begins an entity). Answers: exact match and F1 of words as SQuAD's evaluation has them.
"""

from __future__ import annotations

import re
import string
from collections import Counter
from collections.abc import Sequence
from typing import Final

OUTSIDE: Final = "O"
_ARTICLES: Final = re.compile(r"\b(a|an|the)\b")
_PUNCTUATION: Final = frozenset(string.punctuation)


def accuracy(truth: Sequence[str], predicted: Sequence[str]) -> float:
    """Return the share of equal labels, in percent."""
    return 100 * sum(map(str.__eq__, truth, predicted)) / len(truth)


def macro_f1(truth: Sequence[str], predicted: Sequence[str]) -> float:
    """Return the mean F1 over the classes that occur in truth or prediction, in percent."""
    from sklearn.metrics import f1_score

    return 100 * float(f1_score(list(truth), list(predicted), average="macro", zero_division=0))


def entity_f1(truth: Sequence[Sequence[str]], predicted: Sequence[Sequence[str]]) -> float:
    """Return the micro-averaged F1 of entities over sentences of IOB tags, in percent."""
    from seqeval.metrics import f1_score

    return 100 * float(f1_score([list(tags) for tags in truth], [list(tags) for tags in predicted], zero_division=0))


def count_entities(sentences: Sequence[Sequence[str]]) -> int:
    """Return the number of entities."""
    from seqeval.metrics.sequence_labeling import get_entities

    return len(get_entities([list(tags) for tags in sentences]))


def exact_match(truth: Sequence[str], predicted: Sequence[str]) -> float:
    """Return the share of answers that are equal once normalised, in percent."""
    return 100 * sum(normalised(a) == normalised(b) for a, b in zip(truth, predicted, strict=True)) / len(truth)


def answer_f1(truth: Sequence[str], predicted: Sequence[str]) -> float:
    """Return the mean F1 of the words that answers share, in percent.

    Words are what white space separates. In Chinese, Japanese and Thai an answer is one word, and this is exact match.
    """
    return 100 * sum(_overlap(normalised(a), normalised(b)) for a, b in zip(truth, predicted, strict=True)) / len(truth)


def normalised(answer: str) -> str:
    """Return an answer in lower case without ASCII punctuation, English articles and needless white space (SQuAD)."""
    plain = "".join(character for character in answer.lower() if character not in _PUNCTUATION)
    return " ".join(_ARTICLES.sub(" ", plain).split())


def _overlap(truth: str, predicted: str) -> float:
    wanted, found = truth.split(), predicted.split()
    if not wanted or not found:
        return float(wanted == found)
    shared = (Counter(wanted) & Counter(found)).total()
    return 2 * shared / (len(wanted) + len(found))
