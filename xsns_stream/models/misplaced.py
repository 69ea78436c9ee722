"""Checks for models whose files are in another folder, or whose tensors have other names, than transformers expects.

The folder of a training run contains the folders of its checkpoints, and the cache of the Hub has a folder for each
commit. Wrappers of training programs add a prefix to the names of all tensors.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Final

from xsns_stream.errors import ModelError
from xsns_stream.io.json import shown
from xsns_stream.models.model_files import Tensors

#: The cache of the Hub has a model in `models--owner--name/snapshots/COMMIT`.
_DEPTH: Final = 3
_MOST_FOLDERS: Final = 1000
#: Share of the missing tensors that must be in the weights under the same prefix.
_NEARLY_ALL: Final = 0.9
#: Pattern of a prefix that can be part of a command without quoting.
_PLAIN: Final = re.compile(r"[A-Za-z0-9_.]+")
_RENAMING: Final = (
    "python -c \"from safetensors.torch import load_file, save_file; save_file({{name.removeprefix('{prefix}'): tensor "
    "for name, tensor in load_file('model.safetensors').items()}}, 'new.safetensors', {{'format': 'pt'}})\" "
    "&& mv new.safetensors model.safetensors"
)


def model_folders(folder: Path) -> list[str]:
    """Return the paths of model folders below `folder`, relative to `folder`, in the order of their last change.

    A model folder has a configuration and safetensors weights.
    """
    below = islice(_folders(folder, _DEPTH), _MOST_FOLDERS)
    found = [path for path in below if (path / "config.json").exists()]
    models = [path for path in found if next(path.glob("*.safetensors"), None)]
    # `checkpoint-1000` is after `checkpoint-500` if they were copied at the same time.
    models.sort(key=lambda path: ((path / "config.json").stat().st_mtime, len(str(path)), str(path)))
    return [str(path.relative_to(folder)) for path in models]


def _folders(folder: Path, depth: int) -> Iterator[Path]:
    try:
        inner = [path for path in sorted(folder.iterdir()) if path.is_dir()]
    except OSError:
        return
    for path in inner:
        yield path
        if depth > 1:
            yield from _folders(path, depth - 1)


def check_prefix(name: str, missing: set[str], tensors: Tensors) -> None:
    """Raise an error if missing tensors are in the weights under names with an added prefix, such as `module.`.

    Args:
        name: Name of the model, for messages.
        missing: Names of tensors of the model that were not loaded.
        tensors: The tensors of the weights.

    Raises:
        ModelError: Nearly all missing tensors are in the weights, under names with the same prefix.
    """
    prefixes = Counter(prefix for key in tensors.shapes for prefix in _prefixes(key) if key[len(prefix) :] in missing)
    prefix, count = prefixes.most_common(1)[0] if prefixes else ("", 0)
    # The weights contain only one of several tied tensors.
    if not prefix or count < _NEARLY_ALL * min(len(missing), len(tensors)):
        return
    rename = f", or rename the tensors: `{_RENAMING.format(prefix=prefix)}`" if _PLAIN.fullmatch(prefix) else ""
    raise ModelError(
        f"the tensors in the weights of model '{name}' have names with the prefix '{shown(prefix)}', which a program "
        "for training added.",
        f"save the model without this wrapper{rename}.",
    )


def _prefixes(key: str) -> Iterator[str]:
    """Yield each beginning of the tensor name `key` that ends in a dot."""
    yield from (key[: match.end()] for match in re.finditer(r"\.", key))


def check_sizes(model: Any, name: str, mismatched: set[str], tensors: Tensors) -> None:
    """Raise an error if a tensor of the weights has another size than the configuration describes.

    Args:
        model: The model that was built from the configuration.
        name: Name of the model, for messages.
        mismatched: Names of the tensors whose sizes differ, as transformers reports them.
        tensors: The tensors of the weights.

    Raises:
        ModelError: A tensor of the weights has another size than the configuration describes.
    """
    own = model.state_dict()
    for key in sorted(mismatched):
        if key in own and key in tensors.shapes:
            described, found = list(own[key].shape), list(tensors.shapes[key])
            raise ModelError(
                f"the configuration of model '{name}' describes {len(mismatched)} of the tensors with another size "
                f"than in its weights, such as '{shown(key)}' with {described} instead of {found}.",
                "put the config.json of these weights into the folder; a vocabulary that was enlarged changes its "
                "vocab_size.",
            )
