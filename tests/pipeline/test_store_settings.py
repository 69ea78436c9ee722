"""A build that takes its settings from the store."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import xsns_stream as xs
from xsns_stream.errors import CorpusError, IncompatibleError, UsageError
from xsns_stream.pipeline.events import Noted
from xsns_stream.pipeline.store_settings import settings_of_store
from xsns_stream.store import SubNetworkStore, open_store

OPTIONS: dict[str, Any] = {"examples": 6, "max_length": 24, "progress": False}


@pytest.fixture
def project(tmp_path: Path, tiny_folder: Path, write_texts: Callable[..., Path]) -> Path:
    """A folder with texts and a model."""
    write_texts(tmp_path / "project" / "texts", "sw fi et", 20)
    shutil.copytree(tiny_folder, tmp_path / "project" / "tiny")
    return tmp_path / "project"


def inputs_of(store: SubNetworkStore) -> dict[str, Any]:
    return dict(store.records()[0].provenance.inputs)


def test_everything_is_taken_from_the_store(project: Path) -> None:
    path = project / "s.zarr"
    more = {"parts": 2, "seeds": (1, 2), "densities": (0.1, 0.2), "token_reduction": "mean", "mask_rate": 0.3}
    xs.build(project / "texts", project / "tiny", path, languages="sw", exclude=["bias"], **more, **OPTIONS)
    events: list[Any] = []
    store = xs.build(store=path, on_event=events.append, languages="fi", progress=False)
    assert store.languages == ("fi", "sw")
    assert (store.seeds, store.densities) == ((1, 2), (0.1, 0.2))
    assert all(store.has_folds("fi", seed, density, 2) for seed in (1, 2) for density in (0.1, 0.2))
    first, second = (store.record(code, 1, 0.1).provenance for code in ("sw", "fi"))
    assert first.experiment() == second.experiment()
    assert first.inputs == second.inputs
    (note,) = (
        e.text for e in events if isinstance(e, Noted) and e.text.startswith("these options are taken from the store")
    )
    for part in (f"model {project / 'tiny'}", f"corpus {project / 'texts'}", "examples 6", "parts 2", "seed 1 and 2"):
        assert part in note
    assert "density 0.1 and 0.2" in note
    assert "max length 24" in note
    assert "exclude bias" in note


def test_options_that_differ_from_the_store_are_refused(project: Path) -> None:
    xs.build(project / "texts", project / "tiny", project / "s.zarr", languages="sw", **OPTIONS)
    with pytest.raises(IncompatibleError, match=r"the number of examples \(--examples\) is 6 in the store and 7 here"):
        xs.build(store=project / "s.zarr", languages="fi", examples=7, progress=False)
    with pytest.raises(IncompatibleError, match="objective is 'masked-lm"):
        xs.build(store=project / "s.zarr", languages="fi", max_length=20, progress=False)
    with pytest.raises(IncompatibleError, match="estimator is 'per-example"):
        xs.build(store=project / "s.zarr", languages="fi", estimator="grad-abs", progress=False)
    assert open_store(project / "s.zarr").languages == ("sw",)


def test_paths_are_relative_so_that_a_project_can_be_moved(project: Path) -> None:
    store = xs.build(project / "texts", project / "tiny", project / "s.zarr", languages="sw", **OPTIONS)
    assert inputs_of(store) == {"texts": ["../texts"], "model": "../tiny"}
    assert str(project) not in json.dumps(store.records()[0].to_json())
    moved = project.rename(project.with_name("moved"))
    assert xs.build(store=moved / "s.zarr", languages="fi", progress=False).languages == ("fi", "sw")


def test_options_of_the_text_are_taken(tmp_path: Path, tiny_folder: Path) -> None:
    (tmp_path / "t").mkdir()
    for code in ("sw", "fi"):
        rows = [json.dumps({"body": f"{code} sentence {n}", "text": "same"}) for n in range(9)]
        (tmp_path / "t" / f"{code}.jsonl").write_text("\n".join(rows))
    first = xs.build(
        tmp_path / "t", str(tiny_folder), tmp_path / "s.zarr", languages="sw", text_column="body", **OPTIONS
    )
    assert inputs_of(first)["options"] == {"text_column": "body"}
    again = xs.build(store=tmp_path / "s.zarr", languages="fi", progress=False)
    assert again.record("fi").provenance.corpus == first.record("sw").provenance.corpus == "folder(t, text_column=body)"


@pytest.mark.parametrize("label", [{"news.txt": "sw-x-news"}, ["news.txt=sw-x-news"]])
def test_labels_of_the_store_do_not_need_their_files(
    project: Path, write_texts: Callable[..., Path], label: Any
) -> None:
    texts, store = project / "texts", project / "s.zarr"
    (texts / "sw.txt").rename(texts / "news.txt")
    first = xs.build(texts, project / "tiny", store, languages="sw-x-news", label=label, **OPTIONS)
    assert first.languages == ("sw-x-news",)
    (texts / "news.txt").unlink()
    assert xs.build(store=store, languages="fi", progress=False).languages == ("fi", "sw-x-news")
    write_texts(project / "more" / "texts", "et", 20)
    added = xs.build(project / "more" / "texts", store=store, languages="et", progress=False)
    assert added.languages == ("et", "fi", "sw-x-news")
    assert inputs_of(added)["options"] == inputs_of(first)["options"]
    with pytest.raises(CorpusError, match="a label is given for"):
        xs.build(store=store, languages="et", label=label, progress=False)


def test_files_of_single_languages_are_found_again(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(project)
    pairs = ["sw=texts/sw.txt", "fi=texts/fi.txt"]
    store = xs.build(pairs, "tiny", "s.zarr", languages="sw", **OPTIONS)
    assert inputs_of(store)["texts"] == ["sw=../texts/sw.txt", "fi=../texts/fi.txt"]
    assert xs.build(store="s.zarr", progress=False).languages == ("fi", "sw")


def test_a_text_or_a_model_that_is_gone_must_be_given(project: Path) -> None:
    xs.build(project / "texts", project / "tiny", project / "s.zarr", languages="sw", **OPTIONS)
    texts = (project / "texts").rename(project / "elsewhere")
    with pytest.raises(UsageError) as caught:
        xs.build(store=project / "s.zarr", languages="fi", progress=False)
    assert caught.value.message.startswith("the text 'folder(texts)' of the store")
    assert "give --corpus" in caught.value.hint
    (project / "models").mkdir()
    (project / "tiny").rename(project / "models" / "tiny")
    with pytest.raises(UsageError, match=r"the text 'folder\(texts\)' and the model 'tiny' of the store"):
        xs.build(store=project / "s.zarr", languages="fi", progress=False)
    texts.rename(project / "texts")
    store = xs.build(store=project / "s.zarr", model=project / "models" / "tiny", languages="fi", progress=False)
    assert store.languages == ("fi", "sw")


def test_text_in_memory_and_a_loaded_model_must_be_given(project: Path, tiny_folder: Path) -> None:
    texts = {"sw": ["Habari ya asubuhi.", "Karibu sana."], "fi": ["Hyvää huomenta.", "Tervetuloa meille."]}
    model = xs.load_model(str(tiny_folder))
    options = OPTIONS | {"examples": 2}
    store = xs.build(texts, model, project / "s.zarr", languages="sw", **options)
    assert inputs_of(store) == {}
    with pytest.raises(UsageError, match="the text 'memory' and the model"):
        xs.build(store=project / "s.zarr", languages="fi", progress=False)
    assert xs.build(texts, model, project / "s.zarr", languages="fi", progress=False).languages == ("fi", "sw")


def test_a_store_of_an_earlier_version_says_what_must_be_given(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    xs.build(project / "texts", project / "tiny", project / "s.zarr", languages="sw", **OPTIONS)
    for path in (project / "s.zarr" / "commits").rglob("zarr.json"):
        document = json.loads(path.read_text())
        document["attributes"].get("provenance", {}).pop("inputs", None)
        path.write_text(json.dumps(document))
    with pytest.raises(UsageError, match="the text 'folder\\(texts\\)' and the model 'tiny' of the store"):
        xs.build(store=project / "s.zarr", languages="fi", progress=False)
    settings = settings_of_store(open_store(project / "s.zarr"))
    assert settings is not None
    assert (settings.options["examples"], settings.options["max_length"], settings.options["seeds"]) == (6, 24, (42,))
    # In the folder of the first build, the recorded names are the paths of text and model.
    monkeypatch.chdir(project)
    assert xs.build(store="s.zarr", languages="fi", progress=False).languages == ("fi", "sw")


def test_options_that_cannot_be_combined_are_not_taken(project: Path) -> None:
    path = project / "s.zarr"
    xs.build(project / "texts", project / "tiny", path, languages="sw", parts=2, **OPTIONS)
    store = xs.build(store=path, languages="fi", split_half=True, progress=False)
    assert not store.has_folds("fi", 42, 0.15, 2)
    assert "split_half" in store.record("fi").provenance.reliability


def test_a_new_store_has_the_defaults(tmp_path: Path) -> None:
    assert settings_of_store(open_store(tmp_path / "none.zarr", "a")) is None


def test_the_text_of_a_new_store_is_ntrex(tmp_path: Path, tiny_folder: Path) -> None:
    store = xs.build(model=str(tiny_folder), store=tmp_path / "s.zarr", languages="sw", **OPTIONS)
    provenance = store.record("sw").provenance
    assert provenance.corpus == "ntrex(revision=8561f6a)"
    assert provenance.corpus_digest == xs.open_corpus("ntrex").sample("sw", 6, 42).digest
    assert inputs_of(store)["texts"] == ["ntrex"]
    assert xs.build(store=tmp_path / "s.zarr", languages="fi", progress=False).languages == ("fi", "sw")
    with pytest.raises(IncompatibleError, match="corpus is 'ntrex"):
        xs.build("ntrex:held-out", store=tmp_path / "s.zarr", languages="et", progress=False)


@pytest.mark.parametrize("recorded", [True, False])
@pytest.mark.parametrize("corpus", ["cldr", "ntrex:held-out"])
def test_a_store_keeps_its_own_text_and_not_the_default(
    tmp_path: Path, tiny_folder: Path, monkeypatch: pytest.MonkeyPatch, corpus: str, recorded: bool
) -> None:
    """`cldr` was the default of earlier versions; the oldest of them do not record the place of the text."""
    path = tmp_path / "s.zarr"
    first = xs.build(corpus, str(tiny_folder), path, languages="sw", **OPTIONS)
    if not recorded:
        for document in (path / "commits").rglob("zarr.json"):
            record = json.loads(document.read_text())
            record["attributes"].get("provenance", {}).pop("inputs", None)
            document.write_text(json.dumps(record))
    model = None if recorded else str(tiny_folder)
    again = xs.build(model=model, store=path, languages="fi", progress=False)
    assert again.record("fi").provenance.corpus == first.record("sw").provenance.corpus
    assert again.record("fi").provenance.corpus.startswith(f"{corpus}(")
    assert xs.rank(path, "sw").ranking.sources[0].language == "fi"


def test_the_verb_says_which_settings_it_took_from_the_store(
    project: Path, xsns: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(project)
    common = ("--examples", 6, "--max-length", 24)
    assert (
        xsns("build", "--corpus", "texts/", "--model", "tiny", "--store", "s.zarr", "--lang", "sw", *common).code == 0
    )
    completed = xsns("build", "--store", "s.zarr", "--lang", "fi")
    assert completed.code == 0, completed.err
    note = (
        "these options are taken from the store 's.zarr': model tiny, corpus texts, examples 6, density 0.15, seed 42, "
        "max length 24."
    )
    assert f"note: {note}\n" in completed.err
    completed = xsns("build", "--store", "s.zarr", "--lang", "et", "--json")
    taken = json.loads(completed.out)["result"]["taken"]
    assert (taken["model"], taken["texts"], taken["examples"]) == ("tiny", ["texts"], 6)


def test_a_dry_run_from_python_returns_a_plan(project: Path) -> None:
    plan = xs.build(
        project / "texts", project / "tiny", project / "s.zarr", dry_run=True, examples=6, max_length=24, progress=False
    )
    assert [row.language for row in plan.missing] == ["et", "fi", "sw"]
    assert plan.seconds is not None
    assert plan.seconds > 0
    assert not (project / "s.zarr").exists()
