"""Settings of fine-tuning: sources, targets and hyper-parameters."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, cast

from xsns_stream.corpora import TaskCorpus, open_task
from xsns_stream.corpora.running_text import GIVEN
from xsns_stream.errors import LanguageError, UsageError, XsnsError
from xsns_stream.languages import constituents, mixture, select
from xsns_stream.models.attention import AUTO, check_label_at
from xsns_stream.pipeline.arguments import real_number, several, whole_number
from xsns_stream.tasks import TASKS, Task
from xsns_stream.transfer import PRESETS, FineTuning

#: Seeds must be smaller than this number, because the Trainer passes them to NumPy.
_SEEDS: Final = 2**32
#: Largest length of a source code that is used in file names; longer codes are hashed.
_LONGEST_NAME: Final = 64
_ARROW: Final = ">"


@dataclass(frozen=True, order=True)
class Unit:
    """Unit of fine-tuning: one model, which is fine-tuned on one source with one seed.

    Attributes:
        source: Code of the source; the codes of a mixture are sorted and joined by `+`.
        seed: Seed of fine-tuning.
    """

    source: str
    seed: int

    @property
    def languages(self) -> tuple[str, ...]:
        """Codes of the languages on which the model is fine-tuned."""
        return constituents(self.source)

    @property
    def file_name(self) -> str:
        """File name of the unit, without suffix; long mixtures are hashed, because file systems limit the length."""
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
        sources: Normalised codes; the codes of a mixture are sorted and joined by `+`.
        targets: Normalised codes.
        seeds: Seeds of fine-tuning; each source gets one unit for each seed.
        fine_tuning: Hyper-parameters.
        revision: Commit, branch or tag of a model on the Hub.
        limit: Maximum number of training examples of a source, divided equally between the languages of a mixture; None
            for all. The choice of examples does not depend on the seed.
        test_limit: Maximum number of test examples of a target, and of dev examples of a source; None for all test
            examples and 500 dev examples.
        pairs: The (source, target) pairs to measure; None for all.
        keep_models: Folder for the fine-tuned models; None to save no models.
        notes: Sentences on languages whose label in the data is not the requested code.
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
    notes: tuple[str, ...] = field(default=(), compare=False)

    def __post_init__(self) -> None:
        for name in ("sources", "targets", "seeds"):
            values = getattr(self, name)
            if not values or len(set(values)) != len(values):
                raise UsageError(
                    f"{name} must be at least one value, and each value only once, not "
                    f"{', '.join(map(str, values)) or 'none'}."
                )
        if wrong := next((seed for seed in self.seeds if not 0 <= seed < _SEEDS), None):
            raise UsageError(f"a seed must be between 0 and {_SEEDS - 1}, not {wrong}.", "give a seed such as 42.")
        for name, value in (("--limit", self.limit), ("--test-limit", self.test_limit)):
            if value is not None and value < 1:
                raise UsageError(f"{name} must be at least 1, not {value}.")

    def units(self) -> tuple[Unit, ...]:
        """Return all units, ordered by seed, so that an interrupted run has finished all sources of the first seeds."""
        return tuple(Unit(source, seed) for seed in self.seeds for source in self.sources)

    def targets_of(self, source: str) -> tuple[str, ...]:
        """Return the targets on which a source is tested."""
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
    treebank: str | None = None,
    label_at: str = AUTO,
    words: str | None = None,
    **hyper_parameters: Any,
) -> TransferSettings:
    """Return the settings of fine-tuning from the arguments of :func:`xsns_stream.transfer` or of the command.

    Raises:
        CorpusError: The data cannot be read.
        LanguageError: A language is not in the data.
        UsageError: A value is not valid, or two values cannot be combined.
    """
    corpus = _open(data, task, relabel, config=config, revision=data_revision, treebank=treebank)
    if not isinstance(model, str | os.PathLike):
        raise UsageError(
            f"the model is of the type {type(model).__name__}.",
            "give a folder or a Hub id: fine-tuning loads the model again for each unit.",
        )
    if preset not in PRESETS:
        raise UsageError(f"there is no preset '{preset}'.", f"choose one of {', '.join(PRESETS)}.")
    changes: dict[str, Any] = {name: value for name, value in hyper_parameters.items() if value is not None}
    if unknown := next((name for name in changes if name not in _HYPER_PARAMETERS), None):
        raise UsageError(f"fine-tuning has no option '{unknown}'.", f"choose one of {', '.join(_HYPER_PARAMETERS)}.")
    for name, value in changes.items():
        changes[name] = (real_number if name == "learning_rate" else whole_number)(value, name)
    # Windows of a passage overlap by the stride, which must be shorter than the input.
    stride = min(PRESETS[preset].stride, changes.get("max_length", PRESETS[preset].max_length) // 4)
    check_label_at(label_at)
    if label_at != AUTO and TASKS[task].labelled != "words":
        raise UsageError(
            f"--label-at cannot be used with {task}, because its labels do not belong to words.",
            "omit --label-at.",
        )
    if words is not None and TASKS[task].labelled != "words":
        raise UsageError(
            f"--words cannot be used with {task}, because its texts are not split into words.", "omit --words."
        )
    tuning = replace(
        PRESETS[preset],
        device=device,
        precision=precision,
        stride=stride,
        label_at=label_at,
        words=words or GIVEN,
        **changes,
    )
    notes: dict[str, None] = {}
    chosen_sources, chosen_targets, chosen_pairs = _languages(corpus, sources, mix, targets, pairs, notes.setdefault)
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
        notes=tuple(notes),
    )


def _open(data: object, task: str, relabel: Mapping[str, str] | Iterable[str], **options: str | None) -> TaskCorpus:
    """Return `data` if it is an open corpus; otherwise open it with the options of :func:`xsns_stream.open_task`.

    Raises:
        UsageError: `data` is an open corpus, and options are given.
    """
    if isinstance(data, str | os.PathLike):
        return open_task(os.fspath(data), task, relabel=_relabelling(relabel), **options)
    if not hasattr(data, "languages"):
        raise UsageError(
            f"the labelled data are of the type {type(data).__name__}.", "give a folder, or a data set on the Hub."
        )
    given = [name for name, value in {**options, "relabel": relabel}.items() if value]
    if given:
        raise UsageError(f"{' and '.join(given)} cannot be used with open data.", "give these options to open_task.")
    return cast(TaskCorpus, data)


_HYPER_PARAMETERS: Final = ("epochs", "patience", "learning_rate", "batch_size", "max_length", "evaluation_batch")


def _languages(
    corpus: TaskCorpus,
    sources: str | Iterable[str],
    mix: str | Iterable[str],
    targets: str | Iterable[str],
    pairs: str | Iterable[tuple[str, str]] | None,
    note: Callable[[str], None],
) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[tuple[str, str]] | None]:
    """Look up the requested languages in the data; return (sources, targets, pairs), where pairs is None for all pairs.

    The arguments are those of :func:`transfer_settings`; `note` is called with a sentence for each language whose label
    in the data is not the requested code.

    Raises:
        LanguageError: A language is not in the data, or no language has data.
        UsageError: No source was given, or arguments cannot be combined.
    """
    with_training, with_tests = corpus.languages("train"), corpus.languages("test")
    for split, languages, use in (("train", with_training, "training"), ("test", with_tests, "test")):
        if not languages:
            raise LanguageError(
                f"no language of {corpus.name} has {use} data.",
                f"add files of {split} data (sw-{split}, with a suffix that the task reads), or one file for each "
                "language, which is then divided into splits.",
            )
    trained, tested = f"{corpus.name} with training data", f"{corpus.name} with test data"
    named, mixed, tests = several(sources, "sources"), several(mix, "mix"), several(targets, "targets")
    if pairs is not None:
        for side, options, given in (
            ("sources", "--sources and --mix", named or mixed),
            ("targets", "--targets", tests != ["all"]),
        ):
            if given:
                raise UsageError(f"--pairs already names the {side}.", f"omit {options}.")
        chosen = [
            (source, target)
            for left, right in _pairs(pairs)
            for source in _sources(left, with_training, trained, note)
            for target in select([right], with_tests, tested, note)
        ]
        sides = [tuple(dict.fromkeys(side)) for side in zip(*chosen, strict=True)]
        return sides[0], sides[1], frozenset(chosen)
    if not named and not mixed:
        raise UsageError(
            "no source was given.",
            "give --sources en,de to fine-tune on each language, or --mix en,de to fine-tune on both together.",
        )
    single = select(named, with_training, trained, note) if named else ()
    mixtures = [_mixture([codes], with_training, trained, f"--mix '{codes}'", note) for codes in mixed]
    return tuple(dict.fromkeys((*single, *mixtures))), select(tests, with_tests, tested, note), None


def _sources(written: str, known: Sequence[str], where: str, note: Callable[[str], None]) -> tuple[str, ...]:
    """Return the sources that `written` means: a code, `all`, or a mixture such as `es+it`.

    Args:
        written: The text that the user gave.
        known: Labels of the languages that have training data.
        where: Name of the data, for messages.
        note: Called with a sentence for each language whose label is not the given code.
    """
    parts = constituents(written)
    if len(parts) == 1:
        return select(parts, known, where, note)
    return (_mixture(parts, known, where, f"'{written}'", note),)


def _mixture(codes: Sequence[str], known: Sequence[str], where: str, written: str, note: Callable[[str], None]) -> str:
    mixed = select(codes, known, where, note)
    if len(mixed) < 2:
        separator = "+" if "+" in written else ","
        raise UsageError(
            f"{written} names only one language.", f"write several, such as `{separator.join(('es', 'pt', 'it'))}`."
        )
    return mixture(mixed)


def _pairs(pairs: str | Iterable[tuple[str, str]]) -> list[tuple[str, str]]:
    """Return (source, target) pairs as they were given: in tuples, in a text, or in the file that the text names."""
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
            "write source>target, such as en>sw, or name a file with such lines.",
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
