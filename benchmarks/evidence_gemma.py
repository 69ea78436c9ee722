"""Evaluation of the sub-networks of Gemma 3 270M, and of controls without knowledge, on scores after fine-tuning.

    python benchmarks/evidence_gemma.py --data DIR --work DIR -o benchmarks/results/evidence-gemma.json

`docs/results/gemma/README.md` has the commands that fill the folder `--work`. It contains the stores of the model
(`gemma3-270m.zarr`), of its controls (`gemma3-270m-redrawn.zarr`, `gemma3-270m-shuffled.zarr`) and of the embedded
model (`mini.zarr`), all on the same sentences of NTREX-128, and the baselines `lex.parquet` and `emb-{layer}.parquet`.
`--data` is the folder of `evidence.py`.

There are two kinds of gold scores. The public scores were measured on XLM-R base, and the predictors on Gemma: this
shows whether the similarity that a small model sees predicts the transfer of another, larger one. The files
`pos-gemma3-270m.parquet` and `pos-gemma3-270m-redrawn.parquet` of the folder `--work` have scores for POS tagging of
Gemma itself, and of the same architecture with random weights. A file that does not exist is left out.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import evidence
import harness
import numpy as np
import pandas as pd
from bench_families import same_family
from evidence import Pool
from matplotlib.figure import Figure

import xsns_stream as xs
from xsns_stream.align_scores import join
from xsns_stream.evaluation import evaluate
from xsns_stream.gold import import_scores, read_scores
from xsns_stream.languages import normalise
from xsns_stream.report.evaluation_figure import plot_evaluation
from xsns_stream.report.figures import save_figure
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


def corrections(work: Path, languages: Sequence[str]) -> dict[str, xs.SimilarityMatrix]:
    """Return the similarities of the model's sub-networks with each correction for hubs or for split-half."""
    store = xs.open_store(work / f"{MODEL}.zarr")
    return {
        f"xsns-{name}": xs.similarity(store, languages=languages, seeds=SEED, coefficient=name)
        for name in ("centred", "csls", "mutual-rank", "reliability")
    }


def embeddings(work: Path) -> dict[str, xs.SimilarityMatrix]:
    """Return the similarities of mean token states after each layer."""
    layers = range(len(list(work.glob("emb-*.parquet"))))
    return {f"emb-{layer}": read_matrix(work / f"emb-{layer}.parquet") for layer in layers}


def chosen_elsewhere(
    name: str,
    matrices: Mapping[str, xs.SimilarityMatrix],
    gold: TransferScores,
    sources: Sequence[str],
    targets: Sequence[str],
) -> dict[str, xs.SimilarityMatrix]:
    """Return a predictor that uses, for each target, the matrix that is best on all other targets.

    Args:
        name: Name of the predictor.
        matrices: The matrices to choose from, with the same rows and columns.
        gold: Gold scores.
        sources: The sources of the pool.
        targets: The targets of the pool.
    """
    joined = join(gold, matrices, sources, targets)
    found = evaluate(joined, resamples=100, with_trivial=False)
    metric = found.per_target[:, found.metrics.index(CHOSEN_BY)]
    first = next(iter(matrices.values()))
    values = np.full_like(first.values, np.nan)
    for at, target in enumerate(found.targets):
        best = int(np.nanmean(np.delete(metric, at, axis=1), axis=1).argmax())
        column = first.targets.index(target)
        values[:, column] = matrices[found.predictors[best]].values[:, column]
    return {name: replace(first, values=values, per_seed=None, seeds=(), chance=None)}


@dataclass(frozen=True)
class Predictors:
    """The predictors of all pools.

    Attributes:
        work: Folder of the stores.
        layers: Similarities of the sub-networks within each layer.
        states: Similarities of mean token states after each layer.
        corrected: Similarities with corrections for hubs or for split-half.
        tables: Baselines that need neither the model nor the text, and the overlap of tokens.
    """

    work: Path
    layers: Mapping[str, xs.SimilarityMatrix]
    states: Mapping[str, xs.SimilarityMatrix]
    corrected: Mapping[str, xs.SimilarityMatrix]
    tables: Mapping[str, xs.SimilarityMatrix]

    @classmethod
    def read(cls, data: Path, work: Path, languages: Sequence[str]) -> Predictors:
        """Read the predictors of the languages."""
        text = {"lex": read_matrix(work / "lex.parquet")}
        tables = text | evidence.without_model(data, languages)
        return cls(work, by_layer(work, languages), embeddings(work), corrections(work, languages), tables)

    def pools(
        self, name: str, gold: TransferScores, sources: Sequence[str], targets: Sequence[str], ceiling: str | None
    ) -> list[Pool]:
        """Return three tables of one gold: all predictors, corrections of the coefficient, and single layers.

        Args:
            name: Name of the first table.
            gold: Gold scores.
            sources: The sources of the pool.
            targets: The targets of the pool.
            ceiling: The regime that predicts the main regime; None if there is none.
        """
        chosen = chosen_elsewhere("xsns-chosen-layer", self.layers, gold, sources, targets)
        chosen |= chosen_elsewhere("emb-chosen-layer", self.states, gold, sources, targets)
        networks = similarities(self.work, tuple(dict.fromkeys((*sources, *targets))))
        last = {"emb": self.states[f"emb-{len(self.states) - 1}"]}
        lex = {"lex": self.tables["lex"]}
        main = {**networks, **lex, **last, **chosen, **self.tables}
        whole = {"xsns": networks["xsns"]}
        return [
            Pool(name, gold, main, sources, targets, ceiling),
            Pool(f"{name}-corrections", gold, {**whole, **self.corrected}, sources, targets, ceiling),
            Pool(f"{name}-layers", gold, {**whole, **self.layers, **self.states}, sources, targets, ceiling),
        ]


def public_pools(data: Path, predictors: Predictors, languages: Sequence[str]) -> list[Pool]:
    """Return the tables with the public gold scores of XLM-R."""
    pos = import_scores(data / "xpos" / "results", "xpos", regime="10000").scores
    ner = import_scores(data / "gold" / "nnrank_wikiann_ner_xlmr_base.csv", "nnrank", metric="f1").scores
    made = []
    for name, gold, pool, ceiling in (
        ("gemma-pos-paper", pos, evidence.POS, "20000"),
        ("gemma-pos-all", pos, languages, "20000"),
        ("gemma-ner-all", ner, languages, None),
    ):
        both = [code for code in pool if code in languages and code in gold.sources and code in gold.targets]
        made += predictors.pools(name, gold, both, both, ceiling)
    return made


def own_pools(predictors: Predictors, languages: Sequence[str]) -> list[Pool]:
    """Return the tables with the scores of Gemma itself and of its control, as far as their files exist."""
    made = []
    for name, path in own_scores(predictors.work).items():
        gold = read_scores(path)
        sources = [code for code in gold.sources if code in languages]
        targets = [code for code in gold.targets if code in languages]
        made += predictors.pools(name, gold, sources, targets, None)
    return made


#: Name of a pool → file of its gold scores in the folder `--work`.
OWN_SCORES = {"gemma-own-pos": f"pos-{MODEL}.parquet", "gemma-own-pos-redrawn": f"pos-{MODEL}-redrawn.parquet"}


def own_scores(work: Path) -> dict[str, Path]:
    """Return {name of the pool: file of scores after fine-tuning}, for the files that exist."""
    return {name: work / file for name, file in OWN_SCORES.items() if (work / file).exists()}


def fine_tuned(work: Path) -> list[dict[str, Any]]:
    """Return the scores of each fine-tuned model: on its own language, and the mean on the other languages."""
    rows = []
    for name, path in own_scores(work).items():
        gold = read_scores(path)
        for source, scores in gold.to_frame().iterrows():
            others = scores.drop(source).dropna()
            means = {
                "own": scores[source],
                "zero_shot": others.mean(),
                "trivial": np.mean([gold.trivial[code] for code in others.index]),
            }
            fields = {"section": "fine-tuned", "pool": name, "source": source, "targets": len(others)}
            rows.append(fields | {key: evidence.rounded(float(value)) for key, value in means.items()})
    return rows


#: (pool, predictors, model, random effects) of each regression.
REGRESSIONS = tuple(
    (name, predictors, "mixed", "target")
    for name in ("gemma-own-pos", "gemma-pos-all")
    for predictors in (("xsns",), ("lex",), ("ldnd",), ("xsns", "lex"), ("xsns", "lex", "ldnd"))
)


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


# -------------------------------------------------------------------------------------------------- figure

#: Pool → title of its panel.
PANELS = {
    "gemma-own-pos": "POS accuracy of Gemma 3 270M",
    "gemma-pos-all": "POS accuracy of XLM-R",
}


def draw(tables: Sequence[Pool], resamples: int, file: Path) -> None:
    """Draw the NDCG@3 of each predictor with its interval; each computed pool of :data:`PANELS` has a panel."""
    evaluations = {table.name: evidence.evaluation_of(table, resamples)[0] for table in tables if table.name in PANELS}
    figure = Figure(figsize=(5.4 * len(evaluations), 5.2), layout="constrained")
    panels = figure.subplots(1, len(evaluations), squeeze=False)[0]
    for axes, (name, evaluation) in zip(panels, evaluations.items(), strict=True):
        plot_evaluation(evaluation, ax=axes)
        axes.set_xlabel("NDCG@3 with 95 % interval")
        axes.set_title(f"{PANELS[name]}, {len(evaluation.targets)} targets", loc="left", fontsize=10)
    with file.open("wb") as stream:
        save_figure(lambda: figure, stream, file.suffix.removeprefix("."))


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of xpos, gold, typology and ntrex")
    parser.add_argument("--work", type=Path, required=True, help="folder of the stores and baselines")
    parser.add_argument("--figure", type=Path, help="file of the figure, .svg or .png")
    options = parser.parse_args()
    resamples = 1_000 if options.smoke else 10_000
    started = time.perf_counter()
    store = xs.open_store(options.work / f"{MODEL}.zarr")
    languages = [code for code in store.languages if code in LANGUAGES]
    predictors = Predictors.read(options.data, options.work, languages)
    tables = public_pools(options.data, predictors, languages) + own_pools(predictors, languages)
    results = [row for table in tables for row in evidence.evaluated(table, resamples)]
    by_name = {table.name: table for table in tables}
    for name, used, model, random in REGRESSIONS:
        if name in by_name:
            results += evidence.regressed(by_name[name], used, model, random)
    results += fine_tuned(options.work)
    compared = similarities(options.work, languages) | embeddings(options.work)
    results += neighbours(options.data, compared | {"lex": read_matrix(options.work / "lex.parquet")}, languages)
    results += reliability(options.work, languages)
    if options.figure is not None:
        draw(tables, resamples, options.figure)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    parameters = {"resamples": resamples, "languages": languages, "settings": dict(store.experiment)}
    harness.write(options.output, harness.result("evidence-gemma", parameters, results, options.smoke))


if __name__ == "__main__":
    main()
