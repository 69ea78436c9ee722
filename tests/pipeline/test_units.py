"""Units on the disk, settings by which units are compared, and the data of a transfer."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xsns_stream.corpora import open_task
from xsns_stream.errors import CorpusError, IncompatibleError, UsageError, XsnsError
from xsns_stream.gold import read_scores, write_scores
from xsns_stream.languages import mixture
from xsns_stream.pipeline.finetune_data import OVERLAP, read_data
from xsns_stream.pipeline.finetune_settings import TransferSettings, Unit
from xsns_stream.pipeline.units import UnitFolder, check_beside, check_same, check_tests, gold_scores, other_versions
from xsns_stream.transfer import PRESETS, TASKS
from xsns_stream.types import TestScore, TransferRun
from xsns_stream.types.provenance import library_versions

TRAINED = {
    "dev": [1.5, 2.5],
    "epochs": 2,
    "best_epoch": 2,
    "examples": 9,
    "seconds": 3.0,
    "examples_per_second": 6.0,
}


def tagged(folder: Path, name: str, words: str, tags: str, count: int) -> None:
    """Write sentences of words and tags. The first word of each sentence is unique, also between files."""
    rows = list(zip(words.split(), tags.split(), strict=True))
    stem, tag = name.removesuffix(".txt"), tags.split(maxsplit=1)[0]
    rest = "".join(f"{word} {tag}\n" for word, tag in rows)
    text = "\n".join(f"{stem}{number} {tag}\n{rest}" for number in range(count))
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(text)


@pytest.fixture
def ner(tmp_path: Path) -> Path:
    folder = tmp_path / "ner"
    for split, count in (("train", 20), ("dev", 4), ("test", 5)):
        tagged(folder, f"en-{split}.txt", "a Paris is big", "O B-LOC O O", count)
        tagged(folder, f"fi-{split}.txt", "on Oy Turku iso", "O B-ORG B-LOC O", count + 5)
    return folder


def settings(folder: Path, task: str = "ner", **changes: Any) -> TransferSettings:
    fields = TransferSettings(
        open_task(str(folder), task), TASKS[task], "mini", ("en", "fi"), ("en",), (1,), PRESETS["quick"]
    )
    return replace(fields, **changes)


def run_of(source: str = "en", seed: int = 1, **scores: float) -> TransferRun:
    target_scores = {
        t: TestScore(t, {"f1": v, "token-accuracy": v + 1}, {"f1": 0.0, "token-accuracy": 50.0}, 5, 9)
        for t, v in scores.items()
    }
    return TransferRun(source, seed, target_scores, dict(TRAINED), {"task": "ner", "limit": None})


def test_a_unit_comes_back_as_it_was(tmp_path: Path) -> None:
    folder = UnitFolder(tmp_path / "gold.parquet.units")
    assert folder.read(Unit("en", 1)) is None
    assert folder.all() == []
    run = run_of(en=12.345678901234567, fi=0.1 + 0.2)
    folder.write(run)
    assert folder.read(Unit("en", 1)) == run
    assert folder.all() == [run]


def test_a_mixture_of_many_languages_has_a_file_of_its_own(tmp_path: Path) -> None:
    folder = UnitFolder(tmp_path)
    many = mixture(f"q{chr(97 + i)}{chr(97 + j)}" for i in range(10) for j in range(20))
    folder.write(run_of(many, en=1.0))
    assert [run.source for run in folder.all()] == [many]
    assert all(len(path.name) < 80 for path in tmp_path.iterdir())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda text: text[:-20],
        lambda text: text.replace('"kind": "transfer-unit"', '"kind": "else"'),
        lambda text: text.replace('"metrics"', '"metric"'),
        lambda text: text.replace('"schema_version": 1', '"schema_version": 9'),
        lambda text: text.replace('"f1": 3.0', '"f1": "much"'),
        lambda text: text.replace('"f1": 3.0', '"f1": 300.0'),
        lambda text: text.replace('"f1": 3.0', '"f1": NaN'),
        lambda text: text.replace('"f1": 3.0', '"f2": 3.0'),
        lambda text: text.replace('"task": "ner"', '"task": "chess"'),
        lambda text: text.replace('"seconds"', '"hours"'),
        lambda text: text.replace('"source": "en"', '"source": "fi"'),
        lambda text: text.replace('"seed": 1', '"seed": 1e999'),
        lambda text: text.replace('"limit": null', '"tests": []'),
        lambda text: text.replace('"limit": null', '"versions": []'),
        lambda text: "[]",
    ],
)
def test_a_damaged_unit_is_reported(spoil: Any, tmp_path: Path) -> None:
    folder = UnitFolder(tmp_path)
    folder.write(run_of(en=3.0))
    path = tmp_path / "en-1.json"
    path.write_text(spoil(path.read_text()))
    with pytest.raises(XsnsError, match=r"en-1\.json"):
        folder.read(Unit("en", 1))


def test_a_unit_is_held_by_one_at_a_time(tmp_path: Path) -> None:
    folder, other = UnitFolder(tmp_path), UnitFolder(tmp_path)
    with folder.claimed(Unit("en", 1)) as claimed:
        assert claimed
        with other.claimed(Unit("en", 1)) as theirs, other.claimed(Unit("fi", 1)) as free:
            assert (theirs, free) == (False, True)
    with other.claimed(Unit("en", 1)) as theirs:
        assert theirs


def test_what_differs_is_named(tmp_path: Path) -> None:
    run = run_of(en=1.0)
    check_same(run, {"task": "ner", "limit": None}, tmp_path)
    check_same(replace(run, settings={**run.settings, "versions": {"torch": "1"}}), dict(run.settings), tmp_path)
    with pytest.raises(IncompatibleError, match=r"other settings: limit \(limit was null and is now 50\)"):
        check_same(run, {"task": "ner", "limit": 50}, tmp_path)
    with pytest.raises(IncompatibleError, match="epochs, task"):
        check_same(run, {"task": "pos", "limit": None, "epochs": 5}, tmp_path)


def test_a_unit_of_another_source_must_have_the_same_settings(tmp_path: Path) -> None:
    run = replace(run_of(en=1.0), settings={"task": "ner", "limit": 20, "train": {"en": "1"}, "labels": ["O"]})
    check_beside(run, {"task": "ner", "limit": 20, "train": {"fi": "2"}, "labels": ["B-X", "O"]}, tmp_path)
    with pytest.raises(IncompatibleError, match=r"'en' \(seed 1\) in .* has other settings: limit"):
        check_beside(run, {"task": "ner", "limit": 40, "train": {"fi": "2"}, "labels": ["O"]}, tmp_path)


@pytest.mark.parametrize(("name", "option"), [("train", "--limit"), ("dev", "--test-limit"), ("labels", "The classes")])
def test_the_option_that_changed_the_data_is_named(name: str, option: str, tmp_path: Path) -> None:
    run = replace(run_of(en=1.0), settings={name: "1"})
    with pytest.raises(IncompatibleError) as caught:
        check_same(run, {name: "2"}, tmp_path)
    assert option in caught.value.hint


def test_scores_of_one_target_are_of_the_same_test_data(tmp_path: Path) -> None:
    run = replace(run_of(en=1.0), settings={"tests": {"sw": "1", "fi": "2"}})
    check_tests(run, {"sw": "1", "de": "3"}, tmp_path)
    with pytest.raises(
        IncompatibleError, match=r"the test data of 'fi' have changed since .* on 'en' \(seed 1, in"
    ) as caught:
        check_tests(run, {"sw": "1", "fi": "3"}, tmp_path)
    assert "--test-limit" in caught.value.hint


def test_unlabelled_examples_are_noted(ner: Path) -> None:
    text = (ner / "en-test.txt").read_text()
    (ner / "en-test.txt").write_text(f"a _\nb _\n\n{text}")
    reason = "no label, or an answer that does not occur in its passage"
    assert f"1 of 6 examples of ner/en-test.txt are left out ({reason})." in read_data(settings(ner)).notes


def test_other_versions_of_libraries_are_noted() -> None:
    now = library_versions()
    runs = [replace(run_of(en=1.0), settings={"versions": now | {"torch": version}}) for version in ("1.0", "0.9")]
    assert other_versions([replace(runs[0], settings={"versions": now})]) == []
    assert other_versions(runs) == [f"some units were fine-tuned with torch 0.9, 1.0; here it is {now['torch']}."]


def test_gold_scores_have_the_order_of_the_settings(ner: Path, tmp_path: Path) -> None:
    transfer_settings = settings(ner, sources=("fi", "en"), targets=("fi", "en"), seeds=(7, 1))
    runs = [run_of("en", 1, en=10.0, fi=20.0), run_of("fi", 7, fi=30.0), run_of("en+fi", 1, en=40.0, et=50.0)]
    gold = gold_scores(runs, transfer_settings)
    assert (gold.sources, gold.targets, gold.seeds) == (("fi", "en", "en+fi"), ("fi", "en", "et"), (7, 1))
    assert (gold.task, gold.metric, gold.unit) == ("ner", "f1", "percent")
    nan = np.nan
    expected = [[[30.0, nan, nan], [nan] * 3, [nan] * 3], [[nan] * 3, [20.0, 10.0, nan], [nan, 40.0, 50.0]]]
    np.testing.assert_array_equal(gold.cells[0], expected)
    assert gold_scores(runs, transfer_settings, "token-accuracy")["en", "fi"] == 21.0
    with pytest.raises(UsageError, match="no metric 'accuracy'"):
        gold_scores(runs, transfer_settings, "accuracy")
    path = write_scores(gold, tmp_path / "gold.parquet")
    back = read_scores(path)
    assert back.sources == gold.sources
    np.testing.assert_array_equal(back.cells, gold.cells)


def test_units_go_seed_by_seed(ner: Path) -> None:
    transfer_settings = settings(ner, seeds=(3, 2), pairs=frozenset({("en", "en")}))
    assert [str(unit) for unit in transfer_settings.units()] == [
        "en (seed 3)",
        "fi (seed 3)",
        "en (seed 2)",
        "fi (seed 2)",
    ]
    assert (transfer_settings.targets_of("en"), transfer_settings.targets_of("fi")) == (("en",), ())


@pytest.mark.parametrize(
    "change",
    [
        {"sources": ()},
        {"seeds": (1, 1)},
        {"seeds": (-1,)},
        {"seeds": (2**32,)},
        {"limit": 0},
        {"test_limit": 0},
        {"targets": ("en", "en")},
    ],
)
def test_invalid_settings_are_refused(change: dict[str, Any], ner: Path) -> None:
    with pytest.raises(UsageError):
        settings(ner, **change)


def test_data_are_the_same_for_every_seed_and_a_larger_limit_extends(ner: Path) -> None:
    few, more = (read_data(settings(ner, limit=limit)).train["en"][0] for limit in (5, 9))
    assert len(few) == 5
    assert set(few.examples) < set(more.examples)
    assert read_data(settings(ner, limit=5, seeds=(9,))).train["en"][0] == few


def test_a_mixture_takes_as_many_of_each(ner: Path) -> None:
    splits = read_data(settings(ner, sources=("en+fi",))).train["en+fi"]
    assert [(split.language, len(split)) for split in splits] == [("en", 20), ("fi", 20)]
    assert [len(split) for split in read_data(settings(ner, sources=("en+fi",), limit=10)).train["en+fi"]] == [5, 5]


def test_classes_are_those_of_all_data(ner: Path) -> None:
    data = read_data(settings(ner))
    assert data.labels == ("B-LOC", "B-ORG", "O")
    assert data.notes == ("'en' has no training example of ORG.",)


def test_test_examples_that_were_trained_on_are_noted(ner: Path) -> None:
    """Published splits may overlap; a note gives the overlap of the examples that are used."""
    known = (ner / "en-train.txt").read_text().split("\n\n")
    (ner / "en-test.txt").write_text("\n\n".join([*known[:3], "neu O\n"]))
    (ner / "en-dev.txt").write_text("\n\n".join([known[3], "neu O\n"]))
    (ner / "sw-test.txt").write_text("\n\n".join([known[0], "a O\n", "b O\n"]))
    notes = read_data(settings(ner, targets=("en", "fi", "sw"))).notes
    assert notes[-2:] == (
        "test examples that are also training examples: en 3 of 4 (75 %), en → sw 1 of 3 (33 %); "
        "these scores are too high.",
        "dev examples that are also training examples: en 1 of 2 (50 %); training may stop too late.",
    )


def test_the_overlap_is_kept_with_the_scores(ner: Path, tmp_path: Path) -> None:
    leaking = run_of(en=50.0, fi=40.0)
    leaking = replace(leaking, training={**leaking.training, OVERLAP: {"en": [3, 4]}})
    UnitFolder(tmp_path / "units").write(leaking)
    scores = gold_scores(UnitFolder(tmp_path / "units").all(), settings(ner))
    assert scores.notes == (
        "test examples that are also training examples: en 3 of 4 (75 %); these scores are too high.",
    )
    for name in ("gold.parquet", "gold.csv"):
        assert read_scores(write_scores(scores, tmp_path / name)).notes == scores.notes
    assert gold_scores([run_of(en=50.0)], settings(ner)).notes == ()


def test_one_class_under_several_spellings_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "topics"
    folder.mkdir()
    for language, other in (("en", "Sports"), ("fi", "sports")):
        for split in ("train", "dev", "test"):
            lines = [f"{language} {split} {n},{'health' if n % 2 else other}" for n in range(6)]
            (folder / f"{language}-{split}.csv").write_text("\n".join(["text,label", *lines]) + "\n")
    with pytest.raises(CorpusError, match=r"several spellings: 'Sports' \(en\) and 'sports' \(fi\)") as caught:
        read_data(settings(folder, "topic"))
    assert "--relabel OLD=NEW" in caught.value.hint
    made_alike = open_task(str(folder), "topic", relabel={"Sports": "sports"})
    assert read_data(settings(folder, "topic", corpus=made_alike)).labels == ("health", "sports")
    corpus = open_task(str(folder), "topic", relabel={"Sports": "Sports"})
    assert read_data(settings(folder, "topic", corpus=corpus)).labels == ("Sports", "health", "sports")


def test_iob1_is_read_as_iob2(ner: Path) -> None:
    plain = read_data(settings(ner))
    for split in ("train", "dev", "test"):
        path = ner / f"en-{split}.txt"
        path.write_text(path.read_text().replace("B-", "I-"))
    data = read_data(settings(ner))
    assert data.labels == plain.labels == ("B-LOC", "B-ORG", "O")
    assert data.test["en"].digest == plain.test["en"].digest
    assert "the tags of en-train.txt are IOB1, in which entities begin with I-: they are read as IOB2." in data.notes


def test_two_sources_with_the_same_data_are_noted(ner: Path) -> None:
    (ner / "et-train.txt").write_bytes((ner / "en-train.txt").read_bytes())
    (ner / "et-dev.txt").write_bytes((ner / "en-dev.txt").read_bytes())
    notes = read_data(settings(ner, sources=("en", "et", "fi"))).notes
    assert "the training data of en, et are the same." in notes


def test_files_without_a_language_are_noted(ner: Path) -> None:
    tagged(ner, "zzzqq-test.txt", "leo Turku", "O B-LOC", 3)
    assert "1 file is not read: zzzqq-test.txt (its name does not state a language)." in read_data(settings(ner)).notes


def test_a_class_of_a_target_that_no_source_has_is_refused(ner: Path) -> None:
    tagged(ner, "sw-test.txt", "leo Jumatatu", "O B-DATE", 3)
    with pytest.raises(CorpusError, match="'sw' is tested on DATE, and the sources have only LOC, ORG") as caught:
        read_data(settings(ner, targets=("en", "sw")))
    assert "--relabel DATE=O leaves it out" in caught.value.hint
    relabelled = open_task(str(ner), "ner", relabel={"DATE": "O"})
    assert read_data(settings(ner, targets=("en", "sw"), corpus=relabelled)).labels == ("B-LOC", "B-ORG", "O")


def test_files_whose_name_is_no_language_are_named(ner: Path) -> None:
    tagged(ner, "unknownish-train.txt", "a b", "O O", 2)
    assert any("unknownish-train.txt" in note for note in read_data(settings(ner)).notes)


def test_a_new_name_for_a_missing_label_is_refused(ner: Path) -> None:
    with pytest.raises(UsageError, match="the data have no label 'DATEX'"):
        read_data(settings(ner, corpus=open_task(str(ner), "ner", relabel={"DATEX": "O"})))


def test_a_tag_that_is_no_part_of_speech_is_refused(tmp_path: Path) -> None:
    for split in ("train", "dev", "test"):
        tagged(tmp_path / "pos", f"en-{split}.txt", "dogs bark", "NOUN Verb", 6)
    with pytest.raises(CorpusError, match="tested on Verb"):
        read_data(settings(tmp_path / "pos", "pos", sources=("en",)))


def test_one_language_without_data_does_not_stop_the_others(ner: Path) -> None:
    (ner / "fi-train.txt").write_text("")
    tagged(ner, "sw-test.txt", "leo Turku", "O B-LOC", 3)
    data = read_data(settings(ner, sources=("en", "fi"), targets=("en", "sw")))
    assert list(data.train) == ["en"]
    assert list(data.failed) == ["fi"]
    assert list(data.test) == ["en", "sw"]


def test_no_source_with_training_data_is_an_error(ner: Path) -> None:
    for name in ("en-train.txt", "fi-train.txt"):
        (ner / name).write_text("\n\n")
    with pytest.raises(
        CorpusError, match=r"no source has training data\. The first error: en-train\.txt has no labelled example"
    ):
        read_data(settings(ner))


def test_unit_files_are_plain_json(tmp_path: Path) -> None:
    UnitFolder(tmp_path).write(run_of(en=3.0))
    document = json.loads((tmp_path / "en-1.json").read_text())
    assert document["scores"]["en"] == {
        "metrics": {"f1": 3.0, "token-accuracy": 4.0},
        "trivial": {"f1": 0.0, "token-accuracy": 50.0},
        "examples": 5,
        "units": 9,
    }
