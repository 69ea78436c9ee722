"""Language codes: normal forms, names, near misses and selection."""

from __future__ import annotations

import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsns_stream.errors import ExitCode, LanguageError
from xsns_stream.languages import counterparts, language_name, near_misses, normalise, pick, same_language, select

KNOWN = ("ar", "az-Latn", "en", "sv", "sw", "zh-Hans", "zh-Hant")


@pytest.mark.parametrize(
    ("given_code", "code"),
    [
        ("sw", "sw"),
        ("swa", "sw"),
        ("SWA", "sw"),
        ("swh", "sw"),
        ("swh_Latn", "sw"),
        (" sw ", "sw"),
        ("ara", "ar"),
        ("arb", "ar"),
        ("arz_Arab", "arz"),
        ("cmn", "zh"),
        ("cmn_Hant", "zh-Hant"),
        ("zh_Hans", "zh-Hans"),
        ("ekk", "et"),
        ("yue", "yue"),
        ("zh-yue", "yue"),
        ("nb", "nb"),
        ("nob", "nb"),
        ("no", "no"),
        ("srp-Cyrl", "sr-Cyrl"),
        ("srp_Latn", "sr-Latn"),
        ("pt_BR", "pt-BR"),
        ("kor_Hang", "ko"),
        ("jpn_Jpan", "ja"),
        ("yor_Latn", "yo"),
        ("ckb-Arab", "ckb"),
        ("aze-Latn", "az-Latn"),
        ("ku-Arab", "ku-Arab"),
        ("iw", "he"),
        ("tok", "tok"),  # in CLDR, but newer than the copy of IANA's registry
    ],
)
def test_codes_are_normalised_to_one_spelling(given_code: str, code: str) -> None:
    assert normalise(given_code) == code
    assert normalise(code) == code


@pytest.mark.parametrize(
    "text",
    [
        "",
        " ",
        "../sw",
        "sw/../x",
        "sw.txt",
        "s w",
        "swahili",
        "xx",
        "009",
        "und",
        "x-foo",
        "en-src",
        "cy-ccg-dev",
    ],
)
def test_invalid_language_codes_are_refused(text: str) -> None:
    with pytest.raises(LanguageError, match="is not a language code") as caught:
        normalise(text)
    assert "zh-Hant" in caught.value.hint
    assert caught.value.exit_code == ExitCode.USAGE


@given(st.text(max_size=12))
def test_codes_hold_letters_digits_and_hyphens_only(text: str) -> None:
    try:
        code = normalise(text)
    except LanguageError:
        return
    assert code.replace("-", "").isalnum()
    assert code.isascii()
    assert normalise(code) == code


def test_languages_have_english_names() -> None:
    assert language_name("swh_Latn") == "Swahili"
    assert language_name("zh-Hant") == "Chinese (Traditional)"
    with pytest.raises(LanguageError):
        language_name("klingonese")


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("swahili", ["sw"]),
        ("Kiswahili", ["sw"]),
        ("swahilli", ["sw"]),
        ("swh", ["sw"]),
        ("se", ["sv"]),  # the country
        ("sweden", ["sv"]),
        ("az", ["az-Latn"]),
        ("chinese", ["zh-Hans", "zh-Hant"]),
        ("xx", []),
        ("", []),
    ],
)
def test_near_misses_of_names_and_codes_are_found(word: str, expected: list[str]) -> None:
    assert near_misses(word, KNOWN) == expected


def test_near_misses_are_at_most_three_and_never_the_word_itself() -> None:
    known = tuple(f"sw{letter}" for letter in "adeiklmnoqrstuvw")
    assert len(near_misses("swx", known)) == 3
    assert near_misses("sw", ("so", "wo", "en")) == []  # one letter of two is not enough for a suggestion
    assert "sw" not in near_misses("sw", known)


def test_near_misses_are_found_among_labels_that_are_not_languages() -> None:
    assert near_misses("lang-01", ("lang-02", "zzzz", "sw")) == ["lang-02"]
    with pytest.raises(LanguageError, match="no language 'lang-01'"):
        select(["lang-01"], ("lang-02", "zzzz"))


def test_select_returns_known_codes_in_the_requested_order() -> None:
    assert select(["all"], KNOWN) == KNOWN
    assert select(["en", "all"], KNOWN) == KNOWN
    assert select(["sw,en", "sv"], KNOWN) == ("sw", "en", "sv")
    assert select(["sw, swa ,swh_Latn"], KNOWN) == ("sw",)
    assert select(["aze_Latn"], KNOWN) == ("az-Latn",)


def test_pick_takes_one_language_and_no_list() -> None:
    assert pick("swh_Latn", KNOWN) == "sw"
    for word in ("all", "sw,en", "", "xx"):
        with pytest.raises(LanguageError, match="in the matrix"):
            pick(word, KNOWN, "the matrix")


@pytest.mark.parametrize(
    ("word", "known", "code"),
    [
        ("en-GB", ("en", "sw"), "en"),
        ("eng_Latn", ("en-GB", "sw"), "en-GB"),
        ("eng", ("en-US",), "en-US"),
        ("sw", ("swh", "zu"), "swh"),
        ("sw-KE", ("swa-Latn",), "swa-Latn"),
        ("nb", ("no", "nn"), "no"),
        ("zh", ("zh-Hant", "yue"), "zh-Hant"),
        ("zh-Hans", ("zh-Hani",), "zh-Hani"),
    ],
)
def test_a_language_is_found_under_its_only_other_code_and_a_note_says_so(
    word: str, known: tuple[str, ...], code: str
) -> None:
    with pytest.raises(LanguageError, match=f"no language '{word}' in the store"):
        pick(word, known, "the store")
    notes: list[str] = []
    assert pick(word, known, "the store", notes.append) == code
    assert select([word], known, "the store", notes.append) == (code,)
    assert len(notes) == 2
    assert notes[0].startswith(f"the store has no '{word}': '{code}' (")
    assert notes[0].endswith(") is used instead.")


@pytest.mark.parametrize(
    ("requested", "known", "missing"),
    [
        (["zh-Hant"], ("zh-Hans",), "'zh-Hant'"),
        (["sr_Latn"], ("sr-Cyrl",), "'sr_Latn'"),
        (["en"], ("en-GB", "en-US"), "'en'"),
        (["en,en-GB"], ("en",), "'en-GB'"),
        (["en-GB,en-US"], ("en",), "'en-GB', 'en-US'"),
        (["nn"], ("no",), "'nn'"),
        (["ms"], ("id",), "'ms'"),
    ],
)
def test_another_code_is_not_used_where_it_is_not_the_only_one_or_has_another_script(
    requested: list[str], known: tuple[str, ...], missing: str
) -> None:
    notes: list[str] = []
    with pytest.raises(LanguageError, match=f"no language {missing} in the store"):
        select(requested, known, "the store", notes.append)
    assert not notes


def test_codes_that_are_there_need_no_note() -> None:
    notes: list[str] = []
    assert select(["sw,swh_Latn", "all"], KNOWN, "the store", notes.append) == KNOWN
    assert select(["sw,eng"], KNOWN, "the store", notes.append) == ("sw", "en")
    assert not notes


def test_select_names_every_missing_language() -> None:
    with pytest.raises(LanguageError) as caught:
        select(["sw", "swedish,xx"], KNOWN, "the corpus cldr")
    assert caught.value.message == "no language 'swedish', 'xx' in the corpus cldr."
    assert caught.value.hint == "did you mean 'sv' (Swedish)?"


def test_select_lists_the_languages_where_nothing_is_near() -> None:
    with pytest.raises(LanguageError) as caught:
        select(["xx"], KNOWN)
    assert caught.value.hint == "it has ar, az-Latn, en, sv, sw, zh-Hans, zh-Hant."
    with pytest.raises(LanguageError) as caught:
        select(["xx"], ())
    assert caught.value.hint == "it has no language."


@pytest.mark.parametrize("requested", [[], [""], [" , "]])
def test_an_empty_request_is_refused(requested: list[str]) -> None:
    with pytest.raises(LanguageError, match="no language was requested"):
        select(requested, KNOWN)


def test_importing_is_cheap() -> None:
    code = "import sys, xsns_stream.languages; print({'langcodes', 'babel'} & set(sys.modules))"
    completed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert completed.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("requested", "known", "expected"),
    [
        (["sw", "fi"], ["fi", "sw"], {"sw": "sw", "fi": "fi"}),
        (["zh"], ["zh-Hani"], {"zh": "zh-Hani"}),
        (["zh-Hant"], ["zh"], {"zh-Hant": "zh"}),
        # Of several codes, the code in the usual script and region is chosen.
        (["zh"], ["zh-Hant", "zh-Hans"], {"zh": "zh-Hans"}),
        (["sr"], ["sr-Latn", "sr-Cyrl"], {"sr": "sr-Cyrl"}),
        (["zh"], ["zh-Hant", "zh-Latn"], {}),
        # Two known languages are never matched with one code.
        (["zh-Hans", "zh-Hant"], ["zh"], {"zh-Hans": "zh"}),
        (["pt", "pt-PT"], ["pt"], {"pt": "pt"}),
        (["zh-Latn", "zh-Hant"], ["zh"], {}),
        (["sw"], ["fi"], {}),
    ],
)
def test_counterparts_mean_the_same_language(requested: list[str], known: list[str], expected: dict[str, str]) -> None:
    assert counterparts(requested, known) == expected


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [("zh", "zh-Hans", True), ("no", "nb", True), ("pt", "pt-BR", True), ("sr", "sr-Latn", False), ("no", "nn", False)],
)
def test_two_codes_may_mean_the_same_language(one: str, other: str, same: bool) -> None:
    assert same_language(one, other) is same is same_language(other, one)


def test_bokmal_stands_for_norwegian() -> None:
    assert counterparts(["no"], ["nb", "nn"]) == {"no": "nb"}
    assert counterparts(["no", "nb"], ["nb"]) == {"nb": "nb"}
