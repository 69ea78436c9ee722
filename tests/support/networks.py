"""Synthetic sub-networks, and processes that write them to a store.

The bits of a row depend on its label alone, so that every process knows the bits that a row must have.
Run as a script: `networks.py race STORE` or `networks.py crash STORE KILLS`.
"""

import json
import os
import random
import signal
import sys
import time
import zlib

import numpy as np

from xsns_stream.store import RowKey, open_store
from xsns_stream.types import DiagonalFisher, LayerSpan, ParameterLayout, Provenance, SubNetwork

LANGUAGES = ("sw", "rw", "yo", "zu", "xh", "en", "de", "fr", "zh-Hant", "pt-BR", "fi", "et")
SMALL_LAYER, BIG_LAYER = 6_400, 6_400_000


def row(language, seed=0, density=0.15):
    """Return the key of a row."""
    return RowKey(density, seed, language)


def make_layout(layers=3, layer_bits=192):
    return ParameterLayout(
        names=tuple(f"layer.{i}.weight" for i in range(layers)),
        shapes=((layer_bits,),) * layers,
        layers=tuple(LayerSpan(f"layer.{i}", i * layer_bits, (i + 1) * layer_bits) for i in range(layers)),
    )


def make_bits(size, seed):
    """Return words in which a random eighth of `size` bits is set. Padding bits are zero."""
    draws = np.random.Generator(np.random.PCG64(seed)).integers(0, 2**64, (3, -(-size // 64)), np.uint64)
    bits = np.bitwise_and.reduce(draws)
    if size % 64:
        bits[-1] &= np.uint64((1 << size % 64) - 1)
    return bits


def make_sub(language="sw", seed=0, density=0.15, layout=None, bits=None, **provenance):
    layout = layout or make_layout()
    if bits is None:
        bits = make_bits(layout.size, zlib.crc32(f"{language}/{seed}/{density}".encode()))
    return SubNetwork(
        language=language,
        seed=seed,
        bits=bits,
        layout=layout,
        cardinality=int(np.bitwise_count(bits).sum()),
        threshold=0.1 + seed,
        density=density,
        provenance=Provenance(
            **{
                "model": "mini",
                "layout_digest": layout.digest,
                "objective": "masked-lm(rate=0.15)",
                "estimator": "per-example(token_reduction=sum)",
                "examples": 7,
                "examples_asked": 8,
                "seed": seed,
                "dtype": "float32",
                "device": "cpu",
                "versions": {"numpy": "2"},
            }
            | provenance
        ),
    )


def make_all(layer_bits, languages=LANGUAGES):
    layout = make_layout(3, layer_bits)
    return [make_sub(language, layout=layout) for language in languages]


def write_all(store, subs):
    store = open_store(store, "a")
    for sub in subs:
        if not store.is_committed(sub.language, sub.seed, sub.density):
            store.write(sub)


def jaccard(one, other):
    """Return the Jaccard coefficient of two sub-networks, from unpacked bits."""
    first, second = one.to_numpy(), other.to_numpy()
    return float((first & second).sum() / (first | second).sum())


def save_ones(store, language, seed=0):
    """Save Fisher values of one for every parameter of a language."""
    sub = make_sub(language, seed)
    values = tuple(np.ones(shape, np.float32) for shape in sub.layout.shapes)
    store.save_fisher(DiagonalFisher(values, sub.layout, 7, language, sub.provenance))


def files(store):
    """Return {path: bytes} of every file of a store except locks."""
    paths = {file.relative_to(store).as_posix(): file for file in store.rglob("*") if file.is_file()}
    return {name: file.read_bytes() for name, file in paths.items() if ".lock" not in name}


def in_child(action):
    """Run `action` in a forked process. Forking saves the second that imports take."""
    pid = os.fork()
    if pid == 0:
        code = 1
        try:
            action()
            code = 0
        finally:
            os._exit(code)
    return pid


def race(store):
    """Let six processes create the store and write to it at the same time; every row is written by several of them."""
    subs = make_all(SMALL_LAYER)
    starts = [subs[i:] + subs[:i] for i in range(0, len(subs), 2)]
    pids = [in_child(lambda order=order: write_all(store, order)) for order in starts]
    return [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]


def crash(store, kills):
    """Start a writer and kill it at a random moment, `kills` times; return the exit codes."""
    subs, ends = make_all(BIG_LAYER), []
    for _ in range(kills):
        pid = in_child(lambda: write_all(store, subs))
        # In this time a writer commits a few of the twelve rows, or fewer on a busy machine.
        time.sleep(random.uniform(0.02, 0.15))
        os.kill(pid, signal.SIGKILL)
        ends.append(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
    return ends


if __name__ == "__main__":
    # Imported before the first fork, so that a child is killed while it writes and not while it imports.
    import filelock  # noqa: F401
    import zarr  # noqa: F401

    command, path, *rest = sys.argv[1:]
    print(json.dumps(race(path) if command == "race" else crash(path, *map(int, rest))))
