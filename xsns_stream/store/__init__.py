"""The store: sub-networks on disk, in Zarr v3. `docs/store-format.md` says what stands where, and why.

One store is one experiment; a row is one (language, seed, density). A row is written as one object, and
counts once its commit record, written after it, exists. Several processes may write to one store at once.
"""

from xsns_stream.store.core import SubNetworkStore, open_store
from xsns_stream.store.format import FORMAT_VERSION, RowKey
from xsns_stream.store.kept import KeptKey, KeptRecord
from xsns_stream.store.kept_array import ENCODINGS
from xsns_stream.store.records import CommitRecord
from xsns_stream.store.verify import Finding

__all__ = [
    "ENCODINGS",
    "FORMAT_VERSION",
    "CommitRecord",
    "Finding",
    "KeptKey",
    "KeptRecord",
    "RowKey",
    "SubNetworkStore",
    "open_store",
]
