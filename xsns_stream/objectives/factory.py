"""Objectives by name."""

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
#: Option → how a message about it begins.
_OPTIONS: Final = {"rate": "a rate means", "mean_span": "a mean span means", "labels": "labels mean"}


def make_objective(
    name: str,
    *,
    rate: float | None = None,
    mean_span: float | None = None,
    max_length: int = 128,
    labels: tuple[str, ...] = (),
) -> Objective:
    """Make the objective `name`.

    Args:
        name: `masked-lm`, `causal-lm`, `span-corruption`, `token-classification`, `sequence-classification` or
            `question-answering`.
        rate: Share of pieces hidden, for `masked-lm` and `span-corruption`; None is 0.15.
        mean_span: Pieces a span, for `span-corruption`; None is 3.
        max_length: Longest example in pieces, special ones included.
        labels: Names of the classes in their order, which the two classifications need.

    Raises:
        UsageError: No such objective, an option that it does not have, or a value that cannot be.
    """
    kind = OBJECTIVES.get(name)
    if kind is None:
        raise UsageError(f"no objective '{name}'.", f"choose one of {', '.join(OBJECTIVES)}.")
    given = {"rate": rate, "mean_span": mean_span, "labels": labels or None}
    options = {option: value for option, value in given.items() if value is not None}
    has = {field.name for field in fields(kind)}
    for option in options:
        if option not in has:
            raise UsageError(f"{_OPTIONS[option]} nothing for {name}.", "leave it out.")
    if "labels" in has:
        options.setdefault("labels", ())
    made: Objective = kind(**options, max_length=max_length)
    return made
