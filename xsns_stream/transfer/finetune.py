"""Fine-tuning on a source by transformers' Trainer; the best epoch on the dev data is returned."""

from __future__ import annotations

import os
import random
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np

from xsns_stream.errors import CorpusError, UsageError, XsnsError
from xsns_stream.io.atomic import atomic_folder
from xsns_stream.models.huggingface import quiet_transformers
from xsns_stream.transfer.batching import collate, enough_memory
from xsns_stream.transfer.encoding import IGNORED, Feature, encode
from xsns_stream.transfer.scoring import measure, padding
from xsns_stream.transfer.tasks import FineTuning, Task
from xsns_stream.types import LabelledSplit


def keep(model: Any, tokenizer: Any, folder: Path, labels: Sequence[str]) -> None:
    """Write weights (safetensors), configuration with the names of the classes, and tokenizer: a whole folder or none.

    Args:
        model: The fine-tuned model.
        tokenizer: Its own.
        folder: Where to; an existing one is replaced.
        labels: Names of the classes, in the order of the head's outputs; empty where labels are answers.

    Raises:
        XsnsError: It cannot be written.
    """
    if labels:
        model.config.id2label = dict(enumerate(labels))
        model.config.label2id = {name: number for number, name in enumerate(labels)}
    try:
        with atomic_folder(folder) as partial, quiet_transformers():
            model.save_pretrained(partial)
            tokenizer.save_pretrained(partial)
    except OSError as error:
        raise XsnsError(
            f"the fine-tuned model cannot be kept in '{folder}': {error.strerror or error}.",
            "check the free space and the permissions; its scores are written.",
        ) from error


#: (steps done, steps at most, last dev metric in percent).
OnStep: TypeAlias = Callable[[int, int, float | None], None]


@dataclass(frozen=True)
class FineTuned:
    """A fine-tuned model.

    Attributes:
        model: With the weights of the best epoch, in evaluation mode.
        training: What happened: `examples`, `dev_examples`, `epochs`, `best_epoch` (from 1), `dev` (the headline metric
            after each epoch, in percent), `steps`, `seconds` (of training, without dev), `examples_per_second`,
            `stopped_early`.
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
    """Fine-tune all weights of a model; the model is changed.

    The same seed gives the same weights on the same machine; the random states of Python, NumPy and torch are as before
    afterwards.

    Args:
        model: With the head of the task, in float32.
        tokenizer: Its own.
        task: Whose headline metric on the dev data, a mean over languages, decides when to stop.
        labels: Names of the classes, in the order of the head's outputs; empty where labels are answers.
        train: The source; of several sources each, as `equal_shares` made them.
        dev: Dev data of the same.
        settings: Hyper-parameters.
        seed: Of order and dropout; the head was drawn when the model was loaded.
        on_step: Called after every step.

    Raises:
        CorpusError: A label is none of the classes, or there is nothing to learn from.
        ModelError: The device has not enough memory; or the tokenizer cannot align words.
        XsnsError: The weights stopped being numbers.
        UsageError: accelerate is not installed.
    """
    _need_accelerate()
    features = [feature for split in train for feature in encode(task, labels, split, tokenizer, settings)]
    features = [feature for feature in features if _teaches(feature)]
    if not features:
        raise CorpusError(
            f"no training example of '{train[0].language}' has a label that can be learnt.", "check --task."
        )
    examples = sum(map(len, train))
    watch = _watch(model, tokenizer, task, labels, dev, settings, on_step)
    with _own_random_state(), quiet_transformers(), tempfile.TemporaryDirectory(prefix="xsns-transfer-") as folder:
        trainer = _trainer(model, tokenizer, features, settings, seed, folder, watch)
        started = time.perf_counter()
        _train(trainer)
        seconds = time.perf_counter() - started - watch.seconds
    # Of mixed precision accelerate leaves a `forward` around the model's own.
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
    """Return as many examples of each language as the smallest has, drawn by `seed`; one split is left as it is."""
    if len(splits) == 1:
        return tuple(splits)
    size = min(map(len, splits))
    return tuple(drawn(split, size, seed) for split in splits)


def drawn(split: LabelledSplit, count: int, seed: int = 0) -> LabelledSplit:
    """Return `count` examples of a split, in its order; all where there are fewer. A larger count extends a smaller."""
    from dataclasses import replace

    if count >= len(split):
        return split
    places = np.random.Generator(np.random.PCG64(seed)).permutation(len(split))[:count]
    return replace(split, examples=tuple(split.examples[place] for place in sorted(places)))


# --------------------------------------------------------------------------------------------- training


def _need_accelerate() -> None:
    from importlib.util import find_spec

    missing = [name for name in ("accelerate", "seqeval") if find_spec(name) is None]
    if missing:
        raise UsageError(
            f"fine-tuning needs {' and '.join(missing)}.", "pip install 'xsns-stream[transfer]' brings what is missing."
        )


def _trainer(
    model: Any, tokenizer: Any, features: list[Feature], settings: FineTuning, seed: int, folder: str, watch: Any
) -> Any:
    """Return a Trainer that says and keeps nothing by itself."""
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
        # Several GPUs would share a batch, or be given one each: other steps than the settings say.
        arguments._n_gpu = 1
    trainer = Trainer(
        model=model,
        args=arguments,
        train_dataset=_Lengths(features),
        data_collator=lambda rows: collate([row["feature"] for row in rows], pad_id),
        callbacks=[watch],
    )
    # With the bars switched off, the Trainer prints instead.
    trainer.remove_callback(PrinterCallback)
    trainer.remove_callback(ProgressCallback)
    return trainer


class _Lengths:
    """Features as a data set: `input_ids` are what the Trainer groups by, the feature is what is collated."""

    def __init__(self, features: list[Feature]) -> None:
        self.features = features

    def __len__(self) -> int:
        return len(self.features)

    def __getitem__(self, place: int) -> dict[str, Any]:
        return {"input_ids": self.features[place].inputs["input_ids"], "feature": self.features[place]}


def _train(trainer: Any) -> None:
    with enough_memory("fine-tuning", "lower --batch or --max-length."):
        trainer.train()


def _teaches(feature: Feature) -> bool:
    """Tell whether the loss sees anything: over a batch without any label it is not a number."""
    labels = feature.targets.get("labels")
    return not isinstance(labels, list) or any(label != IGNORED for label in labels)


@contextmanager
def _own_random_state() -> Iterator[None]:
    """Give everything random back as it was; the Trainer seeds all of it."""
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
        # accelerate tells itself through the environment, and would tell the next model the same.
        for name in set(os.environ) - set(environment):
            del os.environ[name]


def _watch(
    model: Any,
    tokenizer: Any,
    task: Task,
    labels: Sequence[str],
    dev: Sequence[LabelledSplit],
    settings: FineTuning,
    on_step: OnStep | None,
) -> Any:
    """Return the callback that scores the dev data after every epoch.

    The Trainer's own way writes a checkpoint an epoch and reads the best one back. Weights are kept in memory instead:
    the models that this is for fit there twice, and it leaves the disk alone.
    """
    from transformers import TrainerCallback

    encoded = [(split, encode(task, labels, split, tokenizer, settings)) for split in dev]

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
    """Refuse weights that are not numbers: what a loss that is none leaves behind."""
    import torch

    if not all(bool(torch.isfinite(value).all()) for value in model.parameters()):
        raise XsnsError(
            "the weights stopped being numbers during fine-tuning.", "lower --lr, or take --precision float32."
        )
