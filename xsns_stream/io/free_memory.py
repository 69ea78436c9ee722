"""Free memory of this machine, and of the container in which this process runs."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

#: Free memory in bytes that is assumed if the operating system does not report it.
ASSUMED_FREE: Final = 2 << 30


def free_memory_here() -> int:
    """Return the amount of memory that this process may still use, in bytes."""
    return min(_free_on_machine(), free_in_container())


def _free_on_machine() -> int:
    with suppress(OSError, ValueError, IndexError):
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024
    with suppress(OSError, ValueError, AttributeError):
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    return ASSUMED_FREE


def free_in_container(folder: Path = Path("/sys/fs/cgroup")) -> int:
    """Return how much memory the limit of the container still allows, in bytes; 2^62 if there is no limit."""
    try:
        limit = int((folder / "memory.max").read_text(encoding="ascii"))
        return max(0, limit - int((folder / "memory.current").read_text(encoding="ascii")))
    except (OSError, ValueError):
        return 1 << 62
