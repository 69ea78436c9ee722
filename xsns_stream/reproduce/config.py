"""Presets and settings of a reproduction."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
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
class TaskConfig:
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
class RunConfig:
    """Everything that the commands of a run depend on.

    Attributes:
        preset: `paper` or `embedded`.
        out: Folder of the results; what steps leave lies in `work`, below it.
        model: The model of all tables and figures.
        other_models: Those that table 4 holds beside it.
        tasks: {name: config} in the order of `TASKS`; those for which there are data.
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
    tasks: Mapping[str, TaskConfig]
    swept: Mapping[str, TaskConfig]
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

    def path(self, *parts: str) -> Path:
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


_NER: Final = "ar zh en fi fr el he id it ja ko ru es sv th tr vi"
_POS: Final = "bg zh nl en fi fr hi id it ja ko no pl pt ru sk es sv tr uk"
_NLI: Final = "ar bg zh en fr el de hi ru es sw th tr ur vi"
_PI: Final = "zh en fr de ja ko es"
_QA: Final = "ar bn en fi id ru sw te"
_LOW_RESOURCE: Final = "af br ckb fy ga hi is kk lb mr sq sw te tt uz"
# Those of Universal Dependencies, outside the paper's pool, with little text on the web.
_POS_LOW_RESOURCE: Final = "af cy eu fo ga gl hy is kk mt ta te ug wo"

# SIB-200 has 205 languages and no pool in the paper. Those that NTREX-128 has too are put into groups by Glottolog's
# top-level family and script; one language is taken from each group in turn, the largest group first. Within a group,
# English comes first, then languages of the paper's pools, then those that XLM-R has read, then the others, each by
# code. The sources are the first 20 that XLM-R has read; the targets are these and the next that are not among them,
# 60 in all.
_TOPIC: Final = "en sw id bg ur ha kk tr hi zh-Hans fi am ar he km vi kn ml ta te"
_TOPIC_MORE: Final = """
    bo hy bn el gu pa si eu ja ka ko mn my lo th ug de xh fil ru fa om ky az-Latn mr zh-Hant et ti dz es
    bem mg uk pbt-Arab so ba uz-Latn ne yue-Hant hu
"""

#: The languages of each task in the paper, sources and targets alike.
PAPER_POOLS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ner": tuple(_NER.split()),
        "pos": tuple(_POS.split()),
        "nli": tuple(_NLI.split()),
        "pi": tuple(_PI.split()),
        "qa": tuple(_QA.split()),
    }
)
#: The paper's low-resource targets, of NER.
PAPER_LOW_RESOURCE: Final = tuple(_LOW_RESOURCE.split())
#: Low-resource targets of POS tagging, which are not the paper's.
POS_LOW_RESOURCE: Final = tuple(_POS_LOW_RESOURCE.split())
TOPIC_SOURCES: Final = tuple(_TOPIC.split())
TOPIC_TARGETS: Final = (*TOPIC_SOURCES, *_TOPIC_MORE.split())

#: A pool with fewer languages than this ranks nothing: the data's own languages take its place.
FEWEST: Final = 5


@dataclass(frozen=True)
class Preset:
    """Defaults of a run; what an option names replaces them.

    Attributes:
        model: Of all tables and figures.
        other_models: Of table 4.
        data: {task: what is read where `--data` names nothing}.
        general: Corpus of general text; None leaves its rows out.
        examples: |D|.
        example_counts: Of figure 6.
        densities: Of figure 3.
        fisher_seeds: {task: seeds of examples and masking}, those of "" for other tasks and general text.
        tuning_seeds: {task: seeds of fine-tuning}, those of "" for other tasks.
        fine_tuning: Preset of `transfer`.
        limit: {task: most training examples of a source}, that of "" for other tasks; None takes all.
        test_limit: {task: most test examples of a target}, that of "" for other tasks; None takes all.
        neighbour_tokens: Most tokens of a language that NN-Rank looks at.
        control: Whether table 4 holds the model with weights drawn anew beside it.
        low_resource: {task: further targets outside the pool}.
        swept: Tasks for which everything is measured many times over (figures 3 and 6, choices); None takes all.
    """

    model: str
    other_models: tuple[str, ...]
    data: Mapping[str, str]
    general: str | None
    examples: int
    example_counts: tuple[int, ...]
    densities: tuple[float, ...]
    fisher_seeds: Mapping[str, tuple[int, ...]]
    tuning_seeds: Mapping[str, tuple[int, ...]]
    fine_tuning: str
    limit: Mapping[str, int | None]
    test_limit: Mapping[str, int | None]
    neighbour_tokens: int
    control: bool
    low_resource: Mapping[str, tuple[str, ...]]
    swept: tuple[str, ...] | None


DENSITY: Final = 0.15
_SEEDS: Final = (42, 16, 10)
_DENSITIES: Final = (0.05, 0.1, 0.15, *(round(0.05 * step, 2) for step in range(4, 20)))

PRESETS: Final[Mapping[str, Preset]] = MappingProxyType(
    {
        "embedded": Preset(
            model="mini",
            other_models=(),
            data={},
            general=None,
            examples=256,
            example_counts=(16, 32, 64, 128, 256),
            densities=_DENSITIES,
            fisher_seeds={"pos": _SEEDS, "": _SEEDS[:1]},
            tuning_seeds={"pos": _SEEDS, "": _SEEDS[:1]},
            fine_tuning="quick",
            # A passage of XQuAD is several inputs of full length, which makes QA the slowest task by far. What `mini`
            # learns of pairs of sentences is next to nothing, from few examples as from many.
            limit={"qa": 60, "nli": 200, "pi": 200, "": 500},
            # A sentence of POS tagging is some twenty answers; topics have sixty targets.
            test_limit={"qa": 40, "nli": 100, "pi": 100, "pos": 100, "topic": 100, "": 200},
            neighbour_tokens=2_000,
            control=True,
            low_resource={"ner": PAPER_LOW_RESOURCE, "pos": POS_LOW_RESOURCE},
            swept=("ner", "pos"),
        ),
        "paper": Preset(
            model="FacebookAI/xlm-roberta-base",
            other_models=("google-bert/bert-base-multilingual-cased", "google/mt5-base"),
            data={"ner": "wikiann", "pos": "udpos", "nli": "xnli", "pi": "paws-x", "qa": "tydiqa"},
            general="wikipedia",
            examples=1_024,
            example_counts=(64, 128, 256, 512, 1_024, 2_048, 4_096, 10_000),
            densities=_DENSITIES,
            fisher_seeds={"": _SEEDS},
            tuning_seeds={"": _SEEDS},
            fine_tuning="paper",
            limit={"": None},
            test_limit={"": None},
            neighbour_tokens=10_000,
            control=False,
            low_resource={"ner": PAPER_LOW_RESOURCE},
            swept=None,
        ),
    }
)
