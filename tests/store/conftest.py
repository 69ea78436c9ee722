import importlib.util
from pathlib import Path

import pytest

_spec = importlib.util.spec_from_file_location("store_networks", Path(__file__).with_name("networks.py"))
_networks = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_networks)


@pytest.fixture(scope="session")
def networks():
    """The module that makes sub-networks; tests are imported by path, so it has no name."""
    return _networks


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
