"""Language codes and names, with one normalised code for each language.

All codes of files and users are converted by :func:`normalise`: `swa`, `swh_Latn` and `sw` are the same label in
scores, texts and sub-networks. Importing this module is fast, because the library `langcodes` is loaded only at the
first call.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from xsns_stream.errors import LanguageError

if TYPE_CHECKING:
    from langcodes import Language


# Other characters are refused, because a code may become part of a label, of the path of an array, or of a message.
_SAFE: Final = re.compile(r"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*")
_SUGGESTIONS: Final = 3
#: Pattern of a label, which is not normalised and need not be a code: `aka_Latn`, `sw.1`, `sw_news`, `qaa-x-mine`. A
#: label may become the name of a file. It contains no comma, because commas separate the labels of a list, and no plus
#: sign, because plus signs separate the languages of a mixture.
_LABEL: Final = re.compile(r"[A-Za-z0-9]+(?:[-_.][A-Za-z0-9]+)*")
#: Maximum length of a label, in characters.
LONGEST_LABEL: Final = 64
#: Separator of the languages of a mixture, which no code contains.
PLUS: Final = "+"
#: Names of summary lines and columns. Some of them are also names of languages (Sum, Median).
_SUMMARIES: Final = frozenset(
    {"all", "average", "avg", "count", "max", "mean", "median", "min", "mixed", "other", "std", "sum", "test", "total"}
)
#: Code of a language → code that texts and scores use for it: text that is called Norwegian (`no`) is Bokmål (`nb`).
_USUAL_CODE: Final = {"nb": "no"}
_WRITING_HINT: Final = "write a BCP 47 code: 'sw', 'zh-Hant', 'pt-BR' (or an ISO 639-3 code such as 'swa')."


@lru_cache(maxsize=4096)
def normalise(code: str) -> str:
    """Return the BCP 47 form of a language code.

    The shortest language code is used. The main language of a macrolanguage gets the code of the macrolanguage (`swh`
    and `swa` → `sw`, `arb` → `ar`, `cmn` → `zh`, `ekk` → `et`); other members keep their codes (`yue`, `nb`). A region
    is kept. The usual script of the language is removed (`swh_Latn` → `sw`), unless Unicode CLDR has locales of the
    language in this script and in others (`sr-Cyrl`, `zh-Hans` are kept). Unusual scripts are kept.

    Args:
        code: ISO 639-1, -2 or -3 or BCP 47, in any case, with `-` or `_`.

    Raises:
        LanguageError: `code` is not the code of a language.
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
    # An extended subtag that standardising leaves in place is not valid: `en-src`, `de-gsd` are names of files.
    if language.extlangs or not _registered(language):
        raise LanguageError(f"'{code}' is not a language code.", _WRITING_HINT)
    return str(_without_plain_script(language))


def is_label(text: str) -> bool:
    """Return whether a text can be the label of a row: letters and digits, with single `-`, `_` or `.` between them.

    >>> is_label("aka_Latn"), is_label("sw.1"), is_label("../sw"), is_label("Bokmål")
    (True, True, False, False)
    """
    return len(text) <= LONGEST_LABEL and _LABEL.fullmatch(text) is not None


def code_or_none(text: str) -> str | None:
    """Return the normalised code of a language; None if `text` is not a language code."""
    try:
        return normalise(text)
    except LanguageError:
        return None


def _registered(language: Language) -> bool:
    """Return whether the language is in the registry of IANA or, for newer codes, in CLDR."""
    import langcodes
    from babel import Locale

    if not (language.language or "").isalpha():
        return False
    if language.is_valid():
        return True
    rest = {key: value for key, value in language.to_dict().items() if key != "language"}
    return language.language in Locale("en").languages and bool(langcodes.Language.make(**rest).is_valid())


def _without_plain_script(language: Language) -> Language:
    """Return `language` without its script if the language is usually written in this script only."""
    import langcodes

    if not language.script:
        return language
    in_cldr = _scripts_in_cldr().get(language.language or "", frozenset())
    unscripted = {key: value for key, value in language.to_dict().items() if key != "script"}
    usual = langcodes.Language.make(**unscripted).maximize().script
    # For Korean, CLDR has Kore (Hangul with Han), and corpora have Hang.
    plain = language.script == usual or (language.script, usual) == ("Hang", "Kore")
    if not plain or (language.script in in_cldr and len(in_cldr) > 1):
        return language
    return langcodes.Language.make(**unscripted)


@lru_cache(maxsize=1)
def _scripts_in_cldr() -> dict[str, frozenset[str]]:
    """Return {language: the scripts in the names of its CLDR locales}, from the data of Babel."""
    from babel.localedata import locale_identifiers

    scripts_of: dict[str, set[str]] = {}
    for locale in locale_identifiers():
        language, *rest = locale.split("_")
        if rest and len(rest[0]) == 4:
            scripts_of.setdefault(language, set()).add(rest[0])
    return {language: frozenset(scripts) for language, scripts in scripts_of.items()}


def language_name(code: str) -> str:
    """Return the English name of a language, such as `Swahili` or `Chinese (Traditional)`.

    Raises:
        LanguageError: `code` is not the code of a language.
    """
    import langcodes

    return str(langcodes.Language.get(normalise(code)).display_name())


@lru_cache(maxsize=4096)
def shown_name(label: str) -> str:
    """Return the English name of a language, or the label itself if it is not a language code.

    >>> shown_name("nan"), shown_name("my-own-corpus-7")
    ('Min Nan Chinese', 'my-own-corpus-7')
    """
    try:
        return language_name(label)
    except LanguageError:
        return label


def code_or_name(text: str) -> str:
    """Return the normalised code of a language that is given by a code or by its name.

    Raises:
        LanguageError: `text` is neither.
    """
    code = code_or_none(text)
    return code if code is not None else code_of_name(text) or normalise(text)


def code_of_name(name: str) -> str | None:
    """Return the code of the language with this name, in English or in the language itself; None for other names.

    >>> code_of_name("Mandarin Chinese"), code_of_name("Kiswahili"), code_of_name("Yorùbá"), code_of_name("average")
    ('zh', 'sw', 'yo', None)
    """
    text = " ".join(name.split())
    if not text or text.lower() in _SUMMARIES:
        return None
    # English names have no accents, but people write Yorùbá.
    plain = "".join(letter for letter in unicodedata.normalize("NFD", text) if not unicodedata.combining(letter))
    for spelling in dict.fromkeys((text, text.removesuffix(" language"), plain)):
        if (english := named_language(spelling, "en")) is not None:
            return code_of_language(english)
        language = named_language(spelling, "und")
        # Only a language's own name, and English names with brackets, are certain.
        if language is not None and spelling.casefold() in {
            language.autonym().casefold(),
            language.display_name("en").casefold(),
        }:
            return code_of_language(language)
    return None


def named_language(name: str, spoken: str) -> Language | None:
    """Return the language whose name in the language `spoken` is exactly `name`; None if there is none."""
    import langcodes
    from language_data import names

    with suppress(LookupError):
        language = langcodes.find(name, language=spoken)
        # langcodes also matches a name at the beginning of the text: German for `Germanic`.
        if names.normalize_name(name) in names.TRIES[f"{spoken}/name_to_language"]:
            return language
    return None


def code_of_language(language: Language) -> str | None:
    """Return the normalised code of a language, without the region 001 (the world); None if it has no code."""
    tag = str(language)
    with suppress(LanguageError):
        return normalise(tag.removesuffix("-001"))
    return None


def words_of_name(name: str) -> tuple[str, ...]:
    """Return the words of a name in a fixed order: `Chinese (Traditional)` equals `traditional_chinese`."""
    return tuple(sorted(re.findall(r"[^\W_]+", name.lower())))


def changed_language(written: str, code: str) -> str:
    """Return the end of a note if the normalised code and the written code name different languages.

    For example, the result for `tl` and `fil` is `is read as fil (Filipino)`. It is an empty string if both codes name
    the same language. Codes of different length for one language (`swa` → `sw`) name the same language. The main
    language of a macrolanguage also counts as the same language (`arb` → `ar`, since Standard Arabic is Arabic).
    """
    import langcodes

    given = langcodes.Language.get(written, normalize=False)
    before, after = (given.language or "").lower(), code.split("-", maxsplit=1)[0]
    if before == after:
        return ""
    target = langcodes.Language.get(after)
    if len(before) == 3 and _alpha3(given) == _alpha3(target):
        return ""
    names = given.language_name(), target.language_name()
    if len(before) == 3 and set(words_of_name(names[1])) <= set(words_of_name(names[0])):
        return ""
    return f"is read as {code} ({language_name(code)})"


def _alpha3(language: object) -> str:
    try:
        return str(language.to_alpha3())  # type: ignore[attr-defined]
    except LookupError:
        return ""


def near_misses(code: str, known: Sequence[str]) -> list[str]:
    """Return at most three codes of `known` for a misspelt or ambiguous `code`, the most likely one first.

    Candidates are the same language in another spelling or script, a language of that name (`swahili`), and the main
    language of a country with that code (`se` → `sv`). Codes and names that look similar are
    returned only if there are no other candidates.
    """
    word = code.strip().lower()
    meanings = dict.fromkeys(_possible_languages(word))
    certain = [k for language in meanings for k in known if _main(k) == language]
    candidates = dict.fromkeys(certain or _similar(word, known))
    return [k for k in candidates if k != code][:_SUGGESTIONS]


def _possible_languages(word: str) -> Iterator[str]:
    """Yield the primary languages that `word` may mean, as the code or name of a language or of a country."""
    import langcodes
    from babel.core import get_global

    with suppress(LanguageError):
        yield normalise(word).split("-")[0]
    with suppress(LookupError):
        yield normalise(str(langcodes.find(word))).split("-")[0]
    if likely := get_global("likely_subtags").get(f"und_{word.upper()}"):
        yield likely.split("_")[0]


def _similar(word: str, known: Sequence[str]) -> Iterator[str]:
    """Yield the codes of `known` that look like `word`, or whose names look like it."""
    yield from get_close_matches(word, known, n=_SUGGESTIONS, cutoff=0.6)
    if len(word) > 3:
        names = {shown_name(k).lower(): k for k in known}
        yield from (names[name] for name in get_close_matches(word, names, n=_SUGGESTIONS, cutoff=0.7))


def select(
    wanted: Sequence[str], known: Sequence[str], where: str = "the corpus", note: Callable[[str], None] | None = None
) -> tuple[str, ...]:
    """Return the selected codes of `known`, without duplicates, in the order of `wanted`.

    Args:
        wanted: The values of `--lang`: codes, lists of codes with commas, or `all`.
        known: Normalised codes to select from; `all` selects all of them, in this order.
        where: Phrase for messages that says where the languages are looked up, such as `the corpus ntrex`.
        note: Function that is called with sentences for the user. If it is given, a language that is not in `known` is
            matched with the only code of `known` for the same language (`en-GB` for `en`, `sw` for `sw-KE`), and may
            also be given by its name (`Swahili`); a sentence reports each such match. Two codes with different scripts
            never match. A code that normalisation changes to another language (`tl` → `fil`) is reported too.

    Raises:
        LanguageError: `wanted` is empty, or an item is not a string, or a language is not in `known`.
    """
    for item in wanted:
        require_string(item)
    words = [word.strip() for item in wanted for word in item.split(",") if word.strip()]
    if not words:
        raise LanguageError("no language was requested.", "give codes such as `sw,en`, or `all`.")
    found = {word: code for word in dict.fromkeys(words) if word != "all" and (code := _find(word, known)) is not None}
    for word, code in found.items():
        if note is not None and word not in known and (changed := changed_language(word, code)):
            note(f"'{word}' {changed}.")
    missing = tuple(word for word in dict.fromkeys(words) if word != "all" and word not in found)
    if missing and note is not None:
        others = _under_other_codes(missing, [code for code in known if code not in found.values()])
        for word, code in others.items():
            note(f"{where} has no '{word}': '{code}' ({shown_name(code)}) is used instead.")
        found |= others
        missing = tuple(word for word in missing if word not in found)
    if missing:
        raise _no_language(missing, known, where)
    # A misspelt code is an error, also together with `all`.
    return tuple(known) if "all" in words else tuple(dict.fromkeys(found[word] for word in words))


def pick(code: str, known: Sequence[str], where: str = "the corpus", note: Callable[[str], None] | None = None) -> str:
    """Return the code of `known` that equals `code` after normalisation.

    Args:
        code: One code, in any spelling.
        known: Normalised codes to select from.
        where: Phrase for messages that says where the languages are looked up, such as `the corpus ntrex`.
        note: Function that is called with sentences for the user. If it is given, the only other code of the same
            language is also accepted; see :func:`select`.

    Raises:
        LanguageError: The language is not in `known`.
    """
    require_string(code)
    if note is not None and code.strip() != "all" and "," not in code:
        return select([code], known, where, note)[0]
    match = _find(code, known)
    if match is None:
        raise _no_language((code,), known, where)
    return match


def _under_other_codes(words: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Return {word: the label of `known` for the same language}, for words that only one label fits.

    `words` are codes or names that `known` does not contain. A label that fits several words is left out.
    """
    meant: dict[str, str] = {}
    codes: dict[str, str] = {}
    for word in words:
        code = codes[word] = code_or_none(word) or code_of_name(word) or word
        alike = [other for other in known if _parts(other) == _parts(word)]
        begin = [other for other in known if _parts(other)[0] == word.lower()]
        same = [other for other in known if _main(other) == _main(code) and _scripts_agree(code, other)]
        if (only := next((others[0] for others in (alike, begin, same) if len(others) == 1), None)) is not None:
            meant[word] = only
    spellings: dict[str, set[str]] = {}
    for word, other in meant.items():
        spellings.setdefault(other, set()).add(codes[word])
    return {word: other for word, other in meant.items() if len(spellings[other]) == 1}


def _parts(label: str) -> list[str]:
    """Return the parts of a label in lower case. `aka_Latn` and `AKA-Latn` have the same parts."""
    return re.split(r"[-_.]", label.lower())


def _scripts_agree(one: str, other: str) -> bool:
    """Return whether the codes `one` and `other` have the same script, or at most one of them has a script."""
    codes = [code_or_none(code) or code for code in (one, other)]
    scripts = {part for code in codes for part in code.split("-")[1:] if len(part) == 4 and part.isalpha()}
    # Hani stands for Chinese characters, both traditional and simplified.
    return len(scripts) < 2 or "Hani" in scripts


def counterparts(wanted: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Return {code of `wanted`: code of `known` for the same language}, for the codes that have such a counterpart.

    The counterpart of a code that is also in `known` is the code itself. Other codes are matched with the codes of
    `known` that are not in `wanted`: the counterpart is the code with the same main language (`zh` → `zh-Hani`). If
    several codes have the same main language, it is the code with the same script and region, where missing parts
    have their usual values (`zh` → `zh-Hans`, `pt` → `pt-BR`). Each code of `known` is the counterpart of at most one
    code. Two languages of `wanted` are therefore never confused.
    """
    present = frozenset(known)
    matches = {code: code for code in wanted if code in present}
    free = [code for code in known if code not in matches]
    claims: dict[str, list[str]] = {}
    for code in dict.fromkeys(wanted):
        if code not in matches and (other := _same_language(code, free)) is not None:
            claims.setdefault(other, []).append(code)
    for other, claimants in claims.items():
        winner = claimants[0] if len(claimants) == 1 else _same_language(other, claimants)
        if winner is not None:
            matches[winner] = other
    return matches


def _same_language(code: str, known: Sequence[str]) -> str | None:
    """Return the only code of `known` with the same main language as `code`.

    If several codes have the same main language, return the only one of them with the same script and region. The
    result is None if there is no such code.
    """
    similar = [other for other in known if _main(other) == _main(code)]
    if len(similar) > 1:
        similar = [other for other in similar if _with_script_and_region(other) == _with_script_and_region(code)]
    return similar[0] if len(similar) == 1 else None


def mixture(codes: Iterable[str]) -> str:
    """Return the name of a mixture, which is a source that consists of several languages.

    >>> mixture(["pt", "es", "it"])
    'es+it+pt'
    """
    return PLUS.join(sorted(codes))


def constituents(source: str) -> tuple[str, ...]:
    """Return the languages of a source: several languages for a mixture; otherwise the source itself.

    >>> constituents("es+it+pt"), constituents("sw")
    (('es', 'it', 'pt'), ('sw',))
    """
    return tuple(source.split(PLUS))


def same_language(one: str, other: str) -> bool:
    """Return whether two codes have the same language, script and region, such as `zh` and `zh-Hans`."""
    return one == other or (
        _main(one) == _main(other) and _with_script_and_region(one) == _with_script_and_region(other)
    )


def same_main_language(one: str, other: str) -> bool:
    """Return whether two codes have the same main language in any script and region, such as `zh-Hans` and `zh-TW`."""
    return _main(one) == _main(other)


def _main(code: str) -> str:
    """Return the main language of a code, or the first part of a label that is not a code."""
    normal = code_or_none(code)
    if normal is None:
        # A label such as `sw_news` is text in the language of its first part.
        first = re.split(r"[-_.]", code, maxsplit=1)[0]
        normal = code_or_none(first) or first
    language = normal.split("-", maxsplit=1)[0]
    return _USUAL_CODE.get(language, language)


@lru_cache(maxsize=4096)
def _with_script_and_region(code: str) -> str:
    """Return a code with its usual script and region added where they are missing; return other labels unchanged."""
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    _, hyphen, rest = (code_or_none(code) or code).partition("-")
    try:
        return str(langcodes.Language.get(f"{_main(code)}{hyphen}{rest}").maximize())
    except LanguageTagError:
        return code


def require_string(code: object) -> None:
    """Raise an error if a language code is not a string.

    Raises:
        LanguageError: The code is not a string.
    """
    if not isinstance(code, str):
        raise LanguageError(f"the language {code!r} is not a string.", "give a code such as sw or zh-Hant.")


def _find(word: str, known: Sequence[str]) -> str | None:
    if word in known:
        return word
    code = code_or_none(word)
    return code if code in known else None


def _no_language(missing: tuple[str, ...], known: Sequence[str], where: str) -> LanguageError:
    """Return the error for languages that are not in `known`, with a hint that suggests similar codes of `known`."""
    near = dict.fromkeys(match for word in missing for match in near_misses(word, known))
    if near:
        hint = "did you mean " + ", ".join(f"'{k}' ({shown_name(k)})" for k in near) + "?"
    elif known:
        shown = ", ".join(known[:20])
        hint = f"it has {shown}{' …' if len(known) > 20 else ''}."
    else:
        hint = "it has no language."
    quoted = ", ".join(f"'{word}'" for word in missing)
    return LanguageError(f"no language {quoted} in {where}.", hint)
