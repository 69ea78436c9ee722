# %% [markdown]
# # Judge predictors on your own scores
#
# Similarity is not transfer. If you have scores of models that were fine-tuned on some languages and tested on
# others, you can measure what a ranking of sources is worth for your task, and whether a cheaper predictor does the
# same.
#
# This page needs no network and takes about half a minute on one core. Run it in the repository: it reads scores that
# are kept there.

# %%
import gzip
import json
import tempfile
from pathlib import Path

import pandas as pd

import xsns_stream as xs

folder = Path(tempfile.mkdtemp(prefix="xsns-example-"))

# %% [markdown]
# ## Your scores
#
# A frame with the columns `source`, `target` and `score` is enough (and `seed`, if you have several runs). Here the
# scores are accuracies of the embedded model `mini` on part-of-speech tagging, from `docs/results`. Ten of its
# languages are used.

# %%
languages = ["en", "nl", "sv", "fr", "es", "it", "pl", "ru", "fi", "tr"]
root = next(path for path in (Path.cwd(), *Path.cwd().parents) if (path / "docs" / "results").is_dir())
record = json.loads(gzip.decompress((root / "docs" / "results" / "figure5.json.gz").read_bytes()))
measured = record["result"]["tasks"]["pos"]["targets"]
scores = pd.DataFrame(
    [
        {"source": source, "target": target, "score": measured[target]["scores"][source]}
        for target in languages
        for source in languages
        if source in measured[target]["scores"]
    ]
)
scores["task"], scores["metric"] = "pos", "accuracy"
print(scores.groupby("target")["score"].max().round(1).to_dict())

# %% [markdown]
# ## Predictors
#
# X-SNS is the similarity of sub-networks, from the same text for all languages. The others are cheaper: LEX is the
# overlap of the vocabularies, EMB the cosine of mean embeddings, and `family` is 1 for two languages of the same
# family. `store=` takes the text, the model and the number of examples from the store, so that all predictors see the
# same text.

# %%
store = xs.build("ntrex:held-out", model="mini", store=folder / "news.zarr", languages=languages, examples=24)
predictors = {
    "X-SNS": store,
    "LEX": xs.baseline("lex", store=store, languages=languages),
    "EMB": xs.baseline("emb", store=store, languages=languages),
    "family": xs.baseline("family", languages=languages),
}

# %% [markdown]
# ## Compare
#
# NDCG@3 is the quality of the first three sources (at most 1), `regret` the accuracy that is lost with the first
# source of a predictor instead of the best source. The rows `random`, `english` and `source-mean` are trivial: a
# random order, always English, and the source that is best for the other targets on average. `reference` compares
# every predictor with X-SNS on the same targets.

# %%
evaluation = xs.evaluate(predictors, scores, reference="X-SNS")
print(evaluation)

# %%
columns = ["mean", "low", "high", "difference", "difference_low", "difference_high", "p_holm"]
table = evaluation.to_frame().set_index(["metric", "predictor"])
print(table.loc["ndcg@3[rank-linear]", columns].round(3).to_string())

# %% [markdown]
# Ten targets are few. A difference counts here only if its p-value, corrected for the number of predictors, is below
# 5 %. All other differences may be chance, or real and too small for ten targets. A predictor that is cheaper and not
# distinguishable is the better choice.

# %%
verdicts = {}
for name in evaluation.predictors[1:]:
    row = table.loc[("ndcg@3[rank-linear]", name)]
    verdicts[name] = "not distinguishable" if row["p_holm"] >= 0.05 else "worse" if row["difference"] < 0 else "better"
    targets = int(row["difference_targets"])
    print(f"{name}: NDCG@3 {row['difference']:+.3f} against X-SNS, {verdicts[name]} on {targets} targets")

# %% [markdown]
# The plot shows the means with their intervals, and the trivial rows in grey.

# %%
axes = evaluation.plot()
axes.figure.savefig(folder / "evaluation.svg")

# %% [markdown]
# ## Which score to expect
#
# The regression predicts the score of a pair. The error for a target that was left out of the fit tells how good the
# prediction is for a new language; compare it with the error of the mean of all scores.

# %%
regression = xs.regress({"X-SNS": store}, scores, model="mixed")
print(regression)
for error in regression.errors:
    print(f"{error.way}: off by {error.rmse:.1f} points (the mean of the scores: {error.of_mean:.1f})")
