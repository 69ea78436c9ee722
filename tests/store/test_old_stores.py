"""Stores written by earlier format versions stay readable and writable.

`fixtures/store_v1` was written by format version 1 and is never rewritten: two languages, one of them with
two seeds, and one row that was never committed.
"""

import re
import shutil
from pathlib import Path

from tests.support.paths import DOCS
from xsns_stream.similarity import count_overlaps
from xsns_stream.store import open_store

FIXTURE = Path(__file__).with_name("fixtures") / "store_v1"
ROWS = {"sw": [1, 3, 2**63, 0xFF], "zh-Hant": [2**64 - 1, 0, 5, 1], "rw": [9, 9, 9, 9]}


def test_version_1_is_read():
    store = open_store(FIXTURE)
    assert (store.languages, store.seeds, store.densities) == (("sw", "zh-Hant"), (7, 8), (0.15,))
    for language in store:
        sub = store.read(language, seed=7)
        assert sub.bits.tolist() == ROWS[language]
        assert sub.threshold == 0.1
        assert sub.provenance.model == "mini"
    assert store.layout.names == ("layer.0.weight", "layer.1.weight")
    assert store.verify() == []
    assert [key.language for key in store.unfinished()] == ["rw"]
    assert count_overlaps(store, seed=7).intersection.tolist() == [[12, 2], [2, 67]]


def test_version_1_can_be_extended(tmp_path, networks):
    path = shutil.copytree(FIXTURE, tmp_path / "store")
    store = open_store(path, "a")
    layout = networks.make_layout(2, 128)
    for language in ("rw", "en"):
        assert store.write(networks.make_sub(language, 7, 0.15, layout))
    assert store.languages == ("en", "rw", "sw", "zh-Hant")
    assert store.read("sw", seed=8).bits.tolist() == ROWS["sw"]
    assert store.verify() == []


def test_the_format_page_shows_how_plain_zarr_reads_it():
    page = DOCS / "store-format.md"
    (code,) = re.findall(r"```python\n(.*?)```", page.read_text(), re.DOTALL)
    names = {"path": FIXTURE}
    exec(code, names)  # its assertion is the test
    assert names["words"].tolist() in ROWS.values()
