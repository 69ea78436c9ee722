"""Loading of a model and its tokenizer, and selection of θ, the parameters to measure."""

from xsns_stream.models.layout import block_lists, left_out, longest_input, parameter_layout
from xsns_stream.models.loading import EMBEDDED, EMBEDDED_FOLDER, LoadedModel, load_model

__all__ = [
    "EMBEDDED",
    "EMBEDDED_FOLDER",
    "LoadedModel",
    "block_lists",
    "left_out",
    "load_model",
    "longest_input",
    "parameter_layout",
]
