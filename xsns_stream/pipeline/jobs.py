"""Abstract classes of the work on a cluster: a job, and the session in which a worker does the items of the job."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from typing import ClassVar, Final, Generic, TypeVar

from xsns_stream.errors import IncompatibleError

Item = TypeVar("Item")
Result = TypeVar("Result")

SAME_PACKAGES: Final = "install the same packages on every worker, for example from one constraints file."
SAME_PACKAGES_EVERYWHERE: Final = (
    "install the same packages for the scheduler and for every worker, for example from one constraints file."
)


class Session(ABC, Generic[Item, Result]):
    """A job that is open on one worker. The session keeps what the items share, such as the model."""

    @abstractmethod
    def run(self, item: Item, attempt: int) -> Result:
        """Do an item, and return a small result that can be pickled.

        Args:
            item: The item.
            attempt: Index of the attempt at the item, counted from 1.
        """

    def prepare(self, item: Item) -> None:
        """Prepare an item, for example read its text; called in a thread while another item runs."""


class Job(ABC, Generic[Item, Result]):
    """Work that consists of items, which any worker can do. A job is pickled, and sent to each worker once."""

    #: Whether an item uses all threads of its worker. A worker does one item at a time in either case.
    uses_threads: ClassVar[bool] = False

    @abstractmethod
    def open(self) -> Session[Item, Result]:
        """Open the job on a worker.

        Raises:
            XsnsError: The worker cannot do this work; the run ends with this error.
        """

    @abstractmethod
    def size(self, item: Item) -> float:
        """Return the expected work of an item, in any unit; items with the most work are submitted first."""

    def name(self, item: Item) -> str:
        """Return the name of an item in messages; by default, the item as text."""
        return str(item)


def refuse_other_versions(worker: str, theirs: Mapping[str, str] | BaseException, own: Mapping[str, str]) -> None:
    """Raise an error if the versions of libraries on a worker differ from those on the client.

    Raises:
        IncompatibleError: A version differs (the message names each library), or the worker cannot load the package.
    """
    if isinstance(theirs, BaseException):
        raise IncompatibleError(f"the worker at {worker} cannot load xsns-stream: {theirs}.", SAME_PACKAGES)
    names = [name for name in {**own, **theirs} if own.get(name) != theirs.get(name)]
    if names:
        differing = ", ".join(f"{name} {theirs.get(name, 'missing')} instead of {own.get(name)}" for name in names)
        raise IncompatibleError(f"the worker at {worker} has other versions: {differing}.", SAME_PACKAGES)
