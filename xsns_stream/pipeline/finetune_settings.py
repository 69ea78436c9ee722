"""Settings of fine-tuning: sources, targets, hyper-parameters, and the labelled data."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from xsns_stream.corpora import TaskCorpus, open_task, reading_notes
from xsns_stream.corpora.labels import check_spellings
from xsns_stream.errors import CorpusError, LanguageError, UsageError, XsnsError
from xsns_stream.languages import constituents, mixture, select
from xsns_stream.pipeline.arguments import real_number, several, whole_number
from xsns_stream.tasks import TASKS, Task
from xsns_stream.transfer import PRESETS, FineTuning, class_names, equal_shares
from xsns_stream.transfer.encoding import labels_of
from xsns_stream.transfer.finetune import subsample
from xsns_stream.types import LabelledSplit, TransferRun

#: Largest number of dev examples of a source; more of them cost time and change no decision.
DEV_LIMIT: Final = 500
#: Seeds must be smaller: the Trainer passes them to NumPy.
_SEEDS: Final = 2**32
#: Longest name of a source that becomes part of a file name.
_LONGEST_NAME: Final = 64
_ARROW: Final = ">"


@dataclass(frozen=True, order=True)
class Unit:
    """One model to fine-tune.

    Attributes:
        source: Code of the source; the codes of a mixture are sorted and joined by `+`.
        seed: Seed of fine-tuning.
    """

    source: str
    seed: int

    @property
    def languages(self) -> tuple[str, ...]:
        """The languages that the model is fine-tuned on."""
        return constituents(self.source)

    @property
    def file_name(self) -> str:
        """Name of the unit's files without a suffix; long mixtures are hashed, because file systems limit names."""
        short = len(self.source) <= _LONGEST_NAME
        name = self.source if short else hashlib.sha256(self.source.encode()).hexdigest()[:16]
        return f"{name}-{self.seed}"

    def __str__(self) -> str:
        return f"{self.source} (seed {self.seed})"


@dataclass(frozen=True)
class TransferSettings:
    """Sources, targets and hyper-parameters of fine-tuning.

    Attributes:
        corpus: Labelled data of the task.
        task: The task.
        model: `mini`, a folder, or a Hub id.
        sources: Normalised codes, or several codes joined by `+`, sorted.
        targets: Normalised codes.
        seeds: Seeds of fine-tuning; each source gets one unit for each seed.
        fine_tuning: Hyper-parameters.
        revision: Commit, branch or tag of a model on the Hub.
        limit: Largest number of training examples of a source, shared equally by the languages of a mixture; None
            takes all. The choice of examples does not depend on the seed.
        test_limit: Largest number of test examples of a target, and of dev examples of a source; None takes all test
            examples, and 500 dev examples.
        pairs: The only (source, target) pairs that are measured; None measures all.
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
            raise UsageError(f"a seed must be between 0 and {_SEEDS - 1}, not {wrong}.", "give a seed such as 42.")
        for name, value in (("--limit", self.limit), ("--test-limit", self.test_limit)):
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}.")

    def units(self) -> tuple[Unit, ...]:
        """Return all units, seed by seed, so that an interrupted run has complete tables first."""
        return tuple(Unit(source, seed) for seed in self.seeds for source in self.sources)

    def targets_of(self, source: str) -> tuple[str, ...]:
        """Return the targets that a source is tested on."""
        if self.pairs is None:
            return self.targets
        return tuple(target for target in self.targets if (source, target) in self.pairs)


def transfer_settings(
    data: str | os.PathLike[str] | TaskCorpus,
    *,
    task: str,
    model: str | os.PathLike[str] = "mini",
    sources: str | Iterable[str] = (),
    mix: str | Iterable[str] = (),
    targets: str | Iterable[str] = "all",
    pairs: str | Iterable[tuple[str, str]] | None = None,
    seeds: int | Iterable[int] = 42,
    preset: str = "quick",
    limit: int | None = None,
    test_limit: int | None = None,
    device: str = "cpu",
    precision: str = "float32",
    keep_models: str | Path | None = None,
    revision: str | None = None,
    config: str | None = None,
    data_revision: str | None = None,
    relabel: Mapping[str, str] | Iterable[str] = (),
    **hyper_parameters: Any,
) -> TransferSettings:
    """Return the settings of fine-tuning from plain values, as :func:`xsns_stream.transfer` and the verb have them.

    Raises:
        CorpusError: The data cannot be read.
        LanguageError: A language is not in the data.
        UsageError: A value is not valid, or two values cannot be combined.
    """
    corpus = _open(data, task, config=config, revision=data_revision, relabel=relabel)
    if not isinstance(model, str | os.PathLike):
        raise UsageError(
            f"the model is of the type {type(model).__name__}.",
            "give a folder or a Hub id: fine-tuning loads the model again for each unit.",
        )
    if preset not in PRESETS:
        raise UsageError(f"there is no preset '{preset}'.", f"choose one of {', '.join(PRESETS)}.")
    changes: dict[str, Any] = {name: value for name, value in hyper_parameters.items() if value is not None}
    if unknown := next((name for name in changes if name not in _HYPER_PARAMETERS), None):
        raise UsageError(f"fine-tuning has no option '{unknown}'.", f"choose among {', '.join(_HYPER_PARAMETERS)}.")
    for name, value in changes.items():
        changes[name] = (real_number if name == "learning_rate" else whole_number)(value, name)
    # Windows of a passage overlap by the stride, which must leave room in a short input.
    stride = min(PRESETS[preset].stride, changes.get("max_length", PRESETS[preset].max_length) // 4)
    tuning = replace(PRESETS[preset], device=device, precision=precision, stride=stride, **changes)
    chosen_sources, chosen_targets, chosen_pairs = _languages(corpus, sources, mix, targets, pairs)
    return TransferSettings(
        corpus,
        TASKS[task],
        os.fspath(model),
        chosen_sources,
        chosen_targets,
        tuple(dict.fromkeys(whole_number(seed, "seeds") for seed in several(seeds, "seeds"))),
        tuning,
        revision=revision,
        limit=None if limit is None else whole_number(limit, "limit"),
        test_limit=None if test_limit is None else whole_number(test_limit, "test_limit"),
        pairs=chosen_pairs,
        keep_models=None if keep_models is None else Path(keep_models),
    )


def _open(
    data: object, task: str, *, config: str | None, revision: str | None, relabel: Mapping[str, str] | Iterable[str]
) -> TaskCorpus:
    """Return labelled data that are open already, or open them."""
    if isinstance(data, str | os.PathLike):
        return open_task(os.fspath(data), task, config=config, revision=revision, relabel=_relabelling(relabel))
    if not hasattr(data, "languages"):
        raise UsageError(
            f"the labelled data are of the type {type(data).__name__}.", "give a folder, or a data set on the Hub."
        )
    return cast(TaskCorpus, data)


_HYPER_PARAMETERS: Final = ("epochs", "patience", "learning_rate", "batch_size", "max_length", "evaluation_batch")


def _languages(
    corpus: TaskCorpus,
    sources: str | Iterable[str],
    mix: str | Iterable[str],
    targets: str | Iterable[str],
    pairs: str | Iterable[tuple[str, str]] | None,
) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[tuple[str, str]] | None]:
    """Look up sources, targets and pairs in the data."""
    with_training, with_tests = corpus.languages("train"), corpus.languages("test")
    for split, languages, use in (("train", with_training, "training"), ("test", with_tests, "test")):
        if not languages:
            raise LanguageError(
                f"no language of {corpus.name} has {use} data.",
                f"add files of {split} data, as sw-{split} with a suffix of the task; or one file for each language, "
                "which is divided into splits.",
            )
    trained, tested = f"{corpus.name} with training data", f"{corpus.name} with test data"
    named, mixed, tests = several(sources, "sources"), several(mix, "mix"), several(targets, "targets")
    if pairs is not None:
        for side, options, given in (
            ("sources", "--sources and --mix", named or mixed),
            ("targets", "--targets", tests != ["all"]),
        ):
            if given:
                raise UsageError(f"--pairs names the {side} already.", f"omit {options}.")
        chosen = [
            (source, target)
            for left, right in _pairs(pairs)
            for source in _sources(left, with_training, trained)
            for target in select([right], with_tests, tested)
        ]
        sides = [tuple(dict.fromkeys(side)) for side in zip(*chosen, strict=True)]
        return sides[0], sides[1], frozenset(chosen)
    if not named and not mixed:
        raise UsageError("no source was given.", "--sources en,de fine-tunes on each, --mix en,de on both together.")
    single = select(named, with_training, trained) if named else ()
    mixtures = [_mixture([codes], with_training, trained, f"--mix '{codes}'") for codes in mixed]
    return tuple(dict.fromkeys((*single, *mixtures))), select(tests, with_tests, tested), None


def _sources(written: str, known: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the sources of a code, of `all`, or of a mixture such as `es+it`."""
    parts = constituents(written)
    if len(parts) == 1:
        return select(parts, known, where)
    return (_mixture(parts, known, where, f"'{written}'"),)


def _mixture(codes: Sequence[str], known: Sequence[str], where: str, written: str) -> str:
    mixed = select(codes, known, where)
    if len(mixed) < 2:
        separator = "+" if "+" in written else ","
        raise UsageError(
            f"{written} is one language.", f"write several, such as `{separator.join(('es', 'pt', 'it'))}`."
        )
    return mixture(mixed)


def _pairs(pairs: str | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (source, target) as written: from a text, from the file that it names, or from tuples."""
    if not isinstance(pairs, str):
        return [(source, target) for source, target in pairs]
    if _ARROW not in pairs and Path(pairs).is_file():
        try:
            lines = Path(pairs).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise XsnsError(
                f"'{pairs}' cannot be read: {error}.", "give a text file with one pair on each line."
            ) from error
        words = [line.replace(_ARROW, " ").replace(",", " ").split() for line in lines if line.strip()]
    else:
        words = [part.split(_ARROW) for part in pairs.split(",") if part.strip()]
    wrong = next((pair for pair in words if len(pair) != 2 or not all(pair)), None)
    if wrong is not None or not words:
        raise LanguageError(
            f"'{_ARROW.join(wrong or [pairs])}' is not a pair.",
            "write source>target, as en>sw, or name a file of such lines.",
        )
    return [(source.strip(), target.strip()) for source, target in words]


def _relabelling(relabel: Mapping[str, str] | Iterable[str]) -> dict[str, str]:
    if isinstance(relabel, Mapping):
        return dict(relabel)
    names = {}
    for pair in relabel:
        old, equals, new = pair.partition("=")
        if not equals or not old or not new:
            raise UsageError(f"--relabel '{pair}' is not OLD=NEW.", "write for example --relabel DATE=O.")
        names[old] = new
    return names


# ------------------------------------------------------------------------------------------------------- the data


@dataclass(frozen=True)
class TransferData:
    """The labelled data of all units, checked.

    Attributes:
        labels: Names of the classes; empty if labels are answers.
        train: {source: its training splits, one for each language}.
        dev: {source: its dev splits}.
        test: {target: its test split}.
        failed: {language: error in its data}.
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
        on_read: Called with the language and the split that are read next.

    Raises:
        CorpusError: No source or no target has data, or targets have classes that no source has.
        UsageError: A label to rename does not occur.
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
            share = f"{labelled.unlabelled} of {len(labelled) + labelled.unlabelled}"
            reason = "no label, or an answer that does not occur in its passage"
            notes[f"left out of {labelled.source}: {share} ({reason})."] = None
        return labelled

    languages = dict.fromkeys(code for source in settings.sources for code in constituents(source))
    train = {code: read(code, "train") for code in languages}
    dev = {code: read(code, "dev") for code in languages}
    tests = {target: read(target, "test") for target in settings.targets}
    training = {source: _mixed(constituents(source), train, settings.limit) for source in settings.sources}
    dev_limit = min(DEV_LIMIT, settings.test_limit or DEV_LIMIT)
    held_out = {source: _mixed(constituents(source), dev, dev_limit) for source in settings.sources}
    _check_renamed(settings.corpus)
    notes |= dict.fromkeys(reading_notes(settings.corpus))
    sources = [source for source in settings.sources if training[source] and held_out[source]]
    test = {target: subsample(split, settings.test_limit or len(split)) for target, split in tests.items() if split}
    if not sources or not test:
        side = "target has test" if sources else "source has training"
        first = next(iter(failed.values()))
        raise CorpusError(f"no {side} data. The first: {first.message}", first.hint)
    # Classes come from all data that were read, not from the subsamples: --limit limits examples only.
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


def _check_spellings(settings: TransferSettings, splits: Sequence[LabelledSplit]) -> None:
    """Check that no class has several spellings.

    Raises:
        CorpusError: A class has several.
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
        hint="--relabel OLD=NEW gives a label another name; --relabel OLD=OLD declares it a class of its own.",
    )


def _same_data(data: TransferData) -> list[str]:
    """Return a sentence for each group of sources whose training data are identical."""
    groups: dict[tuple[str, ...], list[str]] = {}
    for source, splits in data.train.items():
        groups.setdefault(tuple(split.digest for split in splits), []).append(source)
    return [f"the training data of {_first(codes)} are the same." for codes in groups.values() if len(codes) > 1]


def _check_renamed(corpus: TaskCorpus) -> None:
    """Check that every label to rename occurs in the data.

    Raises:
        UsageError: A label does not occur.
    """
    if unknown := sorted(set(corpus.relabel) - set(corpus.renamed)):
        raise UsageError(f"the data have no label '{unknown[0]}'.", "check --relabel OLD=NEW.")


def _mixed(
    codes: Sequence[str], splits: Mapping[str, LabelledSplit | None], limit: int | None
) -> tuple[LabelledSplit, ...]:
    """Return equal shares of the splits of a source's languages; nothing if one of the splits is missing."""
    available = [split for code in codes if (split := splits[code]) is not None]
    if len(available) < len(codes):
        return ()
    shares = equal_shares(available)
    return shares if limit is None else tuple(subsample(split, max(1, limit // len(codes))) for split in shares)


def _checked_labels(task: Task, data: TransferData, limit: int | None) -> list[str]:
    """Return notes on classes that some sources lack.

    Raises:
        CorpusError: A target has a class that no source is trained on, and that no model could predict.
    """
    if not data.labels:
        return []
    trained = {source: set().union(*(_kinds(task, split) for split in splits)) for source, splits in data.train.items()}
    known = set(task.classes or ()) or set().union(*trained.values())
    for target, split in data.test.items():
        if unknown := sorted(_kinds(task, split) - known):
            raise CorpusError(
                f"the label sets differ: '{target}' is tested on {_first(unknown)}, and the sources have only "
                f"{_first(sorted(known))}.",
                f"--relabel {unknown[0]}=NAME gives it another name"
                + (f"; --relabel {unknown[0]}=O leaves it out" if task.entities else "")
                + ("; a higher --limit may find examples of it" if limit is not None else "")
                + "; check --task where the labels are another task's.",
            )
    if task.classes is not None:
        return []
    lacking = {source: sorted(known - kinds) for source, kinds in trained.items() if known - kinds}
    return [f"'{source}' has no training example of {_first(kinds)}." for source, kinds in lacking.items()]


def _kinds(task: Task, split: LabelledSplit) -> set[str]:
    """Return the classes of a split; the types of entities for named entities."""
    labels = labels_of(split)
    return {label.partition("-")[2] for label in labels if "-" in label} if task.entities else labels


def _first(names: Sequence[str]) -> str:
    return ", ".join(names[:8]) + (" …" if len(names) > 8 else "")


#: Entry in the record of a unit's training: {target: [shared examples, test examples]}.
OVERLAP: Final = "test_examples_in_training"
# Pairs that a sentence names.
_NAMED: Final = 8


def overlaps(
    train: Mapping[str, Sequence[LabelledSplit]], tests: Mapping[str, LabelledSplit]
) -> dict[str, dict[str, int]]:
    """Return {source: {target: test examples whose text is also a training example}}, without zeros.

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
    """Return a sentence on shared examples, the largest shares first; none where nothing is shared.

    Args:
        split: `test` or `dev`.
        shares: (source, target, shared examples, all examples of the target).
    """
    ordered = sorted(shares, key=lambda one: (-one[2] / one[3], one[0], one[1]))
    if not ordered:
        return ()
    pairs = [
        f"{source if source == target else f'{source} → {target}'} {shared} of {of} ({100 * shared / of:.0f} %)"
        for source, target, shared, of in ordered[:_NAMED]
    ]
    more = f" and {len(ordered) - _NAMED} more pairs" if len(ordered) > _NAMED else ""
    effect = "these scores are too high" if split == "test" else "training may stop too late"
    return (f"{split} examples that are training examples too: {', '.join(pairs)}{more}; {effect}.",)


def data_notes(
    train: Mapping[str, Sequence[LabelledSplit]],
    dev: Mapping[str, Sequence[LabelledSplit]],
    tests: Mapping[str, LabelledSplit],
) -> tuple[str, ...]:
    """Return sentences on test and dev examples that are training examples too."""
    tested = overlaps(train, tests)
    shares = [(source, target, n, len(tests[target])) for source, one in tested.items() for target, n in one.items()]
    dev_shares = []
    for source, splits in dev.items():
        by_language = {split.language: split for split in splits}
        counts = overlaps({source: train[source]}, by_language).get(source, {})
        dev_shares += [(source, language, n, len(by_language[language])) for language, n in counts.items()]
    return (*overlap_note("test", shares), *overlap_note("dev", dev_shares))


def run_notes(runs: Iterable[TransferRun]) -> tuple[str, ...]:
    """Return a sentence on test examples that the models of these units were trained on."""
    shares: dict[tuple[str, str], Any] = {
        (run.source, target): counts for run in runs for target, counts in run.training.get(OVERLAP, {}).items()
    }
    return overlap_note("test", [(*pair, int(shared), int(of)) for pair, (shared, of) in shares.items()])
