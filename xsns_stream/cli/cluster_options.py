"""Options of verbs that can distribute their work over several processes or machines."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.cli.option_sections import Decorated, apply, section
from xsns_stream.cli.parameter_types import NumberOrAuto

if TYPE_CHECKING:
    from xsns_stream.pipeline.cluster_clients import Workers

_workers = section("Workers")
#: Names of the options of workers, as parameters of a command.
NAMES: Final = ("workers", "scheduler", "retries", "worker_timeout")


def cluster_options(item: str, few: str = "") -> Callable[[Decorated], Decorated]:
    """Return a decorator that adds `--workers`, `--scheduler`, `--retries` and `--worker-timeout`.

    Args:
        item: The unit of work that a worker does at a time, such as `row`; it appears in the help text.
        few: What `--workers auto` does if workers would not save time; nothing by default.
    """
    alone = f"; {few}" if few else ""

    def add(function: Decorated) -> Decorated:
        return apply(
            function,
            _workers(
                "--workers",
                type=NumberOrAuto("workers"),
                default=None,
                metavar="N|auto",
                help="Number of processes on this machine that share the work; auto is as many as the cores and the "
                f"memory allow{alone}. Needs the extra `distributed`.",
            ),
            _workers(
                "--scheduler",
                default=None,
                metavar="ADDRESS|FILE",
                help="Address of a running Dask scheduler, such as tcp://host:8786, or its scheduler file. The workers "
                "of this scheduler share the work.",
            ),
            _workers(
                "--retries",
                type=int,
                default=None,
                help=f"Number of times that a {item} is tried again after its worker died.  [default: 3]",
            ),
            _workers(
                "--worker-timeout",
                type=float,
                default=None,
                metavar="SECONDS",
                help=f"Seconds after which a worker that has not finished a {item} is restarted.  [default: 20 times "
                "the slowest so far, and at least 600]",
            ),
        )

    return add


def asked_workers(options: dict[str, Any]) -> Workers | None:
    """Remove the options of workers from `options`, and return the workers; None if this process does the work.

    Raises:
        UsageError: The options contradict each other.
    """
    from xsns_stream.pipeline.cluster_clients import workers_asked

    given = {name: options.pop(name, None) for name in NAMES}
    return workers_asked(**given)
