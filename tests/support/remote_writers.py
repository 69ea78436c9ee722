"""A process that writes rows to an object store: `remote_writers.py URL LANGUAGE[:VARIANT] …`.

A variant is another set of bits under the same label.
"""

import json
import sys

import networks  # from the folder of this script

from xsns_stream.errors import StoreError
from xsns_stream.store import open_store


def sub_of(label):
    language, _, variant = label.partition(":")
    bits = networks.make_bits(networks.make_layout().size, int(variant)) if variant else None
    return networks.make_sub(language, bits=bits)


def write(url, labels):
    """Write each row; return whether each was written, or the message of its error."""
    ends, store = [], open_store(url, "a")
    for label in labels:
        try:
            ends.append(store.write(sub_of(label)))
        except StoreError as error:
            ends.append(error.message)
    return ends


if __name__ == "__main__":
    print(json.dumps(write(sys.argv[1], sys.argv[2:])))
