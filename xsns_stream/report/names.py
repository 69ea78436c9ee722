"""What a label is called in tables and figures."""

from __future__ import annotations

from functools import lru_cache

from xsns_stream.errors import LanguageError
from xsns_stream.languages import language_name


@lru_cache(maxsize=4096)
def shown_name(label: str) -> str:
    """Return the English name of a language, or the label itself where it is not the code of one.

    >>> shown_name("nan"), shown_name("my-own-corpus-7")
    ('Min Nan Chinese', 'my-own-corpus-7')
    """
    try:
        return language_name(label)
    except LanguageError:
        return label
