"""Languages of the labels of tables: codes, names in English, names in the language itself.

:func:`read_labels` finds the language of every label of a table, and reports names, ambiguous labels, and names of
summary lines, so that nothing is matched without a note.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from xsns_stream.errors import LanguageError
from xsns_stream.languages import code_or_none, normalise

if TYPE_CHECKING:
    from langcodes import Language

#: Names of summary lines and columns that are also codes of languages (`max` is North Moluccan Malay).
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
#: Names of summary lines and columns. Some of them are also names of languages (Sum, Median).
_SUMMARIES: Final = frozenset(
    {"all", "average", "avg", "count", "max", "mean", "median", "min", "mixed", "other", "std", "sum", "test", "total"}
)


@dataclass(frozen=True)
class Labels:
    """The languages of the labels of a table.

    Attributes:
        codes: {label: its normalised code}; None if the label is ambiguous, or neither a code nor the name of a
            language.
        by_name: {label: code} of the labels that were matched by name.
        ambiguous: {label: (the label as a code, the code of the language with this name)} where the two differ, and
            other labels of the table are names.
        summaries: {label: the label as a code} of names of summary lines and columns, such as `max`.
    """

    codes: Mapping[str, str | None]
    by_name: Mapping[str, str]
    ambiguous: Mapping[str, tuple[str, str]]
    summaries: Mapping[str, str] = field(default_factory=dict)


def read_labels(labels: Iterable[str], rename: Mapping[str, str] | None = None) -> Labels:
    """Find the language of each label.

    A label is read as a code first, and as a name second. Where some labels of the table can only be names, a label
    that is both a code and the name of another language (`Ga` is the language gaa, and the code of Irish) is ambiguous.
    The name of a summary line (`max`, `min`, `sum`, `std`, `all` …) is a language only if `rename` contains it.

    Args:
        labels: The labels of a table.
        rename: {label: its code}; these labels are not looked up.

    Raises:
        LanguageError: A new name is not the code of a language.
    """
    renamed = {label: normalise(code) for label, code in (rename or {}).items()}
    codes: dict[str, str | None] = {}
    by_name: dict[str, str] = {}
    summaries: dict[str, str] = {}
    for label in dict.fromkeys(labels):
        code = renamed.get(label) or code_or_none(label)
        if code is None and (named := code_of_name(label)) is not None:
            code = by_name[label] = named
        if code is not None and label not in renamed and label.strip().lower() in SUMMARY_CODES:
            summaries[label] = code
            code = None
        codes[label] = code
    ambiguous: dict[str, tuple[str, str]] = {}
    if by_name:
        for label, code in codes.items():
            # A code in lower case is meant as a code.
            if code is None or label in renamed or label in by_name or label == label.lower():
                continue
            other = code_of_name(label)
            if other is not None and other != code:
                ambiguous[label] = (code, other)
    return Labels(codes | dict.fromkeys(ambiguous), by_name, ambiguous, summaries)


def code_of_name(name: str) -> str | None:
    """Return the code of the language with this name, in English or in the language itself; None for other names.

    >>> code_of_name("Mandarin Chinese"), code_of_name("Kiswahili"), code_of_name("average")
    ('zh', 'sw', None)
    """
    text = " ".join(name.split())
    if not text or text.lower() in _SUMMARIES:
        return None
    for spelling in (text, text.removesuffix(" language")):
        if (english := _named(spelling, "en")) is not None:
            return _normal(english)
        language = _named(spelling, "und")
        # Only a language's own name, and English names with brackets, are certain.
        if language is not None and spelling.casefold() in {
            language.autonym().casefold(),
            language.display_name("en").casefold(),
        }:
            return _normal(language)
    return None


def _named(name: str, spoken: str) -> Language | None:
    """Return the language of exactly this name, in the language `spoken`; None for other names."""
    import langcodes
    from language_data import names

    with suppress(LookupError):
        language = langcodes.find(name, language=spoken)
        # langcodes also matches a name at the beginning of the text: German for `Germanic`.
        if names.normalize_name(name) in names.TRIES[f"{spoken}/name_to_language"]:
            return language
    return None


def _normal(language: Language) -> str | None:
    """Return the normalised code, without the region `the world`."""
    tag = str(language)
    with suppress(LanguageError):
        return normalise(tag.removesuffix("-001"))
    return None
