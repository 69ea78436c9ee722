"""Value types that the stages exchange, in the order of the data flow.

All types are frozen: a stage receives one and returns another. No type imports torch. All stages after the store
therefore work without torch and start fast. Symbols in shapes: L languages, P parameters, W = ceil(P/64) words.
"""

from xsns_stream.types.evaluations import Evaluation
from xsns_stream.types.fisher import (
    BATCH_WISE,
    ESTIMATORS,
    LABELS,
    PRECISIONS,
    TOKEN_REDUCTIONS,
    DiagonalFisher,
    FisherSettings,
)
from xsns_stream.types.overlaps import (
    CachedOverlaps,
    GroupedOverlaps,
    OverlapCounts,
    OverlapRectangle,
    Overlaps,
    SampledOverlaps,
)
from xsns_stream.types.parameter_set import ParameterSet, Share
from xsns_stream.types.parameters import WORD_BITS, Counts, LayerSpan, ParameterLayout, Reals, Words, words_for
from xsns_stream.types.provenance import Provenance
from xsns_stream.types.regressions import Regression
from xsns_stream.types.similarity_matrix import GroupedSimilarity, SimilarityMatrix, SimilarityPool
from xsns_stream.types.source_ranking import (
    CoveringSource,
    ExpectedScore,
    Explanation,
    FoldSimilarity,
    RankedSource,
    SimilarityDraws,
    SourceCover,
    SourceRanking,
)
from xsns_stream.types.subnetwork import SubNetwork
from xsns_stream.types.text import (
    SPLITS,
    AnswerSpan,
    Label,
    LabelledSplit,
    LanguageSample,
    ReadCounts,
    TestScore,
    TextExample,
    TransferRun,
)
from xsns_stream.types.transfer_scores import JoinedScores, Prediction, TransferScores

__all__ = [
    "BATCH_WISE",
    "ESTIMATORS",
    "LABELS",
    "PRECISIONS",
    "SPLITS",
    "TOKEN_REDUCTIONS",
    "WORD_BITS",
    "AnswerSpan",
    "CachedOverlaps",
    "Counts",
    "CoveringSource",
    "DiagonalFisher",
    "Evaluation",
    "ExpectedScore",
    "Explanation",
    "FisherSettings",
    "FoldSimilarity",
    "GroupedOverlaps",
    "GroupedSimilarity",
    "JoinedScores",
    "Label",
    "LabelledSplit",
    "LanguageSample",
    "LayerSpan",
    "OverlapCounts",
    "OverlapRectangle",
    "Overlaps",
    "ParameterLayout",
    "ParameterSet",
    "Prediction",
    "Provenance",
    "RankedSource",
    "ReadCounts",
    "Reals",
    "Regression",
    "SampledOverlaps",
    "Share",
    "SimilarityDraws",
    "SimilarityMatrix",
    "SimilarityPool",
    "SourceCover",
    "SourceRanking",
    "SubNetwork",
    "TestScore",
    "TextExample",
    "TransferRun",
    "TransferScores",
    "Words",
    "words_for",
]
