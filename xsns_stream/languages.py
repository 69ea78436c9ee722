"""Language codes: one spelling for each language, whatever a file or a user calls it.

Everything that comes in from outside goes through :func:`normalise`, so that `swa`, `swh_Latn` and `sw` are
one label wherever scores, texts and sub-networks are joined. Importing this module costs nothing: the library
`langcodes` is loaded by the first call.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from xsns_stream.errors import LanguageError

if TYPE_CHECKING:
    from langcodes import Language


# A code may become part of a label, an array's path or a message; nothing but these characters gets there.
_SAFE: Final = re.compile(r"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*")
_SUGGESTIONS: Final = 3
#: Between the languages of a source that is a mixture; no part of any code.
PLUS: Final = "+"
#: What texts and scores call Norwegian is Bokmål, unless they say otherwise.
_CALLED: Final = {"nb": "no"}
_WRITING_HINT: Final = "write it as BCP 47 does: 'sw', 'zh-Hant', 'pt-BR' (ISO 639-3 codes as 'swa' will do)."


@lru_cache(maxsize=4096)
def normalise(code: str) -> str:
    """Return the BCP 47 form of a language code.

    The shortest language code is taken and the main language stands for its macrolanguage (`swh` and `swa` →
    `sw`, `arb` → `ar`, `cmn` → `zh`, `ekk` → `et`; `yue` and `nb` stay). A region is kept. A script is kept
    where it tells something: it is dropped where it is the one that the language is written in (`swh_Latn` →
    `sw`), unless Unicode CLDR has locales of the language in this script and in others (`sr-Cyrl`, `zh-Hans`
    stay).

    Args:
        code: ISO 639-1, -2 or -3 or BCP 47, in any case, with `-` or `_`.

    Raises:
        LanguageError: It is not the code of a language.
    """
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    text = code.strip()
    if not _SAFE.fullmatch(text):
        raise LanguageError(f"'{code}' is not a language code.", _WRITING_HINT)
    try:
        language = langcodes.Language.get(langcodes.standardize_tag(text, macro=True))
    except LanguageTagError:
        raise LanguageError(f"'{code}' is not a language code.", _WRITING_HINT) from None
    # An extended subtag that standardising left in place is none: `en-src`, `de-gsd` are names of files.
    if language.extlangs or not _registered(language):
        raise LanguageError(f"'{code}' is not a language code.", _WRITING_HINT)
    return str(_without_plain_script(language))


def code_or_none(text: str) -> str | None:
    """Return the normalised code of a language; None where `text` is not a language code."""
    try:
        return normalise(text)
    except LanguageError:
        return None


def _registered(language: Language) -> bool:
    """Say whether the language exists, by IANA's registry or, for newer codes, by CLDR."""
    import langcodes
    from babel import Locale

    if not (language.language or "").isalpha():
        return False
    if language.is_valid():
        return True
    rest = {key: value for key, value in language.to_dict().items() if key != "language"}
    return language.language in Locale("en").languages and bool(langcodes.Language.make(**rest).is_valid())


def _without_plain_script(language: Language) -> Language:
    """Return `language` without its script where that is the only customary one."""
    import langcodes

    if not language.script:
        return language
    in_cldr = _scripts_in_cldr().get(language.language or "", frozenset())
    unscripted = {key: value for key, value in language.to_dict().items() if key != "script"}
    usual = langcodes.Language.make(**unscripted).maximize().script
    # CLDR says Kore, Hangul with Han, for Korean; corpora say Hang.
    plain = language.script == usual or (language.script, usual) == ("Hang", "Kore")
    if not plain or (language.script in in_cldr and len(in_cldr) > 1):
        return language
    return langcodes.Language.make(**unscripted)


@lru_cache(maxsize=1)
def _scripts_in_cldr() -> dict[str, frozenset[str]]:
    """Return {language: the scripts that the names of its CLDR locales mention}, as Babel ships them."""
    from babel.localedata import locale_identifiers

    found: dict[str, set[str]] = {}
    for locale in locale_identifiers():
        language, *rest = locale.split("_")
        if rest and len(rest[0]) == 4:
            found.setdefault(language, set()).add(rest[0])
    return {language: frozenset(scripts) for language, scripts in found.items()}


def language_name(code: str) -> str:
    """Return the English name of a language, as `Swahili` or `Chinese (Traditional)`.

    Raises:
        LanguageError: `code` is not the code of a language.
    """
    import langcodes

    return str(langcodes.Language.get(normalise(code)).display_name())


def _shown_name(code: str) -> str:
    """Return the English name, or the label itself where a table or a store has labels of its own."""
    try:
        return language_name(code)
    except LanguageError:
        return code


def near_misses(code: str, known: Sequence[str]) -> list[str]:
    """Return the at most three codes of `known` that `code` may have meant, likeliest first.

    First come the same language in other spelling or script, a language of that name (`swahili`) and the main
    language of a country of that code (`se` → `sv`); only where there is none of these, codes and names that
    look alike.
    """
    word = code.strip().lower()
    meant = dict.fromkeys(_meant(word))
    sure = [k for language in meant for k in known if k.split("-")[0] == language]
    candidates = dict.fromkeys(sure or _alike(word, known))
    return [k for k in candidates if k != code][:_SUGGESTIONS]


def _meant(word: str) -> Iterator[str]:
    """Yield the primary languages that `word` is a code, a name or a country of."""
    import langcodes
    from babel.core import get_global

    with suppress(LanguageError):
        yield normalise(word).split("-")[0]
    with suppress(LookupError):
        yield normalise(str(langcodes.find(word))).split("-")[0]
    if likely := get_global("likely_subtags").get(f"und_{word.upper()}"):
        yield likely.split("_")[0]


def _alike(word: str, known: Sequence[str]) -> Iterator[str]:
    """Yield the codes of `known` that look like `word`, or whose names do."""
    yield from get_close_matches(word, known, n=_SUGGESTIONS, cutoff=0.6)
    if len(word) > 3:
        names = {_shown_name(k).lower(): k for k in known}
        yield from (names[name] for name in get_close_matches(word, names, n=_SUGGESTIONS, cutoff=0.7))


def select(asked: Sequence[str], known: Sequence[str], where: str = "the corpus") -> tuple[str, ...]:
    """Return the codes of `known` that were asked for, each once, in the order of asking.

    Args:
        asked: What `--lang` was given, once or repeatedly: codes, lists of codes with commas, or `all`.
        known: Normalised codes to choose from; `all` takes them in this order.
        where: What `known` belongs to, for the message.

    Raises:
        LanguageError: Nothing was asked for, or a language is not in `known`.
    """
    words = [word.strip() for item in asked for word in item.split(",") if word.strip()]
    if not words:
        raise LanguageError("no language was asked for.", "give codes as `sw,en`, or `all`.")
    chosen: dict[str, None] = {}
    missing: dict[str, None] = {}
    for word in words:
        if word == "all":
            continue
        code = _find(word, known)
        if code is None:
            missing[word] = None
        else:
            chosen[code] = None
    if missing:
        raise _no_language(tuple(missing), known, where)
    # A misspelt code beside `all` is no less a mistake.
    return tuple(known) if "all" in words else tuple(chosen)


def pick(code: str, known: Sequence[str], where: str = "the corpus") -> str:
    """Return the code of `known` that `code` spells.

    Raises:
        LanguageError: It is not in `known`.
    """
    found = _find(code, known)
    if found is None:
        raise _no_language((code,), known, where)
    return found


def counterparts(wanted: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Return {code of `wanted`: the code of `known` that means the same language}, for those that have one.

    A code that is in `known` is its own counterpart. Otherwise it is the one code of the same main language that no
    other code of `wanted` has (`zh` → `zh-Hani`); of several, the one in the same customary script and region (`zh` →
    `zh-Hans`, `pt` → `pt-BR`). Two of `wanted` never share a counterpart: two languages must not look like one.
    """
    there = frozenset(known)
    found = {code: code for code in wanted if code in there}
    free = [code for code in known if code not in found]
    claims: dict[str, list[str]] = {}
    for code in dict.fromkeys(wanted):
        if code not in found and (other := _same_language(code, free)) is not None:
            claims.setdefault(other, []).append(code)
    for other, claimants in claims.items():
        winner = claimants[0] if len(claimants) == 1 else _same_language(other, claimants)
        if winner is not None:
            found[winner] = other
    return found


def _same_language(code: str, known: Sequence[str]) -> str | None:
    """Return the only code of the same main language, or the only one that is the same once all is spelt out."""
    alike = [other for other in known if _main(other) == _main(code)]
    if len(alike) > 1:
        alike = [other for other in alike if _spelt_out(other) == _spelt_out(code)]
    return alike[0] if len(alike) == 1 else None


def mixture(codes: Iterable[str]) -> str:
    """Return the name of a source of several languages.

    >>> mixture(["pt", "es", "it"])
    'es+it+pt'
    """
    return PLUS.join(sorted(codes))


def constituents(source: str) -> tuple[str, ...]:
    """Return the languages of a source: of a mixture all, of another itself.

    >>> constituents("es+it+pt"), constituents("sw")
    (('es', 'it', 'pt'), ('sw',))
    """
    return tuple(source.split(PLUS))


def same_language(one: str, other: str) -> bool:
    """Say whether two codes mean one language in one script and region, as `zh` and `zh-Hans`, `no` and `nb`."""
    return one == other or (_main(one) == _main(other) and _spelt_out(one) == _spelt_out(other))


def _main(code: str) -> str:
    """Return the main language of a code."""
    language = code.split("-", maxsplit=1)[0]
    return _CALLED.get(language, language)


@lru_cache(maxsize=4096)
def _spelt_out(code: str) -> str:
    """Return language, script and region, the customary ones where the code has none; other labels as they are."""
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    _, hyphen, rest = code.partition("-")
    try:
        return str(langcodes.Language.get(f"{_main(code)}{hyphen}{rest}").maximize())
    except LanguageTagError:
        return code


def _find(word: str, known: Sequence[str]) -> str | None:
    if word in known:
        return word
    code = code_or_none(word)
    return code if code in known else None


def _no_language(missing: tuple[str, ...], known: Sequence[str], where: str) -> LanguageError:
    """Return the error for languages that are not there, with what they may have meant."""
    near = dict.fromkeys(match for word in missing for match in near_misses(word, known))
    if near:
        hint = "did you mean " + ", ".join(f"'{k}' ({_shown_name(k)})" for k in near) + "?"
    elif known:
        shown = ", ".join(known[:20])
        hint = f"it has {shown}{' …' if len(known) > 20 else ''}."
    else:
        hint = "it has no language at all."
    quoted = ", ".join(f"'{word}'" for word in missing)
    return LanguageError(f"no language {quoted} in {where}.", hint)


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
