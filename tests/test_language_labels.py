"""Languages that labels of tables stand for."""

from __future__ import annotations

import pytest

from xsns_stream.language_labels import candidates, is_mean, language_of, read_labels


@pytest.mark.parametrize(
    ("label", "code"),
    [
        ("sw", "sw"),
        ("swh_Latn", "sw"),
        ("English", "en"),
        ("Mandarin Chinese", "zh"),
        ("Deutsch", "de"),
        ("Kiswahili", "sw"),
        ("中文", "zh"),
        ("Swahili language", "sw"),
        ("Swahili (sw)", "sw"),
        ("sw (Swahili)", "sw"),
        ("Yoruba [yor]", "yo"),
        ("Swahly (sw)", "sw"),
        ("Chinese (Traditional)", "zh-Hant"),
        ("Chinese (zh-Hant)", "zh-Hant"),
        ("Serbian (Latin)", "sr-Latn"),
        ("Portuguese (Brazil)", "pt-BR"),
        ("English (GB)", "en-GB"),
        ("Norwegian (Bokmål)", "nb"),
        ("Swahili*", "sw"),
        ("sw†", "sw"),
        ("English (1000)", "en"),
    ],
)
def test_labels_in_common_spellings_are_recognised(label: str, code: str) -> None:
    assert language_of(label) == code
    assert read_labels([label]).codes == {label: code}


@pytest.mark.parametrize(
    "label", ["Average", "max", "all", "Swahly", "Sorbian", "German (fr)", "Swahili (Bantu)", "source", ""]
)
def test_labels_that_are_no_languages_have_no_code(label: str) -> None:
    assert language_of(label) is None
    assert read_labels([label]).codes == {label: None}


def test_a_name_with_the_code_of_another_language_is_ambiguous() -> None:
    labels = read_labels(["German (fr)", "sw"])
    assert labels.ambiguous == {"German (fr)": ("de", "fr")}


def test_names_in_another_language_are_recognised_if_all_are_in_it() -> None:
    """One name in another language is ambiguous; a table of such names is not."""
    german = read_labels(["Englisch", "Suaheli", "Deutsch", "sw"])
    assert german.codes == {"Englisch": "en", "Suaheli": "sw", "Deutsch": "de", "sw": "sw"}
    assert german.by_name == {"Englisch": "en", "Suaheli": "sw", "Deutsch": "de"}
    assert read_labels(["inglés", "alemán", "chino", "Average"]).codes["chino"] == "zh"
    assert read_labels(["Englisch", "Swahly"]).codes == {"Englisch": None, "Swahly": None}


def test_misspelt_and_ambiguous_labels_have_candidates() -> None:
    assert candidates("Swahly") == ("sw",)
    assert candidates("Sorbian") == ("dsb", "hsb")
    assert candidates("xq") == candidates("Accuracy") == ()


@pytest.mark.parametrize(
    "label", ["Average", "AVG", "avg.", "Mean", "Macro average", "average (all languages)", "Overall"]
)
def test_labels_of_means_are_recognised(label: str) -> None:
    assert is_mean(label)


@pytest.mark.parametrize(
    "label", ["max", "all", "all languages", "English", "Avar", "Meänkieli", "average of Bantu", ""]
)
def test_other_labels_are_not_means(label: str) -> None:
    assert not is_mean(label)
