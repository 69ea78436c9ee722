"""Notes on the texts of the rows of a store: languages with the same text, and languages with few examples."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Final

from xsns_stream.io.tables import listed
from xsns_stream.store.reader import StoreReader
from xsns_stream.store.records import CommitRecord

#: The largest number of groups, and of languages in a group, that a message names.
SHOWN: Final = 5


def same_texts(
    rows: StoreReader, languages: Collection[str] = (), seeds: Collection[int] = ()
) -> list[tuple[int, tuple[str, ...]]]:
    """Return groups of languages whose rows were measured on the same examples, as (seed, languages).

    Args:
        rows: The store.
        languages: The languages to examine; empty for all.
        seeds: The seeds to examine; empty for all.
    """
    return same_texts_of(_chosen(rows, languages, seeds))


def _chosen(rows: StoreReader, languages: Collection[str], seeds: Collection[int]) -> Iterable[CommitRecord]:
    return (
        record
        for record in rows.records()
        if (not languages or record.language in languages) and (not seeds or record.seed in seeds)
    )


def same_texts_of(records: Iterable[CommitRecord]) -> list[tuple[int, tuple[str, ...]]]:
    """Return groups of languages whose records have the same digest of the examples, as (seed, languages)."""
    groups: dict[tuple[int, str], dict[str, None]] = {}
    for record in records:
        # The digest is empty in records that were written by programs which do not compute it.
        if record.provenance.corpus_digest:
            groups.setdefault((record.seed, record.provenance.corpus_digest), {})[record.language] = None
    return [(seed, tuple(languages)) for (seed, _), languages in groups.items() if len(languages) > 1]


def note_on_same_texts(groups: Collection[tuple[int, tuple[str, ...]]]) -> str:
    """Return a note on languages with the same text; empty if there are none."""
    if not groups:
        return ""
    every = dict.fromkeys(languages for _, languages in groups)
    named = "; ".join(listed(languages, SHOWN) for languages in list(every)[:SHOWN])
    more = f"; and {len(every) - SHOWN} more" if len(every) > SHOWN else ""
    return (
        "rows of different languages were measured on the same text, and their similarity says nothing about these "
        f"languages: {named}{more}."
    )


def note_on_few_examples(rows: StoreReader, languages: Collection[str] = (), seeds: Collection[int] = ()) -> str:
    """Return a note on rows with fewer than half of the examples of another row; empty if there are none.

    A sub-network that was measured on few examples is less similar to all other sub-networks, and ranked too low. If no
    row has at least half of the requested examples, the note concerns all rows. Rows whose measurement stopped early
    because it was stable have enough examples and are ignored.

    Args:
        rows: The store.
        languages: The languages to examine; empty for all.
        seeds: The seeds to examine; empty for all.
    """
    examples: dict[str, int] = {}
    requested = 0
    for record in _chosen(rows, languages, seeds):
        number = record.provenance.examples
        if number and not record.provenance.stopping:
            examples[record.language] = min(number, examples.get(record.language, number))
            requested = max(requested, record.provenance.examples_asked)
    most = max(examples.values(), default=0)
    few = [f"{language} ({number})" for language, number in examples.items() if 2 * number < most]
    if not few:
        if 0 < 2 * most < requested:
            return (
                f"few examples make similarities unreliable: no language has more than {most} of {requested} examples."
            )
        return ""
    return (
        "few examples lower the similarity of a language to all other languages: "
        f"{listed(few, SHOWN)}; other languages have up to {most} examples."
    )
