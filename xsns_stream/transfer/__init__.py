"""Fine-tuning on a source and testing on targets: what X-SNS predicts, measured.

`tasks.py` says what each task is, `settings.py` how models are fine-tuned; `encoding.py` turns examples into features,
`finetuning.py` trains, `scoring.py` tests. Importing this package imports neither torch nor transformers.
"""

from __future__ import annotations

from xsns_stream.transfer.finetune import FineTuned, equal_shares, fine_tune, keep
from xsns_stream.transfer.scoring import score
from xsns_stream.transfer.tasks import PRESETS, TASKS, FineTuning, Task, class_names
from xsns_stream.transfer.timing import StepTimes, time_steps

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
    "keep",
    "score",
    "time_steps",
]
