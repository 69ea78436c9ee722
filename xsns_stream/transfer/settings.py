"""How models are fine-tuned."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Any, Final

from xsns_stream.errors import UsageError
from xsns_stream.types.estimation import PRECISIONS


@dataclass(frozen=True)
class FineTuning:
    """Hyper-parameters of fine-tuning: AdamW, linear decay after a warm-up, early stopping on the source's dev data.

    Attributes:
        preset: The name of the preset that the others began with.
        learning_rate: The highest.
        batch_size: Training examples a step.
        epochs: At most so many.
        patience: Epochs without a better headline metric on the dev data before training stops.
        warmup_share: Share of all steps in which the learning rate rises.
        weight_decay: Of AdamW.
        max_length: Longest input in pieces. Longer sentences of words and passages are taken in windows, other texts
            are cut.
        stride: Pieces that neighbouring windows of a passage share.
        group_by_length: Whether a batch takes examples of like length, which spares padding.
        precision: `float32`, or `bf16` or `fp16` by automatic mixed precision.
        device: `cpu`, `cuda`, or another as torch names it; of several GPUs the Trainer takes the first.
        evaluation_batch: Test examples computed together; changes speed alone.
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

    def __post_init__(self) -> None:
        for name in ("batch_size", "epochs", "patience", "evaluation_batch"):
            if getattr(self, name) < 1:
                raise UsageError(
                    f"{name.replace('_', ' ')} must be at least 1, not {getattr(self, name)}.",
                    "leave it out to take the preset's.",
                )
        if not 0 < self.learning_rate < 1:
            raise UsageError(f"the learning rate must lie between 0 and 1, not {self.learning_rate}.", "try 1e-5.")
        if not 0 <= self.warmup_share < 1 or self.weight_decay < 0:
            raise UsageError("the warm-up must be a share of the steps, and weight decay not below 0.", "0 is none.")
        if self.max_length < 8 or not 0 <= self.stride <= self.max_length // 2:
            raise UsageError(
                f"a longest input of {self.max_length} pieces with a stride of {self.stride} leaves no room.",
                "take at least 8 pieces, and a stride of no more than half of them.",
            )
        if self.precision not in PRECISIONS:
            raise UsageError(f"there is no precision '{self.precision}'.", f"one of: {', '.join(PRECISIONS)}.")
        if self.device.partition(":")[2] not in ("", "0"):
            raise UsageError(
                f"fine-tuning takes the first GPU, not '{self.device}'.",
                f"--device cuda with CUDA_VISIBLE_DEVICES={self.device.partition(':')[2]} makes this one the first.",
            )
        if self.precision == "fp16" and self.device.partition(":")[0] == "cpu":
            raise UsageError("fp16 needs a GPU.", "take float32 or bf16 on a CPU.")

    def as_record(self) -> dict[str, Any]:
        """Return what decides the result; device and evaluation batch do not."""
        return {k: v for k, v in asdict(self).items() if k not in ("preset", "device", "evaluation_batch")}


#: `paper`: AdamW, 1e-5, batches of 16, at most 20 epochs, patience 5 (Yun et al. 2023, appendix); what the paper leaves
#: open is the Trainer's default: linear decay without warm-up, no weight decay, gradients clipped to a norm of 1.
#: `quick`: for small models such as the embedded one, which learn at a rate that would ruin a large one.
PRESETS: Final[Mapping[str, FineTuning]] = MappingProxyType(
    {
        "paper": FineTuning("paper", 1e-5, 16, 20, 5),
        "quick": FineTuning("quick", 5e-4, 16, 5, 2, warmup_share=0.1, group_by_length=True),
    }
)
