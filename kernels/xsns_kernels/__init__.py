"""Kernels for packed bits and non-negative floats: selection, packing, popcounts and intersection counts.

The package works on arrays and knows nothing about languages. Importing it loads no other library and compiles nothing:
each name is loaded at its first use, and machine code is compiled once and cached on disk. Functions for torch
tensors are imported from their modules: `xsns_kernels.device` (the same selection on a device) and
`xsns_kernels.grouped` (squared products of many examples).

>>> import numpy as np
>>> words, cardinality = threshold_bits([np.float32([0.5, 0, 2])], kth_largest(np.float32([0.5, 0, 2]), k=1))
>>> words.tolist(), cardinality
([4], 1)
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xsns_kernels.columns import ArrayColumns, Columns, Segment
    from xsns_kernels.dispatch import implementations
    from xsns_kernels.packing import pack_bits, popcount, unpack_bits
    from xsns_kernels.quantiles import pattern_histogram
    from xsns_kernels.reference import (
        accumulate_cross_intersections,
        accumulate_intersections,
        cross_intersection_counts,
        intersection_counts,
    )
    from xsns_kernels.selection import kth_largest, threshold_bits
    from xsns_kernels.streams import stream_cross_intersections, stream_intersections
    from xsns_kernels.top import top_bits, top_bits_many

__all__ = [
    "ArrayColumns",
    "Columns",
    "Segment",
    "accumulate_cross_intersections",
    "accumulate_intersections",
    "cross_intersection_counts",
    "implementations",
    "intersection_counts",
    "kth_largest",
    "pack_bits",
    "pattern_histogram",
    "popcount",
    "stream_cross_intersections",
    "stream_intersections",
    "threshold_bits",
    "top_bits",
    "top_bits_many",
    "unpack_bits",
]

_HOMES = {
    "ArrayColumns": "columns",
    "Columns": "columns",
    "Segment": "columns",
    "accumulate_cross_intersections": "reference",
    "accumulate_intersections": "reference",
    "cross_intersection_counts": "reference",
    "implementations": "dispatch",
    "intersection_counts": "reference",
    "kth_largest": "selection",
    "pack_bits": "packing",
    "pattern_histogram": "quantiles",
    "popcount": "packing",
    "stream_cross_intersections": "streams",
    "stream_intersections": "streams",
    "threshold_bits": "selection",
    "top_bits": "top",
    "top_bits_many": "top",
    "unpack_bits": "packing",
}


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
