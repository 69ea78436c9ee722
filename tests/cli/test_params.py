"""The verb `params`: table, JSON, errors."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest

from tests.support.streams import without_next
from xsns_stream.models import load_model, parameter_layout

SIZE = 2 * (4 * (32 * 32 + 32) + 2 * 32 * 64 + 64 + 32 + 4 * 32)


def test_measured_and_left_out_parameters_are_listed(xsns: Any, tiny_folder: Path) -> None:
    completed = xsns("params", tiny_folder)
    assert completed.code == 0
    lines = [line.strip() for line in completed.out.splitlines()]
    measured, out = lines.index("measured (θ)"), lines.index("left out")
    block = f"{SIZE // 2:,}"
    assert [line.split() for line in lines[measured + 2 : out]] == [
        ["roberta.encoder.layer.0", "16", block],
        ["roberta.encoder.layer.1", "16", block],
    ]
    assert not any("roberta.encoder.layer." in line for line in lines[out:])
    # The embedding matrix has two names, because it is tied; which one is listed depends on the version of the library.
    assert sum("16384 × 32" in line for line in lines[out:]) == 1
    assert any("lm_head.bias" in line for line in lines[out:])
    assert f"tiny, masked-lm: P = {SIZE:,} parameters measured in 2 blocks, " in lines[-1]
    assert f"A sub-network takes {-(-SIZE // 8):,} bytes." in lines[-1]
    assert without_next(completed.err) == ""


def test_every_tensor_is_listed_on_request(xsns: Any, tiny_folder: Path) -> None:
    lines = [line.strip() for line in xsns("params", tiny_folder, "--tensors").out.splitlines()]
    measured, out = lines.index("measured (θ)"), lines.index("left out")
    assert sum("roberta.encoder.layer." in line for line in lines[measured:out]) == 32


def test_parameters_are_chosen(xsns: Any, tiny_folder: Path) -> None:
    options = ["--include", "lm_head.dense", "--exclude", r"layer\.0\."]
    result = json.loads(xsns("params", tiny_folder, *options, "--json").out)["result"]
    assert [block["name"] for block in result["blocks"]] == ["roberta.encoder.layer.1", "other"]
    assert [block["size"] for block in result["blocks"]] == [SIZE // 2, 32 * 32 + 32]
    assert not any("layer.0." in entry["name"] for entry in result["measured"])
    completed = xsns("params", tiny_folder, "--stack", "decoder")
    assert (completed.code, completed.out) == (2, "")


def test_the_objective_decides_which_head_is_left_out(xsns: Any, tiny_folder: Path) -> None:
    completed = xsns("params", tiny_folder, "--objective", "sequence-classification", "--json")
    result = json.loads(completed.out)["result"]
    assert (result["objective"], result["parameters"]) == ("sequence-classification", SIZE)
    assert any(entry["name"].startswith("classifier.") for entry in result["left_out"])
    completed = xsns("params", tiny_folder, "--objective", "causal-lm")
    assert (completed.code, completed.out) == (1, "")


def test_the_check_accepts_weights_in_half_precision(xsns: Any, tiny_folder: Path) -> None:
    completed = xsns("params", tiny_folder, "--dtype", "bfloat16", "--check")
    assert completed.code == 0
    assert "check: 32 of 32 tensors are measured by a rule" in completed.out


def test_json_has_every_parameter(xsns: Any, tiny_folder: Path) -> None:
    completed = xsns("params", tiny_folder, "--json")
    assert (completed.code, completed.err) == (0, "")
    document = json.loads(completed.out)
    assert (document["schema_version"], document["command"]) == (1, "params")
    result = document["result"]
    layout = parameter_layout(load_model(str(tiny_folder)).model)
    assert (result["model"], result["parameters"], result["layout_digest"]) == ("tiny", SIZE, layout.digest)
    assert [entry["name"] for entry in result["measured"]] == list(layout.names)
    assert all(entry["size"] == math.prod(entry["shape"]) for entry in result["measured"] + result["left_out"])
    assert sum(entry["size"] for entry in result["measured"]) == SIZE
    assert "check" not in result


def test_the_check_names_the_rule_of_every_module(xsns: Any, tiny_folder: Path) -> None:
    completed = xsns("params", tiny_folder, "--check")
    assert completed.code == 0
    assert (
        "check: 32 of 32 tensors are measured by a rule, which is exact; 0 are measured one example at a time; "
        "largest error " in completed.out
    )
    lines = [line.split() for line in completed.out.splitlines()]
    table = lines[lines.index(["check"]) + 2 : -1]
    assert [(line[0], line[1], line[2:-1]) for line in table] == [
        ("LayerNorm", "8", ["rule", "layer", "norm"]),
        ("Linear", "24", ["rule", "linear"]),
    ]
    assert all(float(line[-1]) < 1e-4 for line in table)


def test_json_has_the_result_of_the_check_for_every_tensor(xsns: Any, tiny_folder: Path) -> None:
    result = json.loads(xsns("params", tiny_folder, "--check", "--json").out)["result"]
    assert [entry["name"] for entry in result["check"]] == [entry["name"] for entry in result["measured"]]
    assert all(
        entry["exact"] and entry["by_rule"] and entry["rule"] and entry["error"] < 1e-4 for entry in result["check"]
    )


def test_the_embedded_model_is_known_by_name(xsns: Any) -> None:
    result = json.loads(xsns("params", "mini", "--json").out)["result"]
    assert (result["model"], result["parameters"]) == ("mini", 3_159_040)


def test_a_folder_without_weights_is_refused(xsns: Any, tmp_path: Path) -> None:
    completed = xsns("params", tmp_path)
    assert (completed.code, completed.out) == (1, "")
    assert completed.err.startswith(f"error: the model '{tmp_path}' has no .safetensors weights.\nhint: convert it")


@pytest.mark.parametrize("name", ["nowhere", "./nowhere"])
def test_an_unknown_model_is_refused(name: str, xsns: Any) -> None:
    completed = xsns("params", name)
    assert (completed.code, completed.out) == (1, "")
    assert completed.err.startswith(f"error: there is no model folder '{name}'.\nhint: give `mini`")


def test_the_model_argument_is_required(xsns: Any) -> None:
    completed = xsns("params")
    assert (completed.code, completed.out) == (2, "")
    assert completed.err == "error: Missing argument 'MODEL'.\nhint: see `xsns-stream params --help`.\n"
