"""The store: sub-networks in Zarr v3, in a folder or an object store. `docs/store-format.md` is the norm.

One store is one experiment; a row is one (language, seed, density). A row is written as one object, and
counts once its commit record, written after it, exists. Several processes may write to one store at once.
"""

from xsns_stream.store.columns import StoredColumns
from xsns_stream.store.fisher_array import ENCODINGS, KeptKey, KeptRecord
from xsns_stream.store.folds import FEWEST_PARTS, MOST_PARTS, PartKey
from xsns_stream.store.format import FORMAT_VERSION, RowKey
from xsns_stream.store.records import CommitRecord
from xsns_stream.store.storage.open import MissingObjectError, Place, open_place
from xsns_stream.store.store import SubNetworkStore, open_store
from xsns_stream.store.verify import Finding
from xsns_stream.store.writer import OtherBitsError

__all__ = [
    "ENCODINGS",
    "FEWEST_PARTS",
    "FORMAT_VERSION",
    "MOST_PARTS",
    "CommitRecord",
    "Finding",
    "KeptKey",
    "KeptRecord",
    "MissingObjectError",
    "OtherBitsError",
    "PartKey",
    "Place",
    "RowKey",
    "StoredColumns",
    "SubNetworkStore",
    "open_place",
    "open_store",
]
