"""A store in S3 whose server fails, is overloaded, loses answers, or is restarted."""

import numpy as np
import pytest

from tests.support.s3_faults import FAULTS
from xsns_stream.errors import StoreError
from xsns_stream.store import open_store
from xsns_stream.store.storage import open_storage, remote_requests

LANGUAGES = ("sw", "rw", "yo")


@pytest.fixture
def url(faulty_s3):
    return f"{faulty_s3[0]}/some/experiment.zarr"


@pytest.fixture
def waits(monkeypatch):
    """The waiting times between requests, in seconds; the test does not wait."""
    seconds = []
    monkeypatch.setattr(remote_requests.random, "uniform", lambda low, high: high)
    monkeypatch.setattr(remote_requests.time, "sleep", seconds.append)
    return seconds


def every_other(fault):
    return lambda method, path, number: fault if number % 2 else None


@pytest.mark.parametrize("compressor", ["none", pytest.param("zstd", marks=pytest.mark.slow)])
@pytest.mark.parametrize("fault", FAULTS)
def test_rows_are_committed_once_while_every_other_request_fails(
    fault, compressor, url, server, waits, networks, monkeypatch
):
    # Zarr sends some requests itself.
    monkeypatch.setattr(remote_requests, "_FIRST_WAIT_S", 0.001)
    server.fault = every_other(fault)
    store = open_store(url, "a", compressor=compressor)
    written = [store.write(networks.make_sub(language)) for language in LANGUAGES]
    assert written == [True] * 3, "no row counts as written by another process"
    again = open_store(url)
    assert (again.languages, again.verify(), again.unfinished()) == (("rw", "sw", "yo"), [], ())
    for language in LANGUAGES:
        assert np.array_equal(again[language].bits, networks.make_sub(language).bits)
    assert [server.puts(f"commits/0.15/0/{language}/zarr.json") for language in LANGUAGES] == [1, 1, 1]
    assert store.discard("sw", 0, 0.15)
    assert store.write(networks.make_sub("sw"))
    assert store.verify() == []


def test_waits_grow_and_end(url, server, waits, networks, monkeypatch):
    store = open_store(url, "a")
    clock = [0.0]
    monkeypatch.setattr(
        remote_requests.time, "sleep", lambda wait: (waits.append(wait), clock.append(clock[-1] + wait))
    )
    monkeypatch.setattr(remote_requests.time, "monotonic", lambda: clock[-1])
    server.fault = lambda method, path, number: "slow down"
    with pytest.raises(StoreError, match=r"the server answered 503 Service Unavailable, SlowDown\.") as caught:
        store.write(networks.make_sub("sw"))
    assert caught.value.hint == "check the URL, the endpoint and the credentials, or try again later."
    assert waits[:8] == [0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 12.8, 15.0]
    assert waits == sorted(waits)
    assert remote_requests.PATIENCE_S - 15 < sum(waits) <= remote_requests.PATIENCE_S
    server.fault = lambda method, path, number: None
    assert store.write(networks.make_sub("sw"))


def test_a_server_that_never_answered_is_given_up_sooner(url, server, waits, monkeypatch):
    clock = [0.0]
    monkeypatch.setattr(remote_requests.time, "sleep", lambda wait: clock.append(clock[-1] + wait))
    monkeypatch.setattr(remote_requests.time, "monotonic", lambda: clock[-1])
    server.fault = lambda method, path, number: "503"
    with pytest.raises(StoreError, match="the server answered 503"):
        open_store(url, "a")
    assert remote_requests.FIRST_S / 2 < clock[-1] <= remote_requests.FIRST_S


def test_answers_that_stay_the_same_are_not_asked_for_again(url, server, waits):
    server.fault = lambda method, path, number: "403"
    with pytest.raises(StoreError, match="access was denied"):
        open_store(url, "a")
    server.fault = lambda method, path, number: None
    assert open_storage(url).version("nothing") is None
    assert waits == []
    assert set(server.requests.values()) == {1}


def test_writing_continues_after_a_restart_of_the_server(url, server, networks):
    store = open_store(url, "a")
    assert store.write(networks.make_sub("rw"))
    server.restart_later(0.5)
    for language in LANGUAGES[1:] + LANGUAGES[:1]:
        store.write(networks.make_sub(language))
    assert (store.languages, store.verify()) == (("rw", "sw", "yo"), [])


def test_a_lock_whose_answer_was_lost_is_held_and_released(url, server, waits):
    storage = open_storage(url)
    storage.write("d/x", b"")
    server.fault = every_other("no answer afterwards")
    for _ in range(2):
        with storage.locked("d/lock"):
            assert storage.exists("d/lock")
        assert not storage.exists("d/lock")


def test_a_listing_that_breaks_off_goes_on_where_it_was(url, server, waits):
    storage = open_storage(url)
    keys = [f"d/{number}" for number in range(8)]
    for key in keys:
        storage.write(key, b"")
    server.page = 3
    first = server.requests.total()
    server.fault = lambda method, path, number: "no answer" if number - first in (1, 4, 5) else None
    assert list(storage.list("d")) == keys
    server.page = None
    storage.remove_tree("d")
    assert storage.is_empty()
