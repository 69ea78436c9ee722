"""Masked and causal language modelling, and span corruption.

Span corruption has two forms, which depend on the pre-training of the model. If the vocabulary has sentinels (T5, mT5,
umT5), each span is replaced by a different sentinel. The target of the decoder contains each sentinel, followed by the
tokens that the sentinel replaced, and one more sentinel at the end:

    tokens   ▁one ▁two ▁three ▁four ▁five ▁six </s>
    encoder  ▁one <extra_id_0> ▁four ▁five <extra_id_1> </s>
    decoder  <extra_id_0> ▁two ▁three <extra_id_1> ▁six <extra_id_2> </s>

If the vocabulary has no sentinels but a mask token (BART, mBART), each span is replaced by one mask token, and the
target of the decoder is the whole text, including special tokens ("text infilling").

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
    TokenisedExample,
    check_length,
    check_rate,
    check_scored_share,
    draw_scored,
    encode_sample,
)
from xsns_stream.types import LanguageSample, TextExample

MASKED_SHARE, RANDOM_SHARE = 0.8, 0.1  # of the chosen tokens; the others are not changed (BERT's 80/10/10)


@dataclass(frozen=True)
class MaskedLanguageModelling:
    """Masked language modelling, the paper's objective.

    Attributes:
        rate: Probability that a token is hidden.
        max_length: Maximum length of an example in tokens, including special tokens; longer text is cut.
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
        """Split the text of the sample into tokens and hide some of them; `labels` [T] contain the true tokens.

        Raises:
            UsageError: `max_length` is too small for text beside the special tokens of a pair.
            CorpusError: No example has a token that can be hidden.
        """
        special = np.array(sorted(set(tokenizer.all_special_ids)), dtype=np.int64)
        ordinary = np.setdiff1d(np.arange(len(tokenizer)), special)

        def make_arrays(example: TextExample, tokens: TokenisedExample) -> dict[str, Ids]:
            return self._hide(tokens, ordinary, tokenizer.mask_token_id)

        return encode_sample(sample, tokenizer, seed, self.max_length, make_arrays)

    def _hide(self, tokens: TokenisedExample, ordinary: Ids, mask_id: int) -> dict[str, Ids]:
        ids, candidates, generator = tokens.ids, tokens.known, tokens.generator()
        draws = generator.random(len(candidates))
        # The token with the smallest draw is always hidden, because the gradient would silently be zero without a
        # hidden token.
        chosen = candidates[(draws < self.rate) | (draws == draws.min())]
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
    """Causal language modelling: the model reads the whole text, and predicts every token except the first.

    Attributes:
        max_length: Maximum length of an example in tokens, including special tokens; longer text is cut.
        scored_share: Share of the predicted tokens that enter the log-likelihood, in (0, 1]. With 1, nothing is drawn
            at random; below 1, the tokens of each example are drawn, at least one.
    """

    max_length: int = 128
    scored_share: float = 1.0

    name: ClassVar[str] = "causal-lm"

    def __post_init__(self) -> None:
        check_length(self.max_length, 2)
        check_scored_share(self.scored_share)

    def __str__(self) -> str:
        return f"{self.name}(max_length={self.max_length}{_share_setting(self.scored_share)})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Split the text of the sample into tokens, including the special tokens that the tokenizer adds.

        `labels` [T] equal the tokens; they are not shifted, because transformers shifts them. If `scored_share` is
        below 1, they are −100 at the positions that were not drawn. An example of one token has no target and is
        unusable.

        Raises:
            UsageError: `max_length` is too small for text beside the special tokens.
            CorpusError: No example has two tokens.
        """

        def make_arrays(example: TextExample, tokens: TokenisedExample) -> dict[str, Ids] | None:
            if len(tokens.ids) < 2:
                return None
            labels = tokens.ids.copy()
            if self.scored_share < 1:
                labels = draw_scored(labels, 1, self.scored_share, tokens.generator())
            return {"input_ids": tokens.ids, "labels": labels}

        return encode_sample(sample, tokenizer, seed, self.max_length, make_arrays)


def _share_setting(share: float) -> str:
    """Return the share of scored positions as a part of an objective's recorded string; empty for all positions.

    Rows of older versions have no such setting; all their positions are scored.
    """
    return "" if share == 1 else f",scored_share={float(share)}"


#: The sentinels of mT5 are in its text vocabulary and begin with the mark of a word; those of T5 do not.
_SENTINELS: Final = ("▁<extra_id_{}>", "<extra_id_{}>")


@dataclass(frozen=True)
class SpanCorruption:
    """Span corruption: spans of tokens are hidden; their positions are drawn uniformly over the whole text.

    Attributes:
        rate: Share of the tokens that is hidden. The number of hidden tokens is rounded up or down at random, because
            the mean share should be the same for short and long examples; at least one token is hidden.
        mean_span: Mean number of tokens of a span, ≥ 1; each example has at least one span.
        max_length: Maximum length of an example in tokens, including special tokens; longer text is cut.
        scored_share: Share of the decoder's targets that enter the log-likelihood, in (0, 1]. Below 1, the targets of
            each example are drawn at random, at least one.
    """

    rate: float = 0.15
    mean_span: float = 3.0
    max_length: int = 128
    scored_share: float = 1.0

    name: ClassVar[str] = "span-corruption"

    def __post_init__(self) -> None:
        check_rate(self.rate)
        check_length(self.max_length, 2)
        check_scored_share(self.scored_share)
        if not 1 <= self.mean_span < float("inf"):
            raise UsageError(f"the mean length of a span must be at least 1, not {self.mean_span}.")

    def __str__(self) -> str:
        settings = f"rate={self.rate:g},mean_span={self.mean_span:g},max_length={self.max_length}"
        return f"{self.name}({settings}{_share_setting(self.scored_share)})"

    def encode(self, sample: LanguageSample, tokenizer: Any, seed: int) -> EncodedSample:
        """Split the text of the sample into tokens and hide spans; `labels` [Td] are the decoder's targets.

        If `scored_share` is below 1, `labels` are −100 at the targets that were not drawn, and `decoder_tokens` [Td]
        are all targets, from which the inputs of the decoder are made.

        Raises:
            ModelError: The vocabulary has neither sentinels nor a mask token.
            UsageError: An example has more spans than the vocabulary has sentinels, or `max_length` is too small for
                text beside the special tokens.
            CorpusError: No example has a token that can be hidden.
        """
        sentinels = _sentinels(tokenizer)
        mask, end = tokenizer.mask_token_id, tokenizer.eos_token_id
        if not len(sentinels) and mask is None:
            raise ModelError(
                "the tokenizer has neither sentinels (<extra_id_0>) nor a mask token, and cannot hide a span.",
                "use a model that was trained to fill gaps (T5, mT5, umT5, BART, mBART), or another objective.",
            )

        def make_arrays(example: TextExample, tokens: TokenisedExample) -> dict[str, Ids] | None:
            positions = tokens.known[~np.isin(tokens.ids[tokens.known], sentinels)]
            if not len(positions):
                return None
            # The spans are drawn before the scored targets, because the spans must not depend on the share of scored
            # targets.
            generator = tokens.generator()
            starts, ends = _runs(self._hidden(positions, generator))
            if len(sentinels):
                arrays = _with_sentinels(tokens.ids, starts, ends, sentinels, end)
            else:
                masks = np.full(len(starts), mask, dtype=np.int64)
                arrays = {"input_ids": _replace(tokens.ids, starts, ends, masks), "labels": tokens.ids.copy()}
            if self.scored_share == 1:
                return arrays
            targets = arrays["labels"]
            return arrays | {
                "labels": draw_scored(targets, 0, self.scored_share, generator),
                "decoder_tokens": targets,
            }

        return encode_sample(sample, tokenizer, seed, self.max_length, make_arrays)

    def _hidden(self, positions: Ids, generator: np.random.Generator) -> Ids:
        """Draw the positions of the tokens to hide, and return them in ascending order.

        Of n positions, m are hidden in k runs. First, the m hidden positions are divided into k runs, at k − 1 of the m
        − 1 possible cuts. Then the runs are placed into k of the n − m + 1 gaps before, between and after the visible
        positions. All choices are equally likely.

        Args:
            positions: Positions that may be hidden, int64 [n].
            generator: The random generator of the example.
        """
        n = len(positions)
        hidden = min(max(_round_at_random(n * self.rate, generator), 1), n)
        runs = min(max(_round_at_random(hidden / self.mean_span, generator), 1), hidden, n - hidden + 1)
        cuts = np.sort(generator.choice(hidden - 1, runs - 1, replace=False)) + 1 if runs > 1 else np.empty(0, np.int64)
        lengths = np.diff(np.concatenate(([0], cuts, [hidden])))
        gaps = np.sort(generator.choice(n - hidden + 1, runs, replace=False))
        # A gap is given by the number of visible positions before it; earlier runs are added.
        starts = gaps + np.concatenate(([0], np.cumsum(lengths)[:-1]))
        chosen: Ids = np.concatenate(
            [positions[s : s + length] for s, length in zip(starts, lengths, strict=True)], dtype=np.int64
        )
        return chosen


def _round_at_random(amount: float, generator: np.random.Generator) -> int:
    """Return `amount` rounded up or down at random; the expected value is `amount`."""
    whole = int(amount)
    return whole + int(generator.random() < amount - whole)


def _runs(positions: Ids) -> tuple[Ids, Ids]:
    """Return the first position of each run of consecutive positions, and the position after the end of each run."""
    breaks = np.flatnonzero(np.diff(positions) > 1)
    starts = positions[np.concatenate(([0], breaks + 1))]
    ends = positions[np.concatenate((breaks, [len(positions) - 1]))] + 1
    return starts, ends


def _replace(ids: Ids, starts: Ids, ends: Ids, stand_ins: Ids) -> Ids:
    """Return `ids` in which each run from `starts` to `ends` is replaced by one token of `stand_ins`."""
    keep = np.ones(len(ids), dtype=bool)
    for start, end in zip(starts, ends, strict=True):
        keep[start + 1 : end] = False
    changed = ids.copy()
    changed[starts] = stand_ins
    return changed[keep]


def _with_sentinels(ids: Ids, starts: Ids, ends: Ids, sentinels: Ids, end_id: int | None) -> dict[str, Ids]:
    runs = len(starts)
    if runs >= len(sentinels):
        raise UsageError(
            f"an example has {runs} spans, but the vocabulary has sentinels for only {len(sentinels) - 1}.",
            "allow only shorter examples, or choose longer spans.",
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
    """Return the ids of `<extra_id_0>`, `<extra_id_1>` … in this order; empty if the vocabulary has none."""
    vocabulary = tokenizer.get_vocab()
    for pattern in _SENTINELS:
        sentinels: list[int] = []
        for number in count():
            if (token := vocabulary.get(pattern.format(number))) is None:
                break
            sentinels.append(token)
        if sentinels:
            return np.array(sentinels, dtype=np.int64)
    return np.empty(0, dtype=np.int64)
