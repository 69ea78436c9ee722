"""Text of one language: examples, what was skipped on the way, a sample."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

import numpy as np

from xsns_stream.errors import LanguageError, UsageError


@dataclass(frozen=True, slots=True)
class TextExample:
    """One unit of text, before the tokenizer.

    Attributes:
        text: A string, or a tuple of words where the corpus is already split into words.
        pair: The second text of a pair (PAWS-X); None elsewhere.
    """

    text: str | tuple[str, ...]
    pair: str | None = None

    def key(self) -> str:
        """Return a string that two examples share exactly when they are the same text."""
        text = self.text if isinstance(self.text, str) else "\x1f".join(self.text)
        return text if self.pair is None else f"{text}\x1e{self.pair}"


@dataclass(frozen=True, slots=True)
class ReadCounts:
    """What became of the lines (rows, sentences) of a corpus.

    Attributes:
        read: Units met, usable or not.
        empty: Skipped because nothing but white space was in them.
        duplicate: Skipped because the same text stood before.
        undecodable: Skipped because their bytes are not UTF-8.
        usable: What was left to draw from.
    """

    read: int = 0
    empty: int = 0
    duplicate: int = 0
    undecodable: int = 0
    usable: int = 0


@dataclass(frozen=True, slots=True)
class LanguageSample:
    """Text examples of one language, in a deterministic order.

    Attributes:
        language: Normalised BCP 47 code.
        examples: At least one; no two alike.
        source: Where the text came from, for people to read.
        counts: What was skipped on the way.
    """

    language: str
    examples: tuple[TextExample, ...]
    source: str
    counts: ReadCounts = field(default_factory=ReadCounts)

    def __post_init__(self) -> None:
        if not self.examples:
            raise LanguageError(f"no usable text for language '{self.language}' in {self.source}.")

    @property
    def digest(self) -> str:
        """SHA-256 over the examples in their order (hexadecimal)."""
        digest = hashlib.sha256()
        for example in self.examples:
            digest.update(example.key().encode())
            digest.update(b"\x1d")
        return digest.hexdigest()

    def __len__(self) -> int:
        return len(self.examples)

    def draw(self, count: int, seed: int) -> LanguageSample:
        """Draw `count` examples without replacement; all of them, reordered, where there are fewer.

        The draw depends on `seed` and the sample alone. A larger count extends a smaller one, so that the first
        64 of 128 examples are the 64.
        """
        if count < 1:
            raise UsageError(f"the number of examples must be at least 1, not {count}.")
        order = np.random.Generator(np.random.PCG64(seed)).permutation(len(self.examples))
        chosen = tuple(self.examples[i] for i in order[:count])
        return LanguageSample(self.language, chosen, self.source, self.counts)
