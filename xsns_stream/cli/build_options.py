"""The options of `xsns-stream build`, by section, and the settings that they mean."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from xsns_stream.cli.option_groups import (
    Batch,
    Decorated,
    Size,
    apply,
    corpus_options,
    model_options,
    open_from,
    parameter_options,
    section,
)
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel
    from xsns_stream.pipeline.settings import BuildSettings, Stopping

_model, _text, _cost = section("Model"), section("Text"), section("Time and memory")
_result, _trust = section("Sub-networks"), section("How much to trust them")


def build_options(function: Decorated) -> Decorated:
    """Add every option of `build` but those of the store and of output."""
    return apply(
        function,
        _model("--model", default="mini", show_default=True, help="`mini`, a local folder, or a Hub id."),
        model_options,
        _objective_options,
        _text_options,
        parameter_options,
        _estimator_options,
        _cost_options,
        _trust_options,
    )


def _objective_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _model("--mask-rate", type=float, default=None, help="Share of pieces hidden.  [default: 0.15]"),
        _model("--mean-span", type=float, default=None, help="Pieces a span of span corruption.  [default: 3]"),
        _model("--max-length", default=128, show_default=True, help="Longest example in pieces; longer text is cut."),
        _model("--head-seed", default=0, show_default=True, help="Of a task's head, where the model brings none."),
    )


def _text_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _text(
            "--corpus",
            multiple=True,
            default=("cldr",),
            show_default=True,
            metavar="SPEC",
            help="cldr, a folder with a file a language, LANG=FILE (repeatable), a recipe such as wikiann, or hub:ID.",
        ),
        corpus_options(_text),
        _text("--label-column", default=None, help="Column of a task's labels, where the default is not it."),
        _text("--lang", multiple=True, default=("all",), show_default=True, help="Codes, or all; repeatable."),
        _text(
            "--examples",
            "count",
            default=64,
            show_default=True,
            help="Examples a language, |D|. 64 is for a first look; take 256 or more for results (the paper: 1024).",
        ),
        _text(
            "--seed",
            "seeds",
            type=int,
            multiple=True,
            default=(42,),
            show_default=True,
            help="Of draw and masking; repeatable.",
        ),
    )


def _estimator_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _result(
            "--density",
            "densities",
            type=float,
            multiple=True,
            default=(0.15,),
            show_default=True,
            help="Share of parameters kept, in (0, 1]; repeatable.",
        ),
        _result(
            "--estimator",
            type=click.Choice(["per-example", "per-batch", "authors", "grad-abs"]),
            default="per-example",
            show_default=True,
            help="per-example is the paper's equation, authors what its published code does.",
        ),
        _result(
            "--labels",
            type=click.Choice(["data", "sample"]),
            default="data",
            show_default=True,
            help="Ask for the observed labels, or for labels drawn from the model (true Fisher).",
        ),
        _result(
            "--token-reduction",
            type=click.Choice(["sum", "mean"]),
            default="sum",
            show_default=True,
            help="How an example's scored pieces make up its log-likelihood.",
        ),
        _result(
            "--quantile",
            type=click.Choice(["exact", "histogram", "percentile"]),
            default=None,
            help="How the threshold is found: the K-th largest value; an estimate of it, within 0.8 %, from one "
            "histogram; or numpy.percentile, as the authors' code has it.  [default: exact; authors: percentile]",
        ),
        _result(
            "--keep-fisher",
            type=click.Choice(["float32", "bf16"]),
            is_flag=False,
            flag_value="float32",
            default=None,
            help="Keep the Fisher values, for other densities later; bf16 takes half the space, and rounds.",
        ),
    )


def _cost_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _cost(
            "--batch",
            type=Batch(),
            default=None,
            metavar="N|auto",
            help="Examples computed together; results do not depend on it, but with the estimators per-batch and "
            "authors.  [default: 8; authors: 4]",
        ),
        _cost(
            "--precision",
            type=click.Choice(["float32", "bf16", "fp16"]),
            default="float32",
            show_default=True,
            help="Of products, by automatic mixed precision; sums stay in float32.",
        ),
        _cost("--checkpoint", is_flag=True, help="Compute activations twice instead of keeping them."),
        _cost(
            "--memory",
            type=Size(),
            default=None,
            metavar="SIZE",
            help="Most that the Fisher values may take, as 2GB; where they need more, the text is read several times.",
        ),
    )


def _trust_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _trust(
            "--parts",
            type=int,
            default=None,
            metavar="K",
            help="Cut each row's examples into K parts, and store the sub-networks that leave one part out too: what "
            "`rank` makes intervals of. 8 is a good number; the store grows K-fold.",
        ),
        _trust("--split-half", is_flag=True, help="Compare the sub-networks of two halves of each row's examples."),
        _trust(
            "--until-stable",
            type=float,
            default=None,
            metavar="J",
            help="Finish a row once its sub-network's Jaccard coefficient to the check before reaches J (at density "
            "0.15); --examples is the most that it gets.",
        ),
        _trust("--check-every", type=int, default=None, help="Examples between two such checks.  [default: 64]"),
        _trust("--at-least", type=int, default=None, help="Examples that every row gets.  [default: 128]"),
    )


def settings_of(options: dict[str, Any]) -> BuildSettings:
    """Return the settings that the options mean; the objective is known when the model is."""
    from xsns_stream.languages import select
    from xsns_stream.models.auto_classes import TASKS
    from xsns_stream.pipeline.settings import BuildSettings
    from xsns_stream.types import FisherSettings

    labelled = options["objective"] in TASKS
    if options["label_column"] is not None and not labelled:
        raise UsageError(
            f"--label-column means nothing for the objective {options['objective']}.",
            f"labels are for {', '.join(TASKS)}.",
        )
    corpus = open_from(options, labels=(options["label_column"] or "auto") if labelled else None)
    return BuildSettings(
        corpus=corpus,
        languages=select(options["lang"], corpus.languages(), f"the corpus {corpus.name}"),
        seeds=tuple(dict.fromkeys(options["seeds"])),
        densities=tuple(dict.fromkeys(options["densities"])),
        examples=options["count"],
        batch_size=options["batch"],
        fisher=FisherSettings(
            estimator=options["estimator"],
            token_reduction=options["token_reduction"],
            labels=options["labels"],
            precision=options["precision"],
            checkpoint=options["checkpoint"],
        ),
        stack=options["stack"],
        include=options["include"],
        exclude=options["exclude"],
        head_seed=options["head_seed"],
        memory=options["memory"],
        stopping=_stopping(options),
        split_half=options["split_half"],
        parts=options["parts"],
        keep_fisher=options["keep_fisher"],
        quantile=options["quantile"],
    )


def _stopping(options: dict[str, Any]) -> Stopping | None:
    from xsns_stream.pipeline.settings import Stopping

    given = {name: options[name] for name in ("check_every", "at_least") if options[name] is not None}
    if options["until_stable"] is not None:
        return Stopping(options["until_stable"], **given)
    for name in given:
        raise UsageError(f"--{name.replace('_', '-')} means nothing without --until-stable.", "leave it out.")
    return None


def with_model(settings: BuildSettings, options: dict[str, Any]) -> tuple[BuildSettings, LoadedModel]:
    """Load the model, and complete the settings with what it is asked.

    Raises:
        ModelError: It cannot be loaded.
        UsageError: An option that the objective does not have, or examples longer than the model takes.
    """
    from dataclasses import replace

    from xsns_stream.cli.option_groups import load
    from xsns_stream.models import longest_input
    from xsns_stream.models.auto_classes import CLASSIFICATION, TASKS
    from xsns_stream.objectives import make_objective

    names = settings.corpus.label_names() if options["objective"] in TASKS else ()
    count = len(names) if options["objective"] in CLASSIFICATION else None
    loaded = load(options, label_count=count, head_seed=options["head_seed"])
    longest = longest_input(loaded.model, loaded.tokenizer)
    if options["max_length"] > longest:
        raise UsageError(
            f"the model '{loaded.name}' takes at most {longest} pieces, not {options['max_length']}.",
            f"give `--max-length {longest}` or less.",
        )
    objective = make_objective(
        loaded.objective,
        rate=options["mask_rate"],
        mean_span=options["mean_span"],
        max_length=options["max_length"],
        labels=names,
    )
    return replace(settings, objective=objective), loaded
