"""Gold scores × predictors → coefficients, errors of prediction, and predicted scores with intervals.

Two models: least squares, and random intercepts by restricted maximum likelihood. Neither knows where a predictor
came from: a similarity, a distance, or a property of a language.
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
