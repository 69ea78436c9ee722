"""The corpus `cldr`: names of places, languages, currencies, units and days in more than 150 languages.

The text comes from the Unicode CLDR, which is part of the package Babel. No download is needed. The lists of names are
only for trying the tool: they have no verbs, hardly any grammar, and the same topics in every language.

Only a locale's own words are used. Names that the locale inherits from another locale, names that are the same in the
CLDR root or in English, and bare codes (`XAF`) are left out, so that no language is measured on words of another
language.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache, cached_property
from typing import Any, Final

import numpy as np

from xsns_stream.languages import normalise, pick
from xsns_stream.types import LanguageSample, ReadCounts, TextExample

NAMES_PER_EXAMPLE: Final = 3
MINIMUM_EXAMPLES: Final = 64
# Number of random orders in which the names are enumerated. One order is enough for 64 examples of 3 names; the second
# order allows a larger |D|.
ROUNDS: Final = 2


class CldrCorpus:
    """Corpus of CLDR display names; each example is an enumeration of three names."""

    local = True

    @cached_property
    def name(self) -> str:
        """Name of the corpus with the version of its data, for provenance."""
        import babel

        return f"cldr(babel={babel.__version__})"

    def languages(self) -> tuple[str, ...]:
        """Return the codes of all languages with at least 64 examples, sorted."""
        return tuple(sorted(_locales()))

    def sample(self, language: str, count: int, seed: int) -> LanguageSample:
        """Draw `count` examples in `language`, each an enumeration of three names; all examples if there are fewer.

        Raises:
            LanguageError: CLDR does not have the language, or has too few names in it. Names that are taken from
                another language do not count.
        """
        return self.read(language).draw(count, seed)

    def label_names(self) -> tuple[str, ...]:
        """Return an empty tuple, since the names have no labels."""
        return ()

    def read(self, language: str) -> LanguageSample:
        """Return every enumeration in `language`, in a fixed order."""
        locale = _locales()[pick(language, self.languages(), "the corpus cldr")]
        names = _own_names(locale)
        examples = tuple(TextExample(text) for text in _enumerations(locale, names))
        counts = ReadCounts(read=len(examples), usable=len(examples))
        return LanguageSample(language, examples, self.name, counts)


@cache
def _locales() -> dict[str, str]:
    """Return {normalised code: name of its Babel locale} for the languages that have enough names of their own."""
    from babel import localedata

    locales: dict[str, str] = {}
    for locale in sorted(localedata.locale_identifiers(), key=lambda name: (len(name), name)):
        language, *rest = locale.split("_")
        # A locale of a territory ("de_AT") differs from its language in a few words; a locale of a script ("sr_Latn")
        # differs in all words.
        if locale == "root" or len(rest) > 1 or any(len(part) != 4 for part in rest):
            continue
        if len(_own_names(locale)) >= MINIMUM_EXAMPLES * NAMES_PER_EXAMPLE:
            locales.setdefault(normalise("-".join([language, *rest])), locale)
    return locales


@cache
def _own_names(locale: str) -> tuple[str, ...]:
    """Return the distinct names in a Babel locale that are not inherited, without codes and without English names."""
    foreign = set() if locale == "en" else _english()
    names = dict.fromkeys(
        name
        for code, name in _entries(locale)
        if name != code and name not in foreign and any(letter.isalpha() for letter in name)
    )
    return tuple(names)


@cache
def _english() -> frozenset[str]:
    return frozenset(name for source in ("root", "en") for _, name in _entries(source))


def _entries(locale: str) -> Iterator[tuple[str, str]]:
    """Yield (code, name) of every display name of the locale that is not inherited."""
    from babel import localedata

    data: dict[str, Any] = localedata.load(locale, merge_inherited=False)
    for category in ("territories", "languages", "scripts", "currency_names"):
        yield from sorted((str(k), str(v)) for k, v in data.get(category, {}).items())
    for code, unit in sorted(data.get("unit_patterns", {}).items()):
        pattern = unit.get("long", {}).get("other") if isinstance(unit.get("long"), dict) else None
        if isinstance(pattern, str):
            # A unit is a phrase with a number. The number is arbitrary and depends only on the code.
            yield code, pattern.replace("{0}", str(2 + len(code)))
    for category in ("months", "days"):
        for context in ("format", "stand-alone"):
            wide = data.get(category, {}).get(context, {}).get("wide")
            if isinstance(wide, dict):
                yield from ((str(k), str(v)) for k, v in sorted(wide.items()))


def _enumerations(locale: str, names: tuple[str, ...]) -> Iterator[str]:
    """Yield distinct enumerations of three names, joined by the list pattern of the locale ("A, B na C")."""
    from babel import Locale

    # A few locales have no list pattern, not even an inherited one; a comma is used for them.
    pattern = Locale.parse(locale).list_patterns.get("standard", {})
    start, end = pattern.get("start", "{0}, {1}"), pattern.get("end", "{0}, {1}")
    seen: set[str] = set()
    for order in range(ROUNDS):
        shuffled = np.random.Generator(np.random.PCG64(order)).permutation(len(names))
        for at in range(0, len(names) - NAMES_PER_EXAMPLE + 1, NAMES_PER_EXAMPLE):
            first, second, third = (names[i] for i in shuffled[at : at + NAMES_PER_EXAMPLE])
            text = start.format(first, end.format(second, third))
            if text not in seen:
                seen.add(text)
                yield text
