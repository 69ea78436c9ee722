"""The simulation of builds, compared with schedules that were computed by hand."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.paths import BENCHMARKS


@pytest.fixture
def simulation(monkeypatch: pytest.MonkeyPatch) -> Any:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    import simulate_workers

    return simulate_workers


def test_one_worker_measures_all_rows(simulation: Any) -> None:
    simulated = simulation.simulate([3.0, 2.0, 1.0], 1, simulation.Costs())
    assert (simulated.seconds, simulated.idle, simulated.scheduler, simulated.disk) == (6.0, 0.0, 0.0, 0.0)


def test_the_last_long_row_leaves_a_worker_idle(simulation: Any) -> None:
    """Each of two workers has a queue of one row: worker 1 has 1, 1 and worker 2 has 1, 3 (random order)."""
    simulated = simulation.simulate([1.0, 1.0, 1.0, 3.0], 2, simulation.Costs())
    assert (simulated.seconds, simulated.idle) == (4.0, 0.25)
    # The third row waits in the queue of the worker with the long row, and the fourth in the queue of the other one.
    longest = simulation.simulate([3.0, 1.0, 1.0, 1.0], 2, simulation.Costs())
    assert longest.seconds == 4.0


def test_the_scheduler_serves_one_request_at_a_time(simulation: Any) -> None:
    """Three workers have one row of 10 s each; a task costs 1 s. They begin at 1, 2 and 3 s; the last ends at 13 s."""
    simulated = simulation.simulate([10.0, 10.0, 10.0], 3, simulation.Costs(task=1.0))
    assert simulated.seconds == 13.0
    assert simulated.scheduler == 3 / 13
    assert simulated.idle == pytest.approx(1 - 30 / 39)


def test_the_disk_writes_one_row_at_a_time(simulation: Any) -> None:
    """Two workers, two rows of 4 s each, 3 s a write: measured at 4 and 4, written until 7 and 10.

    The second rows are measured from 7 to 11 and from 10 to 14, and written until 14 and 17.
    """
    simulated = simulation.simulate([4.0] * 4, 2, simulation.Costs(write=3.0))
    assert simulated.seconds == 17.0
    assert simulated.disk == 12 / 17


def test_workers_begin_after_their_start(simulation: Any) -> None:
    assert simulation.simulate([2.0], 4, simulation.Costs(start=5.0)).seconds == 7.0


def test_sizes_are_repeatable_and_sorted(simulation: Any) -> None:
    rows = [simulation.ordered([0.5, 1.5], 10, 2.0, order) for order in ("longest first", "random")]
    assert rows[0] == sorted(rows[1], reverse=True)
    assert len(rows[0]) == 30
    assert set(rows[0]) <= {1.0, 3.0}
