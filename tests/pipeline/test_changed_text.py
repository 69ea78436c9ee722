"""A store does not mix rows that were measured on different text."""

from __future__ import annotations

from pathlib import Path

import pytest

import xsns_stream as xs
from xsns_stream.errors import IncompatibleError


def build(folder: Path, store: Path, model: object) -> object:
    corpus = xs.open_corpus(str(folder))
    settings = xs.BuildSettings(corpus, corpus.languages(), examples=4)
    return xs.build(settings, model, xs.open_store(store, "a"))  # type: ignore[arg-type]


def test_text_that_changed_under_a_row_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "texts"
    folder.mkdir()
    (folder / "sw.txt").write_text("Habari ya asubuhi\nJina langu ni nani\n", encoding="utf-8")
    model = xs.load_model("mini")
    build(folder, tmp_path / "a.zarr", model)
    assert not build(folder, tmp_path / "a.zarr", model).committed  # type: ignore[attr-defined]
    (folder / "sw.txt").write_text("Kitu kingine kabisa\n", encoding="utf-8")
    with pytest.raises(IncompatibleError, match=r"the text of 'sw' .* is not what its row in the store"):
        build(folder, tmp_path / "a.zarr", model)
