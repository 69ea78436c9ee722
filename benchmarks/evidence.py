"""Evaluation of predictors of transfer on public gold scores: all numbers of `docs/evidence.md`.

Run `python benchmarks/evidence.py --data DIR --work DIR -o benchmarks/results/evidence.json`, then `tables.py`.
`--data` contains `xpos` (POS gold, LDND, families, scripts, sizes), `gold` (NER gold), `typology` (URIEL, mPLM-Sim) and
`ntrex`; `docs/evidence.md` describes the data and their sources. `--work` stores the sub-networks and similarities of
the embedded model, which take an hour on one core in the first run.

The gold scores are those of XLM-R base. LDND, L2V, families, scripts and sizes do not depend on a model. mPLM-Sim's
embedding similarities were measured on XLM-R base itself. Sub-networks, LEX, EMB and NN-Rank come from `mini`, a
different and much weaker model.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import harness
import numpy as np
import pandas as pd

import xsns_stream as xs
from xsns_stream.align_scores import join
from xsns_stream.baselines import (
    family,
    l2v,
    ldnd,
    read_distances,
    read_families,
    read_features,
    read_scripts,
    read_sizes,
    script,
    source_size,
)
from xsns_stream.errors import LanguageError
from xsns_stream.evaluation import evaluate
from xsns_stream.gold import import_scores
from xsns_stream.languages import counterparts, normalise
from xsns_stream.pipeline.baseline_run import model_baselines
from xsns_stream.pipeline.build import build
from xsns_stream.pipeline.settings import BuildSettings
from xsns_stream.regression import feature_matrix, fit, parse_feature
from xsns_stream.regression import read_features as read_language_features
from xsns_stream.report import write_matrix
from xsns_stream.similarity.matrix_io import read_matrix
from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.transfer_scores import JoinedScores, TransferScores

#: The paper's languages for POS and NER.
POS = tuple("bg zh nl en fi fr hi id it ja ko no pl pt ru sk es sv tr uk".split())  # noqa: SIM905 — one line, not twenty
NER = tuple("ar zh en fi fr el he id it ja ko ru es sv th tr vi".split())  # noqa: SIM905
LAYERS = range(13)
SEEDS = (42, 16, 10)
EXAMPLES = 256
# NN-Rank's time grows with the square of the tokens; its paper also uses a few hundred sentences.
TOKENS = 1_000


#: Features on which de Vries et al. (2022) regress POS scores, from their tables.
FEATURES = (
    "family=same-group:family",
    "script=same:script",
    "script-type=same-script-type:script",
    "word-order=same-known:SOV_order",
    "ldnd=pair:ldnd",
    "source-pretrained=source:in_xlmr_pretraining",
    "target-pretrained=target:in_xlmr_pretraining",
)
#: Pool, predictors, model, factors with random intercepts.
REGRESSIONS = [
    *(
        (pool, [name], model, "target")
        for pool in ("pos-paper", "ner-paper")
        for name in ("ldnd", "l2v")
        for model in ("ols", "mixed")
    ),
    *(("pos-paper-emb", [name], model, "target") for name in ("emb-2", "emb-8") for model in ("ols", "mixed")),
    *(("pos-paper-mini", [name], model, "target") for name in ("xsns", "lex", "emb") for model in ("ols", "mixed")),
    *(
        ("pos-all", ["ldnd", "family", "script", "source-size"], model, random)
        for model, random in (("ols", "target"), ("mixed", "target"), ("mixed", "crossed"))
    ),
    *(
        ("pos-features", [text.partition("=")[0] for text in FEATURES], model, random)
        for model, random in (("ols", "target"), ("mixed", "target"), ("mixed", "crossed"))
    ),
]


@dataclass(frozen=True)
class Pool:
    """A table of the page: gold scores of some languages, and their predictors.

    Attributes:
        name: The name of the table.
        gold: The scores.
        matrices: {predictor: similarities}.
        sources: The sources; None for all.
        targets: The targets; None for all.
        ceiling: The regime that predicts the main regime; None if there is none.
    """

    name: str
    gold: TransferScores
    matrices: Mapping[str, xs.SimilarityMatrix]
    sources: Sequence[str] | None = None
    targets: Sequence[str] | None = None
    ceiling: str | None = None


def without_model(data: Path, languages: Sequence[str]) -> dict[str, xs.SimilarityMatrix]:
    """Return the baselines that need only tables."""
    xpos = data / "xpos"
    features = read_features(data / "typology" / "uriel" / "feature_predictions.npz")
    sizes = read_sizes(xpos / "languages.csv", "xlmr_size_GiB")
    return {
        "ldnd": ldnd(read_distances(xpos / "results" / "ldnd.csv")),
        "l2v": l2v(features, known(features.languages, languages)),
        "family": family(read_families(xpos / "languages.csv")),
        "script": script(read_scripts(xpos / "languages.csv")),
        "source-size": source_size(sizes, targets=languages),
    }


def known(labels: Sequence[str], languages: Sequence[str]) -> list[str]:
    """Return the labels that name one of the languages."""
    return list(counterparts(languages, labels).values())


def embeddings(data: Path) -> dict[str, xs.SimilarityMatrix]:
    """Return mPLM-Sim's similarities of XLM-R base, layer by layer."""
    folder = data / "typology" / "mplm_sim"
    return {f"emb-{layer}": read_matrix(folder / f"xlm-roberta-base_flores200_layer{layer}.tsv") for layer in LAYERS}


# ------------------------------------------------------------------------------------------ the embedded model


def text_folder(data: Path, work: Path, languages: Sequence[str]) -> Path:
    """Return a corpus of NTREX with one file for each language of the gold scores."""
    table = pd.read_csv(data / "ntrex" / "languages.tsv", sep="\t", keep_default_na=False)
    table = table[~table["file"].str.contains(r"src|ref2|additional")]
    folder = work / "ntrex"
    folder.mkdir(parents=True, exist_ok=True)
    for file, short, long in zip(table["file"], table["iso639_1"], table["iso639_3"], strict=True):
        try:
            code = normalise(short or long)
        except LanguageError:
            continue
        # Norwegian in the gold scores is Bokmål.
        code = "no" if code == "nb" else code
        link = folder / f"{code}.txt"
        if code in languages and not link.exists():
            link.symlink_to((data / "ntrex" / file).resolve())
    return folder


def with_mini(data: Path, work: Path, languages: Sequence[str], examples: int) -> dict[str, xs.SimilarityMatrix]:
    """Return sub-networks of the embedded model, and the baselines of the same text."""
    corpus = xs.open_corpus(str(text_folder(data, work, languages)))
    loaded = xs.load_model("mini")
    store = xs.open_store(work / "mini-ntrex.zarr", mode="a")
    settings = BuildSettings(corpus=corpus, languages=corpus.languages(), seeds=SEEDS, examples=examples)
    result = build(settings, loaded, store)
    if result.failed:
        raise SystemExit(f"not measured: {result.failed}")
    matrices = {"xsns": xs.jaccard(xs.count_overlaps_by_seed(store, languages=corpus.languages(), seeds=SEEDS))}
    for name in ("lex", "emb", "nn-rank"):
        path = work / f"mini-{name}.parquet"
        if not path.exists():
            settings = {"examples": examples, "seeds": SEEDS, "max_tokens": TOKENS, "centre": True}
            computed = model_baselines([name], corpus, loaded, corpus.languages(), **settings)
            write_matrix(computed[name], path)
        matrices[name] = read_matrix(path)
    return matrices


# -------------------------------------------------------------------------------------------------- the tables


def evaluation_of(pool: Pool, resamples: int) -> tuple[Evaluation, JoinedScores]:
    """Return the evaluation of a pool, and the evaluated scores and predictions."""
    joined = join(pool.gold, pool.matrices, pool.sources, pool.targets)
    ceiling = None if pool.ceiling is None else pool.gold.regime(pool.ceiling)
    return evaluate(joined, resamples=resamples, reference=next(iter(pool.matrices)), ceiling=ceiling), joined


def evaluated(pool: Pool, resamples: int) -> list[dict[str, Any]]:
    """Return a row for each predictor of a pool and each metric."""
    evaluation, joined = evaluation_of(pool, resamples)
    print(pool.name, file=sys.stderr)
    for sentence in evaluation.notes:
        print(f"  {sentence}", file=sys.stderr)
    pairs = {
        "sources": len(joined.sources),
        "targets": len(joined.targets),
        "pairs": int(joined.candidates.sum()),
        "unit": pool.gold.unit,
    }
    return [
        {"section": "pool", "pool": pool.name, **pairs, **plain(row)}
        for row in evaluation.to_frame().to_dict("records")
    ]


def regressed(pool: Pool, predictors: Sequence[str], model: str, random: str = "target") -> list[dict[str, Any]]:
    """Return rows with the errors and the coefficients of a regression of the scores of a pool."""
    matrices = {name: pool.matrices[name] for name in predictors}
    regression = fit(join(pool.gold, matrices, pool.sources, pool.targets), model, random)
    fields = {
        "pool": pool.name,
        "model": f"{model}, {random}" if model == "mixed" else model,
        "of": " + ".join(predictors),
    }
    errors = [{"section": "regression", **fields, **plain(asdict(error))} for error in regression.errors]
    return errors + [{"section": "coefficient", **fields, **plain(asdict(one))} for one in regression.coefficients]


def plain(row: Mapping[Any, Any]) -> dict[str, Any]:
    """Return a row as JSON values."""
    cells = {str(key): value.item() if isinstance(value, np.generic) else value for key, value in row.items()}
    return {key: rounded(value) if isinstance(value, float) else value for key, value in cells.items()}


def rounded(value: float) -> float | None:
    """Return a number rounded to six significant digits; None for NaN."""
    return None if np.isnan(value) else float(f"{value:.6g}")


def features(data: Path, gold: TransferScores) -> Pool:
    """Return all POS pairs with the features of their languages."""
    tables = read_language_features([data / "xpos" / "languages.csv", data / "xpos" / "gold_xlmr_base_pos_long.csv"])
    requested = [parse_feature(text) for text in FEATURES]
    matrices = {feature.name: feature_matrix(feature, tables, gold.sources, gold.targets) for feature in requested}
    return Pool("pos-features", gold, matrices)


def pools(data: Path, work: Path, examples: int, *, mini: bool) -> list[Pool]:
    """Return all tables of the page."""
    pos = import_scores(data / "xpos" / "results", "xpos", regime="10000").scores
    ner = import_scores(data / "gold" / "nnrank_wikiann_ner_xlmr_base.csv", "nnrank", metric="f1").scores
    languages = list(dict.fromkeys((*pos.sources, *pos.targets, *ner.sources, *ner.targets)))
    tables = without_model(data, languages)
    layers = {"ldnd": tables["ldnd"], "l2v": tables["l2v"], **embeddings(data)}
    in_pool = [code for code in NER if code in ner.sources], [code for code in NER if code in ner.targets]
    result = [
        Pool("pos-paper", pos, tables, POS, POS, "20000"),
        Pool("pos-paper-emb", pos, layers, *2 * [[code for code in POS if code != "no"]], "20000"),
        Pool("pos-all", pos, tables, ceiling="20000"),
        Pool("ner-paper", ner, tables, *in_pool),
        Pool("ner-paper-emb", ner, layers, *in_pool),
        Pool("ner-all", ner, tables),
    ]
    if mini:
        measured = {"ldnd": tables["ldnd"], "l2v": tables["l2v"], **with_mini(data, work, languages, examples)}
        result += [
            Pool("pos-paper-mini", pos, measured, POS, POS, "20000"),
            Pool("pos-all-mini", pos, measured, ceiling="20000"),
            Pool("ner-all-mini", ner, measured),
        ]
    return result


def main() -> None:
    parser = harness.arguments(__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder of xpos, gold, typology and ntrex")
    parser.add_argument(
        "--work",
        type=Path,
        required=True,
        help="folder for sub-networks and similarities, which take an hour to compute",
    )
    parser.add_argument("--without-mini", action="store_true", help="leave out the predictors of the embedded model")
    options = parser.parse_args()
    resamples = 1_000 if options.smoke else 10_000
    started = time.perf_counter()
    tables = pools(options.data, options.work, 8 if options.smoke else EXAMPLES, mini=not options.without_mini)
    results = [row for pool in tables for row in evaluated(pool, resamples)]
    by_name = {pool.name: pool for pool in (*tables, features(options.data, tables[0].gold))}
    for name, predictors, model, random in REGRESSIONS:
        if name in by_name:
            results += regressed(by_name[name], predictors, model, random)
    print(f"{time.perf_counter() - started:.0f} s", file=sys.stderr)
    parameters = {"resamples": resamples, "examples": EXAMPLES, "seeds": SEEDS, "tokens": TOKENS}
    harness.write(options.output, harness.result("evidence", parameters, results, options.smoke))


if __name__ == "__main__":
    main()
