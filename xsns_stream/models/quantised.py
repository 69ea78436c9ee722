"""Folders whose safetensors are quantised, such as FP8 or 4-bit weights of bitsandbytes.

`config.json` of such a folder has a `quantization_config` that names the method. Gradients of quantised weights do not
exist, so the weights are de-quantised by transformers, with the library of the method. A method that transformers does
not de-quantise is refused.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError
from xsns_stream.io.json import shown
from xsns_stream.models.auto_classes import model_class, resolve
from xsns_stream.models.huggingface import quiet_transformers, reason
from xsns_stream.models.model_files import Tensors

#: Types of tensors that are not quantised.
_PLAIN: Final = frozenset(("F64", "F32", "F16", "BF16"))
#: {method: modules of Python that de-quantise it}, for the methods that transformers de-quantises.
PACKAGES: Final = {
    "fp8": ("accelerate",),
    "mxfp4": ("accelerate",),
    "compressed-tensors": ("accelerate", "compressed_tensors"),
    "bitsandbytes": ("accelerate", "bitsandbytes"),
}
#: Methods whose weights are de-quantised after loading. With other methods, this happens while the files are read.
_AFTERWARDS: Final = ("bitsandbytes",)
#: Largest number of weights in one stored value: 32 bits may hold 16 weights of 2 bits.
MOST_PACKED: Final = 16
_BEFORE: Final = "use the original model, without quantisation"


def method_of(fields: Mapping[str, Any]) -> str:
    """Return the quantisation method that a configuration names; an empty string if it describes plain weights."""
    settings = fields.get("quantization_config")
    if not isinstance(settings, dict):
        return ""
    method = settings.get("quant_method")
    if not isinstance(method, str):
        return "bitsandbytes" if settings.get("load_in_8bit") or settings.get("load_in_4bit") else "unknown method"
    return method


def is_plain(tensors: Tensors) -> bool:
    """Return whether no tensor is quantised: all tensors have types of ordinary weights, such as BF16."""
    return tensors.types <= _PLAIN


def check_method(name: str, method: str) -> None:
    """Raise an error if weights of a method cannot be de-quantised.

    `name` is the name of the model, for messages.

    Raises:
        ModelError: transformers does not de-quantise the method, or a package is not installed.
    """
    quantised = f"the weights of model '{name}' are quantised ({shown(method)})"
    if method not in PACKAGES:
        raise ModelError(
            f"{quantised}, and transformers does not de-quantise this format.",
            f"{_BEFORE}, or convert it with the library that quantised it. Formats that are de-quantised: "
            f"{', '.join(PACKAGES)}, and GGUF files.",
        )
    missing = [module.replace("_", "-") for module in PACKAGES[method] if not _installed(module)]
    if missing:
        several = "packages" if len(missing) > 1 else "package"
        raise ModelError(
            f"{quantised}, and the {several} {' and '.join(missing)}, needed to de-quantise them, "
            f"{'are' if len(missing) > 1 else 'is'} not installed.",
            f"install with `pip install {' '.join(missing)}`, or {_BEFORE}.",
        )


def _installed(module: str) -> bool:
    return find_spec(module) is not None


def read_quantised(folder: Path, name: str, config: Any, settings: Mapping[str, Any], dtype: Any) -> dict[str, Any]:
    """Return the de-quantised weights of a folder as {name in the state dict: tensor}.

    Args:
        folder: The folder.
        name: Name of the model, for messages.
        config: The configuration of the model, without the settings of the quantisation.
        settings: The settings of the quantisation.
        dtype: Data type of the result.

    Raises:
        ModelError: The weights cannot be de-quantised, or some are missing.
    """
    import torch

    method = method_of({"quantization_config": settings})
    afterwards = method in _AFTERWARDS
    config = copy.deepcopy(config)
    config.quantization_config = dict(settings) | ({} if afterwards else {"dequantize": True})
    kind = model_class(config, resolve(config, "auto", name))
    try:
        with quiet_transformers(), torch.random.fork_rng(devices=[]):
            model, info = kind.from_pretrained(
                folder,
                config=config,
                local_files_only=True,
                trust_remote_code=False,
                use_safetensors=True,
                dtype=torch.float32,
                output_loading_info=True,
            )
            if afterwards:
                model = model.dequantize(torch.float32)
    except Exception as error:
        # transformers and the library of the method raise many types of errors.
        raise ModelError(
            f"the weights of model '{name}' are quantised ({shown(method)}) and cannot be de-quantised: "
            f"{reason(error)}.",
            f"{_BEFORE}; or check that the library of the method supports this device.",
        ) from error
    if missing := sorted(info["missing_keys"]):
        raise ModelError(
            f"the quantised weights of model '{name}' lack {len(missing)} of the tensors that its configuration needs, "
            f"such as '{shown(missing[0])}'.",
            "the files may be incomplete; download them again.",
        )
    return {key: value.to(dtype) for key, value in model.state_dict().items()}
