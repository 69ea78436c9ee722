"""Families and coordinates of languages, from Glottolog."""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from importlib.resources import files
from typing import Final

from xsns_stream.languages import code_or_none, language_name

#: Source of the data, for pages that show them.
CREDIT: Final = "Families and coordinates: Glottolog 5.1, CC BY 4.0, https://glottolog.org"
_ISOLATE: Final = "isolate"
#: Code of a language that Glottolog describes as a variety → ISO 639-3 code of the language of which it is a variety.
_VARIETIES: Final = {"bs": "hbs", "cnr": "hbs", "hr": "hbs", "sr": "hbs", "nb": "nor", "nn": "nor"}


@dataclass(frozen=True, slots=True)
class LanguagePlace:
    """Family and place of a language.

    Attributes:
        family: Name of the top-level family, such as `Indo-European`; the name of the language and `(isolate)` if it
            has no known relative; empty if unknown.
        latitude: Degrees north; None if unknown.
        longitude: Degrees east; None if unknown.
        script: ISO 15924 code of the usual script, such as `Latn`; empty if unknown.
    """

    family: str = ""
    latitude: float | None = None
    longitude: float | None = None
    script: str = ""


@lru_cache(maxsize=4096)
def place_of(label: str) -> LanguagePlace:
    """Return the family, the place and the script of a language; all are unknown for a label that is not a language.

    A macrolanguage, such as Swahili, has the family and the place of its main language.

    >>> place_of("sw").family, place_of("eu").family, place_of("my-corpus-7").family
    ('Atlantic-Congo', 'Basque (isolate)', '')
    """
    code = code_or_none(label)
    if code is None:
        return LanguagePlace()
    import langcodes

    script = langcodes.Language.get(code).maximize().script or ""
    table = _table()
    for iso in _iso_codes(code):
        if iso in table:
            family, latitude, longitude = table[iso]
            name = f"{language_name(code)} (isolate)" if family == _ISOLATE else family
            return LanguagePlace(name, latitude, longitude, script)
    return LanguagePlace(script=script)


def _iso_codes(code: str) -> Iterator[str]:
    """Yield the ISO 639-3 codes under which a language may be in the table.

    The first is the code of the language itself. The codes of its members follow if it is a macrolanguage, and the code
    of the whole language if it is a variety.
    """
    import langcodes
    from langcodes.data_dicts import NORMALIZED_MACROLANGUAGES

    language = langcodes.Language.get(code).language or code
    for part in (language, *(member for member, whole in NORMALIZED_MACROLANGUAGES.items() if whole == language)):
        try:
            yield langcodes.Language.get(part, normalize=False).to_alpha3()
        except LookupError:
            continue
    if language in _VARIETIES:
        yield _VARIETIES[language]


@lru_cache(maxsize=1)
def _table() -> Mapping[str, tuple[str, float | None, float | None]]:
    """Return {ISO 639-3 code: (family, latitude, longitude)} of the table in the package."""
    text = (files("xsns_stream") / "assets" / "glottolog" / "languages.csv").read_text(encoding="utf-8")
    return {
        row["iso639_3"]: (
            row["family"],
            float(row["latitude"]) if row["latitude"] else None,
            float(row["longitude"]) if row["longitude"] else None,
        )
        for row in csv.DictReader(text.splitlines())
    }
