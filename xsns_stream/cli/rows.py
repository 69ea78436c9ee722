"""What `matrix`, `rank` and `verify` share: open a store, choose its rows, count overlaps."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from xsns_stream.cli.common import note, progress_bar, split_codes
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.store import SubNetworkStore
    from xsns_stream.types import OverlapCounts


def open_rows(store: str) -> SubNetworkStore:
    """Open a store for reading.

    Raises:
        StoreError: There is none.
    """
    from xsns_stream.store import open_store

    return open_store(store)


def choose(asked: tuple[str, ...], rows: SubNetworkStore, store: str) -> tuple[str, ...] | None:
    """Return the languages of a store that were asked for; None where none was, or all were.

    Raises:
        LanguageError: One is not in the store; near misses are suggested.
    """
    from xsns_stream.languages import select

    codes = split_codes(asked)
    if not codes:
        return None
    chosen = select(asked, rows.languages, f"the store '{store}'")
    return None if "all" in codes else chosen


def count_rows(
    rows: SubNetworkStore,
    languages: Sequence[str] | None,
    seeds: Sequence[int],
    density: float | None,
    quiet: bool,
    needed: str | None = None,
) -> tuple[OverlapCounts, ...]:
    """Count overlaps, drawing progress; languages that lack a seed are left out and named on stderr.

    Languages that were asked for must have every seed, and so must `needed`. No seeds are all of the store.

    Raises:
        UsageError: The store has no such seed or density.
        LanguageError: A language was asked for, or is needed, that lacks a seed.
    """
    from xsns_stream.errors import LanguageError
    from xsns_stream.similarity import count_overlaps_by_seed

    _require_labels(rows, seeds, density)
    lacking: dict[str, str] = {}

    def leave_out(language: str, missing: tuple[int, ...]) -> None:
        lacking[language] = f"{'seed' if len(missing) == 1 else 'seeds'} {', '.join(map(str, missing))}"
        if language == needed:
            raise LanguageError(
                f"'{language}' has no sub-network for {lacking[language]}.",
                "build it, or choose seeds that it has with --seed.",
            )

    chosen = list(dict.fromkeys(seeds)) or None
    with progress_bar("comparing", quiet) as on_progress:
        counts = count_overlaps_by_seed(
            rows, languages=languages, seeds=chosen, density=density, on_progress=on_progress, on_incomplete=leave_out
        )
    if lacking:
        named = ", ".join(f"{language} ({seeds})" for language, seeds in lacking.items())
        note(f"left out, because there is no sub-network: {named}", quiet)
    return counts


def _require_labels(rows: SubNetworkStore, seeds: Sequence[int], density: float | None) -> None:
    known_seeds, known_densities = rows.seeds, rows.densities
    for name, value, known in (
        *(("seed", seed, known_seeds) for seed in seeds),
        *([("density", density, known_densities)] if density is not None else []),
    ):
        if value not in known:
            raise UsageError(
                f"the store '{rows.path}' has no {name} {value}.",
                f"it has {', '.join(map(str, known))}." if known else "it has no sub-network at all yet.",
            )
