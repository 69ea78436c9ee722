"""`xsns-stream transfer`: a small random model learns made-up tags, is stopped, shared, resumed, and asked nonsense."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from xsns_stream.gold import read_scores

pytestmark = pytest.mark.xdist_group("transfer")

WORDS = {"en": "red dog runs fast", "fi": "koira juoksee nopeasti kotiin", "sw": "mbwa anakimbia haraka sana"}
TAGS = ("ADJ", "NOUN", "VERB", "ADV")
QUICK = ("--limit", "12", "--test-limit", "6", "--epochs", "1", "--max-length", "32")


def sentences(language: str, count: int, shift: int) -> str:
    words = WORDS[language].split()
    rows = [
        "\n".join(f"{words[(i + n + shift) % 4]} {TAGS[(i + n + shift) % 4]}" for i in range(3 + n % 2))
        + f"\n{n} NUM\n"
        for n in range(count)
    ]
    return "\n".join(rows)


@pytest.fixture
def kitchen(tmp_path: Path) -> Path:
    """A folder with `pos`: three languages with all splits, and a fourth that is only tested."""
    folder = tmp_path / "pos"
    folder.mkdir()
    for language in WORDS:
        for shift, (split, count) in enumerate({"train": 24, "dev": 6, "test": 8}.items()):
            (folder / f"{language}-{split}.txt").write_text(sentences(language, count, shift))
    (folder / "et-test.txt").write_text(sentences("fi", 7, 1))
    return tmp_path


def arguments(*more: str, sources: str = "en,fi", output: str = "gold.parquet") -> tuple[str, ...]:
    return ("transfer", "--task", "pos", "--data", "pos", "--sources", sources, *QUICK, "-o", output, *more)


def test_scores_from_python_are_those_of_the_verb(kitchen: Path, in_process: Callable[..., Any]) -> None:
    import xsns_stream as xs

    assert in_process(kitchen, *arguments("--mix", "fi,en", "--targets", "fi,sw", "--json")).code == 0
    own = xs.transfer(
        str(kitchen / "pos"),
        task="pos",
        output=kitchen / "own.parquet",
        sources="en,fi",
        mix=["fi,en"],
        targets=["fi", "sw"],
        limit=12,
        test_limit=6,
        epochs=1,
        max_length=32,
        progress=False,
    )
    for scores in (own, read_scores(kitchen / "own.parquet")):
        verb = read_scores(kitchen / "gold.parquet")
        assert (scores.sources, scores.targets, scores.seeds) == (verb.sources, verb.targets, verb.seeds)
        assert np.array_equal(scores.cells, verb.cells)
    assert len(list((kitchen / "own.parquet.units").glob("*.json"))) == 3


def test_scores_of_every_pair(kitchen: Path, in_process: Callable[..., Any]) -> None:
    done = in_process(kitchen, *arguments("--seed", "1", "--seed", "2", "--mix", "fi,en", "--json"))
    assert done.code == 0, done.err
    result = json.loads(done.out)["result"]
    gold = read_scores(kitchen / "gold.parquet")
    assert gold.sources == ("en", "fi", "en+fi")
    assert gold.targets == ("en", "et", "fi", "sw")
    assert (gold.seeds, gold.task, gold.metric, gold.unit) == ((1, 2), "pos", "accuracy", "percent")
    assert np.isfinite(gold.cells).all()
    assert gold.cells.min() >= 0
    assert gold.cells.max() <= 100
    assert "[6/6] en+fi (seed 2): dev " in done.err
    assert len(result["committed"]) == len(result["runs"]) == 6
    assert set(result["trivial"]) == set(gold.targets)
    assert result["summary"]["pairs"] == 2 * (3 + 3 + 2)
    assert result["runs"][0]["at_home"] == gold.cells[0, 0, 0, 0]
    # What was made is not made again, and gives the same file.
    before = (kitchen / "gold.parquet").read_bytes()
    again = in_process(kitchen, *arguments("--seed", "1", "--seed", "2", "--mix", "en,fi"))
    assert again.code == 0
    assert "0 units made, 6 there." in again.out
    assert (kitchen / "gold.parquet").read_bytes() == before
    assert not list(kitchen.rglob("*.partial"))


def test_the_table_says_what_the_scores_are_worth(kitchen: Path, in_process: Callable[..., Any]) -> None:
    done = in_process(kitchen, *arguments(sources="en"))
    assert done.code == 0, done.err
    assert "for the answer that needs no model" in done.out
    shown = in_process(kitchen, "gold", "show", "gold.parquet")
    assert "xsns-stream transfer: mini on task(pos, task=pos), quick, 12 training examples" in " ".join(
        shown.out.split()
    )


def test_predictions_are_held_against_them(kitchen: Path, in_process: Callable[..., Any]) -> None:
    assert in_process(kitchen, *arguments("--mix", "en,fi", sources="all")).code == 0
    built = in_process(kitchen, "build", "--corpus", "pos", "--task", "pos", "--lang", "all", "--examples", "4")
    assert built.code == 0, built.err
    done = in_process(kitchen, "evaluate", "--gold", "gold.parquet", "--predict", "xsns=xsns.zarr", "--json")
    assert done.code == 0, done.err
    regressed = in_process(kitchen, "regress", "--gold", "gold.parquet", "--predict", "xsns=xsns.zarr", "--json")
    assert regressed.code in (0, 1), regressed.err
    assert "Traceback" not in done.err + regressed.err


def test_another_metric_costs_nothing(kitchen: Path, in_process: Callable[..., Any]) -> None:
    (kitchen / "ner").mkdir()
    for split in ("train", "dev", "test"):
        rows = [f"the O\ncity O\nof O\nParis{n} B-LOC\n" for n in range(8)]
        (kitchen / "ner" / f"en-{split}.txt").write_text("\n".join(rows))
    command = ("transfer", "--task", "ner", "--data", "ner", "--sources", "en", *QUICK)
    assert in_process(kitchen, *command, "-o", "ner.parquet").code == 0
    done = in_process(kitchen, *command, "-o", "ner.parquet", "--metric", "token-accuracy")
    assert (done.code, read_scores(kitchen / "ner.parquet").metric) == (0, "token-accuracy")
    assert "0 units made" in done.out
    assert in_process(kitchen, *command, "-o", "ner.parquet", "--metric", "rouge").code == 2


def test_pairs_alone(kitchen: Path, in_process: Callable[..., Any]) -> None:
    (kitchen / "pairs.txt").write_text("en>fi\n\nen+fi sw\n")
    command = ("transfer", "--task", "pos", "--data", "pos", *QUICK, "-o", "gold.csv")
    done = in_process(kitchen, *command, "--pairs", "pairs.txt")
    assert done.code == 0, done.err
    gold = read_scores(kitchen / "gold.csv")
    assert np.isfinite(gold.values).tolist() == [[True, False], [False, True]]
    assert (gold.sources, gold.targets) == (("en", "en+fi"), ("fi", "sw"))


def test_pairs_with_all_of_one_side(kitchen: Path, in_process: Callable[..., Any]) -> None:
    command = ("transfer", "--task", "pos", "--data", "pos", *QUICK, "-o", "gold.csv", "--dry-run", "--json")
    every = ["en", "et", "fi", "sw"]
    for pairs, sources, targets in (("en>all", ["en"], every), ("all>et", ["en", "fi", "sw"], ["et"])):
        result = json.loads(in_process(kitchen, *command, "--pairs", pairs).out)["result"]
        assert (sorted(result["sources"]), sorted(result["targets"])) == (sources, targets)


def test_targets_can_be_added_without_training_where_models_are_kept(
    kitchen: Path, in_process: Callable[..., Any]
) -> None:
    keep = ("--keep-models", "models")
    assert in_process(kitchen, *arguments("--targets", "fi", *keep, sources="en")).code == 0
    assert sorted(path.name for path in (kitchen / "models").iterdir()) == ["en-42"]
    one = json.loads((kitchen / "gold.parquet.units" / "en-42.json").read_text())
    planned = in_process(kitchen, *arguments("--targets", "fi,sw", *keep, "--dry-run", "--json", sources="en"))
    plan = json.loads(planned.out)["result"]
    assert (plan["kept"], plan["again"], plan["training_examples"]) == ([["en", 42]], [], 0)
    assert plan["test_examples"] == plan["targets"]["sw"]
    added = in_process(kitchen, *arguments("--targets", "fi,sw", *keep, sources="en"))
    assert added.code == 0
    assert "which the kept model is tested on: en (seed 42)" in added.err
    two = json.loads((kitchen / "gold.parquet.units" / "en-42.json").read_text())
    assert two["training"] == one["training"]
    assert two["scores"]["fi"] == one["scores"]["fi"]
    assert set(two["scores"]) == {"fi", "sw"}
    # A model that was trained anew scores the same.
    assert in_process(kitchen, *arguments("--targets", "fi,sw", sources="en", output="again.parquet")).code == 0
    np.testing.assert_array_equal(
        read_scores(kitchen / "again.parquet").cells, read_scores(kitchen / "gold.parquet").cells
    )
    # What is told speaks of the targets of this command alone.
    told = in_process(kitchen, *arguments("--targets", "sw", "--json", sources="en", output="again.parquet"))
    result = json.loads(told.out)["result"]
    assert (result["summary"]["pairs"], result["runs"][0]["best_target"], list(result["trivial"])) == (1, "sw", ["sw"])


def test_a_kept_model_of_another_run_is_not_taken_for_this_one_s(kitchen: Path, in_process: Callable[..., Any]) -> None:
    keep = ("--keep-models", "models", "--targets")
    assert in_process(kitchen, *arguments(*keep, "fi", sources="en")).code == 0
    other = arguments(*keep, "fi", "--lr", "1e-2", sources="en", output="other.parquet")
    assert in_process(kitchen, *other).code == 0
    done = in_process(kitchen, *arguments(*keep, "fi,sw", sources="en"))
    assert done.code == 0
    assert "fine-tuned again: en (seed 42)" in done.err
    assert in_process(kitchen, *arguments("--targets", "fi,sw", sources="en", output="anew.parquet")).code == 0
    np.testing.assert_array_equal(
        read_scores(kitchen / "anew.parquet").cells, read_scores(kitchen / "gold.parquet").cells
    )


def test_units_of_other_sources_made_otherwise_do_not_get_into_one_file(
    kitchen: Path, in_process: Callable[..., Any]
) -> None:
    assert in_process(kitchen, *arguments(sources="en")).code == 0
    done = in_process(kitchen, *arguments("--limit", "9", sources="fi"))
    assert done.code == 1
    assert "'en' (seed 42) in 'gold.parquet.units' was made otherwise: limit (limit was 12, is 9)" in done.err
    assert read_scores(kitchen / "gold.parquet").sources == ("en",)
    assert in_process(kitchen, *arguments(sources="fi")).code == 0
    assert read_scores(kitchen / "gold.parquet").sources == ("fi", "en")


def test_a_dry_run_estimates_and_writes_nothing(kitchen: Path, in_process: Callable[..., Any]) -> None:
    done = in_process(kitchen, *arguments("--seed", "1", "--seed", "2", "--dry-run", "--json"))
    assert done.code == 0, done.err
    result = json.loads(done.out)["result"]
    assert (result["units"], len(result["todo"]), result["training_examples"]) == (4, 4, 4 * 12)
    assert result["test_examples"] == 4 * (6 + 4 * 6)
    assert (result["sources"], result["done"]) == ({"en": 12, "fi": 12}, [])
    assert result["targets"] == dict.fromkeys(("en", "et", "fi", "sw"), 6)
    times = result["seconds_an_example"]
    seconds = 48 * times["training"] + 120 * times["testing"]
    assert result["hours"] == pytest.approx(seconds / 3600)
    assert sorted(path.name for path in kitchen.iterdir()) == ["pos"]
    shown = in_process(kitchen, *arguments("--dry-run")).out
    assert "at most" in shown
    assert "training examples: en 12, fi 12; test examples: 24." in shown


def test_units_made_otherwise_are_refused(kitchen: Path, in_process: Callable[..., Any]) -> None:
    assert in_process(kitchen, *arguments(sources="en")).code == 0
    kept = (kitchen / "gold.parquet").read_bytes()
    for more, named in (
        (("--lr", "1e-3"), "learning_rate"),
        (("--limit", "11"), "limit"),
        (("--patience", "3"), "pat"),
    ):
        done = in_process(kitchen, *arguments(*more, sources="en"))
        assert done.code == 1
        assert named in done.err
        assert "give another -o" in done.err
    (kitchen / "pos" / "sw-test.txt").write_text(sentences("sw", 4, 3))
    done = in_process(kitchen, *arguments(sources="en"))
    assert done.code == 1
    assert "the test data of 'sw' are others" in done.err
    assert (kitchen / "gold.parquet").read_bytes() == kept


@pytest.mark.parametrize(
    ("more", "sources", "said"),
    [
        ((), "de", "de"),
        (("--targets", "en,deu"), "en", "deu"),
        (("--mix", "en"), "en", "is one language"),
        (("--relabel", "NOUN"), "en", "not OLD=NEW"),
        (("--pairs", "en>fi"), "en", "--pairs says the sources"),
        (("--seed", "-1"), "en", "a seed must lie between 0 and 4294967295, not -1"),
        (("--keep-models", "pos/en-train.txt"), "en", "cannot read or write 'pos/en-train.txt'"),
        (("--epochs", "0"), "en", "epochs must be at least 1"),
        (("--lr", "7"), "en", "learning rate"),
        (("--precision", "fp16"), "en", "fp16 needs a GPU"),
        (("--max-length", "999"), "en", "lower --max-length"),
        (("--metric", "f1"), "en", "has no metric 'f1'"),
    ],
)
def test_what_cannot_be_is_said(
    more: tuple[str, ...], sources: str, said: str, kitchen: Path, in_process: Callable[..., Any]
) -> None:
    done = in_process(kitchen, *arguments(*more, sources=sources))
    assert done.code in (1, 2)
    assert said in done.err
    assert "hint: " in done.err
    assert "Traceback" not in done.err
    assert not (kitchen / "gold.parquet").exists()


def test_no_source_and_no_data(kitchen: Path, in_process: Callable[..., Any]) -> None:
    start = ("transfer", "--task", "pos", *QUICK, "-o", "gold.parquet")
    assert "no source was given" in in_process(kitchen, *start, "--data", "pos").err
    assert "there is no folder 'nowhere'" in in_process(kitchen, *start, "--data", "nowhere", "--sources", "en").err
    assert in_process(kitchen, *start, "--data", "pos", "--sources", "en", "--pairs", "en").code == 2
    targeted = in_process(kitchen, *start, "--data", "pos", "--pairs", "en>fi", "--targets", "sw")
    assert (targeted.code, "--pairs says the targets by itself" in targeted.err) == (2, True)


@pytest.mark.parametrize("split", ["test", "train"])
@pytest.mark.parametrize(
    "which", [("--sources", "all"), ("--sources", "all", "--targets", "all"), ("--pairs", "all>all")]
)
def test_no_language_has_a_split(
    split: str, which: tuple[str, ...], kitchen: Path, in_process: Callable[..., Any]
) -> None:
    lost = ("train", "dev") if split == "train" else (split,)
    for path in (path for one in lost for path in (kitchen / "pos").glob(f"*-{one}.txt")):
        path.unlink()
    done = in_process(kitchen, "transfer", "--task", "pos", "--data", "pos", *QUICK, "-o", "gold.parquet", *which)
    assert done.code == 2
    use = "training" if split == "train" else "test"
    assert done.err.startswith(f"error: no language of task(pos, task=pos) has {use} data.")
    assert f"add files of {split} data" in done.err


def test_test_examples_that_were_trained_on_are_in_the_file_of_scores(
    kitchen: Path, in_process: Callable[..., Any]
) -> None:
    (kitchen / "pos" / "en-test.txt").write_bytes((kitchen / "pos" / "en-train.txt").read_bytes())
    command = (*arguments("--targets", "en,sw", sources="en"), "--test-limit", "24", "--limit", "24")
    done = in_process(kitchen, *command, "--json")
    assert done.code == 0, done.err
    said = "test examples that are training examples too: en 24 of 24 (100 %); these scores are too high."
    assert said in json.loads(done.out)["result"]["notes"]
    assert f"note: {said}" in done.err
    shown = in_process(kitchen, "gold", "show", "gold.parquet", "--json")
    assert json.loads(shown.out)["result"]["notes"] == [said]
    assert f"note: {said}" in in_process(kitchen, "gold", "show", "gold.parquet").err
    assert in_process(kitchen, *command).code == 0, "the units that are there are taken"


def test_one_bad_language_does_not_stop_the_others(kitchen: Path, in_process: Callable[..., Any]) -> None:
    (kitchen / "pos" / "fi-train.txt").write_text("one\nfield\n")
    done = in_process(kitchen, *arguments("--json"))
    assert done.code == 3
    result = json.loads(done.out)["result"]
    assert [one["language"] for one in result["failed"]] == ["fi"]
    assert "line 1 of fi-train.txt" in result["failed"][0]["error"]
    assert read_scores(kitchen / "gold.parquet").sources == ("en",)


def test_killed_and_resumed(kitchen: Path, start: list[str], in_process: Callable[..., Any]) -> None:
    command = [*start, *arguments("--seed", "1", "--seed", "2", sources="all")]
    process = subprocess.Popen(command, cwd=kitchen, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL)
    units = kitchen / "gold.parquet.units"
    wait_for(lambda: (kitchen / "gold.parquet").exists() and len(list(units.glob("*.json"))) >= 1, process)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=60)
    kept = {path.name: path.read_bytes() for path in units.glob("*.json")}
    assert 1 <= len(kept) < 6
    assert np.isfinite(read_scores(kitchen / "gold.parquet").cells).any()
    done = in_process(kitchen, *arguments("--seed", "1", "--seed", "2", sources="all"))
    assert done.code == 0, done.err
    assert np.isfinite(read_scores(kitchen / "gold.parquet").cells).all()
    assert all((units / name).read_bytes() == data for name, data in kept.items())


def test_other_test_data_in_one_file(kitchen: Path, in_process: Callable[..., Any]) -> None:
    """A column of scores is of one test set, whichever source and option came first."""
    assert in_process(kitchen, *arguments("--targets", "sw", sources="en")).code == 0
    before = (kitchen / "gold.parquet").read_bytes()
    done = in_process(kitchen, *arguments("--targets", "sw", "--test-limit", "3", sources="fi"))
    assert done.code == 1
    assert "error: the test data of 'sw' are others than when 'en' (seed 42) in" in done.err
    (kitchen / "pos" / "sw-test.txt").write_text(sentences("sw", 9, 2))
    done = in_process(kitchen, *arguments("--targets", "sw", sources="fi"))
    assert (done.code, "--test-limit or --relabel make other test data" in done.err) == (1, True)
    assert (kitchen / "gold.parquet").read_bytes() == before


def test_another_process_begins_with_other_settings(
    kitchen: Path, in_process: Callable[..., Any], run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither sees a unit of the other when it starts: the first to commit decides."""
    from xsns_stream.pipeline import finetune as transferring

    real = transferring.fine_tune

    def meanwhile(*values: Any, **named: Any) -> Any:
        other = run(kitchen, *arguments("--lr", "0.3", sources="fi"))
        assert other.returncode == 0, other.stderr
        return real(*values, **named)

    monkeypatch.setattr(transferring, "fine_tune", meanwhile)
    done = in_process(kitchen, *arguments(sources="en"))
    assert done.code == 1
    assert "'fi' (seed 42) in 'gold.parquet.units' was made otherwise: learning_rate" in done.err
    assert read_scores(kitchen / "gold.parquet").sources == ("fi",)


def test_two_processes_divide_the_units(kitchen: Path, start: list[str]) -> None:
    """The first is stopped while it holds a unit: the second makes the others, waits, and takes the unit up."""
    command = [*start, *arguments("--seed", "1", "--seed", "2", "--json")]
    pipes: dict[str, Any] = {"cwd": kitchen, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    units = kitchen / "gold.parquet.units"
    first = subprocess.Popen(command, **pipes)
    wait_for((units / "en-1.lock").exists, first)
    first.send_signal(signal.SIGSTOP)
    second = subprocess.Popen(command, **pipes)
    assert second.stderr is not None
    told = next((line for line in second.stderr if "waited for" in line), "")
    first.send_signal(signal.SIGKILL)
    first.communicate(timeout=60)
    out, err = second.communicate(timeout=100)
    assert second.returncode == 0, err
    assert told == "note: being made by another process, and waited for: en (seed 1).\n"
    result = json.loads(out)["result"]
    assert result["committed"][-1] == ["en", 1]
    assert sorted(result["committed"]) == [["en", 1], ["en", 2], ["fi", 1], ["fi", 2]]
    assert (result["by_others"], result["elsewhere"]) == ([], [])
    assert np.isfinite(read_scores(kitchen / "gold.parquet").cells).all()


def test_a_unit_that_another_process_makes_is_reported(
    kitchen: Path, in_process: Callable[..., Any], run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from xsns_stream.pipeline import finetune as transferring

    real, others = transferring.fine_tune, list[Any]()

    def meanwhile(*values: Any, **named: Any) -> Any:
        if not others:
            others.append(run(kitchen, *arguments(sources="fi")))
            assert others[0].returncode == 0, others[0].stderr
        return real(*values, **named)

    monkeypatch.setattr(transferring, "fine_tune", meanwhile)
    done = in_process(kitchen, *arguments(sources="en,fi"))
    assert done.code == 0, done.err
    assert "gold.parquet: 1 unit made, 1 made by another process, 2 there.\n" in done.out
    assert read_scores(kitchen / "gold.parquet").sources == ("en", "fi")


def test_a_model_that_cannot_be_kept_costs_no_scores(kitchen: Path, in_process: Callable[..., Any]) -> None:
    (kitchen / "models").mkdir()
    (kitchen / "models" / "en-42").write_text("a file in the way")
    done = in_process(kitchen, *arguments("--keep-models", "models", sources="en,fi"))
    assert done.code == 3
    assert "cannot be saved in 'models/en-42': Not a directory." in done.err
    assert np.isfinite(read_scores(kitchen / "gold.parquet").cells).all()
    assert sorted(path.name for path in (kitchen / "models").iterdir()) == ["en-42", "fi-42"]
    again = in_process(kitchen, *arguments("--keep-models", "models", "--dry-run", sources="en,fi"))
    assert "note: their models were not kept" in again.err
    assert ": en (seed 42)." in again.err


def test_a_pair_whose_mixture_is_one_language(kitchen: Path, in_process: Callable[..., Any]) -> None:
    command = ("transfer", "--task", "pos", "--data", "pos", *QUICK, "-o", "gold.parquet")
    done = in_process(kitchen, *command, "--pairs", "en+en>fi")
    assert done.code == 2
    assert "error: 'en+en' is one language." in done.err


def test_interrupted(kitchen: Path, start: list[str]) -> None:
    process = subprocess.Popen(
        [*start, *arguments("--seed", "1", "--seed", "2", "--seed", "3", sources="all")],
        cwd=kitchen,
        stderr=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    wait_for((kitchen / "gold.parquet").exists, process)
    process.send_signal(signal.SIGINT)
    _, told = process.communicate(timeout=60)
    assert process.returncode == 130, told
    assert "error: interrupted." in told
    assert "Traceback" not in told
    assert read_scores(kitchen / "gold.parquet").sources


def test_two_processes_share_the_work(kitchen: Path, start: list[str]) -> None:
    command = [*start, *arguments("--seed", "1", "--seed", "2", sources="all")]
    both = [
        subprocess.Popen(command, cwd=kitchen, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, text=True)
        for _ in range(2)
    ]
    told = [process.communicate(timeout=200)[1] for process in both]
    assert all(process.returncode in (0, 3) for process in both), told
    made = [line.partition("] ")[2].partition(":")[0] for text in told for line in text.splitlines() if line[:1] == "["]
    assert len(made) == len(set(made)) == 6
    assert np.isfinite(read_scores(kitchen / "gold.parquet").cells).all()


def wait_for(ready: Callable[[], bool], process: subprocess.Popen[Any]) -> None:
    """Wait until something is there, or fail with what the process said."""
    limit = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < limit
        time.sleep(0.02)


def test_nothing_heavy_for_help(start: list[str]) -> None:
    heavy = "{'torch', 'transformers', 'pandas'}"
    code = f"import sys; from xsns_stream.cli.transfer import command; print({heavy} & set(sys.modules))"
    done = subprocess.run([start[0], "-c", code], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.strip() == "set()"
