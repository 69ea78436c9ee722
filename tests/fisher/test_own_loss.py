"""Fisher information of any module with a loss of the caller, against a loop over single examples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.data import DataLoader, TensorDataset

import xsns_stream as xs
from tests.support.errors import error_of
from xsns_stream.errors import FisherError, UsageError
from xsns_stream.fisher.own_loss import OwnLossEngine, unconfirmed_names

CLASSES = 3


def classify(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    return F.cross_entropy(model(batch["x"]), batch["y"], reduction="none")


class Residual(nn.Module):
    """A block of ResNet: two convolutions with batch normalisation, and a shortcut."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)
        self.conv2, self.bn2 = nn.Conv2d(channels, channels, 3, padding=1, bias=False), nn.BatchNorm2d(channels)

    def forward(self, x: Tensor) -> Tensor:
        return F.relu(x + self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x))))))


class Shared(nn.Module):
    """A layer that is used twice, a weight that is also used directly, and a parameter of the model itself."""

    def __init__(self) -> None:
        super().__init__()
        self.inner, self.head = nn.Linear(6, 6), nn.Linear(6, CLASSES)
        self.scale = nn.Parameter(torch.linspace(0.5, 1.5, 6))

    def forward(self, x: Tensor) -> Tensor:
        x = self.inner(torch.tanh(self.inner(x))) * self.scale
        return self.head(F.linear(x, self.head.weight.t() @ self.head.weight))


class Reader(nn.Module):
    """A Transformer encoder of torch whose embedding is also the output layer."""

    def __init__(self) -> None:
        super().__init__()
        self.embedding = nn.Embedding(11, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, dropout=0.3, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 2, enable_nested_tensor=False)
        self.out = nn.Linear(8, 11)
        self.out.weight = self.embedding.weight

    def forward(self, x: Tensor) -> Tensor:
        return self.out(self.encoder(self.embedding(x)))


class Turned(nn.Module):
    """A recurrent network whose activations have the examples along the second axis."""

    def __init__(self) -> None:
        super().__init__()
        self.rnn, self.inner, self.head = nn.GRU(6, 5), nn.Linear(5, 4), nn.Linear(4, CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        return self.head(self.inner(self.rnn(x.transpose(0, 1))[0]).mean(0))


def read(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    logits = model(batch["x"])
    return F.cross_entropy(logits.transpose(1, 2), batch["y"], reduction="none").sum(dim=1)


def mlp() -> nn.Module:
    return nn.Sequential(
        nn.Linear(6, 9), nn.ReLU(), nn.LayerNorm(9), nn.Linear(9, 9), nn.PReLU(), nn.Linear(9, CLASSES)
    )


def normed() -> nn.Module:
    return nn.Sequential(nn.Linear(6, 9), nn.BatchNorm1d(9), nn.ReLU(), nn.Dropout(0.5), nn.Linear(9, CLASSES))


def cnn() -> nn.Module:
    return nn.Sequential(nn.Conv2d(2, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 3 * 3, CLASSES))


def resnet() -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(2, 5, 3), nn.BatchNorm2d(5), Residual(5), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, CLASSES)
    )


#: name → (model, shape of the inputs of an example, number of values for labels, loss)
NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], Any]] = {
    "mlp": (mlp, (6,), classify),
    "mlp over positions": (
        lambda: nn.Sequential(mlp(), nn.Flatten(), nn.Linear(4 * CLASSES, CLASSES)),
        (4, 6),
        classify,
    ),
    "batch norm": (normed, (6,), classify),
    "cnn": (cnn, (2, 5, 5), classify),
    "resnet": (resnet, (2, 5, 5), classify),
    "shared": (Shared, (6,), classify),
    "turned": (Turned, (4, 6), classify),
    # The check compares a batch with as many positions as examples.
    "turned, square": (Turned, (3, 6), classify),
    "tokens": (Reader, (4,), read),
}


def make(name: str, dtype: torch.dtype = torch.float64) -> tuple[nn.Module, Any]:
    build, _, loss = NETWORKS[name]
    with torch.random.fork_rng():
        torch.manual_seed(3)
        model = build()
        for module in model.modules():
            if isinstance(module, nn.modules.batchnorm._BatchNorm):
                nn.init.normal_(module.running_mean)
                nn.init.uniform_(module.running_var, 0.5, 2)
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.to(dtype).eval(), loss


def data(name: str, examples: int = 7, dtype: torch.dtype = torch.float64) -> dict[str, Tensor]:
    generator = torch.Generator().manual_seed(5)
    shape = NETWORKS[name][1]
    if name == "tokens":
        x, y = (torch.randint(11, (examples, *shape), generator=generator) for _ in range(2))
        return {"x": x, "y": y}
    return {
        "x": torch.randn(examples, *shape, generator=generator, dtype=dtype),
        "y": torch.randint(CLASSES, (examples,), generator=generator),
    }


def split(examples: Mapping[str, Tensor], size: int) -> list[dict[str, Tensor]]:
    parts = {name: values.split(size) for name, values in examples.items()}
    return [dict(zip(parts, each, strict=True)) for each in zip(*parts.values(), strict=True)]


def truth(model: nn.Module, loss: Any, examples: Mapping[str, Tensor], power: int = 2) -> dict[str, Tensor]:
    """Return the mean of |gradient|^power by an ordinary backward pass for each example."""
    parameters = dict(model.named_parameters())
    totals = {name: torch.zeros_like(p) for name, p in parameters.items()}
    for one in split(examples, 1):
        model.zero_grad()
        loss(model, one).sum().backward()
        for name, p in parameters.items():
            totals[name] += p.grad.abs() ** power if p.grad is not None else 0
    model.zero_grad()
    return {name: total / len(examples["x"]) for name, total in totals.items()}


def largest_error(result: xs.DiagonalFisher, expected: Mapping[str, Tensor]) -> float:
    values = result.to_dict()
    assert values.keys() == expected.keys()
    peak = max(float(each.max()) for each in expected.values())
    return max(
        float((values[name] - each).abs().max()) / max(float(each.max()), 1e-9 * peak)
        for name, each in expected.items()
    )


@pytest.mark.parametrize("size", [1, 2, 4, 7])
@pytest.mark.parametrize("name", NETWORKS)
def test_every_parameter_is_exact_for_every_batch_size(name: str, size: int) -> None:
    model, loss = make(name)
    examples = data(name)
    expected = truth(model, loss, examples)
    assert all(bool(each.any()) for each in expected.values() if each.dim() > 1)
    result = xs.diagonal_fisher(model, split(examples, size), loss=loss)
    assert result.examples == 7
    assert largest_error(result, expected) <= 1e-10
    assert [p.grad for p in model.parameters()] == [None] * len(list(model.parameters()))
    assert all(p.requires_grad for p in model.parameters())


@pytest.mark.parametrize("name", NETWORKS)
def test_values_in_float32_are_close_to_the_exact_ones(name: str) -> None:
    model, loss = make(name, torch.float32)
    examples = data(name, dtype=torch.float32)
    assert largest_error(xs.diagonal_fisher(model, split(examples, 4), loss=loss), truth(model, loss, examples)) <= 1e-4


@pytest.mark.parametrize(
    ("name", "slow"),
    [
        ("mlp", {"4.weight"}),
        ("mlp over positions", {"0.4.weight"}),
        ("batch norm", {"1.weight", "1.bias"}),
        ("shared", {"head.weight"}),
    ],
)
def test_linear_layers_and_norms_are_measured_by_rule(name: str, slow: set[str]) -> None:
    model, loss = make(name)
    layout = xs.parameter_layout(model, blocks="all")
    assert set(unconfirmed_names(model, layout, loss, data(name))) == slow
    modules = {name.rpartition(".")[0] for name in slow}
    fallback = OwnLossEngine(model, layout, loss, without_rules=slow).fallback
    assert {name.rpartition(".")[0] for name in fallback} == modules
    result = xs.diagonal_fisher(model, [data(name)], loss=loss)
    assert set(result.provenance.fallback) == slow
    assert result.provenance.estimator == "per-example(loss=classify)"


def test_the_mean_absolute_gradient_equals_a_loop_over_examples() -> None:
    model, loss = make("mlp")
    result = xs.diagonal_fisher(model, split(data("mlp"), 4), None, "grad-abs", loss=loss)
    assert largest_error(result, truth(model, loss, data("mlp"), power=1)) <= 1e-10


def test_a_module_that_the_first_batch_does_not_use_is_exact_later() -> None:
    """The gate is closed for the examples of the check, and its layer has the examples along another axis."""

    class Gated(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.late = nn.Linear(6, CLASSES), nn.Linear(6, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            opened = (x[:, :1] > 0).to(x.dtype)
            return self.body(x) + opened * self.late(x[None].expand(len(x), -1, -1)).mean(0)

    model = Gated().double().eval()
    examples = data("mlp")
    examples["x"][:3, 0], examples["x"][3:, 0] = -1, 1
    expected = truth(model, classify, examples)
    assert bool(expected["late.weight"].any())
    assert largest_error(xs.diagonal_fisher(model, [examples], loss=classify), expected) <= 1e-10


def test_a_data_loader_of_tuples_is_refused_with_the_line_that_names_them() -> None:
    model, loss = make("mlp")
    examples = data("mlp")
    loader = DataLoader(TensorDataset(examples["x"], examples["y"]), batch_size=3)
    with pytest.raises(UsageError, match="a batch cannot be of the type list") as caught:
        xs.diagonal_fisher(model, loader, loss=loss)
    assert "({'x': x, 'y': y} for x, y in loader)" in caught.value.hint
    named = ({"x": x, "y": y} for x, y in loader)
    assert largest_error(xs.diagonal_fisher(model, named, loss=loss), truth(model, loss, examples)) <= 1e-10


def test_a_frozen_parameter_is_measured_and_stays_frozen() -> None:
    model, loss = make("mlp")
    expected = truth(model, loss, data("mlp"))
    model[0].requires_grad_(False)
    assert largest_error(xs.diagonal_fisher(model, [data("mlp")], loss=loss), expected) <= 1e-10
    assert not model[0].weight.requires_grad


def test_a_model_of_transformers_takes_a_loss_of_the_caller(make_model: Any, draw: Any, collate: Any) -> None:
    model = make_model("bert")
    (batch,) = collate(draw((6, 6, 6)), 3)

    def loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        logits = model(input_ids=batch["input_ids"], attention_mask=batch["attention_mask"]).logits
        return F.cross_entropy(logits.transpose(1, 2), batch["labels"], reduction="none").sum(dim=1)

    own, built_in = xs.diagonal_fisher(model, [batch], loss=loss), xs.diagonal_fisher(model, [batch])
    assert own.layout == built_in.layout
    values = built_in.to_dict()
    assert largest_error(own, {name: values[name] for name in own.layout.names}) <= 1e-10


def of_sequences(objective: str) -> Any:
    """Return the loss of a language model of transformers, written without the package."""

    def loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
        inputs, labels = {name: values for name, values in batch.items() if name != "labels"}, batch["labels"]
        if objective == "span-corruption":
            inputs["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels=labels)
        logits = model(**inputs).logits
        if objective == "causal-lm":
            logits, labels = logits[:, :-1], labels[:, 1:]
        return F.cross_entropy(logits.transpose(1, 2), labels, reduction="none").sum(dim=1)

    return loss


@pytest.mark.parametrize(
    "family",
    ["t5", "mixtral", "llama"]
    + [pytest.param(name, marks=pytest.mark.slow) for name in ("albert", "deberta-v2", "gpt2", "gemma2", "mbart")],
)
def test_families_give_the_values_of_the_built_in_loss(family: str, zoo: Any, errors: Any) -> None:
    model = zoo.make(family, torch.float64)
    batch = zoo.batch(model, family, (6, 4, 5))
    own = xs.diagonal_fisher(model, [batch], loss=of_sequences(zoo.FAMILIES[family].objective)).to_dict()
    built_in = xs.diagonal_fisher(model, [batch]).to_dict()
    assert max(errors(own, built_in, ("k_proj.bias",)).values()) <= 1e-12


# ------------------------------------------------------------------------------------------- refused


def refused(kind: type[Exception], model: Any, batch: Any, **options: Any) -> Any:
    return error_of(kind, xs.diagonal_fisher, model, [batch], **options)


def test_batch_statistics_are_refused() -> None:
    model, loss = make("resnet")
    model.train()
    error = refused(UsageError, model, data("resnet"), loss=loss)
    assert error.message.startswith("the model has a batch normalisation in training mode ('1'). Its output for one")
    assert error.hint == "call model.eval() first; the model then uses its running statistics."
    plain = nn.Sequential(nn.Linear(6, 4), nn.BatchNorm1d(4, track_running_stats=False), nn.Linear(4, 3)).double()
    error = refused(UsageError, plain.eval(), data("mlp"), loss=classify)
    assert "without running statistics ('1')" in error.message
    assert "GroupNorm" in error.hint


def test_a_plain_module_without_a_loss_is_refused() -> None:
    error = refused(UsageError, make("mlp")[0], data("mlp"))
    assert error.message == "Sequential is not a model of transformers, and its loss is not known."
    assert "reduction='none'" in error.hint
    model = make("mlp")[0]
    for measure in (xs.self_check, lambda model, layout: xs.mean_gradient(model, [], layout)):
        with pytest.raises(UsageError, match="and its loss is not known"):
            measure(model, xs.parameter_layout(model, blocks="all"))


@pytest.mark.parametrize(
    ("loss", "message"),
    [
        (
            lambda m, b: F.cross_entropy(m(b["x"]), b["y"]),
            r"the shape \[\]; with one value for each example, it would be \[3\]",
        ),
        (
            lambda m, b: m(b["x"]),
            r"the shape \[3, 3\]; with one value for each example, it would be \[3\]",
        ),
        (lambda m, b: 1.0, "the loss returned a value of the type float"),
        (lambda m, b: classify(m, b).detach(), "the loss does not depend on any measured parameter"),
        (lambda m, b: classify(m, b) / len(b["x"]), "depends on the other examples of its batch"),
        (lambda m, b: classify(m, b) * torch.rand(1), "or on random numbers"),
        (lambda m, b: classify(m, b) * float("nan"), "the loss is not finite"),
        ("cross-entropy", "the loss cannot be of the type str"),
    ],
    ids=range(8),
)
def test_losses_that_are_not_of_single_examples_are_refused(loss: Any, message: str) -> None:
    with pytest.raises((FisherError, UsageError), match=message) as caught:
        xs.diagonal_fisher(make("mlp")[0], [data("mlp", 3)], loss=loss)
    assert caught.value.hint


@pytest.mark.parametrize(
    ("tensors", "message"),
    [
        ({"y": torch.zeros(2, dtype=torch.int64)}, "the numbers of examples in a batch differ: 7 in 'x', and 2 in 'y'"),
        ({"weight": torch.tensor(0.5)}, "'weight' is a single number"),
        ({"names": ["a"]}, "'names' of a batch cannot be of the type list"),
    ],
)
def test_batches_without_a_common_first_axis_are_refused(tensors: dict[str, Any], message: str) -> None:
    with pytest.raises((FisherError, UsageError), match=message) as caught:
        xs.diagonal_fisher(make("mlp")[0], [data("mlp") | tensors], loss=classify)
    assert caught.value.hint


def test_empty_batches_are_refused() -> None:
    model = make("mlp")[0]
    assert refused(FisherError, model, {}, loss=classify).message == "a batch has no tensors."
    assert refused(FisherError, model, data("mlp", 0), loss=classify).message == "a batch has no examples."
    with pytest.raises(FisherError, match="there is no batch to compute"):
        xs.diagonal_fisher(model, [], loss=classify)


@pytest.mark.parametrize(
    "options", [{"estimator": "per-batch"}, {"labels": "sample"}, {"token_reduction": "mean"}], ids=str
)
def test_settings_of_other_losses_are_refused(options: dict[str, Any]) -> None:
    error = refused(UsageError, make("mlp")[0], data("mlp"), loss=classify, **options)
    assert "can only be combined with the estimators per-example and grad-abs" in error.message


def test_a_module_without_parameters_and_a_layout_beside_blocks_are_refused() -> None:
    assert "has no parameters" in refused(UsageError, nn.ReLU(), data("mlp"), loss=classify).message
    model = make("mlp")[0]
    layout = xs.parameter_layout(model, blocks="all")
    error = refused(UsageError, model, data("mlp"), loss=classify, layout=layout, blocks="all")
    assert error.message == "both a layout and blocks were given."


# -------------------------------------------------------------------------------------------- blocks


def test_blocks_of_a_plain_module_are_chosen_by_name() -> None:
    model, loss = make("resnet")
    layout = xs.parameter_layout(model, blocks="all")
    assert [layer.name for layer in layout.layers] == ["0", "1", "2.conv1", "2.bn1", "2.conv2", "2.bn2", "5"]
    assert layout.size == sum(p.numel() for p in model.parameters())
    chosen = xs.diagonal_fisher(model, [data("resnet")], loss=loss, blocks=["2", "5"])
    assert [layer.name for layer in chosen.layout.layers] == ["2", "5"]
    every = xs.diagonal_fisher(model, [data("resnet")], loss=loss).to_dict()
    assert largest_error(chosen, {name: every[name] for name in chosen.layout.names}) <= 1e-12
    with pytest.raises(UsageError, match=r"Sequential has no module '2.conv'") as caught:
        xs.parameter_layout(model, blocks=["2.conv"])
    assert caught.value.hint.startswith("did you mean '2.conv")


def test_every_parameter_of_a_model_of_transformers_is_exact(
    make_model: Any, draw: Any, collate: Any, truth: Any, errors: Any
) -> None:
    model, examples = make_model("bert"), draw((6, 4, 5))
    layout = xs.parameter_layout(model, blocks="all")
    assert [layer.name for layer in layout.layers][:2] == [
        "bert.embeddings.word_embeddings",
        "bert.embeddings.position_embeddings",
    ]
    assert {"bert.encoder.layer.0", "bert.encoder.layer.1"} <= {layer.name for layer in layout.layers}
    assert layout.size == sum(p.numel() for p in model.parameters())
    result = xs.diagonal_fisher(model, collate(examples, 3), blocks="all").to_dict()
    assert max(errors(result, truth(model, examples, layout.names)).values()) <= 1e-12


def test_a_tied_tensor_has_its_first_name() -> None:
    model, _ = make("tokens")
    layout = xs.parameter_layout(model, blocks=["out", "embedding"])
    assert layout.names == ("embedding.weight", "out.bias")


def test_layer_sums_add_the_values_of_a_layer() -> None:
    model, loss = make("resnet")
    result = xs.diagonal_fisher(model, [data("resnet")], loss=loss)
    expected: dict[str, float] = {}
    for name, values in result.to_dict().items():
        layer = name.rpartition(".")[0]
        expected[layer] = expected.get(layer, 0.0) + float(values.sum())
    sums = result.layer_sums()
    assert list(sums) == [layer.name for layer in result.layout.layers]
    assert sums == pytest.approx(expected, rel=1e-12)
    on_device = replace(result, values=tuple(result.to_dict().values()))
    assert on_device.layer_sums() == pytest.approx(sums, rel=1e-12)
