"""Training objectives, which turn text into examples with targets, and batches of these examples.

:mod:`xsns_stream.objectives.language_modelling` contains masked language modelling (the paper's choice), causal
language modelling and span corruption. :mod:`xsns_stream.objectives.tasks` contains labelled tasks.
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
