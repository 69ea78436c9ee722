"""The options of `xsns-stream transfer`, by section, and the settings that they mean."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.option_groups import TASK_NAMES, Decorated, apply, section
from xsns_stream.cli.output import note, split_codes
from xsns_stream.errors import LanguageError, UsageError, XsnsError

if TYPE_CHECKING:
    from xsns_stream.corpora import TaskCorpus
    from xsns_stream.models import LoadedModel
    from xsns_stream.pipeline.finetune_settings import TransferSettings

#: As :data:`xsns_stream.transfer.PRESETS` has them, which a help page does not load; a test compares.
PRESET_NAMES: Final = ("quick", "paper")
_ARROW: Final = ">"
_what, _languages, _how, _cost = (
    section("Task"),
    section("Languages"),
    section("Fine-tuning"),
    section("Time and space"),
)


def transfer_options(function: Decorated) -> Decorated:
    """Add every option of `transfer` but those of output."""
    return apply(
        function,
        _what("--task", type=click.Choice(TASK_NAMES), required=True, help="What is learnt and tested."),
        _what("--model", default="mini", show_default=True, help="`mini`, a local folder, or a Hub id."),
        _what("--revision", default=None, help="Commit, branch or tag of a model on the Hub."),
        _what(
            "--data",
            required=True,
            metavar="SPEC",
            help="Labelled data: a folder, a recipe such as wikiann, or RECIPE=FOLDER for a local copy.",
        ),
        _what("--config", default=None, help="Configuration of a Hub data set; {lang} stands for the code."),
        _what("--data-revision", default=None, help="Commit, branch or tag of a Hub data set."),
        _what("--relabel", multiple=True, metavar="OLD=NEW", help="Another name for a label; repeatable."),
        _language_options,
        _tuning_options,
        _cost_options,
    )


def _language_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _languages("--sources", multiple=True, metavar="CODES", help="Fine-tune on each of these, as `en,de`, or all."),
        _languages("--mix", multiple=True, metavar="CODES", help="And on these together, as `es,pt,it`; repeatable."),
        _languages(
            "--targets", multiple=True, default=("all",), metavar="CODES", help="Test on these.  [default: all]"
        ),
        _languages(
            "--pairs",
            default=None,
            metavar="PAIRS",
            help="Measure these alone, as `en>sw,fi>all` (a mixture as `es+pt>it`), or a file with a pair a line.",
        ),
    )


def _tuning_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _how(
            "--preset",
            type=click.Choice(PRESET_NAMES),
            default="quick",
            show_default=True,
            help="paper: AdamW 1e-5, at most 20 epochs, patience 5. quick: for small models, 5e-4, at most 5 epochs.",
        ),
        _how("--seed", "seeds", type=int, multiple=True, default=(42,), show_default=True, help="Repeatable."),
        _how("--epochs", type=int, default=None, help="At most so many."),
        _how("--patience", type=int, default=None, help="Epochs without a better dev score before training stops."),
        _how("--lr", "learning_rate", type=float, default=None, help="Highest learning rate."),
        _how("--batch", "batch_size", type=int, default=None, help="Training examples a step."),
        _how("--max-length", type=int, default=None, help="Longest input in pieces.  [default: 128]"),
    )


def _cost_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _cost("--limit", type=int, default=None, metavar="N", help="Most training examples of a source."),
        _cost(
            "--test-limit",
            type=int,
            default=None,
            metavar="N",
            help="Most test examples of a target, and dev examples of a source.",
        ),
        _cost("--device", default="cpu", show_default=True, help="As torch names it."),
        _cost(
            "--precision",
            type=click.Choice(["float32", "bf16", "fp16"]),
            default="float32",
            show_default=True,
            help="Of products, by automatic mixed precision.",
        ),
        _cost("--test-batch", "evaluation_batch", type=int, default=None, help="Test examples computed together."),
        _cost(
            "--keep-models",
            type=click.Path(path_type=Path),
            default=None,
            metavar="DIR",
            help="Keep fine-tuned models.",
        ),
    )


def settings_of(options: dict[str, Any]) -> TransferSettings:
    """Return the settings that the options mean; languages are looked up in the data.

    Raises:
        LanguageError: A language is not in the data.
        UsageError: Options that do not fit together.
    """
    from xsns_stream.corpora import open_task
    from xsns_stream.pipeline.finetune_settings import TransferSettings
    from xsns_stream.transfer import PRESETS, TASKS

    corpus = open_task(
        options["data"],
        options["task"],
        config=options["config"],
        revision=options["data_revision"],
        relabel=_relabel(options["relabel"]),
    )
    named = ("epochs", "patience", "learning_rate", "batch_size", "max_length", "evaluation_batch")
    changes = {name: options[name] for name in named if options[name] is not None}
    preset = PRESETS[options["preset"]]
    # A short input leaves little room for what windows of a passage share.
    stride = min(preset.stride, changes.get("max_length", preset.max_length) // 4)
    tuning = replace(preset, device=options["device"], precision=options["precision"], stride=stride, **changes)
    sources, targets, pairs = _languages_of(options, corpus)
    return TransferSettings(
        corpus,
        TASKS[options["task"]],
        options["model"],
        sources,
        targets,
        tuple(dict.fromkeys(options["seeds"])),
        tuning,
        revision=options["revision"],
        limit=options["limit"],
        test_limit=options["test_limit"],
        pairs=pairs,
        keep_models=options["keep_models"],
    )


class Loader:
    """Loads the model with a head drawn by a seed, and says once what is to be known of how it was loaded.

    Args:
        settings: Name the model.
        labels: Of the head.
        quiet: Whether nothing is said.

    Attributes:
        notes: What was said so far, a sentence each.
    """

    def __init__(self, settings: TransferSettings, labels: Sequence[str], quiet: bool) -> None:
        self._settings, self._label_count, self._quiet = settings, len(labels) or None, quiet
        self.notes: list[str] = []

    def __call__(self, seed: int) -> LoadedModel:
        """Load the model."""
        from xsns_stream.models import load_model

        loaded = load_model(
            self._settings.model,
            revision=self._settings.revision,
            device=self._settings.fine_tuning.device,
            objective=self._settings.task.kind,
            label_count=self._label_count,
            head_seed=seed,
        )
        for sentence in loaded.notes:
            if sentence not in self.notes:
                self.notes.append(sentence)
                note(f"note: {sentence}", self._quiet)
        return loaded


def _languages_of(
    options: dict[str, Any], corpus: TaskCorpus
) -> tuple[tuple[str, ...], tuple[str, ...], frozenset[tuple[str, str]] | None]:
    from xsns_stream.languages import mixture, select

    trained, tested = corpus.languages("train"), corpus.languages("test")
    for split, there, use in (("train", trained, "training"), ("test", tested, "test")):
        if not there:
            raise LanguageError(
                f"no language of {corpus.name} has {use} data.",
                f"add files of {split} data, as sw-{split} with a suffix of the task; or one file a language, which is "
                "cut into splits.",
            )
    where = f"{corpus.name} with training data"
    if options["pairs"] is not None:
        if options["sources"] or options["mix"]:
            raise UsageError("--pairs says the sources by itself.", "leave --sources and --mix out.")
        if options["targets"] != ("all",):
            raise UsageError("--pairs says the targets by itself.", "leave --targets out.")
        with_tests = f"{corpus.name} with test data"
        found = [
            (source, target)
            for sources, targets in _pairs(options["pairs"])
            for source in _sources(sources, trained, where)
            for target in select([targets], tested, with_tests)
        ]
        every = [list(dict.fromkeys(side)) for side in zip(*found, strict=True)]
        return tuple(every[0]), tuple(every[1]), frozenset(found)
    if not options["sources"] and not options["mix"]:
        raise UsageError("no source was given.", "--sources en,de fine-tunes on each, --mix en,de on both together.")
    sources = list(select(options["sources"], trained, where)) if options["sources"] else []
    for codes in options["mix"]:
        mixed = select([codes], trained, where)
        if len(mixed) < 2:
            raise UsageError(f"--mix '{codes}' is one language.", "write several, as `es,pt,it`.")
        sources.append(mixture(mixed))
    return tuple(dict.fromkeys(sources)), select(options["targets"], tested, f"{corpus.name} with test data"), None


def _sources(written: str, known: Sequence[str], where: str) -> tuple[str, ...]:
    """Return the mixture `es+it`, or what a code or `all` stands for."""
    from xsns_stream.languages import constituents, mixture, select

    parts = constituents(written)
    if len(parts) == 1:
        return select(parts, known, where)
    mixed = select(parts, known, where)
    if len(mixed) < 2:
        raise UsageError(f"'{written}' is one language.", "write several, as `es+pt+it`.")
    return (mixture(mixed),)


def _pairs(text: str) -> list[tuple[str, str]]:
    """Return (source, target) as written, from the option or from the file that it names; either may be `all`."""
    if _ARROW not in text and Path(text).is_file():
        try:
            lines = Path(text).read_text(encoding="utf-8").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise XsnsError(f"'{text}' cannot be read: {error}.", "a text file with a pair a line.") from error
        words = [line.replace(_ARROW, " ").replace(",", " ").split() for line in lines if line.strip()]
    else:
        words = [part.split(_ARROW) for part in split_codes((text,))]
    odd = next((pair for pair in words if len(pair) != 2 or not all(pair)), None)
    if odd is not None or not words:
        raise LanguageError(
            f"'{_ARROW.join(odd or [text])}' is no pair.", "write source>target, as en>sw, or a file of such lines."
        )
    return [(source.strip(), target.strip()) for source, target in words]


def _relabel(written: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in written:
        old, equals, new = pair.partition("=")
        if not equals or not old or not new:
            raise UsageError(f"--relabel '{pair}' is not OLD=NEW.", "as --relabel DATE=O.")
        found[old] = new
    return found
