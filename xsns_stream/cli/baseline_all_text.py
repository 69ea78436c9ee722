"""The part of `xsns-stream baseline all` that reads text: one pass feeds every baseline made from it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.baseline_options import Pool
from xsns_stream.cli.common import counted
from xsns_stream.cli.corpus_options import corpus_options
from xsns_stream.cli.model_options import model_options
from xsns_stream.cli.sections import Decorated, apply, section
from xsns_stream.errors import PartialError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from xsns_stream.errors import XsnsError
    from xsns_stream.pipeline.events import Row
    from xsns_stream.types import SimilarityMatrix

#: What each needs, where it is not there.
FROM_TEXT: Final = {
    "lex": "--corpus, and --model for its tokenizer",
    "emb": "--corpus and --model",
    "nn-rank": "--corpus and --model",
    "grad-cosine": "--corpus and --model",
    "sue": "--corpus",
}
_model, _text, _cost = section("Model"), section("Text"), section("Time and memory")


@dataclass(frozen=True)
class Computed:
    """Baselines made from text.

    Attributes:
        matrices: {name: matrix}, languages as they were asked for.
        notes: Sentences on languages that the corpus spells otherwise.
        failed: What went wrong, by language and seed.
        rows: How many of these there were in all.
    """

    matrices: Mapping[str, SimilarityMatrix]
    notes: tuple[str, ...]
    failed: Mapping[Row, XsnsError]
    rows: int


def text_options(function: Decorated) -> Decorated:
    """Add the options of corpus and model; neither has a default, for both have to be asked for."""
    return apply(
        function,
        _model("--model", default=None, help="`mini`, a local folder, or a Hub id."),
        model_options,
        _model("--max-length", default=128, show_default=True, help="Longest example in pieces; longer text is cut."),
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
    if not options["corpus"]:
        return ()
    return tuple(FROM_TEXT) if options["model"] else ("sue",)


def compute(names: tuple[str, ...], options: dict[str, Any], pool: Pool, quiet: bool) -> Computed:
    """Compute baselines in one pass over the text.

    Raises:
        XsnsError: The corpus or the model cannot be read, or the corpus has fewer than two of the languages.
    """
    from xsns_stream.cli.baseline_running import _chosen, _progress, _renamed, _side, with_weights
    from xsns_stream.cli.common import stderr_console
    from xsns_stream.cli.corpus_options import open_from
    from xsns_stream.pipeline.baselines import model_baselines

    corpus = open_from(options)
    chosen = _chosen(pool, corpus.languages(), corpus.name)
    console = stderr_console(quiet)
    loaded = None
    if options["model"]:
        with console.status("loading the model …"):
            loaded, _ = with_weights(options)
    failed: dict[Row, XsnsError] = {}
    rows = len(chosen) * len(set(options["seeds"]))
    settings = ("examples", "seeds", "batch", "max_length", "max_tokens", "scratch")
    with _progress(console, rows, failed) as progress:
        # A build's progress draws the events of baselines too.
        tell: Callable[[Any], None] = progress
        found = model_baselines(
            names,
            corpus,
            loaded,
            tuple(chosen),
            sources=_side(pool.sources, chosen),
            targets=_side(pool.targets, chosen),
            on_event=tell,
            **{name: options[name] for name in settings},
        )
    matrices = {name: _renamed(matrix, chosen) for name, matrix in found.items()}
    notes = tuple(f"'{code}' is '{other}' in the corpus." for other, code in chosen.items() if other != code)
    return Computed(matrices, notes, failed, rows)


def refuse_failures(computed: Computed) -> None:
    """End with the exit code of work that is done for some languages only, where it is.

    Raises:
        PartialError: So it is.
    """
    if not computed.failed:
        return
    names = ", ".join(dict.fromkeys(row.language for row in computed.failed))
    first = next(iter(computed.failed.values()))
    raise PartialError(
        f"{len(computed.failed)} of {counted(computed.rows, 'row')} failed: {names}.",
        f"the others are done. The first: {first.message} {first.hint}".rstrip(),
    )
