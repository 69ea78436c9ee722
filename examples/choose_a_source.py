# %% [markdown]
# # Choose a source for a new language
#
# You want to tag, classify or search text in Swati (`ss`), and no labelled data exist for it. A multilingual model
# can be fine-tuned on another language, the *source*, and then used for Swati. This page ranks possible sources from
# raw text alone, shows which of them cannot be distinguished, and writes a report page.
#
# It needs no network and no GPU, and takes about half a minute on one core. Open it as a notebook (VS Code, or
# Jupyter with jupytext), or run it with `python examples/choose_a_source.py`. The cells are separated by `# %%`.

# %%
import tempfile
from pathlib import Path

import pandas as pd

import xsns_stream as xs

folder = Path(tempfile.mkdtemp(prefix="xsns-example-"))

# %% [markdown]
# ## Your text
#
# Any text in memory will do: a dictionary of lists, or a pandas frame with the columns `language` and `text`. Here
# the frame is filled with news sentences that come with the package, and that the model of this page was not trained
# on. With text of your own, this is the only cell that you change. Use text like that of your task, at least 100
# sentences a language.

# %%
candidates = ["zu", "xh", "nso", "sw", "en", "fr"]  # languages for which labelled data exist
news = xs.open_corpus("ntrex:held-out")
rows = [
    {"language": language, "text": example.text}
    for language in ["ss", *candidates]
    for example in news.sample(language, 48, seed=1).examples
]
frame = pd.DataFrame(rows)
print(frame.groupby("language").size().to_dict())

# %% [markdown]
# ## Measure
#
# `build` measures the sub-network of each language: the 15 % of the parameters with the largest Fisher information.
# `parts=8` also measures each language without each eighth of its examples, which gives the intervals below. `mini`
# is a small embedded model for trying the tool; use the model that you will fine-tune, for example
# `model="FacebookAI/xlm-roberta-base"`. A build that was interrupted continues when the cell is run again.

# %%
store = xs.build(frame, model="mini", store=folder / "swati.zarr", examples=48, parts=8)
print(store)

# %% [markdown]
# ## Rank
#
# In a notebook, the last line of a cell shows a table. `print` shows the same as text.

# %%
ranking = xs.rank(store, target="ss", explain=True)
print(ranking)

# %% [markdown]
# The interval is the range to expect if other sentences of the same kind had been drawn, and `best_probability` is
# the probability that the source would then be the most similar one. It is not the probability that it is the best
# source for your task: similarity is not transfer (see `judge_predictors.py`).
#
# Sources whose difference to the first one may be zero cannot be told apart. Take the one of them for which you have
# more labelled data.

# %%
level = [source.language for source in ranking if source.level_with_first]
others = [source.language for source in ranking if not source.level_with_first]
print(f"cannot be told apart from the first: {', '.join(level)}")
print(f"reliably less similar: {', '.join(others) or 'none'}")

# %% [markdown]
# ## Which layers make them similar
#
# `excess` is the contribution of a layer to the similarity, minus its mean over the candidates. It shows where the
# first source is more similar to the target than the others are.

# %%
by_layer = ranking.explanations[0]
print(by_layer)

# %% [markdown]
# ## Pictures
#
# `plot` takes and returns axes of matplotlib.

# %%
axes = ranking.plot()
axes.figure.savefig(folder / "ranking.svg")
matrix = xs.similarity(store)
matrix.plot().figure.savefig(folder / "matrix.svg")
print(matrix)

# %% [markdown]
# ## One page to show to others
#
# The report is one HTML file that loads nothing from the network: ranking for every target, heat map, tree, maps,
# layers.

# %%
page = xs.report(store, folder / "report.html", target="ss", title="Sources for Swati")
print(page)
