"""Samples of made-up text for tests of objectives."""

from __future__ import annotations

from typing import Any

from xsns_stream.types import AnswerSpan, LanguageSample, TextExample

WORDS = (
    *("watoto", "wanasoma", "kitabu", "kizuri", "nyumbani", "leo", "mwalimu"),
    *("anafundisha", "shule", "kubwa", "habari", "ya", "asubuhi"),
)


def sample(*texts: Any, language: str = "sw") -> LanguageSample:
    """Return a sample of the given texts or examples."""
    examples = tuple(text if isinstance(text, TextExample) else TextExample(text) for text in texts)
    return LanguageSample(language, examples, "a test")


def question(text: str, passage: str, answer: str) -> TextExample:
    """Return a question about a passage, which contains the answer."""
    return TextExample(text, passage, AnswerSpan(passage.index(answer), answer))


def many(count: int, words: int = 9) -> LanguageSample:
    """Return a sample of `count` different texts of `words` words and a number."""
    return sample(*(" ".join(WORDS[(n + 3 * i) % len(WORDS)] for i in range(words)) + f" {n}" for n in range(count)))
