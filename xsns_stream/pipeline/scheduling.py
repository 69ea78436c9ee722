"""Scheduling of work items: sharing items between processes, and preparing the next item in a thread."""

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
    """Context manager that distributes work items among several processes.

    This process claims an item before it works on it, and keeps the claim until :meth:`release` or the end of the
    context. Items that another process has claimed are deferred: when no other item is left, this process waits for
    them. If the other process ends without finishing a deferred item, :meth:`deferred` yields the item.

    Args:
        items: The items, in the order in which to work on them.
        claim: Function that takes an item and returns a context manager. The context manager tries to claim the item
            without waiting, and yields whether the claim was granted.
        is_done: Function that takes an item and returns whether it is finished; called after every granted claim.
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
        """Yield the unfinished items that no other process has claimed, in order; claim each item just before."""
        for item in self._items:
            mine = self._try(item)
            if mine:
                yield item
            elif mine is None:
                self._deferred.append(item)

    def deferred(self) -> Iterator[Item]:
        """Wait for the items that other processes have claimed, and yield the items that they leave unfinished.

        This process must not have a claim when it calls this method, because otherwise two processes could wait for
        each other's items forever.
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
        """Release the claim of this process on an item that :meth:`free` or :meth:`deferred` has yielded."""
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
#: Seconds between two calls of `on_wait` while the caller waits for a result.
_WAIT: Final = 1.0


class ReadAhead(Generic[Item, Made]):
    """Iterable that computes a result for each item, in order; a thread computes the next result in advance.

    Iteration yields pairs (item, function). The function returns the result for the item, or raises the error of its
    computation. It must be called exactly once for each item, because it also starts the computation for the next item.

    Args:
        items: The items in order. They are read in the thread of the caller, one item in advance.
        make: Function that takes an item and returns its result; it is called in the other thread.
        on_wait: Function that takes the item whose result the caller waits for. It is called every second in the thread
            of the caller.
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
    """A thread that computes the result for one item, and the result or the error of the computation."""

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
