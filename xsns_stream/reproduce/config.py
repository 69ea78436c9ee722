"""Configuration of a reproduction, and its presets."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Final

from xsns_stream.tasks import TASKS


def task_title(name: str) -> str:
    """Return the name of a task as it is written in running text."""
    return TASKS[name].title


@dataclass(frozen=True)
class TaskConfig:
    """The data and the languages of one task.

    Attributes:
        name: One of `TASKS`.
        data: The value of `transfer --data` and of `build --corpus … --task NAME`.
        sources: Languages for fine-tuning.
        targets: Languages for zero-shot tests; sources are ranked for each of them.
        texts: The languages for which the data have text to measure.
        tuning_seeds: Seeds for fine-tuning.
        fisher_seeds: Seeds for sampling and masking.
        low_resource: Further targets outside the pool; no model is fine-tuned on them.
        limit: Maximum number of training examples of a source; None for all.
        test_limit: Maximum number of test examples of a target; None for all.
        papers: Whether the data and the pool of languages are those of the paper.
        notes: Sentences about languages that are in the paper's pool but not in the data.
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
        """The name of the task for titles and sentences."""
        return task_title(self.name)

    @property
    def languages(self) -> tuple[str, ...]:
        """Sources, targets and low-resource targets, each once, in this order."""
        return tuple(dict.fromkeys((*self.sources, *self.targets, *self.low_resource)))

    @property
    def all_targets(self) -> tuple[str, ...]:
        """All tested languages: targets, then low-resource targets."""
        return tuple(dict.fromkeys((*self.targets, *self.low_resource)))


@dataclass(frozen=True)
class RunConfig:
    """Configuration of a run: all settings of its commands.

    Attributes:
        preset: One of `PRESETS`.
        out: Folder for the results; its subfolder `work` contains the outputs of steps.
        model: The model of all tables and figures.
        other_models: Further models of table 4.
        tasks: {name: task} of the tasks that have data, in the order of `TASKS`.
        swept: The tasks for which density and number of examples are varied (figures 3 and 6, and the target
            `choices`).
        left_out: {task: reason} of the tasks that are not run.
        general: Corpus of general text, which replaces Wikipedia; None if it is not given.
        general_languages: Languages of the general text that the tasks need.
        typology: The file feature_predictions.npz of lang2vec; None if it is not given.
        ldnd: A matrix of LDND; None if it is not given.
        examples: Number of examples per language, |D|.
        example_counts: The values of |D| in figure 6.
        density: Density of the sub-networks, p.
        densities: The values of p in figure 3.
        fisher_seeds: Seeds for sampling and masking general text.
        fine_tuning: Preset of `transfer`.
        epochs: Maximum number of epochs; None for the number in the fine-tuning preset.
        learning_rate: Highest learning rate; None for that of the fine-tuning preset.
        max_length: Length of examples in tokens; None for the defaults of the verbs.
        neighbour_tokens: Maximum number of tokens that NN-Rank reads for each language.
        device: The device of torch, such as `cpu`.
        precision: Precision of products in Fisher passes and fine-tuning.
        controls: Names of the controls that table 4 includes; the names are those of `CONTROLS`.
        command: The command line of this run, which the pages show.
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
    learning_rate: float | None = None
    max_length: int | None = None
    neighbour_tokens: int = 2_000
    device: str = "cpu"
    precision: str = "float32"
    controls: tuple[str, ...] = ()
    command: str = field(default="", compare=False)

    @property
    def work(self) -> Path:
        """The folder that contains the outputs of steps."""
        return self.out / "work"

    def path(self, *parts: str) -> Path:
        """Return a path below `work`."""
        return self.work.joinpath(*parts)


def slug(model: str) -> str:
    """Return a name for a model that can be part of a path; different folders get different names.

    >>> slug("mini"), slug("google/mt5-base")
    ('mini', 'google--mt5-base')
    """
    if not is_folder(model):
        return re.sub(r"[^\w.-]", "-", model.replace("/", "--"))
    name = re.sub(r"[^\w.-]", "-", Path(model).name) or "model"
    return f"{name}-{hashlib.sha256(model.encode()).hexdigest()[:6]}"


def is_folder(model: str) -> bool:
    """Return whether `model` is the path of a folder (which may not exist yet), and not the name of a model."""
    return model.startswith((".", "/", "~")) or model.count("/") > 1 or Path(model).is_dir()


_NER: Final = "ar zh en fi fr el he id it ja ko ru es sv th tr vi"
_POS: Final = "bg zh nl en fi fr hi id it ja ko no pl pt ru sk es sv tr uk"
_NLI: Final = "ar bg zh en fr el de hi ru es sw th tr ur vi"
_PI: Final = "zh en fr de ja ko es"
_QA: Final = "ar bn en fi id ru sw te"
_LOW_RESOURCE: Final = "af br ckb fy ga hi is kk lb mr sq sw te tt uz"
# Languages of Universal Dependencies outside the paper's pool, with little text on the web.
_POS_LOW_RESOURCE: Final = "af cy eu fo ga gl hy is kk mt ta te ug wo"
_POS_MORE_TARGETS: Final = "ar de et he af vi el fa ta ur kk eu hu is lt cy mt"

# SIB-200 has 205 languages and no pool in the paper. Its languages that are also in NTREX-128 are grouped by top-level
# family of Glottolog and by script, and one language is taken from each group in turn, beginning with the largest
# group. Within a group, English comes first, then languages of the paper's pools, then languages of the training data
# of XLM-R, and then the others, each ordered by code. The sources are the first 20 languages of XLM-R's training data.
# The targets are the sources and the next languages, 60 in all.
_TOPIC: Final = "en sw id bg ur ha kk tr hi zh-Hans fi am ar he km vi kn ml ta te"
_TOPIC_MORE: Final = """
    bo hy bn el gu pa si eu ja ka ko mn my lo th ug de xh fil ru fa om ky az-Latn mr zh-Hant et ti dz es
    bem mg uk pbt-Arab so ba uz-Latn ne yue-Hant hu
"""

#: {task: languages in the paper}, which are both sources and targets.
PAPER_POOLS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "ner": tuple(_NER.split()),
        "pos": tuple(_POS.split()),
        "nli": tuple(_NLI.split()),
        "pi": tuple(_PI.split()),
        "qa": tuple(_QA.split()),
    }
)
#: The paper's low-resource targets, for NER.
PAPER_LOW_RESOURCE: Final = tuple(_LOW_RESOURCE.split())
#: Low-resource targets for POS tagging, which are not in the paper.
POS_LOW_RESOURCE: Final = tuple(_POS_LOW_RESOURCE.split())
#: Languages with a treebank of Universal Dependencies and a text in NTREX-128, in addition to the paper's pool.
POS_MORE_TARGETS: Final = tuple(_POS_MORE_TARGETS.split())
TOPIC_SOURCES: Final = tuple(_TOPIC.split())
TOPIC_TARGETS: Final = (*TOPIC_SOURCES, *_TOPIC_MORE.split())
#: {task: (sources, targets)}. A task without an entry is run with all languages of its data.
POOLS: Final[Mapping[str, tuple[tuple[str, ...], tuple[str, ...]]]] = MappingProxyType(
    {**{name: (pool, pool) for name, pool in PAPER_POOLS.items()}, "topic": (TOPIC_SOURCES, TOPIC_TARGETS)}
)

#: Smallest size of a pool. If the data have fewer languages of a pool, all languages of the data are used instead.
FEWEST: Final = 5


@dataclass(frozen=True)
class Preset:
    """The default settings of a run; options of the command line replace them.

    Attributes:
        model: The model of all tables and figures; empty if the user must name it.
        other_models: Further models of table 4.
        data: {task: the data that are read if `--data` does not name data for the task}.
        general: Corpus of general text; None for a run without it.
        examples: Number of examples per language, |D|.
        example_counts: The values of |D| in figure 6.
        densities: The values of p in figure 3.
        fisher_seeds: {task: seeds for sampling and masking}; the key "" is for other tasks and general text.
        tuning_seeds: {task: seeds for fine-tuning}; the key "" is for other tasks.
        fine_tuning: Preset of `transfer`.
        limit: {task: largest number of training examples of a source}; the key "" is for other tasks; None for all.
        test_limit: {task: largest number of test examples of a target}; the key "" is for other tasks; None for all.
        neighbour_tokens: Maximum number of tokens that NN-Rank reads for each language.
        controls: Names of the controls that table 4 includes; the names are those of `CONTROLS`.
        low_resource: {task: further targets outside the pool}.
        swept: Tasks for which density and number of examples are varied (figures 3 and 6, and the target `choices`);
            None for all tasks.
        epochs: Maximum number of epochs; None for the number in the fine-tuning preset.
        learning_rate: Highest learning rate; None for that of the fine-tuning preset.
        max_length: Length of examples in tokens; None for the defaults of the verbs.
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
    controls: tuple[str, ...]
    low_resource: Mapping[str, tuple[str, ...]]
    swept: tuple[str, ...] | None
    epochs: int | None = None
    learning_rate: float | None = None
    max_length: int | None = None


DENSITY: Final = 0.15
#: {name of a control of table 4: what its weights are}. A control has the architecture and the tokenizer of the model.
CONTROLS: Final[Mapping[str, str]] = MappingProxyType({"random": "random weights", "shuffled": "shuffled weights"})
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
            # A passage of XQuAD is several inputs of full length, and QA is by far the slowest task. From pairs of
            # sentences, `mini` learns almost nothing with any number of examples.
            limit={"qa": 60, "nli": 200, "pi": 200, "": 500},
            # A sentence of POS tagging has about twenty labels, and topic classification has sixty targets.
            test_limit={"qa": 40, "nli": 100, "pi": 100, "pos": 100, "topic": 100, "": 200},
            neighbour_tokens=2_000,
            controls=("random",),
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
            controls=(),
            low_resource={"ner": PAPER_LOW_RESOURCE},
            swept=None,
        ),
        # A pre-trained model of 270 million parameters, in sizes that two processor cores manage in some hours.
        "gemma": Preset(
            model="",
            other_models=(),
            data={},
            general="ntrex",
            examples=128,
            example_counts=(16, 32, 64, 128, 256),
            densities=(0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3),
            fisher_seeds={"": _SEEDS[:1]},
            tuning_seeds={"": _SEEDS[:1]},
            fine_tuning="quick",
            limit={"": 512},
            test_limit={"": 96},
            neighbour_tokens=2_000,
            controls=("random", "shuffled"),
            low_resource={"pos": POS_MORE_TARGETS},
            swept=("pos",),
            epochs=1,
            learning_rate=3e-4,
            max_length=64,
        ),
    }
)
