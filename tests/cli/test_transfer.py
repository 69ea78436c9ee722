"""The verb `transfer`: a small random model is fine-tuned on synthetic tags. `tests/e2e` kills and interrupts it."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tagged_text import QUICK, arguments, sentences, write_tagged_folder
from xsns_stream.cli.transfer import _title
from xsns_stream.gold import read_scores
from xsns_stream.tasks import TASKS
from xsns_stream.transfer.finetune import StepTimes


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The working folder, with `pos`: three languages with all splits, and a fourth with test data only."""
    return write_tagged_folder(tmp_path)


def test_scores_from_python_are_those_of_the_verb(folder: Path, in_process: Callable[..., Any]) -> None:
    import xsns_stream as xs

    assert in_process(folder, *arguments("--mix", "fi,en", "--targets", "fi,sw", "--json")).code == 0
    own = xs.transfer(
        str(folder / "pos"),
        task="pos",
        output=folder / "own.parquet",
        sources="en,fi",
        mix=["fi,en"],
        targets=["fi", "sw"],
        limit=12,
        test_limit=6,
        epochs=1,
        max_length=32,
        progress=False,
    )
    for scores in (own, read_scores(folder / "own.parquet")):
        verb = read_scores(folder / "gold.parquet")
        assert (scores.sources, scores.targets, scores.seeds) == (verb.sources, verb.targets, verb.seeds)
        assert np.array_equal(scores.cells, verb.cells)
    assert len(list((folder / "own.parquet.units").glob("*.json"))) == 3


def test_every_source_is_scored_on_every_target(folder: Path, in_process: Callable[..., Any]) -> None:
    completed = in_process(folder, *arguments("--seed", "1", "--seed", "2", "--mix", "fi,en", "--json"))
    assert completed.code == 0, completed.err
    result = json.loads(completed.out)["result"]
    gold = read_scores(folder / "gold.parquet")
    assert gold.sources == ("en", "fi", "en+fi")
    assert gold.targets == ("en", "et", "fi", "sw")
    assert (gold.seeds, gold.task, gold.metric, gold.unit) == ((1, 2), "pos", "accuracy", "percent")
    assert np.isfinite(gold.cells).all()
    assert gold.cells.min() >= 0
    assert gold.cells.max() <= 100
    assert "[6/6] en+fi (seed 2): dev " in completed.err
    assert len(result["committed"]) == len(result["runs"]) == 6
    assert set(result["trivial"]) == set(gold.targets)
    assert result["summary"]["pairs"] == 2 * (3 + 3 + 2)
    assert result["runs"][0]["at_home"] == gold.cells[0, 0, 0, 0]
    # Finished units are not computed again, and give the same file.
    before = (folder / "gold.parquet").read_bytes()
    again = in_process(folder, *arguments("--seed", "1", "--seed", "2", "--mix", "en,fi"))
    assert again.code == 0
    assert "0 units computed, 6 in total." in again.out
    assert (folder / "gold.parquet").read_bytes() == before
    assert not list(folder.rglob("*.partial"))


def test_the_table_says_what_the_scores_are_worth(folder: Path, in_process: Callable[..., Any]) -> None:
    completed = in_process(folder, *arguments(sources="en"))
    assert completed.code == 0, completed.err
    assert "that of the trivial answer is" in completed.out
    scores = read_scores(folder / "gold.parquet")
    table = completed.out.partition("accuracy (percent) of each source on each target")[2].splitlines()
    rows = [line.replace("*", " ").split() for line in table]
    assert ["source", *scores.targets] in rows
    assert ["en", *(f"{score:.1f}" for score in scores.values[0])] in rows
    assert any(line.startswith("trivial answer ") for line in table)
    assert completed.err.splitlines()[-1] == "next: xsns-stream build --corpus pos --task pos --parts 8"
    show = in_process(folder, "gold", "show", "gold.parquet")
    assert "xsns-stream transfer: mini on task(pos, task=pos), quick, 12 training examples" in " ".join(
        show.out.split()
    )


def test_the_heading_says_that_most_scores_do_not_beat_the_trivial_answer() -> None:
    class Settings:
        model = "mini"
        task = TASKS["pos"]

    def title(above: float | None, pairs: int) -> str:
        summary = {"above_trivial": above, "pairs": pairs}
        return _title(Settings(), "accuracy", summary)  # type: ignore[arg-type]

    assert title(None, 0) == title(0.75, 4) == "pos: accuracy of mini, percent"
    assert title(0.25, 8) == (
        "pos: accuracy of mini, percent; 6 of 8 zero-shot scores are not above the score of the trivial answer, such "
        "as the most frequent class"
    )


def test_after_scores_comes_an_evaluation_of_the_store(folder: Path, in_process: Callable[..., Any]) -> None:
    (folder / "xsns.zarr").mkdir()
    completed = in_process(folder, *arguments(sources="en"))
    assert completed.err.splitlines()[-1] == "next: xsns-stream evaluate --gold gold.parquet --predict xsns=xsns.zarr"
    assert "next:" not in in_process(folder, *arguments("-q", sources="en")).err


def test_predictions_can_be_evaluated_against_the_scores(folder: Path, in_process: Callable[..., Any]) -> None:
    assert in_process(folder, *arguments("--mix", "en,fi", sources="all")).code == 0
    built = in_process(folder, "build", "--corpus", "pos", "--task", "pos", "--lang", "all", "--examples", "4")
    assert built.code == 0, built.err
    completed = in_process(folder, "evaluate", "--gold", "gold.parquet", "--predict", "xsns=xsns.zarr", "--json")
    assert completed.code == 0, completed.err
    regressed = in_process(folder, "regress", "--gold", "gold.parquet", "--predict", "xsns=xsns.zarr", "--json")
    assert regressed.code in (0, 1), regressed.err
    assert "Traceback" not in completed.err + regressed.err


def test_another_metric_needs_no_further_training(folder: Path, in_process: Callable[..., Any]) -> None:
    (folder / "ner").mkdir()
    for split in ("train", "dev", "test"):
        rows = [f"the O\ncity O\nof O\nParis{n} B-LOC\n" for n in range(8)]
        (folder / "ner" / f"en-{split}.txt").write_text("\n".join(rows))
    command = ("transfer", "--task", "ner", "--data", "ner", "--sources", "en", *QUICK)
    assert in_process(folder, *command, "-o", "ner.parquet").code == 0
    completed = in_process(folder, *command, "-o", "ner.parquet", "--metric", "token-accuracy")
    assert (completed.code, read_scores(folder / "ner.parquet").metric) == (0, "token-accuracy")
    assert "0 units computed" in completed.out
    assert in_process(folder, *command, "-o", "ner.parquet", "--metric", "rouge").code == 2


def test_only_the_listed_pairs_are_scored(folder: Path, in_process: Callable[..., Any]) -> None:
    (folder / "pairs.txt").write_text("en>fi\n\nen+fi sw\n")
    command = ("transfer", "--task", "pos", "--data", "pos", *QUICK, "-o", "gold.csv")
    completed = in_process(folder, *command, "--pairs", "pairs.txt")
    assert completed.code == 0, completed.err
    gold = read_scores(folder / "gold.csv")
    assert np.isfinite(gold.values).tolist() == [[True, False], [False, True]]
    assert (gold.sources, gold.targets) == (("en", "en+fi"), ("fi", "sw"))


def test_all_stands_for_every_source_or_target_in_a_pair(
    folder: Path, in_process: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("xsns_stream.pipeline.run_transfer.time_steps", lambda *args: StepTimes(0.1, 0.1))
    command = ("transfer", "--task", "pos", "--data", "pos", *QUICK, "-o", "gold.csv", "--dry-run", "--json")
    every = ["en", "et", "fi", "sw"]
    for pairs, sources, targets in (("en>all", ["en"], every), ("all>et", ["en", "fi", "sw"], ["et"])):
        result = json.loads(in_process(folder, *command, "--pairs", pairs).out)["result"]
        assert (sorted(result["sources"]), sorted(result["targets"])) == (sources, targets)


def test_targets_can_be_added_without_training_where_models_are_kept(
    folder: Path, in_process: Callable[..., Any]
) -> None:
    keep = ("--keep-models", "models")
    assert in_process(folder, *arguments("--targets", "fi", *keep, sources="en")).code == 0
    assert sorted(path.name for path in (folder / "models").iterdir()) == ["en-42"]
    one = json.loads((folder / "gold.parquet.units" / "en-42.json").read_text())
    planned = in_process(folder, *arguments("--targets", "fi,sw", *keep, "--dry-run", "--json", sources="en"))
    plan = json.loads(planned.out)["result"]
    assert (plan["kept"], plan["again"], plan["training_examples"]) == ([["en", 42]], [], 0)
    assert plan["test_examples"] == plan["targets"]["sw"]
    added = in_process(folder, *arguments("--targets", "fi,sw", *keep, sources="en"))
    assert added.code == 0
    assert "on which their saved models are tested: en (seed 42)" in added.err
    two = json.loads((folder / "gold.parquet.units" / "en-42.json").read_text())
    assert two["training"] == one["training"]
    assert two["scores"]["fi"] == one["scores"]["fi"]
    assert set(two["scores"]) == {"fi", "sw"}
    # A model that is trained again has the same scores.
    assert in_process(folder, *arguments("--targets", "fi,sw", sources="en", output="again.parquet")).code == 0
    np.testing.assert_array_equal(
        read_scores(folder / "again.parquet").cells, read_scores(folder / "gold.parquet").cells
    )
    # Notes are about the targets of this command only.
    completed = in_process(folder, *arguments("--targets", "sw", "--json", sources="en", output="again.parquet"))
    result = json.loads(completed.out)["result"]
    assert (result["summary"]["pairs"], result["runs"][0]["best_target"], list(result["trivial"])) == (1, "sw", ["sw"])


def test_a_kept_model_with_other_settings_is_not_used(folder: Path, in_process: Callable[..., Any]) -> None:
    keep = ("--keep-models", "models", "--targets")
    assert in_process(folder, *arguments(*keep, "fi", sources="en")).code == 0
    other = arguments(*keep, "fi", "--lr", "1e-2", sources="en", output="other.parquet")
    assert in_process(folder, *other).code == 0
    completed = in_process(folder, *arguments(*keep, "fi,sw", sources="en"))
    assert completed.code == 0
    assert "fine-tuned again, because no saved model has their settings: en (seed 42)" in completed.err
    assert in_process(folder, *arguments("--targets", "fi,sw", sources="en", output="anew.parquet")).code == 0
    np.testing.assert_array_equal(
        read_scores(folder / "anew.parquet").cells, read_scores(folder / "gold.parquet").cells
    )


def test_units_with_other_settings_do_not_get_into_one_file(folder: Path, in_process: Callable[..., Any]) -> None:
    assert in_process(folder, *arguments(sources="en")).code == 0
    completed = in_process(folder, *arguments("--limit", "9", sources="fi"))
    assert completed.code == 1
    assert (
        "'en' (seed 42) in 'gold.parquet.units' has other settings: limit (limit was 12 and is now 9)" in completed.err
    )
    assert read_scores(folder / "gold.parquet").sources == ("en",)
    assert in_process(folder, *arguments(sources="fi")).code == 0
    assert read_scores(folder / "gold.parquet").sources == ("fi", "en")


def test_a_dry_run_estimates_and_writes_nothing(folder: Path, in_process: Callable[..., Any]) -> None:
    completed = in_process(folder, *arguments("--seed", "1", "--seed", "2", "--dry-run", "--json"))
    assert completed.code == 0, completed.err
    result = json.loads(completed.out)["result"]
    assert (result["units"], len(result["todo"]), result["training_examples"]) == (4, 4, 4 * 12)
    assert result["test_examples"] == 4 * (6 + 4 * 6)
    assert (result["sources"], result["done"]) == ({"en": 12, "fi": 12}, [])
    assert result["targets"] == dict.fromkeys(("en", "et", "fi", "sw"), 6)
    times = result["seconds_an_example"]
    seconds = 48 * times["training"] + 120 * times["testing"]
    assert result["hours"] == pytest.approx(seconds / 3600)
    assert sorted(path.name for path in folder.iterdir()) == ["pos"]
    text = in_process(folder, *arguments("--dry-run")).out
    assert "at most" in text or "less than 1 s here" in text
    assert "training examples: en 12, fi 12; test examples: 24." in text


def test_units_with_other_settings_are_refused(folder: Path, in_process: Callable[..., Any]) -> None:
    assert in_process(folder, *arguments(sources="en")).code == 0
    before = (folder / "gold.parquet").read_bytes()
    for more, named in (
        (("--lr", "1e-3"), "learning_rate"),
        (("--limit", "11"), "limit"),
        (("--patience", "3"), "pat"),
    ):
        completed = in_process(folder, *arguments(*more, sources="en"))
        assert completed.code == 1
        assert named in completed.err
        assert "give another -o" in completed.err
    (folder / "pos" / "sw-test.txt").write_text(sentences("sw", 4, 3))
    completed = in_process(folder, *arguments(sources="en"))
    assert completed.code == 1
    assert "the test data of 'sw' have changed" in completed.err
    assert (folder / "gold.parquet").read_bytes() == before


@pytest.mark.parametrize(
    ("more", "sources", "message"),
    [
        ((), "de", "de"),
        (("--targets", "en,deu"), "en", "deu"),
        (("--mix", "en"), "en", "names only one language"),
        (("--relabel", "NOUN"), "en", "not OLD=NEW"),
        (("--pairs", "en>fi"), "en", "--pairs already names the sources"),
        (("--seed", "-1"), "en", "a seed must be between 0 and 4294967295, not -1"),
        (("--keep-models", "pos/en-train.txt"), "en", "cannot read or write 'pos/en-train.txt'"),
        (("--epochs", "0"), "en", "epochs must be at least 1"),
        (("--lr", "7"), "en", "learning rate"),
        (("--precision", "fp16"), "en", "fp16 needs a GPU"),
        (("--max-length", "999"), "en", "lower --max-length"),
        (("--metric", "f1"), "en", "has no metric 'f1'"),
    ],
)
def test_invalid_options_are_refused_with_a_hint(
    more: tuple[str, ...], sources: str, message: str, folder: Path, in_process: Callable[..., Any]
) -> None:
    completed = in_process(folder, *arguments(*more, sources=sources))
    assert completed.code in (1, 2)
    assert message in completed.err
    assert "hint: " in completed.err
    assert "Traceback" not in completed.err
    assert not (folder / "gold.parquet").exists()


def test_missing_sources_and_missing_data_are_refused(folder: Path, in_process: Callable[..., Any]) -> None:
    start = ("transfer", "--task", "pos", *QUICK, "-o", "gold.parquet")
    assert "no source was given" in in_process(folder, *start, "--data", "pos").err
    assert "there is no folder 'nowhere'" in in_process(folder, *start, "--data", "nowhere", "--sources", "en").err
    assert in_process(folder, *start, "--data", "pos", "--sources", "en", "--pairs", "en").code == 2
    targeted = in_process(folder, *start, "--data", "pos", "--pairs", "en>fi", "--targets", "sw")
    assert (targeted.code, "--pairs already names the targets" in targeted.err) == (2, True)


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize(
    "which", [("--sources", "all"), ("--sources", "all", "--targets", "all"), ("--pairs", "all>all")]
)
def test_no_language_has_a_split(
    split: str, which: tuple[str, ...], folder: Path, in_process: Callable[..., Any]
) -> None:
    lost = ("train", "dev") if split == "train" else (split,)
    for path in (path for one in lost for path in (folder / "pos").glob(f"*-{one}.txt")):
        path.unlink()
    completed = in_process(folder, "transfer", "--task", "pos", "--data", "pos", *QUICK, "-o", "gold.parquet", *which)
    assert completed.code == 2
    use = "training" if split == "train" else "test"
    assert completed.err.startswith(f"error: no language of task(pos, task=pos) has {use} data.")
    assert f"add files of {split} data" in completed.err


def test_test_examples_that_were_trained_on_are_in_the_file_of_scores(
    folder: Path, in_process: Callable[..., Any]
) -> None:
    (folder / "pos" / "en-test.txt").write_bytes((folder / "pos" / "en-train.txt").read_bytes())
    command = (*arguments("--targets", "en,sw", sources="en"), "--test-limit", "24", "--limit", "24")
    completed = in_process(folder, *command, "--json")
    assert completed.code == 0, completed.err
    sentence = "test examples that are also training examples: en 24 of 24 (100 %); these scores are too high."
    assert sentence in json.loads(completed.out)["result"]["notes"]
    assert f"note: {sentence}" in completed.err
    show = in_process(folder, "gold", "show", "gold.parquet", "--json")
    assert json.loads(show.out)["result"]["notes"] == [sentence]
    assert f"note: {sentence}" in in_process(folder, "gold", "show", "gold.parquet").err
    assert in_process(folder, *command).code == 0, "existing units are used"


def test_one_bad_language_does_not_stop_the_others(folder: Path, in_process: Callable[..., Any]) -> None:
    (folder / "pos" / "fi-train.txt").write_text("one\nfield\n")
    completed = in_process(folder, *arguments("--json"))
    assert completed.code == 3
    result = json.loads(completed.out)["result"]
    assert [one["language"] for one in result["failed"]] == ["fi"]
    assert "line 1 of fi-train.txt" in result["failed"][0]["error"]
    assert read_scores(folder / "gold.parquet").sources == ("en",)


def test_scores_on_other_test_data_do_not_get_into_one_file(folder: Path, in_process: Callable[..., Any]) -> None:
    """All scores of a target must come from one test set, whichever source and options came first."""
    assert in_process(folder, *arguments("--targets", "sw", sources="en")).code == 0
    before = (folder / "gold.parquet").read_bytes()
    completed = in_process(folder, *arguments("--targets", "sw", "--test-limit", "3", sources="fi"))
    assert completed.code == 1
    assert "error: the test data of 'sw' have changed since the model fine-tuned on 'en' (seed 42, in" in completed.err
    (folder / "pos" / "sw-test.txt").write_text(sentences("sw", 9, 2))
    completed = in_process(folder, *arguments("--targets", "sw", sources="fi"))
    assert (completed.code, "--test-limit or --relabel change the test data" in completed.err) == (1, True)
    assert (folder / "gold.parquet").read_bytes() == before


def test_a_model_that_cannot_be_kept_costs_no_scores(folder: Path, in_process: Callable[..., Any]) -> None:
    (folder / "models").mkdir()
    (folder / "models" / "en-42").write_text("a file in the way")
    completed = in_process(folder, *arguments("--keep-models", "models", sources="en,fi"))
    assert completed.code == 3
    assert "cannot be saved in 'models/en-42': Not a directory." in completed.err
    assert np.isfinite(read_scores(folder / "gold.parquet").cells).all()
    assert sorted(path.name for path in (folder / "models").iterdir()) == ["en-42", "fi-42"]
    again = in_process(folder, *arguments("--keep-models", "models", "--dry-run", sources="en,fi"))
    assert "note: the models of these units were not saved" in again.err
    assert ": en (seed 42)." in again.err


def test_a_mixture_of_one_language_is_refused(folder: Path, in_process: Callable[..., Any]) -> None:
    command = ("transfer", "--task", "pos", "--data", "pos", *QUICK, "-o", "gold.parquet")
    completed = in_process(folder, *command, "--pairs", "en+en>fi")
    assert completed.code == 2
    assert "error: 'en+en' names only one language." in completed.err


def test_help_loads_no_large_library(start: list[str]) -> None:
    heavy = "{'torch', 'transformers', 'pandas'}"
    code = f"import sys; from xsns_stream.cli.transfer import command; print({heavy} & set(sys.modules))"
    completed = subprocess.run([start[0], "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert completed.stdout.strip() == "set()"
