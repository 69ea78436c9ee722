"""Write the similarity of each group of parameters to a file."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO, Final

import numpy as np

from xsns_stream.files import write_csv
from xsns_stream.report.files import SCHEMA_VERSION, check_destination, nested, write_document, write_whole
from xsns_stream.types import GroupedSimilarity

_Writer = Callable[[GroupedSimilarity, float | None, BinaryIO], None]


def write_groups(found: GroupedSimilarity, path: str | Path, *, density: float | None = None) -> Path:
    """Write matrices of groups in the format that the suffix of `path` names, whole or not at all.

    ============== =========================================================================================
    .csv, .tsv     A line for each group, source and target; an empty field where undefined.
    .parquet       The same, with the columns `group`, `source`, `target` and the coefficient.
    .json          Everything; undefined values are null.
    .npz           `values` float64 [G, S, T] with `groups`, `sources`, `targets`, `sizes`, `shares`, `seeds`.
    ============== =========================================================================================

    Args:
        found: What to write.
        path: Where to; an existing file is replaced.
        density: Of the sub-networks that were compared, for metadata.

    Returns:
        The path.

    Raises:
        UsageError: No format has this suffix, or the folder is not there.
        XsnsError: The file cannot be written.
    """
    target = check_destination(path, GROUP_FORMATS)
    write_whole(target, lambda file: _WRITERS[target.suffix.lower()](found, density, file))
    return target


def _write_csv(found: GroupedSimilarity, _: float | None, file: BinaryIO) -> None:
    write_csv(found.to_frame(), file)


def _write_tsv(found: GroupedSimilarity, _: float | None, file: BinaryIO) -> None:
    write_csv(found.to_frame(), file, separator="\t")


def _write_parquet(found: GroupedSimilarity, _: float | None, file: BinaryIO) -> None:
    found.to_frame().to_parquet(file, index=False)


def _write_json(found: GroupedSimilarity, density: float | None, file: BinaryIO) -> None:
    first = found.matrices[0]
    groups: list[dict[str, Any]] = [
        {
            "name": name,
            "parameters": size,
            "share": share if math.isfinite(share) else None,
            "values": nested(matrix.values),
            "chance": nested(matrix.chance),
            "per_seed": nested(matrix.per_seed),
        }
        for (name, matrix), size, share in zip(found, found.sizes, found.shares, strict=True)
    ]
    write_document(
        {
            "schema_version": SCHEMA_VERSION,
            "coefficient": found.coefficient,
            "direction": first.direction,
            "by": found.by,
            "seeds": list(first.seeds),
            "density": density,
            "sources": list(first.sources),
            "targets": list(first.targets),
            "groups": groups,
        },
        file,
    )


def _write_npz(found: GroupedSimilarity, density: float | None, file: BinaryIO) -> None:
    first = found.matrices[0]
    arrays: dict[str, Any] = {
        "schema_version": np.int64(SCHEMA_VERSION),
        # Fixed-width text: arrays of Python objects would need pickles.
        "coefficient": np.array(found.coefficient, np.str_),
        "by": np.array(found.by, np.str_),
        "groups": np.array(found.names, np.str_),
        "sources": np.array(first.sources, np.str_),
        "targets": np.array(first.targets, np.str_),
        "seeds": np.array(first.seeds, np.int64),
        "sizes": np.array(found.sizes, np.int64),
        "shares": np.array(found.shares, np.float64),
        "values": found.values,
    }
    if density is not None:
        arrays["density"] = np.array(density)
    np.savez(file, **arrays)


_WRITERS: Final[dict[str, _Writer]] = {
    ".csv": _write_csv,
    ".tsv": _write_tsv,
    ".json": _write_json,
    ".parquet": _write_parquet,
    ".npz": _write_npz,
}

#: Suffixes that :func:`write_groups` knows.
GROUP_FORMATS: Final = tuple(_WRITERS)
