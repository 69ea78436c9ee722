"""The corpus cldr: its languages, and words that belong to each of them."""

from __future__ import annotations

import subprocess
import sys

import babel
import pytest

from xsns_stream.corpora import open_corpus
from xsns_stream.corpora.cldr import CldrCorpus, _own_names
from xsns_stream.errors import LanguageError, UsageError
from xsns_stream.languages import normalise

SOME = ("ar", "de", "en", "fi", "ja", "sw", "th", "zh", "zh-Hant", "zu")


@pytest.fixture(scope="module")
def cldr() -> CldrCorpus:
    return CldrCorpus()


def texts(cldr: CldrCorpus, language: str) -> list[str]:
    network = [example.text for example in cldr.read(language).examples]
    assert all(isinstance(text, str) for text in network)
    return network


def test_open_corpus_opens_cldr() -> None:
    corpus = open_corpus("cldr")
    assert isinstance(corpus, CldrCorpus)
    assert corpus.local
    assert corpus.name == f"cldr(babel={babel.__version__})"


def test_languages_are_many_sorted_and_normalised(cldr: CldrCorpus) -> None:
    codes = cldr.languages()
    assert len(codes) > 150
    assert list(codes) == sorted(set(codes))
    assert [normalise(code) for code in codes] == list(codes)
    assert set(SOME) <= set(codes)
    assert {"sr", "sr-Latn", "uz", "uz-Cyrl"} <= set(codes), "scripts differ in every word"
    assert not {"de-AT", "en-GB", "pt-BR"} & set(codes), "territories differ in a few"


@pytest.mark.parametrize("language", SOME)
def test_examples_are_enough_distinct_and_whole(language: str, cldr: CldrCorpus) -> None:
    sample = cldr.read(language)
    texts_read = texts(cldr, language)
    assert len(set(texts_read)) == len(texts_read) >= 64
    assert all(text == text.strip() and "\n" not in text and "{" not in text for text in texts_read)
    assert (sample.language, sample.source) == (language, cldr.name)
    assert sample.counts.read == sample.counts.usable == len(sample)


def test_every_language_has_enough(cldr: CldrCorpus) -> None:
    # All 235 languages would take seconds; the test uses the shortest codes of each script and size.
    for language in cldr.languages()[::20]:
        assert len(cldr.read(language)) >= 64, language


def test_a_sample_is_the_same_in_every_process(cldr: CldrCorpus) -> None:
    sample = cldr.sample("sw", 16, seed=3)
    assert sample == CldrCorpus().sample("sw", 16, seed=3)
    code = "from xsns_stream.corpora.cldr import CldrCorpus; print(CldrCorpus().sample('sw', 16, 3).digest)"
    other = {"env": {"PYTHONHASHSEED": "7"}, "timeout": 120}
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, **other)
    assert completed.stdout.strip() == sample.digest


def test_a_draw_depends_on_the_seed_and_a_larger_one_extends_it(cldr: CldrCorpus) -> None:
    few, more = cldr.sample("fi", 8, seed=1), cldr.sample("fi", 20, seed=1)
    assert more.examples[:8] == few.examples
    assert cldr.sample("fi", 8, seed=2).examples != few.examples
    assert len(cldr.sample("fi", 10**6, seed=1)) == len(cldr.read("fi"))


@pytest.mark.parametrize("locale", ["sw", "fi", "de", "zu", "sr_Latn"])
def test_languages_have_their_own_words_only(locale: str) -> None:
    """Names that equal the English name, and codes in place of a missing name, are left out."""
    english = babel.Locale("en")
    foreign = {*english.languages.values(), *english.territories.values(), *english.currencies.values()}
    own = _own_names(locale)
    assert len(set(own)) == len(own)
    assert not foreign & set(own)
    assert not {*english.territories, *english.currencies} & set(own)
    assert all(any(letter.isalpha() for letter in name) for name in own)


def test_english_keeps_its_own_words(cldr: CldrCorpus) -> None:
    assert "Swahili" in " ".join(texts(cldr, "en"))


SCRIPTS = {"ja": "のア", "ar": "ال", "th": "กา", "zh-Hant": "語", "el": "α"}


@pytest.mark.parametrize(("language", "letters"), SCRIPTS.items(), ids=SCRIPTS)
def test_each_language_is_written_in_its_own_script(language: str, letters: str, cldr: CldrCorpus) -> None:
    joined = "".join(texts(cldr, language))
    assert all(letter in joined for letter in letters)
    foreign = sum(c.isascii() and c.isalpha() for c in joined)
    assert foreign < 0.1 * sum(c.isalpha() for c in joined)


def test_three_names_are_joined_as_the_language_does(cldr: CldrCorpus) -> None:
    assert sum(" na " in text for text in texts(cldr, "sw")) > 0.9 * len(cldr.read("sw"))
    assert sum("和" in text for text in texts(cldr, "zh")) > 0.9 * len(cldr.read("zh"))
    assert sum(text.count(", ") + text.count(" ja ") >= 2 for text in texts(cldr, "fi")) > 0.9 * len(cldr.read("fi"))


def test_another_spelling_of_a_code_gives_the_same_sample(cldr: CldrCorpus) -> None:
    assert cldr.sample("swh_Latn", 3, 0).examples == cldr.sample("sw", 3, 0).examples


@pytest.mark.parametrize(("language", "near"), [("swahili", "'sw' (Swahili)"), ("tlh", "")])
def test_missing_languages_are_refused_with_near_names(language: str, near: str, cldr: CldrCorpus) -> None:
    with pytest.raises(LanguageError) as caught:
        cldr.sample(language, 3, 0)
    assert caught.value.message == f"no language '{language}' in the corpus cldr."
    assert near in caught.value.hint


def test_an_invalid_count_is_refused(cldr: CldrCorpus) -> None:
    with pytest.raises(UsageError, match="must be at least 1, not 0"):
        cldr.sample("sw", 0, 0)
