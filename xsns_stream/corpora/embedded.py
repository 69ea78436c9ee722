"""Corpora that are part of the installation: their names, and the default text of the program."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from xsns_stream.corpora.recipes import RECIPES

if TYPE_CHECKING:
    from xsns_stream.corpora.open import Corpus

#: The text of a new store if no other text is given.
DEFAULT_CORPUS: Final = "ntrex"


def _ntrex(name: str) -> Corpus:
    from xsns_stream.corpora.ntrex import NtrexCorpus

    return NtrexCorpus(name)


def _cldr(_: str) -> Corpus:
    from xsns_stream.corpora.cldr import CldrCorpus

    return CldrCorpus()


#: {value of `--corpus`: function that opens the corpus of this name}.
EMBEDDED: Final[Mapping[str, Callable[[str], Corpus]]] = MappingProxyType(
    {"ntrex": _ntrex, "ntrex:held-out": _ntrex, "cldr": _cldr}
)
#: Names that take precedence over a folder of the same name.
KNOWN_NAMES: Final = frozenset({*EMBEDDED, *RECIPES})
