"""Opening of corpora by the values of `--corpus`, or from texts in memory."""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import cached_property
from pathlib import Path
from typing import Any, Final, Protocol

from xsns_stream.corpora.embedded import EMBEDDED
from xsns_stream.corpora.examples import collect
from xsns_stream.corpora.file_names import Naming, UnreadFile
from xsns_stream.corpora.hub import refuse_options
from xsns_stream.corpora.hub_tables import open_data_set
from xsns_stream.corpora.labels import AUTO, check_split, label_union
from xsns_stream.corpora.language_tables import TABLE_SUFFIXES, has_place
from xsns_stream.corpora.layouts import without_compression
from xsns_stream.corpora.listing import other_splits_hint
from xsns_stream.corpora.local import LocalCorpus, open_files, open_folder, open_table, open_tables_of_languages
from xsns_stream.corpora.memory import IN_MEMORY, Texts, is_in_memory, open_texts
from xsns_stream.corpora.other_kinds import unpacking
from xsns_stream.corpora.readers import looks_like_data
from xsns_stream.corpora.recipes import RECIPES, recipe_of
from xsns_stream.corpora.running_text import RUNNING, check_words
from xsns_stream.corpora.tasks import TaskCorpus, open_task
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.languages import code_or_none, select
from xsns_stream.tasks import TASKS
from xsns_stream.types import LanguageSample, ReadCounts, TextExample

#: Largest number of files in a note.
_NAMED: Final = 5
#: Names of files that accompany data.
_DOCUMENTATION: Final = re.compile(
    r"(?:readme|licen[cs]e|copying|change(?:log|s)|citation|authors|contributing|notice|stats|requirements|makefile)\b",
    re.IGNORECASE,
)


class Corpus(Protocol):
    """A source of text in several languages, from which samples are drawn."""

    @property
    def name(self) -> str:
        """Name of the corpus with its settings, for provenance: stable, and without absolute paths."""

    @property
    def local(self) -> bool:
        """Whether the text can be read without a network."""

    def languages(self) -> tuple[str, ...]:
        """Return the normalised codes of the languages, sorted."""

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        """Draw `count` distinct examples in `language` with `seed`; all examples if there are fewer."""

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the classes over all languages, in a fixed order; empty if there are no labels."""


def open_corpus(
    spec: Sequence[str | os.PathLike[str]] | str | os.PathLike[str] | Texts | Corpus,
    *,
    text_column: str | None = None,
    split: str | None = None,
    config: str | None = None,
    revision: str | None = None,
    labels: str | None = None,
    task: str | None = None,
    words: str | None = None,
    language_column: str | None = None,
    treebank: str | None = None,
    labels_as_given: bool = False,
    label: Mapping[str, str] | Sequence[str] = (),
) -> Corpus:
    """Open a corpus.

    Args:
        spec: One of `ntrex`, `ntrex:held-out` and `cldr`; the name of a recipe (`wikiann`); `RECIPE=FOLDER`, a local
            copy of its data set; `hub:OWNER/NAME` or `hub:./FOLDER`; a folder; one or more `language=file` pairs; or a
            folder with pairs that replace or add files. A known name has priority over a folder of the same name; write
            `./wikiann` for the folder. Texts in memory (see :func:`~xsns_stream.corpora.open_texts`) and open corpora
            are also accepted.
        text_column: The column that contains the text; `translation.sw` is `sw` within the column `translation`. If a
            table has a column for each language, `{lang}` means the language: `translation.{lang}`. The table is then
            the whole corpus, as with `language_column`.
        split: The split of a data set, or of CoNLL-U files named as in Universal Dependencies.
        config: Name of the configurations of a data set, with `{lang}` for the language.
        revision: Branch, tag or commit of a data set on the Hub.
        labels: None for text only. `auto` for the labels that a recipe names, the UPOS of CoNLL-U, or a usual column of
            a table; any other value is the name of a column. Examples without a label are then left out.
        task: Read the labelled data of this task (see :func:`~xsns_stream.corpora.tasks.open_task`): its training data,
            or the data of `split`, which is `train`, `dev` or `test`. `labels` is then None or `auto`.
        words: How unlabelled texts that are split into words are read: `running` for running text (the default), or
            `given` for the words joined by spaces. With labels, words are always joined by spaces.
        language_column: The column of a table that contains the language of each row: every language of the table is
            a language of the corpus. The corpus is then a table, a folder of tables, or a data set `hub:…`.
        treebank: The treebanks to read in languages that have several treebanks, such as `GSD` or `en_ewt,GUM`; by
            default, all treebanks of a language are joined.
        labels_as_given: Whether the names of files, or the keys of texts in memory, are the labels of the languages. If
            not, labels are normalised codes: `swh_Latn` is `sw`.
        label: {file or key: the label of its language}, or strings `FILE=LABEL`; these labels are not normalised.

    Raises:
        CorpusError: The corpus does not exist or cannot be read.
        LanguageError: The text before `=` in a pair is not a language.
        UsageError: An option cannot be used with this kind of corpus.
    """
    naming = Naming.of(labels_as_given, label)
    if not isinstance(spec, str | os.PathLike) and (_is_corpus(spec) or is_in_memory(spec)):
        others = {
            "split": split,
            "config": config,
            "revision": revision,
            "labels": labels,
            "task": task,
            "words": words,
            "treebank": treebank,
        }
        return _open_in_memory(spec, text_column, language_column, others, naming)
    parts = _specifications(spec)
    if not parts:
        raise UsageError("no corpus was given.", _possible())
    head = parts[0]
    check_words(words or RUNNING)
    if words is not None and labels is not None:
        raise UsageError(
            "--words cannot be used with labels, because words with labels are always joined by spaces.",
            "leave --words out.",
        )
    options = {
        "text_column": text_column,
        "split": split,
        "config": config,
        "revision": revision,
        "labels": labels,
        "words": words,
    }
    local_options = {"language_column": language_column, "treebank": treebank}
    if naming and (task is not None or (len(parts) == 1 and (head in EMBEDDED or recipe_of(head)))):
        raise UsageError(
            "labels of languages can be given only for folders, files and texts in memory.",
            "omit --label and --labels-as-given; xsns-stream relabel changes the label of a row later.",
        )
    if task is not None:
        refuse_options(local_options, "language_column", kind="labelled data of a task")
        return _open_task_text(parts, task, options, treebank)
    if len(parts) == 1 and (head in EMBEDDED or recipe_of(head)):
        names = () if head in EMBEDDED else ("treebank",)
        refuse_options(local_options, *names, kind=f"the corpus {head}")
    if len(parts) == 1:
        if head in EMBEDDED:
            refuse_options(options, kind=f"the corpus {head}")
            return EMBEDDED[head](head)
        if data_set := recipe_of(head):
            return open_data_set(data_set[0], data_set[1], **options, language_column=language_column)
    refuse_options(options, "config", "revision", kind="local files")
    return _open_local(parts, options | local_options, naming)


def _specifications(spec: object) -> list[str]:
    """Return the argument `spec` of :func:`open_corpus` as a list of strings.

    Raises:
        UsageError: It contains something other than strings and paths.
    """
    if isinstance(spec, str | os.PathLike):
        return [os.fspath(spec)]
    if not isinstance(spec, Sequence):
        raise UsageError(f"texts cannot be of the type {type(spec).__name__}.", IN_MEMORY)
    for part in spec:
        if not isinstance(part, str | os.PathLike):
            raise UsageError(f"the texts are a list of {type(part).__name__}, without languages.", IN_MEMORY)
    return [os.fspath(part) for part in spec]


def draw_sample(corpus: Corpus, language: str, count: int, seed: int, on_read: Callable[[int], None]) -> LanguageSample:
    """Draw a sample as :meth:`Corpus.sample` does, and report how much of a local file was read so far.

    Args:
        corpus: The corpus.
        language: As in :meth:`Corpus.sample`.
        count: As in :meth:`Corpus.sample`.
        seed: As in :meth:`Corpus.sample`.
        on_read: Function that takes the number of lines, rows or sentences that were read so far.
    """
    if isinstance(corpus, LocalCorpus):
        return corpus.sample(language, count, seed, on_read)
    return corpus.sample(language, count, seed)


def not_read(corpus: object) -> tuple[UnreadFile, ...]:
    """Return the files that a corpus leaves out, with the reasons; empty for a corpus without files."""
    files: tuple[UnreadFile, ...] = getattr(corpus, "not_read", ())
    return files


def opening_notes(corpus: object) -> tuple[str, ...]:
    """Return sentences on the opening of a corpus, except the sentence on files that are not read."""
    columns, splits = _note_on_columns(corpus), _note_on_splits(corpus)
    return (*getattr(corpus, "notes", ()), *filter(None, (columns, splits)))


def _note_on_columns(corpus: object) -> str:
    """Return a note on files of text to which `--text-column` does not apply; empty if there are none."""
    text = sorted(path.name for path in getattr(corpus, "without_columns", ()))
    if not text:
        return ""
    listed = ", ".join(text[:_NAMED]) + (" …" if len(text) > _NAMED else "")
    are = "is a file of text, which is" if len(text) == 1 else "are files of text, which are"
    return f"--text-column applies to tables only: {listed} {are} read without it."


def _note_on_splits(corpus: object) -> str:
    """Return a note on languages that have no file of the split that is read; empty if there are none."""
    others: Mapping[str, tuple[str, ...]] = getattr(corpus, "other_splits", {})
    if not others:
        return ""
    listed = "; ".join(f"{code} has only {', '.join(splits)}" for code, splits in sorted(others.items())[:_NAMED])
    more = f"; and {len(others) - _NAMED} more" if len(others) > _NAMED else ""
    hint = other_splits_hint(others.values(), treebanks="words=" in str(getattr(corpus, "name", "")))
    have = "1 language has" if len(others) == 1 else f"{len(others)} languages have"
    return f"{have} no file of the split that is read, and cannot be measured: {listed}{more}; {hint}"


def reading_notes(corpus: object) -> tuple[str, ...]:
    """Return sentences on the opening of a corpus, such as unexpected languages of file names and omitted files."""
    notes = list(opening_notes(corpus))
    left = sorted(not_read(corpus), key=_unlike_data)
    if left:
        shown = "; ".join(f"{each.file} ({each.reason})" for each in left[:_NAMED])
        more = f"; and {len(left) - _NAMED} more (info --corpus --json lists all)" if len(left) > _NAMED else ""
        files = f"1 {left[0].kind} is" if len(left) == 1 else f"{len(left)} {left[0].kind}s are"
        notes.append(f"{files} not read: {shown}{more}.")
    return tuple(notes)


def _unlike_data(file: UnreadFile) -> int:
    """Return the rank of a file that is left out, from 0 (the user probably expects it to be read) to 3."""
    name = file.file.rpartition("/")[2]
    if file.file.endswith("/"):
        return 1
    if _DOCUMENTATION.match(name):
        return 3
    if file.reason.startswith(("its split is not", "--treebank", "not a CoNLL-U", "not one of")):
        return 2
    return 0 if file.kind != "file" or looks_like_data(name) else 3


def select_languages(
    wanted: Sequence[str], corpus: Corpus, note: Callable[[str], None] | None = None
) -> tuple[str, ...]:
    """Return the selected languages of a corpus, as :func:`xsns_stream.languages.select` does.

    Args:
        wanted: Codes or names of languages, or `all`.
        corpus: The corpus.
        note: Called with a sentence for each language that has another label in the corpus.

    Raises:
        LanguageError: A language is not in the corpus; if its files are of another split, the hint names the split.
    """
    try:
        return select(wanted, corpus.languages(), f"the corpus {corpus.name}", note)
    except LanguageError as error:
        others: Mapping[str, tuple[str, ...]] = getattr(corpus, "other_splits", {})
        codes = {code_or_none(word.strip()) for item in wanted for word in item.split(",")}
        found = {code: splits for code, splits in others.items() if code in codes}
        if not found:
            raise
        listed = "; ".join(f"'{code}' has only {', '.join(splits)}" for code, splits in found.items())
        hint = other_splits_hint(found.values(), treebanks="words=" in corpus.name)
        raise LanguageError(error.message, f"{listed}: {hint}") from error


def _is_corpus(value: object) -> bool:
    # A pandas frame also has a method `sample`.
    return all(callable(getattr(value, name, None)) for name in ("sample", "languages", "label_names"))


def _open_in_memory(
    given: Any, text_column: str | None, language_column: str | None, others: dict[str, str | None], naming: Naming
) -> Corpus:
    """Return a corpus of texts in memory; return a corpus that is already open unchanged.

    `others` are the values of all other options of :func:`open_corpus`, which must be None.
    """
    if _is_corpus(given):
        corpus: Corpus = given
        kept = "as-given" if naming else None
        refuse_options(
            others | {"text_column": text_column, "language_column": language_column, "label": kept},
            kind="an open corpus",
        )
        return corpus
    if others["labels"] is not None:
        raise UsageError(
            "texts in memory have no labels, which the objective needs.",
            "give files or a data set with labels, or choose an objective of language modelling.",
        )
    refuse_options(others, kind="texts in memory")
    return open_texts(given, text_column=text_column, naming=naming, language_column=language_column)


def _open_local(parts: Sequence[str], options: dict[str, str | None], naming: Naming) -> Corpus:
    text_column, labels, words = options["text_column"], options["labels"], options["words"] or RUNNING
    language_column = options["language_column"]
    if language_column is not None or has_place(text_column):
        refuse_options(options, "split", "treebank", kind="tables of several languages")
        if all("=" in part for part in parts):
            return open_tables_of_languages(parts, text_column, language_column, labels, words)
        if len(parts) == 1 and Path(parts[0]).exists():
            return open_table(Path(parts[0]), text_column, language_column, labels, words, naming)
    folders = [part for part in parts if Path(part).is_dir()]
    if len(folders) == 1 and all("=" in part for part in parts if part != folders[0]):
        corpus = open_folder(
            Path(folders[0]), text_column, options["split"], labels, words, naming, options["treebank"]
        )
        pairs = [part for part in parts if part != folders[0]]
        return corpus.with_files(pairs) if pairs else corpus
    if all("=" in part for part in parts):
        refuse_options(options, "split", "treebank", kind="language=file pairs")
        return open_files(parts, text_column, labels, words, naming)
    if len(parts) > 1:
        odd = next(part for part in parts if "=" not in part)
        hint = (
            "only language=file pairs can be combined, with each other or with one folder. Write a file as sw=FILE to "
            "state its language."
        )
        raise CorpusError(f"'{odd}' cannot be combined with another corpus.", hint)
    raise _unknown(parts[0])


def _open_task_text(parts: Sequence[str], task: str, options: dict[str, str | None], treebank: str | None) -> Corpus:
    refuse_options(options, "text_column", kind="labelled data of a task")
    if options["labels"] not in (None, AUTO):
        raise UsageError(
            "--label-column cannot be used with --task.",
            "omit --label-column; the format of the data determines where the labels are.",
        )
    if len(parts) != 1:
        raise UsageError("the labelled data of a task are one folder or data set.", "give --corpus once.")
    data = open_task(parts[0], task, config=options["config"], revision=options["revision"], treebank=treebank)
    if options["words"] is not None and TASKS[task].labelled != "words":
        raise UsageError(
            f"--words cannot be used with {task}, because its texts are not split into words.", "leave --words out."
        )
    labelled = options["labels"] is not None
    return TaskText(data, options["split"] or "train", labels=labelled, words=options["words"] or RUNNING)


def _possible() -> str:
    return (
        f"a corpus is {', '.join(EMBEDDED)}, a folder of files named by language (sw.txt), sw=FILE pairs, "
        f"one of {', '.join(RECIPES)}, or hub:OWNER/NAME."
    )


def _unknown(spec: str) -> CorpusError:
    """Return the error for a value of `--corpus` that is not a known corpus, with a hint that fits the value."""
    if Path(spec).is_file():
        folder, command = unpacking(spec)
        if command:
            return CorpusError(
                f"'{spec}' is an archive, and archives are not read.",
                f"unpack it with `{command}`, and give the folder: --corpus {folder}.",
            )
        hint = f"give it as LANG=FILE: --corpus {shlex.quote(f'sw={spec}')}, if it is Swahili"
        if without_compression(spec).lower().endswith(TABLE_SUFFIXES):
            hint += "; a table of several languages needs --language-column NAME, or {lang} in --text-column"
        return CorpusError(f"the language of the file '{spec}' is not given.", f"{hint}.")
    near = get_close_matches(spec.lower(), [*EMBEDDED, *RECIPES], n=1)
    hint = (f"did you mean {near[0]}? " if near else "") + _possible()
    return CorpusError(f"there is no corpus '{spec}': it is neither a known name nor a folder.", hint)


# -------------------------------------------------------------------------------- texts of a task


@dataclass(frozen=True)
class TaskText:
    """A corpus of the texts of a task, to compute sub-networks on the data of the task itself.

    Attributes:
        data: The labelled data of the task.
        split_name: The split to read.
        labels: Whether the examples have labels, for an objective that needs them.
        words: How unlabelled texts that are split into words are read: as `running` text, or with the words as `given`.
    """

    data: TaskCorpus
    split_name: str = "train"
    labels: bool = False
    words: str = RUNNING

    def __post_init__(self) -> None:
        check_split(self.split_name)

    @cached_property
    def name(self) -> str:
        """Name of the corpus in provenance: the name of the labelled data and the settings."""
        setting = ", labels" if self.labels else ""
        if not self.labels and TASKS[self.data.task].labelled == "words":
            setting = f", words={self.words}"
        return f"{self.data.name}[{self.split_name}{setting}]"

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of files that are not read because their names do not state a language."""
        return self.data.skipped

    @property
    def not_read(self) -> tuple[UnreadFile, ...]:
        """All files of the labelled data that are left out, with the reasons."""
        files: tuple[UnreadFile, ...] = getattr(self.data, "not_read", ())
        return files

    @property
    def notes(self) -> tuple[str, ...]:
        """Sentences about how the labelled data are read."""
        notes: tuple[str, ...] = getattr(self.data, "notes", ())
        return notes

    @property
    def local(self) -> bool:
        """Whether the text can be read without a network."""
        return self.data.local

    def languages(self) -> tuple[str, ...]:
        """Return the codes of the languages that have the split, sorted."""
        return self.data.languages(self.split_name)

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        """Draw `count` distinct examples without replacement; all examples if there are fewer.

        Raises:
            LanguageError: The data do not have the language, or the language does not have the split.
            CorpusError: The data cannot be read.
        """
        split = self.data.split(language, self.split_name)
        units = split.examples if self.labels else (_without_label(each, self.data.task) for each in split.examples)
        examples, counts = collect(units, words=self.words)
        counts = _combined_counts(split.counts, counts)
        notes = (split.note,) if self.labels and split.note else ()
        return LanguageSample(split.language, examples, split.source, counts, notes).draw(count, seed)

    def label_names(self) -> tuple[str, ...]:
        """Return the names of the classes in the split of all languages, sorted; empty if labels are answers.

        Raises:
            CorpusError: No language can be read.
        """
        if not self.labels:
            return ()
        most = TASKS[self.data.task].most_classes
        return label_union(self.languages(), lambda code: self.data.split(code, self.split_name).examples, most)


def _combined_counts(split: ReadCounts, texts: ReadCounts) -> ReadCounts:
    """Combine the counts of reading a labelled split with the counts of collecting the texts of its examples."""
    return replace(
        texts,
        read=max(split.read, texts.read),
        empty=split.empty + texts.empty,
        undecodable=split.undecodable + texts.undecodable,
        unlabelled=split.unlabelled + texts.unlabelled,
        control=max(split.control, texts.control),
        malformed=split.malformed + texts.malformed,
    )


def _without_label(example: TextExample, task: str) -> TextExample:
    """Return an example without its label: only the passage for `qa`, only the premise for `nli`, all texts otherwise.

    If questions and hypotheses were read too, each passage and each premise would be measured many times.
    """
    match task:
        case "qa":
            return TextExample(example.pair or "")
        case "nli":
            return TextExample(example.text)
        case _:
            return replace(example, label=None)
