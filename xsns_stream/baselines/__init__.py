"""Baselines: other predictors of transfer, for comparison with X-SNS.

The functions :func:`family`, :func:`script`, :func:`ldnd`, :func:`source_size` and :func:`l2v` need no model. Each
returns a :class:`xsns_stream.types.SimilarityMatrix` whose coefficient is the name of the baseline. The baselines `lex`
and `sue` (:mod:`.subwords`), `emb` and `grad-cosine` (:mod:`.model_vectors`) and `nn-rank` (:mod:`.nearest_tokens`) are
computed from tokens, states or gradients of a model.
"""

from __future__ import annotations

from xsns_stream.baselines.categories import (
    customary_scripts,
    family,
    glottolog_families,
    read_families,
    read_scripts,
    script,
)
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
    "glottolog_families",
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
