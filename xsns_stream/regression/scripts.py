"""Which kind of writing a script is.

The kinds are those of Daniels and Bright (1996), "The World's Writing Systems". Japanese as a whole is of no one kind.
"""

from __future__ import annotations

from typing import Final

_NAMES: Final = {
    "alphabet": "latin cyrillic greek armenian georgian hangul mongolian coptic gothic runic ogham glagolitic nko "
    "adlam osage old-turkic ol-chiki",
    "abjad": "arabic hebrew syriac samaritan mandaic phoenician tifinagh",
    "abugida": "devanagari bengali gurmukhi gujarati oriya odia tamil telugu kannada malayalam sinhala thai lao "
    "tibetan myanmar burmese khmer ethiopic javanese balinese thaana meetei-mayek",
    "syllabary": "kana hiragana katakana cherokee vai yi canadian-aboriginal",
    "logography": "chinese han",
}
#: ISO 15924 codes that differ from the beginning of the name.
_CODES: Final = {
    "alphabet": "latn cyrl grek armn geor hang kore mong orkh runr ogam glag nkoo adlm osge copt goth",
    "abjad": "arab hebr syrc samr mand phnx tfng",
    "abugida": "deva beng guru gujr orya taml telu knda mlym sinh thai laoo tibt mymr khmr ethi java bali thaa mtei",
    "syllabary": "kana hira hrkt cher vaii yiii cans",
    "logography": "hani hans hant",
}
_TYPES: Final = {
    script: kind for table in (_NAMES, _CODES) for kind, scripts in table.items() for script in scripts.split()
}


def script_type(script: str) -> str:
    """Return `alphabet`, `abjad`, `abugida`, `syllabary` or `logography`; empty where that is unknown.

    Args:
        script: English name or ISO 15924 code, in any case.
    """
    return _TYPES.get(script.strip().lower().replace(" ", "-").replace("_", "-"), "")
