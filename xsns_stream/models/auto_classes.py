"""Choice of the objective of a checkpoint, and of the transformers class that loads the checkpoint for it."""

from __future__ import annotations

from typing import Any, Final

from xsns_stream.errors import ModelError, UsageError
from xsns_stream.models.task_heads import GENERIC_HEADS, generic_class, takes_generic_head, task_in_name

LANGUAGE_MODELLING: Final = ("masked-lm", "causal-lm", "span-corruption")
CLASSIFICATION: Final = ("token-classification", "sequence-classification")
TASKS: Final = (*CLASSIFICATION, "question-answering")
OBJECTIVES: Final = (*LANGUAGE_MODELLING, *TASKS)

#: Lists of transformers models for each objective; the first list that contains the model is used.
_AUTO_CLASSES: Final = {
    "masked-lm": {"MASKED_LM": "AutoModelForMaskedLM"},
    "causal-lm": {"CAUSAL_LM": "AutoModelForCausalLM", "MULTIMODAL_LM": "AutoModelForMultimodalLM"},
    "span-corruption": {"SEQ_TO_SEQ_CAUSAL_LM": "AutoModelForSeq2SeqLM"},
    "token-classification": {"TOKEN_CLASSIFICATION": "AutoModelForTokenClassification"},
    "sequence-classification": {"SEQUENCE_CLASSIFICATION": "AutoModelForSequenceClassification"},
    "question-answering": {"QUESTION_ANSWERING": "AutoModelForQuestionAnswering"},
}
#: Models that were pre-trained to detect replaced tokens and have no distribution over tokens.
_DISCRIMINATORS: Final = ("ElectraForPreTraining", "FunnelForPreTraining")


def check_arguments(objective: str, label_count: int | None) -> None:
    """Check the name of an objective and the number of labels that is given for it.

    Raises:
        UsageError: The objective is unknown; a classification objective is given without a number of labels, or with
            fewer than two labels; or another objective is given with a number of labels.
    """
    if objective not in ("auto", *OBJECTIVES):
        raise UsageError(f"'{objective}' is not a valid objective.", f"choose one of auto, {', '.join(OBJECTIVES)}.")
    if objective in CLASSIFICATION:
        if label_count is None or label_count < 2:
            given = "and no number of labels was given" if label_count is None else f"not {label_count}"
            raise UsageError(f"{objective} needs at least 2 labels, {given}.", "give the number of classes.")
    elif label_count is not None:
        raise UsageError(f"{objective} has no labels.", f"only {' and '.join(CLASSIFICATION)} have labels.")


def resolve(config: Any, objective: str, name: str) -> str:
    """Return the given objective if the checkpoint supports it; for `auto`, the objective of its pre-training.

    Args:
        config: The configuration of the checkpoint.
        objective: One of :data:`OBJECTIVES`, or `auto`.
        name: Name of the model, for messages.

    Raises:
        ModelError: The checkpoint does not support the objective, or no objective is known for it.
    """
    saved_class = (getattr(config, "architectures", None) or [""])[0]
    if saved_class in _DISCRIMINATORS and objective not in TASKS:
        raise ModelError(
            f"the model '{name}' is a discriminator ({saved_class}): it has no language-modelling head.",
            "use the generator of the same model, such as google/electra-base-generator.",
        )
    if objective != "auto":
        _check_fits(config, objective, name)
        return objective
    if task := task_of(config):
        raise ModelError(
            f"the model '{name}' is a {saved_class}, without the head of its pre-training.",
            f"give `--objective {task}` with labelled text, or use a checkpoint with a language-modelling head.",
        )
    pretrained = _pretrained_for(config, saved_class)
    if pretrained is None:
        raise ModelError(
            f"no objective is known for the model '{name}' ({saved_class or config.model_type}).",
            "use a text model with its language-modelling head: an encoder, a decoder, or both.",
        )
    return pretrained


def task_of(config: Any) -> str | None:
    """Return the task for which a checkpoint has a head; None if the checkpoint has no task head."""
    saved_class = (getattr(config, "architectures", None) or [""])[0]
    listed = next((task for task in TASKS if saved_class in classes_of(task)), None)
    return listed or task_in_name(saved_class)


def auto_class(config: Any, objective: str) -> Any:
    """Return the class whose method `from_pretrained` loads a checkpoint for a resolved objective.

    It is a class of transformers, or the class of :func:`~xsns_stream.models.task_heads.generic_class`.
    """
    import transformers

    lists = _AUTO_CLASSES[objective]
    name = next((lists[key] for key in lists if config.model_type in _models(key)), None)
    return generic_class(config, objective) if name is None else getattr(transformers, name)


def model_class(config: Any, objective: str) -> Any:
    """Return the class of the model that :func:`auto_class` loads. The import of this class may fail."""
    chosen = auto_class(config, objective)
    if not hasattr(chosen, "_model_mapping"):
        return chosen
    classes = chosen._model_mapping[type(config)]
    if not isinstance(classes, list | tuple):
        return classes
    named = set(getattr(config, "architectures", None) or ())
    return next((candidate for candidate in classes if candidate.__name__ in named), classes[0])


def renamed_tensors(config: Any, objective: str) -> dict[str, str]:
    """Return {regular expression: replacement} for the tensor names of a checkpoint.

    The dictionary is empty unless the class of the objective has another name for the body than the checkpoint.

    In LlamaForQuestionAnswering and related classes, the body is called `transformer` and not `model`. Without the
    replacement, these classes would not find the tensors of the body in an ordinary checkpoint.
    """
    import transformers

    if objective != "question-answering":
        return {}
    classes = (transformers.MODEL_MAPPING[type(config)], model_class(config, objective))
    body, own = (getattr(each, "base_model_prefix", "") for each in classes)
    return {rf"^{body}\.": f"{own}."} if body and own and body != own else {}


def reads_both_ways(config: Any) -> bool:
    """Return whether attention is bidirectional. Predicting the next token is then meaningless."""
    return config.model_type in _models("MASKED_LM") and not getattr(config, "is_decoder", False)


def _pretrained_for(config: Any, saved_class: str) -> str | None:
    """Return the objective of language modelling for which a model was pre-trained; None if it is unknown.

    Args:
        config: The configuration of the checkpoint.
        saved_class: Name of the class in the configuration. Its objective is returned; if it has none, the first
            objective that fits the kind of the model.
    """
    if config.is_encoder_decoder:
        return "span-corruption" if fits(config, "span-corruption") else None
    for objective in ("masked-lm", "causal-lm"):
        if saved_class in classes_of(objective) and fits(config, objective):
            return objective
    return next((o for o in ("masked-lm", "causal-lm") if fits(config, o)), None)


def _check_fits(config: Any, objective: str, name: str) -> None:
    if fits(config, objective):
        return
    supported = [other for other in OBJECTIVES if fits(config, other)]
    raise ModelError(
        f"the model '{name}' ({config.model_type}) does not support {objective}.",
        f"it supports {', '.join(supported)}." if supported else "use a text model.",
    )


def fits(config: Any, objective: str) -> bool:
    """Return whether this kind of model supports a task, or was pre-trained for an objective of language modelling."""
    listed = any(config.model_type in _models(key) for key in _AUTO_CLASSES[objective])
    if objective in TASKS:
        return listed or takes_generic_head(config)
    if not listed:
        return False
    # transformers lists mBART for all three objectives, and XLM-R as a decoder; they would run, but were not trained
    # for this.
    if config.is_encoder_decoder or objective == "span-corruption":
        return bool(config.is_encoder_decoder) and objective == "span-corruption"
    return reads_both_ways(config) == (objective == "masked-lm")


def _models(key: str) -> dict[str, Any]:
    """Return the table {model_type: name or names of its class} of transformers for a key such as `MASKED_LM`."""
    from transformers.models.auto import modeling_auto

    known: dict[str, Any] = getattr(modeling_auto, f"MODEL_FOR_{key}_MAPPING_NAMES")
    return known


def classes_of(objective: str) -> set[str]:
    """Return the names of all transformers model classes for an objective, and of the generic class for a task."""
    entries = [entry for key in _AUTO_CLASSES[objective] for entry in _models(key).values()]
    entries += [GENERIC_HEADS[objective]] if objective in GENERIC_HEADS else []
    return {name for entry in entries for name in ((entry,) if isinstance(entry, str) else entry)}
