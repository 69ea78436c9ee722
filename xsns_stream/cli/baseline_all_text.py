"""What `xsns-stream baseline all` asks for where it is to make baselines from text too."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from xsns_stream.cli.baseline_store import same_as_option
from xsns_stream.cli.corpus_options import corpus_options
from xsns_stream.cli.model_options import model_options
from xsns_stream.cli.sections import Decorated, apply, section

#: What each needs, where it is not there.
FROM_TEXT: Final = {
    "lex": "--corpus, and --model for its tokenizer",
    "emb": "--corpus and --model",
    "nn-rank": "--corpus and --model",
    "grad-cosine": "--corpus and --model",
    "sue": "--corpus",
}
_model, _text, _cost = section("Model"), section("Text"), section("Time and memory")


def text_options(function: Decorated) -> Decorated:
    """Add the options of corpus and model; neither has a default, for both have to be asked for."""
    return apply(
        function,
        _model("--model", default=None, help="`mini`, a local folder, or a Hub id."),
        model_options,
        _model("--max-length", default=128, show_default=True, help="Longest example in pieces; longer text is cut."),
        same_as_option(_text),
        _text(
            "--corpus",
            multiple=True,
            metavar="SPEC",
            help="cldr, a folder with a file a language, LANG=FILE (repeatable), a recipe such as wikiann, or hub:ID.",
        ),
        corpus_options(_text),
        _text("--examples", default=64, show_default=True, help="Examples a language, drawn as `build` draws them."),
        _text("--seed", "seeds", type=int, multiple=True, default=(42,), show_default=True, help="Of the draw."),
        _cost("--batch", default=8, show_default=True, help="Examples computed together."),
        _cost("--max-tokens", type=int, default=None, help="Of nn-rank: tokens a language.  [default: all]"),
        _cost(
            "--scratch",
            type=click.Path(path_type=Path, exists=True, file_okay=False, writable=True),
            default=None,
            metavar="DIR",
            help="Folder for temporary files.  [default: the system's]",
        ),
    )


def possible(options: dict[str, Any]) -> tuple[str, ...]:
    """Return the baselines for which text, and where it is needed a model, were given."""
    if options["store"] is not None:
        return tuple(FROM_TEXT)
    if not options["corpus"]:
        return ()
    return tuple(FROM_TEXT) if options["model"] else ("sue",)
