"""A device without enough memory, said in words."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from xsns_stream.errors import ModelError


@contextmanager
def enough_memory(what: str, hint: str) -> Iterator[None]:
    """Say that memory is not enough, where the block finds that out.

    Raises:
        ModelError: It is not.
    """
    import torch

    try:
        yield
    except (RuntimeError, MemoryError) as error:
        # The CPU's allocator has no exception of its own.
        known = isinstance(error, torch.OutOfMemoryError | MemoryError) or "DefaultCPUAllocator" in str(error)
        if not known:
            raise
        raise ModelError(f"the device has not enough memory for {what}.", hint) from error
