"""Selection of the languages of a matrix: by code, from gold scores, or from a store."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from xsns_stream.errors import UsageError
from xsns_stream.languages import code_or_name
from xsns_stream.types import SimilarityMatrix

#: Largest number of languages of a table that is used without a choice of languages.
MANY_LANGUAGES: Final = 1000


@dataclass(frozen=True)
class RequestedLanguages:
    """Normalised languages of a matrix; None means all languages of the data.

    Attributes:
        sources: Languages of the rows of the matrix.
        targets: Languages of the columns of the matrix.
        everything: Whether the user gave the word `all`.
    """

    sources: tuple[str, ...] | None = None
    targets: tuple[str, ...] | None = None
    everything: bool = False

    @property
    def languages(self) -> tuple[str, ...] | None:
        """Distinct languages of both sides; None if one side is not limited."""
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
    """Return the languages of a matrix: by code, or those of gold scores, or those of a store.

    Args:
        languages: Codes to compare with one another, or `all`.
        sources: Codes of the rows.
        targets: Codes of the columns.
        gold: File of gold scores, with sources and targets as default.
        store: Store with languages as default, if there are no gold scores.

    Raises:
        UsageError: Arguments exclude each other.
        LanguageError: A code is not a language.
        XsnsError: The gold scores or the store cannot be read.
    """
    square, rows, columns = (_codes(side) for side in (languages, sources, targets))
    if square and (rows or columns or gold):
        raise UsageError(
            "--lang was given together with --sources, --targets or --gold.",
            "--lang compares all languages with one another; the others compare sources with targets.",
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
    """Check that languages are chosen if a source of data has thousands.

    Raises:
        UsageError: No language is chosen.
    """
    unlimited = requested.sources is None or requested.targets is None
    if unlimited and not requested.everything and number > MANY_LANGUAGES:
        raise UsageError(
            f"{source} has {number:,} languages, and none was chosen.",
            "name them with --lang sw,en or --gold gold.parquet; --lang all means all of them.",
        )
