"""Fine-tuning on sources and testing on targets, which measures the transfer that X-SNS predicts.

`tasks` defines the tasks and the settings of fine-tuning, `encoding` makes features of examples, `finetune` trains, and
`scoring` tests. Importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

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
from xsns_stream.transfer.tasks import PRESETS, TASKS, FineTuning, Task, class_names

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
