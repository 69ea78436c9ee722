"""Selection of the languages of a matrix: codes from the user, or the languages of gold scores or of a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from xsns_stream.errors import UsageError
from xsns_stream.languages import code_or_name
from xsns_stream.types import SimilarityMatrix

#: If a table or a corpus has more languages than this, the user has to choose languages.
MANY_LANGUAGES: Final = 1000


@dataclass(frozen=True)
class RequestedLanguages:
    """Normalised codes of the languages that were requested for a matrix.

    Attributes:
        sources: Languages of the rows of the matrix; None for all languages of the data.
        targets: Languages of the columns of the matrix; None for all languages of the data.
        everything: Whether the user gave the word `all`.
    """

    sources: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    everything: bool = False

    @property
    def languages(self) -> tuple[str, ...] | None:
        """Distinct languages of rows and columns; None if sources or targets are None."""
        if self.sources is None or self.targets is None:
            return None
        return tuple(dict.fromkeys((*self.sources, *self.targets)))

    def missing(self, matrix: SimilarityMatrix) -> list[str]:
        """Return the requested languages that a matrix lacks."""
        sides = ((self.sources, matrix.sources), (self.targets, matrix.targets))
        return list(dict.fromkeys(code for chosen, there in sides for code in chosen or () if code not in there))


def request_languages(
    languages: str | Iterable[str] = (),
    sources: str | Iterable[str] = (),
    targets: str | Iterable[str] = (),
    gold: str | None = None,
    store: str | None = None,
) -> RequestedLanguages:
    """Return the languages that were requested for a matrix.

    Args:
        languages: Codes of languages to compare with one another, or `all`.
        sources: Codes of the languages of the rows.
        targets: Codes of the languages of the columns.
        gold: File of gold scores, whose sources and targets are used where none are given.
        store: Store whose languages are used where none are given; ignored if `gold` is given.

    Raises:
        UsageError: Arguments that exclude each other were given.
        LanguageError: A code is not a language.
        XsnsError: The gold scores or the store cannot be read.
    """
    square, rows, columns = (_codes(side) for side in (languages, sources, targets))
    if square and (rows or columns or gold):
        raise UsageError(
            "--lang was given together with --sources, --targets or --gold.",
            "--lang compares all languages with one another; the other options compare sources with targets.",
        )
    # Codes that are given together with `all` are checked too.
    named = _normal([code for code in square if code != "all"])
    if "all" in square:
        return RequestedLanguages(everything=True)
    if named:
        return RequestedLanguages(named, named)
    default: tuple[tuple[str, ...] | None, tuple[str, ...] | None] = (None, None)
    if gold is not None:
        from xsns_stream.gold import read_scores

        scores = read_scores(gold)
        default = (scores.sources, scores.targets)
    elif store is not None:
        from xsns_stream.store import open_store

        default = (open_store(store).languages,) * 2
    return RequestedLanguages(_normal(rows) if rows else default[0], _normal(columns) if columns else default[1])


def _codes(values: str | Iterable[str]) -> list[str]:
    parts = [values] if isinstance(values, str) else values
    return [code.strip() for part in parts for code in part.split(",") if code.strip()]


def _normal(codes: Sequence[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(map(code_or_name, codes)))


def require_choice(requested: RequestedLanguages, number: int, source: str) -> None:
    """Check that the user has chosen languages if a table or a corpus has more than :data:`MANY_LANGUAGES`.

    Args:
        requested: The requested languages.
        number: Number of languages of the table or corpus.
        source: Name of the table or corpus, for the message.

    Raises:
        UsageError: The table or corpus has more languages, and none was chosen.
    """
    unlimited = requested.sources is None or requested.targets is None
    if unlimited and not requested.everything and number > MANY_LANGUAGES:
        raise UsageError(
            f"{source} has {number:,} languages, and none was chosen.",
            "name them with --lang sw,en or --gold gold.parquet; --lang all means all of them.",
        )
