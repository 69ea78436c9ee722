"""Imports of the libraries that local workers need, done once for all of them.

Workers are forked from a server process that has imported this module, so that they need not import PyTorch and
Transformers again. The server process starts before the main process loads its model, and imports meanwhile.
"""

from __future__ import annotations

from contextlib import suppress

# A library that cannot be imported is reported by the worker that needs it.
with suppress(Exception):
    import distributed  # noqa: F401
    import torch  # noqa: F401
    import transformers.modeling_utils  # noqa: F401

    import xsns_kernels.grouped  # noqa: F401
    import xsns_stream.fisher
    import xsns_stream.models
    import xsns_stream.pipeline.cluster_build
    import xsns_stream.pipeline.cluster_worker
    import xsns_stream.pipeline.run_build  # noqa: F401
