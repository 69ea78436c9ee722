"""Stores of sub-networks in Zarr v3, in a folder or an object store. `docs/store-format.md` specifies the format.

One store holds one experiment. A row is the sub-network of one language, seed and density. A row is written as one
object, and then its commit record is written. The row is valid once its commit record exists. Several processes may
write to one store at the same time.
"""

from xsns_stream.store.columns import StoredColumns
from xsns_stream.store.fisher_array import ENCODINGS
from xsns_stream.store.folds import FEWEST_FOLDS, MOST_FOLDS
from xsns_stream.store.format import FORMAT_VERSION, FisherKey, FoldKey, RowKey
from xsns_stream.store.records import CommitRecord, FisherRecord
from xsns_stream.store.storage import MissingObjectError, Storage, open_storage
from xsns_stream.store.store import SubNetworkStore, open_store
from xsns_stream.store.verify import Finding
from xsns_stream.store.writer import OtherBitsError

__all__ = [
    "ENCODINGS",
    "FEWEST_FOLDS",
    "FORMAT_VERSION",
    "MOST_FOLDS",
    "CommitRecord",
    "Finding",
    "FisherKey",
    "FisherRecord",
    "FoldKey",
    "MissingObjectError",
    "OtherBitsError",
    "RowKey",
    "Storage",
    "StoredColumns",
    "SubNetworkStore",
    "open_storage",
    "open_store",
]
