"""Other predictors of transfer: what X-SNS has to beat.

Each baseline is a function that returns a :class:`xsns_stream.types.SimilarityMatrix` whose coefficient is the
baseline's name. Those here need tables and no model; `lex`, `emb`, `nn-rank`, `sue` and `grad-cosine` work on what a
model has said, and stand in the modules beside this one.
"""

from __future__ import annotations

from xsns_stream.baselines.categories import customary_scripts, family, read_families, read_scripts, script
from xsns_stream.baselines.language_values import LanguageValues
from xsns_stream.baselines.lexical_distance import LexicalDistances, ldnd, read_distances
from xsns_stream.baselines.sizes import read_sizes, source_size
from xsns_stream.baselines.typology import TypologicalFeatures, l2v, read_features

__all__ = [
    "LanguageValues",
    "LexicalDistances",
    "TypologicalFeatures",
    "customary_scripts",
    "family",
    "l2v",
    "ldnd",
    "read_distances",
    "read_families",
    "read_features",
    "read_scripts",
    "read_sizes",
    "script",
    "source_size",
]
