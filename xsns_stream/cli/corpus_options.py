"""Options that say how a corpus is read: `build` and `info`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from xsns_stream.cli.sections import Decorated, Options, apply

if TYPE_CHECKING:
    from xsns_stream.corpora import Corpus


def corpus_options(option: Options) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds `--text-column`, `--split`, `--config` and `--corpus-revision` through `option`."""

    def add(function: Decorated) -> Decorated:
        return apply(
            function,
            option("--text-column", default=None, help="Column of the text, where the default is not it."),
            option("--split", default=None, help="Split of a data set."),
            option("--config", default=None, help="Configuration of a Hub data set; {lang} stands for the code."),
            option("--corpus-revision", default=None, help="Commit, branch or tag of a Hub data set."),
        )

    return add


def open_from(options: dict[str, Any], labels: str | None = None) -> Corpus:
    """Open the corpus that the options name."""
    from xsns_stream.corpora import open_corpus

    return open_corpus(
        options["corpus"],
        text_column=options["text_column"],
        split=options["split"],
        config=options["config"],
        revision=options["corpus_revision"],
        labels=labels,
    )
