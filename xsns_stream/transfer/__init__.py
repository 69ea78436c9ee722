"""Measurement of transfer: fine-tuning on sources and testing on targets.

The module `settings` contains the settings of fine-tuning, `encoding` converts examples to features, `finetune` trains
models, `scoring` tests them, and `metrics` contains the metrics. The tasks are in :mod:`xsns_stream.tasks`.
Importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

from xsns_stream.tasks import TASKS, Task
from xsns_stream.transfer.encoding import class_names
from xsns_stream.transfer.finetune import (
    FineTuned,
    StepTimes,
    equal_shares,
    fine_tune,
    save_model,
    subsample,
    time_steps,
)
from xsns_stream.transfer.scoring import score
from xsns_stream.transfer.settings import PRESETS, FineTuning

__all__ = [
    "PRESETS",
    "TASKS",
    "FineTuned",
    "FineTuning",
    "StepTimes",
    "Task",
    "class_names",
    "equal_shares",
    "fine_tune",
    "save_model",
    "score",
    "subsample",
    "time_steps",
]
