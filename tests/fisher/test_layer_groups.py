"""Measurement in groups of layers: more passes give the same bits, and the values are on disk."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from tests.support.fisher_values import batches_of
from xsns_stream.errors import FisherError, UsageError
from xsns_stream.fisher import diagonal_fisher, diagonal_fisher_in_groups, groups_of_layers, without_rules
from xsns_stream.models import parameter_layout
from xsns_stream.types import FisherSettings, LayerSpan, ParameterLayout

FAMILIES = ("xlm-roberta", "gpt2", "t5", "albert", "mixtral", "gemma2")
LENGTHS = ((9, 4), (5, 6, 3))
#: T5's learned position bias is part of the mask, and torch's fused attention computes with another kernel where the
#: mask needs a gradient, which is only so in the passes that measure the bias.
ATTENTION = {"t5": "eager"}


def in_groups(model, batches, layout, budget, folder, settings=None, **more):
    return diagonal_fisher_in_groups(
        model,
        lambda: iter(batches),
        layout,
        settings,
        budget=budget,
        folder=folder,
        without_rules=without_rules(model, layout),
        **more,
    )


@pytest.mark.parametrize("family", FAMILIES)
def test_the_bits_do_not_depend_on_the_budget(family, zoo, tmp_path) -> None:
    model = zoo.make(family, torch.float64 if family == "xlm-roberta" else torch.float32, ATTENTION.get(family, "sdpa"))
    layout, batches = parameter_layout(model), batches_of(zoo, model, family, LENGTHS)
    expected = diagonal_fisher(model, batches, layout)
    spans = [4 * (layer.stop - layer.start) for layer in layout.layers]
    for n, budget in enumerate((1, max(spans), 4 * layout.size)):
        folder = tmp_path / str(n)
        folder.mkdir()
        result = in_groups(model, batches, layout, budget, folder, language="sw")
        assert (result.examples, result.language) == (5, "sw")
        for name, ours, theirs in zip(layout.names, result.values, expected.values, strict=True):
            assert ours.dtype == theirs.dtype
            assert np.array_equal(ours, theirs), (budget, name)


@pytest.mark.parametrize(
    "settings",
    [
        FisherSettings("grad-abs"),
        FisherSettings(token_reduction="mean"),
        FisherSettings(labels="sample"),
        FisherSettings(checkpoint=True),
        FisherSettings(precision="bf16"),
    ],
    ids=["grad-abs", "mean", "sample", "checkpoint", "bf16"],
)
def test_groups_of_layers_agree_under_every_setting(settings, zoo, tmp_path) -> None:
    model = zoo.make("t5", torch.float32, ATTENTION["t5"])
    layout, batches = parameter_layout(model), batches_of(zoo, model, "t5", LENGTHS)
    expected = diagonal_fisher(
        model,
        batches,
        layout,
        settings.estimator,
        settings.token_reduction,
        labels=settings.labels,
        precision=settings.precision,
        checkpoint=settings.checkpoint,
        seed=6,
    )
    result = in_groups(model, batches, layout, 60_000, tmp_path, settings, seed=6)
    assert all(np.array_equal(ours, theirs) for ours, theirs in zip(result.values, expected.values, strict=True))


@pytest.mark.parametrize("family", ["t5", "umt5"])
def test_fused_attention_with_a_learned_bias_agrees_to_rounding(family, zoo, tmp_path, errors) -> None:
    model = zoo.make(family, torch.float32)
    layout, batches = parameter_layout(model), batches_of(zoo, model, family, LENGTHS)
    expected = diagonal_fisher(model, batches, layout).to_dict()
    assert max(errors(in_groups(model, batches, layout, 60_000, tmp_path).to_dict(), expected).values()) <= 5e-6


def test_parameters_measured_one_by_one_are_exact(zoo, tmp_path, gradients, mean_square, errors) -> None:
    model = zoo.make("deberta-v2")
    layout, batches = parameter_layout(model), batches_of(zoo, model, "deberta-v2", LENGTHS)
    assert without_rules(model, layout)
    expected = mean_square(gradients(model, "masked-lm", batches, layout.names))
    result = in_groups(model, batches, layout, 10_000, tmp_path).to_dict()
    assert max(errors(result, expected).values()) <= 1e-12
    at_once = diagonal_fisher(model, batches, layout).to_dict()
    assert all(torch.equal(result[name], values) for name, values in at_once.items())


def test_values_are_mapped_from_one_file(zoo, tmp_path) -> None:
    model = zoo.make("gpt2", torch.float32)
    layout = parameter_layout(model)
    result = in_groups(model, batches_of(zoo, model, "gpt2", LENGTHS), layout, 1, tmp_path)
    (file,) = tmp_path.iterdir()
    assert file.stat().st_size == 4 * layout.size
    for values, offset in zip(result.values, layout.offsets, strict=True):
        assert isinstance(values, np.memmap)
        assert values.filename == file
        on_disk = np.fromfile(file, np.float32, values.size, offset=4 * offset)
        assert np.array_equal(on_disk, values.ravel())
    assert all(torch.isfinite(values).all() for values in result.to_dict().values())


# ----------------------------------------------------------------------------- how θ is cut


@pytest.mark.parametrize("family", FAMILIES)
def test_groups_cover_everything_once(family, zoo) -> None:
    layout = parameter_layout(zoo.make(family))
    bytes_of = {name: 4 * size for name, size in zip(layout.names, layout.sizes, strict=True)}
    for budget in (1, 100, 5_000, 12_345, 40_000, 4 * layout.size - 1, 4 * layout.size, 10**12):
        groups = groups_of_layers(layout, budget)
        assert sorted(name for group in groups for name in group) == sorted(layout.names)
        assert all(len(group) == 1 or sum(bytes_of[name] for name in group) <= budget for group in groups)
        assert (len(groups) == 1) == (budget >= 4 * layout.size)
        assert all(groups)
    assert len(groups_of_layers(layout, 1)) == len(layout.names)


def test_groups_end_between_layers_where_layers_fit() -> None:
    names = tuple(f"{layer}.{tensor}" for layer in "abcd" for tensor in "xy")
    spans = tuple(LayerSpan(layer, 30 * n, 30 * n + 30) for n, layer in enumerate("abcd"))
    layout = ParameterLayout(names, ((20,), (10,)) * 4, spans)
    assert groups_of_layers(layout, 240) == [("d.x", "d.y", "c.x", "c.y"), ("b.x", "b.y", "a.x", "a.y")]
    assert groups_of_layers(layout, 239) == [(f"{layer}.x", f"{layer}.y") for layer in "dcba"]
    # No layer fits into the memory, so that the groups consist of tensors, from the last tensor on.
    assert groups_of_layers(layout, 80)[:2] == [("d.y",), ("d.x",)]
    assert groups_of_layers(layout, 119) == groups_of_layers(layout, 80)


def test_a_pass_ends_at_the_lowest_layer_of_its_group(zoo, tmp_path) -> None:
    model = zoo.make("xlm-roberta")
    layout, batches = parameter_layout(model), batches_of(zoo, model, "xlm-roberta", LENGTHS)[:1]
    without_rules(model, layout)
    calls: list[tuple[str, int]] = []

    def watch(n: int):
        def note(module, args, output) -> None:
            calls.append(("forth", n))
            if output.requires_grad:
                output.register_hook(lambda gradient: calls.append(("back", n)))

        return note

    blocks = model.roberta.encoder.layer
    hooks = [block.register_forward_hook(watch(n)) for n, block in enumerate(blocks)]
    in_groups(model, batches, layout, 4 * layout.size // 2, tmp_path)
    for hook in hooks:
        hook.remove()
    first, second = calls[:3], calls[3:]
    assert first == [("forth", 0), ("forth", 1), ("back", 1)], "no gradient flows back into the lower block"
    assert second == [("forth", 0), ("forth", 1), ("back", 1), ("back", 0)]


# --------------------------------------------------------------------------------- refusals


@pytest.mark.parametrize("estimator", ["per-batch", "authors"])
def test_whole_batches_are_not_cut(estimator, zoo, tmp_path) -> None:
    model = zoo.make("xlm-roberta")
    layout = parameter_layout(model)
    with pytest.raises(UsageError, match=f"'{estimator}' cannot be computed in groups of layers"):
        in_groups(model, [], layout, 1, tmp_path, FisherSettings(estimator))
    assert not list(tmp_path.iterdir())


def test_no_batch_is_an_error(zoo, tmp_path) -> None:
    model = zoo.make("xlm-roberta")
    with pytest.raises(FisherError, match="there is no batch of language 'sw' to measure"):
        in_groups(model, [], parameter_layout(model), 10**9, tmp_path, language="sw")


def test_damaged_weights_are_named(zoo, tmp_path) -> None:
    model = zoo.make("xlm-roberta")
    layout, batches = parameter_layout(model), batches_of(zoo, model, "xlm-roberta", LENGTHS)
    without_rules(model, layout)
    with torch.no_grad():
        model.get_parameter(layout.names[0])[0] = float("nan")
    with pytest.raises(FisherError, match=f"language 'sw'.*'{layout.names[0]}'"):
        in_groups(model, batches, layout, 1, tmp_path, language="sw")
    assert not any(parameter.grad is not None for parameter in model.parameters())
    assert not any("forward" in vars(module) for module in model.modules())
