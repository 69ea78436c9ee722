"""Objectives: what the model is asked to predict about a text, as batches with labels.

Masked language modelling, the paper's choice, is the one there is; see :mod:`xsns_stream.objectives.masked_lm`.
"""

from xsns_stream.objectives.masked_lm import (
    EncodedExample,
    EncodedSample,
    MaskedLanguageModelling,
    batches,
)

__all__ = ["EncodedExample", "EncodedSample", "MaskedLanguageModelling", "batches"]
