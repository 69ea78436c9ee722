"""Regression of gold scores on predictors: coefficients, prediction errors, and predicted scores with intervals.

There are two models: ordinary least squares, and random intercepts by restricted maximum likelihood. A predictor is any
value of a pair of languages: a similarity, a distance, or a property of one language.
"""

from __future__ import annotations

from xsns_stream.regression.features import KINDS, Feature, feature_matrix, parse_feature, read_features
from xsns_stream.regression.fitting import MODELS, RANDOM, Calibration, calibrate, fit, predict

__all__ = [
    "KINDS",
    "MODELS",
    "RANDOM",
    "Calibration",
    "Feature",
    "calibrate",
    "feature_matrix",
    "fit",
    "parse_feature",
    "predict",
    "read_features",
]
