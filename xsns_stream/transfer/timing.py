"""How long fine-tuning and testing would take here: from a few steps."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

from xsns_stream.transfer.finetune import drawn, fine_tune
from xsns_stream.transfer.scoring import score
from xsns_stream.transfer.tasks import FineTuning, Task
from xsns_stream.types import LabelledSplit

_BATCHES: Final = 4


@dataclass(frozen=True)
class StepTimes:
    """Seconds an example takes.

    Attributes:
        training: In fine-tuning, forward, backward and update.
        testing: In a test.
    """

    training: float
    testing: float


def time_steps(
    model: Any,
    tokenizer: Any,
    task: Task,
    labels: Sequence[str],
    train: LabelledSplit,
    test: LabelledSplit,
    settings: FineTuning,
) -> StepTimes:
    """Time a few batches of each kind; the model is changed.

    Args:
        model: With the head of the task.
        tokenizer: Its own.
        task: The task.
        labels: Names of the classes.
        train: A source's training data; some are drawn.
        test: A target's test data; some are drawn.
        settings: Of which the batch and the device count.
    """
    few = drawn(train, _BATCHES * settings.batch_size)
    some = drawn(test, settings.evaluation_batch)
    once = replace(settings, epochs=1)
    # The first steps load libraries and fill caches.
    fine_tune(model, tokenizer, task, labels, [drawn(train, 2 * settings.batch_size)], [drawn(test, 1)], once, 0)
    trained = fine_tune(model, tokenizer, task, labels, [few], [drawn(test, 1)], once, 0).training
    started = time.perf_counter()
    score(model, tokenizer, task, labels, some, settings)
    return StepTimes(trained["seconds"] / len(few), (time.perf_counter() - started) / len(some))
