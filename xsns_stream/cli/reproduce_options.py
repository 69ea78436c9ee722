"""The options of `xsns-stream reproduce`, by section."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from xsns_stream.cli.sections import Decorated, apply, section
from xsns_stream.reproduce.presets import PRESETS

_what, _sizes, _machine = section("Models and data"), section("Sizes and seeds"), section("Machine")
_FEWEST: Final = click.IntRange(min=1)


def reproduce_options(function: Decorated) -> Decorated:
    """Add every option of `reproduce` but those of output on the terminal."""
    return apply(function, _what_options, _size_options, _machine_options)


def _what_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _what(
            "--preset",
            type=click.Choice(list(PRESETS)),
            default="embedded",
            show_default=True,
            help="embedded: the model that is shipped, on local data. paper: the paper's models, sizes and data sets, "
            "from the Hub.",
        ),
        _what("--model", default=None, help="Instead of the preset's: `mini`, a local folder, or a Hub id."),
        _what("--other-model", "other_models", multiple=True, metavar="NAME", help="Beside it in table 4; repeatable."),
        _what(
            "--data",
            multiple=True,
            metavar="KIND=SPEC",
            help="Data of a task, as `transfer --data` takes them: ner, pos, nli, pi, qa or topic. Also general=CORPUS "
            "(in the place of Wikipedia), typology=feature_predictions.npz, ldnd=FILE. Or one folder that has folders "
            "and files of these names. Repeatable.",
        ),
        _what("--tasks", multiple=True, metavar="NAMES", help="Only these tasks, as `pos,ner`."),
        _what(
            "--languages",
            multiple=True,
            metavar="CODES",
            help="Sources and targets of every task, as `en,de`, instead of each task's pool.",
        ),
        _what(
            "--low-resource",
            multiple=True,
            metavar="CODES",
            help="Further targets, outside the pool, instead of the preset's.",
        ),
        _what(
            "--out",
            type=click.Path(path_type=Path, file_okay=False),
            required=True,
            metavar="DIR",
            help="Folder of the results; what steps leave lies in DIR/work.",
        ),
    )


def _size_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _sizes("--examples", type=_FEWEST, default=None, metavar="N", help="Examples a language, |D|."),
        _sizes("--density", type=float, default=None, help="Share of parameters kept.  [default: 0.15]"),
        _sizes("--seed", "fisher_seeds", type=int, multiple=True, help="Of examples and masking; repeatable."),
        _sizes("--tuning-seed", "tuning_seeds", type=int, multiple=True, help="Of fine-tuning; repeatable."),
        _sizes(
            "--fine-tuning",
            type=click.Choice(["paper", "quick"]),
            default=None,
            help="Preset of `transfer`.  [default: quick; with --preset paper, paper]",
        ),
        _sizes("--epochs", type=_FEWEST, default=None, metavar="N", help="Instead of that preset's."),
        _sizes("--limit", type=_FEWEST, default=None, metavar="N", help="Most training examples of a source."),
        _sizes("--test-limit", type=_FEWEST, default=None, metavar="N", help="Most test examples of a target."),
        _sizes("--max-length", type=_FEWEST, default=None, metavar="N", help="Longest example in pieces."),
    )


def _machine_options(function: Decorated) -> Decorated:
    return apply(
        function,
        _machine("--device", default="cpu", show_default=True, help="As torch names it."),
        _machine(
            "--precision",
            type=click.Choice(["float32", "bf16", "fp16"]),
            default="float32",
            show_default=True,
            help="Of products, in Fisher passes and in fine-tuning.",
        ),
        click.option("--dry-run", is_flag=True, help="Print the command lines and which are done, and stop."),
    )
