"""A store does not mix rows that were measured on different text."""

from __future__ import annotations

from dataclasses import replace
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
    with pytest.raises(
        IncompatibleError, match=r"the text of 'sw' .* differs from the text on which its row in the store"
    ):
        build(folder, tmp_path / "a.zarr", model)


def test_words_as_given_and_running_text_do_not_share_a_store(tmp_path: Path) -> None:
    """Rows of older versions, which read words as given and did not record it, do not share a store either."""
    folder = tmp_path / "texts"
    folder.mkdir()
    for code in ("sw", "zh"):
        (folder / f"{code}.conllu").write_text("1\tJina\n2\tlangu\n\n1\t我\n2\t爱\n\n", encoding="utf-8")
    model = xs.load_model("mini")
    as_given = xs.open_corpus(str(folder), words="given")
    silent = replace(as_given, name="folder(texts)")
    for number, corpus in enumerate((as_given, silent)):
        store = xs.open_store(tmp_path / f"{number}.zarr", "a")
        assert xs.build(xs.BuildSettings(corpus, ("sw",), examples=2), model, store).committed
        with pytest.raises(IncompatibleError, match=r"corpus.*words=running"):
            xs.build(xs.BuildSettings(xs.open_corpus(str(folder)), ("zh",), examples=2), model, store)
        assert xs.build(xs.BuildSettings(corpus, ("zh",), examples=2), model, store).committed


def test_a_treebank_and_its_lines_are_one_row(tmp_path: Path) -> None:
    """Sentences of a script without spaces give the same sub-network as words and as lines, bit for bit."""
    (tmp_path / "zh.txt").write_text("我爱你们。\n他用中文写书。\n", encoding="utf-8")
    words = (("我", "爱", "你们", "。"), ("他", "用", "中文", "写", "书", "。"))
    rows = ("".join(f"{number}\t{word}\n" for number, word in enumerate(sentence, 1)) for sentence in words)
    (tmp_path / "zh.conllu").write_text("\n".join(rows), encoding="utf-8")
    model = xs.load_model("mini")
    rows_built = []
    for name in ("zh.txt", "zh.conllu"):
        store = xs.open_store(tmp_path / f"{name}.zarr", "a")
        corpus = xs.open_corpus(f"zh={tmp_path / name}")
        xs.build(xs.BuildSettings(corpus, ("zh",), examples=2), model, store)
        record = store.record("zh", 42, 0.15)
        rows_built.append((record.provenance.corpus_digest, record.sha256))
    assert rows_built[0] == rows_built[1]


def test_malformed_sentences_are_noted(tmp_path: Path) -> None:
    path = tmp_path / "sw.conllu"
    path.write_text("".join(f"1\tneno{number}\n\n" for number in range(30)) + "3\n", encoding="utf-8")
    corpus = xs.open_corpus(f"sw={path}")
    events: list[object] = []
    store = xs.open_store(tmp_path / "a.zarr", "a")
    xs.build(xs.BuildSettings(corpus, ("sw",), examples=2), xs.load_model("mini"), store, events.append)
    assert "1 malformed of 31 sentences is skipped." in [getattr(event, "text", "") for event in events]
