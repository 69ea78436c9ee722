"""Options that several verbs share, such as options for the text, the model, the rows and the gold scores."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

import click

from xsns_stream.cli.choices import COEFFICIENTS, CORRECTIONS, LABEL_AT, OBJECTIVES
from xsns_stream.cli.option_sections import Decorated, Options, apply, section
from xsns_stream.cli.output import DENSITIES, LANG, SEEDS, SOURCES, TARGETS, lasting
from xsns_stream.cli.parameter_types import Numbers, WholeNumbers, flattened
from xsns_stream.errors import UsageError
from xsns_stream.tasks import TASKS

AUTO: Final = "auto"
_model, _text, _parameters, _cost = (
    section("Model"),
    section("Text"),
    section("Parameters (θ)"),
    section("Time and memory"),
)

REVISION_HELP: Final = "Commit, branch or tag of a model on the Hub."
MODEL_HELP: Final = "`mini`, a local folder, a GGUF file, or a Hub id."
DEVICE_HELP: Final = "Device for the computation, such as cpu or cuda."
CONFIG_HELP: Final = "Configuration of a Hub data set; {lang} means the language code."
PRECISIONS: Final = click.Choice(["float32", "bf16", "fp16"])
SCORED_TOKENS_HELP: Final = "How the log-likelihoods of the scored tokens of an example are combined."


# ------------------------------------------------------------------------------------------------------- the text


def corpus_option(default: tuple[str, ...] | None) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds `--corpus`; the verb receives `texts`."""
    return _text(
        "--corpus",
        "texts",
        multiple=True,
        default=default,
        show_default=default is not None,
        metavar="SPEC",
        help="The text: ntrex, ntrex:held-out, cldr, a folder with one file for each language, LANG=FILE (may be given "
        "more than once), a recipe such as wikiann, or hub:ID.",
    )


TREEBANK_HELP: Final = "Treebank to read if a language has several, such as GSD. [default: all treebanks, joined]"


def corpus_options(option: Options) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds the options of a corpus; each is created by `option`.

    The options are `--task`, `--text-column`, `--language-column`, `--split`, `--treebank`, `--words`,
    `--labels-as-given`, `--label`, `--config` and `--corpus-revision`.
    """

    def add(function: Decorated) -> Decorated:
        return apply(
            function,
            option(
                "--task",
                type=click.Choice(tuple(TASKS)),
                default=None,
                help="Read the corpus as labelled data of this task, as `transfer` does, and use the training texts.",
            ),
            option(
                "--text-column",
                default=None,
                help="Column of the text; a.b means the column b within the column a, and {lang} stands for the "
                "language code, as in translation.{lang}. By default, it is the column of a known data set, or the "
                "first column with a usual name, such as text, sentence or tokens.",
            ),
            option(
                "--language-column",
                default=None,
                help="Column with the language of each row, for a table or a data set with several languages.",
            ),
            option("--split", default=None, help="Split of a data set to read, such as train or dev."),
            option("--treebank", default=None, help=TREEBANK_HELP),
            option(
                "--words",
                type=click.Choice(["running", "given"]),
                default=None,
                help="How to read text that is split into words. running restores the running text of each sentence; "
                "given joins the words by spaces. Labelled words are always joined by spaces. [default: running]",
            ),
            option(
                "--labels-as-given",
                is_flag=True,
                help="Use the names of files as labels: aka_Latn, sw_news. By default, a label is the normalised "
                "code of a language: swh_Latn is sw.",
            ),
            option(
                "--label",
                multiple=True,
                metavar="FILE=LABEL",
                help="The label of a file, which is not normalised: news.txt=sw-x-news. May be given more than once.",
            ),
            option("--config", default=None, help=CONFIG_HELP),
            option("--corpus-revision", default=None, help="Commit, branch or tag of a Hub data set."),
        )

    return add


def seeds_option(option: Options, help_text: str) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds `--seed` with the default 42; the verb receives `seeds`."""
    return option(
        *SEEDS,
        "seeds",
        type=WholeNumbers(),
        callback=flattened,
        multiple=True,
        default=(42,),
        show_default=True,
        help=help_text,
    )


# ------------------------------------------------------------------------------------------------------ the model


def model_option(default: str | None = "mini") -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds `--model`."""
    return _model("--model", default=default, show_default=default is not None, help=MODEL_HELP)


def revision_option(function: Decorated) -> Decorated:
    """Add `--revision`."""
    decorated: Decorated = _model("--revision", default=None, help=REVISION_HELP)(function)
    return decorated


def length_option(function: Decorated) -> Decorated:
    """Add `--max-length`."""
    decorated: Decorated = _model(
        "--max-length",
        default=128,
        show_default=True,
        help="Maximum length of an example in tokens; longer text is cut.",
    )(function)
    return decorated


def label_position_option(option: Options) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds `--label-at`, which is created by `option`."""
    return option(
        "--label-at",
        type=click.Choice(LABEL_AT),
        default="auto",
        show_default=True,
        help="Which token of a word gets the label of the word; auto is the last token for causal models, and the "
        "first token for others.",
    )


def model_options(function: Decorated) -> Decorated:
    """Add `--revision`, `--device`, `--dtype` and `--objective`."""
    return apply(
        function,
        revision_option,
        _model("--device", default="cpu", show_default=True, help=DEVICE_HELP),
        _model(
            "--dtype",
            type=click.Choice(["float32", "bfloat16", "float16"]),
            default="float32",
            show_default=True,
            help="Data type in which the weights are loaded.",
        ),
        _model(
            "--objective",
            type=click.Choice([AUTO, *OBJECTIVES]),
            default=AUTO,
            show_default=True,
            metavar="NAME",
            help=f"Training objective: {', '.join(OBJECTIVES)}; auto means the objective of the pre-training.",
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
            help="Blocks to measure in a model with encoder and decoder.",
        ),
        _parameters(
            "--include",
            multiple=True,
            metavar="REGEX",
            help="Also measure parameters outside of the blocks if their names match this regular expression. May be "
            "given more than once.",
        ),
        _parameters(
            "--exclude",
            multiple=True,
            metavar="REGEX",
            help="Do not measure parameters whose names match this regular expression. May be given more than once.",
        ),
    )


def scratch_option(function: Decorated) -> Decorated:
    """Add `--scratch`."""
    decorated: Decorated = _cost(
        "--scratch",
        type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
        default=None,
        metavar="DIR",
        help="Folder for temporary files.  [default: that of the system]",
    )(function)
    return decorated


# ------------------------------------------------------------------------------- rows of a store


#: Value of `--regime` that means the first regime, independently of its name.
MAIN_REGIME: Final = "main"


def regime_option(function: Decorated) -> Decorated:
    """Add `--regime`."""
    return click.option(
        "--regime",
        default=MAIN_REGIME,
        show_default=True,
        metavar="NAME",
        help="Training regime of the gold scores; main means the first one.",
    )(function)


def languages_option(function: Decorated) -> Decorated:
    """Add `--lang` for the languages of a matrix; the verb receives `languages`."""
    return click.option(
        *LANG,
        "languages",
        multiple=True,
        metavar="CODES",
        help="Languages to compare with each other, such as `sw,en`.  "
        "[default: all languages with a row for every seed]",
    )(function)


def sources_option(function: Decorated) -> Decorated:
    """Add `--sources` for the sources of a matrix."""
    return click.option(
        *SOURCES,
        "sources",
        multiple=True,
        metavar="CODES",
        help="Compare only these sources with the targets, such as `en,de`. "
        "[default: all languages with a row for every seed]",
    )(function)


def coefficient_option(function: Decorated) -> Decorated:
    """Add `--coefficient`."""
    return click.option(
        "--coefficient",
        type=click.Choice((*COEFFICIENTS, *CORRECTIONS)),
        default="jaccard",
        show_default=True,
        help="Coefficient of similarity. containment is the share of the target that the source contains; "
        "mutual-information is in nats. The others correct jaccard: centred, csls and mutual-rank for languages that "
        "are similar to all (they depend on which languages are compared), reliability for noise (it needs "
        "split-half).",
    )(function)


def selection_options(function: Decorated) -> Decorated:
    """Add `--lang`, `--seed` and `--density`, each of which may be given more than once."""
    return apply(
        function,
        click.option(
            *LANG, "lang", multiple=True, metavar="CODES", help="Select only rows of these languages, such as `sw,zu`."
        ),
        click.option(
            *SEEDS,
            "seeds",
            type=WholeNumbers(),
            callback=flattened,
            multiple=True,
            help="Select only rows of these seeds.",
        ),
        click.option(
            *DENSITIES,
            "densities",
            type=Numbers(),
            callback=flattened,
            multiple=True,
            help="Select only rows of these densities.",
        ),
    )


# --------------------------------------------------------------------------------- predictors and gold scores


def _parse_predictors(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Return {name: path} from values `NAME=PATH` or `PATH`; without NAME, the name is the stem of the path."""
    paths: dict[str, str] = {}
    for value in values:
        name, equals, path = value.partition("=")
        # A path alone may contain `=` in the name of a folder.
        if not equals or "/" in name:
            path, name = value, Path(value.rstrip("/")).stem
        name, path = name.strip(), path.strip()
        if not name or not path:
            raise UsageError(f"'--predict {value}' has no {'path' if name else 'name'}.", "write --predict NAME=PATH.")
        if name in paths:
            raise UsageError(
                f"two predictors are called '{name}': '{paths[name]}' and '{path}'.",
                "name each: --predict first=PATH --predict second=PATH.",
            )
        lasting(ctx, parameter, path)
        paths[name] = path
    return paths


def predict_option(function: Decorated) -> Decorated:
    """Add `--predict`; the verb receives `predictors`, {name: path}."""
    return click.option(
        "--predict",
        "predictors",
        multiple=True,
        metavar="NAME=PATH",
        callback=_parse_predictors,
        help="A predictor: a store of sub-networks, or a file with a matrix (.parquet .csv .tsv .json .npz). A path "
        "without NAME= is named by its file name without suffix. May be given more than once.",
    )(function)


def skip_unknown_option(function: Decorated) -> Decorated:
    """Add `--skip-unknown`."""
    return click.option(
        "--skip-unknown",
        is_flag=True,
        help="Leave out rows and columns of a matrix if their label is not a language, or if several labels are the "
        "same language. By default, such labels are an error.",
    )(function)


def as_given_option(function: Decorated) -> Decorated:
    """Add `--as-given`."""
    return click.option(
        "--as-given",
        is_flag=True,
        help="Accept a table of similarities even if the values on its diagonal (each language with itself) look "
        "like distances, or vice versa.",
    )(function)


def rename_option(function: Decorated) -> Decorated:
    """Add `--rename`; the verb receives `rename`, a dictionary."""
    return click.option(
        "--rename",
        multiple=True,
        metavar="OLD=NEW",
        callback=lambda ctx, parameter, values: parse_renames(values),
        help="The language code of a label in a matrix, such as Swahili=sw. Use max=max if the label is the language "
        "with the code max and not a summary. May be given more than once.",
    )(function)


def parse_renames(pairs: Sequence[str]) -> dict[str, str]:
    """Return {label: code} from the values of `--rename`.

    Raises:
        UsageError: A value is not OLD=NEW, or a label is given twice.
    """
    codes: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not equals or not old.strip() or not new.strip():
            raise UsageError(f"'--rename {pair}' is not OLD=NEW.", "write --rename OLD=NEW, such as Swahili=sw.")
        if old.strip() in codes:
            raise UsageError(f"'{old.strip()}' is renamed twice.", "give one --rename for each label.")
        codes[old.strip()] = new.strip()
    return codes


def gold_options(function: Decorated) -> Decorated:
    """Add `--gold`, `--regime`, `--sources` and `--targets`; the first is required."""
    return apply(
        function,
        click.option(
            "--gold",
            required=True,
            metavar="FILE",
            help="File of gold scores from `xsns-stream gold import`.",
        ),
        regime_option,
        click.option(
            *SOURCES,
            "sources",
            multiple=True,
            metavar="CODES",
            help="Sources to compare, such as `en,de`.  [default: all sources that every predictor has]",
        ),
        click.option(
            *TARGETS,
            "targets",
            multiple=True,
            metavar="CODES",
            help="Targets to compare, such as `sw,zu`.  [default: all targets that every predictor has]",
        ),
    )
