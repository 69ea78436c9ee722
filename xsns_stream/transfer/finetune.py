"""Fine-tuning on a source with the Trainer of transformers, and selection of the best epoch on the dev data."""

from __future__ import annotations

import os
import random
import re
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, TypeAlias

import numpy as np

from xsns_stream.errors import CorpusError, UsageError, XsnsError
from xsns_stream.io.atomic import atomic_folder
from xsns_stream.models.huggingface import quiet_transformers
from xsns_stream.tasks import Task
from xsns_stream.transfer.encoding import IGNORED, Feature, collate, encode, enough_memory, labelled_token
from xsns_stream.transfer.scoring import measure, padding, score
from xsns_stream.transfer.settings import FineTuning
from xsns_stream.types import LabelledSplit


def save_model(model: Any, tokenizer: Any, folder: Path, labels: Sequence[str]) -> None:
    """Write a model to a folder: weights (safetensors), configuration including class names, and tokenizer.

    The folder is written completely or not at all.

    Args:
        model: The fine-tuned model.
        tokenizer: The tokenizer of the model.
        folder: The folder to write; an existing folder is replaced.
        labels: Names of the classes, in the order of the head's outputs; empty if labels are answer spans.

    Raises:
        XsnsError: The folder cannot be written.
    """
    if labels:
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {name: number for number, name in enumerate(labels)}
    try:
        with atomic_folder(folder) as partial, quiet_transformers():
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
    except Exception as error:
        reason = _refused_by_system(error)
        if not reason:
            raise
        raise XsnsError(
            f"the fine-tuned model cannot be saved in '{folder}': {reason}.",
            "check the free space and the permissions. The scores of the model are written.",
        ) from error


def _refused_by_system(error: Exception) -> str:
    """Return the reason for which the system refused to write a file; an empty string for other errors.

    Libraries that are written in Rust raise errors of other types, whose messages contain the number of the error.
    """
    if isinstance(error, OSError):
        return error.strerror or str(error)
    found = re.search(r"\(os error (\d+)\)", str(error))
    return os.strerror(int(found[1])) if found else ""


#: Callback with the arguments (steps done, largest number of steps, last dev metric in percent or None).
OnStep: TypeAlias = Callable[[int, int, float | None], None]


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned model.

    Attributes:
        model: The model with the weights of the best epoch, in evaluation mode.
        training: The record of the training: `examples`, `dev_examples`, `epochs`, `best_epoch` (from 1), `dev` (the
            headline metric after each epoch, in percent), `steps`, `seconds` (time of training without the scoring of
            dev data), `examples_per_second`, `stopped_early`.
    """

    model: Any
    training: dict[str, Any]


def fine_tune(
    model: Any,
    tokenizer: Any,
    task: Task,
    labels: Sequence[str],
    train: Sequence[LabelledSplit],
    dev: Sequence[LabelledSplit],
    settings: FineTuning,
    seed: int,
    *,
    on_step: OnStep | None = None,
) -> FineTuned:
    """Fine-tune all weights of a model in place.

    The same seed gives the same weights on the same machine. The random states of Python, NumPy and torch are restored
    afterwards.

    Args:
        model: The model with the head of the task, in float32.
        tokenizer: The tokenizer of the model.
        task: The task. Its headline metric on the dev data, averaged over languages, decides when training stops.
        labels: Names of the classes, in the order of the head's outputs; empty if labels are answers.
        train: Training data of the source, or of several sources from :func:`equal_shares`.
        dev: Dev data of the same sources.
        settings: Hyper-parameters.
        seed: Seed for the order of examples and for dropout. It does not affect the head, which is initialised when the
            model is loaded.
        on_step: Called after every step.

    Raises:
        CorpusError: A label is not one of the classes, or no example has a label.
        ModelError: The device does not have enough memory, or the tokenizer cannot align words.
        XsnsError: The weights became NaN or infinite.
        UsageError: accelerate or seqeval is not installed.
    """
    _require_packages()
    label_at = labelled_token(task, settings, model)
    features = [feature for split in train for feature in encode(task, labels, split, tokenizer, settings, label_at)]
    features = [feature for feature in features if _has_labels(feature)]
    if not features:
        raise CorpusError(f"no training example of '{train[0].language}' has a label.", "check --task.")
    examples = sum(map(len, train))
    watch = _epoch_scorer(model, tokenizer, task, labels, dev, settings, on_step)
    with (
        _preserved_random_state(),
        quiet_transformers(),
        tempfile.TemporaryDirectory(prefix="xsns-transfer-") as folder,
    ):
        trainer = _trainer(model, tokenizer, features, settings, seed, folder, watch)
        started = time.perf_counter()
        _train(trainer)
        seconds = time.perf_counter() - started - watch.seconds
    # With mixed precision, accelerate replaces the model's `forward` and does not restore it.
    if model.__dict__.pop("_original_forward", None) is not None:
        del model.forward
    watch.restore()
    epochs = len(watch.dev)
    return FineTuned(
        model.eval(),
        {
            "examples": examples,
            "dev_examples": sum(map(len, dev)),
            "epochs": epochs,
            "best_epoch": int(np.argmax(watch.dev)) + 1,
            "dev": watch.dev,
            "steps": trainer.state.global_step,
            "seconds": seconds,
            "examples_per_second": examples * epochs / seconds,
            "stopped_early": epochs < settings.epochs,
        },
    )


def equal_shares(splits: Sequence[LabelledSplit], seed: int = 0) -> tuple[LabelledSplit, ...]:
    """Return a random sample of each split, of the size of the smallest split; a single split is returned unchanged."""
    if len(splits) == 1:
        return tuple(splits)
    size = min(map(len, splits))
    return tuple(subsample(split, size, seed) for split in splits)


def subsample(split: LabelledSplit, count: int, seed: int = 0) -> LabelledSplit:
    """Return a random sample of `count` examples in the order of the split; the whole split if it has fewer examples.

    If the seed is the same, a sample with a larger `count` includes every sample with a smaller `count`.
    """
    if count >= len(split):
        return split
    indices = np.random.Generator(np.random.PCG64(seed)).permutation(len(split))[:count]
    return replace(split, examples=tuple(split.examples[index] for index in sorted(indices)))


# --------------------------------------------------------------------------------------------- training


def _require_packages() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("accelerate", "seqeval") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"fine-tuning needs {' and '.join(missing)}.", "install it with pip install 'xsns-stream[transfer]'."
        )


def _trainer(
    model: Any, tokenizer: Any, features: list[Feature], settings: FineTuning, seed: int, folder: str, watch: Any
) -> Any:
    """Return a Trainer that neither prints nor saves anything.

    `folder` is an output folder, which the Trainer requires; `watch` is the callback of :func:`_epoch_scorer`.
    """
    from transformers import PrinterCallback, ProgressCallback, Trainer, TrainingArguments

    steps = -(-len(features) // settings.batch_size) * settings.epochs
    on_cpu = settings.device.partition(":")[0] == "cpu"
    arguments = TrainingArguments(
        output_dir=folder,
        num_train_epochs=settings.epochs,
        per_device_train_batch_size=settings.batch_size,
        learning_rate=settings.learning_rate,
        warmup_steps=round(settings.warmup_share * steps),
        weight_decay=settings.weight_decay,
        train_sampling_strategy="group_by_length" if settings.group_by_length else "random",
        bf16=settings.precision == "bf16",
        fp16=settings.precision == "fp16",
        use_cpu=on_cpu,
        seed=seed,
        save_strategy="no",
        eval_strategy="no",
        logging_strategy="no",
        report_to="none",
        disable_tqdm=True,
        dataloader_pin_memory=not on_cpu,
        remove_unused_columns=False,
    )
    pad_id = padding(tokenizer, model)
    if arguments.n_gpu > 1:
        # With several GPUs, the number of examples in a step would differ from the settings.
        arguments._n_gpu = 1
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=_FeatureDataset(features),
        data_collator=lambda rows: collate([row["feature"] for row in rows], pad_id),
        callbacks=[watch],
    )
    # Without progress bars, the Trainer prints a line for each step.
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


class _FeatureDataset:
    """Dataset of features for the Trainer, which reads `input_ids` to group examples by length."""

    def __init__(self, features: list[Feature]) -> None:
        self.features = features

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"input_ids": self.features[index].inputs["input_ids"], "feature": self.features[index]}


def _train(trainer: Any) -> None:
    with enough_memory("fine-tuning", "lower --batch or --max-length."):
        trainer.train()


def _has_labels(feature: Feature) -> bool:
    """Return whether a feature has a label. Features without labels are not trained on, because their loss is NaN."""
    labels = feature.targets.get("labels")
    return not isinstance(labels, list) or any(label != IGNORED for label in labels)


@contextmanager
def _preserved_random_state() -> Iterator[None]:
    """Restore all random states after the block, because the Trainer seeds them."""
    import torch

    python, numpy = random.getstate(), np.random.get_state()
    devices = list(range(torch.cuda.device_count())) if torch.cuda.is_available() else []
    environment = dict(os.environ)
    try:
        with torch.random.fork_rng(devices=devices):
            yield
    finally:
        random.setstate(python)
        np.random.set_state(numpy)
        # accelerate stores its settings in the environment, where they would affect the next model.
        for name in set(os.environ) - set(environment):
            del os.environ[name]


def _epoch_scorer(
    model: Any,
    tokenizer: Any,
    task: Task,
    labels: Sequence[str],
    dev: Sequence[LabelledSplit],
    settings: FineTuning,
    on_step: OnStep | None,
) -> Any:
    """Return the callback that scores the dev data after every epoch.

    The callback keeps the best weights in memory, and stops the training early. The Trainer itself would write a
    checkpoint to disk for each epoch, which is not needed for models that fit into memory twice.
    """
    from transformers import TrainerCallback

    label_at = labelled_token(task, settings, model)
    encoded = [(split, encode(task, labels, split, tokenizer, settings, label_at)) for split in dev]

    @dataclass
    class Watch(TrainerCallback):
        dev: list[float] = field(default_factory=list)
        best: dict[str, Any] = field(default_factory=dict)
        seconds: float = 0.0

        def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            if on_step is not None:
                on_step(state.global_step, state.max_steps, self.dev[-1] if self.dev else None)

        def on_epoch_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
            started = time.perf_counter()
            _check_numbers(model)
            scores = [measure(model, tokenizer, task, labels, *split, settings) for split in encoded]
            self.dev.append(float(np.mean([score.metrics[task.metrics[0]] for score in scores])))
            if self.dev[-1] > max(self.dev[:-1], default=-1.0):
                self.best = {name: value.detach().to("cpu", copy=True) for name, value in model.state_dict().items()}
            control.should_training_stop = len(self.dev) - 1 - int(np.argmax(self.dev)) >= settings.patience
            self.seconds += time.perf_counter() - started

        def restore(self) -> None:
            model.load_state_dict(self.best)

    return Watch()


def _check_numbers(model: Any) -> None:
    """Check that all weights are finite, because a loss of NaN or infinity makes them invalid.

    Raises:
        XsnsError: A weight is NaN or infinite.
    """
    import torch

    if not all(bool(torch.isfinite(value).all()) for value in model.parameters()):
        raise XsnsError(
            "the weights became NaN or infinite during fine-tuning.", "lower --lr, or use --precision float32."
        )


# ------------------------------------------------------------------------------------------------- time

_TIMED_BATCHES: Final = 4


@dataclass(frozen=True)
class StepTimes:
    """Seconds for one example.

    Attributes:
        training: Seconds for fine-tuning: forward pass, backward pass and update.
        testing: Seconds for testing.
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
    """Measure the times of fine-tuning and testing on a few batches; the weights of the model change.

    Args:
        model: The model with the head of the task.
        tokenizer: The tokenizer of the model.
        task: The task.
        labels: Names of the classes.
        train: Training data of a source; a sample is used.
        test: Test data of a target; a sample is used.
        settings: Hyper-parameters; batch sizes and device are used.
    """
    few = subsample(train, _TIMED_BATCHES * settings.batch_size)
    some = subsample(test, settings.evaluation_batch)
    once = replace(settings, epochs=1)
    # A first run loads libraries and fills caches.
    fine_tune(
        model, tokenizer, task, labels, [subsample(train, 2 * settings.batch_size)], [subsample(test, 1)], once, 0
    )
    trained = fine_tune(model, tokenizer, task, labels, [few], [subsample(test, 1)], once, 0).training
    started = time.perf_counter()
    score(model, tokenizer, task, labels, some, settings)
    return StepTimes(trained["seconds"] / len(few), (time.perf_counter() - started) / len(some))
