"""Real labelled data: sizes of the splits by language, and groups that a cut keeps together."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from tests.support.paths import SHARED_DATA as SHARED
from xsns_stream.corpora import open_task
from xsns_stream.corpora.tasks.readers import read_labelled_file
from xsns_stream.corpora.tasks.splits import cut_into_splits

SPLITS = ("train", "dev", "test")

pytestmark = pytest.mark.shared_data


def folder(name: str) -> Path:
    if not (SHARED / name).is_dir():
        pytest.skip(f"the data {name} are not beside the project")
    return SHARED / name


def test_every_language_of_sib200_has_the_same_sizes() -> None:
    corpus = open_task(str(folder("tasks/sib200")), "topic")
    sizes = {tuple(len(corpus.split(code, split)) for split in SPLITS) for code in corpus.languages()}
    assert (len(corpus.languages()), sizes) == (131, {(701, 99, 204)})


def test_every_treebank_can_be_a_source_and_a_target() -> None:
    corpus = open_task(str(folder("ud")), "pos")
    assert {len(corpus.languages(split)) for split in SPLITS} == {53}
    # German has no training file: its dev file, which repeats sentences, is cut into two splits.
    train, dev = corpus.split("de", "train"), corpus.split("de", "dev")
    assert "left out" not in train.note
    assert 0.07 < len(dev) / (len(train) + len(dev)) < 0.13
    assert not {example.text for example in train.examples} & {example.text for example in dev.examples}


@pytest.mark.parametrize(
    ("data", "task", "share"),
    [
        ("tasks/xnli_fsxlt", "nli", 0.0),
        ("tasks/xquad", "qa", 0.0),
        # If two sentences are equal in one language only, their pairs stay together in that language only.
        ("tasks/pawsx_fsxlt", "pi", 0.03),
    ],
)
def test_translations_are_in_one_split(data: str, task: str, share: float) -> None:
    splits_of: dict[str, set[str]] = defaultdict(set)
    for path in sorted(folder(data).iterdir()):
        if path.suffix not in (".tsv", ".jsonl") or path.name.startswith("manifest"):
            continue
        items, counts = read_labelled_file(path, task)
        assert counts.read == len(items)
        split = {id(example): name for name, part in cut_into_splits(items).items() for example in part}
        for item in items:
            assert item.identifier
            splits_of[item.identifier].add(split[id(item.example)])
    assert len(splits_of) > 700
    assert sum(len(splits) > 1 for splits in splits_of.values()) <= share * len(splits_of)
