"""Jobs for tests of clusters; workers import this module."""

from __future__ import annotations

import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

from xsns_stream.errors import ModelError
from xsns_stream.pipeline.jobs import Job, Session


@dataclass(frozen=True)
class Deed:
    """An item of a test.

    Attributes:
        name: Its name.
        deaths: Number of attempts that kill the worker.
        hangs: Number of attempts that take an hour.
        stops: Number of attempts that stop the process of the worker, as SIGSTOP does.
        work: Its expected work.
        kills_until: Time, in seconds since the epoch, before which every attempt kills the worker.
    """

    name: str
    deaths: int = 0
    hangs: int = 0
    stops: int = 0
    work: float = 1.0
    kills_until: float = 0.0


@dataclass(frozen=True)
class DeedJob(Job[Deed, tuple[str, int, int]]):
    """A job that writes a file each time a worker opens it."""

    folder: Path
    broken: bool = False

    def open(self) -> DeedSession:
        if self.broken:
            raise ModelError("this worker has no such model.", "give it one.")
        (self.folder / f"opened-{os.getpid()}").touch()
        return DeedSession()

    def size(self, item: Deed) -> float:
        return item.work


class DeedSession(Session[Deed, tuple[str, int, int]]):
    def run(self, item: Deed, attempt: int) -> tuple[str, int, int]:
        if attempt <= item.deaths or time.time() < item.kills_until:
            os.kill(os.getpid(), signal.SIGKILL)
        if attempt <= item.hangs:
            time.sleep(3600)
        if attempt <= item.stops:
            os.kill(os.getpid(), signal.SIGSTOP)
        if item.name == "bug":
            raise ZeroDivisionError("a bug")
        return item.name, attempt, os.getpid()
