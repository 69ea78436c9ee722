"""Groups of options that several verbs share: corpus, model, sizes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final, Literal, TypeVar

import click

from xsns_stream.cli.output import note

if TYPE_CHECKING:
    from xsns_stream.corpora import Corpus
    from xsns_stream.models import LoadedModel


Decorated = TypeVar("Decorated", bound=Callable[..., Any])
Options = Callable[..., Callable[[Any], Any]]


class SectionedOption(click.Option):
    """An option that stands under a heading of the help page."""

    def __init__(self, *args: Any, section: str, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.section = section


class SectionedCommand(click.Command):
    """A command whose help page has a heading for each section; options without one come last."""

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the options."""
        sections: dict[str, list[tuple[str, str]]] = {}
        for parameter in self.get_params(ctx):
            shown = parameter.get_help_record(ctx)
            if shown is not None:
                sections.setdefault(getattr(parameter, "section", "Options"), []).append(shown)
        for title, options in sections.items():
            with formatter.section(title):
                formatter.write_dl(options)


def section(title: str) -> Options:
    """Return what is used like `click.option`, for options of one section."""

    def option(*names: str, **settings: Any) -> Callable[[Any], Any]:
        return click.option(*names, cls=SectionedOption, section=title, **settings)

    return option


def apply(function: Decorated, *options: Callable[[Any], Any]) -> Decorated:
    """Add options in their order, the first on top of the page."""
    for option in reversed(options):
        function = option(function)
    return function


_SIZE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?)b?", re.IGNORECASE)


def parse_bytes(text: str) -> int:
    """Return how many bytes a size is: `1500`, `500k`, `1.5GB` (10⁹), `2GiB` (2³⁰).

    Raises:
        ValueError: It is none.
    """
    match = _SIZE.fullmatch(text.strip())
    if match is None or (match[3] and not match[2]):
        raise ValueError(f"'{text}' is no size; write 500MB, 2GB or 2GiB.")
    power = " kmgt".index(match[2].lower()) if match[2] else 0
    return int(float(match[1]) * (1024 if match[3] else 1000) ** power)


class Size(click.ParamType[int]):
    """A number of bytes."""

    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        """Return bytes."""
        try:
            return value if isinstance(value, int) else parse_bytes(value)
        except ValueError as error:
            self.fail(str(error), param, ctx)


class Batch(click.ParamType[int | Literal["auto"]]):
    """A number of examples, or `auto`."""

    name = "batch"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | Literal["auto"]:
        """Return the number, or `auto`."""
        if value == "auto":
            return "auto"
        try:
            return int(value)
        except ValueError:
            self.fail(f"'{value}' is neither a number nor auto.", param, ctx)


#: As :data:`xsns_stream.corpora.TASK_NAMES` has them, which a help page does not load; a test compares.
TASK_NAMES: Final = ("ner", "pos", "nli", "pi", "qa", "topic")


def corpus_options(option: Options) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds options through `option`.

    They are `--task`, `--text-column`, `--split`, `--words`, `--config` and `--corpus-revision`.
    """

    def add(function: Decorated) -> Decorated:
        return apply(
            function,
            option(
                "--task",
                type=click.Choice(TASK_NAMES),
                default=None,
                help="Read the corpus as labelled data of this task, as `transfer` does: its training texts.",
            ),
            option("--text-column", default=None, help="Column of the text, where the default is not it."),
            option("--split", default=None, help="Split of a data set."),
            option(
                "--words",
                type=click.Choice(["running", "given"]),
                default=None,
                help="How text split into words is read: each sentence as it is written, or its words joined by "
                "spaces. Labelled words are always joined by spaces.  [default: running]",
            ),
            option("--config", default=None, help="Configuration of a Hub data set; {lang} stands for the code."),
            option("--corpus-revision", default=None, help="Commit, branch or tag of a Hub data set."),
        )

    return add


def open_from(options: dict[str, Any], labels: str | None = None) -> Corpus:
    """Open the corpus that the options name.

    Raises:
        UsageError: Options that do not fit together.
        CorpusError: There is no such corpus.
    """
    from xsns_stream.corpora import open_corpus

    return open_corpus(
        options["corpus"],
        text_column=options["text_column"],
        split=options["split"],
        config=options["config"],
        revision=options["corpus_revision"],
        labels=labels,
        task=options["task"],
        words=options["words"],
    )


def note_corpus(corpus: object, quiet: bool) -> None:
    """Say on stderr which files of a corpus are not read and why, and which are read as another language."""
    from xsns_stream.corpora import reading_notes

    for sentence in reading_notes(corpus):
        note(f"note: {sentence}", quiet)


def corpus_json(corpus: object) -> dict[str, Any]:
    """Return what the JSON of a verb says of its corpus's files: those not read, and notes."""
    from xsns_stream.corpora import not_read

    return {
        "files_not_read": [{"file": each.file, "reason": each.reason} for each in not_read(corpus)],
        "corpus_notes": list(getattr(corpus, "notes", ())),
    }


AUTO: Final = "auto"
#: As :data:`xsns_stream.objectives.OBJECTIVES` has them; a test compares the two.
OBJECTIVES: Final = (
    "masked-lm",
    "causal-lm",
    "span-corruption",
    "token-classification",
    "sequence-classification",
    "question-answering",
)
_model, _parameters = section("Model"), section("Parameters (θ)")


def model_options(function: Decorated) -> Decorated:
    """Add `--revision`, `--device`, `--dtype` and `--objective`."""
    return apply(
        function,
        _model("--revision", default=None, help="Commit, branch or tag of a model on the Hub."),
        _model("--device", default="cpu", show_default=True, help="As torch names it."),
        _model(
            "--dtype",
            type=click.Choice(["float32", "bfloat16", "float16"]),
            default="float32",
            show_default=True,
            help="Of the weights.",
        ),
        _model(
            "--objective",
            type=click.Choice([AUTO, *OBJECTIVES]),
            default=AUTO,
            show_default=True,
            metavar="NAME",
            help=f"What the model predicts: {', '.join(OBJECTIVES)}; auto is what it was trained for.",
        ),
    )


def parameter_options(function: Decorated) -> Decorated:
    """Add `--stack`, `--include` and `--exclude`."""
    return apply(
        function,
        _parameters(
            "--stack",
            type=click.Choice(["encoder", "decoder", "both"]),
            default="both",
            show_default=True,
            help="Of a model that has both.",
        ),
        _parameters(
            "--include",
            multiple=True,
            metavar="REGEX",
            help="Measure these too, beside the blocks: parameters whose name holds a match; repeatable.",
        ),
        _parameters(
            "--exclude",
            multiple=True,
            metavar="REGEX",
            help="Leave out parameters whose name holds a match; repeatable.",
        ),
    )


def load(options: dict[str, Any], *, label_count: int | None = None, head_seed: int = 0) -> LoadedModel:
    """Load the model that the options name."""
    from xsns_stream.models import load_model

    return load_model(
        options["model"],
        revision=options["revision"],
        device=options["device"],
        objective=options["objective"],
        label_count=label_count,
        head_seed=head_seed,
        dtype=options["dtype"],
    )
