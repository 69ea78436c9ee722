"""Notes on an import of scores: what was left out, how labels and numbers were read, and what looks unusual."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import numpy as np

from xsns_stream.gold.axes import own_pairs
from xsns_stream.gold.checking import LeftOut
from xsns_stream.io.numbers import ReadCells
from xsns_stream.io.tables import all_listed, listed
from xsns_stream.language_labels import Labels
from xsns_stream.types.transfer_scores import UNKNOWN, TransferScores

#: Share of the pairs of different languages that have a score in a matrix.
_FULL: Final = 0.9


def mean_note(means: set[str]) -> Iterator[str]:
    """Yield a note on lines and columns that were not read because they contain means or totals.

    `means` are their labels.
    """
    if means:
        yield (
            f"these labels were not read, because they are means or totals: {listed(sorted(means))}; "
            "--rename LABEL=CODE reads such a label as a language."
        )


def trivial_note(labels: set[str]) -> Iterator[str]:
    """Yield a note on the lines that were read as scores of a trivial answer; `labels` are their labels."""
    if labels:
        yield f"lines read as scores of the trivial answer: {listed(sorted(labels))}."


def skipped_note(problems: Sequence[str], left_out: LeftOut) -> Iterator[str]:
    """Yield a note on all cells that were left out because `skip_unknown` is set.

    `problems` are the reasons, each a sentence without its full stop.
    """
    if problems:
        yield f"{left_out.scores} of {left_out.of} scores are left out: {'; '.join(problems)}."


def name_note(labels: Labels) -> Iterator[str]:
    """Yield a note on the languages that were recognised by name."""
    if labels.by_name:
        named = [f"{label} = {code}" for label, code in labels.by_name.items()]
        yield f"labels recognised by name: {all_listed(named)}; use --rename OLD=NEW to change this."


def number_notes(read: ReadCells) -> Iterator[str]:
    """Yield notes on the way in which numbers are written, and on the parts of cells that were not read."""
    if read.commas:
        yield f"commas are decimal signs in {len(read.commas)} of {len(read.values)} cells, such as {read.commas[0]}."
    if any(read.percent):
        yield f"{sum(read.percent)} of {len(read.values)} cells have a percent sign: the scores are percentages."
    if read.marked:
        count = f"{len(read.marked)} of {len(read.values)} cells"
        yield f"marks and formatting were not read in {count}, such as {read.marked[0]}."
    if read.spread:
        yield (
            f"only the first number was read in {len(read.spread)} of {len(read.values)} cells, such as "
            f"{read.spread[0]}."
        )


def orientation_note(scores: TransferScores, transpose: bool) -> Iterator[str]:
    """Yield a note if every target is a source, but not every source is a target.

    In a matrix, every source is usually a target, because a language with training data nearly always has test data.
    A table with few of the pairs is not a matrix: its authors have chosen targets, and then sources for each of them.
    """
    more = set(scores.sources) - set(scores.targets)
    between = ~own_pairs(scores)
    full = np.isfinite(scores.values[between]).mean() >= _FULL if between.any() else False
    if more and full and set(scores.targets) < set(scores.sources) and not transpose:
        count = "1 source is not a target" if len(more) == 1 else f"{len(more)} sources are not targets"
        yield (
            f"this looks transposed: every target is also a source, and {count}, although "
            "languages with training data usually have test data; --transpose exchanges sources and targets."
        )


def unnamed_note(scores: TransferScores) -> Iterator[str]:
    """Yield a note if the task or the metric is unknown; it names the options `--task` and `--metric`."""
    unnamed = [f"--{name}" for name in ("task", "metric") if getattr(scores, name) == UNKNOWN]
    if unnamed:
        missing = " and ".join(name.removeprefix("--") for name in unnamed)
        yield f"the format does not name the {missing} of the scores; give {' and '.join(unnamed)}."


def own_language_note(scores: TransferScores) -> Iterator[str]:
    """Yield a note if the mean score of models is lower on their own language than on other languages.

    In this case smaller scores may be better.
    """
    values = scores.values
    own = own_pairs(scores)
    finite = np.isfinite(values)
    if (own & finite).sum() < 2 or not (~own & finite).any():
        return
    with_itself, with_others = values[own & finite].mean(), values[~own & finite].mean()
    if with_itself < with_others:
        yield (
            f"the mean score of models on their own language is {with_itself:.4g}, lower than on other languages "
            f"({with_others:.4g}): are smaller scores better? Larger scores are read as better transfer."
        )
