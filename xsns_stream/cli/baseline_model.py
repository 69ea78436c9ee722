"""The baselines that are made from text with a model or its tokenizer: lex, emb, nn-rank, grad-cosine, sue."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from xsns_stream.cli.baseline_options import output_option, pool_options
from xsns_stream.cli.baseline_running import run
from xsns_stream.cli.baseline_store import same_as_option
from xsns_stream.cli.option_groups import (
    SectionedCommand,
    apply,
    corpus_options,
    model_options,
    parameter_options,
    section,
)
from xsns_stream.cli.output import Decorated, common_options, examples
from xsns_stream.errors import UsageError

_model, _text, _cost = section("Model"), section("Text"), section("Time and memory")

_model_option = _model("--model", default="mini", show_default=True, help="`mini`, a local folder, or a Hub id.")
_length_option = _model(
    "--max-length", default=128, show_default=True, help="Longest example in pieces; longer text is cut."
)
_batch_option = _cost(
    "--batch", default=8, show_default=True, help="Examples computed together; results do not depend on it."
)
_scratch_option = _cost(
    "--scratch",
    type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
    default=None,
    metavar="DIR",
    help="Folder for temporary files.  [default: the system's]",
)


def _text_options(function: Decorated) -> Decorated:
    return apply(
        function,
        same_as_option(_text),
        _text(
            "--corpus",
            multiple=True,
            default=("cldr",),
            show_default=True,
            metavar="SPEC",
            help="cldr, a folder with a file a language, LANG=FILE (repeatable), a recipe such as wikiann, or hub:ID.",
        ),
        corpus_options(_text),
        _text(
            "--examples",
            default=64,
            show_default=True,
            help="Examples a language, drawn as `build` draws them. 64 is for a first look (the paper: 1024).",
        ),
        _text(
            "--seed",
            "seeds",
            type=int,
            multiple=True,
            default=(42,),
            show_default=True,
            help="Of the draw; repeatable: values are averaged, and kept for each.",
        ),
    )


def _shared(function: Decorated) -> Decorated:
    return apply(function, _text_options, pool_options, output_option, common_options)


def _weights(function: Decorated) -> Decorated:
    return apply(function, _model_option, model_options, _length_option, _batch_option)


@click.command(
    name="lex",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline lex --lang sw,zu,fi,et",
        "xsns-stream baseline lex --lang sw,zu,fi,et --examples 256 -o lex.parquet",
    ),
)
@_model_option
@_model("--revision", default=None, help="Commit, branch or tag of a model on the Hub.")
@_length_option
@_shared
def lex_command(**options: Any) -> None:
    """Overlap of sub-word distributions: 1 − Jensen–Shannon divergence.

    Texts are cut by the model's own tokenizer; its special pieces are left out. The weights are not loaded.
    """
    run("lex", options)


@click.command(
    name="emb",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline emb --lang sw,zu,fi,et --examples 16",
        "xsns-stream baseline emb --lang sw,zu,fi,et --examples 16 --layer all --centre -o emb-{layer}.parquet",
    ),
)
@_weights
@_model(
    "--layer",
    default=None,
    metavar="N|all",
    help="Layer of the token states; 0 is what goes into the first block. all takes every layer in one pass; -o then "
    "names them by {layer}.  [default: the last]",
)
@_model("--centre", is_flag=True, help="Take the mean language vector off first; raw cosines sit near 1.")
@_shared
def emb_command(layer: str | None, **options: Any) -> None:
    """Cosine of mean embeddings.

    A language's vector is the mean over examples of the mean state of an example's tokens, those that frame it
    included. Of a model with encoder and decoder the encoder is taken.
    """
    run("emb", options | {"layer": _layer(layer)})


@click.command(
    name="nn-rank",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline nn-rank --lang sw,zu,fi,et --examples 16",
        "xsns-stream baseline nn-rank --sources en,de,fi --targets et,sw --examples 16 -o nn-rank.parquet",
    ),
)
@_weights
@_model("--layer", "neighbour_layer", type=int, default=None, help="Of the token states.  [default: 8, or the last]")
@_model("--neighbours", default=5, show_default=True, help="Nearest tokens that are looked at, a token.")
@_cost(
    "--max-tokens",
    type=int,
    default=None,
    help="At most so many tokens a language, from the first examples drawn. Time grows with their square.  "
    "[default: all]",
)
@_cost(
    "--states",
    type=click.Choice(["float32", "float16"]),
    default="float32",
    show_default=True,
    help="How token states lie on the disk; float16 takes half the space, and rounds.",
)
@_scratch_option
@_shared
def nn_rank_command(**options: Any) -> None:
    """Share of the target's nearest tokens that each source owns (NN-Rank).

    Among the tokens of all sources but the target itself, the nearest of each target token are found exactly, by inner
    product of their states. Special and unknown pieces are left out. The sources compete: which are there matters.
    """
    run("nn-rank", options)


@click.command(
    name="grad-cosine",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline grad-cosine --lang sw,zu,fi,et --examples 16",
        "xsns-stream baseline grad-cosine --lang sw,zu,fi,et --examples 16 -o grad-cosine.parquet",
    ),
)
@_weights
@parameter_options
@_cost(
    "--token-reduction",
    type=click.Choice(["sum", "mean"]),
    default="sum",
    show_default=True,
    help="How an example's scored pieces make up its log-likelihood.",
)
@_scratch_option
@_shared
def grad_cosine_command(stack: str, include: tuple[str, ...], exclude: tuple[str, ...], **options: Any) -> None:
    """Cosine of the mean gradients of the parameters that `build` measures.

    The model is asked what `build` asks it, on the same examples. The gradients lie in a temporary file: languages ×
    parameters × 4 bytes.
    """
    run("grad-cosine", options | {"theta": {"stack": stack, "include": include, "exclude": exclude}})


@click.command(
    name="sue",
    cls=SectionedCommand,
    epilog=examples(
        "xsns-stream baseline sue --lang sw,zu,fi,et --examples 256",
        "xsns-stream baseline sue --lang sw,zu,fi,et --examples 256 --merges 100 -o sue.parquet",
    ),
)
@_text("--merges", default=200, show_default=True, help="Of the byte-pair encoding that is learnt for each language.")
@_shared
def sue_command(**options: Any) -> None:
    """Evenness of the source's sub-words, turned round: minus SuE in degrees (experimental).

    One value a source, the same for every target. No model is needed. Words are what stands between spaces, unless
    the corpus has words: for scripts without spaces give text that is split.
    """
    run("sue", options)


COMMANDS: Final[dict[str, click.Command]] = {
    "lex": lex_command,
    "emb": emb_command,
    "nn-rank": nn_rank_command,
    "grad-cosine": grad_cosine_command,
    "sue": sue_command,
}


def _layer(given: str | None) -> int | str | None:
    if given is None or given == "all":
        return given
    try:
        return int(given)
    except ValueError:
        raise UsageError(f"'{given}' is no layer.", "give a number, or all.") from None
