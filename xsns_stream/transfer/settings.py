"""Settings of fine-tuning, and presets of these settings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

from xsns_stream.corpora.running_text import GIVEN, check_words
from xsns_stream.errors import UsageError
from xsns_stream.models.attention import AUTO, check_label_at
from xsns_stream.types.fisher import PRECISIONS


@dataclass(frozen=True)
class FineTuning:
    """Hyper-parameters of fine-tuning by AdamW, with linear decay after a warm-up and early stopping on the dev data.

    Attributes:
        preset: The name of the preset on which the settings are based.
        learning_rate: The learning rate after the warm-up, from which it decays.
        batch_size: Number of training examples in a batch.
        epochs: Maximum number of epochs.
        patience: Number of epochs without a better headline metric on the dev data before training stops.
        warmup_share: Share of all steps during which the learning rate rises, in [0, 1).
        weight_decay: Weight decay of AdamW.
        max_length: Maximum length of an input in tokens. Longer sentences of words and longer passages are split into
            windows; other texts are cut.
        stride: Number of tokens that two successive windows of a passage share.
        group_by_length: Whether the examples of a batch have similar lengths, which reduces padding.
        precision: `float32`, or `bf16` or `fp16` by automatic mixed precision.
        device: `cpu`, `cuda`, or another device of torch; with several GPUs the Trainer uses the first one.
        evaluation_batch: Number of test examples in a batch; it affects only the speed.
        label_at: The token of a word that has its label: `first`, `last`, or `auto`, which depends on the model; see
            :func:`~xsns_stream.models.attention.label_position`.
        words: How sentences of labelled words are read: `given` joins the words by spaces, and `running` is the
            sentence as it is written; see :mod:`xsns_stream.corpora.running_text`.
    """

    preset: str
    learning_rate: float
    batch_size: int
    epochs: int
    patience: int
    warmup_share: float = 0.0
    weight_decay: float = 0.0
    max_length: int = 128
    stride: int = 32
    group_by_length: bool = False
    precision: str = "float32"
    device: str = "cpu"
    evaluation_batch: int = 64
    label_at: str = AUTO
    words: str = GIVEN

    def __post_init__(self) -> None:
        check_label_at(self.label_at)
        check_words(self.words)
        for name in ("batch_size", "epochs", "patience", "evaluation_batch"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"{name.replace('_', ' ')} must be at least 1, not {getattr(self, name)}.",
                    "omit the option to use the value of the preset.",
                )
        if not 0 < self.learning_rate < 1:
            raise UsageError(f"the learning rate must be between 0 and 1, not {self.learning_rate}.", "try 1e-5.")
        if not 0 <= self.warmup_share < 1:
            raise UsageError(
                f"the warm-up must be a share of the steps, not {self.warmup_share}.",
                "give at least 0 and less than 1.",
            )
        if self.weight_decay < 0:
            raise UsageError(f"weight decay must not be negative, but is {self.weight_decay}.", "give 0 or more.")
        if self.max_length < 8 or not 0 <= self.stride <= self.max_length // 2:
            raise UsageError(
                f"the maximum length of {self.max_length} tokens with a stride of {self.stride} leaves no room for "
                "text.",
                "use at least 8 tokens, and a stride from 0 to half of the length.",
            )
        if self.precision not in PRECISIONS:
            raise UsageError(f"'{self.precision}' is not a precision.", f"use one of: {', '.join(PRECISIONS)}.")
        if self.device.partition(":")[2] not in ("", "0"):
            raise UsageError(
                f"fine-tuning uses the first GPU, not '{self.device}'.",
                f"use --device cuda, and CUDA_VISIBLE_DEVICES={self.device.partition(':')[2]} to make it the first.",
            )
        if self.precision == "fp16" and self.device.partition(":")[0] == "cpu":
            raise UsageError("fp16 needs a GPU.", "use float32 or bf16 on a CPU.")

    def as_record(self) -> dict[str, Any]:
        """Return the settings that determine the result, without `label_at`, which the model may determine.

        `words` is included if it is not `given`, because units of older versions have no such setting.
        """
        left_out = ("preset", "device", "evaluation_batch", "label_at", *(["words"] if self.words == GIVEN else []))
        return {name: value for name, value in asdict(self).items() if name not in left_out}


#: `paper`: AdamW, 1e-5, batches of 16, at most 20 epochs, patience 5 (Yun et al. 2023, appendix). Settings that the
#: paper does not name are the Trainer's defaults: linear decay without warm-up, no weight decay, gradients clipped to a
#: norm of 1. `quick` is for small models such as the embedded one; its learning rate is too large for large models.
PRESETS: Final[Mapping[str, FineTuning]] = MappingProxyType(
    {
        "paper": FineTuning("paper", 1e-5, 16, 20, 5),
        "quick": FineTuning("quick", 5e-4, 16, 5, 2, warmup_share=0.1, group_by_length=True),
    }
)
