"""`xsns-stream reproduce`: every verb is run on a few synthetic sentences and a tiny model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.page_blocks import run_page
from tests.support.processes import wait_for
from xsns_stream.reproduce.records import read_result
from xsns_stream.reproduce.step import TARGETS

LANGUAGES = ("en", "fi", "sw", "de")
#: All tags of the task: a model that gives every word the same tag is right for some words.
_UPOS = "ADJ ADP ADV AUX CCONJ DET INTJ NOUN NUM PART PRON PROPN PUNCT SCONJ SYM VERB X"
TAGS = tuple(_UPOS.split())
#: These tests share a folder of results.
SHARED = pytest.mark.xdist_group("reproduce")
SIZES = {"train": 14, "dev": 4, "test": 6}
#: Options that keep a run short: the model of the tests takes 64 tokens.
TINY = (*("--examples", 4, "--seed", 42, "--tuning-seed", 1, "--epochs", 1, "--max-length", 24),)
SHORT = (*TINY, "--languages", "en,fi,sw,de")


def tagged(words: list[str]) -> list[str]:
    """Return the tag of each word. A word always has the same tag."""
    return [TAGS[sum(map(ord, word)) % len(TAGS)] for word in words]


def split_sentences(write_texts: Callable[..., Path], folder: Path) -> Mapping[str, Mapping[str, list[list[str]]]]:
    """Return {language: {split: sentences as lists of words}}."""
    count = sum(SIZES.values())
    texts = write_texts(folder, " ".join(LANGUAGES), count)
    splits: dict[str, dict[str, list[list[str]]]] = {}
    for language in LANGUAGES:
        lines = [line.split() for line in (texts / f"{language}.txt").read_text(encoding="utf-8").splitlines()]
        splits[language], start = {}, 0
        for split, size in SIZES.items():
            splits[language][split] = lines[start : start + size]
            start += size
    return splits


@pytest.fixture(scope="module")
def sentences(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path]) -> Any:
    return split_sentences(write_texts, tmp_path_factory.mktemp("lines"))


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory, write_texts: Callable[..., Path], sentences: Any) -> Path:
    """A folder of data: POS in four languages, general text, and both tables."""
    folder = tmp_path_factory.mktemp("data")
    (folder / "pos").mkdir()
    for language, splits in sentences.items():
        for split, lines in splits.items():
            blocks = ["\n".join(map(" ".join, zip(words, tagged(words), strict=True))) for words in lines]
            (folder / "pos" / f"{language}-{split}.txt").write_text("\n\n".join(blocks) + "\n\n", encoding="utf-8")
    write_texts(folder / "general", " ".join(LANGUAGES), 12)
    feats = np.array([f"{group}{number}" for group in ("S_", "P_", "INV_") for number in range(6)])
    features = np.random.default_rng(3).integers(0, 2, (4, len(feats), 1)).astype(np.float32)
    (folder / "typology").mkdir()
    codes = np.array(("eng", "fin", "swa", "deu"))
    np.savez(folder / "typology" / "feature_predictions.npz", langs=codes, feats=feats, data=features)
    apart = {one: [f"{60 + 5 * abs(i - j)}" if i != j else "" for j in range(4)] for i, one in enumerate(LANGUAGES)}
    rows = [",".join([one, *distances]) for one, distances in apart.items()]
    (folder / "ldnd.csv").write_text("\n".join([",".join(["", *LANGUAGES]), *rows]) + "\n")
    return folder


@pytest.fixture(scope="module")
def out(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """One folder of results for all tables, which share their steps."""
    return tmp_path_factory.mktemp("results") / "out"


@pytest.fixture
def reproduce(xsns: Callable[..., Any], data: Path, out: Path, tiny_folder: Path) -> Callable[..., Any]:
    """Run the command with options that make it fast."""
    return lambda target, *more, folder=out: xsns(
        "reproduce", target, "--data", data, "--model", tiny_folder, "--out", folder, *SHORT, *more
    )


def page(folder: Path, name: str) -> str:
    return (folder / f"{name}.md").read_text(encoding="utf-8")


@SHARED
@pytest.mark.parametrize("table", ["table1", "table2", "table3", "table4", "choices"])
def test_each_table_is_made_and_not_made_again(table: str, reproduce: Callable[..., Any], out: Path) -> None:
    completed = reproduce(table)
    assert completed.code == 0, completed.err
    assert completed.out == f"{table}: {out / table}.md {out / table}.json.gz\n"
    text = page(out, table)
    assert "## Commands\n\n```console\nxsns-stream reproduce" in text
    assert "failed" not in text
    assert read_result(out, table)["failed"] == {}
    again = reproduce(table)
    assert (again.code, again.out) == (0, completed.out)
    assert "done after" not in again.err
    assert page(out, table) == text


@SHARED
def test_pages_show_trivial_rows_the_control_and_the_quality_of_models(
    reproduce: Callable[..., Any], out: Path
) -> None:
    """The pages show trivial rows, the control, and the quality of the fine-tuned models."""
    reproduce("table2", "-q")
    text = page(out, "table2")
    for row in ("L2V", "LEX", "EMB", "NN-Rank", "LDND", "X-SNS", "random", "english", "source-mean"):
        assert f"\n| {row} | " in text
    assert "The trivial answer, which needs no model, has " in text
    # Four sentences have too few sub-words for subword evenness.
    assert "POS tagging has no row SuE: it has values for 1 of 4 sources" in text


def test_dry_run_is_a_script(reproduce: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "new"
    completed = reproduce("table2", "--dry-run", folder=folder)
    assert (completed.code, completed.err) == (0, "")
    assert not folder.exists()
    lines = completed.out.splitlines()
    assert lines[0].startswith("mkdir -p ")
    commands = [line for line in lines if line.startswith("xsns-stream ")]
    assert [line.split()[1] for line in commands] == ["transfer", *["baseline"] * 6, "build", "evaluate"]
    assert sum(line.startswith("# ") and line.endswith(": to do") for line in lines) == len(commands)
    document = json.loads(reproduce("table2", "--dry-run", "--json", folder=folder).out)["result"]
    assert [step["command"] for step in document["steps"]] == commands


def test_the_commands_of_the_page_list_their_steps(
    xsns: Callable[..., Any], data: Path, sentences: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "data").symlink_to(data)
    (tmp_path / "ud").symlink_to(data / "pos")
    (tmp_path / "ntrex").symlink_to(data / "general")
    (tmp_path / "sib200").mkdir()
    for language, splits in sentences.items():
        rows = [f"{' '.join(words)}\t{len(words) % 2}" for words in splits["train"]]
        (tmp_path / "sib200" / f"{language}.tsv").write_text("text\tlabel\n" + "\n".join(rows), encoding="utf-8")
    run = run_page("docs/reproduce.md", xsns, more=lambda words: ["--dry-run", *map(str, SHORT)])
    assert len(run.commands) == 3
    assert all("xsns-stream transfer" in completed.out for _, completed in run.commands)
    assert Path("steps.sh").read_text(encoding="utf-8") == run.commands[2][1].out


@SHARED
def test_dry_run_knows_what_is_done(reproduce: Callable[..., Any], out: Path) -> None:
    reproduce("table2", "-q")
    document = json.loads(reproduce("table2", "--dry-run", "--json").out)["result"]
    assert {step["state"] for step in document["steps"]} == {"done"}
    document = json.loads(reproduce("table2", "--dry-run", "--json", "--limit", 5).out)["result"]
    assert {step["name"].split(".")[-1] for step in document["steps"] if step["state"] == "to do"} == {
        "gold",
        "evaluate",
    }


@pytest.mark.slow
def test_the_paper_preset_runs_on_copies_of_its_data(
    xsns: Callable[..., Any], sentences: Any, tiny_folder: Path, tmp_path: Path
) -> None:
    """The preset `paper` on data sets in the Hub's layout: only the download and the sizes differ."""
    copies = {"ner": "wikiann", "pos": "udpos", "nli": "xnli", "pi": "paws-x", "qa": "tydiqa", "general": "wikipedia"}
    for recipe in copies.values():
        write_copy(tmp_path / recipe, recipe, sentences)
    data = [word for kind, recipe in copies.items() for word in ("--data", f"{kind}={recipe}={tmp_path / recipe}")]
    languages = ("--languages", "en,fi,de")
    words = ("--preset", "paper", *data, *languages, "--model", tiny_folder, "--out", tmp_path / "out", *TINY)
    completed = xsns("reproduce", "table1", *words)
    assert completed.code == 0, completed.err
    text = page(tmp_path / "out", "table1")
    for title in ("NER", "POS tagging", "NLI", "Paraphrase identification", "QA"):
        assert f"\n## {title}\n" in text
    assert text.count("| general text, LM | ") == 5
    assert "not comparable" in text
    completed = xsns("reproduce", "table2", *words, "--tasks", "nli,qa")
    assert completed.code == 0, completed.err
    assert page(tmp_path / "out", "table2").count("| NN-Rank | ") == 3


def write_copy(root: Path, recipe: str, sentences: Any) -> None:
    """Write a few rows of two or three languages as the Hub lays out the data set of a recipe."""
    import datasets

    entity = datasets.Sequence(datasets.ClassLabel(names=["O", "B-PER", "I-PER"]))
    relation = datasets.ClassLabel(names=["entailment", "neutral", "contradiction"])
    kinds = {"wikiann": {"ner_tags": entity}, "xnli": {"label": relation}}
    tables: dict[str, dict[str, list[Mapping[str, Any]]]] = {}
    others = {"xnli": ("de",), "paws-x": ("de",), "wikipedia": ("de", "fi")}
    for code in ("en", *others.get(recipe, ("fi",))):
        for split, lines in sentences[code].items():
            config, entries = in_the_hub_s_columns(recipe, code, lines)
            tables.setdefault(config, {}).setdefault("validation" if split == "dev" else split, []).extend(entries)
    card = ["---", "configs:"]
    for config, splits in tables.items():
        card += [f"- config_name: {config}", "  data_files:"]
        (root / config).mkdir(parents=True)
        for split, entries in splits.items():
            table = datasets.Dataset.from_list(entries)
            for column, kind in kinds.get(recipe, {}).items():
                table = table.cast_column(column, kind)
            table.to_parquet(root / config / f"{split}-00000-of-00001.parquet")
            card += [f"  - split: {split}", f"    path: {config}/{split}-*"]
    (root / "README.md").write_text("\n".join([*card, "---", ""]), encoding="utf-8")


def in_the_hub_s_columns(recipe: str, code: str, lines: list[list[str]]) -> tuple[str, list[Mapping[str, Any]]]:
    """Return the name of the configuration and the rows of a language."""
    pairs = [(" ".join(words), " ".join(words[:2]), number) for number, words in enumerate(lines)]
    match recipe:
        case "wikiann":
            rows: list[Any] = [{"tokens": words, "ner_tags": [1, *[0] * (len(words) - 1)]} for words in lines]
        case "udpos":
            rows = [{"tokens": words, "upos": tagged(words), "mwt": []} for words in lines]
            return {"en": "en_ewt", "fi": "fi_tdt"}[code], rows
        case "xnli":
            rows = [{"premise": text, "hypothesis": part, "label": number % 3} for text, part, number in pairs]
        case "paws-x":
            rows = [
                {"id": number, "sentence1": text, "sentence2": part, "label": number % 2}
                for text, part, number in pairs
            ]
        case "tydiqa":
            name = {"en": "english", "fi": "finnish"}[code]
            rows = [
                {
                    "id": f"{name}-{number}-1",
                    "title": "t",
                    "context": text,
                    "question": f"{part}?",
                    "answers": {"text": [part], "answer_start": [0]},
                }
                for text, part, number in pairs
            ]
            return "secondary_task", rows
        case _:
            return f"20231101.{code}", [{"id": "1", "url": "u", "title": "t", "text": text} for text, _, _ in pairs]
    return code, rows


@pytest.mark.slow
def test_a_killed_run_is_continued_with_the_same_page(
    start_xsns: Callable[..., subprocess.Popen[str]],
    xsns: Callable[..., Any],
    data: Path,
    tiny_folder: Path,
    tmp_path: Path,
) -> None:
    """After a kill during fine-tuning, finished units are not run again, and the page is the same."""
    words = ["reproduce", "table1", "--data", data, "--model", tiny_folder, *TINY, "--languages", "en,fi,sw", "--out"]
    process = start_xsns(*words, tmp_path / "killed")
    units = units_below(tmp_path / "killed")
    wait_for(lambda: any(units().glob("*.json")), process)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=60)
    times = {path.name: path.stat().st_mtime_ns for path in units().glob("*.json")}
    assert not (tmp_path / "killed" / "table1.md").exists()
    again = xsns(*words, tmp_path / "killed")
    assert again.code == 0, again.err
    assert {name: (units() / name).stat().st_mtime_ns for name in times} == times
    document = read_result(tmp_path / "killed", "table1")
    assert document["result"]["tasks"]["pos"]["evaluation"]["sources"] == ["en", "fi", "sw"]


@pytest.mark.slow
@SHARED
def test_an_interruption_is_reported_once(
    start_xsns: Callable[..., subprocess.Popen[str]], data: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """The message is printed once, for every verb that was running."""
    words = ["reproduce", "table1", "--data", data, "--model", tiny_folder, *TINY, "--languages", "en,fi,sw", "--out"]
    process = start_xsns(*words, tmp_path)
    units = units_below(tmp_path)
    wait_for(lambda: any(units().glob("*.json")), process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert errors.count("error: interrupted.") == 1
    assert "Traceback" not in errors


@SHARED
def test_files_with_seeds_that_were_not_requested_are_refused(
    xsns: Callable[..., Any], data: Path, tiny_folder: Path, tmp_path: Path
) -> None:
    """A page shows the seeds that it names; files with more seeds are refused."""
    words = ["reproduce", "table1", "--data", data, "--model", tiny_folder, *TINY, "--languages", "en,fi,sw", "--out"]
    first = xsns(*words, tmp_path, "--seed", 16, "--tuning-seed", 2)
    assert first.code == 0, first.err
    page_before = page(tmp_path, "table1")
    completed = xsns(*words, tmp_path)
    assert completed.code == 1
    assert (
        "gold.parquet' contains seeds that were not requested (2): request these too, or give another --out."
        in completed.err
    )
    completed = xsns(*words, tmp_path, "--tuning-seed", 2)
    assert "task-lm.zarr' contains seeds that were not requested (16)" in completed.err
    completed = xsns(*words, tmp_path, "--seed", 16, "--tuning-seed", 2)
    assert (completed.code, page(tmp_path, "table1")) == (0, page_before)


def test_an_invalid_density_is_refused(xsns: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    for density in ("nan", "0", "1.5"):
        completed = xsns("reproduce", "table1", "--data", data, "--density", density, "--out", tmp_path, "--dry-run")
        assert (completed.code, "must be between 0 and 1" in completed.err) == (2, True)


def units_below(folder: Path) -> Callable[[], Path]:
    """Return a function that finds the folder of units, which exists once the first unit begins."""
    return lambda: next(iter(sorted((folder / "work").glob("*/pos/gold.parquet.units"))), folder / "none")


@SHARED
def test_tasks_without_data_are_named_and_the_others_are_run(reproduce: Callable[..., Any], out: Path) -> None:
    """Tasks without data are named, the others are run, and the exit code is 3."""
    completed = reproduce("table3", "--tasks", "pos,qa")
    assert completed.code == 3
    assert "left out: qa: the data of qa are missing." in completed.err
    assert "error: 1 task could not be run: qa." in completed.err
    assert "table3.md" in completed.out
    assert "qa is left out: the data of qa are missing." in page(out, "table3")


def test_a_failed_step_is_reported_with_its_reason(xsns: Callable[..., Any], data: Path, tmp_path: Path) -> None:
    words = ("reproduce", "table3", "--data", data, "--model", tmp_path / "nowhere", "--out", tmp_path / "out", *SHORT)
    completed = xsns(*words)
    assert (completed.code, completed.out) == (1, "table3: left out: no scores could be fitted for table 3.\n")
    assert "error: no scores could be fitted for table 3." in completed.err
    assert f"no model folder '{tmp_path / 'nowhere'}'" in completed.err
    with_json = xsns(*words, "--json", "-q")
    result = json.loads(with_json.out)["result"]
    assert result["results"] == {}
    assert any("no model folder" in why for why in result["failed"].values())


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("table9", "--out", "o"), "'table9'"),
        (("table2",), "'--out'"),
        (("table2", "--out", "o"), "the data of all tasks are missing."),
        (("table2", "--out", "o", "--data", "nowhere"), "the folder 'nowhere' does not exist."),
        (("table2", "--out", "o", "--data", "xyz=."), "'xyz' is not a kind of data"),
        (("table2", "--out", "o", "--data", "pos=pos", "--tasks", "tagging"), "'tagging' is not a task."),
    ],
)
def test_wrong_usage_is_refused_with_a_hint(words: tuple[str, ...], message: str, xsns: Callable[..., Any]) -> None:
    completed = xsns("reproduce", *words)
    assert (completed.code, completed.out) == (2, "")
    assert message in completed.err
    assert "hint: " in completed.err


def test_help_names_the_targets(xsns: Callable[..., Any]) -> None:
    output = xsns("reproduce", "--help").out
    for target in (*TARGETS, "all"):
        assert f"\n  {target} " in output
