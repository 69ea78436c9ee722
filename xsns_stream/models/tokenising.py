"""Text → tokens: the one call of a tokenizer for measuring, baselines and fine-tuning.

A text may hold the string of a special token: a page about BERT holds `[MASK]`, the source of a web page holds `</s>`
or `<s>`. Tokenizers read such a string as the token itself unless they are told otherwise: the text would then hold a
mask, a second end, or padding, none of which its author wrote.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from threading import RLock
from typing import Any, Final
from weakref import WeakKeyDictionary

#: Pieces that stand for something else than their characters, though no tokenizer declares them as special: what mT5
#: writes for a gap, and single bytes.
_STAND_INS: Final = re.compile(r"▁?<(extra_id_\d+|0x[0-9A-F]{2})>")
#: What a space may have become before text is cut into pieces.
_SPACE: Final = "[ ▁Ġ]"
#: Texts around a string: alone, after a space, within a word.
_PLACES: Final = ("{}", "a {} a", "a{}a")

#: Tokenizer → (size of its vocabulary, what is to follow its pre-tokenizer).
_KNOWN: WeakKeyDictionary[Any, tuple[int, Any]] = WeakKeyDictionary()
#: A tokenizer is changed while it reads, and put back.
_LOCK: Final = RLock()


def tokenise(tokenizer: Any, *texts: Any, **settings: Any) -> Any:
    """Call a tokenizer of transformers such that strings of special tokens within text are read as characters.

    Text without such a string gives the tokens that a plain call gives. The tokenizer is left as it was found.

    Args:
        tokenizer: The tokenizer.
        *texts: As the tokenizer takes them: a text, or a text and its pair, or lists of texts.
        **settings: For the tokenizer's call.

    Returns:
        What the tokenizer returns.
    """
    with _reading_characters(tokenizer):
        return tokenizer(*texts, split_special_tokens=True, **settings)


def tokenizer_limit(tokenizer: Any) -> int:
    """Return how many tokens a tokenizer says that its model takes; a number below 1 stands for no limit."""
    limit = int(tokenizer.model_max_length)
    return limit if limit >= 1 else sys.maxsize


def reserved_strings(tokenizer: Any) -> dict[str, int]:
    """Return {string: id} of all tokens that stand for something else than the characters of their name."""
    found = {str(token): int(at) for at, token in tokenizer.added_tokens_decoder.items() if token.special}
    found |= {str(token): int(tokenizer.convert_tokens_to_ids(token)) for token in tokenizer.all_special_tokens}
    found |= {piece.removeprefix("▁"): int(at) for piece, at in tokenizer.get_vocab().items() if _is_stand_in(piece)}
    return {string: at for string, at in found.items() if string}


def tokens_left_special(tokenizer: Any, encoding: Any, special: set[int], frame: int) -> int:
    """Return how many tokens of a text are special although they do not frame it.

    Zero, but for tokenizers with special tokens of one character, which cannot be split further.

    Args:
        tokenizer: The tokenizer.
        encoding: Of one text or pair, from :func:`tokenise`.
        special: The ids to look for; without the unknown token's, which ordinary text gives as well.
        frame: How many special tokens stand around the text.
    """
    ids = encoding["input_ids"]
    if getattr(encoding, "encodings", None):
        framing = encoding.encodings[0].special_tokens_mask
        return sum(at in special and not frames for at, frames in zip(ids, framing, strict=True))
    return max(0, sum(at in special for at in ids) - frame)


@contextmanager
def _reading_characters(tokenizer: Any) -> Iterator[None]:
    """Let a tokenizer cut the strings that its vocabulary would give back as special tokens, for a while."""
    if not getattr(tokenizer, "is_fast", False):
        yield
        return
    with _LOCK:
        splitter = _splitter(tokenizer)
        if splitter is None:
            yield
            return
        from tokenizers.pre_tokenizers import Sequence

        backend = tokenizer.backend_tokenizer
        own = backend.pre_tokenizer
        backend.pre_tokenizer = splitter if own is None else Sequence([own, splitter])
        try:
            yield
        finally:
            backend.pre_tokenizer = own


def _splitter(tokenizer: Any) -> Any:
    """Return a pre-tokenizer that cuts reserved strings after their first character; None where it is not needed."""
    size = len(tokenizer)
    known = _KNOWN.get(tokenizer)
    if known is None or known[0] != size:
        known = _KNOWN[tokenizer] = size, _made_splitter(tokenizer)
    return known[1]


def _made_splitter(tokenizer: Any) -> Any:
    """Make the pre-tokenizer of :func:`_splitter`.

    `split_special_tokens` alone does where the special tokens are no pieces of the model that cuts words, or cannot be
    reached by its merges (byte-level BPE, WordPiece). Unigram finds any piece of its vocabulary within text.
    """
    from tokenizers import Regex
    from tokenizers.pre_tokenizers import Split

    reserved = {string: at for string, at in reserved_strings(tokenizer).items() if len(string) > 1}
    found = [string for string, at in reserved.items() if _is_read_as(tokenizer, string, at)]
    if not found:
        return None
    cuts = (f"{_pattern(first)}(?=(?:{_any_of(first, found)}))" for first in sorted({string[0] for string in found}))
    return Split(Regex("|".join(cuts)), behavior="isolated")


def _any_of(first: str, strings: Iterable[str]) -> str:
    return "|".join(_pattern(string[1:]) for string in sorted(strings) if string.startswith(first))


def _is_read_as(tokenizer: Any, string: str, at: int) -> bool:
    texts = [place.format(string) for place in _PLACES]
    encoding = tokenizer(texts, add_special_tokens=False, split_special_tokens=True, truncation=False, verbose=False)
    return any(at in ids for ids in encoding["input_ids"])


def _pattern(string: str) -> str:
    """Return a regular expression for a string, as it may stand after spaces were replaced."""
    return "".join(_SPACE if character == " " else re.escape(character) for character in string)


def _is_stand_in(piece: str) -> bool:
    return _STAND_INS.fullmatch(piece) is not None
