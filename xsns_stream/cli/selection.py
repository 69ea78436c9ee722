"""Options that select rows of a store, languages, predictors and gold scores; shared by several verbs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.output import Decorated, lasting
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.pipeline.store_rows import FisherKey, FoldKey, RowKey

#: Value of `--regime` that stands for the first regime, whatever it is called.
MAIN_REGIME: Final = "main"
#: Copies of names of `xsns_stream.similarity`, which a help page does not import; a test compares them.
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


# ----------------------------------------------------------------------------------------- rows of a store


def coefficient_option(function: Decorated) -> Decorated:
    """Add `--coefficient`."""
    return click.option(
        "--coefficient",
        type=click.Choice(COEFFICIENT_NAMES),
        default="jaccard",
        show_default=True,
        help="How similarity is computed from overlap. containment is the share of the target that the source "
        "contains; mutual-information is in nats.",
    )(function)


def selection_options(function: Decorated) -> Decorated:
    """Add `--lang`, `--seed` and `--density`, each of which may be given more than once."""
    for option in (
        click.option("--density", "densities", type=float, multiple=True, help="Only these densities."),
        click.option("--seed", "seeds", type=int, multiple=True, help="Only these seeds."),
        click.option("-l", "--lang", multiple=True, metavar="CODES", help="Only these languages, as `sw,zu`."),
    ):
        function = option(function)
    return function


# --------------------------------------------------------------------------------- predictors and gold scores


def _parse_predictors(ctx: click.Context, parameter: click.Parameter, values: tuple[str, ...]) -> dict[str, str]:
    """Return {name: path}. A value `NAME=PATH` is split; a path alone is named by its stem."""
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
        "alone is named by its stem. May be given more than once.",
    )(function)


def skip_unknown_option(function: Decorated) -> Decorated:
    """Add `--skip-unknown`."""
    return click.option(
        "--skip-unknown",
        is_flag=True,
        help="Leave out rows and columns of a matrix whose labels do not stand for a language, or several for one. By "
        "default such a matrix is refused.",
    )(function)


def as_given_option(function: Decorated) -> Decorated:
    """Add `--as-given`."""
    return click.option(
        "--as-given",
        is_flag=True,
        help="Accept a table although its numbers of each language with itself look like distances where similarities "
        "are expected, or the reverse.",
    )(function)


def rename_option(function: Decorated) -> Decorated:
    """Add `--rename`; the verb receives `rename`, a dictionary."""
    return click.option(
        "--rename",
        multiple=True,
        metavar="OLD=NEW",
        callback=lambda ctx, parameter, values: parse_renames(values),
        help="The code that a label of a matrix stands for, as Swahili=sw; or max=max, if a language is meant and not "
        "a summary. May be given more than once.",
    )(function)


def parse_renames(pairs: Sequence[str]) -> dict[str, str]:
    """Return {label: code} of the values of `--rename`.

    Raises:
        UsageError: A value is not OLD=NEW, or a label is given twice.
    """
    codes: dict[str, str] = {}
    for pair in pairs:
        old, equals, new = pair.partition("=")
        if not equals or not old.strip() or not new.strip():
            raise UsageError(f"'--rename {pair}' is not OLD=NEW.", "write --rename OLD=NEW, as Swahili=sw.")
        if old.strip() in codes:
            raise UsageError(f"'{old.strip()}' is renamed twice.", "give one --rename for each label.")
        codes[old.strip()] = new.strip()
    return codes


def gold_options(function: Decorated) -> Decorated:
    """Add `--gold`, `--regime`, `--sources` and `--targets`; the first is required."""
    for option in (
        click.option(
            "--targets",
            multiple=True,
            metavar="CODES",
            help="Targets to compare, as `sw,zu`.  [default: all that every predictor has]",
        ),
        click.option(
            "--sources",
            multiple=True,
            metavar="CODES",
            help="Sources to compare, as `en,de`.  [default: all that every predictor has]",
        ),
        click.option(
            "--regime",
            default=MAIN_REGIME,
            show_default=True,
            metavar="NAME",
            help="Training regime of the gold scores; main stands for their first.",
        ),
        click.option(
            "--gold",
            required=True,
            metavar="FILE",
            help="Gold scores that `xsns-stream gold import` wrote.",
        ),
    ):
        function = option(function)
    return function


# ------------------------------------------------------------------------------------------ keys of rows


def key_json(key: RowKey | FisherKey | FoldKey) -> dict[str, Any]:
    """Return the labels of a row; the density of Fisher values is null."""
    return {"language": key.language, "seed": key.seed, "density": key.density}
