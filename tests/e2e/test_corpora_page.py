"""The blocks of docs/corpora.md run in the order of the page, with a tiny model, on small files of these names."""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.support.page_blocks import run_page
from xsns_stream.store import open_store

#: A sentence of three words, of which the second has no tag.
WORDS = "".join(
    f"{place}\t{word}\t_\t{tag}\t_\t_\t{place - 1}\tdep\t_\t_\n"
    for place, (word, tag) in enumerate((("{word}", "ADV"), ("{n}", "_"), ("x{n}", "NOUN")), start=1)
)
#: Treebanks of the folders `treebanks` and `entities`: {language: names of its treebanks}.
TREEBANKS = {"en": ("ewt", "gum"), "de": ("gsd",), "fi": ("tdt",), "sw": ("x",)}


@pytest.fixture
def folder(tmp_path: Path, write_texts: Callable[..., Path], monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the files that the page names."""
    texts = write_texts(tmp_path / "texts", "sw en fi", 6)
    sw, en = ((texts / f"{code}.txt").read_text(encoding="utf-8").splitlines() for code in ("sw", "en"))
    (tmp_path / "swahili.txt").write_text("\n".join(sw), encoding="utf-8")
    (tmp_path / "yoruba.txt.gz").write_bytes(gzip.compress("\n".join(en).encode()))
    (tmp_path / "news").mkdir()
    for name, lines in (("aka_Latn", sw), ("twi_Latn", en), ("sw.1", sw[:3]), ("sw_news", sw[3:])):
        (tmp_path / "news" / f"{name}.txt").write_text("\n".join(lines), encoding="utf-8")
    rows = [*(f"sw,{line}" for line in sw), *(f"en,{line}" for line in en)]
    (tmp_path / "all.csv").write_text("lang,text\n" + "\n".join(rows), encoding="utf-8")
    pairs = [json.dumps({"translation": {"sw": a, "en": b}}) for a, b in zip(sw, en, strict=True)]
    (tmp_path / "pairs.jsonl").write_text("\n".join(pairs), encoding="utf-8")
    wide = "\n".join(f"{a}\t{b}" for a, b in zip(sw, en, strict=True))
    (tmp_path / "wide.tsv").write_text(f"sw\ten\n{wide}\n", encoding="utf-8")
    for name in ("treebanks", "entities"):
        (tmp_path / name).mkdir()
    for split in ("train", "dev", "test"):
        for language, treebanks in TREEBANKS.items():
            for treebank in treebanks:
                sentences = "\n".join(WORDS.format(word=f"{language}{treebank}{split}", n=n) for n in range(5))
                path = tmp_path / "treebanks" / f"UD_{language}-{treebank}" / f"{language}_{treebank}-ud-{split}.conllu"
                path.parent.mkdir(exist_ok=True)
                path.write_text(sentences, encoding="utf-8")
        (tmp_path / "entities" / f"sw-{split}.txt").write_text("leo B-DATE\nNairobi B-LOC\n", encoding="utf-8")
    (tmp_path / "entities" / "notes.txt").write_text("x", encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.slow
def test_all_blocks_of_the_page_run(folder: Path, xsns: Callable[..., Any], tiny_folder: Path) -> None:
    tiny = ["--model", str(tiny_folder), "--examples", "4", "--max-length", "24"]
    more = {"build": tiny, "transfer": ["--preset", "quick", "--epochs", "1"]}
    run = run_page("docs/corpora.md", xsns, more=lambda words: more.get(words[0], []))
    assert open_store(folder / "given.zarr").languages == ("aka_Latn", "sw.1", "sw_news", "twi_Latn")
    assert set(open_store(folder / "named.zarr").languages) == {"ak", "tw", "qaa-x-mine"}
    assert open_store(folder / "chosen.zarr").languages == ("ak", "en", "fi", "sw")
    names = run.names
    assert set(names["data"].languages("train")) == set(TREEBANKS)
    assert names["test"].examples[0].label == ("ADV", "", "NOUN")
    assert names["test"].note == ""
    assert names["entities"].renamed == {"DATE"}
    assert names["entities"].skipped == ("notes.txt",)
