"""Data on the languages of the report page: name, family, script and location of each language."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from xsns_stream.glottolog import place_of
from xsns_stream.languages import shown_name


@dataclass(frozen=True)
class PageLanguage:
    """A language of the page.

    Attributes:
        code: The label of the language, usually its code.
        name: The English name; the label if the name is unknown.
        family: Name of the top-level family; empty if unknown.
        script: English name of the usual script; empty if unknown.
        latitude: Degrees north; None if unknown.
        longitude: Degrees east; None if unknown.
    """

    code: str
    name: str
    family: str = ""
    script: str = ""
    latitude: float | None = None
    longitude: float | None = None

    def to_json(self) -> list[Any]:
        """Return code, name, family, script, latitude and longitude."""
        return [self.code, self.name, self.family, self.script, self.latitude, self.longitude]


def page_languages(labels: Sequence[str]) -> tuple[PageLanguage, ...]:
    """Return the languages of these labels; their families and locations come from Glottolog."""
    return tuple(_page_language(label) for label in labels)


def _page_language(label: str) -> PageLanguage:
    place = place_of(label)
    return PageLanguage(
        label, shown_name(label), place.family, _script_name(place.script), place.latitude, place.longitude
    )


@lru_cache(maxsize=512)
def _script_name(code: str) -> str:
    """Return the English name of a script; its code if the name is unknown."""
    if not code:
        return ""
    from babel import Locale

    return str(Locale("en").scripts.get(code, code))
