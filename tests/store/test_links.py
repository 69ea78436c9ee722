"""Nothing is written or removed through a folder of a store that is a symbolic link."""

import contextlib
import json

import numpy as np
import pytest

from xsns_stream.errors import StoreError, XsnsError
from xsns_stream.similarity import count_overlaps
from xsns_stream.store import open_store
from xsns_stream.store.overlap_cache import overlap_cache
from xsns_stream.store.prune import plan_prune, prune
from xsns_stream.types import DiagonalFisher

LINKS = (
    "subnetworks",
    "subnetworks/c/0/0/3",
    "commits",
    "commits/0.15/0",
    "parts",
    "parts/2",
    "parts/2/1",
    "density",
    "seed",
    "fisher",
    "fisher/c/0/0",
    "overlaps",
)


@pytest.fixture
def mine(tmp_path):
    """A folder of the user, with file names that a store would remove or replace."""
    folder = tmp_path / "mine"
    folder.mkdir()
    for name in ("0", "note.txt", "zarr.json.partial", "zarr.json"):
        (folder / name).write_text("mine")
    return folder


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def link(store, name, elsewhere, *, copied):
    """Replace a folder of the store by a link to another folder; with `copied`, that folder gets its files."""
    path = store / name
    if path.exists():
        if copied:
            for file in path.rglob("*"):
                target = elsewhere / file.relative_to(path)
                if file.is_dir():
                    target.mkdir(parents=True, exist_ok=True)
                else:
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_bytes(file.read_bytes())
        path.rename(path.with_name(f"{path.name}.old"))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(elsewhere)


def tree(folder):
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


@pytest.mark.parametrize("copied", [True, False], ids=["moved", "strange"])
@pytest.mark.parametrize("name", LINKS)
def test_a_link_in_place_of_a_folder_is_not_followed(filled, path, networks, mine, name, copied):
    layout = networks.make_layout()
    values = tuple(np.linspace(0, 1, layout.size, dtype=np.float32).reshape(3, -1))
    sub = networks.make_sub("sw")
    if name.startswith("fisher/c"):
        # The folder of the next row.
        filled.save_fisher(DiagonalFisher(values, layout, 7, "xx", networks.make_sub("xx").provenance))
        (path / "fisher/c/0/0/0").unlink()
        (path / "fisher/c/0/0").rmdir()
        (path / "fisher_commits/0/xx/zarr.json").unlink()
        (path / "fisher/zarr.json").write_text(
            json.dumps(json.loads((path / "fisher/zarr.json").read_text())).replace('"xx"', '"zu"')
        )
    elif name == "fisher":
        filled.save_fisher(DiagonalFisher(values, layout, 7, "sw", sub.provenance))
    if name.startswith("parts"):
        for number in (1, 2):
            filled.write_fold(networks.make_sub("sw"), 2, number)
    count_overlaps(filled, cache=overlap_cache(filled))
    link(path, name, mine, copied=copied)
    before = tree(mine)
    for act in _acts(path, networks, DiagonalFisher(values, layout, 7, "zu", networks.make_sub("zu").provenance)):
        with contextlib.suppress(XsnsError):
            act()
        assert tree(mine) == before, act.__name__


def _acts(path, networks, fisher):
    """Return the actions that write to a store or remove parts of it."""

    def write():
        open_store(path, "a").write(networks.make_sub("zu"))

    def write_density():
        open_store(path, "a").write(networks.make_sub("zu", density=0.5))

    def write_fold():
        open_store(path, "a").write_fold(networks.make_sub("zu"), 2, 1)

    def keep():
        open_store(path, "a").save_fisher(fisher)

    def claim():
        store = open_store(path, "a")
        with store.claimed("zu", 0):
            pass
        store.remove_left_claims()

    def count():
        store = open_store(path)
        count_overlaps(store, density=0.15, cache=overlap_cache(store, use=False))

    def drop():
        store = open_store(path, "a")
        prune(store, plan_prune(store, store.keys(), leftovers=True))

    return write, write_fold, keep, claim, count, write_density, drop


def test_the_link_is_named(filled, path, networks, mine):
    (path / "subnetworks/c/0/0/3").symlink_to(mine)
    with pytest.raises(StoreError, match=r"subnetworks/c/0/0/3' is a link; files are not written or removed") as caught:
        filled.write(networks.make_sub("zu"))
    assert "replace the link by a folder" in caught.value.hint
    (path / "subnetworks/c/0/0/3").unlink()
    assert filled.write(networks.make_sub("zu"))


def test_the_store_itself_may_be_a_link(filled, path, networks):
    path.rename(path.with_name("moved"))
    path.symlink_to(path.with_name("moved"))
    assert open_store(path, "a").write(networks.make_sub("zu"))
    assert open_store(path).verify() == []
