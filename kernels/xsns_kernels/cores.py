"""The number of processor cores that a process may use: its affinity, and the limits of its control groups."""

from __future__ import annotations

import math
import os
from pathlib import Path, PurePosixPath


def available_cores(root: Path = Path("/")) -> int:
    """Return the number of cores that this process may use, at least 1.

    Batch systems restrict the affinity of a process, and containers the processor time of its control group. A limit of
    time that is not a whole number of cores is rounded up.

    Args:
        root: Folder that contains `proc` and `sys`.
    """
    return max(1, min([cores_by_affinity(), *(math.ceil(limit) for limit in _limits(root))]))


def cores_by_affinity() -> int:
    """Return the number of cores to which this process is restricted, without the limits of control groups."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _limits(root: Path) -> list[float]:
    """Return the limits, in cores, of the control group of this process and of the groups that contain it.

    `root` is the folder that contains `proc` and `sys`. Groups without a limit are left out.
    """
    limits = []
    for folder in _groups(root):
        try:
            if (folder / "cpu.max").exists():  # version 2
                quota, period = (folder / "cpu.max").read_text().split()
            else:
                quota, period = ((folder / f"cpu.cfs_{name}_us").read_text() for name in ("quota", "period"))
            if quota != "max" and int(quota) > 0:
                limits.append(int(quota) / int(period))
        except (OSError, ValueError, ZeroDivisionError):
            continue  # no limit is stated here
    return limits


def _groups(root: Path) -> list[Path]:
    """Return the folders of the control group of this process and of the groups that contain it, below `root`."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return []
    folders = []
    for line in lines:
        _, controllers, name = line.split(":", 2)
        if controllers and "cpu" not in controllers.split(","):
            continue
        mount = root / "sys/fs/cgroup" / ("cpu" if controllers else "")
        path = PurePosixPath(name.lstrip("/"))
        folders += [mount / part for part in (path, *path.parents)]
    return folders
