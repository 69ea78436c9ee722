"""Baseline `nn-rank`: the share of the nearest neighbours of a target's tokens that are tokens of a source.

The search for neighbours is exact. Token states are stored in a temporary file. Memory use therefore does not grow with
their number.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from xsns_stream.errors import ModelError, UsageError
from xsns_stream.io.scratch_files import scratch_errors

if TYPE_CHECKING:
    from xsns_stream.types import Counts, Reals

Floats = NDArray[np.float32]
#: Callback that gets (target tokens done, number of target tokens).
OnProgress = Callable[[int, int], None]
#: Types of stored token states; inner products are always computed in float32.
STATE_TYPES: Final = ("float32", "float16")
#: Numbers of target tokens and source tokens in a block of comparisons: 32 MiB of inner products.
ROWS: Final = 1024
COLUMNS: Final = 8192


class TokenStates:
    """Token states of several languages in a temporary file; the states of each language are contiguous.

    Args:
        path: A file that does not exist yet.
        width: D, the size of a state.
        dtype: `float32`, or `float16`, which needs half the space and rounds the states.

    Raises:
        UsageError: `dtype` has another value.
    """

    def __init__(self, path: Path, width: int, dtype: str = "float32") -> None:
        if dtype not in STATE_TYPES:
            raise UsageError(f"token states cannot be stored as '{dtype}'.", f"choose one of {', '.join(STATE_TYPES)}.")
        self._path, self._width, self._dtype = path, width, np.dtype(dtype)
        self._spans: dict[str, tuple[int, int]] = {}
        self._file = path.open("xb")
        self._count = 0

    def add(self, language: str, states: NDArray[np.floating]) -> None:
        """Append the states [N, D] of N tokens of a language.

        All calls for one language must be consecutive, without calls for other languages between them.

        Raises:
            ModelError: A state is not finite, or is outside the range of float16.
            XsnsError: The file cannot be written, for example because the disk is full.
        """
        with np.errstate(over="ignore"):
            stored = np.ascontiguousarray(states, self._dtype)
        if not np.isfinite(stored).all():
            if np.isfinite(states).all():
                raise ModelError(
                    f"a token state of language '{language}' is outside the range of float16.",
                    "store states as float32.",
                )
            raise ModelError(
                f"a token state of language '{language}' is not finite.",
                "the weights may be damaged, or the states may overflow in half precision.",
            )
        with scratch_errors(self._path):
            self._file.write(stored.tobytes())
        start, _ = self._spans.get(language, (self._count, 0))
        self._count += len(stored)
        self._spans[language] = (start, self._count)

    def written(self) -> Path:
        """Close the file and return its path.

        :meth:`add_file` of another object with the same width and type can append the states in this file.
        """
        with scratch_errors(self._path):
            self._file.close()
        return self._path

    def add_file(self, language: str, path: Path) -> None:
        """Append the states of a language from the file of another :class:`TokenStates` that has only this language."""
        self.add(language, np.fromfile(path, self._dtype).reshape(-1, self._width))

    def states(self, languages: Sequence[str]) -> dict[str, NDArray[np.floating]]:
        """Return {language: token states [N, D]}, memory-mapped from the file; languages without tokens are left out.

        This method closes the file. No states can be added afterwards.
        """
        self.close()
        if not self._count:
            return {}
        everything: NDArray[np.floating] = np.memmap(self._path, self._dtype, "r", shape=(self._count, self._width))
        return {code: everything[slice(*self._spans[code])] for code in languages if code in self._spans}

    def close(self) -> None:
        """Close the file, but do not remove it; whoever created its folder has to remove the file."""
        if (file := vars(self).get("_file")) is not None:
            with scratch_errors(self._path):
                file.close()

    def __getstate__(self) -> dict[str, object]:
        """Return the attributes to pickle, without the open file; an unpickled copy can read states but not add any."""
        return {name: value for name, value in vars(self).items() if name != "_file"}


def neighbour_shares(
    states: Mapping[str, NDArray[np.floating]],
    sources: Sequence[str],
    targets: Sequence[str],
    *,
    k: int = 5,
    rows: int = ROWS,
    columns: int = COLUMNS,
    on_progress: OnProgress = lambda done, total: None,
) -> Reals:
    """Return float64 [S, T]: the share of nearest neighbours of each target's tokens that belong to each source.

        share(s, t) = (neighbours from s) / (k · tokens of t)

    The neighbours of a token of target t are the k tokens with the largest inner product among all tokens of all
    sources except t. Each column sums to 1. The value is NaN for a language as its own source, and for a target without
    any other source.

    The search is exact. It computes blocks of `rows` × `columns` inner products. Memory use therefore does not depend
    on the number of tokens. Of two tokens with equal products, the token of the earlier source, or the earlier token of
    the same source, is the nearer one.

    Args:
        states: {language: token states [N, D] of any floating type}; products are computed in float32.
        sources: S languages whose tokens are searched.
        targets: T languages.
        k: Number of neighbours of each token. If the sources have fewer than k tokens, all of them are neighbours.
        rows: Number of target tokens in a block.
        columns: Number of source tokens in a block.
        on_progress: Called with (target tokens done, number of target tokens).

    Raises:
        UsageError: k is below 1.

    Source:
        NN-Rank (EMNLP 2025; the authors' code, abteen/nn-rank): flat inner-product index, k = 5, layer 8, without
        special tokens and without neighbours from the same language. Differences: unknown tokens are also left out, and
        examples are truncated as in `build` (in the authors' code at 512 tokens).
    """
    if k < 1:
        raise UsageError(f"the number of neighbours must be at least 1, not {k}.")
    total = sum(len(states[target]) for target in targets)
    shares = np.full((len(sources), len(targets)), np.nan)
    done = 0
    for column, target in enumerate(targets):
        others = [row for row, source in enumerate(sources) if source != target and len(states[source])]
        if not others:
            continue
        counts = np.zeros(len(sources), np.int64)
        for block in _blocks(states[target], rows):
            pool = ((owner, part) for owner in others for part in _blocks(states[sources[owner]], columns))
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
    """Return int64 [B, k]: the index of the source that each of the k nearest tokens belongs to.

    If the pool has fewer than k tokens, the remaining values are −1.

    Args:
        block: float32 [B, D]: states of target tokens.
        pool: Pairs of the index of a source and a block of its token states [N, D].
        k: Number of neighbours.
    """
    best = np.full((len(block), k), -np.inf, np.float32)
    owners = np.full((len(block), k), -1, np.int64)
    for owner, part in pool:
        products = block @ part.T
        # Most rows do not change, because few products are larger than the smallest of the k largest so far.
        rows = np.flatnonzero(products.max(axis=1) > best.min(axis=1))
        merged = np.concatenate([best[rows], products[rows]], axis=1)
        chosen = _largest(merged, k)
        old = chosen < k
        owners[rows] = np.where(old, np.take_along_axis(owners[rows], np.where(old, chosen, 0), 1), owner)
        best[rows] = np.take_along_axis(merged, chosen, 1)
    return owners


def _largest(values: Floats, k: int) -> Counts:
    """Return int64 [B, k]: the indices of the k largest values of each row, in ascending order.

    Each row must have more than k values. Of several equal values, those with the lowest indices are chosen.
    """
    chosen = np.argpartition(values, values.shape[1] - k, axis=1)[:, -k:]
    # If several values equal the k-th largest value, the choice of argpartition is undefined. These rows are sorted.
    least = np.take_along_axis(values, chosen, 1).min(axis=1, initial=np.inf)
    tied = np.flatnonzero((values >= least[:, None]).sum(axis=1) > k)
    chosen[tied] = np.argsort(-values[tied], axis=1, kind="stable")[:, :k]
    chosen.sort(axis=1)
    return chosen
