"""A store with three languages, and the files of its rows."""

import pytest

from tests.support import networks as made_up_networks


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
