"""Loading of the model of a build, with the head that its objective needs."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from xsns_stream.errors import UsageError
from xsns_stream.models.attention import AUTO, check_label_at, label_position
from xsns_stream.models.auto_classes import CLASSIFICATION, TASKS
from xsns_stream.objectives import make_objective
from xsns_stream.pipeline.arguments import real_number, whole_number
from xsns_stream.pipeline.settings import BuildSettings

if TYPE_CHECKING:
    from xsns_stream.models import LoadedModel


def load_for_build(
    settings: BuildSettings,
    model: Any = "mini",
    tokenizer: Any = None,
    *,
    revision: str | None = None,
    device: str | None = None,
    dtype: str | None = None,
    objective: str = "auto",
    mask_rate: float | None = None,
    mean_span: float | None = None,
    max_length: int = 128,
    label_at: str = AUTO,
    scored_share: float | None = None,
) -> tuple[BuildSettings, LoadedModel]:
    """Load the model of a build; return the settings, to which the objective is added, and the model.

    Args:
        settings: The settings; their objective is replaced.
        model: See :func:`~xsns_stream.pipeline.build.build`.
        tokenizer: See :func:`~xsns_stream.pipeline.build.build`.
        revision: Commit, branch or tag of a model on the Hub.
        device: The PyTorch device.
        dtype: Data type of the weights.
        objective: The training objective; `auto` means the objective of the pre-training.
        mask_rate: Share of tokens that are masked.
        mean_span: Mean length of a masked span in tokens, for span corruption.
        max_length: Maximum length of an example in tokens; longer examples are truncated.
        label_at: The token of a word that has its label, for token classification: `first`, `last`, or `auto`; see
            :func:`~xsns_stream.models.attention.label_position`.
        scored_share: Share of the predicted tokens that are scored, for causal language modelling and span corruption.

    Raises:
        ModelError: The model cannot be loaded.
        UsageError: An option does not apply to the objective, or the model does not support examples of `max_length`
            tokens.
    """
    from xsns_stream.models import longest_input
    from xsns_stream.models.in_memory import open_model

    max_length = whole_number(max_length, "max_length")
    mask_rate = None if mask_rate is None else real_number(mask_rate, "mask_rate")
    mean_span = None if mean_span is None else real_number(mean_span, "mean_span")
    scored_share = None if scored_share is None else real_number(scored_share, "scored_share")

    check_label_at(label_at)
    names = settings.corpus.label_names() if objective in TASKS else ()
    loaded = open_model(
        model,
        tokenizer,
        revision=revision,
        device=device,
        objective=objective,
        label_count=len(names) if objective in CLASSIFICATION else None,
        head_seed=settings.head_seed,
        dtype=dtype,
    )
    check_length(loaded, max_length, longest_input(loaded.model, loaded.tokenizer))
    if objective == "auto" and loaded.objective in CLASSIFICATION:
        names = settings.corpus.label_names()
        if not names:
            raise UsageError(
                f"the model '{loaded.name}' has a head for {loaded.objective}, and the text is read without labels.",
                f"give objective='{loaded.objective}' with labelled text, or load the model with the head of its "
                f"pre-training.",
            )
    at = None if label_at == AUTO else label_at
    if loaded.objective == "token-classification":
        at = label_position(label_at, loaded.model)
    chosen = make_objective(
        loaded.objective,
        rate=mask_rate,
        mean_span=mean_span,
        max_length=max_length,
        labels=names,
        label_at=at,
        scored_share=scored_share,
    )
    return replace(settings, objective=chosen), loaded


def check_length(loaded: LoadedModel, max_length: int, longest: int) -> None:
    """Check that a model supports examples of `max_length` tokens.

    Raises:
        UsageError: The length is more than `longest`, the largest length that the model supports.
    """
    if max_length > longest:
        raise UsageError(
            f"the model '{loaded.name}' supports at most {longest} tokens, not {max_length}.",
            f"give `--max-length {longest}` or less.",
        )
