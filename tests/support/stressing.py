"""Processes that write to a store and are killed, and pairs of processes that write the same row.

Run as a script, which prints JSON: `stressing.py kill STORE KILLS` or `stressing.py duel STORE ROUNDS`.
"""

import json
import os
import random
import signal
import sys
import time

import networks  # from the folder of this script
import numpy as np

from xsns_stream.errors import StoreError
from xsns_stream.store import open_store

WRITERS = 3
#: A row has 240 kB, so that a writer writes a few rows before it is killed.
LAYER = 640_000
SEEDS = tuple(range(120))


def rows(writer):
    """Return the rows of one writer. No two writers have a row in common."""
    languages = networks.LANGUAGES[writer::WRITERS]
    return [(language, seed) for seed in SEEDS for language in languages]


def write(store, writer, stop=None):
    """Write the missing rows of a writer, at most `stop` of them."""
    layout, opened = networks.make_layout(3, LAYER), open_store(store, "a")
    missing = [row for row in rows(writer) if not opened.is_committed(*row, 0.15)]
    for language, seed in missing[:stop]:
        opened.write(networks.make_sub(language, seed, layout=layout))


def kill(store, kills):
    """Keep the writers running, and kill one after the other at random moments; return the number of kills."""
    draws, killed, alive = random.Random(4), 0, {}
    while killed < kills:
        for writer in set(range(WRITERS)) - set(alive):
            alive[writer] = networks.in_child(lambda writer=writer: write(store, writer))
        # The kill comes between the start of the process and the commit of a few rows.
        time.sleep(draws.uniform(0.002, 0.08))
        writer = draws.choice(sorted(alive))
        os.kill(alive[writer], signal.SIGKILL)
        ended = os.waitstatus_to_exitcode(os.waitpid(alive.pop(writer), 0)[1])
        if ended == 0:
            raise SystemExit(f"writer {writer} had nothing left to write")
        killed += ended == -signal.SIGKILL
    for pid in alive.values():
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    return killed


def duel(store, rounds):
    """Let two processes commit one row with different bits at the same time; return the exit codes and the winner."""
    layout, refused = networks.make_layout(3, LAYER), []
    for seed in range(rounds):
        subs = [networks.make_sub("sw", seed, layout=layout, bits=networks.make_bits(layout.size, i)) for i in (1, 2)]

        def attempt(sub):
            try:
                open_store(store, "a").write(sub)
            except StoreError as error:
                if "is committed already, with other bits" not in error.message:
                    raise
                os._exit(9)

        pids = [networks.in_child(lambda sub=sub: attempt(sub)) for sub in subs]
        ends = [os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]
        winner = int(np.array_equal(open_store(store).read("sw", seed).bits, subs[1].bits))
        refused.append((ends, winner))
    return refused


if __name__ == "__main__":
    # Imported and compiled before the first fork, so that a child is killed while it writes and not while it imports.
    import filelock  # noqa: F401
    import zarr  # noqa: F401

    networks.make_sub()

    command, path, number = sys.argv[1:]
    print(json.dumps({"kill": kill, "duel": duel}[command](path, int(number))))
