"""Pages of the tables, from synthetic scores, sub-networks and similarities; `evaluate` and `regress` are run."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support import networks
from xsns_stream.cli.reproduce import run_verb
from xsns_stream.errors import ExitCode
from xsns_stream.gold import write_scores
from xsns_stream.report import write_matrix
from xsns_stream.reproduce.config import RunConfig
from xsns_stream.reproduce.plan import RunOptions, plan
from xsns_stream.reproduce.records import read_result
from xsns_stream.reproduce.running import Outcome, reproduce
from xsns_stream.reproduce.step import Recipe, recipes
from xsns_stream.types import SimilarityMatrix
from xsns_stream.types.transfer_scores import TransferScores

TABLE1, TABLE2, TABLE3, TABLE4 = (recipes(f"table{number}")[0] for number in range(1, 5))
#: (owner, verb) of the baselines that fail in a test.
FAILING = (("any", "sue"), ("any", "l2v"), ("any", "ldnd"), ("mini", "emb"), ("mini", "nn-rank"))
LANGUAGES = ("en", "fi", "et", "sw", "zu", "de")


def value(args: Sequence[str], option: str) -> str:
    return args[args.index(option) + 1]


def write_gold(args: Sequence[str], stdout: Path) -> None:
    """Write random transfer scores from 40 to 95, higher for a language's own test set."""
    sources, targets = (tuple(value(args, side).split(",")) for side in ("--sources", "--targets"))
    seeds = tuple(int(args[index + 1]) for index, word in enumerate(args) if word == "--seed")
    scores = np.random.default_rng(70).uniform(40, 70, (1, len(seeds), len(sources), len(targets)))
    own = np.array([[source == target for target in targets] for source in sources])
    cells = np.where(own, 95.0, scores)
    task, metric = value(args, "--task"), "accuracy"
    write_scores(
        TransferScores(sources, targets, cells, task, metric, "percent", "made up", seeds=seeds), value(args, "-o")
    )
    stdout.write_text(json.dumps({"result": {"trivial": dict.fromkeys(targets, 50.0)}}))


def write_store(args: Sequence[str]) -> None:
    seeds = [int(args[index + 1]) for index, word in enumerate(args) if word == "--seed"]
    codes = value(args, "--lang").split(",")
    networks.write_all(value(args, "--store"), [networks.make_sub(code, seed) for code in codes for seed in seeds])


def write_similarities(args: Sequence[str]) -> None:
    sources, targets = (tuple(value(args, side).split(",")) for side in ("--sources", "--targets"))
    values = np.random.default_rng(len(args[1])).uniform(0, 1, (len(sources), len(targets)))
    write_matrix(SimilarityMatrix(sources, targets, values, args[1]), value(args, "-o"))


@pytest.fixture
def fails() -> set[str]:
    """Words of the commands that fail."""
    return set()


@pytest.fixture
def run(fails: set[str]) -> Callable[..., Outcome]:
    """Run recipes with synthetic outputs for slow steps."""
    real = run_verb(quiet=True)

    def verb(args: Sequence[str], log: Path, stdout: Path | None) -> int:
        if fails & set(args):
            log.write_text("error: no such model.\nhint: none.\n")
            return ExitCode.FAILURE
        if args[0] == "transfer":
            assert stdout is not None
            write_gold(args, stdout)
        elif args[0] == "build":
            write_store(args)
        elif args[0] == "baseline" and "--corpus" in args:
            write_similarities(args)
        else:
            return real(args, log, stdout)
        return ExitCode.OK

    return lambda config, *recipes: reproduce(recipes, config, verb, lambda _: None)


@pytest.fixture
def tagged(tmp_path: Path) -> Path:
    folder = tmp_path / "pos"
    folder.mkdir()
    for language in LANGUAGES:
        for split in ("train", "test"):
            (folder / f"{language}-{split}.txt").write_text("a NOUN\n\n")
    return folder


@pytest.fixture
def config(tagged: Path, tmp_path: Path) -> RunConfig:
    """The configuration of a run: POS in six languages, with the data for all rows."""
    typology, ldnd = write_tables(tmp_path)
    data = (f"pos={tagged}", f"general={write_general(tmp_path)}", f"typology={typology}", f"ldnd={ldnd}")
    options = RunOptions("embedded", tmp_path / "out", data, examples=4, command="xsns-stream reproduce all")
    return plan(options).config


def write_tables(folder: Path, known: Sequence[str] = LANGUAGES) -> tuple[Path, Path]:
    """Write features of all languages, and distances of the known ones."""
    feats = np.array([f"{group}0" for group in ("S_", "P_", "INV_")])
    codes = np.array(("eng", "fin", "est", "swa", "zul", "deu"))
    np.savez(folder / "features.npz", langs=codes, feats=feats, data=np.ones((6, 3, 1), np.float32))
    lines = [",".join([one, *("" if one == other else "90.5" for other in known)]) for one in known]
    (folder / "ldnd.csv").write_text("\n".join([",".join(["", *known]), *lines]) + "\n")
    return folder / "features.npz", folder / "ldnd.csv"


def write_general(folder: Path) -> Path:
    (folder / "general").mkdir()
    for language in LANGUAGES:
        (folder / "general" / f"{language}.txt").write_text("a line\n")
    return folder / "general"


def page(config: RunConfig, recipe: Recipe) -> str:
    return (config.out / f"{recipe.name}.md").read_text(encoding="utf-8")


def document_of(config: RunConfig, recipe: Recipe) -> Any:
    """Return the record of a recipe, which must not contain NaN or infinities."""
    document = read_result(config.out, recipe.name)
    json.dumps(document, allow_nan=False)
    return document


def lines_of(text: str, heading: str) -> dict[str, list[str]]:
    """Return {first cell: other cells} of the first table below a heading."""
    result: dict[str, list[str]] = {}
    for line in text.partition(f"{heading}\n")[2].splitlines():
        if line.startswith("|"):
            first, *cells = (cell.strip() for cell in line.strip("|").split(" | "))
            result[first.strip()] = cells
        elif result:
            break
    return result


def test_table_2_compares_predictors(config: RunConfig, run: Callable[..., Outcome]) -> None:
    result = run(config, TABLE2)
    assert (result.failed, result.left_out) == ({}, {})
    text = page(config, TABLE2)
    rows = lines_of(text, "## POS tagging")
    assert list(rows)[2:] == [
        *("L2V", "LEX", "SuE", "EMB", "NN-Rank", "LDND", "X-SNS", "random", "english", "source-mean", "ceiling"),
    ]
    assert rows["predictor"] == ["Pearson", "Spearman", "Top-1", "NDCG@3", "regret", "NDCG@3 minus X-SNS", "p (Holm)"]
    assert rows["X-SNS"][-2:] == ["–", "–"]
    document = document_of(config, TABLE2)
    evaluated = document["result"]["tasks"]["pos"]["evaluation"]
    mean = next(one for one in evaluated["predictors"] if one["name"] == "LEX")["metrics"]["pearson"]["mean"]
    assert rows["LEX"][0].startswith(f"{100 * mean:.2f} [".replace("-", "−"))
    overview = lines_of(text, "# Table 2: sub-networks against other predictors of transfer")
    assert overview["NDCG@3"] == ["POS tagging (6)"]
    assert overview["LEX"] == [rows["LEX"][3]]
    assert "The mean accuracy of the fine-tuned models is 95.0 on the source's own test set" in text
    assert "The trivial answer, which needs no model, has 50.0; " in text
    assert "not comparable" in text
    assert lines_of(text, "## The paper's numbers")["POS tagging"][-1].endswith("83.73")
    assert "\nxsns-stream reproduce all\nxsns-stream transfer --task pos --model mini " in text
    assert document["setting"]["tasks"]["pos"]["tuning_seeds"] == [42, 16, 10]


def test_pages_are_the_same_every_time(config: RunConfig, run: Callable[..., Outcome], tmp_path: Path) -> None:
    run(config, TABLE2)
    first = {path.name: path.read_bytes() for path in config.out.glob("table2.*")}
    run(config, TABLE2)
    assert {path.name: path.read_bytes() for path in config.out.glob("table2.*")} == first
    assert len(first) == 2


def test_rows_whose_tables_are_missing(config: RunConfig, run: Callable[..., Outcome]) -> None:
    without = replace(config, typology=None, ldnd=None)
    run(without, TABLE2)
    text = page(without, TABLE2)
    assert not {"L2V", "LDND"} & set(lines_of(text, "## POS tagging"))
    assert "* There is no row L2V, because it needs --data typology=feature\\_predictions.npz." in text


def test_a_predictor_that_lacks_languages_is_compared_separately(
    run: Callable[..., Outcome], tmp_path: Path, tagged: Path
) -> None:
    """The predictor is compared on the languages that it knows; the others are compared on the whole pool."""
    _, ldnd = write_tables(tmp_path, LANGUAGES[:4])
    options = RunOptions(
        "embedded", tmp_path / "less", (f"pos={tagged}", f"ldnd={ldnd}"), tuning_seeds=(1,), fisher_seeds=(1,)
    )
    less = plan(options).config
    run(less, TABLE2)
    text = page(less, TABLE2)
    assert "LDND" not in lines_of(text, "## POS tagging")
    assert list(lines_of(text, "On the 4 targets that it knows:"))[2:4] == ["LDND", "X-SNS"]
    assert document_of(less, TABLE2)["result"]["tasks"]["pos"]["apart"]["LDND"]["against"] == "X-SNS"


def test_a_predictor_that_knows_few_languages_is_left_out(
    run: Callable[..., Outcome], tmp_path: Path, tagged: Path
) -> None:
    _, ldnd = write_tables(tmp_path, LANGUAGES[:2])
    options = RunOptions(
        "embedded", tmp_path / "less", (f"pos={tagged}", f"ldnd={ldnd}"), tuning_seeds=(1,), fisher_seeds=(1,)
    )
    less = plan(options).config
    result = run(less, TABLE2)
    assert result.failed == {}
    assert "POS tagging has no row LDND: it has values for 2 of 6 sources and 2 of 6 targets." in page(less, TABLE2)


def test_a_failed_baseline_has_no_row(config: RunConfig, run: Callable[..., Outcome], fails: set[str]) -> None:
    fails.add("nn-rank")
    result = run(config, TABLE2)
    assert result.failed == {"mini.pos.nn-rank": "no such model."}
    text = page(config, TABLE2)
    assert "NN-Rank" not in lines_of(text, "## POS tagging")
    assert "The step mini.pos.nn-rank failed: no such model." in text


def test_recipes_are_left_out_without_scores(config: RunConfig, run: Callable[..., Outcome], fails: set[str]) -> None:
    fails.add("transfer")
    result = run(config, TABLE1, TABLE2, TABLE3)
    assert result.results == {}
    assert set(result.left_out) == {"table1", "table2", "table3"}


def test_table_1_compares_texts_and_objectives(config: RunConfig, run: Callable[..., Outcome]) -> None:
    result = run(config, TABLE1)
    assert result.failed == {}
    text = page(config, TABLE1)
    rows = lines_of(text, "## POS tagging")
    assert list(rows)[2:5] == ["task text, LM", "task text, task head", "general text, LM"]
    assert lines_of(text, "## The paper's numbers")["POS tagging"][0] == "task text, task head"
    assert "--objective token-classification" in text
    without = replace(config, general=None)
    run(without, TABLE1)
    assert "general text, LM" not in lines_of(page(without, TABLE1), "## POS tagging")


def test_table_3_compares_regressions(config: RunConfig, run: Callable[..., Outcome], fails: set[str]) -> None:
    fails |= {verb for _, verb in FAILING}
    result = run(config, TABLE3)
    assert set(result.failed) == {f"{owner}.pos.{verb}" for owner, verb in FAILING}
    text = page(config, TABLE3)
    rows = lines_of(text, "## POS tagging")
    assert rows["predictor"][:4] == ["model", "in sample", "leave one target out", "leave one source out"]
    assert len([line for line in text.splitlines() if line.startswith("| X-SNS |")]) == 2
    document = document_of(config, TABLE3)
    fit = document["result"]["tasks"]["pos"]["fits"]["X-SNS, mixed"]
    table_row = next(line for line in text.splitlines() if line.startswith("| X-SNS | random intercept"))
    assert f"| {fit['errors'][0]['rmse']:.2f} |" in table_row
    assert "| POS tagging | least squares | 9.58 |" in text


def test_table_4_compares_models_with_controls(
    config: RunConfig, run: Callable[..., Outcome], fails: set[str], tiny_folder: Path
) -> None:
    other = replace(config, model=str(tiny_folder), other_models=("google/mt5-base",), controls=("random", "shuffled"))
    fails.add("google/mt5-base")
    result = run(other, TABLE4)
    assert result.results
    text = page(other, TABLE4)
    assert ", random weights\n" in text
    assert ", shuffled weights\n" in text
    assert "* google/mt5-base: no such model." in text
    assert "python -m xsns_stream.reproduce.actions random-weights" in text
    random_model = other.path("random-init")
    assert (random_model / "model.safetensors").read_bytes() != (tiny_folder / "model.safetensors").read_bytes()
    models = document_of(other, TABLE4)["result"]["models"]
    assert list(models) == [str(tiny_folder), f"{tiny_folder}, weights drawn anew", f"{tiny_folder}, weights shuffled"]
    assert document_of(other, TABLE4)["result"]["lacking"] == ["google/mt5-base: no such model."]


def test_table_4_is_left_out_without_another_model(config: RunConfig, run: Callable[..., Outcome]) -> None:
    result = run(replace(config, controls=()), TABLE4)
    assert result.left_out["table4"].hint == "name one with --other-model."


def test_comparable_numbers_of_the_paper_are_shown(tmp_path: Path, run: Callable[..., Outcome]) -> None:
    """With the paper's model, data and sizes, the numbers are comparable."""
    config = plan(RunOptions("paper", tmp_path / "out", tasks=("pi",))).config
    run(config, TABLE2)
    text = page(config, TABLE2)
    assert "Model, languages and sizes are the same for Paraphrase identification; " in text
    assert "not comparable" not in text
    smaller = plan(RunOptions("paper", tmp_path / "less", tasks=("pi",), limit=100)).config
    run(smaller, TABLE2)
    assert "not comparable" in page(smaller, TABLE2)


def test_markup_in_model_names_is_escaped(config: RunConfig, run: Callable[..., Outcome]) -> None:
    odd = replace(config, controls=(), other_models=("a/<b>|`c`",), typology=None, ldnd=None)
    run(odd, TABLE4)
    assert "## a/&lt;b&gt;\\|\\`c\\`\n" in page(odd, TABLE4)
