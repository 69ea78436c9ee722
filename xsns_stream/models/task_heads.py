"""Classes with the head of a task for architectures that have no such class in transformers.

transformers has generic heads for token classification, sequence classification and question answering, and combines
them with many architectures, but not with all: Gemma 3 has no class for token classification. :func:`generic_class`
makes the same combination for the architecture of a configuration. No list of transformers is changed.
"""

from __future__ import annotations

from inspect import Parameter, signature
from typing import Any, Final

#: {task: the generic class of transformers}.
GENERIC_HEADS: Final = {
    "token-classification": "GenericForTokenClassification",
    "sequence-classification": "GenericForSequenceClassification",
    "question-answering": "GenericForQuestionAnswering",
}
#: Lists of transformers that contain the kinds of models that read text.
_TEXT_MODELS: Final = ("MASKED_LM", "CAUSAL_LM")
#: Arguments that the generic heads pass to the body of the model.
_PASSED: Final = ("input_ids", "attention_mask", "position_ids", "past_key_values", "inputs_embeds")
#: Arguments of recurrent bodies (Mamba, RWKV), whose outputs lack fields that the generic heads read.
_RECURRENT: Final = ("cache_params", "state")
#: {(class of the configuration, task): class with the head}; all models of one kind have the same class.
_MADE: Final[dict[tuple[type[Any], str], type[Any]]] = {}


def takes_generic_head(config: Any) -> bool:
    """Return whether a generic head fits the architecture of a configuration.

    It does if the model has one stack, reads text only, and its body takes the arguments that the generic heads pass.
    """
    from transformers.models.auto import modeling_auto

    lists = (getattr(modeling_auto, f"MODEL_FOR_{key}_MAPPING_NAMES") for key in _TEXT_MODELS)
    if not any(config.model_type in known for known in lists):
        return False
    if config.is_encoder_decoder or config.get_text_config() is not config:
        return False
    body = _body(type(config))
    if body is None or getattr(body, "main_input_name", "input_ids") != "input_ids":
        return False
    parameters = signature(body.forward).parameters.values()
    if any(each.name in _RECURRENT for each in parameters):
        return False
    open_ended = any(each.kind is Parameter.VAR_KEYWORD for each in parameters)
    return open_ended or {each.name for each in parameters}.issuperset(_PASSED)


def generic_class(config: Any, objective: str) -> type[Any]:
    """Return the class that joins the architecture of a configuration and the generic head of a task.

    The name of the class is that of transformers for other architectures, such as `Gemma3TextForTokenClassification`,
    and `save_pretrained` writes it to `config.json`.

    Args:
        config: A configuration for which :func:`takes_generic_head` is true.
        objective: The task: a key of :data:`GENERIC_HEADS`.
    """
    key = type(config), objective
    if key not in _MADE:
        _MADE[key] = _make_class(*key)
    return _MADE[key]


def task_in_name(class_name: str) -> str | None:
    """Return the task of a class that :func:`generic_class` made, from its name; None for other names."""
    return next(
        (task for task, head in GENERIC_HEADS.items() if class_name.endswith(head.removeprefix("Generic"))), None
    )


def pooler_names(model: Any) -> set[str]:
    """Return the names of the tensors of a pooler, the layer between blocks and head that BERT has for whole texts.

    Checkpoints of masked language models do not contain it. It is initialised with the head in that case.
    """
    return {name for name in model.state_dict() if ".pooler." in f".{name}"}


def _body(config_class: type[Any]) -> Any:
    """Return the model class without a head for a configuration class; None if there is no such class, or several."""
    from transformers import MODEL_MAPPING

    if config_class not in MODEL_MAPPING:
        return None
    body = MODEL_MAPPING[config_class]
    return None if isinstance(body, list | tuple) else body


def _make_class(config_class: type[Any], objective: str) -> type[Any]:
    from transformers import PreTrainedModel, modeling_layers

    body = _body(config_class)
    # The class from which all models of the architecture inherit, for example Gemma3PreTrainedModel.
    family = next(parent for parent in body.__mro__ if PreTrainedModel in parent.__bases__)
    head = getattr(modeling_layers, GENERIC_HEADS[objective])

    def init(self: Any, config: Any) -> None:
        head.__init__(self, config)
        # Heads of tasks read single positions. Checkpoints of language models have no weights for a pooler.
        if getattr(self.base_model, "pooler", None) is not None:
            self.base_model.pooler = None

    members = {
        "__init__": init,
        "__doc__": f"{body.__name__} with {head.__name__}.",
        "__module__": __name__,
        "config_class": config_class,
        "base_model_prefix": body.base_model_prefix,
        "get_input_embeddings": lambda self: self.base_model.get_input_embeddings(),
        "set_input_embeddings": lambda self, value: self.base_model.set_input_embeddings(value),
    }
    name = body.__name__.removesuffix("Model") + head.__name__.removeprefix("Generic")
    return type(name, (head, family), members)
