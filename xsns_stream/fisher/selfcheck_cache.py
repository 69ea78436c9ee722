"""Results of the self-check on disk: one small file for each kind of model and library versions.

The key is a digest of everything the result depends on but the weights' values: the model's class and configuration,
θ, precision, kind of device, attention, and the versions of the libraries. An entry that cannot be read is made
again; one that cannot be written costs the next run a check.
"""

from __future__ import annotations

import hashlib
import json
import os
from contextlib import suppress
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch
import transformers

from xsns_stream.io.atomic import atomic_file
from xsns_stream.types import ParameterLayout

SCHEMA_VERSION = 1
#: The variable that moves the folder.
FOLDER_VARIABLE = "XSNS_STREAM_CACHE"
#: Of a configuration, what says nothing about how a model computes.
_NAMES = ("_name_or_path", "transformers_version", "architectures", "id2label", "label2id")


def folder() -> Path:
    """Return where results are kept: `$XSNS_STREAM_CACHE`, or `xsns-stream` in the user's cache folder."""
    if chosen := os.environ.get(FOLDER_VARIABLE):
        return Path(chosen)
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "xsns-stream"


def load(model: Any, layout: ParameterLayout) -> tuple[str, ...] | None:
    """Return the names that need the batch-of-one path; None where this kind of model was not checked yet."""
    try:
        document = json.loads(_path(model, layout).read_text(encoding="utf-8"))
        names = tuple(document["without_rules"])
        known = document["schema_version"] == SCHEMA_VERSION and set(names) <= set(layout.names)
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return names if known else None


def keep(model: Any, layout: ParameterLayout, names: tuple[str, ...]) -> None:
    """Keep what a check found; silently nothing where the folder cannot be written."""
    path = _path(model, layout)
    document = {"schema_version": SCHEMA_VERSION, "model": _class(model), **_versions(), "without_rules": list(names)}
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as file:
            file.write(json.dumps(document).encode())


def _path(model: Any, layout: ParameterLayout) -> Path:
    weight = next(model.parameters())
    config = {name: value for name, value in model.config.to_dict().items() if name not in _NAMES}
    key = {
        "class": _class(model),
        "config": config,
        "attention": getattr(model.config, "_attn_implementation", None),
        "layout": layout.digest,
        "dtype": str(weight.dtype),
        "device": weight.device.type,
        **_versions(),
    }
    digest = hashlib.sha256(json.dumps(key, sort_keys=True, default=str).encode()).hexdigest()
    return folder() / "self-check" / f"{digest}.json"


def _class(model: Any) -> str:
    return f"{type(model).__module__}.{type(model).__qualname__}"


def _versions() -> dict[str, str]:
    return {"xsns-stream": version("xsns-stream"), "torch": torch.__version__, "transformers": transformers.__version__}
