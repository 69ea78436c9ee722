"""The control model: the same architecture with weights drawn at random.

Also a program: `python -m xsns_stream.reproduce.random_control MODEL FOLDER`.
"""

from __future__ import annotations

import sys
from pathlib import Path

from xsns_stream.errors import UsageError, XsnsError
from xsns_stream.io.atomic import atomic_folder


def redraw(model: str, folder: Path, seed: int = 0) -> None:
    """Write a model's architecture with random weights, and its tokenizer, into a new folder, whole or not at all.

    The weights are drawn as transformers draws those of a new model of this configuration.

    Args:
        model: `mini`, a local folder, or a Hub id.
        folder: Where to; an existing one is replaced.
        seed: Of the weights.

    Raises:
        ModelError: The model cannot be loaded.
        XsnsError: The folder cannot be written.
    """
    import torch

    from xsns_stream.models import load_model

    loaded = load_model(model)
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        drawn = type(loaded.model)(loaded.model.config)
    try:
        with atomic_folder(folder) as partial:
            drawn.float().save_pretrained(partial)
            loaded.tokenizer.save_pretrained(partial)
    except OSError as error:
        raise XsnsError(
            f"cannot write '{folder}': {error.strerror or error}.", "check the free space and the permissions."
        ) from error


def main(words: list[str]) -> None:
    """Run it as a program.

    Raises:
        UsageError: There are not two words.
    """
    if len(words) != 2:
        raise UsageError(
            "a model and a folder are needed.", "python -m xsns_stream.reproduce.random_control MODEL FOLDER"
        )
    redraw(words[0], Path(words[1]))


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except XsnsError as error:
        sys.exit(f"error: {error.message}\nhint: {error.hint}")
