"""Settings of fine-tuning: sources, targets, and the data of both."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from xsns_stream.corpora import TASK_NAMES, TaskCorpus, reading_notes
from xsns_stream.corpora.labels import check_spellings
from xsns_stream.errors import CorpusError, LanguageError, UsageError, XsnsError
from xsns_stream.languages import constituents
from xsns_stream.transfer import FineTuning, Task, class_names, equal_shares
from xsns_stream.transfer.finetune import subsample
from xsns_stream.transfer.tasks import labels_of
from xsns_stream.types import LabelledSplit, TransferRun

#: Dev data beyond this many examples cost time and decide nothing.
DEV_LIMIT: Final = 500
#: NumPy, which the Trainer seeds too, knows so many.
_SEEDS: Final = 2**32
#: Longest source that files are called by.
_LONGEST: Final = 64


@dataclass(frozen=True, order=True)
class Unit:
    """One model to fine-tune.

    Attributes:
        source: Code of the source; a mixture's are sorted and joined by `+`.
        seed: Of fine-tuning.
    """

    source: str
    seed: int

    @property
    def languages(self) -> tuple[str, ...]:
        """What it is fine-tuned on."""
        return constituents(self.source)

    @property
    def file_name(self) -> str:
        """What its files are called, without a suffix: a mixture of many languages is too long for some systems."""
        name = self.source if len(self.source) <= _LONGEST else hashlib.sha256(self.source.encode()).hexdigest()[:16]
        return f"{name}-{self.seed}"

    def __str__(self) -> str:
        return f"{self.source} (seed {self.seed})"


@dataclass(frozen=True)
class TransferSettings:
    """What to fine-tune on, test on, and how.

    Attributes:
        corpus: Labelled data of the task.
        task: What is measured.
        model: `mini`, a folder, or a Hub id.
        sources: Normalised codes, or several joined by `+`, sorted.
        targets: Normalised codes.
        seeds: Of fine-tuning; one unit of each source for each.
        fine_tuning: Hyper-parameters.
        revision: Of a model on the Hub.
        limit: Most training examples of a source, a mixture's shared equally; None takes all. Which ones they are does
            not depend on the seed.
        test_limit: Most test examples of a target, and dev examples of a source; None takes all (of dev 500).
        pairs: The only (source, target) that are measured; None measures all.
        keep_models: Folder for the fine-tuned models; None keeps none.
    """

    corpus: TaskCorpus
    task: Task
    model: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    seeds: tuple[int, ...]
    fine_tuning: FineTuning
    revision: str | None = None
    limit: int | None = None
    test_limit: int | None = None
    pairs: frozenset[tuple[str, str]] | None = None
    keep_models: Path | None = None

    def __post_init__(self) -> None:
        for name in ("sources", "targets", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise UsageError(f"there must be {name}, each once, not {', '.join(map(str, values)) or 'none'}.")
        if wrong := next((seed for seed in self.seeds if not 0 <= seed < _SEEDS), None):
            raise UsageError(f"a seed must lie between 0 and {_SEEDS - 1}, not {wrong}.", "take one such as 42.")
        for name, value in (("--limit", self.limit), ("--test-limit", self.test_limit)):
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}.")

    def units(self) -> tuple[Unit, ...]:
        """Return all units, seed by seed: an interrupted run has whole tables first."""
        return tuple(Unit(source, seed) for seed in self.seeds for source in self.sources)

    def targets_of(self, source: str) -> tuple[str, ...]:
        """Return the targets that a source is tested on."""
        if self.pairs is None:
            return self.targets
        return tuple(target for target in self.targets if (source, target) in self.pairs)


@dataclass(frozen=True)
class TransferData:
    """Everything that units read, checked.

    Attributes:
        labels: Names of the classes; empty where labels are answers.
        train: {source: its training splits, one for each language}.
        dev: {source: its dev splits}.
        test: {target: its test split}.
        failed: {language: what is wrong with its data}.
        notes: Sentences on the data.
    """

    labels: tuple[str, ...]
    train: Mapping[str, tuple[LabelledSplit, ...]]
    dev: Mapping[str, tuple[LabelledSplit, ...]]
    test: Mapping[str, LabelledSplit]
    failed: Mapping[str, XsnsError] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def read_data(settings: TransferSettings, on_read: Callable[[str], None] = lambda what: None) -> TransferData:
    """Read and check the data of all units.

    Args:
        settings: Which.
        on_read: Called with what is read next, to be shown.

    Raises:
        CorpusError: No source or no target has data, or targets have classes that no source knows.
        UsageError: A label that has a new name is nowhere.
    """
    failed: dict[str, XsnsError] = {}
    notes: dict[str, None] = {}

    def read(code: str, split: str) -> LabelledSplit | None:
        on_read(f"{code} {split}")
        try:
            found = settings.corpus.split(code, split)
        except (CorpusError, LanguageError) as error:
            failed.setdefault(code, error)
            return None
        if found.note:
            notes[found.note] = None
        if found.unlabelled:
            share = f"{found.unlabelled} of {len(found) + found.unlabelled}"
            why = "no label, or an answer that does not stand in its passage"
            notes[f"left out of {found.source}: {share} ({why})."] = None
        return found

    languages = dict.fromkeys(code for source in settings.sources for code in constituents(source))
    train = {code: read(code, "train") for code in languages}
    dev = {code: read(code, "dev") for code in languages}
    tests = {target: read(target, "test") for target in settings.targets}
    whole = {source: _mixed(constituents(source), train, settings.limit) for source in settings.sources}
    few = min(DEV_LIMIT, settings.test_limit or DEV_LIMIT)
    held = {source: _mixed(constituents(source), dev, few) for source in settings.sources}
    _check_renamed(settings.corpus)
    notes |= dict.fromkeys(reading_notes(settings.corpus))
    sources = [source for source in settings.sources if whole[source] and held[source]]
    test = {target: subsample(split, settings.test_limit or len(split)) for target, split in tests.items() if split}
    if not sources or not test:
        side = "target has test" if sources else "source has training"
        first = next(iter(failed.values()))
        raise CorpusError(f"no {side} data. The first: {first.message}", first.hint)
    # Of everything that was read, not of what was drawn from it: --limit decides on examples, not on classes.
    used = dict.fromkeys(code for source in sources for code in constituents(source))
    read_whole = [split for code in used for split in (train[code], dev[code])] + [tests[target] for target in test]
    _check_spellings(settings, [split for split in read_whole if split is not None])
    data = TransferData(
        class_names(settings.task, [split for split in read_whole if split is not None]),
        {source: whole[source] for source in sources},
        {source: held[source] for source in sources},
        test,
        failed,
    )
    return TransferData(
        data.labels,
        data.train,
        data.dev,
        data.test,
        failed,
        (
            *notes,
            *_same_data(data),
            *_checked_labels(settings.task, data, settings.limit),
            *data_notes(data.train, data.dev, data.test),
        ),
    )


def _check_spellings(settings: TransferSettings, splits: Sequence[LabelledSplit]) -> None:
    """Refuse classes that have several spellings.

    Raises:
        CorpusError: There are some.
    """
    if settings.task.labels is not None:
        return
    found: dict[str, set[str]] = {}
    for split in splits:
        found.setdefault(split.language, set()).update(_kinds(settings.task, split))
    check_spellings(
        found,
        words=TASK_NAMES[settings.task.name] == "words",
        insisted={new for old, new in settings.corpus.relabel.items() if old == new},
        hint="--relabel OLD=NEW gives a label another name; --relabel OLD=OLD says that it is a class of its own.",
    )


def _same_data(data: TransferData) -> list[str]:
    """Return a sentence for sources whose training data are the same to the letter."""
    known: dict[tuple[str, ...], list[str]] = {}
    for source, splits in data.train.items():
        known.setdefault(tuple(split.digest for split in splits), []).append(source)
    return [f"the training data of {_listed(codes)} are the same." for codes in known.values() if len(codes) > 1]


def _check_renamed(corpus: TaskCorpus) -> None:
    """Refuse a new name for a label that nothing has.

    Raises:
        UsageError: It is a misspelt one.
    """
    if unknown := sorted(set(corpus.relabel) - set(corpus.renamed)):
        raise UsageError(f"no label is called '{unknown[0]}' in the data that were read.", "check --relabel OLD=NEW.")


def _mixed(
    codes: Sequence[str], splits: Mapping[str, LabelledSplit | None], limit: int | None
) -> tuple[LabelledSplit, ...]:
    """Return the splits of a source's languages in equal shares; none where one of them is missing."""
    found = [split for code in codes if (split := splits[code]) is not None]
    if len(found) < len(codes):
        return ()
    shares = equal_shares(found)
    return shares if limit is None else tuple(subsample(split, max(1, limit // len(codes))) for split in shares)


def _checked_labels(task: Task, data: TransferData, limit: int | None) -> list[str]:
    """Return notes on classes that some sources lack.

    Raises:
        CorpusError: A target has a class that no source was trained on: it could never be predicted.
    """
    if not data.labels:
        return []
    trained = {source: set().union(*(_kinds(task, split) for split in splits)) for source, splits in data.train.items()}
    known = set(task.labels or ()) or set().union(*trained.values())
    for target, split in data.test.items():
        if unknown := sorted(_kinds(task, split) - known):
            raise CorpusError(
                f"the label sets differ: '{target}' is tested on {_listed(unknown)}, and the sources know "
                f"{_listed(sorted(known))} alone.",
                f"--relabel {unknown[0]}=NAME gives it another name"
                + (f"; --relabel {unknown[0]}=O leaves it out" if task.name == "ner" else "")
                + ("; a higher --limit may find examples of it" if limit is not None else "")
                + "; check --task where the labels are another task's.",
            )
    if task.labels is not None:
        return []
    lacking = {source: sorted(known - kinds) for source, kinds in trained.items() if known - kinds}
    return [f"'{source}' has no training example of {_listed(kinds)}." for source, kinds in lacking.items()]


def _kinds(task: Task, split: LabelledSplit) -> set[str]:
    """Return the classes of a split; of named entities their types."""
    labels = labels_of(split)
    return {label.partition("-")[2] for label in labels if "-" in label} if task.name == "ner" else labels


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")


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
