"""What a store or a file of scores holds beyond what was asked for.

`build` and `transfer` go on with their own files, and keep what earlier commands put there. A page averages over all
seeds of a file, so that a run with fewer of them must not go on with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path


def excess_scores(path: Path, sources: Sequence[str], targets: Sequence[str], seeds: Sequence[int]) -> str:
    """Return a sentence on the sources, targets and seeds of a file of scores that were not asked for.

    Raises:
        XsnsError: The file cannot be read.
    """
    from xsns_stream.gold import read_scores

    found = read_scores(path)
    more = _more(found.sources, sources, "sources") or _more(found.targets, targets, "targets")
    return _sentence(path, more or _more(found.seeds, seeds, "seeds"))


def excess_rows(path: Path, seeds: Sequence[int], densities: Sequence[float]) -> str:
    """Return a sentence on the seeds and densities of a store that were not asked for.

    Raises:
        XsnsError: The store cannot be read.
    """
    from xsns_stream.store import open_store

    found = open_store(path)
    return _sentence(path, _more(found.seeds, seeds, "seeds") or _more(found.densities, densities, "densities"))


def _more(found: Iterable[object], asked: Sequence[object], what: str) -> str:
    more = [str(one) for one in found if one not in asked]
    return f"{what} that were not asked for ({', '.join(more)})" if more else ""


def _sentence(path: Path, more: str) -> str:
    return f"'{path}' holds {more}: ask for these too, or give another --out." if more else ""
