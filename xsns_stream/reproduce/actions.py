"""Actions that recipes need and no verb offers: control models, and other comparisons of Fisher values.

Each action is also a program. A page can therefore show its command line:

    python -m xsns_stream.reproduce.actions random-weights MODEL FOLDER
    python -m xsns_stream.reproduce.actions shuffled-weights MODEL FOLDER
    python -m xsns_stream.reproduce.actions alternatives STORE DENSITY FOLDER
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np

from xsns_stream.errors import StoreError, UsageError, XsnsError
from xsns_stream.io.atomic import atomic_folder
from xsns_stream.report import write_matrix
from xsns_stream.store import SubNetworkStore, open_store
from xsns_stream.subnetworks.select import select_top
from xsns_stream.types import ParameterLayout, Reals, SimilarityMatrix

if TYPE_CHECKING:
    from torch import nn
    from transformers import PretrainedConfig

#: Names of the other comparisons and their files: Jaccard of sub-networks with one threshold per layer, weighted
#: Jaccard of Fisher values, and cosine of Fisher values.
ALTERNATIVES: Final = ("per-layer", "weighted", "cosine")


def write_control(control: str, model: str, folder: Path, seed: int = 0) -> None:
    """Write a control model, which has the architecture and the tokenizer of a model, but has learnt nothing.

    The weights of the control `random` are initialised by the library transformers, as for any new model with this
    configuration. The weights of the control `shuffled` are those of the model, in a random order within each tensor.
    The folder is written atomically.

    Args:
        control: `random` or `shuffled`.
        model: `mini`, a local folder, a GGUF file, or a Hub id.
        folder: The folder to write; an existing folder is replaced.
        seed: Seed for the weights or for their order.

    Raises:
        ModelError: The model cannot be loaded.
        XsnsError: The folder cannot be written.
    """
    import torch

    from xsns_stream.models import load_model

    loaded = load_model(model)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        new = type(loaded.model)(_without_quantization(loaded.model.config)).float()
        if control == "shuffled":
            _copy_shuffled(loaded.model, new, seed)
    try:
        with atomic_folder(folder) as partial:
            new.save_pretrained(partial)
            loaded.tokenizer.save_pretrained(partial)
    except OSError as error:
        raise XsnsError(
            f"cannot write '{folder}': {error.strerror or error}.", "check the free space and the permissions."
        ) from error


def _without_quantization(config: PretrainedConfig) -> PretrainedConfig:
    """Return a copy of a configuration without its quantisation, with which a model could not be saved."""
    copied = copy.deepcopy(config)
    if hasattr(copied, "quantization_config"):
        del copied.quantization_config
    return copied


def _copy_shuffled(model: nn.Module, new: nn.Module, seed: int) -> None:
    """Fill a new model with the weights of a model, in a random order within each tensor."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    values = dict(model.named_parameters())
    with torch.no_grad():
        for name, parameter in new.named_parameters():
            shuffled = values[name].reshape(-1)[torch.randperm(parameter.numel(), generator=generator)]
            parameter.copy_(shuffled.view_as(parameter))


def write_alternatives(store: Path, density: float, folder: Path) -> None:
    """Compare all languages of a store by each measure in :data:`ALTERNATIVES`; write each matrix to a file.

    The file of the measure NAME is `folder/NAME.parquet`.

    Args:
        store: A store with saved Fisher values.
        density: The density of every layer, for `per-layer`.
        folder: The folder to write to; it is created if it does not exist.

    Raises:
        StoreError: The store lacks the Fisher values of a language and seed.
        XsnsError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for name, matrix in compare_fisher_values(open_store(store), density).items():
        write_matrix(matrix, folder / f"{name}.parquet")


def compare_fisher_values(store: SubNetworkStore, density: float) -> dict[str, SimilarityMatrix]:
    """Return {name: similarity matrix} of the languages with saved Fisher values, for each of :data:`ALTERNATIVES`.

    Values are read layer by layer. Memory must hold the Fisher values of the largest layer for all L languages.

    Args:
        store: A store with saved Fisher values.
        density: The density of every layer, for `per-layer`.

    Raises:
        StoreError: The store lacks the Fisher values of a language and seed.
    """
    keys = store.fisher_keys()
    languages = tuple(dict.fromkeys(key.language for key in keys))
    seeds = tuple(dict.fromkeys(key.seed for key in keys))
    if not keys or len(keys) != len(languages) * len(seeds):
        raise StoreError(
            f"'{store.path}' does not have Fisher values of every language and seed.", "build it with --keep-fisher."
        )
    per_seed = np.stack([_compare_seed(store, languages, seed, density) for seed in seeds], axis=1)
    return {
        name: SimilarityMatrix(languages, languages, values.mean(axis=0), name, seeds=seeds, per_seed=values)
        for name, values in zip(ALTERNATIVES, per_seed, strict=True)
    }


def _compare_seed(store: SubNetworkStore, languages: Sequence[str], seed: int, density: float) -> Reals:
    """Return float64 [3, L, L]: the similarities for one seed, by each measure in the order of :data:`ALTERNATIVES`."""
    rows = [fisher for language in languages if (fisher := store.fisher_values(language, seed)) is not None]
    # The sums are: intersection and union of the bits, minima and maxima of the values, dot products.
    sums = np.zeros((5, len(rows), len(rows)))
    for start, stop in _layers(store.layout):
        values = np.stack([np.concatenate([v.ravel() for v in fisher.values[start:stop]]) for fisher in rows])
        bits = np.stack([select_top([row], density)[0] for row in values])
        for row in range(len(rows)):
            sums[0, row] += np.bitwise_count(bits[row] & bits).sum(axis=1)
            sums[1, row] += np.bitwise_count(bits[row] | bits).sum(axis=1)
            sums[2, row] += np.minimum(values[row], values).sum(axis=1, dtype=np.float64)
            sums[3, row] += np.maximum(values[row], values).sum(axis=1, dtype=np.float64)
        precise = values.astype(np.float64)
        sums[4] += precise @ precise.T
    norm = np.sqrt(np.diagonal(sums[4]))
    return np.stack([sums[0] / sums[1], sums[2] / sums[3], sums[4] / np.outer(norm, norm)])


def _layers(layout: ParameterLayout) -> list[tuple[int, int]]:
    """Return (start, stop) for each layer: the range of the indices of its tensors."""
    offsets = [*layout.offsets, layout.size]
    return [(offsets.index(layer.start), offsets.index(layer.stop)) for layer in layout.layers]


def main(words: Sequence[str]) -> None:
    """Run an action as a program.

    Args:
        words: The name of the action and its arguments.

    Raises:
        UsageError: The words are not one of the command lines.
    """
    match list(words):
        case ["random-weights" | "shuffled-weights" as action, model, folder]:
            write_control(action.removesuffix("-weights"), model, Path(folder))
        case ["alternatives", store, density, folder]:
            write_alternatives(Path(store), float(density), Path(folder))
        case _:
            program = "python -m xsns_stream.reproduce.actions"
            raise UsageError(
                "the action or its arguments are missing.",
                f"{program} random-weights MODEL FOLDER, {program} shuffled-weights MODEL FOLDER, or "
                f"{program} alternatives STORE DENSITY FOLDER",
            )


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except XsnsError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
