"""What a checkpoint is asked: read from its configuration, or chosen and checked against it."""

from __future__ import annotations

from typing import Any, Final

from xsns_stream.errors import ModelError, UsageError

LANGUAGE_MODELLING: Final = ("masked-lm", "causal-lm", "span-corruption")
CLASSIFICATION: Final = ("token-classification", "sequence-classification")
TASKS: Final = (*CLASSIFICATION, "question-answering")
OBJECTIVES: Final = (*LANGUAGE_MODELLING, *TASKS)

#: Which of transformers' lists of models can be asked it, the first that knows the model being used.
_AUTO_CLASSES: Final = {
    "masked-lm": {"MASKED_LM": "AutoModelForMaskedLM"},
    "causal-lm": {"CAUSAL_LM": "AutoModelForCausalLM", "MULTIMODAL_LM": "AutoModelForMultimodalLM"},
    "span-corruption": {"SEQ_TO_SEQ_CAUSAL_LM": "AutoModelForSeq2SeqLM"},
    "token-classification": {"TOKEN_CLASSIFICATION": "AutoModelForTokenClassification"},
    "sequence-classification": {"SEQUENCE_CLASSIFICATION": "AutoModelForSequenceClassification"},
    "question-answering": {"QUESTION_ANSWERING": "AutoModelForQuestionAnswering"},
}
#: Pre-trained to tell replaced pieces from true ones: they have no distribution over pieces.
_DISCRIMINATORS: Final = ("ElectraForPreTraining", "FunnelForPreTraining")


def check_arguments(objective: str, label_count: int | None) -> None:
    """Refuse an objective that is none, and labels where there are none or too few.

    Raises:
        UsageError: As above.
    """
    if objective not in ("auto", *OBJECTIVES):
        raise UsageError(f"there is no objective '{objective}'.", f"one of: auto, {', '.join(OBJECTIVES)}.")
    if objective in CLASSIFICATION:
        if label_count is None or label_count < 2:
            given = "none was given" if label_count is None else f"not {label_count}"
            raise UsageError(
                f"{objective} needs a number of labels, {given}.", "give the number of classes, two or more."
            )
    elif label_count is not None:
        raise UsageError(f"{objective} has no labels to count.", f"labels are for {' and '.join(CLASSIFICATION)}.")


def resolve(config: Any, objective: str, name: str) -> str:
    """Return the objective of a checkpoint: the given one where it fits, or what it was pre-trained for.

    Args:
        config: The checkpoint's configuration.
        objective: One of :data:`OBJECTIVES`, or `auto`.
        name: The model's, for messages.

    Raises:
        ModelError: The checkpoint cannot be asked this, or nothing is known that it can be asked.
    """
    kept = (getattr(config, "architectures", None) or [""])[0]
    if kept in _DISCRIMINATORS and objective not in TASKS:
        raise ModelError(
            f"the model '{name}' is a discriminator ({kept}): it has no language-modelling head.",
            "use the generator of the same model, such as google/electra-base-generator.",
        )
    if objective != "auto":
        _check_fits(config, objective, name)
        return objective
    if task := task_of(config):
        raise ModelError(
            f"the model '{name}' is a {kept}, without the head that it was pre-trained with.",
            f"give `--objective {task}` with labelled text, or a checkpoint with its language-modelling head.",
        )
    found = _pretrained_for(config, kept)
    if found is None:
        raise ModelError(
            f"what the model '{name}' ({kept or config.model_type}) can be asked is not known.",
            "models of text are needed: encoders, decoders or both, with their language-modelling heads.",
        )
    return found


def task_of(config: Any) -> str | None:
    """Return the task whose head a checkpoint was saved with."""
    kept = (getattr(config, "architectures", None) or [""])[0]
    return next((task for task in TASKS if kept in _classes(task)), None)


def auto_class(config: Any, objective: str) -> Any:
    """Return transformers' class that loads a checkpoint for a resolved objective."""
    import transformers

    lists = _AUTO_CLASSES[objective]
    return getattr(transformers, next(lists[key] for key in lists if config.model_type in _models(key)))


def model_class(config: Any, objective: str) -> Any:
    """Return the class of the model that :func:`auto_class` loads; importing it may fail."""
    found = auto_class(config, objective)._model_mapping[type(config)]
    if not isinstance(found, list | tuple):
        return found
    named = set(getattr(config, "architectures", None) or ())
    return next((one for one in found if one.__name__ in named), found[0])


def renamed_tensors(config: Any, objective: str) -> dict[str, str]:
    """Return {regular expression: replacement} for the names in a checkpoint whose body has another name in a head.

    LlamaForQuestionAnswering and its kin call `transformer` what every other class of theirs calls `model`, and would
    find nothing of the body in an ordinary checkpoint.
    """
    import transformers

    if objective != "question-answering":
        return {}
    mappings = (transformers.MODEL_MAPPING, transformers.MODEL_FOR_QUESTION_ANSWERING_MAPPING)
    body, own = (getattr(mapping[type(config)], "base_model_prefix", "") for mapping in mappings)
    return {rf"^{body}\.": f"{own}."} if body and own and body != own else {}


def reads_both_ways(config: Any) -> bool:
    """Tell whether each position sees those after it, so that asking for the next piece would mean nothing."""
    return config.model_type in _models("MASKED_LM") and not getattr(config, "is_decoder", False)


def _pretrained_for(config: Any, kept: str) -> str | None:
    """Tell by the class that was saved, or, where none is named or it has no head, by the kind of model."""
    if config.is_encoder_decoder:
        return "span-corruption" if _fits(config, "span-corruption") else None
    for objective in ("masked-lm", "causal-lm"):
        if kept in _classes(objective) and _fits(config, objective):
            return objective
    return next((o for o in ("masked-lm", "causal-lm") if _fits(config, o)), None)


def _check_fits(config: Any, objective: str, name: str) -> None:
    if _fits(config, objective):
        return
    can = [other for other in OBJECTIVES if _fits(config, other)]
    raise ModelError(
        f"the model '{name}' ({config.model_type}) cannot be asked for {objective}.",
        f"it can be asked for: {', '.join(can)}." if can else "models of text are needed.",
    )


def _fits(config: Any, objective: str) -> bool:
    if not any(config.model_type in _models(key) for key in _AUTO_CLASSES[objective]):
        return False
    if objective in TASKS:
        return True
    # transformers lists mBART under all three, and XLM-R as a decoder: they compute, but not what they learnt.
    if config.is_encoder_decoder or objective == "span-corruption":
        return bool(config.is_encoder_decoder) and objective == "span-corruption"
    return reads_both_ways(config) == (objective == "masked-lm")


def _models(key: str) -> dict[str, Any]:
    from transformers.models.auto import modeling_auto

    known: dict[str, Any] = getattr(modeling_auto, f"MODEL_FOR_{key}_MAPPING_NAMES")
    return known


def _classes(objective: str) -> set[str]:
    """Return the names of all of transformers' classes for an objective."""
    entries = [entry for key in _AUTO_CLASSES[objective] for entry in _models(key).values()]
    return {name for entry in entries for name in ((entry,) if isinstance(entry, str) else entry)}
