"""Real labelled data: counts of the examples of every file."""

from __future__ import annotations

from collections import defaultdict

import pytest

from tests.support.paths import SHARED_DATA as SHARED
from xsns_stream.corpora import open_task
from xsns_stream.corpora.tasks.task_corpus import FolderTask
from xsns_stream.types import TextExample
from xsns_stream.types.text import AnswerSpan

SPLITS = ("train", "dev", "test")

pytestmark = pytest.mark.shared_data


def opened(folder: str, task: str) -> FolderTask:
    if not (SHARED / folder).is_dir():
        pytest.skip(f"the data {folder} are not beside the project")
    corpus = open_task(str(SHARED / folder), task)
    assert isinstance(corpus, FolderTask)
    return corpus


def tagged(example: TextExample) -> list[tuple[str, str]]:
    """Return the words of a sentence with their tags."""
    assert isinstance(example.label, tuple)
    return list(zip(example.text, example.label, strict=True))


@pytest.mark.parametrize(
    ("folder", "task", "languages", "sizes"),
    [
        ("tasks/ner/uner", "ner", 8, (11846, 2254, 4000)),
        pytest.param("tasks/ner/masakhaner2", "ner", 20, (20000, 4000, 10000), marks=pytest.mark.slow),
        ("tasks/sib200", "topic", 131, (701 * 131, 99 * 131, 204 * 131)),
        ("tasks/xnli_fsxlt", "nli", 14, (14000, 2149, 3874)),
        ("tasks/pawsx_fsxlt", "pi", 6, (4220, 598, 1095)),
        ("tasks/xquad", "qa", 12, (6156, 1368, 1140)),
    ],
)
def test_every_file_is_read(folder: str, task: str, languages: int, sizes: tuple[int, ...]) -> None:
    corpus = opened(folder, task)
    assert corpus.skipped == ()
    assert {len(corpus.languages(split)) for split in (None, *SPLITS)} == {languages}
    test_split = [sum(len(corpus.split(code, split)) for code in corpus.languages(split)) for split in SPLITS]
    assert tuple(test_split) == sizes


def test_published_treebanks_are_read_with_their_tags() -> None:
    corpus = opened("ud", "pos")
    assert corpus.languages() == corpus.languages("train") == corpus.languages("test")
    assert len(corpus.languages()) == 53
    words = [pair for e in corpus.split("de", "test").examples for pair in tagged(e)]
    assert {"NOUN", "VERB", ""} <= {tag for _, tag in words}
    assert ("im", "") in words, "a multiword token has no tag"
    # German has no training file here; Afrikaans has files for all three splits.
    assert "'de' has no train file" in corpus.split("de", "train").note
    assert corpus.split("af", "train").note == ""


def test_wikiann_without_splits_is_cut_into_three() -> None:
    corpus = opened("tasks/wikiann_fsxlt", "ner")
    assert len(corpus.languages()) == 40
    parts = [corpus.split("de", split) for split in SPLITS]
    assert all(part.note == "de.txt is cut into 70, 10 and 20 % (train, dev, test)." for part in parts)
    examples = [{example.text for example in part.examples} for part in parts]
    assert len(set().union(*examples)) == sum(map(len, examples))
    tags = {tag for part in parts for example in part.examples for _, tag in tagged(example)}
    assert tags <= {"O", "B-PER", "I-PER", "B-ORG", "I-ORG", "B-LOC", "I-LOC"}


def test_no_translation_of_a_premise_is_in_another_split() -> None:
    corpus = opened("tasks/xnli_fsxlt", "nli")
    premises: dict[int, set[str]] = defaultdict(set)
    for code, after in (("de", 4980), ("sw", 22410)):
        lines = (SHARED / "tasks/xnli_fsxlt" / f"{code}.tsv").read_text(encoding="utf-8").split("\n")[1:-1]
        fields = [line.split("\t") for line in lines]
        numbers = {field[2].strip(): (int(field[0].split("-")[1]) - after) // 3 for field in fields}
        for split in SPLITS:
            for example in corpus.split(code, split).examples:
                premises[numbers[str(example.text)]].add(split)
    assert len(premises) > 700
    assert {len(splits) for splits in premises.values()} == {1}


def test_no_translation_of_a_passage_is_in_another_split() -> None:
    corpus = opened("tasks/xquad", "qa")
    sizes: dict[str, set[tuple[int, int]]] = defaultdict(set)
    for code in ("ar", "en", "zh"):
        for split in SPLITS:
            test_split = corpus.split(code, split)
            assert all(isinstance(example.label, AnswerSpan) for example in test_split.examples)
            sizes[split].add((len(test_split), len({example.pair for example in test_split.examples})))
    # All languages have the same questions and passages.
    assert {split: len(each) for split, each in sizes.items()} == dict.fromkeys(SPLITS, 1)
