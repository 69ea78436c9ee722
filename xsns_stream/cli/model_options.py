"""Options that choose a model, what it is asked, and which of its parameters are measured: `build` and `params`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.sections import Decorated, apply, section

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel

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
