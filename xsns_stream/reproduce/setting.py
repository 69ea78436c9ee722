"""What a run is made with: models, data, pools of languages, sizes and seeds."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

#: The tasks in the order of the paper's tables; the last is not the paper's.
TASKS: Final = ("ner", "pos", "nli", "pi", "qa", "topic")
TITLES: Final[Mapping[str, str]] = {
    "ner": "NER",
    "pos": "POS tagging",
    "nli": "NLI",
    "pi": "Paraphrase identification",
    "qa": "QA",
    "topic": "Topic classification",
}
#: What the model of a task's random head is asked.
HEADS: Final[Mapping[str, str]] = {
    "ner": "token-classification",
    "pos": "token-classification",
    "nli": "sequence-classification",
    "pi": "sequence-classification",
    "qa": "question-answering",
    "topic": "sequence-classification",
}


@dataclass(frozen=True)
class TaskSetting:
    """One task's data and languages.

    Attributes:
        name: One of `TASKS`.
        data: What `transfer --data` and `build --corpus … --task NAME` take.
        sources: Languages that are fine-tuned on.
        targets: Languages that are ranked for, tested zero-shot.
        texts: Those of all its languages whose task text can be measured.
        tuning_seeds: Of fine-tuning.
        fisher_seeds: Of examples and masking.
        low_resource: Further targets, outside the pool, which are only tested.
        limit: Most training examples of a source; None takes all.
        test_limit: Most test examples of a target; None takes all.
        papers: Whether data and pool are the paper's own.
        notes: Sentences on languages of the paper's pool that the data do not have.
    """

    name: str
    data: str
    sources: tuple[str, ...]
    targets: tuple[str, ...]
    texts: tuple[str, ...]
    tuning_seeds: tuple[int, ...]
    fisher_seeds: tuple[int, ...]
    low_resource: tuple[str, ...] = ()
    limit: int | None = None
    test_limit: int | None = None
    papers: bool = False
    notes: tuple[str, ...] = ()

    @property
    def title(self) -> str:
        """The task in words."""
        return TITLES[self.name]

    @property
    def languages(self) -> tuple[str, ...]:
        """Sources, targets and low-resource targets, each once, in this order."""
        return tuple(dict.fromkeys((*self.sources, *self.targets, *self.low_resource)))

    @property
    def all_targets(self) -> tuple[str, ...]:
        """Everything that is tested: targets, then low-resource targets."""
        return tuple(dict.fromkeys((*self.targets, *self.low_resource)))


@dataclass(frozen=True)
class Setting:
    """Everything that the commands of a run depend on.

    Attributes:
        preset: `paper` or `embedded`.
        out: Folder of the results; what steps leave lies in `work`, below it.
        model: The model of all tables and figures.
        other_models: Those that table 4 holds beside it.
        tasks: {name: setting} in the order of `TASKS`; those for which there are data.
        swept: Those of them for which everything is measured many times over (figures 3 and 6, choices).
        left_out: {task: why it is not among them}.
        general: Corpus of general text, in the place of Wikipedia; None where there is none.
        general_languages: Languages that it has, of those that any task needs.
        typology: lang2vec's feature_predictions.npz; None where there is none.
        ldnd: A matrix of LDND; None where there is none.
        examples: |D|.
        example_counts: Those of figure 6.
        density: p.
        densities: Those of figure 3.
        fisher_seeds: Of examples and masking, of general text.
        fine_tuning: Preset of `transfer`.
        epochs: Instead of the preset's; None keeps it.
        max_length: Of examples, in pieces; None keeps the verbs' own.
        neighbour_tokens: Most tokens of a language that NN-Rank looks at.
        device: As torch names it.
        precision: Of products, in Fisher passes and fine-tuning.
        control: Whether table 4 holds the model with weights drawn anew beside it.
    """

    preset: str
    out: Path
    model: str
    other_models: tuple[str, ...]
    tasks: Mapping[str, TaskSetting]
    swept: Mapping[str, TaskSetting]
    left_out: Mapping[str, str]
    general: str | None
    general_languages: tuple[str, ...]
    typology: str | None
    ldnd: str | None
    examples: int
    example_counts: tuple[int, ...]
    density: float
    densities: tuple[float, ...]
    fisher_seeds: tuple[int, ...]
    fine_tuning: str
    epochs: int | None = None
    max_length: int | None = None
    neighbour_tokens: int = 2_000
    device: str = "cpu"
    precision: str = "float32"
    control: bool = False
    #: The command line of this run, for the pages.
    command: str = field(default="", compare=False)

    @property
    def work(self) -> Path:
        """The folder of what steps leave."""
        return self.out / "work"

    def place(self, *parts: str) -> Path:
        """Return a path below `work`."""
        return self.work.joinpath(*parts)


def slug(model: str) -> str:
    """Return a name for a model that can be a folder's: two folders of one name have two.

    >>> slug("mini"), slug("google/mt5-base")
    ('mini', 'google--mt5-base')
    """
    if not is_folder(model):
        return re.sub(r"[^\w.-]", "-", model.replace("/", "--"))
    name = re.sub(r"[^\w.-]", "-", Path(model).name) or "model"
    return f"{name}-{hashlib.sha256(model.encode()).hexdigest()[:6]}"


def is_folder(model: str) -> bool:
    """Tell whether a model is a folder, not a name, whether the folder is there yet or not."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).is_dir()
