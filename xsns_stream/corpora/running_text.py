"""Running text of sentences that are split into words.

A corpus that is split into words (CoNLL-U, columns of lists) is measured as running text by default, which is the
original sentence. If the corpus does not contain the original sentence, its words are joined by spaces, except in
scripts that are written without spaces.
"""

from __future__ import annotations

import unicodedata
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Final

from xsns_stream.errors import UsageError
from xsns_stream.types import TextExample

#: Value of the setting `words` for running text, the default.
RUNNING: Final = "running"
#: Value of the setting `words` for words that are joined by spaces, in every script and corpus.
GIVEN: Final = "given"
WORDS: Final = (RUNNING, GIVEN)

# First and last code points of blocks, ascending: the scripts of East Asia that are written without spaces, with their
# punctuation and full-width forms, but without Hangul.
_EAST_ASIAN: Final = (
    (0x2E80, 0x2FFF),  # radicals, description characters
    (0x3000, 0x312F),  # punctuation, Hiragana, Katakana, Bopomofo
    (0x3190, 0x4DBF),  # Kanbun … Han, extension A
    (0x4E00, 0x9FFF),  # Han
    (0xF900, 0xFAFF),  # Han, compatibility
    (0xFE10, 0xFE1F),  # vertical forms
    (0xFE30, 0xFE6F),  # compatibility and small forms
    (0xFF01, 0xFF9F),  # full-width forms, half-width Katakana
    (0xFFE0, 0xFFEE),  # full-width signs
    (0x16FE0, 0x18DFF),  # Tangut, Khitan
    (0x1AFF0, 0x1B2FF),  # Kana, Nushu
    (0x20000, 0x323AF),  # Han, extensions B to H
)
# Scripts of South-East Asia and Tibet, in which spaces separate phrases, not words.
_OTHERS: Final = (
    (0x0E00, 0x0EFF),  # Thai, Lao
    (0x0F00, 0x0FFF),  # Tibetan
    (0x1000, 0x109F),  # Myanmar
    (0x1780, 0x17FF),  # Khmer
    (0x1950, 0x19FF),  # Tai Le, New Tai Lue, Khmer symbols
    (0x1A20, 0x1AAF),  # Tai Tham
    (0x1B00, 0x1B7F),  # Balinese
    (0xA980, 0xA9FF),  # Javanese, Myanmar, extension B
    (0xAA60, 0xAADF),  # Myanmar, extension A, Tai Viet
)


def check_words(words: str) -> str:
    """Check and return a value of `words`: `running` or `given`.

    Raises:
        UsageError: The value is neither.
    """
    if words not in WORDS:
        raise UsageError(f"words cannot be read as '{words}'.", f"choose one of {', '.join(WORDS)}.")
    return words


def with_words_as(example: TextExample, words: str) -> TextExample:
    """Return an unlabelled example as `running` text or with its words as `given`; return other examples unchanged.

    Args:
        example: An example from a reader.
        words: `running` or `given`.
    """
    if isinstance(example.text, str) or example.label is not None:
        return example
    if words == GIVEN:
        return example if example.running is None else replace(example, running=None)
    if example.running is None and (sentence := join_words(example.text)) != " ".join(example.text):
        return replace(example, running=sentence)
    return example


def sentence_as_written(text: str | None, spaced_words: Iterable[tuple[str, str | None]]) -> str:
    """Return a sentence as it is written.

    Args:
        text: The sentence in the corpus; None if the corpus does not have it. It is used if it differs from the words
            only in white space.
        spaced_words: Pairs of a word and the space after it, which is None if the corpus does not record it.
    """
    known = list(spaced_words)
    words = [word for word, _ in known]
    if text is not None and _without_spaces(text) == _without_spaces("".join(words)):
        return text.strip()
    if all(after is None for _, after in known):
        return join_words(words)
    return "".join(word + (" " if after is None else after) for word, after in known).strip()


def word_ranges(words: Sequence[str], sentence: str) -> list[tuple[int, int]]:
    """Return the character range (start, stop) of each word in its sentence, without the character at `stop`.

    White space within words and sentence is ignored. A word without visible characters has an empty range.

    >>> word_ranges(["l'", "été", "", "10 000"], "l'été 10  000")
    [(0, 2), (2, 5), (5, 5), (6, 13)]

    Raises:
        UsageError: The sentence differs from the words in more than white space.
    """
    if _without_spaces(sentence) != _without_spaces("".join(words)):
        raise UsageError(
            f"the list of words does not match the sentence {sentence!r:.80}.",
            "the words, joined together, must equal the sentence except for white space.",
        )
    visible = [index for index, letter in enumerate(sentence) if not letter.isspace()]
    ranges: list[tuple[int, int]] = []
    used = 0
    for word in words:
        count = len(_without_spaces(word))
        end = ranges[-1][1] if ranges else 0
        ranges.append((visible[used], visible[used + count - 1] + 1) if count else (end, end))
        used += count
    return ranges


def join_words(words: Sequence[str]) -> str:
    """Join words by spaces, except in scripts that are written without spaces.

    The rule depends on the characters on both sides of a word boundary. There is no space between two characters of
    these scripts, or between a character of East Asia and a digit, a punctuation mark or a symbol. Latin words in
    Chinese text and Korean words are separated by spaces.

    >>> join_words(["我", "用", "Python", "。"]), join_words(["나는", "學生", "이다"])
    ('我用 Python。', '나는 學生 이다')
    """
    parts = [*words[:1]]
    for left, right in pairwise(words):
        parts += [right] if _has_no_space(left, right) else [" ", right]
    return "".join(parts)


def _has_no_space(left: str, right: str) -> bool:
    """Return whether the words `left` and `right` are written without a space between them."""
    before, after = _first_visible(reversed(left)), _first_visible(right)
    left_kind, right_kind = _script_kind(before), _script_kind(after)
    if left_kind and right_kind:
        return True
    if "mark" in (left_kind, right_kind):
        return not any(0x1100 <= ord(letter) <= 0x11FF or 0xAC00 <= ord(letter) <= 0xD7FF for letter in (before, after))
    neighbour = after if left_kind == "letter" else before if right_kind == "letter" else "x"
    return unicodedata.category(neighbour)[0] in "NPS"


def _first_visible(letters: Iterable[str]) -> str:
    """Return the first character that is neither a format character nor a variation selector; a space if none is."""
    return next((c for c in letters if unicodedata.category(c) != "Cf" and not "\ufe00" <= c <= "\ufe0f"), " ")


def _script_kind(letter: str) -> str:
    """Return the kind of script to which a character belongs, by which :func:`join_words` sets spaces.

    It is `letter` or `mark` (punctuation) in East Asian scripts, `other` in other scripts without spaces, and empty in
    scripts with spaces.
    """
    if _within(letter, _EAST_ASIAN):
        return "mark" if unicodedata.category(letter)[0] == "P" else "letter"
    return "other" if _within(letter, _OTHERS) else ""


def _within(letter: str, blocks: Sequence[tuple[int, int]]) -> bool:
    index = bisect_right(blocks, (ord(letter), 0x110000)) - 1
    return index >= 0 and ord(letter) <= blocks[index][1]


def _without_spaces(text: str) -> str:
    return "".join(text.split())
