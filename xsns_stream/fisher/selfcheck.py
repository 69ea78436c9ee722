"""Self-check, which tests whether the rules are exact for a model.

A rule can be wrong without an error: a subclass may compute more in its forward, activations may have a different order
of axes, or a module may be used in an unexpected way. Before the first measurement of a model, three examples of
different lengths are therefore measured with the rules and with :func:`reference_fisher`, and compared parameter by
parameter. Parameters without an exact rule are measured one example at a time.

The result is saved on disk in one small file for each kind of model. The name of the file is a digest of everything
that the result depends on except the values of the weights: class and configuration of the model, θ, dtype, type of
device, attention implementation, and versions of the libraries. If the file cannot be read or written, the check is
repeated.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, NamedTuple
from weakref import WeakKeyDictionary

import torch
import transformers
from torch import Tensor, nn

from xsns_stream.errors import FisherError
from xsns_stream.fisher import scoring
from xsns_stream.fisher.engine import Engine, NotFiniteError
from xsns_stream.fisher.layer_groups import groups_of_layers
from xsns_stream.fisher.model_state import evaluating
from xsns_stream.fisher.reference import reference_fisher
from xsns_stream.fisher.rules import NotExactError
from xsns_stream.io.atomic import atomic_file
from xsns_stream.io.cache_folder import cache_folder
from xsns_stream.types import ParameterLayout

#: Lengths of the examples of the small batch, in tokens.
LENGTHS = (7, 5, 4)
#: Lengths of the same examples in the decoder. The longest of them differs from the longest in `LENGTHS` and from the
#: number of examples, because an axis must not be mistaken for another one.
DECODED = (6, 3, 5)
#: Largest accepted error of a tensor, relative to its largest value. Rounding alone gives about 1e-6 in float32
#: (sums of some hundred products) and 1e-15 in float64; a wrong rule gives 0.1 and more.
TOLERANCE = {torch.float64: 1e-10}
TOLERANCE_FLOAT32 = 1e-4
#: Tolerance in float64, for tensors that exceed the tolerance in float32. Some models compute single steps in float32
#: even then.
TOLERANCE_DOUBTFUL = 1e-4
HALVES = (torch.float16, torch.bfloat16)
#: Values below this share of the largest value of all tensors are rounding noise. For example, the gradient of the bias
#: of attention keys is mathematically zero, and two correct computations of it give different noise.
NOISE = 1e-9


@dataclass(frozen=True)
class ParameterCheck:
    """Result of the check for one parameter.

    Attributes:
        name: The parameter.
        rule: Name of the rule that covers the parameter; empty if no rule covers it.
        error: Largest absolute difference from the reference, relative to the largest value of the tensor; NaN if the
            gradients of the model are not finite.
        exact: Whether the difference is small enough to be caused by rounding only.
    """

    name: str
    rule: str
    error: float
    exact: bool

    @property
    def by_rule(self) -> bool:
        """Whether the parameter is measured by a rule."""
        return bool(self.rule)


def self_check(model: nn.Module, layout: ParameterLayout, *, budget: int | None = None) -> tuple[ParameterCheck, ...]:
    """Compare the rules with the reference on a small batch; return one result for each parameter of θ.

    Weights in half precision are converted to float32 for the comparison, because rounding would hide errors, and
    restored bit for bit.

    Args:
        model: The model, with its head.
        layout: θ.
        budget: Largest size in bytes of the values from the rules, and of the values from the reference. θ is compared
            in groups that fit into this size; by default, all of θ is compared at once.

    Raises:
        FisherError: The model has no head; or a parameter differs from the reference even if it is measured one example
            at a time.
    """
    kind = scoring.kind_of(model)
    if kind in scoring.LANGUAGE_MODELS:
        scoring.head_of(model)  # raises an error for a model without a head
    batch = _small_batch(model, kind)
    groups = [layout.names] if budget is None else groups_of_layers(layout, budget)
    compared: dict[str, Comparison] = {}
    with _in_full_precision(model):
        for names in groups:
            compared |= _compare(model, layout, names, batch, set())
    halved = next(model.parameters()).dtype in HALVES
    unmet = _refusing(model, layout, groups, batch) if halved else set()
    errors = relative_errors(compared)
    tolerance = TOLERANCE.get(next(model.parameters()).dtype, TOLERANCE_FLOAT32)
    checks = tuple(
        ParameterCheck(name, "" if name in unmet else compared[name].rule, errors[name], errors[name] <= tolerance)
        for name in layout.names
    )
    doubtful = {check.name for check in checks if not check.exact and not math.isnan(check.error)}
    wrong = _still_wrong(model, layout, batch, doubtful, tolerance)
    if wrong and next(model.parameters()).dtype != torch.float64:
        # Small values of a tensor may exceed the tolerance only by rounding. In float64, rounding is negligible
        # compared with the effect of mixing examples.
        wrong = _still_wrong(model, layout, batch, set(wrong), TOLERANCE_DOUBTFUL, torch.float64)
    if wrong:
        raise FisherError(
            f"the gradient of '{wrong[0]}' depends on the other examples of a batch, and cannot be measured.",
            "the self-check compared it in float64 with the gradients of single examples. The model may mix the "
            "examples of a batch, or be random in evaluation mode; `--exclude` leaves parameters out.",
        )
    return checks


class Comparison(NamedTuple):
    """Comparison of the values of one parameter with the reference.

    Attributes: rule: Name of the rule that computed the values; empty if no rule covers the parameter. difference:
    Largest absolute difference from the reference. peak: Largest absolute value of the reference.
    """

    rule: str
    difference: float
    peak: float


#: Model → (layout, dtype, device) → names. The key is the model, because two models of a class may differ inside.
_CHECKED_MODELS: WeakKeyDictionary[nn.Module, dict[tuple[str, ...], tuple[str, ...]]] = WeakKeyDictionary()


def without_rules(
    model: nn.Module, layout: ParameterLayout, *, cached: bool = False, budget: int | None = None
) -> tuple[str, ...]:
    """Return the names of parameters for which no rule was confirmed as exact; each model is checked only once.

    Args:
        model: The model, with its head.
        layout: θ.
        cached: Whether the result may be read from disk and written to it, for all models of the same class,
            configuration and library versions. Set it only for a model that has not changed since it was loaded.
        budget: See :func:`self_check`.
    """
    weight = next(model.parameters())
    known = _CHECKED_MODELS.setdefault(model, {})
    key = (layout.digest, str(weight.dtype), str(weight.device))
    if key not in known:
        names = load_result(model, layout) if cached else None
        if names is None:
            try:
                checks = self_check(model, layout, budget=budget)
            except NotFiniteError:
                # These weights cannot be checked. The measurement will fail with an error that names the language.
                return ()
            names = tuple(check.name for check in checks if not (check.by_rule and check.exact))
            if cached and not any(math.isnan(check.error) for check in checks):
                save_result(model, layout, names)
        known[key] = names
    return known[key]


def _compare(
    model: nn.Module,
    layout: ParameterLayout,
    names: Sequence[str],
    batch: Mapping[str, Tensor],
    refused: set[str],
) -> dict[str, Comparison]:
    with evaluating(model):
        expected = reference_fisher(model, [batch], layout, names=names)
    engine = _measured(model, layout, names, batch, refused)
    rules = {id(p): rule.name for _, rule in engine.ruled for p in rule.parameters}
    parameters = dict(model.named_parameters())
    compared = {}
    for name, values in expected.items():
        difference = float((engine.sums[name] / engine.count - values).abs().max())
        compared[name] = Comparison(rules.get(id(parameters[name]), ""), difference, float(values.abs().max()))
    return compared


def _measured(
    model: nn.Module, layout: ParameterLayout, names: Sequence[str], batch: Mapping[str, Tensor], refused: set[str]
) -> Engine:
    """Measure the parameters in `names` without rules for those in `refused`, and return the engine with the sums.

    If a rule does not cover a module, the parameters of the module are added to `refused`, and the batch is measured
    again.
    """
    while True:
        engine = Engine(model, layout, without_rules=refused, measured=names)
        try:
            with engine:
                engine.add(batch)
        except NotExactError as error:
            refused |= parameters_of(model, layout, error, refused)
        else:
            return engine


def _still_wrong(
    model: nn.Module,
    layout: ParameterLayout,
    batch: Mapping[str, Tensor],
    names: set[str],
    tolerance: float,
    dtype: torch.dtype = torch.float32,
) -> list[str]:
    """Return the names of parameters that differ from the reference even if they are measured one example at a time.

    Args:
        model: The model.
        layout: θ.
        batch: The examples.
        names: Names of the parameters to measure again.
        tolerance: Largest accepted error, relative to the largest value of the tensor.
        dtype: Precision of the weights during the comparison.
    """
    if not names:
        return []
    with _in_full_precision(model, dtype):
        compared = _compare(model, layout, tuple(sorted(names)), batch, refused=set(layout.names))
    return [name for name, error in relative_errors(compared).items() if error > tolerance]


def _refusing(
    model: nn.Module, layout: ParameterLayout, groups: Sequence[Sequence[str]], batch: Mapping[str, Tensor]
) -> set[str]:
    """Measure each group of parameters in the model's own dtype; return the names of parameters whose rules fail.

    A rule fails, for example, if the module casts its weights.
    """
    refused: set[str] = set()
    for names in groups:
        _measured(model, layout, names, batch, refused)
    return refused


def parameters_of(
    model: nn.Module, layout: ParameterLayout, error: NotExactError, refused: Collection[str]
) -> set[str]:
    """Return the names of the parameters of θ in the module for which a rule raised `error`.

    If all of these names were refused before, or if the error names no module, return all names in θ.

    Raises:
        FisherError: All names in θ were refused before.
    """
    if set(refused) >= set(layout.names):
        raise FisherError(f"this model cannot be measured: {error}.") from error
    own = {id(p) for p in error.module.parameters(recurse=False)} if error.module is not None else set()
    parameters = dict(model.named_parameters())
    names = {name for name in layout.names if id(parameters[name]) in own}
    return names if names - set(refused) else set(layout.names)


def relative_errors(compared: Mapping[str, Comparison]) -> dict[str, float]:
    """Return {parameter name: largest difference from the reference, relative to the largest value of the reference}.

    All errors are NaN if a value is not finite. Values that are rounding noise are compared with the noise level.
    """
    peaks = [comparison.peak for comparison in compared.values()]
    if not all(math.isfinite(peak) for peak in peaks):
        return dict.fromkeys(compared, math.nan)
    floor = NOISE * max(peaks)
    scales = {name: max(comparison.peak, floor) for name, comparison in compared.items()}
    return {name: c.difference / scales[name] if scales[name] else c.difference for name, c in compared.items()}


@contextmanager
def _in_full_precision(model: nn.Module, dtype: torch.dtype = torch.float32) -> Iterator[None]:
    """Convert weights of lower precision to `dtype` while the block runs, and restore them bit for bit afterwards.

    Gradients that training left are set aside, because the gradient of a tensor must have the type of the tensor.
    """
    lower = HALVES if dtype == torch.float32 else (*HALVES, torch.float32)
    changed = [(tensor, tensor.dtype) for tensor in (*model.parameters(), *model.buffers()) if tensor.dtype in lower]
    gradients = [(tensor, tensor.grad) for tensor, _ in changed if tensor.grad is not None]
    try:
        for tensor, _ in gradients:
            tensor.grad = None
        for tensor, _ in changed:
            tensor.data = tensor.data.to(dtype)
        yield
    finally:
        for tensor, own in changed:
            tensor.data = tensor.data.to(own)
        for tensor, gradient in gradients:
            tensor.grad = gradient


def _small_batch(model: Any, kind: str) -> dict[str, Tensor]:
    """Return a batch of three examples of different lengths, with arbitrary tokens and labels that suit the kind."""
    rows = model.get_input_embeddings().weight.shape[0]
    config = model.config.get_text_config() if hasattr(model.config, "get_text_config") else model.config
    padding = getattr(config, "pad_token_id", None) or 0
    device = next(model.parameters()).device
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(min(10, rows - 1), rows, (len(LENGTHS), max(LENGTHS)), generator=generator)
    attention = _up_to(LENGTHS)
    batch = {"input_ids": ids.masked_fill(attention == 0, padding), "attention_mask": attention}
    classes = int(getattr(config, "num_labels", 2))
    if kind == "seq2seq":
        decoded = torch.randint(min(10, rows - 1), rows, (len(DECODED), max(DECODED)), generator=generator)
        batch["labels"] = decoded.masked_fill(_up_to(DECODED) == 0, scoring.IGNORED)
    elif kind == "sequence":
        batch["labels"] = torch.arange(len(LENGTHS)) % classes
        end = getattr(config, "eos_token_id", None)
        if getattr(config, "is_encoder_decoder", False) and isinstance(end, int):
            # These models classify a text at its end token, of which each text must have exactly one.
            batch["input_ids"][batch["input_ids"] == end] = 0 if end else 1
            batch["input_ids"][torch.arange(len(LENGTHS)), torch.tensor(LENGTHS) - 1] = end
    elif kind == "span":
        batch |= {"start_positions": torch.tensor([1, 0, 2]), "end_positions": torch.tensor([3, 2, 2])}
    else:
        labels = torch.full_like(ids, scoring.IGNORED)
        labels[:, 1:3] = ids[:, 1:3].roll(1) % (classes if kind == "tokens" else rows)
        batch["labels"] = labels
    return {name: values.to(device) for name, values in batch.items()}


def _up_to(lengths: Sequence[int]) -> Tensor:
    return (torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]).long()


SCHEMA_VERSION = 1
#: Fields of a configuration that do not affect the computation.
_NOT_COMPUTED = ("_name_or_path", "transformers_version", "architectures", "id2label", "label2id")


def load_result(model: Any, layout: ParameterLayout) -> tuple[str, ...] | None:
    """Return the saved names of parameters without a confirmed rule; None if there is no saved result."""
    try:
        document = json.loads(_result_path(model, layout).read_text(encoding="utf-8"))
        names = tuple(document["without_rules"])
        known = document["schema_version"] == SCHEMA_VERSION and set(names) <= set(layout.names)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return names if known else None


def save_result(model: Any, layout: ParameterLayout, names: tuple[str, ...]) -> None:
    """Save the names of the parameters without a confirmed rule; do nothing if the file cannot be written."""
    path = _result_path(model, layout)
    document = {
        "schema_version": SCHEMA_VERSION,
        "model": _class_name(model),
        **_versions(),
        "without_rules": list(names),
    }
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.write(json.dumps(document).encode())


def _result_path(model: Any, layout: ParameterLayout) -> Path:
    weight = next(model.parameters())
    config = {name: value for name, value in model.config.to_dict().items() if name not in _NOT_COMPUTED}
    key = {
        "class": _class_name(model),
        "config": config,
        "attention": getattr(model.config, "_attn_implementation", None),
        "layout": layout.digest,
        "dtype": str(weight.dtype),
        "device": weight.device.type,
        **_versions(),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
    return cache_folder() / "self-check" / f"{digest}.json"


def _class_name(model: Any) -> str:
    return f"{type(model).__module__}.{type(model).__qualname__}"


def _versions() -> dict[str, str]:
    return {"xsns-stream": version("xsns-stream"), "torch": torch.__version__, "transformers": transformers.__version__}
