"""Masked and causal language modelling, and span corruption.

Two forms, as the models were pre-trained. Where the vocabulary has sentinels (T5, mT5, umT5), each span becomes a
sentinel of its own, and the decoder writes each sentinel with what it stands for, then the next sentinel:

    pieces   ▁one ▁two ▁three ▁four ▁five ▁six </s>
    encoder  ▁one <extra_id_0> ▁four ▁five <extra_id_1> </s>
    decoder  <extra_id_0> ▁two ▁three <extra_id_1> ▁six <extra_id_2> </s>

Where there is a mask piece instead (BART, mBART), each span becomes one mask and the decoder writes the whole text,
framed as the tokenizer frames it ("text infilling").

Sources: Raffel et al. 2020, section 3.1.4; Liu et al. 2020 (mBART), section 2.2.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import count
from typing import Any, ClassVar, Final

import numpy as np

from xsns_stream.errors import ModelError, UsageError
from xsns_stream.objectives.encoding import (
    IGNORED,
    EncodedSample,
    Ids,
    Pieces,
    check_length,
    check_rate,
    encode_sample,
)
from xsns_stream.types import LanguageSample, TextExample

MASKED_SHARE, RANDOM_SHARE = 0.8, 0.1  # of the chosen pieces; the rest stay as they are (BERT's 80/10/10)


@dataclass(frozen=True)
class MaskedLanguageModelling:
    """The paper's objective.

    Attributes:
        rate: Probability that a piece is hidden.
        max_length: Longest example in pieces, special ones included; longer text is cut.
    """

    rate: float = 0.15
    max_length: int = 128

    name: ClassVar[str] = "masked-lm"

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_length(self.max_length, 3)

    def __str__(self) -> str:
        return f"{self.name}(rate={self.rate:g},max_length={self.max_length})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Cut the sample's text into pieces and hide some: `labels` [T] hold the true ones.

        Raises:
            UsageError: `max_length` leaves no room beside the special pieces of a pair.
            CorpusError: No example has a piece that could be hidden.
        """
        special = np.array(sorted(set(tokenizer.all_special_ids)), dtype=np.int64)
        ordinary = np.setdiff1d(np.arange(len(tokenizer)), special)

        def ask(example: TextExample, pieces: Pieces) -> dict[str, Ids]:
            return self._hide(pieces, ordinary, tokenizer.mask_token_id)

        return encode_sample(sample, tokenizer, seed, self.max_length, ask)

    def _hide(self, pieces: Pieces, ordinary: Ids, mask_id: int) -> dict[str, Ids]:
        ids, candidates, generator = pieces.ids, pieces.known, pieces.generator()
        luck = generator.random(len(candidates))
        # Without a hidden piece an example's gradient would be zero, silently: the unluckiest piece is hidden then.
        chosen = candidates[(luck < self.rate) | (luck == luck.min())]
        labels = np.full_like(ids, IGNORED)
        labels[chosen] = ids[chosen]
        kind = generator.random(len(chosen))
        inputs = ids.copy()
        inputs[chosen[kind < MASKED_SHARE]] = mask_id
        swapped = chosen[(kind >= MASKED_SHARE) & (kind < MASKED_SHARE + RANDOM_SHARE)]
        inputs[swapped] = generator.choice(ordinary, size=len(swapped))
        return {"input_ids": inputs, "labels": labels}


@dataclass(frozen=True)
class CausalLanguageModelling:
    """Each piece after the first is to be predicted. Nothing is drawn.

    Attributes:
        max_length: Longest example in pieces, special ones included; longer text is cut.
    """

    max_length: int = 128

    name: ClassVar[str] = "causal-lm"

    def __post_init__(self) -> None:
        check_length(self.max_length, 2)

    def __str__(self) -> str:
        return f"{self.name}(max_length={self.max_length})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Cut the sample's text into pieces; what frames a text is what the tokenizer puts there.

        `labels` [T] are the pieces themselves, unshifted as transformers takes them. An example of one piece, of
        which nothing can be asked, is unusable.

        Raises:
            UsageError: `max_length` leaves no room beside the special pieces.
            CorpusError: No example has two pieces.
        """

        def ask(example: TextExample, pieces: Pieces) -> dict[str, Ids] | None:
            if len(pieces.ids) < 2:
                return None
            return {"input_ids": pieces.ids, "labels": pieces.ids.copy()}

        return encode_sample(sample, tokenizer, seed, self.max_length, ask)


#: mT5's sentinels are pieces of its text vocabulary and so begin with the mark of a word; T5's do not.
_SENTINELS: Final = ("▁<extra_id_{}>", "<extra_id_{}>")


@dataclass(frozen=True)
class SpanCorruption:
    """Hide spans of pieces. Positions are drawn alike over the whole text.

    Attributes:
        rate: Share of the pieces that is hidden. A fraction of a piece is drawn, not rounded, so that short examples
            hide no other share than long ones; but at least one piece is hidden.
        mean_span: Pieces a span, on average, ≥ 1; what an example hides makes at least one span.
        max_length: Longest example in pieces, special ones included; longer text is cut.
    """

    rate: float = 0.15
    mean_span: float = 3.0
    max_length: int = 128

    name: ClassVar[str] = "span-corruption"

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_length(self.max_length, 2)
        if not 1 <= self.mean_span < float("inf"):
            raise UsageError(f"the mean length of a span must be at least 1, not {self.mean_span}.")

    def __str__(self) -> str:
        return f"{self.name}(rate={self.rate:g},mean_span={self.mean_span:g},max_length={self.max_length})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Cut the sample's text into pieces and hide spans: `labels` [Td] are what the decoder is to write.

        Raises:
            ModelError: The vocabulary has neither sentinels nor a mask piece.
            UsageError: An example has more spans than the vocabulary has sentinels, or no room beside its frame.
            CorpusError: No example has a piece that could be hidden.
        """
        sentinels = _sentinels(tokenizer)
        mask, end = tokenizer.mask_token_id, tokenizer.eos_token_id
        if not len(sentinels) and mask is None:
            raise ModelError(
                "the tokenizer has neither sentinels (<extra_id_0>) nor a mask piece, so no span can be hidden.",
                "use a model that was trained to fill gaps (T5, mT5, umT5, BART, mBART), or another objective.",
            )

        def ask(example: TextExample, pieces: Pieces) -> dict[str, Ids] | None:
            places = pieces.known[~np.isin(pieces.ids[pieces.known], sentinels)]
            if not len(places):
                return None
            starts, ends = _runs(self._hidden(places, pieces.generator()))
            if not len(sentinels):
                masks = np.full(len(starts), mask, dtype=np.int64)
                return {"input_ids": _replace(pieces.ids, starts, ends, masks), "labels": pieces.ids.copy()}
            return _with_sentinels(pieces.ids, starts, ends, sentinels, end)

        return encode_sample(sample, tokenizer, seed, self.max_length, ask)

    def _hidden(self, places: Ids, generator: np.random.Generator) -> Ids:
        """Draw the positions to hide, rising.

        Of n places m are hidden in k runs: the m are cut into k runs at k − 1 of the m − 1 cuts, and the runs are put
        into k of the n − m + 1 gaps beside the other places, each choice as likely as any other.

        Args:
            places: Positions that may be hidden, int64 [n].
            generator: The example's own.
        """
        n = len(places)
        hidden = min(max(_drawn(n * self.rate, generator), 1), n)
        runs = min(max(_drawn(hidden / self.mean_span, generator), 1), hidden, n - hidden + 1)
        cuts = np.sort(generator.choice(hidden - 1, runs - 1, replace=False)) + 1 if runs > 1 else np.empty(0, np.int64)
        lengths = np.diff(np.concatenate(([0], cuts, [hidden])))
        gaps = np.sort(generator.choice(n - hidden + 1, runs, replace=False))
        # A gap is counted in places that stay; before it lie the runs that come earlier.
        starts = gaps + np.concatenate(([0], np.cumsum(lengths)[:-1]))
        chosen: Ids = np.concatenate(
            [places[s : s + length] for s, length in zip(starts, lengths, strict=True)], dtype=np.int64
        )
        return chosen


def _drawn(amount: float, generator: np.random.Generator) -> int:
    """Return `amount` rounded up or down, so that it is `amount` on average."""
    whole = int(amount)
    return whole + int(generator.random() < amount - whole)


def _runs(positions: Ids) -> tuple[Ids, Ids]:
    """Return the first position of each run of consecutive positions, and the one after its last."""
    breaks = np.flatnonzero(np.diff(positions) > 1)
    starts = positions[np.concatenate(([0], breaks + 1))]
    ends = positions[np.concatenate((breaks, [len(positions) - 1]))] + 1
    return starts, ends


def _replace(ids: Ids, starts: Ids, ends: Ids, stand_ins: Ids) -> Ids:
    """Return `ids` with each run replaced by its stand-in."""
    kept = np.ones(len(ids), dtype=bool)
    for start, end in zip(starts, ends, strict=True):
        kept[start + 1 : end] = False
    changed = ids.copy()
    changed[starts] = stand_ins
    return changed[kept]


def _with_sentinels(ids: Ids, starts: Ids, ends: Ids, sentinels: Ids, end_id: int | None) -> dict[str, Ids]:
    runs = len(starts)
    if runs >= len(sentinels):
        raise UsageError(
            f"an example has {runs} spans, and the vocabulary sentinels for {len(sentinels) - 1}.",
            "allow only shorter examples, or ask for longer spans.",
        )
    target: list[int] = []
    for sentinel, start, end in zip(sentinels, starts, ends, strict=False):
        target += [int(sentinel), *ids[start:end].tolist()]
    target.append(int(sentinels[runs]))
    if end_id is not None:
        target.append(end_id)
    return {
        "input_ids": _replace(ids, starts, ends, sentinels[:runs]),
        "labels": np.array(target, dtype=np.int64),
    }


def _sentinels(tokenizer: Any) -> Ids:
    """Return the ids of `<extra_id_0>`, `<extra_id_1>` …, in this order; empty where the vocabulary has none."""
    vocabulary = tokenizer.get_vocab()
    for pattern in _SENTINELS:
        found: list[int] = []
        for number in count():
            if (piece := vocabulary.get(pattern.format(number))) is None:
                break
            found.append(piece)
        if found:
            return np.array(found, dtype=np.int64)
    return np.empty(0, dtype=np.int64)
