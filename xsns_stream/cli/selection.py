"""Options and functions that select rows of a store, shared by the verbs that read rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

import click

from xsns_stream.cli.output import Decorated, note, split_codes, stderr_console
from xsns_stream.errors import UsageError

if TYPE_CHECKING:
    from xsns_stream.similarity import By, OverlapCache
    from xsns_stream.store import FisherKey, FoldKey, RowKey, SubNetworkStore
    from xsns_stream.types import GroupedOverlaps, Overlaps, SampledOverlaps


_T = TypeVar("_T")


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

    if not asked:
        return None
    chosen = select(asked, rows.languages, f"the store '{store}'")
    return None if "all" in split_codes(asked) else chosen


@dataclass(frozen=True)
class Chosen:
    """Which rows of a store are compared.

    Attributes:
        rows: The store.
        languages: All with one another; those that have every seed where nothing is named.
        sources: Instead: these with the targets.
        targets: Those that have every seed where only sources are named.
        seeds: All of the store where empty.
        density: May be None where the store has one.
        needed: A language that must have every seed.
        device: Where overlaps are counted.
    """

    rows: SubNetworkStore
    languages: Sequence[str] | None = None
    sources: Sequence[str] | None = None
    targets: Sequence[str] | None = None
    seeds: tuple[int, ...] = ()
    density: float | None = None
    needed: str | None = None
    device: str = "cpu"


def count_rows(chosen: Chosen, cache: OverlapCache, quiet: bool) -> tuple[Overlaps, ...]:
    """Count overlaps, a table for each seed; languages that lack a seed are left out and named on stderr.

    Languages that were asked for must have every seed.

    Raises:
        UsageError: The store has no such seed or density.
        LanguageError: A language was asked for, or is needed, that lacks a seed.
    """
    from xsns_stream.similarity import count_overlaps_by_seed

    return _compare(
        chosen, quiet, lambda **more: count_overlaps_by_seed(chosen.rows, cache=cache, device=chosen.device, **more)
    )


def group_rows(chosen: Chosen, by: By, quiet: bool) -> tuple[GroupedOverlaps, ...]:
    """Count overlaps of each group of parameters; otherwise as :func:`count_rows`."""
    from xsns_stream.similarity import count_overlaps_by_seed

    return _compare(
        chosen, quiet, lambda **more: count_overlaps_by_seed(chosen.rows, by=by, device=chosen.device, **more)
    )


def sample_rows(chosen: Chosen, fraction: float, quiet: bool) -> tuple[SampledOverlaps, ...]:
    """Estimate overlaps from a part of the parameters; otherwise as :func:`count_rows`."""
    from xsns_stream.similarity import sample_overlaps_by_seed

    return _compare(chosen, quiet, lambda **more: sample_overlaps_by_seed(chosen.rows, fraction, **more))


@contextmanager
def time_bar(what: str, quiet: bool) -> Iterator[Callable[[int, int], None] | None]:
    """Draw a bar with the time that is left; give what is to be called with (done, total), None off a terminal."""
    console = stderr_console(quiet)
    if quiet or not console.is_terminal:
        yield None
        return
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, transient=True) as bar:
        task = bar.add_task(what, total=None)
        yield lambda done, total: bar.update(task, completed=done, total=total)


def _compare(chosen: Chosen, quiet: bool, compare: Callable[..., tuple[_T, ...]]) -> tuple[_T, ...]:
    """Call `compare` with what was chosen, draw its progress, and say what was left out."""
    from xsns_stream.errors import LanguageError

    require_labels(chosen.rows, chosen.seeds, chosen.density)
    lacking: dict[str, str] = {}

    def leave_out(language: str, missing: tuple[int, ...]) -> None:
        lacking[language] = f"{'seed' if len(missing) == 1 else 'seeds'} {', '.join(map(str, missing))}"
        if language == chosen.needed:
            raise LanguageError(
                f"'{language}' has no sub-network for {lacking[language]}.",
                "build it, or choose seeds that it has with --seed.",
            )

    sides: dict[str, Any] = {"languages": chosen.languages}
    if chosen.sources is not None or chosen.targets is not None:
        sides = {"sources": chosen.sources, "targets": chosen.targets}
    with time_bar("comparing", quiet) as on_progress:
        counts = compare(
            **sides,
            seeds=list(dict.fromkeys(chosen.seeds)) or None,
            density=chosen.density,
            on_progress=on_progress,
            on_incomplete=leave_out,
        )
    if lacking:
        named = ", ".join(f"{language} ({seeds})" for language, seeds in lacking.items())
        note(f"left out, because there is no sub-network: {named}", quiet)
    for said in _notes_on_texts(chosen):
        note(said, quiet)
    return counts


def _notes_on_texts(chosen: Chosen) -> list[str]:
    """Return notes on compared languages whose rows are of the same text, or of few examples."""
    from xsns_stream.store.store import note_on_few_examples, note_on_same_texts, same_texts

    sides = (chosen.languages, chosen.sources, chosen.targets)
    # A side that is not named is all of the store.
    named: set[str] = set()
    if chosen.languages is not None or (chosen.sources is not None and chosen.targets is not None):
        named = {code for side in sides for code in side or ()}
    notes = (
        note_on_same_texts(same_texts(chosen.rows, named, chosen.seeds)),
        note_on_few_examples(chosen.rows, named, chosen.seeds),
    )
    return [each for each in notes if each]


def require_labels(rows: SubNetworkStore, seeds: Sequence[int], density: float | None) -> None:
    """Check that a store has some row of each seed, and of the density.

    Raises:
        UsageError: It has none.
    """
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


_Key = TypeVar("_Key", "RowKey", "FisherKey")


def selection_options(function: Decorated) -> Decorated:
    """Add `--lang`, `--seed` and `--density`, each of which may be given several times."""
    for option in (
        click.option("--density", "densities", type=float, multiple=True, help="Only these densities."),
        click.option("--seed", "seeds", type=int, multiple=True, help="Only these seeds."),
        click.option("-l", "--lang", multiple=True, metavar="CODES", help="Only these languages, as `sw,zu`."),
    ):
        function = option(function)
    return function


def select_keys(
    keys: Sequence[_Key], lang: Sequence[str], seeds: Sequence[int], densities: Sequence[float], where: str
) -> tuple[_Key, ...]:
    """Return the rows that all filters let through; an empty filter lets everything through.

    Raises:
        LanguageError: A language is not among `keys`; near misses are suggested.
        UsageError: A seed or a density is not.
    """
    from xsns_stream.languages import select

    _require("seed", seeds, sorted({key.seed for key in keys}), where)
    if densities:
        _require("density", densities, sorted({key.density for key in keys if key.density is not None}), where)
    languages = sorted({key.language for key in keys})
    # A filter that was given and names nothing is a mistake, and no leave to take everything.
    chosen = set(select(lang, languages, where) if lang else languages)
    return tuple(
        key
        for key in keys
        if key.language in chosen
        and (not seeds or key.seed in seeds)
        and (not densities or key.density is None or key.density in densities)
    )


def _require(name: str, asked: Sequence[Any], known: Sequence[Any], where: str) -> None:
    missing = [value for value in asked if value not in known]
    if missing:
        raise UsageError(
            f"there is no {name} {', '.join(map(str, missing))} in {where}.",
            f"there is {', '.join(map(str, known))}." if known else "there is no row at all.",
        )


def key_json(key: RowKey | FisherKey | FoldKey) -> dict[str, Any]:
    """Return a row's names; the density of Fisher values is null."""
    return {"language": key.language, "seed": key.seed, "density": key.density}
