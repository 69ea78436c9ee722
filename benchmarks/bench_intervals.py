"""Coverage of the intervals of `rank`, from sub-networks of disjoint samples of the same languages.

`python benchmarks/bench_intervals.py --data DIR`: DIR contains NTREX. For each language, R disjoint samples of D lines
are measured with K folds each. The ranking and intervals of each sample are compared with the mean similarity of two
languages over all pairs of the *other* samples, which is taken as the true value.
"""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import harness
import numpy as np

from xsns_stream.corpora import open_corpus
from xsns_stream.models import load_model
from xsns_stream.pipeline.build import build
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.ranking import draws_of_folds, fold_similarities, rank_sources
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.types import SimilarityMatrix

DENSITY, SEED = 0.15, 42


def cut(folder: Path, languages: Sequence[str], draws: int, examples: int, into: Path) -> None:
    """Write disjoint samples of each language's lines to `into/<draw>/<language>.txt`."""
    for number, language in enumerate(languages):
        lines = list(dict.fromkeys((folder / f"{language}.txt").read_text(encoding="utf-8").splitlines()))
        if len(lines) < draws * examples:
            sys.exit(
                f"error: {language} has {len(lines)} lines; {draws} samples of {examples} need {draws * examples}."
            )
        order = np.random.default_rng([7919, number]).permutation(len(lines))
        for draw in range(draws):
            (into / str(draw)).mkdir(parents=True, exist_ok=True)
            chosen = order[draw * examples : (draw + 1) * examples]
            text = "\n".join(lines[line] for line in chosen)
            (into / str(draw) / f"{language.partition('-')[0]}.txt").write_text(text + "\n", encoding="utf-8")


def measure(texts: Path, draws: int, examples: int, parts: int, into: Path) -> list[SubNetworkStore]:
    """Build a store for each sample of `texts`, with `parts` folds, in the folder `into`; return the stores."""
    loaded, stores = load_model("mini"), []
    for draw in range(draws):
        corpus = open_corpus(str(texts / str(draw)))
        store = open_store(into / f"{draw}.zarr", "a")
        build(BuildSettings(corpus, corpus.languages(), examples=examples, parts=parts), loaded, store)
        stores.append(store)
        print(f"sample {draw + 1} of {draws} is measured", file=sys.stderr)
    return stores


def similarities(stores: Sequence[SubNetworkStore], languages: Sequence[str]) -> Any:
    """Return the Jaccard coefficients of all samples of all languages with one another, float64 [R, S, R, T].

    `stores` has a store for each of R samples.
    """
    from xsns_kernels import intersection_counts

    rows = np.concatenate([store.rows(languages, SEED, DENSITY) for store in stores])
    shared = intersection_counts(rows).astype(np.float64)
    sizes = shared.diagonal()
    jaccard = shared / (sizes[:, None] + sizes[None] - shared)
    return jaccard.reshape(len(stores), len(languages), len(stores), len(languages))


def outcomes(stores: Sequence[SubNetworkStore], parts: int) -> Iterator[dict[str, Any]]:
    """Yield, for each sample and target, the statements of `rank` and whether they are true."""
    languages = stores[0].languages
    every = similarities(stores, languages)
    for draw, store in enumerate(stores):
        others = [other for other in range(len(stores)) if other != draw]
        truth = every[others][:, :, others].mean(axis=(0, 2))
        matrix = SimilarityMatrix(languages, languages, every[draw, :, draw], "jaccard", seeds=(SEED,))
        for column, target in enumerate(languages):
            sources = [code for code in languages if code != target]
            folds = fold_similarities(store, store.folds(parts), target, sources, (SEED,), DENSITY)
            draws = draws_of_folds(folds, matrix)
            true = {code: float(truth[languages.index(code), column]) for code in sources}
            ranking = rank_sources(matrix, target, draws=draws)
            best = max(sources, key=lambda code: true[code])
            yield {
                "similarity": [float(s.low or 0) <= true[s.language] <= float(s.high or 0) for s in ranking],
                "difference": [
                    bool(np.quantile(gap, 0.025) <= true[a] - true[b] <= np.quantile(gap, 0.975))
                    for i, a in enumerate(sources)
                    for j, b in enumerate(sources[:i])
                    for gap in [draws.values[:, i] - draws.values[:, j]]
                ],
                "best_is_level": [s.level_with_first is True for s in ranking if s.language == best],
                "best_is_first": [ranking.sources[0].language == best],
                "sure": [s.language == best for s in ranking if (s.best_probability or 0) >= 0.9],
            }


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of NTREX")
    parser.add_argument("--lang", default="swa,zul,xho,kin,fin,est,hun,deu,nld,eng-src,fra,spa")
    parser.add_argument("--draws", type=int, default=8)
    parser.add_argument("--examples", type=int, default=128)
    parser.add_argument("--parts", type=int, nargs="+", default=[8, 4])
    options = parser.parse_args()
    languages, draws, examples = options.lang.split(","), options.draws, options.examples
    if options.smoke:
        languages, draws, examples, options.parts = languages[:4], 3, 16, [4]
    results = []
    for parts in options.parts:
        with tempfile.TemporaryDirectory() as name:
            texts = Path(name) / "texts"
            cut(options.data, languages, draws, examples, texts)
            runs = list(outcomes(measure(texts, draws, examples, parts, Path(name)), parts))
        for statement in runs[0]:
            values = [value for one in runs for value in one[statement]]
            results.append({"parts": parts, "what": statement, "share": float(np.mean(values)), "of": len(values)})
    for row in results:
        print(f"{row['parts']} parts: {row['what']} {row['share']:.3f} of {row['of']}")
    parameters = {"languages": languages, "draws": draws, "examples": examples, "density": DENSITY, "seed": SEED}
    harness.write(options.output, harness.result("bench_intervals", parameters, results, options.smoke))


if __name__ == "__main__":
    main()
