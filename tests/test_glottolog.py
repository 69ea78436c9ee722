"""Families and coordinates of languages."""

from __future__ import annotations

import pytest

from xsns_stream.glottolog import LanguagePlace, place_of


@pytest.mark.parametrize(
    ("label", "family", "script"),
    [
        ("sw", "Atlantic-Congo", "Latn"),
        ("zh-Hant", "Sino-Tibetan", "Hant"),
        ("ar", "Afro-Asiatic", "Arab"),
        ("sr", "Indo-European", "Cyrl"),
        ("nb", "Indo-European", "Latn"),
        ("eu", "Basque (isolate)", "Latn"),
        ("fi_FI", "Uralic", "Latn"),
    ],
)
def test_a_language_has_a_family_a_script_and_a_place(label: str, family: str, script: str) -> None:
    place = place_of(label)
    assert (place.family, place.script) == (family, script)
    assert place.latitude is not None
    assert -90 <= place.latitude <= 90


def test_the_place_is_that_of_the_language() -> None:
    place = place_of("fi")
    assert (place.latitude, place.longitude) == pytest.approx((64.76, 25.56), abs=0.01)


@pytest.mark.parametrize("label", ["my-corpus-7", "<script>", "", "sw+zu"])
def test_another_label_has_none(label: str) -> None:
    assert place_of(label) == LanguagePlace()


def test_groups_that_are_no_families_are_unknown() -> None:
    assert place_of("eo").family == ""
    assert place_of("pcm").family != "Pidgin"
