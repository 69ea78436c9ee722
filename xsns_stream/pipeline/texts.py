"""What a build knows of the texts of its rows: what was skipped and cut of each, and what two languages share."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import blake2b
from itertools import combinations
from typing import Any, Final

from xsns_stream.objectives import EncodedSample
from xsns_stream.pipeline.events import Row
from xsns_stream.pipeline.read_ahead import RowText
from xsns_stream.types import LanguageSample, ReadCounts

#: Above this share of unknown pieces a language is measured on little more than its punctuation.
MANY_UNKNOWN: Final = 0.2
#: From this share of common examples on, two languages are named: similar sub-networks may say no more than this.
MANY_COMMON: Final = 0.1
#: Pairs of languages that a message names.
SHOWN: Final = 5
#: Examples of a row that are looked at, so that memory stays small.
_LOOKED_AT: Final = 4_096
# The first suffix of a file's name that says what is read from it.
_SUFFIX: Final = re.compile(r"[.](conllu|jsonl|parquet|csv|tsv)\b")
_UNITS: Final = {"conllu": "sentences", "jsonl": "rows", "parquet": "rows", "csv": "rows", "tsv": "rows"}
_SKIPPED: Final = ("empty", "duplicate", "undecodable", "malformed", "unlabelled")


def text_record(sample: LanguageSample, encoded: EncodedSample) -> dict[str, Any]:
    """Return what is recorded of how a row's text was read, as plain JSON values."""
    lines = {name: number for name, number in asdict(sample.counts).items() if number}
    return {
        "lines": lines,
        "examples_unusable": encoded.unusable,
        "examples_cut": encoded.cut,
        "tokens_left_out": encoded.left_out_share,
        "tokens_unknown": encoded.unknown_share,
        "framing_tokens": encoded.frame,
    }


def notes_on_text(sample: LanguageSample, encoded: EncodedSample, asked: int, max_length: int) -> Iterator[str]:
    """Yield what the user should know of a row's text, a sentence each."""
    if len(sample) < asked:
        yield f"has only {len(sample)} of the {asked} examples asked for."
    yield from _notes_on_lines(sample.counts, unit_of(sample.source))
    yield from sample.notes
    if encoded.unusable:
        yield f"{encoded.unusable} of {len(sample)} examples are left out, because nothing could be asked of them."
    if encoded.cut:
        yield (
            f"{encoded.cut} of {len(sample)} examples are longer than {max_length} tokens, and cut there: "
            f"{_percent(encoded.left_out_share)} of the text's tokens are left out."
        )
    if encoded.special:
        yield (
            f"{encoded.special} of {len(sample)} examples hold a character that is a special token of this model, "
            "and is read as that token."
        )
    if encoded.unknown_share > MANY_UNKNOWN:
        yield f"{encoded.unknown_share:.0%} of the pieces are unknown to the tokenizer; the result says little."


def unit_of(source: str) -> str:
    """Return what the units are called that were read from a source: sentences, rows or lines."""
    found = _SUFFIX.search(source)
    return _UNITS.get(found[1], "lines") if found else "lines"


def _notes_on_lines(counts: ReadCounts, units: str) -> Iterator[str]:
    skipped = ((what, getattr(counts, what)) for what in _SKIPPED)
    told = ", ".join(f"{number} {what}" for what, number in skipped if number)
    if told:
        yield f"{told} of {counts.read} {units} skipped."
    if counts.control:
        yield f"control characters are removed from {counts.control} of {counts.read} {units}."
    if counts.cut:
        yield f"{counts.cut} of {counts.read} {units} are longer than a million characters (2^20), and cut there."


def _percent(share: float) -> str:
    """Return a share in percent, never rounded to nothing or to all."""
    return "less than 0.1 %" if 0 < share < 0.001 else f"{100 * min(share, 0.999):.1f} %"


@dataclass(frozen=True)
class SharedText:
    """Two languages with common examples.

    Attributes:
        languages: The two.
        seed: Of the draw.
        share: Common examples, of those of the language that has fewer.
    """

    languages: tuple[str, str]
    seed: int
    share: float


@dataclass
class RowTexts:
    """The texts of the rows that were read in one build.

    Attributes:
        records: Row → what :func:`text_record` returns.
    """

    records: dict[Row, Mapping[str, Any]] = field(default_factory=dict)
    _digests: dict[Row, frozenset[bytes]] = field(default_factory=dict)

    def add(self, row: Row, text: RowText) -> None:
        """Keep what is known of a row's text: digests, not the text itself."""
        self.records[row] = text_record(text.sample, text.encoded)
        examples = text.sample.examples[:_LOOKED_AT]
        self._digests[row] = frozenset(blake2b(e.key().encode(), digest_size=8).digest() for e in examples)

    def shared(self) -> list[SharedText]:
        """Return the pairs of languages that have many examples in common, those that share most first."""
        holders: dict[tuple[int, bytes], list[Row]] = {}
        for row, digests in self._digests.items():
            for digest in digests:
                holders.setdefault((row.seed, digest), []).append(row)
        common = Counter(pair for rows in holders.values() for pair in combinations(rows, 2))
        found = [
            SharedText((a.language, b.language), a.seed, count / min(len(self._digests[a]), len(self._digests[b])))
            for (a, b), count in common.items()
        ]
        return sorted((one for one in found if one.share >= MANY_COMMON), key=lambda one: (-one.share, one.languages))


def note_on_shared(shared: Sequence[SharedText]) -> str:
    """Return what follows from examples that languages share, as text; empty where there are none."""
    if not shared:
        return ""
    named = [f"{' and '.join(one.languages)} (seed {one.seed}) {one.share:.0%}" for one in shared[:SHOWN]]
    more = f", and {len(shared) - SHOWN} more pairs" if len(shared) > SHOWN else ""
    return (
        "these languages have examples in common, so that they are similar whatever the languages are: "
        f"{', '.join(named)}{more}."
    )
