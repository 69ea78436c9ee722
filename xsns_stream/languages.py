"""Language codes and names: one spelling for each language, from any spelling in a file or an option.

All codes of files and users go through :func:`normalise`, so that `swa`, `swh_Latn` and `sw` are one label wherever
scores, texts and sub-networks are joined. Importing this module is cheap: the first call loads the library `langcodes`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from difflib import get_close_matches
from functools import lru_cache
from typing import TYPE_CHECKING, Final

from xsns_stream.errors import LanguageError

if TYPE_CHECKING:
    from langcodes import Language


# A code may become part of a label, of the path of an array, or of a message, so that other characters are refused.
_SAFE: Final = re.compile(r"[A-Za-z0-9]+(?:[-_][A-Za-z0-9]+)*")
_SUGGESTIONS: Final = 3
#: Separator of the languages of a mixture; not part of any code.
PLUS: Final = "+"
#: Individual language → code that texts and scores use for it: Norwegian is Bokmål, unless they state another form.
_USUAL_CODE: Final = {"nb": "no"}
_WRITING_HINT: Final = "write a BCP 47 code: 'sw', 'zh-Hant', 'pt-BR' (or an ISO 639-3 code such as 'swa')."


@lru_cache(maxsize=4096)
def normalise(code: str) -> str:
    """Return the BCP 47 form of a language code.

    The shortest language code is used, and the main language stands for its macrolanguage (`swh` and `swa` → `sw`,
    `arb` → `ar`, `cmn` → `zh`, `ekk` → `et`; `yue` and `nb` stay). A region is kept. A script is kept where it adds
    information: it is dropped if it is the usual script of the language (`swh_Latn` → `sw`), unless Unicode CLDR has
    locales of the language in this script and in others (`sr-Cyrl`, `zh-Hans` stay).

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


def code_or_none(text: str) -> str | None:
    """Return the normalised code of a language; None if `text` is not a language code."""
    try:
        return normalise(text)
    except LanguageError:
        return None


def _registered(language: Language) -> bool:
    """Whether the language is in IANA's registry or, for newer codes, in CLDR."""
    import langcodes
    from babel import Locale

    if not (language.language or "").isalpha():
        return False
    if language.is_valid():
        return True
    rest = {key: value for key, value in language.to_dict().items() if key != "language"}
    return language.language in Locale("en").languages and bool(langcodes.Language.make(**rest).is_valid())


def _without_plain_script(language: Language) -> Language:
    """Return `language` without its script if that is the only usual one."""
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


def _shown_name(code: str) -> str:
    """Return the English name of a code, or the label itself if it is not a code."""
    try:
        return language_name(code)
    except LanguageError:
        return code


def near_misses(code: str, known: Sequence[str]) -> list[str]:
    """Return at most three codes of `known` that `code` may mean, the most likely one first.

    Candidates are the same language in another spelling or script, a language of that name (`swahili`), and the main
    language of a country with that code (`se` → `sv`). Only if there are none of these, codes and names that look
    similar are returned.
    """
    word = code.strip().lower()
    meanings = dict.fromkeys(_possible_languages(word))
    certain = [k for language in meanings for k in known if k.split("-")[0] == language]
    candidates = dict.fromkeys(certain or _similar(word, known))
    return [k for k in candidates if k != code][:_SUGGESTIONS]


def _possible_languages(word: str) -> Iterator[str]:
    """Yield the primary languages of which `word` is a code, a name or a country."""
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
        names = {_shown_name(k).lower(): k for k in known}
        yield from (names[name] for name in get_close_matches(word, names, n=_SUGGESTIONS, cutoff=0.7))


def select(
    wanted: Sequence[str], known: Sequence[str], where: str = "the corpus", note: Callable[[str], None] | None = None
) -> tuple[str, ...]:
    """Return the selected codes of `known`, each once, in the order of `wanted`.

    Args:
        wanted: The values of `--lang`: codes, lists of codes with commas, or `all`.
        known: Normalised codes to select from; `all` selects all of them, in this order.
        where: What has the languages of `known`, for messages.
        note: Handler of sentences. If it is given, a language that is not in `known` is found under the only other code
            of the same language (`en-GB` for `en`, `sw` for `sw-KE`), and a sentence says so. A code with a script
            never stands for a code with another script.

    Raises:
        LanguageError: `wanted` is empty, or an item is not a string, or a language is not in `known`.
    """
    for item in wanted:
        require_string(item)
    words = [word.strip() for item in wanted for word in item.split(",") if word.strip()]
    if not words:
        raise LanguageError("no language was requested.", "give codes such as `sw,en`, or `all`.")
    found = {word: code for word in dict.fromkeys(words) if word != "all" and (code := _find(word, known)) is not None}
    missing = tuple(word for word in dict.fromkeys(words) if word != "all" and word not in found)
    if missing and note is not None:
        others = _under_other_codes(missing, [code for code in known if code not in found.values()])
        for word, code in others.items():
            note(f"{where} has no '{word}': '{code}' ({_shown_name(code)}) is used for it.")
        found |= others
        missing = tuple(word for word in missing if word not in found)
    if missing:
        raise _no_language(missing, known, where)
    # A misspelt code is an error beside `all` too.
    return tuple(known) if "all" in words else tuple(dict.fromkeys(found[word] for word in words))


def pick(code: str, known: Sequence[str], where: str = "the corpus", note: Callable[[str], None] | None = None) -> str:
    """Return the code of `known` that is the same language code as `code`, in any spelling.

    Args:
        code: One code, in any spelling.
        known: Normalised codes to select from.
        where: What has the languages of `known`, for messages.
        note: Handler of sentences. If it is given, the only other code of the same language is found too, as for
            :func:`select`.

    Raises:
        LanguageError: The language is not in `known`.
    """
    require_string(code)
    match = _find(code, known)
    if match is None and note is not None and code.strip() != "all" and "," not in code:
        return select([code], known, where, note)[0]
    if match is None:
        raise _no_language((code,), known, where)
    return match


def _under_other_codes(words: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Return {word: the only code of `known` for the same language}, where no other word means this code."""
    meant: dict[str, str] = {}
    for word in words:
        if (code := code_or_none(word)) is not None:
            others = [other for other in known if _main(other) == _main(code) and _scripts_agree(code, other)]
            if len(others) == 1:
                meant[word] = others[0]
    spellings: dict[str, set[str | None]] = {}
    for word, other in meant.items():
        spellings.setdefault(other, set()).add(code_or_none(word))
    return {word: other for word, other in meant.items() if len(spellings[other]) == 1}


def _scripts_agree(one: str, other: str) -> bool:
    """Whether two codes name the same script, or at most one of them names a script."""
    codes = [code_or_none(code) or code for code in (one, other)]
    scripts = {part for code in codes for part in code.split("-")[1:] if len(part) == 4 and part.isalpha()}
    # Hani are Chinese characters of both forms.
    return len(scripts) < 2 or "Hani" in scripts


def counterparts(wanted: Sequence[str], known: Sequence[str]) -> dict[str, str]:
    """Return {code of `wanted`: code of `known` for the same language}, for the codes that have such a counterpart.

    A code in `known` is its own counterpart. Otherwise its counterpart is the only code of the same main language that
    no other code of `wanted` has (`zh` → `zh-Hani`); of several codes, the one in the same usual script and region
    (`zh` → `zh-Hans`, `pt` → `pt-BR`). Two codes of `wanted` never share a counterpart, because two languages must not
    look like one.
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
    """Return the only code of the same main language, or the only one with the same script and region."""
    similar = [other for other in known if _main(other) == _main(code)]
    if len(similar) > 1:
        similar = [other for other in similar if _with_script_and_region(other) == _with_script_and_region(code)]
    return similar[0] if len(similar) == 1 else None


def mixture(codes: Iterable[str]) -> str:
    """Return the name of a mixture: a source of several languages.

    >>> mixture(["pt", "es", "it"])
    'es+it+pt'
    """
    return PLUS.join(sorted(codes))


def constituents(source: str) -> tuple[str, ...]:
    """Return the languages of a source: all languages of a mixture, otherwise the source itself.

    >>> constituents("es+it+pt"), constituents("sw")
    (('es', 'it', 'pt'), ('sw',))
    """
    return tuple(source.split(PLUS))


def same_language(one: str, other: str) -> bool:
    """Whether two codes are one language in one script and region, such as `zh` and `zh-Hans`, or `no` and `nb`."""
    return one == other or (
        _main(one) == _main(other) and _with_script_and_region(one) == _with_script_and_region(other)
    )


def _main(code: str) -> str:
    """Return the main language of a code; for a label that is not a code, its first part."""
    language = (code_or_none(code) or code).split("-", maxsplit=1)[0]
    return _USUAL_CODE.get(language, language)


@lru_cache(maxsize=4096)
def _with_script_and_region(code: str) -> str:
    """Return language, script and region, with the usual ones where the code has none; other labels unchanged."""
    import langcodes
    from langcodes.tag_parser import LanguageTagError

    _, hyphen, rest = (code_or_none(code) or code).partition("-")
    try:
        return str(langcodes.Language.get(f"{_main(code)}{hyphen}{rest}").maximize())
    except LanguageTagError:
        return code


def require_string(code: object) -> None:
    """Refuse a language code that is not a string.

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
    """Return the error for missing languages, with the languages that they may mean."""
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
