"""Settings of the threads of native libraries, made before PyTorch is imported.

By default, the threads of OpenMP wait for one another in a busy loop. On a machine whose cores are used by other
programs too, the waiting threads take the cores from the threads for which they wait. A build then takes several times
longer. Threads that sleep while they wait cost nothing measurable on an idle machine (docs/engine.md).
"""

from __future__ import annotations

import os
from collections.abc import MutableMapping
from typing import Final

from xsns_kernels.cores import available_cores, cores_by_affinity

#: Variables by which a user states how threads wait, and how many there are.
_WAITING: Final = ("OMP_WAIT_POLICY", "GOMP_SPINCOUNT", "KMP_BLOCKTIME")
_NUMBER: Final = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")


def set_native_threads(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads of OpenMP sleep while they wait, and start at most as many as the control group allows.

    Variables that the user has set are not changed. PyTorch respects the affinity of a process, but not the limit of
    its control group, by which containers share a machine.

    Args:
        environment: Variables of this process, which its children inherit.
    """
    if not any(name in environment for name in _WAITING):
        environment["OMP_WAIT_POLICY"] = "passive"
    cores = available_cores()
    if cores < cores_by_affinity() and not any(name in environment for name in _NUMBER):
        environment["OMP_NUM_THREADS"] = str(cores)
