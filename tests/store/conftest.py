"""A store with three languages, the files of its rows, and an S3 server on this machine."""

import pytest

from tests.support import networks as made_up_networks
from tests.support.paths import SUPPORT


@pytest.fixture(scope="session")
def networks():
    """The module that makes sub-networks."""
    return made_up_networks


@pytest.fixture
def path(tmp_path):
    return tmp_path / "experiment.zarr"


@pytest.fixture
def filled(path, networks):
    """A store with three languages."""
    from xsns_stream.store import open_store

    store = open_store(path, "a")
    for language in ("sw", "rw", "yo"):
        store.write(networks.make_sub(language))
    return store


@pytest.fixture
def object_of(path):
    """Return the file that holds a row."""
    import json

    def find(language, seed=0, density=0.15):
        labels = json.loads((path / "subnetworks/zarr.json").read_text())["attributes"]
        slot = (
            labels["densities"].index(density),
            labels["seeds"].index(seed),
            labels["languages"].index(language),
        )
        return path.joinpath("subnetworks", "c", *map(str, slot), "0")

    return find


@pytest.fixture(scope="session")
def s3_endpoint():
    """The address of an S3 server that runs on this machine."""
    import subprocess
    import sys

    script = SUPPORT / "s3_server.py"
    with subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True) as server:
        try:
            yield f"http://127.0.0.1:{int(server.stdout.readline())}"
        finally:
            server.kill()


@pytest.fixture
def s3(s3_endpoint, monkeypatch):
    """An empty bucket; its URL. Keys and endpoint are in the environment, as a user gives them."""
    import urllib.request
    import uuid

    name = f"bucket-{uuid.uuid4().hex}"
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3_endpoint)
    monkeypatch.setenv("AWS_ALLOW_HTTP", "true")
    monkeypatch.setenv("AWS_REGION", "us-east-1")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "key-of-the-tests")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-of-the-tests")
    request = urllib.request.Request(f"{s3_endpoint}/{name}", method="PUT")
    urllib.request.urlopen(request, timeout=60).close()
    return f"s3://{name}"
