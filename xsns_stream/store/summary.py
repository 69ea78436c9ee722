"""What a store holds, in one document."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.store.array import RowArray
from xsns_stream.store.format import FORMAT, FORMAT_VERSION
from xsns_stream.store.kept import kept_record

if TYPE_CHECKING:
    from xsns_stream.store.core import SubNetworkStore
    from xsns_stream.store.reader import StoreReader
    from xsns_stream.store.records import CommitRecord

#: Groups of languages, and languages of a group, that a message names.
SHOWN: Final = 5


def summary(store: SubNetworkStore) -> dict[str, Any]:
    """Return what a store holds, as plain JSON values."""
    header, records = store.load(), store.records()
    array = RowArray.open(store.place, header.layout)
    kept = [record for key in store.kept_keys() if (record := kept_record(store.place, key)) is not None]
    return {
        "path": str(store.place),
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "experiment": dict(header.experiment),
        "parameters": header.layout.size,
        "words": array.words,
        "layers": len(header.layout.layers),
        "layout_digest": header.layout.digest,
        "languages": list(store.languages),
        "seeds": list(store.seeds),
        "densities": list(store.densities),
        "rows": len(records),
        "unfinished_rows": [str(key) for key in store.unfinished()],
        "bytes": sum(record.bytes for record in records),
        "kept_fisher": sorted({record.encoding for record in kept}),
        "kept_rows": len(kept),
        "kept_bytes": sum(record.bytes for record in kept),
        "reliability": [
            {"language": record.language, "seed": record.seed, "density": record.density}
            | dict(record.provenance.reliability)
            for record in records
            if record.provenance.reliability
        ],
        "text": _texts(records),
        "same_text": [{"seed": seed, "languages": list(languages)} for seed, languages in _same_texts(records)],
        "parts": [_parts(store, count) for count in store.part_counts],
        "inner_chunk_words": array.chunk,
        "compressed": array.compressed,
    }


def _texts(records: Iterable[CommitRecord]) -> list[dict[str, Any]]:
    """Return what the records say of the rows' text, once for each language and seed."""
    found = {(one.language, one.seed): one.provenance.text for one in records if one.provenance.text}
    return [{"language": language, "seed": seed} | dict(text) for (language, seed), text in found.items()]


def same_texts(
    rows: StoreReader, languages: Collection[str] = (), seeds: Collection[int] = ()
) -> list[tuple[int, tuple[str, ...]]]:
    """Return the languages whose rows were measured on the very same examples, as (seed, languages).

    Args:
        rows: The store.
        languages: Of which; all where empty.
        seeds: Of which; all where empty.
    """
    records = (one for one in rows.records() if not languages or one.language in languages)
    return _same_texts(one for one in records if not seeds or one.seed in seeds)


def _same_texts(records: Iterable[CommitRecord]) -> list[tuple[int, tuple[str, ...]]]:
    groups: dict[tuple[int, str], dict[str, None]] = {}
    for one in records:
        # Records of programs that keep no digest hold an empty one.
        if one.provenance.corpus_digest:
            groups.setdefault((one.seed, one.provenance.corpus_digest), {})[one.language] = None
    return [(seed, tuple(languages)) for (seed, _), languages in groups.items() if len(languages) > 1]


def note_on_same_texts(groups: Collection[tuple[int, tuple[str, ...]]]) -> str:
    """Return what follows from languages with the same text, in a sentence; empty where there are none."""
    if not groups:
        return ""
    every = dict.fromkeys(languages for _, languages in groups)
    named = "; ".join(_listed(languages) for languages in list(every)[:SHOWN])
    more = f"; and {len(every) - SHOWN} more groups" if len(every) > SHOWN else ""
    return (
        "rows of different languages were measured on the same text, so that their similarity says nothing of the "
        f"languages: {named}{more}."
    )


def _listed(languages: tuple[str, ...]) -> str:
    more = f" and {len(languages) - SHOWN} more" if len(languages) > SHOWN else ""
    return ", ".join(languages[:SHOWN]) + more


def _parts(store: SubNetworkStore, count: int) -> dict[str, Any]:
    """Return what is known of the rows that were measured in `count` parts."""
    parts = store.parts(count)
    complete = set(store.keys()).intersection(*(part.keys() for part in parts))
    return {
        "count": count,
        "rows": len(complete),
        "bytes": sum(record.bytes for part in parts for record in part.records()),
    }
