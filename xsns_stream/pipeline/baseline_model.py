"""Loading of the parts of the model that baselines from text need: the whole model, only its tokenizer, or nothing."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from typing import TYPE_CHECKING, Any, Final

from xsns_stream.errors import UsageError
from xsns_stream.models.auto_classes import TASKS
from xsns_stream.pipeline.model_baselines import needs_tokenizer, needs_weights

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel

MODEL_OPTIONS: Final = ("revision", "device", "dtype", "objective")
PARAMETER_OPTIONS: Final = ("stack", "include", "exclude")


def load_for_baselines(names: Sequence[str], options: Mapping[str, Any]) -> tuple[LoadedModel | None, dict[str, Any]]:
    """Load the parts of the model that the baselines need, and return the settings that depend on the model.

    Args:
        names: Names of baselines from text.
        options: The model and the options for loading it. Other entries are ignored.

    Returns:
        A tuple (model, fields). The model is None if no baseline needs it; its attribute `model` is None if only the
        tokenizer is needed. The fields are values for
        :class:`~xsns_stream.pipeline.model_baselines.BaselineSettings`.

    Raises:
        UsageError: The objective needs labels, or `max_length` is more than the model supports.
        ModelError: The model cannot be loaded.
    """
    if not needs_weights(names):
        return (_tokenizer_alone(options), {}) if needs_tokenizer(names) else (None, {})
    from xsns_stream.models import longest_input, parameter_layout
    from xsns_stream.models.in_memory import open_model
    from xsns_stream.pipeline.build_model import check_length

    if options.get("objective", "auto") in TASKS:
        raise UsageError(
            f"baselines do not read labels, which the objective {options['objective']} needs.",
            "omit --objective, or give an objective of language modelling.",
        )
    arguments = {name: options[name] for name in MODEL_OPTIONS if name in options}
    loaded = open_model(options["model"], options.get("tokenizer"), **arguments)
    check_length(loaded, options.get("max_length", 128), longest_input(loaded.model, loaded.tokenizer))
    theta = {name: options[name] for name in PARAMETER_OPTIONS if name in options}
    if "grad-cosine" not in names or not theta:
        return loaded, {}
    return loaded, {"layout": parameter_layout(loaded.model, **theta)}


def model_modes(loaded: LoadedModel | None) -> AbstractContextManager[None]:
    """Return a context manager that disables the autocast of the caller; if no model is loaded, it does nothing."""
    if loaded is None or loaded.model is None:
        return nullcontext()
    from xsns_stream.fisher.model_state import caller_modes_off

    return caller_modes_off()


def _tokenizer_alone(options: Mapping[str, Any]) -> LoadedModel:
    """Load only the tokenizer; the attribute `model` of the result is None. A model in memory is returned unchanged."""
    from xsns_stream.models.auto_classes import reads_both_ways
    from xsns_stream.models.in_memory import open_model
    from xsns_stream.models.loading import LoadedModel, open_tokenizer
    from xsns_stream.models.tokenizers import tokenizer_digest

    name = options["model"]
    if not isinstance(name, str):
        return open_model(name, options.get("tokenizer"))
    config, tokenizer, commit = open_tokenizer(name, options.get("revision"))
    masked = reads_both_ways(config) and not config.is_encoder_decoder
    objective = "masked-lm" if masked else "causal-lm"
    return LoadedModel(None, tokenizer, name, commit, "", tokenizer_digest(tokenizer), objective, 0)
