"""Agreement of nearest neighbours with language families, and of halves of one language.

`python benchmarks/bench_families.py --data DIR`: DIR contains NTREX, one parallel file for each language, and its
`languages.tsv` (code, family, individual language). One file is used for each language.

* Family: the share of languages, among those with a relative in the pool, whose nearest neighbour by Jaccard is of the
  same family. It is computed on the first 256 lines (text that the embedded model was trained on) and on the last 100
  (text that it has not seen), and compared with random rankings, for which it is the share of relatives in the pool.
* Halves: the first 256 lines are cut into two halves of 128. The result is the share of languages whose two halves are
  closer to each other than to any half of another language. This is difficult because NTREX is parallel: the same half
  of another language has the same sentences. `other half` compares only halves with other sentences.

The values for 256 lines are the mean of the halves' values, because a Fisher value is a mean over examples.

`--store STORE` computes the figures of a store that `build` made from the corpus `ntrex`, such as that of `make demo`;
then nothing is measured, and `--data` is read for the families only. The rows of each seed are compared separately.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pandas as pd

import xsns_stream as xs
from xsns_kernels import intersection_counts
from xsns_stream.languages import normalise

HALF, SEEN, UNSEEN = 128, 256, 100
Parts = dict[str, list[xs.SubNetwork]]


@dataclass(frozen=True)
class Pool:
    """Files of distinct languages with their families."""

    files: tuple[str, ...]
    families: tuple[str, ...]


def read_pool(data: Path, every: int, limit: int | None) -> Pool:
    table = pd.read_csv(data / "languages.tsv", sep="\t", keep_default_na=False)
    table = table[~table["file"].str.contains(r"src|ref2|additional")]
    table = table.drop_duplicates("iso639_3_individual")[::every][:limit]
    return Pool(tuple(table["file"]), tuple(table["family_glottolog"]))


def measure(loaded: Any, layout: xs.ParameterLayout, language: str, lines: Sequence[str]) -> xs.DiagonalFisher:
    examples = tuple(xs.TextExample(line) for line in dict.fromkeys(lines) if line.strip())
    sample = xs.LanguageSample(language, examples, "ntrex")
    encoded = xs.MaskedLanguageModelling().encode(sample, loaded.tokenizer, 42)
    batches = xs.batches(encoded.examples, 8, loaded.tokenizer.pad_token_id)
    return xs.diagonal_fisher(loaded.model, batches, layout, language=language)


def mean(first: xs.DiagonalFisher, second: xs.DiagonalFisher) -> xs.DiagonalFisher:
    total = first.examples + second.examples
    values = tuple(
        ((a * first.examples + b * second.examples) / total).astype(a.dtype)
        for a, b in zip(first.values, second.values, strict=True)
    )
    return xs.DiagonalFisher(values, first.layout, total, first.language)


def subnetworks(loaded: Any, data: Path, pool: Pool) -> Parts:
    layout = xs.parameter_layout(loaded.model)
    result: Parts = {"first": [], "second": [], "seen": [], "unseen": []}
    for number, file in enumerate(pool.files, 1):
        print(f"{number}/{len(pool.files)} {file}", file=sys.stderr, flush=True)
        lines = (data / file).read_text(encoding="utf-8").splitlines()
        language = f"x{number}"
        first = measure(loaded, layout, language, lines[:HALF])
        second = measure(loaded, layout, language, lines[HALF:SEEN])
        unseen = measure(loaded, layout, language, lines[-UNSEEN:])
        for part, fisher in (("first", first), ("second", second), ("seen", mean(first, second)), ("unseen", unseen)):
            result[part].append(xs.extract_subnetwork(fisher, 0.15))
    return result


def jaccard(networks: Sequence[xs.SubNetwork]) -> np.ndarray:
    counts = intersection_counts(np.stack([network.bits for network in networks]))
    sizes = np.diagonal(counts)
    return counts / (sizes[:, None] + sizes[None, :] - counts)


def same_family(similarity: np.ndarray, families: Sequence[str]) -> dict[str, float]:
    labels = np.array(families)
    relatives = (labels[:, None] == labels[None, :]) & ~np.eye(len(labels), dtype=bool)
    related = relatives.any(axis=1)
    nearest = np.where(np.eye(len(labels), dtype=bool), -1.0, similarity).argmax(axis=1)
    hits = relatives[np.arange(len(labels)), nearest]
    off = similarity[~np.eye(len(labels), dtype=bool)]
    return {
        "languages": int(related.sum()),
        "same_family": float(hits[related].mean()),
        "random": float(relatives[related].sum(axis=1).mean() / (len(labels) - 1)),
        "jaccard_mean": float(off.mean()),
        "jaccard_min": float(off.min()),
        "jaccard_max": float(off.max()),
    }


def halves(first: Sequence[xs.SubNetwork], second: Sequence[xs.SubNetwork]) -> dict[str, float]:
    side = len(first)
    similarity = jaccard([*first, *second])
    own = np.concatenate([np.diagonal(similarity, side)] * 2)
    others = np.where(np.tile(np.eye(side, dtype=bool), (2, 2)), -1.0, similarity)
    opposite = np.concatenate([others[:side, side:].max(axis=1), others[side:, :side].max(axis=1)])
    return {
        "half_jaccard_mean": float(own.mean()),
        "closest_of_all": float((own > others.max(axis=1)).mean()),
        "closest_of_other_half": float((own > opposite).mean()),
    }


def families_of_languages(data: Path) -> dict[str, str]:
    """Return {label in the corpus `ntrex`: family}, with one label for each individual language."""
    table = pd.read_csv(data / "languages.tsv", sep="\t", keep_default_na=False)
    table = table[~table["file"].str.contains(r"ref2|additional|eng-(?:GB|IN|US)")]
    # A code without a region or script comes first: `fr` is used and `fr-CA` is not.
    table = table.sort_values("ntrex_code", key=lambda codes: codes.str.len(), kind="stable")
    table = table.drop_duplicates("iso639_3_individual")
    codes = [normalise(code.removesuffix("-src")) for code in table["ntrex_code"]]
    return dict(zip(codes, table["family_glottolog"], strict=True))


def store_rows(store: xs.SubNetworkStore, data: Path) -> list[dict[str, Any]]:
    """Return the figures of a store for each density and seed."""
    families = families_of_languages(data)
    languages = [code for code in store.languages if code in families]
    labels = [families[code] for code in languages]
    return [
        {
            "text": f"seed {seed}, density {density:g}",
            **same_family(xs.similarity(store, languages=languages, density=density, seeds=seed).values, labels),
        }
        for density in store.densities
        for seed in store.seeds
    ]


def measured_rows(loaded: Any, data: Path, pool: Pool) -> list[dict[str, Any]]:
    """Measure the languages of the pool and return the figures of both parts of their text, and of halves."""
    parts = subnetworks(loaded, data, pool)
    rows: list[dict[str, Any]] = [
        {"text": text, **same_family(jaccard(parts[text]), pool.families)} for text in ("seen", "unseen")
    ]
    return [*rows, {"text": "halves", **halves(parts["first"], parts["second"])}]


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of NTREX")
    parser.add_argument("--model", default="mini")
    parser.add_argument("--every", type=int, default=1, help="use every n-th language of the table")
    parser.add_argument("--store", help="store of the corpus ntrex to use instead of a measurement")
    options = parser.parse_args()
    started = time.perf_counter()
    if options.store:
        store = xs.open_store(options.store)
        rows = store_rows(store, options.data)
        parameters: dict[str, Any] = {"store": dict(store.experiment), "languages": len(store.languages)}
    else:
        loaded = xs.load_model(options.model)
        pool = read_pool(options.data, options.every, 6 if options.smoke else None)
        rows = measured_rows(loaded, options.data, pool)
        parameters = {
            "model": loaded.name,
            "weights": loaded.weights_digest,
            "languages": len(pool.files),
            "every": options.every,
        }
    for row in rows:
        print(
            ", ".join(
                f"{key} {value:.3f}" if isinstance(value, float) else f"{key} {value}" for key, value in row.items()
            )
        )
    print(f"{parameters['languages']} languages, {time.perf_counter() - started:.0f} s")
    harness.write(options.output, harness.result("bench_families", parameters, rows, options.smoke))


if __name__ == "__main__":
    main()
