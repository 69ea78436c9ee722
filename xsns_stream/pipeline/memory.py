"""How much memory there is, and what to do where it does not suffice."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

#: Where the system does not say.
ASSUMED: Final = 2 << 30


@dataclass
class Batching:
    """How examples are put into batches; shrinks when they do not fit, and stays so for the rows that follow.

    Attributes:
        size: Examples a batch.
        token_budget: Pieces a batch (examples × longest) in place of a number of examples; None where that is fixed.
        order: As for :func:`xsns_stream.batches`.
    """

    size: int
    token_budget: int | None
    order: str

    def halve(self, examples: int, longest: int) -> bool:
        """Take half as much for rows of so many examples, or return False where that is one example already."""
        if self.token_budget is None:
            self.size = min(self.size, examples) // 2
            return self.size >= 1
        before = min(self.token_budget, examples * longest)
        self.token_budget = max(longest, before // 2)
        return before > longest

    def __str__(self) -> str:
        if self.token_budget is not None:
            return f"batches of at most {self.token_budget:,} pieces"
        return f"batches of {self.size}" if self.size > 1 else "one example at a time"


def free_memory(model: Any) -> int:
    """Return the bytes that are free on the model's device."""
    import torch

    device = next(model.parameters()).device
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    return min(_of_the_machine(), _of_the_container())


def release(model: Any) -> None:
    """Give back what a failed pass has left behind."""
    import torch

    gc.collect()
    if next(model.parameters()).device.type == "cuda":
        torch.cuda.empty_cache()


def _of_the_machine() -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return ASSUMED


def _of_the_container(folder: Path = Path("/sys/fs/cgroup")) -> int:
    """Return what a container's limit leaves; very much where there is none."""
    try:
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        return max(0, limit - int((folder / "memory.current").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return 1 << 62
