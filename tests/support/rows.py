"""Rows of bits in memory, with the methods of a store that give its rows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from xsns_kernels import ArrayColumns, pack_bits
from xsns_stream.types import LayerSpan, ParameterLayout

SIZE, DENSITY = 1000, 0.15
LAYOUT = ParameterLayout(("w",), ((SIZE,),), (LayerSpan("0", 0, SIZE),))


class Rows:
    """A source of rows in memory, made from {(language, seed): bits}."""

    layout, densities = LAYOUT, (DENSITY,)

    def __init__(self, rows: dict[tuple[str, int], Any], recorded: dict[tuple[str, int], int] | None = None) -> None:
        self.bits, self.recorded = rows, recorded or {}
        self.seeds = tuple(sorted({seed for _, seed in rows}))

    def languages_at(self, seed: int, density: float) -> tuple[str, ...]:
        return tuple(sorted(code for code, own in self.bits if own == seed))

    def cardinalities(self, languages: Sequence[str], seed: int, density: float) -> Any:
        rows = [(code, seed) for code in languages]
        return np.array([self.recorded.get(row, int(self.bits[row].sum())) for row in rows], np.int64)

    @contextmanager
    def columns(self, languages: Sequence[str], seed: int, density: float) -> Iterator[ArrayColumns]:
        yield ArrayColumns(np.stack([pack_bits(self.bits[code, seed]) for code in languages]))


def random_rows(codes: str, seeds: Sequence[int] = (1,), salt: int = 0) -> Rows:
    draw = np.random.default_rng(salt)
    return Rows({(code, seed): draw.random(SIZE) < 0.3 for code in codes.split() for seed in seeds})
