"""Identification of the languages that the labels of a table name.

A label may be a code, an English name or a native name. A name may be followed by a code (`Swahili (sw)`), a script or
country (`Chinese (Traditional)`), or a footnote mark (`Swahili*`). :func:`read_labels` finds the language of every
label of a table. It also reports labels that it matched by name, ambiguous labels, and names of summary lines, for
notes to the user.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import Final

from xsns_stream.languages import (
    code_of_language,
    code_of_name,
    code_or_none,
    language_name,
    named_language,
    normalise,
    same_main_language,
)

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
#: Names of lines and columns of means and totals, none of which is the code of a language.
_MEANS: Final = frozenset(
    {"average", "averages", "avg", "avrg", "mean", "means", "median", "overall", "durchschnitt", "mittelwert"}
    | {"moyenne", "promedio", "média", "gemiddelde", "среднее", "平均", "ø", "total", "totals", "subtotal"}
)
#: Words that may stand before or after the name of a mean: `macro average`, `avg. (all)`, `avg w/o en`.
_BESIDE_MEANS: Final = frozenset(
    {
        "macro",
        "micro",
        "row",
        "column",
        "col",
        "all",
        "over",
        "languages",
        "score",
        "the",
        "grand",
        "of",
        "zero",
        "shot",
    }
    | {"w", "o", "without", "excl", "excluding", "except", "non", "en", "eng", "english", "source", "self", "diagonal"}
)
#: Words that name a trivial answer, which needs no model, and words that may stand beside them.
_TRIVIAL: Final = frozenset({"majority", "frequent", "trivial", "chance", "random"})
_BESIDE_TRIVIAL: Final = frozenset(
    {"most", "class", "label", "tag", "baseline", "answer", "level", "guess", "guessing"}
)
#: Footnote marks after a label, and characters without width.
_MARKS: Final = re.compile(r"[\s*∗⋆†‡§¶⁰¹²³⁴⁵⁶⁷⁸⁹ᵃᵇᶜᵈᵉ]+$")
_NO_WIDTH: Final = re.compile("[\u200b\u200c\u200d\u2060\ufeff]")
#: A name with something in brackets: `Swahili (sw)`, `zh [Chinese]`.
_BRACKETS: Final = re.compile(r"(.+?)\s*[(\[]([^()\[\]]+)[)\]]")
_CANDIDATES: Final = 3
_SHORTEST_NAME: Final = 4
#: Languages whose names for languages are looked up if all labels without a code are names in the same language.
_SPOKEN: Final = (
    "de",
    "fr",
    "es",
    "pt",
    "it",
    "nl",
    "ru",
    "zh",
    "ja",
    "ko",
    "ar",
    "tr",
    "pl",
    "id",
    "sv",
    "cs",
    "fa",
    "hi",
)


@dataclass(frozen=True)
class Labels:
    """The languages of the labels of a table.

    Attributes:
        codes: {label: its normalised code}; None if the label is ambiguous, or neither a code nor the name of a
            language.
        by_name: {label: code} of the labels that were matched by name.
        ambiguous: {label: (one code, another code)} of labels with two meanings. Such a label is the code of one
            language and the name of another, in a table that also contains names; or it is the name of one language
            followed by another language in brackets.
        summaries: {label: the language code with the same spelling} of labels that name summary lines or columns, such
            as `max`.
    """

    codes: Mapping[str, str | None]
    by_name: Mapping[str, str]
    ambiguous: Mapping[str, tuple[str, str]]
    summaries: Mapping[str, str] = field(default_factory=dict)


def read_labels(labels: Iterable[str], rename: Mapping[str, str] | None = None) -> Labels:
    """Find the language of each label.

    A label is read as a code; if it is not a code, it is read as a name. If some labels of the table can only be names,
    a label that is both a code and the name of another language (`Ga` is the language gaa, and the code of Irish) is
    ambiguous. The name of a summary line (`max`, `min`, `sum`, `std`, `all` …) is read as a language only if `rename`
    contains it.

    Args:
        labels: The labels of a table.
        rename: {label: its code}; these labels are not looked up.

    Raises:
        LanguageError: A code in `rename` is not the code of a language.
    """
    renamed = {label: normalise(code) for label, code in (rename or {}).items()}
    codes: dict[str, str | None] = {}
    by_name: dict[str, str] = {}
    summaries: dict[str, str] = {}
    ambiguous: dict[str, tuple[str, str]] = {}
    for label in dict.fromkeys(labels):
        code = renamed.get(label) or code_or_none(label)
        if code is None:
            found = _languages_of_name(label)
            if len(found) == 1:
                code = by_name[label] = found[0]
            elif found:
                ambiguous[label] = (found[0], found[1])
        if code is not None and label not in renamed and label.strip().lower() in SUMMARY_CODES:
            summaries[label] = code
            code = None
        codes[label] = code
    unknown = [label for label, code in codes.items() if code is None and label not in {**ambiguous, **summaries}]
    translated = _names_in_one_language([label for label in unknown if not is_mean(label)])
    codes |= translated
    by_name |= translated
    if by_name:
        ambiguous |= _codes_among_names(codes, {*renamed, *by_name})
    return Labels(codes | dict.fromkeys(ambiguous), by_name, ambiguous, summaries)


def _codes_among_names(codes: Mapping[str, str | None], certain: set[str]) -> dict[str, tuple[str, str]]:
    """Return {label: (as a code, as a name)} of labels that are the code of one language and the name of another.

    Args:
        codes: {label: its normalised code, or None}.
        certain: Labels that cannot be ambiguous.
    """
    ambiguous = {}
    for label, code in codes.items():
        # A label in lower case that is a code is read as a code.
        if code is None or label in certain or label == label.lower():
            continue
        other = code_of_name(label)
        if other is not None and other != code:
            ambiguous[label] = (code, other)
    return ambiguous


def is_mean(label: str) -> bool:
    """Return whether a label is the name of a line or column of means or totals, such as `Average` or `macro avg.`.

    >>> is_mean("Avg."), is_mean("macro average"), is_mean("max"), is_mean("Meänkieli")
    (True, True, False, False)
    """
    words = re.findall(r"[^\W\d_]+", label.casefold())
    return any(word in _MEANS for word in words) and all(word in _MEANS | _BESIDE_MEANS for word in words)


def is_trivial_answer(label: str) -> bool:
    """Return whether a label is the name of an answer that needs no model, such as `Majority class` or `chance`."""
    words = re.findall(r"[^\W\d_]+", label.casefold())
    return any(word in _TRIVIAL for word in words) and all(word in _TRIVIAL | _BESIDE_TRIVIAL for word in words)


def language_of(label: str) -> str | None:
    """Return the code of the language that a label names by code or by name; None if it names no language, or several.

    Args:
        label: A label of a table. Other labels of the table are not taken into account, unlike in :func:`read_labels`.
    """
    if (code := code_or_none(label)) is not None:
        return None if label.strip().lower() in SUMMARY_CODES else code
    found = _languages_of_name(label)
    return found[0] if len(found) == 1 else None


@lru_cache(maxsize=4096)
def _languages_of_name(label: str) -> tuple[str, ...]:
    """Return the code of the language that a label names; two codes for two languages; an empty tuple for none."""
    text = _MARKS.sub("", _NO_WIDTH.sub("", label))
    as_code = code_or_none(text) if text != label else None
    # `en*` is the code of English with a mark, and not the language En.
    certain = as_code if text in (text.lower(), text.upper()) else None
    if (code := certain or code_of_name(text) or as_code) is not None:
        return (code,)
    match = _BRACKETS.fullmatch(text)
    if match is None:
        return ()
    outer, inner = (code_or_none(part) or code_of_name(part) for part in match.groups())
    # `Serbian (Latin)` is Serbian, although Latin is also a language.
    if outer is not None and (qualified := _with_script_or_country(outer, match[2])) is not None:
        return (qualified,)
    if outer is None or inner is None:
        # The text in brackets counts alone only if it is a code, as in `Swahly (sw)`.
        code = outer if inner is None else code_or_none(match[2])
        return (code,) if code is not None and (inner is not None or match[2].strip().isdecimal()) else ()
    return (inner,) if same_main_language(outer, inner) else (outer, inner)


def _with_script_or_country(code: str, name: str) -> str | None:
    """Return `code` with the script or the country that `name` states; None if `name` states neither."""
    from babel import Locale

    english = Locale("en")
    word = name.strip().casefold().removesuffix(" script").removesuffix(" han")
    for subtags in (english.scripts, english.territories):
        for subtag, known in subtags.items():
            if word == known.casefold().removesuffix(" han") or name.strip() == subtag:
                return code_or_none(f"{code}-{subtag}")
    return None


def _names_in_one_language(labels: Sequence[str]) -> dict[str, str]:
    """Return {label: code} if every label is the name of a language in German, or every label in French, and so on.

    If the labels are names in several of these languages, all of them must give the same codes; otherwise the result
    is empty.
    """
    readings = []
    for spoken in _SPOKEN if labels else ():
        found = {label: named_language(_MARKS.sub("", label), spoken) for label in labels}
        codes = {label: code_of_language(language) for label, language in found.items() if language is not None}
        complete = {label: code for label, code in codes.items() if code is not None}
        if len(complete) == len(labels):
            readings.append(complete)
    return readings[0] if readings and all(reading == readings[0] for reading in readings) else {}


def candidates(label: str) -> tuple[str, ...]:
    """Return at most three codes of languages whose English names look like a label, the most similar one first.

    >>> candidates("Swahly"), candidates("Sorbian")
    (('sw',), ('dsb', 'hsb'))
    """
    from language_data import names

    text = names.normalize_name(_MARKS.sub("", label))
    if len(text) < _SHORTEST_NAME:
        return ()
    named_language(text, "en")
    every = list(names.TRIES["en/name_to_language"].keys())
    with_word = [name for name in every if text in name.split()]
    near = [] if with_word else get_close_matches(text, every, n=_CANDIDATES, cutoff=0.75)
    # Groups of languages, such as the Germanic languages, have codes too.
    single = (name for name in (*with_word, *near) if not name.endswith("languages"))
    codes = (code for name in single if (code := code_of_name(name)) is not None)
    return tuple(dict.fromkeys(code for code in codes if "languages" not in language_name(code)))[:_CANDIDATES]


def described(code: str) -> str:
    """Return a code and its English name, such as `hsb (Upper Sorbian)`."""
    return f"{code} ({language_name(code)})"
