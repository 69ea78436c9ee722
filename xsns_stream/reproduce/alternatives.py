"""Other ways to compare Fisher values than one threshold and Jaccard, from values that a store has kept.

Also a program: `python -m xsns_stream.reproduce.alternatives STORE DENSITY FOLDER` writes a parquet file for each way.

* `per-layer`: the top values of every layer, instead of the top values of all layers together; Jaccard of the bits.
* `weighted`: Jaccard of the values themselves, Σ min / Σ max, without a threshold (Ružička).
* `cosine`: of the values, without a threshold.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from xsns_stream.errors import StoreError, UsageError, XsnsError
from xsns_stream.report import write_matrix
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.subnetwork import select_top
from xsns_stream.types import ParameterLayout, Reals, SimilarityMatrix

#: Names of the ways, and of their files.
WAYS: Final = ("per-layer", "weighted", "cosine")


def write_alternatives(store: Path, density: float, folder: Path) -> None:
    """Compare all languages of a store in every way, and write `folder/WAY.parquet`.

    Args:
        store: With kept Fisher values.
        density: Of every layer, for `per-layer`.
        folder: Made where it is not there.

    Raises:
        StoreError: The store keeps no Fisher values, or not of every language for each seed.
        XsnsError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for way, matrix in compare_values(open_store(store), density).items():
        write_matrix(matrix, folder / f"{way}.parquet")


def compare_values(store: SubNetworkStore, density: float) -> dict[str, SimilarityMatrix]:
    """Return the similarities of all languages whose Fisher values are kept, in every way.

    Values are read a layer at a time: L times the largest layer is in memory.

    Args:
        store: With kept Fisher values.
        density: Of every layer, for `per-layer`.

    Raises:
        StoreError: The store keeps none, or not of every language for each seed.
    """
    keys = store.kept_keys()
    languages = tuple(dict.fromkeys(key.language for key in keys))
    seeds = tuple(dict.fromkeys(key.seed for key in keys))
    if not keys or len(keys) != len(languages) * len(seeds):
        raise StoreError(
            f"'{store.path}' does not keep Fisher values of every language and seed.", "build it with --keep-fisher."
        )
    found = np.stack([_of_seed(store, languages, seed, density) for seed in seeds], axis=1)
    return {
        way: SimilarityMatrix(languages, languages, values.mean(axis=0), way, seeds=seeds, per_seed=values)
        for way, values in zip(WAYS, found, strict=True)
    }


def _of_seed(store: SubNetworkStore, languages: Sequence[str], seed: int, density: float) -> Reals:
    """Return float64 [3, L, L]: each way's similarities of one seed."""
    kept = [fisher for language in languages if (fisher := store.kept(language, seed)) is not None]
    # Intersection and union of the bits; least and largest values; products.
    sums = np.zeros((5, len(kept), len(kept)))
    for start, stop in _layers(store.layout):
        values = np.stack([np.concatenate([v.ravel() for v in fisher.values[start:stop]]) for fisher in kept])
        bits = np.stack([select_top([row], density)[0] for row in values])
        for one in range(len(kept)):
            sums[0, one] += np.bitwise_count(bits[one] & bits).sum(axis=1)
            sums[1, one] += np.bitwise_count(bits[one] | bits).sum(axis=1)
            sums[2, one] += np.minimum(values[one], values).sum(axis=1, dtype=np.float64)
            sums[3, one] += np.maximum(values[one], values).sum(axis=1, dtype=np.float64)
        precise = values.astype(np.float64)
        sums[4] += precise @ precise.T
    length = np.sqrt(np.diagonal(sums[4]))
    return np.stack([sums[0] / sums[1], sums[2] / sums[3], sums[4] / np.outer(length, length)])


def _layers(layout: ParameterLayout) -> list[tuple[int, int]]:
    """Return the tensors of each layer: the first, and the one after the last."""
    offsets = [*layout.offsets, layout.size]
    return [(offsets.index(layer.start), offsets.index(layer.stop)) for layer in layout.layers]


def main(words: list[str]) -> None:
    """Run it as a program.

    Raises:
        UsageError: There are not three words.
    """
    if len(words) != 3:
        use = "python -m xsns_stream.reproduce.alternatives STORE DENSITY FOLDER"
        raise UsageError("a store, a density and a folder are needed.", use)
    write_alternatives(Path(words[0]), float(words[1]), Path(words[2]))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except XsnsError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
