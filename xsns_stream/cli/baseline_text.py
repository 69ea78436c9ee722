"""Commands for baselines from text (lex, emb, nn-rank, grad-cosine, sue), and the command for all baselines."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
from click.core import ParameterSource

from xsns_stream.cli.baseline import (
    check_outputs,
    finish,
    language_options,
    requested_languages_of,
    shared_options,
    store_default_option,
)
from xsns_stream.cli.choices import DEFAULT_CORPUS
from xsns_stream.cli.cluster_options import asked_workers, cluster_options
from xsns_stream.cli.matrix_files import write_files
from xsns_stream.cli.option_groups import (
    SCORED_TOKENS_HELP,
    corpus_option,
    corpus_options,
    length_option,
    model_option,
    model_options,
    parameter_options,
    revision_option,
    scratch_option,
    seeds_option,
)
from xsns_stream.cli.option_sections import Decorated, SectionedCommand, apply, section
from xsns_stream.cli.output import (
    common_options,
    corpus_json,
    emit_json,
    examples,
    next_step,
    note,
    stderr_console,
    stdout_console,
)
from xsns_stream.errors import UsageError
from xsns_stream.io.tables import listed

if TYPE_CHECKING:
    from rich.table import Table

    from xsns_stream.pipeline.baselines import Baseline
    from xsns_stream.pipeline.requested_languages import RequestedLanguages
    from xsns_stream.pipeline.text_baselines import TextBaselines
    from xsns_stream.types import SimilarityMatrix

#: Placeholder for the number of a layer in the name of a file.
LAYER_FIELD: Final = "{layer}"
_model, _text, _cost = section("Model"), section("Text"), section("Time and memory")


_batch_option = _cost(
    "--batch", default=8, show_default=True, help="Number of examples in a batch; it does not affect results."
)
_max_tokens_option = _cost(
    "--max-tokens",
    type=int,
    default=None,
    help="Maximum number of tokens of a language for nn-rank; the tokens of the examples that were drawn first are "
    "used. The time grows with the square of this number.  [default: all]",
)


def _text_options(default: tuple[str, ...] | None) -> Callable[[Decorated], Decorated]:
    def add(function: Decorated) -> Decorated:
        return apply(
            function,
            store_default_option(_text),
            corpus_option(default),
            corpus_options(_text),
            _text(
                "--examples",
                default=64,
                show_default=True,
                help="Number of examples for each language, drawn as in `build`. 64 are enough for a first test (the "
                "paper: 1024).",
            ),
            seeds_option(
                _text,
                "Seed for drawing the examples. May be given more than once; the file then contains the mean over "
                "seeds and the values of each seed.",
            ),
        )

    return add


def _from_text_options(function: Decorated) -> Decorated:
    return apply(function, _text_options(DEFAULT_CORPUS), cluster_options("language"), shared_options)


def _loaded_model_options(function: Decorated) -> Decorated:
    return apply(function, model_option(), model_options, length_option, _batch_option)


@click.command(
    name="lex",
    short_help="Overlap of sub-word distributions. Needs text and a tokenizer.",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline lex --lang sw,zu,fi,et",
        "xsns-stream baseline lex --lang sw,zu,fi,et --examples 256 -o lex.parquet",
    ),
)
@model_option()
@revision_option
@length_option
@_from_text_options
def lex_command(**options: Any) -> None:
    """Compute the overlap of sub-word distributions: 1 − Jensen–Shannon divergence.

    The tokenizer of the model splits the texts; special tokens are left out. The weights are not loaded.
    """
    _run_text("lex", options)


@click.command(
    name="emb",
    short_help="Cosine of mean embeddings. Needs text and a model.",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline emb --lang sw,zu,fi,et --examples 16",
        "xsns-stream baseline emb --lang sw,zu,fi,et --examples 16 --layer all --centre -o emb-{layer}.parquet",
    ),
)
@_loaded_model_options
@_model(
    "--layer",
    default=None,
    metavar="N|all",
    help="Layer of the token states; 0 is the input of the first block. `all` computes every layer in one pass; "
    "the name that is given to -o must then contain {layer}. [default: the last layer]",
)
@_model("--centre", is_flag=True, help="Subtract the mean language vector first, because raw cosines are close to 1.")
@_from_text_options
def emb_command(layer: str | None, **options: Any) -> None:
    """Compute the cosine similarity of mean embeddings.

    The vector of a language is the mean over its examples of the mean state of the tokens, including special tokens.
    For a model with encoder and decoder, the encoder is used.
    """
    _run_text("emb", options | {"layer": _layer(layer)})


@click.command(
    name="nn-rank",
    short_help="Share of a source in the nearest tokens of the target. Needs text and a model.",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline nn-rank --lang sw,zu,fi,et --examples 16",
        "xsns-stream baseline nn-rank --sources en,de,fi --targets et,sw --examples 16 -o nn-rank.parquet",
    ),
)
@_loaded_model_options
@_model(
    "--layer",
    "neighbour_layer",
    type=int,
    default=None,
    help="Layer of the token states.  [default: 8, or the last layer]",
)
@_model("--neighbours", default=5, show_default=True, help="Number k of nearest tokens of each target token.")
@_max_tokens_option
@_cost(
    "--states",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="Data type of token states on the disk; float16 needs half the space, but rounds the values.",
)
@scratch_option
@_from_text_options
def nn_rank_command(**options: Any) -> None:
    """Compute the share of each source among the nearest tokens of the tokens of a target (NN-Rank).

    For each token of the target, the nearest tokens among those of all other languages are found exactly, by inner
    product of their states. Special and unknown tokens are left out. The values of a source depend on the other
    sources.
    """
    _run_text("nn-rank", options)


@click.command(
    name="grad-cosine",
    short_help="Cosine of mean gradients. Needs text and a model.",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline grad-cosine --lang sw,zu,fi,et --examples 16",
        "xsns-stream baseline grad-cosine --lang sw,zu,fi,et --examples 16 -o grad-cosine.parquet",
    ),
)
@_loaded_model_options
@parameter_options
@_cost(
    "--token-reduction",
    type=click.Choice(["sum", "mean"]),
    default="sum",
    show_default=True,
    help=SCORED_TOKENS_HELP,
)
@scratch_option
@_from_text_options
def grad_cosine_command(**options: Any) -> None:
    """Compute the cosine similarity of the mean gradients of the parameters that `build` measures.

    The objective and the examples are those of `build`. The gradients need a temporary file of languages × parameters ×
    4 bytes.
    """
    _run_text("grad-cosine", options)


@click.command(
    name="sue",
    short_help="Evenness of the sub-words of the source (experimental). Needs text.",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline sue --lang sw,zu,fi,et --examples 256",
        "xsns-stream baseline sue --lang sw,zu,fi,et --examples 256 --merges 100 -o sue.parquet",
    ),
)
@_text(
    "--merges",
    default=200,
    show_default=True,
    help="Number of merges of the byte-pair encoding of each language.",
)
@_from_text_options
def sue_command(**options: Any) -> None:
    """Compute how evenly words of the source are split: minus the sub-word evenness (SuE) in degrees (experimental).

    The value of a source is the same for every target. No model is needed. Words are separated by spaces, unless the
    corpus is already split into words. A script without spaces needs a corpus that is split into words.
    """
    _run_text("sue", options)


def _layer(given: str | None) -> int | str | None:
    if given is None or given == "all":
        return given
    try:
        return int(given)
    except ValueError:
        raise UsageError(f"'{given}' is not a layer.", "give a number, or all.") from None


def _run_text(name: str, options: dict[str, Any]) -> None:
    from xsns_stream.pipeline.text_baselines import refuse_failures

    outputs, as_json, quiet = (options.pop(option) for option in ("outputs", "as_json", "quiet"))
    every = options.get("layer") == "all"
    for path in outputs:
        if every and LAYER_FIELD not in path:
            raise UsageError(f"every layer would be written to '{path}'.", f"put {LAYER_FIELD} into the file name.")
    check_outputs([path.replace(LAYER_FIELD, "0") if every else path for path in outputs])
    requested = requested_languages_of(options)
    computed = _compute((name,), requested, options, quiet, outputs[0] if outputs else None)
    if every:
        _write_layers(computed.matrices, outputs, quiet)
    failed = [
        {"language": row.language, "seed": row.seed, "error": error.message, "hint": error.hint}
        for row, error in computed.failed.items()
    ]
    layers = {key.removeprefix("emb-"): matrix.values.tolist() for key, matrix in computed.matrices.items()}
    finish(
        list(computed.matrices.values())[-1],
        requested,
        () if every else outputs,
        as_json=as_json,
        quiet=quiet,
        notes=computed.notes,
        more={"failed": failed} | corpus_json(computed.corpus) | ({"layers": layers} if every else {}),
    )
    refuse_failures(computed)


def _compute(
    names: Sequence[str], requested: RequestedLanguages, options: Mapping[str, Any], quiet: bool, output: str | None
) -> TextBaselines:
    """Compute baselines from text, with the options of a command; logs of failures are written beside the output."""
    from xsns_stream.pipeline.failure_logs import log_folder
    from xsns_stream.pipeline.progress import RowProgress
    from xsns_stream.pipeline.text_baselines import DEFAULT_LOGS, text_baselines

    options = dict(options)
    workers = asked_workers(options)
    context = click.get_current_context()
    given = [name for name in context.params if context.get_parameter_source(name) is ParameterSource.COMMANDLINE]
    console = stderr_console(quiet)
    return text_baselines(
        names,
        requested,
        given=frozenset(given),
        display=lambda rows: RowProgress(console, rows),
        status=console.status,
        workers=workers,
        logs=DEFAULT_LOGS if output is None else log_folder(output),
        **options,
    )


def _write_layers(matrices: Mapping[str, SimilarityMatrix], outputs: Sequence[str], quiet: bool) -> None:
    for path in outputs:
        for key, matrix in matrices.items():
            write_files(matrix, [path.replace(LAYER_FIELD, key.removeprefix("emb-"))], quiet)


@click.command(
    name="all",
    short_help="All baselines with available data. Needs a folder.",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline all --lang sw,zu,fi,et -o baselines",
        "xsns-stream baseline all --data . --gold gold.parquet -o baselines",
    ),
)
@click.option(
    "--data",
    "folders",
    multiple=True,
    metavar="DIR",
    help="Folder that is searched for tables, including its subfolders. May be given more than once. Names of tables: "
    "feature_predictions.npz, ldnd.csv, languages.csv, fams.txt, wiki-langs.csv, langs-xlmr.txt, "
    "udpos-sizes-train.csv, sizes.csv.",
)
@model_option(None)
@model_options
@length_option
@_text_options(None)
@_batch_option
@_max_tokens_option
@scratch_option
@cluster_options("language")
@language_options
@click.option(
    "-o",
    "--output",
    required=True,
    metavar="DIR",
    help="Folder for the file NAME.parquet of each baseline; it is created if it does not exist.",
)
@common_options
def all_command(folders: tuple[str, ...], output: str, as_json: bool, quiet: bool, **options: Any) -> None:
    """Compute every baseline whose data are available, and list what the other baselines need.

    The folders of --data are searched for tables. Baselines from text need --corpus, and all of these except sue need
    --model. If several tables can be used for a baseline, the table with the most languages is used; among tables with
    equally many languages, the first one.
    """
    from xsns_stream.pipeline.baselines import Baseline, baselines_in_folders, different_settings
    from xsns_stream.pipeline.model_baselines import TEXT_BASELINES
    from xsns_stream.pipeline.text_baselines import refuse_failures

    requested = requested_languages_of(options)
    if requested.languages is None:
        missing = "no language was given."
        if requested.everything:
            missing = "`baseline all` cannot take all languages, because each baseline has data on different languages."
        raise UsageError(missing, "give --lang sw,en, --gold gold.parquet, or --store PATH.")
    names = _possible(options)
    # Folders and files are checked before the longest work begins.
    computed, left_out = baselines_in_folders(folders, requested)
    folder = _folder(output)
    _write(computed, folder, requested, quiet)
    left_out |= {name: f"needs {one.needs}." for name, one in TEXT_BASELINES.items() if name not in names}
    from_text = _compute(names, requested, options, quiet, output) if names else None
    if from_text is not None:
        origin = " and ".join(filter(None, (" ".join(options["texts"]), options["model"], options["store"])))
        matrices = {name: Baseline(matrix, origin=origin) for name, matrix in from_text.matrices.items()}
        for text in from_text.notes:
            note(f"note: {text}", quiet)
        _write(matrices, folder, requested, quiet)
        computed |= matrices
    differences = different_settings(computed, options["store"])
    for one in differences:
        note(f"note: {one.sentence}", quiet)
    if as_json:
        more = {"differences": [one.to_json() for one in differences]}
        files = {} if from_text is None else corpus_json(from_text.corpus)
        emit_json("baseline", _result(computed, left_out, folder, requested) | more | files)
    else:
        stdout_console().print(_table(computed, left_out, folder))
    if from_text is not None:
        refuse_failures(from_text)
    predictors = [word for name in computed for word in ("--predict", str(_path(folder, name)))]
    if predictors:
        next_step("evaluate", "--gold", "gold.parquet", *predictors, quiet=quiet, as_json=as_json)


def _possible(options: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the names of the baselines for which the text and, if needed, the model were given."""
    from xsns_stream.pipeline.model_baselines import TEXT_BASELINES, needs_tokenizer

    if options["store"] is not None:
        return tuple(TEXT_BASELINES)
    if not options["texts"]:
        return ()
    return tuple(name for name in TEXT_BASELINES if options["model"] or not needs_tokenizer([name]))


def _folder(output: str) -> Path:
    folder = Path(output)
    if folder.exists() and not folder.is_dir():
        raise UsageError(
            f"'{output}' is a file, not a folder.", "give a folder; each baseline is written to a file in it."
        )
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _write(computed: dict[str, Baseline], folder: Path, requested: RequestedLanguages, quiet: bool) -> None:
    from xsns_stream.pipeline.baselines import with_record
    from xsns_stream.report import write_matrix

    for name, one in computed.items():
        for text in one.notes:
            note(f"note: {name}: {text}", quiet)
        if lacking := requested.missing(one.matrix):
            note(f"note: {name} has no data on {listed(lacking)}.", quiet)
        write_matrix(with_record(one.matrix), _path(folder, name))


def _path(folder: Path, name: str) -> Path:
    return folder / f"{name}.parquet"


def _result(
    computed: dict[str, Baseline], left_out: dict[str, str], folder: Path, requested: RequestedLanguages
) -> dict[str, Any]:
    return {
        "written": [
            {
                "baseline": name,
                "path": str(_path(folder, name)),
                "from": one.origin,
                "sources": list(one.matrix.sources),
                "targets": list(one.matrix.targets),
                "lacking": requested.missing(one.matrix),
                "notes": list(one.notes),
                "record": None if one.matrix.record is None else one.matrix.record.to_json(),
            }
            for name, one in computed.items()
        ],
        "left_out": [{"baseline": name, "why": reason} for name, reason in left_out.items()],
    }


def _table(computed: dict[str, Baseline], left_out: dict[str, str], folder: Path) -> Table:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False)
    table.add_column("baseline", style="bold", no_wrap=True)
    table.add_column("sources × targets", justify="right", no_wrap=True)
    table.add_column("file", overflow="fold")
    table.add_column("from", overflow="fold")
    for name, one in computed.items():
        size = " × ".join(map(str, one.matrix.values.shape))
        table.add_row(*map(Text, (name, size, str(_path(folder, name)), one.origin)))
    for name, reason in left_out.items():
        table.add_row(Text(name), Text("–"), Text("left out"), Text(reason))
    return table


#: {name: command}, in the order of the help page.
COMMANDS: Final[dict[str, click.Command]] = {
    str(command.name): command
    for command in (
        lex_command,
        emb_command,
        nn_rank_command,
        grad_cosine_command,
        sue_command,
        all_command,
    )
}
