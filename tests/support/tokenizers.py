"""Vocabularies and tokenizers of several tests."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

from tests.support.paths import MINI


def mini_vocabulary() -> list[tuple[str, float]]:
    """Return the tokens of the embedded tokenizer with their scores, without special tokens."""
    tokens = json.loads((MINI / "tokenizer.json").read_text(encoding="utf-8"))["model"]["vocab"]
    return [(token, score) for token, score in tokens if not token.startswith("<")]


def mini_tokenizer() -> Any:
    """Return the tokenizer of the embedded model."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(MINI)


def letter_tokenizer(words: Iterable[str]) -> Any:
    """Return a WordPiece tokenizer of single letters, at the beginning of a word and within."""
    from transformers import BertTokenizer

    letters = sorted({letter for word in (*words, "abcdefghijklmnopqrstuvwxyz?.'") for letter in word.lower()})
    names = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *letters, *(f"##{letter}" for letter in letters))
    return BertTokenizer(vocab={name: number for number, name in enumerate(names)}, do_lower_case=False)
