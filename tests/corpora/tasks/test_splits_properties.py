"""Properties of splits that hold for all labelled data."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from xsns_stream.corpora.tasks.readers import IdentifiedExample, shared_name
from xsns_stream.corpora.tasks.splits import DEV_SHARE, TEST_SHARE, cut_into_splits, hold_out
from xsns_stream.types import TextExample
from xsns_stream.types.text import AnswerSpan

SPLITS = ("train", "dev", "test")
#: Few texts and few names, so that many examples share one.
TEXT = st.one_of(st.sampled_from("abcd"), st.text(min_size=1, max_size=3))
NAME = st.one_of(st.just(""), st.integers(0, 9).map(str))


def pair(first: str, second: str) -> TextExample:
    return TextExample(first, second, "x")


def words(first: str, second: str) -> TextExample:
    return TextExample((first, second), None, ("x", ""))


def question(passage: str, text: str) -> TextExample:
    return TextExample(text, passage, AnswerSpan(0, passage[0]))


EXAMPLE = st.one_of(st.builds(pair, TEXT, TEXT), st.builds(words, TEXT, TEXT), st.builds(question, TEXT, TEXT))
ITEMS = st.lists(st.builds(IdentifiedExample, NAME, EXAMPLE), max_size=60)


def leading(example: TextExample) -> object:
    """Return the part that the examples of one group share: a passage, the first text, or all words."""
    return example.pair if isinstance(example.label, AnswerSpan) else example.text


def in_order(part: tuple[TextExample, ...], items: list[IdentifiedExample]) -> bool:
    """Return whether a part is a subsequence of the items."""
    rest = iter([item.example for item in items])
    return all(any(example == other for other in rest) for example in part)


@given(ITEMS)
def test_every_example_is_in_one_split(items: list[IdentifiedExample]) -> None:
    parts = cut_into_splits(items)
    assert set(parts) == set(SPLITS)
    assert Counter(e for part in parts.values() for e in part) == Counter(item.example for item in items)
    assert all(in_order(part, items) for part in parts.values())


@given(ITEMS)
def test_no_text_is_in_two_splits(items: list[IdentifiedExample]) -> None:
    examples = [{leading(example) for example in part} for part in cut_into_splits(items).values()]
    assert len(set().union(*examples)) == sum(map(len, examples))


@given(ITEMS, st.randoms(use_true_random=False))
def test_the_order_of_a_file_does_not_matter(items: list[IdentifiedExample], random) -> None:  # type: ignore[no-untyped-def]
    mixed = list(items)
    random.shuffle(mixed)
    assert {name: Counter(part) for name, part in cut_into_splits(items).items()} == {
        name: Counter(part) for name, part in cut_into_splits(mixed).items()
    }
    for first, second in zip(hold_out(items), hold_out(mixed), strict=True):
        assert Counter(first) == Counter(second)


@given(st.lists(st.tuples(TEXT, TEXT), max_size=40, unique_by=lambda texts: texts[0]))
def test_translations_with_the_same_name_are_in_the_same_split(texts: list[tuple[str, str]]) -> None:
    source = [IdentifiedExample(f"q{n}", pair(text, other)) for n, (text, other) in enumerate(texts)]
    target = [IdentifiedExample(f"q{n}", pair(f"…{text}", other)) for n, (text, other) in enumerate(texts)]
    assert {name: [e.text for e in part] for name, part in cut_into_splits(target).items()} == {
        name: [f"…{e.text}" for e in part] for name, part in cut_into_splits(source).items()
    }


@given(ITEMS)
def test_what_is_held_out_is_not_trained_on(items: list[IdentifiedExample]) -> None:
    train, dev = hold_out(items)
    assert Counter((*train, *dev)) == Counter(item.example for item in items)
    groups = [{leading(example) for example in part} for part in (train, dev)]
    assert not groups[0] & groups[1]
    if train or dev:
        assert train, "a single group is used for training"


@given(st.integers(0, 2**32))
def test_the_splits_have_about_the_requested_shares(start: int) -> None:
    items = [IdentifiedExample("", words(str(number), "x")) for number in range(start, start + 2000)]
    shares = {name: len(part) / 20 for name, part in cut_into_splits(items).items()}
    # The tolerance is more than six standard deviations of a share of 2,000 examples.
    assert all(
        abs(shares[name] - percent) < 6.5
        for name, percent in (("test", TEST_SHARE), ("dev", DEV_SHARE), ("train", 100 - TEST_SHARE - DEV_SHARE))
    )
    assert abs(len(hold_out(items)[1]) / 20 - DEV_SHARE) < 3.5


def test_translations_of_one_example_have_the_same_name() -> None:
    assert shared_name("german-10-val", "pi") == shared_name("korean-10-val", "pi") == "10"
    # The same premise in Arabic, German and French, with different hypotheses.
    assert {shared_name(name, "nli") for name in ("arabic-0-val", "german-4981-val", "french-14942-val")} == {"0"}
    assert shared_name("arabic-3-val", "nli") == "1"
    assert shared_name("56beb4343aeaaa14008c925b", "qa") == "56beb4343aeaaa14008c925b"
    assert shared_name("", "nli") == ""
