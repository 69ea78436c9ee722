"""Lists of the allowed values of options.

The lists are copies, so that help pages do not load the modules that define the values. `tests/cli/test_choices.py`
compares each copy with its definition.
"""

from __future__ import annotations

from typing import Final

#: `DEFAULT_CORPUS` of `corpora/embedded.py`, as values of `--corpus`.
DEFAULT_CORPUS: Final = ("ntrex",)
#: `COEFFICIENTS` of `similarity/coefficients.py`.
COEFFICIENTS: Final = (
    "jaccard",
    "dice",
    "overlap",
    "containment",
    "cosine",
    "corrected-jaccard",
    "mutual-information",
)
#: `CORRECTIONS` of `similarity/corrections.py`.
CORRECTIONS: Final = ("centred", "csls", "mutual-rank", "reliability")
#: `GROUPINGS` of `similarity/groups.py`.
GROUPINGS: Final = ("layer", "module", "tensor")
#: `OBJECTIVES` of `models/auto_classes.py`, and of `objectives/factory.py`.
OBJECTIVES: Final = (
    "masked-lm",
    "causal-lm",
    "span-corruption",
    "token-classification",
    "sequence-classification",
    "question-answering",
)
#: `LABEL_AT` of `models/attention.py`.
LABEL_AT: Final = ("auto", "first", "last")
#: `READERS` of `gold/formats.py`.
GOLD_FORMATS: Final = ("xpos", "nnrank", "langrank", "sumeval", "matrix", "long")
#: `GAINS` of `evaluation/metrics.py`.
NDCG_GAINS: Final = ("rank-linear", "score", "exponential")
#: `AVERAGES` of `evaluation/evaluate.py`.
AVERAGES: Final = ("metrics", "matrices")
#: `PRESETS` of `transfer/settings.py`.
FINE_TUNING_PRESETS: Final = ("quick", "paper")
