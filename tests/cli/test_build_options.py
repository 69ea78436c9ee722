"""The verb `build`: valid and invalid options, and models."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path
from typing import Any

import pytest
from safetensors.torch import load_file, save_file

from xsns_stream.errors import UsageError
from xsns_stream.pipeline.settings import parse_bytes
from xsns_stream.store import open_store

pytestmark = pytest.mark.xdist_group("build")


# -------------------------------------------------------------------------------------- invalid options


def test_an_unknown_language_is_an_error(build: Any, tmp_path: Path) -> None:
    completed = build(lang="sw,swahilli")
    assert (completed.code, completed.out) == (2, "")
    assert (
        completed.err
        == "error: no language 'swahilli' in the corpus folder(texts).\nhint: did you mean 'sw' (Swahili)?\n"
    )
    assert not (tmp_path / "x.zarr").exists()


@pytest.mark.parametrize("density", ["0", "2", "-0.1", "nan"])
def test_an_invalid_density_is_an_error(density: str, build: Any, tmp_path: Path) -> None:
    completed = build(density=density)
    assert (completed.code, completed.out) == (2, "")
    assert re.match(r"error: the density must be in \(0, 1\], not [-\w.]+\.\n", completed.err)
    assert "hint: write 15 %, the value in the paper, as 0.15." in completed.err
    assert not (tmp_path / "x.zarr").exists()


@pytest.mark.parametrize(
    ("option", "value", "message"),
    [
        ("examples", "0", "error: the number of examples must be at least 1, not 0."),
        ("batch", "0", "error: the batch size must be at least 1, not 0."),
        ("mask_rate", "1", "error: the mask rate must be between 0 and 1, not 1.0."),
        ("max_length", "2", "error: the maximum length must be at least 3 tokens, not 2."),
        (
            "max_length",
            "65",
            "error: the model 'tiny' supports at most 64 tokens, not 65.\nhint: give `--max-length",
        ),
        ("seed", "-1", "error: a seed must be between 0 and 2^63 − 1, not -1."),
        ("seed", "x", "error: Invalid value for '--seed'"),
        ("density", "x", "error: Invalid value for '--density'"),
        ("token_reduction", "max", "error: Invalid value for '--token-reduction'"),
        ("revision_of", "x", "error: No such option"),
        ("batch", "many", "error: Invalid value for '--batch': 'many' is neither a number nor auto."),
        (
            "memory",
            "much",
            "error: Invalid value for '--memory': 'much' is not a size.\nhint: write 500MB",
        ),
        ("memory", "0", "error: the memory limit in bytes must be at least 1, not 0."),
        ("objective", "lm", "error: Invalid value for '--objective'"),
        ("mean_span", "3", "error: masked-lm does not use the option 'mean span'."),
        (
            "scored_share",
            "0.15",
            "error: masked-lm does not use the option 'scored share'.\n"
            "hint: it scores the hidden tokens, whose share is `--mask-rate`.",
        ),
        ("stack", "encoder", "error: "),
        ("include", "no such name", "error: "),
        ("label_column", "x", "error: --label-column does not apply to the objective auto.\nhint: omit --label"),
        (
            "check_every",
            "5",
            "error: --check-every needs --until-stable, which is missing.\nhint: give both",
        ),
        ("at_least", "5", "error: --at-least needs --until-stable, which is missing."),
        ("until_stable", "2", "error: the coefficient at which a row is stable must be in (0, 1], not 2.0."),
        ("keep_fisher", "int8", "error: Invalid value for '--keep-fisher'"),
    ],
)
def test_an_invalid_option_is_an_error(option: str, value: str, message: str, build: Any, tmp_path: Path) -> None:
    completed = build(**{option: value})
    assert (completed.code, completed.out) == (2, "")
    assert completed.err.startswith(message)
    assert "\nhint: " in completed.err or option in ("examples", "batch", "mask_rate", "max_length", "seed", "memory")
    assert not (tmp_path / "x.zarr").exists()


def test_a_missing_corpus_is_an_error(xsns: Any, tmp_path: Path) -> None:
    completed = xsns("build", "--corpus", "wikian", "--store", tmp_path / "x.zarr")
    assert (completed.code, completed.out) == (1, "")
    assert completed.err.startswith("error: there is no corpus 'wikian'")
    assert "hint: did you mean wikiann?" in completed.err


# --------------------------------------------------------------------------------------- what is measured


def test_a_causal_model_predicts_the_next_token(build: Any, causal: Path, tmp_path: Path) -> None:
    completed = build(model=causal)
    assert completed.code == 0, completed.err
    store = open_store(tmp_path / "x.zarr")
    assert store.experiment["objective"] == "causal-lm(max_length=24)"
    assert any("attn" in name for name in store.layout.names)
    completed = build(model=causal, mask_rate="0.2", store=tmp_path / "y.zarr")
    assert (completed.code, completed.err.splitlines()[0]) == (
        2,
        "error: causal-lm does not use the option 'mask rate'.",
    )


def test_a_share_of_the_next_tokens_is_scored(build: Any, causal: Path, xsns: Any, tmp_path: Path) -> None:
    for share in ("0", "1.5", "nan"):
        done = build(model=causal, scored_share=share)
        assert (done.code, done.out) == (2, "")
        assert done.err.startswith("error: the scored share must be in (0, 1], not ")
    assert build("--dry-run", model=causal, scored_share="0.15").code == 0
    assert build(model=causal, scored_share="0.15", lang="sw").code == 0
    objective = "causal-lm(max_length=24,scored_share=0.15)"
    store = tmp_path / "x.zarr"
    assert objective in xsns("info", "--store", store).out
    assert json.loads(xsns("info", "--store", store, "--json").out)["result"]["experiment"]["objective"] == objective
    taken = json.loads(xsns("build", "--store", store, "--lang", "fi", "--json").out)["result"]["taken"]
    assert taken["scored_share"] == 0.15
    done = build(model=causal, scored_share="0.3")
    assert done.code == 1
    assert f"objective is '{objective}' in the store and 'causal-lm(max_length=24,scored_share=0.3)' here" in done.err
    assert "\nhint: " in done.err


def test_a_task_with_labels_can_be_measured(build: Any, tmp_path: Path) -> None:
    corpus = tmp_path / "labelled"
    corpus.mkdir()
    for language, words in (("sw", "habari mtoto"), ("fi", "hyvää lapsi")):
        lines = [json.dumps({"text": f"{words} {n}", "topic": ("news", "sport", "weather")[n % 3]}) for n in range(9)]
        (corpus / f"{language}.jsonl").write_text("\n".join(lines) + "\n", encoding="utf-8")
    options = {"objective": "sequence-classification", "label_column": "topic", "head_seed": 3}
    completed = build(corpus=corpus, **options)
    assert completed.code == 0, completed.err
    experiment = open_store(tmp_path / "x.zarr").experiment
    assert experiment["objective"].startswith("sequence-classification(labels=3")
    assert experiment["head"] == "seed=3"
    completed = build(corpus=corpus, **(options | {"head_seed": 4}))
    assert "head is 'seed=3' in the store and 'seed=4' here" in completed.err


def test_parameters_are_chosen_by_name(build: Any, tmp_path: Path) -> None:
    assert build("--include", r"lm_head\.dense", "--exclude", r"layer\.1\.", "--exclude", "bias$").code == 0
    names = open_store(tmp_path / "x.zarr").layout.names
    assert "lm_head.dense.weight" in names
    assert not any("layer.1." in name or name.endswith("bias") for name in names)


def test_an_estimator_is_recorded(build: Any, tmp_path: Path) -> None:
    assert build(estimator="authors", lang="sw").code == 0
    assert open_store(tmp_path / "x.zarr").experiment["estimator"] == "authors(batch=4)"
    assert build(estimator="authors", batch=2, lang="sw", store=tmp_path / "y.zarr").code == 0
    assert open_store(tmp_path / "y.zarr").experiment["estimator"] == "authors(batch=2)"
    assert build(labels="sample", estimator="grad-abs", lang="sw", store=tmp_path / "z.zarr").code == 0
    estimator = open_store(tmp_path / "z.zarr").experiment["estimator"]
    assert estimator == "grad-abs(token_reduction=sum,labels=sample)"


def test_split_half_and_stability_are_reported(build: Any, tmp_path: Path) -> None:
    options = {"examples": 20, "until_stable": 0.01, "check_every": 6, "at_least": 12}
    completed = build("--split-half", "--quiet", **options)
    assert completed.code == 0
    first, halves, used = completed.out.splitlines()
    assert first.endswith("x.zarr: 2 rows measured, 0 already present, 0 failed.")
    assert re.fullmatch(r"split-half Jaccard: 0\.\d{3} on average, 0\.\d{3} at lowest \(\w\w, seed 42\)\.", halves)
    assert used == "until stable: 12 examples per row on average, from 12 to 12."
    completed = build("--split-half", "--json", seed=7, **options)
    known = json.loads(completed.out)["result"]["reliability"]
    assert [(row["language"], row["seed"]) for row in known] == [("sw", 7), ("fi", 7)]
    assert all(0 < row["split_half"] < 1 and len(row["stability"]) == 2 for row in known)
    assert ", split-half 0." in completed.err


def test_info_shows_the_reliability_of_rows(build: Any, xsns: Any, tmp_path: Path) -> None:
    options = {"examples": 20, "until_stable": 0.01, "check_every": 6, "at_least": 12}
    assert build("--split-half", "--keep-fisher", "bf16", **options).code == 0
    out = xsns("info", "--store", tmp_path / "x.zarr").out
    fields = {line[:17].strip(): line[17:].strip() for line in out.splitlines()}
    assert re.fullmatch(r"Jaccard 0\.\d+ on average, 0\.\d+ at lowest \(\w\w, seed 42\)", fields["split-half"])
    assert fields["last check"].startswith("Jaccard 0.")
    assert fields["examples used"] == "12 to 12 per row"
    assert fields["Fisher values"].startswith("2 rows as bf16, ")
    assert fields["stopping"].startswith("until-stable(jaccard=0.01,")
    result = json.loads(xsns("info", "--store", tmp_path / "x.zarr", "--json").out)["result"]
    assert [row["language"] for row in result["reliability"]] == ["fi", "sw"]
    assert (result["kept_rows"], result["kept_fisher"]) == (2, ["bf16"])


def test_a_histogram_is_another_experiment_than_exact_thresholds(build: Any, tmp_path: Path) -> None:
    completed = build("--json", quantile="histogram")
    assert (completed.code, json.loads(completed.out)["result"]["quantile"]) == (0, "histogram")
    assert "thresholds are estimated, within 0.8 % of the exact thresholds" in completed.err
    assert open_store(tmp_path / "x.zarr").experiment["quantile"] == "histogram"
    again = build(quantile="exact")
    assert again.code != 0
    assert "contains another experiment: quantile is 'histogram' in the store and '' here" in again.err
    assert build(quantile="middle").err.startswith("error: Invalid value for '--quantile'")


def test_saved_fisher_values_give_other_densities(build: Any, xsns: Any, tmp_path: Path) -> None:
    assert build("--keep-fisher").code == 0
    completed = build(density="0.05")
    assert completed.code == 0
    assert completed.err.count("(from stored Fisher values)") == 2
    assert xsns("verify", "--store", tmp_path / "x.zarr").out == "4 rows verified, and Fisher values of 2 rows\n"
    store = open_store(tmp_path / "x.zarr")
    assert store.densities == (0.05, 0.15)
    small, large = (store.read("sw", density=density).to_numpy() for density in (0.05, 0.15))
    assert (small & large).sum() == small.sum()


def test_a_misspelt_language_beside_all_is_an_error(build: Any, xsns: Any, tmp_path: Path) -> None:
    completed = build(lang="all,bogus")
    assert (completed.code, completed.out) == (2, "")
    assert completed.err.startswith("error: no language 'bogus' in the corpus folder(texts).")
    assert build(lang="all,sw", examples=2).code == 0
    store = tmp_path / "x.zarr"
    assert len(open_store(store).languages) == 6
    completed = xsns("rank", "--store", store, "--target", "sw", "--sources", "all,bogus")
    assert (completed.code, completed.err.startswith(f"error: no language 'bogus' in the store '{store}'.")) == (
        2,
        True,
    )
    assert xsns("rank", "--store", store, "--target", "sw", "--sources", "all,fi").code == 0


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("1500", 1500),
        ("500k", 500_000),
        ("2GB", 2 * 10**9),
        ("2 gb", 2 * 10**9),
        ("1.5G", 1_500_000_000),
        ("3MB", 3_000_000),
        ("2GiB", 2 * 2**30),
        ("64Ki", 65_536),
        ("1TiB", 2**40),
        ("7B", 7),
    ],
)
def test_sizes_are_read_with_their_units(text: str, size: int) -> None:
    assert parse_bytes(text) == size


@pytest.mark.parametrize("text", ["", "GB", "2XB", "-1", "1e9", "2iB", "two"])
def test_an_invalid_size_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is not a size"):
        parse_bytes(text)


# ----------------------------------------------------------------------------------------------- models


def test_damaged_weights_are_an_error(build: Any, tiny_copy: Path, tmp_path: Path) -> None:
    path = tiny_copy / "model.safetensors"
    path.write_bytes(path.read_bytes()[:5000])
    completed = build(model=tiny_copy)
    assert (completed.code, completed.out) == (1, "")
    assert f"error: the weights of model '{tiny_copy}' cannot be read: " in completed.err
    assert "hint: the files may be incomplete; download or export them again." in completed.err
    assert not (tmp_path / "x.zarr").exists()


def test_weights_that_are_nan_are_an_error(build: Any, tiny_copy: Path) -> None:
    weights = load_file(tiny_copy / "model.safetensors")
    name = "roberta.encoder.layer.1.attention.output.dense.weight"
    weights[name][3, 3] = math.nan
    save_file(weights, tiny_copy / "model.safetensors", metadata={"format": "pt"})
    completed = build(model=tiny_copy)
    assert completed.code == 3
    for language in ("sw", "fi"):
        (line,) = [line for line in completed.err.splitlines() if line.startswith(f"failed: {language} (seed 42): ")]
        assert f"parameter '{name}'" in line
        assert f"language '{language}'" in line
    assert "error: 2 of 2 rows failed: sw, fi." in completed.err


@pytest.fixture(scope="module")
def causal(tmp_path_factory: pytest.TempPathFactory, tiny_folder: Path) -> Path:
    """A model folder: GPT-2 with 2 layers, random weights, and the tokenizer of the embedded model."""
    import torch
    from transformers import AutoTokenizer, GPT2Config, GPT2LMHeadModel

    folder = tmp_path_factory.mktemp("causal") / "gpt"
    rows = len(AutoTokenizer.from_pretrained(tiny_folder))
    config = GPT2Config(
        vocab_size=rows, n_positions=64, n_embd=32, n_layer=2, n_head=2, pad_token_id=1, bos_token_id=0, eos_token_id=2
    )
    with torch.random.fork_rng():
        torch.manual_seed(4)
        GPT2LMHeadModel(config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(tiny_folder / name, folder / name)
    return folder


def test_a_missing_model_is_an_error(build: Any, tmp_path: Path) -> None:
    completed = build(model=tmp_path / "nothing")
    assert (completed.code, completed.out) == (1, "")
    assert (
        f"error: there is no model folder '{tmp_path / 'nothing'}'.\nhint: give `mini`, a local folder" in completed.err
    )


def test_a_moved_model_is_the_same_model(build: Any, tiny_copy: Path, tmp_path: Path) -> None:
    """Only the name and the content of the folder count, so that a store can be continued on another machine."""
    moved = Path(shutil.copytree(tiny_copy, tmp_path / "elsewhere" / "model"))
    assert build(model=tiny_copy, lang="sw").code == 0
    assert build(model=moved, lang="fi").code == 0
    assert open_store(tmp_path / "x.zarr").languages == ("fi", "sw")
