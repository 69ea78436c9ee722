"""Evaluation of the sub-networks of Gemma 3 270M, and of controls without knowledge, on public gold scores of XLM-R.

    python benchmarks/evidence_gemma.py --data DIR --work DIR -o benchmarks/results/evidence-gemma.json

`docs/results/gemma/README.md` has the commands that fill the folder `--work`. It contains the stores of the model
(`gemma3-270m.zarr`), of its controls (`gemma3-270m-redrawn.zarr`, `gemma3-270m-shuffled.zarr`) and of the embedded
model (`mini.zarr`), all on the same sentences of NTREX-128, and the baselines `lex.parquet` and `emb-{layer}.parquet`.
`--data` is the folder of `evidence.py`.

The gold scores were measured on XLM-R base, and the predictors on Gemma: this shows whether the similarity that a small
model sees predicts the transfer of another, larger one.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import evidence
import harness
import numpy as np
import pandas as pd
from bench_families import same_family
from evidence import Pool

import xsns_stream as xs
from xsns_stream.align_scores import join
from xsns_stream.evaluation import evaluate
from xsns_stream.gold import import_scores
from xsns_stream.languages import normalise
from xsns_stream.similarity.matrix_io import read_matrix
from xsns_stream.types.transfer_scores import TransferScores

MODEL = "gemma3-270m"
#: Predictor → name of its store.
STORES = {"xsns": MODEL, "redrawn": f"{MODEL}-redrawn", "shuffled": f"{MODEL}-shuffled", "mini": "mini"}
SEED = 42
#: Languages of NTREX-128 with gold scores on which the model was measured.
LANGUAGES = (
    *evidence.POS,
    *"ar de sw et he zu af vi th el fa ta ur kk eu hu is lt cy mt".split(),  # noqa: SIM905 — one line, not twenty
)
#: The metric by which a layer is chosen on the other targets.
CHOSEN_BY = "ndcg@3[rank-linear]"


def similarities(work: Path, languages: Sequence[str]) -> dict[str, xs.SimilarityMatrix]:
    """Return the Jaccard similarities of the sub-networks of each store that has all of the languages."""
    stores = {predictor: xs.open_store(work / f"{name}.zarr") for predictor, name in STORES.items()}
    return {
        predictor: xs.jaccard(xs.count_overlaps(store, languages=languages, seed=SEED))
        for predictor, store in stores.items()
        if set(languages) <= set(store.languages)
    }


def by_layer(work: Path, languages: Sequence[str]) -> dict[str, xs.SimilarityMatrix]:
    """Return the Jaccard similarities within each layer of the model, and their mean."""
    store = xs.open_store(work / f"{MODEL}.zarr")
    layers = xs.count_overlaps(store, languages=languages, seed=SEED, by="layer")
    found = {f"xsns-layer-{index}": xs.jaccard(table) for index, (_, table) in enumerate(layers)}
    first = next(iter(found.values()))
    mean = np.mean([matrix.values for matrix in found.values()], axis=0)
    return {**found, "xsns-mean-of-layers": replace(first, values=mean, per_seed=None, seeds=(), chance=None)}


def embeddings(work: Path) -> dict[str, xs.SimilarityMatrix]:
    """Return the similarities of mean token states after each layer."""
    layers = range(len(list(work.glob("emb-*.parquet"))))
    return {f"emb-{layer}": read_matrix(work / f"emb-{layer}.parquet") for layer in layers}


def chosen_elsewhere(
    name: str, matrices: Mapping[str, xs.SimilarityMatrix], gold: TransferScores, pool: Sequence[str]
) -> dict[str, xs.SimilarityMatrix]:
    """Return a predictor that uses, for each target, the matrix that is best on all other targets.

    Args:
        name: Name of the predictor.
        matrices: The matrices to choose from, with the same rows and columns.
        gold: Gold scores.
        pool: The languages of the pool.
    """
    joined = join(gold, matrices, pool, pool)
    found = evaluate(joined, resamples=100, with_trivial=False)
    metric = found.per_target[:, found.metrics.index(CHOSEN_BY)]
    first = next(iter(matrices.values()))
    values = np.full_like(first.values, np.nan)
    for at, target in enumerate(found.targets):
        best = int(np.nanmean(np.delete(metric, at, axis=1), axis=1).argmax())
        column = first.targets.index(target)
        values[:, column] = matrices[found.predictors[best]].values[:, column]
    return {name: replace(first, values=values, per_seed=None, seeds=(), chance=None)}


def pools(data: Path, work: Path, languages: Sequence[str]) -> list[Pool]:
    """Return the tables of the page."""
    pos = import_scores(data / "xpos" / "results", "xpos", regime="10000").scores
    ner = import_scores(data / "gold" / "nnrank_wikiann_ner_xlmr_base.csv", "nnrank", metric="f1").scores
    layers, states = by_layer(work, languages), embeddings(work)
    tables = evidence.without_model(data, languages)
    text = {"lex": read_matrix(work / "lex.parquet")}
    found = []
    for name, gold, pool, ceiling in (
        ("gemma-pos-paper", pos, evidence.POS, "20000"),
        ("gemma-pos-all", pos, languages, "20000"),
        ("gemma-ner-all", ner, languages, None),
    ):
        both = [code for code in pool if code in languages and code in gold.sources and code in gold.targets]
        chosen = chosen_elsewhere("xsns-chosen-layer", layers, gold, both)
        chosen |= chosen_elsewhere("emb-chosen-layer", states, gold, both)
        networks = similarities(work, both)
        main = {**networks, **text, "emb": states[f"emb-{len(states) - 1}"], **chosen, **tables}
        found += [
            Pool(name, gold, main, both, both, ceiling),
            Pool(f"{name}-layers", gold, {"xsns": networks["xsns"], **layers, **states}, both, both, ceiling),
        ]
    return found


# ---------------------------------------------------------------------------------------------------- neighbours


def relatives(data: Path) -> pd.DataFrame:
    """Return the family and the genus of each code of NTREX, with the code as index."""
    table = pd.read_csv(data / "ntrex" / "languages.tsv", sep="\t", keep_default_na=False)
    codes = [normalise(short or long) for short, long in zip(table["iso639_1"], table["iso639_3"], strict=True)]
    table.index = pd.Index(["no" if code == "nb" else code for code in codes])
    table = table[~table.index.duplicated()]
    return table[["family_glottolog", "genus_wals"]]


def neighbours(
    data: Path, matrices: Mapping[str, xs.SimilarityMatrix], languages: Sequence[str]
) -> list[dict[str, Any]]:
    """Return how many languages are most similar to a language of their family, and of their genus."""
    table = relatives(data).loc[list(languages)]
    rows = []
    for name, matrix in matrices.items():
        order = [matrix.sources.index(code) for code in languages], [matrix.targets.index(code) for code in languages]
        values = matrix.values[np.ix_(*order)]
        for level, column in (("family", "family_glottolog"), ("genus", "genus_wals")):
            # A language without a genus in WALS has no relative.
            labels = [label or code for code, label in zip(languages, table[column], strict=True)]
            shares = same_family(values, labels)
            rows.append({"section": "neighbours", "predictor": name, "level": level, **shares})
    return rows


def reliability(work: Path, languages: Sequence[str]) -> list[dict[str, Any]]:
    """Return the split-half similarity of each language in each store."""
    rows = []
    for predictor, name in STORES.items():
        store = xs.open_store(work / f"{name}.zarr")
        density = store.densities[0]
        for code in languages:
            if code in store.languages:
                half = store.record(code, SEED, density).provenance.reliability["split_half"]
                rows.append({"section": "split-half", "predictor": predictor, "language": code, "split_half": half})
    return rows


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of xpos, gold, typology and ntrex")
    parser.add_argument("--work", type=Path, required=True, help="folder of the stores and baselines")
    options = parser.parse_args()
    resamples = 1_000 if options.smoke else 10_000
    started = time.perf_counter()
    store = xs.open_store(options.work / f"{MODEL}.zarr")
    languages = [code for code in store.languages if code in LANGUAGES]
    results = [
        row
        for pool in pools(options.data, options.work, languages)
        for row in evidence.evaluated(pool, 1_000 if pool.name.endswith("-layers") else resamples)
    ]
    compared = similarities(options.work, languages) | embeddings(options.work)
    results += neighbours(options.data, compared | {"lex": read_matrix(options.work / "lex.parquet")}, languages)
    results += reliability(options.work, languages)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    parameters = {"resamples": resamples, "languages": languages, "settings": dict(store.experiment)}
    harness.write(options.output, harness.result("evidence-gemma", parameters, results, options.smoke))


if __name__ == "__main__":
    main()
