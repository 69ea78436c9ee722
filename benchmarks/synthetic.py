"""Synthetic sub-networks with the overlaps of real ones, computed as fast as a disk writes.

    python benchmarks/synthetic.py --store big.zarr --languages 282 --bits 85054464

A synthetic row is a function of (seed, language, word): only the row itself is in memory, and a row does not depend on
the number of other rows. Every parameter has a *level*, the probability with which a language selects it. The
distribution of levels was fitted to a real store (235 languages, the embedded model; `SHAPE`), for four quarters of the
depth and five kinds of stretches of 768 parameters, because the selected parameters are in a few rows of each matrix.
Each of the six languages of a family takes half of its choices, at random, from the family.

Shares of P in a real store and here: selected by one of 36 languages 0.424 and 0.424, by one of 235 languages 0.554 and
0.540, by at least 8 of them 0.379 and 0.377, by all of them 0.030 and 0.030. The mean Jaccard coefficients are 0.488
and 0.501.

All operations work on whole words: a plane is 64 random bits, hashed from a counter. `x < c` for 64 eight-bit numbers x
at once takes eight ANDs and ORs of their planes.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numba
import numpy as np

import xsns_kernels as kernels
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.types import LayerSpan, ParameterLayout, Provenance, SubNetwork, words_for

DENSITY = 0.15
LAYERS = 12
FAMILY = 6
RUN_WORDS = 12  # 768 parameters: a row of a matrix of XLM-R's

#: Levels in 1/256; every language selects parameters of the last level.
LEVELS = np.array([1, 4, 12, 32, 80, 150, 220, 256], np.int64)
#: Cumulated share of the five kinds of stretches, coldest first, in 1/65536.
KINDS = np.array([26214, 42598, 55706, 62259, 65536], np.int64)
#: Share of parameters of at least each level, in 1/256: [quarter of the depth, kind of stretch, level]; fitted to the
#: shares above.
SHAPE = np.array(
    [
        [
            [107, 43, 15, 4, 2, 0, 0, 0],
            [158, 112, 80, 41, 21, 11, 4, 0],
            [240, 233, 226, 205, 151, 89, 45, 3],
            [256, 256, 256, 256, 256, 256, 254, 144],
            [256, 256, 256, 256, 256, 256, 256, 256],
        ],
        [
            [84, 21, 5, 1, 0, 0, 0, 0],
            [172, 123, 82, 40, 16, 5, 2, 0],
            [180, 149, 128, 94, 50, 21, 7, 0],
            [250, 246, 241, 231, 188, 92, 19, 0],
            [255, 255, 254, 253, 250, 238, 175, 16],
        ],
        [
            [50, 8, 0, 0, 0, 0, 0, 0],
            [141, 74, 38, 15, 4, 1, 1, 0],
            [168, 133, 107, 67, 31, 12, 4, 0],
            [205, 186, 173, 143, 79, 26, 8, 0],
            [254, 251, 250, 247, 234, 172, 87, 12],
        ],
        [
            [172, 113, 71, 31, 9, 2, 1, 0],
            [213, 179, 146, 93, 44, 15, 4, 0],
            [240, 227, 213, 183, 121, 48, 11, 0],
            [254, 252, 250, 245, 229, 172, 65, 2],
            [256, 255, 255, 254, 250, 236, 177, 19],
        ],
    ],
    np.int64,
)

_PLANES = 8
_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_ONES = np.uint64(0xFFFFFFFFFFFFFFFF)
#: Uses of hashed numbers; the same counter gives independent bits for each use.
_KIND, _LEVEL, _SHARED, _OWN, _WHOSE = range(5)


@numba.njit(cache=True, nogil=True, inline="always")
def _mixed(x: np.uint64) -> np.uint64:
    """Return 64 pseudo-random bits, by the last step of SplitMix64."""
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@numba.njit(cache=True, nogil=True, inline="always")
def _planes(key: np.uint64, word: int, out: np.ndarray) -> None:
    """Fill `out` with the random planes of bits of the word with index `word`, highest bits first; `key` seeds them."""
    for plane in range(_PLANES):
        out[plane] = _mixed(key + np.uint64(word * _PLANES + plane + 1) * _GOLDEN)


@numba.njit(cache=True, nogil=True, inline="always")
def _below(planes: np.ndarray, bound: int) -> np.uint64:
    """Return which of the 64 numbers, eight planes of bits, are below `bound`, 0 up to 256."""
    if bound >= 256:
        return _ONES
    below = np.uint64(0)
    for plane in range(_PLANES - 1, -1, -1):
        # If the bit of the bound is set, a zero means "below"; if it is not set, a one means "not below".
        is_set = np.uint64(0) - np.uint64((bound >> (_PLANES - 1 - plane)) & 1)
        below = (~planes[plane] & (is_set | below)) | (is_set & below)
    return below


@numba.njit(cache=True, nogil=True)
def _fill(keys: np.ndarray, ends: np.ndarray, start: int, out: np.ndarray, shape: np.ndarray) -> None:
    """Fill `out` with the words of a row from `start` on.

    `keys` are those of :func:`_keys`, `ends` [layers] are the words at which layers end, and `shape` is like `SHAPE`.
    """
    level, shared, own = np.empty(_PLANES, np.uint64), np.empty(_PLANES, np.uint64), np.empty(_PLANES, np.uint64)
    layer = 0
    for index in range(len(out)):
        word = start + index
        while layer < len(ends) - 1 and word >= ends[layer]:
            layer += 1
        draw = np.int64(_mixed(keys[_KIND] + np.uint64(word // RUN_WORDS + 1) * _GOLDEN) >> np.uint64(48))
        kind = 0
        while draw >= KINDS[kind]:
            kind += 1
        shares = shape[layer * len(shape) // len(ends), kind]
        _planes(keys[_LEVEL], word, level)
        _planes(keys[_SHARED], word, shared)
        _planes(keys[_OWN], word, own)
        family = _mixed(keys[_WHOSE] + np.uint64(word + 1) * _GOLDEN)
        for plane in range(_PLANES):
            shared[plane] = (shared[plane] & family) | (own[plane] & ~family)
        bits = np.uint64(0)
        for number in range(len(LEVELS)):
            if shares[number] == 0:
                break
            bits |= _below(level, shares[number]) & _below(shared, LEVELS[number])
        out[index] = bits


def row_words(size: int, language: int, seed: int = 0, start: int = 0, stop: int | None = None) -> np.ndarray:
    """Return words `start` up to `stop` of the row of a language: uint64 [stop − start], with zeros as pad bits.

    Args:
        size: P, the number of parameters.
        language: The number of the language, from 0.
        seed: The seed of the whole store.
        start: The first word.
        stop: The word after the last; by default the end of the row.
    """
    words = words_for(size)
    stop = words if stop is None else stop
    if not 0 <= start <= stop <= words:
        raise ValueError(f"words {start} up to {stop} are not within a row of {words}")
    out = np.empty(stop - start, np.uint64)
    ends = np.array([-(-layer.stop // 64) for layer in layout(size).layers], np.int64)
    _fill(_keys(seed, language), ends, start, out, SHAPE)
    if stop == words and size % 64 and len(out):
        out[-1] &= np.uint64((1 << size % 64) - 1)
    return out


def _keys(seed: int, language: int) -> np.ndarray:
    """Return the keys of the hash, uint64 [5]: kinds, levels, choices of family and language, and their mixture."""
    whose = {_SHARED: language // FAMILY + 1, _OWN: language + 1, _WHOSE: language + 1}
    states = [np.random.SeedSequence((seed, role, whose.get(role, 0))) for role in range(5)]
    return np.array([state.generate_state(1, np.uint64)[0] for state in states], np.uint64)


def rows(count: int, size: int, seed: int = 0) -> Iterator[np.ndarray]:
    """Yield the rows of `count` languages with `size` parameters, uint64 [W] each."""
    return (row_words(size, language, seed) for language in range(count))


def layout(size: int) -> ParameterLayout:
    """Return twelve layers of one tensor each, of equal size if `size` is a multiple of 12 · 64."""
    if size < LAYERS * 64:
        raise ValueError(f"{LAYERS} layers of whole words need at least {LAYERS * 64} parameters, not {size}")
    each = size // LAYERS // 64 * 64
    ends = [*(each * number for number in range(1, LAYERS)), size]
    spans = tuple(
        LayerSpan(f"layer.{number}", start, stop)
        for number, (start, stop) in enumerate(zip([0, *ends], ends, strict=False))
    )
    names = tuple(f"{span.name}.weight" for span in spans)
    return ParameterLayout(names, tuple((span.stop - span.start,) for span in spans), spans)


def code(language: int) -> str:
    """Return the code of a synthetic language: `aaa`, `aab` and so on, all distinct below 26³."""
    return "".join(chr(ord("a") + language // 26**power % 26) for power in (2, 1, 0))


def network(size: int, language: int, seed: int = 0) -> SubNetwork:
    """Return the row of a language as a sub-network of `size` parameters, with a synthetic threshold and provenance."""
    where = layout(size)
    bits = row_words(size, language, seed)
    return SubNetwork(
        language=code(language),
        seed=seed,
        bits=bits,
        layout=where,
        cardinality=kernels.popcount(bits),
        threshold=1e-6,
        density=DENSITY,
        provenance=Provenance(model="synthetic", layout_digest=where.digest, objective="none", seed=seed),
    )


def write_store(path: str | Path, count: int, size: int, seed: int = 0, first: int = 0) -> SubNetworkStore:
    """Write languages `first` up to `count` with `size` parameters to a store, which is created if it does not exist.

    The writer of the store writes row by row; committed rows are not changed.
    """
    store = open_store(path, "a")
    for language in range(first, count):
        if not (store.exists and store.is_committed(code(language), seed, DENSITY)):
            store.write(network(size, language, seed))
    return store


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--store", required=True, help="path of the store; rows that exist already are not changed")
    parser.add_argument("--languages", type=int, default=36, help="L (36)")
    parser.add_argument("--bits", type=int, default=85_054_464, help="P (85,054,464)")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    write_store(options.store, options.languages, options.bits, options.seed)


if __name__ == "__main__":
    main()
