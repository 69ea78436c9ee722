"""From what the user wrote after `--data` to a task's data."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from xsns_stream.corpora.hub import HubCorpus
from xsns_stream.corpora.labels import AUTO
from xsns_stream.corpora.recipes import RECIPES
from xsns_stream.corpora.splits.folders import FolderTask
from xsns_stream.corpora.splits.hub import RECIPE_TASKS, HubTask, check_recipe
from xsns_stream.corpora.splits.relabelling import check_task
from xsns_stream.errors import CorpusError
from xsns_stream.files import at_home
from xsns_stream.types import LabelledSplit


class TaskCorpus(Protocol):
    """Labelled data of a task in several languages."""

    @property
    def name(self) -> str:
        """What it is and its settings, for provenance: stable, and without absolute paths."""

    @property
    def local(self) -> bool:
        """Whether reading needs no network."""

    @property
    def task(self) -> str:
        """Which task."""

    @property
    def relabel(self) -> Mapping[str, str]:
        """{old: new} names of labels."""

    @property
    def renamed(self) -> set[str]:
        """Those old names that were met in what has been read so far."""

    @property
    def skipped(self) -> tuple[str, ...]:
        """Names of files that are not read, because they say no language."""

    def languages(self, split: str | None = None) -> tuple[str, ...]:
        """Return the normalised codes of the languages that have this split, sorted; of any split for None."""

    def split(self, language: str, split: str) -> LabelledSplit:
        """Return one split of one language, whole."""


def open_task(
    spec: str,
    task: str,
    *,
    config: str | None = None,
    revision: str | None = None,
    relabel: Mapping[str, str] | None = None,
) -> TaskCorpus:
    """Open the labelled data that `spec` means.

    Args:
        spec: A folder in one of the layouts of `docs/corpora.md`; a recipe with labels (`wikiann`), or
            `RECIPE=FOLDER`, a local copy of its data set; `hub:OWNER/NAME` or `hub:./FOLDER`. A recipe's name wins
            over a folder of that name.
        task: One of `ner`, `pos`, `nli`, `pi`, `qa`, `topic`.
        config: Name of a data set's configurations, with `{lang}` for the language.
        revision: Branch, tag or commit of a data set on the Hub.
        relabel: {old: new} names of labels; of named entities the types.

    Raises:
        UsageError: There is no such task, or an option means nothing here.
        CorpusError: There is no such folder or data set.
    """
    from xsns_stream.corpora.opening import HUB_PREFIX, open_corpus, refuse

    check_task(task)
    names = dict(relabel or {})
    name = spec.partition("=")[0]
    if name in RECIPES or spec.startswith(HUB_PREFIX):
        check_recipe(name, task)
        corpus = open_corpus(spec, config=config, revision=revision, labels=AUTO)
        if not isinstance(corpus, HubCorpus):
            raise TypeError("a recipe opens a data set in the Hub's layout")
        return HubTask(corpus, task, names)
    refuse({"config": config, "corpus-revision": revision}, kind="a folder")
    folder = at_home(spec)
    if not folder.is_dir():
        there = f"'{spec}' is a file, and no folder" if folder.is_file() else f"there is no folder '{spec}'"
        known = f"one of {', '.join(RECIPE_TASKS)}, RECIPE=FOLDER, or {HUB_PREFIX}OWNER/NAME."
        raise CorpusError(f"{there}.", f"labelled data are a folder, {known}")
    return FolderTask(folder, task, names)
