"""Models, batches, and other methods for comparison with the Fisher engine.

The methods are a loop over single examples, an ordinary backward pass, and the per-example gradients of other
libraries. Each library is used as its documentation says, and in its faster form if there is a choice. All libraries
get gradients of θ only, the head on the scored positions only, and accumulators that already exist.

The state of every method exists before a call, so that a call only computes one batch (or a list of batches). The
allocation of the accumulators is timed separately, because a build allocates them once for each language.
"""

from __future__ import annotations

import math
import statistics
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad, vmap
from torch.nn import functional as F

import xsns_stream as xs
from xsns_stream.fisher.reference import reference_fisher
from xsns_stream.fisher.scoring import single_examples

VOCABULARY = 4_096
HEADS = 12
#: Largest error relative to a tensor's largest value, in float32. Rounding gives about 1e-6, a wrong rule 0.1 or more.
TOLERANCE = 2e-5
#: If the largest value of a tensor is below this share of the largest value of all tensors, it is rounding noise.
NOISE = 1e-9

Batches = list[dict[str, Tensor]]
Values = Mapping[str, Tensor]


def wide_model(layers: int, vocabulary: int = VOCABULARY, width: int = 768) -> Any:
    """Return a model of XLM-R base's width with random weights, and without dropout for peers in training mode."""
    from transformers import XLMRobertaConfig, XLMRobertaForMaskedLM

    torch.manual_seed(0)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=4 * width,
        num_hidden_layers=layers,
        num_attention_heads=HEADS,
        max_position_embeddings=514,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
    )
    return XLMRobertaForMaskedLM(config).eval()


def causal_model(layers: int, vocabulary: int, width: int = 640) -> Any:
    """Return a causal model of Gemma 3 270M's shape (if `layers` is 18) with random weights."""
    from transformers import Gemma3ForCausalLM, Gemma3TextConfig

    torch.manual_seed(0)
    config = Gemma3TextConfig(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=2_048 * width // 640,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=1,
        head_dim=256 * width // 640,
        sliding_window=512,
    )
    return Gemma3ForCausalLM(config).eval()


def batch_of(lengths: Sequence[int], vocabulary: int = VOCABULARY, seed: int = 1) -> dict[str, Tensor]:
    """Return random tokens, 15 % of them scored and at least one of each example, padded on the right."""
    generator = torch.Generator().manual_seed(seed)
    size = (len(lengths), max(lengths))
    ids = torch.randint(10, vocabulary, size, generator=generator)
    attention = (torch.arange(size[1]) < torch.tensor(lengths)[:, None]).long()
    scored = (torch.rand(size, generator=generator) < 0.15) & (attention == 1)
    scored[:, 1] = True
    return {
        "input_ids": ids.masked_fill(attention == 0, 1),
        "attention_mask": attention,
        "labels": ids.masked_fill(~scored, -100),
    }


def ragged_batches(examples: int, longest: int, size: int = 8) -> Batches:
    """Return texts of 8 to `longest` tokens, most of them short (exponential with mean 32), sorted by length."""
    generator = torch.Generator().manual_seed(2)
    draws = torch.empty(examples).exponential_(1 / 32, generator=generator).add_(8).clamp_(max=longest)
    lengths = sorted((int(length) for length in draws), reverse=True)
    return [batch_of(lengths[start : start + size], seed=start) for start in range(0, examples, size)]


def interleave(contestants: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, dict[str, float]]:
    """Time each contestant once a round, in turn, in processor time and in wall-clock time.

    On a machine that other programs use too, wall-clock time includes their time. For one thread, the processor time of
    this program equals the wall-clock time on an idle machine; for several threads it does not.

    Args:
        contestants: name → a call; each has run once before.
        rounds: Number of rounds, at least 1.

    Returns:
        name → `median_s` and `best_s` of processor time, `clock_median_s`, `rounds`.
    """
    spent: dict[str, list[float]] = {name: [] for name in contestants}
    passed: dict[str, list[float]] = {name: [] for name in contestants}
    for _ in range(max(1, rounds)):
        for name, call in contestants.items():
            wall, begin = time.perf_counter(), time.process_time()
            call()
            spent[name].append(time.process_time() - begin)
            passed[name].append(time.perf_counter() - wall)
    return {
        name: {
            "median_s": statistics.median(times),
            "best_s": min(times),
            "clock_median_s": statistics.median(passed[name]),
            "rounds": len(times),
        }
        for name, times in spent.items()
    }


def compared(
    section: str, timings: Mapping[str, dict[str, float]], ours: str, targets: Mapping[str, float | None]
) -> list[dict[str, Any]]:
    """Return a row for each contestant, with the time of `ours` divided by its own time."""
    engine = timings[ours]
    return [
        {
            "section": section,
            "contestant": name,
            "engine_over": engine["median_s"] / timing["median_s"],
            "engine_over_best": engine["best_s"] / timing["best_s"],
            "target": targets.get(name),
            **timing,
        }
        for name, timing in timings.items()
    ]


def largest_error(result: Values, expected: Values) -> float:
    """Return the largest error over the tensors in `result`, relative to the largest value of each; NaN for a NaN."""
    if not all(bool(torch.isfinite(values).all()) for values in result.values()):
        return math.nan
    floor = NOISE * max(float(values.max()) for values in expected.values())
    scales = {name: float(expected[name].max()) for name in result}
    return max(
        float((result[name] - expected[name]).abs().max()) / scale for name, scale in scales.items() if scale > floor
    )


def reference(model: Any, batches: Batches, layout: xs.ParameterLayout) -> dict[str, Tensor]:
    """Return the sums (not the means) of squared gradients over all examples."""
    examples = sum(len(batch["input_ids"]) for batch in batches)
    return {name: mean * examples for name, mean in reference_fisher(model, batches, layout).items()}


def scored_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of losses with the head on the scored positions only, which every method needs."""
    scored = batch["labels"] != -100
    hidden = model.base_model(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state
    return F.cross_entropy(model.lm_head(hidden[scored]), batch["labels"][scored], reduction="sum")


def full_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of losses from the logits of all positions, as in a training step."""
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits
    return F.cross_entropy(logits.flatten(0, 1), batch["labels"].flatten(), ignore_index=-100, reduction="sum")


def next_token_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of a causal model's losses; every position of the text is scored."""
    logits = model(batch["input_ids"], attention_mask=batch["attention_mask"]).logits[:, :-1]
    return F.cross_entropy(logits.flatten(0, 1), batch["input_ids"][:, 1:].flatten(), reduction="sum")


def scored_next_token_loss(model: Any, batch: Mapping[str, Tensor]) -> Tensor:
    """Return the sum of a causal model's losses, with the head on the scored positions only."""
    targets = batch["labels"][:, 1:]
    hidden = model.base_model(batch["input_ids"], attention_mask=batch["attention_mask"]).last_hidden_state[:, :-1]
    return F.cross_entropy(model.lm_head(hidden[targets != -100]), targets[targets != -100], reduction="sum")


def require_gradients(model: nn.Module, names: Sequence[str] | None) -> list[nn.Parameter]:
    """Require gradients of the named parameters only (of all for None), and return these parameters."""
    chosen = []
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(names is None or name in set(names))
        parameter.grad = None
        if parameter.requires_grad:
            chosen.append(parameter)
    return chosen


def plain(
    model: Any, batches: Batches, names: Sequence[str] | None, loss_of: Callable[..., Tensor] = scored_loss
) -> Callable[[], None]:
    """Return a call of an ordinary forward and backward pass of each batch; gradients are dropped after each."""

    def run() -> None:
        chosen = require_gradients(model, names)
        for batch in batches:
            loss_of(model, batch).backward()
            for parameter in chosen:
                parameter.grad = None

    return run


class SingleExamples:
    """A loop over single examples in its fastest form: each gradient is squared and freed immediately."""

    def __init__(self, model: Any, batches: Batches, layout: xs.ParameterLayout) -> None:
        self.model, self.names = model, layout.names
        self.examples = [example for batch in batches for example in single_examples(batch)]
        named = dict(model.named_parameters())
        self.sums = {name: torch.zeros_like(named[name]).detach() for name in layout.names}

    def __call__(self) -> None:
        """Add all examples to the sums."""
        require_gradients(self.model, self.names)
        with self._squaring():
            for example in self.examples:
                scored_loss(self.model, example).backward()

    @contextmanager
    def _squaring(self) -> Iterator[None]:
        named = dict(self.model.named_parameters())
        hooks = [named[name].register_post_accumulate_grad_hook(_square_into(self.sums[name])) for name in self.names]
        try:
            yield
        finally:
            for hook in hooks:
                hook.remove()


def _square_into(total: Tensor) -> Callable[[Tensor], None]:
    def square(parameter: Tensor) -> None:
        gradient = parameter.grad
        if gradient is not None:
            total.addcmul_(gradient, gradient)
        parameter.grad = None

    return square


# ------------------------------------------------------------------------------------------- other libraries


class VectorisedMap:
    """`torch.func.vmap(grad(…))`, which computes all examples' gradients at once.

    The attention mask is computed outside, as the four-dimensional sum that transformers would compute: its computation
    depends on values, which vmap does not allow. All examples score the same number of positions, which is the largest
    one.
    """

    leaves_out = ""

    def __init__(self, model: Any, batch: Mapping[str, Tensor], layout: xs.ParameterLayout) -> None:
        named = {f"model.{name}": parameter.detach() for name, parameter in model.named_parameters()}
        self.theta = {f"model.{name}": named.pop(f"model.{name}") for name in layout.names}
        self.sums = {name: torch.zeros_like(self.theta[f"model.{name}"]) for name in layout.names}
        attended = batch["attention_mask"][:, None, None, None, :]
        mask = torch.zeros(attended.shape).masked_fill(attended == 0, torch.finfo(torch.float32).min)
        scored = batch["labels"] != -100
        positions = scored.int().argsort(dim=1, descending=True, stable=True)[:, : int(scored.sum(dim=1).max())]
        self.inputs = (batch["input_ids"], mask, positions, batch["labels"].gather(1, positions))
        one = _OneExample(model)

        def loss(theta: dict[str, Tensor], ids: Tensor, mask: Tensor, positions: Tensor, targets: Tensor) -> Tensor:
            logits = functional_call(one, {**named, **theta}, (ids, mask, positions))
            return F.cross_entropy(logits, targets, ignore_index=-100, reduction="sum")

        self.gradients = vmap(grad(loss), in_dims=(None, 0, 0, 0, 0))

    def __call__(self) -> None:
        """Add the batch to the sums."""
        with warnings.catch_warnings():
            # The backward pass of fused attention is looped over, and is still faster than eager attention.
            warnings.simplefilter("ignore")
            squares = self.gradients(self.theta, *self.inputs)
        for name, total in self.sums.items():
            total.add_(squares.pop(f"model.{name}").square_().sum(dim=0))


class _OneExample(nn.Module):
    def __init__(self, model: Any) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: Tensor, mask: Tensor, positions: Tensor) -> Tensor:
        hidden = self.model.base_model(ids[None], attention_mask=mask).last_hidden_state
        return self.model.lm_head(hidden[0][positions])  # type: ignore[no-any-return]


class Opacus:
    """`GradSampleModule`, whose hooks store every example's gradient with the parameter.

    The hooks work only in training mode, and stay on the model; the model has no dropout.
    """

    leaves_out = ""

    def __init__(self, model: Any, batch: Mapping[str, Tensor], layout: xs.ParameterLayout) -> None:
        from opacus import GradSampleModule

        theta = require_gradients(model, layout.names)
        self.model, self.batch = model.train(), batch
        GradSampleModule(model, loss_reduction="sum", strict=False)
        self.theta = dict(zip(layout.names, theta, strict=True))
        self.sums = {name: torch.zeros_like(parameter).detach() for name, parameter in self.theta.items()}

    def __call__(self) -> None:
        """Add the batch to the sums."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            scored_loss(self.model, self.batch).backward()
        for name, parameter in self.theta.items():
            self.sums[name].add_(parameter.grad_sample.square_().sum(dim=0))  # type: ignore[attr-defined]
            parameter.grad = parameter.grad_sample = None  # type: ignore[attr-defined]


class BackPack:
    """`SumGradSquared`. BackPACK has no rule for LayerNorm, so that the scales and shifts of θ are not measured."""

    leaves_out = "LayerNorm"

    def __init__(self, model: Any, batch: Mapping[str, Tensor], layout: xs.ParameterLayout) -> None:
        from backpack import extend

        self.model, self.batch = model, batch
        linear = [module for module in model.base_model.encoder.modules() if isinstance(module, nn.Linear)]
        covered = {id(parameter) for module in linear for parameter in module.parameters()}
        named = dict(model.named_parameters())
        self.theta = {name: named[name] for name in layout.names if id(named[name]) in covered}
        require_gradients(model, list(self.theta))
        for module in linear:
            extend(module)
        self.sums = {name: torch.zeros_like(parameter).detach() for name, parameter in self.theta.items()}

    def __call__(self) -> None:
        """Add the batch to the sums."""
        from backpack import backpack
        from backpack.extensions import SumGradSquared

        with warnings.catch_warnings(), backpack(SumGradSquared()):
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            scored_loss(self.model, self.batch).backward()
        for name, parameter in self.theta.items():
            self.sums[name].add_(parameter.sum_grad_squared)  # type: ignore[attr-defined]
            parameter.grad = parameter.sum_grad_squared = None  # type: ignore[attr-defined]


class Kronfluence:
    """Lambda matrices of the strategy `diagonal` with the empirical Fisher, in the steps of `fit_lambda_matrices`.

    Kronfluence has rules for linear and convolutional layers only, so that the scales and shifts of LayerNorm are not
    measured. The values of a weight and of its bias are one matrix, whose last column is the bias.
    """

    leaves_out = "LayerNorm"

    def __init__(self, model: Any, batch: Mapping[str, Tensor], layout: xs.ParameterLayout) -> None:
        from kronfluence import FactorArguments, Task, prepare_model
        from kronfluence.module.tracked_module import ModuleMode, TrackedModule
        from kronfluence.module.utils import set_mode, update_factor_args

        linear = {name for name, module in model.named_modules() if isinstance(module, nn.Linear)}
        names = [name for name in linear if f"{name}.weight" in set(layout.names)]

        class MaskedTokens(Task):  # type: ignore[misc]
            def compute_train_loss(self, batch: Any, model: nn.Module, sample: bool = False) -> Tensor:
                return scored_loss(model, batch)

            def compute_measurement(self, batch: Any, model: nn.Module) -> Tensor:
                return scored_loss(model, batch)

            def get_influence_tracked_modules(self) -> list[str]:
                return names

        self.task, self.batch = MaskedTokens(), batch
        self.model = prepare_model(model, self.task)
        update_factor_args(self.model, FactorArguments(strategy="diagonal", use_empirical_fisher=True))
        set_mode(self.model, ModuleMode.LAMBDA, names, release_memory=True)
        self.tracked = [module for module in self.model.modules() if isinstance(module, TrackedModule)]

    @property
    def sums(self) -> dict[str, Tensor]:
        """{name: sum of squares}; the tensors are views of the matrices of Kronfluence."""
        found = {}
        for module in self.tracked:
            values = module.get_factor("lambda_matrix")
            found |= {f"{module.name}.weight": values[:, :-1], f"{module.name}.bias": values[:, -1]}
        return found

    def __call__(self) -> None:
        """Add the batch to the sums."""
        self.model.zero_grad(set_to_none=True)
        self.task.compute_train_loss(batch=self.batch, model=self.model).backward()


#: Name in the tables → (peer, distribution that must be installed). NNGeometry is not among them: `PMatDiag` needs one
#: row for each example, and would square the gradient of every token separately.
PEERS: dict[str, tuple[Any, str]] = {
    "torch.func vmap": (VectorisedMap, "torch"),
    "Opacus": (Opacus, "opacus"),
    "BackPACK": (BackPack, "backpack"),
    "Kronfluence": (Kronfluence, "kronfluence"),
}


def installed(name: str) -> bool:
    """Return whether the library of a contestant is installed."""
    return find_spec(PEERS[name][1]) is not None
