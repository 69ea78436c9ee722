"""Ranking of source languages for cross-lingual transfer, by the sub-networks of a multilingual model.

>>> import xsns_stream as xs
>>> loaded = xs.load_model("mini")
>>> layout = xs.parameter_layout(loaded.model)
>>> layout.size
3159040

Public names are loaded lazily, at their first use. Importing the package is therefore fast, and reading a store needs
neither torch nor transformers.

A function and a subpackage may have the same name. `xs.NAME` is then always the function; the modules of the
subpackage are imported as usual, for example with `from xsns_stream.similarity import count_overlaps`.
"""

from __future__ import annotations

import sys
from importlib import import_module
from types import ModuleType
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from xsns_stream.align_scores import join
    from xsns_stream.corpora import open_corpus, read_text
    from xsns_stream.errors import XsnsError
    from xsns_stream.fisher import diagonal_fisher, mean_gradient, self_check
    from xsns_stream.gold import import_scores, read_scores, write_scores
    from xsns_stream.models import load_model, parameter_layout
    from xsns_stream.objectives import MaskedLanguageModelling, batches, make_objective
    from xsns_stream.pipeline.baselines import baseline
    from xsns_stream.pipeline.build import build
    from xsns_stream.pipeline.comparison import similarity
    from xsns_stream.pipeline.finetune import transfer
    from xsns_stream.pipeline.gold_comparison import evaluate, regress
    from xsns_stream.pipeline.report import report
    from xsns_stream.pipeline.settings import BuildSettings, Stopping
    from xsns_stream.pipeline.shared_parameters import shared
    from xsns_stream.pipeline.source_ranking import rank
    from xsns_stream.ranking import rank_sources
    from xsns_stream.regression import calibrate
    from xsns_stream.similarity import common, count_overlaps, count_overlaps_by_seed, jaccard, sample_overlaps, united
    from xsns_stream.similarity.matrix_io import read_matrix
    from xsns_stream.store import SubNetworkStore, open_store
    from xsns_stream.subnetworks.select import extract_subnetwork
    from xsns_stream.types import (
        DiagonalFisher,
        Evaluation,
        FisherSettings,
        JoinedScores,
        LanguageSample,
        OverlapCounts,
        OverlapRectangle,
        ParameterLayout,
        ParameterSet,
        Provenance,
        Regression,
        SimilarityMatrix,
        SourceRanking,
        SubNetwork,
        TextExample,
        TransferScores,
    )

__version__ = "0.1.0"

_HOMES = {
    "open_corpus": "corpora",
    "read_text": "corpora",
    "XsnsError": "errors",
    "diagonal_fisher": "fisher",
    "mean_gradient": "fisher",
    "self_check": "fisher",
    "load_model": "models",
    "parameter_layout": "models",
    "MaskedLanguageModelling": "objectives",
    "batches": "objectives",
    "make_objective": "objectives",
    "BuildSettings": "pipeline.settings",
    "Stopping": "pipeline.settings",
    "baseline": "pipeline.baselines",
    "build": "pipeline.build",
    "transfer": "pipeline.finetune",
    "rank_sources": "ranking",
    "common": "similarity",
    "count_overlaps": "similarity",
    "count_overlaps_by_seed": "similarity",
    "jaccard": "similarity",
    "sample_overlaps": "similarity",
    "united": "similarity",
    "SubNetworkStore": "store",
    "open_store": "store",
    "extract_subnetwork": "subnetworks.select",
    "DiagonalFisher": "types",
    "FisherSettings": "types",
    "LanguageSample": "types",
    "OverlapCounts": "types",
    "OverlapRectangle": "types",
    "ParameterLayout": "types",
    "ParameterSet": "types",
    "Provenance": "types",
    "SimilarityMatrix": "types",
    "SourceRanking": "types",
    "SubNetwork": "types",
    "TextExample": "types",
    "evaluate": "pipeline.gold_comparison",
    "rank": "pipeline.source_ranking",
    "regress": "pipeline.gold_comparison",
    "report": "pipeline.report",
    "shared": "pipeline.shared_parameters",
    "similarity": "pipeline.comparison",
    "import_scores": "gold",
    "read_scores": "gold",
    "write_scores": "gold",
    "join": "align_scores",
    "read_matrix": "similarity.matrix_io",
    "calibrate": "regression",
    "Evaluation": "types",
    "JoinedScores": "types",
    "Regression": "types",
    "TransferScores": "types",
}

__all__ = [
    "BuildSettings",
    "DiagonalFisher",
    "Evaluation",
    "FisherSettings",
    "JoinedScores",
    "LanguageSample",
    "MaskedLanguageModelling",
    "OverlapCounts",
    "OverlapRectangle",
    "ParameterLayout",
    "ParameterSet",
    "Provenance",
    "Regression",
    "SimilarityMatrix",
    "SourceRanking",
    "Stopping",
    "SubNetwork",
    "SubNetworkStore",
    "TextExample",
    "TransferScores",
    "XsnsError",
    "__version__",
    "baseline",
    "batches",
    "build",
    "calibrate",
    "common",
    "count_overlaps",
    "count_overlaps_by_seed",
    "diagonal_fisher",
    "evaluate",
    "extract_subnetwork",
    "import_scores",
    "jaccard",
    "join",
    "load_model",
    "make_objective",
    "mean_gradient",
    "open_corpus",
    "open_store",
    "parameter_layout",
    "rank",
    "rank_sources",
    "read_matrix",
    "read_scores",
    "read_text",
    "regress",
    "report",
    "sample_overlaps",
    "self_check",
    "shared",
    "similarity",
    "transfer",
    "united",
    "write_scores",
]


class _Package(ModuleType):
    """Module type of this package: the import of a subpackage does not replace a public function of the same name."""

    def __setattr__(self, name: str, value: Any) -> None:
        # Python binds every imported subpackage as an attribute of its parent.
        if not (name in _HOMES and isinstance(value, ModuleType)):
            super().__setattr__(name, value)


sys.modules[__name__].__class__ = _Package


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__
