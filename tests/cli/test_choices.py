"""The names that options accept are the names in the registries."""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import takewhile

import pytest

from tests.support.paths import ROOT
from xsns_stream import objectives
from xsns_stream.cli import VERBS, baseline_tables, baseline_text, choices
from xsns_stream.corpora.embedded import DEFAULT_CORPUS
from xsns_stream.evaluation import AVERAGES
from xsns_stream.evaluation.metrics import GAINS, METRICS
from xsns_stream.gold.formats import READERS
from xsns_stream.models import attention, auto_classes
from xsns_stream.pipeline.baselines import TABLE_BASELINES
from xsns_stream.pipeline.model_baselines import TEXT_BASELINES
from xsns_stream.similarity import COEFFICIENTS, CORRECTIONS, GROUPINGS
from xsns_stream.tasks import TASKS
from xsns_stream.transfer import PRESETS

#: {list of `cli/choices.py`: (file of the registry, its names)}.
OWNERS: dict[str, tuple[str, Iterable[str]]] = {
    "DEFAULT_CORPUS": ("corpora/embedded.py", (DEFAULT_CORPUS,)),
    "COEFFICIENTS": ("similarity/coefficients.py", COEFFICIENTS),
    "CORRECTIONS": ("similarity/corrections.py", CORRECTIONS),
    "GROUPINGS": ("similarity/groups.py", GROUPINGS),
    "OBJECTIVES": ("models/auto_classes.py", auto_classes.OBJECTIVES),
    "LABEL_AT": ("models/attention.py", attention.LABEL_AT),
    "GOLD_FORMATS": ("gold/formats.py", READERS),
    "NDCG_GAINS": ("evaluation/metrics.py", GAINS),
    "AVERAGES": ("evaluation/evaluate.py", AVERAGES),
    "FINE_TUNING_PRESETS": ("transfer/settings.py", PRESETS),
}


def compare(place: str, names: Iterable[str], registry_name: str, registry: Iterable[str]) -> None:
    """Fail if the two lists differ, with the names that are missing and the file in which they are missing."""
    names, registry = list(names), list(registry)
    assert not (missing := [name for name in registry if name not in names]), (
        f"{place} lacks {missing} of {registry_name}"
    )
    assert not (unknown := [name for name in names if name not in registry]), (
        f"{registry_name} lacks {unknown} of {place}"
    )


def test_every_list_has_an_owner() -> None:
    assert {name for name in vars(choices) if name.isupper()} == set(OWNERS)


@pytest.mark.parametrize("name", OWNERS)
def test_options_offer_the_names_of_the_registry(name: str) -> None:
    owner, registry = OWNERS[name]
    compare(f"{name} of cli/choices.py", getattr(choices, name), owner, registry)


def test_objectives_of_the_models_are_implemented() -> None:
    compare("objectives/factory.py", objectives.OBJECTIVES, "models/auto_classes.py", auto_classes.OBJECTIVES)


def test_objectives_and_metrics_of_tasks_exist() -> None:
    used = {task.objective for task in TASKS.values()}
    compare("models/auto_classes.py", auto_classes.TASKS, "tasks.py", used)
    source = (ROOT / "xsns_stream/transfer/scoring.py").read_text(encoding="utf-8")
    metrics = {metric for task in TASKS.values() for metric in task.metrics}
    compare("transfer/scoring.py", [metric for metric in metrics if f'"{metric}"' in source], "tasks.py", metrics)


def test_every_verb_has_its_file() -> None:
    files = {path.stem for path in (ROOT / "xsns_stream/cli").glob("*.py")}
    compare("the folder cli/", files & set(VERBS), "VERBS of cli/__init__.py", VERBS)


def test_every_baseline_has_a_command() -> None:
    compare("cli/baseline_tables.py", baseline_tables.COMMANDS, "pipeline/baselines.py", [*TABLE_BASELINES, "file"])
    compare("cli/baseline_text.py", baseline_text.COMMANDS, "pipeline/model_baselines.py", [*TEXT_BASELINES, "all"])


def test_every_file_of_rules_is_selected() -> None:
    folder = ROOT / "xsns_stream/fisher/rules"
    files = {path.stem for path in folder.glob("*.py")} - {"__init__"}
    selected = re.findall(r"from xsns_stream\.fisher\.rules\.(\w+) import", (folder / "__init__.py").read_text())
    compare("fisher/rules/__init__.py", selected, "the folder fisher/rules/", sorted(files))


def test_every_metric_is_documented() -> None:
    page = (ROOT / "docs/evaluation.md").read_text(encoding="utf-8")
    compare("docs/evaluation.md", [name for name in METRICS if f"`{name}`" in page], "evaluation/metrics.py", METRICS)


def first_cells(page: str, heading: str) -> list[str]:
    """Return the names in code style in the first column of the table whose first heading is `heading`."""
    lines = (ROOT / page).read_text(encoding="utf-8").splitlines()
    start = next(number for number, line in enumerate(lines) if line.startswith(f"| {heading} |"))
    rows = takewhile(lambda line: line.startswith("|"), lines[start + 2 :])
    return [name for row in rows for name in re.findall(r"`([^`]+)`", row.split("|")[1])]


def test_every_coefficient_is_documented() -> None:
    documented = first_cells("docs/sub-networks.md", "name")
    compare("docs/sub-networks.md", documented, "similarity/coefficients.py", COEFFICIENTS)


def test_every_correction_is_documented() -> None:
    documented = first_cells("docs/matrix.md", "correction")
    compare("docs/matrix.md", documented, "similarity/corrections.py", CORRECTIONS)


def test_the_readme_lists_every_verb_once() -> None:
    verbs = first_cells("README.md", "verb")
    compare("README.md", verbs, "VERBS of cli/__init__.py", VERBS)
    assert len(verbs) == len(VERBS)


def test_a_missing_name_is_named() -> None:
    with pytest.raises(AssertionError, match=r"cli/choices\.py lacks \['tversky'\] of similarity/coefficients\.py"):
        compare("cli/choices.py", choices.COEFFICIENTS, "similarity/coefficients.py", [*COEFFICIENTS, "tversky"])
