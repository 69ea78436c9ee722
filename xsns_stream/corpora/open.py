"""The value of `--corpus` → a corpus."""

from __future__ import annotations

from collections.abc import Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Final, Protocol

from xsns_stream.corpora.file_names import NotRead
from xsns_stream.corpora.hub import open_hub, refuse_options
from xsns_stream.corpora.labels import AUTO
from xsns_stream.corpora.local import open_files, open_folder
from xsns_stream.corpora.recipes import RECIPES, recipe_of
from xsns_stream.corpora.running_text import RUNNING, check_words
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.types import LanguageSample

CLDR: Final = "cldr"
#: Files that a note names.
_NAMED: Final = 5


class Corpus(Protocol):
    """Text in several languages, from which samples are drawn."""

    @property
    def name(self) -> str:
        """What it is and its settings, for provenance: stable, and without absolute paths."""

    @property
    def local(self) -> bool:
        """Whether reading needs no network."""

    def languages(self) -> tuple[str, ...]:
        """Return the normalised codes of its languages, sorted."""

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        """Draw `count` distinct examples in `language` by `seed`; all of them where there are fewer."""

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the classes over all languages, in a fixed order; empty where there are none."""


def open_corpus(
    spec: Sequence[str] | str,
    *,
    text_column: str | None = None,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    labels: str | None = None,
    task: str | None = None,
    words: str | None = None,
) -> Corpus:
    """Open the corpus that `spec` means.

    Args:
        spec: One of `cldr`; the name of a recipe (`wikiann`); `RECIPE=FOLDER`, a local copy of its data set;
            `hub:OWNER/NAME` or `hub:./FOLDER`; a folder; one or more `language=file` pairs; or both, where the
            pairs replace or add files. A name wins over a folder of that name, so that a command means the same
            everywhere; write `./wikiann` for the folder.
        text_column: The column that holds the text.
        split: Of a data set, or of CoNLL-U files named as Universal Dependencies names them.
        config: Name of the data set's configurations, with `{lang}` for the language.
        revision: Branch, tag or commit of a data set on the Hub.
        labels: None reads text alone. `auto` reads the labels that a recipe knows, the UPOS of CoNLL-U, or a
            table's usual column; any other value names the column. Examples without a label are then left out.
        task: Read labelled data of this task, as :func:`~xsns_stream.corpora.tasks.open_task` does, and take the
            texts of its training data, or of `split`: `train`, `dev`, `test`. `labels` is then None or `auto`.
        words: How texts that are split into words are read where no labels are: None and `running` read each sentence
            as it is written, `given` its words joined by spaces. With labels, words are always joined by spaces.

    Raises:
        CorpusError: There is no such corpus, or it cannot be read.
        LanguageError: A pair names no language.
        UsageError: An option means nothing for this kind of corpus.
    """
    parts = [spec] if isinstance(spec, str) else list(spec)
    if not parts:
        raise UsageError("no corpus was given.", _possible())
    head = parts[0]
    check_words(words or RUNNING)
    if words is not None and labels is not None:
        raise UsageError("--words means nothing with labels: their words are joined by spaces.", "leave it out.")
    options = {
        "text_column": text_column,
        "split": split,
        "config": config,
        "revision": revision,
        "labels": labels,
        "words": words,
    }
    if task is not None:
        return _open_task_text(parts, task, options)
    if len(parts) == 1:
        if head == CLDR:
            return _open_cldr(options)
        if data_set := recipe_of(head):
            return open_hub(data_set[0], data_set[1], **options)
    refuse_options(options, "config", "revision", kind="local files")
    folders = [part for part in parts if Path(part).is_dir()]
    if len(folders) == 1 and all("=" in part for part in parts if part != folders[0]):
        folder = open_folder(Path(folders[0]), text_column, split, labels, words or RUNNING)
        pairs = [part for part in parts if part != folders[0]]
        return folder.choosing(pairs) if pairs else folder
    if all("=" in part for part in parts):
        refuse_options(options, "split", kind="language=file pairs")
        return open_files(parts, text_column, labels, words or RUNNING)
    if len(parts) > 1:
        odd = next(part for part in parts if "=" not in part)
        hint = "only language=file pairs can, with one another or with a folder."
        raise CorpusError(f"'{odd}' cannot be combined with another corpus.", hint)
    raise _unknown(head)


def not_read(corpus: object) -> tuple[NotRead, ...]:
    """Return the files that a corpus leaves out, with the reasons; none where its kind has no files to leave out."""
    found: tuple[NotRead, ...] = getattr(corpus, "not_read", ())
    return found


def reading_notes(corpus: object) -> tuple[str, ...]:
    """Return sentences on how a corpus was opened, where that had to be decided: names of files, files left out."""
    notes: list[str] = list(getattr(corpus, "notes", ()))
    left = not_read(corpus)
    if left:
        shown = "; ".join(f"{each.file} ({each.reason})" for each in left[:_NAMED])
        more = f"; and {len(left) - _NAMED} more (info --corpus --json lists all)" if len(left) > _NAMED else ""
        files = f"1 {left[0].kind} is" if len(left) == 1 else f"{len(left)} {left[0].kind}s are"
        notes.append(f"{files} not read: {shown}{more}.")
    return tuple(notes)


def _open_task_text(parts: Sequence[str], task: str, options: dict[str, str | None]) -> Corpus:
    from xsns_stream.corpora.tasks import TASK_NAMES, TaskText, open_task

    refuse_options(options, "text_column", kind="labelled data of a task")
    if options["labels"] not in (None, AUTO):
        raise UsageError("--label-column means nothing with --task.", "a task's data say by themselves where they are.")
    if len(parts) != 1:
        raise UsageError("the labelled data of a task are one folder or data set.", "give one --corpus.")
    data = open_task(parts[0], task, config=options["config"], revision=options["revision"])
    if options["words"] is not None and TASK_NAMES[task] != "words":
        raise UsageError(f"--words means nothing for {task}: its texts are not split into words.", "leave it out.")
    labelled = options["labels"] is not None
    return TaskText(data, options["split"] or "train", labels=labelled, words=options["words"] or RUNNING)


def _open_cldr(options: dict[str, str | None]) -> Corpus:
    from xsns_stream.corpora.cldr import CldrCorpus

    refuse_options(options, kind="the corpus cldr")
    return CldrCorpus()


def _possible() -> str:
    return (
        f"a corpus is {CLDR}, a folder of files named by language (sw.txt), sw=FILE pairs, "
        f"one of {', '.join(RECIPES)}, or hub:OWNER/NAME."
    )


def _unknown(spec: str) -> CorpusError:
    """Return the error for a corpus that is nothing known, with what it may have meant."""
    if Path(spec).is_file():
        return CorpusError(
            f"'{spec}' is a file of no stated language.",
            f"say which, as LANG=FILE: --corpus sw={spec}, if it is Swahili.",
        )
    near = get_close_matches(spec.lower(), [CLDR, *RECIPES], n=1)
    hint = (f"did you mean {near[0]}? " if near else "") + _possible()
    return CorpusError(f"there is no corpus '{spec}': no known name and no folder here.", hint)
