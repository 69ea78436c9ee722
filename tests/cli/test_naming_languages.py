"""Every option that takes a language finds it by another code or by its name, and a note says so."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import xsns_stream as xs
from tests.support import networks
from xsns_stream.errors import LanguageError
from xsns_stream.store import open_store


@pytest.fixture
def store(tmp_path: Path) -> Path:
    """A store with labels of several kinds."""
    opened = open_store(tmp_path / "a.zarr", "a")
    for label in ("en-GB", "sw", "zh-Hans", "zh-Hant", "aka_Latn", "twi_Latn", "fi_news"):
        opened.write(networks.make_sub(label, 7))
    return tmp_path / "a.zarr"


@pytest.mark.parametrize(
    ("named", "label"),
    [
        ("eng", "en-GB"),
        ("en", "en-GB"),
        ("English", "en-GB"),
        ("en-US", "en-GB"),
        ("aka", "aka_Latn"),
        ("AKA-latn", "aka_Latn"),
        ("fi", "fi_news"),
        ("fin_Latn", "fi_news"),
        ("Kiswahili", "sw"),
        ("sw-KE", "sw"),
    ],
)
def test_the_only_row_of_a_language_is_found(named: str, label: str, store: Path, xsns: Any) -> None:
    note = f"the store '{store}' has no '{named}': '{label}'"
    ranked = xsns("rank", "--store", store, "--target", named, "--json")
    assert ranked.code == 0
    assert note in ranked.err
    result = json.loads(ranked.out)["result"]
    assert result["target"] == label
    assert any(sentence.startswith(note) for sentence in result["notes"])
    matrix = xsns("matrix", "--store", store, "--lang", f"{named},zh-Hant")
    assert matrix.code == 0
    assert matrix.err.count(note) == 1


def test_every_verb_finds_a_language_by_another_code(store: Path, tmp_path: Path, xsns: Any) -> None:
    sentence = f"note: the store '{store}' has no 'eng': 'en-GB' (English (United Kingdom)) is used instead."
    commands = (
        ("shared", "--store", store, "--lang", "eng,sw"),
        ("rank", "--store", store, "--target", "sw", "--sources", "eng,zh-Hant"),
        ("matrix", "--store", store, "--sources", "eng", "--target", "sw"),
        ("export", "--store", store, "--lang", "eng", "-o", tmp_path / "x.npz"),
        ("copy", store, tmp_path / "copy.zarr", "--lang", "eng"),
        ("prune", store, "--lang", "eng", "--dry-run"),
        ("prune", store, "--keep-lang", "eng", "--dry-run"),
    )
    for command in commands:
        completed = xsns(*command, "--json")
        assert completed.code == 0, completed.err
        assert completed.err.count(sentence.removeprefix("note: ")) == 1, command
        assert completed.out.count("is used instead") == 1, command
    assert open_store(tmp_path / "copy.zarr").languages == ("en-GB",)


def test_a_name_that_means_several_rows_is_refused_with_their_labels(store: Path, xsns: Any) -> None:
    for named, labels in (("zh", "'zh-Hans'"), ("Chinese", "'zh-Hant'"), ("ak", "'aka_Latn'"), ("ak", "'twi_Latn'")):
        completed = xsns("rank", "--store", store, "--target", named)
        assert completed.code == 2
        assert completed.err.startswith(f"error: no language '{named}' in the store")
        assert "did you mean " in completed.err
        assert labels in completed.err
    wrong = xsns("rank", "--store", store, "--target", "swa1")
    assert "'sw'" in wrong.err
    # Two names of one row do not count as two languages.
    assert xsns("shared", "--store", store, "--lang", "en-US,en-AU").code == 2


def test_builds_find_the_file_of_a_language(build: Any, texts: Path, tmp_path: Path) -> None:
    completed = build("--json", lang="eng,Swahili,fi-FI")
    assert completed.code == 0
    result = json.loads(completed.out)["result"]
    assert [row[0] for row in result["committed"]] == ["en", "sw", "fi"]
    notes = [sentence for sentence in result["notes"] if "is used instead" in sentence]
    assert notes == [
        "the corpus folder(texts) has no 'Swahili': 'sw' (Swahili) is used instead.",
        "the corpus folder(texts) has no 'fi-FI': 'fi' (Finnish) is used instead.",
    ]
    assert all(f"note: {sentence}" in completed.err for sentence in notes)
    wrong = build(lang="swahilli")
    assert wrong.code == 2
    assert "did you mean 'sw' (Swahili)?" in wrong.err


def test_labels_may_be_given_on_the_command_line_and_from_python(
    build: Any, xsns: Any, tiny_folder: Path, texts: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "codes"
    folder.mkdir()
    for name, source in (("aka_Latn", "en"), ("twi_Latn", "fi"), ("sw", "sw"), ("sw_news", "zu"), ("dev", "de")):
        (folder / f"{name}.txt").write_bytes((texts / f"{source}.txt").read_bytes())
    some = build(corpus=folder, lang="all")
    assert some.code == 3
    assert "aka_Latn.txt and twi_Latn.txt both mean the language 'ak'" in some.err
    assert open_store(tmp_path / "x.zarr").languages == ("sw",)
    labelled = build("--label", "twi_Latn.txt=tw", corpus=folder, lang="all")
    assert labelled.code == 0
    assert open_store(tmp_path / "x.zarr").languages == ("ak", "sw", "tw")
    completed = build("--labels", "as-given", corpus=folder, lang="all", store=tmp_path / "y.zarr")
    assert completed.code == 0
    labels = ("aka_Latn", "dev", "sw", "sw_news", "twi_Latn")
    assert open_store(tmp_path / "y.zarr").languages == labels
    assert xsns("verify", "--store", tmp_path / "y.zarr").code == 0
    assert "labels that are not codes of languages are not normalised: sw_news." in completed.err
    again = build("--labels-as-given", corpus=folder, lang="all", store=tmp_path / "y.zarr")
    assert "0 rows measured, 5 already present" in again.out
    listed = xsns("info", "--corpus", folder, "--labels-as-given", "--json")
    assert json.loads(listed.out)["result"]["languages"] == list(labels)
    matrix = tmp_path / "m.csv"
    assert xsns("matrix", "--store", tmp_path / "y.zarr", "-o", matrix).code == 0
    assert matrix.read_text(encoding="utf-8").splitlines()[0].endswith("aka_Latn,dev,sw,sw_news,twi_Latn")
    words = {"English": ["one two three", "four five six"], "sw.1": ["moja mbili", "tatu nne"]}
    options = {"examples": 2, "max_length": 24, "progress": False}
    store = xs.build(words, tiny_folder, tmp_path / "z.zarr", labels="as-given", **options)
    assert store.languages == ("English", "sw.1")
    store.relabel("sw.1", "sw-x-one")
    store = xs.build(words, tiny_folder, tmp_path / "w.zarr", label={"English": "en-x-a", "sw.1": "sw"}, **options)
    assert store.languages == ("en-x-a", "sw")
    with pytest.raises(LanguageError):
        xs.build({"sw.1": ["a"]}, tiny_folder, tmp_path / "v.zarr", **options)


def test_fine_tuning_and_baselines_find_languages(tmp_path: Path, texts: Path, xsns: Any) -> None:
    from xsns_stream.pipeline.finetune_settings import transfer_settings

    for name in ("en-GB-train", "en-GB-dev", "sw-test", "fi-test"):
        (tmp_path / f"{name}.txt").write_text("one O\n\n", encoding="utf-8")
    settings = transfer_settings(tmp_path, task="ner", sources="eng", targets="Swahili")
    assert (settings.sources, settings.targets) == (("en-GB",), ("sw",))
    assert len(settings.notes) == 2
    assert "has no 'eng': 'en-GB' (English (United Kingdom)) is used instead." in settings.notes[0]
    completed = xsns("baseline", "lex", "--corpus", texts, "--lang", "Swahili,eng,fi", "--examples", 4, "--json")
    assert completed.code == 0, completed.err
    assert json.loads(completed.out)["result"]["sources"] == ["sw", "en", "fi"]
