"""Options that say how a corpus is read: `build`, `baseline` and `info`."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import click

from xsns_stream.cli.common import note
from xsns_stream.cli.sections import Decorated, Options, apply

if TYPE_CHECKING:
    from xsns_stream.corpora import Corpus

#: As :data:`xsns_stream.corpora.TASK_NAMES` has them, which a help page does not load; a test compares.
TASK_NAMES: Final = ("ner", "pos", "nli", "pi", "qa", "topic")


def corpus_options(option: Options) -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds options through `option`.

    They are `--task`, `--text-column`, `--split`, `--words`, `--config` and `--corpus-revision`.
    """

    def add(function: Decorated) -> Decorated:
        return apply(
            function,
            option(
                "--task",
                type=click.Choice(TASK_NAMES),
                default=None,
                help="Read the corpus as labelled data of this task, as `transfer` does: its training texts.",
            ),
            option("--text-column", default=None, help="Column of the text, where the default is not it."),
            option("--split", default=None, help="Split of a data set."),
            option(
                "--words",
                type=click.Choice(["running", "given"]),
                default=None,
                help="How text split into words is read: each sentence as it is written, or its words joined by "
                "spaces. Labelled words are always joined by spaces.  [default: running]",
            ),
            option("--config", default=None, help="Configuration of a Hub data set; {lang} stands for the code."),
            option("--corpus-revision", default=None, help="Commit, branch or tag of a Hub data set."),
        )

    return add


def open_from(options: dict[str, Any], labels: str | None = None) -> Corpus:
    """Open the corpus that the options name.

    Raises:
        UsageError: Options that do not fit together.
        CorpusError: There is no such corpus.
    """
    from xsns_stream.corpora import open_corpus

    return open_corpus(
        options["corpus"],
        text_column=options["text_column"],
        split=options["split"],
        config=options["config"],
        revision=options["corpus_revision"],
        labels=labels,
        task=options["task"],
        words=options["words"],
    )


def note_corpus(corpus: object, quiet: bool) -> None:
    """Say on stderr which files of a corpus are not read and why, and which are read as another language."""
    from xsns_stream.corpora import reading_notes

    for sentence in reading_notes(corpus):
        note(f"note: {sentence}", quiet)


def corpus_json(corpus: object) -> dict[str, Any]:
    """Return what the JSON of a verb says of its corpus's files: those not read, and notes."""
    from xsns_stream.corpora import not_read

    return {
        "files_not_read": [{"file": each.file, "reason": each.reason} for each in not_read(corpus)],
        "corpus_notes": list(getattr(corpus, "notes", ())),
    }
