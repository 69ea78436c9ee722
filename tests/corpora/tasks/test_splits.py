"""Splits of data whose identifiers and texts overlap: groups are transitive."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsns_stream.corpora.tasks.readers import IdentifiedExample
from xsns_stream.corpora.tasks.splits import cut_into_splits, hold_out
from xsns_stream.types import TextExample
from xsns_stream.types.text import AnswerSpan

#: Few texts and few names, so that they overlap in chains.
TEXTS = st.sampled_from("abcdefghijkl")
NAMES = st.one_of(st.just(""), st.integers(0, 12).map(lambda number: f"n{number}"))


def pair(name: str, first: str, second: str = "h") -> IdentifiedExample:
    return IdentifiedExample(name, TextExample(first, second, "x"))


def question(name: str, passage: str, text: str) -> IdentifiedExample:
    return IdentifiedExample(name, TextExample(text, passage, AnswerSpan(0, passage)))


ITEMS = st.lists(st.one_of(st.builds(pair, NAMES, TEXTS), st.builds(question, NAMES, TEXTS, TEXTS)), max_size=40)


def places(items: list[IdentifiedExample]) -> list[tuple[IdentifiedExample, str, str]]:
    """Return each item with its split into train, dev and test, and its split into train and dev."""
    three, two = cut_into_splits(items), dict(zip(("train", "dev"), hold_out(items), strict=True))

    def place(item: IdentifiedExample, parts: Mapping[str, tuple[TextExample, ...]]) -> str:
        # Each example object is in one split only, so that it can be looked up by identity.
        return next(split for split, part in parts.items() if item.example in part)

    return [(item, place(item, three), place(item, two)) for item in items]


@given(ITEMS)
def test_the_same_identifier_is_in_the_same_split(items: list[IdentifiedExample]) -> None:
    for number in (1, 2):
        splits_of = defaultdict(set)
        for row in places(items):
            if row[0].identifier:
                splits_of[row[0].identifier].add(row[number])
        assert all(len(splits) == 1 for splits in splits_of.values())


@given(ITEMS)
def test_the_same_text_is_in_the_same_split(items: list[IdentifiedExample]) -> None:
    for number in (1, 2):
        splits_of = defaultdict(set)
        for row in places(items):
            example = row[0].example
            splits_of[example.pair if isinstance(example.label, AnswerSpan) else example.text].add(row[number])
        assert all(len(splits) == 1 for splits in splits_of.values())


@pytest.mark.parametrize("length", [2, 5000])
def test_groups_are_transitive(length: int) -> None:
    # Each example shares its text with the example before it, and its name with the one after it.
    items = [pair(f"n{(number + 1) // 2}", f"t{number // 2}", str(number)) for number in range(length)]
    single = [pair(f"m{number}", f"s{number}", str(number)) for number in range(300)]
    for mixed in (items + single, single[::-1] + items[::-1]):
        parts = cut_into_splits(mixed)
        chained = [sum(str(example.text).startswith("t") for example in part) for part in parts.values()]
        assert sorted(chained) == [0, 0, length]
        assert all(parts.values()), "the other examples are split as without the chain"


def test_chains_of_names_are_cut_alike_in_every_language() -> None:
    def language(code: str) -> list[IdentifiedExample]:
        return [pair(f"q{number // 3}", f"{code} {number // 2}", str(number)) for number in range(6)] + [
            pair(f"r{number}", f"{code} r{number}", f"r{number}") for number in range(200)
        ]

    cuts = [
        {split: [e.pair for e in part] for split, part in cut_into_splits(language(code)).items()}
        for code in ("sw", "fi")
    ]
    assert cuts[0] == cuts[1]


def test_one_group_is_for_training() -> None:
    items = [pair("a", "x"), pair("a", "y"), pair("b", "y")]
    train, dev = hold_out(items)
    assert (len(train), dev) == (3, ())
    train, dev = hold_out([*items, pair("c", "z")])
    assert {len(train), len(dev)} == {1, 3}
    assert hold_out([]) == ((), ())
    assert cut_into_splits([]) == {"train": (), "dev": (), "test": ()}
