"""Results of the self-check are saved in memory for a model, and on disk for a kind of model if requested."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from torch import nn

from xsns_stream.fisher import diagonal_fisher, self_check, selfcheck, without_rules
from xsns_stream.io.cache_folder import FOLDER_VARIABLE
from xsns_stream.models import parameter_layout

BLOCK = "roberta.encoder.layer.0."


@pytest.fixture
def checks(monkeypatch) -> list[str]:
    """Collect one entry for each computation of the reference."""
    names: list[str] = []
    plain = selfcheck.reference_fisher

    def counting(model, *args, **kwargs):
        names.append(type(model).__name__)
        return plain(model, *args, **kwargs)

    monkeypatch.setattr(selfcheck, "reference_fisher", counting)
    return names


@pytest.fixture
def folder(monkeypatch, tmp_path) -> Path:
    monkeypatch.setenv(FOLDER_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


def entries(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def slow_by_nature(make_model):
    """A model with a parameter that no rule covers."""
    model = make_model("xlm-roberta")
    model.roberta.encoder.layer[0].output.dense = TwoMatrices(model.roberta.encoder.layer[0].output.dense)
    return model


class TwoMatrices(nn.Module):
    """y = A (I + left · right): parameters of a kind that no rule covers."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        generator = torch.Generator().manual_seed(4)
        for name, shape in (("left", (32, 3)), ("right", (3, 32))):
            values = torch.randn(shape, generator=generator, dtype=torch.float64)
            self.register_parameter(name, nn.Parameter(values.to(next(inner.parameters()).dtype)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.inner(x)
        return y + y @ self.left @ self.right


SLOW = (f"{BLOCK}output.dense.left", f"{BLOCK}output.dense.right")


# ------------------------------------------------------------------------------------ in memory


def test_each_model_is_checked_once(make_model, draw, collate, checks, folder) -> None:
    model, batches = make_model("bert"), collate(draw((6, 4)), 2)
    layout = parameter_layout(model)
    for _ in range(3):
        diagonal_fisher(model, batches, layout)
        assert without_rules(model, layout) == ()
    assert len(checks) == 1
    without_rules(make_model("bert"), layout)
    assert len(checks) == 2, "another model of the kind is checked again"
    model.float()
    without_rules(model, layout)
    assert len(checks) == 3, "the same model in another precision is checked again"
    assert not entries(folder), "nothing is written without a request"


def test_only_parameters_without_a_rule_are_measured_one_by_one(make_model, draw, collate, truth, errors) -> None:
    model, examples = slow_by_nature(make_model), draw((6, 9, 4))
    layout = parameter_layout(model)
    assert without_rules(model, layout) == SLOW
    assert {check.name for check in self_check(model, layout) if not check.by_rule} == set(SLOW)
    result = diagonal_fisher(model, collate(examples, 3), layout).to_dict()
    assert max(errors(result, truth(model, examples, layout.names)).values()) <= 1e-12


@pytest.mark.parametrize("budget", [1, 20_000, 10**9])
def test_a_check_in_groups_gives_the_same_result(budget, make_model, checks) -> None:
    model = slow_by_nature(make_model)
    layout = parameter_layout(model)
    at_once = self_check(model, layout)
    in_groups = self_check(model, layout, budget=budget)
    assert [(c.name, c.rule, c.exact) for c in in_groups] == [(c.name, c.rule, c.exact) for c in at_once]
    assert (len(checks) == 2) == (budget == 10**9)


# ------------------------------------------------------------------------------------- on disk


def test_a_kind_of_model_is_checked_once(make_model, checks, folder) -> None:
    for _ in range(3):
        model = make_model("xlm-roberta")
        assert without_rules(model, parameter_layout(model), cached=True) == ()
    assert len(checks) == 1
    (entry,) = entries(folder)
    document = json.loads(entry.read_text(encoding="utf-8"))
    assert document["without_rules"] == []
    assert document["model"].endswith("XLMRobertaForMaskedLM")
    assert document["torch"] == torch.__version__


def test_names_measured_one_by_one_are_remembered(make_model, checks, folder) -> None:
    for _ in range(2):
        model = slow_by_nature(make_model)
        assert without_rules(model, parameter_layout(model), cached=True) == SLOW
    assert len(checks) == 1


@pytest.mark.parametrize(
    "other",
    [
        {"num_hidden_layers": 1},
        {"hidden_act": "relu"},
        {"attn_implementation": "eager"},
        {"layer_norm_eps": 1e-3},
        {"dtype": torch.float32},
    ],
    ids=lambda other: next(iter(other)),
)
def test_another_kind_is_checked(other, make_model, checks, folder) -> None:
    for settings in ({}, other):
        model = make_model("xlm-roberta", **settings)
        without_rules(model, parameter_layout(model), cached=True)
    assert len(checks) == 2
    assert len(entries(folder)) == 2


def test_another_class_or_layout_or_library_is_checked(make_model, checks, folder, monkeypatch) -> None:
    def check(family: str, **settings) -> None:
        model = make_model(family, **settings)
        without_rules(model, parameter_layout(model), cached=True)

    check("bert")
    check("roberta")
    assert len(checks) == 2
    model = make_model("bert")
    layout = parameter_layout(model)
    first = type(layout)(layout.names[:3], layout.shapes[:3], layout.layers[:1])
    without_rules(model, first, cached=True)
    assert len(checks) == 3
    monkeypatch.setattr(torch, "__version__", "0.0")
    check("bert")
    assert len(checks) == 4


@pytest.mark.parametrize(
    "damage",
    [
        b"",
        b"{",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'{"without_rules": []}',
        b'{"schema_version": 999, "without_rules": []}',
        b'{"schema_version": 1}',
        b'{"schema_version": 1, "without_rules": null}',
        b'{"schema_version": 1, "without_rules": ["no.such.parameter"]}',
        b'{"schema_version": 1, "without_rules": [["a"]]}',
        b'{"schema_version": 1, "without_rules": 3}',
        b'{"schema_version": 1, "without_rules": "abc"}',
    ],
)
def test_a_damaged_entry_is_computed_again(damage, make_model, checks, folder) -> None:
    model = slow_by_nature(make_model)
    without_rules(model, parameter_layout(model), cached=True)
    (entry,) = entries(folder)
    good = json.loads(entry.read_text(encoding="utf-8"))
    entry.write_bytes(damage)
    model = slow_by_nature(make_model)
    assert without_rules(model, parameter_layout(model), cached=True) == SLOW
    assert len(checks) == 2
    assert [json.loads(path.read_text(encoding="utf-8")) for path in entries(folder)] == [good]


def test_a_folder_that_cannot_be_written_costs_a_check(make_model, checks, folder) -> None:
    folder.write_text("a file stands where the folder would be", encoding="utf-8")
    for _ in range(2):
        model = make_model("xlm-roberta")
        assert without_rules(model, parameter_layout(model), cached=True) == ()
    assert len(checks) == 2
    assert folder.is_file()


def test_a_changed_model_is_checked_again(make_model, draw, collate, checks, folder) -> None:
    model = make_model("xlm-roberta")
    without_rules(model, parameter_layout(model), cached=True)
    changed = make_model("xlm-roberta")
    dense = changed.roberta.encoder.layer[0].output.dense
    dense.forward = lambda x: 2 * nn.Linear.forward(dense, x)
    layout = parameter_layout(changed)
    assert layout.digest == parameter_layout(model).digest
    diagonal_fisher(changed, collate(draw((6, 4)), 2), layout)
    assert without_rules(changed, layout) == (f"{BLOCK}output.dense.weight", f"{BLOCK}output.dense.bias")
    assert len(checks) == 2


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_damaged_weights_leave_no_result_of_the_check(value, make_model, checks, folder) -> None:
    model = make_model("xlm-roberta")
    layout = parameter_layout(model)
    with torch.no_grad():
        keep = model.get_parameter(layout.names[0])[0, 0].clone()
        model.get_parameter(layout.names[0])[0, 0] = value
    without_rules(model, layout, cached=True)
    assert not entries(folder)
    with torch.no_grad():
        model.get_parameter(layout.names[0])[0, 0] = keep
    assert without_rules(model, layout, cached=True) == ()
    assert len(entries(folder)) == 1


def test_small_values_are_compared_in_float64(monkeypatch) -> None:
    """With embeddings in θ, the rounding error of a bias with small values exceeded the tolerance."""
    from xsns_stream.models import load_model

    model = load_model("mini").model
    layout = parameter_layout(model, include=["word_embeddings"])
    before = {name: values.clone() for name, values in model.state_dict().items()}
    assert len(self_check(model, layout)) == len(layout.names)
    # The tolerance is below the rounding error of any processor, so that every tensor is compared again.
    monkeypatch.setattr(selfcheck, "TOLERANCE_FLOAT32", 1e-12)
    monkeypatch.setattr(selfcheck, "TOLERANCE_DOUBTFUL", 1e-6)
    self_check(model, layout)
    after = model.state_dict()
    assert all(
        after[name].dtype == values.dtype and torch.equal(after[name], values) for name, values in before.items()
    )
