"""Alignment of tokens with words, for labels of words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from xsns_stream.errors import ModelError


def need_offsets(tokenizer: Any) -> None:
    """Refuse a tokenizer that cannot say which characters a piece comes from.

    Raises:
        ModelError: It is not one of the library `tokenizers`.
    """
    if not getattr(tokenizer, "is_fast", False):
        raise ModelError(
            f"{type(tokenizer).__name__} cannot say which characters a piece comes from.",
            "labels of words and answers need a tokenizer that comes as tokenizer.json.",
        )


def first_pieces(words: Sequence[str], offsets: Sequence[tuple[int, int]]) -> list[int | None]:
    """Return the position of the first piece of each word; None where it was cut off or has none.

    Args:
        words: The words, which were joined by spaces.
        offsets: First character of each piece and the one after its last, (0, 0) for special pieces. A piece may
            begin with the space before its word, or be nothing else; that space counts as the word's.
    """
    first: list[int | None] = [None] * len(words)
    word, start = 0, 0
    for place, (begin, end) in enumerate(offsets):
        while word < len(words) and begin >= start + len(words[word]):
            start += len(words[word]) + 1
            word += 1
        if word < len(words) and end > max(start - 1, 0) and first[word] is None:
            first[word] = place
    return first
