"""Notes and records about the text of rows: skipped and truncated texts, and text that languages share."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from xsns_stream.objectives import CausalLanguageModelling, EncodedSample
from xsns_stream.pipeline.events import Row
from xsns_stream.pipeline.rows import RowText, RowTexts, note_on_shared, notes_on_text
from xsns_stream.store import open_store
from xsns_stream.types import LanguageSample, ReadCounts, TextExample

LONG = "watoto wanasoma kitabu kizuri nyumbani leo na mwalimu anafundisha shule kubwa "


def row_text(language: str, *texts: str) -> tuple[Row, RowText]:
    sample = LanguageSample(language, tuple(map(TextExample, texts)), "a test")
    return Row(language, 42), RowText(sample, EncodedSample((), 0, 0.0))


def texts_of(*rows: tuple[Row, RowText]) -> RowTexts:
    row_texts = RowTexts()
    for row, text in rows:
        row_texts.add(row, text)
    return row_texts


# ------------------------------------------------------------------------------------------- what is cut


def test_texts_that_are_cut_are_counted(loaded: Any) -> None:
    """The counts are compared with the lengths that the tokenizer gives."""
    texts = ("kitabu", LONG, LONG * 3, "leo na shule")
    sample = LanguageSample("sw", tuple(map(TextExample, texts)), "a test")
    encoded = CausalLanguageModelling(max_length=16).encode(sample, loaded.tokenizer, 0)
    sizes = [len(loaded.tokenizer(text, add_special_tokens=False)["input_ids"]) for text in texts]
    room = 16 - 2
    assert encoded.cut == sum(size > room for size in sizes) == 2
    assert encoded.left_out_share == pytest.approx(sum(max(size - room, 0) for size in sizes) / sum(sizes), abs=1e-12)
    assert encoded.frame == 2


def test_a_text_that_just_fits_is_not_cut(loaded: Any) -> None:
    size = len(loaded.tokenizer(LONG)["input_ids"])
    sample = LanguageSample("sw", (TextExample(LONG),), "a test")
    for longest, count_cut in ((size, 0), (size - 1, 1)):
        encoded = CausalLanguageModelling(max_length=longest).encode(sample, loaded.tokenizer, 0)
        assert (encoded.cut, encoded.left_out_share > 0) == (count_cut, bool(count_cut))


def test_notes_say_what_was_skipped_and_cut() -> None:
    counts = ReadCounts(read=10, empty=2, duplicate=1, cut=1, usable=7)
    sample = LanguageSample("sw", (TextExample("a"), TextExample("b")), "a test", counts)
    encoded = EncodedSample((), 1, 0.5, cut=2, left_out_share=0.9999, special=1)
    assert list(notes_on_text(sample, encoded, 4, 128)) == [
        "has only 2 of the 4 examples requested.",
        "2 empty, 1 duplicate of 10 lines are skipped.",
        "1 of 10 lines is longer than a million characters (2^20), and cut there.",
        "1 of 2 examples is left out, because it has no token to predict.",
        "2 of 2 examples are longer than 128 tokens, and cut there: 99.9 % of the text's tokens are left out.",
        "1 of 2 examples contains a character that is a special token of this model, and is read as that token.",
        "50% of the tokens are unknown to the tokenizer; the result is not reliable.",
    ]
    assert "less than 0.1 %" in list(notes_on_text(sample, EncodedSample((), 0, 0.0, 1, 1e-5), 2, 8))[-1]


def test_a_build_records_how_many_texts_were_skipped_or_cut(
    tiny_folder: Path, xsns: Callable[..., Any], tmp_path: Path
) -> None:
    """The numbers are in the JSON, in the records of the rows and in `info`, and not on stderr only."""
    (tmp_path / "texts").mkdir()
    lines = [LONG, "", "kitabu kizuri", "kitabu kizuri", LONG + "leo"]
    (tmp_path / "texts" / "sw.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    store = tmp_path / "s.zarr"
    model = ["--model", tiny_folder, "--corpus", tmp_path / "texts", "--store", store]
    built = xsns("build", *model, "--examples", 3, "--max-length", 12, "--json", "-q")
    (row,) = json.loads(built.out)["result"]["text"]
    assert (row["language"], row["seed"], row["examples_cut"]) == ("sw", 42, 2)
    assert row["lines"] == {"read": 5, "empty": 1, "duplicate": 1, "usable": 3}
    assert 0 < row["tokens_left_out"] < 1
    notes = [one["note"] for one in json.loads(built.out)["result"]["row_notes"]]
    assert any("2 of 3 examples are longer than 12 tokens, and cut there" in note for note in notes)
    record = open_store(store).record("sw").provenance
    assert {"language": "sw", "seed": 42} | dict(record.text) == row
    known = json.loads(xsns("info", "--store", store, "--json").out)["result"]
    assert known["text"] == [row]
    output = xsns("info", "--store", store).out
    assert "examples cut" in output
    assert "1 empty, 1 duplicate" in output


# ------------------------------------------------------------------------------- what languages share


def test_common_examples_are_counted_of_the_smaller_language() -> None:
    row_texts = texts_of(row_text("en", *"abcdefghij"), row_text("zu", *"ax"), row_text("fi", *"ABCDEFGHIJ"))
    (shared,) = row_texts.shared()
    assert (shared.languages, shared.share) == (("en", "zu"), 0.5)
    assert note_on_shared([shared]) == (
        "these languages have examples in common, which makes their sub-networks similar even if the languages "
        "are not: en and zu (seed 42) 50%."
    )


@pytest.mark.parametrize(("common", "noted"), [(0, False), (1, False), (2, True)])
def test_few_common_examples_are_not_noted(common: int, noted: bool) -> None:
    other = [f"b{n}" for n in range(20 - common)] + [f"a{n}" for n in range(common)]
    row_texts = texts_of(row_text("en", *(f"a{n}" for n in range(20))), row_text("zu", *other))
    assert bool(row_texts.shared()) is noted


def test_the_same_text_in_two_languages_is_noted(tiny_folder: Path, xsns: Callable[..., Any], tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    for language, word in (("en", "a"), ("zu", "a"), ("fi", "b")):
        lines = [f"{word} watoto {number} kitabu" for number in range(6)]
        (texts / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    store = tmp_path / "s.zarr"
    built = xsns(
        "build",
        "--model",
        tiny_folder,
        "--corpus",
        texts,
        "--store",
        store,
        "--examples",
        6,
        "--max-length",
        32,
        "--json",
    )
    sentence = "rows of different languages were measured on the same text"
    (note,) = json.loads(built.out)["result"]["notes"]
    assert note.startswith(sentence)
    assert note.endswith(": en, zu.")
    for verb in (["matrix"], ["rank", "--target", "zu"]):
        assert (
            f"{sentence}, and their similarity says nothing about these languages: en, zu."
            in xsns(*verb, "--store", store).err
        )
    assert sentence not in xsns("rank", "--target", "fi", "--sources", "en", "--store", store).err
    assert json.loads(xsns("info", "--store", store, "--json").out)["result"]["same_text"] == [
        {"seed": 42, "languages": ["en", "zu"]}
    ]


def test_notes_are_on_the_compared_languages_only(tiny_folder: Path, xsns: Callable[..., Any], tmp_path: Path) -> None:
    texts, store = tmp_path / "texts", tmp_path / "s.zarr"
    texts.mkdir()
    for language, word in (("en", "a"), ("zu", "a"), ("fi", "b")):
        lines = [f"{word} watoto {number} kitabu" for number in range(6)]
        (texts / f"{language}.txt").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = ("--model", tiny_folder, "--corpus", texts, "--store", store, "--examples", 6, "--max-length", 32)
    assert xsns("build", *options, "--seed", 1).code == 0
    assert xsns("build", *options, "--seed", 2, "--lang", "en,fi").code == 0
    compared = json.loads(xsns("matrix", "--store", store, "--json").out)["result"]
    assert compared["languages"] == ["en", "fi"]
    assert compared["notes"] == ["languages that lack a sub-network are left out: zu (seed 2)."]
    with_zu = json.loads(xsns("matrix", "--store", store, "--seed", 1, "--json").out)["result"]
    assert [note for note in with_zu["notes"] if "en, zu" in note]


def test_a_copy_in_another_order_is_noted(tiny_folder: Path, xsns: Callable[..., Any], tmp_path: Path) -> None:
    texts = tmp_path / "texts"
    texts.mkdir()
    lines = [f"watoto {number} kitabu" for number in range(6)]
    for language, some in (("en", lines), ("zu", lines[::-1])):
        (texts / f"{language}.txt").write_text("\n".join(some) + "\n", encoding="utf-8")
    options = [
        "--model",
        tiny_folder,
        "--corpus",
        texts,
        "--store",
        tmp_path / "s.zarr",
        "--examples",
        6,
        "--max-length",
        32,
        "--json",
    ]
    (note,) = json.loads(xsns("build", *options).out)["result"]["notes"]
    assert "examples in common" in note or "the same text" in note
    assert "100%" in note or "en, zu" in note


def test_few_examples_of_one_language_are_noted(tiny_folder: Path, xsns: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "few"
    folder.mkdir()
    for code, number in (("en", 12), ("fi", 12), ("et", 5), ("sw", 6)):
        lines = [f"{code} sentence number {line} of this file" for line in range(number)]
        (folder / f"{code}.txt").write_text("\n".join(lines), encoding="utf-8")
    store = tmp_path / "few.zarr"
    build = (
        "build",
        "--model",
        tiny_folder,
        "--corpus",
        folder,
        "--examples",
        12,
        "--max-length",
        32,
        "--store",
        store,
    )
    assert xsns(*build).code == 0
    sentence = (
        "few examples lower the similarity of a language to all other languages: et (5); other languages have up to 12 "
        "examples."
    )
    for verb in (("rank", "--target", "fi"), ("matrix",)):
        assert sentence in xsns(*verb, "--store", store).err
    assert "few examples" not in xsns("rank", "--target", "fi", "--sources", "en,sw", "--store", store).err
