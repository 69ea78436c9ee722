"""Draws from large files: the sample is the same as from text in memory, and the memory is bounded."""

from __future__ import annotations

import gzip
import json
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from xsns_stream.corpora import examples as examples_module
from xsns_stream.corpora import open_corpus, read_text
from xsns_stream.corpora.examples import Digests, Unit, collect, draw_examples
from xsns_stream.errors import CorpusError, UsageError
from xsns_stream.types import LanguageSample, TextExample

UNITS = st.lists(st.one_of(st.none(), st.sampled_from("abcdefgh").map(TextExample), st.just(TextExample(""))))


@given(UNITS, st.integers(1, 12), st.integers(0, 2**32), st.sampled_from([0, 300, 2**20]))
def test_draw_equals_that_of_examples_in_memory(units: list[Unit], count: int, seed: int, held: int) -> None:
    examples, counts = draw_examples(lambda: units, count, seed, "x", held_bytes=held)
    slow, slow_counts = collect(units)
    assert counts == slow_counts
    if slow:
        assert examples == LanguageSample("sw", slow, "x").draw(count, seed).examples
    else:
        assert examples == ()


@given(st.lists(st.integers(0, 9), max_size=60))
def test_first_occurrences_equal_those_of_a_list(numbers: list[int]) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(examples_module, "_CHUNK", 4)
        patch.setattr(examples_module, "_BUCKET", 8)
        digests = Digests()
        for number in numbers:
            # The first halves of the digests are equal, so that the second halves decide.
            digests.add(np.array([number % 3, number], np.uint64).tobytes())
        first = digests.first_occurrences()
    assert first.tolist() == [number not in numbers[:index] for index, number in enumerate(numbers)]


def write(path: Path, rows: list[str]) -> None:
    match "".join(path.suffixes):
        case ".txt":
            path.write_text("".join(f"{row}\n" for row in rows), encoding="utf-8")
        case ".txt.gz":
            path.write_bytes(gzip.compress("".join(f"{row}\n" for row in rows).encode()))
        case ".jsonl":
            path.write_text("".join(json.dumps({"n": 1, "text": row}) + "\n" for row in rows), encoding="utf-8")
        case ".conllu":
            path.write_text("".join(f"1\t{row}\n\n" for row in rows if row), encoding="utf-8")
        case ".parquet":
            pd.DataFrame({"text": rows}).to_parquet(path)
        case suffix:
            pd.DataFrame({"text": rows}).to_csv(path, index=False, sep="\t" if suffix == ".tsv" else ",")


@pytest.mark.parametrize("name", ["x.txt", "x.txt.gz", "x.jsonl", "x.conllu", "x.parquet", "x.csv", "x.tsv"])
def test_files_read_twice_give_the_same_sample(tmp_path: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / name
    write(path, [f"line {number % 2500}" if number % 7 else "" for number in range(5000)])
    monkeypatch.setattr(examples_module.draw_examples, "__kwdefaults__", {"labelled": False, "held_bytes": 1000})
    text = read_text("sw", path)
    for seed, count in ((0, 5), (1, 3000), (42, 17)):
        sample = open_corpus(f"sw={path}").sample("sw", count, seed)
        expected = text.draw(count, seed)
        assert (sample.examples, sample.counts, sample.digest) == (expected.examples, expected.counts, expected.digest)


def test_text_that_changes_between_the_passes_is_refused() -> None:
    times = iter(("a", "b"))

    def units() -> Iterator[Unit]:
        yield from map(TextExample, (next(times), "c"))

    with pytest.raises(CorpusError, match=r"x was changed while it was read\."):
        draw_examples(units, 1, 0, "x", held_bytes=0)
    with pytest.raises(UsageError, match="at least 1"):
        draw_examples(units, 0, 0, "x")


@pytest.mark.parametrize("suffix", [".txt", pytest.param(".jsonl", marks=pytest.mark.slow)])
def test_memory_is_bounded_by_the_number_of_lines_not_by_their_length(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"sw{suffix}"
    with path.open("w", encoding="utf-8") as file:
        for number in range(40_000):
            text = f"{number} " + "maneno mengi " * 80
            file.write(f"{text}\n" if suffix == ".txt" else json.dumps({"text": text}) + "\n")
    assert path.stat().st_size > 40e6
    corpus = open_corpus(f"sw={path}")
    corpus.sample("sw", 4, 0)  # the first call imports modules
    tracemalloc.start()
    sample = corpus.sample("sw", 128, 0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert sample.counts.usable == 40_000
    # The limit of text in memory, 50 bytes per line, and one block of the file.
    assert peak < examples_module.HELD_BYTES * 1.25 + 50 * 40_000 + 4e6


def test_progress_covers_both_passes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("xsns_stream.corpora.examples._CHUNK", 8)
    units = [TextExample(f"text {number}") for number in range(20)]
    progress: list[int] = []
    twice, _ = draw_examples(lambda: units, 3, 0, "x", held_bytes=0, on_read=progress.append)
    assert progress == [8, 16, 24, 32, 40]
    once, _ = draw_examples(lambda: units, 3, 0, "x")
    assert once == twice
