"""Steps of a build for one row: recording its text, measuring it, and committing its sub-networks."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from hashlib import blake2b
from itertools import combinations
from typing import Any, Final

from xsns_stream.corpora.readers import FORMATS
from xsns_stream.errors import FisherError
from xsns_stream.objectives import EncodedSample, Objective
from xsns_stream.pipeline.events import Noted, Row, RowCommitted
from xsns_stream.pipeline.measure import MeasuredRow, Run, measured
from xsns_stream.store import OtherBitsError, SubNetworkStore
from xsns_stream.subnetworks.select import extract_subnetworks
from xsns_stream.types import LanguageSample, Provenance, ReadCounts, SubNetwork

#: A note is sent if a larger share of the tokens is unknown: little more than punctuation is measured then.
MANY_UNKNOWN: Final = 0.2
#: A note names two languages that share at least this part of their examples, because shared text makes them similar.
MANY_COMMON: Final = 0.1
#: Largest number of pairs of languages in a message.
SHOWN: Final = 5
#: Largest number of examples of a row that are compared with other rows; it limits memory.
_COMPARED_EXAMPLES: Final = 4_096
#: A suffix of a file name that identifies the format.
_SUFFIX: Final = re.compile(rf"[.]({'|'.join(suffix[1:] for suffix in FORMATS)})\b")
_SKIPPED: Final = ("empty", "duplicate", "undecodable", "malformed", "unlabelled")
_OTHER_BITS: Final = (
    "was committed by another process in the meantime, with other bits, because other hardware or other batches "
    "round differently. The first commit is valid."
)


# ------------------------------------------------------------------------------------------------- the text of a row


@dataclass(frozen=True)
class RowText:
    """Text of a row: the drawn examples, and the same examples encoded for the model."""

    sample: LanguageSample
    encoded: EncodedSample


def text_record(sample: LanguageSample, encoded: EncodedSample) -> dict[str, Any]:
    """Return a record of how the text of a row was read and encoded, as JSON values."""
    lines = {name: number for name, number in asdict(sample.counts).items() if number}
    return {
        "lines": lines,
        "examples_unusable": encoded.unusable,
        "examples_cut": encoded.cut,
        "tokens_left_out": encoded.left_out_share,
        "tokens_unknown": encoded.unknown_share,
        "framing_tokens": encoded.frame,
    }


def notes_on_text(sample: LanguageSample, encoded: EncodedSample, requested: int, max_length: int) -> Iterator[str]:
    """Yield notes for the user about the text of a row.

    Args:
        sample: The drawn examples.
        encoded: The drawn examples, encoded for the model.
        requested: Requested number of examples.
        max_length: Maximum length of an example in tokens.
    """
    if len(sample) < requested:
        yield f"has only {len(sample)} of the {requested} examples requested."
    yield from _notes_on_lines(sample.counts, unit_of(sample.source))
    yield from sample.notes
    if encoded.unusable:
        are, they = ("is", "it has") if encoded.unusable == 1 else ("are", "they have")
        yield f"{encoded.unusable} of {len(sample)} examples {are} left out, because {they} no token to predict."
    if encoded.cut:
        are = "is" if encoded.cut == 1 else "are"
        yield (
            f"{encoded.cut} of {len(sample)} examples {are} longer than {max_length} tokens, and cut there: "
            f"{_percent(encoded.left_out_share)} of the text's tokens are left out."
        )
    if encoded.special:
        contain = "contains" if encoded.special == 1 else "contain"
        yield (
            f"{encoded.special} of {len(sample)} examples {contain} a character that is a special token of this model, "
            "and is read as that token."
        )
    if encoded.unknown_share > MANY_UNKNOWN:
        yield unknown_tokens(encoded)


def unknown_tokens(encoded: EncodedSample) -> str:
    """Return the note on a text with many tokens that are not in the tokenizer's vocabulary."""
    return f"{encoded.unknown_share:.0%} of the tokens are unknown to the tokenizer; the result is not reliable."


def unit_of(source: str) -> str:
    """Return the word for the units that a text source consists of: sentences, rows or lines."""
    suffix = _SUFFIX.search(source)
    return FORMATS[f".{suffix[1]}"].unit if suffix else "lines"


def _notes_on_lines(counts: ReadCounts, units: str) -> Iterator[str]:
    numbers = ((reason, getattr(counts, reason)) for reason in _SKIPPED)
    skipped = ", ".join(f"{number} {reason}" for reason, number in numbers if number)
    if skipped:
        are = "is" if skipped.startswith("1 ") and ", " not in skipped else "are"
        yield f"{skipped} of {counts.read} {units} {are} skipped."
    if counts.control:
        yield f"control characters are removed from {counts.control} of {counts.read} {units}."
    if counts.cut:
        are = "is" if counts.cut == 1 else "are"
        yield f"{counts.cut} of {counts.read} {units} {are} longer than a million characters (2^20), and cut there."


def _percent(share: float) -> str:
    """Return a share as text in percent; a share between 0 and 1 is never shown as 0 % or 100 %."""
    return "less than 0.1 %" if 0 < share < 0.001 else f"{100 * min(share, 0.999):.1f} %"


@dataclass(frozen=True)
class SharedText:
    """Two languages that have examples in common.

    Attributes:
        languages: The two languages.
        seed: The seed of both rows.
        share: Number of common examples, divided by the number of examples of the language with fewer examples.
    """

    languages: tuple[str, str]
    seed: int
    share: float


@dataclass
class RowTexts:
    """Text records of all rows that were read in one build, and digests of their examples.

    Attributes:
        records: {row: record from :func:`text_record`}.
    """

    records: dict[Row, Mapping[str, Any]] = field(default_factory=dict)
    _digests: dict[Row, frozenset[bytes]] = field(default_factory=dict)

    def add(self, row: Row, text: RowText) -> None:
        """Add the record of a row's text and the digests of its examples; the text is not stored."""
        self.records[row] = text_record(text.sample, text.encoded)
        examples = text.sample.examples[:_COMPARED_EXAMPLES]
        self._digests[row] = frozenset(blake2b(e.key().encode(), digest_size=8).digest() for e in examples)

    def update(self, others: RowTexts) -> None:
        """Add all records and digests of another collection to this one."""
        self.records.update(others.records)
        self._digests.update(others._digests)

    def shared(self) -> list[SharedText]:
        """Return the pairs of languages that have many examples in common, sorted by descending share."""
        rows_of: dict[tuple[int, bytes], list[Row]] = {}
        for row, digests in self._digests.items():
            for digest in digests:
                rows_of.setdefault((row.seed, digest), []).append(row)
        common = Counter(pair for rows in rows_of.values() for pair in combinations(rows, 2))
        pairs = [
            SharedText((a.language, b.language), a.seed, count / min(len(self._digests[a]), len(self._digests[b])))
            for (a, b), count in common.items()
        ]
        return sorted((pair for pair in pairs if pair.share >= MANY_COMMON), key=lambda p: (-p.share, p.languages))


def note_on_shared(shared: Sequence[SharedText]) -> str:
    """Return a note on languages that share examples; empty if no languages do."""
    if not shared:
        return ""
    named = [f"{' and '.join(one.languages)} (seed {one.seed}) {one.share:.0%}" for one in shared[:SHOWN]]
    more = f", and {len(shared) - SHOWN} more" if len(shared) > SHOWN else ""
    return (
        "these languages have examples in common, which makes their sub-networks similar even if the languages "
        f"are not: {', '.join(named)}{more}."
    )


# ------------------------------------------------------------------------------------------- measurement and commit


def finish_row(
    row: Row, read_text: Callable[[], RowText | None], objective: Objective, run: Run, texts: RowTexts
) -> RowCommitted | None:
    """Measure and commit one row; return None if another process has committed it in the meantime.

    Args:
        row: The row.
        read_text: Function that returns the text of the row; it returns None if the sub-networks are selected from
            Fisher values in the store.
        objective: The objective of the run.
        run: Settings, model and store, which all rows share.
        texts: The collection to which the record of the row's text is added.
    """
    started = time.perf_counter()
    text = read_text()
    commits = RowCommits(row, run)
    if text is None:
        measurement = _from_stored_fisher(row, run)
        network = _commit(measurement, commits)
    else:
        provenance = _announce_text(row, text, objective, run, texts)
        with measured(row, text.encoded.examples, run, provenance) as measurement:
            _save(row, measurement, run)
            network = _commit(measurement, commits)
    if commits.lost and not commits.written:
        return None
    return RowCommitted(
        row,
        measurement.fisher.examples,
        network.cardinality,
        network.density_realised,
        time.perf_counter() - started,
        text is None,
        measurement.reliability(run.settings.densities[0]),
    )


def _announce_text(row: Row, text: RowText, objective: Objective, run: Run, texts: RowTexts) -> Provenance:
    """Record the text of a row in `texts`, send the notes on it, and return the provenance of the row."""
    sample, encoded = text.sample, text.encoded
    for note in notes_on_text(sample, encoded, run.settings.examples, objective.max_length):
        run.notify(Noted(note, row))
    texts.add(row, text)
    return replace(run.provenance, corpus_digest=sample.digest, seed=row.seed, text=text_record(sample, encoded))


def _save(row: Row, measurement: MeasuredRow, run: Run) -> None:
    """Write the Fisher values of a row to the store if the settings request it and the store lacks them."""
    settings = run.settings
    if settings.split_half and not measurement.reliability(settings.densities[0]).get("split_half"):
        run.notify(Noted("has too few examples to compare two halves of them.", row))
    if settings.keep_fisher is not None and run.store.fisher_record(row.language, row.seed) is None:
        run.store.save_fisher(measurement.fisher, settings.keep_fisher)


def _from_stored_fisher(row: Row, run: Run) -> MeasuredRow:
    """Return the measurement of a row that consists of its Fisher values in the store."""
    fisher, record = run.store.fisher_values(row.language, row.seed), run.store.fisher_record(row.language, row.seed)
    if fisher is None or record is None:
        raise FisherError(f"the Fisher values of '{row.language}' were removed from the store.", "run the build again.")
    rounded = (
        ". They are rounded to bf16, and the sub-network is therefore an approximation"
        if record.encoding == "bf16"
        else ""
    )
    run.notify(Noted(f"is selected from the Fisher values in the store{rounded}.", row))
    return MeasuredRow(replace(fisher, provenance=replace(fisher.provenance, values=f"kept-{record.encoding}")))


def _commit(measurement: MeasuredRow, commits: RowCommits) -> SubNetwork:
    """Select and commit the sub-networks of a row; return the sub-network of the last density."""
    settings = commits.run.settings
    commits.write_folds(measurement)
    for network in extract_subnetworks(measurement.fisher, settings.densities, quantile=settings.quantile_used):
        _note_few_values(network, commits)
        commits.write(network, measurement)
    return network


def _note_few_values(network: SubNetwork, commits: RowCommits) -> None:
    if network.density_realised < 0.99 * network.density and network.cardinality + 1 < network.density * network.size:
        text = (
            f"only {network.density_realised:.2%} of the parameters have a Fisher value above zero, "
            f"fewer than the {network.density:.2%} requested."
        )
        commits.run.notify(Noted(text, commits.row))


class RowCommits:
    """Writer of the sub-networks of one row: one for each density, and one for each density and left-out fold.

    Sub-networks that are in the store already are not written again, even if they differ by rounding because an
    interrupted run had other batches. A sub-network that another process commits after the creation of this
    object is counted as lost.

    Args:
        row: The row.
        run: Settings, model and store, which all rows share.

    Attributes:
        written: Number of sub-networks that this process has committed.
        lost: Number of sub-networks that other processes committed first, since the creation of this object.
    """

    def __init__(self, row: Row, run: Run) -> None:
        self.row, self.run = row, run
        self.written = self.lost = 0
        self._noted = False
        stores = [run.store, *(run.store.folds(run.settings.parts) if run.settings.parts else ())]
        self._committed = {
            (number, density)
            for number, store in enumerate(stores)
            for density in run.settings.densities
            if store.is_committed(row.language, row.seed, density)
        }

    def write_folds(self, measurement: MeasuredRow) -> None:
        """Commit the sub-networks that leave out one fold.

        They are committed before the row itself, so that a committed row has all of them.
        """
        count = len(measurement.leave_one_out)
        for number, networks in enumerate(measurement.leave_one_out, start=1):
            write = partial(self.run.store.write_fold, count=count, number=number)
            for each in networks:
                network = each
                if (0, each.density) in self._committed:
                    # The record of a committed row is never rewritten. Its split-half coefficient is therefore recorded
                    # in the records of its folds.
                    reliability = measurement.reliability(each.density)
                    network = replace(each, provenance=replace(each.provenance, reliability=reliability))
                self._add(network, number, self.run.store.folds(count)[number - 1], write)

    def write(self, network: SubNetwork, measurement: MeasuredRow) -> None:
        """Commit the row's sub-network of one density.

        Raises:
            OtherBitsError: Another process has committed the row from other text.
        """
        if (0, network.density) in self._committed:
            return
        provenance = replace(measurement.fisher.provenance, reliability=measurement.reliability(network.density))
        self._add(replace(network, provenance=provenance), 0, self.run.store, self.run.store.write)

    def _add(
        self, network: SubNetwork, number: int, store: SubNetworkStore, write: Callable[[SubNetwork], bool]
    ) -> None:
        if (number, network.density) in self._committed:
            return
        try:
            written = write(network)
        except OtherBitsError:
            provenance = store.record(network.language, network.seed, network.density).provenance
            if provenance.corpus_digest != network.provenance.corpus_digest:
                raise
            written = False
            self._note_once(_OTHER_BITS)
        self.written += written
        self.lost += not written

    def _note_once(self, text: str) -> None:
        if not self._noted:
            self._noted = True
            self.run.notify(Noted(text, self.row))
