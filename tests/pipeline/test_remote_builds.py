"""Builds into a store in S3 whose server fails, is overloaded, is restarted, or stays away."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import xsns_stream as xs
from tests.support.clusters import ON_CLUSTER
from tests.support.s3_faults import FAULTS, FaultyServer
from xsns_stream.errors import StoreError
from xsns_stream.pipeline.cluster_clients import local_cluster
from xsns_stream.pipeline.events import RowCommitted
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.store.storage import remote_requests

pytestmark = ON_CLUSTER

LANGUAGES = ("en", "fi", "sw")
OPTIONS: dict[str, Any] = {"examples": 6, "max_length": 24, "seeds": (1,), "progress": False}


@pytest.fixture(scope="module")
def texts(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Path:
    return write_texts(tmp_path_factory.mktemp("remote") / "texts", " ".join(LANGUAGES), 12)


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory, texts: Path, tiny_folder: Path) -> SubNetworkStore:
    """An undisturbed build into a folder."""
    return xs.build(str(texts), str(tiny_folder), tmp_path_factory.mktemp("alone") / "x.zarr", **OPTIONS)


@pytest.fixture
def url(faulty_s3: tuple[str, FaultyServer]) -> str:
    return f"{faulty_s3[0]}/x.zarr"


@pytest.fixture
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(remote_requests, "_FIRST_WAIT_S", 0.001)


@pytest.fixture
def build(texts: Path, tiny_folder: Path, url: str) -> Callable[..., list[Any]]:
    """Build the rows; return the events."""

    def call(**options: Any) -> list[Any]:
        events: list[Any] = []
        xs.build(str(texts), str(tiny_folder), url, **({"on_event": events.append} | OPTIONS | options))
        return events

    return call


def assert_same(url: str, server: FaultyServer, alone: SubNetworkStore) -> None:
    """Check that every row is committed once, undamaged, and equal to the row of an undisturbed build."""
    server.fault = lambda method, path, number: None
    store = open_store(url)
    assert store.languages == LANGUAGES
    assert (store.verify(), store.unfinished()) == ([], ())
    assert {each.key: each.sha256 for each in store.records()} == {each.key: each.sha256 for each in alone.records()}
    assert [server.puts(f"commits/0.15/1/{language}/zarr.json") for language in LANGUAGES] == [1, 1, 1]
    assert np.array_equal(xs.similarity(store).values, xs.similarity(alone).values)


def committed(events: list[Any]) -> list[str]:
    return sorted(event.row.language for event in events if isinstance(event, RowCommitted))


def every_third(*faults: str) -> Callable[[str, str, int], str | None]:
    """Let every third request fail, with each fault in turn."""
    return lambda method, path, number: faults[number // 3 % len(faults)] if number % 3 == 2 else None


@pytest.mark.parametrize(
    "faults", [FAULTS, *(pytest.param((fault,), marks=pytest.mark.slow) for fault in FAULTS)], ids=" or ".join
)
def test_a_build_survives_a_server_that_fails_now_and_then(
    faults: tuple[str, ...], url: str, server: FaultyServer, build: Any, alone: SubNetworkStore, short_waits: None
) -> None:
    server.fault = every_third(*faults)
    assert committed(build()) == list(LANGUAGES)
    assert_same(url, server, alone)


def test_a_build_survives_a_restart_of_the_server(
    url: str, server: FaultyServer, build: Any, alone: SubNetworkStore
) -> None:
    events: list[Any] = []

    def restart(event: Any) -> None:
        events.append(event)
        if len(committed(events)) == 1 and isinstance(event, RowCommitted):
            server.restart_later(0.5)

    build(on_event=restart)
    assert committed(events) == list(LANGUAGES)
    assert_same(url, server, alone)


def test_a_server_that_stays_away_ends_the_build_with_a_sentence(
    url: str,
    server: FaultyServer,
    alone: SubNetworkStore,
    texts: Path,
    tiny_folder: Path,
    xsns: Any,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(remote_requests, "PATIENCE_S", 0.5)
    command = ["build", "--corpus", texts, "--model", tiny_folder, "--lang", "all", "--store", url]
    command += ["--seed", 1, "--examples", 6, "--max-length", 24]
    server.fault = lambda method, path, number: "slow down" if server.puts("commits/0.15/1/fi/zarr.json") else None
    completed = xsns(*command)
    assert completed.code == 1, completed.err
    assert f"'{url}': the server answered 503 Service Unavailable" in completed.err
    assert "hint: check the URL, the endpoint and the credentials, or try again later." in completed.err
    assert "Traceback" not in completed.err
    server.fault = lambda method, path, number: None
    completed = xsns(*command)
    assert completed.code == 0, completed.err
    assert_same(url, server, alone)


@pytest.fixture
def client(server: FaultyServer) -> Iterator[Any]:
    """A cluster whose workers see the server."""
    with local_cluster(2, lambda note: None) as client:
        yield client


@pytest.mark.slow
def test_workers_of_a_server_that_fails_and_is_restarted(
    client: Any, url: str, server: FaultyServer, build: Any, alone: SubNetworkStore
) -> None:
    server.fault = every_third(*FAULTS)
    events: list[Any] = []

    def restart(event: Any) -> None:
        events.append(event)
        if len(committed(events)) == 1 and isinstance(event, RowCommitted):
            server.restart_later(1.0)

    build(client=client, on_event=restart)
    assert committed(events) == list(LANGUAGES)
    assert_same(url, server, alone)


@pytest.mark.slow
def test_workers_report_a_server_that_stays_away(
    client: Any, url: str, server: FaultyServer, build: Any, alone: SubNetworkStore
) -> None:
    client.run(_be_impatient)
    server.fault = lambda method, path, number: "no answer" if server.puts("commits/0.15/1/fi/zarr.json") else None
    with pytest.raises(StoreError, match=r"'s3://.*': the server does not answer\."):
        build(client=client)
    server.fault = lambda method, path, number: None
    build(client=client)
    assert_same(url, server, alone)


def _be_impatient() -> None:
    from xsns_stream.store.storage import remote_requests

    remote_requests.PATIENCE_S = 0.5
    remote_requests.FIRST_S = 0.5
