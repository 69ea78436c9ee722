"""Options of the verbs that compare: which languages, which coefficient, how they are counted."""

from __future__ import annotations

from typing import Final

import click

from xsns_stream.cli.output import Decorated

#: Of `xsns_stream.similarity.COEFFICIENTS`, which a help page does not load; a test holds them together.
COEFFICIENT_NAMES: Final = (
    "jaccard",
    "dice",
    "overlap",
    "containment",
    "cosine",
    "corrected-jaccard",
    "mutual-information",
)
GROUPING_NAMES: Final = ("layer", "module", "tensor")


def coefficient_option(function: Decorated) -> Decorated:
    """Add `--coefficient`."""
    return click.option(
        "--coefficient",
        type=click.Choice(COEFFICIENT_NAMES),
        default="jaccard",
        show_default=True,
        help="How similarity is computed from overlap. containment is the share of the target that the source holds; "
        "mutual-information is in nats.",
    )(function)


def sides_options(function: Decorated) -> Decorated:
    """Add `--lang`, `--sources` and `--target`."""
    for option in (
        click.option(
            "--target",
            "targets",
            multiple=True,
            metavar="CODES",
            help="Compare the sources with these only; only their pairs are counted.",
        ),
        click.option(
            "--sources",
            multiple=True,
            metavar="CODES",
            help="Compare these with the targets only, as `en,de`; all that have every seed by default.",
        ),
        click.option(
            "--lang",
            "languages",
            multiple=True,
            metavar="CODES",
            help="Only these languages, as `sw,en`; all that have every seed by default.",
        ),
    ):
        function = option(function)
    return function


def how_options(function: Decorated) -> Decorated:
    """Add `--by`, `--sample`, `--verify`, `--device`, `--recount` and `--no-keep`."""
    for option in (
        click.option("--no-keep", "keep", flag_value=False, default=True, help="Do not keep the counts in the store."),
        click.option(
            "--device",
            default="cpu",
            show_default=True,
            metavar="DEVICE",
            help="Where overlaps are counted: cpu, or cuda, which needs torch.",
        ),
        click.option(
            "--recount",
            is_flag=True,
            help="Do not use counts that were kept: read every row. Counts do not show damage done to rows since.",
        ),
        click.option(
            "--verify",
            is_flag=True,
            help="Also compare the bits of every row with its record, where counts were kept too.",
        ),
        click.option(
            "--sample",
            type=click.FloatRange(0, 1, min_open=True),
            default=None,
            metavar="FRACTION",
            help="Estimate from this part of the parameters, as 0.05, with standard errors, which are too small where "
            "little is read (some 40 blocks of words). It pays from some 100 million parameters on.",
        ),
        click.option(
            "--by",
            type=click.Choice(GROUPING_NAMES),
            default=None,
            help="Compare layers, kinds of module, or tensors by themselves.",
        ),
    ):
        function = option(function)
    return function
