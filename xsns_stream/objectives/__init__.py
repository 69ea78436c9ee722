"""Objectives: what the model is asked about a text, as examples and batches of them.

Language modelling, masked (the paper's choice), causal and span corruption, is in
:mod:`xsns_stream.objectives.language_modelling`, labelled tasks are in :mod:`~xsns_stream.objectives.tasks`.
"""

from xsns_stream.objectives.batching import batches
from xsns_stream.objectives.encoding import EncodedExample, EncodedSample, Objective
from xsns_stream.objectives.factory import OBJECTIVES, make_objective
from xsns_stream.objectives.language_modelling import CausalLanguageModelling, MaskedLanguageModelling, SpanCorruption
from xsns_stream.objectives.tasks import QuestionAnswering, SequenceClassification, TokenClassification

__all__ = [
    "OBJECTIVES",
    "CausalLanguageModelling",
    "EncodedExample",
    "EncodedSample",
    "MaskedLanguageModelling",
    "Objective",
    "QuestionAnswering",
    "SequenceClassification",
    "SpanCorruption",
    "TokenClassification",
    "batches",
    "make_objective",
]
