"""Scheduling of work items: several processes share them, and a thread prepares the next one."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from types import TracebackType
from typing import Final, Generic, TypeVar

#: Seconds between two checks of items that other processes have claimed.
POLL_S: Final = 0.2

Item = TypeVar("Item")


class SharedItems(Generic[Item]):
    """Context manager with work items that several processes share.

    This process claims an item before it works on it, and keeps the claim until :meth:`release` or the end of the
    context. Items that another process has claimed are deferred. When no other item is left, this process waits for
    them. An item is yielded here if the other process ends without finishing it.

    Args:
        items: The items in the order of the work.
        claim: Item → context manager that claims it without waiting, and yields whether the claim was granted.
        is_done: Item → whether it is finished; called after every claim.
        on_other: Called with each item that another process has finished since the start.
        on_wait: Called once with the items of other processes, before this process waits for them.
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
        """Yield the items that no other process has claimed, in order; each is claimed just before."""
        for item in self._items:
            mine = self._try(item)
            if mine:
                yield item
            elif mine is None:
                self._deferred.append(item)

    def deferred(self) -> Iterator[Item]:
        """Wait for the items of other processes, and yield those that they did not finish.

        This process must not have a claim when it calls this method, because two processes that wait for each other's
        items would wait forever.
        """
        waiting = False
        while self._deferred:
            left = []
            for item in self._deferred:
                mine = self._try(item)
                if mine:
                    yield item
                elif mine is None:
                    left.append(item)
            if left and not waiting:
                self._on_wait(tuple(left))
                waiting = True
            if len(left) == len(self._deferred):
                time.sleep(POLL_S)
            self._deferred = left

    def release(self, item: Item) -> None:
        """Release an item that was yielded."""
        self._held.pop(item).close()

    def _try(self, item: Item) -> bool | None:
        """Claim an item; return False if it is finished, None if another process has claimed it."""
        with ExitStack() as stack:
            if not stack.enter_context(self._claim(item)):
                return None
            if self._is_done(item):
                self._on_other(item)
                return False
            self._held[item] = stack.pop_all()
            return True


Made = TypeVar("Made")
#: Seconds between two reports on a result that the caller waits for.
_WAIT: Final = 1.0


class ReadAhead(Generic[Item, Made]):
    """Results of a function for each item, in order; a thread computes the next result in advance.

    Iteration yields each item with a function that returns its result, or raises its error. The function must be
    called once for each item, and starts the computation for the next item.

    Args:
        items: The items in order, read in the thread of the caller, one item in advance.
        make: Function of an item; it is called in the thread.
        on_wait: Function of the item that the caller waits for. It is called every second in the thread of the caller.
    """

    def __init__(
        self, items: Iterable[Item], make: Callable[[Item], Made], on_wait: Callable[[Item], None] = lambda item: None
    ) -> None:
        self._items, self._make, self._on_wait = iter(items), make, on_wait
        self._pending = self._start()

    def __iter__(self) -> Iterator[tuple[Item, Callable[[], Made]]]:
        while self._pending is not None:
            yield self._pending.item, self._take

    def _start(self) -> _Pending[Item, Made] | None:
        for item in self._items:
            return _Pending(item, self._make)
        return None

    def _take(self) -> Made:
        current = self._pending
        if current is None:
            raise IndexError("no item is left")
        current.thread.join(_WAIT)
        while current.thread.is_alive():
            self._on_wait(current.item)
            current.thread.join(_WAIT)
        self._pending = self._start()
        return current.result()


class _Pending(Generic[Item, Made]):
    """Computation of one result in a thread."""

    def __init__(self, item: Item, make: Callable[[Item], Made]) -> None:
        self.item = item
        self._make = make
        self._made: list[Made] = []
        self._error: BaseException | None = None
        # With a daemon thread, Ctrl-C does not wait for a file system or a network that does not respond.
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
