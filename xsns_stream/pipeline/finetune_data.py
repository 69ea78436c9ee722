"""Labelled data for fine-tuning: the splits of every language, their labels, and notes on the data."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

from xsns_stream.corpora import TaskCorpus, reading_notes
from xsns_stream.corpora.labels import check_spellings
from xsns_stream.errors import CorpusError, LanguageError, UsageError, XsnsError
from xsns_stream.io.tables import listed
from xsns_stream.languages import constituents
from xsns_stream.pipeline.finetune_settings import TransferSettings
from xsns_stream.tasks import Task
from xsns_stream.transfer import class_names, equal_shares
from xsns_stream.transfer.encoding import labels_of
from xsns_stream.transfer.finetune import subsample
from xsns_stream.types import LabelledSplit, TransferRun

#: Largest number of dev examples of a source; more examples would take time without benefit.
DEV_LIMIT: Final = 500


@dataclass(frozen=True)
class TransferData:
    """The labelled data of the units.

    Attributes:
        labels: Names of the classes; empty for tasks whose labels are answers.
        train: {source: its training splits, one for each language}.
        dev: {source: its dev splits}.
        test: {target: its test split}.
        failed: {language: error from the reading of its data}.
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
        settings: Settings of the units.
        on_read: Called before a split is read, with text such as `en train`.

    Raises:
        CorpusError: No source or no target has data, or targets have classes that no source has.
        UsageError: A label that is to be renamed does not occur.
    """
    failed: dict[str, XsnsError] = {}
    notes: dict[str, None] = {}

    def read(code: str, split: str) -> LabelledSplit | None:
        on_read(f"{code} {split}")
        try:
            labelled = settings.corpus.split(code, split)
        except (CorpusError, LanguageError) as error:
            failed.setdefault(code, error)
            return None
        if labelled.note:
            notes[labelled.note] = None
        if labelled.unlabelled:
            share = f"{labelled.unlabelled} of {len(labelled) + labelled.unlabelled} examples"
            reason = "no label, or an answer that does not occur in its passage"
            notes[f"{share} of {labelled.source} are left out ({reason})."] = None
        return labelled

    languages = dict.fromkeys(code for source in settings.sources for code in constituents(source))
    train = {code: read(code, "train") for code in languages}
    dev = {code: read(code, "dev") for code in languages}
    tests = {target: read(target, "test") for target in settings.targets}
    training = {source: _mixed(constituents(source), train, settings.limit) for source in settings.sources}
    held_out = {source: _mixed(constituents(source), dev, _dev_limit(settings)) for source in settings.sources}
    _check_renamed(settings.corpus)
    notes |= dict.fromkeys((*reading_notes(settings.corpus), *settings.notes))
    sources = [source for source in settings.sources if training[source] and held_out[source]]
    test = {target: _tested(settings, split) for target, split in tests.items() if split}
    if not sources or not test:
        side = "target has test" if sources else "source has training"
        first = next(iter(failed.values()))
        raise CorpusError(f"no {side} data. The first error: {first.message}", first.hint)
    # Classes come from all data and not from the subsamples, because --limit limits only examples.
    used = dict.fromkeys(code for source in sources for code in constituents(source))
    read_whole = [split for code in used for split in (train[code], dev[code])] + [tests[target] for target in test]
    _check_spellings(settings, [split for split in read_whole if split is not None])
    data = TransferData(
        class_names(settings.task, [split for split in read_whole if split is not None]),
        {source: training[source] for source in sources},
        {source: held_out[source] for source in sources},
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


def read_unit_data(
    settings: TransferSettings,
    source: str,
    labels: Sequence[str],
    targets: Iterable[str],
    tests: dict[str, LabelledSplit],
) -> TransferData:
    """Read the data of one unit as :func:`read_data` does, without the checks that compare the data of several units.

    Args:
        settings: Settings of the units.
        source: The source of the unit.
        labels: Names of the classes of all units.
        targets: The targets with test data.
        tests: {target: its test split} of the targets read so far; splits that are read now are added.

    Raises:
        CorpusError, LanguageError: The data cannot be read.
    """
    languages = constituents(source)
    train = {code: settings.corpus.split(code, "train") for code in languages}
    dev = {code: settings.corpus.split(code, "dev") for code in languages}
    for target in targets:
        if target not in tests:
            tests[target] = _tested(settings, settings.corpus.split(target, "test"))
    return TransferData(
        tuple(labels),
        {source: _mixed(languages, train, settings.limit)},
        {source: _mixed(languages, dev, _dev_limit(settings))},
        tests,
    )


def _dev_limit(settings: TransferSettings) -> int:
    return min(DEV_LIMIT, settings.test_limit or DEV_LIMIT)


def _tested(settings: TransferSettings, split: LabelledSplit) -> LabelledSplit:
    """Return a subsample of `test_limit` examples of a test split; the whole split if it is not larger."""
    return subsample(split, settings.test_limit or len(split))


def _check_spellings(settings: TransferSettings, splits: Sequence[LabelledSplit]) -> None:
    """Check that no class name occurs in several spellings.

    Raises:
        CorpusError: A class name occurs in several spellings.
    """
    if settings.task.classes is not None:
        return
    classes: dict[str, set[str]] = {}
    for split in splits:
        classes.setdefault(split.language, set()).update(_kinds(settings.task, split))
    check_spellings(
        classes,
        words=settings.task.labelled == "words",
        exempt={new for old, new in settings.corpus.relabel.items() if old == new},
        hint="--relabel OLD=NEW gives a label another name; --relabel OLD=OLD declares it a separate class.",
    )


def _same_data(data: TransferData) -> list[str]:
    """Return one sentence for each group of sources that have the same training data."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for source, splits in data.train.items():
        groups.setdefault(tuple(split.digest for split in splits), []).append(source)
    return [f"the training data of {_first_names(codes)} are the same." for codes in groups.values() if len(codes) > 1]


def _check_renamed(corpus: TaskCorpus) -> None:
    """Check that every label that is to be renamed occurs in the data.

    Raises:
        UsageError: Such a label does not occur.
    """
    if unknown := sorted(set(corpus.relabel) - set(corpus.renamed)):
        raise UsageError(f"the data have no label '{unknown[0]}'.", "check --relabel OLD=NEW.")


def _mixed(
    codes: Sequence[str], splits: Mapping[str, LabelledSplit | None], limit: int | None
) -> tuple[LabelledSplit, ...]:
    """Return one training split for each of the languages `codes` of a source, all of the same size.

    The result is empty if a split is missing. If `limit` is not None, all splits together have about `limit` examples.
    """
    available = [split for code in codes if (split := splits[code]) is not None]
    if len(available) < len(codes):
        return ()
    shares = equal_shares(available)
    return shares if limit is None else tuple(subsample(split, max(1, limit // len(codes))) for split in shares)


def _checked_labels(task: Task, data: TransferData, limit: int | None) -> list[str]:
    """Return one note for each source whose training data lack a class that other sources have.

    Raises:
        CorpusError: A target has a class that no source has, and that no model can therefore predict.
    """
    if not data.labels:
        return []
    trained = {source: set().union(*(_kinds(task, split) for split in splits)) for source, splits in data.train.items()}
    known = set(task.classes or ()) or set().union(*trained.values())
    for target, split in data.test.items():
        if unknown := sorted(_kinds(task, split) - known):
            raise CorpusError(
                f"the label sets differ: '{target}' is tested on {_first_names(unknown)}, and the sources have only "
                f"{_first_names(sorted(known))}.",
                f"--relabel {unknown[0]}=NAME gives it another name"
                + (f"; --relabel {unknown[0]}=O leaves it out" if task.entities else "")
                + ("; a higher --limit may find examples of it" if limit is not None else "")
                + "; check --task if the labels belong to another task.",
            )
    if task.classes is not None:
        return []
    lacking = {source: sorted(known - kinds) for source, kinds in trained.items() if known - kinds}
    return [f"'{source}' has no training example of {_first_names(kinds)}." for source, kinds in lacking.items()]


def _kinds(task: Task, split: LabelledSplit) -> set[str]:
    """Return the classes in a split; for named entity recognition, the entity types."""
    labels = labels_of(split)
    return {label.partition("-")[2] for label in labels if "-" in label} if task.entities else labels


def _first_names(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")


#: Key in the training record of a unit; its value is {target: [shared examples, test examples]}.
OVERLAP: Final = "test_examples_in_training"
# The largest number of pairs that a sentence names.
_NAMED: Final = 8


def overlaps(
    train: Mapping[str, Sequence[LabelledSplit]], tests: Mapping[str, LabelledSplit]
) -> dict[str, dict[str, int]]:
    """Return {source: {target: number of test examples whose text is also a training example}}, without zeros.

    Args:
        train: {source: its training splits}.
        tests: {target: its test split}.
    """
    keys = {target: [example.key() for example in split.examples] for target, split in tests.items()}
    shared: dict[str, dict[str, int]] = {}
    for source, splits in train.items():
        trained = {example.key() for split in splits for example in split.examples}
        counts = {target: sum(key in trained for key in texts) for target, texts in keys.items()}
        if nonzero := {target: count for target, count in counts.items() if count}:
            shared[source] = nonzero
    return shared


def overlap_note(split: str, shares: Iterable[tuple[str, str, int, int]]) -> tuple[str, ...]:
    """Return a tuple of one sentence on shared examples, largest shares first; empty if no examples are shared.

    Args:
        split: `test` or `dev`.
        shares: (source, target, shared examples, all examples of the target).
    """
    ordered = sorted(shares, key=lambda one: (-one[2] / one[3], one[0], one[1]))
    if not ordered:
        return ()
    pairs = [
        f"{source if source == target else f'{source} → {target}'} {shared} of {of} ({100 * shared / of:.0f} %)"
        for source, target, shared, of in ordered
    ]
    effect = "these scores are too high" if split == "test" else "training may stop too late"
    return (f"{split} examples that are also training examples: {listed(pairs, _NAMED)}; {effect}.",)


def data_notes(
    train: Mapping[str, Sequence[LabelledSplit]],
    dev: Mapping[str, Sequence[LabelledSplit]],
    tests: Mapping[str, LabelledSplit],
) -> tuple[str, ...]:
    """Return sentences on test and dev examples that are also training examples."""
    tested = overlaps(train, tests)
    shares = [(source, target, n, len(tests[target])) for source, one in tested.items() for target, n in one.items()]
    dev_shares = []
    for source, splits in dev.items():
        by_language = {split.language: split for split in splits}
        counts = overlaps({source: train[source]}, by_language).get(source, {})
        dev_shares += [(source, language, n, len(by_language[language])) for language, n in counts.items()]
    return (*overlap_note("test", shares), *overlap_note("dev", dev_shares))


def run_notes(runs: Iterable[TransferRun]) -> tuple[str, ...]:
    """Return a tuple of one sentence on test examples that were also training examples of units; empty if none were."""
    shares: dict[tuple[str, str], Any] = {
        (run.source, target): counts for run in runs for target, counts in run.training.get(OVERLAP, {}).items()
    }
    return overlap_note("test", [(*pair, int(shared), int(of)) for pair, (shared, of) in shares.items()])
