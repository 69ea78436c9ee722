"""What a store holds, in one document."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from xsns_stream.store.array import RowArray
from xsns_stream.store.format import FORMAT, FORMAT_VERSION
from xsns_stream.store.kept import kept_record

if TYPE_CHECKING:
    from xsns_stream.store.core import SubNetworkStore


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
        "parts": [_parts(store, count) for count in store.part_counts],
        "inner_chunk_words": array.chunk,
        "compressed": array.compressed,
    }


def _parts(store: SubNetworkStore, count: int) -> dict[str, Any]:
    """Return what is known of the rows that were measured in `count` parts."""
    parts = store.parts(count)
    complete = set(store.keys()).intersection(*(part.keys() for part in parts))
    return {
        "count": count,
        "rows": len(complete),
        "bytes": sum(record.bytes for part in parts for record in part.records()),
    }
