"""Labelled data in the Hub's layout: on the Hub itself, or a copy of a data set in a folder."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Final

from xsns_stream.corpora.hub import HubCorpus
from xsns_stream.corpora.recipes import RECIPES
from xsns_stream.corpora.tasks.files import SPLIT_NAMES, left_out, sort_out
from xsns_stream.corpora.tasks.relabelling import check_split, met, relabelled
from xsns_stream.corpora.tasks.splitting import Item, hold_out
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.languages import pick
from xsns_stream.types import LabelledSplit, TextExample

#: What the data sets of the recipes are for.
RECIPE_TASKS: Final[Mapping[str, str]] = {
    "wikiann": "ner",
    "udpos": "pos",
    "xnli": "nli",
    "paws-x": "pi",
    "tydiqa": "qa",
}
#: Recipes whose test data are not public: what the literature tests on is their validation data.
_TESTED_ON_DEV: Final = frozenset({"tydiqa"})


def check_recipe(name: str, task: str) -> None:
    """Refuse a recipe whose data are for another task.

    Raises:
        UsageError: They are.
    """
    if name in RECIPES and RECIPE_TASKS.get(name, task) != task:
        fitting = [recipe for recipe, fits in RECIPE_TASKS.items() if fits == task]
        hint = f"its task is {RECIPE_TASKS[name]}; "
        hint += f"data of {task}: {', '.join(fitting)}." if fitting else f"no known data set is for {task}."
        raise UsageError(f"{name} holds no data of the task {task}.", hint)


@dataclass(frozen=True)
class HubTask:
    """The labelled data of a data set in the Hub's layout.

    Attributes:
        corpus: The data set, with its labels.
        task: Which task.
        relabel: {old: new} names of labels.
        renamed: Those old names of `relabel` that were met in what has been read so far.
    """

    corpus: HubCorpus
    task: str
    relabel: Mapping[str, str] = field(default_factory=dict)
    renamed: set[str] = field(default_factory=set, init=False, repr=False, compare=False)

    #: Configurations that are no languages are no files that somebody forgot to name.
    skipped = ()

    @property
    def local(self) -> bool:
        """Whether reading needs no network."""
        return self.corpus.local

    @cached_property
    def name(self) -> str:
        """For provenance; holds no absolute path."""
        renamed = ",".join(f"{old}={new}" for old, new in sorted(self.relabel.items()))
        return f"{self.corpus.name} as {self.task}" + (f", relabel={renamed}" if renamed else "")

    def languages(self, split: str | None = None) -> tuple[str, ...]:
        """Return the codes, sorted: of a copy those that have this split, or one that it is taken from.

        On the Hub every language is taken to have every split: to see needs a question each.

        Raises:
            UsageError: There is no such split.
            CorpusError: The data set cannot be read.
        """
        codes = self.corpus.languages()
        if split is None or not self.local:
            return codes
        check_split(split)
        return tuple(code for code in codes if self._source(code, split))

    def split(self, language: str, split: str) -> LabelledSplit:
        """Return one split of one language, whole, in the order of the data set.

        Where there are no training data, the validation data are for training; where there are no other validation
        data, a tenth of the training data is held out.

        Raises:
            UsageError: There is no such split.
            LanguageError: There is no such language, or it does not have this split.
            CorpusError: The data set cannot be read, or the split holds no labelled example.
        """
        check_split(split)
        code = pick(language, self.corpus.languages(), self.name)
        source = self._source(code, split)
        if not source:
            raise LanguageError(
                f"'{code}' has no {split} data in {self.corpus.name}.",
                f"it has {', '.join(self._splits(code)) or 'no split'}.",
            )
        read = replace(self.corpus, split=source)
        rows = (("", unit) for unit in read.in_order(code))
        notes: dict[str, None] = {}
        items, counts = sort_out(rows, self.task, "row", f"'{code}' in {read.name}", notes.setdefault)
        examples, note = self._part(code, split, source, items)
        if not examples:
            hint = "check --task; of some data sets the labels of the test data are not public."
            raise CorpusError(f"the {split} data of '{code}' in {read.name} hold no labelled example.", hint)
        self.renamed.update(met(examples, self.relabel, self.task))
        renamed = relabelled(examples, self.relabel, self.task)
        said = " ".join(filter(None, (note, left_out(counts, f"the {source} data of '{code}'"), *notes)))
        return LabelledSplit(code, split, renamed, read.name, counts.unlabelled, said, counts)

    # ---------------------------------------------------------------------------------------- splits

    def _splits(self, code: str) -> Mapping[str, str]:
        """Return {split: what the data set calls it} of a language."""
        return {SPLIT_NAMES[name]: name for name in self.corpus.split_names(code) if name in SPLIT_NAMES}

    def _source(self, code: str, split: str) -> str:
        """Return the data set's name of the split that this one is, or is taken from; empty where there is none."""
        there = self._splits(code)
        if split == "test":
            return there.get("dev" if self._tested_on_dev else "test", "")
        wanted = ("train",) if self._tested_on_dev else (split, "train", "dev")
        return next((there[name] for name in wanted if name in there), "")

    @property
    def _tested_on_dev(self) -> bool:
        return self.corpus.recipe.name in _TESTED_ON_DEV

    def _part(self, code: str, split: str, source: str, items: Sequence[Item]) -> tuple[tuple[TextExample, ...], str]:
        """Return what of a data set's split is of the split that was asked for, and what should be known of it."""
        whole = tuple(item.example for item in items)
        if split == "test":
            name = self.corpus.recipe.name
            note = f"{name} has no public test data: its validation data are tested on." if self._tested_on_dev else ""
            return whole, note
        there = self._splits(code)
        if {"train", "dev"} <= set(there) and not self._tested_on_dev:
            return whole, ""
        train, held = hold_out(items)
        if self._tested_on_dev:
            note = "a tenth of the training data serves as dev, because the validation data are tested on."
        else:
            note = f"'{code}' has no {'dev' if 'train' in there else 'train'} split: {source} is for training, "
            note += "but for a tenth of it, which serves as dev."
        return (train if split == "train" else held), note
