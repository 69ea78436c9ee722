"""The verb `relabel`."""

import json

import numpy as np
import pytest

import xsns_stream as xs
from tests.support import networks
from xsns_stream.pipeline.store_rows import relabel
from xsns_stream.store import open_store
from xsns_stream.types import DiagonalFisher


@pytest.fixture
def store(tmp_path):
    """A store of three languages, one of them with Fisher values and a part."""
    opened = open_store(tmp_path / "a.zarr", "a")
    for language in ("sw", "zh-Hant", "fi"):
        opened.write(networks.make_sub(language, 7))
    sub = networks.make_sub("sw", 7)
    values = tuple(np.ones(shape, np.float32) for shape in sub.layout.shapes)
    opened.save_fisher(DiagonalFisher(values, sub.layout, 7, "sw", sub.provenance))
    opened.write_fold(networks.make_sub("sw", 7, bits=networks.make_sub("part").bits), 2, 1)
    return tmp_path / "a.zarr"


def test_the_rows_of_a_language_get_another_label(xsns, store):
    completed = xsns("relabel", "sw", "sw_news", "--store", store)
    assert (completed.code, completed.out) == (
        0,
        f"{store}: 1 row, Fisher values of 1 row, 1 part of 'sw' labelled 'sw_news'.\n",
    )
    assert completed.err.startswith("next: xsns-stream rank --store ")
    assert xsns("info", "--store", store).out.count("sw_news") >= 1
    assert xsns("verify", "--store", store).code == 0
    again = xsns("relabel", "sw", "sw_news", "--store", store)
    assert (again.code, again.out) == (0, f"{store}: the rows of 'sw' were labelled 'sw_news' before.\n")
    ranked = xsns("rank", "--store", store, "--target", "sw_news")
    assert ranked.code == 0
    assert "zh-Hant" in ranked.out


def test_the_language_is_found_in_another_spelling(xsns, store):
    completed = xsns("relabel", "swa", "qaa-x-mine", "--store", store, "--json")
    result = json.loads(completed.out)["result"]
    assert (result["old"], result["new"]) == ("sw", "qaa-x-mine")
    assert result["rows"] == [{"language": "qaa-x-mine", "seed": 7, "density": 0.15}]
    assert result["kept_rows"] == [{"language": "qaa-x-mine", "seed": 7, "density": None}]
    assert result["parts"] == 1
    relabel(store, "qaa-x-mine", "sw")
    assert xs.open_store(store).languages == ("fi", "sw", "zh-Hant")


def test_a_label_that_is_taken_is_refused(xsns, store):
    completed = xsns("relabel", "sw", "fi", "--store", store)
    assert (completed.code, completed.out) == (2, "")
    assert completed.err.startswith(
        f"error: the store '{store}' has a row 'fi' already: 'fi' (seed 7, density 0.15).\n"
    )
    assert "hint: nothing was changed. Choose another label, or remove that row first: " in completed.err
    wrong = xsns("relabel", "swahii", "x", "--store", store)
    assert wrong.code == 2
    assert "'sw'" in wrong.err
    assert xsns("relabel", "sw", "../x", "--store", store).code == 2
    assert open_store(store).languages == ("fi", "sw", "zh-Hant")


def test_a_relabelled_row_is_not_measured_again(build, xsns, texts, tmp_path):
    store = tmp_path / "x.zarr"
    assert build().code == 0
    assert xsns("relabel", "sw", "sw_news", "--store", store).code == 0
    again = build("--json", lang="sw,fi,et")
    assert "rows that were relabelled are in the store already: sw (now sw_news)." in again.err
    result = json.loads(again.out)["result"]
    assert [row[0] for row in result["committed"]] == ["et"]
    assert [row[0] for row in result["skipped"]] == ["sw", "fi"]
    assert open_store(store).languages == ("et", "fi", "sw_news")
    info = xsns("info", "--store", store)
    assert "sw_news was sw" in info.out
    assert json.loads(xsns("info", "--store", store, "--json").out)["result"]["former_labels"] == {"sw_news": ["sw"]}
    # Other text under the former label gives another row.
    other = tmp_path / "other" / texts.name
    other.mkdir(parents=True)
    for language in ("fi", "et"):
        (other / f"{language}.txt").write_bytes((texts / f"{language}.txt").read_bytes())
    (other / "sw.txt").write_bytes((texts / "zu.txt").read_bytes())
    assert build(corpus=other, lang="sw,fi").code == 0
    assert open_store(store).languages == ("et", "fi", "sw", "sw_news")
