"""nn-rank: whose tokens are nearest to the target's tokens (NN-Rank), by exact search over states kept in a file."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import ModelError, UsageError

if TYPE_CHECKING:
    from xsns_stream.types import Counts, Reals

Floats = NDArray[np.float32]
#: Of the file that keeps token states; products are always of float32.
STATE_TYPES: Final = ("float32", "float16")
#: Target tokens, and tokens of other languages, that are compared at a time: 32 MiB of inner products.
ROWS: Final = 1024
COLUMNS: Final = 8192


class TokenStates:
    """Token states of several languages, in a temporary file, one language after the other.

    Args:
        path: A file that is not there yet.
        width: D, the size of a state.
        dtype: `float32`, or `float16` for half the space, which rounds.
    """

    def __init__(self, path: Path, width: int, dtype: str = "float32") -> None:
        if dtype not in STATE_TYPES:
            raise UsageError(f"token states cannot be kept as '{dtype}'.", f"choose one of {', '.join(STATE_TYPES)}.")
        self._path, self._width, self._dtype = path, width, np.dtype(dtype)
        self._spans: dict[str, tuple[int, int]] = {}
        self._file = path.open("xb")
        self._count = 0

    def add(self, language: str, states: Floats) -> None:
        """Append states [N, D] of a language; calls for one language follow one another.

        Raises:
            ModelError: A state is not finite, or does not fit into float16.
        """
        with np.errstate(over="ignore"):
            kept = np.ascontiguousarray(states, self._dtype)
        if not np.isfinite(kept).all():
            fits = "" if not np.isfinite(states).all() else " within the range of float16"
            raise ModelError(
                f"a token state of language '{language}' is not finite{fits}.",
                "keep states as float32." if fits else "the weights may be damaged, or overflow in half precision.",
            )
        self._file.write(kept.tobytes())
        start, _ = self._spans.get(language, (self._count, 0))
        self._count += len(kept)
        self._spans[language] = (start, self._count)

    def states(self, languages: Sequence[str]) -> dict[str, NDArray[np.floating]]:
        """Return [N, D] of each language that has tokens, mapped from the file; nothing is added after this."""
        self._file.close()
        if not self._count:
            return {}
        everything: NDArray[np.floating] = np.memmap(self._path, self._dtype, "r", shape=(self._count, self._width))
        return {code: everything[slice(*self._spans[code])] for code in languages if code in self._spans}

    def close(self) -> None:
        """Let go of the file, which its folder's owner removes."""
        self._file.close()


def neighbour_shares(
    states: Mapping[str, NDArray[np.floating]],
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    k: int = 5,
    rows: int = ROWS,
    columns: int = COLUMNS,
    on_progress: Callable[[int, int], None] = lambda done, total: None,
) -> Reals:
    """Return float64 [S, T]: the share of the target's k nearest neighbours that each source owns.

    For each token of target t, the k tokens with the largest inner product are found among all tokens of the sources
    but t itself; source s owns share(s, t) = (neighbours from s) / (k · tokens of t). A column adds up to 1. A
    language as its own source is NaN, and so is a target without another source. The search is exact, over `rows` ×
    `columns` inner products at a time, so that memory is bounded whatever the number of tokens. Of equal products the
    one of the earlier source, then of the earlier token, is nearer.

    Args:
        states: Language → [N, D] token states, of any floating type; products are computed in float32.
        sources: S languages whose tokens are searched.
        targets: T languages.
        k: Neighbours a token; where the sources have fewer tokens, all of them.
        rows: Target tokens at a time.
        columns: Source tokens at a time.
        on_progress: Called with target tokens done, and in all.

    Raises:
        UsageError: k below 1.

    Source:
        NN-Rank (EMNLP 2025; the authors' code, abteen/nn-rank): flat inner-product index, k = 5, layer 8, special
        pieces left out, a language never its own neighbour. Departures: unknown pieces are left out too, and an
        example is cut where the build cuts it (theirs: 512 pieces).
    """
    if k < 1:
        raise UsageError(f"the number of neighbours must be at least 1, not {k}.")
    total = sum(len(states[target]) for target in targets)
    shares = np.full((len(sources), len(targets)), np.nan)
    done = 0
    for column, target in enumerate(targets):
        others = [place for place, source in enumerate(sources) if source != target and len(states[source])]
        if not others:
            continue
        counts = np.zeros(len(sources), np.int64)
        for block in _blocks(states[target], rows):
            pool = ((place, part) for place in others for part in _blocks(states[sources[place]], columns))
            owners = _nearest_owners(block, pool, k)
            counts += np.bincount(owners[owners >= 0], minlength=len(sources))
            done += len(block)
            on_progress(done, total)
        shares[:, column] = counts / counts.sum()
        if target in sources:
            shares[sources.index(target), column] = np.nan
    return shares


def _blocks(states: NDArray[np.floating], size: int) -> Iterator[Floats]:
    for start in range(0, len(states), size):
        yield np.asarray(states[start : start + size], np.float32)


def _nearest_owners(block: Floats, pool: Iterator[tuple[int, Floats]], k: int) -> Counts:
    """Return int64 [B, k]: the owners of each row's nearest tokens; −1 where the pool has fewer than k tokens."""
    best = np.full((len(block), k), -np.inf, np.float32)
    owners = np.full((len(block), k), -1, np.int64)
    for owner, part in pool:
        products = block @ part.T
        # Most rows keep what they have: the worst of k in all tokens before is hard to beat.
        rows = np.flatnonzero(products.max(axis=1) > best.min(axis=1))
        joined = np.concatenate([best[rows], products[rows]], axis=1)
        chosen = _largest(joined, k)
        old = chosen < k
        owners[rows] = np.where(old, np.take_along_axis(owners[rows], np.where(old, chosen, 0), 1), owner)
        best[rows] = np.take_along_axis(joined, chosen, 1)
    return owners


def _largest(values: Floats, k: int) -> Counts:
    """Return int64 [B, k], rising: where the largest of more than k values of each row are; of equal ones the first."""
    chosen = np.argpartition(values, values.shape[1] - k, axis=1)[:, -k:]
    # Which of several values equal to the k-th it takes is argpartition's affair: there, by the whole order.
    least = np.take_along_axis(values, chosen, 1).min(axis=1, initial=np.inf)
    tied = np.flatnonzero((values >= least[:, None]).sum(axis=1) > k)
    chosen[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :k]
    chosen.sort(axis=1)
    return chosen
