"""Languages by name: `English`, `Mandarin Chinese`, `Kiswahili` → codes.

Labels of tables are codes or names. Names are those that langcodes knows in English, and each language's own.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xsns_stream.errors import LanguageError
from xsns_stream.languages import normalise

if TYPE_CHECKING:
    from langcodes import Language

#: Words that head a line or a column of a summary, and that are codes of languages too (`max` is North Moluccan Malay).
SUMMARY_CODES: Final = frozenset(
    {
        "all",
        "ave",
        "cnt",
        "col",
        "dev",
        "dif",
        "err",
        "max",
        "med",
        "min",
        "num",
        "row",
        "src",
        "std",
        "sum",
        "tot",
        "var",
    }
)
#: Words that head a line or a column of a summary. Some of them are names of languages too (Sum, Median).
_SUMMARIES: Final = frozenset(
    {"all", "average", "avg", "count", "max", "mean", "median", "min", "mixed", "other", "std", "sum", "test", "total"}
)


@dataclass(frozen=True)
class Labels:
    """What the labels of a table stand for.

    Attributes:
        codes: {label: its normalised code}, None where it is neither a code nor the name of a language, and where it
            is ambiguous.
        by_name: {label: code} of those that were matched by name.
        ambiguous: {label: (the code that it is, the code of the language of this name)} where the two differ and other
            labels of the table are names.
        summaries: {label: the code that it is} of words that head a line or a column of a summary, as `max`.
    """

    codes: Mapping[str, str | None]
    by_name: Mapping[str, str]
    ambiguous: Mapping[str, tuple[str, str]]
    summaries: Mapping[str, str] = field(default_factory=dict)


def read_labels(labels: Iterable[str], rename: Mapping[str, str] | None = None) -> Labels:
    """Find the language of each label.

    A code is taken before a name. Where some labels of the table can only be names, a label that is a code as well as
    the name of another language (`Ga`, the language gaa, and the code of Irish) is ambiguous. A word that heads lines
    of summaries (`max`, `min`, `sum`, `std`, `all` …) is none before `rename` says that the language is meant.

    Args:
        labels: As they stand in a table.
        rename: {label: what it shall be called}; these are not looked up.

    Raises:
        LanguageError: What a label shall be called is no code.
    """
    renamed = {label: normalise(code) for label, code in (rename or {}).items()}
    codes: dict[str, str | None] = {}
    by_name: dict[str, str] = {}
    summaries: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        code = renamed.get(label) or _code(label)
        if code is None and (named := code_of_name(label)) is not None:
            code = by_name[label] = named
        if code is not None and label not in renamed and label.strip().lower() in SUMMARY_CODES:
            summaries[label] = code
            code = None
        codes[label] = code
    ambiguous: dict[str, tuple[str, str]] = {}
    if by_name:
        for label, code in codes.items():
            # A code in small letters is written as a code.
            if code is None or label in renamed or label in by_name or label == label.lower():
                continue
            other = code_of_name(label)
            if other is not None and other != code:
                ambiguous[label] = (code, other)
    return Labels(codes | dict.fromkeys(ambiguous), by_name, ambiguous, summaries)


def code_of_name(name: str) -> str | None:
    """Return the code of the language that has this name, in English or in the language itself; None for no such name.

    >>> code_of_name("Mandarin Chinese"), code_of_name("Kiswahili"), code_of_name("average")
    ('zh', 'sw', None)
    """
    text = " ".join(name.split())
    if not text or text.lower() in _SUMMARIES:
        return None
    for spelling in (text, text.removesuffix(" language")):
        if (english := _named(spelling, "en")) is not None:
            return _normal(english)
        found = _named(spelling, "und")
        # A name in any language: only the language's own, and English with brackets, are certain.
        if found is not None and spelling.casefold() in {
            found.autonym().casefold(),
            found.display_name("en").casefold(),
        }:
            return _normal(found)
    return None


def _named(name: str, spoken: str) -> Language | None:
    """Return the language of exactly this name in the language `spoken`; None for no such name."""
    import langcodes
    from language_data import names

    with suppress(LookupError):
        found = langcodes.find(name, language=spoken)
        # langcodes also takes a name that only begins the text: German for `Germanic`.
        if names.normalize_name(name) in names.TRIES[f"{spoken}/name_to_language"]:
            return found
    return None


def _normal(language: Language) -> str | None:
    """Return the normalised code; `the world` is no region."""
    tag = str(language)
    with suppress(LanguageError):
        return normalise(tag.removesuffix("-001"))
    return None


def _code(label: str) -> str | None:
    try:
        return normalise(label)
    except LanguageError:
        return None
