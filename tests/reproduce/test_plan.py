"""Plans of `reproduce`: data, pools and seeds from the options."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from xsns_stream.corpora import open_corpus
from xsns_stream.errors import CorpusError, LanguageError, UsageError
from xsns_stream.reproduce.commands import tuning_options
from xsns_stream.reproduce.config import PAPER_POOLS, PRESETS, TASKS, TOPIC_SOURCES, TOPIC_TARGETS, slug
from xsns_stream.reproduce.plan import RunOptions, plan, sort_out
from xsns_stream.reproduce.step import TARGETS

OUT = Path("out")


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    """Tagged words: most languages have train and test data, sw only train data, sr and af only test data."""
    folder = tmp_path / "pos"
    folder.mkdir()
    for language in ("en", "fi", "sv", "tr", "zh", "ru", "sw"):
        (folder / f"{language}-train.txt").write_text("a NOUN\nb VERB\n\n")
    for language in ("en", "fi", "sv", "tr", "zh", "ru", "sr", "af"):
        (folder / f"{language}-test.txt").write_text("a NOUN\n\n")
    return folder


def test_the_pool_is_the_intersection_of_data_and_paper(tagged: Path) -> None:
    planned = plan(RunOptions("embedded", OUT, (f"pos={tagged}",)))
    assert planned.failed == {}
    task = planned.config.tasks["pos"]
    assert task.sources == task.targets == ("zh", "en", "fi", "ru", "sv", "tr")
    assert task.low_resource == ("af",)
    assert task.texts == task.sources
    assert not task.papers
    assert task.notes == ("the data lack bg, nl, fr, hi, id, it, ja, ko, no, pl, pt, sk, es, uk of the paper's pool.",)
    assert (task.tuning_seeds, task.fisher_seeds) == ((42, 16, 10), (42, 16, 10))
    assert set(planned.config.left_out) == set(TASKS) - {"pos"}


def test_languages_replace_the_pool(tagged: Path) -> None:
    options = RunOptions(
        "embedded", OUT, (f"pos={tagged}",), languages=("swe", "sw", "en", "sr"), low_resource=("af", "en")
    )
    task = plan(options).config.tasks["pos"]
    assert (task.sources, task.targets, task.low_resource) == (("sv", "sw", "en"), ("sv", "en", "sr"), ("af",))
    assert task.texts == ("sv", "sw", "en")
    task = plan(RunOptions("embedded", OUT, (f"pos={tagged}",), languages=("sv", "sw", "en", "ta"))).config.tasks["pos"]
    assert (task.low_resource, task.notes) == ((), ("the data lack ta, which --languages names.",))
    task = plan(RunOptions("embedded", OUT, (f"pos={tagged}",), languages=("sv", "en"))).config.tasks["pos"]
    assert task.notes == ("no target has two other sources that could be ranked.",)
    with pytest.raises(LanguageError, match="'xx-nothing'"):
        plan(RunOptions("embedded", OUT, (f"pos={tagged}",), languages=("xx-nothing",)))


def test_all_languages_are_used_if_the_pool_is_too_small(tmp_path: Path) -> None:
    """With fewer than five of the paper's languages, all languages of the data are used."""
    folder = tmp_path / "pi"
    folder.mkdir()
    for language in ("sw", "zu", "xh", "de"):
        (folder / f"{language}.tsv").write_text("sentence1\tsentence2\tlabel\na\tb\t0\n")
    task = plan(RunOptions("embedded", OUT, (str(tmp_path),))).config.tasks["pi"]
    assert set(task.sources) == {"sw", "zu", "xh", "de"}
    assert task.notes == ("the data have only de of the usual pool; all languages of the data are used instead.",)


def test_data_with_too_few_languages_are_refused(tmp_path: Path, tagged: Path) -> None:
    folder = tmp_path / "ner"
    folder.mkdir()
    (folder / "sw-train.txt").write_text("a O\n\n")
    options = RunOptions("embedded", OUT, (f"ner={folder}",))
    with pytest.raises(UsageError, match="the data of ner have too few languages: sources sw, targets none"):
        plan(options)
    planned = plan(RunOptions("embedded", OUT, (f"ner={folder}", f"pos={tagged}")))
    assert list(planned.config.tasks) == ["pos"]
    assert list(planned.failed) == ["ner"]
    assert planned.config.left_out["ner"].startswith("the data of ner have too few")


def test_requested_tasks_without_data_fail(tagged: Path) -> None:
    planned = plan(RunOptions("embedded", OUT, (f"pos={tagged}",), tasks=("pos", "qa")))
    assert planned.failed["qa"].hint == "add --data qa=FOLDER."
    assert plan(RunOptions("embedded", OUT, (f"pos={tagged}",))).failed == {}
    with pytest.raises(UsageError, match="'mt' is not a task"):
        plan(RunOptions("embedded", OUT, (f"pos={tagged}",), tasks=("mt",)))
    with pytest.raises(UsageError, match="the data of all tasks are missing"):
        plan(RunOptions("embedded", OUT))
    with pytest.raises(CorpusError, match="there is no folder"):
        plan(RunOptions("embedded", OUT, ("pos=nowhere",)))


def test_data_folders_are_assigned_to_tasks(tmp_path: Path) -> None:
    for name in ("pos", "general", "typology", "other"):
        (tmp_path / name).mkdir()
    np.savez(tmp_path / "typology" / "feature_predictions.npz", x=np.zeros(1))
    (tmp_path / "ldnd.csv").write_text("")
    folders = {
        "pos": str(tmp_path / "pos"),
        "general": str(tmp_path / "general"),
        "typology": str(tmp_path / "typology" / "feature_predictions.npz"),
        "ldnd": str(tmp_path / "ldnd.csv"),
    }
    assert sort_out([str(tmp_path)]) == folders
    assert sort_out([str(tmp_path), "pos=udpos=copy"])["pos"] == "udpos=copy"
    for word, message in (
        ("udpos=copy", "'udpos' is not a kind of data"),
        ("pos=", "'pos=' does not name any data"),
        ("nowhere", "the folder 'nowhere' does not exist"),
        (str(tmp_path / "other"), "has no data of these kinds: ner, pos"),
    ):
        with pytest.raises(UsageError, match=message):
            sort_out([word])


def test_planning_the_paper_preset_needs_no_network() -> None:
    planned = plan(RunOptions("paper", OUT))
    assert planned.failed == {}
    config = planned.config
    assert list(config.tasks) == ["ner", "pos", "nli", "pi", "qa"]
    assert config.left_out == {"topic": "no data were given for it."}
    assert all(task.papers and task.sources == PAPER_POOLS[name] for name, task in config.tasks.items())
    assert len(config.tasks["ner"].low_resource) == 15
    assert (config.model, config.examples, config.swept) == ("FacebookAI/xlm-roberta-base", 1024, config.tasks)
    assert all(task.limit is None for task in config.tasks.values())
    assert config.other_models == ("google-bert/bert-base-multilingual-cased", "google/mt5-base")
    assert set(config.general_languages) == {code for task in config.tasks.values() for code in task.sources}


def test_the_gemma_preset_needs_a_model_and_has_its_own_sizes(tagged: Path) -> None:
    data = (f"pos={tagged}",)
    with pytest.raises(UsageError, match="the preset 'gemma' needs a model") as error:
        plan(RunOptions("gemma", OUT, data))
    assert "--model" in error.value.hint
    config = plan(RunOptions("gemma", OUT, data, model="mini")).config
    task = config.tasks["pos"]
    assert (task.limit, task.test_limit, task.tuning_seeds) == (512, 96, (42,))
    assert (config.epochs, config.learning_rate, config.max_length, config.examples) == (1, 3e-4, 64, 128)
    assert config.controls == ("random", "shuffled")
    options = tuning_options(config, task)
    assert options[options.index("--lr") + 1] == "0.0003"
    assert set(config.general_languages) <= set(open_corpus("ntrex").languages())
    own = plan(RunOptions("gemma", OUT, data, model="mini", epochs=3, max_length=16)).config
    assert (own.epochs, own.max_length) == (3, 16)


def test_other_data_or_pools_are_not_those_of_the_paper(tagged: Path) -> None:
    assert not plan(RunOptions("paper", OUT, (f"pos={tagged}",), tasks=("pos",))).config.tasks["pos"].papers
    assert not plan(RunOptions("paper", OUT, tasks=("pos",), languages=("en", "fi", "sv"))).config.tasks["pos"].papers
    assert plan(RunOptions("paper", OUT, model="mini")).config.other_models == ()


def test_options_replace_values_of_the_preset(tagged: Path) -> None:
    options = RunOptions(
        "embedded", OUT, (f"pos={tagged}",), fisher_seeds=(1,), tuning_seeds=(2, 3), examples=4, density=0.3, limit=5
    )
    config = plan(options).config
    task = config.tasks["pos"]
    assert (task.fisher_seeds, task.tuning_seeds, config.examples, config.density) == ((1,), (2, 3), 4, 0.3)
    assert (task.limit, task.test_limit) == (5, PRESETS["embedded"].test_limit["pos"])


def test_general_text_is_used_for_the_languages_of_the_tasks(tagged: Path, tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    for code in ("zho_Hans", "fi", "en", "sw"):
        (folder / f"{code}.txt").write_text("a line\n")
    config = plan(RunOptions("embedded", OUT, (f"pos={tagged}", f"general={folder}"))).config
    assert config.general_languages == ("zh-Hans", "en", "fi")


def test_pools_and_presets_have_the_sizes_of_the_paper() -> None:
    assert (len(TOPIC_SOURCES), len(TOPIC_TARGETS), len(set(TOPIC_TARGETS))) == (20, 60, 60)
    assert [len(pool) for pool in PAPER_POOLS.values()] == [17, 20, 15, 7, 8]
    assert len(TARGETS) == 11
    assert all(preset.fisher_seeds[""] and preset.tuning_seeds[""] for preset in PRESETS.values())


def test_slugs_are_distinct_and_contain_no_slash(tmp_path: Path) -> None:
    one, other = tmp_path / "a" / "tiny", tmp_path / "b" / "tiny"
    assert slug(str(one)) != slug(str(other))
    assert slug(str(one)).startswith("tiny-")
    assert slug("./x y") == slug("./x y")
    assert "/" not in slug("../x") + slug("owner/name") + slug("out/work/random-init")
