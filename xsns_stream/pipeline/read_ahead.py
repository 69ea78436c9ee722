"""Read and encode the next row's text while the present row is computed."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Generic, TypeVar

from xsns_stream.objectives import EncodedSample
from xsns_stream.types import LanguageSample

Item = TypeVar("Item")
Made = TypeVar("Made")


@dataclass(frozen=True)
class RowText:
    """A row's text, as drawn and as the model sees it."""

    sample: LanguageSample
    encoded: EncodedSample


class OneAhead(Generic[Item, Made]):
    """Makes something of each item, in order, in one thread: the next one while the present one is used.

    Iterating yields each item with a function that gives what was made of it, or raises what went wrong; it is to be
    called once for each item, and starts the next.

    Args:
        items: In their order; the next one is asked for, in the caller's thread, when the present one is taken.
        make: Called in the thread.
    """

    def __init__(self, items: Iterable[Item], make: Callable[[Item], Made]) -> None:
        self._items, self._make = iter(items), make
        self._pending = self._start()

    def __iter__(self) -> Iterator[tuple[Item, Callable[[], Made]]]:
        while self._pending is not None:
            yield self._pending.item, self._take

    def _start(self) -> _Pending[Item, Made] | None:
        for item in self._items:
            return _Pending(item, self._make)
        return None

    def _take(self) -> Made:
        own = self._pending
        if own is None:
            raise IndexError("nothing is left to be taken")
        own.thread.join()
        self._pending = self._start()
        return own.result()


class _Pending(Generic[Item, Made]):
    """What a thread is making."""

    def __init__(self, item: Item, make: Callable[[Item], Made]) -> None:
        self.item = item
        self._make = make
        self._made: list[Made] = []
        self._error: BaseException | None = None
        # A daemon, so that Ctrl-C need not wait for a file system or a network that hangs.
        self.thread = threading.Thread(target=self._run, name="xsns-read-ahead", daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            self._made.append(self._make(self.item))
        except BaseException as error:
            self._error = error

    def result(self) -> Made:
        if self._error is not None:
            raise self._error
        return self._made.pop()
