"""Expected values for the Fisher engine: a loop over single examples, written here from the equation.

The loop does not use the package: log p is a sum over gathered log-softmax values, an example is cut to its own
length before the model sees it, and the gradient is what an ordinary backward leaves in `.grad`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from types import ModuleType
from typing import Any, NamedTuple

import pytest
import torch

from tests.support import zoo as tiny_models

VOCABULARY, WIDTH, PADDING = 97, 32, 1
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "intermediate_size": 64,
    "max_position_embeddings": 66,
    "pad_token_id": PADDING,
    # The weights are wider than usual, so that attention is not uniform and no term of a gradient is negligible.
    "initializer_range": 0.2,
}


#: One family of each kind: encoder, relative positions, shared layers, decoder, experts, encoder and decoder, a task.
REPRESENTATIVES = (
    "xlm-roberta",
    "deberta-v2",
    "albert",
    "gpt2",
    "llama",
    "mixtral",
    "t5",
    "xlm-roberta-question-answering",
)


class Example(NamedTuple):
    """One example without padding: int64 [T] each."""

    ids: torch.Tensor
    labels: torch.Tensor


def _make(family: str, dtype: torch.dtype = torch.float64, **settings: Any) -> Any:
    import transformers as tf

    distil = {"dim": WIDTH, "n_layers": 2, "n_heads": 2, "hidden_dim": 64}
    shared = {name: SIZES[name] for name in ("vocab_size", "max_position_embeddings", "pad_token_id")}
    config, kind, more = {
        "xlm-roberta": (tf.XLMRobertaConfig, tf.XLMRobertaForMaskedLM, SIZES),
        "bert": (tf.BertConfig, tf.BertForMaskedLM, SIZES),
        "roberta": (tf.RobertaConfig, tf.RobertaForMaskedLM, SIZES),
        # The embeddings are narrower than the blocks, and the head has another name.
        "electra": (tf.ElectraConfig, tf.ElectraForMaskedLM, SIZES | {"embedding_size": 16}),
        # All blocks are the same module.
        "albert": (tf.AlbertConfig, tf.AlbertForMaskedLM, SIZES | {"embedding_size": 16}),
        "distilbert": (tf.DistilBertConfig, tf.DistilBertForMaskedLM, shared | distil | {"initializer_range": 0.2}),
    }[family]
    attention = settings.pop("attn_implementation", "sdpa")
    with torch.random.fork_rng():
        torch.manual_seed(11)
        model = kind._from_config(config(**more | settings), attn_implementation=attention)
        # Weights of one and biases of zero would hide a missing factor or term.
        with torch.no_grad():
            for parameter in model.parameters():
                if parameter.dim() == 1:
                    parameter.add_(torch.randn_like(parameter), alpha=0.1)
    return model.to(dtype).eval()


def _draw(lengths: Sequence[int], seed: int = 0) -> list[Example]:
    generator = torch.Generator().manual_seed(seed)
    examples = []
    for length in lengths:
        ids = torch.randint(5, VOCABULARY, (length,), generator=generator)
        scored = torch.rand(length, generator=generator) < 0.3
        scored[int(torch.randint(length, (), generator=generator))] = True
        targets = torch.randint(5, VOCABULARY, (length,), generator=generator)
        examples.append(Example(ids, torch.where(scored, targets, -100)))
    return examples


def _collate(examples: Sequence[Example], size: int) -> list[dict[str, torch.Tensor]]:
    result = []
    for start in range(0, len(examples), size):
        group = examples[start : start + size]
        longest = max(len(example.ids) for example in group)
        batch = {
            "input_ids": torch.full((len(group), longest), PADDING),
            "attention_mask": torch.zeros((len(group), longest), dtype=torch.int64),
            "labels": torch.full((len(group), longest), -100),
        }
        for row, example in enumerate(group):
            length = len(example.ids)
            batch["input_ids"][row, :length] = example.ids
            batch["attention_mask"][row, :length] = 1
            batch["labels"][row, :length] = example.labels
        result.append(batch)
    return result


def _truth(model: Any, examples: Sequence[Example], names: Sequence[str], reduction: str = "sum") -> dict[str, Any]:
    parameters = dict(model.named_parameters())
    flags = {name: parameter.requires_grad for name, parameter in parameters.items()}
    squares = {name: torch.zeros_like(parameters[name]) for name in names}
    model.requires_grad_(True)
    for example in examples:
        logits = model(input_ids=example.ids[None], attention_mask=torch.ones_like(example.ids)[None]).logits[0]
        scored = example.labels != -100
        chances = logits.log_softmax(dim=-1)[scored].gather(1, example.labels[scored][:, None])
        (chances.sum() if reduction == "sum" else chances.mean()).backward()
        for name in names:
            gradient = parameters[name].grad
            if gradient is not None:
                squares[name] += gradient**2
        model.zero_grad(set_to_none=True)
    for name, parameter in parameters.items():
        parameter.requires_grad_(flags[name])
    return {name: square / len(examples) for name, square in squares.items()}


#: Softmax does not see a constant added to its scores, so a key's bias has a gradient of zero (where the position is
#: not rotated into it): two correct computations of it agree only in being tiny.
KEY_BIASES = ("key.bias", "k_lin.bias")


def _errors(result: Mapping[str, Any], expected: Mapping[str, Any], silent: tuple[str, ...] = ()) -> dict[str, float]:
    assert result.keys() == expected.keys()
    assert all(torch.isfinite(values).all() for values in (*result.values(), *expected.values()))
    largest = max(float(values.abs().max()) for values in expected.values())
    assert largest > 0
    errors = {}
    for name, values in expected.items():
        own = largest if name.endswith(KEY_BIASES + silent) else float(values.abs().max())
        errors[name] = float((result[name] - values).abs().max()) / own if own else float(result[name].abs().max())
    return errors


def _log_chances(model: Any, objective: str, batch: Mapping[str, torch.Tensor], n: int) -> torch.Tensor:
    """Return log p of the targets of row n of a batch, from a model input with the tokens of this row only."""
    length = int(batch["attention_mask"][n].sum())
    ids = batch["input_ids"][n : n + 1, :length]
    inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids)}
    if objective == "question-answering":
        output = model(**inputs)
        start, end = output.start_logits.log_softmax(-1)[0], output.end_logits.log_softmax(-1)[0]
        return torch.stack([start[batch["start_positions"][n]], end[batch["end_positions"][n]]])
    if objective == "sequence-classification":
        return model(**inputs).logits.log_softmax(-1)[:, batch["labels"][n]]
    labels = batch["labels"][n]
    if objective == "span-corruption":
        tokens = batch.get("decoder_tokens", batch["labels"])[n]
        tokens = tokens[tokens != -100]
        labels = labels[: len(tokens)]
        # mBART starts with the last token, which names the language; T5 starts with its own start token.
        mbart = type(model).__name__.startswith("MBart")
        first = tokens[-1:] if mbart else tokens.new_tensor([model.config.decoder_start_token_id])
        inputs["decoder_input_ids"] = torch.cat([first, tokens[:-1]])[None]
    else:
        labels = labels[:length]
    logits = model(**inputs).logits[0]
    if objective == "causal-lm":
        logits, labels = logits[:-1], labels[1:]
    scored = labels != -100
    return logits.log_softmax(-1)[scored].gather(1, labels[scored][:, None])


def _gradients(
    model: Any,
    objective: str,
    batches: Sequence[Mapping[str, torch.Tensor]],
    names: Sequence[str],
    reduction: str = "sum",
) -> list[dict[str, torch.Tensor]]:
    parameters = dict(model.named_parameters())
    flags = [parameter.requires_grad for parameter in parameters.values()]
    model.requires_grad_(True)
    result = []
    for batch in batches:
        for n in range(len(batch["input_ids"])):
            chances = _log_chances(model, objective, batch, n)
            (chances.sum() if reduction == "sum" else chances.mean()).backward()
            zero = torch.zeros_like
            result.append({k: zero(p) if (p := parameters[k]).grad is None else p.grad.clone() for k in names})
            model.zero_grad(set_to_none=True)
    for parameter, flag in zip(parameters.values(), flags, strict=True):
        parameter.requires_grad_(flag)
    return result


def _mean_square(gradients: Sequence[Mapping[str, torch.Tensor]]) -> dict[str, torch.Tensor]:
    return {k: torch.stack([each[k] for each in gradients]).square().mean(0) for k in gradients[0]}


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Run a test with the argument `every_family` or `zoo_family` once for each family.

    With `zoo_family`, families that are not among the representatives are left to the slow tests.
    """
    if "every_family" in metafunc.fixturenames:
        metafunc.parametrize("every_family", list(tiny_models.FAMILIES))
    if "zoo_family" in metafunc.fixturenames:
        slow = pytest.mark.slow
        families = [
            name if name in REPRESENTATIVES else pytest.param(name, marks=slow) for name in tiny_models.FAMILIES
        ]
        metafunc.parametrize("zoo_family", families)


@pytest.fixture(scope="module")
def small(make_model: Any) -> Any:
    """A tiny model of XLM-R's family."""
    return make_model("xlm-roberta")


@pytest.fixture
def float64_throughout(zoo: ModuleType) -> Iterator[None]:
    """Compute in float64 also the steps that a family computes in float32 for weights of any precision."""
    with zoo.float64_throughout():
        yield


@pytest.fixture(scope="session")
def gradients() -> Callable[..., list[dict[str, torch.Tensor]]]:
    """A function that returns {name: gradient of log p} of each example, by a loop over single examples."""
    return _gradients


@pytest.fixture(scope="session")
def mean_square() -> Callable[..., dict[str, torch.Tensor]]:
    """A function that returns {name: mean of the squares} of the gradients from `gradients`, as in the equation."""
    return _mean_square


@pytest.fixture(scope="session")
def make_model() -> Callable[..., Any]:
    """A function that returns a small model of a family with random weights, in evaluation mode."""
    return _make


@pytest.fixture(scope="session")
def draw() -> Callable[..., list[Example]]:
    """A function that returns random examples of given lengths, each with at least one scored position."""
    return _draw


@pytest.fixture(scope="session")
def collate() -> Callable[..., list[dict[str, torch.Tensor]]]:
    """A function that returns batches of a size in the given order, padded on the right."""
    return _collate


@pytest.fixture(scope="session")
def truth() -> Callable[..., dict[str, Any]]:
    """A function that returns {name: mean squared gradient}, by the loop over single examples."""
    return _truth


@pytest.fixture(scope="session")
def errors() -> Callable[..., dict[str, float]]:
    """A function that returns {name: largest error relative to the largest value of the tensor}."""
    return _errors
