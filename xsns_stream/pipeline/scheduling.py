"""Order of work: items that several processes share, and items that are prepared one ahead in a thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Final, Generic, TypeVar

#: Seconds between two looks at items that other processes hold.
POLL_S: Final = 0.2

Item = TypeVar("Item")


class SharedItems(Generic[Item]):
    """Items of work, handed out to the process that holds their claim; use as a context manager.

    Every item that is handed out is held until :meth:`release` is called for it, or the context ends.

    Args:
        items: In the order in which they are to be done.
        claim: Item → a context that claims it without waiting, and gives whether the claim was granted.
        is_done: Item → whether it needs no more work; asked after every claim.
        on_other: Called with each item that another process has done since the start.
        on_wait: Called once, with the items that other processes hold, before this process waits for them.
    """

    def __init__(
        self,
        items: Sequence[Item],
        claim: Callable[[Item], AbstractContextManager[bool]],
        is_done: Callable[[Item], bool],
        on_other: Callable[[Item], None],
        on_wait: Callable[[Sequence[Item]], None],
    ) -> None:
        self._items, self._claim, self._is_done = items, claim, is_done
        self._on_other, self._on_wait = on_other, on_wait
        self._held: dict[Item, ExitStack] = {}
        self._deferred: list[Item] = []

    def __enter__(self) -> SharedItems[Item]:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        for item in list(self._held):
            self.release(item)

    def free(self) -> Iterator[Item]:
        """Yield the items that nobody holds, in order; each is claimed when it is asked for."""
        for item in self._items:
            mine = self._try(item)
            if mine:
                yield item
            elif mine is None:
                self._deferred.append(item)

    def deferred(self) -> Iterator[Item]:
        """Wait for the items that other processes held, and yield those that none of them finished.

        It is to be called when nothing is held any more: two processes that wait for each other's items would wait
        forever.
        """
        told = False
        while self._deferred:
            left = []
            for item in self._deferred:
                mine = self._try(item)
                if mine:
                    yield item
                elif mine is None:
                    left.append(item)
            if left and not told:
                self._on_wait(tuple(left))
                told = True
            if len(left) == len(self._deferred):
                time.sleep(POLL_S)
            self._deferred = left

    def release(self, item: Item) -> None:
        """Release an item that was handed out."""
        self._held.pop(item).close()

    def _try(self, item: Item) -> bool | None:
        """Claim an item; return False where it is done already, None where another process holds it."""
        with ExitStack() as stack:
            if not stack.enter_context(self._claim(item)):
                return None
            if self._is_done(item):
                self._on_other(item)
                return False
            self._held[item] = stack.pop_all()
            return True


Made = TypeVar("Made")


class ReadAhead(Generic[Item, Made]):
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
