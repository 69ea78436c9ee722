"""Objectives: what the model is asked about a text, as examples and batches of them.

Masked language modelling is the paper's choice (:mod:`xsns_stream.objectives.masked_lm`); the others ask what other
kinds of models were trained for (:mod:`~xsns_stream.objectives.causal_lm`,
:mod:`~xsns_stream.objectives.span_corruption`) or a labelled task (:mod:`~xsns_stream.objectives.tasks`).
"""

from xsns_stream.objectives.batching import batches
from xsns_stream.objectives.causal_lm import CausalLanguageModelling
from xsns_stream.objectives.encoding import EncodedExample, EncodedSample, Objective
from xsns_stream.objectives.making import OBJECTIVES, make_objective
from xsns_stream.objectives.masked_lm import MaskedLanguageModelling
from xsns_stream.objectives.span_corruption import SpanCorruption
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
