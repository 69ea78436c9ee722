"""What `xsns-stream matrix --by` writes and prints: a matrix for each group of parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from xsns_stream.cli.common import emit_json, note, stdout_console

if TYPE_CHECKING:
    from xsns_stream.types import GroupedOverlaps, GroupedSimilarity, Overlaps, SampledOverlaps


def finish_groups(
    counts: Sequence[GroupedOverlaps], coefficient: str, outputs: tuple[str, ...], as_json: bool, quiet: bool
) -> None:
    """Write, and print, what was compared by groups."""
    from xsns_stream.report import groups_table, write_groups
    from xsns_stream.similarity import similarity_by_group

    found = similarity_by_group(counts, coefficient)
    table = counts[0].tables[0]
    for path in outputs:
        write_groups(found, path, density=table.density)
        note(f"wrote {path}", quiet)
    if as_json:
        emit_json("matrix", _result(found, table))
        return
    stdout_console().print(groups_table(found))
    if not outputs:
        note("means over all pairs of languages; -o groups.csv writes every pair of every group.", quiet)


def labels(table: Overlaps | SampledOverlaps) -> dict[str, list[str]]:
    """Return what a result is labelled with: its languages, or sources and targets where these differ."""
    if table.sources == table.targets:
        return {"languages": list(table.sources)}
    return {"sources": list(table.sources), "targets": list(table.targets)}


def _result(found: GroupedSimilarity, table: Overlaps) -> dict[str, Any]:
    groups = [
        {
            "name": name,
            "parameters": size,
            "share": share,
            "mean": matrix.mean_of_pairs,
            found.coefficient: matrix.values.tolist(),
        }
        for (name, matrix), size, share in zip(found, found.sizes, found.shares, strict=True)
    ]
    return {
        **labels(table),
        "coefficient": found.coefficient,
        "by": found.by,
        "groups": groups,
        "seeds": list(found.matrices[0].seeds),
        "density": table.density,
    }
