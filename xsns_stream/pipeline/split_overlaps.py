"""Examples that are in two splits: a model that learnt them is tested on what it knows.

Splits that this program cuts share no example. Those that come with the data may; how many do is said, and kept with
the scores.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from xsns_stream.types import LabelledSplit, TransferRun

#: Of a unit's training: {target: [shared examples, test examples]}.
OVERLAP: Final = "test_examples_in_training"
# Pairs named in a sentence.
_NAMED: Final = 8


def overlaps(
    train: Mapping[str, Sequence[LabelledSplit]], tests: Mapping[str, LabelledSplit]
) -> dict[str, dict[str, int]]:
    """Return {source: {target: test examples whose text is also a training example}}, without zeros.

    Args:
        train: {source: its training splits}.
        tests: {target: what it is tested on}.
    """
    keys = {target: [example.key() for example in split.examples] for target, split in tests.items()}
    found: dict[str, dict[str, int]] = {}
    for source, splits in train.items():
        known = {example.key() for split in splits for example in split.examples}
        counts = {target: sum(key in known for key in texts) for target, texts in keys.items()}
        if shared := {target: count for target, count in counts.items() if count}:
            found[source] = shared
    return found


def overlap_note(what: str, found: Iterable[tuple[str, str, int, int]]) -> tuple[str, ...]:
    """Return a sentence on shared examples, the largest shares first; none where nothing is shared.

    Args:
        what: `test` or `dev`.
        found: (source, target, shared examples, all examples of the target).
    """
    ordered = sorted(found, key=lambda one: (-one[2] / one[3], one[0], one[1]))
    if not ordered:
        return ()
    pairs = [
        f"{source if source == target else f'{source} → {target}'} {shared} of {of} ({100 * shared / of:.0f} %)"
        for source, target, shared, of in ordered[:_NAMED]
    ]
    more = f" and {len(ordered) - _NAMED} more pairs" if len(ordered) > _NAMED else ""
    effect = "these scores are too high" if what == "test" else "training may stop too late"
    return (f"{what} examples that are training examples too: {', '.join(pairs)}{more}; {effect}.",)


def data_notes(
    train: Mapping[str, Sequence[LabelledSplit]],
    dev: Mapping[str, Sequence[LabelledSplit]],
    tests: Mapping[str, LabelledSplit],
) -> tuple[str, ...]:
    """Return sentences on test and dev examples that are training examples too."""
    tested = overlaps(train, tests)
    found = [(source, target, n, len(tests[target])) for source, one in tested.items() for target, n in one.items()]
    held = []
    for source, splits in dev.items():
        by_language = {split.language: split for split in splits}
        counts = overlaps({source: train[source]}, by_language).get(source, {})
        held += [(source, language, n, len(by_language[language])) for language, n in counts.items()]
    return (*overlap_note("test", found), *overlap_note("dev", held))


def run_notes(runs: Iterable[TransferRun]) -> tuple[str, ...]:
    """Return a sentence on the test examples that the models of these units had learnt."""
    found: dict[tuple[str, str], Any] = {
        (run.source, target): counts for run in runs for target, counts in run.training.get(OVERLAP, {}).items()
    }
    return overlap_note("test", [(*pair, int(shared), int(of)) for pair, (shared, of) in found.items()])
