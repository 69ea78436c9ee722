"""Construction of objectives by name."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, Final

from xsns_stream.errors import UsageError
from xsns_stream.objectives.encoding import Objective
from xsns_stream.objectives.language_modelling import CausalLanguageModelling, MaskedLanguageModelling, SpanCorruption
from xsns_stream.objectives.tasks import QuestionAnswering, SequenceClassification, TokenClassification

#: Name → class of every objective.
OBJECTIVES: Final[Mapping[str, type[Any]]] = {
    kind.name: kind
    for kind in (
        MaskedLanguageModelling,
        CausalLanguageModelling,
        SpanCorruption,
        TokenClassification,
        SequenceClassification,
        QuestionAnswering,
    )
}
#: Option → subject of a message about the option.
_OPTIONS: Final = {
    "rate": "mask rate",
    "mean_span": "mean span",
    "labels": "labels",
    "label_at": "label at",
    "scored_share": "scored share",
}
#: Objective → hint of the message that the share of scored positions does not apply.
_SCORED_ALREADY: Final = {
    MaskedLanguageModelling.name: "it scores the hidden tokens, whose share is `--mask-rate`.",
    **{
        kind.name: "leave it out: every label is scored."
        for kind in (TokenClassification, SequenceClassification, QuestionAnswering)
    },
}


def make_objective(
    name: str,
    *,
    rate: float | None = None,
    mean_span: float | None = None,
    max_length: int = 128,
    labels: tuple[str, ...] = (),
    label_at: str | None = None,
    scored_share: float | None = None,
) -> Objective:
    """Return the objective of the given name with the given options.

    Args:
        name: `masked-lm`, `causal-lm`, `span-corruption`, `token-classification`, `sequence-classification` or
            `question-answering`.
        rate: Share of hidden tokens, for `masked-lm` and `span-corruption`; None means 0.15.
        mean_span: Mean number of tokens of a span, for `span-corruption`; None means 3.
        max_length: Maximum length of an example in tokens, including special tokens.
        labels: Names of the classes in order, for the two classification objectives.
        label_at: The token of a word that has its label, `first` or `last`, for `token-classification`; None means
            `first`.
        scored_share: Share of the predicted tokens that are scored, in (0, 1], for `causal-lm` and `span-corruption`;
            None means 1.

    Raises:
        UsageError: The objective is unknown or does not have a given option, or a value is invalid.
    """
    kind = OBJECTIVES.get(name)
    if kind is None:
        raise UsageError(f"'{name}' is not a valid objective.", f"choose one of {', '.join(OBJECTIVES)}.")
    given = {
        "rate": rate,
        "mean_span": mean_span,
        "labels": labels or None,
        "label_at": label_at,
        "scored_share": scored_share,
    }
    options = {option: value for option, value in given.items() if value is not None}
    has = {field.name for field in fields(kind)}
    for option in options:
        if option not in has:
            hint = _SCORED_ALREADY.get(name, "leave it out.") if option == "scored_share" else "leave it out."
            raise UsageError(f"{name} does not use the option '{_OPTIONS[option]}'.", hint)
    if "labels" in has:
        options.setdefault("labels", ())
    objective: Objective = kind(**options, max_length=max_length)
    return objective
